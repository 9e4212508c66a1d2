"""Checks that are calls of an entry point: the box makes them one after the other and streams its answers.

The answers are compared here. Neither expected answers nor the number of them that were right ever enter the box; where
the reference's answers are the expected ones, the reference gives them in a box of its own.

One process makes all calls. For most benchmarks the first answer that is not accepted decides. Those that count tests
one by one (`EVERY_TEST`) get all of them: an exception ends one call; where it is the process that ends, in the middle
of a call, another one goes on with the next.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import reprlib
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from harness import apps_checker, evalplus_oracles
from harness.comparison import compare
from harness.conversation import BrokenProtocol, CandidateRaised, Opaque, raised
from harness.grade import (
    SPLIT,
    Judgement,
    Plan,
    ReferenceFailed,
    allowed,
    deadline,
    near_limit,
    not_passed,
    opened,
    within_limits,
)
from harness.outcomes import Outcome, Outcomes
from harness.records import Verdict
from sandbox import codec, wire
from sandbox.program import Execution, Limits
from sandbox.sandbox import Sandbox
from sandbox.session import ProgramEnded, Session
from tasks.conversion import case_sets
from tasks.data import DatasetUnavailable
from tasks.problem import Call, Problem

EVERY_TEST = {"apps-official", "apps-strict"}
"""Comparisons of benchmarks whose score also counts single tests. Answers are marked by both of them."""

MOST_PROCESSES = 8
"""A program whose processes end again and again is given no more than so many; the tests left over end as the last."""

PACKED_BYTES = 512 << 10
"""Expected answers up to this size travel with every batch of programs; a slot need not run the reference then."""

REFERENCE_OUTPUT_BYTES = 64 << 20
"""What one answer of a reference may come to; a few are of several megabytes."""

HEAVY_S = 0.1
"""From so many processor seconds of the reference on, the base cases have a lower limit of their own: a program that
never ends is mostly found there."""

UNMEASURED_S = 10.0
"""The least that the calls of a program may use together where there is no reference to measure by. APPS' own checker
gives as much."""

LEAST_S = 1.0
"""What a part of the cases is allowed at least, as EvalPlus allows each of them."""

EVALPLUS_MOST_S = 60.0
"""What EvalPlus allows all cases together. Four times the reference is allowed even where that is more."""

UNPACKED_BYTES = 4 << 20
"""Answers beyond this size are not even tried to be packed."""

_PATIENCE = 4
"""The reference may use so many times a sample's processor seconds when a slot runs it again."""

Answer = tuple[int, bytes]
"""Kind of frame, VALUE or UNSUPPORTED, and payload."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of one call."""

    outcome: Outcome
    detail: str = ""

    @classmethod
    def of(cls, verdict: Verdict, detail: str) -> Result:
        """Of a call that was not answered."""
        return cls(outcome=Outcome.of_verdict(verdict), detail=detail)


# ---------------------------------------------------------------------------------------------------------------------
# Planning
# ---------------------------------------------------------------------------------------------------------------------


def make_plan(problem: Problem, reference: str, sandbox: Sandbox, limits: Limits) -> Plan:
    """Runs the reference: its answers are the expected ones, or have to be accepted for them.

    Where a benchmark counts test by test its expected answers judge by themselves: in APPS many problems have no
    reference, or a wrong one. Then nothing is measured.

    Raises:
        ReferenceFailed: there are no cases, or the reference does not do for them.
        sandbox.program.SandboxError: a fault of the sandbox.
    """
    try:
        cases = Cases(problem)
    except (DatasetUnavailable, ValueError, codec.Unsupported) as error:
        raise ReferenceFailed(f"{problem.task_id}: its cases cannot be had: {error}") from error
    if not cases.inputs:
        raise ReferenceFailed(f"{problem.task_id}: it has no cases, so nothing can pass them")
    if cases.outputs is not None:
        return _plan_of_values(cases, reference, sandbox, limits)
    answers, execution = _reference_answers(cases, reference, sandbox, limits)
    _check_reference(cases, Expected.of_answers(answers), answers)
    base_cpu_s = 0.0
    if cases.num_base and execution.cpu_s > HEAVY_S:
        _, base = _reference_answers(cases, reference, sandbox, limits, cases.num_base)
        base_cpu_s = base.cpu_s
    frames = [_frame(*answer) for answer in answers]
    packed = pack(frames) if sum(map(len, frames)) <= UNPACKED_BYTES else ""
    return Plan(
        mode=SPLIT,
        assertions=len(cases.inputs),
        calls=(),
        answers=frozenset(),
        cpu_s=execution.cpu_s,
        base_cpu_s=base_cpu_s,
        reference=reference,
        expected_digest=_digest(frames),
        expected=packed if len(packed) <= PACKED_BYTES else "",
    )


def _plan_of_values(cases: Cases, reference: str, sandbox: Sandbox, limits: Limits) -> Plan:
    """Where the data gives the expected answers, these need not be carried."""
    cpu_s = 0.0
    try:
        if cases.problem.reference or not cases.every_test:
            answers, execution = _reference_answers(cases, reference, sandbox, limits)
            _check_reference(cases, Expected.of_values(cases.outputs or []), answers)
            cpu_s = execution.cpu_s
    except ReferenceFailed:
        if not cases.every_test:
            raise
    return Plan(mode=SPLIT, assertions=len(cases.inputs), calls=(), answers=frozenset(), cpu_s=cpu_s)


def _reference_answers(
    cases: Cases, reference: str, sandbox: Sandbox, limits: Limits, first: int | None = None
) -> tuple[list[Answer], Execution]:
    """One answer for every call, or for the first so many, and the facts of the process that gave them.

    Raises:
        ReferenceFailed: the reference does not give as many.
        BoxLost: the sandbox failed.
    """
    limits = replace(limits, output_bytes=max(limits.output_bytes, REFERENCE_OUTPUT_BYTES))
    calls = cases.calls(reference)[:first]
    answers: list[Answer] = []
    with opened(sandbox, reference, limits, calls, stay=False, watch=False, grouped=True) as session:
        try:
            _begin(session)
            for _ in calls:
                answers.append(_receive(session))
        except BaseException as error:
            _, detail = not_passed(error, session)
            place = f"call {len(answers) + 1} of {len(calls)}"
            raise ReferenceFailed(
                f"{cases.problem.task_id}: the reference solution fails: {place}: {detail}"
            ) from error
        return answers, session.end()


def _check_reference(cases: Cases, expected: Expected, answers: Sequence[Answer]) -> None:
    """What the rules do not accept of the reference they would accept of nobody."""
    for place, answer in enumerate(answers):
        try:
            result = cases.mark(place, answer, expected)
        except BrokenProtocol as error:
            raise ReferenceFailed(f"{cases.problem.task_id}: the reference solution gives {error}") from error
        if not result.outcome.official:  # the less strict of APPS' checkers; for other benchmarks there is one
            raise ReferenceFailed(
                f"{cases.problem.task_id}: the reference solution fails its own tests: {result.detail}"
            )


# ---------------------------------------------------------------------------------------------------------------------
# Judging
# ---------------------------------------------------------------------------------------------------------------------


class Grader:
    """Judges programs for one problem; its cases and what is expected are got when the first program comes."""

    def __init__(self, problem: Problem, plan: Plan, sandbox: Sandbox, limits: Limits) -> None:
        self.problem = problem
        self.plan = plan
        self.sandbox = sandbox
        self.limits = limits if plan.cpu_s else replace(limits, cpu_s=max(limits.cpu_s, UNMEASURED_S))

    def judge_once(self, program: str, *, alone: bool) -> Judgement:
        """The verdict on one program; `unjudged` where its cases or the expected answers are not those of the plan.

        Raises:
            BoxLost: the sandbox failed.
        """
        try:
            cases, expected = self._cases, self._expected
        except (DatasetUnavailable, ReferenceFailed, ValueError, codec.Unsupported) as error:
            return Judgement(verdict=Verdict.UNJUDGED, detail=str(error))
        run = Run(cases, expected, self.sandbox, self._stages, alone=alone)
        run.judge(program)
        return run.judgement()

    @cached_property
    def _cases(self) -> Cases:
        cases = Cases(self.problem)
        if len(cases.inputs) != self.plan.assertions:
            raise ReferenceFailed(f"{len(cases.inputs)} cases where there were {self.plan.assertions}")
        return cases

    @cached_property
    def _expected(self) -> Expected:
        if self._cases.outputs is not None:
            return Expected.of_values(self._cases.outputs)
        if self.plan.expected:
            expected = Expected(unpack(self.plan.expected))
        else:
            limits = replace(self.limits, cpu_s=_PATIENCE * max(self.limits.cpu_s, self.plan.cpu_s))
            answers, _ = _reference_answers(self._cases, self.plan.reference, self.sandbox, limits)
            expected = Expected.of_answers(answers)
        if _digest(expected.frames) != self.plan.expected_digest:
            raise ReferenceFailed("the reference solution does not give the same answers each time it is run")
        return expected

    @cached_property
    def _stages(self) -> list[Stage]:
        """Answers of a megabyte are nothing strange where the reference gives them."""
        limits, plan = self.limits, self.plan
        limits = replace(limits, output_bytes=max(limits.output_bytes, 2 * self._expected.largest))
        if self._cases.check.comparison == "evalplus":
            limits = replace(limits, cpu_s=min(limits.cpu_s, max(EVALPLUS_MOST_S, 4 * plan.cpu_s)))
        if not self._cases.num_base:
            return [Stage(ends=(plan.assertions,), limits=limits)]
        ends = (self._cases.num_base, plan.assertions)
        if not plan.base_cpu_s:
            return [Stage(ends=ends, limits=limits)]
        base = replace(limits, cpu_s=min(limits.cpu_s, max(LEAST_S, plan.base_cpu_s / plan.cpu_s * limits.cpu_s)))
        return [Stage(ends=ends[:1], limits=base), Stage(ends=ends[1:], limits=limits)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Cases that one process is asked for, and its limits."""

    ends: tuple[int, ...]
    """Places up to which it is asked at a time: most wrong programs fail a base case, and are not sent the others."""
    limits: Limits


class Run:
    """One program at its calls, in one process or several."""

    def __init__(
        self, cases: Cases, expected: Expected, sandbox: Sandbox, stages: Sequence[Stage], *, alone: bool
    ) -> None:
        self._cases = cases
        self._expected = expected
        self._sandbox = sandbox
        self._stages = stages
        self._alone = alone
        self._frames = expected.frames if cases.same_is_right and expected.all_values else ()
        self._results: list[Result] = []
        self._failed: Result | None = None
        self._executions: list[Execution] = []
        self._in_doubt = False

    def judge(self, program: str) -> None:
        """Runs the program until every call has its result, or one of them decides."""
        most = len(self._stages) - 1 + MOST_PROCESSES
        for stage in self._stages:
            while len(self._results) < stage.ends[-1] and len(self._executions) < most and not self._decided:
                self._process(program, stage)
        rest = Result(outcome=Outcome.NOT_RUN) if self._decided else self._results[-1]
        self._results += [rest] * (self._stages[-1].ends[-1] - len(self._results))

    @property
    def _decided(self) -> bool:
        """Whether what is left cannot change the score."""
        return self._failed is not None and not self._cases.every_test

    def _add(self, result: Result, copies: int = 1) -> None:
        self._results += [result] * copies
        if self._failed is None and not result.outcome.accepted(self._cases.checker):
            self._failed = result

    def _process(self, program: str, stage: Stage) -> None:
        """One process: calls from the first that has no result, until it ends or a result decides."""
        first = len(self._results)
        calls = self._cases.calls(program)
        ends = [end for end in stage.ends if end > first]
        limits = allowed(stage.limits, alone=self._alone)
        started = False
        # Where tests are counted one by one, each answer has to be said before the next call may end the process.
        grouped = not self._cases.every_test
        options = {"stay": len(ends) > 1, "watch": False, "grouped": grouped}
        with opened(self._sandbox, program, limits, calls[first : ends[0]], **options) as session:
            try:
                _begin(session)
                started = True
                with deadline():
                    self._follow(session, ends[0])
                    for start, end in itertools.pairwise(ends):
                        if not self._decided:
                            session.ask(calls[start:end])
                            self._follow(session, end)
            except BaseException as error:
                result = Result.of(*not_passed(error, session))
                session.end()
                # It says that it has started only with its first answer. Where it does not start, nothing is called.
                in_call = started or (isinstance(error, ProgramEnded) and self._starts(program, limits))
                self._add(result, 1 if in_call else ends[-1] - first)
            execution = session.end()
        self._executions.append(execution)
        self._in_doubt |= not self._alone and near_limit(execution, stage.limits)
        verdict, detail = within_limits(execution)
        if verdict is not Verdict.PASSED and self._failed is None:
            self._results.pop()
            self._add(Result.of(verdict, detail))

    def _starts(self, program: str, limits: Limits) -> bool:
        """Whether the program comes to the end of its top level; asked only where that makes a difference."""
        if not self._cases.every_test:
            return False
        with opened(self._sandbox, program, limits, stay=False) as session:
            try:
                _begin(session)
            except BaseException as error:
                not_passed(error, session)  # a lost box is no answer
                return False
            return True

    def _follow(self, session: Session, end: int) -> None:
        """Marks answer after answer up to that place; an exception of a call's own is a result too."""
        while (place := len(self._results)) < end:
            if self._frames and session.take(self._frames[place]):
                self._results.append(_RIGHT)  # equal to the last byte: nothing has to be decoded to accept it
                continue
            try:
                result = self._cases.mark(place, _receive(session), self._expected)
            except CandidateRaised as error:
                result = Result.of(*not_passed(error, session))
            self._add(result)
            if self._decided:
                return

    def judgement(self) -> Judgement:
        """What all results together say."""
        checker = self._cases.checker
        deciding = self._failed or _RIGHT
        return Judgement(
            verdict=deciding.outcome.verdict(checker),
            detail=deciding.detail,
            execution=_together(self._executions),
            in_doubt=self._in_doubt,
            outcomes=Outcomes.of(result.outcome for result in self._results) if self._cases.every_test else None,
            base=self._base(),
        )

    def _base(self) -> Verdict | None:
        if self._cases.num_base is None:
            return None
        verdicts = (result.outcome.verdict(self._cases.checker) for result in self._results[: self._cases.num_base])
        return next((verdict for verdict in verdicts if verdict is not Verdict.PASSED), Verdict.PASSED)


def _together(executions: Sequence[Execution]) -> Execution:
    """The facts of several processes as those of one: the ending is that of the first."""
    return replace(
        executions[0],
        cpu_s=sum(execution.cpu_s for execution in executions),
        wall_s=sum(execution.wall_s for execution in executions),
        memory_bytes=max(execution.memory_bytes for execution in executions),
    )


def _begin(session: Session) -> None:
    """Waits until the program's top level has run."""
    kind, payload = session.receive()
    if kind == wire.RAISED:
        raise raised(payload)
    if kind != wire.READY:
        raise BrokenProtocol(f"a frame of kind {kind} before the program was ready")


def _receive(session: Session) -> Answer:
    """The next answer; what a call did to its arguments, which are copies, is passed over."""
    kind, payload = session.receive()
    if kind == wire.ARGUMENTS:
        kind, payload = session.receive()
    if kind == wire.RAISED:
        raise raised(payload)
    if kind not in (wire.VALUE, wire.UNSUPPORTED):
        raise BrokenProtocol(f"a frame of kind {kind} where an answer was due")
    return kind, payload


# ---------------------------------------------------------------------------------------------------------------------
# Cases
# ---------------------------------------------------------------------------------------------------------------------


class Cases:
    """The calls of a problem, and the rule by which their answers are marked.

    Raises:
        tasks.data.DatasetUnavailable: they cannot be read.
        ValueError: they are not laid out as they should be.
    """

    def __init__(self, problem: Problem) -> None:
        assert isinstance(problem.check, Call)
        self.problem = problem
        self.check = problem.check
        sets = case_sets(self.check)
        self.every_test = self.check.comparison in EVERY_TEST
        self.inputs = [arguments for part in sets for arguments in part.inputs]
        if self.every_test:
            self.inputs = [apps_checker.call_arguments(arguments) for arguments in self.inputs]
        self.outputs = _joined([part.outputs for part in sets])
        self.num_base = len(sets[0].inputs) if [part.name for part in sets] == ["base", "plus"] else None
        self.checker = "official" if self.check.comparison == "apps-official" else "strict"
        """Which acceptance of an `Outcome` makes the verdict; beside APPS' two there is only one."""
        self.same_is_right = problem.task_id not in evalplus_oracles.DECISIVE
        self._payloads = codec.encode_plain((tuple(arguments), {}) for arguments in self.inputs)
        self._owner = re.compile(rf"^class\s+{re.escape(self.check.in_class)}\b", re.MULTILINE)

    def calls(self, program: str) -> tuple[tuple[str, bytes], ...]:
        """The calls as the box makes them: of a method where the program has the class, else of a function."""
        name = self.problem.entry_point
        if self.check.in_class and self._owner.search(program):
            name = f"{self.check.in_class}.{name}"
        return tuple((name, payload) for payload in self._payloads)

    def mark(self, place: int, answer: Answer, expected: Expected) -> Result:
        """What an answer is worth.

        Raises:
            BrokenProtocol: it is no answer of ours.
        """
        if answer == expected.answer(place) and answer[0] == wire.VALUE and self.same_is_right:
            return _RIGHT
        value, wanted = _value(answer), expected.value(place)
        if self.every_test:
            official, strict = (compare(name, value, wanted) for name in ("apps-official", "apps-strict"))
        else:
            official = strict = self._accepts(place, value, wanted)
        outcome = Outcome.of_answer(official=official, strict=strict)
        if outcome.accepted(self.checker):
            return Result(outcome=outcome)
        return Result(outcome=outcome, detail=self._difference(place, value, wanted))

    def _accepts(self, place: int, value: Any, wanted: Any) -> bool:
        if self.check.comparison == "evalplus":
            arguments = self.inputs[place]
            return evalplus_oracles.accepts(self.problem.task_id, value, wanted, arguments, self.check.tolerance)
        return compare(self.check.comparison, value, wanted, self.check.tolerance)

    def _difference(self, place: int, value: Any, wanted: Any) -> str:
        arguments = ", ".join(map(_short, self.inputs[place]))
        answer = f"{self.problem.entry_point}({arguments}) gives {_short(value)}, not {_short(wanted)}"
        return f"call {place + 1} of {len(self.inputs)}: {answer}"


_RIGHT = Result(outcome=Outcome.PASSED)

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 60


def _joined(parts: Sequence[list[Any] | None]) -> list[Any] | None:
    """The outputs of several sets as one.

    Raises:
        ValueError: some sets have outputs and some have none.
    """
    given = [part for part in parts if part is not None]
    if not given:
        return None
    if len(given) != len(parts):
        raise ValueError("outputs for some of the inputs and not for others")
    return [value for part in given for value in part]


def _short(value: Any) -> str:
    try:
        return _REPR.repr(value)
    except ValueError:  # a number of too many digits
        return "a very large number"


def _value(answer: Answer) -> Any:
    """What a frame says, from a sender that nobody trusts."""
    kind, payload = answer
    try:
        value = codec.decode(payload)
    except codec.Malformed as error:
        raise BrokenProtocol(str(error)) from None
    return Opaque(str(value)[:200]) if kind == wire.UNSUPPORTED else value


# ---------------------------------------------------------------------------------------------------------------------
# What is expected
# ---------------------------------------------------------------------------------------------------------------------


class Expected:
    """The answers that are expected, as frames; each also as a value, decoded where it is needed."""

    def __init__(self, frames: Sequence[bytes], values: Sequence[Any] | None = None) -> None:
        self.frames = frames
        self._values: dict[int, Any] = {} if values is None else dict(enumerate(values))

    @classmethod
    def of_values(cls, values: Sequence[Any]) -> Expected:
        """For outputs that the data gives. They have no kind: there equal bytes prove nothing, the rule has to tell."""
        return cls([_frame(0, codec.encode(value)) for value in values], values)

    @classmethod
    def of_answers(cls, answers: Iterable[Answer]) -> Expected:
        """For what the reference answers."""
        return cls([_frame(*answer) for answer in answers])

    @cached_property
    def all_values(self) -> bool:
        """Whether each is a value of the reference: then the same frame is a right answer."""
        return all(frame[_KIND] == wire.VALUE for frame in self.frames)

    def answer(self, place: int) -> Answer:
        """One of them."""
        frame = self.frames[place]
        return frame[_KIND], frame[wire.HEADER.size :]

    def value(self, place: int) -> Any:
        """The expected value, for rules that look at it and leave it as it is."""
        if place not in self._values:
            self._values[place] = _value(self.answer(place))
        return self._values[place]

    @property
    def largest(self) -> int:
        """Bytes of the largest answer."""
        return max(map(len, self.frames)) - wire.HEADER.size


_KIND = wire.HEADER.size - 1
"""Where the byte of a frame is that says its kind."""


def _frame(kind: int, payload: bytes) -> bytes:
    return wire.HEADER.pack(len(payload), kind) + payload


def _digest(frames: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(frames)).hexdigest()


def pack(frames: Sequence[bytes]) -> str:
    """Frames as one text for a plan."""
    return base64.b64encode(zlib.compress(b"".join(frames))).decode()


def unpack(packed: str) -> list[bytes]:
    """The inverse of `pack`."""
    stream = zlib.decompress(base64.b64decode(packed))
    frames: list[bytes] = []
    at = 0
    while at < len(stream):
        end = at + wire.HEADER.size + int.from_bytes(stream[at : at + _KIND], "little")
        frames.append(stream[at:end])
        at = end
    return frames
