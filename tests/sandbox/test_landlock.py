"""The wall of last resort: what Landlock keeps from a program, and what its second filter does."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bpf import ALLOW, ENOSYS, EPERM, MACHINES, Filter

from sandbox import landlock, seccomp
from sandbox.local import LocalSandbox
from sandbox.program import BoxLost, Limits, Program

REPOSITORY = Path(__file__).parents[2]
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
NUMBERS = {
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "socketpair": (53, 199),
    "clone": (56, 220),
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "prctl": (157, 167),
    "tgkill": (234, 131),
}


def number_of(name: str, machine: str) -> int:
    number = {**NUMBERS, **seccomp._LONELY}[name][MACHINES[::-1].index(machine)]
    assert number is not None
    return number


# ---------------------------------------------------------------------------------------------------------------------
# The second filter
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=MACHINES)
def lonely(request: pytest.FixtureRequest) -> Filter:
    return Filter(request.param, seccomp.assemble_lonely(request.param))


def test_exactly_the_calls_of_the_lonely_table_are_denied(lonely: Filter) -> None:
    column = MACHINES[::-1].index(lonely.machine)
    table = {numbers[column] for numbers in seccomp._LONELY.values()} - {None}
    special = {numbers[column] for name, numbers in NUMBERS.items() if name != "tgkill"} - {None}
    ordinary = set(range(501)) - special

    assert {number for number in ordinary if lonely(number) == EPERM} == table | {number_of("tgkill", lonely.machine)}
    assert {lonely(number) for number in ordinary} == {ALLOW, EPERM}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_of_the_lonely_table_are_those_of_the_kernel(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"needs the kernel's headers: {header}")
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    column = MACHINES[::-1].index(machine)
    table = {name: numbers[column] for name, numbers in {**seccomp._LONELY, **NUMBERS}.items() if name in known}

    assert len(table) > 20
    # The generic header knows calls that aarch64 has not, for which the table has no number.
    assert {name: number for name, number in table.items() if number is not None} == {
        name: int(known[name]) for name, number in table.items() if number is not None
    }


def test_threads_can_be_cloned_and_processes_cannot(lonely: Filter) -> None:
    clone = number_of("clone", lonely.machine)

    assert lonely(clone, 0x003D0F00) == ALLOW
    assert {lonely(clone, flags) for flags in (0x01200011, 0x00004111, 17, 0)} == {EPERM}


@pytest.mark.parametrize("machine", MACHINES)
def test_threads_can_be_signalled_where_landlock_keeps_signals_in(machine: str) -> None:
    tgkill, kill = number_of("tgkill", machine), number_of("kill", machine)

    for signals, answer in ((True, ALLOW), (False, EPERM)):
        filtered = Filter(machine, seccomp.assemble_lonely(machine, signals=signals))
        assert (filtered(tgkill, 1, 1, 0), filtered(kill, 1, 0)) == (answer, EPERM)


def test_only_streams_come_in_pairs(lonely: Filter) -> None:
    """A datagram of a pair can be sent to any address."""
    pair = number_of("socketpair", lonely.machine)
    kinds = [kind | flags for kind in range(16) for flags in (0, 0x800, 0x80000, 0x80800)]

    assert {kind & 15 for kind in kinds if lonely(pair, 1, kind) == ALLOW} == {1}
    assert sum(lonely(pair, 1, kind) == ALLOW for kind in kinds) == 4
    assert {lonely(pair, 1, kind) for kind in kinds} == {ALLOW, EPERM}


@pytest.mark.parametrize("name", ["open", "openat"])
def test_a_file_is_cut_only_by_who_may_write_it(lonely: Filter, name: str) -> None:
    if name == "open" and lonely.machine == "aarch64":
        pytest.skip("needs a system call that aarch64 has not")
    number = number_of(name, lonely.machine)
    before = (0,) if name == "open" else (0, 0)
    cut = {mode: lonely(number, *before, mode | os.O_TRUNC | os.O_CREAT) for mode in range(4)}

    assert cut == {os.O_RDONLY: EPERM, os.O_WRONLY: ALLOW, os.O_RDWR: ALLOW, 3: EPERM}
    assert {lonely(number, *before, mode | os.O_CLOEXEC) for mode in range(4)} == {ALLOW}
    assert lonely(number_of("openat2", lonely.machine)) == ENOSYS


def test_a_descriptor_cannot_be_made_to_signal_others(lonely: Filter) -> None:
    fcntl = number_of("fcntl", lonely.machine)

    assert {command for command in range(1100) if lonely(fcntl, 0, command) == EPERM} == {8, 10, 15}


def test_few_controls_of_devices_are_allowed(lonely: Filter) -> None:
    ioctl = number_of("ioctl", lonely.machine)
    set_flags, set_attributes, set_owner = 0x40086602, 0x401C5820, 0x8901

    assert len([command for command in range(0x10000) if lonely(ioctl, 0, command) == ALLOW]) == 6
    assert {lonely(ioctl, 0, command) for command in (set_flags, set_attributes, set_owner)} == {EPERM}


def test_a_program_cannot_outlive_its_parent_by_its_own_wish(lonely: Filter) -> None:
    assert {option for option in range(100) if lonely(number_of("prctl", lonely.machine), option) == EPERM} == {1}


def test_every_way_through_the_lonely_filter_ends(lonely: Filter) -> None:
    for at, (code, if_true, if_false, _) in enumerate(lonely.program):
        steps = () if code == 0x06 else (if_true, if_false) if code in (0x15, 0x35, 0x45) else (0,)
        assert all(at + 1 + step < len(lonely.program) for step in steps)
    assert lonely.program[-1][0] == 0x06


def test_an_unknown_machine_has_no_lonely_filter() -> None:
    with pytest.raises(NotImplementedError, match="riscv64"):
        seccomp.assemble_lonely("riscv64")


# ---------------------------------------------------------------------------------------------------------------------
# A program behind it
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walled() -> Iterator[LocalSandbox]:
    if landlock.version() == 0:
        pytest.skip("needs a kernel with Landlock")
    with LocalSandbox(walls="landlock") as sandbox:
        yield sandbox


ATTEMPT = """
import fcntl, os, signal, socket, threading

def f(path, address, pid):
    refused = []
    def attempt(name, action):
        try:
            action()
        except OSError:
            refused.append(name)
    def datagram():
        ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.sendto(b"x", address)
    attempt("read", lambda: open(path))
    attempt("write", lambda: open(path, "a"))
    attempt("unlink", lambda: os.unlink(path))
    attempt("rename", lambda: os.rename(path, path + "x"))
    attempt("link", lambda: os.link(path, path + "x"))
    attempt("list", lambda: os.listdir(os.path.dirname(path)))
    attempt("make", lambda: os.mkdir(path + "x"))
    attempt("truncate", lambda: os.truncate(path, 0))
    attempt("mode", lambda: os.chmod(path, 0o600))
    attempt("owner", lambda: os.chown(path, -1, -1))
    attempt("times", lambda: os.utime(path, (1, 1)))
    attempt("attribute", lambda: os.setxattr(path, "user.mark", b"1"))
    attempt("device", lambda: os.utime("/dev/null"))
    attempt("signal", lambda: os.kill(pid, 0))
    attempt("owner of signals", lambda: fcntl.fcntl(3, fcntl.F_SETOWN, pid))
    attempt("fork", os.fork)
    attempt("socket", socket.socket)
    attempt("datagram", datagram)
    return refused
"""


def test_a_program_can_do_nothing_to_files_processes_and_services(
    ask: Any, walled: LocalSandbox, tmp_path: Path
) -> None:
    sentinel = tmp_path / "sentinel"
    sentinel.write_text("untouched")
    before = sentinel.stat()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(tmp_path / "socket"))
        refused = ask(ATTEMPT, str(sentinel), str(tmp_path / "socket"), os.getpid(), box=walled)

        assert not select.select([service], [], [], 0)[0]
    assert len(refused) == ATTEMPT.count("    attempt("), refused
    assert (sentinel.read_text(), sentinel.stat().st_mode) == ("untouched", before.st_mode)
    assert (sentinel.stat().st_mtime_ns, os.listxattr(sentinel)) == (before.st_mtime_ns, [])


def test_threads_streams_and_the_library_work_behind_landlock(ask: Any, walled: LocalSandbox) -> None:
    source = """
import asyncio, json, socket, threading, unittest, zoneinfo
async def one():
    await asyncio.sleep(0)
    return 1
def f():
    done = []
    worker = threading.Thread(target=done.append, args=(1,))
    worker.start(); worker.join()
    a, b = socket.socketpair()
    a.send(b"x")
    open("/dev/null", "w").write("x")
    return done, b.recv(1), json.dumps([1])
"""
    assert ask(source, box=walled) == ([1], b"x", "[1]")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def running_program(sandbox: LocalSandbox) -> tuple[int, int, Any]:
    """A zygote, its program, which sleeps, and the session with it."""
    before = set(children(os.getpid()))
    sandbox.start()
    (zygote,) = set(children(os.getpid())) - before
    session = sandbox.open(Program(source="def f(): pass"), Limits(idle_s=600.0), stay=True)
    session.receive()
    (program,) = children(zygote)
    return zygote, program, session


@pytest.mark.usefixtures("walled")
def test_behind_landlock_a_program_ends_with_its_sandbox() -> None:
    """There is no namespace whose end would be its own."""
    with LocalSandbox(walls="landlock") as sandbox:
        _, program, session = running_program(sandbox)
        handle = os.pidfd_open(program)
    with open(handle) as end:
        assert select.select([end], [], [], 60)[0]
    with pytest.raises(BoxLost):
        session.end()


@pytest.mark.usefixtures("walled")
def test_behind_landlock_a_program_ends_with_a_killed_zygote() -> None:
    with LocalSandbox(walls="landlock") as sandbox:
        zygote, program, session = running_program(sandbox)
        handle = os.pidfd_open(program)
        os.kill(zygote, signal.SIGKILL)
        with open(handle) as end:
            assert select.select([end], [], [], 60)[0]
        with pytest.raises(BoxLost):
            session.end()


SLOT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from sandbox.local import LocalSandbox
from sandbox.program import Limits, Program
def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
sandbox = LocalSandbox(walls="landlock")
session = sandbox.open(Program(source="def f(): pass"), Limits(idle_s=600.0), stay=True)
session.receive()
print(children(children(os.getpid())[0])[0], flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("walled")
def test_behind_landlock_a_program_ends_with_a_killed_slot() -> None:
    arguments = [sys.executable, "-c", SLOT, str(REPOSITORY)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as slot:
        assert slot.stdout is not None
        handle = os.pidfd_open(int(slot.stdout.readline()))
        slot.kill()
        with open(handle) as end:
            assert select.select([end], [], [], 60)[0]
