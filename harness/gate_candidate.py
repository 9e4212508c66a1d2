"""What is gated: a run that is there, or a model that is asked for as much as the verdict takes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from harness.config import RunConfig, UsageError
from harness.gate_preflight import default_looks
from harness.gate_record import CANDIDATE, FRESH, FRESH_BASELINE
from harness.gate_run import MeasuredRun, grown, is_run, protocol_here
from harness.samples import samples_digest

MACHINE = ("data", "workers", "engine", "sandbox", "batch_size", "draft", "device", "dtype")
"""Choices that are this machine's, and not the baseline's."""


class Candidate(Protocol):
    """What can be gated."""

    @property
    def run(self) -> MeasuredRun | None:
        """What there is of it; None before anything is."""
        ...

    def identity(self, *, looks: bool) -> Mapping[str, Any]:
        """What makes it this candidate, as plain data; planned looks may find more samples of it the next time."""
        ...

    @property
    def protocol(self) -> Mapping[str, Any]:
        """How it is drawn and judged, known before any sample is."""
        ...

    @property
    def usual_looks(self) -> tuple[int, ...]:
        """Where none are named; none is one look at all there is."""
        ...

    @property
    def greedy(self) -> bool:
        """Whether a second sample of a problem would be the first one again."""
        ...

    def drawn(self, n: int) -> MeasuredRun | None:
        """A run with n samples of each problem or more; None where there are not so many."""
        ...

    def confirmation(self, n: int, baseline_n: int) -> tuple[MeasuredRun, MeasuredRun | None] | None:
        """Fresh samples of the candidate, and of the baseline where its model can still be asked; None if there are
        none to be had."""
        ...


class RecordedCandidate:
    """A run that somebody has finished.

    Args:
        run: of the candidate.
        fresh: another one with fresh samples of it, if there is one.

    Raises:
        UsageError: the samples of the second are not fresh, or not of the same model.
    """

    def __init__(self, run: MeasuredRun, fresh: MeasuredRun | None = None) -> None:
        self._run = run
        self._fresh = fresh
        if fresh is not None:
            _check_fresh(run, fresh)

    @property
    def run(self) -> MeasuredRun:
        return self._run

    def identity(self, *, looks: bool) -> Mapping[str, Any]:
        if looks:
            return {"created": self._run.record["created"], "model": self._run.config.model}
        return {"samples": self._run.samples_digest}

    @property
    def protocol(self) -> Mapping[str, Any]:
        return self._run.protocol

    @property
    def usual_looks(self) -> tuple[int, ...]:
        return ()

    @property
    def greedy(self) -> bool:
        return self._run.config.asks_a_model and not self._run.config.temperature

    def drawn(self, n: int) -> MeasuredRun | None:
        return self._run if self._run.fewest >= n else None

    def confirmation(self, n: int, baseline_n: int) -> tuple[MeasuredRun, None] | None:
        return None if self._fresh is None else (self._fresh, None)


class AskedCandidate:
    """A model: its samples are drawn as they are needed.

    Args:
        config: the baseline's, with the model and the seed of the candidate.
        baseline: whose model is asked again too where a FAIL is to be confirmed.
        out: the gate's directory.
        k: of pass@k.
    """

    def __init__(self, config: RunConfig, baseline: MeasuredRun, out: Path, k: int) -> None:
        self._config = config
        self._baseline = baseline
        self._out = out
        self._k = k
        self._run: MeasuredRun | None = None
        self._protocol: Mapping[str, Any] | None = None

    @property
    def run(self) -> MeasuredRun | None:
        return self._run

    def identity(self, *, looks: bool) -> Mapping[str, Any]:
        return {"model": self._config.model, "seed": self._config.seed}

    @property
    def protocol(self) -> Mapping[str, Any]:
        if self._protocol is None:
            self._protocol = protocol_here(self._config)
        return self._protocol

    @property
    def usual_looks(self) -> tuple[int, ...]:
        return (1,) if self.greedy else default_looks(self._k)

    @property
    def greedy(self) -> bool:
        return not self._config.temperature

    def drawn(self, n: int) -> MeasuredRun:
        if self._run is None or self._run.fewest < n:
            self._run = grown(self._config, self._out / CANDIDATE, n)
        return self._run

    def confirmation(self, n: int, baseline_n: int) -> tuple[MeasuredRun, MeasuredRun | None]:
        seeds = (seed for seed in itertools.count(self._config.seed + 1) if seed != self._baseline.seed)
        config = replace(self._config, seed=next(seeds))
        theirs = None
        # The baseline first: where only the candidate's fresh samples are found, the baseline's could not be had.
        if is_run(str(self._out / FRESH_BASELINE)) or (
            not is_run(str(self._out / FRESH)) and self._baseline_can_be_asked()
        ):
            again = replace(self._baseline.config, seed=next(seeds), ks=(self._k,), **self._machine())
            theirs = grown(replace(again, n_samples=baseline_n), self._out / FRESH_BASELINE, baseline_n)
        return grown(config, self._out / FRESH, n), theirs

    def _baseline_can_be_asked(self) -> bool:
        """Whether the very model that wrote the baseline's samples is still there."""
        from harness.generation import open_backend
        from models.backend import ModelUnavailable

        config = replace(self._baseline.config, **self._machine())
        if not config.model_digest:
            return False  # a server may have changed its model since
        try:
            with closing(open_backend(config)) as backend:
                return bool(backend.facts()["digest"] == config.model_digest)
        except (ModelUnavailable, UsageError):
            return False

    def _machine(self) -> dict[str, Any]:
        return {name: getattr(self._config, name) for name in MACHINE}


def asked_config(
    baseline: MeasuredRun, model: str, *, k: int, seed: int | None, machine: Mapping[str, Any]
) -> RunConfig:
    """The baseline's configuration, for another model.

    Args:
        baseline: how samples are drawn and judged.
        model: as in `RunConfig`.
        k: of pass@k.
        seed: of the samples; None for the one after the baseline's.
        machine: choices named in `MACHINE`.

    Raises:
        UsageError: the baseline does not say how its samples were drawn, or the seed is the baseline's.
    """
    config = baseline.config
    if not config.asks_a_model:
        raise UsageError(
            f"the samples of {baseline.path} come from {config.model!r}, and how they were drawn is not known, so "
            f"{model} cannot be asked in the same way; draw the baseline's with `run --model`, or name a run of "
            f"samples as the candidate"
        )
    if seed == config.seed:
        raise UsageError(
            f"--seed {seed} is the baseline's: an unchanged model would write the baseline's own samples; type another"
        )
    chosen = config.seed + 1 if seed is None else seed
    return replace(config, model=model, model_digest="", seed=chosen, n_samples=1, ks=(k,), **machine)


def file_config(baseline: MeasuredRun, model: str, *, k: int, subset: bool, machine: Mapping[str, Any]) -> RunConfig:
    """The configuration that judges a samples file, or the references, as the baseline was judged.

    Raises:
        harness.samples.SampleFileError: the file cannot be read.
    """
    digest = samples_digest(Path(model.removeprefix("samples:"))) if model.startswith("samples:") else ""
    ours = {name: value for name, value in machine.items() if name in ("data", "workers", "engine", "sandbox")}
    config = replace(baseline.config, model=model, model_digest=digest, n_samples=1, temperature=0.0, seed=0, ks=(k,))
    return replace(config, subset=config.subset or subset, **ours)


def usual_out(task: str, model: str) -> Path:
    """Where a gate of a model is kept if nobody says where."""
    name = Path(model.removeprefix("samples:")).name.split(".")[0] if model.startswith("samples:") else model
    return Path("runs") / f"gate-{task}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-.')}"


def _check_fresh(run: MeasuredRun, fresh: MeasuredRun) -> None:
    """A confirmation by samples that have already been seen would confirm anything."""
    if run.config.model_digest != fresh.config.model_digest and run.config.asks_a_model:
        raise UsageError(f"{fresh.path} is of another model than {run.path}; draw fresh samples of the same one")
    drawn = {(key[0], sample.seed) for key, sample in run.samples.items() if sample.seed is not None}
    again = sum((key[0], sample.seed) in drawn for key, sample in fresh.samples.items())
    if again or run.samples_digest == fresh.samples_digest:
        raise UsageError(
            f"{fresh.path} holds samples that {run.path} holds too; fresh ones are drawn with another --seed"
        )
