"""Two models on the same problems: the difference for both targets, tests, relative gain, and what could be seen.

The difference is always B - A, and everything is paired by problem. `problems` asks whether B would be ahead on other
problems of the same kind, `benchmark` whether it would be with new completions of these same ones.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.stats.bootstrap import Bootstrap, bootstrap_interval
from harness.stats.counts import Counts, Missing
from harness.stats.intervals import (
    GUARD,
    LEVEL,
    Noise,
    Target,
    check_level,
    choose_noise,
    noise_of_mean,
    t_quantile,
    variance_of_mean,
)
from harness.stats.paired_tests import mcnemar_pvalue, signflip_pvalue
from harness.stats.pass_at_k import pass_at_k
from harness.stats.protocol import NotComparable, protocol_differences, task_differences
from harness.stats.relative_gain import GainMethod, RelativeGain, relative_gain
from harness.stats.relatives import pass_hat_k

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POWER = 0.8
"""Of the smallest difference that is called detectable."""


class Metric(StrEnum):
    """What is asked of k completions."""

    PASS_AT_K = "pass@k"
    """At least one of them passes."""
    PASS_HAT_K = "pass^k"
    """All of them pass."""

    def at(self, k: int) -> str:
        """Its name at one k: `pass@10`."""
        return f"{self.value[:-1]}{k}"


class Finding(StrEnum):
    """What a comparison shows, by its intervals."""

    BETTER = "better"
    WORSE = "worse"
    REAL_HERE = "real here, not shown to generalise"
    """On these problems the difference is no luck of sampling, but other problems might not show it."""
    NO_EVIDENCE = "no evidence"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A mean difference with its interval; fractions, not percent."""

    target: Target
    estimate: float
    low: float
    high: float
    level: float
    method: str
    num_problems: int
    se: float
    df: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """B - A at one k."""

    metric: Metric
    k: int
    a: float
    """The score of A, a fraction."""
    b: float
    num_problems: int
    n_a: tuple[int, int]
    """Completions per problem, fewest and most."""
    n_b: tuple[int, int]
    problems: Difference
    bootstrap: Difference
    """The exact percentile bootstrap of the paired differences: the same question as `problems`, and a check of it. In
    small suites it covers less than it claims, and where all differences are equal it is a point."""
    benchmark: Difference | None
    """None where the noise of completions is not estimable: some problem has one completion only."""
    p_signflip: float
    p_mcnemar: float | None
    """Exact; None unless every problem has one completion of each."""
    gain: RelativeGain
    wins: int
    """Problems on which B scores higher."""
    losses: int
    ties: int
    correlation: float
    """Between the two scores of a problem; NaN where one of them never varies."""
    effect_size: float
    """Mean difference over its standard deviation; NaN where it never varies."""
    mde: float
    """The smallest true difference that a comparison like this one shows with the chance `POWER`."""
    finding: Finding

    @property
    def difference(self) -> float:
        return self.problems.estimate


def compare(
    a: Counts,
    b: Counts,
    k: int,
    *,
    metric: Metric = Metric.PASS_AT_K,
    level: float = LEVEL,
    missing: Missing = Missing.ERROR,
    allow_subset: bool = False,
    may_differ: Collection[str] = (),
    gain: GainMethod = GainMethod.LOG_DELTA,
) -> Comparison:
    """Compares two sets of counts, problem by problem.

    Args:
        a, b: counts; their n may differ, also from problem to problem. Clusters are taken from `a`.
        k: of the metric.
        metric: the score that is compared.
        level: of all intervals.
        missing: what becomes of completions without a verdict.
        allow_subset: compare on the problems that both have, where they are not the same.
        may_differ: fields of the protocols that are no reason to refuse.
        gain: how the interval of the relative gain is found.

    Raises:
        NotComparable: the protocols or the problems differ.
        ValueError: as `pass_at_k`, a level outside 0..1, or completions without a verdict.
    """
    import numpy as np

    check_level(level)
    a, b = align(a.settled(missing), b.settled(missing), allow_subset=allow_subset, may_differ=may_differ)
    first, second = metric_scores(a, k, metric), metric_scores(b, k, metric)
    values = second - first
    on_problems = problems_difference(values, level, a.cluster)
    # All k pass where none fails: pass^k is what pass@k of the failures leaves, so B - A is A - B of that.
    one, other = (a, b) if metric is Metric.PASS_AT_K else (_failures(b), _failures(a))
    on_benchmark = benchmark_difference(one, other, k, level)
    single = int(a.n.max()) == int(b.n.max()) == 1
    wins, losses = int((values > 1e-12).sum()), int((values < -1e-12).sum())
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    varies = first.std() > 1e-12 and second.std() > 1e-12
    return Comparison(
        metric=metric,
        k=k,
        a=float(first.mean()),
        b=float(second.mean()),
        num_problems=values.size,
        n_a=(int(a.n.min()), int(a.n.max())),
        n_b=(int(b.n.min()), int(b.n.max())),
        problems=on_problems,
        bootstrap=bootstrap_difference(values, level, a.cluster),
        benchmark=on_benchmark,
        p_signflip=signflip_pvalue(cluster_sums(values, a.cluster)),
        p_mcnemar=mcnemar_pvalue(wins, losses) if single and a.cluster is None else None,
        gain=relative_gain(first, second, gain, level, None if gain is GainMethod.BOOTSTRAP else a.cluster),
        wins=wins,
        losses=losses,
        ties=values.size - wins - losses,
        correlation=float(np.corrcoef(first, second)[0, 1]) if varies else math.nan,
        effect_size=float(values.mean()) / spread if spread > 1e-12 else math.nan,
        mde=(t_quantile(math.inf, level) + t_quantile(math.inf, 2 * POWER - 1)) * on_problems.se,
        finding=_finding(on_problems, on_benchmark),
    )


def metric_scores(counts: Counts, k: int, metric: Metric = Metric.PASS_AT_K) -> NDArray[np.float64]:
    """The score of each problem, float64[m].

    Raises:
        ValueError: as `pass_at_k`.
    """
    return (pass_at_k if metric is Metric.PASS_AT_K else pass_hat_k)(counts.n, counts.c, k)


def _failures(counts: Counts) -> Counts:
    """Passes and failures change places."""
    return replace(counts, c=counts.n - counts.c)


def align(
    a: Counts, b: Counts, *, allow_subset: bool = False, may_differ: Collection[str] = ()
) -> tuple[Counts, Counts]:
    """The same problems in the order of `a`.

    Raises:
        NotComparable: the protocols or the problems differ.
    """
    # What is only on one side's problems says nothing against the others.
    allowed = {*may_differ, *({"problems", "num_problems", "excluded"} if allow_subset else ())}
    unlike = protocol_differences(a.protocol, b.protocol, allowed)
    unlike += task_differences(a.task_id, b.task_id, allow_subset=allow_subset)
    if unlike:
        raise NotComparable(unlike)
    place = {task_id: row for row, task_id in enumerate(b.task_id)}
    shared = [row for row, task_id in enumerate(a.task_id) if task_id in place]
    return a.select(shared), b.select([place[a.task_id[row]] for row in shared])


def problems_difference(
    values: NDArray[np.float64], level: float = LEVEL, clusters: Sequence[str] | None = None
) -> Difference:
    """Paired t over problems, or over clusters.

    Where fewer than `GUARD` of them differ from the rest, the sample says nothing about its own variance; the error is
    then at least `sqrt(GUARD) / m`, with which m equal differences bound the rate of others like the rule of three.
    """
    import numpy as np

    variance, units = variance_of_mean(values, clusters)
    df = float(units - 1)
    method = "paired_t" if clusters is None else "paired_t_clustered"
    sums = cluster_sums(values, clusters)
    if np.count_nonzero(np.abs(sums - np.median(sums)) > 1e-12) < GUARD:
        variance, df, method = max(variance, GUARD / units**2), math.inf, f"{method}_guard3"
    return _difference(Target.PROBLEMS, float(values.mean()), variance, df, level, method, values.size)


def bootstrap_difference(
    values: NDArray[np.float64], level: float = LEVEL, clusters: Sequence[str] | None = None
) -> Difference:
    """The exact percentile bootstrap over problems, or over clusters: of those the summed deviations are drawn."""
    import numpy as np

    estimate = float(values.mean())
    drawn, method = values, f"paired_{Bootstrap.PERCENTILE}_exact"
    if clusters is not None:
        sums = cluster_sums(values - estimate, clusters)
        drawn, method = estimate + sums * (sums.size / values.size), f"{method}_clustered"
    interval = bootstrap_interval(drawn, Bootstrap.PERCENTILE, level)
    return Difference(
        target=Target.PROBLEMS,
        estimate=estimate,
        low=max(-1.0, interval.low),
        high=min(1.0, interval.high),
        level=level,
        method=method,
        num_problems=values.size,
        se=float(np.std(drawn)) / math.sqrt(drawn.size),
        df=math.inf,
    )


def benchmark_difference(a: Counts, b: Counts, k: int, level: float = LEVEL) -> Difference | None:
    """Both runs' noise of completions, added; None where it is not estimable.

    Args:
        a, b: aligned counts with n >= k.
    """
    kinds = [choose_noise(Noise.AUTO, counts.n, k) for counts in (a, b)]
    if kinds[0] is None or kinds[1] is None:
        return None
    variance_a, df_a = noise_of_mean(a.n, a.c, k, kinds[0])
    variance_b, df_b = noise_of_mean(b.n, b.c, k, kinds[1])
    variance = variance_a + variance_b
    df = variance**2 / (variance_a**2 / df_a + variance_b**2 / df_b)
    method = "ustat_t" if set(kinds) == {Noise.UNBIASED} else "eb_t"
    estimate = float((pass_at_k(b.n, b.c, k) - pass_at_k(a.n, a.c, k)).mean())
    return _difference(Target.BENCHMARK, estimate, variance, df, level, method, a.n.size)


def cluster_sums(values: NDArray[np.float64], clusters: Sequence[str] | None) -> NDArray[np.float64]:
    """The sum over each cluster, because its problems keep or change their sign together."""
    import numpy as np

    if clusters is None:
        return values
    _, members = np.unique(np.asarray(clusters), return_inverse=True)
    return np.asarray(np.bincount(np.ravel(members), weights=values), dtype=np.float64)


def _difference(
    target: Target, estimate: float, variance: float, df: float, level: float, method: str, num_problems: int
) -> Difference:
    se = math.sqrt(variance)
    half = t_quantile(df, level) * se if df >= 1 or math.isinf(df) else math.inf
    return Difference(
        target=target,
        estimate=estimate,
        low=max(-1.0, estimate - half),
        high=min(1.0, estimate + half),
        level=level,
        method=method,
        num_problems=num_problems,
        se=se,
        df=df,
    )


def _finding(problems: Difference, benchmark: Difference | None) -> Finding:
    if problems.low > 0:
        return Finding.BETTER
    if problems.high < 0:
        return Finding.WORSE
    if benchmark is not None and (benchmark.low > 0 or benchmark.high < 0):
        return Finding.REAL_HERE
    return Finding.NO_EVIDENCE
