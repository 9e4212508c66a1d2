"""Sign-flip and McNemar against brute force, one another and their own error rates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.stats import pass_at_k
from harness.stats.comparison import problems_difference
from harness.stats.paired_tests import mcnemar_pvalue, signflip_pvalue


def codex_like(rng: np.random.Generator, m: int) -> np.ndarray:
    return rng.beta(0.194, 0.538, m)


def brute_force(values: np.ndarray) -> float:
    observed = abs(values.sum())
    sums = [abs(np.dot(signs, values)) for signs in itertools.product((1, -1), repeat=values.size)]
    return float(np.mean([total >= observed - 1e-9 for total in sums]))


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_signflip_equals_all_sign_patterns_of_multiples_of_a_unit(values: list[int]) -> None:
    array = np.array(values) / 20
    assert signflip_pvalue(array) == pytest.approx(brute_force(array), abs=1e-12)


@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 6)), min_size=1, max_size=9))
def test_signflip_equals_all_sign_patterns_of_any_values(values: list[float]) -> None:
    array = np.array(values)
    assert signflip_pvalue(array) == pytest.approx(brute_force(array), abs=1e-9)


@given(st.integers(0, 80), st.integers(0, 80), st.integers(0, 50))
def test_signflip_of_single_completions_is_mcnemars_exact_test(wins: int, losses: int, ties: int) -> None:
    values = [1.0] * wins + [-1.0] * losses + [0.0] * (ties + 1)
    assert signflip_pvalue(values) == pytest.approx(mcnemar_pvalue(wins, losses), abs=1e-12)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_the_two_sided_sign_test(wins: int, losses: int) -> None:
    expected = stats.binomtest(wins, wins + losses, 0.5).pvalue if wins + losses else 1.0
    assert mcnemar_pvalue(wins, losses) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mid_p_counts_the_outcome_for_one_half(wins: int, losses: int) -> None:
    """Fagerland, Lydersen and Laake 2013: half of the observed split's chance, of each tail, is taken off."""
    law = stats.binom(wins + losses, 0.5)
    observed = law.pmf(wins) if wins != losses else law.pmf(wins) / 2
    expected = mcnemar_pvalue(wins, losses) - observed if wins + losses else 1.0
    assert mcnemar_pvalue(wins, losses, mid_p=True) == pytest.approx(expected, abs=1e-12)


def test_signflip_on_a_fine_lattice_agrees_with_random_signs() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.06, 0.3, 120)
    signs = rng.choice([-1.0, 1.0], (200_000, 120))
    expected = np.mean(np.abs(signs @ values) >= abs(values.sum()))
    assert signflip_pvalue(values) == pytest.approx(expected, abs=0.004)


def test_signflip_of_differences_beyond_doubt_is_tiny_but_not_0() -> None:
    assert 0 < signflip_pvalue([0.5] * 100) < 1e-17


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60))
def test_signflip_does_not_care_which_model_comes_first(values: list[float]) -> None:
    assert signflip_pvalue(values) == pytest.approx(signflip_pvalue([-value for value in values]), abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k"), [(1, 1), (20, 1), (20, 10), (200, 100)])
@pytest.mark.parametrize("m", [20, 164])
def test_tests_of_the_same_model_reject_as_often_as_they_say(m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(7)
    rejected = np.zeros(2)
    reps = 4000
    for _ in range(reps):
        p = codex_like(rng, m)
        values = pass_at_k(n, rng.binomial(n, p), k) - pass_at_k(n, rng.binomial(n, p), k)
        interval = problems_difference(values)
        rejected += (not interval.low <= 0 <= interval.high, signflip_pvalue(values) <= 0.05)
    by_t, by_signs = rejected / reps
    assert by_signs <= 0.065
    assert by_t <= (0.065 if m == 164 else 0.06)
    assert by_t >= 0.04 or m == 20


def power(n: int, k: int, reps: int = 2000) -> dict[str, float]:
    """How often a gain of 5.1 points in pass@1 is found on 164 problems."""
    rng = np.random.default_rng(9)
    found = np.zeros(5)
    for _ in range(reps):
        p = codex_like(rng, 164)
        q = 1 / (1 + (1 - p) / np.maximum(p, 1e-300) * np.exp(-0.6))
        a, b = pass_at_k(n, rng.binomial(n, p), k), pass_at_k(n, rng.binomial(n, q), k)
        interval = problems_difference(b - a)
        z = (b.mean() - a.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 164)
        mid_p = mcnemar_pvalue(int((b > a).sum()), int((b < a).sum()), mid_p=True)
        half = stats.t.ppf(0.975, 163) * (a.std(ddof=1) + b.std(ddof=1)) / np.sqrt(164)
        found += (
            not interval.low <= 0 <= interval.high,
            signflip_pvalue(b - a) <= 0.05,
            mid_p <= 0.05,
            abs(z) > 1.96,
            abs(b.mean() - a.mean()) > half,
        )
    return dict(zip(("paired_t", "signflip", "mid_p", "unpaired", "no_overlap"), found / reps, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "k", "expected"),
    [
        (1, 1, {"paired_t": 0.345, "signflip": 0.27, "mid_p": 0.319, "unpaired": 0.069, "no_overlap": 0.006}),
        (5, 1, {"paired_t": 0.944, "signflip": 0.932, "unpaired": 0.033, "no_overlap": 0.0}),
        (20, 1, {"paired_t": 1.0, "signflip": 1.0, "unpaired": 0.004, "no_overlap": 0.0}),
        (200, 1, {"paired_t": 1.0, "signflip": 1.0, "unpaired": 0.0, "no_overlap": 0.0}),
        (20, 10, {"paired_t": 0.835}),
        (200, 100, {"paired_t": 0.687}),
    ],
)
def test_power_is_what_the_same_simulation_gave_elsewhere(n: int, k: int, expected: dict[str, float]) -> None:
    found = power(n, k)
    for test, share in expected.items():
        assert found[test] == pytest.approx(share, abs=0.03)


@pytest.mark.slow
def test_ignoring_the_pairing_finds_nothing_where_the_paired_tests_find_everything() -> None:
    found = power(5, 1, reps=1000)
    assert found["unpaired"] < 0.1
    assert found["paired_t"] > 0.9


@pytest.mark.parametrize("values", [[], [np.nan], [[0.1]]])
def test_refuses_what_is_no_list_of_differences(values: list[float]) -> None:
    with pytest.raises(ValueError, match="differences must hold one number"):
        signflip_pvalue(values)


def test_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="count problems"):
        mcnemar_pvalue(-1, 2)
