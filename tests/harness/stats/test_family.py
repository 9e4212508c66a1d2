"""Families of comparisons: what is corrected together, and how often something false is claimed."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats import Counts, compare, pass_at_k, problems_interval
from harness.stats.adjustment import Correction, adjust_pvalues
from harness.stats.comparison import Metric
from harness.stats.family import Band, FamilyRow, Member, compare_family, curve


def drawn(rng: np.random.Generator, rates: np.ndarray, n: int = 20) -> Counts:
    return Counts.of(np.full(rates.size, n), rng.binomial(n, rates))


def heads(rng: np.random.Generator, *, num_heads: int = 4, ks: tuple[int, ...] = (1, 10), m: int = 164) -> list[Member]:
    """Models that are all the same, each compared with one baseline at each k."""
    rates = rng.beta(0.194, 0.538, m)
    baseline = drawn(rng, rates)
    return [
        Member(name=f"{head}@{k}", a=baseline, b=other, k=k)
        for head, other in ((head, drawn(rng, rates)) for head in range(num_heads))
        for k in ks
    ]


@pytest.mark.slow
def test_correction_keeps_any_false_claim_rare_where_none_makes_them_common() -> None:
    rng = np.random.default_rng(71)
    reps, claims = 400, np.zeros(2)
    for _ in range(reps):
        rows = compare_family(heads(rng))
        claims += (
            min(row.comparison.p_signflip for row in rows) <= 0.05,
            min(row.p_adjusted for row in rows) <= 0.05,
        )
    without, holm = claims / reps
    assert without > 0.15
    assert holm <= 0.065


def test_declared_family_is_corrected_alone_and_the_rest_explores() -> None:
    members = heads(np.random.default_rng(72))
    rows = compare_family(members, primary=["0@1", "1@1"])
    by_name: dict[str, FamilyRow] = {row.name: row for row in rows}
    p = [by_name[name].comparison.p_signflip for name in ("0@1", "1@1")]
    assert [by_name[name].p_adjusted for name in ("0@1", "1@1")] == pytest.approx(adjust_pvalues(p).tolist())
    others = [row for row in rows if not row.primary]
    assert len(others) == 6
    expected = adjust_pvalues([row.comparison.p_signflip for row in others], Correction.BH)
    assert [row.p_adjusted for row in others] == pytest.approx(expected.tolist())
    assert {row.correction for row in others} == {Correction.BH}


def test_largest_t_corrects_less_than_holm_where_comparisons_hang_together() -> None:
    rng = np.random.default_rng(73)
    rates = rng.beta(0.194, 0.538, 164)
    a, b = drawn(rng, rates, 200), drawn(rng, np.minimum(1, rates * 1.03), 200)
    members = [Member(name=str(k), a=a, b=b, k=k) for k in (1, 2, 3, 4, 5)]
    sharp = compare_family(members, correction=Correction.MAX_T, rng=np.random.default_rng(0))
    blunt = compare_family(members)
    # The slack is for the test behind each: by t here, by flipping signs there.
    assert all(one.p_adjusted <= other.p_adjusted + 0.005 for one, other in zip(sharp, blunt, strict=True))
    assert min(row.p_adjusted for row in sharp) < 0.8 * min(row.p_adjusted for row in blunt)


def test_single_comparison_needs_no_correction() -> None:
    (row,) = compare_family(heads(np.random.default_rng(74), num_heads=1, ks=(1,)))
    assert row.p_adjusted == row.comparison.p_signflip


@pytest.mark.parametrize(
    ("names", "primary", "message"),
    [
        ([], None, "nothing to compare"),
        (["a", "a"], None, "'a' names two comparisons"),
        (["a", "b"], ["c"], "the family names 'c', which is not compared; accepted: a, b"),
    ],
)
def test_refuses_families_that_are_not_well_named(names: list[str], primary: list[str] | None, message: str) -> None:
    counts = Counts.of([2, 2], [0, 1])
    with pytest.raises(ValueError, match=message):
        compare_family([Member(name=name, a=counts, b=counts, k=1) for name in names], primary=primary)


def test_largest_t_needs_a_generator() -> None:
    with pytest.raises(ValueError, match="give it `rng`"):
        compare_family(heads(np.random.default_rng(75)), correction=Correction.MAX_T)


@pytest.mark.parametrize("correction", [Correction.HOLM, Correction.MAX_T])
def test_family_of_another_metric_compares_that_one(correction: Correction) -> None:
    members = heads(np.random.default_rng(79), num_heads=2)
    rows = compare_family(members, metric=Metric.PASS_HAT_K, correction=correction, rng=np.random.default_rng(0))
    for row, member in zip(rows, members, strict=True):
        assert row.comparison == compare(member.a, member.b, member.k, metric=Metric.PASS_HAT_K)
    assert max(abs(row.p_adjusted - row.comparison.p_signflip) for row in rows) > 0


def test_pointwise_curve_is_the_interval_at_each_k() -> None:
    counts = drawn(np.random.default_rng(76), np.random.default_rng(77).beta(0.3, 0.7, 80))
    band = curve(counts, [10, 1])
    assert list(band) == [1, 10]
    assert band[10] == problems_interval(pass_at_k(counts.n, counts.c, 10))


@pytest.mark.slow
def test_simultaneous_band_holds_the_whole_curve() -> None:
    rng = np.random.default_rng(78)
    ks = (1, 2, 5, 10, 20)
    truth = {k: float((1 - (1 - np.random.default_rng(0).beta(0.3, 0.7, 1_000_000)) ** k).mean()) for k in ks}
    hits, reps = np.zeros(2), 250
    for _ in range(reps):
        counts = drawn(rng, rng.beta(0.3, 0.7, 164))
        for place, band in enumerate((curve(counts, ks), curve(counts, ks, band=Band.SIMULTANEOUS, rng=rng))):
            hits[place] += all(band[k].low <= truth[k] <= band[k].high for k in ks)
    pointwise, simultaneous = hits / reps
    assert simultaneous >= 0.925
    assert pointwise < simultaneous


@pytest.mark.parametrize(("ks", "band", "message"), [([], Band.POINTWISE, "no k"), ([1], Band.SIMULTANEOUS, "`rng`")])
def test_refuses_curves_it_cannot_draw(ks: list[int], band: Band, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        curve(Counts.of([2, 2], [0, 1]), ks, band=band)
