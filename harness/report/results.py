"""The content of results.json: scores, intervals and counts of one task, with what they cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from harness.comparison import CHECKERS
from harness.outcomes import Outcomes
from harness.records import Grade, Verdict
from harness.report.decoding import decoding_figures
from harness.stats import Counts, Missing, score

SCHEMA = "mtp-harness/results/1"
"""Raised when a key changes its meaning or goes away; new keys may come without notice."""


def build_results(
    *,
    task_name: str,
    protocol: Mapping[str, Any],
    grades: Iterable[Grade],
    expected: Mapping[str, int],
    ks: Sequence[int],
    decoding: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything results.json says, as plain data; scores are fractions, not percent.

    `samples` is what the run asked for: the verdict counts (`unjudged` among them) and `missing` add up to it. Samples
    that are unjudged or missing are in no score: their problem's n is what was judged, and `complete` is false. Where
    they leave some problem with n < k, that k has no estimate and its `method` says why.

    Args:
        task_name: the key below `tasks`.
        protocol: what makes scores comparable, carried as it is.
        grades: in any order, at most one for each sample.
        expected: task_id -> completions the run asked for, in the order of the task.
        ks: the k of every pass@k wanted.
        decoding: counts of the decoding, summed over the sessions of the run; None where no model of ours ran.

    Raises:
        ValueError: `ks` is empty, some k asks for more completions than the run has for a problem, or the grades do not
            fit `expected` (see `Counts.from_grades`).
    """
    _check_ks(ks, expected)
    grades = list(grades)
    tasks = {task_name: _task(grades, expected, ks)}
    if any(grade.base is not None for grade in grades):
        tasks[f"{task_name} (base)"] = _task([_by_base(grade) for grade in grades], expected, ks)
    complete = all(task["complete"] for task in tasks.values())
    return {
        "schema": SCHEMA,
        "protocol": dict(protocol),
        "complete": complete,
        "tasks": tasks,
        **({"decoding": decoding_figures(decoding)} if decoding and "passes" in decoding else {}),
    }


def _by_base(grade: Grade) -> Grade:
    """The same sample as if there were the base cases alone."""
    return grade if grade.base is None else replace(grade, verdict=grade.base)


def _task(grades: Sequence[Grade], expected: Mapping[str, int], ks: Sequence[int]) -> dict[str, Any]:
    counts = Counts.from_grades(grades, expected)
    verdicts = Counter(grade.verdict for grade in grades)
    modes = Counter(grade.mode for grade in grades)
    tests = _tests(grades)
    return {
        "problems": len(counts.task_id),
        "samples": int(counts.expected.sum()),
        "unjudged": counts.num_unjudged,
        "missing": counts.num_missing,
        "complete": counts.complete,
        "verdicts": {verdict.value: verdicts[verdict] for verdict in Verdict},
        "modes": dict(sorted(modes.items())),
        "pass_at_k": {str(k): _score(counts, k) for k in sorted(set(ks))},
        **({"tests": tests} if tests else {}),
    }


def _tests(grades: Sequence[Grade]) -> dict[str, Any]:
    """What single tests say, where a benchmark counts them: both checkers' scores, and where the two disagree.

    `strict_accuracy` is the share of samples that pass every test, `test_case_average` the mean over problems of the
    share of tests that pass, each the mean over the problem's samples; None where some test was not run.
    """
    by_problem: dict[str, list[Outcomes]] = {}
    disagreements = []
    for grade in grades:
        if grade.tests:
            outcomes = Outcomes(letters=grade.tests)
            by_problem.setdefault(grade.task_id, []).append(outcomes)
            if outcomes.disagreeing:
                disagreements.append(
                    {"task_id": grade.task_id, "index": grade.index, "tests": list(outcomes.disagreeing)}
                )
    if sum(map(len, by_problem.values())) < sum(grade.verdict is not Verdict.UNJUDGED for grade in grades):
        return {}  # a task with checks of other kinds too, whose tests are not counted
    if not by_problem:
        return {}
    return {
        "strict_accuracy": {name: _over_problems(by_problem, _passes, name) for name in CHECKERS},
        "test_case_average": {name: _over_problems(by_problem, Outcomes.average, name) for name in CHECKERS},
        "disagreements": disagreements,
    }


def _passes(outcomes: Outcomes, checker: str) -> float:
    return float(outcomes.passed(checker))


def _over_problems(
    by_problem: Mapping[str, Sequence[Outcomes]], score: Callable[[Outcomes, str], float | None], checker: str
) -> float | None:
    means = []
    for samples in by_problem.values():
        values = [score(outcomes, checker) for outcomes in samples]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None
        means.append(fmean(known))
    return fmean(means)


def _score(counts: Counts, k: int) -> dict[str, Any]:
    """The entry of one k: the estimate with its two intervals, or nulls where a fault of ours left too few verdicts."""
    n = {"n_min": int(counts.n.min()), "n_max": int(counts.n.max()), "problems": len(counts.task_id)}
    short = counts.n < k
    if short.any():
        first = int(short.argmax())
        reason = (
            f"not estimable: pass@{k} needs {k} judged samples, {counts.task_id[first]!r} has {counts.n[first]} "
            f"(too few in {int(short.sum())} of {short.size} problems)"
        )
        return {"estimate": None, "ci_problems": None, "ci_benchmark": None, "level": None, "method": reason, **n}
    one = score(counts, k, missing=Missing.EXCLUDE)
    problems, benchmark = one.problems, one.benchmark
    benchmark_method = benchmark.method if benchmark else "not estimable (n=1)"
    return {
        "estimate": one.estimate,
        "ci_problems": [problems.low, problems.high],
        "ci_benchmark": [benchmark.low, benchmark.high] if benchmark else None,
        "level": problems.level,
        "method": f"problems: {problems.method}; benchmark: {benchmark_method}",
        **n,
        "se_problems": one.se_problems,
        "se_benchmark": one.se_benchmark,
        "benchmark_bound": one.benchmark_bound,
        "completion_share": one.completion_share,
        "df_eff": one.df_eff,
        "unsolved": one.unsolved,
        "always_solved": one.always_solved,
        "notes": list(one.notes),
    }


def _check_ks(ks: Sequence[int], expected: Mapping[str, int]) -> None:
    """Refuse a k that could not be estimated even if every sample had its verdict."""
    if not ks:
        raise ValueError("no k was asked for; type for example `-k 1`")
    for k in ks:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        for task_id, asked in expected.items():
            if asked < k:
                raise ValueError(
                    f"pass@{k} needs at least {k} samples of every problem, but {task_id!r} has {asked}; "
                    f"type `-k {asked}` or smaller, or draw more samples with `-n {k}`"
                )
