"""A run as the gate sees it: the first n samples of each problem, judged; and how a model's run grows look by look."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import pipeline
from harness.config import WHAT_MAY_CHANGE, RunConfig, UsageError, protocol
from harness.records import Grade, Key, Sample, encode_row, read_grades, read_samples, write_atomic
from harness.rundir import read_run
from sandbox.packages import resolve

if TYPE_CHECKING:
    from harness.stats import Counts


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeasuredRun:
    """A run directory with what it holds."""

    path: Path
    record: Mapping[str, Any]
    """The content of run.json."""
    samples: Mapping[Key, Sample]
    grades: Mapping[Key, Grade]
    indices: Mapping[str, tuple[int, ...]]
    """task_id -> the samples that were asked for, by their index, in the order they count in."""

    @property
    def config(self) -> RunConfig:
        return RunConfig.from_json(self.record["config"])

    @property
    def fewest(self) -> int:
        """Samples asked for of the problem that has fewest."""
        return min(map(len, self.indices.values()))

    @property
    def seed(self) -> int | None:
        """None where the samples come from a file, which does not say it."""
        return self.config.seed if self.config.asks_a_model else None

    @property
    def samples_digest(self) -> str:
        """sha256 over the samples in the order of their keys."""
        rows = (encode_row(self.samples[key].to_row()) for key in sorted(self.samples))
        return hashlib.sha256(b"".join(rows)).hexdigest()

    @property
    def protocol(self) -> dict[str, Any]:
        """What must be the same of two runs that are compared: how samples were judged, and how they were drawn."""
        return comparable(self.record["protocol"], self.config)

    def counts(self, n: int | None = None) -> Counts:
        """Those of the first n samples of each problem; None for all."""
        from harness.stats import Counts

        first = {task_id: indices[:n] for task_id, indices in self.indices.items()}
        keys = [(task_id, index) for task_id, indices in first.items() for index in indices]
        grades = [self.grades[key] for key in keys if key in self.grades]
        asked = {task_id: len(indices) for task_id, indices in first.items()}
        return Counts.from_grades(grades, asked, self.protocol)


def is_run(text: str) -> bool:
    """Whether a candidate is a run directory; everything else is the name of a model."""
    return os.path.exists(Path(text) / "run.json")


def read_measured(path: Path) -> MeasuredRun:
    """The run in a directory.

    Raises:
        UsageError: there is none, it has no samples yet, or its records are damaged.
    """
    record = read_run(path)
    try:
        samples, grades = read_samples(path), read_grades(path)
    except ValueError as error:
        raise UsageError(str(error)) from error
    indices: dict[str, set[int]] = {task_id: set(range(n)) for task_id, n in record.get("expected", {}).items()}
    for task_id, index in samples:
        indices.setdefault(task_id, set()).add(index)
    if not indices:
        raise UsageError(f"{path} has no samples yet; type the run's command again to draw them")
    return MeasuredRun(
        path=path,
        record=record,
        samples=samples,
        grades={key: grade for key, grade in grades.items() if key in samples},
        indices={task_id: tuple(sorted(found)) for task_id, found in indices.items()},
    )


def comparable(judging: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    """A run's protocol with how its samples are drawn; without the latter where they come from a file."""
    if not config.asks_a_model:
        return dict(judging)
    sampling: dict[str, Any] = {"temperature": config.temperature, "max_new_tokens": config.max_new_tokens}
    if config.temperature:
        sampling |= {"top_p": config.top_p, "top_k": config.top_k}
    return {**judging, "sampling": sampling}


def protocol_here(config: RunConfig) -> dict[str, Any]:
    """The protocol that a run of this configuration would have on this machine.

    Raises:
        UsageError: the configuration cannot be run (see `pipeline.plan_job`).
        tasks.data.DatasetUnavailable: the task's data cannot be had.
    """
    job = pipeline.plan_job(replace(config, ks=()))  # whether there are enough samples is not the question
    versions = resolve(config.packages).versions
    judging = protocol(config, job.task, list(job.problems.values()), platform.python_version(), versions)
    return comparable(judging, config)


def grown(config: RunConfig, out: Path, n: int) -> MeasuredRun:
    """The run of a model in `out` with n samples of each problem or more, judged as far as that can be done now.

    A run that has fewer is extended: a sample depends on its seed, problem and index, not on how many there are. The
    model is opened even where nothing is missing, because only so it is seen whether it is still the same.

    Raises:
        UsageError: `out` holds another run, or as `pipeline.run`.
        models.backend.ModelUnavailable: the model cannot be asked.
    """
    if is_run(str(out)):
        before = RunConfig.from_json(read_run(out)["config"])
        n = max(n, before.n_samples)
        if before.n_samples < n and _asks_the_same(before, config):
            _extend(out, n)
    pipeline.run(replace(config, n_samples=n), out)
    return read_measured(out)


def _asks_the_same(before: RunConfig, now: RunConfig) -> bool:
    """Whether only the number of samples differs, as far as that is known before the model is opened."""
    free = {name: getattr(before, name) for name in WHAT_MAY_CHANGE}
    return replace(before, model_digest="", n_samples=1) == replace(now, model_digest="", n_samples=1, **free)


def _extend(out: Path, n: int) -> None:
    record = read_run(out)
    record["config"]["n_samples"] = n
    record["expected"] = dict.fromkeys(record.get("expected", {}), n)
    write_atomic(out / "run.json", json.dumps(record, indent=2) + "\n")
