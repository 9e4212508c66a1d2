"""The loss over all future tokens, one head at a time, so that it takes no more memory than the loss of one.

Section 2 and figure 2 of Gloeckle et al. 2024: the sum over heads i of the cross-entropy of the token i places ahead.
The logits of a head, by far the largest thing there is (T x V of each text), are made, used and given back before those
of the next: the peak is O(V + d) per position and not O(n V + d). Heads that stand on one another (causal and
anticausal) keep what is inside of them to the end, O(V + n d): their logits too are there one head at a time.

Shapes: B texts, T positions, D width, V vocabulary, N heads.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.mtp import MTPTransformer


def backward(
    model: MTPTransformer, tokens_BT: Tensor, weights_BT: Tensor | None = None, *, scale: float = 1.0
) -> Tensor:
    """Adds the gradients of the loss to the model's, and returns the loss of each head, losses_N.

    The loss of head i is the mean over all positions that have a token i places ahead, weighted by the weight of that
    token. What is minimised is the sum over heads, all of them with the weight 1, as in the paper.

    Args:
        model: in training mode or not.
        tokens_BT: texts.
        weights_BT: what each token counts as a target; None for 1 each.
        scale: of the gradients, for batches that are put together of several.

    Raises:
        ValueError: the texts are too short for a token to lie that far ahead.
    """
    _check_length(model, tokens_BT)
    hidden_BTD = model.trunk(tokens_BT)
    # Cut off from the trunk: each head goes back to here, and what they all want is sent on once.
    leaf_BTD = hidden_BTD.detach().requires_grad_()
    losses = []
    pending: list[tuple[Tensor, Tensor]] = []
    chained = model.config.head_type in ("causal", "anticausal")
    for head, state_BTD in enumerate(model.head_states(leaf_BTD)):
        # Cut off once more: the logits' graph ends here, and goes before the head's own.
        own_BTD = state_BTD.detach().requires_grad_()
        loss = _head_loss(model, own_BTD, head, tokens_BT, weights_BT)
        (loss * scale).backward()
        losses.append(loss.detach())
        assert own_BTD.grad is not None
        if chained:
            # One head stands on another: their graph is one, and has to be gone back through as one.
            pending.append((state_BTD, own_BTD.grad))
        else:
            torch.autograd.backward(state_BTD, own_BTD.grad)
        del loss, own_BTD, state_BTD
    if pending:
        states, gradients = zip(*pending, strict=True)
        torch.autograd.backward(states, gradients)
    hidden_BTD.backward(leaf_BTD.grad)
    return torch.stack(losses)


def naive_losses(model: MTPTransformer, tokens_BT: Tensor, weights_BT: Tensor | None = None) -> Tensor:
    """losses_N, all heads in one graph: what `backward` must equal, and what it costs to do without it.

    Raises:
        ValueError: as of `backward`.
    """
    _check_length(model, tokens_BT)
    states = model.head_states(model.trunk(tokens_BT))
    return torch.stack(
        [_head_loss(model, state_BTD, head, tokens_BT, weights_BT) for head, state_BTD in enumerate(states)]
    )


def _check_length(model: MTPTransformer, tokens_BT: Tensor) -> None:
    heads, length = model.config.num_future_tokens, tokens_BT.shape[1]
    if length <= heads:
        raise ValueError(f"texts of {length} tokens have none {heads} places ahead; take {heads + 1} or more")


def _head_loss(
    model: MTPTransformer, state_BTD: Tensor, head: int, tokens_BT: Tensor, weights_BT: Tensor | None
) -> Tensor:
    ahead = head + 1
    # Positions without a token so far ahead have no logits to be made.
    logits_RV = model.unembed(state_BTD[:, :-ahead], head).flatten(0, 1)
    # The sum over a vocabulary needs more than 16 bits, whatever the products were computed in.
    wide_RV = logits_RV if logits_RV.dtype == torch.float64 else logits_RV.float()
    targets_R = tokens_BT[:, ahead:].flatten()
    if weights_BT is None:
        return F.cross_entropy(wide_RV, targets_R)
    weights_R = weights_BT[:, ahead:].flatten().to(wide_RV.dtype)
    each_R = F.cross_entropy(wide_RV, targets_R, reduction="none")
    # A batch of which no token counts has the loss 0, not 0 / 0.
    return (each_R * weights_R).sum() / weights_R.sum().clamp(min=1e-9)
