"""By what share one score exceeds another on the same problems: B / A - 1, with an interval that knows the pairing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.stats.intervals import LEVEL, check_level, t_quantile, variance_of_mean
from harness.stats.lattice import resampled_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class GainMethod(StrEnum):
    """How the interval is found."""

    LOG_DELTA = "log_delta"
    """Symmetric in the logarithm of the ratio, t quantile."""
    FIELLER = "fieller"
    """Ratios that a paired t test does not reject (Fieller 1954): unbounded where the baseline may well be 0."""
    BOOTSTRAP = "bootstrap"
    """Ratios between the percentiles of the exact paired bootstrap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RelativeGain:
    """B / A - 1; 0.1 says that B scores a tenth higher."""

    estimate: float
    low: float
    high: float
    """Infinite, like `low`, where there is no bound."""
    level: float
    method: str
    unbounded: bool
    """By Fieller's interval, whatever the method: the baseline is not shown to be above 0, so any ratio may be true."""
    df: float


def relative_gain(
    a: ArrayLike,
    b: ArrayLike,
    method: GainMethod = GainMethod.LOG_DELTA,
    level: float = LEVEL,
    clusters: Sequence[str] | None = None,
) -> RelativeGain:
    """The gain of b over a.

    Args:
        a, b: scores of the same problems in the same order, float[m].
        method: of the interval.
        level: between 0 and 1.
        clusters: as in `problems_interval`; not for the bootstrap.

    Raises:
        ValueError: no problems, unlike lengths, or clusters with the bootstrap.
    """
    import numpy as np

    base, other = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    check_level(level)
    if base.ndim != 1 or base.shape != other.shape or base.size == 0:
        raise ValueError(f"a and b must score the same problems, got shapes {base.shape} and {other.shape}")
    if clusters is not None and method is GainMethod.BOOTSTRAP:
        raise ValueError("the bootstrap draws single problems; with clusters take log_delta or fieller")
    df = float(variance_of_mean(base, clusters)[1] - 1)
    fieller, unbounded = _fieller(base, other, df, level, clusters)
    mean_a, mean_b = float(base.mean()), float(other.mean())
    if mean_a <= 0:
        low, high = -math.inf, math.inf
    elif method is GainMethod.FIELLER:
        low, high = fieller
    elif method is GainMethod.BOOTSTRAP:
        low, high = _bootstrap(base, other, level)
    else:
        low, high = _log_delta(base, other, df, level, clusters)
    return RelativeGain(
        estimate=mean_b / mean_a - 1 if mean_a > 0 else math.nan,
        low=low,
        high=high,
        level=level,
        method=method.value,
        unbounded=unbounded,
        df=df,
    )


def _log_delta(
    a: NDArray[np.float64], b: NDArray[np.float64], df: float, level: float, clusters: Sequence[str] | None
) -> tuple[float, float]:
    mean_a, mean_b = float(a.mean()), float(b.mean())
    if df < 1:
        return -1.0, math.inf
    if mean_b <= 0:  # the logarithm of nothing; Fieller's bound is what is left
        return _fieller(a, b, df, level, clusters)[0]
    variance, _ = variance_of_mean(b / mean_b - a / mean_a, clusters)
    half = t_quantile(df, level) * math.sqrt(variance)
    ratio = mean_b / mean_a
    return ratio * math.exp(-half) - 1, ratio * math.exp(half) - 1


def _fieller(
    a: NDArray[np.float64], b: NDArray[np.float64], df: float, level: float, clusters: Sequence[str] | None
) -> tuple[tuple[float, float], bool]:
    """The interval, and whether it is unbounded: where the t test does not even reject a baseline of 0."""
    if df < 1:
        return (-math.inf, math.inf), True
    square = t_quantile(df, level) ** 2
    variance_a, _ = variance_of_mean(a, clusters)
    variance_b, _ = variance_of_mean(b, clusters)
    variance_sum, _ = variance_of_mean(a + b, clusters)
    covariance = (variance_sum - variance_a - variance_b) / 2
    mean_a, mean_b = float(a.mean()), float(b.mean())
    # Ratios r with (mean_b - r mean_a)^2 <= t^2 Var(mean_b - r mean_a): a quadratic in r.
    leading = mean_a**2 - square * variance_a
    if leading <= 0:
        return (-math.inf, math.inf), True
    middle = mean_a * mean_b - square * covariance
    root = math.sqrt(max(0.0, middle**2 - leading * (mean_b**2 - square * variance_b)))
    return ((middle - root) / leading - 1, (middle + root) / leading - 1), False


def _bootstrap(a: NDArray[np.float64], b: NDArray[np.float64], level: float) -> tuple[float, float]:
    """The ratios r at which the resampled mean of b - r a is below 0 just as often as the level says."""
    from scipy.optimize import brentq

    def share_below(ratio: float) -> float:
        values = b - ratio * a
        if float(values.std()) < 1e-12:
            mean = float(values.mean())
            return 0.5 if abs(mean) < 1e-12 else float(mean < 0)
        return resampled_mean(values).below(0.0)

    ratio = float(b.mean() / a.mean())
    bounds = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        low, high = 0.0, max(1.0, 2 * ratio)
        while share_below(high) < tail and high < 1e6:
            high *= 2
        if share_below(low) >= tail:
            bounds.append(low - 1)
        elif share_below(high) < tail:
            bounds.append(math.inf)
        else:
            bounds.append(float(brentq(lambda r, tail=tail: share_below(r) - tail, low, high, xtol=1e-7)) - 1)
    return bounds[0], bounds[1]
