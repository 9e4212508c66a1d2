"""What may not be compared, named field by field."""

from __future__ import annotations

from typing import Any

import pytest

from harness.stats.protocol import NotComparable, protocol_differences, task_differences

PROTOCOL: dict[str, Any] = {"task": "humaneval", "limits": {"cpu_s": 1.0, "memory_bytes": 1 << 30}, "hash": "a"}


def test_equal_protocols_differ_in_nothing() -> None:
    assert not protocol_differences(PROTOCOL, dict(PROTOCOL))


def test_fields_that_differ_are_named_with_both_values_at_any_depth() -> None:
    other = {**PROTOCOL, "limits": {"cpu_s": 2.0, "memory_bytes": 1 << 30}}
    (difference,) = protocol_differences(PROTOCOL, other)
    assert str(difference) == "limits.cpu_s: 1.0 and 2.0"


def test_a_field_that_one_does_not_record_differs() -> None:
    (difference,) = protocol_differences({"task": "mini"}, {"task": "mini", "preset": "codex"})
    assert str(difference) == "preset: not recorded and 'codex'"


def test_the_hash_alone_is_not_worth_a_line_of_its_own() -> None:
    assert not protocol_differences(PROTOCOL, {**PROTOCOL, "hash": "b"})


@pytest.mark.parametrize("allowed", ["limits", "limits.cpu_s"])
def test_named_fields_may_differ_and_so_may_what_they_hold(allowed: str) -> None:
    other = {**PROTOCOL, "limits": {"cpu_s": 2.0, "memory_bytes": 1 << 30}}
    assert not protocol_differences(PROTOCOL, other, {allowed})


def test_problems_of_one_only_are_listed() -> None:
    differences = task_differences(list("abc"), list("bcd"))
    assert [str(difference) for difference in differences] == ["problems: 3 and 3", "problems of one only: a and d"]


def test_order_of_problems_does_not_matter() -> None:
    assert not task_differences(list("abc"), list("cab"))


def test_a_subset_is_enough_where_that_is_allowed_but_not_nothing() -> None:
    assert not task_differences(list("abc"), list("bcd"), allow_subset=True)
    assert task_differences(list("abc"), list("xyz"), allow_subset=True)


def test_message_lists_the_fields_and_says_what_to_do() -> None:
    error = NotComparable(task_differences(list("ab"), list("b")))
    assert "problems of one only: a and none" in str(error)
    assert "or name the fields that may differ" in str(error)
    assert len(error.differences) == 2
