"""A box to run programs in, and a short way to ask them something."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox import codec, wire
from sandbox.local import LocalSandbox
from sandbox.program import Execution, Limits, Program, SandboxUnavailable
from sandbox.session import AnswerTooLarge, ProgramEnded

LIMITS = Limits(cpu_s=5.0, idle_s=5.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of one program."""

    said: str
    """`value`, `raised`, `unsupported`, `too large`, or `nothing` where its process ended first."""
    value: Any
    """What `f` returned; for `raised`, (where, class, builtin class, message, line)."""
    execution: Execution


class Ask:
    """Runs a program and calls its `f`."""

    def __init__(self, sandbox: LocalSandbox) -> None:
        self.sandbox = sandbox

    def __call__(self, source: str, *arguments: Any, limits: Limits = LIMITS, box: LocalSandbox | None = None) -> Any:
        """What `f(*arguments)` returns."""
        outcome = self.outcome(source, *arguments, limits=limits, box=box)
        assert outcome.said == "value", outcome
        return outcome.value

    def outcome(
        self, source: str, *arguments: Any, limits: Limits = LIMITS, box: LocalSandbox | None = None
    ) -> Outcome:
        """What came of `f(*arguments)`, whatever that is."""
        sandbox = box or self.sandbox
        session = sandbox.open(Program(source=source), limits, [("f", codec.encode((arguments, {})))])
        try:
            said, value = self._converse(session)
        except ProgramEnded:
            said, value = "nothing", None
        except AnswerTooLarge as error:
            said, value = "too large", str(error)
        return Outcome(said=said, value=value, execution=session.end())

    def _converse(self, session: Any) -> tuple[str, Any]:
        names = {wire.VALUE: "value", wire.RAISED: "raised", wire.UNSUPPORTED: "unsupported"}
        while True:
            kind, payload = session.receive()
            if kind in names:
                return names[kind], codec.decode(payload)


@pytest.fixture(scope="session")
def local() -> Iterator[LocalSandbox]:
    """One sandbox for all tests that only run programs in it."""
    with LocalSandbox() as sandbox:
        try:
            sandbox.start()
        except SandboxUnavailable as error:
            if "namespace" not in str(error):
                raise  # a fault of ours, not a machine that does not allow it
            pytest.skip(f"needs Linux namespaces: {error}")
        yield sandbox


@pytest.fixture(scope="session")
def ask(local: LocalSandbox) -> Ask:
    return Ask(local)
