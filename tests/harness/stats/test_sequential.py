"""Boundaries against published ones, simulation and the fixed test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.stats.sequential import Spending, crossings, group_sequential_bounds, spent

QUARTERS = (0.25, 0.5, 0.75, 1.0)


def test_obrien_fleming_boundaries_equal_those_of_another_package() -> None:
    bounds = group_sequential_bounds(QUARTERS, 0.05, Spending.OBF)
    np.testing.assert_allclose(bounds, (3.7496, 2.5399, 2.0160, 1.7201), atol=2e-3)


@pytest.mark.parametrize("spending", Spending)
@pytest.mark.parametrize("fractions", [QUARTERS, (0.125, 0.25, 0.5, 1.0), (0.4, 1.0)])
@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_all_looks_together_err_with_alpha(spending: Spending, fractions: tuple[float, ...], alpha: float) -> None:
    bounds = group_sequential_bounds(fractions, alpha, spending)
    never = [-50.0] * len(fractions)
    chances = crossings(fractions, never, bounds)
    assert sum(chances.above) == pytest.approx(alpha, abs=1e-7)
    spent_by = [spent(fraction, alpha, spending) for fraction in fractions]
    np.testing.assert_allclose(np.cumsum(chances.above), spent_by, atol=1e-7)


def test_one_look_is_the_fixed_test() -> None:
    assert group_sequential_bounds((1.0,), 0.05) == pytest.approx((stats.norm.isf(0.05),), abs=1e-9)


def test_chances_to_leave_a_band_equal_simulated_ones() -> None:
    fractions, lower, upper, drift = (0.2, 0.5, 1.0), (-1.5, -1.2, -0.8), (2.0, 1.5, 1.0), 0.7
    rng = np.random.default_rng(0)
    steps = np.diff((0.0, *fractions))
    motion = np.cumsum(rng.normal(drift * steps, np.sqrt(steps), (400_000, 3)), axis=1) / np.sqrt(fractions)
    alive = np.ones(motion.shape[0], dtype=bool)
    chances = crossings(fractions, lower, upper, drift)
    for place in range(3):
        above, below = alive & (motion[:, place] > upper[place]), alive & (motion[:, place] < lower[place])
        assert chances.above[place] == pytest.approx(above.mean(), abs=0.003)
        assert chances.below[place] == pytest.approx(below.mean(), abs=0.003)
        alive &= ~(above | below)


def test_everything_leaves_where_the_band_is_empty() -> None:
    chances = crossings((1.0,), (1.0,), (-1.0,))
    assert chances.above[0] + chances.below[0] == pytest.approx(1)
    assert chances.above[0] == pytest.approx(stats.norm.sf(-1.0), abs=1e-12)


def test_pocock_stops_clear_cases_earlier_than_obrien_fleming() -> None:
    early = group_sequential_bounds(QUARTERS, 0.05, Spending.POCOCK)[0]
    assert early < group_sequential_bounds(QUARTERS, 0.05, Spending.OBF)[0]


@pytest.mark.parametrize("fractions", [(), (0.5, 0.4, 1.0), (0.5,), (0.0, 1.0)])
def test_refuses_fractions_that_do_not_rise_to_1(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="fractions must rise from above 0 to 1"):
        group_sequential_bounds(fractions, 0.05)


@pytest.mark.parametrize("alpha", [0.0, 0.5, math.nan])
def test_refuses_an_alpha_that_is_not_one_sided(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha is one-sided"):
        group_sequential_bounds((1.0,), alpha)
