"""Each figure of decoding is what its definition says, on counts small enough to be counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from harness.decoding import append_statistics, read_statistics
from harness.report.decoding import decoding_figures, decoding_rows

# Two texts. One step over 1 token, in which both went on; two steps over 3, in the second of which one text ended.
STATISTICS: dict[str, Any] = {
    "completions": 1,
    "tokens": 12,
    "passes": 6,
    "close_calls": 0,
    "prompt_tokens": 9,
    "cut_prompts": 0,
    "prompt_s": 0.5,
    "decode_s": 5.0,
    "accepted": {"1": [2], "3": [1, 0, 2]},
    "steps": {"1": 1, "3": 2},
    "step_s": {"1": 1.0, "3": 4.0},
}


def test_figures_follow_their_definitions() -> None:
    figures = decoding_figures(STATISTICS)
    assert figures["tokens_per_forward"] == 2.0
    assert figures["accepted_by_position"] == [2 / 3, 2 / 3]
    assert figures["acceptance_rate"] == 4 / 6
    assert figures["step_cost_ratio"] == {"1": 1.0, "3": 2.0}
    assert figures["tokens_per_second"] == 12 / 5
    # Three steps took 5 seconds, three plain ones would have taken 3; each gave twice the tokens.
    assert figures["speedup_estimate"] == pytest.approx(2.0 / (5 / 3))


def test_without_plain_steps_no_cost_is_invented() -> None:
    figures = decoding_figures({**STATISTICS, "steps": {"3": 2}, "step_s": {"3": 4.0}, "accepted": {"3": [1, 0, 2]}})
    assert figures["step_cost_ratio"] == {}
    assert figures["speedup_estimate"] is None


def test_nothing_decoded_is_not_known_rather_than_zero() -> None:
    nothing = {name: {} if isinstance(value, dict) else 0 for name, value in STATISTICS.items()}
    figures = decoding_figures(nothing)
    assert figures["tokens_per_forward"] is None
    assert ("tokens per forward", "not known") in decoding_rows(figures)


def test_sessions_add_up(tmp_path: Any) -> None:
    longer = {**STATISTICS, "accepted": {"1": [5], "4": [1, 1, 1, 1]}, "fingerprint": "a"}
    for session in (STATISTICS, longer):
        append_statistics(tmp_path, {"model": "m"}, session)
    total = read_statistics(tmp_path)
    assert total["tokens"] == 24
    assert total["accepted"] == {"1": [7], "3": [1, 0, 2], "4": [1, 1, 1, 1]}
    assert total["step_s"] == {"1": 2.0, "3": 8.0}
    assert total["fingerprint"] == "a"


def test_a_run_without_decoding_has_no_statistics(tmp_path: Any) -> None:
    assert read_statistics(tmp_path) == {}
