"""What a run directory says of each score in it: the counts, and the conditions as far as they are recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.config import UsageError
from harness.published.entries import Decoding
from harness.records import Grade, Key, Sample, read_grades, read_samples
from harness.rundir import read_run
from harness.stats import Counts

REFERENCE = "reference"
SAMPLES = "samples:"
"""Models, as run.json names them, that are no model of ours: how their answers came about is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """How a run was made. None where it does not say: samples that came from elsewhere do not tell."""

    preset: str | None
    decoding: Decoding | None
    decoding_is_inferred: bool
    """It is not recorded, and follows from samples of one problem that are not alike."""
    temperature: float | None
    top_p: float | None
    checker: str | None
    """Which of APPS' checkers made the verdicts."""
    is_reference: bool
    """The dataset's own solutions were judged, and no model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One score of a run: what was counted on which problems under which conditions."""

    task: str
    """As results.json names it, with the part of the data behind it where that is not the default."""
    counts: Counts
    conditions: Conditions

    @property
    def num_problems(self) -> int:
        return len(self.counts.task_id)

    @property
    def fewest_samples(self) -> int:
        """Judged samples of the problem that has fewest."""
        return int(self.counts.n.min())

    @property
    def num_without_verdict(self) -> int:
        return self.counts.num_unjudged + self.counts.num_missing


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """What the user says of how samples were drawn, where the run does not."""

    temperature: float | None = None
    """0 is greedy."""
    top_p: float | None = None


def read_measurements(path: Path, declared: Declared | None = None) -> list[Measurement]:
    """The scores of a run: one, or with and without the further cases of EvalPlus.

    Raises:
        UsageError: there is no run, it has no samples, its records are damaged, or `declared` contradicts it.
    """
    run = read_run(path)
    try:
        samples, grades = read_samples(path), read_grades(path)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not samples:
        raise UsageError(f"{path} has no samples yet; type the command of the run again")
    expected = Counter(task_id for task_id, _ in samples)
    judged = [grade for key, grade in grades.items() if key in samples]
    task, conditions = _task_name(run["protocol"]), _conditions(run, samples, declared or Declared())

    def measurement(name: str, grades: Iterable[Grade]) -> Measurement:
        return Measurement(task=name, counts=Counts.from_grades(grades, expected), conditions=conditions)

    measured = [measurement(task, judged)]
    if any(grade.base is not None for grade in judged):
        measured.append(measurement(f"{task} (base)", map(_by_base, judged)))
    return measured


def _by_base(grade: Grade) -> Grade:
    """The same sample as if there were the base cases alone."""
    return grade if grade.base is None else replace(grade, verdict=grade.base)


def _task_name(protocol: Mapping[str, Any]) -> str:
    choices = protocol.get("choices", {})
    marks = [choices["split"]] if choices.get("split", "") not in ("", "test") else []
    marks += ["challenge tests"] if choices.get("challenge") else []
    return f"{protocol['task']} ({', '.join(marks)})" if marks else str(protocol["task"])


def _conditions(run: Mapping[str, Any], samples: Mapping[Key, Sample], declared: Declared) -> Conditions:
    protocol, model = run["protocol"], str(run["config"].get("model", ""))
    temperature = _sampling(run, model, "temperature", declared.temperature)
    inferred = temperature is None and _differ(samples.values())
    # Samples that bring their own prompts were not made with the preset that judges them.
    own_prompts = model.startswith(SAMPLES) and any(sample.prompt is not None for sample in samples.values())
    return Conditions(
        preset=None if own_prompts else protocol.get("preset", {}).get("name"),
        decoding=Decoding.SAMPLED if inferred else _decoding(temperature),
        decoding_is_inferred=inferred,
        temperature=temperature,
        top_p=_sampling(run, model, "top_p", declared.top_p),
        checker=protocol.get("choices", {}).get("checker") or None,
        is_reference=model == REFERENCE,
    )


def _decoding(temperature: float | None) -> Decoding | None:
    if temperature is None:
        return None
    return Decoding.SAMPLED if temperature > 0 else Decoding.GREEDY


def _sampling(run: Mapping[str, Any], model: str, name: str, declared: float | None) -> float | None:
    """One number of how tokens were chosen: as recorded, where a model of ours was asked, or as declared.

    Raises:
        UsageError: the two contradict each other.
    """
    recorded = None
    if model != REFERENCE and not model.startswith(SAMPLES):
        # A run on other people's samples may record numbers too, but they are defaults that nobody sampled with.
        recorded = run["protocol"].get("sampling", {}).get(name, run["config"].get(name))
    if recorded is not None and declared is not None and recorded != declared:
        raise UsageError(f"the run records {name} {recorded}, not {declared}; leave it out to take what is recorded")
    return recorded if declared is None else declared


def _differ(samples: Iterable[Sample]) -> bool:
    """Whether some problem has samples that are not alike, as greedy decoding would have made them."""
    first: dict[str, str] = {}
    return any(first.setdefault(sample.task_id, sample.completion) != sample.completion for sample in samples)
