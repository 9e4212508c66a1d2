"""(Problem, program, sandbox) -> verdict. The only place that turns facts into a verdict.

Split mode: the dataset's tests run here, in the slot; each call of the candidate crosses to the box and back as plain
data. Neither tests nor expected values nor the verdict ever enter the process that runs the candidate.

Cases of calls and of standard input, which have no test code, are judged by modules of their own (`_GRADERS`).

In-process mode: only where the tests need the candidate's own objects. Tests and candidate share a process in the box;
a pass takes the nonce that is sent after the last assertion, and two negative controls that do not pass.

The reference solution is run first. It chooses the mode, says which calls the tests make and how many assertions hold,
and measures the processor time from which the limit for the samples is set.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import random
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness.conversation import (
    BrokenProtocol,
    CandidateRaised,
    Conversation,
    NotData,
    NotPlanned,
    raised,
)
from harness.outcomes import Outcomes
from harness.records import Grade, Verdict
from harness.script import FILENAME, CompiledScript, ScriptError, counted_source, negative_controls
from sandbox import wire
from sandbox.program import BoxLost, Ending, Execution, Limits, Program
from sandbox.sandbox import Sandbox
from sandbox.session import AnswerTooLarge, Call, ProgramEnded, Session
from tasks.problem import Problem, Script

VERSION = "3"
"""Part of the protocol: raised whenever the same sample could get another verdict."""

SPLIT, IN_PROCESS = "split", "in-process"
_ATTEMPTS = 3
_TESTS_S = 10.0
"""Processor seconds that the tests themselves may spend on the values of one sample."""
_DETAIL_LENGTH = 300

DOUBT = 1.25
"""A busy machine makes programs use more processor time than they need, by sharing caches. So beside others a program
may use this many times its limit; where it needed more than the limit, a run alone decides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What the reference showed about a problem."""

    mode: str
    assertions: int
    """How many assertions hold in a full run of the tests; a pass takes exactly as many."""
    calls: tuple[Call, ...]
    """The calls that the tests make, in order; empty in in-process mode."""
    answers: frozenset[bytes]
    """Payloads of the reference's answers."""
    cpu_s: float
    """Processor seconds of the reference, start of its process included."""
    write_back: bool = False
    """Whether the reference changes its arguments in place; only then may a candidate change those of the tests."""
    reference: str = ""
    """In in-process mode the reference program, which must fail the negative controls too; for calls that are compared
    with the reference's answers, the program that gives them."""
    base_cpu_s: float = 0.0
    """Processor seconds of the reference for the base cases alone, where their limit rests on it."""
    expected_digest: str = ""
    """For such calls, sha256 of all the answers; they are the same in every slot, or there is no verdict."""
    expected: str = ""
    """These answers, packed, where they are small; elsewhere a slot runs the reference again."""

    def to_json(self) -> dict[str, Any]:
        """As plain data, for another process or a file."""
        row = {
            "mode": self.mode,
            "assertions": self.assertions,
            "calls": [[name, _text(payload)] for name, payload in self.calls],
            "answers": sorted(_text(payload) for payload in self.answers),
            "cpu_s": self.cpu_s,
            "write_back": self.write_back,
            "reference": self.reference,
        }
        if self.expected_digest:
            row |= {
                "base_cpu_s": self.base_cpu_s,
                "expected_digest": self.expected_digest,
                "expected": self.expected,
            }
        return row

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Plan:
        """The inverse of `to_json`."""
        return cls(
            mode=row["mode"],
            assertions=row["assertions"],
            calls=tuple((name, base64.b64decode(text)) for name, text in row["calls"]),
            answers=frozenset(base64.b64decode(text) for text in row["answers"]),
            cpu_s=row["cpu_s"],
            write_back=row["write_back"],
            reference=row["reference"],
            base_cpu_s=row.get("base_cpu_s", 0.0),
            expected_digest=row.get("expected_digest", ""),
            expected=row.get("expected", ""),
        )


def _text(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A verdict with its reason and the facts behind it; a Grade before it is tied to a sample."""

    verdict: Verdict
    detail: str = ""
    execution: Execution | None = None
    attempts: int = 1
    in_doubt: bool = False
    """Whether the program came so near its limit that the verdict must come from a run alone."""
    outcomes: Outcomes | None = None
    """What came of each test, where a benchmark counts them one by one."""
    base: Verdict | None = None
    """The verdict by the base cases alone, where a benchmark has cases beyond them."""

    def grade(self, task_id: str, index: int, mode: str, program: str) -> Grade:
        facts = self.execution
        return Grade(
            task_id=task_id,
            index=index,
            verdict=self.verdict,
            mode=mode,
            program=program_digest(program),
            cpu_s=round(facts.cpu_s, 6) if facts else 0.0,
            wall_s=round(facts.wall_s, 6) if facts else 0.0,
            memory_bytes=facts.memory_bytes if facts else 0,
            detail=" ".join(self.detail.split())[:_DETAIL_LENGTH],
            attempts=self.attempts,
            tests=self.outcomes.letters if self.outcomes else "",
            base=self.base,
        )


def program_digest(program: str) -> str:
    """The first 16 hex digits of a program's sha256."""
    return hashlib.sha256(program.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class ReferenceFailed(Exception):
    """The problem's own solution does not pass its own tests here, so nothing can be said of anybody else's."""


class CaseGrader(Protocol):
    """What judges programs for one problem whose check is cases instead of test code."""

    def judge_once(self, program: str, *, alone: bool) -> Judgement:
        """The verdict on one program.

        Raises:
            sandbox.program.BoxLost: the sandbox failed; the program has to be run again.
        """
        ...


_GRADERS = {"Call": "harness.calls", "Stdio": "harness.stdio"}
"""Kind of check -> module with `make_plan` and a `CaseGrader` called `Grader`; imported where a problem needs it."""


def _grader(problem: Problem) -> Any:
    return importlib.import_module(_GRADERS[type(problem.check).__name__])


# ---------------------------------------------------------------------------------------------------------------------
# Planning
# ---------------------------------------------------------------------------------------------------------------------


def make_plan(problem: Problem, reference: str, sandbox: Sandbox, limits: Limits) -> Plan:
    """Runs the reference program and notes how the tests use it.

    Raises:
        ReferenceFailed: it passes in neither mode.
        sandbox.program.SandboxError: a fault of the sandbox.
    """
    if not isinstance(problem.check, Script):
        plan: Plan = _grader(problem).make_plan(problem, reference, sandbox, limits)
        return plan
    script = _compiled(problem)
    with opened(sandbox, reference, limits, stay=True) as session:
        conversation = Conversation(session, None)
        judgement, held = _converse(script, problem, conversation, session)
    if judgement.verdict is Verdict.PASSED and held > 0 and not conversation.opaque:
        assert judgement.execution is not None
        return Plan(
            mode=SPLIT,
            assertions=held,
            calls=tuple(conversation.calls),
            answers=frozenset(conversation.answers),
            cpu_s=judgement.execution.cpu_s,
            write_back=conversation.wrote,
        )
    inside, held = run_inside(reference, counted_source(_script(problem)), sandbox, limits)
    if inside.verdict is not Verdict.PASSED or held == 0:
        reason = inside.detail or judgement.detail or "no assertion was executed"
        raise ReferenceFailed(f"{problem.task_id}: the reference solution fails its own tests: {reason}")
    assert inside.execution is not None
    return Plan(
        mode=IN_PROCESS,
        assertions=held,
        calls=(),
        answers=frozenset(),
        cpu_s=inside.execution.cpu_s,
        reference=reference,
    )


def _script(problem: Problem) -> Script:
    assert isinstance(problem.check, Script)
    return problem.check


def _compiled(problem: Problem) -> CompiledScript:
    try:
        return CompiledScript(_script(problem))
    except ScriptError as error:
        raise ReferenceFailed(f"{problem.task_id}: {error}") from error


# ---------------------------------------------------------------------------------------------------------------------
# Judging
# ---------------------------------------------------------------------------------------------------------------------


class Judge:
    """Judges programs for one problem, with what can be prepared once prepared."""

    def __init__(self, problem: Problem, plan: Plan, sandbox: Sandbox, limits: Limits) -> None:
        self.problem = problem
        self.plan = plan
        self.sandbox = sandbox
        self.limits = limits
        self._cases: CaseGrader | None = None
        if isinstance(problem.check, Script):
            self._script = _compiled(problem)
        else:
            self._cases = _grader(problem).Grader(problem, plan, sandbox, limits)

    def judge(self, program: str, *, alone: bool = False) -> Judgement:
        """The verdict on one program. A fault of the sandbox is retried on a fresh box, and is never the program's.

        Args:
            program: its source.
            alone: whether nothing else of ours is at work, so that its limit can be taken by its word. Otherwise the
                judgement may be in doubt.
        """
        fault = ""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return replace(self._judge_once(program, alone=alone), attempts=attempt)
            except BoxLost as error:
                fault = str(error)
        return Judgement(verdict=Verdict.UNJUDGED, detail=f"sandbox: {fault}", attempts=_ATTEMPTS)

    def _judge_once(self, program: str, *, alone: bool) -> Judgement:
        if self._cases is not None:
            return self._cases.judge_once(program, alone=alone)
        judgement = self._judge_script(program, allowed(self.limits, alone=alone))
        return replace(judgement, in_doubt=not alone and near_limit(judgement.execution, self.limits))

    def _judge_script(self, program: str, limits: Limits) -> Judgement:
        if self.plan.mode == IN_PROCESS:
            return self._judge_inside(program, limits)
        try:
            return self._judge_split(program, limits, self.plan.calls)
        except NotPlanned:
            return self._judge_split(program, limits, None)

    def _judge_split(self, program: str, limits: Limits, calls: tuple[Call, ...] | None) -> Judgement:
        watch = self.plan.write_back
        with opened(self.sandbox, program, limits, calls or (), stay=calls is None, watch=watch) as session:
            conversation = Conversation(session, calls, self.plan.answers, write_back=self.plan.write_back)
            judgement, held = _converse(self._script, self.problem, conversation, session)
        return _complete(judgement, held, self.plan.assertions)

    def _judge_inside(self, program: str, limits: Limits) -> Judgement:
        tests = counted_source(_script(self.problem))
        judgement, held = run_inside(program, tests, self.sandbox, limits)
        judgement = _complete(judgement, held, self.plan.assertions)
        if judgement.verdict is not Verdict.PASSED:
            return judgement
        for control in negative_controls(_script(self.problem), random.SystemRandom()):
            outcome, _ = run_inside(program, control, self.sandbox, limits)
            if outcome.verdict is Verdict.PASSED and not self._is_void(control):
                detail = "passes tests that cannot be passed, so it tampers with them"
                return replace(judgement, verdict=Verdict.WRONG_ANSWER, detail=detail)
        return judgement

    def _is_void(self, control: str) -> bool:
        """Whether a control sits where no test comes by, so that the reference passes it as well."""
        outcome, _ = run_inside(self.plan.reference, control, self.sandbox, self.limits)
        return outcome.verdict is Verdict.PASSED


def allowed(limits: Limits, *, alone: bool) -> Limits:
    """What a program may use, which beside others is more (see `DOUBT`)."""
    return limits if alone else replace(limits, cpu_s=DOUBT * limits.cpu_s)


def near_limit(facts: Execution | None, limits: Limits) -> bool:
    """Whether a program that was allowed more than its limits needed it."""
    return facts is not None and facts.ending is not Ending.CPU_LIMIT and facts.cpu_s > limits.cpu_s


@contextlib.contextmanager
def opened(
    sandbox: Sandbox,
    program: str,
    limits: Limits,
    calls: tuple[Call, ...] = (),
    *,
    stay: bool,
    watch: bool = True,
    grouped: bool = False,
    tests: Any = None,
) -> Iterator[Session]:
    """A session with a started program, which is ended with the block."""
    given = Program(source=program, tests=tests)
    session = sandbox.open(given, limits, calls, stay=stay, watch=watch, grouped=grouped)
    try:
        yield session
    finally:
        session.end()


def _complete(judgement: Judgement, held: int, expected: int) -> Judgement:
    """A pass must have come by every assertion that the reference came by."""
    if judgement.verdict is not Verdict.PASSED or held == expected:
        return judgement
    detail = f"{held} assertions held where the reference has {expected}"
    return replace(judgement, verdict=Verdict.WRONG_ANSWER, detail=detail)


def _converse(
    script: CompiledScript, problem: Problem, conversation: Conversation, session: Session
) -> tuple[Judgement, int]:
    """Runs the tests against a started program: what came of it, and how many assertions held in a pass."""
    held = 0
    try:
        conversation.begin()
        stand_ins = {name: conversation.stand_in(name) for name in _script(problem).names}
        with deadline():
            held = script.run(stand_ins)
        if conversation.fault is not None:
            raise conversation.fault
        verdict, detail = Verdict.PASSED, ""
    except BaseException as error:
        verdict, detail = not_passed(conversation.fault or error, session, script)
    execution = session.end()
    if verdict is Verdict.PASSED:
        verdict, detail = within_limits(execution)
    return Judgement(verdict=verdict, detail=detail, execution=execution), held


def run_inside(program: str, tests: str, sandbox: Sandbox, limits: Limits) -> tuple[Judgement, int]:
    """Runs tests beside the program in the box; a pass is the nonce, which is sent after the last assertion."""
    nonce = secrets.token_bytes(16)
    held = 0
    with opened(sandbox, program, limits, stay=False, tests=(tests.encode(), nonce)) as session:
        conversation = Conversation(session, None)
        try:
            conversation.begin()
            kind, payload = session.receive()
            if kind == wire.RAISED:
                raise raised(payload)
            verdict, detail = Verdict.PASSED, ""
            if kind != wire.DONE or payload[:16] != nonce:
                raise BrokenProtocol("the tests did not report their end")
            held = int.from_bytes(payload[16:24], "little")
        except BaseException as error:
            verdict, detail = not_passed(error, session, None)
        execution = session.end()
    if verdict is Verdict.PASSED:
        verdict, detail = within_limits(execution)
    return Judgement(verdict=verdict, detail=detail, execution=execution), held


def not_passed(error: BaseException, session: Session, script: CompiledScript | None = None) -> tuple[Verdict, str]:
    """The verdict where something kept the tests from their end.

    Raises:
        BoxLost, NotPlanned: what happened says nothing about the program, which has to be run again.
    """
    if isinstance(error, (BoxLost, NotPlanned)):
        raise error
    if isinstance(error, ProgramEnded):
        return ended_early(session.end())
    return _failed(error, script)


def within_limits(execution: Execution) -> tuple[Verdict, str]:
    """A program that gave every right answer has passed, unless its clock says otherwise."""
    if execution.ending is Ending.CPU_LIMIT:
        return Verdict.TIMEOUT, f"right answers after {execution.cpu_s:.2f} s of processor time"
    return Verdict.PASSED, ""


def ended_early(execution: Execution) -> tuple[Verdict, str]:
    """The verdict where the program's process ended while an answer was due."""
    match execution.ending:
        case Ending.CPU_LIMIT:
            return Verdict.TIMEOUT, f"used {execution.cpu_s:.2f} s of processor time"
        case Ending.IDLE_LIMIT:
            return Verdict.TIMEOUT, "waited for something that does not come"
        case Ending.WALL_LIMIT:
            return Verdict.TIMEOUT, f"still there after {execution.wall_s:.0f} s"
        case Ending.SIGNALED:
            return Verdict.RUNTIME_ERROR, f"ended by {_signal_name(execution.code)}"
        case _:
            return Verdict.RUNTIME_ERROR, "its process ended before its tests did"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _failed(error: BaseException, script: CompiledScript | None) -> tuple[Verdict, str]:
    """The verdict where the tests did not come to their end."""
    match error:
        case CandidateRaised():
            return _candidate_raised(error, inside=script is None)
        case AnswerTooLarge():
            return Verdict.OUTPUT_LIMIT, str(error)
        case BrokenProtocol():
            return Verdict.RUNTIME_ERROR, f"its process broke the protocol: {error}"
        case NotData():
            return Verdict.WRONG_ANSWER, f"the tests pass {error}, which cannot cross"
        case _TestsTooSlow():
            return Verdict.TIMEOUT, f"the tests needed over {_TESTS_S:.0f} s with its answers"
        case AssertionError():
            return Verdict.WRONG_ANSWER, _where(error, script) or "an assertion does not hold"
        case _:
            return Verdict.WRONG_ANSWER, f"{type(error).__name__}: {error}; {_where(error, script)}"


def _candidate_raised(error: CandidateRaised, *, inside: bool) -> tuple[Verdict, str]:
    at = f" at line {error.line}" if error.line else ""
    detail = f"{error.kind}: {error.message}{at}"
    if error.where == "compile":
        return Verdict.SYNTAX_ERROR, detail  # also MemoryError, with which the parser gives up on long prose
    if isinstance(error, MemoryError):
        return Verdict.MEMORY_LIMIT, detail
    if error.where == "tests" and isinstance(error, AssertionError):
        return Verdict.WRONG_ANSWER, detail
    return Verdict.RUNTIME_ERROR, detail


def _where(error: BaseException, script: CompiledScript | None) -> str:
    """The line of the tests that failed."""
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return script.line(line) if script is not None and line else ""


class _TestsTooSlow(BaseException):
    """The tests spent too long on a candidate's values, which are hostile input to them."""


@contextlib.contextmanager
def deadline() -> Iterator[None]:
    """Bounds the processor time of the tests. Signals reach only the main thread; elsewhere there is no bound."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(*_: object) -> None:
        raise _TestsTooSlow

    previous: Callable[..., Any] | int | None = signal.signal(signal.SIGVTALRM, expire)
    signal.setitimer(signal.ITIMER_VIRTUAL, _TESTS_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)
