"""The gate: may this checkpoint replace the pinned baseline? PASS, FAIL, INCONCLUSIVE or INVALID.

Two one-sided questions share one error rate each. PASS: the candidate is shown not to be worse by the margin. FAIL: it
is shown to be worse, and not shown to be within the margin. Neither: INCONCLUSIVE, never a guess.

The baseline is pinned, with four times the candidate's completions or more. There is no mode that compares with the
best so far: the best of many equal checkpoints was lucky, and every next one looks worse than it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.stats.comparison import Difference, align, benchmark_difference, problems_difference
from harness.stats.counts import Counts, Missing
from harness.stats.difficulty import beta_variance
from harness.stats.intervals import GUARD, PSEUDO_PROBLEM, Noise, Target, noise_bound, noise_of_mean
from harness.stats.pass_at_k import pass_at_k
from harness.stats.protocol import NotComparable
from harness.stats.sequential import Spending, crossings, group_sequential_bounds, spent
from harness.stats.variance import run_variance

MARGIN = 0.02
"""A loss of less than 2 points is not what a gate is for."""

ALPHA = 0.05
"""One-sided, of each of the two errors."""

LOOKS = (2, 4, 8, 16)
"""Completions per problem at which a gate with looks is asked."""

BASELINE_FACTOR = 4
"""A baseline with fewer times the candidate's completions makes its own luck everybody's misfortune."""

MAX_UNJUDGED = 0.01
"""A larger share of completions without a verdict makes the measurement invalid."""


class Decision(StrEnum):
    """The gate's answer."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"
    """Nothing was measured: unlike protocols or problems, or too many completions without a verdict."""

    @property
    def exit_code(self) -> int:
        """What a process ends with."""
        return {Decision.PASS: 0, Decision.FAIL: 1, Decision.INCONCLUSIVE: 4, Decision.INVALID: 3}[self]


class Confirmation(StrEnum):
    """What fresh completions say of a FAIL."""

    NOT_NEEDED = "not needed"
    NEEDED = "needed"
    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"


class AlphaSchedule(StrEnum):
    """How errors add up over checkpoints."""

    PER_RUN = "per_run"
    """Every check errs with alpha."""
    SPEND = "spend"
    """All checks together err with alpha: the t-th gets `alpha * 6 / (pi t)^2`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GatePlan:
    """What is decided before any completion is drawn."""

    k: int = 1
    margin: float = MARGIN
    """The loss that would be too much; a fraction."""
    alpha: float = ALPHA
    target: Target = Target.PROBLEMS
    looks: tuple[int, ...] = ()
    """The candidate's completions per problem at each planned look; none for one look, at whatever there is."""
    spending: Spending = Spending.POCOCK
    confirm_on_fail: bool = True
    """A FAIL counts only if fresh completions of both say the same."""
    max_unjudged: float = MAX_UNJUDGED

    def __post_init__(self) -> None:
        for name, value, most in (("margin", self.margin, 1.0), ("alpha", self.alpha, 0.5)):
            if not 0 < value < most:
                raise ValueError(f"{name} must lie between 0 and {most:g}, not {value}")
        if list(self.looks) != sorted(set(self.looks)):
            raise ValueError(f"looks must rise, such as 2, 4, 8, 16; got {self.looks}")
        if self.k < 1 or (self.looks and self.looks[0] < self.k):
            raise ValueError(f"pass@{self.k} needs k of at least 1 and {self.k} or more completions at the first look")
        if self.looks and self.looks[0] < 2 and self.target is Target.BENCHMARK:
            raise ValueError("the noise of completions shows from 2 completions on; start the looks at 2")


DEFAULT_PLAN = GatePlan()


@dataclass(frozen=True, kw_only=True, slots=True)
class GateResult:
    """The decision and what it rests on; scores and bounds are fractions."""

    decision: Decision
    reason: str
    plan: GatePlan
    baseline: float
    candidate: float
    n_baseline: int
    """Completions of the problem that has fewest."""
    n_candidate: int
    difference: float
    """Candidate less baseline."""
    se: float
    df: float
    lower: float
    """Bounds at this look, each exceeded wrongly with the chance that the plan allows over all looks."""
    upper: float
    look: int
    """Which of the looks this is, from 1."""
    num_looks: int
    alpha_spent: float
    next_n: int | None
    """Completions per problem at the next look; None where this was the last."""
    completions_needed: int
    """Of the candidate, until the next look."""
    false_fail: float
    """The chance, by design, that an unchanged checkpoint fails."""
    unjudged: int
    missing: int
    confirmation: Confirmation
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class GateChances:
    """What a plan would say of a checkpoint whose true difference is known; before any confirmation."""

    passed: float
    failed: float
    inconclusive: float
    mean_n: float
    """Expected completions per problem of the candidate."""


def gate(
    candidate: Counts, baseline: Counts, plan: GatePlan = DEFAULT_PLAN, *, may_differ: Collection[str] = ()
) -> GateResult:
    """The decision at one look.

    Args:
        candidate: all its completions so far.
        baseline: those of the pinned baseline.
        plan: the same at every look.
        may_differ: fields of the protocols that are no reason to refuse.

    Raises:
        ValueError: the candidate's number of completions is not one of the planned looks, or some n < k.
    """
    look = _look(candidate, plan)
    faults = _faults(candidate, baseline, plan, may_differ)
    if faults:
        return invalid(faults, candidate, baseline, plan, look)
    ours, theirs = align(candidate.settled(Missing.EXCLUDE), baseline.settled(Missing.EXCLUDE), may_differ=may_differ)
    measured = _difference(ours, theirs, plan)
    quantile = _one_sided(measured.df, _bounds(theirs, plan)[look])
    lower, upper = measured.estimate - quantile * measured.se, measured.estimate + quantile * measured.se
    decision, reason = _decide(lower, upper, plan.margin)
    n = int(candidate.expected.max())
    following = plan.looks[look + 1] if look + 1 < len(plan.looks) else None
    more = following is not None and decision is Decision.INCONCLUSIVE
    result = GateResult(
        decision=decision,
        reason=reason,
        plan=plan,
        baseline=float(pass_at_k(theirs.n, theirs.c, plan.k).mean()),
        candidate=float(pass_at_k(ours.n, ours.c, plan.k).mean()),
        n_baseline=int(theirs.n.min()),
        n_candidate=int(ours.n.min()),
        difference=measured.estimate,
        se=measured.se,
        df=measured.df,
        lower=lower,
        upper=upper,
        look=look + 1,
        num_looks=max(1, len(plan.looks)),
        alpha_spent=spent(_fractions(theirs, plan)[look], plan.alpha, plan.spending),
        next_n=following if more else None,
        completions_needed=(following - n) * len(candidate.task_id) if more and following is not None else 0,
        false_fail=plan.alpha**2 if plan.confirm_on_fail else plan.alpha,
        unjudged=candidate.num_unjudged + baseline.num_unjudged,
        missing=candidate.num_missing + baseline.num_missing,
        confirmation=Confirmation.NOT_NEEDED,
        notes=_notes(ours, theirs, plan),
    )
    if decision is Decision.FAIL and plan.confirm_on_fail:
        return replace(
            result,
            decision=Decision.INCONCLUSIVE,
            reason=f"{reason}; fresh completions of both must confirm it",
            confirmation=Confirmation.NEEDED,
            completions_needed=confirmation_size(plan, n) * len(candidate.task_id),
        )
    return result


def confirm(
    first: GateResult,
    candidate: Counts,
    baseline: Counts,
    *,
    fresh_baseline: bool = True,
    may_differ: Collection[str] = (),
) -> GateResult:
    """The final decision of a gate that needs confirmation.

    The fresh completions are judged on their own and once, so that an unchanged checkpoint fails with the square of
    alpha where those of the baseline are fresh too (see `false_fail`). What they do not confirm is INCONCLUSIVE, unless
    they show the candidate to be within the margin.

    Args:
        first: a result whose `confirmation` is `NEEDED`.
        candidate: fresh completions, none of which the first decision has seen.
        baseline: fresh ones too, or those of the first decision.
        fresh_baseline: which of the two.
        may_differ: as in `gate`.

    Raises:
        ValueError: the first result needs no confirmation, or as `gate`.
    """
    if first.confirmation is not Confirmation.NEEDED:
        raise ValueError(f"a gate that says {first.decision} needs no confirmation; fresh samples would bend it")
    alone = replace(first.plan, looks=(), confirm_on_fail=False)
    second = gate(candidate, baseline, alone, may_differ=may_differ)
    if second.decision is Decision.FAIL:
        whose = "both" if fresh_baseline else "the candidate"
        outcome, reason = Confirmation.CONFIRMED, f"{second.reason}, and fresh completions of {whose} confirm it"
    elif second.decision is Decision.INVALID:
        outcome, reason = Confirmation.NOT_CONFIRMED, second.reason
    else:
        outcome = Confirmation.NOT_CONFIRMED
        reason = f"the first completions showed a loss, fresh ones do not: {second.reason}"
    return replace(
        second,
        plan=first.plan,
        reason=reason,
        confirmation=outcome,
        false_fail=first.false_fail,
        look=first.look,
        num_looks=first.num_looks,
        alpha_spent=first.alpha_spent,
    )


def run_gate(
    draw: Callable[[int], Counts | None],
    baseline: Counts,
    plan: GatePlan,
    fresh: Callable[[int], tuple[Counts, Counts]] | None = None,
    *,
    fresh_baseline: bool = True,
    may_differ: Collection[str] = (),
    seen: Callable[[GateResult], None] | None = None,
) -> GateResult:
    """Looks as often as planned, stops at the first decision, and confirms a FAIL where fresh completions can be had.

    Args:
        draw: gives all completions of the candidate at so many per problem; later calls extend earlier ones. None where
            there are not so many yet: the gate then waits for them, INCONCLUSIVE.
        baseline: of the pinned baseline.
        plan: with looks.
        fresh: gives new completions, so many of each problem of the candidate, and what they are to be compared with;
            None leaves a FAIL unconfirmed.
        fresh_baseline: whether the baseline's are new too.
        may_differ: as in `gate`.
        seen: is told the result of each look, before any confirmation.

    Raises:
        ValueError: the plan has no looks, there are not even completions for the first one, or as `gate`.
    """
    if not plan.looks:
        raise ValueError(f"the plan has no looks; for a single one call gate, or plan for example looks={LOOKS}")
    result = None
    for n in plan.looks:
        counts = draw(n)
        if counts is None:
            break
        result = gate(counts, baseline, plan, may_differ=may_differ)
        if seen is not None:
            seen(result)
        if result.next_n is None:
            break
    if result is None:
        raise ValueError(f"the first look takes {plan.looks[0]} completions of each problem")
    if result.confirmation is Confirmation.NEEDED and fresh is not None:
        again = fresh(confirmation_size(plan, n))
        return confirm(result, *again, fresh_baseline=fresh_baseline, may_differ=may_differ)
    return result


def confirmation_size(plan: GatePlan, n: int) -> int:
    """How many fresh completions per problem confirm a FAIL seen at `n`: twice as many, up to those of the last look.

    An early FAIL was partly luck, and as many again would miss a quarter of the true losses.
    """
    return min(2 * n, max(plan.looks, default=n))


def false_fail(
    baseline: Counts,
    plan: GatePlan = DEFAULT_PLAN,
    *,
    num_samples: int | None = None,
    fresh_baseline: bool = True,
) -> float:
    """The chance, by design, that an unchanged checkpoint fails.

    A confirmation that compares with the same completions of the baseline shares their luck with the first decision:
    the two have the correlation `v / (v + w)`, with the variances v of the baseline's score and w of the candidate's.

    Args:
        baseline: its counts tell how noisy completions of these problems are.
        plan: the gate.
        num_samples: completions of the candidate where the plan has no looks; None for as many as the baseline has.
        fresh_baseline: whether a confirmation draws the baseline's completions anew too.

    Raises:
        ValueError: as `pass_at_k`.
    """
    if not plan.confirm_on_fail:
        return plan.alpha
    if fresh_baseline:
        return plan.alpha**2
    n = max(plan.looks, default=num_samples or int(baseline.n.min()))
    pinned = _run_variance(baseline, plan.k, int(baseline.n.min()))
    return _both(plan.alpha, pinned / (pinned + _run_variance(baseline, plan.k, n)))


def _both(alpha: float, correlation: float) -> float:
    """The chance that two standard normal numbers of this correlation both fall below the quantile of `alpha`."""
    import numpy as np
    from scipy.special import ndtr, ndtri

    # Given what they share, the two are independent.
    shared, weights = np.polynomial.hermite_e.hermegauss(200)
    rest = (ndtri(alpha) - math.sqrt(correlation) * shared) / math.sqrt(1 - correlation)
    return float((weights * ndtr(rest) ** 2).sum() / weights.sum())


def gate_chances(
    baseline: Counts,
    plan: GatePlan = DEFAULT_PLAN,
    *,
    num_samples: int | None = None,
    num_baseline_samples: int | None = None,
    num_problems: int | None = None,
    effect: float = 0.0,
    spread: float = 0.0,
) -> GateChances:
    """What the plan would say of a checkpoint, to be known before it is run; by default of an unchanged one.

    Args:
        baseline: its counts tell how noisy completions of these problems are.
        plan: the gate.
        num_samples: completions of the candidate where the plan has no looks; None for as many as the baseline has.
        num_baseline_samples: completions that the baseline will have by then; None for what it has.
        num_problems: of another suite of the same kind; None for the same.
        effect: the candidate's true score less the baseline's.
        spread: the standard deviation over problems of the true difference.

    Raises:
        ValueError: as `pass_at_k`.
    """
    ns = plan.looks or (num_samples or int(baseline.n.min()),)
    m = num_problems or len(baseline.task_id)
    fixed = _run_variance(baseline, plan.k, num_baseline_samples or int(baseline.n.min())) + spread**2
    # Where hardly any problem ever changes, the gate falls back on a bound (see `problems_difference`).
    changing = int(((baseline.c > 0) & (baseline.c < baseline.n)).sum())
    least = math.sqrt(GUARD) / m if plan.target is Target.PROBLEMS and changing < GUARD else 0.0
    errors = [max(least, math.sqrt((_run_variance(baseline, plan.k, n) + fixed) / m)) for n in ns]
    df = max(1.0, m - 1.0) if plan.target is Target.PROBLEMS and not least else math.inf
    quantiles = [_one_sided(df, bound) for bound in _bounds(baseline, plan)]
    fractions = [(errors[-1] / error) ** 2 for error in errors]
    upper = [quantile - plan.margin / error for quantile, error in zip(quantiles, errors, strict=True)]
    chances = crossings(fractions, [-quantile for quantile in quantiles], upper, effect / errors[-1])
    stopped = [above + below for above, below in zip(chances.above, chances.below, strict=True)]
    return GateChances(
        passed=sum(chances.above),
        failed=sum(chances.below),
        inconclusive=max(0.0, 1 - sum(stopped)),
        mean_n=sum(n * share for n, share in zip(ns[:-1], stopped[:-1], strict=True))
        + ns[-1] * (1 - sum(stopped[:-1])),
    )


def alpha_of_check(alpha: float, check: int, schedule: AlphaSchedule = AlphaSchedule.PER_RUN) -> float:
    """The alpha of the `check`-th checkpoint, counted from 1.

    Raises:
        ValueError: there is no such check.
    """
    if check < 1:
        raise ValueError(f"checks are counted from 1, not from {check}")
    return alpha if schedule is AlphaSchedule.PER_RUN else alpha * 6 / (math.pi * check) ** 2


def _look(candidate: Counts, plan: GatePlan) -> int:
    """Which look this is, from 0."""
    n = int(candidate.expected.max())
    if not plan.looks:
        return 0
    if n not in plan.looks or int(candidate.expected.min()) != n:
        planned = ", ".join(map(str, plan.looks))
        raise ValueError(
            f"the candidate has {int(candidate.expected.min())} to {n} completions of each problem; this gate looks at "
            f"{planned}, and looks that were not planned would raise its error"
        )
    return plan.looks.index(n)


def _faults(candidate: Counts, baseline: Counts, plan: GatePlan, may_differ: Collection[str]) -> str:
    """Why nothing can be decided; empty where something can."""
    for name, counts in (("candidate", candidate), ("baseline", baseline)):
        if fault := fault_of(name, counts, plan):
            return fault
    try:
        align(candidate, baseline, may_differ=may_differ)
    except NotComparable as error:
        return str(error)
    if plan.target is Target.BENCHMARK and min(int(candidate.n.min()), int(baseline.n.min())) < 2:
        return "one completion of each problem does not show the noise of completions; draw 2 or more"
    return ""


def fault_of(name: str, counts: Counts, plan: GatePlan) -> str:
    """Why these counts decide nothing, whatever they are compared with; empty where they may."""
    lost = counts.num_unjudged + counts.num_missing
    asked = int(counts.expected.sum())
    if lost > plan.max_unjudged * asked:
        most = f", more than {100 * plan.max_unjudged:g} %" if plan.max_unjudged else ""
        return f"{lost} of {asked} completions of the {name} have no verdict{most}"
    if int(counts.n.min()) < plan.k:
        worst = counts.task_id[int(counts.n.argmin())]
        return f"the {name} has {counts.n.min()} judged completions of {worst!r}; pass@{plan.k} needs {plan.k}"
    return ""


def invalid(reason: str, candidate: Counts, baseline: Counts, plan: GatePlan, look: int = 0) -> GateResult:
    """A result without numbers, of the look with this number from 0."""
    return GateResult(
        decision=Decision.INVALID,
        reason=reason,
        plan=plan,
        baseline=math.nan,
        candidate=math.nan,
        n_baseline=int(baseline.n.min()),
        n_candidate=int(candidate.n.min()),
        difference=math.nan,
        se=math.nan,
        df=math.nan,
        lower=math.nan,
        upper=math.nan,
        look=look + 1,
        num_looks=max(1, len(plan.looks)),
        alpha_spent=0.0,
        next_n=None,
        completions_needed=0,
        false_fail=plan.alpha**2 if plan.confirm_on_fail else plan.alpha,
        unjudged=candidate.num_unjudged + baseline.num_unjudged,
        missing=candidate.num_missing + baseline.num_missing,
        confirmation=Confirmation.NOT_NEEDED,
    )


def _difference(candidate: Counts, baseline: Counts, plan: GatePlan) -> Difference:
    """Candidate less baseline, for the plan's target."""
    if plan.target is Target.BENCHMARK:
        measured = benchmark_difference(baseline, candidate, plan.k)
        assert measured is not None  # _faults has refused single completions
        return measured
    values = pass_at_k(candidate.n, candidate.c, plan.k) - pass_at_k(baseline.n, baseline.c, plan.k)
    return problems_difference(values, clusters=candidate.cluster)


def _decide(lower: float, upper: float, margin: float) -> tuple[Decision, str]:
    points = f"{100 * margin:g} points"
    if lower > -margin:
        note = ", though it is shown to score lower" if upper < 0 else ""
        return Decision.PASS, f"the candidate is shown to lose less than {points}{note}"
    if upper < 0:
        return Decision.FAIL, f"the candidate is shown to score lower, and not shown to lose less than {points}"
    return Decision.INCONCLUSIVE, f"neither a loss nor the absence of a loss of {points} is shown"


def _bounds(baseline: Counts, plan: GatePlan) -> tuple[float, ...]:
    """The normal quantile at each look."""
    return group_sequential_bounds(_fractions(baseline, plan), plan.alpha, plan.spending)


def _fractions(baseline: Counts, plan: GatePlan) -> tuple[float, ...]:
    """The share of the information at each look, known before the candidate is: out of the pinned baseline's counts.

    With k = 1 it is the share of completions. With larger k the first looks hold less than that. What the baseline adds
    to all looks is left out: it ties them together, which only makes the boundaries safer.
    """
    if len(plan.looks) < 2:
        return (1.0,)
    if plan.k == 1:
        return tuple(n / plan.looks[-1] for n in plan.looks)
    noises = [_run_variance(baseline, plan.k, n) for n in plan.looks]
    return tuple(noises[-1] / noise for noise in noises)


def _run_variance(baseline: Counts, k: int, n: int) -> float:
    """Per problem, of a run with n completions; with one pseudo-problem, so that it is never 0."""
    m = len(baseline.task_id)
    if int(baseline.n.min()) >= max(2 * k, 2):
        total = float(run_variance(baseline.n, baseline.c, k, n).sum())
        return (total + beta_variance(*PSEUDO_PROBLEM, n, k)) / (m + 1)
    if int(baseline.n.min()) >= 2:
        return noise_of_mean(baseline.n, baseline.c, k, Noise.EB, n_run=n)[0] * m
    # One completion each tells no more than a bound on the noise: that of a suite of equally hard problems.
    return (noise_bound(baseline.n, baseline.c, 1) * m**2 * k / n + beta_variance(*PSEUDO_PROBLEM, n, k)) / (m + 1)


def _one_sided(df: float, z: float) -> float:
    """The t quantile with the tail of the normal quantile z."""
    from scipy.special import ndtr, stdtrit

    return z if math.isinf(df) else -float(stdtrit(df, ndtr(-z)))


def _notes(candidate: Counts, baseline: Counts, plan: GatePlan) -> tuple[str, ...]:
    most = max((*plan.looks, int(candidate.n.max())))
    if int(baseline.n.min()) >= BASELINE_FACTOR * most:
        return ()
    return (
        f"the baseline has {baseline.n.min()} completions of each problem; with fewer than {BASELINE_FACTOR} times the "
        f"candidate's {most}, its luck weighs on every check",
    )
