"""Grades and results to report on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.records import Grade, Verdict
from harness.report import build_results

PROTOCOL = {"hash": "c0ffee", "data": {"HumanEval.jsonl.gz": "ab" * 32}}


def grades_of(verdicts: dict[str, str]) -> list[Grade]:
    """Grades from one letter per sample: p passed, w wrong answer, t timeout, u unjudged, - missing."""
    letters = {"p": Verdict.PASSED, "w": Verdict.WRONG_ANSWER, "t": Verdict.TIMEOUT, "u": Verdict.UNJUDGED}
    return [
        Grade(task_id=task_id, index=index, verdict=letters[letter], mode="split", program="0" * 16)
        for task_id, row in verdicts.items()
        for index, letter in enumerate(row)
        if letter != "-"
    ]


def judged(verdict: Verdict, *, tests: str = "", base: Verdict | None = None, task_id: str = "M/0") -> Grade:
    """A grade that says what came of single tests, or what would be without the further cases."""
    return Grade(task_id=task_id, index=0, verdict=verdict, mode="split", program="0" * 16, tests=tests, base=base)


class Results:
    """Builds results of the task `mini` from one letter per sample."""

    def __call__(self, verdicts: dict[str, str], ks: list[int], task_name: str = "mini") -> dict[str, Any]:
        return build_results(
            task_name=task_name,
            protocol=PROTOCOL,
            grades=grades_of(verdicts),
            expected={task_id: len(row) for task_id, row in verdicts.items()},
            ks=ks,
        )

    def of_grades(self, grades: list[Grade], **protocol: Any) -> dict[str, Any]:
        """Results of one sample of each problem."""
        expected = {grade.task_id: 1 for grade in grades}
        return build_results(
            task_name="mini", protocol={**PROTOCOL, **protocol}, grades=grades, expected=expected, ks=[1]
        )


@pytest.fixture
def grade_of() -> Callable[..., Grade]:
    return judged


@pytest.fixture
def results_of() -> Results:
    return Results()


@pytest.fixture
def complete(results_of: Results) -> dict[str, Any]:
    return results_of({"M/0": "pppp", "M/1": "pwwt", "M/2": "wwww"}, [1, 4])


@pytest.fixture
def incomplete(results_of: Results) -> dict[str, Any]:
    return results_of({"M/0": "pppp", "M/1": "pwu-", "M/2": "wwww"}, [1, 4])
