"""What the forked process of one program does: read the job, run the program, answer calls.

Everything here shares a process with hostile code from the moment the program starts, so nothing here is trusted
afterwards: the slot believes only well-formed frames, and only as values that a program may return.
"""

from __future__ import annotations

import marshal
import os
import resource
import sys
import types
from collections.abc import Callable
from typing import Any

from sandbox import codec, wire

MODULE_NAME = "candidate"
"""`__name__` of the program, so that `if __name__ == "__main__"` blocks do not run while functions are being called."""

COUNTER = "__assertion_held__"
"""What tests beside the program call after each assertion that held."""

_MESSAGE_LENGTH = 500
_LAST_WORDS_BYTES = 16 << 20
"""Address space kept back so that a program that has used all of its own can still say so."""


def run(job: int, cpu_s: float, memory_bytes: int, close_in: Callable[[], None]) -> None:
    """Runs the job that arrives on the socket `job`, behind the last of its walls; does not return."""
    try:
        close_in()
        _confine(job, cpu_s, memory_bytes)
        _serve(_Link(3))
    finally:
        # Nothing of the program's own teardown may run, nor flush buffers inherited from the zygote.
        os._exit(0)


def _confine(job: int, cpu_s: float, memory_bytes: int) -> None:
    os.setsid()
    if job != 3:
        os.dup2(job, 3)
    os.closerange(4, 64)
    seconds = int(cpu_s) + 2  # the zygote's own clock is finer; this is for the case that it is gone
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes + _LAST_WORDS_BYTES))


class _Link:
    """The program's end of the job socket."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.held = b""
        """Frames that go out with the next ones, which spares the slot from being woken for them alone."""

    def receive(self) -> tuple[int, bytes] | None:
        header = self._exactly(wire.HEADER.size)
        if header is None:
            return None
        length, kind = wire.HEADER.unpack(header)
        body = self._exactly(length)
        return None if body is None else (kind, body)

    def _exactly(self, count: int) -> bytes | None:
        pieces = bytearray()
        while len(pieces) < count:
            piece = os.read(self.descriptor, count - len(pieces))
            if not piece:
                return None
            pieces += piece
        return bytes(pieces)

    def send(self, *frames: tuple[int, bytes]) -> None:
        data = self.held + b"".join(wire.HEADER.pack(len(payload), kind) + payload for kind, payload in frames)
        self.held = b""
        sent = os.write(self.descriptor, data)
        while sent < len(data):
            sent += os.write(self.descriptor, data[sent:])


def _serve(link: _Link) -> None:
    frame = link.receive()
    if frame is None:
        return
    source, calls, stay, tests = marshal.loads(frame[1])
    namespace = _load(link, source)
    if namespace is None:
        return
    if tests is not None:
        _test(link, namespace, *tests)
        return
    for name, arguments in calls:
        _answer(link, namespace, name, arguments)
    link.send()
    while stay and (frame := link.receive()) is not None:
        _answer(link, namespace, *marshal.loads(frame[1]))


def _load(link: _Link, source: bytes) -> dict[str, Any] | None:
    """Runs the program's top level; None where it failed, which has then been said."""
    import random  # not above: the zygote imports this file before it imports `random` in its own way

    os.register_at_fork(after_in_child=random.seed)  # the hook that the zygote left out
    module = types.ModuleType(MODULE_NAME)
    sys.modules[MODULE_NAME] = module
    namespace = module.__dict__
    try:
        code = compile(source, f"<{MODULE_NAME}>", "exec", dont_inherit=True)
    except BaseException as error:
        link.send(_raised("compile", error))
        return None
    try:
        exec(code, namespace)
    except BaseException as error:
        link.send(_raised("import", error))
        return None
    link.held = wire.HEADER.pack(0, wire.READY)
    return namespace


def _test(link: _Link, namespace: dict[str, Any], tests: bytes, compiled: bool, nonce: bytes) -> None:
    """Runs tests in the program's own namespace and says when they have come to their end."""
    held = 0

    def count() -> None:
        nonlocal held
        held += 1

    namespace[COUNTER] = count
    try:
        code = marshal.loads(tests) if compiled else compile(tests, "<tests>", "exec", dont_inherit=True)
        exec(code, namespace)
    except BaseException as error:
        link.send(_raised("tests", error))
        return
    link.send((wire.DONE, nonce + held.to_bytes(8, "little")))


def _answer(link: _Link, namespace: dict[str, Any], name: str, payload: bytes) -> None:
    """Makes one call and sends what came of it. Tests may expect an exception and go on after it."""
    arguments, keywords = codec.decode_trusted(payload)
    try:
        try:
            function = namespace[name]
        except KeyError:
            raise NameError(f"name {name!r} is not defined") from None
        value = function(*arguments, **keywords)
        try:
            answer = (wire.VALUE, codec.encode(value))
        except codec.Unsupported as refusal:
            answer = (wire.UNSUPPORTED, codec.encode(str(refusal)))
    except BaseException as error:
        link.send(_raised("call", error))
        return
    changed = _changed(payload, arguments, keywords)
    if changed is None:
        link.send(answer)
    else:
        link.send((wire.ARGUMENTS, changed), answer)


def _changed(before: bytes, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> bytes | None:
    """The arguments as they are after the call, where the call changed them in place."""
    try:
        after = codec.encode((arguments, keywords))
    except codec.Unsupported:
        return None
    return None if after == before else after


def _raised(where: str, error: BaseException) -> tuple[int, bytes]:
    if isinstance(error, MemoryError):
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    try:
        message = str(error)[:_MESSAGE_LENGTH]
    except BaseException:
        message = "an exception that cannot be printed"
    # The program's own class does not cross, so the nearest builtin one says what kind of error it is.
    base = next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")
    return (wire.RAISED, codec.encode((where, str(type(error).__name__), base, message, _line(error))))


def _line(error: BaseException) -> int:
    """The innermost line of the program's own source in the traceback, 0 where there is none."""
    line = error.lineno or 0 if isinstance(error, SyntaxError) else 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == f"<{MODULE_NAME}>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
