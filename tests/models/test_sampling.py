"""Noise is a function of its key, and choices know when rounding could turn them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from models.backend import Sampling
from models.sampling import choose, gumbel, noise_keys, tolerance

SEEDS = st.integers(0, 2**63 - 1)


def keys(*pairs: tuple[int, int]) -> torch.Tensor:
    return noise_keys(torch.tensor([seed for seed, _ in pairs]), torch.tensor([position for _, position in pairs]))


def test_noise_is_standard_gumbel() -> None:
    noise = gumbel(noise_keys(torch.tensor(7), torch.arange(2000)), 100, torch.float64)
    assert stats.kstest(noise.flatten().numpy(), stats.gumbel_r.cdf).pvalue > 1e-3


def test_noise_of_neighbouring_seeds_positions_and_tokens_is_unrelated() -> None:
    seeds, positions = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    noise = gumbel(noise_keys(seeds.flatten(), positions.flatten()), 40, torch.float64).view(40, 40, 40)
    for axis in range(3):
        one, other = noise.narrow(axis, 0, 39).flatten(), noise.narrow(axis, 1, 39).flatten()
        assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.02


@settings(deadline=None)
@given(seed=SEEDS, position=st.integers(0, 100_000))
def test_noise_depends_on_its_key_alone(seed: int, position: int) -> None:
    alone = gumbel(keys((seed, position)), 50, torch.float64)
    among = gumbel(keys((1, 2), (seed, position), (seed, position + 1)), 50, torch.float64)
    assert torch.equal(alone[0], among[1])
    assert not torch.equal(among[1], among[2])


@settings(deadline=None)
@given(seed=SEEDS)
def test_noise_is_finite_in_both_precisions_and_nearly_the_same(seed: int) -> None:
    wide, narrow = (gumbel(keys((seed, 3)), 4000, dtype) for dtype in (torch.float64, torch.float32))
    assert wide.isfinite().all()
    assert narrow.isfinite().all()
    # What is far below the usual has few digits in 32 bits, and next to no chance to win.
    usual = wide > -1.5
    torch.testing.assert_close(narrow[usual].double(), wide[usual], rtol=0, atol=1e-5)


@settings(deadline=None)
@given(seed=SEEDS)
def test_32_bit_noise_hardly_depends_on_where_in_memory_it_is_computed(seed: int) -> None:
    row = gumbel(keys((seed, 3)), 257, torch.float32)[0]
    for place in (0, 1, 5, 6):
        rows = [(1, other) for other in range(7)]
        rows[place] = (seed, 3)
        torch.testing.assert_close(gumbel(keys(*rows), 257, torch.float32)[place], row, rtol=0, atol=5e-6)


@pytest.mark.parametrize("temperature", [0.2, 0.8, 1.0, 2.0])
def test_tokens_are_drawn_from_the_softmax(temperature: float) -> None:
    logits = torch.tensor([2.0, 1.0, 0.5, -1.0, -30.0], dtype=torch.float64)
    rows = 40_000
    drawn = choose(
        logits.expand(rows, -1), Sampling(temperature=temperature), noise_keys(torch.tensor(5), torch.arange(rows))
    )
    seen = torch.bincount(drawn.tokens_R, minlength=5).double()
    expected = rows * (logits / temperature).softmax(-1)
    assert seen[4] <= 2
    assert stats.chisquare(seen[:4].numpy(), (expected[:4] * seen[:4].sum() / expected[:4].sum()).numpy()).pvalue > 1e-3


def kept(probabilities: list[float], **how: float) -> set[int]:
    logits = torch.tensor(probabilities, dtype=torch.float64).log()
    rows = 3000
    drawn = choose(
        logits.expand(rows, -1),
        Sampling(temperature=1.0, **how),  # type: ignore[arg-type]
        noise_keys(torch.tensor(9), torch.arange(rows)),
    )
    return set(drawn.tokens_R.tolist())


def test_top_p_leaves_the_fewest_tokens_that_reach_it() -> None:
    assert kept([0.5, 0.2, 0.2 - 1e-6, 0.1], top_p=0.65) == {0, 1}
    assert kept([0.5, 0.2, 0.2 - 1e-6, 0.1], top_p=0.71) == {0, 1, 2}
    assert kept([0.1, 0.9], top_p=0.5) == {1}
    assert kept([0.1, 0.9], top_p=1e-9) == {1}


def test_top_k_leaves_so_many() -> None:
    assert kept([0.1, 0.4, 0.3, 0.2], top_k=1) == {1}
    assert kept([0.1, 0.4, 0.3, 0.2], top_k=3) == {1, 2, 3}
    assert kept([0.1, 0.4, 0.3, 0.2], top_k=30) == {0, 1, 2, 3}


def test_tokens_of_equal_probability_share_their_fate() -> None:
    assert kept([0.25, 0.25, 0.25, 0.25], top_p=0.3) == {0, 1, 2, 3}
    assert kept([0.4, 0.2, 0.2, 0.2], top_k=2) == {0, 1, 2, 3}


SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.2, 0.8, 1.0, 1.7]),
    top_p=st.sampled_from([1.0, 0.95, 0.5, 0.1]),
    top_k=st.sampled_from([0, 1, 3, 10]),
)


@settings(max_examples=300, deadline=None)
@given(
    sampling=SAMPLINGS,
    seed=st.integers(0, 2**31),
    ties=st.booleans(),
    scale=st.sampled_from([0.1, 1.0, 10.0]),
    error=st.floats(0, 1),
)
def test_what_is_not_called_doubtful_survives_every_error_within_the_tolerance(
    sampling: Sampling, seed: int, ties: bool, scale: float, error: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(40, 12, generator=generator, dtype=torch.float64) * scale
    if ties:  # steps of a twentieth: many equal logits, and many that differ by about the tolerance
        logits = (logits * 20).round() / 20
    allowed = torch.full((40,), 0.01, dtype=torch.float64)
    noise = noise_keys(torch.tensor(seed), torch.arange(40))
    choice = choose(logits, sampling, noise, tolerance_R=allowed)
    assert choice.doubtful_R is not None
    for _ in range(3):
        wrong = logits + (2 * torch.rand(logits.shape, generator=generator, dtype=torch.float64) - 1) * 0.01 * error
        sure = ~choice.doubtful_R
        assert torch.equal(choose(wrong, sampling, noise).tokens_R[sure], choice.tokens_R[sure])


def test_few_choices_of_usual_logits_are_doubtful() -> None:
    logits = torch.randn(5000, 257, generator=torch.Generator().manual_seed(0)) * 3
    noise = noise_keys(torch.tensor(1), torch.arange(5000))
    for sampling in (Sampling(), Sampling(temperature=0.8, top_p=0.95), Sampling(temperature=0.2)):
        choice = choose(logits, sampling, noise, tolerance_R=tolerance(logits))
        assert choice.doubtful_R is not None
        assert choice.doubtful_R.float().mean() < 0.01


def test_equal_logits_are_doubtful() -> None:
    logits = torch.zeros(1, 9)
    choice = choose(logits, Sampling(), keys((0, 0)), tolerance_R=tolerance(logits))
    assert choice.doubtful_R is not None
    assert bool(choice.doubtful_R)
