"""Comparisons of two models: agreement with scipy, coverage for both targets, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.stats import Counts, Finding, Missing, NotComparable, Target, compare, pass_at_k
from harness.stats.bootstrap import paired_bootstrap_interval
from harness.stats.comparison import POWER, Metric, bootstrap_difference, problems_difference
from harness.stats.relative_gain import GainMethod
from harness.stats.relatives import pass_hat_k


def codex_like(rng: np.random.Generator, m: int) -> np.ndarray:
    return rng.beta(0.194, 0.538, m)


def drawn(rng: np.random.Generator, rates: np.ndarray, n: int, **fields: object) -> Counts:
    return Counts.of(np.full(rates.size, n), rng.binomial(n, rates), **fields)  # type: ignore[arg-type]


def pair(seed: int = 0, m: int = 164, n: int = 20, shift: float = 0.0) -> tuple[Counts, Counts]:
    rng = np.random.default_rng(seed)
    rates = codex_like(rng, m)
    return drawn(rng, rates, n), drawn(rng, rates / (rates + (1 - rates) * math.exp(-shift)), n)


@pytest.mark.parametrize("k", [1, 10])
def test_difference_over_problems_is_the_paired_t_test(k: int) -> None:
    a, b = pair(shift=0.5)
    values = pass_at_k(b.n, b.c, k) - pass_at_k(a.n, a.c, k)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = compare(a, b, k).problems
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (found.target, found.method, found.df) == (Target.PROBLEMS, "paired_t", 163.0)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k"), [(20, 1), (20, 10), (20, 20), (200, 100)])
def test_benchmark_difference_covers_the_true_one_on_these_problems(n: int, k: int) -> None:
    rng = np.random.default_rng(61)
    hits, reps = 0, 600
    for _ in range(reps):
        p = codex_like(rng, 164)
        q = np.clip(p + rng.normal(0, 0.1, 164) * (p > 0.01), 0, 1)
        found = compare(drawn(rng, p, n), drawn(rng, q, n), k).benchmark
        assert found is not None
        hits += found.low <= ((1 - (1 - q) ** k) - (1 - (1 - p) ** k)).mean() <= found.high
    assert 0.925 <= hits / reps <= 0.98


@pytest.mark.slow
def test_clustered_difference_covers_0_where_the_naive_one_does_not() -> None:
    """Six languages of each problem, in which the models differ together."""
    rng = np.random.default_rng(62)
    clusters = [str(row // 6) for row in range(600)]
    hits, reps = np.zeros(2), 1500
    for _ in range(reps):
        values = np.repeat(rng.normal(0, 0.2, 100), 6) + rng.normal(0, 0.1, 600)
        naive, clustered = problems_difference(values), problems_difference(values, clusters=clusters)
        hits += (naive.low <= 0 <= naive.high, clustered.low <= 0 <= clustered.high)
    naive_share, clustered_share = hits / reps
    assert naive_share < 0.75
    assert 0.93 <= clustered_share <= 0.97


@pytest.mark.parametrize("k", [1, 10])
def test_bootstrap_beside_it_is_that_of_the_paired_differences(k: int) -> None:
    a, b = pair(shift=0.5)
    first, second = pass_at_k(a.n, a.c, k), pass_at_k(b.n, b.c, k)
    found = compare(a, b, k).bootstrap
    expected = paired_bootstrap_interval(first, second)
    assert (found.low, found.high) == (expected.low, expected.high)
    rows = np.random.default_rng(0).integers(0, 164, (40_000, 164))
    low, high = np.quantile((second - first)[rows].mean(axis=1), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))
    assert (found.target, found.method) == (Target.PROBLEMS, "paired_percentile_exact")


def test_bootstrap_of_clusters_draws_whole_clusters() -> None:
    rng = np.random.default_rng(63)
    clusters = [str(row // 6) for row in range(240)]
    values = np.repeat(rng.normal(0, 0.2, 40), 6)
    found = bootstrap_difference(values, clusters=clusters)
    alone = bootstrap_difference(values[::6])
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high), abs=1e-9)
    assert found.high - found.low > 2 * (bootstrap_difference(values).high - bootstrap_difference(values).low)


@pytest.mark.parametrize("k", [1, 5, 15])
def test_all_of_k_is_compared_as_failures_are_by_any_of_k(k: int) -> None:
    a, b = pair(8, shift=0.5)
    found = compare(a, b, k, metric=Metric.PASS_HAT_K)
    mirrored = compare(Counts.of(b.n, b.n - b.c), Counts.of(a.n, a.n - a.c), k)
    assert found.b == pytest.approx(float(pass_hat_k(b.n, b.c, k).mean()))
    for one, other in ((found.problems, mirrored.problems), (found.benchmark, mirrored.benchmark)):
        assert one is not None
        assert other is not None
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-12)
    assert (found.wins, found.losses) == (mirrored.wins, mirrored.losses)


def test_metrics_are_named_with_their_k() -> None:
    assert [metric.at(10) for metric in Metric] == ["pass@10", "pass^10"]


@given(st.integers(0, 2**32))
def test_swapping_the_models_mirrors_everything(seed: int) -> None:
    a, b = pair(seed, m=30)
    one, other = compare(a, b, 2), compare(b, a, 2)
    assert (other.problems.low, other.problems.high) == pytest.approx((-one.problems.high, -one.problems.low))
    assert one.benchmark is not None
    assert other.benchmark is not None
    assert (other.benchmark.low, other.benchmark.high) == pytest.approx((-one.benchmark.high, -one.benchmark.low))
    assert other.p_signflip == pytest.approx(one.p_signflip, abs=1e-9)
    assert (other.wins, other.losses, other.ties) == (one.losses, one.wins, one.ties)


def test_problems_are_paired_by_name_and_not_by_place() -> None:
    a, b = pair(3, m=40)
    order = list(np.random.default_rng(0).permutation(40))
    shuffled = compare(a, b.select(order), 1)
    straight = compare(a, b, 1)
    assert (shuffled.problems, shuffled.p_signflip) == (straight.problems, straight.p_signflip)
    assert shuffled.wins == straight.wins


def test_single_completions_have_mcnemars_test_and_no_noise_of_completions() -> None:
    a, b = pair(4, n=1, shift=1.0)
    found = compare(a, b, 1)
    expected = stats.binomtest(found.wins, found.wins + found.losses).pvalue
    assert found.p_mcnemar == pytest.approx(expected, abs=1e-12)
    assert found.p_signflip == pytest.approx(expected, abs=1e-12)
    assert found.benchmark is None
    assert compare(*pair(4), 1).p_mcnemar is None


def test_counts_of_wins_losses_and_ties_are_of_problems() -> None:
    a, b = Counts.of([2] * 4, [0, 1, 2, 2]), Counts.of([4] * 4, [1, 2, 2, 4])
    found = compare(a, b, 1)
    assert (found.wins, found.losses, found.ties) == (1, 1, 2)
    assert (found.a, found.b, found.n_a, found.n_b) == (0.625, 0.5625, (2, 2), (4, 4))


def test_detectable_difference_is_found_as_often_as_it_says() -> None:
    mde = compare(*pair(5), 1).mde / compare(*pair(5), 1).problems.se
    assert stats.norm.sf(stats.norm.ppf(0.975) - mde) == pytest.approx(POWER, abs=1e-6)


def test_effect_size_and_correlation_are_those_of_the_scores() -> None:
    a, b = pair(6, shift=0.7)
    first, second = a.c / 20, b.c / 20
    found = compare(a, b, 1)
    assert found.correlation == pytest.approx(stats.pearsonr(first, second).statistic)
    assert found.effect_size == pytest.approx((second - first).mean() / (second - first).std(ddof=1))


def on(rates: list[float], n: int) -> Counts:
    return Counts.of([n] * len(rates), [round(rate * n) for rate in rates])


def test_finding_says_which_question_is_answered() -> None:
    few_move = [0.5] * 3 + [0.0] * 97
    assert compare(on([0.5] * 100, 20), on([0.9] * 100, 20), 1).finding is Finding.BETTER
    assert compare(on([0.9] * 100, 20), on([0.5] * 100, 20), 1).finding is Finding.WORSE
    assert compare(on([0.0] * 100, 200), on(few_move, 200), 1).finding is Finding.REAL_HERE
    assert compare(on([0.5] * 100, 20), on([0.5] * 100, 20), 1).finding is Finding.NO_EVIDENCE


def test_models_that_never_differ_still_have_an_interval_with_a_width() -> None:
    same = on([0.0, 1.0] * 82, 1)
    found = compare(same, same, 1)
    assert (found.problems.low, found.problems.high) == pytest.approx((-0.0207, 0.0207), abs=1e-4)
    assert found.problems.method == "paired_t_guard3"
    assert (found.p_signflip, found.p_mcnemar, found.finding) == (1.0, 1.0, Finding.NO_EVIDENCE)
    assert math.isnan(found.effect_size)


@pytest.mark.parametrize("method", GainMethod)
def test_relative_gain_is_by_the_method_of_ones_choice(method: GainMethod) -> None:
    a, b = pair(7, shift=0.5)
    gain = compare(a, b, 1, gain=method).gain
    assert gain.method == method.value
    assert gain.estimate == pytest.approx(b.c.mean() / a.c.mean() - 1)
    assert gain.low < gain.estimate < gain.high


def test_unlike_protocols_are_refused_with_every_field_that_differs() -> None:
    a = Counts.of([1], [1], protocol={"task": "humaneval", "limits": {"wall_s": 3}, "hash": "x"})
    b = Counts.of([1], [1], protocol={"task": "humaneval", "limits": {"wall_s": 10}, "stops": ["\n#"], "hash": "y"})
    with pytest.raises(NotComparable) as refused:
        compare(a, b, 1)
    assert [str(one) for one in refused.value.differences] == [
        "limits.wall_s: 3 and 10",
        r"stops: not recorded and ['\n#']",
    ]
    assert "name the fields that may differ" in str(refused.value)
    assert compare(a, b, 1, may_differ=["limits", "stops"]).wins == 0


def test_unlike_problems_are_refused_unless_the_shared_ones_will_do() -> None:
    a = Counts.of([4, 4, 4], [1, 2, 4], task_id="xyz")
    b = Counts.of([4, 4], [4, 1], task_id="zw")
    with pytest.raises(NotComparable, match=r"problems: 3 and 2\n  problems of one only: x, y and w"):
        compare(a, b, 1)
    shared = compare(a, b, 1, allow_subset=True)
    assert (shared.num_problems, shared.a, shared.b) == (1, 1.0, 1.0)


def test_problems_without_any_in_common_are_refused_in_any_case() -> None:
    with pytest.raises(NotComparable):
        compare(Counts.of([1], [1], task_id="x"), Counts.of([1], [1], task_id="y"), 1, allow_subset=True)


def test_missing_verdicts_are_an_error_until_one_says_what_becomes_of_them() -> None:
    a = Counts.from_outcomes({"x": [True, None], "y": [False, True]})
    b = Counts.from_outcomes({"x": [True, True], "y": [False, True]})
    with pytest.raises(ValueError, match="1 completions are unjudged"):
        compare(a, b, 1)
    assert compare(a, b, 1, missing=Missing.EXCLUDE).a == 0.75
    assert compare(a, b, 1, missing=Missing.FAIL).a == 0.5


def test_too_few_completions_for_k_are_refused() -> None:
    with pytest.raises(ValueError, match="too few completions for pass@10"):
        compare(Counts.of([20], [1]), Counts.of([5], [1]), 10)
