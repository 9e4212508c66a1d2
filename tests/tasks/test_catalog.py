from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.catalog import TASKS, default_choices, load_task
from tasks.humaneval import HumanEval

HERE = ("humaneval", "mini")
"""Tasks whose data needs no network."""


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_in_the_catalog_is_made_under_its_own_name(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert task.version
    assert task.presets
    assert task.packages in ("stdlib", "numpy")
    assert task.least_cpu_s >= 0


@pytest.mark.parametrize("name", HERE)
def test_the_problems_of_a_task_are_told_apart_by_id_and_by_digest(name: str) -> None:
    problems = load_task(name).load()
    assert len({problem.task_id for problem in problems}) == len({problem.digest for problem in problems}) > 0
    assert len({problem.task_id for problem in problems}) == len(problems)


def test_humaneval_is_in_the_catalog() -> None:
    assert isinstance(load_task("humaneval"), HumanEval)


@pytest.mark.parametrize("name", list(TASKS))
def test_every_choice_of_a_task_has_a_default_that_is_what_it_does_without(name: str) -> None:
    usual = default_choices(name)
    assert set(usual) == {*TASKS[name][1]} - {"overrides"}
    assert vars(load_task(name, **usual)) == vars(load_task(name))


def test_a_task_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        load_task("no such task")


@pytest.mark.parametrize("name", [name for name, (_, choices) in TASKS.items() if "split" in choices])
def test_an_unknown_split_is_refused_where_a_task_has_splits(name: str) -> None:
    with pytest.raises(ValueError, match="unknown split 'exam'"):
        load_task(name, split="exam")


@pytest.mark.parametrize("choice", [{"split": "train"}, {"challenge": True}, {"checker": "official"}], ids=str)
def test_a_choice_that_a_task_does_not_have_is_refused(choice: dict[str, object]) -> None:
    (name,) = choice
    with pytest.raises(ValueError, match=f"mini has no choice of {name}; those that have: "):
        load_task("mini", **choice)


def test_a_choice_that_nobody_made_is_the_tasks_own_affair() -> None:
    assert load_task("humaneval", split="", challenge=False, checker="").name == "humaneval"


def test_data_is_taken_from_where_the_user_says(tmp_path: Path) -> None:
    row = {"task_id": 11, "text": "Add.", "code": "def add(a, b):\n    return a + b\n"}
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({**row, "test_list": ["assert add(1, 2) == 3"], "test_setup_code": ""}) + "\n")
    (problem,) = load_task("mbpp", overrides={"mbpp": str(path)}).load()
    assert (problem.task_id, problem.entry_point) == ("MBPP/11", "add")
