"""Corrections against their definitions, scipy, and the rate of false claims."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.stats import pass_at_k
from harness.stats.adjustment import Correction, adjust_pvalues, max_t_critical, max_t_pvalues

PVALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p: list[float]) -> None:
    """A claim stands where every group of hypotheses with it is rejected: by its smallest p-value times its size."""
    adjusted = adjust_pvalues(p, Correction.HOLM)
    for place in range(len(p)):
        others = [i for i in range(len(p)) if i != place]
        groups = itertools.chain.from_iterable(itertools.combinations(others, r) for r in range(len(p)))
        expected = max(min(1.0, (len(group) + 1) * min(p[i] for i in (*group, place))) for group in groups)
        assert adjusted[place] == pytest.approx(expected, abs=1e-12)


@given(PVALUES)
def test_benjamini_hochberg_equals_scipys(p: list[float]) -> None:
    np.testing.assert_allclose(adjust_pvalues(p, Correction.BH), stats.false_discovery_control(p), atol=1e-12)


@given(PVALUES)
def test_corrected_values_are_no_smaller_and_keep_their_order(p: list[float]) -> None:
    for method in (Correction.HOLM, Correction.BH):
        adjusted = adjust_pvalues(p, method)
        assert np.all(adjusted >= np.array(p) - 1e-15)
        assert np.all(np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0)


def test_max_t_of_one_statistic_is_its_t_test() -> None:
    column = np.random.default_rng(0).normal(size=(50, 1))
    p = max_t_pvalues([2.1], column, 49.0, np.random.default_rng(1))
    assert p[0] == pytest.approx(2 * stats.t.sf(2.1, 49), abs=0.003)


def test_max_t_of_the_same_statistic_twice_costs_nothing() -> None:
    column = np.random.default_rng(0).normal(size=(50, 1))
    critical = max_t_critical(np.repeat(column, 4, axis=1), 49.0, 0.95, np.random.default_rng(1))
    assert critical == pytest.approx(stats.t.ppf(0.975, 49), abs=0.03)


def test_max_t_of_independent_statistics_is_near_bonferronis() -> None:
    columns = np.linalg.qr(np.random.default_rng(0).normal(size=(400, 8)) - 0.0)[0]
    critical = max_t_critical(columns - columns.mean(axis=0), 399.0, 0.95, np.random.default_rng(1))
    assert critical == pytest.approx(stats.t.ppf(1 - 0.025 / 8, 399), abs=0.06)


@pytest.mark.slow
def test_correction_keeps_false_claims_rare_where_none_makes_them_common() -> None:
    """Two equal models, compared at 7 values of k."""
    rng = np.random.default_rng(2)
    ks, n, m, reps = (1, 2, 5, 10, 20, 50, 100), 200, 164, 4000
    claims = np.zeros(3)
    for _ in range(reps):
        p = rng.beta(0.194, 0.538, m)
        first, second = rng.binomial(n, p), rng.binomial(n, p)
        columns = np.stack([pass_at_k(n, second, k) - pass_at_k(n, first, k) for k in ks], axis=1)
        t = columns.mean(axis=0) / (columns.std(axis=0, ddof=1) / m**0.5)
        single = 2 * stats.t.sf(np.abs(t), m - 1)
        joint = max_t_pvalues(t, columns, m - 1.0, rng, draws=10_000)
        claims += (single.min() <= 0.05, adjust_pvalues(single).min() <= 0.05, joint.min() <= 0.05)
    none, holm, max_t = claims / reps
    assert none > 0.15
    assert holm <= 0.065
    assert max_t <= 0.065


def test_refuses_to_correct_statistics_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="call max_t_pvalues"):
        adjust_pvalues([0.1], Correction.MAX_T)


@pytest.mark.parametrize("p", [[], [1.2], [-0.1], [np.nan]])
def test_refuses_what_is_no_p_value(p: list[float]) -> None:
    with pytest.raises(ValueError, match="each between 0 and 1"):
        adjust_pvalues(p)


def test_max_t_of_independent_statistics_is_holms_correction() -> None:
    columns = np.linalg.qr(np.random.default_rng(0).normal(size=(400, 4)))[0]
    t = [3.0, -2.5, 1.0, 0.2]
    single = [float(2 * stats.t.sf(abs(one), 399)) for one in t]
    p = max_t_pvalues(t, columns - columns.mean(axis=0), 399.0, np.random.default_rng(1))
    # Independent: the largest of j is above t with the chance 1 - (1 - p)^j, in place of Holm's j p.
    expected = np.maximum.accumulate([1 - (1 - one) ** (4 - place) for place, one in enumerate(single)])
    np.testing.assert_allclose(p, expected, atol=0.006)
    assert np.all(p <= adjust_pvalues(single) + 0.006)
