"""Cases of calls: one program after the other in a real box, and every answer compared on this side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.calls import MOST_PROCESSES, PACKED_BYTES, pack, unpack
from harness.grade import SPLIT, Judge, Judgement, Plan, ReferenceFailed, make_plan
from harness.records import Verdict
from sandbox import wire
from sandbox.local import LocalSandbox
from sandbox.program import BoxLost, Limits, Program, SandboxUnavailable
from sandbox.session import Session
from tasks.problem import Call, Problem, Row

LIMITS = Limits(cpu_s=0.5, idle_s=0.5, wall_s=20.0, memory_bytes=256 << 20, output_bytes=1 << 16)


class Recording(LocalSandbox):
    """Remembers what it was given to run, and loses its box as often as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[tuple[Program, Any]] = []
        self.losses = 0

    def open(self, program: Program, limits: Limits, calls: Any = (), **options: Any) -> Session:
        if self.losses:
            self.losses -= 1
            raise BoxLost("lost on purpose")
        self.given.append((program, calls))
        session = super().open(program, limits, calls, **options)
        setattr(session, "ask", partial(self._ask, session.ask, program))  # noqa: B010  # to listen, not to change
        return session

    def _ask(self, ask: Callable[[Any], None], program: Program, calls: Any) -> None:
        self.given.append((program, calls))
        ask(calls)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Recording]:
    with Recording() as box:
        try:
            box.start()
        except SandboxUnavailable as error:
            if "namespace" not in str(error):
                raise  # a fault of ours, not a machine that does not allow it
            pytest.skip(f"needs Linux namespaces: {error}")
        yield box


def problem(reference: str, cases: Any, **options: Any) -> Problem:
    return Problem(
        task_id="Test/0",
        prompt="",
        entry_point="f",
        reference=reference,
        check=Call(cases=json.dumps(cases), **{"comparison": "evalplus", **options}),
    )


def inputs(*arguments: Any) -> dict[str, Any]:
    """A set of calls of one argument each, whose answers the reference gives."""
    return {"inputs": [[argument] for argument in arguments], "outputs": None}


def judge(sandbox: LocalSandbox, of: Problem, program: str, plan: Plan | None = None) -> Judgement:
    plan = plan or make_plan(of, of.reference, sandbox, LIMITS)
    return Judge(of, plan, sandbox, LIMITS).judge(program, alone=True)


SUCCESSOR = "def f(x):\n    return x + 1\n"
TWO_SETS = problem(SUCCESSOR, [inputs(0, 1, 2), inputs(3, 4, 5, 6)])
ONE_BY_ONE = problem(
    SUCCESSOR, {"inputs": [[n] for n in range(6)], "outputs": list(range(1, 7))}, comparison="apps-strict"
)

# ---------------------------------------------------------------------------------------------------------------------
# The first wrong answer decides
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(7))
def test_one_wrong_answer_anywhere_is_found(sandbox: Recording, place: int) -> None:
    program = f"def f(x):\n    return x + 1 + (x == {place})\n"
    judgement = judge(sandbox, TWO_SETS, program)
    assert judgement.verdict is Verdict.WRONG_ANSWER
    assert judgement.detail == f"call {place + 1} of 7: f({place}) gives {place + 2}, not {place + 1}"


MANY = problem(SUCCESSOR, inputs(*range(200)))


@pytest.mark.parametrize("place", [0, 15, 16, 17, 46, 47, 48, 49, 198, 199])
def test_one_wrong_answer_among_many_is_found_wherever_answers_are_sent_together(
    sandbox: Recording, place: int
) -> None:
    judgement = judge(sandbox, MANY, f"def f(x):\n    return x + 1 + (x == {place})\n")
    assert judgement.verdict is Verdict.WRONG_ANSWER
    assert judgement.detail == f"call {place + 1} of 200: f({place}) gives {place + 2}, not {place + 1}"


@pytest.mark.parametrize("place", [0, 15, 16, 47, 48, 199])
def test_an_exception_among_many_calls_is_found(sandbox: Recording, place: int) -> None:
    judgement = judge(sandbox, MANY, f"def f(x):\n    return x + 1 if x != {place} else {{}}[x]\n")
    assert judgement.verdict is Verdict.RUNTIME_ERROR
    assert judgement.detail.startswith("KeyError")


def test_answers_of_many_sizes_and_kinds_are_each_compared(sandbox: Recording) -> None:
    of = problem("def f(x):\n    return [None, 'x' * (x * x), {x: 1.5}, {x}, -x][x % 5]\n", inputs(*range(300)))
    assert judge(sandbox, of, of.reference).verdict is Verdict.PASSED
    wrong = of.reference.replace("return ", "return x if x == 299 else ")
    assert judge(sandbox, of, wrong).verdict is Verdict.WRONG_ANSWER


def test_a_kind_of_frame_that_expects_nothing_is_no_right_answer(sandbox: Recording) -> None:
    """Where the data gives the outputs, no kind is expected: a frame of the kind that stands for that is a forgery."""
    of = problem(SUCCESSOR, {"inputs": [[0], [1]], "outputs": [1, 2]}, comparison="equal")
    forged = "import marshal, os\nbody = b'p' + marshal.dumps(1, 2)\n"
    forged += "def f(x):\n    os.write(3, len(body).to_bytes(4, 'little') + bytes(1) + body)\n    return 2\n"
    assert judge(sandbox, of, of.reference).verdict is Verdict.PASSED
    assert judge(sandbox, of, forged).verdict is Verdict.RUNTIME_ERROR


@pytest.mark.parametrize(
    ("program", "base", "plus"),
    [
        (SUCCESSOR, Verdict.PASSED, Verdict.PASSED),
        ("def f(x):\n    return min(x + 1, 4)", Verdict.PASSED, Verdict.WRONG_ANSWER),
        ("def f(x):\n    return x", Verdict.WRONG_ANSWER, Verdict.WRONG_ANSWER),
        ("def f(x):\n    while x > 2: pass\n    return x + 1", Verdict.PASSED, Verdict.TIMEOUT),
        ("import os\ndef f(x):\n    return x + 1 if x < 6 else os._exit(0)", Verdict.PASSED, Verdict.RUNTIME_ERROR),
        ("def f(x):\n    return x + 1 if x else {}[x]", Verdict.RUNTIME_ERROR, Verdict.RUNTIME_ERROR),
        ("def f(x)", Verdict.SYNTAX_ERROR, Verdict.SYNTAX_ERROR),
    ],
    ids=["right", "wrong plus", "wrong base", "endless plus", "leaves at the last", "raises in base", "no program"],
)
def test_one_judgement_carries_both_scores(sandbox: Recording, program: str, base: Verdict, plus: Verdict) -> None:
    judgement = judge(sandbox, TWO_SETS, program)
    assert (judgement.base, judgement.verdict) == (base, plus)


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        ("def f(x):\n    return [x + 1]", Verdict.WRONG_ANSWER),
        ("def f(x):\n    return f", Verdict.WRONG_ANSWER),
        ("class Any:\n    def __eq__(self, other): return True\ndef f(x):\n    return Any()", Verdict.WRONG_ANSWER),
        (
            "class Any(int):\n    def __eq__(self, other): return True\ndef f(x):\n    return Any(9)",
            Verdict.WRONG_ANSWER,
        ),
        ("def f(x):\n    return 'x' * (1 << 20)", Verdict.OUTPUT_LIMIT),
        ("def f(x):\n    return [0] * (1 << 40)", Verdict.MEMORY_LIMIT),
        ("import time\ndef f(x):\n    time.sleep(60)", Verdict.TIMEOUT),
        ("import os\nos._exit(0)", Verdict.RUNTIME_ERROR),
        ("def g(x):\n    return x + 1", Verdict.RUNTIME_ERROR),
        ("import os\ndef f(x):\n    os.write(3, bytes(4) + b'?')", Verdict.RUNTIME_ERROR),
    ],
    ids=["kind", "function", "equals", "number", "output", "memory", "sleeps", "leaves", "name", "protocol"],
)
def test_each_failure_has_its_verdict(sandbox: Recording, program: str, verdict: Verdict) -> None:
    assert judge(sandbox, TWO_SETS, program).verdict is verdict


def test_a_call_gets_its_arguments_as_they_were_whatever_the_calls_before_did_to_theirs(sandbox: Recording) -> None:
    of = problem("def f(x):\n    return sum(x)\n", inputs([1, 2], [1, 2]))
    program = (
        "seen = []\ndef f(x):\n    seen.append(x)\n    seen[0].append(9)\n    return sum(x) - 9 * (len(seen) == 1)"
    )
    assert judge(sandbox, of, program).verdict is Verdict.PASSED


def test_arguments_are_converted_on_this_side(sandbox: Recording) -> None:
    of = problem("def f(x):\n    return x + (1,)\n", inputs([1], []), conversion="tuple")
    assert judge(sandbox, of, of.reference).verdict is Verdict.PASSED
    assert judge(sandbox, of, "def f(x):\n    return [*x, 1]\n").verdict is Verdict.WRONG_ANSWER


# ---------------------------------------------------------------------------------------------------------------------
# What is expected
# ---------------------------------------------------------------------------------------------------------------------


def test_the_box_of_a_candidate_is_given_its_program_and_the_arguments_and_nothing_else(sandbox: Recording) -> None:
    of = problem("def f(x):\n    return 'expected' + x\n", [inputs("one"), inputs("two")])
    plan = make_plan(of, of.reference, sandbox, LIMITS)
    sandbox.given.clear()
    judge(sandbox, of, "def f(x):\n    return 'ex' + 'pected' + x\n", plan)
    assert len(sandbox.given) == 2
    for program, calls in sandbox.given:
        assert program.tests is None
        assert b"expected" not in program.source.encode() + b"".join(payload for _, payload in calls)


def test_a_program_that_fails_a_base_case_is_not_sent_the_others(sandbox: Recording) -> None:
    plan = make_plan(TWO_SETS, SUCCESSOR, sandbox, LIMITS)
    counts = []
    for program in (SUCCESSOR, "def f(x):\n    return x\n"):
        sandbox.given.clear()
        judge(sandbox, TWO_SETS, program, plan)
        counts.append([len(calls) for _, calls in sandbox.given])
    assert counts == [[3, 4], [3]]


def test_a_plan_survives_the_way_through_json(sandbox: Recording) -> None:
    plan = make_plan(TWO_SETS, TWO_SETS.reference, sandbox, LIMITS)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert (plan.mode, plan.assertions) == (SPLIT, 7)


@pytest.mark.parametrize("program", [SUCCESSOR, "def f(x):\n    return x", "def f(x):\n    return x + 1 + (x == 6)"])
def test_a_plan_without_the_answers_gives_the_same_verdicts_as_one_with_them(sandbox: Recording, program: str) -> None:
    plan = make_plan(TWO_SETS, TWO_SETS.reference, sandbox, LIMITS)
    assert plan.expected
    one, other = (judge(sandbox, TWO_SETS, program, chosen) for chosen in (plan, replace(plan, expected="")))
    assert (one.verdict, one.base, one.detail) == (other.verdict, other.base, other.detail)


def test_answers_that_are_bulky_do_not_travel_with_the_plan(sandbox: Recording) -> None:
    of = problem("import random\ndef f(x):\n    return random.Random(x).randbytes(400_000)\n", inputs(1, 2))
    plan = make_plan(of, of.reference, sandbox, LIMITS)
    assert len(json.dumps(plan.to_json())) < PACKED_BYTES
    assert judge(sandbox, of, of.reference, plan).verdict is Verdict.PASSED
    assert judge(sandbox, of, of.reference.replace("Random(x)", "Random(x + 1)"), plan).verdict is Verdict.WRONG_ANSWER


def test_an_answer_as_large_as_the_reference_gives_it_is_no_flood(sandbox: Recording) -> None:
    of = problem("def f(x):\n    return 'x' * (1 << 17)\n", inputs(1))
    assert judge(sandbox, of, of.reference).verdict is Verdict.PASSED
    assert judge(sandbox, of, of.reference.replace("17", "19")).verdict is Verdict.OUTPUT_LIMIT


def test_a_reference_that_answers_differently_each_time_judges_nobody(sandbox: Recording) -> None:
    of = problem("import os\ndef f(x):\n    return os.urandom(8)\n", inputs(1))
    plan = replace(make_plan(of, of.reference, sandbox, LIMITS), expected="")
    judgement = judge(sandbox, of, of.reference, plan)
    assert judgement.verdict is Verdict.UNJUDGED
    assert "the same answers" in judgement.detail


@pytest.mark.parametrize(
    ("reference", "cases", "reason"),
    [
        (SUCCESSOR, inputs(), "no cases"),
        (SUCCESSOR, inputs("text"), "TypeError"),
        ("def f(x):\n    return f", inputs(1), "fails its own tests"),
        (SUCCESSOR, {"inputs": [[1]], "outputs": [3]}, "gives 2, not 3"),
        (SUCCESSOR, {"inputs": [1], "outputs": [2]}, "not a list"),
        (SUCCESSOR, {"inputs": [[1]], "outputs": []}, "not as many"),
    ],
    ids=["none", "raises", "no data", "wrong", "layout", "number"],
)
def test_a_problem_whose_own_solution_does_not_do_is_refused_with_the_reason(
    sandbox: Recording, reference: str, cases: Any, reason: str
) -> None:
    of = problem(reference, cases, comparison="equal")
    with pytest.raises(ReferenceFailed, match=reason):
        make_plan(of, reference, sandbox, LIMITS)


def test_cases_that_have_gone_are_our_fault_and_no_verdict(sandbox: Recording, tmp_path: Path) -> None:
    path = tmp_path / "cases.json"
    text = json.dumps(inputs(1, 2))
    path.write_text(text)
    import hashlib

    row = Row(path=str(path), offset=0, length=len(text), sha256=hashlib.sha256(text.encode()).hexdigest())
    of = replace(TWO_SETS, check=Call(row=row, comparison="evalplus"))
    plan = make_plan(of, of.reference, sandbox, LIMITS)
    assert judge(sandbox, of, SUCCESSOR, plan).verdict is Verdict.PASSED
    path.unlink()
    judgement = judge(sandbox, of, SUCCESSOR, plan)
    assert judgement.verdict is Verdict.UNJUDGED
    assert str(path) in judgement.detail
    with pytest.raises(ReferenceFailed, match="cannot be had"):
        make_plan(of, of.reference, sandbox, LIMITS)


def test_a_lost_box_is_tried_again_and_counted(sandbox: Recording) -> None:
    plan = make_plan(TWO_SETS, TWO_SETS.reference, sandbox, LIMITS)
    sandbox.losses = 2
    judgement = judge(sandbox, TWO_SETS, SUCCESSOR, plan)
    assert (judgement.verdict, judgement.attempts) == (Verdict.PASSED, 3)


def test_packed_answers_are_unpacked_to_the_byte() -> None:
    answers = [(wire.VALUE, b""), (wire.UNSUPPORTED, b"x" * 300), (wire.VALUE, bytes(range(256)))]
    frames = [wire.HEADER.pack(len(payload), kind) + payload for kind, payload in answers]
    assert unpack(pack(frames)) == frames


# ---------------------------------------------------------------------------------------------------------------------
# Every test counts
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "letters", "verdict"),
    [
        ("pass", "pppppp", Verdict.PASSED),
        ("if x == 2: return 0", "ppwppp", Verdict.WRONG_ANSWER),
        ("if x == 2: raise ValueError", "ppeppp", Verdict.RUNTIME_ERROR),
        ("if x in (1, 4): os._exit(0)", "peppep", Verdict.RUNTIME_ERROR),
        ("if x == 5: os.abort()", "pppppe", Verdict.RUNTIME_ERROR),
        ("while x == 0: pass", "tppppp", Verdict.TIMEOUT),
        ("if x == 3: time.sleep(60)", "ppptpp", Verdict.TIMEOUT),
        ("if x == 3: return 'x' * (1 << 20)", "pppxpp", Verdict.OUTPUT_LIMIT),
        ("if x == 3: return [0] * (1 << 40)", "pppmpp", Verdict.MEMORY_LIMIT),
        ("if x == 3: return [4, 5]", "pppwpp", Verdict.WRONG_ANSWER),
    ],
)
def test_what_ends_one_test_leaves_the_others_their_own_outcome(
    sandbox: Recording, line: str, letters: str, verdict: Verdict
) -> None:
    judgement = judge(sandbox, ONE_BY_ONE, f"import os, time\ndef f(x):\n    {line}\n    return x + 1\n")
    assert judgement.outcomes is not None
    assert (judgement.outcomes.letters, judgement.verdict) == (letters, verdict)


@pytest.mark.parametrize(("program", "letter"), [("def f(x)", "c"), ("1 / 0", "e"), ("import os\nos._exit(0)", "e")])
def test_a_program_that_does_not_start_fails_every_test_at_once(sandbox: Recording, program: str, letter: str) -> None:
    plan = make_plan(ONE_BY_ONE, ONE_BY_ONE.reference, sandbox, LIMITS)
    sandbox.given.clear()
    judgement = judge(sandbox, ONE_BY_ONE, program, plan)
    assert judgement.outcomes is not None
    assert judgement.outcomes.letters == 6 * letter
    assert len([calls for _, calls in sandbox.given if calls]) == 1


def test_a_program_that_always_dies_is_not_started_for_ever(sandbox: Recording) -> None:
    numbers = range(3 * MOST_PROCESSES)
    of = problem(
        SUCCESSOR, {"inputs": [[n] for n in numbers], "outputs": [n + 1 for n in numbers]}, comparison="apps-strict"
    )
    plan = make_plan(of, of.reference, sandbox, LIMITS)
    sandbox.given.clear()
    judgement = judge(sandbox, of, "import os\ndef f(x):\n    os._exit(0)", plan)
    assert judgement.outcomes is not None
    assert judgement.outcomes.letters == len(numbers) * "e"
    assert len([calls for _, calls in sandbox.given if calls]) == MOST_PROCESSES


@pytest.mark.parametrize(
    ("comparison", "verdict"), [("apps-strict", Verdict.WRONG_ANSWER), ("apps-official", Verdict.PASSED)]
)
def test_both_checkers_mark_every_answer_and_the_named_one_decides(
    sandbox: Recording, comparison: str, verdict: Verdict
) -> None:
    cases = {"inputs": [[1], [2]], "outputs": [[7, 8, 9], 2]}
    of = problem("def f(x):\n    return [7, 8, 9] if x == 1 else 2\n", cases, comparison=comparison)
    judgement = judge(sandbox, of, "def f(x):\n    return 7 if x == 1 else 2\n")
    assert judgement.outcomes is not None
    assert (judgement.outcomes.letters, judgement.verdict) == ("op", verdict)


@pytest.mark.parametrize("reference", ["", "def f(x):\n    return 0\n"], ids=["missing", "wrong"])
def test_expected_answers_judge_without_a_reference_too(sandbox: Recording, reference: str) -> None:
    of = replace(ONE_BY_ONE, reference=reference)
    plan = make_plan(of, reference, sandbox, LIMITS)
    assert plan.cpu_s == 0.0
    assert judge(sandbox, of, SUCCESSOR, plan).verdict is Verdict.PASSED
    assert judge(sandbox, of, "def f(x):\n    return x\n", plan).verdict is Verdict.WRONG_ANSWER


@pytest.mark.parametrize(
    "program",
    [
        SUCCESSOR,
        "class Solution:\n    def f(self, x):\n        return x + 1\n",
        "# not a class Solution\ndef f(x):\n    return x + 1\n",
        "class Solution:\n    n = 0\n    def f(self, x):\n        self.n += 1\n        return self.n\n",
    ],
    ids=["function", "method", "comment", "one instance"],
)
def test_the_entry_point_may_be_a_method_where_the_problem_names_a_class(sandbox: Recording, program: str) -> None:
    check = replace(ONE_BY_ONE.check, in_class="Solution")
    assert judge(sandbox, replace(ONE_BY_ONE, check=check), program).verdict is Verdict.PASSED
