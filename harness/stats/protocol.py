"""Whether two measurements are of the same thing, field by field."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ABSENT = "not recorded"

DERIVED = frozenset({"hash"})
"""Fields that follow from the others; they would only repeat that something differs."""

_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Mismatch:
    """One field in which two measurements are unlike."""

    field: str
    a: str
    b: str

    def __str__(self) -> str:
        return f"{self.field}: {self.a} and {self.b}"


class NotComparable(ValueError):
    """Two sets of counts that answer different questions; `differences` says where."""

    def __init__(self, differences: Sequence[Mismatch]) -> None:
        self.differences = tuple(differences)
        listed = "\n  ".join(map(str, differences))
        super().__init__(
            f"these scores measure different things and are not compared:\n  {listed}\n"
            f"Run both with the same protocol on the same problems, or name the fields that may differ."
        )


def protocol_differences(
    a: Mapping[str, Any], b: Mapping[str, Any], may_differ: Collection[str] = ()
) -> list[Mismatch]:
    """The fields of two protocols that differ; nested fields have dots in their names.

    Args:
        a, b: plain data; where both are empty nothing is known and nothing differs.
        may_differ: names of fields, or of what holds them, that are no reason to refuse.
    """
    first, second = _flat(a), _flat(b)
    return [
        Mismatch(field=name, a=_shown(first, name), b=_shown(second, name))
        for name in dict.fromkeys([*first, *second])
        if (name not in first or name not in second or first[name] != second[name]) and not _skipped(name, may_differ)
    ]


def task_differences(a: Sequence[str], b: Sequence[str], *, allow_subset: bool = False) -> list[Mismatch]:
    """How two lists of problems differ as sets; with `allow_subset` only where they have none in common."""
    first, second = set(a), set(b)
    if first == second or (allow_subset and first & second):
        return []
    only_a = [task_id for task_id in a if task_id not in second]
    only_b = [task_id for task_id in b if task_id not in first]
    return [
        Mismatch(field="problems", a=str(len(a)), b=str(len(b))),
        Mismatch(field="problems of one only", a=_few(only_a), b=_few(only_b)),
    ]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in value.items():
        path = f"{prefix}{name}"
        if isinstance(inner, Mapping) and inner:
            found |= _flat(inner, f"{path}.")
        else:
            found[path] = inner
    return found


def _shown(fields: Mapping[str, Any], name: str) -> str:
    return repr(fields[name]) if name in fields else ABSENT


def _skipped(name: str, may_differ: Collection[str]) -> bool:
    return name in DERIVED or any(name == allowed or name.startswith(f"{allowed}.") for allowed in may_differ)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more
