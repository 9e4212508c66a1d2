"""The tasks there are, and which of the choices that not all of them have each of them takes."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tasks.problem import Task

_MBPP = ("split", "challenge", "overrides")
_APPS = ("split", "checker", "overrides")
TASKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "humaneval": ("tasks.humaneval:HumanEval", ()),
    "humaneval+": ("tasks.evalplus:humaneval_plus", ("overrides",)),
    "mbpp": ("tasks.mbpp:Mbpp", _MBPP),
    "mbpp-sanitized": ("tasks.mbpp:sanitized", _MBPP),
    "mbpp+": ("tasks.evalplus:mbpp_plus", ("overrides",)),
    "apps-introductory": ("tasks.apps:introductory", _APPS),
    "apps-interview": ("tasks.apps:interview", _APPS),
    "apps-competition": ("tasks.apps:competition", _APPS),
    "mini": ("tasks.mini:Mini", ()),
}
"""Name -> (module:factory, choices that it takes)."""


def load_task(name: str, *, overrides: Mapping[str, str] | None = None, **choices: Any) -> Task:
    """The task called `name`; no data is read yet.

    Args:
        name: one of `TASKS`.
        overrides: files to take the data from, as in `tasks.data.locate`.
        choices: `split`, `challenge`, `checker`; what is empty or false is the task's default.

    Raises:
        KeyError: no such task.
        ValueError: a choice that the task does not have, or a value that it does not accept.
    """
    _, taken = TASKS[name]
    made = {choice: value for choice, value in choices.items() if value}
    for choice in made:
        if choice not in taken:
            having = [other for other, (_, accepted) in TASKS.items() if choice in accepted]
            raise ValueError(f"{name} has no choice of {choice}; those that have: {', '.join(having) or 'none'}")
    if "overrides" in taken:
        made["overrides"] = overrides
    return _factory(name)(**made)


def default_choices(name: str) -> dict[str, Any]:
    """What each choice of the task called `name` is where nobody makes it.

    Raises:
        KeyError: no such task.
    """
    parameters = inspect.signature(_factory(name)).parameters
    return {choice: parameters[choice].default for choice in TASKS[name][1] if choice != "overrides"}


def _factory(name: str) -> Callable[..., Task]:
    module, _, attribute = TASKS[name][0].partition(":")
    factory: Callable[..., Task] = getattr(importlib.import_module(module), attribute)
    return factory
