"""Token arrays in files: written once, mapped into memory, read in an order that is a function of seed and step.

A file of N texts is `tokens.npy` (all their tokens one after the other), `weights.npy` (what each token counts as a
target, in 255ths) and `starts.npy` (where each text begins, and where the last ends).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FILES = ("tokens.npy", "weights.npy", "starts.npy")


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A text as it is trained on."""

    tokens: list[int]
    weights: list[float]
    """What each token counts as a target, 0 to 1."""


def write(folder: Path, documents: Iterable[Document], vocab_size: int) -> int:
    """Writes the files; how many tokens they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = np.uint16 if vocab_size <= 1 << 16 else np.uint32
    tokens, weights, starts = bytearray(), bytearray(), [0]
    for document in documents:
        tokens += np.asarray(document.tokens, dtype=kind).tobytes()
        weights += np.rint(np.asarray(document.weights) * 255).astype(np.uint8).tobytes()
        starts.append(starts[-1] + len(document.tokens))
    np.save(folder / "tokens.npy", np.frombuffer(tokens, dtype=kind))
    np.save(folder / "weights.npy", np.frombuffer(weights, dtype=np.uint8))
    # Last: where it is, the others are whole.
    np.save(folder / "starts.npy", np.asarray(starts, dtype=np.int64))
    return starts[-1]


def digest(folder: Path) -> str:
    """sha256 over the files."""
    total = hashlib.sha256()
    for name in FILES:
        with (folder / name).open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


class TokenFile:
    """Batches of a token file.

    Texts stand whole in a row of their own where they fit, several to a row, in an order drawn anew for each pass over
    the file. Which texts a step gets is a function of the seed and the step alone, so that a training run that goes on
    needs no memory of what it has read.

    Args:
        folder: of the files.
        length: tokens of a row.
        batch_size: rows of a batch.
        seed: of the order.

    Raises:
        FileNotFoundError: the files are not there.
        ValueError: there are fewer tokens than a batch has.
    """

    def __init__(self, folder: Path, *, length: int, batch_size: int, seed: int) -> None:
        self._tokens = np.load(folder / "tokens.npy", mmap_mode="r")
        self._weights = np.load(folder / "weights.npy", mmap_mode="r")
        self._starts = np.load(folder / "starts.npy")
        self._length = length
        self._batch_size = batch_size
        self._seed = seed
        self._pass: tuple[int, np.ndarray] | None = None
        self.num_tokens = int(self._starts[-1])
        if self.num_tokens < length * batch_size:
            raise ValueError(
                f"{folder} has {self.num_tokens} tokens, fewer than one batch of {batch_size} rows of {length}; "
                f"take more data, or a smaller batch_size or length"
            )
        self.batches_per_pass = self.num_tokens // (length * batch_size)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """(tokens_BT, weights_BT) of a step, counted from 0."""
        number, place = divmod(step, self.batches_per_pass)
        size = self._length * self._batch_size
        order = self._order(number)
        # The texts of a pass one after the other, cut into rows: a text that a row ends in goes on in the next.
        begins, total = order
        first = int(np.searchsorted(total, place * size, side="right")) - 1
        tokens, weights = [], []
        missing, offset = size, place * size - int(total[first])
        while missing > 0:
            start, stop = int(begins[first, 0]) + offset, int(begins[first, 1])
            stop = min(stop, start + missing)
            tokens.append(np.asarray(self._tokens[start:stop]))
            weights.append(np.asarray(self._weights[start:stop]))
            missing -= stop - start
            first, offset = first + 1, 0
        shape = (self._batch_size, self._length)
        tokens_BT = torch.from_numpy(np.concatenate(tokens).astype(np.int64)).view(shape)
        weights_BT = torch.from_numpy(np.concatenate(weights).astype(np.float32) / 255).view(shape)
        return tokens_BT, weights_BT

    def _order(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        if self._pass is None or self._pass[0] != number:
            chance = np.random.Generator(np.random.PCG64([self._seed, number]))
            texts = chance.permutation(len(self._starts) - 1)
            spans = np.stack([self._starts[texts], self._starts[texts + 1]], axis=1)
            total = np.concatenate([[0], np.cumsum(spans[:, 1] - spans[:, 0])])
            self._pass = (number, (spans, total))  # type: ignore[assignment]
        return self._pass[1]  # type: ignore[return-value, index]
