"""Each rule by which answers are compared: what it accepts, what it does not, and its algebra."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparison import COMPARISONS, TOLERANCE, compare, equal, first_difference, near, stdout_strict
from sandbox import codec

NAN, INFINITY = float("nan"), float("inf")

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
keys = st.integers() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda parts: (
        st.lists(parts, max_size=4)
        | st.lists(parts, max_size=4).map(tuple)
        | st.dictionaries(keys, parts, max_size=4)
        | st.sets(st.integers(), max_size=4)
    ),
    max_leaves=12,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=8), parts, max_size=4),
    max_leaves=12,
)
words = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=6)
blanks = st.text(" \t\n", min_size=1, max_size=3)

# ---------------------------------------------------------------------------------------------------------------------
# equal
# ---------------------------------------------------------------------------------------------------------------------

SAME: list[tuple[Any, Any]] = [
    (3.0, 3),
    (True, 1),
    (1 + 0j, 1),
    (Fraction(1, 2), 0.5),
    (Decimal("2"), 2),
    (NAN, NAN),
    ([NAN], [NAN]),
    (INFINITY, INFINITY),
    ({1, 2}, frozenset({2, 1})),
    (OrderedDict(a=1), {"a": 1}),
    (Counter("aab"), {"a": 2, "b": 1}),
    (defaultdict(None, {1: [2]}), {1: [2]}),
    (deque([1, 2]), deque([1, 2])),
    (numpy.float64(0.5), 0.5),
    (numpy.int64(7), 7),
    (numpy.bool_(True), True),
    ([numpy.int64(7)], [7]),
    (numpy.array([1, 2]), numpy.array([1, 2])),
    (b"a", bytearray(b"a")),
]

DIFFERENT: list[tuple[Any, Any]] = [
    ([1, 2], (1, 2)),
    ((1, 2), [1, 2]),
    ([[1]], [(1,)]),
    ({"a": [1]}, {"a": (1,)}),
    ([1, 2], deque([1, 2])),
    ([1], {1}),
    (range(3), [0, 1, 2]),
    (numpy.array([1, 2]), [1, 2]),
    (numpy.array([1, 2]), numpy.array([[1, 2]])),
    (numpy.array([1, 2]), numpy.array([1, 3])),
    (1, 2),
    (0.1 + 0.2, 0.3),
    (1, "1"),
    ("a", b"a"),
    (0, None),
    (False, None),
    (0, ""),
    ([], None),
    (NAN, 0.0),
    (0.0, NAN),
    ([1, 2], [1]),
    ([1], [1, 2]),
    ({1: 2}, {1: 3}),
    ({1: 2}, {2: 2}),
    ({1: 2, 3: 4}, {1: 2}),
    (iter([1]), [1]),
    (Decimal("sNaN"), 1),
]


@pytest.mark.parametrize(("output", "expected"), SAME, ids=repr)
def test_values_of_one_kind_that_python_calls_equal_are_equal(output: Any, expected: Any) -> None:
    assert compare("equal", output, expected)
    assert compare("equal", expected, output)


@pytest.mark.parametrize(("output", "expected"), DIFFERENT, ids=repr)
def test_another_value_or_another_kind_of_container_is_not_equal(output: Any, expected: Any) -> None:
    assert not compare("equal", output, expected)


@given(values)
def test_every_value_equals_itself_after_it_has_crossed(value: Any) -> None:
    assert equal(codec.decode(codec.encode(value)), value)


@given(values, values)
def test_what_is_equal_is_equal_for_python_too_but_for_nan(one: Any, other: Any) -> None:
    if equal(one, other):
        assert one == other or "nan" in repr(one)


@given(values, values)
def test_equality_does_not_depend_on_the_side(one: Any, other: Any) -> None:
    assert equal(one, other) == equal(other, one)


@pytest.mark.parametrize(("output", "accepted"), [(1.0005, True), (1.002, False), (1, True), (1.0005 + 0j, True)])
def test_a_tolerance_is_absolute_and_for_floats(output: complex, accepted: bool) -> None:
    assert compare("equal", output, 1.0, 1e-3) is accepted
    assert compare("equal", [output], [1.0], 1e-3) is accepted


def test_a_tolerance_does_not_serve_whole_numbers_or_texts() -> None:
    assert not compare("equal", 1000, 1001, 5.0)
    assert not compare("equal", "1.0", 1.0, 5.0)
    assert not compare("equal", 1.0, Decimal("1.5"), 1e-3)


def test_a_number_too_large_for_a_float_is_no_answer_and_no_error() -> None:
    assert not compare("equal", 10**400, 1.5, 1e-3)
    assert not compare("apps-strict", 10**400, 1.5)


@given(values, values, st.sampled_from(sorted(COMPARISONS)), st.sampled_from([0.0, 1e-6]))
def test_no_rule_ever_fails_on_data(output: Any, expected: Any, name: str, tolerance: float) -> None:
    assert compare(name, output, expected, tolerance) in (True, False)


def test_an_unknown_rule_is_an_error() -> None:
    with pytest.raises(KeyError, match="no-such-rule"):
        compare("no-such-rule", 1, 1)


# ---------------------------------------------------------------------------------------------------------------------
# Answers of APPS' functions, under both checkers
# ---------------------------------------------------------------------------------------------------------------------

BOTH, OFFICIAL, STRICT, NEITHER = (True, True), (True, False), (False, True), (False, False)

ANSWERS: list[tuple[Any, Any, tuple[bool, bool]]] = [
    (9, 9, BOTH),
    (9, [9], BOTH),
    ([9], [9], BOTH),
    ([[9]], [[9]], BOTH),
    (True, [True], BOTH),
    (1, [True], BOTH),
    (3.0, 3, BOTH),
    ("a", ["a"], BOTH),
    ([1, 2], [[1, 2]], BOTH),
    ((1, 2), [1, 2], BOTH),
    ((1, 2), [[1, 2]], BOTH),
    ([(1, 2), (3, 4)], [[[1, 2], [3, 4]]], BOTH),
    ({1: 2}, {"1": 2}, BOTH),
    ({1: 2}, [{"1": 2}], BOTH),
    ([{1: 2}], [{"1": 2}], BOTH),
    ([[1, "a"], {"k": None}], [[1, "a"], {"k": None}], BOTH),
    ([], [], BOTH),
    (None, None, BOTH),
    (None, [None], BOTH),
    # Wrong, and yet accepted by the benchmark's own rules.
    (7, [7, 8, 9], OFFICIAL),
    ([1, 2], [[1, 2], [3]], OFFICIAL),
    ([{1: 2}], [{"1": 2}, {"3": 4}], OFFICIAL),
    # Right, and yet rejected by them.
    (0.1 + 0.2, 0.3, STRICT),
    ([1 / 3], [[0.333333333]], STRICT),
    ([((1, 2), 3)], [[[[1, 2], 3]]], STRICT),
    ({"a": (1, 2)}, {"a": [1, 2]}, STRICT),
    ([(1, 2), (3, 4)], [[1, 2], [3, 4]], STRICT),
    (numpy.array([1, 2]), [1, 2], STRICT),
    (numpy.array([1, 2]), [[1, 2]], STRICT),
    (numpy.array([]), [], STRICT),
    ([numpy.array([1, 2])], [[1, 2]], STRICT),
    ([{1: 2}, 3], [{"1": 2}, 3], STRICT),
    ({None: 1, True: 2}, {"null": 1, "true": 2}, STRICT),
    ({1.5: 1}, {"1.5": 1}, STRICT),
    # An array of one element can be asked whether it is true.
    (numpy.array([7]), [7], BOTH),
    # Wrong for everybody.
    (8, [7], NEITHER),
    (7, [8, 7], NEITHER),
    ([7, 8], [7, 8, 9], NEITHER),
    ("7", 7, NEITHER),
    (None, [], NEITHER),
    (None, [0], NEITHER),
    ("", [], NEITHER),
    ({1, 2}, [1, 2], NEITHER),
    ({1: 2, "1": 2}, {"1": 2}, NEITHER),
    (range(2), [0, 1], NEITHER),
    (numpy.array([1, 3]), [1, 2], NEITHER),
    (1000000007.0, 1000000008, NEITHER),
    (0.5001, 0.5, NEITHER),
    ("0.5", 0.5, NEITHER),
    ([1, 2], None, NEITHER),
]


@pytest.mark.parametrize(("output", "expected", "accepted"), ANSWERS, ids=repr)
def test_an_answer_of_a_function_is_judged_by_both_checkers(
    output: Any, expected: Any, accepted: tuple[bool, bool]
) -> None:
    assert (compare("apps-official", output, expected), compare("apps-strict", output, expected)) == accepted


@given(json_values)
def test_the_expected_answer_is_strictly_accepted_as_json_tells_it(value: Any) -> None:
    assert compare("apps-strict", value, json.loads(json.dumps(value)))


@given(json_values)
def test_an_answer_may_be_expected_inside_a_list_of_one(value: Any) -> None:
    assert compare("apps-strict", value, [value])
    assert compare("apps-official", value, [value])


@given(st.lists(st.integers() | st.text(max_size=8) | st.lists(st.integers()), max_size=4))
def test_a_tuple_is_a_list_to_both(parts: list[Any]) -> None:
    assert compare("apps-strict", tuple(parts), parts)
    assert compare("apps-official", tuple(parts), parts)


@given(json_values, json_values)
def test_judging_leaves_both_values_as_they_were(output: Any, expected: Any) -> None:
    before = json.dumps([output, expected])
    compare("apps-official", output, expected)
    compare("apps-strict", output, expected)
    assert json.dumps([output, expected]) == before


@given(st.floats(-1e300, 1e300), st.floats(-0.9, 0.9))
def test_a_float_may_be_off_by_less_than_the_tolerance(expected: float, part: float) -> None:
    output = expected + part * TOLERANCE * max(1.0, abs(expected))
    assert near(output, expected)


@pytest.mark.parametrize("output", [1.000002, 0.999998, INFINITY, -INFINITY, NAN, 1.5])
def test_a_float_may_not_be_off_by_more(output: float) -> None:
    assert not near(output, 1.0)


# ---------------------------------------------------------------------------------------------------------------------
# Standard output, strictly
# ---------------------------------------------------------------------------------------------------------------------

ACCEPTED = [
    ("3\n", "3"),
    ("1 2\n3\n", "1 2 3"),
    ("1\n2\n3", "1 2\n3\n"),
    ("  YES \r\n", "YES\n"),
    ("\n\n", ""),
    ("0.5\n", "0.50"),
    ("0.5000004", "0.5"),
    (".5", "0.5"),
    ("5", "5.0"),
    ("5e-1", "0.5"),
    ("123456789.5", "123456789.4"),
    ("-0.0", "0.0"),
    ("nan", "nan"),
]

REJECTED = [
    ("", "3"),
    ("3 3", "3"),
    ("1 3 2", "1 2 3"),
    ("1 2", "1 1 2"),
    ("NO", "YES"),
    ("yes", "YES"),
    ("1000000000", "1000000007"),
    ("3.0", "3"),
    ("03", "3"),
    ("+3", "3"),
    ("1e3", "1000"),
    ("0.0004", "0.0001"),
    ("0.50001", "0.5"),
    ("0.5", ".5.5"),
    ("nan", "0.5"),
    ("inf", "1.0"),
    ("0,5", "0.5"),
    ("0_1.5", "01.5"),
    ("\u0661.5", "1.5"),
    ("x", "1.5"),
]


@pytest.mark.parametrize(("output", "expected"), ACCEPTED)
def test_the_same_tokens_in_the_same_order_are_accepted(output: str, expected: str) -> None:
    assert stdout_strict(output, expected)


@pytest.mark.parametrize(("output", "expected"), REJECTED)
def test_any_other_token_is_not_accepted(output: str, expected: str) -> None:
    assert not stdout_strict(output, expected)


@given(st.lists(words), st.lists(blanks, min_size=40, max_size=40), st.data())
def test_white_space_between_tokens_changes_nothing(tokens: list[str], gaps: list[str], data: st.DataObject) -> None:
    spread = "".join(token + gap for token, gap in zip(tokens, gaps, strict=False))
    assert stdout_strict(spread, " ".join(tokens[: len(gaps)]))


@given(st.lists(words, min_size=1), st.data())
def test_the_first_difference_is_where_a_token_was_changed(tokens: list[str], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(tokens) - 1))
    changed = [*tokens[:place], tokens[place] + "!", *tokens[place + 1 :]]
    assert first_difference(" ".join(changed), " ".join(tokens)) == (place + 1, tokens[place] + "!", tokens[place])


def test_a_missing_and_a_surplus_token_are_differences() -> None:
    assert first_difference("1", "1 2") == (2, None, "2")
    assert first_difference("1 2", "1") == (2, "2", None)
    assert first_difference("1 2", "1 2") is None
