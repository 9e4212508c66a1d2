"""What a benchmark of a gigabyte takes: memory and seconds of a whole run on problems of APPS' size, made up here.

The problems are trivial and our own; their layout, their number and the unequal sizes of their tests are those of APPS.
Each run is a process of its own (this module, run by name), so that its peak memory is that of one run.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import own_root
from harness.config import RunConfig, UsageError

TASK = "apps-introductory"
PROBLEMS, TESTS = 5000, 20

SEED = 0
_SMALLEST, _LARGEST = 44, 4 << 20
"""Bytes of input and output of a test, about."""
_SOLUTIONS = 20
"""So many a problem of APPS has, about."""
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One run: the same problems with so many tests each."""

    tests: int
    """Of each problem."""
    data_bytes: int
    load_s: float
    """Seconds until the problems are there, with nothing known of the file."""
    load_again_s: float
    """The same with what the first loading kept."""
    grade_s: float
    """Seconds of the run without those of its loading: samples, references, verdicts, report."""
    programs_cpu_s: float
    """Processor seconds of the judged programs; a busy machine changes them less."""
    load_bytes: int
    """Peak memory of the driver after loading."""
    driver_bytes: int
    """Peak memory of the driver at its end."""
    slot_bytes: int
    """Peak memory of the largest slot, as far as it was seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What `bench apps` measured."""

    problems: int
    workers: int
    turns: list[Turn]
    """In the order of their numbers of tests."""
    load: float
    """Load average of the last minute when it began."""

    def per_test_s(self, turn: Turn) -> float:
        """Seconds of grading for each test of each problem. Each is run twice: reference's plan, sample's verdict."""
        return turn.grade_s / (turn.tests * self.problems)

    @property
    def growth(self) -> float:
        """Seconds per test with the most tests beside those with the fewest: 1 or less where the cost is linear.

        Less, because what each problem costs by itself is shared by more tests.
        """
        return self.per_test_s(self.turns[-1]) / self.per_test_s(self.turns[0])

    @property
    def further(self) -> list[float]:
        """Seconds that a further test of a problem costs, from each turn to the next: equal where it is linear."""
        pairs = zip(self.turns, self.turns[1:], strict=False)
        return [(more.grade_s - few.grade_s) / (more.tests - few.tests) / self.problems for few, more in pairs]


def measure(config: RunConfig, *, problems: int = PROBLEMS, tests: int = TESTS) -> Figures:
    """Runs the references of made-up problems, with a quarter of the tests, a half, and all.

    Args:
        config: how programs are run; what they are run on is replaced.
        problems: how many.
        tests: of each problem.

    Raises:
        UsageError: a number is less than 1.
        RuntimeError: a run did not end well, or a reference did not pass.
    """
    for flag, number in (("--problems", problems), ("--tests", tests)):
        if number < 1:
            raise UsageError(f"{flag} takes 1 or more, not {number}")
    load = os.getloadavg()[0]
    numbers = sorted({max(1, tests // 4), max(1, tests // 2), tests})
    turns = []
    for number in numbers:
        with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
            turns.append(_turn(config, Path(folder), problems, number, numbers[0]))
    return Figures(problems=problems, workers=config.workers, turns=turns, load=load)


def _turn(config: RunConfig, folder: Path, problems: int, tests: int, cycle: int) -> Turn:
    path = folder / "apps.jsonl"
    with path.open("w") as file:
        for row in rows(problems, tests, cycle):
            file.write(json.dumps(row) + "\n")
    chosen = replace(
        config, task=TASK, split="", model="reference", limit=None, subset=False, ks=(), data=(("apps", str(path)),)
    )
    measured, slot_bytes = _watched(chosen, folder)
    programs_cpu_s = _check(folder / "run", problems, tests)
    return Turn(
        tests=tests,
        data_bytes=path.stat().st_size,
        programs_cpu_s=programs_cpu_s,
        slot_bytes=slot_bytes,
        **measured,
    )


def _check(out: Path, problems: int, tests: int) -> float:
    """Processor seconds of all programs, after a look at whether each passed every test."""
    from harness.records import read_grades

    grades = list(read_grades(out).values())
    failed = [grade for grade in grades if not grade.passed or len(grade.tests) != tests]
    if failed:
        first = failed[0]
        raise RuntimeError(
            f"{len(failed)} references did not pass {tests} tests; {first.task_id}: {first.verdict}: {first.detail}"
        )
    if len(grades) != problems:
        raise RuntimeError(f"{len(grades)} references were judged, not {problems}")
    return sum(grade.cpu_s for grade in grades)


# ---------------------------------------------------------------------------------------------------------------------
# The run, in a process of its own
# ---------------------------------------------------------------------------------------------------------------------


def _watched(config: RunConfig, folder: Path) -> tuple[dict[str, Any], int]:
    """What the process of a run says of itself, and the peak memory of the largest of its slots."""
    driver = subprocess.Popen(
        [sys.executable, "-P", "-m", "harness.bench_apps", json.dumps(config.to_json()), str(folder / "run")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": own_root(), "HARNESS_CACHE_DIR": str(folder / "cache")},
    )
    with _Watch(driver.pid) as watch:
        try:
            output, _ = driver.communicate()
        finally:
            driver.kill()  # an interrupt; else it has ended
            driver.wait()
    if driver.returncode != 0:
        raise RuntimeError(f"the run ended with exit code {driver.returncode}; what it said is above")
    return json.loads(output.splitlines()[-1]), watch.most_bytes


class _Watch(threading.Thread):
    """Looks at the slots of a driver again and again: they end before anybody could ask them."""

    def __init__(self, driver: int) -> None:
        super().__init__()
        self.most_bytes = 0
        self._driver = driver
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            self.most_bytes = max([self.most_bytes, *map(peak_bytes, _slots(self._driver))])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self.join()


def _slots(driver: int) -> list[int]:
    """The slots of a driver: what its fork server started."""
    parents = dict(_parents())
    servers = {pid for pid, parent in parents.items() if parent == driver and _is_fork_server(pid)}
    return [pid for pid, parent in parents.items() if parent in servers]


def _parents() -> Iterator[tuple[int, int]]:
    """Each process of this machine and its parent."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name of the program comes before the last bracket, and may hold anything.
                state = Path("/proc", name, "stat").read_text().rpartition(")")[2]
                yield int(name), int(state.split()[1])


def _is_fork_server(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def peak_bytes(pid: int | str = "self") -> int:
    """The most resident memory that a process has had; 0 of one that has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10  # it says kB and means KiB
    return 0


def main(config_json: str, out: str) -> None:
    """Entry point of the driver: loads twice, then runs the whole pipeline, which loads once more."""
    from harness import pipeline

    config = RunConfig.from_json(json.loads(config_json))
    load_s, load_again_s = (_timed(lambda: config.load_task().load()) for _ in range(2))
    load_bytes = peak_bytes()
    run_s = _timed(lambda: pipeline.run(config, Path(out)))
    measured = {
        "load_s": load_s,
        "load_again_s": load_again_s,
        "grade_s": run_s - load_again_s,
        "load_bytes": load_bytes,
        "driver_bytes": peak_bytes(),
    }
    print(json.dumps(measured))


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


# ---------------------------------------------------------------------------------------------------------------------
# Problems
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of problem; `{k}` in its texts is a number that differs from problem to problem."""

    statement: str
    solution: str
    case: Callable[[list[int], int], tuple[Any, Any]]
    """(numbers, k) -> input and output of a test; found without the solution."""
    bytes_per_number: int
    """Of input and output together, about."""
    name: str = ""
    """What is called; empty for a program that reads standard input."""
    starter_code: str = ""


def _counted(numbers: list[int], k: int) -> tuple[str, str]:
    multiples = [number for number in numbers if number % k == 0]
    return f"{len(numbers)}\n{_joined(numbers)}\n", f"{len(multiples)} {sum(multiples)}\n"


def _shifted(numbers: list[int], k: int) -> tuple[str, str]:
    return f"{len(numbers)}\n{_joined(numbers)}\n", _joined([number + k for number in numbers], "\n") + "\n"


def _reversed(numbers: list[int], k: int) -> tuple[str, str]:
    lines = [numbers[start : start + k] for start in range(0, len(numbers), k)]
    return "\n".join(map(_joined, lines)), "\n".join(_joined(line[::-1]) for line in lines)


def _joined(numbers: Sequence[int], mark: str = " ") -> str:
    return mark.join(map(str, numbers))


_READ = "numbers = list(map(int, sys.stdin.read().split()))[1:]\n"
_GIVEN = "The first line gives how many numbers there are, the second line the numbers."

KINDS = (
    Kind(
        statement=f"{_GIVEN} Print how many of them {{k}} divides, and the sum of these.",
        solution="import sys\n"
        + _READ
        + "found = [n for n in numbers if n % {k} == 0]\nprint(len(found), sum(found))\n",
        case=_counted,
        bytes_per_number=7,
    ),
    Kind(
        statement=f"{_GIVEN} Print each of them, made larger by {{k}}, on a line of its own.",
        solution="import sys\n" + _READ + "print('\\n'.join(str(n + {k}) for n in numbers))\n",
        case=_shifted,
        bytes_per_number=16,
    ),
    Kind(
        statement="Each line holds up to {k} numbers. Print each line with its numbers in the opposite order.",
        solution="import sys\nfor line in sys.stdin:\n    print(*reversed(line.split()))\n",
        case=_reversed,
        bytes_per_number=14,
    ),
    Kind(
        statement="Write a function that gives the largest of some numbers, plus {k}.",
        solution="def largest_plus(numbers):\n    return max(numbers) + {k}\n",
        case=lambda numbers, k: ([numbers], max(numbers) + k),
        bytes_per_number=8,
        name="largest_plus",
    ),
    Kind(
        statement="Write a method that gives those of the numbers that {k} does not divide, in their order.",
        solution=(
            "class Solution:\n    def chosen(self, numbers: List[int]) -> List[int]:\n"
            "        return [n for n in numbers if n % {k}]\n"
        ),
        case=lambda numbers, k: ([numbers], [number for number in numbers if number % k]),
        bytes_per_number=16,
        name="chosen",
        starter_code="class Solution:\n    def chosen(self, numbers: List[int]) -> List[int]:\n        ",
    ),
)


def rows(problems: int, tests: int, cycle: int) -> Iterator[dict[str, Any]]:
    """The rows of the data file, as APPS lays them out.

    Args:
        problems: how many rows.
        tests: of each problem; the first so many are the same whatever this number is.
        cycle: after so many tests their sizes come again, so that twice as many tests are twice as many bytes.
    """
    rng = random.Random(SEED)
    pool = [rng.randrange(1, 1_000_000) for _ in range(1 << 16)]
    sizes = _sizes(problems * cycle, rng)
    for number in range(problems):
        kind = KINDS[number % len(KINDS)]
        own = sizes[number * cycle : (number + 1) * cycle]
        yield _row(number, kind, [own[test % cycle] for test in range(tests)], pool)


def _sizes(count: int, rng: random.Random) -> list[int]:
    """Bytes of tests: half of them under four times the smallest, one in 400 over a megabyte, which are half of it all.

    The quantiles of a Pareto distribution with exponent 1/2, cut at the largest, in random order: the same sum however
    the dice fall.
    """
    kept = 1 - (_SMALLEST / _LARGEST) ** 0.5
    sizes = [round(_SMALLEST / (1 - kept * (place + 0.5) / count) ** 2) for place in range(count)]
    rng.shuffle(sizes)
    return sizes


def _row(number: int, kind: Kind, sizes: Sequence[int], pool: list[int]) -> dict[str, Any]:
    rng = random.Random(f"{SEED} {number}")
    k = rng.randrange(2, 1000)
    inputs, outputs = [], []
    for size in sizes:
        given, wanted = kind.case(_numbers(pool, max(1, size // kind.bytes_per_number), rng), k)
        inputs.append(given)
        outputs.append(wanted)
    solution = kind.solution.replace("{k}", str(k))
    return {
        "problem_id": number,
        "question": _question(kind, k, rng),
        "solutions": json.dumps([solution, *(f"# {way}\n{solution}" for way in range(2, _SOLUTIONS + 1))]),
        "input_output": json.dumps(
            {**({"fn_name": kind.name} if kind.name else {}), "inputs": inputs, "outputs": outputs}
        ),
        "difficulty": "introductory",
        "url": f"https://example.org/problems/{number}",
        "starter_code": kind.starter_code,
    }


def _numbers(pool: list[int], count: int, rng: random.Random) -> list[int]:
    """So many numbers: the pool from a place of its own on, round and round. To draw a billion would take an hour."""
    start = rng.randrange(len(pool))
    turned = pool[start:] + pool[:start]
    return (turned * (count // len(pool) + 1))[:count]


def _question(kind: Kind, k: int, rng: random.Random) -> str:
    """A statement with an example, about as long as those of APPS."""
    given, wanted = kind.case([rng.randrange(1, 1_000_000) for _ in range(80)], k)
    statement = kind.statement.replace("{k}", str(k))
    return f"{statement}\n\n-----Example-----\n\nInput\n{given}\n\nOutput\n{wanted}\n"


# ---------------------------------------------------------------------------------------------------------------------
# For people and machines
# ---------------------------------------------------------------------------------------------------------------------


def as_json(figures: Figures) -> dict[str, Any]:
    """The figures for machines."""
    return {**asdict(figures), "growth": figures.growth, "further_test_s": figures.further}


def as_text(figures: Figures) -> str:
    """The figures for people."""
    turns = figures.turns

    def line(what: str, unit: str, values: Sequence[float]) -> str:
        return f"{what:<48}" + "".join(f"{value:>10.1f}" for value in values) + f" {unit}"

    def megabytes(what: str, values: Sequence[int]) -> str:
        return line(what, "MB", [value / 1e6 for value in values])

    each = 1000 / figures.problems
    return "\n".join(
        [
            f"{figures.problems} problems laid out as APPS, {figures.workers} workers (load {figures.load:.1f} before)",
            f"{'tests of each problem':<48}" + "".join(f"{turn.tests:>10}" for turn in turns),
            megabytes("data file", [turn.data_bytes for turn in turns]),
            line("loading, nothing known of the file", "s", [turn.load_s for turn in turns]),
            line("loading again", "s", [turn.load_again_s for turn in turns]),
            line("references, verdicts and report", "s", [turn.grade_s for turn in turns]),
            line(
                "  per test, which is run for plan and verdict",
                "ms",
                [1000 * figures.per_test_s(turn) for turn in turns],
            ),
            line(
                "  processor, judged programs alone", "ms", [each * turn.programs_cpu_s / turn.tests for turn in turns]
            ),
            megabytes("driver's peak memory after loading", [turn.load_bytes for turn in turns]),
            megabytes("driver's peak memory", [turn.driver_bytes for turn in turns]),
            megabytes("largest slot's peak memory", [turn.slot_bytes for turn in turns]),
            f"{'seconds per test, most tests beside fewest':<48}{figures.growth:>10.2f} times",
            line("a further test costs, from one to the next", "ms", [1000 * seconds for seconds in figures.further]),
        ]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
