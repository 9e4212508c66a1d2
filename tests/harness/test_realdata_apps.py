"""CodeRL's labelled programs for five APPS problems: what the official checker said of them, and what ours says.

The labels are those of the benchmark's own checker: True, False, -1 for an error or a timeout, -2 for no program.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.grade import Judge, Judgement, make_plan
from harness.records import Verdict
from sandbox.local import LocalSandbox
from sandbox.program import Limits, SandboxUnavailable
from tasks.apps import DIFFICULTIES, Apps
from tasks.problem import Problem

REPOSITORY = Path(__file__).parents[2]
CODERL = Path(os.environ.get("HARNESS_REALDATA", REPOSITORY / "../shared/data")) / "coderl_apps"

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(
        not (CODERL / "train").is_dir(),
        reason=f"{CODERL} does not hold CodeRL's APPS problems; HARNESS_REALDATA names another place",
    ),
]

LIMITS = Limits(cpu_s=1.0)

ALIKE = {
    "True": {Verdict.PASSED},
    "False": {Verdict.WRONG_ANSWER},
    "-1": {Verdict.RUNTIME_ERROR, Verdict.TIMEOUT},
    "-2": {Verdict.SYNTAX_ERROR},
}
"""The verdicts that a label stands for."""

OTHERWISE = {
    ("APPS-train/2287", 2): Verdict.SYNTAX_ERROR,  # -1: an IndexError, but only as the body of a function: it returns
    ("APPS-train/4184", 14): Verdict.RUNTIME_ERROR,  # -2: it raises NameError at its top level, where it does compile
    ("APPS-train/4184", 15): Verdict.WRONG_ANSWER,  # -1: a wrong answer to the third test, before its first timeout
    ("APPS-train/4184", 16): Verdict.WRONG_ANSWER,  # -1: a wrong answer to the first test, before its first IndexError
}
"""Failures of another kind than the label says, and why: a verdict is that of the first test that fails."""

RETURNS = {"APPS-train/2287": 3}
"""Solutions with a `return` outside functions, which are programs to the official checker alone."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A problem that is ready to judge, with everything that comes with it."""

    problem: Problem
    judge: Judge
    task: Apps
    folder: Path

    def judged(self, program: str) -> Judgement:
        return self.judge.judge(self.task.source(self.problem, program, is_program=True), alone=True)

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Case]]:
    with pytest.MonkeyPatch.context() as patch, LocalSandbox() as box:
        patch.setenv("HARNESS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        try:
            box.start()
        except SandboxUnavailable as error:
            if "namespace" not in str(error):
                raise  # a fault of ours, not a machine that does not allow it
            pytest.skip(f"needs Linux namespaces: {error}")
        yield [case for difficulty in DIFFICULTIES for case in _cases(box, difficulty)]


def _cases(box: LocalSandbox, difficulty: str) -> Iterator[Case]:
    task = Apps(difficulty, split="train", overrides={"apps-train": str(CODERL)})
    for problem in task.load():
        reference = task.source(problem, problem.reference, is_program=True)
        plan = make_plan(problem, reference, box, Limits(cpu_s=60.0, idle_s=60.0))
        folder = CODERL / "train" / f"{int(problem.task_id.split('/')[1]):04}"
        yield Case(problem=problem, judge=Judge(problem, plan, box, LIMITS), task=task, folder=folder)


@pytest.fixture(scope="module")
def labelled(cases: list[Case]) -> dict[tuple[str, int], tuple[str, Judgement]]:
    """Label and judgement of each program."""
    return {
        (case.problem.task_id, index): (str(row["result"]), case.judged(row["code"]))
        for case in cases
        for index, row in enumerate(case.read("gen_solutions.json"))
    }


def test_there_are_five_problems_with_83_labelled_programs(
    cases: list[Case], labelled: dict[tuple[str, int], tuple[str, Judgement]]
) -> None:
    assert sorted(case.problem.task_id for case in cases) == [
        f"APPS-train/{number}" for number in (1, 111, 2287, 2404, 4184)
    ]
    assert Counter(label for label, _ in labelled.values()) == {"True": 35, "False": 23, "-1": 23, "-2": 2}


def test_exactly_the_programs_that_are_labelled_true_pass_officially(
    labelled: dict[tuple[str, int], tuple[str, Judgement]],
) -> None:
    passed = {key for key, (_, judgement) in labelled.items() if judgement.outcomes.passed("official")}
    assert passed == {key for key, (label, _) in labelled.items() if label == "True"}


def test_both_checkers_agree_on_every_test_of_these_programs(
    labelled: dict[tuple[str, int], tuple[str, Judgement]],
) -> None:
    assert {key for key, (_, judgement) in labelled.items() if judgement.outcomes.disagreeing} == set()


def test_each_failure_is_of_the_labelled_kind_or_explained(
    labelled: dict[tuple[str, int], tuple[str, Judgement]],
) -> None:
    others = {key: judged.verdict for key, (label, judged) in labelled.items() if judged.verdict not in ALIKE[label]}
    assert others == OTHERWISE


def test_every_solution_passes_officially_and_all_but_three_strictly(cases: list[Case]) -> None:
    for case in cases:
        outcomes = [case.judged(solution).outcomes for solution in case.read("solutions.json")]
        assert all(outcome.passed("official") for outcome in outcomes)
        assert sum(not outcome.passed("strict") for outcome in outcomes) == RETURNS.get(case.problem.task_id, 0)
