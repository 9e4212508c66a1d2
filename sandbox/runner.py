"""What the forked process of one program does: read the job, run the program, answer calls.

Everything here shares a process with hostile code from the moment the program starts, so nothing here is trusted
afterwards: the slot believes only well-formed frames, and only as values that a program may return.

Each function, class and name that is used here for the first time after the fork costs a page or two that must be
copied (see `sandbox.warm`), so the way from the fork to the program is short and plain, and is rehearsed in the zygote.
"""

from __future__ import annotations

import gc
import marshal
import os
import resource
import socket
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from sandbox import codec, wire

MODULE_NAME = "candidate"
"""`__name__` of the program, so that `if __name__ == "__main__"` blocks do not run while functions are being called."""

_FILENAME = f"<{MODULE_NAME}>"
_READY = wire.HEADER.pack(0, wire.READY)

COUNTER = "__assertion_held__"
"""What tests beside the program call after each assertion that held."""

_REHEARSALS = 16
"""CPython specialises code that has run a few times."""

_SINGLE = 16
"""Of many planned calls the first answers go out one by one: most wrong programs are found by these."""

_GROUP = 32
_GROUP_BYTES = 8 << 10
"""Later ones go out together. A group ends by what it holds, never by a clock: what has been said when a program is
ended in the middle of a call is then the same each time."""

_MESSAGE_LENGTH = 500
_LAST_WORDS_BYTES = 16 << 20
"""Address space kept back so that a program that has used all of its own can still say so."""


_module = types.ModuleType(MODULE_NAME)
_instances: dict[str, Any] = {}
"""One object for each class whose methods are called."""

exec("", _module.__dict__)  # which gives it its builtins
_PRISTINE = dict(_module.__dict__)

_Program = tuple[bytes, bool]
"""Source, or what `COMPILE` made of it; and which it is."""


def run(job: int, close_in: Callable[[], None] | None) -> None:
    """Waits for the job that arrives on the socket `job` and does it, behind the last of its walls; does not return."""
    status = 0
    try:
        if close_in is not None:
            close_in()
        os.setsid()
        if job != 3:
            os.dup2(job, 3)
        os.closerange(4, 64)
        gc.enable()
        status = _serve(3)
    finally:
        # Nothing of the program's own teardown may run, nor flush buffers inherited from the zygote.
        os._exit(status)


def rehearse() -> None:
    """Goes the way of every job a few times, in the zygote: what is looked up, bound and specialised here once is not
    written to by each fork."""
    call = ("f", codec.encode(((1, [2.5, "a"]), {})))
    tests = (b"assert f(1, [2]) == [1, [2]]", False, bytes(16))
    jobs: list[tuple[int, bytes, Any]] = [
        (wire.CALLS, b"def f(a, b):\n    return [a, b]\n", ([call] * 4, False, False, False)),
        (wire.CALLS, b"def f(a, b):\n    return a + b\n", ([call] * 2, False, True, False)),
        (wire.CALLS, b"def f(a, b):\n    return [a, b]\n", ([call] * (_SINGLE + 2), False, False, True)),
        (wire.TESTS, b"def f(a, b):\n    return [a, b]\n", tests),
        (wire.CALLS, b"a b", ([call], False, False, False)),
    ]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for task, source, details in jobs * _REHEARSALS:
            body = marshal.dumps((None, task, (source, False), details), 2)
            ours.sendall(wire.HEADER.pack(len(body), wire.JOB) + body)
            _serve(theirs.fileno())
            ours.recv(1 << 16)
            _module.__dict__.clear()
            _module.__dict__.update(_PRISTINE)


def _serve(link: int) -> int:
    """Does the job; the exit status that is due."""
    message = _receive(link)
    if message is None:
        return 0
    limits, task, program, details = marshal.loads(message)
    if limits is not None:
        seconds, memory_bytes = limits  # the zygote's own clock is finer; this is for the case that it is gone
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes + _LAST_WORDS_BYTES))
        os.register_at_fork(after_in_child=sys.modules["random"].seed)  # the hook that the zygote left out
    if task == wire.SCRIPT:
        return _run_script(link, program, details)
    if task == wire.COMPILE:
        _compile_only(link, program)
        return 0
    namespace = _load(link, program)
    if namespace is not None:
        if task == wire.TESTS:
            _test(link, namespace, *details)
        else:
            _call(link, namespace, *details)
    return 0


def _receive(link: int) -> bytes | None:
    """The payload of the next frame, or None at the end. The slot sends none before it has the answer to the last."""
    data = os.read(link, 1 << 16)
    while len(data) < 5 or len(data) < 5 + int.from_bytes(data[:4], "little"):
        more = os.read(link, 1 << 16)
        if not more:
            return None
        data += more
    return data[5:]


def _send(link: int, data: bytes) -> None:
    sent = os.write(link, data)
    while sent < len(data):
        sent += os.write(link, data[sent:])


def _frame(kind: int, payload: bytes) -> bytes:
    return wire.HEADER.pack(len(payload), kind) + payload


def _compiled(program: _Program) -> types.CodeType:
    text, is_code = program
    if is_code:
        code: types.CodeType = marshal.loads(text)
        return code
    # As text, in which no coding cookie and no byte order mark has a meaning, and lone surrogates are errors.
    return compile(str(text, "utf-8"), _FILENAME, "exec", dont_inherit=True)


def _compile_only(link: int, program: _Program) -> None:
    try:
        code = marshal.dumps(_compiled(program))
    except BaseException as error:
        _send(link, raised("compile", error))
    else:
        _send(link, _frame(wire.VALUE, codec.encode(code)))


def _load(link: int, program: _Program) -> dict[str, Any] | None:
    """Runs the program's top level; None where it failed, which has then been said."""
    sys.modules[MODULE_NAME] = _module
    namespace = _module.__dict__
    try:
        code = _compiled(program)
    except BaseException as error:
        _send(link, raised("compile", error))
        return None
    try:
        exec(code, namespace)
    except BaseException as error:
        _send(link, raised("import", error))
        return None
    return namespace


def _call(
    link: int,
    namespace: dict[str, Any],
    calls: Sequence[tuple[str, bytes]],
    stay: bool,
    watch: bool,
    grouped: bool,
) -> None:
    """Makes the calls, and with `stay` those that are asked for afterwards."""
    # That it is ready goes out with the first answer, which spares the slot from being woken for it alone.
    _answers(link, namespace, calls, _READY, watch, grouped)
    while stay and (message := _receive(link)) is not None:
        _answers(link, namespace, marshal.loads(message), b"", watch, grouped)


def _answers(
    link: int,
    namespace: dict[str, Any],
    calls: Sequence[tuple[str, bytes]],
    held: bytes,
    watch: bool,
    grouped: bool,
) -> None:
    """Makes calls and sends the answers, after what is held back."""
    single = _SINGLE if grouped else len(calls)
    for name, payload in calls[:single]:
        _send(link, held + _answer(namespace, name, payload, watch))
        held = b""
    for place, (name, payload) in enumerate(calls[single:], 1):
        held += _answer(namespace, name, payload, watch)
        if place % _GROUP == 0 or len(held) >= _GROUP_BYTES:
            _send(link, held)
            held = b""
    if held:
        _send(link, held)


def _run_script(link: int, program: _Program, stdin: bytes) -> int:
    """Runs the program as a command would: `__main__`, real standard streams, its own way of ending."""
    _connect(link, stdin)
    sys.modules["__main__"] = module = types.ModuleType("__main__")
    try:
        exec(_compiled(program), module.__dict__)
        status = 0
    except SystemExit as leaving:
        status = _exit_status(leaving)
    except MemoryError:
        status = wire.OUT_OF_MEMORY
    except BaseException:
        status = 1
    return _finish() or status


def _connect(link: int, stdin: bytes) -> None:
    """Standard input from a file in memory, standard output to the slot."""
    source = os.memfd_create("stdin")
    at = 0
    while at < len(stdin):
        at += os.write(source, stdin[at : at + (1 << 20)])
    os.lseek(source, 0, os.SEEK_SET)
    os.dup2(source, 0)
    os.close(source)
    os.dup2(link, 1)
    os.close(link)


def _exit_status(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    return leaving.code & 0xFF if isinstance(leaving.code, int) else 1


def _finish() -> int:
    """What the interpreter does at the end of a command: threads, exit handlers, the last of the output."""
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        import atexit

        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        return 1
    return 0


def _test(link: int, namespace: dict[str, Any], tests: bytes, compiled: bool, nonce: bytes) -> None:
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
        _send(link, raised("tests", error))
        return
    _send(link, _READY + _frame(wire.DONE, nonce + held.to_bytes(8, "little")))


def _answer(namespace: dict[str, Any], name: str, payload: bytes, watch: bool) -> bytes:
    """Makes one call; the frames that say what came of it. Tests may expect an exception and go on after it.

    Args:
        watch: whether it is also said what the call made of its arguments, where it changed them in place.
    """
    arguments, keywords = codec.decode_trusted(payload)
    try:
        function = namespace[name] if name in namespace else _find(namespace, name)
        value = function(*arguments, **keywords)
        try:
            answer = _frame(wire.VALUE, codec.encode(value))
        except codec.Unsupported as refusal:
            answer = _frame(wire.UNSUPPORTED, codec.encode(str(refusal)))
    except BaseException as error:
        return raised("call", error)
    if watch:
        changed = _changed(payload, arguments, keywords)
        if changed is not None:
            return _frame(wire.ARGUMENTS, changed) + answer
    return answer


def _find(namespace: dict[str, Any], name: str) -> Any:
    """`Class.method`, of the one instance that serves all calls.

    Raises:
        BaseException: there is none, or whatever the class raises.
    """
    owner, dot, method = name.partition(".")
    if not dot or owner not in namespace:
        raise NameError(f"name {owner!r} is not defined")
    if owner not in _instances:
        _instances[owner] = namespace[owner]()
    return getattr(_instances[owner], method)


def _changed(before: bytes, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> bytes | None:
    """The arguments as they are after the call, where the call changed them in place."""
    try:
        after = codec.encode((arguments, keywords))
    except codec.Unsupported:
        return None
    return None if after == before else after


def raised(where: str, error: BaseException) -> bytes:
    """The frame that reports an exception."""
    if isinstance(error, MemoryError):
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    try:
        message = str(error)[:_MESSAGE_LENGTH]
    except BaseException:
        message = "an exception that cannot be printed"
    # The program's own class does not cross, so the nearest builtin one says what kind of error it is.
    base = next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")
    report = codec.encode((where, str(type(error).__name__), base, message, _line(error)))
    return _frame(wire.RAISED, report)


def _line(error: BaseException) -> int:
    """The innermost line of the program's own source in the traceback, 0 where there is none."""
    line = error.lineno or 0 if isinstance(error, SyntaxError) else 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
