"""Measures what further heads cost in training: time of a step, and the most memory it holds."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from models.loss import backward, naive_losses
from models.mtp import MTPConfig, MTPTransformer

PAPER_TIMES = {
    "0.3B": {2: 1.07, 4: 1.22},
    "0.6B": {2: 1.05, 4: 1.13},
    "1.3B": {2: 1.04, 4: 1.12},
    "3B": {2: 1.02, 4: 1.07},
    "6.7B": {2: 1.02, 4: 1.07},
    "13B": {2: 1.04, 4: 1.09},
}
"""Training time beside next-token prediction: table S5 of Gloeckle et al. 2024."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCost:
    """One way of computing the gradients."""

    num_future_tokens: int
    sequential: bool
    """Head by head; otherwise all heads at once."""
    seconds: float
    """Of forward and backward, median."""
    peak_bytes: int
    """The most that tensors made in a step held at one time, beside the weights and their gradients."""


class PeakMemory(TorchDispatchMode):
    """Counts the bytes of tensors that are made inside, as long as they live.

    Args:
        before: tensors that are there already; their views, and what is written into them, are nothing new.
    """

    def __init__(self, before: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.held: int = 0
        self.peak: int = 0
        self._seen = WeakIdKeyDictionary()
        for tensor in before:
            self._seen[tensor.untyped_storage()] = True

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._seen:
            return
        self._seen[storage] = True
        size = storage.nbytes()
        self.held += size
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._drop, size)

    def _drop(self, size: int) -> None:
        self.held -= size


def all_heads_at_once(model: MTPTransformer, tokens_BT: Tensor) -> None:
    """The gradients by the plain sum."""
    naive_losses(model, tokens_BT).sum().backward()


def peak_bytes(model: MTPTransformer, tokens_BT: Tensor, step: Callable[[MTPTransformer, Tensor], Any]) -> int:
    """The most that a step holds beside the weights and their gradients."""
    before = [tokens_BT]
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
        before += [weight, weight.grad]
    with PeakMemory(before) as memory:
        step(model, tokens_BT)
    peak: int = memory.peak
    return peak


def training_costs(
    *, vocab_size: int = 32_000, dim: int = 256, num_layers: int = 6, batch: int = 2, length: int = 256, turns: int = 5
) -> list[TrainingCost]:
    """Times and weighs steps of models that predict 1, 2 and 4 tokens, in turns."""
    tokens_BT = torch.randint(0, vocab_size, (batch, length), generator=torch.Generator().manual_seed(1))
    ways: Sequence[tuple[int, bool]] = [(n, sequential) for n in (1, 2, 4) for sequential in (True, False)]
    models = {n: _model(n, vocab_size, dim, num_layers) for n in (1, 2, 4)}
    seconds: dict[tuple[int, bool], list[float]] = {way: [] for way in ways}
    for turn in range(turns + 1):
        for n, sequential in ways:
            started = time.perf_counter()
            (backward if sequential else all_heads_at_once)(models[n], tokens_BT)
            if turn:  # the first is for what only the first does
                seconds[n, sequential].append(time.perf_counter() - started)
    return [
        TrainingCost(
            num_future_tokens=n,
            sequential=sequential,
            seconds=statistics.median(seconds[n, sequential]),
            peak_bytes=peak_bytes(models[n], tokens_BT, backward if sequential else all_heads_at_once),
        )
        for n, sequential in ways
    ]


def _model(n: int, vocab_size: int, dim: int, num_layers: int) -> MTPTransformer:
    config = MTPConfig(
        vocab_size=vocab_size,
        dim=dim,
        num_layers=num_layers,
        num_heads=4,
        num_kv_heads=4,
        hidden_dim=3 * dim,
        num_future_tokens=n,
    )
    model = MTPTransformer(config)
    model.reset(torch.Generator().manual_seed(0))
    return model
