"""How EvalPlus compares an answer with the reference's (Liu et al. 2023, arXiv 2305.01210; its version 0.3.1).

Answers here are data that came through the codec, so `==` on them runs none of the candidate's code. Two things are
not as in EvalPlus. There the tolerance of floats, once an expected float has switched it on, stays on for all later
answers of the problem, whole numbers too; here it is a matter of each expected value. And there HumanEval/32 counts no
case as done, so that every program fails it, the reference too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from harness.conversation import Opaque

FLOAT_TOLERANCE = 1e-6
"""Absolute, where a float or a sequence of nothing but floats is expected and the problem names no tolerance."""

RELATIVE_TOLERANCE = 1e-7
"""Added to every absolute tolerance."""

Oracle = Callable[[Any, Any, Sequence[Any], float], bool]
"""(answer, expected, arguments of the call, the problem's tolerance) -> whether the answer is accepted outright."""


def accepts(task_id: str, answer: Any, expected: Any, arguments: Sequence[Any], tolerance: float) -> bool:
    """Whether EvalPlus accepts an answer.

    Args:
        task_id: as in EvalPlus' files, for example `Mbpp/2`.
        answer: what the call returned; an `Opaque` for what is not data.
        expected: what the reference returned.
        arguments: of the call, as they were before it.
        tolerance: the `atol` of the problem's row.
    """
    try:
        if task_id in DECISIVE:
            return DECISIVE[task_id](answer, expected, arguments, tolerance)
        if ORACLES.get(task_id, _same)(answer, expected, arguments, tolerance):
            return True
        return close(answer, expected, tolerance)
    except (ArithmeticError, TypeError, ValueError, AttributeError):
        return False  # the answer is of a kind that the oracle cannot look at


def close(answer: Any, expected: Any, tolerance: float) -> bool:
    """Whether an answer of the expected type, and for a sequence of its length, is numerically the expected one."""
    bound = tolerance or (FLOAT_TOLERANCE if is_floats(expected) else 0.0)
    return bound != 0.0 and type(answer) is type(expected) and _all_close(answer, expected, bound)


def is_floats(value: Any) -> bool:
    """Whether a value is a float, or a list or tuple of floats alone."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(part, float) for part in value)
    return isinstance(value, float)


def _all_close(answer: Any, expected: Any, bound: float) -> bool:
    """Numbers within the bound at every depth of equally shaped lists and tuples; nothing else is close to anything."""
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(answer, (list, tuple))
            and len(answer) == len(expected)
            and all(_all_close(one, other, bound) for one, other in zip(answer, expected, strict=True))
        )
    if not (isinstance(answer, (int, float, complex)) and isinstance(expected, (int, float, complex))):
        return False
    if answer == expected:
        return True
    distance = abs(answer - expected)
    return math.isfinite(distance) and distance <= bound + RELATIVE_TOLERANCE * abs(expected)


# ---------------------------------------------------------------------------------------------------------------------
# Problems with more than one right answer
# ---------------------------------------------------------------------------------------------------------------------


def _same(answer: Any, expected: Any, arguments: Sequence[Any], tolerance: float) -> bool:
    return bool(answer == expected)


def _same_members(answer: Any, expected: Any, arguments: Sequence[Any], tolerance: float) -> bool:
    """Order and number of the members are left to the answer."""
    return set(answer) == set(expected)


def _found_or_not(answer: Any, expected: Any, arguments: Sequence[Any], tolerance: float) -> bool:
    """Something was found where the reference found something; what it is need not be data."""
    found = isinstance(expected, Opaque) or expected is not None
    return answer == found if isinstance(answer, bool) else found == (answer is not None)


def _or_zero(answer: Any, expected: Any, arguments: Sequence[Any], tolerance: float) -> bool:
    return bool(answer == expected or answer == 0)


def _surface_area(answer: Any, expected: Any, arguments: Sequence[Any], tolerance: float) -> bool:
    """The height of a pyramid may be meant upright instead of along its side."""
    base, height = arguments
    slant = math.sqrt((base / 2) ** 2 + height**2)
    return bool(answer == expected) or abs(answer - round(base**2 + 2 * base * slant)) <= tolerance


def _digit_distance(answer: Any, expected: Any, arguments: Sequence[Any], tolerance: float) -> bool:
    """The difference digit by digit may be meant instead of the digits of the difference."""
    one, other = (str(number) for number in arguments)
    width = max(len(one), len(other))
    digits = zip(one.zfill(width), other.zfill(width), strict=True)
    return bool(answer == expected or answer == sum(abs(int(left) - int(right)) for left, right in digits))


def _is_root(answer: Any, expected: Any, arguments: Sequence[Any], tolerance: float) -> bool:
    """Any root of the polynomial will do."""
    (coefficients,) = arguments
    return bool(abs(sum(factor * math.pow(answer, power) for power, factor in enumerate(coefficients))) <= tolerance)


ORACLES: dict[str, Oracle] = {
    "Mbpp/2": _same_members,
    "Mbpp/7": _same_members,
    "Mbpp/111": _same_members,
    "Mbpp/140": _same_members,
    "Mbpp/232": _same_members,
    "Mbpp/249": _same_members,
    "Mbpp/295": _or_zero,
    "Mbpp/558": _digit_distance,
    "Mbpp/579": _same_members,
    "Mbpp/581": _surface_area,
    "Mbpp/769": _same_members,
}
"""Problems where these accept more than `==` does; what they do not accept may still be close."""

DECISIVE: dict[str, Oracle] = {
    "HumanEval/32": _is_root,
    "Mbpp/737": _found_or_not,
    "Mbpp/787": _found_or_not,
    "Mbpp/794": _found_or_not,
}
"""Problems where these alone decide."""
