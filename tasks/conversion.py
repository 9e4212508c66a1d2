"""From JSON to the arguments of a call: what JSON has no word for, and how the cases of a check are laid out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tasks.problem import Call
from tasks.rows import loads


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseSet:
    """Calls that are scored together."""

    name: str
    """`base` or `plus` where a benchmark has both, else empty."""
    inputs: list[list[Any]]
    """The positional arguments of each call, converted."""
    outputs: list[Any] | None
    """What is expected of each; None where the reference's answers are."""


def case_sets(check: Call) -> list[CaseSet]:
    """The cases of a check, read from where they lie.

    Raises:
        tasks.data.DatasetUnavailable: they lie in a file that cannot be read.
        ValueError: they are not laid out as `Call` says, or do not fit its conversion.
    """
    value = loads(check.cases) if check.row is None else check.row.read()
    return [_case_set(name, layout, check.conversion) for name, layout in _layouts(value)]


def _layouts(value: Any) -> list[tuple[str, Any]]:
    """The parts of what was read, by name. The rows of EvalPlus and of APPS are understood as they are."""
    if isinstance(value, dict) and "base_input" in value and "plus_input" in value:
        # Where EvalPlus has no further inputs for a problem, its row says {} instead of [].
        parts = [("base", value["base_input"]), ("plus", value["plus_input"] or [])]
        return [(name, {"inputs": inputs, "outputs": None}) for name, inputs in parts]
    if isinstance(value, list):
        names = ("base", "plus") if len(value) == 2 else ("",) * len(value)
        return list(zip(names, value, strict=True))
    if isinstance(value, dict) and isinstance(value.get("input_output"), str):
        return [("", loads(value["input_output"]))]
    return [("", value)]


def _case_set(name: str, layout: Any, conversion: str) -> CaseSet:
    if not (isinstance(layout, dict) and isinstance(layout.get("inputs"), list)):
        raise ValueError('the cases are not laid out as {"inputs": [[argument, ...], ...], "outputs": [value, ...]}')
    inputs, outputs = layout["inputs"], layout.get("outputs")
    if not all(isinstance(arguments, list) for arguments in inputs):
        raise ValueError("the arguments of a call are not a list")
    if outputs is not None and not (isinstance(outputs, list) and len(outputs) == len(inputs)):
        raise ValueError(f"{len(inputs)} inputs, and outputs that are not as many")
    if conversion:
        inputs = [convert(arguments, conversion) for arguments in inputs]
    return CaseSet(name=name, inputs=inputs, outputs=outputs)


def convert(arguments: list[Any], conversion: str) -> list[Any]:
    """The arguments of one call.

    Args:
        arguments: what JSON gave.
        conversion: names of `CONVERTERS` by argument, with blanks between; the last serves all arguments after it.

    Raises:
        ValueError: a name is unknown, or an argument does not fit it.
    """
    names = conversion.split()
    if not names:
        return arguments
    unknown = [name for name in names if name not in CONVERTERS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no conversion; accepted: {', '.join(CONVERTERS)}")
    padded = names + names[-1:] * (len(arguments) - len(names))
    try:
        return [CONVERTERS[name](argument) for name, argument in zip(padded, arguments, strict=False)]
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"the arguments {arguments!r:.200} do not fit the conversion {conversion!r}: {error}"
        ) from error


def _unchanged(value: Any) -> Any:
    return value


def _tuples(value: Any) -> list[tuple[Any, ...]]:
    return [tuple(part) for part in value]


def _tuple_of_tuples(value: Any) -> tuple[Any, ...]:
    """Members that are no lists, of which there are some, stay as they are."""
    return tuple(tuple(part) if isinstance(part, list) else part for part in value)


def _tuples_by_key(value: Any) -> dict[str, tuple[Any, ...]]:
    return {key: tuple(part) for key, part in value.items()}


def _sets(value: Any) -> list[Any]:
    """An empty member becomes an empty dict, as it does in EvalPlus, whose reference looks at its truth alone."""
    return [set(part) if isinstance(part, list) and part else {} for part in value]


def _deep_tuple(value: Any) -> Any:
    return tuple(_deep_tuple(part) for part in value) if isinstance(value, list) else value


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "-": _unchanged,
    "float": float,
    "complex": complex,
    "tuple": tuple,
    "tuples": _tuples,
    "tuple-of-tuples": _tuple_of_tuples,
    "tuples-by-key": _tuples_by_key,
    "sets": _sets,
    "deep-tuple": _deep_tuple,
}
"""Conversions of one argument."""
