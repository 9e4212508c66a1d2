"""One benchmark problem as data: what the model sees, and how an answer is checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
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
class Row:
    """Where bulky tests lie: the bytes of one JSON value in a file, read only where they are needed."""

    path: str
    offset: int
    length: int
    """In bytes, like `offset`."""
    sha256: str
    """Of those bytes: what a problem's digest covers, wherever the file lies."""

    def read(self) -> Any:
        """The JSON value.

        Raises:
            tasks.data.DatasetUnavailable: the bytes are not there, or others.
        """
        from tasks.data import read_row

        return read_row(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """Calls of the candidate's entry point, whose answers are compared one by one.

    The cases are `cases`, or the JSON value of `row`, or a list of them to be joined: base and plus inputs.
    """

    cases: str = ""
    """JSON text of {"inputs": [[argument, ...], ...], "outputs": [value, ...]}; null for the reference's answers."""
    row: Row | None = None
    """Where that JSON lies instead, where it is bulky."""
    conversion: str = ""
    """Name of the conversion of JSON's values to the arguments of the call; empty for none (see `tasks.conversion`)."""
    in_class: str = ""
    """Class whose method the entry point is, where the candidate defines that class; one instance serves all calls."""
    comparison: str = "equal"
    """Name of the rule by which an answer is compared, one of `harness.comparison.COMPARISONS`."""
    tolerance: float = 0.0
    """Absolute tolerance of floats, for rules that know one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stdio:
    """Runs of the whole program, each with a standard input, whose standard output is compared."""

    cases: str = ""
    """JSON text of {"inputs": [text, ...], "outputs": [text, ...]}; a text may also be a list of its lines."""
    row: Row | None = None
    """Where that JSON lies instead, where it is bulky."""
    comparison: str = "apps-strict"
    """Which of APPS' two rules makes the verdict: `apps-strict` or `apps-official`."""


Check = Script | Call | Stdio
CHECKS: dict[str, type[Script] | type[Call] | type[Stdio]] = {"Script": Script, "Call": Call, "Stdio": Stdio}


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
    check: Check
    """How a program is judged."""

    @property
    def script(self) -> Script:
        """The check of a problem that has test code.

        Raises:
            TypeError: it has none.
        """
        if not isinstance(self.check, Script):
            raise TypeError(f"{self.task_id} has no test code")
        return self.check

    @property
    def digest(self) -> str:
        """sha256 over every field: two problems with one digest are the same problem, wherever their tests lie."""
        fields = self.to_json()
        if fields["check"].get("row") is not None:
            fields["check"]["row"] = fields["check"]["row"]["sha256"]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The problem as plain data, for a worker in another process."""
        row = asdict(self)
        row["check"] = {"kind": type(self.check).__name__, **row["check"]}
        return row

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Problem:
        """The inverse of `to_json`."""
        check = dict(row["check"])
        kind = CHECKS[check.pop("kind")]
        if "names" in check:
            check["names"] = tuple(check["names"])
        if check.get("row") is not None:
            check["row"] = Row(**check["row"])
        return cls(**{**row, "check": kind(**check)})


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
    packages: str
    """What programs may import unless the user says otherwise: `stdlib`, or `numpy` where references need it."""
    least_cpu_s: float
    """Processor seconds that every program is allowed, where the benchmark is known for slow ones; 0 elsewhere."""

    @property
    def excluded(self) -> Mapping[str, int]:
        """How many problems of the data are not among those of `load`, by the reason."""
        ...

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

    def source(
        self,
        problem: Problem,
        completion: str,
        *,
        is_program: bool,
        prompt: str | None = None,
        preset: Preset | None = None,
    ) -> str:
        """The program to judge: a completion joined to its prompt, or a whole program with what the prompt gives it.

        Args:
            problem: the problem.
            completion: a model's text; under some presets the code has to be found in it.
            is_program: whether it is a whole program as it stands.
            prompt: what the text continues, where it is not the preset's own prompt.
            preset: the preset that the text was made under; None for the dataset's own prompt and nothing to find.
        """
        ...
