"""One step of decoding: the model's layers over a few new tokens per row, and the drafts of its extra heads.

The same mathematics as `models.mtp`, laid out for small batches: projections of the same input are one product, the
extra heads are one batch of products, and keys and values go into a static cache. The model's parameters become views
of the joined weights, so nothing is in memory twice.

Shapes: B rows, K new tokens per row, S positions, D width, E extra heads, H query heads, G key-value heads, C channels,
V vocabulary, W = G x C.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.cache import StaticCache, Stored, Window, visible
from models.mtp import Block, MTPTransformer


class Layer(NamedTuple):
    """The weights of one transformer layer, or with a leading E those of several."""

    attention_norm: Tensor
    qkv: Tensor
    o: Tensor
    ffn_norm: Tensor
    w13: Tensor
    w2: Tensor


class ExtraHeads(Protocol):
    """How the extra heads of one kind draft."""

    needs_history: bool
    """Whether they look at earlier positions, so that `extend` has to have seen every one of them."""
    num_states: int
    """X, the states that drafts are made from."""

    def extend(self, states_BKXD: Tensor, positions_BK: Tensor, window: Window) -> Tensor:
        """Takes positions into the heads' own history; the states to draft from, at each of them."""
        ...

    def draft(self, states_BXD: Tensor, positions_B: Tensor, window: Window, count: int) -> Tensor:
        """logits_BEV of the first `count` tokens after the next, as seen from the last positions of the history."""
        ...


class StepModel:
    """A model ready to decode.

    Args:
        model: its parameters are re-laid; it goes on to work, and must not be trained or moved any more.
    """

    def __init__(self, model: MTPTransformer) -> None:
        self.config = model.config
        self.model = model
        with torch.no_grad():
            self._layers = [_joined(block) for block in _blocks(model.layers)]
            self.embedding = model.tok_embeddings.weight.detach()
            self.norm = model.norm.weight.detach()
            self.output = model.output.weight.detach()
            self.extra_heads = _extra_heads(self)
        self.dtype = self.embedding.dtype
        self.device = self.embedding.device
        self.rope_SC = model.rope_table(self.device, self.dtype)

    def new_cache(self, rows: int, length: int, *, keep_inputs: bool = False) -> StaticCache:
        """An empty cache (see `StaticCache`)."""
        return StaticCache(self.config, rows, length, dtype=self.dtype, device=self.device, keep_inputs=keep_inputs)

    def run(self, tokens_BK: Tensor, positions_BK: Tensor, window: Window) -> tuple[Tensor, Tensor]:
        """The path to the next token over K tokens of each row, whose keys and values are kept.

        Returns:
            next_BKD, which `unembed` makes the next token's logits of, and states_BKXD for the extra heads' `extend`.
        """
        x = self.embedding[tokens_BK]
        rope = self.rope(positions_BK)
        mask = visible(positions_BK, window.span, self.dtype)
        last = len(self._layers) - 1
        for index, layer in enumerate(self._layers[:-1]):
            x = self.block(layer, x, rope, mask, window.layer(index))
        states = x[:, :, None]
        if isinstance(self.extra_heads, AnticausalHeads):
            x, states = self.extra_heads.before_next(x, rope, mask, window)
        x = self.block(self._layers[last], x, rope, mask, window.layer(last))
        if not self.config.has_layered_heads or isinstance(self.extra_heads, CausalHeads):
            states = x[:, :, None]
        if isinstance(self.extra_heads, LinearHeads):
            x = self.extra_heads.next_state(x)
        return x, states

    def unembed(self, x: Tensor) -> Tensor:
        """Logits of any number of states, as floats of at least 32 bits."""
        return _wide(F.linear(self.rms(x, self.norm), self.output))

    def rms(self, x: Tensor, weight: Tensor | None) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, self.config.norm_eps)

    def rope(self, positions_BK: Tensor) -> Tensor:
        """rope_BK1C. Positions after the model's last one belong to drafts that can no longer be taken."""
        return self.rope_SC[positions_BK.clamp(max=self.config.max_positions - 1)][:, :, None]

    def block(
        self,
        layer: Layer,
        x_BKD: Tensor,
        rope_BK1C: Tensor,
        mask_B1KS: Tensor,
        stored: Stored,
    ) -> Tensor:
        """One transformer layer; keys and values of the new tokens are added to those stored."""
        config = self.config
        B, K, D = x_BKD.shape
        H, G, C = config.num_heads, config.num_kv_heads, config.head_dim
        qkv = F.linear(self.rms(x_BKD, layer.attention_norm), layer.qkv)
        qkv[..., : (H + G) * C] = _rotated(qkv[..., : (H + G) * C], C, rope_BK1C)
        stored.put(qkv[..., H * C :])
        q_BKHC = qkv[..., : H * C].unflatten(-1, (H, C))
        mixed_BKD = attend(q_BKHC, stored, mask_B1KS).view(B * K, D)
        x = torch.addmm(x_BKD.view(B * K, D), mixed_BKD, layer.o.t())
        gate, up = F.linear(self.rms(x, layer.ffn_norm), layer.w13).chunk(2, dim=-1)
        return torch.addmm(x, F.silu(gate).mul_(up), layer.w2.t()).view(B, K, D)


def attend(q_BKHC: Tensor, stored: Stored, mask_B1KS: Tensor) -> Tensor:
    """mixed_BKHC. Query heads that share a key are more queries of it."""
    B, K, H, C = q_BKHC.shape
    G = stored.keys_BGSC.shape[1]
    shared = H // G
    q = q_BKHC.transpose(1, 2).reshape(B, G, shared * K, C)
    if shared > 1:
        mask_B1KS = mask_B1KS.repeat(1, 1, shared, 1)
    if q.device.type == "cpu":
        mixed = _attend_by_products(q, stored, mask_B1KS)
    else:
        mixed = F.scaled_dot_product_attention(q, stored.keys_BGSC, stored.values_BGSC, attn_mask=mask_B1KS)
    return mixed.reshape(B, H, K, C).transpose(1, 2).contiguous()


def _attend_by_products(q_BGQC: Tensor, stored: Stored, mask_B1QS: Tensor) -> Tensor:
    """The same as torch's own attention, which for a handful of queries takes twice as long on a CPU."""
    B, G, Q, C = q_BGQC.shape
    mask_XQS = mask_B1QS.expand(B, G, Q, -1).reshape(B * G, Q, -1)
    keys_XSC, values_XSC = stored.keys_BGSC.flatten(0, 1), stored.values_BGSC.flatten(0, 1)
    scores = torch.baddbmm(mask_XQS, q_BGQC.reshape(B * G, Q, C), keys_XSC.transpose(1, 2), alpha=C**-0.5)
    return torch.bmm(scores.softmax(-1), values_XSC)


def _rotated(x: Tensor, channels: int, rope: Tensor) -> Tensor:
    """Rotary positions for heads that lie side by side in the last dimension."""
    wide = _wide(x)
    pairs = torch.view_as_complex(wide.unflatten(-1, (-1, channels // 2, 2)))
    return torch.view_as_real(pairs * rope).flatten(-3).to(x.dtype)


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


# ---------------------------------------------------------------------------------------------------------------------
# Weights
# ---------------------------------------------------------------------------------------------------------------------


def _blocks(modules: nn.ModuleList) -> list[Block]:
    """The layers of a list, which does not say of what it is one."""
    return [cast(Block, module) for module in modules]


def _joined(block: Block) -> Layer:
    attention, feed_forward = block.attention, block.feed_forward
    return Layer(
        attention_norm=block.attention_norm.weight.detach(),
        qkv=_join([attention.wq, attention.wk, attention.wv]),
        o=attention.wo.weight.detach(),
        ffn_norm=block.ffn_norm.weight.detach(),
        w13=_join([feed_forward.w1, feed_forward.w3]),
        w2=feed_forward.w2.weight.detach(),
    )


def _join(linears: list[nn.Linear]) -> Tensor:
    """The weights below one another in new memory, of which the parameters become parts."""
    joined = torch.cat([linear.weight.detach() for linear in linears])
    start = 0
    for linear in linears:
        stop = start + linear.out_features
        linear.weight = nn.Parameter(joined[start:stop], requires_grad=False)
        start = stop
    return joined


def _stack(parameters: list[tuple[nn.Module, str]]) -> Tensor:
    """Parameters of one shape behind one another in new memory, of which they become parts."""
    stacked = torch.stack([getattr(module, name).detach() for module, name in parameters])
    for (module, name), part in zip(parameters, stacked, strict=True):
        setattr(module, name, nn.Parameter(part, requires_grad=False))
    return stacked


def _stacked(blocks: list[Block]) -> Layer:
    """The weights of several layers as one batch."""
    joined = [_joined(block) for block in blocks]
    qkv, w13 = torch.stack([layer.qkv for layer in joined]), torch.stack([layer.w13 for layer in joined])
    for block, own_qkv, own_w13 in zip(blocks, qkv, w13, strict=True):
        _point([block.attention.wq, block.attention.wk, block.attention.wv], own_qkv)
        _point([block.feed_forward.w1, block.feed_forward.w3], own_w13)
    return Layer(
        attention_norm=_stack([(block.attention_norm, "weight") for block in blocks]),
        qkv=qkv,
        o=_stack([(block.attention.wo, "weight") for block in blocks]),
        ffn_norm=_stack([(block.ffn_norm, "weight") for block in blocks]),
        w13=w13,
        w2=_stack([(block.feed_forward.w2, "weight") for block in blocks]),
    )


def _point(linears: list[nn.Linear], joined: Tensor) -> None:
    for linear, part in zip(linears, joined.split([linear.out_features for linear in linears]), strict=True):
        linear.weight = nn.Parameter(part, requires_grad=False)


# ---------------------------------------------------------------------------------------------------------------------
# Extra heads
# ---------------------------------------------------------------------------------------------------------------------


def _extra_heads(step: StepModel) -> ExtraHeads | None:
    config, model = step.config, step.model
    if config.num_future_tokens == 1 and config.head_type != "linear":
        return None
    blocks = _blocks(model.extra_heads)
    if config.head_type == "transformer":
        return ParallelHeads(step, _stacked(blocks))
    if config.head_type == "causal":
        return CausalHeads(step, [_joined(block) for block in blocks])
    if config.head_type == "anticausal":
        return AnticausalHeads(step, [_joined(block) for block in blocks])
    if config.head_type == "linear":
        return LinearHeads(step, _stack([(head, "weight") for head in model.linear_heads]))
    return ReplicatedHeads(step, _stack([(head, "weight") for head in model.extra_outputs]))


class ParallelHeads:
    """Heads side by side on the trunk: keys and values for every position, everything else only where it is needed."""

    needs_history = True
    num_states = 1

    def __init__(self, step: StepModel, layer: Layer) -> None:
        self._step = step
        self._layer = layer

    def extend(self, states_BKXD: Tensor, positions_BK: Tensor, window: Window) -> Tensor:
        config, layer = self._step.config, self._layer
        B, K, _, D = states_BKXD.shape
        E, (H, G, C) = len(layer.qkv), (config.num_heads, config.num_kv_heads, config.head_dim)
        normed = self._step.rms(states_BKXD.reshape(1, B * K, D), None) * layer.attention_norm[:, None]
        kv = torch.bmm(normed, layer.qkv[:, H * C :].transpose(1, 2)).view(E, B, K, 2 * G * C)
        kv[..., : G * C] = _rotated(kv[..., : G * C], C, self._step.rope(positions_BK))
        window.extra_heads().put(kv.view(E, B, K, 2, G * C).permute(1, 2, 3, 0, 4))
        return states_BKXD

    def draft(self, states_BXD: Tensor, positions_B: Tensor, window: Window, count: int) -> Tensor:
        step, config, layer = self._step, self._step.config, self._layer
        B, _, D = states_BXD.shape
        E, (H, C) = len(layer.qkv), (config.num_heads, config.head_dim)
        x_1BD = states_BXD.view(1, B, D)
        normed = step.rms(x_1BD, None) * layer.attention_norm[:, None]
        q = torch.bmm(normed, layer.qkv[:, : H * C].transpose(1, 2))
        q = _rotated(q.view(E, B, 1, H * C), C, step.rope(positions_B[:, None])).view(E, B, H, C)
        # To the attention each head's queries are so many more heads. All of them, also where few drafts are wanted:
        # so keys and values lie as they are needed.
        mask = visible(positions_B[:, None], window.span, step.dtype)
        mixed = attend(q.transpose(0, 1).reshape(B, 1, E * H, C), window.extra_heads(), mask)
        mixed_EBD = mixed.view(B, E, D)[:, :count].transpose(0, 1)
        layer = Layer(*(weight[:count] for weight in layer))
        x = x_1BD + torch.bmm(mixed_EBD, layer.o.transpose(1, 2))
        normed = step.rms(x, None) * layer.ffn_norm[:, None]
        gate, up = torch.bmm(normed, layer.w13.transpose(1, 2)).chunk(2, dim=-1)
        x = torch.baddbmm(x, F.silu(gate).mul_(up), layer.w2.transpose(1, 2))
        return step.unembed(x).transpose(0, 1)


class CausalHeads:
    """Each head on top of the one before: all of them at every position."""

    needs_history = True

    def __init__(self, step: StepModel, layers: list[Layer]) -> None:
        self._step = step
        self._layers = layers
        self.num_states = len(layers)

    def extend(self, states_BKXD: Tensor, positions_BK: Tensor, window: Window) -> Tensor:
        step = self._step
        x, rope, mask = states_BKXD[:, :, 0], step.rope(positions_BK), visible(positions_BK, window.span, step.dtype)
        states = []
        for index, layer in enumerate(self._layers):
            x = step.block(layer, x, rope, mask, window.extra_head(index))
            states.append(x)
        return torch.stack(states, dim=2)

    def draft(self, states_BXD: Tensor, positions_B: Tensor, window: Window, count: int) -> Tensor:
        return self._step.unembed(states_BXD[:, :count])


class AnticausalHeads:
    """Each head on top of the one after: the next token rests on them all, so every step has run them."""

    needs_history = False

    def __init__(self, step: StepModel, layers: list[Layer]) -> None:
        self._step = step
        self._layers = layers
        self.num_states = len(layers)

    def before_next(self, x: Tensor, rope: Tensor, mask: Tensor, window: Window) -> tuple[Tensor, Tensor]:
        """(what the next token's head stands on, states_BKED)."""
        states = []
        for index in reversed(range(len(self._layers))):
            x = self._step.block(self._layers[index], x, rope, mask, window.extra_head(index))
            states.append(x)
        return x, torch.stack(states[::-1], dim=2)

    def extend(self, states_BKXD: Tensor, positions_BK: Tensor, window: Window) -> Tensor:
        return states_BKXD

    def draft(self, states_BXD: Tensor, positions_B: Tensor, window: Window, count: int) -> Tensor:
        return self._step.unembed(states_BXD[:, :count])


class LinearHeads:
    """A matrix for each future token, the next one included."""

    needs_history = False
    num_states = 1

    def __init__(self, step: StepModel, weights_NDD: Tensor) -> None:
        self._step = step
        self._weights = weights_NDD

    def next_state(self, x: Tensor) -> Tensor:
        return F.linear(x, self._weights[0])

    def extend(self, states_BKXD: Tensor, positions_BK: Tensor, window: Window) -> Tensor:
        return states_BKXD

    def draft(self, states_BXD: Tensor, positions_B: Tensor, window: Window, count: int) -> Tensor:
        joined = F.linear(states_BXD[:, 0], self._weights[1 : count + 1].flatten(0, 1))
        return self._step.unembed(joined.unflatten(-1, (count, -1)))


class ReplicatedHeads:
    """An unembedding for each future token."""

    needs_history = False
    num_states = 1

    def __init__(self, step: StepModel, outputs_EVD: Tensor) -> None:
        self._step = step
        self._outputs = outputs_EVD

    def extend(self, states_BKXD: Tensor, positions_BK: Tensor, window: Window) -> Tensor:
        return states_BKXD

    def draft(self, states_BXD: Tensor, positions_B: Tensor, window: Window, count: int) -> Tensor:
        normed = self._step.rms(states_BXD[:, 0], self._step.norm)
        logits_BEV: Tensor = _wide(F.linear(normed, self._outputs[:count].flatten(0, 1))).unflatten(-1, (count, -1))
        return logits_BEV
