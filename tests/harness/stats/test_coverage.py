"""How often the intervals hold the truth: five kinds of suites, both targets, and methods that must fail here.

A suite's problems have success rates drawn from a mixture of Beta laws, so that the population's pass@k is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import beta as beta_function

from harness.stats import Interval, Noise, benchmark_interval, pass_at_k, problems_interval


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A mixture: shares of problems that never and always pass, and a Beta law for the rest."""

    never: float = 0.0
    always: float = 0.0
    a: float
    b: float

    def draw(self, rng: np.random.Generator, m: int) -> np.ndarray:
        which = rng.random(m)
        rates = rng.beta(self.a, self.b, m)
        return np.where(which < self.never, 0.0, np.where(which < self.never + self.always, 1.0, rates))

    def pass_at_k(self, k: int) -> float:
        rest = 1 - beta_function(self.a, self.b + k) / beta_function(self.a, self.b)
        return self.always + (1 - self.never - self.always) * float(rest)


KINDS = {
    "even": Kind(a=0.3, b=0.7),
    "codex_like": Kind(a=0.194, b=0.538),
    "all_or_nothing": Kind(never=0.35, always=0.45, a=1, b=1),
    "saturated": Kind(always=0.85, a=0.5, b=1),
    "hard": Kind(a=0.1, b=2),
}
SETTINGS = [(1, 1), (20, 1), (20, 10), (20, 20), (200, 10), (200, 100)]


def cover_problems(kind: Kind, m: int, n: int, k: int, reps: int) -> float:
    rng = np.random.default_rng(20_260)
    truth = kind.pass_at_k(k)
    hits = 0
    for _ in range(reps):
        interval = problems_interval(pass_at_k(n, rng.binomial(n, kind.draw(rng, m)), k))
        hits += interval.low <= truth <= interval.high
    return hits / reps


def cover_benchmark(kind: Kind, m: int, n: int, k: int, reps: int, noise: Noise) -> float:
    rng = np.random.default_rng(20_261)
    hits = 0
    for _ in range(reps):
        rates = kind.draw(rng, m)
        interval = benchmark_interval(n, rng.binomial(n, rates), k, noise=noise)
        assert interval is not None
        hits += holds(interval, float((1 - (1 - rates) ** k).mean()))
    return hits / reps


def holds(interval: Interval, truth: float) -> bool:
    """Bounds of a suite that is solved altogether are 1 up to the last bit."""
    return interval.low - 1e-12 <= truth <= interval.high + 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k"), SETTINGS)
@pytest.mark.parametrize("name", ["even", "codex_like"])
def test_problems_interval_covers_what_it_claims(name: str, n: int, k: int) -> None:
    assert 0.935 <= cover_problems(KINDS[name], 164, n, k, 5000) <= 0.965


@pytest.mark.slow
@pytest.mark.parametrize("m", [20, 50, 164, 500])
@pytest.mark.parametrize("name", KINDS)
def test_problems_interval_covers_93_percent_of_every_kind_and_size_of_suite(name: str, m: int) -> None:
    worst = min(cover_problems(KINDS[name], m, n, k, 5000) for n, k in SETTINGS)
    assert worst >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k"), [(20, 1), (20, 10), (200, 10), (200, 100)])
@pytest.mark.parametrize("name", ["even", "codex_like"])
def test_benchmark_interval_covers_what_it_claims_and_little_more(name: str, n: int, k: int) -> None:
    """Near n = 2k the unbiased variance varies, and few degrees of freedom pay for that with a wider interval."""
    assert 0.935 <= cover_benchmark(KINDS[name], 164, n, k, 4000, Noise.UNBIASED) <= 0.975


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k"), [(20, 1), (20, 10), (20, 20), (64, 64), (200, 10), (200, 100)])
@pytest.mark.parametrize("name", ["even", "codex_like"])
def test_empirical_bayes_covers_what_it_claims_down_to_n_equal_to_k(name: str, n: int, k: int) -> None:
    assert (0.935 if n >= 2 * k else 0.925) <= cover_benchmark(KINDS[name], 164, n, k, 4000, Noise.EB) <= 0.965


@pytest.mark.slow
@pytest.mark.parametrize("noise", [Noise.EB, Noise.AUTO])
@pytest.mark.parametrize("name", KINDS)
def test_benchmark_interval_of_20_problems_covers_at_least_91_percent(name: str, noise: Noise) -> None:
    settings = [(20, 1), (20, 10), (20, 20), (64, 64), (200, 10), (200, 100)]
    assert min(cover_benchmark(KINDS[name], 20, n, k, 4000, noise) for n, k in settings) >= 0.915


@pytest.mark.slow
def test_interval_of_clusters_covers_where_the_naive_one_does_not() -> None:
    """Each problem in six languages, as hard in all of them."""
    rng = np.random.default_rng(6)
    kind, reps = KINDS["even"], 3000
    clusters = [str(row // 6) for row in range(164 * 6)]
    hits = np.zeros(2)
    for _ in range(reps):
        values = rng.binomial(20, np.repeat(kind.draw(rng, 164), 6)) / 20
        naive, clustered = problems_interval(values), problems_interval(values, clusters=clusters)
        hits += (holds(naive, kind.pass_at_k(1)), holds(clustered, kind.pass_at_k(1)))
    naive_share, clustered_share = hits / reps
    assert naive_share < 0.75
    assert 0.935 <= clustered_share <= 0.965


def test_clusters_of_one_problem_each_change_nothing() -> None:
    values = np.random.default_rng(0).beta(0.3, 0.7, 60)
    alone, clustered = problems_interval(values), problems_interval(values, clusters=[str(i) for i in range(60)])
    assert (clustered.low, clustered.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
    assert clustered.method == f"{alone.method}_clustered"


# ---------------------------------------------------------------------------------------------------------------------
# What must fail here, or these tests would prove nothing
# ---------------------------------------------------------------------------------------------------------------------


def test_bootstrap_of_completions_misses_the_score_of_these_problems() -> None:
    """Completions drawn with replacement give the plug-in 1 - (1 - c/n)^k, which is too low."""
    rng = np.random.default_rng(7)
    kind, hits = KINDS["even"], []
    for _ in range(300):
        rates = kind.draw(rng, 164)
        share = rng.binomial(20, rates) / 20
        means = [pass_at_k(20, rng.binomial(20, share), 10).mean() for _ in range(200)]
        low, high = np.quantile(means, [0.025, 0.975])
        hits.append(low <= (1 - (1 - rates) ** 10).mean() <= high)
    assert np.mean(hits) < 0.6


def test_uniform_prior_on_each_problem_misses_the_score_of_these_problems() -> None:
    """164 priors pull the same way, because most problems are nearly always or nearly never solved."""
    rng = np.random.default_rng(8)
    kind, hits = KINDS["even"], []
    for _ in range(200):
        rates = kind.draw(rng, 164)
        c = rng.binomial(20, rates)
        draws = rng.beta(1 + c, 21 - c, (300, 164))
        low, high = np.quantile((1 - (1 - draws) ** 10).mean(axis=1), [0.025, 0.975])
        hits.append(low <= (1 - (1 - rates) ** 10).mean() <= high)
    assert np.mean(hits) < 0.1


def test_variance_over_problems_answers_the_other_question() -> None:
    """It holds the score of these very problems nearly always, being five times as wide as it need be."""
    rng = np.random.default_rng(9)
    kind = KINDS["even"]
    widths = np.zeros(2)
    for _ in range(50):
        c = rng.binomial(20, kind.draw(rng, 164))
        completions = benchmark_interval(20, c, 1)
        problems = problems_interval(pass_at_k(20, c, 1))
        assert completions is not None
        widths += (completions.high - completions.low, problems.high - problems.low)
    assert widths[1] > 4 * widths[0]
