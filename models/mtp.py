"""A Llama-style transformer that predicts several future tokens: one trunk, n heads, one unembedding.

After Gloeckle et al. 2024, "Better & Faster Large Language Models via Multi-token Prediction" (arXiv 2404.19737). Names
and shapes of the parameters are those of the released checkpoints `facebook/multi-token-prediction`: the trunk's layers
and the next-token head are numbered together in `layers`, the heads of the tokens after that are `extra_heads`.

Shapes: B batch, T positions, D model width, H query heads, G key-value heads, C channels of one head, V vocabulary,
N future tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HeadType = Literal["transformer", "causal", "anticausal", "linear", "replicated"]
"""What stands between trunk and unembedding (section 2 and appendix B of the paper).

`transformer`: one layer for each future token, side by side. `causal`: the layer of token i on top of that of token
i - 1. `anticausal`: on top of that of token i + 1. `linear`: a matrix for each. `replicated`: nothing, but each has an
unembedding of its own.
"""

_LAYERED: frozenset[HeadType] = frozenset({"transformer", "causal", "anticausal"})

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(queries_BTHC, keys_BTGC, values_BTGC) -> mixed_BTHC."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MTPConfig:
    """The shape of a model."""

    vocab_size: int
    dim: int
    num_layers: int
    """All transformer layers, the heads' included: models of unlike `num_future_tokens` have equally many, as in the
    paper, and so the path to the next token is shorter in a model that predicts more of them."""
    num_heads: int
    num_kv_heads: int
    hidden_dim: int
    """Width of the feed-forward layers."""
    num_future_tokens: int = 1
    head_type: HeadType = "transformer"
    max_positions: int = 4096
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("vocab_size", "dim", "num_layers", "num_heads", "num_kv_heads", "hidden_dim", "max_positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.dim % self.num_heads or (self.dim // self.num_heads) % 2:
            raise ValueError(f"dim {self.dim} must be {self.num_heads} heads (num_heads) of an even width")
        if self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_heads {self.num_heads} must be a multiple of num_kv_heads {self.num_kv_heads}")
        if self.head_type not in get_args(HeadType):
            raise ValueError(f"unknown head_type {self.head_type!r}; accepted: {', '.join(get_args(HeadType))}")
        if self.num_future_tokens < 1:
            raise ValueError(f"num_future_tokens must be 1 or more, not {self.num_future_tokens}")
        if self.has_layered_heads and self.num_layers < self.num_future_tokens:
            raise ValueError(
                f"{self.num_future_tokens} heads of a layer each do not fit into {self.num_layers} layers; "
                f"raise num_layers, which counts them"
            )

    @property
    def has_layered_heads(self) -> bool:
        """Whether heads are transformer layers, which attend to earlier positions and so have keys and values."""
        return self.head_type in _LAYERED

    @property
    def num_extra_layers(self) -> int:
        """How many of the layers belong to tokens after the next."""
        return self.num_future_tokens - 1 if self.has_layered_heads else 0

    @property
    def head_dim(self) -> int:
        return self.dim // self.num_heads


def feed_forward_width(dim: int, *, multiple_of: int, multiplier: float | None) -> int:
    """`hidden_dim` as Llama derives it: two thirds of 4 x `dim`, times `multiplier`, up to the next multiple."""
    width = int(2 * (4 * dim) / 3)
    if multiplier is not None:
        width = int(multiplier * width)
    return multiple_of * -(-width // multiple_of)


class Attention(nn.Module):
    """Causal self-attention with rotary positions; several query heads may share keys and values."""

    def __init__(self, config: MTPConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        kv_width = config.num_kv_heads * config.head_dim
        self.wq = nn.Linear(config.dim, config.dim, bias=False)
        self.wk = nn.Linear(config.dim, kv_width, bias=False)
        self.wv = nn.Linear(config.dim, kv_width, bias=False)
        self.wo = nn.Linear(config.dim, config.dim, bias=False)

    def forward(self, x_BTD: Tensor, rope_TC: Tensor, attend: Attend) -> Tensor:
        q, k, v = (w(x_BTD).unflatten(-1, (-1, self.head_dim)) for w in (self.wq, self.wk, self.wv))
        mixed_BTHC = attend(rotate(q, rope_TC), rotate(k, rope_TC), v)
        out: Tensor = self.wo(mixed_BTHC.flatten(-2))
        return out


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, config: MTPConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.w2 = nn.Linear(config.hidden_dim, config.dim, bias=False)
        self.w3 = nn.Linear(config.dim, config.hidden_dim, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        out: Tensor = self.w2(F.silu(self.w1(x_BTD)) * self.w3(x_BTD))
        return out


class Block(nn.Module):
    """One transformer layer; a layered head is one too."""

    def __init__(self, config: MTPConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config)
        self.attention_norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.ffn_norm = nn.RMSNorm(config.dim, eps=config.norm_eps)

    def forward(self, x_BTD: Tensor, rope_TC: Tensor, attend: Attend) -> Tensor:
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), rope_TC, attend)
        out: Tensor = x_BTD + self.feed_forward(self.ffn_norm(x_BTD))
        return out


class MTPTransformer(nn.Module):
    """The model. Weights come from `reset`, or from `models.checkpoint`."""

    def __init__(self, config: MTPConfig) -> None:
        super().__init__()
        self.config = config
        n = config.num_future_tokens
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.dim)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_layers - config.num_extra_layers))
        self.extra_heads = nn.ModuleList(Block(config) for _ in range(config.num_extra_layers))
        self.linear_heads = nn.ModuleList(
            nn.Linear(config.dim, config.dim, bias=False) for _ in range(n if config.head_type == "linear" else 0)
        )
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.output = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.extra_outputs = nn.ModuleList(
            nn.Linear(config.dim, config.vocab_size, bias=False)
            for _ in range(n - 1 if config.head_type == "replicated" else 0)
        )
        self._ropes: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def reset(self, generator: torch.Generator) -> None:
        """Draws new weights: normal with deviation 0.02, less for what ends in the residual stream; norms are 1."""
        residual = 0.02 / (2 * self.config.num_layers) ** 0.5
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.dim() == 1:
                    weight.fill_(1.0)
                else:
                    deviation = residual if name.endswith(("wo.weight", "w2.weight")) else 0.02
                    weight.normal_(0.0, deviation, generator=generator)
                    if name.startswith("linear_heads"):
                        weight.add_(torch.eye(len(weight), device=weight.device, dtype=weight.dtype))

    # -----------------------------------------------------------------------------------------------------------------

    def forward(self, tokens_BT: Tensor, *, return_all_heads: bool = False) -> Tensor:
        """logits_BTNV; N is 1, the next token, unless all heads are asked for. At position t entry i is the token
        t + 1 + i."""
        hidden_BTD = self.trunk(tokens_BT)
        states = itertools.islice(self.head_states(hidden_BTD), None if return_all_heads else 1)
        return torch.stack([self.unembed(state_BTD, head) for head, state_BTD in enumerate(states)], dim=-2)

    def next_logits(self, tokens_BT: Tensor) -> Tensor:
        """logits_BV of the token after the last."""
        state_BTD = next(self.head_states(self.trunk(tokens_BT)))
        return self.unembed(state_BTD[:, -1], 0)

    def trunk(self, tokens_BT: Tensor) -> Tensor:
        """hidden_BTD, what all heads share."""
        x_BTD: Tensor = self.tok_embeddings(tokens_BT)
        rope_TC = self.rope(x_BTD)
        for layer in self.layers[:-1] if self.config.has_layered_heads else self.layers:
            x_BTD = layer(x_BTD, rope_TC, causal_attention)
        return x_BTD

    def head_states(self, hidden_BTD: Tensor) -> Iterator[Tensor]:
        """What `unembed` takes, for each future token in turn.

        Lazy, so that whoever wants the first head pays for no other (of anticausal heads the first rests on all), and
        training can go back through one head before the next is computed.
        """
        kind = self.config.head_type
        if kind == "replicated":
            yield from (hidden_BTD for _ in range(self.config.num_future_tokens))
        elif kind == "linear":
            yield from (head(hidden_BTD) for head in self.linear_heads)
        elif kind == "transformer":
            rope_TC = self.rope(hidden_BTD)
            yield from (head(hidden_BTD, rope_TC, causal_attention) for head in self._layered_heads())
        elif kind == "causal":
            yield from self._chain(hidden_BTD, self._layered_heads())
        else:
            yield from reversed(list(self._chain(hidden_BTD, self._layered_heads()[::-1])))

    def _layered_heads(self) -> list[nn.Module]:
        return [self.layers[-1], *self.extra_heads]

    def _chain(self, state_BTD: Tensor, heads: list[nn.Module]) -> Iterator[Tensor]:
        rope_TC = self.rope(state_BTD)
        for head in heads:
            state_BTD = head(state_BTD, rope_TC, causal_attention)
            yield state_BTD

    def unembed(self, state_BTD: Tensor, head: int) -> Tensor:
        """logits_BTV of one head."""
        output = self.extra_outputs[head - 1] if head and self.extra_outputs else self.output
        logits: Tensor = output(self.norm(state_BTD))
        return logits

    def rope(self, like_BTD: Tensor) -> Tensor:
        """rope_TC for positions 0 to T - 1, on the device of `like_BTD`.

        Raises:
            ValueError: there are more positions than the model has been made for.
        """
        num_positions = like_BTD.shape[-2]
        if num_positions > self.config.max_positions:
            raise ValueError(f"{num_positions} tokens do not fit into a context of {self.config.max_positions}")
        return self.rope_table(like_BTD.device, like_BTD.dtype)[:num_positions]

    def rope_table(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """rope_SC: a complex rotation for every position; 64-bit floats get 128-bit rotations, all others 64-bit."""
        # Not a buffer: `module.to(dtype)` would take away the imaginary part.
        key = (device, torch.complex128 if dtype == torch.float64 else torch.complex64)
        if key not in self._ropes:
            half = torch.arange(0, self.config.head_dim, 2, dtype=torch.float64, device=device) / self.config.head_dim
            positions = torch.arange(self.config.max_positions, dtype=torch.float64, device=device)
            angles = torch.outer(positions, self.config.rope_theta**-half)
            self._ropes[key] = torch.polar(torch.ones_like(angles), angles).to(key[1])
        return self._ropes[key]


def rotate(x_BTHC: Tensor, rope_TC: Tensor) -> Tensor:
    """Rotary positions, on neighbouring pairs of channels as in Llama's own code."""
    real = x_BTHC if x_BTHC.dtype == torch.float64 else x_BTHC.float()
    pairs = torch.view_as_complex(real.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * rope_TC[..., None, :]).flatten(-2).to(x_BTHC.dtype)


def causal_attention(q_BTHC: Tensor, k_BTGC: Tensor, v_BTGC: Tensor) -> Tensor:
    """Each position attends to itself and those before."""
    q, k, v = (x.transpose(1, 2) for x in (q_BTHC, k_BTGC, v_BTGC))
    if k.shape[1] != q.shape[1]:
        k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
