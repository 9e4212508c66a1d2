"""HumanEval+ and MBPP+ from files in EvalPlus' own layout."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.conversion import CONVERTERS, case_sets
from tasks.data import DatasetUnavailable
from tasks.evalplus import CONVERSIONS, EvalPlus, conversion_of, humaneval_plus, mbpp_plus
from tasks.problem import Call, Problem


def row(**fields: Any) -> dict[str, Any]:
    return {
        "task_id": "Mbpp/106",
        "prompt": '"""\nAdd the list to the tuple.\nassert f([1], (2,)) == (2, 1)\n"""\n',
        "entry_point": "f",
        "canonical_solution": "\ndef f(a, b):\n    return b + tuple(a)\n",
        "base_input": [[[1], [2]]],
        "atol": 0,
        "plus_input": [[[], []], [["é"], [4]]],
        "contract": "",
        "assertion": "",
        **fields,
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def task(folder: Path, *rows: dict[str, Any]) -> EvalPlus:
    path = folder / "MbppPlus.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(each) + "\n" for each in rows).encode()))
    return mbpp_plus({"mbpp+": str(path)})


def check_of(problem: Problem) -> Call:
    assert isinstance(problem.check, Call)
    return problem.check


def test_a_problem_knows_where_its_inputs_lie_and_does_not_hold_them(folder: Path) -> None:
    (problem,) = task(folder, row(plus_input=[[["needle"], []]])).load()
    assert "needle" not in json.dumps(problem.to_json())
    base, plus = case_sets(check_of(problem))
    assert (base.name, base.inputs, base.outputs) == ("base", [[[1], (2,)]], None)
    assert (plus.name, plus.inputs, plus.outputs) == ("plus", [[["needle"], ()]], None)


def test_a_problem_says_how_its_answers_are_compared(folder: Path) -> None:
    problems = task(folder, row(), row(task_id="Mbpp/98", atol=0.0001)).load()
    checks = [check_of(problem) for problem in problems]
    assert [(check.comparison, check.tolerance, check.conversion) for check in checks] == [
        ("evalplus", 0.0, "- tuple"),
        ("evalplus", 0.0001, ""),
    ]


def test_the_digest_of_a_problem_changes_with_its_inputs_and_not_with_their_place(folder: Path) -> None:
    (one,) = task(folder, row()).load()
    _, same = task(folder, row(task_id="Mbpp/2"), row()).load()
    (other,) = task(folder, row(plus_input=[])).load()
    assert one.digest == same.digest
    assert one.digest != other.digest


def test_the_input_whose_answer_is_too_large_is_left_out(folder: Path) -> None:
    numbers = [[number] for number in range(100)]
    (problem,) = task(folder, row(task_id="Mbpp/255", base_input=[[-1]], plus_input=numbers)).load()
    base, plus = case_sets(check_of(problem))
    assert (base.inputs, len(plus.inputs)) == ([[-1]], 99)
    assert [85] not in plus.inputs


def test_a_completion_follows_the_prompt_and_a_program_stands_for_itself(folder: Path) -> None:
    mbpp = task(folder, row())
    (problem,) = mbpp.load()
    assert mbpp.source(problem, "def f(): 1\n", is_program=False) == problem.prompt + "def f(): 1\n"
    assert mbpp.source(problem, "    1\n", is_program=False, prompt="def f():\n") == "def f():\n    1\n"
    assert mbpp.source(problem, "def f(): 1\n", is_program=True) == "def f(): 1\n"


def test_the_prompt_is_stripped_and_ends_its_line(folder: Path) -> None:
    mbpp = task(folder, row(prompt='\n\n"""text\n"""\n\n'))
    assert mbpp.prompt(mbpp.load()[0], mbpp.presets[0]) == '"""text\n"""\n'


def test_each_benchmark_has_the_stops_of_both_and_its_own() -> None:
    humaneval, mbpp = (set(each.presets[0].stops) for each in (humaneval_plus(), mbpp_plus()))
    assert {"</s>", "\nprint(", "\nif __name__"} <= humaneval & mbpp
    assert humaneval - mbpp == {"\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "}
    assert mbpp - humaneval == {'\n"""', "\nassert"}


def test_a_file_that_is_not_there_is_an_error_that_names_it(folder: Path) -> None:
    with pytest.raises(DatasetUnavailable, match="nowhere"):
        mbpp_plus({"mbpp+": str(folder / "nowhere.jsonl")}).load()


def test_no_problem_has_two_conversions_and_every_one_is_known() -> None:
    numbers = [number for each in CONVERSIONS.values() for number in each]
    assert len(numbers) == len(set(numbers))
    assert {name for conversion in CONVERSIONS for name in conversion.split()} <= set(CONVERTERS)


def test_only_problems_of_mbpp_are_converted() -> None:
    assert conversion_of("Mbpp/2") == "tuple"
    assert conversion_of("HumanEval/2") == conversion_of("Mbpp/3") == ""
