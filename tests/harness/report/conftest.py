"""Grades and results to report on."""

from __future__ import annotations

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


@pytest.fixture
def results_of() -> Results:
    return Results()


@pytest.fixture
def complete(results_of: Results) -> dict[str, Any]:
    return results_of({"M/0": "pppp", "M/1": "pwwt", "M/2": "wwww"}, [1, 4])


@pytest.fixture
def incomplete(results_of: Results) -> dict[str, Any]:
    return results_of({"M/0": "pppp", "M/1": "pwu-", "M/2": "wwww"}, [1, 4])
