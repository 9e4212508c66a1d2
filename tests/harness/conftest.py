"""The command as a real process, a corpus of samples with every verdict in it, and patience with both."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.records import Grade, Verdict, read_grades
from tasks.humaneval import HumanEval

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 120.0
"""How long a test waits for something that normally takes well under a second."""

NUM_PROBLEMS = 12
SLOW_PROBLEMS = 2
"""The last problems of the corpus also have a sample that runs into its limit."""

COMPLETIONS = {
    "none": "    return None\n",
    "syntax": "    return 1 +\n",
    "raises": "    raise ValueError('no idea')\n",
    "name": "    return no_such_name\n",
    "leaves": "    import os\n    os._exit(0)\n",
    "memory": "    return 'a' * (4 << 30)\n",
    "output": "    return 'a' * (2 << 20)\n",
    "import": "    import no_such_module\n",
}
SLOW = "    while True:\n        pass\n"

Table = dict[tuple[str, int], tuple[str, str, str, str]]
"""(task_id, index) -> verdict, detail, mode, program."""


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Returns once `condition` is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for {what} after {PATIENCE_S:.0f} s"
        time.sleep(0.005)


def num_rows(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def table(run_dir: Path) -> Table:
    return {key: _line(grade) for key, grade in read_grades(run_dir).items()}


def _line(grade: Grade) -> tuple[str, str, str, str]:
    # How much time a program had used when it was stopped is measured, and differs from run to run.
    detail = re.sub(r"[\d.]+", "#", grade.detail) if grade.verdict is Verdict.TIMEOUT else grade.detail
    return grade.verdict.value, detail, grade.mode, grade.program


def environment(**variables: str) -> dict[str, str]:
    """Ours, without anything that steers Python or the harness, with the checkout on the import path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HARNESS_", "PYTHON"))}
    return {**kept, "PYTHONPATH": str(REPOSITORY), **variables}


@dataclass(kw_only=True)
class Command:
    """Runs `python -m harness` in a directory of its own; what it started and left behind is ended with the test."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __call__(
        self, *arguments: str | Path, python: str = sys.executable, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, python=python, cwd=cwd, **variables)
        output, errors = process.communicate(timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start(
        self, *arguments: str | Path, python: str = sys.executable, cwd: Path | None = None, **variables: str
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [python, "-m", "harness", *map(str, arguments)],
            cwd=cwd or self.folder,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    built = Command(folder=tmp_path)
    yield built
    built.close()


def corpus_rows() -> list[dict[str, Any]]:
    rows = []
    problems = HumanEval().load()[:NUM_PROBLEMS]
    for place, problem in enumerate(problems):
        slow = [SLOW] if place >= NUM_PROBLEMS - SLOW_PROBLEMS else []
        for index, completion in enumerate([problem.reference, *COMPLETIONS.values(), *slow]):
            rows.append({"task_id": problem.task_id, "index": index, "completion": completion})
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Samples of every kind, and the table of a run that nothing disturbed."""

    samples: Path
    run_dir: Path
    table: Table


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    folder = tmp_path_factory.mktemp("corpus")
    samples = write_rows(folder / "corpus.jsonl", corpus_rows())
    command = Command(folder=folder)
    done = command("evaluate", samples, "--subset", "--workers", "2", "--out", folder / "undisturbed")
    assert done.returncode == 0, done.stderr
    yield Corpus(samples=samples, run_dir=folder / "undisturbed", table=table(folder / "undisturbed"))
    command.close()


class Tools:
    """What several test files use, since test files cannot import one another."""

    wait_until = staticmethod(wait_until)
    num_rows = staticmethod(num_rows)
    table = staticmethod(table)
    environment = staticmethod(environment)
    write_rows = staticmethod(write_rows)
    corpus_rows = staticmethod(corpus_rows)
    repository = REPOSITORY


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    return Tools
