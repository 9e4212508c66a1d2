"""Head by head is the sum of all heads, in the memory of one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small import small_model

from models.loss import backward, losses_of, naive_losses
from models.mtp import HeadType, MTPConfig, MTPTransformer
from models.train_bench import all_heads_at_once, peak_bytes

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
    losses = losses_of(model, TOKENS)
    for head in range(3):
        chosen = [
            logits[b, t, head].log_softmax(-1)[TOKENS[b, t + 1 + head]] for b in range(3) for t in range(17 - 1 - head)
        ]
        torch.testing.assert_close(losses[head], -torch.stack(chosen).mean())


def test_targets_of_weight_zero_count_nothing() -> None:
    model = small_model(n=2, spread=0.3)
    weights = torch.ones_like(WEIGHTS)
    weights[:, 9:] = 0
    torch.testing.assert_close(losses_of(model, TOKENS, weights), losses_of(model, TOKENS[:, :9]))


def test_gradients_add_up_over_parts_of_a_batch() -> None:
    whole, parts = (small_model(n=2, spread=0.3) for _ in range(2))
    backward(whole, TOKENS)
    for row in TOKENS:
        backward(parts, row[None], scale=1 / 3)
    for one, two in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)


def peak_of(n: int, step: Any, *, head_type: HeadType = "transformer") -> int:
    """Of one step at a vocabulary of 32,000 beside which the rest is small, gradients of the weights left out."""
    config = MTPConfig(
        vocab_size=32_000, dim=64, num_layers=6, num_heads=4, num_kv_heads=4, hidden_dim=128, num_future_tokens=n,
        head_type=head_type,
    )  # fmt: skip
    model = MTPTransformer(config)
    model.reset(torch.Generator().manual_seed(0))
    tokens = torch.randint(0, 32_000, (2, 128), generator=torch.Generator().manual_seed(1))
    return peak_bytes(model, tokens, step)


@pytest.mark.parametrize("head_type", HEADS[:4])
def test_four_heads_take_hardly_more_memory_than_one(head_type: HeadType) -> None:
    one = peak_of(1, backward)
    four = peak_of(4, backward, head_type=head_type)
    assert four < 1.1 * one
    assert one > 2 * 256 * 32_000 * 4  # logits and their gradient: the measure sees what it is about


def test_all_heads_at_once_take_much_more() -> None:
    assert peak_of(4, all_heads_at_once) > 1.6 * peak_of(4, backward)
