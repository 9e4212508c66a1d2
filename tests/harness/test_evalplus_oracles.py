"""EvalPlus' comparison: tolerances that belong to one expected value each, and problems with more than one answer."""

from __future__ import annotations

import math
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.conversation import Opaque
from harness.evalplus_oracles import DECISIVE, FLOAT_TOLERANCE, ORACLES, accepts, close

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-(10**9), 10**9)
DATA = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda part: (
        st.lists(part, max_size=4) | st.tuples(part, part) | st.dictionaries(st.text(max_size=3), part, max_size=3)
    ),
    max_leaves=10,
)


def plain(answer: Any, expected: Any, tolerance: float = 0.0) -> bool:
    return accepts("HumanEval/0", answer, expected, (), tolerance)


@given(DATA)
def test_every_value_is_accepted_for_itself(value: Any) -> None:
    assert plain(value, value)
    assert plain(value, value, 1e-6)


@given(st.lists(st.tuples(NUMBERS, st.floats(-3.0, 3.0)), min_size=1, max_size=5), st.sampled_from([1e-6, 1e-4, 0.5]))
def test_lists_of_numbers_are_close_where_numpy_says_so(pairs: list[tuple[Any, float]], tolerance: float) -> None:
    expected = [float(number) for number, _ in pairs]
    answer = [float(number + factor * tolerance) for number, factor in pairs]
    assert close(answer, expected, tolerance) == bool(numpy.allclose(answer, expected, rtol=1e-7, atol=tolerance))


def test_a_float_has_a_tolerance_by_itself() -> None:
    assert plain(0.1 + 0.2, 0.3)
    assert plain([0.1 + 0.2, 1.0], [0.3, 1.0])
    assert not plain(0.3001, 0.3)
    assert plain(0.3001, 0.3, 1e-3)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (10**9 + 10, 10**9),
        ([0.1 + 0.2, 1], [0.3, 1]),
        ({"a": 0.1 + 0.2}, {"a": 0.3}),
        ([[0.1 + 0.2]], [[0.3]]),
        ([], [0.5]),
    ],
    ids=["integer", "not all floats", "dict", "nested", "empty"],
)
def test_nothing_else_has_one_unless_the_problem_names_it(answer: Any, expected: Any) -> None:
    assert not plain(answer, expected)


def test_a_named_tolerance_reaches_every_depth_of_one_shape() -> None:
    assert plain([[1.00001, 2], (3,)], [[1.0, 2], (3,)], 1e-4)
    assert not plain([[1.00001], [2.0]], [[1.0, 2.0], [2.0]], 1e-4)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(1, 1.0000001), ((0.3,), [0.1 + 0.2]), ("0.3", 0.3), (None, 0.3), ([0.3, "a"], [0.1 + 0.2, "b"]), (math.nan, 0.3)],
    ids=["int for float", "tuple for list", "text", "none", "texts in a list", "nan"],
)
def test_what_is_not_exactly_equal_must_be_of_the_expected_type(answer: Any, expected: Any) -> None:
    assert not plain(answer, expected, FLOAT_TOLERANCE)


def test_numbers_too_large_for_a_float_are_compared_all_the_same() -> None:
    assert not plain(10**400, 0.5, 1e-6)
    assert plain([10**400, 0.1 + 0.2], [10**400, 0.3], 1e-6)


def test_infinity_is_close_to_itself_alone() -> None:
    assert plain([math.inf, 0.1 + 0.2], [math.inf, 0.3])
    assert not plain([math.inf, 0.1 + 0.2], [-math.inf, 0.3])
    assert not plain(1e308, math.inf)


# ---------------------------------------------------------------------------------------------------------------------
# Problems with more than one right answer
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task_id", ["Mbpp/2", "Mbpp/7", "Mbpp/111", "Mbpp/140", "Mbpp/232", "Mbpp/249", "Mbpp/579", "Mbpp/769"]
)
def test_order_and_multiplicity_are_free_where_members_are_asked_for(task_id: str) -> None:
    assert accepts(task_id, [3, 1, 1, 2], (1, 2, 3), (), 0.0)
    assert accepts(task_id, {1, 2, 3}, (1, 2, 3), (), 0.0)
    assert not accepts(task_id, [1, 2], (1, 2, 3), (), 0.0)
    assert not accepts(task_id, 5, (1, 2, 3), (), 0.0)
    assert not accepts(task_id, [[1], [2], [3]], (1, 2, 3), (), 0.0)


@pytest.mark.parametrize("task_id", ["Mbpp/737", "Mbpp/787", "Mbpp/794"])
def test_a_match_is_a_match_whatever_stands_for_it(task_id: str) -> None:
    match = Opaque("a value of type Match")
    for answer in (match, "found", 0, True):
        assert accepts(task_id, answer, match, (), 0.0)
        assert not accepts(task_id, answer, None, (), 0.0)
    for answer in (None, False):
        assert accepts(task_id, answer, None, (), 0.0)
        assert not accepts(task_id, answer, match, (), 0.0)


def test_any_root_of_the_polynomial_will_do() -> None:
    roots = [-6.0, 11.0, -6.0, 1.0]
    for root in (1.0, 2, 3.00000001):
        assert accepts("HumanEval/32", root, 1.0, (roots,), 1e-4)
    for other in (0.5, 1.1, None, "1", [1.0], 1e200, math.nan):
        assert not accepts("HumanEval/32", other, 1.0, (roots,), 1e-4)


def test_a_pyramid_may_be_measured_upright() -> None:
    assert accepts("Mbpp/581", 33, 33, (3, 4), 0.0)
    assert accepts("Mbpp/581", 35, 33, (3, 4), 0.0)
    assert not accepts("Mbpp/581", 34, 33, (3, 4), 0.0)


def test_a_distance_may_be_taken_digit_by_digit() -> None:
    assert accepts("Mbpp/558", 1, 1, (1, 2), 0.0)
    assert accepts("Mbpp/558", 6, 6, (23, 56), 0.0)
    assert accepts("Mbpp/558", 18, 9, (100, 199), 0.0)
    assert not accepts("Mbpp/558", 8, 9, (100, 199), 0.0)
    assert accepts("Mbpp/558", 2, 9, (9, 11), 0.0) is (abs(0 - 1) + abs(9 - 1) == 2)


@given(DATA, st.sampled_from(sorted({*ORACLES, *DECISIVE})))
def test_no_answer_makes_an_oracle_fail(answer: Any, task_id: str) -> None:
    arguments = {"Mbpp/558": (1, 2), "Mbpp/581": (3, 4)}.get(task_id, ([1.0, 2.0],))
    assert accepts(task_id, answer, 5, arguments, 0.0) in (True, False)
