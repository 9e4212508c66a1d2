"""One score with everything that is said about it: both intervals, where its noise comes from, and what is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.stats.bootstrap import Bootstrap, bootstrap_interval
from harness.stats.counts import Counts, Missing
from harness.stats.intervals import (
    GUARD,
    LEVEL,
    Interval,
    Noise,
    Target,
    benchmark_interval,
    check_level,
    choose_noise,
    noise_of_mean,
    problems_interval,
    t_quantile,
    variance_of_mean,
)
from harness.stats.pass_at_k import pass_at_k
from harness.stats.power import variance_components

BENCHMARK_NOISE = Noise.EB
"""It exists for every n of at least k, and covers what it claims. The unbiased variance is the transparent cross-check:
its few degrees of freedom make the interval cover a point or two more."""

FEW_PROBLEMS = 50
"""Below that many the intervals cover more than they claim."""

FEW_DEGREES = 10.0
"""With fewer effective degrees of freedom the noise of completions rests on a handful of problems."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """pass@k of one set of counts; fractions, not percent."""

    k: int
    num_problems: int
    n: tuple[int, int]
    """Completions per problem, fewest and most."""
    estimate: float
    problems: Interval
    benchmark: Interval | None
    """None where completions' noise is not estimable; `benchmark_bound` then says how large it can be."""
    benchmark_bound: float
    """Half the width that `benchmark` has, or has at most."""
    se_problems: float
    se_benchmark: float | None
    completion_share: float | None
    """Of the variance over problems, what completions make."""
    df_eff: float | None
    """Effective degrees of freedom of completions' noise."""
    unsolved: int
    """Problems that no completion solves."""
    always_solved: int
    missing: int
    unjudged: int
    notes: tuple[str, ...]


def score(counts: Counts, k: int, *, level: float = LEVEL, missing: Missing = Missing.ERROR) -> Score:
    """Everything about one score.

    Raises:
        ValueError: as `pass_at_k`, a level outside 0..1, or completions without a verdict.
    """
    settled = counts.settled(missing)
    values = pass_at_k(settled.n, settled.c, k)
    problems = problems_interval(values, level, settled.cluster)
    benchmark = benchmark_interval(settled.n, settled.c, k, level, BENCHMARK_NOISE)
    kind = choose_noise(BENCHMARK_NOISE, settled.n, k)
    se_problems = math.sqrt(variance_of_mean(values, settled.cluster)[0])
    noise, df = (None, None) if kind is None else noise_of_mean(settled.n, settled.c, k, kind)
    bound = t_quantile(math.inf, level) * se_problems
    if values.size * min(problems.estimate, 1 - problems.estimate) < GUARD:
        bound = max(bound, (problems.high - problems.low) / 2)  # the sample says nothing about its own variance
    return Score(
        k=k,
        num_problems=values.size,
        n=(int(settled.n.min()), int(settled.n.max())),
        estimate=problems.estimate,
        problems=problems,
        benchmark=benchmark,
        benchmark_bound=(benchmark.high - benchmark.low) / 2 if benchmark else bound,
        se_problems=se_problems,
        se_benchmark=None if noise is None else math.sqrt(noise),
        completion_share=None if kind is None else variance_components(settled, k=k).share,
        df_eff=df,
        unsolved=int((settled.c == 0).sum()),
        always_solved=int((settled.c == settled.n).sum()),
        missing=counts.num_missing,
        unjudged=counts.num_unjudged,
        notes=_notes(values.size, df, bound, k),
    )


def confidence_interval(
    counts: Counts,
    k: int,
    target: Target = Target.PROBLEMS,
    level: float = LEVEL,
    method: str = "auto",
    *,
    missing: Missing = Missing.ERROR,
) -> Interval | None:
    """One interval, by the method of one's choice.

    Args:
        counts, k, level, missing: as in `score`.
        target: what the interval is about.
        method: `auto`; for problems also `wilson_neff`, which it is, `t`, `percentile` and `bca`, both exact; for the
            benchmark also `eb`, which it is, and `unbiased`.

    Returns:
        None where the noise of completions is not estimable.

    Raises:
        ValueError: as `score`, or the target has no such method.
    """
    settled = counts.settled(missing)
    check_level(level)
    if method not in METHODS[target]:
        raise ValueError(f"{target} has no interval {method!r}; accepted: {', '.join(METHODS[target])}")
    if target is Target.BENCHMARK:
        return benchmark_interval(
            settled.n, settled.c, k, level, BENCHMARK_NOISE if method == "auto" else Noise(method)
        )
    values = pass_at_k(settled.n, settled.c, k)
    if method in ("auto", "wilson_neff"):
        return problems_interval(values, level, settled.cluster)
    if method == "t":
        variance, units = variance_of_mean(values, settled.cluster)
        estimate = float(values.mean())
        half = t_quantile(float(units - 1), level) * math.sqrt(variance) if units > 1 else math.inf
        wilson = problems_interval(values, level, settled.cluster)
        return Interval(
            target=target,
            estimate=estimate,
            low=max(0.0, estimate - half),
            high=min(1.0, estimate + half),
            level=level,
            method="t" if settled.cluster is None else "t_clustered",
            num_problems=values.size,
            effective_n=wilson.effective_n,
            df=float(units - 1),
        )
    if settled.cluster is not None:
        raise ValueError(f"{method} draws single problems; with clusters take wilson_neff or t")
    return bootstrap_interval(values, Bootstrap(method), level)


METHODS = {
    Target.PROBLEMS: ("auto", "wilson_neff", "t", "percentile", "bca"),
    Target.BENCHMARK: ("auto", "unbiased", "eb"),
}


def _notes(m: int, df: float | None, bound: float, k: int) -> tuple[str, ...]:
    notes = []
    if m < FEW_PROBLEMS:
        notes.append(f"{m} problems: the intervals cover more than they claim, on purpose")
    if df is None:
        notes.append(f"noise of completions not estimable (n=1); at most +-{100 * bound:.1f} points")
    elif df < FEW_DEGREES:
        notes.append(f"pass@{k}: noise of completions rests on {df:.0f} effective problems and is unreliable")
    return tuple(notes)
