"""Token arrays in files: written once, mapped into memory, read in an order that is a function of seed and step.

A folder of N texts is `tokens.npy` (all their tokens one after the other), `weights.npy` (what each token counts as a
target, in 255ths) and `starts.npy` (where each text begins, and where the last ends).
"""

from __future__ import annotations

import functools
import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

FILES = ("tokens.npy", "weights.npy", "starts.npy")


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A text as it is trained on."""

    tokens: list[int]
    weights: list[float]
    """What each token counts as a target, 0 to 1; kept in 255ths."""


def write(folder: Path, documents: Iterable[Document], vocab_size: int) -> int:
    """Writes the files, one document after the other; how many tokens they hold.

    Raises:
        ValueError: a document has a token outside the vocabulary, or weights that are not one from 0 to 1 for each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # First gone, last there: where this one is, the others are whole and belong to it.
    (folder / "starts.npy").unlink(missing_ok=True)
    starts = array("q", [0])
    kind = np.uint16 if vocab_size <= 1 << 16 else np.uint32
    with _Growing(folder / "tokens.npy", kind) as tokens, _Growing(folder / "weights.npy", np.uint8) as weights:
        for number, document in enumerate(documents):
            checked = _checked(document, number, vocab_size)
            tokens.append(checked.tokens)
            weights.append(checked.weights)
            starts.append(starts[-1] + len(checked.tokens))
    np.save(folder / "starts.npy", np.asarray(starts, dtype=np.int64))
    return starts[-1]


class _Checked(NamedTuple):
    tokens: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    """In 255ths."""


def _checked(document: Document, number: int, vocab_size: int) -> _Checked:
    tokens = np.asarray(document.tokens, dtype=np.int64)
    weights = np.asarray(document.weights, dtype=np.float64)
    if len(tokens) != len(weights):
        raise ValueError(f"text {number} has {len(tokens)} tokens, but {len(weights)} weights")
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < vocab_size:
        raise ValueError(f"text {number} has tokens {tokens.min()} to {tokens.max()}; accepted: 0 to {vocab_size - 1}")
    if len(weights) and not (weights.min() >= 0 and weights.max() <= 1):  # so that NaN is refused
        raise ValueError(f"text {number} has weights {weights.min()} to {weights.max()}; accepted: 0 to 1")
    return _Checked(tokens, np.rint(weights * 255))


class _Growing:
    """A `.npy` file of one dimension that is written piece by piece, so that memory need not hold it."""

    def __init__(self, path: Path, kind: type[np.unsignedinteger[Any]]) -> None:
        self._kind = np.dtype(kind)
        self._length = 0
        self._file = path.open("wb")
        self._begin = self._write_header()

    def append(self, values: npt.NDArray[Any]) -> None:
        self._file.write(values.astype(self._kind).tobytes())
        self._length += len(values)

    def _write_header(self) -> int:
        """Where the values begin. numpy leaves room in a header for the number of values to grow."""
        self._file.seek(0)
        described = {"descr": self._kind.str, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, described)
        return self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end = self._write_header()
        self._file.close()
        assert end == self._begin, "the header has grown over the values"


def digest(folder: Path) -> str:
    """sha256 over the files."""
    total = hashlib.sha256()
    for name in FILES:
        with (folder / name).open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


class _Pass(NamedTuple):
    """The order of one pass over the texts."""

    begins_N: npt.NDArray[np.int64]
    """Where each text begins in the file, in the order in which they are read."""
    offsets_N: npt.NDArray[np.int64]
    """How many tokens of the pass come before each."""
    lengths_N: npt.NDArray[np.int64]


class TokenFile:
    """Batches of a token file.

    The texts of a pass stand one after the other, in an order drawn anew for each pass, and are cut into rows: a text
    that a row ends in goes on in the next row. What does not fill a last batch is left out of that pass. Which tokens a
    step gets is a function of file, seed and step alone, so that a training run that goes on needs no memory of what it
    has read.

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
        self._folder = folder
        self._starts_N1: npt.NDArray[np.int64] = np.load(folder / "starts.npy")
        self._length = length
        self._batch_size = batch_size
        self._seed = seed
        self._latest: tuple[int, _Pass] | None = None
        self.num_tokens = int(self._starts_N1[-1])
        if self.num_tokens < length * batch_size:
            raise ValueError(
                f"{folder} has {self.num_tokens} tokens, fewer than one batch of {batch_size} rows of {length}; "
                f"take more data, or a smaller batch_size or length"
            )
        # After the check: a file without a single token cannot be mapped.
        self._tokens = np.load(folder / "tokens.npy", mmap_mode="r")
        self._weights = np.load(folder / "weights.npy", mmap_mode="r")
        self.batches_per_pass = self.num_tokens // (length * batch_size)

    @functools.cached_property
    def digest(self) -> str:
        """sha256 over the files."""
        return digest(self._folder)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """(tokens_BT, weights_BT) of a step, counted from 0."""
        number, place = divmod(step, self.batches_per_pass)
        size = self._length * self._batch_size
        spans = self._spans(self._order(number), place * size, size)
        shape = (self._batch_size, self._length)
        tokens = np.concatenate([self._tokens[span] for span in spans]).astype(np.int64)
        weights = np.concatenate([self._weights[span] for span in spans]).astype(np.float32) / 255
        return torch.from_numpy(tokens).view(shape), torch.from_numpy(weights).view(shape)

    def _spans(self, order: _Pass, first: int, size: int) -> list[slice]:
        """The parts of the file that are tokens `first` to `first + size` of a pass."""
        # The last text that begins at or before the first token: empty texts before it begin there too.
        text = int(np.searchsorted(order.offsets_N, first, side="right")) - 1
        skipped = first - int(order.offsets_N[text])
        spans = []
        while size > 0:
            begin = int(order.begins_N[text]) + skipped
            taken = min(size, int(order.lengths_N[text]) - skipped)
            spans.append(slice(begin, begin + taken))
            size -= taken
            text, skipped = text + 1, 0
        return spans

    def _order(self, number: int) -> _Pass:
        if self._latest is None or self._latest[0] != number:
            lengths_N = np.diff(self._starts_N1)
            texts_N = np.random.Generator(np.random.PCG64([self._seed, number])).permutation(len(lengths_N))
            offsets_N = np.cumsum(lengths_N[texts_N]) - lengths_N[texts_N]
            self._latest = (number, _Pass(self._starts_N1[:-1][texts_N], offsets_N, lengths_N[texts_N]))
        return self._latest[1]
