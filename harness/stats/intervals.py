"""Confidence intervals of one score, for two different questions.

`problems`: the benchmark is a sample of problems; where would the score be on other problems of the same kind?
`benchmark`: these problems are fixed; where would the score be after drawing new completions for them?

Neither covers training seeds, the choice of prompt or extraction, or contamination; both take the completions of a
problem as independent draws. For small suites (fewer than 50 problems) both cover more than they claim, on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.stats.difficulty import PSEUDO_PROBLEM as PSEUDO_PROBLEM  # a name that others know from here
from harness.stats.difficulty import beta_variance, eb_variance
from harness.stats.pass_at_k import all_fail_at_k, check_counts, each_count, pass_at_k

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95

GUARD = 3.0
"""Where fewer than this many problems are expected to differ from the rest, the sample says nothing about its own
variance, and a bound replaces it: on a saturated suite the rare failures may all be absent."""


class Target(StrEnum):
    """What an interval is about."""

    PROBLEMS = "problems"
    BENCHMARK = "benchmark"


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A score with its confidence interval; fractions, not percent."""

    target: Target
    estimate: float
    low: float
    high: float
    level: float
    """The share of repeated experiments whose interval holds the true score, 0.95 for example."""
    method: str
    """Which formula, as results carry it."""
    num_problems: int
    effective_n: float
    """Independent yes-or-no trials that would be as noisy as this score."""
    df: float
    """Degrees of freedom of the t quantile; infinite where a normal quantile was used."""


class Noise(StrEnum):
    """How the noise of completions is estimated."""

    UNBIASED = "unbiased"
    """From each problem's own counts; needs n >= 2k."""
    EB = "eb"
    """From the difficulties of all problems (see `harness.stats.difficulty`); needs n >= k, and n >= 2."""
    AUTO = "auto"
    """The first where every problem allows it, else the second."""


def problems_interval(values: ArrayLike, level: float = LEVEL, clusters: Sequence[str] | None = None) -> Interval:
    """The interval for other problems of the same kind: Wilson on the effective sample size, t quantile, guard(3).

    The effective size is that of Franco, Little, Louis and Slud 2019 ("Comparative Study of Confidence Intervals for
    Proportions in Complex Sample Surveys"): `p (1 - p) / (s^2 / m)`. With completions that pass or fail once (n = 1)
    it is m - 1 and this is the textbook interval.

    Args:
        values: pass@k (or any score between 0 and 1) of each problem, float[m].
        level: between 0 and 1.
        clusters: one name for each problem; problems of a cluster, such as one problem in several languages, are not
            independent draws, and it is the clusters that are counted.

    Raises:
        ValueError: no problems, values outside 0..1, a level outside 0..1, or clusters that do not match.
    """
    import numpy as np

    scores = np.asarray(values, dtype=np.float64)
    check_level(level)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"values must hold one score for each of at least 1 problem, got shape {scores.shape}")
    if not np.all((scores >= 0) & (scores <= 1)):
        raise ValueError("values must be fractions between 0 and 1, not percent")
    m = scores.size
    estimate = float(scores.mean())
    variance, units = variance_of_mean(scores, clusters)
    effective_n = units if variance * m < 1e-24 else estimate * (1 - estimate) / variance
    df = float(units - 1)
    if units * min(estimate, 1 - estimate) < GUARD:
        effective_n, df = min(effective_n, units), math.inf
    method = "wilson_neff_t_guard3" if clusters is None else "wilson_neff_t_guard3_clustered"
    return _wilson(Target.PROBLEMS, method, estimate, effective_n, df, level, m)


def variance_of_mean(values: NDArray[np.float64], clusters: Sequence[str] | None = None) -> tuple[float, int]:
    """The squared standard error of the mean over problems, and how many independent units it rests on.

    With clusters it is the sum over them of the square of their summed deviations (Liang and Zeger 1986), times
    `G / (G - 1)`.

    Raises:
        ValueError: there are not as many cluster names as values.
    """
    import numpy as np

    m = values.size
    if clusters is None:
        return (float(values.var(ddof=1)) / m if m > 1 else 0.0), m
    if len(clusters) != m:
        raise ValueError(f"there are {len(clusters)} clusters for {m} problems; name one for each problem")
    names, members = np.unique(np.asarray(clusters), return_inverse=True)
    units = names.size
    if units == 1:
        return 0.0, 1
    sums = np.bincount(np.ravel(members), weights=values - values.mean(), minlength=units)
    return float((sums**2).sum()) / m**2 * units / (units - 1), units


def benchmark_interval(
    n: ArrayLike, c: ArrayLike, k: int, level: float = LEVEL, noise: Noise = Noise.UNBIASED
) -> Interval | None:
    """The interval for new completions of the same problems: Wilson on the variance of pass@k.

    The variance is `completion_variance`, or `eb_variance`, averaged with one pseudo-problem; the t quantile has the
    degrees of freedom `(sum v)^2 / sum v^2`. Where fewer than `GUARD` failures or passes can be expected, Hoeffding's
    bound for U-statistics takes its place: `Var <= (k / n) * p (1 - p) / m` (Hoeffding 1948).

    Args:
        n, c, k: as in `pass_at_k`.
        level: between 0 and 1.
        noise: how it is estimated.

    Returns:
        None where the noise of completions is not estimable in this way: some problem has n < 2k, or n = 1.

    Raises:
        ValueError: as `pass_at_k`, or a level outside 0..1.
    """
    completions, correct = check_counts(n, c, k)
    check_level(level)
    kind = choose_noise(noise, completions, k)
    if kind is None:
        return None
    m = completions.size
    estimate = float(pass_at_k(completions, correct, k).mean())
    bound_n = m * float(completions.min()) / k
    method = "wilson_ustat_t_guard3" if kind is Noise.UNBIASED else "wilson_eb_t_guard3"
    if bound_n * min(estimate, 1 - estimate) < GUARD:
        effective_n, df = bound_n, math.inf
    else:
        variance, df = noise_of_mean(completions, correct, k, kind)
        effective_n = estimate * (1 - estimate) / variance
    return _wilson(Target.BENCHMARK, method, estimate, effective_n, df, level, m)


def choose_noise(noise: Noise, n: NDArray[np.int64], k: int) -> Noise | None:
    """The way of estimation that these numbers of completions allow; None where they do not allow what is asked."""
    fewest = int(n.min())
    if noise is not Noise.EB and fewest >= 2 * k:
        return Noise.UNBIASED
    return Noise.EB if noise is not Noise.UNBIASED and fewest >= max(k, 2) else None


def noise_of_mean(
    n: NDArray[np.int64], c: NDArray[np.int64], k: int, kind: Noise, n_run: int | None = None
) -> tuple[float, float]:
    """The variance of mean pass@k over new completions, with one pseudo-problem, and its degrees of freedom.

    Args:
        n, c, k: counts that allow `kind`.
        kind: `UNBIASED` or `EB`.
        n_run: of a run of so many completions of each problem, estimated by `EB`; None for as many as there are.
    """
    import numpy as np

    m = n.size
    if n_run is not None or kind is Noise.EB:
        variances = eb_variance(n, c, k, n_run=n_run)
    else:
        variances = completion_variance(n, c, k)
    sizes, times = np.unique(n if n_run is None else np.array([n_run]), return_counts=True)
    pseudo = sum(
        int(count) * beta_variance(*PSEUDO_PROBLEM, int(size), k) for size, count in zip(sizes, times, strict=True)
    ) / int(times.sum())
    total = float(variances.sum()) + pseudo
    return total / (m + 1) / m, total**2 / (float((variances**2).sum()) + pseudo**2)


def noise_bound(n: ArrayLike, c: ArrayLike, k: int) -> float:
    """Hoeffding's bound (1948) on the variance of mean pass@k, whatever the problems: `(k / n) p (1 - p) / m`.

    Raises:
        ValueError: as `pass_at_k`.
    """
    completions, correct = check_counts(n, c, k)
    estimate = float(pass_at_k(completions, correct, k).mean())
    return k / int(completions.min()) * estimate * (1 - estimate) / completions.size


def completion_variance(n: ArrayLike, c: ArrayLike, k: int) -> NDArray[np.float64]:
    """The unbiased estimate, float64[m], of each problem's Var(pass@k) over new completions; never negative.

    With f = n - c failures: `(C(f, k) / C(n, k))^2 - C(f, 2k) / C(n, 2k)`; for k = 1 that is `p (1 - p) / (n - 1)`.

    Raises:
        ValueError: as `pass_at_k`, with 2k in the place of k.
    """
    completions, correct = check_counts(n, c, 2 * k)
    return each_count(_variance_table, completions, correct, k)


def _variance_table(n: int, k: int) -> NDArray[np.float64]:
    """float64[n + 1]: the variance estimate at each c; n >= 2k."""
    import numpy as np

    c = np.arange(n + 1)
    return np.maximum(all_fail_at_k(n, c, k) ** 2 - all_fail_at_k(n, c, 2 * k), 0.0)


def _wilson(
    target: Target, method: str, estimate: float, effective_n: float, df: float, level: float, num_problems: int
) -> Interval:
    """Wilson's score interval with `effective_n` trials and the t quantile for `df`."""
    t2_per_n = t_quantile(df, level) ** 2 / effective_n
    center = (estimate + t2_per_n / 2) / (1 + t2_per_n)
    half = math.sqrt(t2_per_n * (estimate * (1 - estimate) + t2_per_n / 4)) / (1 + t2_per_n)
    return Interval(
        target=target,
        estimate=estimate,
        low=max(0.0, min(estimate, center - half)),
        high=min(1.0, max(estimate, center + half)),
        level=level,
        method=method,
        num_problems=num_problems,
        effective_n=float(effective_n),
        df=df,
    )


def t_quantile(df: float, level: float) -> float:
    """The two-sided t quantile; the normal one where `df` is infinite."""
    from scipy.special import ndtri, stdtrit

    upper = 0.5 + level / 2
    return float(ndtri(upper) if math.isinf(df) else stdtrit(df, upper))


def check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, 0.95 for example; got {level!r}")
