"""Every program that harms or cheats: its verdict is right, and the next program does not notice it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.grade import IN_PROCESS, SPLIT, Judge, Judgement, Plan, make_plan
from harness.records import Verdict
from sandbox.local import LocalSandbox
from sandbox.program import Limits
from tasks.problem import Problem, Script

TESTS = Path(__file__).parents[1]
HOSTILE = sorted((TESTS / "hostile").glob("*.py"))
CHEATS = sorted((TESTS / "cheats").glob("*.py"))
LIMITS = Limits(cpu_s=0.5, idle_s=1.0, wall_s=20.0, memory_bytes=256 << 20)

REFERENCE = "def add(a, b):\n    return a + b\n"
PROBLEM = Problem(
    task_id="Corpus/0",
    prompt="def add(a, b):\n",
    entry_point="add",
    reference="    return a + b\n",
    check=Script(
        setup=REFERENCE,
        test="""
def check(add):
    assert add(1, 2) == 3
    assert add(-1, 1) == 0
    assert add(10, 5) == 15
    assert add(0, 0) == 0
""",
        start="check(add)",
        names=("add",),
    ),
)

PROBE = """
import builtins, decimal, gc, math, os, random, resource, sys, warnings

def f():
    descriptors = []
    for number in range(64):
        try:
            os.fstat(number)
        except OSError:
            continue
        descriptors.append(number)
    limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name[:7] == "RLIMIT_"}
    return {
        "files": os.listdir("/tmp") + os.listdir("/dev/shm"),
        "modes": [os.stat(path).st_mode for path in ("/tmp", "/dev/shm")],
        "descriptors": descriptors,
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "umask": os.umask(0o077),
        "limits": limits,
        "processors": sorted(os.sched_getaffinity(0)),
        "draw": [random.random(), random.getrandbits(64)],
        "modules": sorted(sys.modules),
        "path": sys.path,
        "finders": len(sys.meta_path),
        "names": sorted(vars(builtins)),
        "answers": [math.pi, sum([1, 2]), sorted([2, 1]), abs(-1), str(decimal.Decimal(1) / 3)],
        "recursion": sys.getrecursionlimit(),
        "warnings": len(warnings.filters),
        "collector": gc.isenabled(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "user": [os.getuid(), os.getgid(), os.getgroups(), os.getpgrp() == os.getpid()],
    }
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """A sandbox with a plan for the problem, and what must still be there after every program."""

    sandbox: LocalSandbox
    plan: Plan
    pristine: dict[str, Any]
    sentinel: subprocess.Popen[bytes]
    file: Path

    def judge(self, path: Path, mode: str = SPLIT) -> Judgement:
        return self.judge_source(path.read_text(encoding="utf-8"), mode)

    def judge_source(self, source: str, mode: str = SPLIT) -> Judgement:
        plan = self.plan if mode == SPLIT else replace(self.plan, mode=mode, calls=(), answers=frozenset())
        return Judge(PROBLEM, plan, self.sandbox, LIMITS).judge(source)


@pytest.fixture(scope="module")
def bench(ask: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    file = tmp_path_factory.mktemp("host") / "sentinel"
    file.write_text("untouched")
    sleeper = [sys.executable, "-S", "-c", "input()"]
    with LocalSandbox() as sandbox, subprocess.Popen(sleeper, stdin=subprocess.PIPE) as sentinel:
        plan = make_plan(PROBLEM, REFERENCE, sandbox, LIMITS)
        pristine = ask(PROBE, limits=LIMITS, box=sandbox)
        yield Bench(sandbox=sandbox, plan=plan, pristine=pristine, sentinel=sentinel, file=file)
        sentinel.terminate()


def expected(path: Path) -> set[Verdict]:
    """The verdicts that the header of a program allows."""
    header = path.read_text(encoding="utf-8").split("\n")[:3]
    line = next(line for line in header if line.startswith("# verdict: "))
    return {Verdict(name.strip()) for name in line.removeprefix("# verdict: ").split(",")}


def name(path: Path) -> str:
    """The name of a program without its number."""
    return path.stem.partition("_")[2]


def assert_untouched(bench: Bench, ask: Any) -> None:
    """The next program finds a box as new, and the host is as it was."""
    assert ask(PROBE, limits=LIMITS, box=bench.sandbox) == bench.pristine
    assert bench.sentinel.poll() is None
    assert bench.file.read_text() == "untouched"
    assert bench.judge_source(REFERENCE).verdict is Verdict.PASSED


@pytest.mark.parametrize("path", HOSTILE, ids=name)
def test_a_hostile_program_gets_its_verdict_and_harms_nobody(bench: Bench, ask: Any, path: Path) -> None:
    judgement = bench.judge(path)

    assert judgement.verdict in expected(path), judgement
    assert judgement.attempts == 1, judgement
    assert_untouched(bench, ask)


@pytest.mark.parametrize("path", CHEATS, ids=name)
def test_a_cheat_gets_its_verdict_and_leaves_nothing_behind(bench: Bench, ask: Any, path: Path) -> None:
    judgement = bench.judge(path)

    assert judgement.verdict in expected(path), judgement
    assert judgement.attempts == 1, judgement
    assert_untouched(bench, ask)


@pytest.mark.parametrize("path", CHEATS, ids=name)
def test_a_cheat_does_not_pass_where_the_tests_run_beside_it(bench: Bench, ask: Any, path: Path) -> None:
    judgement = bench.judge(path, IN_PROCESS)

    assert judgement.verdict not in (Verdict.PASSED, Verdict.UNJUDGED), judgement
    assert_untouched(bench, ask)


def test_no_cheat_expects_to_pass() -> None:
    assert not [path for path in CHEATS if expected(path) & {Verdict.PASSED, Verdict.UNJUDGED}]


def test_the_reference_passes_in_both_modes(bench: Bench) -> None:
    assert bench.judge_source(REFERENCE).verdict is Verdict.PASSED
    assert bench.judge_source(REFERENCE, IN_PROCESS).verdict is Verdict.PASSED
