"""The bootstrap over problems, with all its resamples: percentile and BCa intervals without a seed.

What other tools approximate with thousands of random resamples is computed exactly (see `harness.stats.lattice`). Not
offered, because their coverage fails: resampling completions, which turns pass@k into a biased estimate; and BCa of
differences (Efron 1987 has BCa itself).
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.stats.intervals import LEVEL, Interval, Target, check_level
from harness.stats.lattice import resampled_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

RESAMPLES = 10_000
CHUNK_BYTES = 8 << 20


class Bootstrap(StrEnum):
    """Which interval is read off the resampled means."""

    PERCENTILE = "percentile"
    BCA = "bca"
    """Bias-corrected and accelerated."""


def bootstrap_interval(
    values: ArrayLike,
    method: Bootstrap = Bootstrap.PERCENTILE,
    level: float = LEVEL,
    *,
    rng: np.random.Generator | None = None,
    resamples: int = RESAMPLES,
) -> Interval:
    """The bootstrap interval of a mean over problems.

    Args:
        values: one score for each problem, float[m].
        method: which interval.
        level: between 0 and 1.
        rng: None for the exact law of the resampled mean; a generator for `resamples` random ones.
        resamples: how many, if they are random.

    Raises:
        ValueError: no problems, a value that is no number, a level outside 0..1, or fewer than 1 resample.
    """
    import numpy as np

    scores = _checked(values)
    check_level(level)
    estimate = float(scores.mean())
    name = f"{method}_{'exact' if rng is None else 'random'}"
    spread = float(scores.std())
    if spread < 1e-12:
        return _interval(scores, estimate, estimate, estimate, level, name)
    tails = ((1 - level) / 2, (1 + level) / 2)
    if rng is None:
        law = resampled_mean(scores)
        low, high = (law.quantile(share) for share in _shares(method, scores, law.below(estimate), tails))
    else:
        means = _random_means(scores, rng, resamples)
        below = float(np.mean(means < estimate) + np.mean(means <= estimate)) / 2
        low, high = map(float, np.quantile(means, _shares(method, scores, below, tails)))
    return _interval(scores, estimate, low, high, level, name)


def paired_bootstrap_interval(
    a: ArrayLike,
    b: ArrayLike,
    level: float = LEVEL,
    *,
    rng: np.random.Generator | None = None,
    resamples: int = RESAMPLES,
) -> Interval:
    """The percentile interval of the mean of b - a, both scored on the same problems in the same order.

    Raises:
        ValueError: as `bootstrap_interval`, or the two have different lengths.
    """
    first, second = _checked(a), _checked(b)
    if first.shape != second.shape:
        raise ValueError(f"a has {first.size} problems and b has {second.size}; they must be the same problems")
    return bootstrap_interval(second - first, level=level, rng=rng, resamples=resamples)


def _shares(
    method: Bootstrap, scores: NDArray[np.float64], below: float, tails: tuple[float, float]
) -> tuple[float, float]:
    """Which quantiles of the resampled means bound the interval."""
    from scipy.special import ndtr, ndtri

    if method is Bootstrap.PERCENTILE:
        return tails
    bias = float(ndtri(below))
    deviation = scores - scores.mean()
    # The jackknife's acceleration: leaving one value out of a mean moves it by a fixed share of its deviation.
    acceleration = float((deviation**3).sum() / (6 * (deviation**2).sum() ** 1.5))
    shifted = [bias + float(ndtri(tail)) for tail in tails]
    low, high = (float(ndtr(bias + z / (1 - acceleration * z))) for z in shifted)
    return low, high


def _random_means(scores: NDArray[np.float64], rng: np.random.Generator, resamples: int) -> NDArray[np.float64]:
    """float64[resamples], in chunks that stay in the cache."""
    import numpy as np

    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    m = scores.size
    index_type = np.uint16 if m <= 1 << 16 else np.uint32
    chunk = max(1, CHUNK_BYTES // (m * 10))
    means = np.empty(resamples)
    for first in range(0, resamples, chunk):
        last = min(first + chunk, resamples)
        means[first:last] = scores[rng.integers(0, m, size=(last - first, m), dtype=index_type)].mean(axis=1)
    return means


def _interval(
    scores: NDArray[np.float64], estimate: float, low: float, high: float, level: float, method: str
) -> Interval:
    spread = estimate * (1 - estimate)
    variance = float(scores.var())
    return Interval(
        target=Target.PROBLEMS,
        estimate=estimate,
        low=low,
        high=high,
        level=level,
        method=method,
        num_problems=scores.size,
        effective_n=spread / (variance / scores.size) if variance > 0 and spread > 0 else float(scores.size),
        df=math.inf,
    )


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    import numpy as np

    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"values must hold one score for each of at least 1 problem, got shape {scores.shape}")
    if not np.all(np.isfinite(scores)):
        raise ValueError("values must be numbers; one of them is not")
    return scores
