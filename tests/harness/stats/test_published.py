"""The test against a published figure at the numbers that are promised for it; its other tests are of the command."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats import pass_at_k
from harness.stats.published import Consistency, Equality, Reproduction, compare_to_published

FINE = 1e-6
"""A figure with so many decimals that rounding adds nothing."""


def codex_like(rng: np.random.Generator) -> np.ndarray:
    return rng.beta(0.194, 0.538, 164)


def better(rates: np.ndarray, gain: float) -> np.ndarray:
    """Every problem is solved more often, in the same proportion of the odds, so that the mean rises by `gain`."""
    low, high = 0.0, 5.0
    for _ in range(40):
        shift = (low + high) / 2
        low, high = (shift, high) if (_shifted(rates, shift) - rates).mean() < gain else (low, shift)
    return _shifted(rates, (low + high) / 2)


def _shifted(rates: np.ndarray, shift: float) -> np.ndarray:
    return rates / (rates + (1 - rates) * np.exp(-shift))


def beside(
    rng: np.random.Generator, ours: np.ndarray, theirs: np.ndarray, n: int, n_published: int, k: int
) -> Reproduction:
    """A run of ours, and the mean of another run, of problems with these chances to be passed."""
    published = float(pass_at_k(n_published, rng.binomial(n_published, theirs), k).mean())
    return compare_to_published(n, rng.binomial(n, ours), k, published, unit=FINE, n_published=n_published)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "n_published", "k"),
    [
        (20, 1, 1),
        (20, 20, 1),
        (200, 200, 1),
        (20, 20, 10),
        (200, 200, 10),
        (200, 200, 100),
        (20, 200, 10),
        (20, 20, 20),
        (64, 64, 64),
    ],
)
def test_faithful_run_is_flagged_about_one_time_in_twenty(n: int, n_published: int, k: int) -> None:
    rng, flagged = np.random.default_rng(91), 0
    for _ in range(4000):
        rates = codex_like(rng)
        result = beside(rng, rates, rates, n, n_published, k)
        flagged += result.consistency is Consistency.INCONSISTENT
    assert 0.035 <= flagged / 4000 <= 0.065


@pytest.mark.slow
def test_gap_of_0_83_points_is_found_with_200_completions_on_both_sides() -> None:
    rng, flagged = np.random.default_rng(92), 0
    for _ in range(4000):
        rates = codex_like(rng)
        result = beside(rng, rates, better(rates, 0.0083), 200, 200, 1)
        flagged += result.consistency is Consistency.INCONSISTENT
    assert flagged / 4000 >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("sign", [1, -1])
def test_models_a_margin_apart_are_hardly_ever_called_equal(sign: int) -> None:
    rng, equal = np.random.default_rng(93), 0
    for _ in range(4000):
        rates = 0.02 + 0.96 * rng.beta(0.3, 0.7, 164)  # so that every problem can be passed 2 points more or less often
        result = beside(rng, rates, rates + 0.02 * sign, 20, 20, 1)
        equal += result.equality is Equality.REPRODUCED
    assert equal / 4000 <= 0.065
