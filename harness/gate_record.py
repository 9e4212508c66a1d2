"""gate.json: the question a gate was asked, and all that led to its answer.

The question is on the disk before any sample is drawn, so that it is not chosen by what the samples say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.config import UsageError, differences
from harness.gate_run import MeasuredRun
from harness.records import write_atomic
from harness.stats.gate import Decision, GateChances, GatePlan, GateResult

SCHEMA = "mtp-harness/gate/1"
NAME = "gate.json"
JUNIT = "gate.junit.xml"
CANDIDATE, FRESH, FRESH_BASELINE = "candidate", "confirm-candidate", "confirm-baseline"
"""The run directories that a gate makes below its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateSide:
    """What identifies a run: the baseline's stays the same from gate to gate."""

    run: str
    """The directory."""
    model: str
    model_digest: str
    """Empty where it cannot be seen."""
    seed: int | None
    n: int
    """Samples of the problem that has fewest."""
    protocol_hash: str
    samples_digest: str
    """sha256 of the samples; the first 12 digits are shown."""
    unjudged: int
    missing: int

    @classmethod
    def of(cls, run: MeasuredRun) -> GateSide:
        counts = run.counts()
        return cls(
            run=str(run.path),
            model=run.config.model,
            model_digest=run.config.model_digest,
            seed=run.seed,
            n=run.fewest,
            protocol_hash=str(run.record["protocol"].get("hash", "")),
            samples_digest=run.samples_digest,
            unjudged=counts.num_unjudged,
            missing=counts.num_missing,
        )

    @property
    def identity(self) -> str:
        """One line for people."""
        return f"protocol {self.protocol_hash}, samples {self.samples_digest[:12]}, n={self.n}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Preflight:
    """What is known before the gate begins."""

    chances: GateChances
    """Of a checkpoint that has not changed, before any confirmation."""
    false_fail: float
    """The chance that such a checkpoint fails in the end."""
    how: str
    """Which samples are looked at, and why so."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirming:
    """The fresh samples that a FAIL was put to."""

    candidate: GateSide
    baseline: GateSide
    """The pinned one where its model cannot be asked again."""
    fresh_baseline: bool
    difference: float
    lower: float
    upper: float


@dataclass(frozen=True, kw_only=True, slots=True)
class GateRecord:
    """One gate, from the question to the answer."""

    task: str
    question: Mapping[str, Any]
    """All that the answer depends on, as plain data; another question in the same directory is refused."""
    plan: GatePlan
    baseline: GateSide
    preflight: Preflight | None
    """None where the baseline is of no use."""
    candidate: GateSide | None = None
    """None before it has samples."""
    looks: tuple[GateResult, ...] = ()
    """The result of each, before any confirmation."""
    confirming: Confirming | None = None
    result: GateResult | None = None
    """The answer; None where there is none yet."""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The content of gate.json; numbers that do not exist are null, scores are fractions."""
        result = self.result
        row = {
            "schema": SCHEMA,
            "decision": result.decision.value if result else None,
            "exit_code": result.decision.exit_code if result else None,
            "reason": result.reason if result else "",
            "task": self.task,
            "question": dict(self.question),
            "plan": asdict(self.plan),
            "baseline": asdict(self.baseline),
            "candidate": asdict(self.candidate) if self.candidate else None,
            "preflight": asdict(self.preflight) if self.preflight else None,
            "looks": [_without_plan(look) for look in self.looks],
            "confirmation": asdict(self.confirming) if self.confirming else None,
            "result": _without_plan(result) if result else None,
            "notes": list(self.notes),
        }
        return plain(row)  # type: ignore[no-any-return]  # a dictionary stays one


def open_question(out: Path, question: Mapping[str, Any]) -> None:
    """Looks whether the directory is free for this question.

    Raises:
        UsageError: it holds the answer to another one.
    """
    path = out / NAME
    if not path.exists():
        return
    try:
        old = json.loads(path.read_text())
        asked, decision = old["question"], old["decision"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error}); name another directory with --out, or add --fresh") from error
    changed = differences(asked, plain(question))
    answered = decision not in (None, Decision.INVALID) or (out / CANDIDATE / "run.json").exists()
    if changed and answered:
        listed = "\n  ".join(changed)
        raise UsageError(
            f"{path} holds a gate that was asked something else:\n  {listed}\n"
            f"An answer that is sought until it pleases errs more often than alpha says. If these are two questions, "
            f"name another directory with --out; add --fresh to throw the old gate away."
        )


def write_record(out: Path, record: GateRecord) -> None:
    """Writes gate.json, whole or not at all.

    Raises:
        UsageError: the directory cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / NAME, json.dumps(record.to_json(), indent=2, allow_nan=False) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror}; name another directory with --out") from error


def _without_plan(result: GateResult) -> dict[str, Any]:
    row = asdict(result)
    del row["plan"]  # once for all looks
    return row


def plain(value: Any) -> Any:
    """A value as JSON would give it back: lists for tuples, texts for enums, null for numbers that are none."""
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.value if isinstance(value, StrEnum) else value
