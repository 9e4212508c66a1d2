"""Tests on this side, the candidate on the other, and calls that cross to the box and come back as plain data."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from sandbox import codec, wire
from sandbox.session import Call, Session


class CandidateRaised(BaseException):
    """A call raised in the candidate's process; also an instance of the builtin exception that was raised there."""

    def __init__(self, where: str, kind: str, message: str, line: int) -> None:
        self.where, self.kind, self.message, self.line = where, kind, message, line

    def __str__(self) -> str:
        return self.message


class NotPlanned(BaseException):
    """The tests made another call than the plan said; the sample has to be run again with live calls."""


class NotData(BaseException):
    """The tests pass something to the candidate that cannot cross, so they need the candidate in their own process."""


class BrokenProtocol(BaseException):
    """The candidate's process sent what no program of ours sends."""


class Opaque:
    """What stands for a returned value that is not data: it equals nothing and can do nothing."""

    def __init__(self, description: str) -> None:
        self.description = description

    def __repr__(self) -> str:
        return f"<{self.description}>"


class Conversation:
    """The calls of one sample. With a plan, the box has been told them in advance and streams its answers."""

    def __init__(
        self,
        session: Session,
        plan: tuple[Call, ...] | None,
        known: frozenset[bytes] = frozenset(),
        *,
        write_back: bool = True,
    ) -> None:
        self.calls: list[Call] = []
        """The calls made so far."""
        self.answers: list[bytes] = []
        """Payloads of the values that came back."""
        self.opaque = False
        """Whether something came back that was not data."""
        self.fault: BaseException | None = None
        """What ended the conversation for good; the tests may have caught it, and must not profit by that."""
        self.wrote = False
        """Whether a call changed its arguments."""
        self._session = session
        self._write_back = write_back
        self._plan = plan
        self._known = known

    def begin(self) -> None:
        """Waits until the program's top level has run.

        Raises:
            CandidateRaised: it did not compile or it raised.
            sandbox.session.ProgramEnded: its process ended.
        """
        kind, payload = self._session.receive()
        if kind == wire.RAISED:
            raise raised(payload)
        if kind != wire.READY:
            raise BrokenProtocol(f"a frame of kind {kind} before the program was ready")

    def stand_in(self, name: str) -> Callable[..., Any]:
        """What the tests call instead of the candidate's `name`."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            return self._call(name, arguments, keywords)

        call.__name__ = call.__qualname__ = name
        return call

    def _call(self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        if self.fault is not None:
            raise self.fault
        try:
            try:
                payload = codec.encode((arguments, keywords))
            except codec.Unsupported as error:
                raise NotData(str(error)) from None
            self._ask((name, payload))
            return self._answer(arguments, keywords)
        except CandidateRaised:
            raise
        except BaseException as error:
            self.fault = error
            raise

    def _ask(self, call: Call) -> None:
        if self._plan is None:
            self._session.ask([call])
        elif len(self.calls) >= len(self._plan) or self._plan[len(self.calls)] != call:
            raise NotPlanned
        self.calls.append(call)

    def _answer(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        kind, payload = self._session.receive()
        if kind == wire.ARGUMENTS:
            self.wrote = True
            if self._write_back:
                _write_back((arguments, keywords), _decoded(payload))
            kind, payload = self._session.receive()
        if kind == wire.RAISED:
            raise raised(payload)
        if kind == wire.UNSUPPORTED:
            self.opaque = True
            return Opaque(str(_decoded(payload))[:200])
        if kind != wire.VALUE:
            raise BrokenProtocol(f"a frame of kind {kind} where an answer was due")
        self.answers.append(payload)
        # Bytes equal to those of the reference's own answer were once written by us, and need no suspicion.
        return codec.decode_trusted(payload) if payload in self._known else _decoded(payload)


def _decoded(payload: bytes) -> Any:
    try:
        return codec.decode(payload)
    except codec.Malformed as error:
        raise BrokenProtocol(str(error)) from None


def raised(payload: bytes) -> CandidateRaised:
    """The exception that a RAISED frame reports, to be raised here.

    Raises:
        BrokenProtocol: the report is malformed.
    """
    fields = _decoded(payload)
    if type(fields) is not tuple or [type(field) for field in fields] != [str, str, str, str, int]:
        raise BrokenProtocol("a malformed report of an exception")
    where, kind, base_name, message, line = fields
    base = getattr(builtins, base_name, None)
    if not (isinstance(base, type) and issubclass(base, BaseException)):
        raise BrokenProtocol(f"{base_name!r} is no builtin exception")
    # The tests may expect an exception, so what is raised here is also an instance of the builtin one.
    error: type[CandidateRaised] = CandidateRaised
    if issubclass(base, BaseExceptionGroup):
        base = Exception  # a group cannot be made without its members, which stay behind
    if base is not BaseException:
        error = type(kind, (CandidateRaised, base), {})
    return error(where, kind, message, line)


def _write_back(before: tuple[tuple[Any, ...], dict[str, Any]], after: Any) -> None:
    """Repeats on the tests' own objects what the call did to its copies of lists, dicts and sets."""
    (arguments, keywords), (new_arguments, new_keywords) = before, _pair(after)
    pairs = [*zip(arguments, new_arguments, strict=False)]
    pairs += [(keywords[name], new_keywords[name]) for name in keywords if name in new_keywords]
    for old, new in pairs:
        if type(old) is not type(new):
            continue
        if isinstance(old, list):
            old[:] = new
        elif isinstance(old, (dict, set)):
            old.clear()
            old.update(new)


def _pair(value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if type(value) is tuple and len(value) == 2 and type(value[0]) is tuple and type(value[1]) is dict:
        return value
    raise BrokenProtocol("malformed arguments")
