"""How many tokens a step verifies: a number, or whatever has been fastest so far.

A step over k tokens gives 1 + P(1) + ... + P(k - 1) tokens, where P(j) is how often the first j drafts are all right,
and takes t(k) seconds. Both are measured while decoding, and the k with the most tokens per second is used. Trying
others costs time; what has been lost by it is kept below a hundredth of the whole.
"""

from __future__ import annotations

import collections
import statistics
from collections.abc import Sequence
from typing import Protocol


class DraftLength(Protocol):
    """Chooses k, the tokens that each row has verified in one step: the next token and k - 1 drafts."""

    adaptive: bool
    """Whether k may be 1 at one step and more at another."""
    most: int
    """The largest k it may choose."""

    @property
    def drafts_now(self) -> bool:
        """Whether the last choice was more than 1."""
        ...

    def choose(self, rows: int) -> int:
        """k of the next step over so many rows."""
        ...

    def observe(self, k: int, rows: int, seconds: float, accepted: Sequence[int]) -> None:
        """What came of a step: its time, and how many drafts each row accepted (those whose text ended left out)."""
        ...


class FixedLength:
    """Always the same k."""

    adaptive = False

    def __init__(self, k: int) -> None:
        self.most = k

    @property
    def drafts_now(self) -> bool:
        return self.most > 1

    def choose(self, rows: int) -> int:
        return self.most

    def observe(self, k: int, rows: int, seconds: float, accepted: Sequence[int]) -> None:
        pass


class FastestLength:
    """The k that gives most tokens per second, of those up to `most`.

    Args:
        most: the number of future tokens that the model predicts.
        loss_share: how much of all time may be lost by trying what turns out slower.
    """

    adaptive = True

    def __init__(self, most: int, *, loss_share: float = 0.01) -> None:
        self.most = most
        self._loss_share = loss_share
        self._seconds: dict[tuple[int, int], collections.deque[float]] = {}
        self._tried = [0.0] * most
        self._right = [0.0] * most
        self._elapsed = 0.0
        self._lost = 0.0
        self._since_try = 0
        self._trial = (most, 0)
        self._last = most

    @property
    def drafts_now(self) -> bool:
        return self._last > 1

    def choose(self, rows: int) -> int:
        """The longest comes first: it also shows what every shorter one would accept."""
        size = _size(rows)
        k = self._next(size)
        self._since_try = 0 if k != self._best(size) else self._since_try + 1
        self._last = k
        return k

    def _next(self, size: int) -> int:
        for k in (self.most, 1):
            if not self._timed(k, size):
                return k
        k, left = self._trial
        if left:
            self._trial = (k, left - 1)
            return k
        best = self._best(size)
        untimed = [k for k in range(2, self.most) if not self._timed(k, size)]
        promising = [k for k in untimed if self._rate(k, size) > 0.9 * self._rate(best, size)]
        if promising and self._may_lose(promising[0], size):
            return promising[0]
        other = self.most if best < self.most else 1
        if self._since_try >= _TRY_EVERY and self._may_lose(other, size):
            self._trial = (other, _TRIAL - 1)
            return other
        return best

    def _may_lose(self, k: int, size: int) -> bool:
        """Whether there is room for what a trial of k is likely to cost."""
        loss = _TRIAL * self._loss(k, size, self.step_seconds(k, size))
        return self._lost + loss <= self._loss_share * self._elapsed

    def _loss(self, k: int, size: int, seconds: float) -> float:
        """Seconds by which a step over k is slower than the fastest way to as many tokens."""
        return max(0.0, seconds - self._tokens(k) / self._rate(self._best(size), size))

    def observe(self, k: int, rows: int, seconds: float, accepted: Sequence[int]) -> None:
        size = _size(rows)
        self._seconds.setdefault((k, size), collections.deque(maxlen=_TIMES)).append(seconds)
        self._elapsed += seconds
        for j in range(1, k):
            self._tried[j] = self._tried[j] * _KEEP + len(accepted)
            self._right[j] = self._right[j] * _KEEP + sum(count >= j for count in accepted)
        best = self._best(size)
        if k != best and self._timed(best, size):
            self._lost += self._loss(k, size, seconds)

    def _best(self, size: int) -> int:
        timed = [k for k in range(1, self.most + 1) if self._timed(k, size)]
        return max(timed, key=lambda k: self._rate(k, size), default=self.most)

    def _timed(self, k: int, size: int) -> bool:
        return len(self._seconds.get((k, size), ())) >= _TRIAL

    def _rate(self, k: int, size: int) -> float:
        return self._tokens(k) / self.step_seconds(k, size)

    def _tokens(self, k: int) -> float:
        """Tokens that a step over k gives a row; a draft position never tried counts as right half the time."""
        return 1 + sum(self._right[j] / self._tried[j] if self._tried[j] else 0.5**j for j in range(1, k))

    def step_seconds(self, k: int, size: int) -> float:
        """Of a step over k: the median of the last ones, or between those of the shortest and the longest."""
        if self._timed(k, size):
            return statistics.median(self._seconds[k, size])
        shortest, longest = self.step_seconds(1, size), self.step_seconds(self.most, size)
        return shortest + (longest - shortest) * (k - 1) / (self.most - 1)


_TRIAL = 3
"""Steps in a row by which a k is judged: the first of another shape also pays for what it finds cold, and the median
of three is above that."""

_TIMES = 15
_KEEP = 0.98
"""What acceptance was counts for half after 35 steps."""
_TRY_EVERY = 200
"""Steps between two looks at what else might be faster now."""


def _size(rows: int) -> int:
    """Numbers of rows that take about the same time share a size: powers of two."""
    return (rows - 1).bit_length()
