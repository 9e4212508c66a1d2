"""Every program that harms or cheats, on every sandbox of this machine, and what came of it.

    python tests/sandbox/corpus.py [--backends local,docker,landlock,bwrap] [--json]

Runs as the current user and, where that is root, again as a user without privileges. After each program the next one
must find a box as new, and the host must be as it was. The exit code is 0 where no verdict is wrong, no cheat passes,
nothing outside is touched, no successor notices anything, and everything has a verdict.

What the tests beside this file use of it lies here too, since test files cannot import one another.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])  # our own packages, from wherever this is started

from harness.grade import IN_PROCESS, SPLIT, Judge, Judgement, Plan, make_plan
from harness.records import Verdict
from sandbox import codec, wire
from sandbox.choice import open_sandbox
from sandbox.program import Limits, Program, SandboxUnavailable
from sandbox.sandbox import Sandbox
from sandbox.session import ProgramEnded
from tasks.problem import Problem, Script

REPOSITORY = Path(__file__).parents[2]
HOSTILE = sorted((REPOSITORY / "tests" / "hostile").glob("*.py"))
CHEATS = sorted((REPOSITORY / "tests" / "cheats").glob("*.py"))
BACKENDS = ("local", "docker", "landlock", "bwrap")
LIMITS = Limits(cpu_s=0.5, idle_s=1.0, wall_s=20.0, memory_bytes=256 << 20)

NOBODY = 12345
"""A user id without an account, and so without privileges."""

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

def listing(folder):
    try:
        return os.listdir(folder)
    except PermissionError:
        return ["not to be read"]

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
        "files": listing("/tmp") + listing("/dev/shm"),
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


# ---------------------------------------------------------------------------------------------------------------------
# What a program must come to
# ---------------------------------------------------------------------------------------------------------------------


def expected(path: Path, backend: str = "local") -> set[Verdict]:
    """The verdicts that the header of a program allows: those for this backend, where it names it."""
    header = path.read_text(encoding="utf-8").split("\n")[:6]
    for start in (f"# verdict {backend}: ", "# verdict: "):
        for line in header:
            if line.startswith(start):
                return {Verdict(name.strip()) for name in line.removeprefix(start).split(",")}
    raise ValueError(f"{path} does not say which verdict it must get; its second line must be `# verdict: NAME`")


def name(path: Path) -> str:
    """The name of a program without its number."""
    return path.stem.partition("_")[2]


def probe(sandbox: Sandbox) -> Any:
    """What a program finds in its box."""
    session = sandbox.open(Program(source=PROBE), LIMITS, [("f", codec.encode(((), {})))])
    try:
        while True:
            kind, payload = session.receive()
            if kind != wire.READY:
                return codec.decode(payload)
    except ProgramEnded:
        return session.end()
    finally:
        session.end()


# ---------------------------------------------------------------------------------------------------------------------
# What must still be there
# ---------------------------------------------------------------------------------------------------------------------

_LEFTOVERS = ("poison", "result.json", "root", "loop", "pipe", "closed", "socket", "large", "escaped", "elsewhere")
"""Names that programs of the corpus give to what they leave."""


class Host:
    """Things outside of every box, and whether anything has happened to them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "sentinel"
        self.file.write_text("untouched")
        self.file.chmod(0o666)  # so that walls alone, and not its mode, keep anybody from it
        self.process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
        self.before = self._look()

    def changes(self) -> list[str]:
        """What is not as it was, and from here on taken as it is."""
        before, self.before = self.before, self._look()
        return [what for what, now in self.before.items() if now != before[what]]

    def _look(self) -> dict[str, Any]:
        folders = [Path(path) for path in ("/", "/usr", "/usr/lib", "/usr/bin", "/etc", Path(os.__file__).parent)]
        files = [self.file, Path("/etc/passwd"), Path(os.__file__), Path(sys.executable).resolve()]
        left = [f"{folder}/{name}" for folder in ("/tmp", "/dev/shm", "/usr") for name in _LEFTOVERS]
        return {
            "the sentinel process": self.process.poll(),
            "the text of the sentinel": self.file.read_text(),
            **{f"{path}": _facts(path) for path in (*files, *folders)},
            **{path: _facts(Path(path)) for path in ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")},
            **{path: os.path.lexists(path) for path in left},
        }

    def close(self) -> None:
        with self.process:
            self.process.terminate()


def _facts(path: Path) -> tuple[Any, ...]:
    facts = path.stat()
    names = sorted(os.listdir(path)) if path.is_dir() else []
    # Not the times of directories, in which others may be at work.
    return facts.st_mode, facts.st_uid, facts.st_gid, None if names else facts.st_mtime_ns, os.listxattr(path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """A sandbox with a plan for the problem, and what must still be so after every program."""

    sandbox: Sandbox
    plan: Plan
    pristine: Any
    host: Host

    def judge(self, path: Path, mode: str = SPLIT) -> Judgement:
        return self.judge_source(path.read_text(encoding="utf-8"), mode)

    def judge_source(self, source: str, mode: str = SPLIT) -> Judgement:
        plan = self.plan if mode == SPLIT else replace(self.plan, mode=mode, calls=(), answers=frozenset())
        return Judge(PROBLEM, plan, self.sandbox, LIMITS).judge(source)

    def contamination(self) -> list[str]:
        """What the next program finds other than in a new box."""
        found = probe(self.sandbox)
        if not isinstance(found, dict):
            return [f"the probe: {found}"]
        changed = [
            f"{key}: {self.pristine[key]} before, {now}" for key, now in found.items() if now != self.pristine[key]
        ]
        verdict = self.judge_source(REFERENCE).verdict
        return changed if verdict is Verdict.PASSED else [*changed, f"the reference gets {verdict}"]


@contextlib.contextmanager
def open_bench(backend: str) -> Iterator[Bench]:
    """A bench on one backend.

    Raises:
        SandboxUnavailable: this machine does not have it.
    """
    with contextlib.ExitStack() as stack:
        sandbox = stack.enter_context(open_sandbox(backend, "stdlib"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harness-corpus-")))
        folder.chmod(0o777)
        host = Host(folder)
        stack.callback(host.close)
        plan = make_plan(PROBLEM, REFERENCE, sandbox, LIMITS)
        yield Bench(sandbox=sandbox, plan=plan, pristine=probe(sandbox), host=host)


# ---------------------------------------------------------------------------------------------------------------------
# The table
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, slots=True)
class Tally:
    """One line of the table."""

    backend: str
    user: int
    programs: int = 0
    """Runs of programs; a cheat runs twice, with the tests apart from it and beside it."""
    wrong_verdicts: int = 0
    forged_passes: int = 0
    escapes: int = 0
    contaminated_successors: int = 0
    unjudged: int = 0
    anomalies: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not any(getattr(self, column) for column in _FAULTS)

    def count(self, column: str, what: str) -> None:
        setattr(self, column, getattr(self, column) + 1)
        self.anomalies.append(f"{column.replace('_', ' ')}: {what}")


_FAULTS = ("wrong_verdicts", "forged_passes", "escapes", "contaminated_successors", "unjudged")


def tally(backend: str) -> Tally:
    """Runs the whole corpus on one backend.

    Raises:
        SandboxUnavailable: this machine does not have it.
    """
    counts = Tally(backend=backend, user=os.geteuid())
    with open_bench(backend) as bench:
        for path in HOSTILE:
            _try(counts, bench, path, SPLIT, expected(path, backend))
        for path in CHEATS:
            _try(counts, bench, path, SPLIT, expected(path, backend))
            _try(counts, bench, path, IN_PROCESS, set(Verdict) - {Verdict.PASSED, Verdict.UNJUDGED})
    return counts


def _try(counts: Tally, bench: Bench, path: Path, mode: str, allowed: set[Verdict]) -> None:
    judgement = bench.judge(path, mode)
    counts.programs += 1
    what = f"{path.parent.name}/{path.name} ({mode}): {judgement.verdict} {judgement.detail}".strip()
    if judgement.verdict is Verdict.UNJUDGED:
        counts.count("unjudged", what)
    elif judgement.verdict is Verdict.PASSED and path in CHEATS:
        counts.count("forged_passes", what)
    elif judgement.verdict not in allowed or judgement.attempts > 1:
        counts.count(
            "wrong_verdicts", f"{what}, in attempt {judgement.attempts}; allowed: {', '.join(sorted(allowed))}"
        )
    for change in bench.host.changes():
        counts.count("escapes", f"{change} after {what}")
    for change in bench.contamination():
        counts.count("contaminated_successors", f"{change} after {what}")


def tallies(backends: Sequence[str]) -> Iterator[Tally]:
    """A line for each backend that this machine has, as this user; the others are named on standard error."""
    for backend in backends:
        try:
            yield tally(backend)
        except SandboxUnavailable as error:
            print(f"{backend} as user {os.geteuid()}: not here: {error}", file=sys.stderr)


def without_privileges(backends: Sequence[str]) -> Iterator[Tally]:
    """The same as another user, who is given a copy of what this needs."""
    with copy_for_everybody() as folder:
        python = python_for(NOBODY)
        if python is None:
            print(f"user {NOBODY}: no Python 3.11 or newer that it may run", file=sys.stderr)
            return
        done = subprocess.run(
            [python, "-B", folder / "tests" / "sandbox" / "corpus.py", "--json", "--backends", ",".join(backends)],
            **as_nobody(),
            stdout=subprocess.PIPE,
            text=True,
        )
        if not done.stdout:
            raise RuntimeError(f"the corpus came to no end as user {NOBODY}; its exit code is {done.returncode}")
        yield from (Tally(**row) for row in json.loads(done.stdout))


def as_nobody() -> dict[str, Any]:
    """Arguments of `subprocess.run` for a process without privileges."""
    environment = {"PATH": "/usr/bin:/bin"}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/", "env": environment}


@contextlib.contextmanager
def copy_for_everybody() -> Iterator[Path]:
    """A copy of our packages and the corpus that any user can read."""
    with tempfile.TemporaryDirectory(prefix="harness-corpus-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("harness", "sandbox", "tasks", "tests/hostile", "tests/cheats"):
            shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "tests" / "sandbox").mkdir()
        shutil.copy(__file__, folder / "tests" / "sandbox")
        yield folder


def python_for(user: int) -> str | None:
    """An interpreter that `user` may run and that is new enough; None where there is none."""
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            check = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
            if subprocess.run(check, **{**as_nobody(), "user": user}, stderr=subprocess.DEVNULL).returncode == 0:
                return python
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backends", default=",".join(BACKENDS), help="which of them, in order (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="rows for a program, of this user only")
    arguments = parser.parse_args()
    backends = arguments.backends.split(",")
    unknown = set(backends) - set(BACKENDS)
    if unknown:
        parser.error(f"unknown backend {', '.join(sorted(unknown))}; accepted: {', '.join(BACKENDS)}")
    if arguments.json:
        rows = list(tallies(backends))
        print(json.dumps([asdict(row) for row in rows]))
    else:
        rows = _show(backends)
    return 0 if rows and all(row.sound for row in rows) else 1


def _show(backends: Sequence[str]) -> list[Tally]:
    rows = list(tallies(backends))
    if os.geteuid() == 0:
        rows += without_privileges([backend for backend in backends if backend != "docker"])
    columns = ("backend", "user", "programs", *_FAULTS)
    print(" | ".join(column.replace("_", " ") for column in columns))
    for row in rows:
        print(" | ".join(f"{getattr(row, column)!s:>{len(column)}}" for column in columns))
    for row in rows:
        for line in row.anomalies:
            print(f"{row.backend} as user {row.user}: {line}")
    return rows


if __name__ == "__main__":
    sys.exit(main())
