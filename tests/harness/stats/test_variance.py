"""Variances of pass@k by enumeration of all outcomes."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from harness.stats import pass_at_k
from harness.stats.variance import VarianceMethod, pass_at_k_var

RATES = (0.01, 0.2, 0.5, 0.95)


def outcomes(n: int, p: float) -> np.ndarray:
    return np.array([comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)])


def true_variance(n: int, k: int, p: float) -> float:
    values = pass_at_k(n, np.arange(n + 1), k)
    return float(outcomes(n, p) @ values**2 - (outcomes(n, p) @ values) ** 2)


@pytest.mark.parametrize("n", range(2, 41))
def test_estimate_and_variance_are_unbiased_for_every_k_up_to_half_of_n(n: int) -> None:
    c = np.arange(n + 1)
    for k in range(1, n // 2 + 1):
        values, variances = pass_at_k(n, c, k), pass_at_k_var(n, c, k)
        assert variances.min() >= 0
        for p in RATES:
            assert outcomes(n, p) @ values == pytest.approx(1 - (1 - p) ** k, abs=1e-12)
            assert outcomes(n, p) @ variances == pytest.approx(true_variance(n, k, p), abs=1e-12)


@pytest.mark.parametrize(("n", "n_run", "k"), [(20, 1, 1), (20, 200, 1), (40, 20, 10), (20, 40, 10), (30, 7, 7)])
def test_variance_of_a_run_of_another_size_is_unbiased(n: int, n_run: int, k: int) -> None:
    estimates = pass_at_k_var(n, np.arange(n + 1), k, n_run=n_run)
    for p in RATES:
        assert outcomes(n, p) @ estimates == pytest.approx(true_variance(n_run, k, p), abs=1e-12)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 1), (20, 10), (20, 20), (200, 10), (200, 100)])
def test_hoeffdings_bound_holds_at_every_rate(n: int, k: int) -> None:
    for p in np.linspace(0, 1, 501):
        score = 1 - (1 - p) ** k
        assert true_variance(n, k, float(p)) <= k / n * score * (1 - score) + 1e-12


def test_bound_is_that_of_the_mean_score() -> None:
    bound = pass_at_k_var([20, 20], [0, 20], 1, method=VarianceMethod.BOUND)
    np.testing.assert_allclose(bound, 1 / 20 * 0.25)


def test_auto_takes_the_unbiased_one_where_it_exists_and_the_other_where_not() -> None:
    c = np.arange(0, 21, 4)
    for k, method in ((10, VarianceMethod.UNBIASED), (11, VarianceMethod.EB)):
        np.testing.assert_array_equal(pass_at_k_var(20, c, k), pass_at_k_var(20, c, k, method=method))


def test_unbiased_variance_needs_twice_k_completions() -> None:
    with pytest.raises(ValueError, match="needs n >= 22"):
        pass_at_k_var([20], [3], 11, method=VarianceMethod.UNBIASED)


@pytest.mark.parametrize("method", [VarianceMethod.BOUND, VarianceMethod.EB])
def test_refuses_a_run_shorter_than_k(method: VarianceMethod) -> None:
    with pytest.raises(ValueError, match="a run of 4 completions has no pass@5"):
        pass_at_k_var([20], [3], 5, n_run=4, method=method)
