"""Arguments that JSON cannot hold, and cases in every layout that is understood."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.conversion import CONVERTERS, case_sets, convert
from tasks.problem import Call


@pytest.mark.parametrize(
    ("conversion", "given_arguments", "expected"),
    [
        ("", [[1], {"a": [2]}], [[1], {"a": [2]}]),
        ("tuple", [[1, 2], [3]], [(1, 2), (3,)]),
        ("tuple -", [[1, [2]], [3], [4]], [(1, [2]), [3], [4]]),
        ("- tuple", [[1], [2, 3]], [[1], (2, 3)]),
        ("tuples", [[[1], [2]], [[3]]], [[(1,), (2,)], [(3,)]]),
        ("tuples -", [[[1]], [2]], [[(1,)], [2]]),
        ("tuple-of-tuples", [[[1, 2], 3]], [((1, 2), 3)]),
        ("tuples-by-key -", [{"a": [1, 2]}, [3]], [{"a": (1, 2)}, [3]]),
        ("deep-tuple", [[1, [2, [3]]]], [(1, (2, (3,)))]),
        ("sets", [[[1, 1, 2], [], 3]], [[{1, 2}, {}, {}]]),
        ("complex", ["(1+2j)"], [1 + 2j]),
        ("float complex", [1, "2j"], [1.0, 2j]),
    ],
)
def test_each_conversion_makes_what_its_name_says(conversion: str, given_arguments: Any, expected: Any) -> None:
    converted = convert(given_arguments, conversion)
    assert (converted, repr(converted)) == (expected, repr(expected))  # 1 == 1.0 == True; the text tells them apart


@given(st.lists(st.lists(st.integers()), max_size=5))
def test_a_conversion_changes_no_value_that_it_was_given(arguments: list[Any]) -> None:
    before = json.dumps(arguments)
    convert(arguments, "tuple")
    assert json.dumps(arguments) == before


def test_an_unknown_conversion_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'tupel' is no conversion; accepted: -, float, complex, tuple"):
        convert([[1]], "tupel")


@pytest.mark.parametrize("conversion", sorted(set(CONVERTERS) - {"-", "float", "deep-tuple"}))
def test_an_argument_that_does_not_fit_is_an_error_that_shows_it(conversion: str) -> None:
    with pytest.raises(ValueError, match="5"):
        convert(["5x" if conversion == "complex" else 5], conversion)


SETS: list[tuple[Any, list[tuple[str, list[Any], list[Any] | None]]]] = [
    ({"inputs": [[1]], "outputs": [2]}, [("", [[1]], [2])]),
    ({"inputs": [[1]], "outputs": None}, [("", [[1]], None)]),
    ([{"inputs": [[1]]}, {"inputs": [[2]]}], [("base", [[1]], None), ("plus", [[2]], None)]),
    ({"task_id": "x", "base_input": [[1]], "plus_input": [[2]]}, [("base", [[1]], None), ("plus", [[2]], None)]),
    ({"task_id": "x", "base_input": [[1]], "plus_input": {}}, [("base", [[1]], None), ("plus", [], None)]),
    ({"input_output": '{"fn_name": "f", "inputs": [[1]], "outputs": [2]}'}, [("", [[1]], [2])]),
]


@pytest.mark.parametrize(("value", "expected"), SETS, ids=["values", "reference", "two", "evalplus", "no plus", "apps"])
def test_cases_are_read_in_every_layout(value: Any, expected: Any) -> None:
    found = case_sets(Call(cases=json.dumps(value)))
    assert [(part.name, part.inputs, part.outputs) for part in found] == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"outputs": [1]}, "not laid out"),
        ([1], "not laid out"),
        ({"inputs": [1], "outputs": [1]}, "not a list"),
        ({"inputs": [[1]], "outputs": [1, 2]}, "not as many"),
    ],
)
def test_cases_in_any_other_layout_are_refused(value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        case_sets(Call(cases=json.dumps(value)))


def test_numbers_of_any_length_are_read() -> None:
    (found,) = case_sets(Call(cases='{"inputs": [[' + 9000 * "7" + "]]}"))
    assert found.inputs[0][0] % 10**9 == 777_777_777
