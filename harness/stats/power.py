"""What a comparison could see: components of variance, the smallest detectable difference, and plans of sample sizes.

The squared error of a difference is `(omega^2 + v_A(n) + v_B(n)) / m`: omega^2 is how much the true difference varies
from problem to problem, v(n) the noise of n completions. More completions shrink the second, only more problems the
first.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.stats.comparison import POWER, align
from harness.stats.counts import Counts
from harness.stats.difficulty import eb_variance
from harness.stats.intervals import Noise, choose_noise, completion_variance, t_quantile
from harness.stats.pass_at_k import pass_at_k
from harness.stats.variance import run_variance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALPHA = 0.05
"""Two-sided."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Components:
    """Where the variance of a score, or of a difference of two, comes from; per problem."""

    num_problems: int
    between: float
    """Variance of the true scores (or true differences) over problems, the noise of completions taken out."""
    within: float
    """Mean variance from completions, at the n there are."""
    share: float
    """Of the variance that one sees, how much completions make."""
    df_eff: float
    """`(sum v)^2 / sum v^2` of the noise of completions; often far fewer than there are problems."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRow:
    """What so many problems and completions could show."""

    num_problems: int
    num_samples: int
    """Completions of each problem, of each of the two."""
    completions: int
    """Of both together."""
    se: float
    mde: float
    enough: bool
    """Whether the effect that is looked for is at least `mde`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a pilot says of the comparisons that could be made; all of one k."""

    k: int
    effect: float
    """The true difference that is looked for, a fraction."""
    alpha: float
    power: float
    paired: bool
    """Whether the pilot has both models; otherwise they are taken to be nearly the same, and there is no `between`."""
    num_problems: int
    """Of the pilot."""
    components: Components
    rows: tuple[PlanRow, ...]

    @property
    def cheapest(self) -> PlanRow | None:
        """Of the rows that are enough, the one with the fewest completions."""
        return min((row for row in self.rows if row.enough), key=lambda row: row.completions, default=None)

    @property
    def problems_needed(self) -> int:
        """How many problems would be enough with as many completions of each as in the last row."""
        last = self.rows[-1]
        return math.ceil(last.num_problems * (last.mde / self.effect) ** 2)


def variance_components(a: Counts, b: Counts | None = None, k: int = 1) -> Components:
    """The components of one score, or of the difference of two.

    Raises:
        NotComparable: the two differ in protocol or problems.
        ValueError: as `pass_at_k`; or some problem has one completion only, which cannot tell noise from difficulty.
    """
    a, b = (a, None) if b is None else align(a, b)
    noise = _completion_noise(a, k)
    values = pass_at_k(a.n, a.c, k)
    if b is not None:
        noise = noise + _completion_noise(b, k)
        values = pass_at_k(b.n, b.c, k) - values
    seen = float(values.var(ddof=1)) if values.size > 1 else 0.0
    within = float(noise.mean())
    square = float((noise**2).sum())
    return Components(
        num_problems=values.size,
        between=max(0.0, seen - within),
        within=within,
        share=min(1.0, within / seen) if seen > 0 else 0.0,
        df_eff=float(noise.sum()) ** 2 / square if square > 0 else math.inf,
    )


def mde(
    a: Counts,
    b: Counts | None = None,
    k: int = 1,
    *,
    num_problems: int | None = None,
    num_samples: int | None = None,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float:
    """The smallest true difference that a paired comparison shows with the chance `power`.

    Args:
        a, b: a pilot; without `b` both models are taken to be as near to each other as two checkpoints of one, so that
            all noise is that of completions.
        k: of pass@k.
        num_problems, num_samples: of the comparison that is planned; None for those of the pilot.
        alpha: two-sided.
        power: the chance to see it.

    Raises:
        NotComparable: the two differ in protocol or problems.
        ValueError: as `variance_components`; an alpha or power outside 0..1; or fewer than k samples are planned.
    """
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {value}")
    quantile = t_quantile(math.inf, 1 - alpha) + t_quantile(math.inf, 2 * power - 1)
    return quantile * _error(a, b, k, num_problems or len(a.task_id), num_samples)


def plan(
    a: Counts,
    b: Counts | None = None,
    k: int = 1,
    *,
    effect: float,
    num_problems: Sequence[int] = (),
    num_samples: Sequence[int] = (1, 5, 20, 100, 200),
    alpha: float = ALPHA,
    power: float = POWER,
) -> tuple[PlanRow, ...]:
    """Which sizes of a comparison could show `effect`; those with fewer than k samples are left out.

    Args:
        a, b, k, alpha, power: as in `mde`.
        effect: the true difference to be seen, a fraction.
        num_problems: sizes of suites; none for that of the pilot.
        num_samples: completions per problem.

    Raises:
        NotComparable, ValueError: as `mde`.
    """
    if not 0 < effect <= 1:
        raise ValueError(f"effect must be a fraction above 0, 0.02 for 2 points; got {effect}")
    rows = []
    for m in num_problems or (len(a.task_id),):
        for n in num_samples:
            if n < k:
                continue
            least = mde(a, b, k, num_problems=m, num_samples=n, alpha=alpha, power=power)
            rows.append(
                PlanRow(
                    num_problems=m,
                    num_samples=n,
                    completions=2 * m * n,
                    se=_error(a, b, k, m, n),
                    mde=least,
                    enough=least <= effect,
                )
            )
    return tuple(rows)


def make_plan(
    a: Counts,
    b: Counts | None = None,
    k: int = 1,
    *,
    effect: float,
    num_problems: Sequence[int] = (),
    num_samples: Sequence[int] = (1, 5, 20, 100, 200),
    alpha: float = ALPHA,
    power: float = POWER,
    may_differ: Collection[str] = (),
) -> Plan:
    """`plan`, with what it rests on.

    Raises:
        NotComparable, ValueError: as `plan`.
    """
    if b is not None:
        a, b = align(a, b, may_differ=may_differ)
        b = replace(b, protocol=a.protocol)
    return Plan(
        k=k,
        effect=effect,
        alpha=alpha,
        power=power,
        paired=b is not None,
        num_problems=len(a.task_id),
        components=variance_components(a, b, k),
        rows=plan(
            a,
            b,
            k,
            effect=effect,
            num_problems=num_problems,
            num_samples=num_samples,
            alpha=alpha,
            power=power,
        ),
    )


def _error(a: Counts, b: Counts | None, k: int, num_problems: int, num_samples: int | None) -> float:
    """The standard error of the difference."""
    between = 0.0 if b is None else variance_components(a, b, k).between
    noise = sum(float(_completion_noise(counts, k, num_samples).mean()) for counts in (a, b or a))
    return math.sqrt((between + noise) / num_problems)


def _completion_noise(counts: Counts, k: int, num_samples: int | None = None) -> NDArray[np.float64]:
    """float64[m]: each problem's noise of completions, in a run of `num_samples` or of as many as there are."""
    if choose_noise(Noise.AUTO, counts.n, 1) is None:
        raise ValueError("one completion of each problem cannot tell noise from difficulty; a pilot takes 2 or more")
    if int(counts.n.min()) < 2 * k:
        return eb_variance(counts.n, counts.c, k, n_run=num_samples)
    if num_samples is None:
        return completion_variance(counts.n, counts.c, k)
    return run_variance(counts.n, counts.c, k, num_samples)
