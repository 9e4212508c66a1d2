"""What the decoding of a run counted: one row for each session that generated, and their sum."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.records import RecordFile, read_rows

NAME = "decoding.jsonl"


def append_statistics(out: Path, model: Mapping[str, Any], statistics: Mapping[str, Any]) -> None:
    """Adds a session: what the model says of itself, and its counts."""
    with RecordFile(out / NAME) as file:
        file.append({"model": dict(model), "statistics": dict(statistics)})


def read_statistics(out: Path) -> dict[str, Any]:
    """The counts of all sessions together; empty where there are none."""
    if not (out / NAME).exists():
        return {}
    total: dict[str, Any] = {}
    for row in read_rows(out / NAME).rows:
        _add(total, row.get("statistics", {}))
    return total


def _add(total: dict[str, Any], row: Mapping[str, Any]) -> None:
    """Adds numbers to numbers of the same name, lists to lists place by place; of texts the first stays."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            _add(total.setdefault(name, {}), value)
        elif isinstance(value, list):
            old = total.get(name, [])
            pairs = zip([*old, *[0] * (len(value) - len(old))], [*value, *[0] * (len(old) - len(value))], strict=True)
            total[name] = [one + other for one, other in pairs]
        elif isinstance(value, (int, float)):
            total[name] = total.get(name, 0) + value
        else:
            total.setdefault(name, value)
