"""The rules by which an answer is compared with what is expected. Pure functions on data that came through the codec.

Such data holds no code of the candidate, so `==` on it cannot lie.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from itertools import zip_longest
from numbers import Number
from typing import Any

from harness import apps_checker

TOLERANCE = 1e-6
"""Relative or absolute, as contest judges allow it, and only where the expected number is written as a fraction."""

Comparison = Callable[[Any, Any, float], bool]
"""(output, expected, tolerance) -> whether the output is accepted."""


def compare(name: str, output: Any, expected: Any, tolerance: float = 0.0) -> bool:
    """Whether `output` is accepted for `expected` under the rule called `name`.

    Raises:
        KeyError: no such rule.
    """
    rule = COMPARISONS[name]
    try:
        return rule(output, expected, tolerance)
    except ArithmeticError:  # numbers that cannot be compared, such as a signalling NaN, or are too large for a float
        return False


# ---------------------------------------------------------------------------------------------------------------------
# Values
# ---------------------------------------------------------------------------------------------------------------------


def equal(output: Any, expected: Any, tolerance: float = 0.0) -> bool:
    """Python's `==`, but strict about the kind of container at every depth, and NaN equals NaN.

    Numbers follow Python's numeric tower: 3.0 is 3 and True is 1. With a `tolerance`, a float may differ by so much.
    """
    output, expected = _unboxed(output), _unboxed(expected)
    kind = _kind(expected)
    if kind is not _kind(output):
        return False
    if kind is _ARRAY:
        return bool(output.shape == expected.shape) and equal(output.tolist(), expected.tolist(), tolerance)
    if kind in (list, tuple, deque):
        return len(output) == len(expected) and all(
            equal(one, other, tolerance) for one, other in zip(output, expected, strict=True)
        )
    if kind is dict:
        return output.keys() == expected.keys() and all(
            equal(output[key], expected[key], tolerance) for key in expected
        )
    if kind is Number:
        return _same_number(output, expected) or _within(output, expected, tolerance)
    return bool(output == expected)


def _same_number(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))


def _within(one: Any, other: Any, tolerance: float) -> bool:
    if not tolerance or not (isinstance(one, float) or isinstance(other, float)):
        return False
    return bool(abs(complex(one) - complex(other)) <= tolerance)


_ARRAY = object()
_FAMILIES: tuple[tuple[tuple[type, ...], object], ...] = (
    ((Number,), Number),
    ((str,), str),
    ((list,), list),
    ((tuple,), tuple),
    ((dict,), dict),
    ((set, frozenset), set),
    ((bytes, bytearray), bytes),
    ((deque,), deque),
)
"""Kinds whose values Python itself calls equal; every other type is a kind of its own."""


def _kind(value: Any) -> object:
    for types, family in _FAMILIES:
        if isinstance(value, types):
            return family
    return _ARRAY if _is_array(value) else type(value)


def _is_array(value: Any) -> bool:
    # By name, because the import costs more than most samples do. Only the codec makes values, so the name is true.
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"


def _unboxed(value: Any) -> Any:
    """A number of numpy's as Python's own."""
    return value.item() if type(value).__module__ == "numpy" and not _is_array(value) else value


# ---------------------------------------------------------------------------------------------------------------------
# Answers of APPS' functions
# ---------------------------------------------------------------------------------------------------------------------


def apps_official(output: Any, expected: Any, tolerance: float = 0.0) -> bool:
    """As APPS' own checker: Python's `==`, and a list of answers is met by its first one."""
    return apps_checker.call_rule(output, expected) is not None


def apps_strict(output: Any, expected: Any, tolerance: float = 0.0) -> bool:
    """The answer, as JSON would hold it, is the expected one; floats within `TOLERANCE` where a float is expected.

    Many problems write every expected answer inside a list of one, so there the element is accepted too.
    """
    answer = _as_json(output)
    inside = isinstance(expected, list) and len(expected) == 1 and _close(answer, expected[0])
    return inside or _close(answer, expected)


def _as_json(value: Any) -> Any:
    """What would be read back had the value been written as JSON: arrays and tuples are lists, keys are texts."""
    value = _unboxed(value)
    if _is_array(value):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_as_json(part) for part in value]
    if isinstance(value, dict):
        keys = [_json_key(key) for key in value]
        # Two keys of one text were no JSON object; as it is, the value equals none.
        return dict(zip(keys, map(_as_json, value.values()), strict=True)) if len(set(keys)) == len(keys) else value
    return value


def _json_key(key: Any) -> Any:
    key = _unboxed(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return repr(key) if isinstance(key, (int, float)) else key


def _close(answer: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        return (
            isinstance(answer, list)
            and len(answer) == len(expected)
            and all(_close(one, other) for one, other in zip(answer, expected, strict=True))
        )
    if isinstance(expected, dict):
        return (
            isinstance(answer, dict)
            and answer.keys() == expected.keys()
            and all(_close(answer[key], expected[key]) for key in expected)
        )
    if isinstance(expected, float) and isinstance(answer, Number):
        return _same_number(answer, expected) or (not isinstance(answer, complex) and near(answer, expected))
    return equal(answer, expected)


def near(number: Any, expected: float) -> bool:
    """Whether a real number is within `TOLERANCE` of the expected one, relative or absolute; never for infinities."""
    difference = abs(float(number) - expected)
    return difference < float("inf") and difference <= TOLERANCE * max(1.0, abs(expected))


COMPARISONS: dict[str, Comparison] = {
    "equal": equal,
    "apps-official": apps_official,
    "apps-strict": apps_strict,
}

CHECKERS = ("official", "strict")
"""The two checkers of APPS. Each test is judged by both; the protocol says which one makes the verdict."""


# ---------------------------------------------------------------------------------------------------------------------
# Standard output
# ---------------------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def stdout_strict(output: str, expected: str) -> bool:
    """Whether a standard output is accepted as a contest judge would: the same tokens in the same order.

    White space separates tokens and means nothing else, so the division into lines is not compared: neither do the
    judges that most of the problems come from. A token that is expected to be a number with a decimal point may be any
    number within `TOLERANCE`; all others must be the same text, whole numbers included.
    """
    return first_difference(output, expected) is None


def first_difference(output: str, expected: str) -> tuple[int, str | None, str | None] | None:
    """The first token that is not accepted: its number from 1, what came and what is expected; None: all accepted.

    None in place of a token: there is none.
    """
    for number, (token, wanted) in enumerate(_pairs(output, expected), 1):
        if token is None or wanted is None or not _same_token(token, wanted):
            return number, token, wanted
    return None


def _pairs(output: str, expected: str) -> Iterator[tuple[str | None, str | None]]:
    return zip_longest(output.split(), expected.split())


def _same_token(token: str, wanted: str) -> bool:
    if token == wanted:
        return True
    if "." not in wanted or not _NUMBER.fullmatch(wanted) or not _NUMBER.fullmatch(token):
        return False
    return near(token, float(wanted))
