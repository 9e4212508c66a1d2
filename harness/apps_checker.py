"""The rules of APPS' own checker, step by step, faults included: what published numbers were measured with.

Its rules of comparison, that is. It also runs programs in ways that fail right ones: as the body of a function, with
standard input replaced by an object, under one clock for all tests. Here programs run as real processes; only those
that are no programs otherwise run as the body of a function (`as_function`).

Rules that accept wrong answers, kept on purpose: numbers within a hundred-thousandth, whole ones too
(`close_numbers`); lines and tokens in any order and any number (`token_sets`); numbers that agree in three decimals
(`rounded_token_sets`); the first of several answers (`first_answer`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

RELATIVE, ABSOLUTE = 1e-5, 1e-8
"""The tolerances of `numpy.allclose`, which the checker calls without naming any."""

# ---------------------------------------------------------------------------------------------------------------------
# Programs
# ---------------------------------------------------------------------------------------------------------------------


def as_function(program: str) -> str:
    """The program as the checker runs it, as the body of a function, so that a `return` may stand outside functions.

    Some of the benchmark's own solutions have such a `return`, and so have programs of models trained on them; by
    itself such a program does not compile. As in the checker, the imports before the first other line stay outside.
    """
    lines = program.split("\n")
    first = next((place for place, line in enumerate(lines) if not line.startswith(("import ", "from "))), len(lines))
    body = [f"\t{line}" for line in lines[first:]]
    return "\n".join([*lines[:first], "def code():", *body, "code()", ""])


# ---------------------------------------------------------------------------------------------------------------------
# Standard output
# ---------------------------------------------------------------------------------------------------------------------


def stdout_rule(output: str, expected: str) -> str | None:
    """The name of the first rule that accepts a standard output, or None where all reject it."""
    lines = output.splitlines()
    return next((rule.__name__ for rule in STDOUT_RULES if rule(lines, expected)), None)


def same_text(lines: Sequence[str], expected: str) -> bool:
    """The texts are equal but for white space around them."""
    return "\n".join(lines).strip() == expected.strip()


def same_text_of_stripped_lines(lines: Sequence[str], expected: str) -> bool:
    """The same with white space around each line of the output taken away, though not around those expected."""
    return "\n".join(line.strip() for line in lines).strip() == expected.strip()


def same_lines(lines: Sequence[str], expected: str) -> bool:
    """The lines are the expected ones as all later rules see them."""
    return list(lines) == expected_lines(expected)


def expected_lines(expected: str) -> list[str]:
    """The expected lines, empty ones dropped, then the others stripped.

    In this order: a line of blanks alone stays, as an empty one.
    """
    return [line.strip() for line in expected.split("\n") if line]


def same_filled_lines(lines: Sequence[str], expected: str) -> bool:
    """The same with the empty lines of the output dropped too."""
    return _filled(lines) == expected_lines(expected)


def close_numbers(lines: Sequence[str], expected: str) -> bool:
    """Each line that is not empty is one number close to the expected one; whole numbers are no exception."""
    try:
        pairs = list(zip(map(float, _filled(lines)), map(float, expected_lines(expected)), strict=True))
    except ValueError:  # no numbers, or not as many
        return False
    return all(is_close(number, wanted) for number, wanted in pairs)


def is_close(number: float, wanted: float) -> bool:
    """What `numpy.isclose` says of two numbers: infinities are close to themselves, NaN to nothing."""
    bound = ABSOLUTE + RELATIVE * abs(wanted)
    return number == wanted or (abs(wanted) < float("inf") and abs(number - wanted) <= bound)


def token_sets(lines: Sequence[str], expected: str) -> bool:
    """Both sides have the same set of sets of tokens: order is lost, of lines and tokens, and how often each comes."""
    return _output_sets(lines) == _expected_sets(expected)


def rounded_token_sets(lines: Sequence[str], expected: str) -> bool:
    """The same with every token a number rounded to three decimals."""
    try:
        return _rounded(_output_sets(lines)) == _rounded(_expected_sets(expected))
    except ValueError:  # a token that is no number
        return False


def _filled(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line]


def _output_sets(lines: Sequence[str]) -> set[frozenset[str]]:
    return {frozenset(tokens) for line in lines if (tokens := line.split())}


def _expected_sets(expected: str) -> set[frozenset[str]]:
    # Unlike those of the output, an expected line of blanks stays, so nothing is accepted where there is one.
    return {frozenset(line.split()) for line in expected_lines(expected)}


def _rounded(sets: set[frozenset[str]]) -> set[frozenset[float]]:
    return {frozenset(round(float(token), 3) for token in tokens) for tokens in sets}


STDOUT_RULES: tuple[Callable[[Sequence[str], str], bool], ...] = (
    same_text,
    same_text_of_stripped_lines,
    same_lines,
    same_filled_lines,
    close_numbers,
    token_sets,
    rounded_token_sets,
)
"""In the checker's order. Its further steps accept nothing that these do not, so they are left out."""


# ---------------------------------------------------------------------------------------------------------------------
# Answers of functions
# ---------------------------------------------------------------------------------------------------------------------


def call_rule(output: Any, expected: Any) -> str | None:
    """The name of the first rule that accepts the answer of a function, or None where all reject it."""
    wanted = expected_answer(expected)
    answer = list(output) if isinstance(output, tuple) else output
    if getattr(answer, "size", 1) != 1:  # a numpy array, which equals nothing: only of one element it is true or false
        return None
    try:
        return next((rule.__name__ for rule in CALL_RULES if rule(answer, wanted)), None)
    except ValueError:  # an array inside the answer, likewise
        return None


def same_answer(answer: Any, expected: Any) -> bool:
    """Python's `==`, a tuple having been made a list."""
    return bool(answer == expected)


def first_answer(answer: Any, expected: Any) -> bool:
    """The expected value is a list, and the answer equals its first element, however many there are."""
    return isinstance(expected, list) and bool(expected) and bool(answer == expected[0])


def lists_of_tuples(answer: Any, expected: Any) -> bool:
    """The answer begins with a tuple, and equals the first expected element once its parts are made lists."""
    try:
        return isinstance(answer[0], tuple) and [list(part) for part in answer] == expected[0]
    except (TypeError, LookupError):
        return False


CALL_RULES: tuple[Callable[[Any, Any], bool], ...] = (same_answer, first_answer, lists_of_tuples)


def call_arguments(inputs: list[Any]) -> list[Any]:
    """The arguments of a call: JSON made texts of the keys of a dictionary, and here they become numbers again.

    The checker does so with the first argument alone, where all its keys are whole numbers, and then drops all other
    arguments. That it drops them is not followed: one run serves both checkers, and no right program survives it.
    """
    first = _with_number_keys(inputs[0]) if inputs else None
    return inputs if first is None else [first, *inputs[1:]]


def expected_answer(expected: Any) -> Any:
    """The expected value after the same: a dictionary with such keys, alone or first in a list, is put into a list.

    Whatever followed it in that list is dropped.
    """
    alone = _with_number_keys(expected)
    if alone is not None:
        return [alone]
    first = _with_number_keys(expected[0]) if isinstance(expected, list) and expected else None
    return expected if first is None else [first]


def _with_number_keys(value: Any) -> dict[int, Any] | None:
    """A dictionary with its keys read as whole numbers, or None where that cannot be."""
    if not isinstance(value, dict):
        return None
    try:
        return {int(key): part for key, part in value.items()}
    except ValueError:
        return None
