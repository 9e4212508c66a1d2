"""The same programs judged here and by EvalPlus: whether both say the same, and how long each takes."""

from __future__ import annotations

import collections
import contextlib
import gzip
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from harness import own_root
from harness.config import RunConfig
from harness.engine import Batch, Engine, LocalEngine
from harness.grade import Judge, Plan, make_plan
from harness.mutants import mutate
from harness.pipeline import BATCH, REFERENCE_LIMITS
from harness.records import Verdict
from sandbox.choice import open_sandbox
from sandbox.program import Limits
from tasks.data import locate
from tasks.evalplus import TOO_LARGE, EvalPlus, humaneval_plus, mbpp_plus
from tasks.problem import Problem

_T = TypeVar("_T")

WORKER = "harness.agreement:Worker"
SAMPLES = 500
HEAVY_S = 0.5
"""Where a reference works longer than this, what is measured is the reference, whoever runs it."""

_SPARE = 5
"""One sample in so many is drawn besides, in place of those of problems that are left out."""

_REFERENCES = 3
"""One sample in so many is the reference itself, the others are mutants of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One program, and the problem it is for."""

    problem: Problem
    task: EvalPlus
    program: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Whether a program passes by the base inputs, and by all inputs."""

    base: bool
    plus: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """What was found."""

    samples: int
    workers: int
    passed: int
    """By all inputs, by our verdict."""
    differences: list[dict[str, Any]]
    """Samples of which the two say different things, in base or plus."""
    ours_s: list[float]
    """Seconds for all samples in each turn, the references excluded."""
    evalplus_s: list[float]
    ours_references_s: float
    """Seconds of the references of the problems that have samples, which EvalPlus keeps from run to run, as we do."""
    evalplus_references_s: float
    load: float
    """Load average of the last minute when it began."""

    @property
    def ratios(self) -> list[float]:
        """How many times as many samples per second in each turn, the least first."""
        return sorted(theirs / ours for ours, theirs in zip(self.ours_s, self.evalplus_s, strict=True))

    @property
    def ratio(self) -> float:
        """The median over the turns."""
        return statistics.median(self.ratios)


def compare(
    overrides: Mapping[str, str] | None = None,
    *,
    num_samples: int = SAMPLES,
    seed: int = 0,
    workers: int = 1,
    walls: str = "auto",
    packages: str = "stdlib",
    python: str = sys.executable,
    heavy: bool = False,
    repeat: int = 1,
) -> Agreement:
    """Judges references and mutants of both benchmarks here, then with EvalPlus.

    Args:
        overrides: as in `tasks.data.locate`.
        num_samples: how many, half of them of each benchmark.
        seed: of the choice of mutants.
        workers: our slots, and processes of EvalPlus.
        walls: as `--sandbox`.
        packages: as `--packages`.
        python: an interpreter that has `evalplus`.
        heavy: whether problems take part whose reference works for more than `HEAVY_S`. On these both sides spend their
            time in the same computation, however they go about the rest.
        repeat: how many times both are measured, in turn. Each turn has new slots, which have nothing prepared but
            their boxes, as EvalPlus' processes have nothing but what it imports.

    Raises:
        tasks.data.DatasetUnavailable: the data of one of the benchmarks cannot be had.
        RuntimeError: EvalPlus did not end well.
    """
    load = os.getloadavg()[0]
    samples = draw(overrides, num_samples=num_samples + num_samples // _SPARE * (not heavy), seed=seed)
    settings = {"sandbox": walls, "packages": packages}
    with contextlib.closing(LocalEngine(WORKER, settings, slots=workers)) as engine:
        references_s, plans = _timed(partial(_plans, engine, samples))
    if not heavy:
        light = [sample for sample in samples if plans[sample.problem.task_id].cpu_s <= HEAVY_S]
        samples = _halves(light, num_samples // 2)
    ours_s, evalplus_s = [], []
    for _ in range(repeat):
        with contextlib.closing(LocalEngine(WORKER, settings, slots=workers)) as fresh:
            _plans(fresh, samples[:: -(-len(samples) // workers)])  # one for each, so that their boxes are up
            seconds, ours = _timed(partial(_judged, fresh, samples, plans))
        ours_s.append(seconds)
        with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
            theirs = _evalplus(Path(folder), samples, overrides, workers, python)
        evalplus_s.append(theirs["seconds"])
    return Agreement(
        samples=len(samples),
        workers=workers,
        passed=sum(scores.plus for scores in ours),
        differences=_differences(samples, ours, theirs),
        ours_s=ours_s,
        evalplus_s=evalplus_s,
        ours_references_s=references_s,
        evalplus_references_s=theirs["references_s"],
        load=load,
    )


def _timed(work: Callable[[], _T]) -> tuple[float, _T]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


# ---------------------------------------------------------------------------------------------------------------------
# Samples
# ---------------------------------------------------------------------------------------------------------------------


def draw(overrides: Mapping[str, str] | None, *, num_samples: int, seed: int) -> list[Sample]:
    """Samples of both benchmarks, at equal distances over their problems; the same ones for the same seed."""
    rng = random.Random(seed)
    samples = []
    for task in (humaneval_plus(overrides), mbpp_plus(overrides)):
        problems = [problem for problem in task.load() if problem.task_id not in TOO_LARGE]
        wanted = num_samples // 2
        for number in range(wanted):
            problem = problems[number * len(problems) // wanted]
            reference = task.source(problem, problem.reference, is_program=False)
            program = mutate(reference, rng) if number % _REFERENCES else reference
            samples.append(Sample(problem=problem, task=task, program=program))
    return samples


def _halves(samples: Sequence[Sample], count: int) -> list[Sample]:
    """So many samples of each benchmark, at equal distances."""
    kept = []
    for name in dict.fromkeys(sample.task.name for sample in samples):
        half = [sample for sample in samples if sample.task.name == name]
        kept += [half[place * len(half) // count] for place in range(min(count, len(half)))]
    return kept


# ---------------------------------------------------------------------------------------------------------------------
# Here
# ---------------------------------------------------------------------------------------------------------------------


class Worker:
    """What a slot runs: plans of references, and of each program both scores."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._sandbox = open_sandbox(settings["sandbox"], settings["packages"])
        self._judges: dict[str, Judge] = {}

    def handle(self, shared: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
        """The plan of a reference, or the scores of a program."""
        problem, limits = Problem.from_json(shared["problem"]), Limits(**shared["limits"])
        if "reference" in part:
            return make_plan(problem, part["reference"], self._sandbox, limits).to_json()
        if problem.task_id not in self._judges:
            plan = Plan.from_json(shared["plan"])
            self._judges[problem.task_id] = Judge(problem, plan, self._sandbox, limits)
        judgement = self._judges[problem.task_id].judge(part["program"], alone=True)
        return {
            "base": judgement.base is Verdict.PASSED,
            "plus": judgement.verdict is Verdict.PASSED,
            "detail": f"{judgement.verdict}: {judgement.detail}",
        }

    def close(self) -> None:
        """Ends the sandbox."""
        self._sandbox.close()


def _plans(engine: Engine, samples: Sequence[Sample]) -> dict[str, Plan]:
    def batches() -> Iterator[Batch]:
        for sample in {sample.problem.task_id: sample for sample in samples}.values():
            problem = sample.problem
            reference = sample.task.source(problem, problem.reference, is_program=False)
            shared = {"problem": problem.to_json(), "limits": asdict(REFERENCE_LIMITS)}
            yield Batch(shared=shared, parts=[{"reference": reference}])

    plans = {}
    for outcome in engine.run(batches()):
        if outcome.value is None:
            raise RuntimeError(f"the reference of {outcome.shared['problem']['task_id']} could not be run")
        plans[outcome.shared["problem"]["task_id"]] = Plan.from_json(outcome.value)
    return plans


def _judged(engine: Engine, samples: Sequence[Sample], plans: Mapping[str, Plan]) -> list[Scores]:
    """The scores of each sample, in the order of the samples."""
    by_problem: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for number, sample in enumerate(samples):
        by_problem[sample.problem.task_id].append({"number": number, "program": sample.program})
    problems = {sample.problem.task_id: sample.problem for sample in samples}

    def batches() -> Iterator[Batch]:
        # As in a run: the slowest first.
        for task_id, parts in sorted(by_problem.items(), key=lambda item: -plans[item[0]].cpu_s):
            shared = {
                "problem": problems[task_id].to_json(),
                "plan": plans[task_id].to_json(),
                "limits": asdict(RunConfig().limits_for(plans[task_id].cpu_s)),
            }
            for start in range(0, len(parts), BATCH):
                yield Batch(shared=shared, parts=parts[start : start + BATCH])

    scores: dict[int, Scores] = {}
    for outcome in engine.run(batches()):
        if outcome.value is None:
            raise RuntimeError(f"a sample of {outcome.shared['problem']['task_id']} could not be judged")
        scores[outcome.part["number"]] = Scores(**outcome.value)
    return [scores[number] for number in range(len(samples))]


# ---------------------------------------------------------------------------------------------------------------------
# EvalPlus
# ---------------------------------------------------------------------------------------------------------------------


def _evalplus(
    folder: Path, samples: Sequence[Sample], overrides: Mapping[str, str] | None, workers: int, python: str
) -> dict[str, Any]:
    """EvalPlus' figures and statuses, from namespaces of its own: it is no sandbox, and mutants do anything."""
    for task, name in ((humaneval_plus(), "humaneval"), (mbpp_plus(), "mbpp")):
        (path,) = locate(task.name, overrides).paths
        _copy_plain(path, folder / f"{name}.jsonl")
    rows = [{"task_id": sample.problem.task_id, "solution": sample.program} for sample in samples]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench_evalplus.py")
    done = subprocess.run(
        [python, "-P", script, str(folder), str(workers)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": own_root(), "PYTHONHASHSEED": "0"},
        check=False,
    )
    if done.returncode != 0 or not done.stdout:
        raise RuntimeError(f"EvalPlus did not end well:\n{done.stderr.decode(errors='replace')[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _copy_plain(path: str, target: Path) -> None:
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)


def _differences(
    samples: Sequence[Sample], ours: Sequence[Scores], theirs: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    found = []
    for sample, mine, base, plus in zip(samples, ours, theirs["base"], theirs["plus"], strict=True):
        both = Scores(base=base == "pass", plus=base == plus == "pass")
        if (mine.base, mine.plus) != (both.base, both.plus):
            row = {"task_id": sample.problem.task_id, "ours": asdict(mine), "evalplus": {"base": base, "plus": plus}}
            found.append({**row, "program": sample.program})
    return found


# ---------------------------------------------------------------------------------------------------------------------
# For people and machines
# ---------------------------------------------------------------------------------------------------------------------


def as_json(agreement: Agreement) -> str:
    """The figures for machines."""
    return json.dumps({**asdict(agreement), "ratio": agreement.ratio}, indent=2)


def as_text(agreement: Agreement) -> str:
    """The figures for people."""

    def line(who: str, seconds: list[float], references_s: float) -> str:
        rate = agreement.samples / statistics.median(seconds)
        return f"{who:<34} {rate:8.1f} samples/s   (references: {references_s:.1f} s)"

    ratios = agreement.ratios
    lines = [
        f"{agreement.samples} samples of HumanEval+ and MBPP+, references and mutants; {agreement.passed} of them pass",
        f"one after the other on this machine, {len(ratios)} turns (load {agreement.load:.1f} before)",
        line(f"harness, {agreement.workers} workers", agreement.ours_s, agreement.ours_references_s),
        line(f"EvalPlus, {agreement.workers} processes", agreement.evalplus_s, agreement.evalplus_references_s),
        f"{'ratio':<34} {agreement.ratio:8.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})",
        f"{'different base or plus verdicts':<34} {len(agreement.differences):8d}",
    ]
    for row in agreement.differences:
        ours, theirs = row["ours"], row["evalplus"]
        ours_text = f"base {ours['base']}, plus {ours['plus']} ({ours['detail']})"
        lines.append(f"  {row['task_id']}: here {ours_text}; EvalPlus base {theirs['base']}, plus {theirs['plus']}")
    return "\n".join(lines)
