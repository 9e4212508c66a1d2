"""MBPP's problems, presets and programs, from files in the layout of the published ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.mbpp import Mbpp, called_names
from tasks.problem import Preset, Problem, Script


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "text": f"Write function number {number}.",
        "code": f"def f{number}(x):\r\n  return x",
        "task_id": number,
        "test_setup_code": "",
        "test_list": [f"assert f{number}({n}) == {n}" for n in (1, 2, 3)],
        "challenge_test_list": [],
        **fields,
    }


def sanitized_row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "source_file": "x",
        "task_id": number,
        "prompt": f"Write function number {number}.",
        "code": f"def f{number}(x):\n  return math.floor(x)",
        "test_imports": ["import math"],
        "test_list": [f"assert f{number}(math.pi) == 3", f"assert f{number}(1) == 1"],
        **fields,
    }


SHOTS = [row(2), row(3), row(4, test_list=["assert f4(1)==1 ", "assert f4(2)==2 ", "assert f4(3)==3"])]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


def mbpp(folder: Path, *rows: dict[str, Any], **options: Any) -> Mbpp:
    path = folder / "mbpp.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return Mbpp(overrides={"mbpp": str(path)}, **options)


def sanitized(folder: Path, *rows: dict[str, Any]) -> Mbpp:
    path = folder / "sanitized-mbpp.json"
    path.write_text(json.dumps(rows))
    return Mbpp(sanitized=True, overrides={"mbpp-sanitized": str(path)})


def script(problem: Problem) -> Script:
    assert isinstance(problem.check, Script)
    return problem.check


def preset(name: str) -> Preset:
    return next(each for each in Mbpp.presets if each.name == name)


# ---------------------------------------------------------------------------------------------------------------------
# Problems
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("split", "numbers"),
    [
        ("prompt", [10]),
        ("test", [11, 510]),
        ("validation", [511, 600]),
        ("train", [601]),
        ("all", [10, 11, 510, 511, 600, 601]),
    ],
)
def test_a_split_holds_the_problems_of_its_numbers(tmp_path: Path, split: str, numbers: list[int]) -> None:
    task = mbpp(tmp_path, *(row(number) for number in (10, 11, 510, 511, 600, 601)), split=split)
    assert [problem.task_id for problem in task.load()] == [f"MBPP/{number}" for number in numbers]


def test_an_unknown_split_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'tests' of MBPP; accepted: prompt, test, validation, train, all"):
        Mbpp(split="tests")


def test_the_setup_of_the_tests_stands_between_the_code_and_the_tests(tmp_path: Path) -> None:
    fields = {
        "code": "class Node:\r\n  pass\r\ndef f(x):\r\n  return x",
        "test_setup_code": "root = Node()\r\nroot.n = 1",
        "test_list": ["assert f(root).n == 1"],
    }
    (problem,) = mbpp(tmp_path, row(11, **fields)).load()
    assert script(problem).test == "root = Node()\nroot.n = 1\nassert f(root).n == 1\n"
    assert script(problem).names == ("Node", "f")
    assert problem.entry_point == "f"


def test_challenge_tests_are_run_where_they_are_asked_for(tmp_path: Path) -> None:
    rows = [row(11, challenge_test_list=["assert f11(99) == 99"])]
    (usual,) = mbpp(tmp_path, *rows).load()
    (harder,) = mbpp(tmp_path, *rows, challenge=True).load()
    assert script(harder).test == script(usual).test + "assert f11(99) == 99\n"


def test_carriage_returns_are_no_part_of_a_reference(tmp_path: Path) -> None:
    (problem,) = mbpp(tmp_path, row(11)).load()
    assert problem.reference == "def f11(x):\n  return x"


def test_the_entry_point_is_what_the_first_test_calls_of_the_candidates_names(tmp_path: Path) -> None:
    fields = {
        "code": "def helper(x):\n  return x\ndef f(x):\n  return x",
        "test_list": ["assert set(f(helper([1]))) == {1}"],
    }
    (problem,) = mbpp(tmp_path, row(11, **fields)).load()
    assert problem.entry_point == "f"
    assert script(problem).names == ("f", "helper")


def test_names_are_those_that_are_defined_and_called() -> None:
    code = "import math\nclass A:\n    def g(self): pass\nf = lambda x: x\ndef unused(): pass\n"
    assert called_names(code, "assert f(A()) == math.sqrt(g(1))") == ("A", "f")


# ---------------------------------------------------------------------------------------------------------------------
# Programs
# ---------------------------------------------------------------------------------------------------------------------


def test_imports_that_a_problem_takes_for_granted_stand_before_program_and_tests(tmp_path: Path) -> None:
    task = sanitized(tmp_path, sanitized_row(11))
    (problem,) = task.load()
    assert task.source(problem, problem.reference, is_program=False) == f"import math\n{problem.reference}"
    assert script(problem).test.startswith("import math\nassert f11(math.pi)")
    future = "from __future__ import annotations\ndef f11(x): return 3\n"
    assert task.source(problem, future, is_program=True) == future


def test_the_program_in_a_chat_answer_is_the_code_in_it(tmp_path: Path) -> None:
    task = mbpp(tmp_path, row(11))
    (problem,) = task.load()
    answer = "Here you are:\n```python\ndef f11(x):\n    return x\n```\nGood luck!"
    chat = task.source(problem, answer, is_program=False, preset=preset("chat"))
    assert chat.strip() == "def f11(x):\n    return x"
    assert task.source(problem, answer, is_program=False, preset=preset("incoder")) == answer
    assert task.source(problem, answer, is_program=True, preset=preset("chat")) == answer


# ---------------------------------------------------------------------------------------------------------------------
# Prompts
# ---------------------------------------------------------------------------------------------------------------------


def prompt(folder: Path, name: str) -> str:
    task = mbpp(folder, *SHOTS, row(11))
    return task.prompt(task.load()[0], preset(name))


SHOT_2 = """You are an expert Python programmer, and here is your task: \
Write function number 2. Your code should pass these tests:

assert f2(1) == 1
assert f2(2) == 2
assert f2(3) == 3
[BEGIN]
def f2(x):
  return x
[DONE]

"""
TASK_11 = """You are an expert Python programmer, and here is your task: \
Write function number 11. Your code should pass these tests:

assert f11(1) == 1
assert f11(2) == 2
assert f11(3) == 3
[BEGIN]
"""


def test_the_papers_prompt_has_its_three_examples_and_then_the_task(tmp_path: Path) -> None:
    text = prompt(tmp_path, "austin-3shot")
    assert text.startswith(SHOT_2)
    assert text.endswith("\n[DONE]\n\n" + TASK_11)
    assert text.count("[DONE]") == 3
    assert "\r" not in text


def test_lm_evals_prompt_is_the_same_but_for_the_carriage_returns_of_the_examples(tmp_path: Path) -> None:
    text = prompt(tmp_path, "lm-eval")
    assert text.replace("\r", "") == prompt(tmp_path, "austin-3shot")
    assert text.count("\r\n") == 3


def test_incoders_prompt_is_a_docstring_with_one_test(tmp_path: Path) -> None:
    assert prompt(tmp_path, "incoder") == '"""\nWrite function number 11.\nassert f11(1) == 1\n"""\n'


def test_the_chat_prompt_shows_the_sentence_and_every_test(tmp_path: Path) -> None:
    text = prompt(tmp_path, "chat")
    assert "Write function number 11." in text
    assert all(f"assert f11({n}) == {n}" in text for n in (1, 2, 3))


def test_each_preset_has_its_own_stops() -> None:
    assert {each.name: each.stops for each in Mbpp.presets} == {
        "austin-3shot": ("[DONE]",),
        "incoder": ("\nassert", "\nclass", "\nif", '\n"""', "\nprint", "[DONE]"),
        "lm-eval": ("[DONE]",),
        "chat": (),
    }
