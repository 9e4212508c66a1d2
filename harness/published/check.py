"""A run beside one published figure: comparable at all, explained by noise, shown to be equal?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.published.entries import Decoding, Entry
from harness.published.measurement import Measurement
from harness.published.protocol import Field, State, compare_protocols
from harness.stats.published import MARGIN, Consistency, Reproduction, compare_to_published


class Verdict(StrEnum):
    """The answer in a word or two."""

    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    NOT_COMPARABLE = "not comparable"
    """Measured in unlike ways, so that no test means anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A run beside one figure; no `result` where the two were not measured alike."""

    entry: Entry
    fields: tuple[Field, ...]
    result: Reproduction | None

    @property
    def different(self) -> list[Field]:
        """The fields that forbid the comparison."""
        return [field for field in self.fields if field.state is State.DIFFERENT]

    @property
    def verdict(self) -> Verdict:
        if self.result is None:
            return Verdict.NOT_COMPARABLE
        consistent = self.result.consistency is Consistency.CONSISTENT
        return Verdict.CONSISTENT if consistent else Verdict.INCONSISTENT

    def to_json(self) -> dict[str, Any]:
        """As plain data; scores are fractions."""
        return {
            "entry": self.entry.to_json(),
            "verdict": self.verdict,
            "different": [field.name for field in self.different],
            "fields": [field.to_json() for field in self.fields],
            "equality": self.result.equality if self.result else None,
            "result": self.result and _result_json(self.result),
        }


def check_figure(entry: Entry, ours: Measurement, *, margin: float = MARGIN) -> Check:
    """Compares the protocols, and where they allow it the scores."""
    fields = compare_protocols(entry, ours)
    if any(field.state is State.DIFFERENT for field in fields):
        return Check(entry=entry, fields=fields, result=None)
    assert entry.k is not None
    result = compare_to_published(
        ours.counts.n,
        ours.counts.c,
        entry.k,
        entry.fraction,
        unit=entry.unit,
        n_published=entry.num_samples,
        selected_from=entry.selected_from,
        greedy=entry.decoding is Decoding.GREEDY,
        margin=margin,
    )
    return Check(entry=entry, fields=fields, result=result)


def _result_json(result: Reproduction) -> dict[str, Any]:
    return {
        "ours": result.ours,
        "published": result.published,
        "samples": result.num_samples,
        "difference": result.ours - result.published,
        "faithful_run": [result.low, result.high],
        "level": result.level,
        "p_value": result.p_value,
        "method": result.method,
        "se_ours": result.se_ours,
        "se_published": result.se_published,
        "selection": result.selection,
        "margin": result.margin,
        "gap": [result.gap_low, result.gap_high],
        "needed_n": result.needed_n,
    }
