"""Head by head is the sum of all heads, in the memory of one."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from small import small_model

from models.loss import backward, naive_losses
from models.mtp import HeadType, MTPConfig, MTPTransformer
from models.train_bench import PeakMemory, all_heads_at_once, peak_bytes

HEADS: list[HeadType] = ["transformer", "causal", "anticausal", "linear", "replicated"]
TOKENS = torch.randint(0, 257, (3, 17), generator=torch.Generator().manual_seed(2))
WEIGHTS = torch.rand(TOKENS.shape, generator=torch.Generator().manual_seed(3)).round(decimals=2)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("head_type", HEADS)
def test_losses_and_gradients_are_those_of_the_sum(head_type: HeadType, n: int, weights: torch.Tensor | None) -> None:
    model, other = (small_model(n=n, head_type=head_type, spread=0.3) for _ in range(2))
    losses = backward(model, TOKENS, weights)
    expected = naive_losses(other, TOKENS, weights)
    expected.sum().backward()
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-9, atol=0)
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        assert one.grad is not None, name
        assert two.grad is not None, name
        scale = two.grad.abs().max()
        assert (one.grad - two.grad).abs().max() <= 1e-6 * scale, name


def test_each_head_is_scored_on_the_token_so_many_places_ahead() -> None:
    model = small_model(n=3, spread=0.3)
    logits = model(TOKENS, return_all_heads=True)
    losses = naive_losses(model, TOKENS)
    for head in range(3):
        chosen = [
            logits[b, t, head].log_softmax(-1)[TOKENS[b, t + 1 + head]] for b in range(3) for t in range(17 - 1 - head)
        ]
        torch.testing.assert_close(losses[head], -torch.stack(chosen).mean())


def test_targets_of_weight_zero_count_nothing() -> None:
    model = small_model(n=2, spread=0.3)
    weights = torch.ones_like(WEIGHTS)
    weights[:, 9:] = 0
    torch.testing.assert_close(naive_losses(model, TOKENS, weights), naive_losses(model, TOKENS[:, :9]))


def test_gradients_add_up_over_parts_of_a_batch() -> None:
    whole, parts = (small_model(n=2, spread=0.3) for _ in range(2))
    backward(whole, TOKENS)
    for row in TOKENS:
        backward(parts, row[None], scale=1 / 3)
    for one, two in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)


@pytest.mark.parametrize("step", [backward, naive_losses])
@pytest.mark.parametrize("weights", [None, WEIGHTS[:, :4]], ids=["plain", "weighted"])
def test_texts_that_end_before_the_last_head_s_first_target_are_refused(
    step: Any, weights: torch.Tensor | None
) -> None:
    with pytest.raises(ValueError, match="texts of 4 tokens have none 4 places ahead; take 5 or more"):
        step(small_model(n=4), TOKENS[:, :4], weights)
    assert step(small_model(n=4), TOKENS[:, :5]).isfinite().all()


def test_a_batch_of_which_no_token_counts_has_no_loss_and_no_gradient() -> None:
    model = small_model(n=2, spread=0.3)
    assert backward(model, TOKENS, torch.zeros_like(WEIGHTS)).tolist() == [0, 0]
    assert all(weight.grad is None or not weight.grad.any() for weight in model.parameters())


def test_16_bit_products_lose_no_more_head_by_head_than_all_at_once() -> None:
    exact, sequential, at_once = (small_model(n=4, spread=0.3, dtype=torch.float32) for _ in range(3))
    naive_losses(exact, TOKENS).sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        assert backward(sequential, TOKENS).dtype == torch.float32
        losses = naive_losses(at_once, TOKENS)
    losses.sum().backward()
    right, one, other = (
        torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
        for model in (exact, sequential, at_once)
    )
    assert 0 < (one - right).norm() < 1.2 * (other - right).norm()


@functools.cache
def peak_of(n: int, step: Any, *, head_type: HeadType = "transformer") -> int:
    """Of one step at a vocabulary of 32,000 beside which the rest is small, weights and their gradients left out."""
    config = MTPConfig(
        vocab_size=32_000, dim=64, num_layers=6, num_heads=4, num_kv_heads=4, hidden_dim=128, num_future_tokens=n,
        head_type=head_type,
    )  # fmt: skip
    model = MTPTransformer(config)
    model.reset(torch.Generator().manual_seed(0))
    tokens = torch.randint(0, 32_000, (2, 65), generator=torch.Generator().manual_seed(1))
    return peak_bytes(model, tokens, step)


@pytest.mark.parametrize("head_type", HEADS)
def test_four_heads_take_hardly_more_memory_than_one(head_type: HeadType) -> None:
    one = peak_of(1, backward)
    four = peak_of(4, backward, head_type=head_type)
    assert four < 1.1 * one
    assert one > 2 * 2 * 64 * 32_000 * 4  # logits and their gradient: the measure sees what it is about


def test_all_heads_at_once_take_much_more() -> None:
    assert peak_of(4, all_heads_at_once) > 1.6 * peak_of(4, backward)


def test_what_was_there_before_and_what_is_gone_is_not_measured() -> None:
    before = torch.zeros(1000)
    with PeakMemory([before]) as memory:
        before.view(10, 100).t().add_(1)
        assert memory.peak == 0
        for _ in range(3):
            made = torch.ones(50)
            view = made[1:]
            assert memory.held == 200
            del made, view
    assert (memory.held, memory.peak) == (0, 200)
