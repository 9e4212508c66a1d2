"""What answers a prompt: the protocol of every backend, and the values that cross it.

A backend gets requests and gives completions back in whatever order they come about. What it answers to one request
depends on that request and the sampling alone, never on its neighbours, where the backend is one of ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

FinishReason = Literal["stop", "length"]
"""`stop`: the model ended its text, or wrote a stop string; `length`: it was cut at the most tokens allowed."""


class ModelUnavailable(RuntimeError):
    """The model cannot be had or cannot be run here; the message says what was wanted, why not, and what to type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How tokens are chosen; the same for all requests of a run."""

    temperature: float = 0.0
    """0 takes the most probable token."""
    top_p: float = 1.0
    """Only the most probable tokens that together have this probability; 1 for all."""
    top_k: int = 0
    """Only so many most probable tokens; 0 for all."""
    max_new_tokens: int = 512
    stops: tuple[str, ...] = ()
    """A completion ends before the first of these."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature must be 0 or more, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top-p must be more than 0 and at most 1, not {self.top_p}")
        if self.top_k < 0:
            raise ValueError(f"top-k must be 0 (all) or more, not {self.top_k}")
        if self.max_new_tokens < 1:
            raise ValueError(f"max-new-tokens must be 1 or more, not {self.max_new_tokens}")
        if "" in self.stops:
            raise ValueError("a stop string must not be empty: every text has it")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One completion that is wanted."""

    task_id: str
    index: int
    """0-based number among the samples of the same problem."""
    prompt: str
    seed: int
    """0 to 2**63 - 1, made of the run's seed, `task_id` and `index`: all the randomness there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """A model's answer to one request."""

    task_id: str
    index: int
    text: str
    """What follows the prompt, ended before the stop string that ended it."""
    finish_reason: FinishReason
    num_tokens: int | None = None
    """Tokens that were generated, with the one that ended the text; None where the backend does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A request that got no answer through no fault of the model: it stays unanswered, and is asked again on resume."""

    task_id: str
    index: int
    reason: str


class Backend(Protocol):
    """A model that can be asked."""

    def facts(self) -> dict[str, Any]:
        """What identifies the model and how it is run, as plain data for the record of the run: at least `model` (the
        specification it was opened by) and `digest` (sha256 of its weights, or "" where they cannot be seen)."""
        ...

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion | Fault]:
        """Answers every request exactly once, in any order.

        Raises:
            ValueError: a prompt cannot be answered by this model, for example because it is longer than its context.
        """
        ...

    def statistics(self) -> Mapping[str, Any]:
        """Counts of the decoding since the backend was opened, as plain data that add up over sessions (see
        `models.decode_stats`); empty where the backend has none."""
        ...

    def close(self) -> None:
        """Gives back threads, connections and memory."""
        ...
