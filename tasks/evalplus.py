"""HumanEval+ and MBPP+ (Liu et al. 2023, arXiv 2305.01210): the same problems, with many times the inputs.

A program is called with the inputs of the original benchmark (`base`) and then with the further ones (`plus`); what the
reference answers is what is expected. EvalPlus reports two scores: by the base inputs, and by all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from tasks.data import IndexedRow, Located, index_rows, locate
from tasks.problem import Call, Preset, Problem

ANY_MODEL_STOPS = ("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")
"""Stops of EvalPlus 0.3.1 for both benchmarks; those below come on top where a model continues the prompt."""

HUMANEVAL_STOPS = ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")
MBPP_STOPS = ('\n"""', "\nassert")

BULKY = ("base_input", "plus_input")
"""Fields that stay in the file until a problem's programs are judged."""

CONVERSIONS: dict[str, tuple[int, ...]] = {
    "tuple": (
        *(2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424),
        *(429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809),
    ),
    "tuples": (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780),
    "tuple -": (250, 307, 405, 446, 617, 720, 763, 808),
    "- tuple": (106, 750),
    "tuples -": (75, 413, 444, 753),
    "tuple-of-tuples": (259, 278, 401, 445),
    "tuples-by-key -": (722,),
    "deep-tuple": (580, 615, 791),
    "sets": (115,),
    "complex": (252,),
    "float complex": (124,),
}
"""MBPP+ problems whose arguments JSON cannot hold, by what has to be made of them (see `tasks.conversion.convert`)."""


TOO_LARGE: dict[str, int] = {"Mbpp/255": 85}
"""Place among the further inputs of one whose answer nobody can compare: 1,663,740 tuples of 77 words, over a gigabyte.
It is left out, so that the problem has 111 inputs where EvalPlus has 112."""


class EvalPlus:
    """One of the two benchmarks."""

    version = "1"
    packages = "stdlib"
    least_cpu_s = 0.0
    excluded: Mapping[str, int] = MappingProxyType({})

    def __init__(self, name: str, stops: Sequence[str], overrides: Mapping[str, str] | None = None) -> None:
        """Nothing is read yet.

        Args:
            name: of the task and of its data set.
            stops: where a completion ends, beside `ANY_MODEL_STOPS`.
            overrides: as in `tasks.data.locate`.
        """
        self.name = name
        self.presets: Sequence[Preset] = (Preset(name="evalplus", stops=(*ANY_MODEL_STOPS, *stops)),)
        self._overrides = overrides

    def load(self) -> list[Problem]:
        """All problems in the file's order.

        Raises:
            tasks.data.DatasetUnavailable: the file cannot be had or is damaged.
        """
        return [_problem(row) for path in self._located().paths for row in index_rows(path, BULKY)]

    def data_digests(self) -> dict[str, str]:
        """sha256 of the data file."""
        return self._located().digests

    def prompt(self, problem: Problem, preset: Preset) -> str:
        """The dataset's prompt without white space around it, and a line break."""
        return problem.prompt.strip() + "\n"

    def source(
        self,
        problem: Problem,
        completion: str,
        *,
        is_program: bool,
        prompt: str | None = None,
        preset: Preset | None = None,
    ) -> str:
        """Prompt and completion; a whole program stands for itself, as in EvalPlus."""
        if is_program:
            return completion
        return (problem.prompt if prompt is None else prompt) + completion

    def _located(self) -> Located:
        return locate(self.name, self._overrides)


def humaneval_plus(overrides: Mapping[str, str] | None = None) -> EvalPlus:
    """HumanEval+ v0.1.10: 164 problems, 1,570 base and 122,683 further inputs."""
    return EvalPlus("humaneval+", HUMANEVAL_STOPS, overrides)


def mbpp_plus(overrides: Mapping[str, str] | None = None) -> EvalPlus:
    """MBPP+ v0.2.0: 378 problems, 1,174 base and 39,841 further inputs."""
    return EvalPlus("mbpp+", MBPP_STOPS, overrides)


def conversion_of(task_id: str) -> str:
    """What has to be made of the arguments of a problem; empty for most, and for all of HumanEval+."""
    benchmark, _, number = task_id.partition("/")
    if benchmark != "Mbpp":
        return ""
    return next((name for name, numbers in CONVERSIONS.items() if int(number) in numbers), "")


def _problem(row: IndexedRow) -> Problem:
    fields: dict[str, Any] = row.fields
    check = Call(
        row=row.whole,
        conversion=conversion_of(fields["task_id"]),
        comparison="evalplus",
        tolerance=float(fields["atol"]),
    )
    return Problem(
        task_id=fields["task_id"],
        prompt=fields["prompt"],
        entry_point=fields["entry_point"],
        reference=fields["canonical_solution"],
        check=_without_too_large(check, row, TOO_LARGE[fields["task_id"]]) if fields["task_id"] in TOO_LARGE else check,
    )


def _without_too_large(check: Call, row: IndexedRow, place: int) -> Call:
    value = row.whole.read()
    base, plus = value["base_input"], value["plus_input"]
    sets = [{"inputs": inputs, "outputs": None} for inputs in (base, plus[:place] + plus[place + 1 :])]
    return replace(check, row=None, cases=json.dumps(sets))
