"""From facts to verdicts: every verdict by a real program, and no pass that was not earned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.doctor import CHEATS
from harness.grade import IN_PROCESS, SPLIT, Judge, Judgement, Plan, ReferenceFailed, make_plan, program_digest
from harness.records import Verdict
from sandbox.local import LocalSandbox
from sandbox.program import BoxLost, Ending, Limits, Program, SandboxUnavailable
from sandbox.session import Session
from tasks.humaneval import HumanEval
from tasks.problem import Problem, Script

LIMITS = Limits(cpu_s=0.5, idle_s=0.5, wall_s=20.0, memory_bytes=256 << 20, output_bytes=1 << 16)
REFERENCE_LIMITS = Limits(cpu_s=60.0, idle_s=60.0)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    with LocalSandbox() as box:
        try:
            box.start()
        except SandboxUnavailable as error:
            if "namespace" not in str(error):
                raise  # a fault of ours, not a machine that does not allow it
            pytest.skip(f"needs Linux namespaces: {error}")
        yield box


def problem(reference: str, test: str, names: Sequence[str] = ("f",)) -> Problem:
    """A problem whose reference is a whole program and whose tests are the body of `check`."""
    body = "\n".join(f"    {line}" for line in test.strip("\n").split("\n"))
    return Problem(
        task_id="Test/0",
        prompt="",
        entry_point=names[0],
        reference=reference,
        check=Script(
            setup=reference,
            test=f"def check({', '.join(names)}):\n{body}\n",
            start=f"check({', '.join(names)})",
            names=tuple(names),
        ),
    )


def judge(sandbox: LocalSandbox, of: Problem, program: str, *, live: bool = False) -> Judgement:
    """The judgement on a program; with `live`, of calls that no plan foresaw."""
    plan = make_plan(of, of.reference, sandbox, LIMITS)
    return Judge(of, replace(plan, calls=()) if live else plan, sandbox, LIMITS).judge(program)


def beside(sandbox: LocalSandbox, of: Problem, program: str) -> Judgement:
    """The judgement on a program whose tests run in its own process."""
    plan = make_plan(of, of.reference, sandbox, LIMITS)
    return Judge(of, replace(plan, mode=IN_PROCESS, calls=(), answers=frozenset()), sandbox, LIMITS).judge(program)


SUCCESSOR = problem(
    "def f(x):\n    return x + 1\n", "assert f(1) == 2\nassert f(-1) == 0\nassert f(10**20) == 10**20 + 1"
)

VERDICTS = {
    "def f(x):\n    return x + 1": Verdict.PASSED,
    "def f(x):\n    return x + 1.0 - 0.0": Verdict.WRONG_ANSWER,
    "def f(x):\n    return x": Verdict.WRONG_ANSWER,
    "def f(x):\n    return f": Verdict.WRONG_ANSWER,
    "def f(x):\n    return None": Verdict.WRONG_ANSWER,
    "def f(x):\n    raise ValueError('no')": Verdict.RUNTIME_ERROR,
    "def f(x):\n    assert x == 5": Verdict.RUNTIME_ERROR,
    "def f(x, y):\n    return x": Verdict.RUNTIME_ERROR,
    "def g(x):\n    return x + 1": Verdict.RUNTIME_ERROR,
    "import no_such_module\ndef f(x):\n    return x + 1": Verdict.RUNTIME_ERROR,
    "import os\ndef f(x):\n    os._exit(0)": Verdict.RUNTIME_ERROR,
    "import os\ndef f(x):\n    os.abort()": Verdict.RUNTIME_ERROR,
    "def f(x):\n    return f(x)": Verdict.RUNTIME_ERROR,
    "raise SystemExit(0)": Verdict.RUNTIME_ERROR,
    "": Verdict.RUNTIME_ERROR,
    "def f(x):": Verdict.SYNTAX_ERROR,
    "def f(x):\n  return x + 1\n return": Verdict.SYNTAX_ERROR,
    "return 1": Verdict.SYNTAX_ERROR,
    "def f(x):\n    return '\0'": Verdict.SYNTAX_ERROR,
    "def f(x):\n    while True: pass": Verdict.TIMEOUT,
    "while True: pass": Verdict.TIMEOUT,
    "import time\ndef f(x):\n    time.sleep(60)": Verdict.TIMEOUT,
    "def f(x):\n    return [0] * (1 << 40)": Verdict.MEMORY_LIMIT,
    "x = bytearray(1 << 40)": Verdict.MEMORY_LIMIT,
    "def f(x):\n    return 'x' * (1 << 20)": Verdict.OUTPUT_LIMIT,
}


@pytest.mark.parametrize("program", VERDICTS)
def test_each_verdict_is_reached_by_a_program_that_deserves_it(sandbox: LocalSandbox, program: str) -> None:
    assert judge(sandbox, SUCCESSOR, program).verdict is VERDICTS[program]


@pytest.mark.parametrize("program", VERDICTS)
def test_a_plan_changes_no_verdict(sandbox: LocalSandbox, program: str) -> None:
    assert judge(sandbox, SUCCESSOR, program, live=True).verdict is VERDICTS[program]


# Beside the tests an assertion of the program's own cannot be told from theirs, and its answers do not leave the box.
SAME_BESIDE = [program for program in VERDICTS if "assert" not in program and VERDICTS[program] != "output_limit"]


@pytest.mark.parametrize("program", SAME_BESIDE)
def test_the_verdict_beside_the_tests_is_the_same(sandbox: LocalSandbox, program: str) -> None:
    assert beside(sandbox, SUCCESSOR, program).verdict is VERDICTS[program]


def test_every_verdict_but_our_own_fault_is_among_them() -> None:
    assert set(VERDICTS.values()) == set(Verdict) - {Verdict.UNJUDGED}


def test_right_answers_beyond_the_time_limit_are_no_pass(sandbox: LocalSandbox) -> None:
    """Each call stays below the limit; together they do not, however the calls and the clock fall."""
    slow = """
import time
def f(x):
    end = time.process_time() + 0.25
    while time.process_time() < end: pass
    return x + 1
"""

    assert judge(sandbox, SUCCESSOR, slow).verdict is Verdict.TIMEOUT


def test_a_judgement_carries_the_facts_and_the_reason(sandbox: LocalSandbox) -> None:
    judgement = judge(sandbox, SUCCESSOR, "\ndef f(x):\n    return {}[x]")

    assert judgement.detail == "KeyError: 1 at line 3"
    assert judgement.execution is not None
    assert judgement.execution.ending in (Ending.EXITED, Ending.STOPPED)
    assert judgement.attempts == 1


def test_a_failed_assertion_is_shown_as_the_tests_wrote_it(sandbox: LocalSandbox) -> None:
    assert judge(sandbox, SUCCESSOR, "def f(x):\n    return 2").detail == "assert f(-1) == 0"


def test_a_grade_names_the_program_by_its_digest(sandbox: LocalSandbox) -> None:
    grade = judge(sandbox, SUCCESSOR, "def f(x):\n    return 0").grade("Test/0", 3, SPLIT, "text\ud800")

    assert (grade.task_id, grade.index, grade.mode, grade.verdict) == ("Test/0", 3, SPLIT, Verdict.WRONG_ANSWER)
    assert grade.program == program_digest("text\ud800")


# ---------------------------------------------------------------------------------------------------------------------
# Plans
# ---------------------------------------------------------------------------------------------------------------------


def test_a_plan_holds_the_calls_of_the_tests_and_survives_json(sandbox: LocalSandbox) -> None:
    plan = make_plan(SUCCESSOR, SUCCESSOR.reference, sandbox, LIMITS)

    assert (plan.mode, plan.assertions, len(plan.calls), len(plan.answers)) == (SPLIT, 3, 3, 3)
    assert Plan.from_json(plan.to_json()) == plan


CHAIN = problem("def f(x):\n    return x + 1\n", "assert f(f(1)) == 3\nassert f(f(f(0))) == 3")


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        ("def f(x):\n    return x + 1", Verdict.PASSED),
        ("def f(x):\n    return 3 if x == 7 else 7", Verdict.WRONG_ANSWER),
        ("calls = []\ndef f(x):\n    calls.append(x)\n    return 3 if len(calls) in (2, 5) else 7", Verdict.PASSED),
    ],
)
def test_calls_that_no_plan_foresaw_are_made_live(sandbox: LocalSandbox, program: str, verdict: Verdict) -> None:
    """The tests hand an answer on, so another answer than the reference's makes another call."""
    assert judge(sandbox, CHAIN, program).verdict is verdict
    assert judge(sandbox, CHAIN, program, live=True).verdict is verdict


def test_a_stale_plan_costs_time_and_no_verdict(sandbox: LocalSandbox) -> None:
    plan = make_plan(CHAIN, CHAIN.reference, sandbox, LIMITS)
    stale = Judge(SUCCESSOR, replace(plan, assertions=3), sandbox, LIMITS)

    assert stale.judge(SUCCESSOR.reference).verdict is Verdict.PASSED
    assert stale.judge("def f(x):\n    return x").verdict is Verdict.WRONG_ANSWER


def test_tests_with_random_inputs_can_be_planned(sandbox: LocalSandbox) -> None:
    drawn = problem(
        "def f(x):\n    return x + 1\n",
        "import random\nfor _ in range(5):\n    x = random.randrange(10**9)\n    assert f(x) == x + 1",
    )
    plans = [make_plan(drawn, drawn.reference, sandbox, LIMITS) for _ in range(2)]

    assert plans[0].calls == plans[1].calls
    assert judge(sandbox, drawn, drawn.reference).verdict is Verdict.PASSED


def test_a_reference_that_fails_is_no_yardstick(sandbox: LocalSandbox) -> None:
    for reference in ("def f(x):\n    return x\n", "def f(x):\n    raise ValueError\n", "import os\nos._exit(0)\n"):
        with pytest.raises(ReferenceFailed, match="Test/0"):
            make_plan(SUCCESSOR, reference, sandbox, LIMITS)


def test_tests_that_do_not_compile_are_no_yardstick(sandbox: LocalSandbox) -> None:
    with pytest.raises(ReferenceFailed, match="do not compile"):
        make_plan(problem("def f(x):\n    return x\n", "assert f(1 ="), "def f(x):\n    return x\n", sandbox, LIMITS)


def test_tests_without_an_assertion_are_no_yardstick(sandbox: LocalSandbox) -> None:
    for test in ("pass", "f(1)", "if False:\n    assert f(1) == 2", "for x in []:\n    assert f(x) == x + 1"):
        with pytest.raises(ReferenceFailed, match="no assertion"):
            make_plan(problem(SUCCESSOR.reference, test), SUCCESSOR.reference, sandbox, LIMITS)


# ---------------------------------------------------------------------------------------------------------------------
# What crosses
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True], ids=["planned", "live"])
@pytest.mark.parametrize(
    "test",
    [
        "x = [3, 1, 2]\nassert f(x) is None\nassert x == [1, 2, 3, 'end']",
        "x = {'a': 1}\nassert f(x) is None\nassert x == {'b': 2}",
        "x = {1}\nassert f(x) is None\nassert x == {1, 9}",
        "x = [[3, 1], 2]\ny = x[0]\nassert f(x=x[0]) is None\nassert y == [1, 3, 'end']",
    ],
    ids=["list", "dict", "set", "keyword"],
)
def test_what_a_call_does_to_its_arguments_is_done_to_those_of_the_tests(
    sandbox: LocalSandbox, test: str, live: bool
) -> None:
    changes = problem(
        """
def f(x):
    if isinstance(x, list):
        x.sort()
        x.append("end")
    elif isinstance(x, dict):
        x.clear()
        x["b"] = 2
    else:
        x.add(9)
""",
        test,
    )

    assert judge(sandbox, changes, changes.reference, live=live).verdict is Verdict.PASSED
    assert judge(sandbox, changes, "def f(x):\n    pass", live=live).verdict is Verdict.WRONG_ANSWER


@pytest.mark.parametrize("live", [False, True], ids=["planned", "live"])
def test_tests_may_expect_an_exception_and_go_on(sandbox: LocalSandbox, live: bool) -> None:
    strict = problem(
        "class Negative(ValueError):\n    pass\n\n"
        "def f(x):\n    if x < 0:\n        raise Negative('negative')\n    return x + 1\n",
        """
try:
    f(-1)
    assert False
except ValueError as error:
    assert str(error) == "negative"
assert f(1) == 2
""",
    )

    assert judge(sandbox, strict, strict.reference, live=live).verdict is Verdict.PASSED
    wrong = strict.reference.replace("(ValueError)", "(KeyError)").replace("Negative('negative')", "Negative()")
    assert judge(sandbox, strict, wrong, live=live).verdict is Verdict.RUNTIME_ERROR
    assert judge(sandbox, strict, "def f(x):\n    return x + 1", live=live).verdict is Verdict.WRONG_ANSWER


@pytest.mark.parametrize(
    "expression",
    [
        *("ValueError('x')", "KeyError('x')", "OSError(2, 'x', 'y')", "UnicodeDecodeError('utf-8', b'', 0, 1, 'x')"),
        *(
            "SystemExit(0)",
            "KeyboardInterrupt()",
            "StopIteration(1)",
            "GeneratorExit()",
            "SyntaxError('x')",
            "Own('x')",
        ),
        *(
            "ImportError('x', name='y')",
            "RecursionError()",
            "Warning('x')",
            "AssertionError('x')",
            "BaseException('x')",
        ),
    ],
)
def test_any_exception_of_a_program_is_its_runtime_error(sandbox: LocalSandbox, expression: str) -> None:
    program = f"class Own(Exception):\n    pass\ndef f(x):\n    raise {expression}"

    assert judge(sandbox, SUCCESSOR, program).verdict is Verdict.RUNTIME_ERROR


def test_a_group_of_exceptions_is_a_runtime_error(sandbox: LocalSandbox) -> None:
    program = "def f(x):\n    raise ExceptionGroup('x', [ValueError()])"

    assert judge(sandbox, SUCCESSOR, program).verdict is Verdict.RUNTIME_ERROR


def test_a_value_that_is_no_data_equals_nothing(sandbox: LocalSandbox) -> None:
    program = "class Anything:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return Anything()"

    assert judge(sandbox, SUCCESSOR, program).verdict is Verdict.WRONG_ANSWER


def test_several_names_of_a_program_can_be_called(sandbox: LocalSandbox) -> None:
    pair = problem(
        "def encode(x):\n    return x[::-1]\n\ndef decode(x):\n    return x[::-1]\n",
        "assert decode(encode('abc')) == 'abc'\nassert encode('ab') == 'ba'",
        ("encode", "decode"),
    )

    assert judge(sandbox, pair, pair.reference).verdict is Verdict.PASSED
    swapped = "def encode(x):\n    return x\n\ndef decode(x):\n    return x\n"
    assert judge(sandbox, pair, swapped).verdict is Verdict.WRONG_ANSWER


# ---------------------------------------------------------------------------------------------------------------------
# A pass is earned
# ---------------------------------------------------------------------------------------------------------------------

LOOP = problem("def f(n):\n    return list(range(n))\n", "for x in f(3):\n    assert x in (0, 1, 2)\nassert f(0) == []")


@pytest.mark.parametrize("answer", ["[]", "[0]", "[0, 1, 2, 0]"])
def test_a_pass_takes_as_many_assertions_as_the_reference_has(sandbox: LocalSandbox, answer: str) -> None:
    program = f"def f(n):\n    return {answer} if n else []"

    assert judge(sandbox, LOOP, program).verdict is Verdict.WRONG_ANSWER
    assert beside(sandbox, LOOP, program).verdict is Verdict.WRONG_ANSWER


def test_no_program_of_the_doctor_is_a_forged_pass(sandbox: LocalSandbox) -> None:
    humaneval = HumanEval()
    for of in humaneval.load()[:3]:
        reference = humaneval.source(of, of.reference, is_program=False)
        of_judge = Judge(of, make_plan(of, reference, sandbox, REFERENCE_LIMITS), sandbox, LIMITS)
        for name, source in CHEATS.items():
            verdict = of_judge.judge(source.replace("{name}", of.entry_point)).verdict
            assert verdict in (Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR), name


def test_all_references_of_humaneval_pass_with_the_tests_outside(sandbox: LocalSandbox) -> None:
    humaneval = HumanEval()
    problems = humaneval.load()
    outcomes = {}
    for of in problems:
        reference = humaneval.source(of, of.reference, is_program=False)
        plan = make_plan(of, reference, sandbox, REFERENCE_LIMITS)
        judgement = Judge(of, plan, sandbox, REFERENCE_LIMITS).judge(reference)
        outcomes[of.task_id] = (plan.mode, judgement.verdict, judgement.attempts)

    assert len(outcomes) == 164
    assert {task_id: found for task_id, found in outcomes.items() if found != (SPLIT, Verdict.PASSED, 1)} == {}


BARE = problem(
    "def f(x):\n    if x > 20:\n        raise ValueError\n    return x + 1\n",
    """
assert f(f(1)) == 3
x = f(1)
try:
    f(x * 10 + 1)
    raised = False
except:
    raised = True
assert raised
""",
)
UNLUCKY = "answers = iter([2, 3, 1.5, 7])\ndef f(x):\n    return next(answers)"
"""Never raises, so it fails the last assertion; and its third answer makes a call that was not planned."""


def test_a_bare_except_in_the_tests_hides_nothing_when_calls_are_live(sandbox: LocalSandbox) -> None:
    assert judge(sandbox, BARE, BARE.reference).verdict is Verdict.PASSED
    assert judge(sandbox, BARE, UNLUCKY, live=True).verdict is Verdict.WRONG_ANSWER


def test_a_bare_except_in_the_tests_does_not_hide_a_call_that_was_not_planned(sandbox: LocalSandbox) -> None:
    assert judge(sandbox, BARE, UNLUCKY).verdict is Verdict.WRONG_ANSWER


EXPECTS = problem(
    "def f(x):\n    raise ValueError\n",
    "try:\n    f(1)\n    assert False\nexcept Exception as error:\n    assert error",
)


def test_a_program_that_works_forever_where_an_exception_is_expected_has_not_raised(sandbox: LocalSandbox) -> None:
    assert judge(sandbox, EXPECTS, EXPECTS.reference).verdict is Verdict.PASSED
    assert judge(sandbox, EXPECTS, "def f(x):\n    while True: pass").verdict is Verdict.TIMEOUT


@pytest.mark.parametrize("body", ["time.sleep(60)", "os._exit(0)", "return 'x' * (1 << 20)"])
def test_a_program_that_ends_where_an_exception_is_expected_has_not_raised(sandbox: LocalSandbox, body: str) -> None:
    assert judge(sandbox, EXPECTS, f"import os, time\ndef f(x):\n    {body}").verdict is not Verdict.PASSED


# ---------------------------------------------------------------------------------------------------------------------
# Tests that need the program's own objects
# ---------------------------------------------------------------------------------------------------------------------

OBJECTS = problem(
    "class Node:\n    def __init__(self, value):\n        self.value = value\n\n"
    "def f(node):\n    return Node(node.value + 1)\n",
    "assert f(Node(1)).value == 2\nassert f(f(Node(1))).value == 3",
)


def test_tests_that_use_the_programs_own_classes_run_beside_it(sandbox: LocalSandbox) -> None:
    plan = make_plan(OBJECTS, OBJECTS.reference, sandbox, LIMITS)

    assert (plan.mode, plan.assertions) == (IN_PROCESS, 2)
    assert judge(sandbox, OBJECTS, OBJECTS.reference).verdict is Verdict.PASSED
    wrong = OBJECTS.reference.replace("+ 1", "+ 2")
    assert judge(sandbox, OBJECTS, wrong).verdict is Verdict.WRONG_ANSWER


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        ("class Node:\n    def __eq__(self, other): return True\ndef f(node):\n    pass", Verdict.RUNTIME_ERROR),
        (
            "class Any:\n    def __init__(self, *values): self.value = self\n    def __eq__(self, other): return True\n"
            "Node = f = Any",
            Verdict.WRONG_ANSWER,
        ),
        ("import os\nclass Node:\n    def __init__(self, value): os._exit(0)\ndef f(x): pass", Verdict.RUNTIME_ERROR),
        ("class Node:\n    def __init__(self, value): raise SystemExit(0)\ndef f(x): pass", Verdict.RUNTIME_ERROR),
        ("raise SystemExit(0)", Verdict.RUNTIME_ERROR),
    ],
    ids=["no argument", "equals everything", "leaves", "raises", "leaves at once"],
)
def test_a_program_beside_its_tests_does_not_pass_by_tampering(
    sandbox: LocalSandbox, program: str, verdict: Verdict
) -> None:
    assert judge(sandbox, OBJECTS, program).verdict is verdict


# ---------------------------------------------------------------------------------------------------------------------
# Faults of ours
# ---------------------------------------------------------------------------------------------------------------------


class Unreliable(LocalSandbox):
    """Loses its box the first few times."""

    def __init__(self, losses: int) -> None:
        super().__init__()
        self.losses = losses

    def open(self, program: Program, limits: Limits, calls: Any = (), **choices: bool) -> Session:
        if self.losses > 0:
            self.losses -= 1
            raise BoxLost("lost on purpose")
        return super().open(program, limits, calls, **choices)


@pytest.mark.parametrize("losses", [1, 2])
def test_a_lost_box_is_tried_again_and_counted(sandbox: LocalSandbox, losses: int) -> None:
    plan = make_plan(SUCCESSOR, SUCCESSOR.reference, sandbox, LIMITS)
    with Unreliable(losses) as unreliable:
        right = Judge(SUCCESSOR, plan, unreliable, LIMITS).judge(SUCCESSOR.reference)
        unreliable.losses = losses
        wrong = Judge(SUCCESSOR, plan, unreliable, LIMITS).judge("def f(x):\n    return x")

    assert (right.verdict, right.attempts) == (Verdict.PASSED, losses + 1)
    assert (wrong.verdict, wrong.attempts) == (Verdict.WRONG_ANSWER, losses + 1)


def test_a_box_that_is_lost_every_time_is_our_fault_and_no_verdict_on_the_program(sandbox: LocalSandbox) -> None:
    plan = make_plan(SUCCESSOR, SUCCESSOR.reference, sandbox, LIMITS)
    with Unreliable(1000) as unreliable:
        judgement = Judge(SUCCESSOR, plan, unreliable, LIMITS).judge(SUCCESSOR.reference)

    assert judgement.verdict is Verdict.UNJUDGED
    assert "lost on purpose" in judgement.detail
    assert judgement.execution is None
