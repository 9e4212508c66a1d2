"""Intervals against theory, enumeration and their own coverage in simulated suites."""

from __future__ import annotations

import math
from collections.abc import Callable
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.stats import Interval, Target, benchmark_interval, pass_at_k, problems_interval
from harness.stats.intervals import completion_variance

Difficulties = Callable[[np.random.Generator, int], np.ndarray]
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


def even(rng: np.random.Generator, m: int) -> np.ndarray:
    return rng.beta(0.3, 0.7, m)


def codex_like(rng: np.random.Generator, m: int) -> np.ndarray:
    """Fitted to Codex-12B's 28.8, 46.8 and 72.3 at k = 1, 10 and 100."""
    return rng.beta(0.194, 0.538, m)


def saturated(rng: np.random.Generator, m: int) -> np.ndarray:
    return np.where(rng.random(m) < 0.85, 1.0, rng.beta(0.5, 1, m))


def true_pass_at_k(p: np.ndarray, k: int) -> float:
    return float((1 - (1 - p) ** k).mean())


def population_score(difficulties: Difficulties, k: int) -> float:
    return true_pass_at_k(difficulties(np.random.default_rng(0), 2_000_000), k)


def coverage_of_problems(
    interval: Callable[[np.ndarray], tuple[float, float]], difficulties: Difficulties, m: int, n: int, k: int
) -> float:
    """The share of 2000 simulated suites whose interval holds the population's score."""
    rng = np.random.default_rng(20240)
    truth = population_score(difficulties, k)
    intervals = (interval(pass_at_k(n, rng.binomial(n, difficulties(rng, m)), k)) for _ in range(2000))
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def coverage_of_benchmark(difficulties: Difficulties, m: int, n: int, k: int) -> float:
    """The share of 1000 runs whose interval holds the true score of that run's own problems."""
    rng = np.random.default_rng(20241)
    hits = []
    for _ in range(1000):
        p = difficulties(rng, m)
        interval = benchmark_interval(n, rng.binomial(n, p), k)
        assert interval is not None
        hits.append(interval.low <= true_pass_at_k(p, k) <= interval.high)
    return float(np.mean(hits))


def ours(scores: np.ndarray) -> tuple[float, float]:
    interval = problems_interval(scores)
    return interval.low, interval.high


def student_t(scores: np.ndarray) -> tuple[float, float]:
    half = stats.t.ppf(0.975, scores.size - 1) * scores.std(ddof=1) / math.sqrt(scores.size)
    return scores.mean() - half, scores.mean() + half


@pytest.mark.parametrize("difficulties", [even, codex_like])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (20, 1), (20, 10), (20, 20), (200, 100)])
def test_problems_interval_covers_95_percent_of_164_problem_suites(difficulties: Difficulties, n: int, k: int) -> None:
    assert 0.935 <= coverage_of_problems(ours, difficulties, 164, n, k) <= 0.97


@pytest.mark.parametrize("m", [20, 50, 164])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (20, 10), (200, 100)])
def test_problems_interval_holds_where_the_rare_failures_may_all_be_absent(m: int, n: int, k: int) -> None:
    assert coverage_of_problems(ours, saturated, m, n, k) >= 0.925


def test_a_plain_t_interval_fails_where_the_guard_holds() -> None:
    assert coverage_of_problems(student_t, saturated, 20, 200, 100) < 0.5


@pytest.mark.parametrize("difficulties", [even, codex_like, saturated])
@pytest.mark.parametrize("m", [20, 164])
@pytest.mark.parametrize(("n", "k"), [(2, 1), (20, 1), (20, 10), (200, 10)])
def test_benchmark_interval_covers_at_least_what_it_claims(difficulties: Difficulties, m: int, n: int, k: int) -> None:
    assert coverage_of_benchmark(difficulties, m, n, k) >= 0.935


@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 2), (20, 10), (40, 7)])
@pytest.mark.parametrize("p", [0.0, 0.02, 0.5, 0.97, 1.0])
def test_completion_variance_is_unbiased_over_all_outcomes(n: int, k: int, p: float) -> None:
    c = np.arange(n + 1)
    probability = np.array([comb(n, int(passed)) * p**passed * (1 - p) ** (n - passed) for passed in c])
    estimates = pass_at_k(n, c, k)
    variance = probability @ estimates**2 - (probability @ estimates) ** 2
    assert probability @ completion_variance(n, c, k) == pytest.approx(variance, abs=1e-12)


@given(st.integers(2, 100), st.data())
def test_completion_variance_at_k_equal_1_is_the_textbook_variance(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    p = c / n
    assert completion_variance([n], [c], 1)[0] == pytest.approx(p * (1 - p) / (n - 1), abs=1e-14)


def test_problems_interval_of_single_trials_is_wilsons_with_the_t_quantile() -> None:
    passed, m = 50, 164
    interval = problems_interval([1.0] * passed + [0.0] * (m - passed))
    t, p, trials = stats.t.ppf(0.975, m - 1), passed / m, m - 1
    # Wilson's bounds are where the score test just rejects.
    for bound in (interval.low, interval.high):
        assert abs(p - bound) == pytest.approx(t * math.sqrt(bound * (1 - bound) / trials), rel=1e-9)
    assert interval.effective_n == pytest.approx(trials)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_guarded_problems_interval_equals_scipys_wilson_at_the_ends(score: float) -> None:
    interval = problems_interval([score] * 164)
    scipys = stats.binomtest(round(164 * score), 164).proportion_ci(method="wilson")
    assert (interval.low, interval.high) == pytest.approx((scipys.low, scipys.high), abs=1e-12)


def test_suite_without_spread_is_read_as_one_trial_per_problem() -> None:
    assert problems_interval([0.3] * 40).effective_n == 40


@given(SCORES)
def test_problems_interval_holds_its_estimate_within_0_and_1(scores: list[float]) -> None:
    interval = problems_interval(scores)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1


@given(SCORES)
def test_problems_interval_mirrors_when_passes_and_failures_swap(scores: list[float]) -> None:
    interval, mirrored = problems_interval(scores), problems_interval([1 - score for score in scores])
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((interval.low, interval.high), abs=1e-7)


@given(st.lists(st.integers(0, 10), min_size=1, max_size=30), st.integers(1, 5))
def test_benchmark_interval_holds_its_estimate_within_0_and_1(c: list[int], k: int) -> None:
    interval = benchmark_interval(10, c, k)
    assert interval is not None
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    assert interval.estimate == pytest.approx(pass_at_k(10, c, k).mean(), abs=1e-12)
    assert interval.high > interval.low


@pytest.mark.parametrize("interval", [problems_interval([0.2, 0.9] * 20), benchmark_interval(20, [4, 18] * 20, 1)])
def test_interval_says_what_it_is_about(interval: Interval) -> None:
    assert interval.target in Target
    assert interval.method.startswith("wilson_")
    assert (interval.level, interval.num_problems) == (0.95, 40)


def test_higher_level_gives_a_wider_interval() -> None:
    scores = [0.0, 0.4, 1.0] * 20
    narrow, wide = problems_interval(scores, level=0.9), problems_interval(scores, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(("n", "k"), [(1, 1), ([20, 19, 20], 10)])
def test_benchmark_interval_is_not_estimable_with_fewer_than_2k_completions(n: int | list[int], k: int) -> None:
    assert benchmark_interval(n, [0, 1, 1], k) is None


@pytest.mark.parametrize("k", [1, 5, 10])
def test_benchmark_interval_without_passes_falls_back_on_hoeffdings_bound(k: int) -> None:
    interval = benchmark_interval([20, 30] * 20, [0] * 40, k)
    assert interval is not None
    scipys = stats.binomtest(0, 40 * 20 // k).proportion_ci(method="wilson")
    assert (interval.low, interval.high) == pytest.approx((scipys.low, scipys.high), abs=1e-12)


def test_benchmark_interval_of_a_suite_that_never_varies_still_has_a_width() -> None:
    interval = benchmark_interval(20, [0, 20] * 82, 1)
    assert interval is not None
    assert 0.001 < interval.high - interval.low < 0.02


@pytest.mark.parametrize("values", [[], [[0.5]], [-0.1], [30.2], [math.nan]])
def test_problems_interval_refuses_what_is_not_a_list_of_fractions(values: list[float]) -> None:
    with pytest.raises(ValueError, match="values must"):
        problems_interval(values)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_level_outside_0_and_1_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        problems_interval([0.5], level=level)
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        benchmark_interval(2, [1], 1, level=level)
