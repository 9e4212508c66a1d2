"""One program while it runs in a box, as the slot sees it."""

from __future__ import annotations

import contextlib
import functools
import marshal
import os
import platform
import select
import socket
import time
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

from sandbox import wire
from sandbox.program import BoxLost, Ending, Execution, Limits, Program

_GRACE_S = 30.0
"""Patience beyond a program's wall limit before the box itself is given up."""

_ENDED_BEFORE = "the program's process was ended before the program began"
"""It reads the whole job before the program begins. Where it has not, somebody else has ended it."""

Call = tuple[str, bytes]
"""The name of a function and the codec's payload of (arguments, keyword arguments)."""


class ProgramEnded(Exception):
    """The program ended, by itself or by a limit, while an answer was due from it."""


class AnswerTooLarge(Exception):
    """The program sent more at once than its limits allow."""


class Box(Protocol):
    """A zygote behind walls, and the socket that leads to it."""

    control: socket.socket
    """Our end of the control socket (see `sandbox.wire`)."""
    facts: dict[str, Any]
    """`name`, `layers` of protection, `python`, `run_queue_clock`."""
    worn: bool
    """Something about the box is in doubt, or it has served long enough: the next program gets another."""
    programs: int
    """How many programs it has been given."""
    job: socket.socket | None
    """Our end of the job socket of the process that waits for the next program; None before the first."""

    def close(self) -> None:
        """Ends the box and everything in it; closing twice is fine."""
        ...


class Session:
    """One program while it runs. Not thread-safe; one at a time per box."""

    def __init__(
        self,
        box: Box,
        program: Program,
        limits: Limits,
        calls: Sequence[Call],
        *,
        stay: bool,
        watch: bool,
        grouped: bool,
    ) -> None:
        self.limits = limits
        self.execution: Execution | None = None
        self._box = box
        self._idle_s = 0.0
        self._idled = False
        self._buffer = bytearray()
        self._open = True
        self._silent = True  # nothing has come from the program
        task, details = _task(program, calls, (stay, watch, grouped), box.facts["python"])
        if box.job is None:
            box.job = _far_end_to(box.control, wire.NEXT)
        self._job = box.job
        # Its process is there already; what is sent now is the socket for the one after it.
        box.job = _far_end_to(box.control, wire.RUN.pack(b"R", limits.cpu_s, limits.wall_s))
        box.programs += 1
        self._poller = select.poll()
        self._poller.register(self._job, select.POLLIN)
        self._poller.register(box.control, select.POLLIN)
        self._deadline = time.monotonic() + limits.wall_s + _GRACE_S
        text = program.source.encode("utf-8", "surrogatepass") if program.code is None else program.code
        hard_limits = (int(limits.cpu_s) + 2, limits.memory_bytes)
        if not self._send(wire.JOB, (hard_limits, task, (text, program.code is not None), details)):
            self._job.close()
            self._lose(_ENDED_BEFORE)

    def ask(self, calls: Sequence[Call]) -> None:
        """Asks the waiting program for more calls, one after the other."""
        self._send(wire.MORE, list(calls))

    def _send(self, kind: int, message: Any) -> bool:
        """Sends one frame; False where the program's process is gone, of which `receive` will hear more."""
        body = marshal.dumps(message, 2)
        data = memoryview(wire.HEADER.pack(len(body), kind) + body)
        since = time.monotonic()
        while data:
            try:
                data = data[self._job.send(data, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                self._wait_for_room(since)
            except (BrokenPipeError, ConnectionResetError):
                return False
        return True

    def _wait_for_room(self, since: float) -> None:
        """A program that reads no calls is waited for like one that sends no answers: until a limit ends it."""
        poller = select.poll()
        poller.register(self._job, select.POLLOUT)
        poller.register(self._box.control, select.POLLIN)
        remaining = self._deadline - time.monotonic()
        ready = [descriptor for descriptor, _ in poller.poll(max(0.0, remaining) * 1000)]
        if not ready:
            self._lose("the box stopped answering")
        if self._box.control.fileno() in ready:
            self._read_control(since)

    def receive(self) -> tuple[int, bytes]:
        """The next frame from the program: its kind and payload.

        Raises:
            ProgramEnded: no more frames will come; `end` has the facts.
            AnswerTooLarge: the frame exceeds `limits.output_bytes`.
            BoxLost: the box died or hangs.
        """
        waiting_since = time.monotonic()
        while True:
            frame = self._frame()
            if frame is not None:
                return frame
            if self._ended:
                raise ProgramEnded
            self._wait(waiting_since)

    def take(self, frame: bytes) -> bool:
        """Whether the next frame is here already, and is this one to the last byte. It is then done with."""
        if not self._buffer.startswith(frame):
            return False
        del self._buffer[: len(frame)]
        return True

    def output(self) -> bytes:
        """All that a program with standard input writes to its standard output, once it has ended; `end` has the facts.

        Raises:
            AnswerTooLarge: that is more than `limits.output_bytes`.
            BoxLost: the box died or hangs.
        """
        waiting_since = time.monotonic()
        while not self._ended:
            self._wait(waiting_since)
            if len(self._buffer) > self.limits.output_bytes:
                raise AnswerTooLarge(f"more than {self.limits.output_bytes} bytes of standard output")
        return bytes(self._buffer)

    @property
    def _ended(self) -> bool:
        """Whether nothing more can come, neither from the program nor of it."""
        return not self._open and self.execution is not None

    def _frame(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < wire.HEADER.size:
            return None
        length, kind = wire.HEADER.unpack_from(self._buffer)
        if length > self.limits.output_bytes:
            raise AnswerTooLarge(f"{length} bytes in one value; the limit is {self.limits.output_bytes}")
        end = wire.HEADER.size + length
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[wire.HEADER.size : end])
        del self._buffer[:end]
        return kind, payload

    def _wait(self, waiting_since: float) -> None:
        """Reads whatever comes next on either socket. The job socket first: an answer that is here was not late."""
        if self._box.control.fileno() < 0:
            self._lose("the box was closed")
        remaining = self._deadline - time.monotonic()
        ready = [descriptor for descriptor, _ in self._poller.poll(max(0.0, remaining) * 1000)]
        if not ready:
            self._lose("the box stopped answering")
        if self._open and self._job.fileno() in ready and self._read_job():
            return
        if self._box.control.fileno() in ready:
            self._read_control(waiting_since)

    def _read_job(self) -> bool:
        """Whether something came. Urgent data (MSG_OOB) makes a socket ready and is then not there to be read."""
        try:
            data = self._job.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            if self._silent:
                self._lose(_ENDED_BEFORE)
            data = b""
        self._buffer += data
        self._silent = False
        if not data:
            self._open = False
            self._poller.unregister(self._job)
        return True

    def _read_control(self, waiting_since: float) -> None:
        try:
            message = self._box.control.recv(256)
        except ConnectionResetError:
            message = b""
        if not message:
            self._lose("the box died")
        if message[:1] == b"T":
            _, start, idle = wire.TICK.unpack(message)
            # Only while an answer was due for the whole interval: time in which the tests think is not the program's.
            if start >= waiting_since:
                self._idle_s += idle
                if self._idle_s > self.limits.idle_s and not self._idled:
                    self._idled = True
                    self._box.control.send(wire.KILL)
        elif message[:1] == b"X":
            self._read_exit(message)

    def _read_exit(self, message: bytes) -> None:
        _, reason, status, cpu, wall, memory, clean = wire.EXIT.unpack(message)
        self._box.worn = self._box.worn or not clean
        code = os.waitstatus_to_exitcode(status)
        own = Ending.SIGNALED if code < 0 else Ending.EXITED
        stopped = Ending.IDLE_LIMIT if self._idled else Ending.STOPPED
        endings = {
            wire.REASON_OWN: own,
            wire.REASON_KILLED: stopped,
            wire.REASON_CPU: Ending.CPU_LIMIT,
            wire.REASON_WALL: Ending.WALL_LIMIT,
        }
        self.execution = Execution(ending=endings[reason], code=abs(code), cpu_s=cpu, wall_s=wall, memory_bytes=memory)

    def _lose(self, what: str) -> None:
        self._box.worn = True
        raise BoxLost(what)

    def end(self) -> Execution:
        """Stops the program if it still runs; the facts of its execution.

        Raises:
            BoxLost: the box died or hangs.
        """
        if self.execution is None:
            with contextlib.suppress(OSError):
                self._box.control.send(wire.KILL)
        if self._open:
            self._open = False
            self._poller.unregister(self._job)
        try:
            while self.execution is None:
                self._wait(float("inf"))
        finally:
            self._job.close()
        return self.execution


def _far_end_to(control: socket.socket, message: bytes) -> socket.socket:
    """Sends `message` with one end of a new job socket; the other end."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            socket.send_fds(control, [message], [theirs.fileno()])
    except OSError:
        ours.close()
        raise
    return ours


def _task(program: Program, calls: Sequence[Call], how: tuple[bool, ...], python: str) -> tuple[int, Any]:
    """What is to be done with a program, and the details, as in `sandbox.wire.JOB`."""
    if program.compile_only:
        return wire.COMPILE, None
    if program.stdin is not None:
        return wire.SCRIPT, program.stdin
    if program.tests is not None:
        source, nonce = program.tests
        return wire.TESTS, (*_compiled(source, python), nonce)
    return wire.CALLS, (list(calls), *how)


@functools.lru_cache(maxsize=1024)
def _compiled(tests: bytes, python: str) -> tuple[bytes, bool]:
    """Tests as code where the box has this very interpreter, else as source; and which it is.

    Compiling takes longer than most tests do, and they are the same for every program.
    """
    if python != platform.python_version():
        return tests, False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about other people's source
        return marshal.dumps(compile(tests, "<tests>", "exec", dont_inherit=True)), True
