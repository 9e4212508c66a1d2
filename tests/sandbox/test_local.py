"""Real boxes: what a program sees, what it may use, what it leaves, and what happens when things die."""

from __future__ import annotations

import json
import math
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import codec, wire
from sandbox.local import LocalBox, LocalSandbox
from sandbox.packages import resolve
from sandbox.program import BoxLost, Ending, Limits, Program, SandboxUnavailable
from sandbox.sandbox import Sandbox
from sandbox.session import ProgramEnded

REPOSITORY = Path(__file__).parents[2]
SHORT = Limits(cpu_s=0.3, idle_s=0.3, wall_s=20.0)
SYSTEM_PYTHON = Path("/usr/bin/python3")


@pytest.fixture
def own() -> Iterator[LocalSandbox]:
    """A sandbox that a test may break."""
    with LocalSandbox() as sandbox:
        yield sandbox


def frames(sandbox: LocalSandbox, source: str, count: int, *, grouped: bool) -> list[tuple[int, bytes]]:
    """All that a program says that is called so many times, with 0, 1, 2..."""
    calls = [("f", codec.encode(((number,), {}))) for number in range(count)]
    said = []
    session = sandbox.open(Program(source=source), SHORT, calls, watch=False, grouped=grouped)
    try:
        while True:
            said.append(session.receive())
    except ProgramEnded:
        session.end()
    return said


# ---------------------------------------------------------------------------------------------------------------------
# What a program sees
# ---------------------------------------------------------------------------------------------------------------------


def test_a_program_is_not_root(ask: Any) -> None:
    seen = ask("import os\ndef f():\n    return os.getresuid(), os.getresgid(), os.getgroups()")

    assert 0 not in (*seen[0], *seen[1], *seen[2])


def test_a_program_sees_no_processes(ask: Any) -> None:
    assert ask("import os\ndef f():\n    return os.listdir('/proc'), os.getppid()") == ([], 1)


def test_a_program_sees_no_files_of_the_host(ask: Any, tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    sentinel.write_text("secret")
    places = [str(sentinel), str(REPOSITORY / "sandbox"), "/etc/passwd", "/etc/hostname", "/sys", "/run", "/var"]

    assert not any(ask("import os\ndef f(paths):\n    return [os.path.exists(path) for path in paths]", places))


def test_a_program_does_not_see_this_checkout_in_its_arguments(ask: Any) -> None:
    seen = ask("import sys\ndef f():\n    return sys.argv, sys.orig_argv, sys.path")

    assert str(REPOSITORY) not in repr(seen)
    assert seen[:2] == ([""], [""])


def test_a_program_cannot_reach_a_listener_of_the_host(ask: Any) -> None:
    source = """
import socket
def f(address, path):
    refused = []
    for family, name in ((socket.AF_INET, address), (socket.AF_UNIX, path)):
        try:
            socket.socket(family).connect(name)
        except OSError:
            refused.append(name)
    return len(refused)
"""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        path = f"\0harness-test-{os.getpid()}"
        abstract.bind(path)
        abstract.listen()

        assert ask(source, listener.getsockname(), path) == 2


def test_the_environment_is_four_fixed_variables(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_SECRET", "token")
    with LocalSandbox() as sandbox:
        environment = ask("import os\ndef f():\n    return dict(os.environ)", box=sandbox)

    assert environment == {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}


DESCRIPTORS = """
import os
def f():
    found = []
    for number in range(4096):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return found
"""


def test_a_program_has_four_descriptors(ask: Any) -> None:
    assert ask(DESCRIPTORS) == [0, 1, 2, 3]


def test_a_program_has_four_descriptors_however_many_the_slot_has(ask: Any) -> None:
    """The box's control socket once kept the slot's number, and one above 64 stayed open in every program."""
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(200)]
    try:
        with LocalSandbox() as sandbox:
            assert ask(DESCRIPTORS, box=sandbox) == [0, 1, 2, 3]
    finally:
        for descriptor in held:
            os.close(descriptor)


def test_only_the_scratch_directories_are_writable(ask: Any) -> None:
    source = """
import os
def f():
    writable = []
    folders = ["/"] + ["/" + name for name in os.listdir("/")] + ["/dev/shm", os.path.dirname(os.__file__)]
    for folder in folders:
        try:
            open(f"{folder}/probe", "w").close()
        except OSError:
            continue
        writable.append(folder)
    return sorted(writable)
"""
    assert ask(source) == ["/dev/shm", "/tmp"]


def test_dev_holds_four_devices_and_shared_memory(ask: Any) -> None:
    assert sorted(ask("import os\ndef f():\n    return os.listdir('/dev')")) == [
        "null",
        "random",
        "shm",
        "urandom",
        "zero",
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Limits and facts
# ---------------------------------------------------------------------------------------------------------------------


def test_processor_time_is_limited(ask: Any) -> None:
    outcome = ask.outcome("def f():\n    while True: pass", limits=SHORT)

    assert outcome.said == "nothing"
    assert outcome.execution.ending is Ending.CPU_LIMIT
    assert outcome.execution.cpu_s > SHORT.cpu_s


def test_the_time_of_children_counts(ask: Any) -> None:
    source = "import os\ndef f():\n    if os.fork():\n        os.wait()\n    while True: pass"

    assert ask.outcome(source, limits=SHORT).execution.ending is Ending.CPU_LIMIT


def test_idle_time_is_limited(ask: Any) -> None:
    outcome = ask.outcome("import time\ndef f():\n    time.sleep(3600)", limits=SHORT)

    assert outcome.said == "nothing"
    assert outcome.execution.ending is Ending.IDLE_LIMIT
    assert outcome.execution.cpu_s < SHORT.cpu_s


def test_time_by_the_clock_is_limited(ask: Any) -> None:
    limits = Limits(cpu_s=60.0, idle_s=60.0, wall_s=0.3)

    assert ask.outcome("def f():\n    while True: pass", limits=limits).execution.ending is Ending.WALL_LIMIT


def test_urgent_data_does_not_hide_a_program_that_waits(ask: Any) -> None:
    """It made the slot wait where no limit was watched."""
    source = """
import socket, time
def f():
    socket.socket(fileno=3).send(b"x", socket.MSG_OOB)
    time.sleep(3600)
"""
    assert ask.outcome(source, limits=SHORT).execution.ending in (Ending.IDLE_LIMIT, Ending.SIGNALED, Ending.STOPPED)


def test_a_program_that_reads_no_calls_is_ended_by_the_idle_limit(own: LocalSandbox) -> None:
    """It answers every call in advance and then reads none, until the slot cannot send another."""
    source = """
import os, struct, time
def f(x):
    os.write(3, struct.pack("<IB", 2, 0x56) + b"pN")
    for _ in range(5000):
        os.write(3, struct.pack("<IB", 2, 0x56) + b"pN")
    time.sleep(3600)
"""
    session = own.open(Program(source=source), SHORT, stay=True)
    session.receive()

    def talk() -> None:
        for _ in range(4000):
            session.ask([("f", codec.encode(((1,), {})))])
            session.receive()

    with pytest.raises(ProgramEnded):
        talk()
    assert session.end().ending is Ending.IDLE_LIMIT


def test_memory_is_limited_and_the_program_can_say_so(ask: Any) -> None:
    limits = Limits(memory_bytes=256 << 20)
    for source in (
        "def f():\n    pieces = []\n    while True: pieces.append(bytearray(1 << 20))",
        "def f():\n    pieces = []\n    while True: pieces.append([None])",
        "def f():\n    return bytes(1 << 40)",
    ):
        outcome = ask.outcome(source, limits=limits)
        assert outcome.said == "raised", outcome
        assert outcome.value[:3] == ("call", "MemoryError", "MemoryError")
        assert outcome.execution.memory_bytes < 256 << 20


def test_processes_and_threads_are_limited(ask: Any) -> None:
    forks = """
import os, signal
def f():
    for count in range(200):
        try:
            if os.fork() == 0:
                signal.pause()
        except BlockingIOError:
            return count
"""
    threads = """
import threading
def f():
    for count in range(200):
        try:
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        except RuntimeError:
            return count
"""
    assert 8 <= ask(forks) <= 16
    assert 8 <= ask(threads) <= 16


def test_descriptors_are_limited(ask: Any) -> None:
    source = """
import os
def f():
    for count in range(1000):
        try:
            os.dup(0)
        except OSError:
            return count
"""
    assert ask(source) == 60


def test_disk_and_inodes_are_limited(ask: Any) -> None:
    source = """
import os
def f(folder):
    written = files = 0
    try:
        for number in range(40):
            with open(f"{folder}/{number}", "wb", buffering=0) as file:
                written += file.write(bytes(1 << 20))
    except OSError:
        pass
    for name in os.listdir(folder):
        os.unlink(f"{folder}/{name}")
    try:
        for files in range(5000):
            open(f"{folder}/{files}", "w").close()
    except OSError:
        pass
    return written, files
"""
    for folder in ("/tmp", "/dev/shm"):
        written, files = ask(source, folder)
        assert 15 << 20 <= written <= 16 << 20
        assert 1000 <= files <= 1024


def test_an_answer_beyond_the_limit_is_refused(ask: Any) -> None:
    limits = Limits(output_bytes=1000)

    assert ask("def f():\n    return 'x' * 900", limits=limits) == "x" * 900
    assert ask.outcome("def f():\n    return 'x' * 1000", limits=limits).said == "too large"


@pytest.mark.parametrize(
    ("body", "ending", "code"),
    [
        ("os._exit(7)", Ending.EXITED, 7),
        ("os._exit(0)", Ending.EXITED, 0),
        ("os.kill(os.getpid(), signal.SIGSEGV)", Ending.SIGNALED, 11),
        ("os.abort()", Ending.SIGNALED, 6),
        ("os.kill(os.getpid(), signal.SIGKILL)", Ending.SIGNALED, 9),
    ],
)
def test_the_end_of_a_process_is_reported_as_it_was(ask: Any, body: str, ending: Ending, code: int) -> None:
    outcome = ask.outcome(f"import os, signal\ndef f():\n    {body}")

    assert outcome.said == "nothing"
    assert (outcome.execution.ending, outcome.execution.code) == (ending, code)


def test_memory_is_what_the_program_took_beyond_an_empty_one(ask: Any) -> None:
    empty = ask.outcome("def f(): pass").execution.memory_bytes
    taken = ask.outcome("def f():\n    return len(bytearray(50 << 20))").execution.memory_bytes

    assert empty < 10 << 20
    assert 40 << 20 <= taken <= 80 << 20


def test_processor_time_is_what_the_program_took(ask: Any) -> None:
    source = """
import time
def f():
    while time.process_time() < 0.2: pass
    time.sleep(0.2)
"""
    execution = ask.outcome(source).execution

    assert 0.2 <= execution.cpu_s <= 1.0
    assert execution.wall_s >= 0.4


# ---------------------------------------------------------------------------------------------------------------------
# What is left behind
# ---------------------------------------------------------------------------------------------------------------------


def test_files_of_one_program_are_gone_in_the_next(ask: Any) -> None:
    for leave in (
        "open('/tmp/x', 'w').close(); open('/dev/shm/x', 'w').close()",
        "os.makedirs('/tmp/a/b'); open('/tmp/a/b/c', 'w').close()",
        "os.symlink('/', '/tmp/link'); os.mkfifo('/tmp/pipe')",
        "os.mkdir('/tmp/closed', 0)",
    ):
        ask(f"import os\ndef f():\n    {leave}")
        assert ask("import os\ndef f():\n    return os.listdir('/tmp') + os.listdir('/dev/shm')") == []


def test_a_box_with_plain_files_only_is_kept_and_one_with_directories_is_not(ask: Any, own: LocalSandbox) -> None:
    ask("open('/tmp/x', 'w').close()\ndef f(): pass", box=own)
    kept = ask("import os\ndef f(): return os.getpid()", box=own)
    ask("import os\nos.mkdir('/tmp/x')\ndef f(): pass", box=own)
    fresh = ask("import os\ndef f(): return os.getpid()", box=own)

    assert kept > fresh  # numbers of processes begin anew with each box


def test_modules_environment_and_directory_are_those_of_a_new_process(ask: Any) -> None:
    leave = """
import builtins, math, os, random, sys
def f():
    math.pi = 3
    builtins.leftover = None
    sys.modules["leftover"] = math
    os.environ["LEFTOVER"] = "1"
    os.chdir("/usr")
    os.umask(0)
    random.seed(1)
"""
    look = """
import builtins, math, os, sys
def f():
    left = hasattr(builtins, "leftover"), "leftover" in sys.modules, "LEFTOVER" in os.environ
    return math.pi, left, os.getcwd(), os.umask(0)
"""
    ask(leave)

    assert ask(look) == (math.pi, (False, False, False), "/tmp", 0o077)


def test_random_numbers_are_the_same_in_every_program(ask: Any, own: LocalSandbox) -> None:
    source = "import random\ndef f():\n    return random.random(), random.sample(range(100), 5), random.gauss(0, 1)"
    drawn = {repr(ask(source)) for _ in range(3)} | {repr(ask(source, box=own))}

    assert len(drawn) == 1


def test_a_program_that_forks_draws_other_numbers_in_its_child(ask: Any) -> None:
    source = """
import os, random
def f():
    ours, theirs = os.pipe()
    if os.fork() == 0:
        os.write(theirs, repr(random.random()).encode())
        os._exit(0)
    os.wait()
    return float(os.read(ours, 100)) != random.random()
"""
    assert ask(source) is True


def test_sets_of_text_have_one_order(ask: Any, own: LocalSandbox) -> None:
    source = "def f():\n    return list({'one', 'two', 'three', 'four', 'five'})"

    assert ask(source) == ask(source, box=own)


def test_a_daemon_is_gone_and_its_box_goes_on_serving(ask: Any, own: LocalSandbox) -> None:
    daemon = """
import os, signal
def f():
    ours, theirs = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(theirs, str(os.getpid()).encode())
            while True:
                signal.pause()
        os._exit(0)
    return int(os.read(ours, 10)), os.getpid()
"""
    look = """
import os
def f(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return os.getpid()
"""
    daemon_pid, program_pid = ask(daemon, box=own)
    next_pid = ask(look, daemon_pid, box=own)

    assert next_pid > daemon_pid > program_pid  # the same box: its numbers go on


def test_the_limits_of_the_next_program_cannot_be_lowered(ask: Any) -> None:
    """Process 1 passes its limits on, and belongs to the same user."""
    source = """
import os, resource
def f():
    try:
        resource.prlimit(1, resource.RLIMIT_DATA, (1 << 20, 1 << 20))
    except PermissionError:
        return "refused"
"""
    assert ask(source) == "refused"
    assert ask("def f():\n    return len(bytearray(50 << 20))") == 50 << 20


def test_a_call_that_raises_is_not_the_last(own: LocalSandbox) -> None:
    source = "def f(x):\n    return 1 // x"
    calls = [("f", codec.encode(((x,), {}))) for x in (0, 1, 0, -1)]
    session = own.open(Program(source=source), Limits(), calls)
    kinds = [session.receive()[0] for _ in range(5)]
    session.end()

    assert kinds == [wire.READY, wire.RAISED, wire.VALUE, wire.RAISED, wire.VALUE]


# ---------------------------------------------------------------------------------------------------------------------
# When things die
# ---------------------------------------------------------------------------------------------------------------------


def children(pid: int) -> list[int]:
    """The processes that `pid` has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def state(pid: int) -> str:
    """One letter, as in proc(5); empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_for_end(*pids: int) -> None:
    """Returns when none of these processes runs; the test's own time limit is the patience."""
    handles = []
    for pid in pids:
        try:
            handles.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    for handle in handles:
        with open(handle) as end:
            select.select([end], [], [], 60)


def box_processes(sandbox: LocalSandbox) -> tuple[int, int]:
    """The launcher of a started sandbox and its zygote, found as children of this process."""
    before = set(children(os.getpid()))
    sandbox.start()
    (launcher,) = set(children(os.getpid())) - before
    (zygote,) = children(launcher)
    return launcher, zygote


def test_a_killed_zygote_is_a_lost_box_and_the_next_program_has_a_fresh_one(ask: Any, own: LocalSandbox) -> None:
    _, zygote = box_processes(own)
    session = own.open(Program(source="def f(): pass"), Limits(), stay=True)
    assert session.receive()[0] == wire.READY

    os.kill(zygote, signal.SIGKILL)

    for wait in (session.receive, session.end):
        with pytest.raises(BoxLost):
            wait()
    assert ask("def f():\n    return 1", box=own) == 1


def test_a_zygote_killed_between_two_programs_is_a_lost_box_once(ask: Any, own: LocalSandbox) -> None:
    launcher, zygote = box_processes(own)
    os.kill(zygote, signal.SIGKILL)
    wait_for_end(launcher)

    with pytest.raises(BoxLost):
        ask("def f():\n    return 1", box=own)
    assert ask("def f():\n    return 1", box=own) == 1


def test_nothing_is_left_of_a_closed_sandbox() -> None:
    sandbox = LocalSandbox()
    launcher, zygote = box_processes(sandbox)
    assert state(launcher) != ""

    sandbox.close()

    wait_for_end(zygote)
    assert state(launcher) == ""
    assert state(zygote) in ("", "Z")


def test_closing_ends_a_program_that_runs() -> None:
    sandbox = LocalSandbox()
    _, zygote = box_processes(sandbox)
    session = sandbox.open(Program(source="def f(): pass"), Limits(), stay=True)
    session.receive()
    (program,) = children(zygote)

    sandbox.close()

    with pytest.raises(BoxLost):
        session.end()
    wait_for_end(program, zygote)
    assert state(program) in ("", "Z")


def test_a_closed_sandbox_can_be_used_again(ask: Any, own: LocalSandbox) -> None:
    assert ask("def f():\n    return 1", box=own) == 1
    own.close()
    assert ask("def f():\n    return 2", box=own) == 2


SLOT = """
import sys
sys.path.insert(0, sys.argv[1])
from sandbox.local import LocalBox, LocalSandbox
from sandbox.program import Limits, Program
sandbox = LocalSandbox()
sandbox.start()
session = sandbox.open(Program(source="def f(): pass"), Limits(), stay=True)
session.receive()
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_slot_that_is_killed_leaves_no_process_behind() -> None:
    slot = subprocess.Popen(
        [sys.executable, "-c", SLOT, str(REPOSITORY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with slot:
        assert slot.stdout is not None
        assert slot.stdout.readline() == "ready\n"
        (launcher,) = children(slot.pid)
        (zygote,) = children(launcher)
        (program,) = children(zygote)

        os.kill(slot.pid, signal.SIGKILL)

        wait_for_end(launcher, zygote, program)
        assert {state(pid) for pid in (launcher, zygote, program)} <= {"", "Z"}


# ---------------------------------------------------------------------------------------------------------------------
# Without root
# ---------------------------------------------------------------------------------------------------------------------

UNPRIVILEGED = """
import json, sys
sys.path.insert(0, sys.argv[1])
from sandbox import codec, wire
from sandbox.local import LocalBox, LocalSandbox
from sandbox.program import Limits, Program

def ask(sandbox, source):
    session = sandbox.open(Program(source=source), Limits(), [("f", codec.encode(((), {})))])
    session.receive()
    kind, payload = session.receive()
    session.end()
    return codec.decode(payload) if kind == wire.VALUE else repr(codec.decode(payload))

with LocalSandbox() as sandbox:
    print(json.dumps({
        "facts": sandbox.start(),
        "user": ask(sandbox, "import os\\ndef f():\\n    return os.getuid()"),
        "proc": ask(sandbox, "import os\\ndef f():\\n    return os.listdir('/proc')"),
        "close": ask(sandbox, "import os\\ndef f():\\n    os.chmod('/tmp', 0); return 1"),
        "after close": ask(sandbox, "def f():\\n    return open('/tmp/x', 'w').write('abc')"),
        "mark": ask(sandbox, "import os\\ndef f():\\n    os.setxattr('/dev/shm', 'user.mark', b'1'); return 1"),
        "after mark": ask(sandbox, "import os\\ndef f():\\n    return os.listxattr('/dev/shm')"),
        "write": ask(sandbox, "def f():\\n    open('/usr/x', 'w')"),
    }))
"""


@pytest.fixture(scope="module")
def unprivileged() -> Iterator[dict[str, Any]]:
    """What a script without privileges saw, of a sandbox that it opened."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    version = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not SYSTEM_PYTHON.exists() or subprocess.run([SYSTEM_PYTHON, "-c", version]).returncode != 0:
        pytest.skip(f"needs {SYSTEM_PYTHON}, 3.11 or newer, because another user may not read this interpreter")
    folder = Path(tempfile.mkdtemp(prefix="harness-test-"))
    try:
        folder.chmod(0o755)
        shutil.copytree(REPOSITORY / "sandbox", folder / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
        done = subprocess.run(
            [SYSTEM_PYTHON, "-B", "-c", UNPRIVILEGED, str(folder)],
            user=12345,
            group=12345,
            extra_groups=[],
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )
        if "SandboxUnavailable" in done.stderr:
            pytest.skip(f"needs user namespaces without root: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout)
    finally:
        shutil.rmtree(folder)


def test_a_box_needs_no_root(unprivileged: dict[str, Any]) -> None:
    assert unprivileged["user"] not in (0, None)
    assert unprivileged["proc"] == []
    assert "Read-only file system" in unprivileged["write"] or "Permission denied" in unprivileged["write"]


def test_without_root_a_program_cannot_spoil_the_scratch_directories_for_the_next(unprivileged: dict[str, Any]) -> None:
    """There they belong to the program's own user."""
    assert unprivileged["close"] == 1
    assert unprivileged["after close"] == 3
    assert unprivileged["after mark"] == []


# ---------------------------------------------------------------------------------------------------------------------
# Packages and set-up
# ---------------------------------------------------------------------------------------------------------------------

IMPORTS = """
def f(names):
    found = []
    for name in names:
        try:
            __import__(name)
        except ImportError:
            continue
        found.append(name)
    return found
"""


@pytest.mark.parametrize(
    ("policy", "importable"),
    [("stdlib", ["json", "unittest"]), ("numpy", ["json", "unittest", "numpy"])],
)
def test_a_policy_says_what_can_be_imported(ask: Any, policy: str, importable: list[str]) -> None:
    if policy == "numpy":
        pytest.importorskip("numpy")
    with LocalSandbox(policy) as sandbox:
        assert (
            ask(IMPORTS, ["json", "unittest", "numpy", "pytest", "scipy", "sandbox", "harness"], box=sandbox)
            == importable
        )


def test_with_host_packages_a_program_can_import_what_we_can(ask: Any) -> None:
    if sysconfig.get_path("purelib").startswith("/tmp/"):
        pytest.skip("needs an environment outside /tmp, which is the scratch directory of a box")
    with LocalSandbox("host") as sandbox:
        assert ask(IMPORTS, ["json", "pytest", "hypothesis"], box=sandbox) == ["json", "pytest", "hypothesis"]


def test_numpy_works_and_draws_the_same_numbers_in_every_program(ask: Any) -> None:
    pytest.importorskip("numpy")
    source = "import numpy\ndef f():\n    return numpy.random.rand(3), numpy.linalg.inv(numpy.eye(2)) @ [1, 2]"
    with LocalSandbox("numpy") as sandbox:
        drawn = {repr(ask(source, box=sandbox)) for _ in range(2)}

    assert len(drawn) == 1


def test_an_unknown_policy_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="stdlib, numpy, host"):
        LocalSandbox("everything")


def broken_sandbox(missing: Path) -> Sandbox:
    """A sandbox whose box is to show a directory that does not exist."""
    packages = resolve("stdlib")
    return Sandbox(lambda: LocalBox(replace(packages, binds=(*packages.binds, str(missing)))))


def test_a_set_up_that_fails_names_its_step(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match=f"mount .*{tmp_path}/missing"):
        broken_sandbox(tmp_path / "missing").start()


def test_a_set_up_that_fails_leaves_no_process_behind(tmp_path: Path) -> None:
    before = children(os.getpid())

    with pytest.raises(SandboxUnavailable):
        broken_sandbox(tmp_path / "missing").start()

    assert children(os.getpid()) == before


def test_a_box_says_what_it_is_made_of(own: LocalSandbox) -> None:
    facts = own.start()

    assert facts["name"] == "local"
    assert facts["python"] == sys.version.split()[0]
    assert "seccomp deny-list" in facts["layers"]


# ---------------------------------------------------------------------------------------------------------------------
# Answers that are sent together
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 16, 17, 48, 49, 200])
def test_answers_that_are_sent_together_are_the_same_answers(own: LocalSandbox, count: int) -> None:
    source = "def f(n):\n    return [n, 'x' * (n * n), f, {}][n % 4] if n % 7 else [][n]"

    one, together = (frames(own, source, count, grouped=grouped) for grouped in (False, True))

    assert one == together
    assert len(one) == count + 1


def test_what_was_said_before_a_program_left_is_the_same_each_time(own: LocalSandbox) -> None:
    """16 answers one by one, one group of 32; the group that was begun is lost with the process."""
    source = "import os\ndef f(n):\n    return n if n < 60 else os._exit(0)"

    assert [len(frames(own, source, 100, grouped=True)) for _ in range(5)] == [1 + 16 + 32] * 5
