"""Confidence intervals of one score, for two different questions.

`problems`: the benchmark is a sample of problems; where would the score be on other problems of the same kind?
`benchmark`: these problems are fixed; where would the score be after drawing new completions for them?

Neither covers training seeds, the choice of prompt or extraction, or contamination; both take the completions of a
problem as independent draws. For small suites (fewer than 50 problems) both cover more than they claim, on purpose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.stats.pass_at_k import all_fail_at_k, check_counts, each_count, pass_at_k

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95

GUARD = 3.0
"""Where fewer than this many problems are expected to differ from the rest, the sample says nothing about its own
variance, and a bound replaces it: on a saturated suite the rare failures may all be absent."""

PSEUDO_PROBLEM = (0.25, 0.5)
"""Beta(a, b) difficulty of one imagined problem, so that problems that always or never pass cannot claim no noise."""


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


def problems_interval(values: ArrayLike, level: float = LEVEL) -> Interval:
    """The interval for other problems of the same kind: Wilson on the effective sample size, t quantile, guard(3).

    The effective size is that of Franco, Little, Louis and Slud 2019 ("Comparative Study of Confidence Intervals for
    Proportions in Complex Sample Surveys"): `p (1 - p) / (s^2 / m)`. With completions that pass or fail once (n = 1)
    it is m - 1 and this is the textbook interval.

    Args:
        values: pass@k (or any score between 0 and 1) of each problem, float[m].
        level: between 0 and 1.

    Raises:
        ValueError: no problems, values outside 0..1, or a level outside 0..1.
    """
    import numpy as np

    scores = np.asarray(values, dtype=np.float64)
    _check_level(level)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"values must hold one score for each of at least 1 problem, got shape {scores.shape}")
    if not np.all((scores >= 0) & (scores <= 1)):
        raise ValueError("values must be fractions between 0 and 1, not percent")
    m = scores.size
    estimate = float(scores.mean())
    variance = float(scores.var(ddof=1)) if m > 1 else 0.0
    effective_n = m if variance < 1e-24 else estimate * (1 - estimate) / (variance / m)
    df = float(m - 1)
    if m * min(estimate, 1 - estimate) < GUARD:
        effective_n, df = min(effective_n, m), math.inf
    return _wilson(Target.PROBLEMS, "wilson_neff_t_guard3", estimate, effective_n, df, level, m)


def benchmark_interval(n: ArrayLike, c: ArrayLike, k: int, level: float = LEVEL) -> Interval | None:
    """The interval for new completions of the same problems: Wilson on the unbiased variance of pass@k.

    The variance is `completion_variance` averaged with one pseudo-problem; the t quantile has the degrees of freedom
    `(sum v)^2 / sum v^2`. Where fewer than `GUARD` failures or passes can be expected, Hoeffding's bound for
    U-statistics takes its place: `Var <= (k / n) * p (1 - p) / m` (Hoeffding 1948).

    Args:
        n, c, k: as in `pass_at_k`.
        level: between 0 and 1.

    Returns:
        None where the noise of completions is not estimable: some problem has n < 2k.

    Raises:
        ValueError: as `pass_at_k`, or a level outside 0..1.
    """
    completions, correct = check_counts(n, c, k)
    _check_level(level)
    if completions.min() < 2 * k:
        return None
    m = completions.size
    estimate = float(pass_at_k(completions, correct, k).mean())
    bound_n = m * float(completions.min()) / k
    if bound_n * min(estimate, 1 - estimate) < GUARD:
        effective_n, df = bound_n, math.inf
    else:
        variances = completion_variance(completions, correct, k)
        pseudo = float(each_count(_pseudo_table, completions, correct, k).mean())
        total = float(variances.sum()) + pseudo
        df = total**2 / (float((variances**2).sum()) + pseudo**2)
        effective_n = estimate * (1 - estimate) / (total / (m + 1) / m)
    return _wilson(Target.BENCHMARK, "wilson_ustat_t_guard3", estimate, effective_n, df, level, m)


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


def _pseudo_table(n: int, k: int) -> NDArray[np.float64]:
    """float64[n + 1], the same at each c: the pseudo-problem's expected Var(pass@k).

    Averaging the unbiased estimates over the beta-binomial law of c gives it exactly.
    """
    import numpy as np
    from scipy.special import betaln, gammaln

    c = np.arange(n + 1)
    a, b = PSEUDO_PROBLEM
    log_choose = gammaln(n + 1) - gammaln(c + 1) - gammaln(n - c + 1)
    probability_of_c = np.exp(log_choose + betaln(c + a, n - c + b) - betaln(a, b))
    return np.full(n + 1, float(probability_of_c @ _variance_table(n, k)))


def _wilson(
    target: Target, method: str, estimate: float, effective_n: float, df: float, level: float, num_problems: int
) -> Interval:
    """Wilson's score interval with `effective_n` trials and the t quantile for `df`."""
    t2_per_n = _quantile(df, level) ** 2 / effective_n
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


def _quantile(df: float, level: float) -> float:
    """The two-sided t quantile; the normal one where `df` is infinite."""
    from scipy.special import ndtri, stdtrit

    upper = 0.5 + level / 2
    return float(ndtri(upper) if math.isinf(df) else stdtrit(df, upper))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, 0.95 for example; got {level!r}")
