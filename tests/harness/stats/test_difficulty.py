"""The law of difficulties: recovered where it is known, and exact where enumeration can say."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats import pass_at_k
from harness.stats.difficulty import beta_variance, eb_variance, fit_difficulty, pass_at_k_eb, variance_at


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (5, 5), (20, 10), (12, 9)])
def test_variance_at_a_rate_equals_that_over_all_outcomes(n: int, k: int) -> None:
    rates = np.array([0.0, 0.03, 0.4, 0.9, 1.0])
    c = np.arange(n + 1)
    for rate, variance in zip(rates, variance_at(rates, n, k), strict=True):
        probability = np.array([comb(n, int(x)) * rate**x * (1 - rate) ** (n - x) for x in c])
        values = pass_at_k(n, c, k)
        expected = probability @ values**2 - (probability @ values) ** 2
        assert variance == pytest.approx(expected, abs=1e-12)


def test_beta_variance_is_the_mean_over_the_beta_law() -> None:
    a, b, n, k = 0.7, 1.6, 12, 5
    edges = np.linspace(0, 1, 400_001)
    rates = (edges[1:] + edges[:-1]) / 2
    density = rates ** (a - 1) * (1 - rates) ** (b - 1)
    expected = (density * variance_at(rates, n, k)).sum() / density.sum()
    assert beta_variance(a, b, n, k) == pytest.approx(expected, rel=1e-4)


def test_fit_recovers_two_kinds_of_problems() -> None:
    rng = np.random.default_rng(1)
    law = fit_difficulty(np.full(2000, 50), rng.binomial(50, np.repeat([0.1, 0.7], [1200, 800])))
    assert law.weights[law.rates < 0.4].sum() == pytest.approx(0.6, abs=0.01)
    assert law.weights[np.abs(law.rates - 0.1) < 0.05].sum() > 0.5


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), min_size=1, max_size=20))
def test_weights_and_every_posterior_are_distributions(counts: list[tuple[int, int]]) -> None:
    law = fit_difficulty([n for n, _ in counts], [min(n, c) for n, c in counts])
    assert law.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(law.posterior.sum(axis=1), 1)


@pytest.mark.parametrize(("n", "k"), [(20, 20), (20, 10), (64, 64)])
def test_mean_variance_is_right_where_no_unbiased_one_exists(n: int, k: int) -> None:
    rng = np.random.default_rng(2)
    p = rng.beta(0.3, 0.7, 5000)
    estimated = eb_variance(np.full(5000, n), rng.binomial(n, p), k).mean()
    assert estimated == pytest.approx(variance_at(p, n, k).mean(), rel=0.1)


def test_variance_of_another_run_is_right_too() -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(0.3, 0.7, 5000)
    estimated = eb_variance(np.full(5000, 20), rng.binomial(20, p), 10, n_run=200).mean()
    assert estimated == pytest.approx(variance_at(p, 200, 10).mean(), rel=0.1)


def test_pass_at_k_beyond_n_is_near_the_truth_where_the_model_holds() -> None:
    rng = np.random.default_rng(4)
    p = rng.beta(0.194, 0.538, 4000)
    assert pass_at_k_eb(np.full(4000, 50), rng.binomial(50, p), 100).mean() == pytest.approx(
        (1 - (1 - p) ** 100).mean(), abs=0.03
    )


def test_refuses_a_run_that_is_too_short() -> None:
    with pytest.raises(ValueError, match="a run of 3 completions has no pass@5"):
        eb_variance([10], [2], 5, n_run=3)
