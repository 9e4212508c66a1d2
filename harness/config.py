"""One run's choices: checked once, written to run.json before anything else, compared on resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from harness import grade
from sandbox.program import Limits
from tasks.catalog import load_task
from tasks.problem import Preset, Problem, Task

DEFAULT_KS = (1, 10, 100)
"""Those of them that the number of samples allows are reported where no k is asked for."""


_MOST = {"workers": 10_000, "cpu_s": 86_400, "cpu_factor": 1_000, "memory_bytes": 1 << 46}
"""Beyond these the kernel refuses the limit, and would let no program start."""


class UsageError(ValueError):
    """What the user asked for cannot be done; the message says what came, what is accepted and what to type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Everything that decides a run. Field by field what `run.json` holds under `config`."""

    task: str = "humaneval"
    preset: str = "codex"
    """How problems are put to the model; where none is asked for, the task's first."""
    split: str = ""
    """Which part of the data, for tasks that have parts; empty for the task's default."""
    challenge: bool = False
    """Whether MBPP's challenge tests are run too."""
    checker: str = ""
    """Which of APPS' two checkers makes the verdict; empty for the task's default."""
    data: tuple[tuple[str, str], ...] = ()
    """(data set, path) of data to take from a place of the user's choice."""
    model: str = "reference"
    """`reference` for the dataset's own solutions, `samples:PATH` for a file of samples, or one of
    `models.catalog.MODELS`."""
    model_digest: str = ""
    """sha256 of the samples file or of the model's weights; empty where there is none to be seen."""
    n_samples: int = 1
    """Of each problem, where a model is asked."""
    temperature: float = 0.0
    top_p: float = 0.95
    """Only the most probable tokens that together have this probability; of no account at temperature 0."""
    top_k: int = 0
    max_new_tokens: int = 512
    seed: int = 0
    batch_size: int = 32
    """Texts written at once, or requests in flight to a server."""
    draft: str = "auto"
    """Tokens verified in one step of speculative decoding: a number, or `auto`."""
    device: str = "auto"
    dtype: str = "auto"
    limit: int | None = None
    """Only the first so many problems."""
    subset: bool = False
    """Only the problems that the samples file has samples for."""
    packages: str = "stdlib"
    cpu_s: float = 0.25
    """Least processor seconds a program may use; the slowest of 3,627 right samples of a 16B model took a twentieth."""
    cpu_factor: float = 20.0
    """A program may use this many times the reference's processor seconds, where that is more than `cpu_s`."""
    memory_bytes: int = 1 << 30
    ks: tuple[int, ...] = ()
    """The k of pass@k; empty for those of `DEFAULT_KS` that the number of samples allows."""
    workers: int = 1
    engine: str = "local"
    sandbox: str = "auto"

    def __post_init__(self) -> None:
        for k in self.ks:
            if k < 1:
                raise UsageError(f"k must be 1 or more, not {k}")
        for name, most in _MOST.items():
            if not 0 < getattr(self, name) <= most:  # put so that it refuses NaN too
                raise UsageError(f"{name} must be more than 0 and at most {most:,}, not {getattr(self, name)}")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit takes 1 or more problems, not {self.limit}")
        if self.n_samples < 1:
            raise UsageError(f"--n-samples must be 1 or more, not {self.n_samples}")
        if self.n_samples > 1 and not self.temperature:
            raise UsageError(
                f"{self.n_samples} samples at temperature 0 would all be the same; type -n 1 or --temperature 0.8"
            )

    @property
    def asks_a_model(self) -> bool:
        """Whether samples are to be generated: neither the task's own solutions nor a file of samples."""
        return self.model != "reference" and not self.model.startswith("samples:")

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "ks": list(self.ks), "data": dict(self.data)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> RunConfig:
        """The inverse of `to_json`; keys it does not know are ignored, so that older code reads newer runs."""
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in row.items() if name in known}
        data = tuple(values.get("data", {}).items())
        return cls(**{**values, "ks": tuple(values.get("ks", ())), "data": data})

    def load_task(self) -> Task:
        """The task with the choices that were made for it.

        Raises:
            UsageError: the task does not have one of them, or does not accept its value.
        """
        choices = {"split": self.split, "challenge": self.challenge, "checker": self.checker}
        try:
            return load_task(self.task, overrides=dict(self.data), **choices)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def limits_for(self, reference_cpu_s: float, least_cpu_s: float = 0.0) -> Limits:
        """The limits of the samples of a problem.

        Args:
            reference_cpu_s: processor seconds of its reference; 0 where there is none.
            least_cpu_s: what the task allows every program (see `tasks.problem.Task`).
        """
        cpu_s = max(self.cpu_s, self.cpu_factor * reference_cpu_s, least_cpu_s)
        return Limits(
            cpu_s=round(cpu_s, 3),
            idle_s=max(3.0, round(cpu_s, 3)),
            wall_s=max(60.0, round(10 * cpu_s, 3)),
            memory_bytes=self.memory_bytes,
        )


WHAT_MAY_CHANGE = ("ks", "workers", "engine", "sandbox", "data", "batch_size", "draft")
"""Choices that a resumed run may make anew, because no sample and no verdict depends on them. Of data it is the content
that counts, which is in the protocol, not the place."""


def protocol(
    config: RunConfig, task: Task, problems: Sequence[Problem], python: str, packages: Mapping[str, str]
) -> dict[str, Any]:
    """What makes two scores comparable, and a hash of it. Scores under different hashes are different measurements."""
    preset = find_preset(task, config.preset)
    body: dict[str, Any] = {
        "task": task.name,
        "task_version": task.version,
        "data": task.data_digests(),
        "problems": hashlib.sha256("".join(problem.digest for problem in problems).encode()).hexdigest(),
        "num_problems": len(problems),
        "excluded": dict(task.excluded),
        "choices": {"split": config.split, "challenge": config.challenge, "checker": config.checker},
        "preset": {"name": preset.name, "stops": list(preset.stops)},
        "grader_version": grade.VERSION,
        "limits": {
            "cpu_s": config.cpu_s,
            "cpu_factor": config.cpu_factor,
            "least_cpu_s": task.least_cpu_s,
            "memory_bytes": config.memory_bytes,
        },
        "packages": {"policy": config.packages, "versions": dict(packages)},
        "python": ".".join(python.split(".")[:2]),
    }
    return {**body, "hash": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]}


def find_preset(task: Task, name: str) -> Preset:
    """The preset called `name`.

    Raises:
        UsageError: the task has no such preset.
    """
    for preset in task.presets:
        if preset.name == name:
            return preset
    accepted = ", ".join(preset.name for preset in task.presets)
    raise UsageError(f"{task.name} has no prompt preset {name!r}; accepted: {accepted}")


def differences(before: Any, after: Any, name: str = "") -> list[str]:
    """Where two plain values differ, one line per field."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = dict.fromkeys([*before, *after])
        return [
            line for key in keys for line in differences(before.get(key), after.get(key), f"{name}.{key}".strip("."))
        ]
    return [] if before == after else [f"{name}: {before!r} before, {after!r} now"]
