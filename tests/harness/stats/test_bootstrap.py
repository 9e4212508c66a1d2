"""The exact bootstrap against scipy's random one, brute force, and the rules for where it may be used."""

from __future__ import annotations

import ast
import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.stats import Interval, lattice, pass_at_k
from harness.stats.bootstrap import Bootstrap, bootstrap_interval, paired_bootstrap_interval

SETTINGS = [(164, 1, 1), (164, 20, 1), (164, 20, 10), (164, 200, 10), (974, 20, 10)]


def scores(m: int, n: int, k: int, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return pass_at_k(n, rng.binomial(n, rng.beta(0.194, 0.538, m)), k)


def distance(interval: Interval, other: tuple[float, float], values: np.ndarray) -> float:
    """The larger difference of the end points, in standard deviations of the mean."""
    sd = values.std() / values.size**0.5
    return max(abs(interval.low - other[0]), abs(interval.high - other[1])) / sd


def scipys(values: np.ndarray, method: str, resamples: int) -> tuple[float, float]:
    result = stats.bootstrap(
        (values,), np.mean, n_resamples=resamples, batch=500, method=method, random_state=np.random.default_rng(11)
    )
    return result.confidence_interval.low, result.confidence_interval.high


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n", "k"), SETTINGS)
def test_percentile_ends_equal_those_of_a_million_resamples(m: int, n: int, k: int) -> None:
    values = scores(m, n, k)
    assert distance(bootstrap_interval(values), scipys(values, "percentile", 1_000_000), values) <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n", "k"), SETTINGS)
def test_bca_ends_equal_scipys(m: int, n: int, k: int) -> None:
    values = scores(m, n, k)
    # With two values only the resampled means have atoms, and random ends jump between them.
    allowed = 0.02 if n > 1 else 1.01 / values.std() / m**0.5
    assert distance(bootstrap_interval(values, Bootstrap.BCA), scipys(values, "BCa", 200_000), values) <= allowed


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=5))
def test_law_equals_that_of_all_resamples(values: list[float]) -> None:
    array = np.array(values)
    if array.std() == 0:
        return
    means = np.array([np.mean(resample) for resample in itertools.product(values, repeat=len(values))])
    law = lattice.resampled_mean(array)
    for point in np.unique(means):
        expected = (np.mean(means < point - 1e-9) + np.mean(means < point + 1e-9)) / 2
        assert law.below(float(point)) == pytest.approx(expected, abs=1e-12)
    for share in (0.025, 0.3, 0.975):
        assert law.quantile(share) == pytest.approx(np.quantile(means, share, method="inverted_cdf"), abs=1e-12)


def test_no_mean_lies_below_the_smallest_or_above_the_largest() -> None:
    for values in (np.array([0.0, 0.5, 1.0]), np.sqrt([0.02, 0.3, 0.5, 0.9])):
        law = lattice.resampled_mean(values)
        assert law.below(-3.0) == pytest.approx(0, abs=1e-12)
        assert law.below(3.0) == pytest.approx(1, abs=1e-12)


def test_between_two_points_lies_nothing() -> None:
    law = lattice.resampled_mean(np.array([0.0, 1.0]))
    assert law.below(0.25) == pytest.approx(0.25)
    assert law.below(0.75) == pytest.approx(0.75)


@pytest.mark.parametrize(("m", "n", "k"), [(50, 20, 10), (500, 20, 10)])
def test_fine_lattice_has_the_mean_and_the_spread_of_the_resampled_mean(m: int, n: int, k: int) -> None:
    values = scores(m, n, k) ** 0.7  # no common unit
    law = lattice.resampled_mean(values)
    assert not law.atoms
    points = law.center + law.stretch * (law.start + law.step * np.arange(law.chances.size) - law.center)
    mean = law.chances @ points / law.chances.sum()
    assert mean == pytest.approx(values.mean(), abs=1e-9)
    spread = np.sqrt(law.chances @ (points - mean) ** 2)
    assert spread == pytest.approx(values.std() / m**0.5, rel=1e-6)


def test_fine_lattice_agrees_with_the_exact_one() -> None:
    values = scores(974, 20, 1)
    exact = bootstrap_interval(values)
    fine = bootstrap_interval(values + 1e-5 * np.sin(np.arange(974)))
    assert distance(exact, (fine.low, fine.high), values) < 0.02


@pytest.mark.parametrize("method", Bootstrap)
def test_random_resamples_are_an_alternative_that_takes_a_generator(method: Bootstrap) -> None:
    values = scores(164, 20, 10)
    random = bootstrap_interval(values, method, rng=np.random.default_rng(0), resamples=20_000)
    exact = bootstrap_interval(values, method)
    assert distance(exact, (random.low, random.high), values) < 0.1
    assert (exact.method, random.method) == (f"{method}_exact", f"{method}_random")


def test_same_values_give_the_same_bytes() -> None:
    values = scores(164, 20, 10)
    assert repr(bootstrap_interval(values, Bootstrap.BCA)) == repr(bootstrap_interval(values.copy(), Bootstrap.BCA))


def test_exact_law_draws_nothing_at_random() -> None:
    tree = ast.parse(Path(lattice.__file__).read_text())
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & {"random", "default_rng", "rng", "integers", "choice", "standard_normal"}


def test_exact_bootstrap_of_5000_problems_needs_little_memory() -> None:
    values = scores(5000, 200, 10)
    bootstrap_interval(values)
    tracemalloc.start()
    bootstrap_interval(values, Bootstrap.BCA)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 << 20


def test_paired_interval_is_that_of_the_differences() -> None:
    a, b = scores(164, 20, 1, seed=1), scores(164, 20, 1, seed=2)
    paired, direct = paired_bootstrap_interval(a, b), bootstrap_interval(b - a)
    assert (paired.low, paired.high) == (direct.low, direct.high)
    assert paired.estimate == pytest.approx(b.mean() - a.mean())


def test_interval_of_equal_values_is_a_point() -> None:
    interval = bootstrap_interval([0.3, 0.3, 0.3])
    assert (interval.low, interval.high) == pytest.approx((0.3, 0.3))


def test_two_level_bootstrap_is_not_offered_because_it_misses_the_score() -> None:
    """Resampling completions as well turns pass@k into the biased 1 - (1 - c/n)^k."""
    rng = np.random.default_rng(8)
    truth = float((1 - (1 - np.random.default_rng(0).beta(0.3, 0.7, 1_000_000)) ** 20).mean())
    hits = []
    for _ in range(300):
        c = rng.binomial(20, rng.beta(0.3, 0.7, 164))
        again = rng.binomial(20, c[rng.integers(0, 164, (400, 164))] / 20)
        low, high = np.quantile((again > 0).mean(axis=1), [0.025, 0.975])  # pass@20 of 20 completions
        hits.append(low <= truth <= high)
    assert np.mean(hits) < 0.90


@pytest.mark.parametrize("values", [[], [[0.5]], [np.nan], [np.inf]])
def test_refuses_what_is_no_list_of_numbers(values: list[float]) -> None:
    with pytest.raises(ValueError, match="values must"):
        bootstrap_interval(values)


def test_refuses_pairs_of_unlike_length() -> None:
    with pytest.raises(ValueError, match="a has 1 problems and b has 2"):
        paired_bootstrap_interval([0.5], [0.5, 0.5])


def test_refuses_no_resamples() -> None:
    with pytest.raises(ValueError, match="resamples must be at least 1"):
        bootstrap_interval([0.5, 1.0], rng=np.random.default_rng(0), resamples=0)
