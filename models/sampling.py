"""From logits to tokens: noise that depends on nothing but its key, and choices that know when they are close.

A token is drawn by the Gumbel-max trick: the largest of logits / temperature + noise. The noise of a token is a
function of (seed of the sample, position in the text, token), so the same text comes about whatever else is in the
batch, however many tokens are verified at once, and in whatever order the work is done. With shared noise, accepting a
draft if and only if it equals the token that the target draws is lossless without any rejection step (Daliri, Musco and
Suresh 2024, arXiv 2408.07978).

Logits of 32-bit floats differ in their last digits with the shape of the batch. Where that could turn a choice, the
choice is called doubtful, and the caller decides it by logits that depend on the text alone.

Shapes: R rows, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.backend import Sampling

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One token for every row."""

    tokens_R: Tensor
    doubtful_R: Tensor | None
    """Whether an error within the tolerance could have turned the choice; None where no tolerance was given."""


def noise_keys(seeds_R: Tensor, positions_R: Tensor) -> Tensor:
    """keys_R, 64-bit integers: one for each pair of a sample's seed and a position in its text."""
    return _mixed(_mixed(seeds_R) + positions_R * _GOLDEN)


def gumbel(keys_R: Tensor, vocab_size: int, dtype: torch.dtype) -> Tensor:
    """noise_RV, standard Gumbel: row r is the stream of numbers that `keys_R[r]` names (SplitMix64, Steele, Lea and
    Flood 2014)."""
    counters_V = torch.arange(1, vocab_size + 1, device=keys_R.device) * _GOLDEN
    bits = _mixed(keys_R[:, None] + counters_V)
    # 52 bits and a half: never 0 and never 1, so that both logarithms are finite.
    uniform = (_shifted(bits, 12).to(dtype) + 0.5) * 2.0**-52
    if dtype != torch.float64:
        uniform.clamp_(max=1 - 2.0**-24)
    return uniform.neg_().log1p_().neg_().log_().neg_()


def _mixed(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * _MIX[0]
    x = (x ^ _shifted(x, 27)) * _MIX[1]
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """A shift to the right that brings in zeros; torch's own brings in the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def choose(
    logits_RV: Tensor,
    sampling: Sampling,
    keys_R: Tensor,
    *,
    tolerance_R: Tensor | None = None,
    noise_dtype: torch.dtype | None = None,
) -> Choice:
    """The token of every row.

    Args:
        logits_RV: 32- or 64-bit floats.
        sampling: temperature, top-p and top-k.
        keys_R: of the noise (see `noise_keys`); unused at temperature 0.
        tolerance_R: how wrong a logit may be; None not to ask.
        noise_dtype: what the noise is computed in, where that is not the type of the logits: noise of 32 and of 64
            bits are not the same noise.
    """
    if sampling.temperature == 0:
        return _decided(logits_RV, tolerance_R)
    scaled_RV = logits_RV / sampling.temperature
    scaled_tolerance_R = None if tolerance_R is None else tolerance_R / sampling.temperature
    noise_RV = gumbel(keys_R, logits_RV.shape[-1], noise_dtype or logits_RV.dtype)
    if sampling.top_p == 1 and not sampling.top_k:
        return _decided(scaled_RV + noise_RV, _with_noise(scaled_tolerance_R))
    kept_RV = _kept(scaled_RV, sampling, scaled_tolerance_R)
    choice = _decided((scaled_RV + noise_RV).masked_fill_(~kept_RV, -torch.inf), _with_noise(scaled_tolerance_R))
    if scaled_tolerance_R is None or choice.doubtful_R is None:
        return choice
    sure_R = _surely_kept(scaled_RV, choice.tokens_R, sampling, scaled_tolerance_R)
    return Choice(tokens_R=choice.tokens_R, doubtful_R=choice.doubtful_R | ~sure_R)


def tolerance(logits_RV: Tensor) -> Tensor:
    """tolerance_R: what rounding can do to a logit, with room to spare.

    256 units in the last place of the row's largest logit. Measured on trained and random models of up to 8 layers, the
    logits of one text in batches of 1 to 128 rows differ by less than a tenth of that.
    """
    return (logits_RV.abs().amax(-1) + 1) * (256 * torch.finfo(logits_RV.dtype).eps)


_NOISE_ERROR = 1e-5
"""32-bit noise differs by less in its last digits with the place of a number in its row."""


def _with_noise(tolerance_R: Tensor | None) -> Tensor | None:
    if tolerance_R is None or tolerance_R.dtype == torch.float64:
        return tolerance_R
    return tolerance_R + _NOISE_ERROR


def _decided(scores_RV: Tensor, tolerance_R: Tensor | None) -> Choice:
    if tolerance_R is None:
        return Choice(tokens_R=scores_RV.argmax(-1), doubtful_R=None)
    best = scores_RV.max(-1)
    # The runner-up without a sort: the largest when the winner is out of the way.
    second_R = scores_RV.scatter(-1, best.indices[:, None], -torch.inf).amax(-1)
    return Choice(tokens_R=best.indices, doubtful_R=best.values - second_R < 2 * tolerance_R)


def _kept(scaled_RV: Tensor, sampling: Sampling, tolerance_R: Tensor | None) -> Tensor:
    """kept_RV: the tokens that top-k and top-p leave, and with a tolerance those that they may leave.

    Top-p leaves a token if those more probable than it have less than `top_p` together, top-k if they are fewer than
    `top_k`: tokens of equal probability share their fate, so that no order among them has to be invented. Top-p goes by
    the probabilities before top-k.
    """
    slack_R1 = 0 if tolerance_R is None else 2 * tolerance_R[:, None]
    least_R1 = torch.full_like(scaled_RV[:, :1], -torch.inf)
    if sampling.top_k:
        least_R1 = scaled_RV.topk(min(sampling.top_k, scaled_RV.shape[-1])).values[:, -1:]
    if sampling.top_p < 1:
        ordered_RX, before_RX = _most_probable(scaled_RV, sampling.top_p + slack_R1 * _MASS_PER_LOGIT)
        within_RX = before_RX < sampling.top_p + slack_R1 * _MASS_PER_LOGIT
        last_R1 = within_RX.sum(-1, keepdim=True).clamp_(min=1) - 1
        least_R1 = torch.maximum(least_R1, ordered_RX.gather(-1, last_R1))
    return scaled_RV >= least_R1 - slack_R1


def _most_probable(scaled_RV: Tensor, mass_R1: Tensor | float) -> tuple[Tensor, Tensor]:
    """(logits in falling order, what those before each have together), as many as have the mass."""
    total_R1 = scaled_RV.logsumexp(-1, keepdim=True)
    num_tokens = scaled_RV.shape[-1]
    # A sort takes ten times as long, and a few tokens nearly always have the mass. On a GPU the host must not look.
    count = min(_USUALLY_ENOUGH, num_tokens) if scaled_RV.device.type == "cpu" else num_tokens
    ordered_RX = scaled_RV.topk(count).values if count < num_tokens else scaled_RV.sort(-1, descending=True).values
    probable_RX = (ordered_RX - total_R1).exp()
    summed_RX = probable_RX.cumsum(-1)
    if count < num_tokens and not bool((summed_RX[:, -1:] >= mass_R1).all()):
        ordered_RX = scaled_RV.sort(-1, descending=True).values
        probable_RX = (ordered_RX - total_R1).exp()
        summed_RX = probable_RX.cumsum(-1)
    return ordered_RX, summed_RX - probable_RX


_USUALLY_ENOUGH = 64


_MASS_PER_LOGIT = 2.0
"""An error of x in every logit changes the probability of a set of tokens by less than 2 x."""


def _surely_kept(scaled_RV: Tensor, tokens_R: Tensor, sampling: Sampling, tolerance_R: Tensor) -> Tensor:
    """sure_R: whether top-k and top-p leave the token in spite of any error within the tolerance."""
    slack_R1 = 2 * tolerance_R[:, None]
    own_R1 = scaled_RV.gather(-1, tokens_R[:, None])
    rivals_RV = (scaled_RV > own_R1 - slack_R1).scatter(-1, tokens_R[:, None], False)
    sure_R = torch.ones_like(tokens_R, dtype=torch.bool)
    if sampling.top_k:
        sure_R &= rivals_RV.sum(-1) < sampling.top_k
    if sampling.top_p < 1:
        mass_R = (scaled_RV.softmax(-1) * rivals_RV).sum(-1)
        sure_R &= mass_R < sampling.top_p - _MASS_PER_LOGIT * slack_R1[:, 0]
    return sure_R
