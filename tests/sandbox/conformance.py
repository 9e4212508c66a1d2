"""What every backend must do alike, as checks that need no pytest, so that a user without privileges can run them.

    python tests/sandbox/conformance.py BACKEND PROBLEMS.json

Prints one JSON object: the name of each check, and what it found wrong.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path[0:1] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from corpus import PROBE, PROBLEM, REFERENCE, open_bench

from harness.grade import Judge, make_plan
from harness.records import Verdict
from sandbox import codec, wire
from sandbox.choice import open_sandbox
from sandbox.program import Ending, Execution, Limits, Program
from sandbox.sandbox import Sandbox
from sandbox.session import AnswerTooLarge, ProgramEnded
from tasks.problem import Problem

ROOMY = Limits(cpu_s=10.0, idle_s=10.0)
SHORT = Limits(cpu_s=0.3, idle_s=0.3, wall_s=20.0)

CHEATS = {
    "equals everything": "class A:\n    def __eq__(self, other): return True\n    def __hash__(self): return 0\n"
    "    def __lt__(self, other): return True\n    def __sub__(self, other): return 0\ndef NAME(*a): return A()\n",
    "leaves with 0": "import os\ndef NAME(*a): os._exit(0)\n",
    "leaves at import": "import sys\nsys.exit(0)\n",
    "says it is done": "import os, struct\nos.write(3, struct.pack('<IB', 24, 0x44) + bytes(24))\ndef NAME(*a): pass\n",
    "marks lists": "import sys\ndef NAME(*a):\n    frame = sys._getframe()\n    while frame:\n"
    "        [v.append('passed') for v in frame.f_locals.values() if type(v) is list]\n        frame = frame.f_back\n",
}


class Setting(NamedTuple):
    """What a check is given."""

    backend: str
    sandbox: Sandbox
    problems: list[tuple[Problem, str]]
    """With the source of the reference."""


class Outcome(NamedTuple):
    said: str
    value: Any
    execution: Execution


def outcome(sandbox: Sandbox, source: str, *arguments: Any, limits: Limits = ROOMY) -> Outcome:
    """What came of `f(*arguments)`."""
    session = sandbox.open(Program(source=source), limits, [("f", codec.encode((arguments, {})))])
    said, value = "nothing", None
    try:
        while said == "nothing":
            kind, payload = session.receive()
            said = {wire.VALUE: "value", wire.RAISED: "raised", wire.UNSUPPORTED: "unsupported"}.get(kind, "nothing")
            value = codec.decode(payload) if said != "nothing" else None
    except ProgramEnded:
        pass
    except AnswerTooLarge as error:
        said, value = "too large", str(error)
    return Outcome(said, value, session.end())


def ask(sandbox: Sandbox, source: str, *arguments: Any) -> Any:
    found = outcome(sandbox, source, *arguments)
    assert found.said == "value", found
    return found.value


# ---------------------------------------------------------------------------------------------------------------------
# What a program sees
# ---------------------------------------------------------------------------------------------------------------------


def a_box_says_what_it_is(setting: Setting) -> None:
    facts = setting.sandbox.start()
    assert facts["name"] == setting.backend
    assert facts["python"] == sys.version.split()[0]
    assert "seccomp deny-list" in facts["layers"]


def a_program_has_no_power_of_root(setting: Setting) -> None:
    source = """
import os
def f():
    refused = 0
    for action in (lambda: os.setuid(54321), lambda: os.setgroups([54321]), lambda: os.chroot("/tmp")):
        try:
            action()
        except OSError:
            refused += 1
    return refused
"""
    assert ask(setting.sandbox, source) == 3


def a_program_reads_and_writes_no_file_of_the_host(setting: Setting) -> None:
    source = """
import os
def f(paths):
    opened = []
    for path in paths:
        for mode in ("r", "a"):
            try:
                open(path, mode).close()
            except OSError:
                continue
            opened.append(path)
    return opened
"""
    library = os.path.dirname(os.__file__)
    paths = [__file__, "/etc/passwd", "/proc/1/environ", "/proc/self/mem", f"{library}/new", "/usr/new", "/new"]
    assert ask(setting.sandbox, source, paths) in ([], ["/proc/self/mem"] * 2)  # its own memory is its own


def a_program_reaches_no_listener_of_the_host(setting: Setting) -> None:
    source = """
import socket
def f(address, path):
    refused = 0
    for family, name in ((socket.AF_INET, address), (socket.AF_UNIX, path)):
        try:
            socket.socket(family).connect(name)
        except OSError:
            refused += 1
    return refused
"""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        path = f"\0harness-test-{os.getpid()}"
        abstract.bind(path)
        abstract.listen()
        assert ask(setting.sandbox, source, listener.getsockname(), path) == 2


def environment_arguments_and_descriptors_are_few(setting: Setting) -> None:
    source = """
import os, sys
def f():
    found = []
    for number in range(4096):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return dict(os.environ), sys.argv, sys.orig_argv, found
"""
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
    assert ask(setting.sandbox, source) == (environment, [""], [""], [0, 1, 2, 3])


# ---------------------------------------------------------------------------------------------------------------------
# Limits
# ---------------------------------------------------------------------------------------------------------------------


def processor_time_is_limited(setting: Setting) -> None:
    found = outcome(setting.sandbox, "def f():\n    while True: pass", limits=SHORT)
    assert (found.said, found.execution.ending) == ("nothing", Ending.CPU_LIMIT), found


def idle_time_is_limited(setting: Setting) -> None:
    found = outcome(setting.sandbox, "import time\ndef f():\n    time.sleep(3600)", limits=SHORT)
    assert (found.said, found.execution.ending) == ("nothing", Ending.IDLE_LIMIT), found


def time_by_the_clock_is_limited(setting: Setting) -> None:
    limits = Limits(cpu_s=60.0, idle_s=60.0, wall_s=0.3)
    found = outcome(setting.sandbox, "def f():\n    while True: pass", limits=limits)
    assert found.execution.ending is Ending.WALL_LIMIT, found


def memory_is_limited_and_the_program_can_say_so(setting: Setting) -> None:
    limits = Limits(memory_bytes=256 << 20)
    for source in ("def f():\n    a = []\n    while True: a.append(bytearray(1 << 20))", "def f(): bytes(1 << 40)"):
        found = outcome(setting.sandbox, source, limits=limits)
        assert (found.said, found.value[1]) == ("raised", "MemoryError"), found


def output_is_limited(setting: Setting) -> None:
    limits = Limits(output_bytes=1000)
    assert outcome(setting.sandbox, "def f():\n    return 'x' * 900", limits=limits).said == "value"
    assert outcome(setting.sandbox, "def f():\n    return 'x' * 1000", limits=limits).said == "too large"


def the_end_of_a_process_is_reported_as_it_was(setting: Setting) -> None:
    ends = [("os._exit(7)", Ending.EXITED, 7), ("ctypes.string_at(0)", Ending.SIGNALED, 11)]
    for body, ending, code in ends:
        facts = outcome(setting.sandbox, f"import ctypes, os\ndef f():\n    {body}").execution
        assert (facts.ending, facts.code) == (ending, code), facts


# ---------------------------------------------------------------------------------------------------------------------
# What stays, and what happens when a box dies
# ---------------------------------------------------------------------------------------------------------------------


def a_program_leaves_nothing_to_the_next(setting: Setting) -> None:
    before = ask(setting.sandbox, PROBE)
    leave = """
import builtins, math, os, random, sys
def attempt(action):
    try:
        action()
    except OSError:
        pass
def f():
    math.pi = 3
    builtins.leftover = sys.modules["leftover"] = math
    os.environ["LEFTOVER"] = "1"
    random.seed(1)
    os.umask(0)
    attempt(lambda: os.chdir("/usr"))
    attempt(lambda: os.makedirs("/tmp/a/b"))
    attempt(lambda: open("/dev/shm/x", "w").close())
    attempt(lambda: os.chmod("/tmp", 0))
    attempt(lambda: os.utime("/dev/null"))
"""
    ask(setting.sandbox, leave)
    assert ask(setting.sandbox, PROBE) == before


def a_lost_box_costs_a_second_attempt_and_no_verdict(setting: Setting) -> None:
    with open_bench(setting.backend) as bench:
        kill_the_box(setting.backend, bench.sandbox)
        judgement = bench.judge_source(REFERENCE)
        assert (judgement.verdict, judgement.attempts) == (Verdict.PASSED, 2), judgement
        assert bench.contamination() == []


def kill_the_box(backend: str, sandbox: Sandbox) -> None:
    """Kills the zygote of a started sandbox, which is the newest of this process."""
    if backend == "docker":
        import docker

        client = docker.from_env()
        filters = {"label": f"mtp-harness.pid={os.getpid()}"}
        newest = max(
            client.containers.list(filters=filters, ignore_removed=True),
            key=lambda container: container.attrs["Created"],
        )
        newest.kill()
        client.close()
        return
    pid = children(os.getpid())[-1]
    while children(pid):
        (pid,) = children(pid)
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)


def children(pid: int) -> list[int]:
    """Of those that are programs of a box: not the sentinel of a bench."""
    pids = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [child for child in pids if b"zygote.py" in Path(f"/proc/{child}/cmdline").read_bytes()]


# ---------------------------------------------------------------------------------------------------------------------
# Verdicts
# ---------------------------------------------------------------------------------------------------------------------


def references_pass(setting: Setting) -> None:
    failed = []
    for problem, source in setting.problems:
        plan = make_plan(problem, source, setting.sandbox, ROOMY)
        judgement = Judge(problem, plan, setting.sandbox, ROOMY).judge(source)
        if judgement.verdict is not Verdict.PASSED:
            failed.append((problem.task_id, judgement))
    assert setting.problems
    assert failed == []


def cheats_do_not_pass(setting: Setting) -> None:
    problem, source = setting.problems[0] if setting.problems else (PROBLEM, REFERENCE)
    judge = Judge(problem, make_plan(problem, source, setting.sandbox, ROOMY), setting.sandbox, SHORT)
    verdicts = {name: judge.judge(cheat.replace("NAME", problem.entry_point)).verdict for name, cheat in CHEATS.items()}
    passed = {name: str(verdict) for name, verdict in verdicts.items() if verdict in ("passed", "unjudged")}
    assert passed == {}


CHECKS: dict[str, Callable[[Setting], None]] = {
    check.__name__: check
    for check in (
        a_box_says_what_it_is,
        a_program_has_no_power_of_root,
        a_program_reads_and_writes_no_file_of_the_host,
        a_program_reaches_no_listener_of_the_host,
        environment_arguments_and_descriptors_are_few,
        processor_time_is_limited,
        idle_time_is_limited,
        time_by_the_clock_is_limited,
        memory_is_limited_and_the_program_can_say_so,
        output_is_limited,
        the_end_of_a_process_is_reported_as_it_was,
        a_program_leaves_nothing_to_the_next,
        a_lost_box_costs_a_second_attempt_and_no_verdict,
        references_pass,
        cheats_do_not_pass,
    )
}


def main(backend: str, problems: str) -> None:
    rows = json.loads(Path(problems).read_text())
    found = {}
    with open_sandbox(backend, "stdlib") as sandbox:
        setting = Setting(backend, sandbox, [(Problem.from_json(row["problem"]), row["source"]) for row in rows])
        for name, check in CHECKS.items():
            try:
                check(setting)
                found[name] = ""
            except Exception:
                found[name] = traceback.format_exc()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
