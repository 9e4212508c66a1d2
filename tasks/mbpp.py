"""MBPP (Austin et al. 2021, arXiv 2108.07732): functions from a sentence and three assertions; and its sanitized part.

The sanitized part is a benchmark of its own: the sentence was changed in 238 of its 427 problems, the tests in 127.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

from tasks.data import Located, locate, read_rows
from tasks.extract import extract_code
from tasks.problem import Preset, Problem, Script

SPLITS: dict[str, range] = {
    "prompt": range(1, 11),
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
}
"""Split -> numbers of its problems, as the authors divide them; `all` takes every problem."""

SHOTS = (2, 3, 4)
"""Numbers of the problems that the authors show to the model."""

_FUTURE = re.compile(r"^from __future__ import", re.MULTILINE)
"""Such a line must stand before all other code, so nothing can be put in front of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One row of a data file; both files as one kind."""

    number: int
    text: str
    code: str
    """As published: mostly with a carriage return before each line break."""
    tests: tuple[str, ...]
    setup: str
    """Code that the tests need, which in turn needs the candidate's."""
    challenge_tests: tuple[str, ...]
    """Further tests of eleven test problems, which nobody runs."""
    imports: str
    """What the reference and the tests of the sanitized part take for granted, as lines of code."""

    @property
    def reference(self) -> str:
        """The code with plain line breaks."""
        return self.code.replace("\r\n", "\n")


class Mbpp:
    """MBPP or its sanitized part; by default the test problems, 500 or 257.

    The presets, and what they leave out:

    austin-3shot: the text of the paper with its three examples, plain line breaks, a blank line between examples.
    incoder: the sentence and the first test as a docstring, as Fried et al. 2022 (arXiv 2204.05999) prompt.
    lm-eval: `mbpp` of lm-evaluation-harness 0.4, which keeps the carriage returns in the code of the examples. Its
        grading is left out: it runs no setup code, so that MBPP/367 passes for nobody, and stops after 3 seconds.
    chat: an instruction of ours, the sentence and all tests. The program is the code in the answer.
    """

    version = "1"
    packages = "stdlib"
    least_cpu_s = 0.0
    excluded: Mapping[str, int] = MappingProxyType({})
    presets: Sequence[Preset] = (
        Preset(name="austin-3shot", stops=("[DONE]",)),
        Preset(name="incoder", stops=("\nassert", "\nclass", "\nif", '\n"""', "\nprint", "[DONE]")),
        Preset(name="lm-eval", stops=("[DONE]",)),
        Preset(name="chat", stops=()),
    )

    def __init__(
        self,
        *,
        sanitized: bool = False,
        split: str = "test",
        challenge: bool = False,
        overrides: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            sanitized: whether it is the sanitized part.
            split: one of `SPLITS`, or `all`.
            challenge: whether the challenge tests are run too.
            overrides: as in `tasks.data.locate`.

        Raises:
            ValueError: there is no such split.
        """
        if split not in (*SPLITS, "all"):
            raise ValueError(f"unknown split {split!r} of MBPP; accepted: {', '.join(SPLITS)}, all")
        self.name = "mbpp-sanitized" if sanitized else "mbpp"
        self.split = split
        self.challenge = challenge
        self._overrides = overrides

    def load(self) -> list[Problem]:
        """The problems of the split, in the file's order.

        Raises:
            tasks.data.DatasetUnavailable: the data cannot be had or is damaged.
        """
        chosen = SPLITS.get(self.split)
        return [
            _problem(entry, challenge=self.challenge)
            for entry in self._entries.values()
            if chosen is None or entry.number in chosen
        ]

    def data_digests(self) -> dict[str, str]:
        """sha256 of each data file."""
        return self._located.digests

    def prompt(self, problem: Problem, preset: Preset) -> str:
        """The text to complete, or for `chat` to answer; no part of the judged program."""
        entry = self._entries[problem.task_id]
        if preset.name in _FEW_SHOT:
            shots = [self._entries[f"MBPP/{number}"] for number in SHOTS]
            return _FEW_SHOT[preset.name](entry, shots)
        return {"incoder": incoder_prompt, "chat": chat_prompt}[preset.name](entry)

    def source(
        self,
        problem: Problem,
        completion: str,
        *,
        is_program: bool,
        prompt: str | None = None,
        preset: Preset | None = None,
    ) -> str:
        """The completion, which is a whole program in any case, after the imports that its problem takes for granted.

        Args:
            problem: the problem.
            completion: the model's text, for `chat` the whole answer.
            is_program: whether the text is a program as it stands, in which nothing is looked for.
            prompt: not needed: no prompt of this benchmark begins the program.
            preset: the preset the text was made under; None for the default.
        """
        answered = preset is not None and preset.name == "chat" and not is_program
        program = extract_code(completion, problem.entry_point) if answered else completion
        imports = self._entries[problem.task_id].imports
        return program if not imports or _FUTURE.search(program) else f"{imports}\n{program}"

    @cached_property
    def _located(self) -> Located:
        return locate(self.name, self._overrides)

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        """All entries of the data, whatever the split: the examples of a prompt come from another one."""
        entries = (_entry(row) for path in self._located.paths for row in read_rows(path))
        return {f"MBPP/{entry.number}": entry for entry in entries}


sanitized = partial(Mbpp, sanitized=True)

# ---------------------------------------------------------------------------------------------------------------------
# Prompts
# ---------------------------------------------------------------------------------------------------------------------


def _task(entry: Entry, tests: Sequence[str]) -> str:
    return (
        f"You are an expert Python programmer, and here is your task: {entry.text} Your code should pass these tests:"
        f"\n\n{_lines(tests)}\n[BEGIN]\n"
    )


def _lines(tests: Sequence[str]) -> str:
    return "\n".join(tests)


def austin_prompt(entry: Entry, shots: Sequence[Entry]) -> str:
    """Examples and task, each with all its tests."""
    examples = [f"{_task(shot, shot.tests)}{shot.reference}\n[DONE]\n\n" for shot in shots]
    return "".join(examples) + _task(entry, entry.tests)


def lm_eval_prompt(entry: Entry, shots: Sequence[Entry]) -> str:
    """The same with the code of the examples as published, and never more than three tests."""
    examples = [f"{_task(shot, shot.tests[:3])}{shot.code}\n[DONE]\n\n" for shot in shots]
    return "".join(examples) + _task(entry, entry.tests[:3])


def incoder_prompt(entry: Entry) -> str:
    """A docstring of the sentence and one test."""
    return f'"""\n{entry.text}\n{entry.tests[0]}\n"""\n'


def chat_prompt(entry: Entry) -> str:
    """An instruction that says what to answer with."""
    return (
        "Solve this task with a Python function. Answer with the whole code in one fenced block of Python.\n\n"
        f"{entry.text}\n\nThe code has to pass these tests:\n\n```python\n{_lines(entry.tests)}\n```\n"
    )


_FEW_SHOT: dict[str, Callable[[Entry, Sequence[Entry]], str]] = {
    "austin-3shot": austin_prompt,
    "lm-eval": lm_eval_prompt,
}

# ---------------------------------------------------------------------------------------------------------------------
# Rows
# ---------------------------------------------------------------------------------------------------------------------


def _entry(row: dict[str, Any]) -> Entry:
    """A row of either file; the sanitized one has other names for some fields."""
    return Entry(
        number=row["task_id"],
        text=row["text"] if "text" in row else row["prompt"],
        code=row["code"],
        tests=tuple(row["test_list"]),
        setup=row.get("test_setup_code") or "",
        challenge_tests=tuple(row.get("challenge_test_list") or ()),
        imports=_lines(row.get("test_imports") or ()),
    )


def _problem(entry: Entry, *, challenge: bool) -> Problem:
    tests = entry.tests + (entry.challenge_tests if challenge else ())
    # The setup stands with the tests because it needs what the candidate defines.
    test = "\n".join(part for part in (entry.imports, entry.setup.replace("\r\n", "\n"), *tests) if part) + "\n"
    names = called_names(entry.reference, test)
    return Problem(
        task_id=f"MBPP/{entry.number}",
        prompt=entry.text,
        entry_point=_first_called(entry.tests[0], names),
        reference=entry.reference,
        check=Script(setup=f"{entry.imports}\n{entry.reference}\n", test=test, start="", names=names),
    )


def called_names(code: str, tests: str) -> tuple[str, ...]:
    """What the code defines at its top level and the tests call, in some problems more than one function.

    The tests get the others from the candidate too.
    """
    defined: set[str] = set()
    for node in _parsed(code).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, ast.Assign):
            defined |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return tuple(sorted(defined & set(_calls(tests))))


def _first_called(test: str, names: Sequence[str]) -> str:
    """The entry point: of what the candidate defines, the one that the first test calls first."""
    return next((name for name in _calls(test) if name in names), "")


def _calls(source: str) -> list[str]:
    """Names that are called, the outermost calls of an expression first."""
    nodes = ast.walk(_parsed(source))
    return [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]


def _parsed(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about other people's source
        return ast.parse(source)
