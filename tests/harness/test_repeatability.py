"""The same samples get the same verdicts: in any order, with any number of workers, beside others, after long use."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import pipeline
from harness.config import RunConfig
from harness.records import Verdict, read_grades
from harness.samples import samples_digest
from sandbox import codec, wire
from sandbox.local import LocalBox
from sandbox.packages import resolve
from sandbox.program import Limits, Program
from sandbox.sandbox import Sandbox
from tasks.humaneval import HumanEval

NUM_PROBLEMS = 36
NUM_REFERENCES = 500
HOGS_PER_CORE = 8
SOAK_PROGRAMS = int(os.environ.get("HARNESS_SOAK_PROGRAMS", "20000"))
SOAK_LOOKS = 100
"""How often the box is looked at during a soak."""

MUTATIONS = (
    ("==", "!="),
    ("+", "-"),
    ("<", ">="),
    ("return ", "return not "),
    ("0", "1"),
    ("for ", "return 1\n    for "),
)
BREAKDOWNS = (
    "    while True:\n        pass\n",
    "    raise KeyError('no idea')\n",
    "    return (1\n",
    "    return 'a' * (4 << 30)\n",
    "    return no_such_name\n",
    "    import os\n    os._exit(0)\n",
    "    return list(range(10**9))\n",
)


def mixed_rows() -> list[dict[str, Any]]:
    """References, mutations of them, and programs that end in every other way."""
    rows = []
    for place, problem in enumerate(HumanEval().load()[::4][:NUM_PROBLEMS]):
        mutations = [problem.reference.replace(old, new, 1) for old, new in MUTATIONS if old in problem.reference]
        breakdown = BREAKDOWNS[place % len(BREAKDOWNS)]
        for index, completion in enumerate([problem.reference, *mutations[:3], breakdown]):
            rows.append({"task_id": problem.task_id, "index": index, "completion": completion})
    return rows


def verdicts(tools: Any, rows: list[dict[str, Any]], folder: Path, workers: int) -> dict[Any, Verdict]:
    folder.mkdir()
    samples = tools.write_rows(folder / "samples.jsonl", rows)
    config = RunConfig(model=f"samples:{samples}", model_digest=samples_digest(samples), subset=True, workers=workers)
    pipeline.run(config, folder / "run")
    return {key: grade.verdict for key, grade in read_grades(folder / "run").items()}


def test_order_and_number_of_workers_change_no_verdict(tools: Any, tmp_path: Path) -> None:
    rows = mixed_rows()
    first = verdicts(tools, rows, tmp_path / "first", 1)
    rng = random.Random(0)
    for turn, workers in enumerate((1, 2, 4, 2, 4)):
        rng.shuffle(rows)
        assert verdicts(tools, rows, tmp_path / str(turn), workers) == first

    assert len(first) == len(rows) > 140
    assert {*first.values()} > {Verdict.PASSED, Verdict.WRONG_ANSWER, Verdict.TIMEOUT, Verdict.RUNTIME_ERROR}
    assert Verdict.UNJUDGED not in first.values()


@contextlib.contextmanager
def hogs(count: int) -> Iterator[None]:
    """So many processes that want all the processor there is."""
    started = []
    try:
        for _ in range(count):
            started.append(subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]))
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_busy_machine_fails_no_reference(tools: Any, tmp_path: Path) -> None:
    problems = HumanEval().load()
    rows: list[dict[str, Any]] = []
    for number in range(NUM_REFERENCES):
        problem = problems[number % len(problems)]
        # A comment, because programs that are equal to the letter are run only once.
        completion = f"{problem.reference}\n# {number}\n"
        rows.append({"task_id": problem.task_id, "index": number // len(problems), "completion": completion})
    with hogs(HOGS_PER_CORE * len(os.sched_getaffinity(0))):
        found = verdicts(tools, rows, tmp_path / "busy", 2)

    assert len(found) == NUM_REFERENCES
    assert [key for key, verdict in found.items() if verdict is not Verdict.PASSED] == []


# ---------------------------------------------------------------------------------------------------------------------
# A box that serves for long
# ---------------------------------------------------------------------------------------------------------------------

PROGRAMS = (
    "def f():\n    return sum(range(100))",
    "def f():\n    open('/tmp/x', 'w').write('a' * 10000); open('/dev/shm/y', 'w').close()",
    "import json, os\ndef f():\n    os.environ['A'] = 'b'; return json.dumps(list(range(50)))",
    "def f():\n    raise ValueError('x')",
    "def f(",
    "import os\ndef f():\n    os._exit(3)",
    "import os\ndef f():\n    return os.fork() and 1",
)
SPACE = "import os\ndef f():\n    return [(s.f_bfree, s.f_ffree) for s in map(os.statvfs, ('/tmp', '/dev/shm'))]"


def run(sandbox: Sandbox, source: str) -> Any:
    """What `f()` returns; None where it does not."""
    from sandbox.session import ProgramEnded

    session = sandbox.open(Program(source=source), Limits(), [("f", codec.encode(((), {})))])
    with contextlib.suppress(ProgramEnded):
        while True:
            kind, payload = session.receive()
            if kind == wire.VALUE:
                session.end()
                return codec.decode(payload)
            if kind != wire.READY:
                break
    session.end()
    return None


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def num_descriptors(pid: int | str) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return 0  # only root may look at the zygote's


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_a_box_that_serves_for_long_takes_no_more_than_a_new_one(capsys: pytest.CaptureFixture[str]) -> None:
    """`HARNESS_SOAK_PROGRAMS` programs in one box, which would otherwise be replaced long before.

    By hand: HARNESS_SOAK_PROGRAMS=100000 pytest -k serves_for_long -o faulthandler_timeout=0
    """
    box = LocalBox(resolve("stdlib"))
    (zygote,) = children(box.process.pid)
    looks: list[dict[str, float]] = []
    with Sandbox(lambda: box) as sandbox:
        for number in range(SOAK_PROGRAMS):
            run(sandbox, PROGRAMS[number % len(PROGRAMS)])
            assert not box.worn
            box.programs = 0
            if number % (SOAK_PROGRAMS // SOAK_LOOKS) == 0:
                free = run(sandbox, SPACE)
                looks.append(
                    {
                        "zygote, resident KiB": resident_kb(zygote),
                        "zygote, descriptors": num_descriptors(zygote),
                        "zygote, children": len(children(zygote)),
                        "slot, resident KiB": resident_kb(os.getpid()),
                        "slot, descriptors": num_descriptors("self"),
                        **{
                            f"{path}, {what} free": free[at][kind]
                            for at, path in enumerate(("/tmp", "/dev/shm"))
                            for kind, what in enumerate(("blocks", "inodes"))
                        },
                    }
                )
    tenth = len(looks) // 10
    # The most, not the mean: the process of the next program is there at most looks, and at a few not yet.
    peaks = {
        what: (max(look[what] for look in looks[1 : tenth + 1]), max(look[what] for look in looks[-tenth:]))
        for what in looks[0]
    }
    with capsys.disabled():
        print(f"\n{SOAK_PROGRAMS} programs in one box, at most in the first and last tenth: {peaks}")
    for what, (first, last) in peaks.items():
        slack = 1024 if what.endswith("KiB") else 0
        assert abs(last - first) <= slack, (what, first, last)
