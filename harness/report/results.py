"""The content of results.json: scores, intervals and counts of one task, with what they cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.records import Grade, Verdict
from harness.stats import Counts, benchmark_interval, pass_at_k, problems_interval

SCHEMA = "mtp-harness/results/1"
"""Raised when a key changes its meaning or goes away; new keys may come without notice."""


def build_results(
    *,
    task_name: str,
    protocol: Mapping[str, Any],
    grades: Iterable[Grade],
    expected: Mapping[str, int],
    ks: Sequence[int],
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

    Raises:
        ValueError: `ks` is empty, some k asks for more completions than the run has for a problem, or the grades do not
            fit `expected` (see `Counts.from_grades`).
    """
    _check_ks(ks, expected)
    grades = list(grades)
    counts = Counts.from_grades(grades, expected)
    verdicts = Counter(grade.verdict for grade in grades)
    modes = Counter(grade.mode for grade in grades)
    task = {
        "problems": len(counts.task_id),
        "samples": int(counts.expected.sum()),
        "unjudged": counts.num_unjudged,
        "missing": counts.num_missing,
        "complete": counts.complete,
        "verdicts": {verdict.value: verdicts[verdict] for verdict in Verdict},
        "modes": dict(sorted(modes.items())),
        "pass_at_k": {str(k): _score(counts, k) for k in sorted(set(ks))},
    }
    return {"schema": SCHEMA, "protocol": dict(protocol), "complete": counts.complete, "tasks": {task_name: task}}


def _score(counts: Counts, k: int) -> dict[str, Any]:
    """The entry of one k: the estimate with its two intervals, or nulls where a fault of ours left too few verdicts."""
    facts = {"n_min": int(counts.n.min()), "n_max": int(counts.n.max()), "problems": len(counts.task_id)}
    short = counts.n < k
    if short.any():
        first = int(short.argmax())
        reason = (
            f"not estimable: pass@{k} needs {k} judged samples, {counts.task_id[first]!r} has {counts.n[first]} "
            f"(too few in {int(short.sum())} of {short.size} problems)"
        )
        return {"estimate": None, "ci_problems": None, "ci_benchmark": None, "level": None, "method": reason, **facts}
    problems = problems_interval(pass_at_k(counts.n, counts.c, k))
    benchmark = benchmark_interval(counts.n, counts.c, k)
    benchmark_method = benchmark.method if benchmark else "not estimable (n<2k)"
    return {
        "estimate": problems.estimate,
        "ci_problems": [problems.low, problems.high],
        "ci_benchmark": [benchmark.low, benchmark.high] if benchmark else None,
        "level": problems.level,
        "method": f"problems: {problems.method}; benchmark: {benchmark_method}",
        **facts,
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
