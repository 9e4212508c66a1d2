"""Counts: every sample that was asked for is judged, unjudged or missing, and none vanishes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Grade, Verdict
from harness.stats import Counts, Missing


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


def incomplete() -> Counts:
    """One passed, one unjudged and one missing of `T/0`; both judged of `T/1`."""
    grades = [grade("T/0", 0), grade("T/0", 1, Verdict.UNJUDGED), grade("T/1", 0), grade("T/1", 1, Verdict.TIMEOUT)]
    return Counts.from_grades(grades, {"T/0": 3, "T/1": 2})


def test_completions_without_a_verdict_are_an_error_unless_one_says_what_becomes_of_them() -> None:
    with pytest.raises(
        ValueError, match=r"1 completions are unjudged and 1 missing; finish the run .* exclude or fail"
    ):
        incomplete().settled(Missing.ERROR)


@pytest.mark.parametrize(("missing", "n"), [(Missing.EXCLUDE, [1, 2]), (Missing.FAIL, [3, 2])])
def test_completions_without_a_verdict_are_left_out_or_count_as_failures(missing: Missing, n: list[int]) -> None:
    settled = incomplete().settled(missing)
    assert (settled.n.tolist(), settled.c.tolist(), settled.complete) == (n, [1, 1], True)


def test_outcomes_without_a_verdict_are_unjudged() -> None:
    counts = Counts.from_outcomes({"T/0": [True, None, False], "T/1": [True]})
    assert (counts.n.tolist(), counts.c.tolist(), counts.unjudged.tolist()) == ([2, 1], [1, 1], [1, 0])


def test_selected_rows_keep_their_clusters_and_their_protocol() -> None:
    counts = Counts.of([1, 2, 3], [0, 1, 2], task_id="abc", cluster="xyy", protocol={"k": 1})
    picked = counts.select([2, 0])
    assert (picked.task_id, picked.n.tolist(), picked.cluster) == (("c", "a"), [3, 1], ("y", "x"))
    assert picked.protocol == {"k": 1}


def test_refuses_a_problem_that_is_there_twice() -> None:
    with pytest.raises(ValueError, match="problem 'a' is there twice"):
        Counts.of([1, 1], [0, 0], task_id="aa")


def test_refuses_clusters_that_do_not_match_the_problems() -> None:
    with pytest.raises(ValueError, match="there are 1 clusters for 2 problems"):
        Counts.of([1, 1], [0, 0], cluster=["x"])


def test_importing_the_statistics_loads_neither_numpy_nor_scipy() -> None:
    script = "import sys, harness.stats, harness.report; sys.exit(bool({'numpy', 'scipy', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
