"""Whether a run and a published figure were measured alike, field by field."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.published.entries import Decoding, Entry, Metric

if TYPE_CHECKING:
    from harness.published.measurement import Measurement

NOT_RECORDED = "not recorded"
NOT_PUBLISHED = "not published"


class State(StrEnum):
    """What is known of one field. Only `DIFFERENT` forbids a comparison; unknowns are named beside its answer."""

    SAME = "same"
    DIFFERENT = "different"
    ALLOWED_FOR = "allowed for"
    """Different or unknown, and the statistics count with it."""
    NOT_RECORDED = "not recorded"
    """The run does not say: its samples came from elsewhere."""
    NOT_PUBLISHED = "not published"


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of the protocol, as both sides have it."""

    name: str
    published: str
    ours: str
    state: State

    def to_json(self) -> dict[str, str]:
        return {"name": self.name, "published": self.published, "ours": self.ours, "state": self.state}


def compare_protocols(entry: Entry, ours: Measurement) -> tuple[Field, ...]:
    """Every field on which scores depend, of a published pass@k and of a run."""
    fields = [
        Field(name="metric", published=entry.metric_name, ours="pass@k", state=State.DIFFERENT)
        if entry.metric is not Metric.PASS_AT_K
        else _samples_field(entry, ours),
        _field("problem set", entry.task, ours.task),
        _field("problems", entry.num_problems, ours.num_problems),
        _field("preset", entry.preset, ours.conditions.preset),
        _decoding_field(entry, ours),
        _verdicts_field(ours),
    ]
    if ours.conditions.is_reference:
        fields.insert(0, Field(name="model", published=entry.model, ours="reference solutions", state=State.DIFFERENT))
    if Decoding.GREEDY not in (entry.decoding, ours.conditions.decoding):
        # A greedy side has neither; where only one side is greedy, the decoding itself is named.
        fields.append(_field("temperature", entry.temperature, ours.conditions.temperature))
        fields.append(_field("top-p", entry.top_p, ours.conditions.top_p))
    if entry.checker is not None or ours.conditions.checker is not None:
        fields.append(_field("checker", entry.checker, ours.conditions.checker))
    return tuple(fields)


def _field(name: str, published: object, ours: object) -> Field:
    if published is None:
        state = State.NOT_PUBLISHED
    elif ours is None:
        state = State.NOT_RECORDED
    else:
        state = State.SAME if published == ours else State.DIFFERENT
    return Field(
        name=name,
        published=NOT_PUBLISHED if published is None else str(published),
        ours=NOT_RECORDED if ours is None else str(ours),
        state=state,
    )


def _decoding_field(entry: Entry, ours: Measurement) -> Field:
    field = _field("decoding", entry.decoding, ours.conditions.decoding)
    if ours.conditions.decoding_is_inferred:
        inferred = f"{ours.conditions.decoding} (not recorded, but samples of a problem differ)"
        return Field(name="decoding", published=field.published, ours=inferred, state=field.state)
    return field


def _samples_field(entry: Entry, ours: Measurement) -> Field:
    """n may differ, for its noise is known; fewer than k do not give the figure at all."""
    published = f"{entry.num_samples or NOT_PUBLISHED} (pass@{entry.k})"
    fewest = ours.fewest_samples
    if entry.k is not None and fewest < entry.k:
        state = State.DIFFERENT
    elif entry.num_samples == fewest:
        state = State.SAME
    else:
        state = State.ALLOWED_FOR
    return Field(name="samples of each problem", published=published, ours=str(fewest), state=state)


def _verdicts_field(ours: Measurement) -> Field:
    lacking = ours.num_without_verdict
    text = f"{lacking} samples have none; type the command of the run again" if lacking else "complete"
    return Field(name="verdicts", published="complete", ours=text, state=State.DIFFERENT if lacking else State.SAME)
