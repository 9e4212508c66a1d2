"""The tasks there are."""

from __future__ import annotations

import importlib

from tasks.problem import Task

TASKS = {"humaneval": "tasks.humaneval:HumanEval"}


def load_task(name: str) -> Task:
    """The task called `name`.

    Raises:
        KeyError: no such task.
    """
    module, _, attribute = TASKS[name].partition(":")
    task: Task = getattr(importlib.import_module(module), attribute)()
    return task
