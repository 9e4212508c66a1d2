"""The choice of a temperature: what it scores, and how much luck the usual choice counts in."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats import Counts, NotComparable, pass_at_k
from harness.stats.temperature import best_temperature, compare_best_temperatures

GRID = (0.2, 0.4, 0.6, 0.8, 1.0)


def at_each(rng: np.random.Generator, rates: np.ndarray, n: int) -> dict[float, Counts]:
    """Completions at temperatures that make no difference."""
    return {one: Counts.of(np.full(rates.size, n), rng.binomial(n, rates)) for one in GRID}


def biases(n: int, k: int, reps: int, m: int = 164) -> tuple[float, float, float]:
    """Of the cross-fitted score, of the oracle's, and of the estimate of the latter; in points."""
    rng = np.random.default_rng(51)
    cross, oracle, told = [], [], []
    for _ in range(reps):
        rates = rng.beta(0.194, 0.538, m)
        truth = (1 - (1 - rates) ** k).mean()
        best = best_temperature(at_each(rng, rates, n), k, rng, splits=2)
        cross.append(best.cross_fit.estimate - truth)
        oracle.append(best.oracle - truth)
        told.append(best.oracle_bias)
    return 100 * float(np.mean(cross)), 100 * float(np.mean(oracle)), 100 * float(np.mean(told))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k", "oracle"), [(20, 1, 0.59), (200, 1, 0.18), (20, 10, 1.41), (200, 100, 1.13)])
def test_equal_temperatures_give_the_oracle_a_bias_and_cross_fitting_none(n: int, k: int, oracle: float) -> None:
    by_cross_fit, by_oracle, told = biases(n, k, 800)
    assert abs(by_cross_fit) <= 0.1
    assert by_oracle == pytest.approx(oracle, abs=0.15)
    assert told == pytest.approx(by_oracle, abs=0.1)


@pytest.mark.slow
def test_oracle_is_far_too_high_where_the_suite_is_small() -> None:
    assert biases(20, 1, 200)[1] > 0.4
    assert biases(20, 10, 300, m=20)[1] > 3


def test_best_of_plainly_unlike_temperatures_is_found_by_both_choices() -> None:
    rng = np.random.default_rng(52)
    rates = rng.beta(0.5, 0.5, 164)
    by_temperature = {
        0.8: Counts.of(np.full(164, 50), rng.binomial(50, rates)),
        0.2: Counts.of(np.full(164, 50), rng.binomial(50, rates / 2)),
    }
    best = best_temperature(by_temperature, 1, rng)
    assert (best.temperature, best.oracle_temperature) == (0.8, 0.8)
    assert best.cross_fit.estimate == pytest.approx(best.oracle, abs=1e-12)
    assert [one.temperature for one in best.scores] == [0.2, 0.8]
    assert [one.chosen_by_first for one in best.scores] == [0.0, 1.0]


def test_single_temperature_leaves_nothing_to_choose() -> None:
    counts = Counts.of([10, 11], [3, 9])
    best = best_temperature({0.2: counts}, 2, np.random.default_rng(0), splits=400)
    assert best.oracle == pytest.approx(float(pass_at_k(counts.n, counts.c, 2).mean()))
    assert best.oracle_bias == pytest.approx(0, abs=0.01)


def test_same_seed_gives_the_same_answer_and_another_one_nearly() -> None:
    counts = at_each(np.random.default_rng(53), np.random.default_rng(54).beta(0.3, 0.7, 164), 20)
    one, same, other = (best_temperature(counts, 1, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == same
    assert other.cross_fit.estimate == pytest.approx(one.cross_fit.estimate, abs=0.01)


def test_two_models_are_compared_at_temperatures_of_their_own_choice() -> None:
    rng = np.random.default_rng(55)
    rates = rng.beta(0.5, 0.5, 164)
    a, b = at_each(rng, rates / 2, 20), at_each(rng, rates, 20)
    difference = compare_best_temperatures(a, b, 1, rng)
    assert difference.low > 0
    assert difference.estimate == pytest.approx((rates / 2).mean(), abs=0.03)


def test_who_searched_more_temperatures_is_not_compared() -> None:
    rng = np.random.default_rng(56)
    counts = at_each(rng, np.full(20, 0.5), 4)
    with pytest.raises(ValueError, match=r"A was searched at temperatures 0.2 and B at 0.2, 0.4, 0.6, 0.8, 1;"):
        compare_best_temperatures({0.2: counts[0.2]}, counts, 1, rng)


def test_halves_need_k_completions_each() -> None:
    counts = {0.2: Counts.of([40, 19], [1, 1], task_id=["a", "b"])}
    with pytest.raises(ValueError, match=r"problem 'b' has 19 completions; .* Draw at least 20"):
        best_temperature(counts, 10, np.random.default_rng(0))


def test_temperature_alone_may_differ_in_the_protocol() -> None:
    def counts(temperature: float, top_p: float = 0.95) -> Counts:
        return Counts.of([4, 4], [1, 2], protocol={"sampling": {"temperature": temperature, "top_p": top_p}})

    rng = np.random.default_rng(0)
    assert best_temperature({0.2: counts(0.2), 0.8: counts(0.8)}, 1, rng).k == 1
    with pytest.raises(NotComparable, match=r"sampling.top_p: 0.95 and 1.0"):
        best_temperature({0.2: counts(0.2), 0.8: counts(0.8, 1.0)}, 1, rng)


@pytest.mark.parametrize(("counts", "splits", "message"), [({}, 1, "no temperatures"), (None, 0, "splits must be")])
def test_refuses_nothing_to_choose_from(counts: dict[float, Counts] | None, splits: int, message: str) -> None:
    given = {0.2: Counts.of([4], [1])} if counts is None else counts
    with pytest.raises(ValueError, match=message):
        best_temperature(given, 1, np.random.default_rng(0), splits=splits)
