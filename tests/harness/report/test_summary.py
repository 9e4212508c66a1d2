"""summary.md: everything a reader needs is there, and nothing can break its tables."""

from __future__ import annotations

import re
from typing import Any

from harness.records import Verdict
from harness.report import render_summary

RUN = {"sandbox": {"layers": ["user namespace", "seccomp"]}, "packages": "standard library only"}


def test_scores_are_percent_with_both_intervals_named(complete: dict[str, Any]) -> None:
    text = render_summary(RUN, complete)
    assert "| task | problems | samples | k | n | pass@k | interval: problems | interval: benchmark |" in text
    assert re.search(r"\| mini \| 3 \| 12 \| 1 \| 4 \| 41\.67 % \| \S+ to \S+ \(95 %\) \| \S+ to \S+ \(95 %\) \|", text)


def test_interval_that_is_not_estimable_says_so_and_how_wide_it_may_be(results_of: Any) -> None:
    text = render(results_of({"M/0": "p", "M/1": "w", "M/2": "w"}, [1]))
    assert re.search(r"\| 33\.33 % \| .* \| not estimable \(n=1\), at most ±65\.33 points \|", text)


def test_what_the_intervals_rest_on_is_shown_for_each_score(complete: dict[str, Any]) -> None:
    text = render(complete)
    header = "| task | k | SE: problems | SE: benchmark | of the variance, completions make | df | unsolved |"
    assert header in text
    row = r"\| mini \| 1 \| \d+\.\d\d \| \d+\.\d\d \| \d+ % \| \d+ \| 1 \| 1 \| problems: \S+; benchmark: \S+ \|"
    assert re.search(row, text)
    assert "- 3 problems: the intervals cover more than they claim, on purpose" in text


def test_where_no_score_is_known_nothing_is_said_of_its_noise(results_of: Any) -> None:
    assert "SE: problems" not in render(results_of({"M/0": "u"}, [1]))


def test_covers_names_protocol_data_sandbox_and_packages(complete: dict[str, Any]) -> None:
    text = render_summary(RUN, complete)
    for row in (
        "| protocol | c0ffee |",
        f"| data sha256 | HumanEval.jsonl.gz: {'ab' * 32} |",
        "| sandbox layers | user namespace, seccomp |",
        "| packages | standard library only |",
    ):
        assert row in text


def test_facts_that_were_not_recorded_are_shown_as_such(complete: dict[str, Any]) -> None:
    text = render_summary({}, {**complete, "protocol": {}})
    for what in ("protocol", "data sha256", "sandbox layers", "packages"):
        assert f"| {what} | not recorded |" in text


def test_incomplete_run_says_so_above_its_scores(incomplete: dict[str, Any]) -> None:
    text = render(incomplete)
    assert 0 < text.index("**Incomplete**: mini has 1 unjudged and 1 missing of 12 samples") < text.index("pass@k")


def test_complete_run_does_not_mention_incompleteness(complete: dict[str, Any]) -> None:
    assert "Incomplete" not in render(complete)


def test_score_without_an_estimate_gives_its_reason(incomplete: dict[str, Any]) -> None:
    reason = "not estimable: pass@4 needs 4 judged samples, 'M/1' has 2 (too few in 1 of 3 problems)"
    assert f"| {reason} |  |  |" in render(incomplete)


def test_names_with_pipes_newlines_and_tags_cannot_break_a_table(results_of: Any) -> None:
    text = render(results_of({"M/0": "p"}, [1], task_name="a|b\n<c>"))
    assert "| a\\|b &lt;c> | 1 | 1 |" in text
    rows = [line for line in text.splitlines() if line.startswith("| a")]
    assert len(rows) == 4


def test_both_checkers_are_shown_and_how_often_they_disagree(results_of: Any, grade_of: Any) -> None:
    text = render(results_of.of_grades([grade_of(Verdict.WRONG_ANSWER, tests="po")]))
    assert "| mini | strict | 0.00 % | 50.00 % |" in text
    assert "| mini | official | 100.00 % | 100.00 % |" in text
    assert "The checkers disagree on tests of 1 samples" in text


def test_an_average_that_is_not_known_says_why(results_of: Any, grade_of: Any) -> None:
    text = render(results_of.of_grades([grade_of(Verdict.WRONG_ANSWER, tests="w-")]))
    assert "| mini | strict | 0.00 % | not known: some tests were not run |" in text


def test_where_no_tests_are_counted_no_checker_is_mentioned(complete: dict[str, Any]) -> None:
    assert "checker" not in render(complete)


def test_problems_that_were_left_out_are_counted_with_the_reason(results_of: Any, grade_of: Any) -> None:
    text = render(results_of.of_grades([grade_of(Verdict.PASSED)], excluded={"without tests": 7}))
    assert "| problems without tests, left out | 7 |" in text


def test_the_preset_is_named(results_of: Any, grade_of: Any) -> None:
    text = render(results_of.of_grades([grade_of(Verdict.PASSED)], preset={"name": "codex", "stops": []}))
    assert "| preset | codex |" in text


def render(results: dict[str, Any]) -> str:
    return render_summary(RUN, results)
