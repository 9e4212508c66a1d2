"""A checkpoint on this machine as a backend: loaded, laid out for decoding, asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from models.backend import Completion, ModelUnavailable, Request, Sampling
from models.catalog import Options
from models.checkpoint import Loaded, load
from models.draft_length import DraftLength, FastestLength, FixedLength
from models.mtp import MTPTransformer
from models.speculative import Decoder, exact_copy
from models.step import StepModel


def open_backend(place: str, options: Options) -> MTPBackend:
    """`mtp:DIR`.

    Raises:
        ModelUnavailable: no model can be loaded from there, or the device is not there.
        ValueError: more drafts are wanted than the model has heads for.
    """
    device = chosen_device(options.device)
    dtype = _dtype(options.dtype, device)
    loaded = load(Path(place), device=device, dtype=dtype)
    if device.type == "cpu":
        _settle_threads(loaded.model)
    return MTPBackend(loaded, place, options)


SMALL_PARAMETERS = 30_000_000
"""Up to this size a second thread gains little: steps are short, and threads wait for one another at each product."""


def _settle_threads(model: MTPTransformer) -> None:
    """One thread for a small model, unless the user has said how many.

    Measured on 2 cores, 2.7M parameters, 32 texts at once: two threads take 0.87 of the time where nothing else runs,
    and up to 50 times as long beside another program, because one waits in a loop for the other, which is not running.
    """
    if "OMP_NUM_THREADS" not in os.environ and sum(part.numel() for part in model.parameters()) <= SMALL_PARAMETERS:
        torch.set_num_threads(1)


def chosen_device(name: str) -> torch.device:
    """The device called `name`; `auto` is a GPU where there is one.

    Raises:
        ModelUnavailable: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ModelUnavailable(f"--device {name} cannot be used here ({reason}); type --device cpu") from error
    return device


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    dtype: torch.dtype = getattr(torch, name)
    return dtype


class MTPBackend:
    """A loaded multi-token model and its decoder."""

    def __init__(self, loaded: Loaded, place: str, options: Options) -> None:
        self._loaded = loaded
        self._place = place
        self._options = options
        model = loaded.model
        exact = exact_copy(model)  # before the step model re-lays the weights
        self._decoder = Decoder(
            StepModel(model),
            loaded.tokenizer,
            batch_size=options.batch_size,
            draft_length=draft_length(options.draft, model.config.num_future_tokens),
            exact=exact,
        )

    def facts(self) -> dict[str, Any]:
        config = self._loaded.model.config
        return {
            "model": f"mtp:{self._place}",
            "digest": self._loaded.digest,
            "layout": self._loaded.layout,
            "parameters": sum(weight.numel() for weight in self._loaded.model.parameters()),
            "num_future_tokens": config.num_future_tokens,
            "head_type": config.head_type,
            "device": str(self._decoder.step.device),
            "dtype": str(self._decoder.step.dtype).removeprefix("torch."),
            "exact": self._decoder.exact is not None or self._decoder.step.dtype == torch.float64,
        }

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        return self._decoder.generate(requests, sampling)

    def statistics(self) -> Mapping[str, Any]:
        return self._decoder.stats.to_json()

    def close(self) -> None:
        pass


def draft_length(draft: str, most: int) -> DraftLength:
    """What `--draft` asks for.

    Raises:
        ValueError: more than the model can draft.
    """
    if draft == "auto":
        return FastestLength(most) if most > 1 else FixedLength(1)
    if int(draft) > most:
        raise ValueError(f"--draft {draft} is more than the {most} tokens that the model predicts; type --draft {most}")
    return FixedLength(int(draft))
