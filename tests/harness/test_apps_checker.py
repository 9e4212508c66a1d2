"""The rules of APPS' own checker, one by one: which one accepts, and what a strict judge says of the same."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.apps_checker import (
    CALL_RULES,
    STDOUT_RULES,
    as_function,
    call_arguments,
    call_rule,
    expected_answer,
    expected_lines,
    is_close,
    stdout_rule,
)
from harness.comparison import stdout_strict

# output, expected, the first rule that accepts, whether a strict judge does
STDOUT: list[tuple[str, str, str | None, bool]] = [
    ("3\n", "3\n", "same_text", True),
    ("3", "3\n", "same_text", True),
    ("\n 3 \n\n", "3\n", "same_text", True),
    ("", "\n", "same_text", True),
    ("1\r\n2\r\n", "1\n2", "same_text", True),
    ("1 \n 2\n", "1\n2\n", "same_text_of_stripped_lines", True),
    ("1\n2\n", "1 \n2\n", "same_lines", True),
    ("a\n\nb\n", "a\n \nb", "same_lines", True),
    ("1\n\n2\n", "1\n2\n", "same_filled_lines", True),
    ("1\n2\n", "1\n\n2\n", "same_lines", True),
    ("0.3333333\n", "0.33333333\n", "close_numbers", True),
    ("1\n2.0000001\n", "1.0\n2.0\n", "close_numbers", True),
    ("1  2\n", "1 2\n", "token_sets", True),
    ("0.3333333 1.5\n", "0.33333333 1.50\n", "rounded_token_sets", True),
    # Wrong, and yet accepted.
    ("3.0\n", "3\n", "close_numbers", False),
    ("1000000000\n", "1000000007\n", "close_numbers", False),
    ("123456788999\n", "123456789012\n", "close_numbers", False),
    ("1e3\n", "1000\n", "close_numbers", False),
    ("1_000\n", "1000\n", "close_numbers", False),
    ("inf\n", "1e999\n", "close_numbers", False),
    ("3 2 1\n", "1 2 3\n", "token_sets", False),
    ("2 1\n", "1 1 1 2\n", "token_sets", False),
    ("NO\nYES\n", "YES\nNO\nYES\nYES\n", "token_sets", False),
    ("b\na\n", "a\nb\n", "token_sets", False),
    ("a\na\na\n", "a\n", "token_sets", False),
    ("5 0.0004\n", "5 0.0001\n", "rounded_token_sets", False),
    ("7 1\n", "1.0 7.0004\n", "rounded_token_sets", False),
    # Right for a judge that looks at tokens, and yet rejected.
    ("1 2 3\n", "1\n2\n3\n", None, True),
    ("1\n2\n3\n", "1 2 3\n", None, True),
    ("a 0.50\n", "a 0.5\n", None, True),
    ("2\n1 3\n", "2 1\n3\n", None, True),
    ("b  c\na\n", "b c\n \na\n", None, True),
    # Wrong for everybody.
    ("", "3\n", None, False),
    ("4\n", "3\n", None, False),
    ("yes\n", "YES\n", None, False),
    ("1\n2\n", "1\n2\n3\n", None, False),
    ("nan\n", "1.5\n", None, False),
    ("1 2\n", "1 2 3\n", None, False),
    ("0.002\n", "0.001\n", None, False),
    ("x 1\n", "y 1\n", None, False),
]


@pytest.mark.parametrize(("output", "expected", "rule", "strict"), STDOUT)
def test_an_output_is_accepted_by_the_rule_that_says_so(
    output: str, expected: str, rule: str | None, strict: bool
) -> None:
    assert (stdout_rule(output, expected), stdout_strict(output, expected)) == (rule, strict)


def test_every_rule_for_outputs_has_a_case_that_no_earlier_rule_accepts() -> None:
    assert {rule for _, _, rule, _ in STDOUT} == {None, *(rule.__name__ for rule in STDOUT_RULES)}


def test_every_rule_that_a_strict_judge_does_not_share_has_a_wrong_case() -> None:
    assert {rule for _, _, rule, strict in STDOUT if rule and not strict} == {
        "close_numbers",
        "token_sets",
        "rounded_token_sets",
    }


@given(st.text())
def test_an_output_is_accepted_for_itself(text: str) -> None:
    assert stdout_rule(text, "\n".join(text.splitlines())) == "same_text"


@given(st.lists(st.lists(st.text("ab1 ", min_size=1, max_size=3), max_size=4), max_size=4), st.randoms())
def test_the_rule_of_sets_knows_no_order(lines: list[list[str]], rng: Any) -> None:
    expected = "\n".join(" ".join(tokens) for tokens in lines if "".join(tokens).strip())
    for tokens in lines:
        rng.shuffle(tokens)
    rng.shuffle(lines)
    assert stdout_rule("\n".join(" ".join(tokens) for tokens in lines), expected) is not None


@given(st.text(), st.text())
def test_no_output_makes_the_rules_fail(output: str, expected: str) -> None:
    assert stdout_rule(output, expected) in {None, *(rule.__name__ for rule in STDOUT_RULES)}


numbers = st.floats() | st.integers(-(10**12), 10**12).map(float)


@given(numbers, numbers)
def test_two_numbers_are_close_where_numpy_says_so(number: float, wanted: float) -> None:
    with numpy.errstate(all="ignore"):
        assert is_close(number, wanted) == bool(numpy.isclose(number, wanted))


@given(st.floats(-1e6, 1e6), st.floats(-2e-5, 2e-5))
def test_neighbours_are_close_where_numpy_says_so(wanted: float, part: float) -> None:
    number = wanted + part * abs(wanted)
    assert is_close(number, wanted) == bool(numpy.isclose(number, wanted))


def test_a_line_of_blanks_stays_among_the_expected_lines_as_an_empty_one() -> None:
    assert expected_lines("a\n\n \n b \n") == ["a", "", "b"]


# ---------------------------------------------------------------------------------------------------------------------
# Answers of functions
# ---------------------------------------------------------------------------------------------------------------------

CALLS: list[tuple[Any, Any, str | None]] = [
    (9, 9, "same_answer"),
    ((1, 2), [1, 2], "same_answer"),
    (1, True, "same_answer"),
    (9, [9], "first_answer"),
    (7, [7, 8, 9], "first_answer"),
    ((1, 2), [[1, 2], [3]], "first_answer"),
    ([(1, 2)], [[[1, 2]]], "lists_of_tuples"),
    (((1, 2), (3, 4)), [[[1, 2], [3, 4]]], "lists_of_tuples"),
    ({1: 2}, {"1": 2}, "first_answer"),
    ([{1: 2}], [{"1": 2}, 3], "same_answer"),
    ([(1, 2)], [[1, 2]], None),
    ([((1,), 2)], [[[[1], 2]]], None),
    ({"1": 2}, {"1": 2}, None),
    (0.1 + 0.2, [0.3], None),
    (8, [7], None),
    (numpy.array([1, 2]), [1, 2], None),
    (numpy.array([]), [], None),
    ([numpy.array([1, 2])], [[1, 2]], None),
    (numpy.array([7]), [7], "same_answer"),
    ("", [], None),
    ({0: (1,)}, [[[1]]], None),
]


@pytest.mark.parametrize(("output", "expected", "rule"), CALLS, ids=repr)
def test_an_answer_is_accepted_by_the_rule_that_says_so(output: Any, expected: Any, rule: str | None) -> None:
    assert call_rule(output, expected) == rule


def test_every_rule_for_answers_has_a_case_that_no_earlier_rule_accepts() -> None:
    assert {rule for _, _, rule in CALLS} == {None, *(rule.__name__ for rule in CALL_RULES)}


@pytest.mark.parametrize(
    ("inputs", "arguments"),
    [
        ([{"1": 2}], [{1: 2}]),
        ([{"1": 2}, 3], [{1: 2}, 3]),
        ([{"-1": "a", "02": "b"}], [{-1: "a", 2: "b"}]),
        ([{"a": 2, "1": 3}], [{"a": 2, "1": 3}]),
        ([3, {"1": 2}], [3, {"1": 2}]),
        ([[{"1": 2}]], [[{"1": 2}]]),
        ([{}], [{}]),
        ([], []),
        (["12"], ["12"]),
    ],
    ids=repr,
)
def test_the_keys_of_a_first_dictionary_are_numbers_again_and_no_argument_is_dropped(
    inputs: list[Any], arguments: list[Any]
) -> None:
    assert call_arguments(inputs) == arguments


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        ({"1": 2}, [{1: 2}]),
        ([{"1": 2}], [{1: 2}]),
        ([{"1": 2}, 5], [{1: 2}]),
        ({"a": 2}, {"a": 2}),
        ([5, {"1": 2}], [5, {"1": 2}]),
        ([], []),
        (None, None),
    ],
    ids=repr,
)
def test_an_expected_dictionary_with_number_keys_stands_in_a_list_alone(expected: Any, seen: Any) -> None:
    assert expected_answer(expected) == seen


# ---------------------------------------------------------------------------------------------------------------------
# Programs
# ---------------------------------------------------------------------------------------------------------------------


def ran(program: str) -> list[str]:
    written: list[str] = []
    exec(compile(program, "<program>", "exec"), {"print": written.append})
    return written


def test_a_return_outside_functions_ends_the_program_as_a_function() -> None:
    program = (
        "from math import *\nfor n in range(9):\n    if n == 3:\n        print(floor(2.5))\n        return\nprint(0)"
    )
    with pytest.raises(SyntaxError, match="'return' outside function"):
        compile(program, "<program>", "exec")
    assert ran(as_function(program)) == [2]


@pytest.mark.parametrize(
    "program", ["print(1)", "x = 1\nimport math\nprint(x)", "\n\nprint(1)\n", "def f():\n  return 1\nprint(f())"]
)
def test_a_program_says_the_same_as_a_function(program: str) -> None:
    assert ran(as_function(program)) == ran(program) == [1]
