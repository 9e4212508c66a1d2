"""What walls cost: seconds per program behind them, beside the bare fork, compile and exec of the same programs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.config import RunConfig
from harness.grade import Judge, make_plan, run_inside
from harness.pipeline import REFERENCE_LIMITS
from harness.records import Verdict
from harness.script import counted_source
from sandbox.choice import open_sandbox
from sandbox.local import FLAGS, environment
from sandbox.packages import resolve
from sandbox.program import SandboxUnavailable
from sandbox.sandbox import Sandbox
from tasks.catalog import load_task
from tasks.problem import Problem

FLOOR = "bare fork, compile, exec"

Measurement = Callable[[], list[float]]
"""Runs every program once, one after the other; the seconds of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Seconds per program (the mean over all programs) in each turn, by what ran them."""

    programs: int
    seconds: dict[str, list[float]]

    def ratios(self, name: str, beside: str = FLOOR) -> list[float]:
        """Turn by turn and in order of size, so that a disturbance of the machine hits both sides of a ratio."""
        return sorted(ours / other for ours, other in zip(self.seconds[name], self.seconds[beside], strict=True))


def measure(config: RunConfig, repeat: int) -> Costs:
    """Runs the references of HumanEval bare and behind walls, in turn."""
    task = load_task("humaneval")
    problems = task.load()
    programs = [task.source(problem, problem.reference, is_program=False) for problem in problems]
    measurements: dict[str, Measurement] = {FLOOR: lambda: _floor(config, problems, programs)}
    opened = []
    try:
        for name in ("local", "docker"):
            try:
                sandbox = open_sandbox(name, config.packages)
            except SandboxUnavailable:
                continue
            opened.append(sandbox)
            measurements.update(_behind(name, sandbox, problems, programs))
        seconds: dict[str, list[float]] = {name: [] for name in measurements}
        for _ in range(repeat):
            for name, run in measurements.items():
                seconds[name].append(statistics.fmean(run()))
    finally:
        for sandbox in opened:
            sandbox.close()
    return Costs(programs=len(programs), seconds=seconds)


def _behind(name: str, sandbox: Sandbox, problems: list[Problem], programs: list[str]) -> dict[str, Measurement]:
    judges = [
        Judge(problem, make_plan(problem, program, sandbox, REFERENCE_LIMITS), sandbox, REFERENCE_LIMITS)
        for problem, program in zip(problems, programs, strict=True)
    ]
    tests = [counted_source(problem.script) for problem in problems]

    def split() -> list[float]:
        return [_timed(judge.judge, program) for judge, program in zip(judges, programs, strict=True)]

    def whole() -> list[float]:
        def run(program: str, test: str) -> Any:
            return run_inside(program, test, sandbox, REFERENCE_LIMITS)[0]

        return [_timed(run, program, test) for program, test in zip(programs, tests, strict=True)]

    return {f"{name}, split": split, f"{name}, whole program": whole}


def _timed(judge: Callable[..., Any], *arguments: str) -> float:
    started = time.perf_counter()
    judgement = judge(*arguments)
    seconds = time.perf_counter() - started
    if judgement.verdict is not Verdict.PASSED:
        raise RuntimeError(f"a reference solution got the verdict {judgement.verdict}: {judgement.detail}")
    return seconds


def _floor(config: RunConfig, problems: list[Problem], programs: list[str]) -> list[float]:
    texts = [
        f"{program}\n{problem.script.test}\n{problem.script.start}\n"
        for problem, program in zip(problems, programs, strict=True)
    ]
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench_floor.py")
    done = subprocess.run(
        [sys.executable, *FLAGS, script],
        input=json.dumps(texts).encode(),
        capture_output=True,
        env=environment(resolve(config.packages)),
        check=True,
    )
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def as_json(costs: Costs) -> dict[str, Any]:
    """The costs for machines."""
    return {"programs": costs.programs, "seconds": costs.seconds}


def as_text(costs: Costs) -> str:
    """The costs for people."""
    lines = [f"{costs.programs} HumanEval references, one process, {len(costs.seconds[FLOOR])} turns"]
    for name, seconds in costs.seconds.items():
        milliseconds = f"{1000 * statistics.median(seconds):8.2f} ms/program"
        line = f"{name:<34} {milliseconds}  {_spread(costs.ratios(name))} the floor"
        if name.startswith("docker"):
            line += f", {_spread(costs.ratios(name, name.replace('docker', 'local')))} local"
        lines.append(line)
    return "\n".join(lines)


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) times"
