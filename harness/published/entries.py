"""Published figures: what a source printed, and what it says of how the figure was measured."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from importlib import resources
from typing import Any


class Decoding(StrEnum):
    """How the tokens were chosen."""

    GREEDY = "greedy"
    SAMPLED = "sampled"


class Certainty(StrEnum):
    """How sure the figure and what is said of its protocol are."""

    TWO_SOURCES = "two sources"
    """Two texts agree."""
    ONE_SOURCE = "one source"
    SECONDARY = "secondary"
    """Read in a table of somebody else than those who measured it."""


class Metric(StrEnum):
    """What a figure counts."""

    PASS_AT_K = "pass@k"
    """Percent."""
    SPEEDUP = "speedup"
    """Tokens per second over those of plain decoding."""
    TOKENS_PER_FORWARD = "tokens per forward"
    TRAINING_TIME = "training time"
    """Relative to next-token training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a figure was read."""

    name: str
    title: str
    arxiv: str | None
    url: str | None

    @property
    def address(self) -> str:
        return self.url or f"https://arxiv.org/abs/{self.arxiv}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One published figure. None wherever the source does not say."""

    id: str
    """`TABLE/ROW/COLUMN`, unique."""
    model: str
    task: str
    """As results.json names it, or the text that a speed was measured on."""
    metric: Metric
    k: int | None
    """The k of pass@k."""
    value: Decimal
    """With the decimals that the source prints; percent for pass@k, else a ratio."""
    num_problems: int | None
    num_samples: int | None
    """Per problem."""
    decoding: Decoding | None
    temperature: float | None
    top_p: float | None
    preset: str | None
    """How problems were put to the model, by our names where it is one of ours."""
    checker: str | None
    selected_from: int
    """The figure is the best of at least so many settings, chosen by this very score; 1: it was not chosen."""
    source: Source
    place: str
    certainty: Certainty
    note: str

    @property
    def metric_name(self) -> str:
        """`pass@10`, or the metric's own name."""
        return self.metric.value if self.k is None else f"pass@{self.k}"

    @property
    def fraction(self) -> float:
        """A pass@k between 0 and 1."""
        return float(self.value) / 100

    @property
    def unit(self) -> float:
        """The step of the last decimal that is printed, as a fraction: 0.001 for 50.3 percent."""
        exponent = self.value.as_tuple().exponent
        assert isinstance(exponent, int)
        return float(10.0**exponent) / 100

    def to_json(self) -> dict[str, Any]:
        """As plain data; the value is text, because its decimals count."""
        return {
            "id": self.id,
            "model": self.model,
            "task": self.task,
            "metric": self.metric_name,
            "value": str(self.value),
            "unit": "percent" if self.metric is Metric.PASS_AT_K else "ratio",
            "problems": self.num_problems,
            "samples": self.num_samples,
            "decoding": self.decoding,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "preset": self.preset,
            "checker": self.checker,
            "selected_from": self.selected_from,
            "source": self.source.title,
            "arxiv": self.source.arxiv,
            "address": self.source.address,
            "place": self.place,
            "certainty": self.certainty,
            "note": self.note,
        }


@functools.cache
def load_entries() -> tuple[Entry, ...]:
    """Every figure of the table that comes with this package, in its order."""
    return parse_entries((resources.files(__package__) / "numbers.toml").read_text(encoding="utf-8"))


def select(
    entries: Iterable[Entry], *, model: str = "", task: str = "", metric: str = "", source: str = ""
) -> list[Entry]:
    """The figures that meet every condition; an empty one is met by all.

    Args:
        entries: in the order in which they come back.
        model: part of the model's name or of the id, in any case.
        task: a task's name; `mbpp+` finds `mbpp+ (base)` too.
        metric: `pass@10`, `pass@k` for every k, or another metric's name.
        source: part of the source's title, place, address or arXiv id, in any case.
    """
    return [
        entry
        for entry in entries
        if model.lower() in f"{entry.model} {entry.id}".lower()
        and task.lower() in ("", entry.task, entry.task.removesuffix(" (base)"))
        and metric.lower() in ("", entry.metric_name, entry.metric.value)
        and source.lower() in f"{entry.source.title} {entry.place} {entry.source.address} {entry.source.arxiv}".lower()
    ]


def find(entries: Iterable[Entry], id: str) -> list[Entry]:
    """The figure with this id, or all figures below it: `codet/CodeGen-Mono-16B` is two; in any case of letters."""
    wanted = id.lower().rstrip("/")
    return [entry for entry in entries if f"{entry.id.lower()}/".startswith(f"{wanted}/")]


# ---------------------------------------------------------------------------------------------------------------------
# The file
# ---------------------------------------------------------------------------------------------------------------------

ABSENT = "-"
"""A cell that the source leaves empty."""

_NEEDED = frozenset({"name", "source", "place", "certainty", "columns", "rows"})
_ALLOWED = _NEEDED | {"model", "note", "problems", "decoding", "samples", "temperature", "temperature_by_column"}
_KEYS = _ALLOWED | {"temperature_by_row", "top_p", "preset", "checker", "selected_from"}


def parse_entries(text: str) -> tuple[Entry, ...]:
    """The figures in a text of the form that `numbers.toml` describes.

    Raises:
        ValueError: it is not of that form, or two figures have one id; the message names the table.
    """
    content = tomllib.loads(text, parse_float=Decimal)
    sources = {name: _source(name, row) for name, row in content["source"].items()}
    entries = tuple(entry for table in content["table"] for entry in _table_entries(table, sources))
    seen: set[str] = set()
    for entry in entries:
        if entry.id.lower() in seen:
            raise ValueError(f"two figures have the id {entry.id!r}")
        seen.add(entry.id.lower())
    return entries


def _source(name: str, row: Mapping[str, Any]) -> Source:
    source = Source(name=name, title=row["title"], arxiv=row.get("arxiv"), url=row.get("url"))
    if source.arxiv is None and source.url is None:
        raise ValueError(f"source {name!r} has neither arxiv nor url")
    return source


def _table_entries(table: Mapping[str, Any], sources: Mapping[str, Source]) -> Iterator[Entry]:
    name = table.get("name", "?")
    if _NEEDED - table.keys() or table.keys() - _KEYS:
        raise ValueError(
            f"table {name!r} lacks {sorted(_NEEDED - table.keys())}, unknown {sorted(table.keys() - _KEYS)}"
        )
    if table["source"] not in sources:
        raise ValueError(f"table {name!r} has the unknown source {table['source']!r}")
    for row, cells in table["rows"].items():
        if len(cells) != len(table["columns"]):
            raise ValueError(f"table {name!r}: row {row!r} has {len(cells)} cells for {len(table['columns'])} columns")
        for position, cell in enumerate(cells):
            if cell != ABSENT:
                yield _entry(table, sources[table["source"]], row, position, cell)


def _entry(table: Mapping[str, Any], source: Source, row: str, position: int, value: Any) -> Entry:
    column = table["columns"][position]
    task, metric, k = _column(column)
    if not isinstance(value, Decimal):
        raise ValueError(f"table {table['name']!r}: {value!r} in row {row!r} must be written with its decimals")
    decoding = Decoding(table["decoding"]) if "decoding" in table else None
    return Entry(
        id=f"{table['name']}/{row}/{column}",
        model=f"{table.get('model', '')} {row}".strip(),
        task=task,
        metric=metric,
        k=k,
        value=value,
        num_problems=table.get("problems", {}).get(task),
        num_samples=1 if decoding is Decoding.GREEDY and metric is Metric.PASS_AT_K else table.get("samples"),
        decoding=decoding,
        temperature=_temperature(table, row, position),
        top_p=_number(table.get("top_p")),
        preset=table.get("preset"),
        checker=table.get("checker"),
        selected_from=table.get("selected_from", 1),
        source=source,
        place=table["place"],
        certainty=Certainty(table["certainty"]),
        note=table.get("note", ""),
    )


def _column(text: str) -> tuple[str, Metric, int | None]:
    """Task, metric and k of a column's heading."""
    scored = re.fullmatch(r"(.+)@([1-9]\d*)", text)
    if scored:
        return scored[1], Metric.PASS_AT_K, int(scored[2])
    task, _, metric = text.partition(": ")
    return task, Metric(metric), None


def _temperature(table: Mapping[str, Any], row: str, position: int) -> float | None:
    if "temperature_by_row" in table:
        return _number(table["temperature_by_row"][row][position])
    by_column = table.get("temperature_by_column", {})
    return _number(by_column.get(table["columns"][position], table.get("temperature")))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
