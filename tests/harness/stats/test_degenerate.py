"""Suites at the edge: whatever the counts, an answer comes out, without a warning and without false certainty."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.report.comparison_text import render_comparisons, render_scores
from harness.stats import Counts, compare, confidence_interval, gate, gate_chances, score
from harness.stats.family import Member, compare_family
from harness.stats.power import plan
from harness.stats.temperature import best_temperature

SUITES = {
    "one problem": (([5], [2]), ([5], [4])),
    "all fail": (([5] * 4, [0] * 4), ([5] * 4, [0] * 4)),
    "all pass": (([5] * 4, [5] * 4), ([5] * 4, [5] * 4)),
    "from nothing to all": (([5] * 4, [0] * 4), ([5] * 4, [5] * 4)),
    "single completions": (([1] * 4, [0, 1, 0, 1]), ([1] * 4, [1, 1, 0, 0])),
    "unequal numbers": (([2, 5, 9], [0, 2, 9]), ([2, 2, 2], [1, 1, 1])),
    "opposite": (([3, 3], [0, 3]), ([3, 3], [3, 0])),
}


@pytest.fixture(params=SUITES)
def pair(request: pytest.FixtureRequest) -> tuple[Counts, Counts]:
    a, b = SUITES[request.param]
    return Counts.of(*a), Counts.of(*b)


def test_comparison_never_claims_to_know_the_difference_exactly(pair: tuple[Counts, Counts]) -> None:
    result = compare(*pair, 1)
    assert result.problems.low < result.problems.high
    assert 0 < result.p_signflip <= 1
    assert result.benchmark is None or result.benchmark.low < result.benchmark.high


def test_score_never_claims_to_be_known_exactly(pair: tuple[Counts, Counts]) -> None:
    for counts in pair:
        result = score(counts, 1)
        assert result.problems.low < result.problems.high
        assert result.benchmark is None or result.benchmark.low < result.benchmark.high


def test_gate_decides_nothing_about_so_few_problems_and_its_forecast_says_so(pair: tuple[Counts, Counts]) -> None:
    baseline, candidate = pair
    assert gate(baseline, baseline).decision.value == "INCONCLUSIVE"
    assert gate(candidate, baseline).decision.value in ("INCONCLUSIVE", "PASS")
    chances = gate_chances(baseline)
    assert all(0 <= share <= 1 for share in (chances.passed, chances.failed, chances.inconclusive))


def test_all_text_can_be_written(pair: tuple[Counts, Counts]) -> None:
    a, b = pair
    text = [
        render_comparisons(compare_family([Member(name="x", a=a, b=b, k=1)])),
        render_scores({"t": [score(a, 1)]}),
    ]
    assert all("nan" not in part for part in text)


@pytest.mark.parametrize("method", ["t", "percentile", "bca"])
def test_every_interval_can_be_had(pair: tuple[Counts, Counts], method: str) -> None:
    interval = confidence_interval(pair[0], 1, method=method)
    assert interval is not None
    assert interval.low <= interval.estimate <= interval.high


def test_plans_and_temperatures_take_two_completions_and_no_more(pair: tuple[Counts, Counts]) -> None:
    a, b = pair
    if min(a.n.min(), b.n.min()) < 2:
        with pytest.raises(ValueError, match="2"):
            plan(a, b, effect=0.1)
        return
    assert all(math.isfinite(row.mde) for row in plan(a, b, effect=0.1))
    assert 0 <= best_temperature({0.2: a, 0.8: b}, 1, np.random.default_rng(0)).cross_fit.estimate <= 1
