"""What published figures alone show: against the worked reading of the paper, brute force, and controls."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness.published import CLAIMS, Contrast, contrast, find, load_entries
from harness.published.claim import Answer

ENTRIES = load_entries()


def claimed(name: str) -> dict[str, Contrast]:
    """Column -> the comparison that the paper makes."""
    pairs = [(find(ENTRIES, figure), find(ENTRIES, baseline)) for figure, baseline in CLAIMS[name]]
    return {figure.id.rpartition("/")[2]: contrast(figure, baseline) for [figure], [baseline] in pairs}


def made_up(above: str, below: str, *, m: int = 164, n: int | None = 200) -> Contrast:
    figure, baseline = (
        replace(ENTRIES[3], id=text, value=Decimal(text), num_problems=m, num_samples=n, selected_from=1)
        for text in (above, below)
    )
    return contrast(figure, baseline)


def test_every_claim_compares_the_same_score_of_the_same_problems() -> None:
    assert {name: len(claimed(name)) for name in CLAIMS} == {"13b": 2, "7b-200b": 6}


def test_the_noise_of_completions_is_that_of_the_worked_reading_of_table_1() -> None:
    halves = {column: round(100 * one.completions_half, 2) for column, one in claimed("7b-200b").items()}
    assert halves == {
        "humaneval@1": 0.65,
        "humaneval@10": 2.35,
        "humaneval@100": 7.34,
        "mbpp@1": 0.41,
        "mbpp@10": 1.38,
        "mbpp@100": 3.78,
    }


def test_the_noise_of_unrelated_problems_is_that_of_the_worked_reading_of_table_1() -> None:
    halves = {column: round(100 * one.problems_half_unrelated, 1) for column, one in claimed("7b-200b").items()}
    assert halves == {
        "humaneval@1": 9.2,
        "humaneval@10": 10.5,
        "humaneval@100": 10.4,
        "mbpp@1": 5.8,
        "mbpp@10": 6.2,
        "mbpp@100": 5.3,
    }


def test_the_13b_gains_are_real_on_their_problems_and_undecided_beyond_them() -> None:
    for one in claimed("13b").values():
        assert one.on_these_problems is Answer.SHOWN
        assert one.on_other_problems is Answer.UNDECIDED


def test_at_13b_plausible_spreads_carry_mbpp_and_leave_humaneval_open() -> None:
    answers = {column: one.plausible for column, one in claimed("13b").items()}
    assert answers == {"humaneval@1": Answer.UNDECIDED, "mbpp@1": Answer.SHOWN}


def test_relative_gains_have_the_range_that_rounding_leaves() -> None:
    one = claimed("13b")["humaneval@1"]
    assert round(100 * one.relative, 1) == 12.1
    assert one.relative_low == pytest.approx(15.75 / 14.15 - 1)
    assert one.relative_high == pytest.approx(15.85 / 14.05 - 1)


SCORES = arrays.arrays(float, st.shared(st.integers(2, 40), key="m"), elements=st.floats(0, 1))


@given(SCORES, SCORES)
def test_no_scores_of_single_problems_are_noisier_than_the_bounds(one: np.ndarray, other: np.ndarray) -> None:
    high, low = max(one, other, key=np.mean), min(one, other, key=np.mean)
    above, below = (str(round(100 * float(scores.mean()), 9)) for scores in (high, low))
    assume(0 < Decimal(below) < Decimal(above))
    bounds = made_up(above, below, m=one.size)
    half = 1.959964 * float((high - low).std()) / one.size**0.5
    assert half <= bounds.problems_half_opposed + 1e-6


def test_models_that_solve_no_problem_in_common_reach_the_bound() -> None:
    high, low = np.zeros(100), np.zeros(100)
    high[:50], low[50:70] = 1, 1
    half = 1.959964 * float((high - low).std()) / 10
    assert made_up("50.0", "20.0", m=100).problems_half_opposed == pytest.approx(half, rel=1e-6)


@given(st.floats(0.001, 0.9))
def test_the_spread_that_is_needed_is_where_the_interval_touches_zero(spread: float) -> None:
    one = made_up("40.0", "30.0")
    half = 1.959964 * spread / one.treated.num_problems**0.5 if one.treated.num_problems else 0.0
    assert (one.gain - one.rounding > half) == (spread < one.spread_needed)


def test_control_a_gain_within_the_rounding_is_not_shown() -> None:
    one = made_up("30.1", "30.0")
    assert (one.on_these_problems, one.on_other_problems) == (Answer.NOT_SHOWN, Answer.NOT_SHOWN)


def test_control_a_gain_within_the_noise_of_completions_cannot_be_decided() -> None:
    one = made_up("33.0", "30.0", n=1)
    assert (one.on_these_problems, one.on_other_problems, one.plausible) == (Answer.UNDECIDED, Answer.UNDECIDED, None)


def test_control_a_gain_of_forty_points_is_shown_for_any_problems() -> None:
    assert made_up("70.0", "30.0").on_other_problems is Answer.SHOWN


def test_an_unknown_number_of_samples_counts_as_the_fewest() -> None:
    assert made_up("33.0", "30.0", n=None).completions_half == made_up("33.0", "30.0", n=1).completions_half


def test_the_best_of_several_may_be_too_high() -> None:
    assert claimed("7b-200b")["humaneval@1"].selection > 0 == claimed("13b")["humaneval@1"].selection


@pytest.mark.parametrize(
    ("figure", "baseline", "message"),
    [
        ("gloeckle-s7/13b-n4/mbpp@1", "gloeckle-s7/13b-n1/humaneval@1", "not the same score"),
        ("gloeckle-s7/13b-n4/mbpp@10", "gloeckle-s7/13b-n1/mbpp@1", "not the same score"),
        ("gloeckle-s7/13b-n1/mbpp@1", "gloeckle-s7/13b-n4/mbpp@1", "no gain"),
        ("gloeckle-s2/heads-4/code: speedup", "gloeckle-s2/heads-1/code: speedup", "no pass@k"),
        ("deepseek-v3/15.7b-mtp/mbpp@1", "deepseek-v3/15.7b-baseline/mbpp@1", "how many problems"),
    ],
)
def test_figures_that_make_no_claim_are_refused(figure: str, baseline: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contrast(find(ENTRIES, figure)[0], find(ENTRIES, baseline)[0])
