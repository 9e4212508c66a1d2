"""Sums of independent draws, their law computed exactly on a lattice with the fast Fourier transform.

The law of a sum is a product of transforms. So nothing is drawn at random, and the same values give the same bytes.
Values that are multiples of one unit, as c / n is, lie on the lattice exactly; others are laid on a fine one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POINTS = 1 << 14
"""Of the fine lattice, over `REACH` standard deviations to either side: steps of about a thousandth of one."""

REACH = 9.0
"""Standard deviations of a sum that the lattice reaches to either side. Beyond lies less than 1e-17 of a normal law,
and about 1e-7 where a single problem makes all the spread."""

MOST_POINTS = 4 * POINTS
"""Of an exact lattice of signed sums. A larger one is slow, and tells the same p-value to four digits."""

FINEST = 4096
"""No common unit finer than the smallest difference divided by this is looked for."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Law:
    """A distribution on an evenly spaced lattice."""

    start: float
    step: float
    chances: NDArray[np.float64]
    """float64[size], of the points start, start + step, ..."""
    atoms: bool
    """True where the distribution really has its points, false where they stand for a continuous one."""
    stretch: float = 1.0
    """What deviations from `center` are multiplied with: laying values on a lattice spreads them a little."""
    center: float = 0.0

    def quantile(self, share: float) -> float:
        """The point below which this share of the distribution lies."""
        import numpy as np

        below = np.cumsum(self.chances)
        place = int(np.searchsorted(below, share * below[-1] - 1e-14))
        place = min(place, below.size - 1)
        position = float(place)
        if not self.atoms:
            chance = float(self.chances[place])
            # The mass of a point lies evenly around it.
            position += (share * float(below[-1]) - float(below[place])) / chance + 0.5 if chance > 0 else 0.0
        return self.center + self.stretch * (self.start + self.step * position - self.center)

    def below(self, value: float) -> float:
        """The chance of less than `value`, plus half that of `value` itself."""
        import numpy as np

        position = (self.center + (value - self.center) / self.stretch - self.start) / self.step
        nearest = round(position)
        cumulated = np.concatenate(([0.0], np.cumsum(self.chances)))
        last = self.chances.size - 1
        if self.atoms and abs(position - nearest) > 1e-6:  # between two points
            return float(cumulated[min(max(math.floor(position), -1), last) + 1])
        if self.atoms:
            place, part = nearest, 0.5
        else:
            place = math.floor(position + 0.5)
            part = position + 0.5 - place  # the mass of a point lies evenly around it
        if not 0 <= place <= last:
            return float(place > last)
        return float(cumulated[place] + part * self.chances[place])


def common_unit(values: NDArray[np.float64]) -> float | None:
    """The largest number of which all these are multiples; None where it is finer than a fine lattice, or absent."""
    import numpy as np

    sizes = np.unique(np.abs(values))
    sizes = sizes[sizes > 1e-12]
    if sizes.size == 0:
        return 1.0
    smallest = float(sizes[0])
    ratios = sizes / smallest
    divisors = np.arange(1, int(min(FINEST, POINTS / ratios[-1])) + 1)
    for ratio in ratios:
        multiples = ratio * divisors
        divisors = divisors[np.abs(multiples - np.rint(multiples)) < 1e-7]
        if divisors.size == 0:
            return None
    return smallest / float(divisors[0])


def resampled_mean(values: NDArray[np.float64]) -> Law:
    """The law of the mean of m draws with replacement from these m values: the bootstrap with all its resamples.

    Args:
        values: float64[m], not all equal.
    """
    import numpy as np
    from scipy import fft

    m = values.size
    center = float(values.mean())
    deviation = values - center
    spread = float(values.std()) * math.sqrt(m)
    base = float(values.min())
    unit = common_unit(values - base)
    if unit is not None and 2 * REACH * spread / unit <= POINTS:
        places = np.rint((values - base) / unit).astype(np.int64)
        highest = m * int(places.max())
        size = fft.next_fast_len(int(min(2 * REACH * spread / unit, highest)) + 2, real=True)
        masses: NDArray[np.float64] = np.bincount(places % size, minlength=size) / m
        chances = np.maximum(fft.irfft(fft.rfft(masses) ** m, size), 0.0)
        # The transform knows sums only up to multiples of `size`: it is the window around the mean that is meant, or
        # all sums there can be where they fit.
        lowest = min(max(0, round(m * (center - base) / unit) - size // 2), max(0, highest + 1 - size))
        chances = np.roll(chances, -(lowest % size))
        return Law(start=base + lowest * unit / m, step=unit / m, chances=chances, atoms=True)
    step = 2 * REACH * spread / POINTS
    position = deviation / step
    lower = np.floor(position).astype(np.int64)
    part = position - lower
    masses = np.asarray(np.bincount(lower % POINTS, weights=1 - part, minlength=POINTS), dtype=np.float64)
    masses += np.bincount((lower + 1) % POINTS, weights=part, minlength=POINTS)
    chances = np.maximum(fft.irfft(fft.rfft(masses / m) ** m, POINTS), 0.0)
    chances = np.roll(chances, POINTS // 2)
    spread_out = float((part * (1 - part)).mean()) * step**2
    variance = float(values.var())
    return Law(
        start=center - POINTS // 2 * step / m,
        step=step / m,
        chances=chances,
        atoms=False,
        stretch=math.sqrt(variance / (variance + spread_out)),
        center=center,
    )


def signed_sum_tail(values: NDArray[np.float64]) -> float:
    """The chance that the sum of these values, each with a fair random sign, is at least as far from 0 as their sum.

    Exact where the values have a common unit that needs no more than `MOST_POINTS`, or at most 20 are not 0; otherwise
    up to the rounding to a lattice of `POINTS`.
    """
    import numpy as np

    sizes = np.abs(values[np.abs(values) > 1e-12])
    if sizes.size == 0:
        return 1.0
    spread = math.sqrt(float((sizes**2).sum()))
    unit = common_unit(sizes)
    if unit is not None and 2 * min(float(sizes.sum()), REACH * spread) > unit * MOST_POINTS:
        unit = None
    if unit is None and sizes.size <= 20:
        return _by_enumeration(sizes, abs(float(values.sum())))
    if unit is None:
        unit = REACH * spread / POINTS
    steps = np.rint(values / unit).astype(np.int64)
    observed = abs(int(steps.sum()))
    if observed == 0:
        return 1.0
    return _by_transform(np.abs(steps[steps != 0]), observed)


def _by_enumeration(sizes: NDArray[np.float64], observed: float) -> float:
    import numpy as np

    sums = np.zeros(1)
    for size in sizes[1:]:  # the sign of one does not matter: both tails are counted
        sums = np.concatenate((sums + size, sums - size))
    return float(np.mean(np.abs(sums + sizes[0]) >= observed - 1e-9 * sizes.max()))


def _by_transform(steps: NDArray[np.int64], observed: int) -> float:
    """The same for positive whole numbers: the transform of one signed value is a cosine."""
    import numpy as np
    from scipy import fft

    spread = math.sqrt(float((steps.astype(float) ** 2).sum()))
    if observed > REACH * spread:
        return 2 * math.exp(-((observed / spread) ** 2) / 2)  # Hoeffding's bound, below 1e-17
    total = int(steps.sum())
    size = int(fft.next_fast_len(min(2 * total, math.ceil(2 * REACH * spread)) + 2, real=True))
    angles = 2 * np.pi / size * np.arange(size // 2 + 1)
    distinct, times = np.unique(steps, return_counts=True)
    transform = np.ones(angles.size)
    for value, count in zip(distinct.tolist(), times.tolist(), strict=True):
        transform *= np.cos(angles * value) ** count
    chances = np.maximum(fft.irfft(transform, size), 0.0)
    middle = chances[:observed].sum() + chances[size - observed + 1 :].sum()
    tails = float(chances[observed : size - observed + 1].sum())
    # Whichever of the two is the smaller sum has the smaller rounding error.
    return min(1.0, tails if tails < 0.5 else float(1 - middle))
