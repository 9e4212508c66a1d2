"""Counts: every sample that was asked for is judged, unjudged or missing, and none vanishes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Grade, Verdict
from harness.stats import Counts


def grade(task_id: str, index: int, verdict: Verdict = Verdict.PASSED) -> Grade:
    return Grade(task_id=task_id, index=index, verdict=verdict, mode="split", program="0" * 16)


@given(st.lists(st.lists(st.sampled_from(Verdict), max_size=6), min_size=1, max_size=6), st.integers(6, 8))
def test_judged_unjudged_and_missing_add_up_to_what_was_asked(problems: list[list[Verdict]], asked: int) -> None:
    grades = [grade(f"T/{i}", j, verdict) for i, verdicts in enumerate(problems) for j, verdict in enumerate(verdicts)]
    counts = Counts.from_grades(grades, {f"T/{i}": asked for i in range(len(problems))})
    assert (counts.expected == asked).all()
    assert counts.c.sum() == sum(row.passed for row in grades)
    assert counts.num_unjudged == sum(row.verdict is Verdict.UNJUDGED for row in grades)
    assert counts.num_missing == asked * len(problems) - len(grades)
    assert counts.complete == (counts.n.sum() == asked * len(problems))


def test_unjudged_and_missing_samples_are_not_the_models_failures() -> None:
    counts = Counts.from_grades([grade("T/0", 0), grade("T/0", 1, Verdict.UNJUDGED)], {"T/0": 3})
    assert (counts.n[0], counts.c[0], counts.unjudged[0], counts.missing[0]) == (1, 1, 1, 1)


def test_rows_follow_the_order_of_the_task_whatever_the_order_of_the_grades() -> None:
    grades = [grade("T/1", 0), grade("T/0", 0, Verdict.TIMEOUT)]
    for order in (grades, grades[::-1]):
        counts = Counts.from_grades(order, {"T/0": 1, "T/1": 1})
        assert (counts.task_id, counts.c.tolist()) == (("T/0", "T/1"), [0, 1])


@pytest.mark.parametrize(
    ("grades", "expected", "message"),
    [
        ([], {}, "there are no problems"),
        ([], {"T/0": 0}, "problem 'T/0' expects 0 completions"),
        ([grade("T/9", 0)], {"T/0": 1}, "problem 'T/9', which is not among the 1 of this run"),
        ([grade("T/0", 0)] * 2, {"T/0": 2}, "two grades are of problem 'T/0', sample 0"),
        ([grade("T/0", 0), grade("T/0", 1)], {"T/0": 1}, "problem 'T/0' has 2 grades, but the run asked for 1"),
    ],
)
def test_refuses_grades_that_do_not_fit_the_run(grades: list[Grade], expected: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Counts.from_grades(grades, expected)


def test_importing_the_statistics_loads_neither_numpy_nor_scipy() -> None:
    script = "import sys, harness.stats, harness.report; sys.exit(bool({'numpy', 'scipy', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
