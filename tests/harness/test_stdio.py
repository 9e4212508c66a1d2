"""Programs that read standard input and write standard output, as real processes in a real box."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.comparison import CHECKERS
from harness.grade import Judge, Judgement, Plan, ReferenceFailed, make_plan
from harness.outcomes import Outcome
from harness.records import Verdict
from harness.stdio import MODE, MOST_TIMEOUTS, TEST_CPU_S, Grader, read_cases
from sandbox.local import LocalSandbox
from sandbox.program import Limits, SandboxUnavailable
from tasks.problem import Problem, Stdio

LIMITS = Limits(cpu_s=0.5, idle_s=0.5, wall_s=20.0, memory_bytes=256 << 20, output_bytes=1 << 16)


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


def problem(inputs: list[Any], outputs: list[Any], reference: str = "") -> Problem:
    cases = json.dumps({"inputs": inputs, "outputs": outputs})
    return Problem(task_id="Test/0", prompt="", entry_point="", reference=reference, check=Stdio(cases=cases))


def measured(of: Problem) -> Plan:
    """A plan as a fast reference would have left it, so that the limits of these tests hold as they are."""
    num_tests = len(json.loads(of.check.cases)["inputs"])  # type: ignore[union-attr]  # it is a Stdio
    return Plan(mode=MODE, assertions=num_tests, calls=(), answers=frozenset(), cpu_s=0.001)


def judge(
    sandbox: LocalSandbox, of: Problem, program: str, *, alone: bool = True, limits: Limits = LIMITS, **choices: Any
) -> Judgement:
    return Grader(of, measured(of), sandbox, limits, **choices).judge_once(program, alone=alone)


def letters(judgement: Judgement) -> str:
    assert judgement.outcomes is not None
    return judgement.outcomes.letters


SUMS = problem(["1 2\n3 4\n", "5 6\n", "-1 1\n0 7\n"], ["3\n7\n", "11\n", "0\n7\n"])
"""The sum of the two numbers in each line."""

RIGHT = {
    "input until it ends": """
while True:
    try:
        print(sum(map(int, input().split())))
    except EOFError:
        break
""",
    "a guarded main": """
import sys

def main():
    for line in sys.stdin.read().splitlines():
        print(sum(map(int, line.split())))

if __name__ == "__main__":
    main()
""",
    "lines of sys.stdin": "import sys\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))\n",
    "stdin imported by name": "from sys import stdin\nfor l in stdin:\n    print(sum(map(int, l.split())))\n",
    "stdout imported by name": """
from sys import stdin, stdout
for line in stdin.readlines():
    stdout.write(f"{sum(map(int, line.split()))}\\n")
""",
    "bytes of standard input": """
import sys
data = sys.stdin.buffer.read().split(b"\\n")
for line in data:
    if line:
        print(sum(map(int, line.split())))
""",
    "lines of bytes, one after the other": """
import sys
line = sys.stdin.buffer.readline()
while line:
    print(sum(map(int, line.split())))
    line = sys.stdin.buffer.readline()
""",
    "bytes of standard output": """
import sys
for line in sys.stdin:
    sys.stdout.buffer.write(b"%d\\n" % sum(map(int, line.split())))
""",
    "file number 0": "for line in open(0).read().splitlines():\n    print(sum(map(int, line.split())))\n",
    "system calls": """
import os
for line in os.read(0, 1 << 16).decode().splitlines():
    os.write(1, f"{sum(map(int, line.split()))}\\n".encode())
""",
    "a global statement at the top": """
import sys
global total
total = 0

def add(number):
    global total
    total += number

for line in sys.stdin:
    total = 0
    for word in line.split():
        add(int(word))
    print(total)
""",
    "text over several lines": '''
import sys
text = """one
two
three"""
assert text.splitlines() == ["one", "two", "three"]
for line in sys.stdin:
    print(sum(map(int, line.split())))
''',
    "an import from the future": """
from __future__ import annotations
import sys
for line in sys.stdin:
    print(sum(map(int, line.split())))
""",
    "exit": "import sys\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))\nexit()\nprint('no')\n",
    "quit": "import sys\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))\nquit()\n",
    "sys.exit": "import sys\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))\nsys.exit(0)\n",
    "an import of everything in the middle": """
import sys
lines = sys.stdin.read().splitlines()
from math import *
for line in lines:
    print(floor(sum(map(float, line.split()))))
""",
    "a deep recursion": """
import sys
sys.setrecursionlimit(30000)
def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)
assert depth(20000) == 20000
for line in sys.stdin:
    print(sum(map(int, line.split())))
""",
    "a thread with a stack of its own": """
import sys, threading
def main():
    for line in sys.stdin:
        print(sum(map(int, line.split())))
threading.stack_size(1 << 26)
threading.Thread(target=main).start()
""",
    "output that is never flushed": """
import sys
sys.stdout.write("\\n".join(str(sum(map(int, line.split()))) for line in sys.stdin))
""",
    "a faster print": """
import io, os, sys
input = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline
out = []
while line := input():
    out.append(sum(map(int, line.split())))
sys.stdout.write("\\n".join(map(str, out)))
""",
    "an exit handler that prints": """
import atexit, sys
out = []
atexit.register(lambda: print(*out, sep="\\n"))
for line in sys.stdin:
    out.append(sum(map(int, line.split())))
""",
    "its own module": """
import sys, __main__
def add(line):
    return sum(map(int, line.split()))
for line in sys.stdin:
    print(__main__.add(line))
""",
    "noise on standard error": """
import sys
for line in sys.stdin:
    print("debug", file=sys.stderr)
    print(sum(map(int, line.split())))
""",
}
"""Programs that any contest judge accepts; the benchmark's own checker fails more than half of them."""


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("program", RIGHT.values(), ids=RIGHT)
def test_a_right_program_passes_under_both_checkers_however_it_reads_and_writes(
    sandbox: LocalSandbox, program: str, checker: str
) -> None:
    judgement = judge(sandbox, SUMS, program, checker=checker)
    assert (judgement.verdict, judgement.detail, letters(judgement)) == (Verdict.PASSED, "", "ppp")


VERDICTS = {
    "print(3); print(7)": (Verdict.WRONG_ANSWER, "pww"),
    "print(sum(map(int, input().split())))": (Verdict.WRONG_ANSWER, "wpw"),
    "": (Verdict.WRONG_ANSWER, "www"),
    "exit()": (Verdict.WRONG_ANSWER, "www"),
    "raise ValueError('no')": (Verdict.RUNTIME_ERROR, "eee"),
    "print(3); print(7); raise SystemExit(1)": (Verdict.RUNTIME_ERROR, "eee"),
    "print(3); print(7); 1 / 0": (Verdict.RUNTIME_ERROR, "eee"),
    "import os\nprint(3, 7, flush=True)\nos.abort()": (Verdict.RUNTIME_ERROR, "eee"),
    "import no_such_module": (Verdict.RUNTIME_ERROR, "eee"),
    "print(3": (Verdict.SYNTAX_ERROR, "ccc"),
    "print('\0')": (Verdict.SYNTAX_ERROR, "ccc"),
    "print(3); print(7)\nwhile True: pass": (Verdict.TIMEOUT, "ttt"),
    "import time\nprint(3); print(7)\ntime.sleep(60)": (Verdict.TIMEOUT, "ttt"),
    "x = bytearray(1 << 40)": (Verdict.MEMORY_LIMIT, "mmm"),
    "while True: print('x' * 1000)": (Verdict.OUTPUT_LIMIT, "xxx"),
}


@pytest.mark.parametrize("program", VERDICTS)
def test_each_verdict_is_reached_by_a_program_that_deserves_it(sandbox: LocalSandbox, program: str) -> None:
    judgement = judge(sandbox, SUMS, program)
    assert (judgement.verdict, letters(judgement)) == VERDICTS[program]


def test_every_verdict_but_a_pass_and_our_own_fault_is_among_them() -> None:
    assert {verdict for verdict, _ in VERDICTS.values()} == set(Verdict) - {Verdict.UNJUDGED, Verdict.PASSED}


def test_the_verdict_is_that_of_the_first_test_that_fails_and_says_which(sandbox: LocalSandbox) -> None:
    program = (
        "n = input()\nif n == '5 6': raise ValueError\nif n == '-1 1': print(0); print(8)\nelse: print(3); print(7)"
    )
    judgement = judge(sandbox, SUMS, program)
    assert (judgement.verdict, letters(judgement)) == (Verdict.RUNTIME_ERROR, "pew")
    assert judgement.detail == "test 2 of 3: exit code 1"


def test_a_wrong_answer_shows_the_first_token_that_differs(sandbox: LocalSandbox) -> None:
    assert judge(sandbox, SUMS, "print(3); print(8)").detail == "test 1 of 3: token 2 is '8', expected is '7'"
    assert judge(sandbox, SUMS, "print(3)").detail == "test 1 of 3: token 2 is missing, expected is '7'"


def test_many_tests_are_no_reason_to_fail(sandbox: LocalSandbox) -> None:
    """Together they take several times the limit, which each has to itself."""
    many = problem([f"{number}\n" for number in range(12)], [f"{number}\n" for number in range(12)])
    slow = "import time\nend = time.process_time() + 0.07\nwhile time.process_time() < end: pass\nprint(input())"
    limits = Limits(cpu_s=0.25)
    judgement = judge(sandbox, many, slow, limits=limits)
    assert judgement.verdict is Verdict.PASSED
    assert judgement.execution is not None
    assert judgement.execution.cpu_s > 3 * limits.cpu_s


def test_each_test_has_a_process_and_a_disk_of_its_own(sandbox: LocalSandbox) -> None:
    counting = """
import sys
sys.counted = getattr(sys, "counted", 0) + 1
with open("/tmp/counted", "a") as file:
    file.write("x")
with open("/tmp/counted") as file:
    print(sys.counted, len(file.read()))
"""
    assert judge(sandbox, problem(["", "", ""], ["1 1", "1 1", "1 1"]), counting).verdict is Verdict.PASSED


SEARCH = """
import gc, re, sys
secret = re.compile("secret-" "[0-9]{8}")
found, seen, waiting, frame = set(), set(), gc.get_objects(), sys._getframe()
while frame:
    waiting.append(dict(frame.f_locals))
    frame = frame.f_back
while waiting:
    thing = waiting.pop()
    if id(thing) in seen:
        continue
    seen.add(id(thing))
    if type(thing) in (bytes, bytearray):
        thing = thing.decode("latin-1")
    if type(thing) is str:
        found |= set(secret.findall(thing))
    else:
        waiting += gc.get_referents(thing)
print(*sorted(found))
"""
"""Prints every secret that any object of its process holds."""


def test_what_is_expected_never_enters_the_box(sandbox: LocalSandbox) -> None:
    """Of the first test the input is the secret, which shows that the search finds what there is."""
    both = problem(["secret-31415926", ""], ["secret-31415926", "secret-27182818"])
    judgement = judge(sandbox, both, SEARCH, limits=Limits(cpu_s=10.0))
    assert (letters(judgement), judgement.detail) == (
        "pw",
        "test 2 of 2: token 1 is missing, expected is 'secret-27182818'",
    )


def test_input_and_output_are_utf_8(sandbox: LocalSandbox) -> None:
    assert judge(sandbox, problem(["grün\n"], ["nürg\n"]), "print(input()[::-1])").verdict is Verdict.PASSED


def test_output_that_is_no_text_is_a_wrong_answer(sandbox: LocalSandbox) -> None:
    program = "import sys\nsys.stdout.buffer.write(b'\\xff\\xfe')"
    assert judge(sandbox, problem([""], ["\ufffd\ufffd"]), program).verdict is Verdict.WRONG_ANSWER


def test_a_large_input_arrives_whole(sandbox: LocalSandbox) -> None:
    text = "1234567 " * 500_000
    assert judge(sandbox, problem([text], [str(len(text))]), "print(len(input()))").verdict is Verdict.PASSED


def test_an_input_may_be_given_as_a_list_of_lines() -> None:
    cases = read_cases(Stdio(cases=json.dumps({"inputs": [["1", "2"], "3"], "outputs": ["x", ["y", "z"]]})))
    assert [(case.stdin, case.expected) for case in cases] == [(b"1\n2", "x"), (b"3", "y\nz")]


@pytest.mark.parametrize(
    "cases", ["[]", "{}", '{"inputs": ["1"], "outputs": []}', '{"inputs": "1", "outputs": "2"}', "null"]
)
def test_tests_that_are_not_laid_out_as_they_should_be_are_an_error(cases: str) -> None:
    with pytest.raises(ValueError, match="the tests are not laid out as"):
        read_cases(Stdio(cases=cases))


# ---------------------------------------------------------------------------------------------------------------------
# Two checkers
# ---------------------------------------------------------------------------------------------------------------------

LISTS = problem(["", ""], ["1 2 3\n", "0.5 x\n"])


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("print('3 2 1')", "ow"),
        ("print('1 2 3')", "pw"),
        ("print('1\\n2\\n3')", "sw"),
        ("print('0.5  x')", "wp"),
        ("print('0.50 x')", "ws"),
        ("print('x 0.5')", "wo"),
    ],
)
def test_one_run_gives_both_checkers_verdict_on_every_test(sandbox: LocalSandbox, program: str, expected: str) -> None:
    assert {letters(judge(sandbox, LISTS, program, checker=checker)) for checker in CHECKERS} == {expected}


def test_the_verdict_is_that_of_the_checker_asked_for(sandbox: LocalSandbox) -> None:
    order = problem([""], ["1 2 3\n"])
    assert judge(sandbox, order, "print('3 2 1')", checker="official").verdict is Verdict.PASSED
    assert judge(sandbox, order, "print('3 2 1')", checker="strict").verdict is Verdict.WRONG_ANSWER
    assert judge(sandbox, order, "print('1\\n2\\n3')", checker="official").verdict is Verdict.WRONG_ANSWER
    assert judge(sandbox, order, "print('1\\n2\\n3')", checker="strict").verdict is Verdict.PASSED


def test_what_only_the_lines_have_wrong_is_said(sandbox: LocalSandbox) -> None:
    judgement = judge(sandbox, problem([""], ["1 2\n"]), "print('1\\n2')", checker="official")
    assert judgement.detail == "test 1 of 1: the tokens are right, the lines are not"


RETURNS = """
import sys
for line in sys.stdin:
    if line == "0 7\\n":
        print(7)
        return
    print(sum(map(int, line.split())))
"""


def test_a_return_outside_functions_is_accepted_by_the_official_checker_alone(sandbox: LocalSandbox) -> None:
    official, strict = (judge(sandbox, SUMS, RETURNS, checker=checker) for checker in ("official", "strict"))
    assert (letters(official), letters(strict)) == ("ooo", "ooo")
    assert official.verdict is Verdict.PASSED
    assert (strict.verdict, strict.detail) == (
        Verdict.SYNTAX_ERROR,
        "test 1 of 3: SyntaxError: 'return' outside function",
    )


def test_a_return_outside_functions_makes_no_wrong_answer_right(sandbox: LocalSandbox) -> None:
    assert letters(judge(sandbox, SUMS, "print(3)\nprint(7)\nreturn")) == "oww"
    assert letters(judge(sandbox, LISTS, "print('1\\n2\\n3')\nreturn")) == "ww"


def test_another_error_of_syntax_is_one_to_both(sandbox: LocalSandbox) -> None:
    program = "print(1)\nreturn\nprint("
    assert judge(sandbox, SUMS, program, checker="official").verdict is Verdict.SYNTAX_ERROR
    assert letters(judge(sandbox, SUMS, program)) == "ccc"


def test_an_unknown_checker_is_an_error_that_says_what_is_accepted(sandbox: LocalSandbox) -> None:
    with pytest.raises(ValueError, match="unknown checker 'lenient'; accepted: official, strict"):
        Grader(SUMS, None, sandbox, LIMITS, checker="lenient")


# ---------------------------------------------------------------------------------------------------------------------
# Limits
# ---------------------------------------------------------------------------------------------------------------------


def test_all_tests_are_run_unless_it_is_to_stop_at_the_first_that_fails(sandbox: LocalSandbox) -> None:
    program = "print(11)"
    assert letters(judge(sandbox, SUMS, program)) == "wpw"
    stopped = judge(sandbox, SUMS, program, early_stop=True)
    assert (stopped.verdict, letters(stopped)) == (Verdict.WRONG_ANSWER, "w--")
    assert stopped.outcomes is not None
    assert stopped.outcomes.average("strict") is None


def test_a_stop_at_the_first_failure_changes_no_pass(sandbox: LocalSandbox) -> None:
    judgement = judge(sandbox, SUMS, RIGHT["lines of sys.stdin"], early_stop=True)
    assert (judgement.verdict, letters(judgement)) == (Verdict.PASSED, "ppp")


def test_a_program_that_never_ends_is_not_waited_for_at_every_test(sandbox: LocalSandbox) -> None:
    limits = Limits(cpu_s=0.1, idle_s=0.5, wall_s=20.0)
    num_tests = 3 * MOST_TIMEOUTS
    judgement = judge(sandbox, problem(["x"] * num_tests, ["x"] * num_tests), "while True: pass", limits=limits)
    assert (judgement.verdict, letters(judgement)) == (Verdict.TIMEOUT, "t" * num_tests)
    assert judgement.execution is not None
    assert judgement.execution.cpu_s < 2 * MOST_TIMEOUTS * limits.cpu_s


NEAR_LIMIT = "import time\nend = time.process_time() + 0.55\nwhile time.process_time() < end: pass\nprint(input())"


def test_a_program_near_its_limit_beside_others_is_in_doubt(sandbox: LocalSandbox) -> None:
    echo = problem(["1\n", "2\n"], ["1\n", "2\n"])
    beside = judge(sandbox, echo, NEAR_LIMIT, alone=False)
    alone = judge(sandbox, echo, NEAR_LIMIT, alone=True)
    assert (beside.in_doubt, alone.in_doubt) == (True, False)
    assert alone.verdict is Verdict.TIMEOUT


def test_a_program_far_from_its_limit_is_in_no_doubt(sandbox: LocalSandbox) -> None:
    assert not judge(sandbox, SUMS, RIGHT["lines of sys.stdin"], alone=False).in_doubt
    assert not judge(sandbox, SUMS, "while True: pass", alone=False, early_stop=True).in_doubt


def test_a_judgement_carries_the_facts_of_all_processes(sandbox: LocalSandbox) -> None:
    program = "import sys\ndata = bytearray(32 << 20) if '5 6' in input() else 0\nprint(11)"
    execution = judge(sandbox, SUMS, program).execution
    assert execution is not None
    assert execution.memory_bytes > 24 << 20
    assert execution.cpu_s > 0


# ---------------------------------------------------------------------------------------------------------------------
# As the harness asks for it
# ---------------------------------------------------------------------------------------------------------------------


def planned(sandbox: LocalSandbox, of: Problem) -> Plan:
    return make_plan(of, of.reference, sandbox, LIMITS)


def test_a_plan_is_made_with_a_reference_without_one_and_with_a_wrong_one(sandbox: LocalSandbox) -> None:
    cases = json.loads(SUMS.check.cases)  # type: ignore[union-attr]  # it is a Stdio
    right = problem(cases["inputs"], cases["outputs"], RIGHT["lines of sys.stdin"])
    wrong = problem(cases["inputs"], cases["outputs"], "print(3)")
    plans = [planned(sandbox, of) for of in (right, SUMS, wrong)]
    assert [(plan.mode, plan.assertions) for plan in plans] == [(MODE, 3)] * 3
    assert [plan.cpu_s > 0 for plan in plans] == [True, False, False]


def test_a_problem_without_tests_has_no_plan_and_passes_nobody(sandbox: LocalSandbox) -> None:
    empty = problem([], [])
    with pytest.raises(ReferenceFailed, match="Test/0: its tests cannot be had: it has no tests, so nothing can pass"):
        planned(sandbox, empty)
    assert judge(sandbox, empty, "print(1)").verdict is Verdict.UNJUDGED


def test_tests_that_have_changed_since_the_plan_judge_nobody(sandbox: LocalSandbox) -> None:
    other = problem(["1\n"], ["1\n"])
    judgement = Grader(other, planned(sandbox, SUMS), sandbox, LIMITS).judge_once("print(1)", alone=True)
    assert (judgement.verdict, judgement.detail) == (Verdict.UNJUDGED, "1 tests where there were 3")


@pytest.mark.parametrize(("program", "verdict"), [(RIGHT["exit"], Verdict.PASSED), ("print(3)", Verdict.WRONG_ANSWER)])
def test_the_judge_of_all_problems_judges_these_too(sandbox: LocalSandbox, program: str, verdict: Verdict) -> None:
    judgement = Judge(SUMS, planned(sandbox, SUMS), sandbox, LIMITS).judge(program)
    assert judgement.verdict is verdict
    assert judgement.outcomes is not None


def test_without_a_reference_each_test_has_the_time_that_the_benchmark_gives(sandbox: LocalSandbox) -> None:
    assert Grader(SUMS, planned(sandbox, SUMS), sandbox, LIMITS).limits.cpu_s == TEST_CPU_S
    assert Grader(SUMS, measured(SUMS), sandbox, LIMITS).limits == LIMITS


def test_every_outcome_but_one_that_was_not_run_has_a_verdict() -> None:
    assert {outcome.verdict("strict") for outcome in Outcome if outcome is not Outcome.NOT_RUN} == (
        set(Verdict) - {Verdict.UNJUDGED}
    )
