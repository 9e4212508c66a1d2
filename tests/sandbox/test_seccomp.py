"""The filter does what its table says, by a second reading of its program, and inside a box."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from bpf import ALLOW, ENOSYS, EPERM, KILL, MACHINES, Filter

from sandbox import seccomp

AUDIT_I386, AUDIT_ARM = 0x40000003, 0x40000028
NUMBERS = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "prlimit64": (302, 261),
}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def number_of(name: str, machine: str) -> int:
    return NUMBERS[name][0 if machine == "x86_64" else 1]


def denied(machine: str) -> set[int]:
    """The numbers in the table, for one architecture."""
    column = 0 if machine == "x86_64" else 1
    return {numbers[column] for numbers in seccomp._DENIED.values()} - {None}


@pytest.fixture(params=MACHINES)
def filtered(request: pytest.FixtureRequest) -> Filter:
    return Filter(request.param, seccomp.assemble(request.param))


def test_exactly_the_calls_of_the_table_are_denied(filtered: Filter) -> None:
    special = {number_of(name, filtered.machine) for name in NUMBERS}
    ordinary = set(range(501)) - special

    assert {number for number in ordinary if filtered(number) == EPERM} == denied(filtered.machine)
    assert {filtered(number) for number in ordinary - denied(filtered.machine)} == {ALLOW}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_of_the_table_are_those_of_the_kernel(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"needs the kernel's headers: {header}")
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    column = 0 if machine == "x86_64" else 1
    # Calls that are newer than the installed headers cannot be compared.
    table = {name: numbers[column] for name, numbers in {**seccomp._DENIED, **NUMBERS}.items() if name in known}

    assert len(table) > 60
    assert table == {name: int(known[name]) for name in table}


def test_a_new_namespace_cannot_be_cloned(filtered: Filter) -> None:
    clone = number_of("clone", filtered.machine)
    namespaces = [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000]

    for flag in namespaces:
        assert filtered(clone, flag | 17) == EPERM
        assert filtered(clone, flag | (1 << 40)) == EPERM


def test_processes_and_threads_can_be_cloned(filtered: Filter) -> None:
    clone = number_of("clone", filtered.machine)
    fork, vfork, thread = 0x01200011, 0x00004111, 0x003D0F00

    assert {filtered(clone, flags) for flags in (fork, vfork, thread, 17, 0)} == {ALLOW}


def test_clone3_seems_not_to_exist(filtered: Filter) -> None:
    assert filtered(number_of("clone3", filtered.machine), 0x7FFF00000000, 88) == ENOSYS


@pytest.mark.parametrize("name", ["socket", "socketpair"])
def test_three_families_of_sockets_are_allowed(filtered: Filter, name: str) -> None:
    allowed = {family for family in range(64) if filtered(number_of(name, filtered.machine), family, 1) == ALLOW}
    refused = {filtered(number_of(name, filtered.machine), family) for family in set(range(64)) - allowed}

    assert allowed == {1, 2, 10}
    assert refused == {EPERM}


def test_a_family_is_read_as_the_kernel_reads_it(filtered: Filter) -> None:
    """Of the register only the low half counts, so the high half can hide nothing."""
    assert filtered(number_of("socket", filtered.machine), (1 << 32) | 40) == EPERM


def test_input_cannot_be_pushed_into_a_terminal(filtered: Filter) -> None:
    refused = [
        command
        for command in range(0x5400, 0x5480)
        if filtered(number_of("ioctl", filtered.machine), 0, command) == EPERM
    ]

    assert refused == [0x5412, 0x541C]
    assert filtered(number_of("ioctl", filtered.machine), 0, (1 << 32) | 0x5412) == EPERM


def test_locks_leases_and_notices_are_refused(filtered: Filter) -> None:
    commands = [*range(50), *range(1024, 1040)]
    refused = [command for command in commands if filtered(number_of("fcntl", filtered.machine), 0, command) == EPERM]

    assert refused == [6, 7, 37, 38, 1024, 1026]


def test_a_process_can_set_its_own_limits_and_no_others(filtered: Filter) -> None:
    prlimit = number_of("prlimit64", filtered.machine)

    assert filtered(prlimit, 0, 7) == ALLOW
    assert {filtered(prlimit, pid, 7) for pid in (1, 2, 2**31 - 1, 2**32 - 1)} == {EPERM}


@pytest.mark.parametrize("audit", [AUDIT_I386, AUDIT_ARM, 0, 0xFFFFFFFF])
def test_another_architecture_is_the_end(filtered: Filter, audit: int) -> None:
    assert {filtered(number, audit=audit) for number in range(501)} == {KILL}


def test_x32_is_the_end() -> None:
    filtered = Filter("x86_64", seccomp.assemble("x86_64"))

    assert {filtered(0x40000000 + number) for number in range(501)} | {filtered(0xFFFFFFFF)} == {KILL}


def test_every_way_through_the_program_ends(filtered: Filter) -> None:
    program = filtered.program

    for at, (code, if_true, if_false, _) in enumerate(program):
        steps: Iterable[int] = () if code == 0x06 else (if_true, if_false) if code in (0x15, 0x35, 0x45) else (0,)
        assert all(at + 1 + step < len(program) for step in steps)
    assert program[-1][0] == 0x06
    assert len(program) <= 4096


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="riscv64"):
        seccomp.assemble("riscv64")


# ---------------------------------------------------------------------------------------------------------------------
# In a box
# ---------------------------------------------------------------------------------------------------------------------

CALLS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
column = 0 if os.uname().machine == "x86_64" else 1

def f(calls):
    found = {}
    for name, numbers, arguments in calls:
        ctypes.set_errno(0)
        result = libc.syscall(numbers[column], *map(ctypes.c_long, arguments))
        found[name] = ctypes.get_errno() if result == -1 else "allowed"
    return found
"""


def test_dangerous_calls_are_refused_in_a_box(ask: Any) -> None:
    calls = [
        ("mount", (165, 40), (0, 0, 0, 0, 0)),
        ("unshare", (272, 97), (0x10000000,)),
        ("ptrace", (101, 117), (0, 0, 0, 0)),
        ("bpf", (321, 280), (0, 0, 0)),
        ("io_uring_setup", (425, 425), (1, 0)),
        ("keyctl", (250, 219), (0, -3, 0)),
        ("userfaultfd", (323, 282), (1,)),
        ("perf_event_open", (298, 241), (0, 0, -1, -1, 0)),
        ("prlimit64", (302, 261), (1, 7, 0, 0)),
        ("AF_NETLINK", (41, 198), (16, 3, 0)),
        ("AF_PACKET", (41, 198), (17, 3, 0)),
        ("AF_ALG", (41, 198), (38, 5, 0)),
        ("AF_VSOCK", (41, 198), (40, 1, 0)),
        ("clone3", (435, 435), (0, 0)),
    ]

    found = ask(CALLS, calls)

    assert found.pop("clone3") == 38
    assert found == dict.fromkeys(found, 1)


@pytest.mark.parametrize(
    "source",
    [
        "import os\ndef f():\n    pid = os.fork()\n    if pid == 0: os._exit(7)\n"
        "    return os.waitpid(pid, 0)[1] >> 8 == 7",
        "import threading\ndef f():\n    done = []\n    worker = threading.Thread(target=done.append, args=(1,))\n"
        "    worker.start(); worker.join()\n    return done == [1]",
        "import os\ndef f():\n    a, b = os.pipe()\n    os.write(b, b'x')\n    return os.read(a, 1) == b'x'",
        "import socket\ndef f():\n    a, b = socket.socketpair()\n    a.send(b'x')\n    return b.recv(1) == b'x'",
        "import tempfile\ndef f():\n    with tempfile.TemporaryFile() as file:\n        return file.write(b'abc') == 3",
        "import subprocess\ndef f():\n    return subprocess.run(['/bin/sh', '-c', 'true']).returncode == 0",
        "import concurrent.futures\ndef f():\n    with concurrent.futures.ThreadPoolExecutor(2) as pool:\n"
        "        return list(pool.map(abs, [-1])) == [1]",
        "import asyncio\nasync def one(): return 1\ndef f():\n    return asyncio.run(one()) == 1",
        "import mmap\ndef f():\n    return len(mmap.mmap(-1, 4096)) == 4096",
        "import signal, time\ndef f():\n    seen = []\n    signal.signal(signal.SIGALRM, lambda *_: seen.append(1))\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.01)\n    signal.pause()\n    return seen == [1]",
    ],
    ids=["fork", "thread", "pipe", "socketpair", "tempfile", "shell", "thread pool", "asyncio", "mmap", "timer"],
)
def test_ordinary_programs_work_in_a_box(ask: Any, source: str) -> None:
    assert ask(source) is True
