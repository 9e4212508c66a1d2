"""`plan`: how many problems and completions a comparison takes, from a pilot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from harness.config import UsageError
from harness.question import Question, comparable, fewest_completions, print_json
from harness.stats.comparison import POWER
from harness.stats.power import ALPHA, Plan, make_plan
from harness.stats.result_files import SAMPLING_FIELD

DONE = 0

NUM_SAMPLES = (1, 5, 20, 100, 200)


def plan(
    pilot: Path,
    other: Path | None,
    question: Question,
    *,
    effect: float,
    num_problems: Sequence[int] = (),
    num_samples: Sequence[int] = NUM_SAMPLES,
    alpha: float = ALPHA,
    power: float = POWER,
    as_json: bool = False,
) -> int:
    """Prints which sizes of a comparison could show an effect; the exit code.

    Args:
        pilot: a run directory or a file of results, of at least 2 completions of each problem.
        other: the same of the model that it would be compared with; None takes the two to be nearly the same.
        question: of it the k, what becomes of missing verdicts, and what may differ between the two.
        effect: the true difference to be seen, a fraction.
        num_problems: sizes of suites; none for that of the pilot.
        num_samples: completions of each problem.
        alpha: two-sided.
        power: the chance to see the effect.
        as_json: for programs.

    Raises:
        UsageError: a pilot cannot be read or is too small, the two measure different things, or a number is wrong.
    """
    _check(effect, alpha, power, num_problems, num_samples)
    pilots = [question.read(path).counts for path in (pilot, other) if path is not None]
    fewest = fewest_completions(pilots)
    if fewest < 2:
        raise UsageError(
            "the pilot has one completion of some problem, which cannot tell noise from difficulty; "
            "a pilot takes 2 or more of each"
        )
    ks = question.usable_ks(fewest)
    if max(num_samples) < ks[-1]:
        raise UsageError(f"k = {ks[-1]} takes as many completions; -n {max(num_samples)} is too few")
    first, second = pilots[0], pilots[1] if other is not None else None
    plans: list[Plan] = comparable(
        lambda: [
            make_plan(
                first,
                second,
                k,
                effect=effect,
                num_problems=num_problems,
                num_samples=num_samples,
                alpha=alpha,
                power=power,
                may_differ=(SAMPLING_FIELD, *question.may_differ),
            )
            for k in ks
        ],
        "Type --may-differ FIELD for a field that is no reason to refuse.",
    )
    if as_json:
        print_json([asdict(one) for one in plans])
        return DONE
    from harness.report.comparison_text import render_plans

    print(render_plans(plans), end="")
    return DONE


def _check(effect: float, alpha: float, power: float, num_problems: Sequence[int], num_samples: Sequence[int]) -> None:
    if not 0 < effect < 1:
        raise UsageError(f"--effect takes a fraction, 0.02 for 2 points, not {effect:g}")
    for name, value in (("--alpha", alpha), ("--power", power)):
        if not 0 < value < 1:
            raise UsageError(f"{name} lies between 0 and 1, 0.05 or 0.8 for example, not {value:g}")
    for name, sizes in (("--problems", num_problems), ("-n", num_samples)):
        if any(size < 1 for size in sizes):
            raise UsageError(f"{name} takes 1 or more, not {min(sizes)}")
    if not num_samples:
        raise UsageError("-n takes numbers of completions, as in 1,5,20")
