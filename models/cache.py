"""Keys and values of every position, in one block of memory that is never moved, rolled back or realigned.

A row's positions count from its own beginning. A query sees a key if the key's position is not after its own, so what a
rejected draft has left behind is never seen: it lies after every query until the token that takes its place is written
over it.

Shapes: L layers, B rows, S positions, E extra heads, G key-value heads, C channels; a 2 is keys and values.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from models.mtp import MTPConfig


class StaticCache:
    """Room for the keys and values of `rows` texts of at most `length` positions.

    Args:
        config: the model's.
        rows: texts at once.
        length: positions of each.
        dtype: of keys and values.
        device: where they lie.
        keep_inputs: also keep what the extra heads would have seen, so that they can catch up on it later.
    """

    def __init__(
        self,
        config: MTPConfig,
        rows: int,
        length: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
        keep_inputs: bool = False,
    ) -> None:
        E, G, C = config.num_extra_layers, config.num_kv_heads, config.head_dim
        self.rows = rows
        self.length = length
        # Zeros, not whatever was in memory: a masked value is multiplied by 0, and 0 times NaN is NaN.
        zeros = functools.partial(torch.zeros, dtype=dtype, device=device)
        self.layers_L2BGSC = zeros((config.num_layers - E, 2, rows, G, length, C))
        self.extra_2BEGSC = zeros((2, rows, E, G, length, C))
        self.inputs_BSD: Tensor | None = None
        if keep_inputs:
            self.inputs_BSD = zeros((rows, length, config.dim))

    def copy_row(self, row: int, other: StaticCache, other_row: int, length: int) -> None:
        """Takes over the first `length` positions of a row of another cache, or of this one."""
        self.layers_L2BGSC[:, :, row, :, :length] = other.layers_L2BGSC[:, :, other_row, :, :length]
        self.extra_2BEGSC[:, row, :, :, :length] = other.extra_2BEGSC[:, other_row, :, :, :length]
        if self.inputs_BSD is not None and other.inputs_BSD is not None:
            self.inputs_BSD[row, :length] = other.inputs_BSD[other_row, :length]


class Window:
    """The part of a cache that one step works on.

    Args:
        cache: the cache.
        first: the first of its rows.
        positions_BK: of the new tokens, each row's own.
        span: no position of these rows is `span` or more.
    """

    def __init__(self, cache: StaticCache, first: int, positions_BK: Tensor, span: int) -> None:
        self.span = span
        self._cache = cache
        self._rows = slice(first, first + positions_BK.shape[0])
        self._positions_BK = positions_BK
        self._places: dict[tuple[int, int, int], Tensor] = {}

    def layer(self, index: int) -> Stored:
        """The keys and values of a layer."""
        part = self._cache.layers_L2BGSC[index]
        return self._stored(part, 0, part.shape[2])

    def extra_head(self, index: int) -> Stored:
        """Those of one extra head."""
        heads = self._cache.extra_2BEGSC.shape[3]
        return self._stored(self._cache.extra_2BEGSC.flatten(2, 3), index * heads, heads)

    def extra_heads(self) -> Stored:
        """Those of all extra heads, as of so many more key-value heads."""
        part = self._cache.extra_2BEGSC.flatten(2, 3)
        return self._stored(part, 0, part.shape[2])

    def _stored(self, part_2BGSC: Tensor, first: int, heads: int) -> Stored:
        key = (part_2BGSC.shape[2], first, heads)
        if key not in self._places:
            self._places[key] = self._places_of(*key)
        some = part_2BGSC[:, self._rows, first : first + heads, : self.span]
        return Stored(part_2BGSC.flatten(0, 3), self._places[key], some[0], some[1])

    def _places_of(self, all_heads: int, first: int, heads: int) -> Tensor:
        """Of every new key and value, in the order (row, token, key or value, head), its line in the cache."""
        device = self._positions_BK.device
        both = torch.arange(2, device=device).view(1, 1, 2, 1)
        rows = torch.arange(self._rows.start, self._rows.stop, device=device).view(-1, 1, 1, 1)
        head = torch.arange(first, first + heads, device=device)
        lines = (both * self._cache.rows + rows) * all_heads + head
        return (lines * self._cache.length + self._positions_BK[:, :, None, None]).flatten()


class Stored(NamedTuple):
    """Keys and values of some heads, for the rows of a window."""

    lines_XC: Tensor
    places_X: Tensor
    keys_BGSC: Tensor
    values_BGSC: Tensor

    def put(self, new_BK2GC: Tensor) -> None:
        """Writes the keys and values of the window's new tokens to their places."""
        self.lines_XC.index_copy_(0, self.places_X, new_BK2GC.reshape(-1, self.lines_XC.shape[-1]))


def visible(positions_BK: Tensor, span: int, dtype: torch.dtype) -> Tensor:
    """mask_B1KS, to be added to scores: 0 where the key's position is not after the query's, else minus infinity."""
    keys_S = torch.arange(span, device=positions_BK.device)
    mask_BKS = torch.zeros((*positions_BK.shape, span), dtype=dtype, device=positions_BK.device)
    mask_BKS.masked_fill_(keys_S > positions_BK[..., None], -torch.inf)
    return mask_BKS[:, None]
