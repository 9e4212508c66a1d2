"""The relatives of pass@k against brute force, enumeration and one another."""

from __future__ import annotations

import itertools
from collections import Counter
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats import pass_at_k
from harness.stats.relatives import (
    avg_at_n,
    g_pass_at_k,
    g_pass_at_k_variance,
    maj_at_k,
    mg_pass_at_k,
    pass_hat_k,
    pass_hat_k_variance,
)

COUNTS = st.integers(1, 80).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


@given(COUNTS)
def test_any_share_of_at_most_one_completion_is_pass_at_k(counts: tuple[int, int, int]) -> None:
    n, c, k = counts
    for tau in (1e-6, 1 / k):
        assert g_pass_at_k([n], [c], k, tau)[0] == pytest.approx(pass_at_k([n], [c], k)[0], abs=1e-12)


@given(COUNTS)
def test_pass_hat_k_is_the_chance_to_draw_passes_alone(counts: tuple[int, int, int]) -> None:
    n, c, k = counts
    assert pass_hat_k([n], [c], k)[0] == pytest.approx(comb(c, k) / comb(n, k), abs=1e-15)


@given(COUNTS)
def test_pass_hat_k_of_passes_is_the_complement_of_pass_at_k_of_failures(counts: tuple[int, int, int]) -> None:
    n, c, k = counts
    assert pass_hat_k([n], [c], k)[0] == pytest.approx(1 - pass_at_k([n], [n - c], k)[0], abs=1e-12)


@given(COUNTS, st.floats(0.01, 0.99))
def test_asking_for_a_larger_share_never_raises_the_score(counts: tuple[int, int, int], tau: float) -> None:
    n, c, k = counts
    assert g_pass_at_k([n], [c], k, 1.0)[0] <= g_pass_at_k([n], [c], k, tau)[0] + 1e-12


@pytest.mark.parametrize(("n", "k"), [(4, 2), (6, 3), (7, 5)])
@pytest.mark.parametrize("tau", [0.2, 0.5, 0.6, 1.0])
def test_equals_the_share_of_all_k_subsets_with_enough_passes(n: int, k: int, tau: float) -> None:
    for c in range(n + 1):
        subsets = list(itertools.combinations([1] * c + [0] * (n - c), k))
        share = np.mean([sum(subset) >= tau * k - 1e-9 for subset in subsets])
        assert g_pass_at_k([n], [c], k, tau)[0] == pytest.approx(share, abs=1e-14)


@pytest.mark.parametrize(("n", "k"), [(2, 1), (8, 4), (20, 10), (40, 7)])
@pytest.mark.parametrize("tau", [0.01, 0.5, 1.0])
@pytest.mark.parametrize("p", [0.0, 0.05, 0.5, 0.9, 1.0])
def test_estimate_and_variance_are_unbiased_over_all_outcomes(n: int, k: int, tau: float, p: float) -> None:
    c = np.arange(n + 1)
    probability = np.array([comb(n, int(passed)) * p**passed * (1 - p) ** (n - passed) for passed in c])
    least = max(1, int(np.ceil(tau * k - 1e-9)))
    truth = sum(comb(k, j) * p**j * (1 - p) ** (k - j) for j in range(least, k + 1))
    estimates = g_pass_at_k(n, c, k, tau)
    mean = probability @ estimates
    assert mean == pytest.approx(truth, abs=1e-12)
    variance = probability @ estimates**2 - mean**2
    assert probability @ g_pass_at_k_variance(n, c, k, tau) == pytest.approx(variance, abs=1e-12)


@given(st.integers(2, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n // 2))))
def test_variance_of_pass_hat_k_has_its_closed_form(counts: tuple[int, int, int]) -> None:
    n, c, k = counts
    expected = (comb(c, k) / comb(n, k)) ** 2 - comb(c, 2 * k) / comb(n, 2 * k)
    assert pass_hat_k_variance([n], [c], k)[0] == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_mg_pass_is_twice_the_mean_over_the_shares_above_one_half(k: int) -> None:
    c = np.arange(13)
    shares = [i / k for i in range(-(-k // 2) + 1, k + 1)]
    expected = sum((g_pass_at_k(12, c, k, share) for share in shares), np.zeros(13)) * 2 / k
    np.testing.assert_allclose(mg_pass_at_k(12, c, k), expected, atol=1e-12)


def test_avg_is_the_share_of_passes() -> None:
    np.testing.assert_array_equal(avg_at_n([4, 2], [1, 2]), [0.25, 1.0])


def majority_by_brute_force(answers: str, correct: list[bool], k: int) -> float:
    shares = []
    for subset in itertools.combinations(range(len(answers)), k):
        sizes = Counter(answers[i] for i in subset)
        front = [answer for answer, size in sizes.items() if size == max(sizes.values())]
        right = {answers[i] for i in subset if correct[i]}
        shares.append(sum(answer in right for answer in front) / len(front))
    return float(np.mean(shares))


@given(st.text("abcd", min_size=1, max_size=8), st.sets(st.sampled_from("abcd")), st.data())
def test_majority_equals_brute_force_with_ties_by_lot(answers: str, right: set[str], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(answers)))
    correct = [answer in right for answer in answers]
    expected = majority_by_brute_force(answers, correct, k)
    assert maj_at_k([list(answers)], [correct], k)[0] == pytest.approx(expected, abs=1e-10)


def test_refuses_an_answer_that_is_both_correct_and_wrong() -> None:
    with pytest.raises(ValueError, match="'a' is marked correct in one place and wrong in another"):
        maj_at_k([["a", "a"]], [[True, False]], 1)


@pytest.mark.parametrize("tau", [0.0, -0.1, 1.1])
def test_refuses_a_share_outside_0_and_1(tau: float) -> None:
    with pytest.raises(ValueError, match="tau is a share above 0 and at most 1"):
        g_pass_at_k([5], [1], 2, tau)
