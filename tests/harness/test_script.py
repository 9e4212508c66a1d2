from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.script import COUNTER, CompiledScript, ScriptError, counted_source, negative_controls
from tasks.humaneval import HumanEval
from tasks.problem import Problem, Script


def add(a: int, b: int) -> int:
    return a + b


TEST = """
def check(candidate):
    assert candidate(1, 2) == 3
    assert candidate(0, 0) == 0, "nothing"
    for number in range(3):
        assert candidate(number, 1) == number + 1
    assert candidate(2, 2) > 3
"""


def script(test: str = TEST, start: str = "check(add)", setup: str = "") -> Script:
    return Script(setup=setup, test=test, start=start, names=("add",))


def run_control(source: str, candidate: Any) -> int:
    """Runs a control as the box does, with the candidate's names beside the tests; how many assertions held."""
    held = 0

    def count() -> None:
        nonlocal held
        held += 1

    exec(compile(source, "<control>", "exec"), {"add": candidate, COUNTER: count})
    return held


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return HumanEval().load()


def test_every_assertion_that_holds_is_counted() -> None:
    assert CompiledScript(script()).run({"add": add}) == 6


@given(st.lists(st.integers(0, 5), max_size=8))
def test_assertions_are_counted_where_they_are_executed(rounds: list[int]) -> None:
    test = "".join(f"for _ in range({count}):\n    assert True\n" for count in rounds) or "pass\n"
    assert CompiledScript(script(test, start="")).run({}) == sum(rounds)


def test_an_assertion_that_fails_is_raised_from_its_own_line() -> None:
    compiled = CompiledScript(script())
    with pytest.raises(AssertionError) as caught:
        compiled.run({"add": lambda a, b: 3})
    line = caught.traceback[-1].lineno + 1
    assert compiled.line(line) == 'assert candidate(0, 0) == 0, "nothing"'


@pytest.mark.parametrize("number", [-1, 0, 9, 1000])
def test_a_line_that_is_not_there_is_empty(number: int) -> None:
    assert CompiledScript(script()).line(number) == ""


def test_each_run_has_a_namespace_of_its_own() -> None:
    compiled = CompiledScript(script("seen.append(1)\nassert len(seen) == 1", start="", setup="seen = []"))
    assert [compiled.run({}), compiled.run({})] == [1, 1]


def test_tests_draw_the_same_random_numbers_in_every_run() -> None:
    compiled = CompiledScript(script("import random\nadd(random.random(), 0)\nassert True", start=""))
    drawn: list[float] = []
    for _ in range(2):
        compiled.run({"add": lambda a, b: drawn.append(a)})
    assert drawn[0] == drawn[1]


def test_the_candidate_stands_in_for_the_name_though_setup_and_tests_define_it() -> None:
    compiled = CompiledScript(script("def add(a, b):\n    return 0\n", "assert add(1, 2) == 3", "add = None"))
    assert compiled.run({"add": add}) == 1


def test_tests_have_the_helpers_of_their_setup() -> None:
    assert CompiledScript(script("assert twice(2) == 4", "", "def twice(a):\n    return 2 * a\n")).run({}) == 1


@pytest.mark.parametrize("part", ["setup", "test", "start"])
@pytest.mark.parametrize("source", ["assert (", "\x00"])
def test_tests_that_do_not_compile_are_an_error_of_the_data(part: str, source: str) -> None:
    with pytest.raises(ScriptError, match="the tests do not compile"):
        CompiledScript(script(**{"test": "", "start": "", part: source}))


def test_annotations_of_ours_do_not_reach_the_tests() -> None:
    # `from __future__ import annotations` in our own module would turn the tests' annotations into text.
    compiled = CompiledScript(script("def f(a: int): pass\nassert f.__annotations__['a'] is int", start=""))
    assert compiled.run({}) == 1


def test_counted_source_counts_like_the_compiled_tests() -> None:
    assert run_control(counted_source(script()), add) == CompiledScript(script()).run({"add": add})


def test_there_are_two_kinds_of_controls() -> None:
    assert len(negative_controls(script(), random.Random(0))) == 2


@given(st.integers())
def test_no_honest_program_passes_a_control(seed: int) -> None:
    for control in negative_controls(script(), random.Random(seed)):
        with pytest.raises(AssertionError):
            run_control(control, add)


def test_controls_are_drawn_anew() -> None:
    drawn = {tuple(negative_controls(script(), random.Random(seed))) for seed in range(20)}
    assert len(drawn) > 10


def test_assertions_inside_a_loop_alone_have_a_control_too() -> None:
    looped = script(
        "def check(candidate):\n    for number in range(3):\n        assert candidate(number, 0) == number\n"
    )
    controls = negative_controls(looped, random.Random(0))
    assert len(controls) == 2
    for control in controls:
        with pytest.raises(AssertionError):
            run_control(control, add)


def test_tests_without_assertions_have_no_control() -> None:
    assert negative_controls(script("add(1, 2)", start=""), random.Random(0)) == []


def test_every_problem_of_humaneval_has_controls_that_differ_from_its_tests(problems: list[Problem]) -> None:
    for problem in problems:
        controls = negative_controls(problem.check, random.Random(0))
        assert controls, problem.task_id
        for control in controls:
            compile(control, "<control>", "exec")
            assert control != counted_source(problem.check)


def test_the_tests_of_every_problem_of_humaneval_compile(problems: list[Problem]) -> None:
    for problem in problems:
        CompiledScript(problem.check)
