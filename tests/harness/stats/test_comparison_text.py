"""Tables for people: every column that was agreed on, and words in place of numbers that do not exist."""

from __future__ import annotations

import numpy as np
import pytest

from harness.report.comparison_text import (
    render_comparisons,
    render_scores,
    render_temperatures,
)
from harness.stats import Counts, score
from harness.stats.family import Member, compare_family
from harness.stats.temperature import best_temperature

SOLVED = np.arange(100) % 4


def counts(n: int, share: float = 1.0) -> Counts:
    return Counts.of(np.full(100, n), np.rint(n * share * SOLVED / 3).astype(int))


def cells(table: str, row: int = 0) -> dict[str, str]:
    """One row of the first table in a text, by the names of its columns."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return dict(zip(lines[0], lines[2 + row], strict=True))


def test_scores_have_all_their_columns() -> None:
    row = cells(render_scores({"mini": [score(counts(20), 10)]}, {"mini": "0.8"}))
    assert row["task"] == "mini"
    assert (row["k"], row["m"], row["n"], row["T"]) == ("10", "100", "20", "0.8")
    # Never solved, 7 of 20, 13 of 20, always: a quarter of the problems each.
    assert row["pass@k"] == "74.96 %"
    assert (row["unsolved"], row["always solved"], row["missing"]) == ("25", "25", "0")
    assert row["method"] == "wilson_neff_t_guard3; wilson_eb_t_guard3"
    for name in ("problems", "benchmark", "SE problems", "SE benchmark", "noise of completions", "df"):
        assert row[name]


def test_score_of_single_completions_says_what_is_not_known() -> None:
    text = render_scores({"mini": [score(counts(1), 1)]})
    assert cells(text)["benchmark"].startswith("not estimable (n=1), at most +-")
    assert cells(text)["T"] == "?"
    assert "noise of completions not estimable" in text


def test_comparisons_have_all_their_columns() -> None:
    members = [Member(name=f"mini@{k}", a=counts(20), b=counts(20, 0.8), k=k) for k in (1, 2)]
    text = render_comparisons(compare_family(members, primary=["mini@1"]))
    row = cells(text)
    assert (row["comparison"], row["k"], row["A"], row["B"]) == ("mini@1", "1", "50.00 %", "40.00 %")
    assert (row["difference"], row["wins/losses/ties"], row["finding"]) == ("-10.00", "0/75/25", "worse")
    assert row["relative gain"].startswith("-20.0 % (")
    assert row["p corrected"].endswith("(holm)")
    for name in ("problems", "bootstrap", "benchmark", "p", "correlation", "MDE (80 %)"):
        assert row[name]
    assert "for exploring only: mini@2." in text


def test_single_completions_are_compared_with_mcnemars_test() -> None:
    a = Counts.of(np.ones(100, dtype=int), (SOLVED > 1).astype(int))
    b = Counts.of(np.ones(100, dtype=int), (SOLVED > 2).astype(int))
    text = render_comparisons(compare_family([Member(name="mini", a=a, b=b, k=1)]))
    assert "McNemar's exact test: mini: 0 against 25, p = <0.0001." in text
    assert cells(text)["benchmark"] == "not estimable (n=1)"


def test_baseline_that_never_passes_has_no_gain() -> None:
    none = Counts.of(np.full(100, 2), np.zeros(100, dtype=int))
    text = render_comparisons(compare_family([Member(name="mini", a=none, b=counts(2), k=1)]))
    assert cells(text)["relative gain"] == "no baseline"


@pytest.mark.parametrize("k", [1, 5])
def test_temperatures_are_all_shown_with_both_choices(k: int) -> None:
    best = best_temperature({0.2: counts(20), 0.8: counts(20, 0.5)}, k, np.random.default_rng(0))
    text = render_temperatures([best])
    assert [cells(text, row)["T"] for row in (0, 1)] == ["0.2", "0.8"]
    assert cells(text)["chosen by halves"] == "100 %, 100 %"
    chosen = cells(text.split("\n\n")[1])
    assert (chosen["best T, cross-fitted"], chosen["oracle T"]) == ("0.2", "0.2")
    assert abs(float(chosen["bias of the oracle"])) <= 0.05


def test_bars_in_names_do_not_break_the_table() -> None:
    text = render_scores({"a|b": [score(counts(20), 1)]})
    assert "a\\|b" in text
