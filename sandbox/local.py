"""The box on this machine: Linux namespaces, or what comes next where they are forbidden."""

from __future__ import annotations

import contextlib
import marshal
import os
import socket
import subprocess
import sys
from typing import Any

from sandbox import bwrap, isolate, wire
from sandbox.packages import Packages, resolve
from sandbox.program import SandboxUnavailable
from sandbox.sandbox import Sandbox

ZYGOTE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zygote.py")
FLAGS = ("-P", "-s", "-S", "-B")
NAMES = {"namespaces": "local", "bwrap": "bwrap", "landlock": "landlock", "none": "none"}
"""Walls by the names that users type after `--sandbox`."""

_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_START_S = 30.0
"""Patience with a box that is being set up; 0.1 s is usual, a loaded machine takes longer."""


def environment(packages: Packages) -> dict[str, str]:
    """The environment of a zygote, which its programs have without the last: symbols that are bound once are not bound
    again in every fork, which would copy the pages that they lie in."""
    fixed = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "LD_BIND_NOW": "1"}
    # Threads of numpy's own would count against the limit on processes, and their order changes sums.
    return fixed if packages.policy == "stdlib" else {**fixed, "OPENBLAS_NUM_THREADS": "1"}


def argument(settings: dict[str, Any]) -> str:
    """What a zygote is told on its command line. It reads that with a builtin: `json` would make every fork dearer."""
    return marshal.dumps(settings, 2).hex()


def greeting(control: socket.socket) -> dict[str, Any] | str:
    """What a new zygote says of itself, or why the box could not be set up; empty where it ended without a word.

    Raises:
        SandboxUnavailable: it says nothing for too long.
    """
    control.settimeout(_START_S)
    try:
        message = control.recv(1 << 16)
    except TimeoutError:
        raise SandboxUnavailable(f"the box was not ready within {_START_S:.0f} s") from None
    except ConnectionResetError:
        message = b""
    control.settimeout(None)
    if message[:1] == wire.BORN:
        facts: dict[str, Any] = marshal.loads(message[1:])
        return facts
    return message[1:].decode(errors="replace")


class LocalBox:
    """One zygote on this machine, started by this process and ended with it.

    Args:
        packages: what programs can import.
        walls: `namespaces`; or `bwrap`, `landlock`, `none` where those are not to be had (see `sandbox.choice`).

    Raises:
        SandboxUnavailable: this machine does not allow it; the message names the step.
    """

    def __init__(self, packages: Packages, walls: str = "namespaces") -> None:
        self.worn = False
        self.programs = 0
        self.job: socket.socket | None = None
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        settings = {
            **packages.settings(moved=walls in ("namespaces", "bwrap")),
            **_settings(packages, walls),
            "control": theirs.fileno(),
            "parent": os.getpid(),
        }
        tree = isolate.Tree(**packages.settings()["tree"])
        self.process = subprocess.Popen(
            [
                *(bwrap.command(tree, ZYGOTE) if walls == "bwrap" else ()),
                *(os.path.realpath(sys.executable) if walls == "bwrap" else sys.executable, *FLAGS),
                *(bwrap.ZYGOTE if walls == "bwrap" else ZYGOTE, argument(settings)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            env=environment(packages),
            cwd="/",
            start_new_session=True,  # an interrupt typed at the terminal is for the driver alone
        )
        theirs.close()
        try:
            answer = greeting(self.control)
            if isinstance(answer, str):
                raise SandboxUnavailable(f"{walls} cannot be set up: {answer or self._last_words()}")
            self.facts: dict[str, Any] = {"name": NAMES[walls], **answer}
        except BaseException:
            self.close()
            raise

    def _last_words(self) -> str:
        assert self.process.stderr is not None
        self.process.wait()
        text = self.process.stderr.read().decode(errors="replace").strip()
        return text.splitlines()[-1] if text else f"its process ended with status {self.process.returncode}"

    def close(self) -> None:
        """Ends the zygote, and with it, by the kernel's hand, everything in the box."""
        self.control.close()  # the zygote ends when its control socket does
        if self.job is not None:
            self.job.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=0.5)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


def _settings(packages: Packages, walls: str) -> dict[str, Any]:
    """What the zygote has to know of its walls."""
    return {
        "walls": walls,
        "outside_id": isolate.OUTSIDE_ID + os.getpid() % 50_000,
        "outer_pid_ns": os.stat("/proc/self/ns/pid").st_ino,
        "readable": [*packages.binds, *(outside for outside, _ in packages.moves), *_DEVICES],
    }


class LocalSandbox(Sandbox):
    """Local boxes for one package policy."""

    def __init__(self, packages: str = "stdlib", walls: str = "namespaces") -> None:
        resolved = resolve(packages)
        super().__init__(lambda: LocalBox(resolved, walls))
