"""Components, smallest detectable differences and plans against simulation and a published table."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats import Counts, NotComparable
from harness.stats.comparison import problems_difference
from harness.stats.power import make_plan, mde, plan, variance_components


def codex_like(m: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(0.194, 0.538, m)


def counts(p: np.ndarray, n: int, seed: int) -> Counts:
    return Counts.of(np.full(p.size, n), np.random.default_rng(seed).binomial(n, p))


def test_components_of_one_score_are_those_of_the_population() -> None:
    p = codex_like(20_000)
    parts = variance_components(counts(p, 20, 1))
    assert parts.between == pytest.approx(p.var(), rel=0.02)
    assert parts.within == pytest.approx((p * (1 - p)).mean() / 20, rel=0.03)
    assert parts.share == pytest.approx(parts.within / (parts.within + parts.between))


def test_noise_of_completions_is_taken_out_of_the_differences() -> None:
    p = codex_like(20_000)
    same = variance_components(counts(p, 20, 1), counts(p, 20, 2))
    assert same.share > 0.97
    q = np.clip(p + np.random.default_rng(3).normal(0, 0.2, p.size), 0, 1)
    other = variance_components(counts(p, 20, 1), counts(q, 20, 2))
    assert other.between == pytest.approx((q - p).var(), rel=0.05)


@pytest.mark.parametrize(("n", "points"), [(1, 8.9), (5, 4.0), (20, 2.0), (100, 0.9), (200, 0.6)])
def test_near_identical_checkpoints_have_the_detectable_difference_of_the_table(n: int, points: float) -> None:
    pilot = counts(codex_like(20_000), 20, 1)
    assert 100 * mde(pilot, num_problems=164, num_samples=n) == pytest.approx(points, abs=0.06)


@pytest.mark.slow
def test_difference_of_the_mde_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(5)
    p = 0.1 + 0.8 * rng.beta(0.3, 0.7, 200_000)
    effect = mde(counts(p[:20_000] - 0.03, 20, 1), counts(p[:20_000], 20, 2), num_problems=164, num_samples=20)
    found = []
    for _ in range(3000):
        here = rng.choice(p, 164)
        values = (rng.binomial(20, here) - rng.binomial(20, here - effect)) / 20
        found.append(problems_difference(values).low > 0)
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_more_completions_help_until_only_more_problems_do() -> None:
    p = codex_like(2000)
    q = np.clip(p + np.random.default_rng(3).normal(0, 0.3, p.size), 0, 1)
    rows = plan(
        counts(p, 20, 1), counts(q, 20, 2), effect=0.03, num_problems=(164, 974), num_samples=(1, 20, 200, 2000)
    )
    here = [row.mde for row in rows if row.num_problems == 164]
    assert here == sorted(here, reverse=True)
    assert here[2] - here[3] < 0.1 * (here[0] - here[1])
    assert rows[-1].mde == pytest.approx(here[-1] * (164 / 974) ** 0.5, rel=1e-9)
    assert [row.enough for row in rows] == [row.mde <= 0.03 for row in rows]
    assert rows[0].completions == 2 * 164


def test_plan_leaves_out_sizes_that_cannot_have_the_k() -> None:
    pilot = counts(codex_like(164), 20, 1)
    assert [row.num_samples for row in plan(pilot, k=10, effect=0.1, num_samples=(1, 10, 50))] == [10, 50]


def test_plan_names_the_cheapest_size_that_is_enough() -> None:
    one = make_plan(counts(codex_like(164), 20, 1), effect=0.02)
    assert one.cheapest is not None
    assert (one.cheapest.num_problems, one.cheapest.num_samples, one.paired) == (164, 100, False)
    assert one.rows == plan(counts(codex_like(164), 20, 1), effect=0.02)


def test_plan_without_a_size_that_is_enough_says_how_many_problems_would_be() -> None:
    p = codex_like(164)
    q = np.clip(p + np.random.default_rng(3).normal(0, 0.3, p.size), 0, 1)
    a, b = counts(p, 20, 1), counts(q, 20, 2)
    one = make_plan(a, b, effect=0.03)
    assert one.cheapest is None
    assert mde(a, b, num_problems=one.problems_needed, num_samples=200) <= 0.03
    assert mde(a, b, num_problems=one.problems_needed - 1, num_samples=200) > 0.03


def test_pilots_may_differ_where_that_is_allowed() -> None:
    p = codex_like(164)
    a, b = (Counts.of(np.full(164, 20), counts(p, 20, seed).c, protocol={"T": seed}) for seed in (1, 2))
    with pytest.raises(NotComparable, match="T: 1 and 2"):
        make_plan(a, b, effect=0.03)
    assert make_plan(a, b, effect=0.03, may_differ=["T"]).paired


def test_single_completions_are_no_pilot() -> None:
    with pytest.raises(ValueError, match="a pilot takes 2 or more"):
        mde(counts(codex_like(164), 1, 1))


@pytest.mark.parametrize("effect", [0.0, -0.1, 2.0])
def test_refuses_an_effect_that_is_no_fraction(effect: float) -> None:
    with pytest.raises(ValueError, match="effect must be a fraction above 0"):
        plan(counts(codex_like(164), 20, 1), effect=effect)


@pytest.mark.parametrize("name", ["alpha", "power"])
def test_refuses_chances_outside_0_and_1(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must lie between 0 and 1"):
        mde(counts(codex_like(164), 20, 1), **{name: 1.0})
