"""Several comparisons at once, corrected for their number; and pass@k over many k with a band that holds for all."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.stats.adjustment import Correction, adjust_pvalues, max_t_critical, max_t_pvalues
from harness.stats.comparison import Comparison, Metric, align, compare, metric_scores
from harness.stats.counts import Counts, Missing
from harness.stats.intervals import LEVEL, Interval, problems_interval
from harness.stats.pass_at_k import pass_at_k

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Member:
    """One comparison that is asked for."""

    name: str
    """For people: task, model or head."""
    a: Counts
    b: Counts
    k: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyRow:
    """One comparison with its corrected p-value."""

    name: str
    comparison: Comparison
    primary: bool
    """Whether it was declared to be in the family; the others explore."""
    p_adjusted: float
    """Within the family; for the others by Benjamini and Hochberg among themselves."""
    correction: Correction


class Band(StrEnum):
    """What the intervals of a curve hold for."""

    POINTWISE = "pointwise"
    SIMULTANEOUS = "simultaneous"


def compare_family(
    members: Sequence[Member],
    *,
    metric: Metric = Metric.PASS_AT_K,
    primary: Collection[str] | None = None,
    correction: Correction = Correction.HOLM,
    level: float = LEVEL,
    missing: Missing = Missing.ERROR,
    allow_subset: bool = False,
    may_differ: Collection[str] = (),
    rng: np.random.Generator | None = None,
) -> tuple[FamilyRow, ...]:
    """Makes all comparisons; the declared family is corrected as one.

    Args:
        members: in any order, each with a name of its own.
        metric: the score that is compared.
        primary: the names declared before looking; None for all of them.
        correction: of the family.
        level, missing, allow_subset, may_differ: as in `compare`.
        rng: for `MAX_T`, which draws from the joint law of the statistics.

    Raises:
        NotComparable: as `compare`.
        ValueError: no members, a name that is there twice or unknown, or `MAX_T` without `rng` or with unlike problems.
    """
    names = [member.name for member in members]
    family = set(names if primary is None else primary)
    _check(names, family)
    comparisons = [
        compare(
            member.a,
            member.b,
            member.k,
            metric=metric,
            level=level,
            missing=missing,
            allow_subset=allow_subset,
            may_differ=may_differ,
        )
        for member in members
    ]
    adjusted: dict[str, float] = {}
    for chosen, method in ((True, correction), (False, Correction.BH)):
        rows = [place for place, name in enumerate(names) if (name in family) == chosen]
        if not rows:
            continue
        if method is Correction.MAX_T:
            picked = [members[place] for place in rows]
            values = _max_t(picked, [comparisons[place] for place in rows], metric, missing, may_differ, rng)
        else:
            values = adjust_pvalues([comparisons[place].p_signflip for place in rows], method).tolist()
        adjusted |= {names[place]: value for place, value in zip(rows, values, strict=True)}
    return tuple(
        FamilyRow(
            name=name,
            comparison=comparison,
            primary=name in family,
            p_adjusted=adjusted[name],
            correction=correction if name in family else Correction.BH,
        )
        for name, comparison in zip(names, comparisons, strict=True)
    )


def curve(
    counts: Counts,
    ks: Sequence[int],
    *,
    band: Band = Band.POINTWISE,
    level: float = LEVEL,
    missing: Missing = Missing.ERROR,
    rng: np.random.Generator | None = None,
) -> dict[int, Interval]:
    """The `problems` interval at each k; simultaneous ones all hold at once, as often as `level` says.

    Raises:
        ValueError: as `pass_at_k`; no k; clusters with a simultaneous band, or no `rng` for it.
    """
    import numpy as np
    from scipy.special import ndtr, stdtr

    if not ks:
        raise ValueError("no k was asked for; give for example 1, 10, 100")
    settled = counts.settled(missing)
    scores = {k: pass_at_k(settled.n, settled.c, k) for k in sorted(set(ks))}
    if band is Band.SIMULTANEOUS:
        if rng is None or settled.cluster is not None:
            raise ValueError("a simultaneous band takes `rng`, a generator, and problems without clusters")
        df = float(len(settled.task_id) - 1)
        critical = max_t_critical(np.stack(list(scores.values()), axis=1), df, level, rng)
        level = 1 - 2 * float(ndtr(-critical) if math.isinf(df) else stdtr(df, -critical))
    return {k: problems_interval(score, level, settled.cluster) for k, score in scores.items()}


def _max_t(
    members: Sequence[Member],
    comparisons: Sequence[Comparison],
    metric: Metric,
    missing: Missing,
    may_differ: Collection[str],
    rng: np.random.Generator | None,
) -> list[float]:
    import numpy as np

    if rng is None:
        raise ValueError("max_t draws from the joint law of the statistics; give it `rng`, a generator")
    columns: list[NDArray[np.float64]] = []
    order = members[0].a
    for member in members:
        a, b = (align(order, counts.settled(missing), may_differ=may_differ)[1] for counts in (member.a, member.b))
        columns.append(metric_scores(b, member.k, metric) - metric_scores(a, member.k, metric))
    statistics = [one.problems.estimate / one.problems.se if one.problems.se > 0 else 0.0 for one in comparisons]
    df = float(comparisons[0].num_problems - 1)
    return [float(chance) for chance in max_t_pvalues(statistics, np.stack(columns, axis=1), df, rng)]


def _check(names: Sequence[str], family: Collection[str]) -> None:
    if not names:
        raise ValueError("there is nothing to compare: no members were given")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{min(twice)!r} names two comparisons; give each a name of its own")
    unknown = set(family) - set(names)
    if unknown:
        raise ValueError(f"the family names {min(unknown)!r}, which is not compared; accepted: {', '.join(names)}")
