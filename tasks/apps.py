"""APPS (Hendrycks et al. 2021, arXiv 2105.09938): programs and functions from the statements of contest problems.

Each test is judged twice: by the rules of the benchmark's own checker, which published numbers were measured with, and
strictly. Which of the two a number means is part of what the number is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from tasks.data import IndexedRow, Located, index_rows, locate, read_rows, write_rows_once
from tasks.extract import extract_code
from tasks.problem import Call, Check, Preset, Problem, Row, Stdio

DIFFICULTIES = ("introductory", "interview", "competition")
CHECKERS = ("strict", "official")
SPLITS = {"test": "apps", "train": "apps-train"}
"""Split -> name of its data set."""

BULKY = ("input_output", "solutions")
"""Fields that stay in the file; all tests together are over a gigabyte."""

STOPS = ("\nQUESTION", "\n---", "\nANSWER")

# Every line begins as an import does: see `harness.apps_checker.as_function`.
PREAMBLE = (
    "import sys, time, itertools, collections, math, fractions, random, heapq\n"
    "from itertools import accumulate, product, permutations, combinations\n"
    "from collections import Counter, OrderedDict, deque, defaultdict, ChainMap\n"
    "from functools import lru_cache\n"
    "from math import sqrt, sin, cos, tan, ceil, fabs, floor, gcd, exp, log, log2\n"
    "from typing import List, Tuple\n"
    "from heapq import *\n"
)
"""What the benchmark's own checker gives every program. The starter code of many problems takes it for granted."""

STREAMS = "from sys import stdin, stdout\n"
"""What it gives programs that read standard input, besides."""

NUMPY = "import importlib.util; np = importlib.util.find_spec('numpy') and importlib.import_module('numpy')\n"
"""And this, where numpy is to be had. It takes longer than most programs do: only those that say `np` get it."""

_NUMPY_WORD = re.compile(r"\bnp\b")
_FUTURE = re.compile(r"^from __future__ import", re.MULTILINE)
_SUMMARY_VERSION = "1"
"""Part of the name of what is kept of a file; raised when what is kept there changes."""

_CHAT = {
    Stdio: "Write a Python program that solves this problem. It reads standard input and writes to standard output.",
    Call: "Write Python code that solves this problem. It defines what the code below begins.",
}
_CHAT_END = "Answer with one block of Python code between ``` fences, and nothing else."


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """What a problem gives to its solver."""

    question: str
    starter_code: str
    """The beginning of the answer to a call-based problem; mostly empty for others."""
    call_based: bool


class Apps:
    """The problems of one difficulty. Those without tests are left out and counted; nothing can pass them."""

    version = "1"
    packages = "numpy"
    """The benchmark's own checker gives it to every program."""
    least_cpu_s = 4.0
    """What that checker allows each test."""
    presets: Sequence[Preset] = (
        # The text that bigcode-evaluation-harness and the dataset's metric on the hub use.
        Preset(name="official", stops=STOPS),
        # That of the authors' own generate_gpt_codes.py: one more line break, in front of starter code.
        Preset(name="original", stops=STOPS),
        # That of the authors' fine-tuning, whose line breaks are more still.
        Preset(name="training", stops=STOPS),
        Preset(name="chat", stops=()),
    )

    def __init__(
        self,
        difficulty: str,
        *,
        split: str = "test",
        checker: str = "strict",
        overrides: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            difficulty: one of `DIFFICULTIES`.
            split: `test` or `train`.
            checker: which of the two judgements makes the verdict, `strict` or `official`.
            overrides: as in `tasks.data.locate`.

        Raises:
            ValueError: there is no such difficulty, split or checker.
        """
        if difficulty not in DIFFICULTIES:
            raise ValueError(f"unknown difficulty {difficulty!r}; accepted: {', '.join(DIFFICULTIES)}")
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; accepted: {', '.join(SPLITS)}")
        if checker not in CHECKERS:
            raise ValueError(f"unknown checker {checker!r}; accepted: {', '.join(CHECKERS)}")
        self.difficulty = difficulty
        self.checker = checker
        self.data = SPLITS[split]
        self.name = f"{self.data}-{difficulty}"
        self._overrides = overrides

    def load(self) -> list[Problem]:
        """The problems that have tests, in the file's order. Many have no reference; theirs is empty.

        Raises:
            tasks.data.DatasetUnavailable: the data cannot be had or is damaged.
        """
        return [_problem(entry, f"apps-{self.checker}") for entry in self._entries if entry.num_tests]

    @property
    def without_tests(self) -> tuple[str, ...]:
        """The ids of the problems that were left out because they have no tests.

        Raises:
            tasks.data.DatasetUnavailable: as `load`.
        """
        return tuple(entry.task_id for entry in self._entries if not entry.num_tests)

    @property
    def excluded(self) -> Mapping[str, int]:
        """How many problems nothing can pass.

        Raises:
            tasks.data.DatasetUnavailable: as `load`.
        """
        return {"without tests": len(self.without_tests)}

    @property
    def without_reference(self) -> tuple[str, ...]:
        """The ids of the problems that have tests and no solution; 1,235 of the test split lack one.

        Raises:
            tasks.data.DatasetUnavailable: as `load`.
        """
        return tuple(entry.task_id for entry in self._entries if entry.num_tests and not entry.reference)

    def data_digests(self) -> dict[str, str]:
        """sha256 of the data file."""
        return self._located.digests

    def prompt(self, problem: Problem, preset: Preset) -> str:
        """The text after which the model writes a program."""
        if preset.name == "official":
            return problem.prompt
        statement = self._statements[problem.task_id]
        if preset.name == "chat":
            return _chat_prompt(statement)
        return _original_prompt(statement) if preset.name == "original" else _training_prompt(statement)

    def source(
        self,
        problem: Problem,
        completion: str,
        *,
        is_program: bool,
        prompt: str | None = None,
        preset: Preset | None = None,
    ) -> str:
        """The completion, which is a whole program in any case, with what the checker gives every program.

        Of a completion with fences, which are no Python, the code between them is taken.
        """
        fenced = not is_program and "```" in completion
        program = extract_code(completion, problem.entry_point) if fenced else completion
        if _FUTURE.search(program):  # it must stand before all other code
            return program
        streams = STREAMS if isinstance(problem.check, Stdio) else ""
        return PREAMBLE + streams + (NUMPY if _NUMPY_WORD.search(program) else "") + program

    @cached_property
    def _located(self) -> Located:
        return locate(self.data, self._overrides)

    @cached_property
    def _entries(self) -> list[_Entry]:
        rows = [row for path in self._located.paths for row in index_rows(path, BULKY)]
        chosen = [row for row in rows if row.fields.get("difficulty") == self.difficulty]
        summaries = read_rows(write_rows_once(_summary_key(chosen), map(_summary, chosen)))
        prefix = "APPS" if self.data == SPLITS["test"] else "APPS-train"
        return [_Entry(prefix, row, summary) for row, summary in zip(chosen, summaries, strict=True)]

    @cached_property
    def _statements(self) -> dict[str, Statement]:
        return {entry.task_id: entry.statement for entry in self._entries}


introductory = partial(Apps, "introductory")
interview = partial(Apps, "interview")
competition = partial(Apps, "competition")


# ---------------------------------------------------------------------------------------------------------------------
# Rows
# ---------------------------------------------------------------------------------------------------------------------


class _Entry:
    """A row, and what has to be known of its bulky fields."""

    def __init__(self, prefix: str, row: IndexedRow, summary: dict[str, Any]) -> None:
        fields = row.fields
        self.task_id = f"{prefix}/{int(fields['problem_id'] if 'problem_id' in fields else fields['id'])}"
        self.tests = row.bulky["input_output"]
        self.entry_point: str = summary["entry_point"]
        self.num_tests: int = summary["num_tests"]
        self.reference: str = summary["reference"]
        self.statement = Statement(
            question=fields["question"],
            starter_code=fields.get("starter_code") or "",
            call_based=bool(self.entry_point),
        )


def _summary_key(rows: Sequence[IndexedRow]) -> str:
    content = hashlib.sha256("".join(row.whole.sha256 for row in rows).encode()).hexdigest()
    return f"apps-summary-{_SUMMARY_VERSION}-{content}"


def _summary(row: IndexedRow) -> dict[str, Any]:
    """What has to be known of the bulky fields, so that the next start need not parse a gigabyte again."""
    tests = _value(row, "input_output") or {}
    solutions = _value(row, "solutions") or [""]
    inputs, outputs = tests.get("inputs") or [], tests.get("outputs") or []
    return {
        "entry_point": tests.get("fn_name") or "",
        "num_tests": len(inputs) if len(inputs) == len(outputs) else 0,
        "reference": solutions[0],
    }


def _value(row: IndexedRow, field: str) -> Any:
    place: Row | None = row.bulky.get(field)
    return place.read() if place is not None else None


def _problem(entry: _Entry, comparison: str) -> Problem:
    return Problem(
        task_id=entry.task_id,
        prompt=_official_prompt(entry.statement),
        entry_point=entry.entry_point,
        reference=entry.reference,
        check=_check(entry, comparison),
    )


def _check(entry: _Entry, comparison: str) -> Check:
    if entry.entry_point:
        return Call(row=entry.tests, in_class="Solution", comparison=comparison)
    return Stdio(row=entry.tests, comparison=comparison)


# ---------------------------------------------------------------------------------------------------------------------
# Prompts
# ---------------------------------------------------------------------------------------------------------------------


def _way(statement: Statement) -> str:
    return "Use Call-Based format" if statement.call_based else "Use Standard Input format"


def _official_prompt(statement: Statement) -> str:
    return f"\nQUESTION:\n{statement.question}{statement.starter_code}\n{_way(statement)}\nANSWER:\n"


def _original_prompt(statement: Statement) -> str:
    starter_code = f"\n{statement.starter_code}" if statement.starter_code else ""
    return f"\nQUESTION:\n{statement.question}{starter_code}\n{_way(statement)}\nANSWER:\n"


def _training_prompt(statement: Statement) -> str:
    return f"\nQUESTION:\n{statement.question}\n{statement.starter_code}\n\n{_way(statement)}\n\nANSWER:\n"


def _chat_prompt(statement: Statement) -> str:
    starter_code = statement.starter_code.strip("\n")
    fenced = [f"```python\n{starter_code}\n```"] if starter_code else []
    task = _CHAT[Call if statement.call_based else Stdio]
    return "\n\n".join([task, statement.question.strip(), *fenced, _CHAT_END])
