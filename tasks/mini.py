"""mini: small functions and programs from families of our own, with an endless stream to train on that shares none."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from tasks.mini_families.cases import Case, choose_cases
from tasks.mini_families.chance import pick
from tasks.mini_families.recipe import Family, Recipe, execute
from tasks.mini_families.table import FAMILIES
from tasks.problem import Call, Check, Preset, Problem, Script, Stdio

DIFFICULTIES = (1, 2, 3, 4)
"""Of training items, each as often as the others."""
LEVELS = (1, 2, 2, 3, 3, 4, 4, 4)
"""The difficulties of the problems of each family, in their order."""
END = "\n\n"
"""After a training item's last line: with that line's own end the first stop of the preset."""

_EXAMPLE_LENGTH = 60
"""Longest example, in characters, of the call and its answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingItem:
    """One example to learn from; `prompt + completion` is its text."""

    prompt: str
    completion: str
    """The reference and two empty lines."""
    family: str
    difficulty: int


class Mini:
    """Functions and programs generated from a fixed seed, so that nothing has to be fetched."""

    name = "mini"
    version = "1"
    packages = "stdlib"
    least_cpu_s = 0.0
    excluded: Mapping[str, int] = MappingProxyType({})
    presets: Sequence[Preset] = (
        # Two empty lines end a training item. Another model may go on with the next function or comment instead.
        Preset(name="completion", stops=("\n\n\n", "\ndef ", "\nclass ", "\n# Reads")),
    )

    def load(self) -> list[Problem]:
        """All problems, family by family."""
        return [problem for problem, _ in held_out()]

    def data_digests(self) -> dict[str, str]:
        """None: no file is read."""
        return {}

    def prompt(self, problem: Problem, preset: Preset) -> str:
        """Signature and docstring, or for a program the comment; both the text to complete and the program's start."""
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
        """Prompt and completion; a whole program as it is."""
        return completion if is_program else (problem.prompt if prompt is None else prompt) + completion


def family(task_id: str) -> str:
    """The family of a problem: `strings` for `mini/strings-017`."""
    return task_id.removeprefix("mini/").rpartition("-")[0]


def difficulty(task_id: str) -> int:
    """The difficulty of a problem, from 1 to 4: how many pieces its function is composed of.

    Raises:
        KeyError: there is no such problem.
    """
    return difficulties()[task_id]


def difficulties() -> dict[str, int]:
    """The difficulty of each problem, by its id."""
    return {problem.task_id: LEVELS[place % len(LEVELS)] for place, (problem, _) in enumerate(held_out())}


def training_stream(seed: int, start: int = 0) -> Iterator[TrainingItem]:
    """Endless items from position `start` on; an item depends on nothing but `seed` and its position.

    No item has the prompt or the reference of a problem, or is composed of the same pieces.
    """
    problems = [problem for problem, _ in held_out()]
    taken = {problem.prompt for problem in problems} | {problem.reference for problem in problems}
    position = start
    while True:
        yield _item(Random(f"mini/stream/{seed}/{position}"), taken)
        position += 1


def _item(rng: Random, taken: set[str]) -> TrainingItem:
    while True:
        chosen, level = pick(rng, FAMILIES), pick(rng, DIFFICULTIES)
        recipe = chosen.draw(rng, level)
        if recipe.is_held_out or recipe.reference in taken:
            continue
        prompt = _prompt(recipe, rng)
        if prompt not in taken:
            break
    return TrainingItem(prompt=prompt, completion=recipe.reference + END, family=chosen.name, difficulty=level)


@functools.cache
def held_out() -> tuple[tuple[Problem, Recipe], ...]:
    """The problems with what they were made from."""
    found: list[tuple[Problem, Recipe]] = []
    taken: set[str] = set()
    for chosen in FAMILIES:
        for place, level in enumerate(LEVELS):
            rng = Random(f"mini/held-out/{chosen.name}/{place}")
            recipe, cases = _unlike(chosen, level, rng, taken)
            taken.add(recipe.reference)
            found.append((_problem(f"mini/{chosen.name}-{place:03}", chosen, recipe, cases, rng), recipe))
    return tuple(found)


def _unlike(chosen: Family, level: int, rng: Random, taken: set[str]) -> tuple[Recipe, list[Case]]:
    while True:
        recipe = chosen.draw(rng, level)
        if not recipe.is_held_out or recipe.reference in taken:
            continue
        cases = choose_cases(recipe, rng)
        if cases is not None:
            return recipe, cases


def _problem(task_id: str, chosen: Family, recipe: Recipe, cases: list[Case], rng: Random) -> Problem:
    return Problem(
        task_id=task_id,
        prompt=_prompt(recipe, rng),
        entry_point=recipe.entry_point,
        reference=recipe.reference,
        check=_check(chosen, recipe, cases),
    )


def _check(chosen: Family, recipe: Recipe, cases: list[Case]) -> Check:
    if chosen.kind is Script:
        lines = [f"    assert candidate{_call(case.arguments)} == {case.answer!r}" for case in cases]
        test = "\n".join(["def check(candidate):", *lines, ""])
        return Script(setup="", test=test, start=f"check({recipe.entry_point})", names=(recipe.entry_point,))
    if chosen.kind is Call:
        inputs = [list(case.arguments) for case in cases]
        return Call(cases=json.dumps({"inputs": inputs, "outputs": [case.answer for case in cases]}))
    texts = [case.arguments[0] for case in cases]
    return Stdio(cases=json.dumps({"inputs": texts, "outputs": [case.answer for case in cases]}))


def _prompt(recipe: Recipe, rng: Random) -> str:
    if not recipe.signature:
        return "# " + recipe.statement.replace(". ", ".\n# ") + "\n"
    # Half of the prompts show an example. Which half depends on the words alone, like all of a prompt but the example.
    example = _example(recipe, rng) if len(recipe.statement) % 2 else ""
    text = f"{recipe.statement}\n\n{example}    " if example else recipe.statement
    return f'def {recipe.signature}:\n    """{text}"""\n'


def _example(recipe: Recipe, rng: Random) -> str:
    arguments = recipe.arguments.draw(rng)
    call = f"{recipe.entry_point}{_call(arguments)}"
    answer = repr(execute(recipe)(*arguments))
    return f"    >>> {call}\n    {answer}\n" if len(call) + len(answer) <= _EXAMPLE_LENGTH else ""


def _call(arguments: tuple[object, ...]) -> str:
    return f"({', '.join(map(repr, arguments))})"
