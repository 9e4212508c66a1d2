"""junit.xml: what a CI system makes of it."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import render_junit


def suite_of(results: dict[str, Any]) -> ElementTree.Element:
    suite = ElementTree.fromstring(render_junit(results)).find("testsuite")
    assert suite is not None
    return suite


def test_complete_run_has_a_passing_case_for_itself_and_for_each_k(complete: dict[str, Any]) -> None:
    suite = suite_of(complete)
    assert suite.attrib == {"name": "mini", "tests": "3", "failures": "0", "errors": "0", "skipped": "0"}
    assert [case.get("name") for case in suite] == ["complete", "pass@1", "pass@4"]
    assert not suite.findall(".//failure")


def test_incomplete_run_fails_and_says_how_many_samples_lack_a_verdict(incomplete: dict[str, Any]) -> None:
    suite = suite_of(incomplete)
    (failure,) = suite.findall("testcase[@name='complete']/failure")
    assert failure.get("message") == "1 unjudged and 1 missing of 12 samples"
    assert suite.get("failures") == "1"


def test_score_without_an_estimate_is_skipped_with_its_reason(incomplete: dict[str, Any]) -> None:
    suite = suite_of(incomplete)
    (skipped,) = suite.findall("testcase[@name='pass@4']/skipped")
    assert "needs 4 judged samples" in (skipped.get("message") or "")
    assert suite.get("skipped") == "1"


def test_properties_carry_the_score_as_fractions_to_the_last_digit(complete: dict[str, Any]) -> None:
    score = complete["tasks"]["mini"]["pass_at_k"]["1"]
    found = suite_of(complete).findall("testcase[@name='pass@1']/properties/property")
    properties = {prop.get("name"): prop.get("value") for prop in found}
    assert float(properties["estimate"] or "") == score["estimate"]
    assert [float(properties[f"ci_problems_{end}"] or "") for end in ("low", "high")] == score["ci_problems"]
    assert properties["method"] == score["method"]


@pytest.mark.parametrize(("num_problems", "num_notes"), [(4, 2), (60, 0)])
def test_notes_are_properties_each_however_many_there_are(results_of: Any, num_problems: int, num_notes: int) -> None:
    results = results_of({f"M/{i}": "pppp" if i % 2 else "pwpw" for i in range(num_problems)}, [1])
    score = results["tasks"]["mini"]["pass_at_k"]["1"]
    found = suite_of(results).findall("testcase[@name='pass@1']/properties/property")
    notes = [prop.get("value") for prop in found if (prop.get("name") or "").startswith("note_")]
    assert notes == score["notes"]
    assert len(notes) == num_notes


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=20))
def test_any_task_name_gives_xml_that_parses_and_encodes(name: str) -> None:
    task = {"complete": False, "unjudged": 1, "missing": 0, "samples": 1, "pass_at_k": {}}
    text = render_junit({"tasks": {name: task}})
    assert ElementTree.fromstring(text.encode()).find("testsuite") is not None


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x0b", "\ud800", "\uffff"])
def test_characters_that_xml_cannot_carry_are_left_out(character: str) -> None:
    task = {"complete": True, "unjudged": 0, "missing": 0, "samples": 1, "pass_at_k": {}}
    assert suite_of({"tasks": {f"a{character}b": task}}).get("name") == "ab"
