"""Everything that is said of one score."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from harness.stats import (
    Counts,
    Missing,
    Noise,
    Target,
    benchmark_interval,
    confidence_interval,
    pass_at_k,
    problems_interval,
    score,
)


def suite(n: int = 20, m: int = 164) -> Counts:
    rng = np.random.default_rng(81)
    return Counts.of(np.full(m, n), rng.binomial(n, rng.beta(0.194, 0.538, m)))


@pytest.mark.parametrize("k", [1, 10, 20])
def test_score_has_the_default_intervals_also_where_n_is_less_than_2k(k: int) -> None:
    counts = suite()
    one = score(counts, k)
    assert one.problems == confidence_interval(counts, k) == problems_interval(pass_at_k(counts.n, counts.c, k))
    assert one.benchmark == confidence_interval(counts, k, Target.BENCHMARK)
    assert one.benchmark == benchmark_interval(counts.n, counts.c, k, noise=Noise.EB)
    assert one.benchmark is not None
    assert one.benchmark.method == "wilson_eb_t_guard3"


def test_unbiased_variance_is_the_cross_check_where_it_exists() -> None:
    counts = suite()
    check = confidence_interval(counts, 10, Target.BENCHMARK, method="unbiased")
    default = score(counts, 10).benchmark
    assert check is not None
    assert default is not None
    assert (check.low, check.high) == pytest.approx((default.low, default.high), abs=0.01)
    assert confidence_interval(counts, 11, Target.BENCHMARK, method="unbiased") is None


def test_single_completions_have_a_bound_in_its_place() -> None:
    one = score(suite(n=1), 1)
    assert (one.benchmark, one.se_benchmark, one.df_eff, one.completion_share) == (None, None, None, None)
    assert one.benchmark_bound == pytest.approx(1.96 * one.se_problems, rel=1e-3)
    assert one.notes == (f"noise of completions not estimable (n=1); at most +-{100 * one.benchmark_bound:.1f} points",)


@pytest.mark.parametrize("passed", [0, 1])
def test_single_completions_that_are_all_alike_still_have_a_bound(passed: int) -> None:
    one = score(Counts.of([1] * 100, [passed] * 100), 1)
    assert one.benchmark_bound == pytest.approx((one.problems.high - one.problems.low) / 2)
    assert one.benchmark_bound > 0.01


def test_unsolved_always_solved_and_lost_completions_are_counted() -> None:
    passed = {"a": [False] * 4, "b": [True] * 4, "c": [True, False, None, None], "d": [True, False, True, False]}
    one = score(Counts.from_outcomes(passed), 1, missing=Missing.EXCLUDE)
    assert (one.unsolved, one.always_solved, one.unjudged, one.missing, one.n) == (1, 1, 2, 0, (2, 4))


def test_share_of_completions_in_the_variance_falls_with_their_number() -> None:
    shares = [score(suite(n), 1).completion_share for n in (2, 20, 200)]
    assert all(share is not None for share in shares)
    assert shares == sorted(shares, key=lambda share: -(share or 0))


def test_noise_that_rests_on_few_problems_is_called_unreliable() -> None:
    counts = Counts.of([200] * 60, [100, 90, 110] + [0] * 27 + [200] * 30)
    assert score(counts, 1).notes == ("pass@1: noise of completions rests on 4 effective problems and is unreliable",)


def test_small_suites_say_that_their_intervals_cover_more() -> None:
    assert score(suite(m=20), 1).notes[0] == "20 problems: the intervals cover more than they claim, on purpose"
    assert not score(suite(), 1).notes


def test_t_interval_on_request_is_the_textbook_one() -> None:
    counts = suite()
    expected = stats.ttest_1samp(counts.c / 20, 0).confidence_interval(0.9)
    interval = confidence_interval(counts, 1, level=0.9, method="t")
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert (interval.method, interval.level) == ("t", 0.9)


@pytest.mark.parametrize("method", ["auto", "wilson_neff", "t", "percentile", "bca"])
def test_methods_agree_about_where_the_score_lies(method: str) -> None:
    interval = confidence_interval(suite(), 10, method=method)
    default = confidence_interval(suite(), 10)
    assert interval is not None
    assert default is not None
    assert interval.estimate == pytest.approx(default.estimate)
    assert (interval.low, interval.high) == pytest.approx((default.low, default.high), abs=0.01)


def test_clusters_are_refused_where_single_problems_are_drawn() -> None:
    counts = Counts.of([2, 2], [0, 1], cluster="xx")
    with pytest.raises(ValueError, match="with clusters take wilson_neff or t"):
        confidence_interval(counts, 1, method="bca")


def test_single_cluster_says_nothing_about_others() -> None:
    interval = confidence_interval(Counts.of([2] * 4, [0, 1, 2, 2], cluster="xxxx"), 1, method="t")
    assert interval is not None
    assert (interval.low, interval.high, interval.method) == (0.0, 1.0, "t_clustered")


@pytest.mark.parametrize(
    ("target", "method", "message"),
    [
        (Target.PROBLEMS, "eb", "accepted: auto, wilson_neff, t, percentile, bca"),
        (Target.BENCHMARK, "bca", "accepted: auto, unbiased, eb"),
    ],
)
def test_refuses_methods_of_the_other_target(target: Target, method: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confidence_interval(suite(), 1, target, method=method)


def test_standard_errors_are_those_of_the_mean() -> None:
    counts = suite()
    one = score(counts, 1)
    rates = counts.c / 20
    assert one.se_problems == pytest.approx(rates.std(ddof=1) / math.sqrt(164))
    # But for one imagined problem among 165.
    assert one.se_benchmark == pytest.approx(math.sqrt((rates * (1 - rates)).sum() / 19) / 164, rel=0.03)


def test_all_intervals_of_5000_problems_need_little_memory() -> None:
    counts = suite(n=200, m=5000)
    score(counts, 100)
    tracemalloc.start()
    for k in (1, 10, 100, 200):
        score(counts, k)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 << 20
