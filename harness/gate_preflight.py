"""What a gate can be expected to say, before it begins: the chances of an unchanged checkpoint, and what would help."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.gate_record import Preflight
from harness.stats.gate import BASELINE_FACTOR, LOOKS, GatePlan, false_fail, gate_chances

if TYPE_CHECKING:
    from harness.stats.counts import Counts

LIKELY = 0.8
"""A gate that passes an unchanged checkpoint less often is one whose answer is mostly INCONCLUSIVE."""

HOPELESS = 0.5
"""Below this, the answer does not even come for the checkpoints that are as good as they were."""

MOST_SAMPLES = 1024
"""Nobody draws more of each problem to get an answer."""


def default_looks(k: int) -> tuple[int, ...]:
    """pass@k takes k completions for what pass@1 learns from one."""
    return tuple(k * n for n in LOOKS)


def preflight(baseline: Counts, plan: GatePlan, num_samples: int, how: str) -> Preflight:
    """The chances of a plan.

    Args:
        baseline: every completion with a verdict.
        plan: of the gate.
        num_samples: of the candidate, where the plan has no looks.
        how: which samples are looked at, and why so.
    """
    chances = gate_chances(baseline, plan, num_samples=num_samples)
    most = max(plan.looks, default=num_samples)
    warnings = [*_pass_warnings(baseline, plan, most, chances.passed), *_baseline_warnings(baseline, most)]
    return Preflight(
        chances=chances,
        # A confirmation that draws the baseline's samples anew as well errs even less.
        false_fail=false_fail(baseline, plan, num_samples=most, fresh_baseline=False),
        how=how,
        warnings=tuple(warnings),
    )


def _pass_warnings(baseline: Counts, plan: GatePlan, most: int, passed: float) -> Iterable[str]:
    if passed >= LIKELY:
        return
    cannot = "can hardly pass anything" if passed < HOPELESS else "will often be INCONCLUSIVE"
    yield (
        f"this gate {cannot}: even an unchanged checkpoint passes in {100 * passed:.0f} %, at a margin of "
        f"{100 * plan.margin:g} points and {most} samples of each problem. {_remedy(baseline, plan, most)}"
    )


def _remedy(baseline: Counts, plan: GatePlan, most: int) -> str:
    """What would pass an unchanged checkpoint in `LIKELY` of all runs."""
    alone = replace(plan, looks=())
    remedies = []
    n = most
    while n < MOST_SAMPLES:
        n *= 2
        more = max(BASELINE_FACTOR * n, int(baseline.n.min()))
        passed = gate_chances(baseline, alone, num_samples=n, num_baseline_samples=more).passed
        if passed >= LIKELY:
            remedies.append(f"{n} samples of each problem and a baseline of {more} ({100 * passed:.0f} %)")
            break
    for points in (1, 2, 3, 5, 8, 10, 15, 20):
        if points <= 100 * plan.margin:
            continue
        passed = gate_chances(baseline, replace(plan, margin=points / 100), num_samples=most).passed
        if passed >= LIKELY:
            remedies.append(f"--margin {points / 100:g} ({100 * passed:.0f} %)")
            break
    return f"What would do: {'; or '.join(remedies)}." if remedies else "More problems would do."


def _baseline_warnings(baseline: Counts, most: int) -> Iterable[str]:
    have = int(baseline.n.min())
    if have < BASELINE_FACTOR * most:
        yield (
            f"the baseline has {have} samples of each problem; {BASELINE_FACTOR} times the candidate's {most} are "
            f"advised ({BASELINE_FACTOR * most}), because its luck weighs on every check"
        )
