"""MBPP: references whose tests are assertions on functions, and in a few problems on objects of the candidate's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import pipeline
from harness.grade import Judge, Plan, make_plan
from harness.records import Verdict
from sandbox.local import LocalSandbox
from tasks.mbpp import Mbpp
from tasks.problem import Problem

REPOSITORY = Path(__file__).parents[2]
MBPP = Path(os.environ.get("HARNESS_REALDATA", REPOSITORY / "../shared/data")) / "mbpp"
OVERRIDES = {"mbpp": str(MBPP / "mbpp.jsonl"), "mbpp-sanitized": str(MBPP / "sanitized-mbpp.json")}

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not MBPP.is_dir(), reason=f"{MBPP} is missing; HARNESS_REALDATA names another place"),
]

OWN_OBJECTS = {
    "mbpp": {"MBPP/367", "MBPP/601", "MBPP/927"},
    "mbpp-sanitized": {"MBPP/737", "MBPP/787", "MBPP/794"},
}
"""Problems whose tests need the candidate's own classes or match objects, so that they run beside it."""

WRONG_ONCE = """

def _spoiled(right):
    calls = depth = 0
    def call(*arguments, **keywords):
        nonlocal calls, depth
        calls += not depth
        depth += 1
        try:
            value = right(*arguments, **keywords)
        finally:
            depth -= 1
        if depth or calls != {number}:
            return value
        if isinstance(value, (int, float, complex)):
            return value + abs(value) + 7
        return "wrong" if value is None else None
    return call

{name} = _spoiled({name})
"""
"""Makes one answer of a program wrong, and only one; calls that it makes of itself are not counted."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    with LocalSandbox() as box:
        yield box


def mbpp(name: str, *, split: str = "all", challenge: bool = False) -> Mbpp:
    return Mbpp(sanitized=name == "mbpp-sanitized", split=split, challenge=challenge, overrides=OVERRIDES)


def plan_of(task: Mbpp, problem: Problem, sandbox: LocalSandbox) -> Plan:
    reference = task.source(problem, problem.reference, is_program=False)
    return make_plan(problem, reference, sandbox, pipeline.REFERENCE_LIMITS)


@pytest.mark.parametrize(("name", "count"), [("mbpp", 974), ("mbpp-sanitized", 427)])
def test_every_reference_passes_and_all_but_three_in_split_mode(name: str, count: int, sandbox: LocalSandbox) -> None:
    task = mbpp(name)
    modes: dict[str, set[str]] = {"split": set(), "in-process": set()}
    for problem in task.load():
        modes[plan_of(task, problem, sandbox).mode].add(problem.task_id)
    assert (len(modes["split"]), modes["in-process"]) == (count - 3, OWN_OBJECTS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mbpp", "mbpp-sanitized"])
def test_a_program_that_is_wrong_in_its_last_answer_alone_fails(name: str, sandbox: LocalSandbox) -> None:
    task = mbpp(name)
    passed = []
    problems = task.load()
    for problem in problems:
        plan = plan_of(task, problem, sandbox)
        calls = sum(called == problem.entry_point for called, _ in plan.calls) or plan.assertions
        reference = task.source(problem, problem.reference, is_program=False)
        program = reference + WRONG_ONCE.format(name=problem.entry_point, number=calls)
        if Judge(problem, plan, sandbox, pipeline.REFERENCE_LIMITS).judge(program).verdict is Verdict.PASSED:
            passed.append(problem.task_id)
    assert len(passed) < 0.01 * len(problems), passed


def test_the_references_of_the_problems_with_challenge_tests_pass_these_too(sandbox: LocalSandbox) -> None:
    plain, task = mbpp("mbpp", split="test"), mbpp("mbpp", split="test", challenge=True)
    pairs = [
        (usual, harder)
        for usual, harder in zip(plain.load(), task.load(), strict=True)
        if usual.digest != harder.digest
    ]
    assert [usual.task_id for usual, _ in pairs] == [
        f"MBPP/{number}" for number in (11, 16, 20, 23, 25, 26, 28, 42, 43, 44, 47)
    ]
    for usual, harder in pairs:
        assert plan_of(task, harder, sandbox).assertions > plan_of(plain, usual, sandbox).assertions


def test_the_sizes_of_the_splits_are_those_that_were_published() -> None:
    sizes = {
        name: [len(mbpp(name, split=split).load()) for split in ("prompt", "test", "validation", "train", "all")]
        for name in ("mbpp", "mbpp-sanitized")
    }
    assert sizes == {"mbpp": [10, 500, 90, 374, 974], "mbpp-sanitized": [7, 257, 43, 120, 427]}


def test_each_problem_has_an_entry_point_that_its_tests_call() -> None:
    for name in ("mbpp", "mbpp-sanitized"):
        for problem in mbpp(name).load():
            assert problem.entry_point in problem.check.names
