"""The kinds of model that can be named, and what opens each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from models.backend import Backend, ModelUnavailable

MODELS = {
    "mtp": ("models.mtp_backend:open_backend", "DIR", "a checkpoint on this machine: ours, Meta's, or a Llama folder"),
    "hf": ("models.huggingface:open_backend", "NAME_OR_DIR", "any model of transformers; needs the extra hf"),
    "openai": ("models.openai_api:open_backend", "BASE_URL#MODEL", "a server that speaks OpenAI's protocol"),
}
"""kind -> (what opens it, what follows the colon, what it is)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How a model is run. None of these changes what it answers, but for `dtype`."""

    batch_size: int = 32
    """Texts at once; of a server, requests in flight."""
    draft: str = "auto"
    """Tokens verified in one step: a number, or `auto` for what is fastest."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto` for the second where there is one."""
    dtype: str = "auto"
    """`float64`, `float32`, `bfloat16`, `float16`; `auto`: 32 bits on a CPU, 16 on a GPU."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"--batch-size must be 1 or more, not {self.batch_size}")
        if self.draft != "auto" and not (self.draft.isdigit() and int(self.draft) >= 1):
            raise ValueError(f"--draft takes auto or 1 (plain decoding) or more tokens, not {self.draft!r}")
        if self.dtype not in DTYPES:
            raise ValueError(f"unknown --dtype {self.dtype!r}; accepted: {', '.join(DTYPES)}")


DTYPES = ("auto", "float64", "float32", "bfloat16", "float16")


def kind_of(specification: str) -> str:
    """The kind that a model's specification names.

    Raises:
        ValueError: it names none of `MODELS`, or nothing follows the colon.
    """
    kind, colon, place = specification.partition(":")
    if kind not in MODELS or not colon or not place:
        accepted = ", ".join(f"{kind}:{place}" for kind, (_, place, _) in MODELS.items())
        raise ValueError(f"unknown model {specification!r}; accepted: {accepted}")
    return kind


def open_model(specification: str, options: Options) -> Backend:
    """The backend of a model.

    Raises:
        ValueError: the specification or an option is none that the kind of model accepts.
        ModelUnavailable: the model cannot be had, or not be run here.
    """
    kind = kind_of(specification)
    module, _, function = MODELS[kind][0].partition(":")
    opener: Callable[[str, Options], Backend] = getattr(importlib.import_module(module), function)
    return opener(specification.partition(":")[2], options)


__all__ = ["DTYPES", "MODELS", "Backend", "ModelUnavailable", "Options", "kind_of", "open_model"]
