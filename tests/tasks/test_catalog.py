from __future__ import annotations

import pytest

from tasks.catalog import TASKS, load_task
from tasks.humaneval import HumanEval


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_in_the_catalog_loads_under_its_own_name(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert task.version
    assert task.presets


@pytest.mark.parametrize("name", list(TASKS))
def test_the_problems_of_a_task_are_told_apart_by_id_and_by_digest(name: str) -> None:
    problems = load_task(name).load()
    assert len({problem.task_id for problem in problems}) == len({problem.digest for problem in problems}) > 0
    assert len({problem.task_id for problem in problems}) == len(problems)


def test_humaneval_is_in_the_catalog() -> None:
    assert isinstance(load_task("humaneval"), HumanEval)


def test_a_task_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        load_task("no such task")
