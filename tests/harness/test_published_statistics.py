"""A run beside a published figure: against enumeration, simulated faithful and unfaithful runs, and controls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.stats import pass_at_k, problems_interval
from harness.stats.intervals import completion_variance
from harness.stats.published import (
    Consistency,
    Equality,
    Reproduction,
    compare_to_published,
    expected_best,
)
from harness.stats.variance import run_variance

M = 164
FINE = 1e-6
"""The step of a figure that is printed with so many decimals that its rounding does not matter."""

SEVEN = [(20, 1, 1), (20, 20, 1), (200, 200, 1), (20, 20, 10), (200, 200, 10), (200, 200, 100), (20, 200, 10)]
"""(n, n of the published run, k)."""


Difficulties = Callable[[np.random.Generator], np.ndarray]


def codex_like(rng: np.random.Generator) -> np.ndarray:
    """Fitted to Codex-12B's 28.8, 46.8 and 72.3 at k = 1, 10 and 100."""
    return rng.beta(0.194, 0.538, M)


def mostly_certain(rng: np.random.Generator) -> np.ndarray:
    """Four problems in five always or never pass, so that a few others make all the noise."""
    u = rng.random(M)
    return np.where(u < 0.35, 0.0, np.where(u < 0.8, 1.0, rng.random(M)))


def faithful_runs(
    n: int, n_published: int, k: int, runs: int, shift: float = 0.0, difficulties: Difficulties = codex_like
) -> list[tuple[np.ndarray, float, np.ndarray]]:
    """Our counts, the mean that another run publishes, and that run's counts; it draws from `shift` better a model."""
    rng = np.random.default_rng(20245)
    drawn = []
    for _ in range(runs):
        p = difficulties(rng)
        theirs = rng.binomial(n_published, np.clip(p + shift, 0, 1))
        drawn.append((rng.binomial(n, p), float(pass_at_k(n_published, theirs, k).mean()), theirs))
    return drawn


def flagged(
    runs: int,
    n: int,
    n_published: int,
    k: int,
    shift: float = 0.0,
    *,
    known: bool = True,
    difficulties: Difficulties = codex_like,
) -> float:
    """The share of runs that are called inconsistent, with or without the number of samples published."""
    told = n_published if known else None
    results = [
        compare_to_published(n, c, k, published, unit=FINE, n_published=told)
        for c, published, _ in faithful_runs(n, n_published, k, runs, shift, difficulties)
    ]
    return float(np.mean([result.consistency is Consistency.INCONSISTENT for result in results]))


def variance_of_run(p: float, n: int, k: int) -> float:
    """The true Var(pass@k) of a run of n samples of a problem that passes with chance p, by enumeration."""
    c = np.arange(n + 1)
    chances = stats.binom.pmf(c, n, p)
    values = pass_at_k(n, c, k)
    return float(chances @ values**2 - (chances @ values) ** 2)


def compare(c: list[int] | np.ndarray, n: int, k: int, published: float, **more: Any) -> Reproduction:
    return compare_to_published(n, c, k, published, **{"unit": 0.001, **more})


# ---------------------------------------------------------------------------------------------------------------------
# The variance of another run
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "n_run", "k"), [(20, 1, 1), (20, 200, 1), (40, 20, 10), (200, 20, 10), (200, 200, 100)])
@pytest.mark.parametrize("p", [0.003, 0.1, 0.5, 0.97])
def test_the_variance_of_another_run_is_unbiased(n: int, n_run: int, k: int, p: float) -> None:
    estimates = run_variance(n, np.arange(n + 1), k, n_run)
    assert abs(stats.binom.pmf(np.arange(n + 1), n, p) @ estimates - variance_of_run(p, n_run, k)) < 1e-12


@given(st.integers(1, 5), st.integers(0, 30), st.data())
def test_the_variance_of_a_run_of_our_size_is_that_of_our_own(k: int, more: int, data: st.DataObject) -> None:
    n = 2 * k + more
    c = np.array(data.draw(st.lists(st.integers(0, n), min_size=1, max_size=20)))
    assert run_variance(n, c, k, n) == pytest.approx(completion_variance(n, c, k), abs=1e-13)


@given(st.integers(1, 5), st.integers(0, 20), st.integers(0, 30))
def test_the_variance_is_never_negative_and_falls_with_the_size_of_the_run(k: int, more: int, extra: int) -> None:
    n = 2 * k + more
    c = np.arange(n + 1)
    small, large = run_variance(n, c, k, k + extra), run_variance(n, c, k, k + extra + 1)
    assert np.all(large >= 0)
    assert np.all(small >= large - 1e-15)


def test_a_run_of_fewer_than_k_samples_has_no_variance() -> None:
    with pytest.raises(ValueError, match="no pass@10"):
        run_variance(20, [1], 10, 9)


# ---------------------------------------------------------------------------------------------------------------------
# Consistency
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "n_published", "k"), SEVEN)
def test_a_faithful_run_is_flagged_one_time_in_twenty(n: int, n_published: int, k: int) -> None:
    assert 0.03 <= flagged(1000, n, n_published, k) <= 0.07


@pytest.mark.parametrize(("n", "n_published", "k"), [(20, 20, 10), (200, 200, 100), (20, 200, 10)])
def test_a_faithful_run_is_flagged_no_more_often_where_few_problems_make_all_the_noise(
    n: int, n_published: int, k: int
) -> None:
    assert 0.01 <= flagged(800, n, n_published, k, difficulties=mostly_certain) <= 0.07


def test_control_a_normal_quantile_flags_faithful_runs_twice_as_often_there() -> None:
    flags = []
    for c, published, _ in faithful_runs(20, 20, 10, 500, difficulties=mostly_certain):
        half = 1.96 * math.sqrt(2 * completion_variance(20, c, 10).sum()) / M
        flags.append(abs(pass_at_k(20, c, 10).mean() - published) > half)
    assert np.mean(flags) > 0.08


def test_control_a_figure_taken_as_exact_flags_faithful_runs_far_too_often() -> None:
    flags = []
    for c, published, _ in faithful_runs(20, 20, 1, 500):
        half = 1.96 * math.sqrt(completion_variance(20, c, 1).sum()) / M
        flags.append(abs(pass_at_k(20, c, 1).mean() - published) > half)
    assert np.mean(flags) > 0.12


def test_control_an_interval_for_other_problems_never_finds_a_gap_of_2_5_points() -> None:
    flags = []
    for c, published, _ in faithful_runs(20, 200, 1, 200, shift=0.0258):
        interval = problems_interval(pass_at_k(20, c, 1))
        flags.append(not interval.low <= published <= interval.high)
    assert np.mean(flags) < 0.02
    assert flagged(200, 20, 200, 1, shift=0.0258) > 0.95


@pytest.mark.parametrize(("n", "n_published", "k"), [(20, 20, 1), (20, 200, 10)])
def test_an_unknown_number_of_samples_is_taken_as_the_fewest_and_flags_less(n: int, n_published: int, k: int) -> None:
    assert flagged(500, n, n_published, k, known=False) <= 0.02


def best_of_five(selected_from: int) -> float:
    """The share of faithful runs that are flagged where the best of five equal runs was published."""
    rng = np.random.default_rng(20246)
    flags = []
    for _ in range(600):
        p = codex_like(rng)
        published = max(float(rng.binomial(20, p).mean()) / 20 for _ in range(5))
        result = compare(
            rng.binomial(200, p), 200, 1, published, n_published=20, selected_from=selected_from, unit=FINE
        )
        flags.append(result.consistency is Consistency.INCONSISTENT)
    return float(np.mean(flags))


def test_the_best_of_five_is_not_flagged_where_it_is_said_to_be_that() -> None:
    assert best_of_five(5) <= 0.05
    assert best_of_five(1) >= 0.10


def test_the_best_of_several_may_lie_above_ours_but_not_below() -> None:
    c = np.full(M, 6)
    ours = 0.3
    plain, chosen = (compare(c, 20, 1, ours, n_published=20, selected_from=count) for count in (1, 5))
    assert chosen.low == plain.low
    assert chosen.high == pytest.approx(plain.high + chosen.selection)
    assert chosen.selection > 0


@pytest.mark.parametrize(("count", "value"), [(1, 0.0), (2, 1 / math.sqrt(math.pi)), (5, 1.16296)])
def test_the_expected_best_of_several_normal_draws(count: int, value: float) -> None:
    assert expected_best(count) == pytest.approx(value, abs=1e-5)


LAYOUTS: list[Callable[[float], np.ndarray]] = [  # all alike, of every difficulty, each always or never
    lambda mean: np.random.default_rng(1).binomial(200, np.full(M, mean)),
    lambda mean: np.random.default_rng(2).binomial(200, np.random.default_rng(3).beta(mean, 1 - mean, M)),
    lambda mean: np.where(np.arange(M) < mean * M, 200, 0),
]


def counts_with_mean(layout: Callable[[float], np.ndarray], mean: float) -> np.ndarray:
    """Counts of 200 samples whose pass@1 is `mean` to the last sample, problem by problem as in the layout."""
    c = layout(mean)
    lacking = round(mean * 200 * M) - int(c.sum())
    while lacking:
        step = int(np.sign(lacking))
        free = np.flatnonzero((c + step >= 0) & (c + step <= 200))[: abs(lacking)]
        c[free] += step
        lacking -= step * free.size
    return c


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("ours", "published"), [(0.3011, 0.336), (0.382, 0.408)])
def test_failed_reproductions_of_starcoder_are_found_whatever_the_problems(
    layout: Callable[[float], np.ndarray], ours: float, published: float
) -> None:
    result = compare(counts_with_mean(layout, ours), 200, 1, published, n_published=200)
    assert result.consistency is Consistency.INCONSISTENT
    assert result.ours == pytest.approx(ours, abs=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS[:2])
def test_a_good_reproduction_of_starcoder_is_consistent_where_problems_are_not_all_certain(
    layout: Callable[[float], np.ndarray],
) -> None:
    result = compare(counts_with_mean(layout, 0.335), 200, 1, 0.336, n_published=200)
    assert result.consistency is Consistency.CONSISTENT


def test_rounding_alone_can_explain_a_difference() -> None:
    """Problems that always or never pass have no noise to speak of, but a figure without decimals has."""
    c = np.where(np.arange(M) < 50, 200, 0)
    published = round(50 / M, 2)
    assert compare(c, 200, 1, published, n_published=200, unit=0.01).consistency is Consistency.CONSISTENT
    other = compare(c, 200, 1, published + 0.03, n_published=200, unit=0.01)
    assert other.consistency is Consistency.INCONSISTENT


def test_no_pass_at_all_is_consistent_with_one_pass_in_a_thousand_and_not_with_more() -> None:
    nothing = np.zeros(1000, dtype=int)
    assert compare(nothing, 20, 1, 0.001, n_published=1).consistency is Consistency.CONSISTENT
    assert compare(nothing, 20, 1, 0.001, n_published=20).consistency is Consistency.INCONSISTENT
    assert compare(nothing, 20, 1, 0.05, n_published=1).consistency is Consistency.INCONSISTENT
    assert compare(nothing, 20, 1, 0.0, n_published=20, unit=FINE).p_value == pytest.approx(1)


def test_single_samples_have_the_bound_in_place_of_their_noise_and_say_so() -> None:
    c = np.random.default_rng(5).binomial(1, codex_like(np.random.default_rng(4)))
    short = compare(c, 1, 1, 0.3, n_published=1)
    assert short.method == "bound"
    assert short.se_ours == pytest.approx(math.sqrt((short.ours + 0.3) / 2 * (1 - (short.ours + 0.3) / 2) / M))


def test_with_fewer_than_2k_samples_empirical_bayes_stands_in_and_says_so() -> None:
    c = np.random.default_rng(5).binomial(100, codex_like(np.random.default_rng(4)))
    short = compare(c, 100, 100, 0.7, n_published=100)
    assert short.method == "eb_t"
    assert 0 < short.se_ours < math.sqrt(short.ours * (1 - short.ours) / M)
    assert compare(c, 100, 50, 0.6, n_published=100).method == "ustat_t"


def test_greedy_runs_are_given_the_noise_of_one_sampled_answer() -> None:
    c = (np.arange(M) < 55).astype(int)
    assert compare(c, 1, 1, 51 / M, greedy=True).consistency is Consistency.CONSISTENT
    assert compare(c, 1, 1, 0.6, greedy=True).consistency is Consistency.INCONSISTENT
    assert compare(c, 1, 1, 51 / M, greedy=True).needed_n is None


# ---------------------------------------------------------------------------------------------------------------------
# Equality
# ---------------------------------------------------------------------------------------------------------------------


def share_reproduced(n: int, margin: float, shift: float = 0.0) -> float:
    results = [
        compare_to_published(n, c, 1, published, unit=FINE, n_published=n, margin=margin)
        for c, published, _ in faithful_runs(n, n, 1, 400, shift)
    ]
    return float(np.mean([result.equality is Equality.REPRODUCED for result in results]))


def test_equal_models_are_shown_to_be_equal_where_the_noise_allows_it() -> None:
    assert share_reproduced(20, 0.02) > 0.65
    assert share_reproduced(200, 0.01) > 0.95
    assert share_reproduced(1, 0.02) == 0


def test_models_a_margin_apart_are_hardly_ever_called_equal() -> None:
    rng = np.random.default_rng(20247)
    false = []
    for _ in range(1000):
        p = rng.beta(0.3, 0.7, M) * 0.96  # so that every problem can be passed 2 points more often
        published = float(rng.binomial(20, p + 0.02).mean()) / 20
        result = compare(rng.binomial(20, p), 20, 1, published, n_published=20, margin=0.02, unit=FINE)
        false.append(result.equality is Equality.REPRODUCED)
    assert np.mean(false) <= 0.065


def test_the_number_of_samples_that_is_asked_for_settles_it_as_often_as_promised() -> None:
    rng = np.random.default_rng(20248)
    p = codex_like(rng)
    needed = compare(rng.binomial(6, p), 6, 1, p.mean(), n_published=200, unit=FINE).needed_n
    assert needed is not None
    assert needed > 6
    shown = []
    for _ in range(300):
        published = float(rng.binomial(200, p).mean()) / 200
        result = compare(rng.binomial(needed, p), needed, 1, published, n_published=200, unit=FINE)
        shown.append(result.equality is Equality.REPRODUCED)
    assert np.mean(shown) > 0.65


def test_nobody_is_sent_for_samples_where_the_published_figure_is_too_noisy() -> None:
    c = np.full(M, 6)
    assert compare(c, 20, 1, 0.3, n_published=1).needed_n is None
    assert compare(c, 20, 1, 0.3, n_published=200).needed_n is not None


def test_nobody_is_sent_for_samples_where_the_two_are_shown_to_differ() -> None:
    result = compare(np.full(M, 60), 200, 1, 0.4, n_published=200)
    assert result.needed_n is None
    assert result.gap_high < -result.margin


# ---------------------------------------------------------------------------------------------------------------------
# Refusals
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "published", "more", "message"),
    [
        (1, 50.3, {}, "50.3 % is 0.503"),
        (10, 0.5, {"n_published": 5}, "cannot come from 5"),
        (30, 0.5, {}, "too few completions"),
        (10, 0.5, {"greedy": True}, "no pass@10"),
        (1, 0.5, {"margin": 2.0}, "margin"),
        (1, 0.5, {"level": 95}, "level"),
        (1, 0.5, {"selected_from": 0}, "best of at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(k: int, published: float, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare([3] * 10, 20, k, published, **more)
