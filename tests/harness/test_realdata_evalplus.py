"""HumanEval+ and MBPP+ as published: references, programs that are wrong once, and EvalPlus' own verdicts."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import agreement, pipeline
from harness.comparison import equal
from harness.config import RunConfig
from harness.grade import Judge, Judgement, make_plan
from harness.records import Verdict
from harness.script import quiet
from sandbox.local import LocalSandbox
from tasks.conversion import case_sets
from tasks.evalplus import TOO_LARGE, EvalPlus, humaneval_plus, mbpp_plus
from tasks.problem import Call, Problem

REPOSITORY = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("HARNESS_REALDATA", REPOSITORY / "../shared/data")) / "evalplus"
OVERRIDES = {"humaneval+": str(FOLDER / "HumanEvalPlus.jsonl.gz"), "mbpp+": str(FOLDER / "MbppPlus.jsonl.gz")}
TASKS = {"humaneval+": humaneval_plus(OVERRIDES), "mbpp+": mbpp_plus(OVERRIDES)}
SIZES = {"humaneval+": (164, 1570, 122_683), "mbpp+": (378, 1174, 39_841 - len(TOO_LARGE))}

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(
        not all(Path(path).is_file() for path in OVERRIDES.values()),
        reason=f"{FOLDER} does not hold EvalPlus' files; HARNESS_REALDATA names another place",
    ),
]

WRONG_ONCE = """

def _spoiled(right):
    calls = depth = 0
    def call(*arguments):
        nonlocal calls, depth
        calls += not depth
        depth += 1
        try:
            value = right(*arguments)
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


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    with LocalSandbox() as box:
        yield box


def check_of(problem: Problem) -> Call:
    assert isinstance(problem.check, Call)
    return problem.check


def judged(sandbox: LocalSandbox, task: EvalPlus, problem: Problem, addition: str = "") -> Judgement:
    """The judgement on the reference with something added to it."""
    reference = task.source(problem, problem.reference, is_program=False)
    plan = make_plan(problem, reference, sandbox, pipeline.REFERENCE_LIMITS)
    limits = RunConfig().limits_for(plan.cpu_s)
    return Judge(problem, plan, sandbox, limits).judge(reference + addition, alone=True)


@pytest.mark.parametrize("name", TASKS)
def test_every_published_input_is_there(name: str) -> None:
    problems = TASKS[name].load()
    sets = [case_sets(check_of(problem)) for problem in problems]
    assert [[part.name for part in both] for both in sets] == [["base", "plus"]] * len(problems)
    assert (len(problems), *(sum(len(both[place].inputs) for both in sets) for place in (0, 1))) == SIZES[name]


OTHERWISE = {
    "Mbpp/87",  # the reference that made the file changed its arguments
    *("Mbpp/98", "Mbpp/104", "Mbpp/140", "Mbpp/145", "Mbpp/596"),  # tuples in the text, and lists in EvalPlus' calls
    "Mbpp/301",  # keys that are numbers, of which JSON makes texts
}
"""Problems whose published inputs are not the arguments of their published assertions."""


def test_the_base_inputs_are_the_arguments_of_the_published_assertions() -> None:
    """The file says most base inputs twice: as JSON, which has no tuples, and in the text of an assertion."""
    compared, differing = 0, set()
    for problem in TASKS["mbpp+"].load():
        row = check_of(problem).row
        base, _ = case_sets(check_of(problem))
        for arguments in written_arguments(row.read()["assertion"], problem.entry_point) if row else []:
            compared += 1
            # By the rule that tells lists from tuples at every depth.
            if not any(equal(arguments, read) for read in base.inputs):
                differing.add(problem.task_id)
    assert differing == OTHERWISE
    assert compared > 1000


def written_arguments(source: str, entry_point: str) -> list[list[Any]]:
    """The arguments of the calls of a function that have nothing but literals, as in `f([1], (2,)) == 3`."""
    with quiet():
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    found = []
    for call in calls:
        with contextlib.suppress(ValueError):
            if isinstance(call.func, ast.Name) and call.func.id == entry_point:
                found.append([ast.literal_eval(argument) for argument in call.args])
    return found


@pytest.mark.parametrize("name", TASKS)
def test_a_spread_of_references_passes_both_scores_and_wrong_once_fails_one(name: str, sandbox: LocalSandbox) -> None:
    task = TASKS[name]
    for problem in random.Random(2).sample(task.load(), 12):
        right = judged(sandbox, task, problem)
        assert (right.base, right.verdict) == (Verdict.PASSED, Verdict.PASSED), (problem.task_id, right.detail)
        wrong = judged(sandbox, task, problem, wrong_once(problem))
        assert (wrong.base, wrong.verdict) == (Verdict.PASSED, Verdict.WRONG_ANSWER), (problem.task_id, wrong.detail)


def wrong_once(problem: Problem) -> str:
    """What spoils the answer to the last of the further inputs, or where there are none, to the last of the base."""
    base, plus = case_sets(check_of(problem))
    return WRONG_ONCE.format(name=problem.entry_point, number=len(plus.inputs) or len(base.inputs))


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_every_reference_passes_both_scores(name: str, sandbox: LocalSandbox) -> None:
    task = TASKS[name]
    failed = {}
    for problem in task.load():
        judgement = judged(sandbox, task, problem)
        if (judgement.base, judgement.verdict) != (Verdict.PASSED, Verdict.PASSED):
            failed[problem.task_id] = judgement.detail
    assert failed == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_program_that_is_wrong_in_its_last_answer_alone_fails(name: str, sandbox: LocalSandbox) -> None:
    task = TASKS[name]
    problems = task.load()
    passed = [
        problem.task_id
        for problem in problems
        if judged(sandbox, task, problem, wrong_once(problem)).verdict is Verdict.PASSED
    ]
    assert len(passed) < 0.01 * len(problems), passed


def test_the_samples_to_compare_are_the_same_for_the_same_seed() -> None:
    def drawn(seed: int) -> list[str]:
        return [sample.program for sample in agreement.draw(OVERRIDES, num_samples=40, seed=seed)]

    assert drawn(1) == drawn(1) != drawn(2)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("evalplus") is None, reason="the package evalplus is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="EvalPlus is run in namespaces that only root can make here")
def test_evalplus_gives_the_same_verdicts() -> None:
    found = agreement.compare(OVERRIDES, num_samples=100, workers=1, heavy=False)
    assert found.differences == []
    assert 0 < found.passed < found.samples
