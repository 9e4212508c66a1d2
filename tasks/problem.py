"""One benchmark problem as data: what the model sees, and how an answer is checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """A dataset's own test code, run by the grader against stand-ins for the candidate's names.

    The grader executes `setup`, puts a stand-in in place of each of `names`, executes `test`, then `start`.
    """

    setup: str
    """Source that gives the tests their helpers and imports; for HumanEval, the prompt and the reference."""
    test: str
    """The dataset's test source, unchanged."""
    start: str
    """The statement that runs the tests, for example `check(has_close_elements)`; may be empty."""
    names: tuple[str, ...]
    """Names that the candidate must define and the tests may call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One problem of a task."""

    task_id: str
    """Unique within the task, for example `HumanEval/0`."""
    prompt: str
    """The dataset's prompt, unchanged; a preset may present it differently to a model."""
    entry_point: str
    """The function that the tests call."""
    reference: str
    """The dataset's own solution, as a completion of `prompt`."""
    check: Script
    """How a program is judged."""

    @property
    def digest(self) -> str:
        """sha256 over every field: two problems with one digest are the same problem."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The problem as plain data, for a worker in another process."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Problem:
        """The inverse of `to_json`."""
        check = row["check"]
        return cls(**{**row, "check": Script(**{**check, "names": tuple(check["names"])})})


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """How a problem is put to a model: part of the protocol, because scores move by tens of points with it."""

    name: str
    """The name users type and results carry, for example `codex`."""
    stops: tuple[str, ...]
    """A completion is cut before the first of these strings."""


class Task(Protocol):
    """A benchmark: problems, how they are put to a model, and how an answer becomes a program."""

    name: str
    """What users type after `--task`."""
    version: str
    """Raised whenever prompts, extraction or checks change what a sample scores."""
    presets: Sequence[Preset]
    """Accepted prompt presets; the first is the default."""

    def load(self) -> list[Problem]:
        """All problems in the dataset's order.

        Raises:
            tasks.data.DatasetUnavailable: the data cannot be had; the message says what to type.
        """
        ...

    def data_digests(self) -> dict[str, str]:
        """sha256 of each file that `load` reads, by file name."""
        ...

    def prompt(self, problem: Problem, preset: Preset) -> str:
        """The text the model completes."""
        ...

    def source(self, problem: Problem, completion: str, *, is_program: bool, prompt: str | None = None) -> str:
        """The program to judge: a completion joined to its prompt, or a whole program with what the prompt gives it."""
        ...
