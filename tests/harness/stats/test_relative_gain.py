"""Relative gains: coverage, an honest "unbounded", and agreement of three methods."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.stats.relative_gain import GainMethod, relative_gain


def draw(rng: np.random.Generator, m: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two models by 20 completions; the second is right a tenth more often on every problem."""
    p = rng.beta(0.194, 0.538, m) * scale
    return rng.binomial(20, p) / 20, rng.binomial(20, 1.1 * p) / 20


@pytest.mark.slow
@pytest.mark.parametrize("method", [GainMethod.LOG_DELTA, GainMethod.FIELLER])
@pytest.mark.parametrize("m", [50, 164])
def test_interval_covers_the_true_gain(method: GainMethod, m: int) -> None:
    rng = np.random.default_rng(3)
    gains = [relative_gain(*draw(rng, m, 0.9), method) for _ in range(3000)]
    assert 0.93 <= np.mean([gain.low <= 0.1 <= gain.high for gain in gains]) <= 0.97


def test_fieller_bounds_are_where_the_paired_t_test_just_rejects() -> None:
    a, b = draw(np.random.default_rng(4), 164, 0.9)
    gain = relative_gain(a, b, GainMethod.FIELLER)
    for bound in (gain.low, gain.high):
        assert stats.ttest_1samp(b - (1 + bound) * a, 0.0).pvalue == pytest.approx(0.05, abs=1e-9)


def test_gain_over_a_baseline_that_may_be_0_is_unbounded() -> None:
    a, b = np.zeros(20), np.zeros(20)
    a[0] = b[:2] = 0.5
    gain = relative_gain(a, b, GainMethod.FIELLER)
    assert gain.unbounded
    assert (gain.low, gain.high) == (-math.inf, math.inf)
    assert relative_gain(a, b).unbounded


def test_gain_over_a_baseline_that_never_passes_is_no_number() -> None:
    gain = relative_gain([0.0, 0.0], [0.5, 0.0])
    assert math.isnan(gain.estimate)
    assert gain.unbounded


def test_methods_agree_where_there_are_many_problems() -> None:
    a, b = draw(np.random.default_rng(5), 2000, 0.9)
    bounds = [(gain.low, gain.high) for gain in (relative_gain(a, b, method) for method in GainMethod)]
    for other in bounds[1:]:
        assert other == pytest.approx(bounds[0], abs=0.004)


def test_bootstrap_bounds_are_percentiles_of_resampled_ratios() -> None:
    a, b = draw(np.random.default_rng(6), 60, 0.9)
    rows = np.random.default_rng(7).integers(0, 60, (100_000, 60))
    ratios = b[rows].mean(axis=1) / a[rows].mean(axis=1) - 1
    gain = relative_gain(a, b, GainMethod.BOOTSTRAP)
    assert (gain.low, gain.high) == pytest.approx(tuple(np.quantile(ratios, [0.025, 0.975])), abs=0.004)


def test_clusters_widen_the_interval_of_problems_that_move_together() -> None:
    rng = np.random.default_rng(8)
    p = np.repeat(rng.beta(0.5, 1, 30), 6)
    a, b = rng.binomial(20, p) / 20, rng.binomial(20, p) / 20 * np.repeat(rng.uniform(0.5, 1.5, 30), 6)
    alone = relative_gain(a, b)
    clustered = relative_gain(a, b, clusters=[str(i // 6) for i in range(180)])
    assert clustered.high - clustered.low > 1.3 * (alone.high - alone.low)


def test_refuses_scores_of_unlike_length() -> None:
    with pytest.raises(ValueError, match="a and b must score the same problems"):
        relative_gain([0.5], [0.5, 0.5])


def test_refuses_clusters_with_the_bootstrap() -> None:
    with pytest.raises(ValueError, match="with clusters take log_delta or fieller"):
        relative_gain([0.5, 1], [0.5, 1], GainMethod.BOOTSTRAP, clusters=["x", "x"])
