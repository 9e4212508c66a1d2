"""Checks that are runs of the whole program: standard input goes in, standard output comes out and is compared here.

The program is compiled once. Then it runs as a command would, once for each test: a process of its own with real
standard streams and as `__main__`. Each test has the limits to itself, so that many tests are no reason to fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from harness import apps_checker
from harness.comparison import CHECKERS, first_difference
from harness.conversation import BrokenProtocol, CandidateRaised, raised
from harness.grade import Judgement, Plan, ReferenceFailed, allowed, ended_early, near_limit, not_passed
from harness.outcomes import Outcome, Outcomes
from harness.records import Verdict
from sandbox import codec, wire
from sandbox.program import Ending, Execution, Limits, Program
from sandbox.sandbox import Sandbox
from sandbox.session import AnswerTooLarge, ProgramEnded
from tasks.problem import Problem, Stdio
from tasks.rows import loads
from tasks.sources import DatasetUnavailable

MODE = "stdio"

TEST_CPU_S = 4.0
"""The least that each test may use where there is no reference to measure by. APPS' own checker gives as much."""

MOST_TIMEOUTS = 4
"""After so many tests that ran into a limit, those left over count as the last of them: it is the share of tests passed
that they could change, not the verdict, and a program that never ends would take all night."""

_CODE_BYTES = 64 << 20
"""Room for the compiled program, which is larger than its source and is none of its output."""
_TOKEN_LENGTH = 40
_RETURN = "'return' outside function"
"""What the compiler says of a program that `apps_checker.as_function` makes one of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One test: what goes in and what must come out."""

    stdin: bytes
    expected: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of one test, the reason, and the facts of the process."""

    outcome: Outcome
    detail: str
    execution: Execution
    is_body: bool = False
    """Whether the program is one only as the body of a function, which is enough for the official checker alone."""

    def verdict(self, checker: str) -> Verdict:
        """The verdict on a program that this test decides."""
        if self.is_body and checker == "strict":
            return Verdict.SYNTAX_ERROR
        return self.outcome.verdict(checker)


# ---------------------------------------------------------------------------------------------------------------------
# Planning and judging
# ---------------------------------------------------------------------------------------------------------------------


def make_plan(problem: Problem, reference: str, sandbox: Sandbox, limits: Limits) -> Plan:
    """Measures the reference's slowest test. The tests judge by themselves, so a reference may be missing or wrong.

    Raises:
        ReferenceFailed: there are no tests.
        sandbox.program.SandboxError: a fault of the sandbox.
    """
    grader = Grader(problem, None, sandbox, limits, checker="official", early_stop=True)
    try:
        cases = grader.cases
    except (DatasetUnavailable, ValueError) as error:
        raise ReferenceFailed(f"{problem.task_id}: its tests cannot be had: {error}") from error
    results = grader.results(reference, limits) if problem.reference else []
    sound = len(results) == len(cases) and all(result.outcome.official for result in results)
    return Plan(
        mode=MODE,
        assertions=len(cases),
        calls=(),
        answers=frozenset(),
        cpu_s=max(result.execution.cpu_s for result in results) if sound else 0.0,
    )


class Grader:
    """Judges programs for one problem; its tests are read when the first program comes."""

    def __init__(
        self,
        problem: Problem,
        plan: Plan | None,
        sandbox: Sandbox,
        limits: Limits,
        *,
        checker: str = "",
        early_stop: bool = False,
    ) -> None:
        """Prepares to judge.

        Args:
            problem: one with a `Stdio` check.
            plan: what is known of its tests, which must not have changed since; None for nothing.
            sandbox: where the programs run.
            limits: for each test of a program; without a reference to measure by, at least `TEST_CPU_S`.
            checker: `official` or `strict`; which of the two makes the verdict. Empty for that of the check.
            early_stop: whether to stop at the first test that fails. The share of tests passed is then not known.

        Raises:
            ValueError: the checker is unknown.
        """
        assert isinstance(problem.check, Stdio)
        checker = checker or problem.check.comparison.removeprefix("apps-")
        if checker not in CHECKERS:
            raise ValueError(f"unknown checker {checker!r}; accepted: {', '.join(CHECKERS)}")
        self.problem = problem
        self.plan = plan
        self.sandbox = sandbox
        measured = plan is not None and plan.cpu_s > 0
        self.limits = limits if measured else replace(limits, cpu_s=max(limits.cpu_s, TEST_CPU_S))
        self.checker = checker
        self.early_stop = early_stop

    def judge_once(self, program: str, *, alone: bool) -> Judgement:
        """The verdict on one program; `unjudged` where the tests are not those of the plan.

        Args:
            program: its source.
            alone: whether nothing else of ours is at work, so that its limits can be taken by their word. Otherwise the
                judgement may be in doubt.

        Raises:
            BoxLost: the sandbox failed.
        """
        try:
            cases = self.cases
        except (DatasetUnavailable, ValueError) as error:
            return Judgement(verdict=Verdict.UNJUDGED, detail=str(error))
        results = self.results(program, allowed(self.limits, alone=alone))
        outcomes = Outcomes.of(result.outcome for result in results)
        failed = outcomes.first_failed(self.checker)
        verdict = Verdict.PASSED if failed is None else results[failed].verdict(self.checker)
        not_run = (len(cases) - len(results)) * [Outcome.NOT_RUN]
        return Judgement(
            verdict=verdict,
            detail="" if failed is None else results[failed].detail,
            execution=_together(results, deciding=-1 if failed is None else failed),
            outcomes=Outcomes.of([*outcomes.tests, *not_run]),
            in_doubt=not alone and any(near_limit(result.execution, self.limits) for result in results),
        )

    def results(self, program: str, limits: Limits) -> list[Result]:
        """What came of the tests; with `early_stop`, up to the first that failed.

        Raises:
            BoxLost: the sandbox failed.
        """
        compiled = compile_program(program, self.sandbox, limits)
        if isinstance(compiled, Result):
            return len(self.cases) * [compiled]
        results: list[Result] = []
        timeouts = 0
        for number, case in enumerate(self.cases, 1):
            result = run_case(compiled, case, self.sandbox, limits)
            results.append(replace(result, detail=f"test {number} of {len(self.cases)}: {result.detail}"))
            if self.early_stop and not result.outcome.accepted(self.checker):
                break
            timeouts += result.outcome is Outcome.TIMEOUT
            if timeouts == MOST_TIMEOUTS:
                results += (len(self.cases) - number) * [results[-1]]
                break
        return results

    @cached_property
    def cases(self) -> list[Case]:
        """The tests.

        Raises:
            DatasetUnavailable: they cannot be read.
            ValueError: there are none, or not those of the plan, or they are not laid out as `Stdio` says.
        """
        assert isinstance(self.problem.check, Stdio)
        cases = read_cases(self.problem.check)
        if not cases:
            raise ValueError("it has no tests, so nothing can pass them")
        if self.plan is not None and len(cases) != self.plan.assertions:
            raise ValueError(f"{len(cases)} tests where there were {self.plan.assertions}")
        return cases


def _together(results: Sequence[Result], *, deciding: int) -> Execution:
    """The facts of all processes as one: how the deciding one ended, times in all, memory at most."""
    # Where the program did not compile, all tests share the one execution of the compiler.
    executions = {id(result.execution): result.execution for result in results}.values()
    return replace(
        results[deciding].execution,
        cpu_s=sum(execution.cpu_s for execution in executions),
        wall_s=sum(execution.wall_s for execution in executions),
        memory_bytes=max(execution.memory_bytes for execution in executions),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Tests
# ---------------------------------------------------------------------------------------------------------------------


def read_cases(check: Stdio) -> list[Case]:
    """The tests of a check, read from where they lie.

    Raises:
        tasks.data.DatasetUnavailable: they lie in a file that cannot be read.
        ValueError: they are not laid out as `Stdio` says.
    """
    value = loads(check.cases) if check.row is None else check.row.read()
    inputs, outputs = _layout(value)
    return [
        Case(stdin=_text(given).encode("utf-8", "surrogatepass"), expected=_text(wanted))
        for given, wanted in zip(inputs, outputs, strict=True)
    ]


def _layout(value: Any) -> tuple[list[Any], list[Any]]:
    if isinstance(value, dict) and isinstance(value.get("input_output"), str):  # a row of APPS, as it is
        value = loads(value["input_output"])
    inputs, outputs = (value.get(name) if isinstance(value, dict) else None for name in ("inputs", "outputs"))
    if not (isinstance(inputs, list) and isinstance(outputs, list) and len(inputs) == len(outputs)):
        raise ValueError('the tests are not laid out as {"inputs": [text, ...], "outputs": [text, ...]}')
    return inputs, outputs


def _text(value: Any) -> str:
    """A text that may be given as the list of its lines."""
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


# ---------------------------------------------------------------------------------------------------------------------
# One process
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """A program that can be run."""

    code: bytes
    is_body: bool = False
    """As in `Result`."""


def compile_program(program: str, sandbox: Sandbox, limits: Limits) -> Compiled | Result:
    """The program's code, or what every test comes to because there is none. The compiler too runs in the box.

    Raises:
        BoxLost: the box died; what ran in it has no verdict.
    """
    compiled = _compile(program, sandbox, limits)
    if isinstance(compiled, bytes):
        return Compiled(code=compiled)
    if _RETURN not in compiled.detail:
        return compiled
    body = _compile(apps_checker.as_function(program), sandbox, limits)
    return Compiled(code=body, is_body=True) if isinstance(body, bytes) else compiled


def _compile(program: str, sandbox: Sandbox, limits: Limits) -> bytes | Result:
    limits = replace(limits, output_bytes=max(limits.output_bytes, _CODE_BYTES))
    session = sandbox.open(Program(source=program, compile_only=True), limits)
    try:
        return _code(*session.receive())
    except (CandidateRaised, BrokenProtocol, ProgramEnded, AnswerTooLarge) as error:
        verdict, detail = not_passed(error, session)
    finally:
        execution = session.end()
    return Result(outcome=Outcome.of_verdict(verdict), detail=detail, execution=execution)


def _code(kind: int, payload: bytes) -> bytes:
    if kind == wire.RAISED:
        raise raised(payload)
    try:
        code = codec.decode(payload)
    except codec.Malformed as error:
        raise BrokenProtocol(str(error)) from None
    if kind != wire.VALUE or type(code) is not bytes:
        raise BrokenProtocol(f"a frame of kind {kind} where compiled code was due")
    return code


def run_case(compiled: Compiled, case: Case, sandbox: Sandbox, limits: Limits) -> Result:
    """Runs a compiled program on one test.

    Raises:
        BoxLost: the box died; what ran in it has no verdict.
    """
    # An answer of megabytes is nothing strange where that is what is expected.
    room = max(limits.output_bytes, 2 * len(case.expected.encode("utf-8", "surrogatepass")))
    session = sandbox.open(Program(code=compiled.code, stdin=case.stdin), replace(limits, output_bytes=room))
    flood = ""
    output = b""
    try:
        output = session.output()
    except AnswerTooLarge as error:
        flood = str(error)
    finally:
        execution = session.end()
    outcome, detail = (Outcome.OUTPUT, flood) if flood else _outcome(execution, output, case.expected)
    if compiled.is_body:
        outcome, detail = _of_body(outcome), f"SyntaxError: {_RETURN}"
    return Result(outcome=outcome, detail=detail, execution=execution, is_body=compiled.is_body)


def _of_body(outcome: Outcome) -> Outcome:
    """The outcome of a test whose program the strict checker does not accept at all."""
    if outcome.official or outcome.strict:
        return Outcome.of_answer(official=outcome.official, strict=False)
    return outcome


def _outcome(execution: Execution, output: bytes, expected: str) -> tuple[Outcome, str]:
    """The outcome of a test whose process has ended, and the reason. Only after exit code 0 does its output count."""
    if execution.ending is not Ending.EXITED:
        verdict, detail = ended_early(execution)
        return Outcome.of_verdict(verdict), detail
    if execution.code == wire.OUT_OF_MEMORY:
        return Outcome.MEMORY, "MemoryError"
    if execution.code != 0:
        return Outcome.ERROR, f"exit code {execution.code}"
    # Bytes that are no UTF-8 become characters that no expected text holds.
    text = output.decode("utf-8", "surrogateescape")
    official = apps_checker.stdout_rule(text, expected) is not None
    difference = first_difference(text, expected)
    return Outcome.of_answer(official=official, strict=difference is None), _difference(difference)


def _difference(difference: tuple[int, str | None, str | None] | None) -> str:
    if difference is None:
        return "the tokens are right, the lines are not"
    number, token, wanted = difference
    return f"token {number} is {_shown(token)}, expected is {_shown(wanted)}"


def _shown(token: str | None) -> str:
    if token is None:
        return "missing"
    return ascii(token if len(token) <= _TOKEN_LENGTH else token[: _TOKEN_LENGTH - 3] + "...")
