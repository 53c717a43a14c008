"""Attention within sequences that lie one behind another, without padding.

    attend = within(places, ...)         once a forward pass, says how
    joined = attend(qkv, dropout)        in each layer: [T, 3, H, D] -> [T, H, D]

Source: paper_notes/bert.md#attention, paper_notes/modernbert.md#unpadding
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nbkit.models.kobert.config import KoBERTConfig
from nbkit.models.kobert.grouped import Groups

try:  # torch 2.10 and later
    from torch.nn.attention.varlen import varlen_attn
except ImportError:
    varlen_attn = None

Attend = Callable[[Tensor, float], Tensor]
ALIGNED = 8  # attention on a GPU is fastest where lengths are multiples of this


class Places(NamedTuple):
    """Where the tokens of a row belong."""

    boundaries: Tensor  # [B+1] where each sequence begins, then where the last one ends
    sequence: Tensor  # [T] which sequence
    position: Tensor  # [T] which of its tokens


def places(boundaries: Tensor, tokens: int) -> Places:
    """Of a row of so many tokens; the device is not waited for."""
    row = torch.arange(tokens, device=boundaries.device)
    sequence = torch.searchsorted(boundaries, row, right=True) - 1
    return Places(boundaries, sequence, row - boundaries[sequence])


def within(places: Places, config: KoBERTConfig, dtype: torch.dtype, dropout: float) -> Attend:
    """How the tokens of each sequence look at each other and at no other's.

    dtype    of queries, keys and values
    dropout  of the weights, as it will be asked for
    """
    if places.boundaries.device.type == "cuda":
        half = dtype in (torch.float16, torch.bfloat16)
        # FlashAttention over a row drops nothing, and wants a GPU of compute capability 8
        if varlen_attn is not None and half and not dropout and _capability(places.boundaries.device) >= (8, 0):
            return _varlen(places, config.positions)
        return _spread(places)
    if torch.compiler.is_compiling():
        return _masked(places)
    return Groups(places.boundaries, config.heads)


def maps(qkv: Tensor, edges: list[int]) -> list[Tensor]:
    """Of each sequence how much its tokens look at each other, [H, L, L], from qkv [T, 3, H, D]."""
    found = []
    for start, end in pairwise(edges):
        query, key, _ = qkv[start:end].permute(1, 2, 0, 3)
        found.append((query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])).softmax(-1))
    return found


def side_by_side(mask: Tensor) -> Attend:
    """Of padded sequences, qkv [B, T, 3, H, D]; mask [B, 1, 1, T] or [B, 1, T, T] is true where one may look."""

    def attend(qkv: Tensor, dropout: float) -> Tensor:
        query, key, value = (x.transpose(1, 2) for x in qkv.unbind(2))
        joined = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        return joined.transpose(1, 2)

    return attend


def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def _varlen(places: Places, most: int) -> Attend:
    """FlashAttention over the row. It is told the most tokens that there may be, so that nobody has to ask the GPU."""
    starts = places.boundaries.to(torch.int32)

    def attend(qkv: Tensor, dropout: float) -> Tensor:
        assert varlen_attn is not None
        return varlen_attn(*qkv.unbind(1), starts, starts, most, most)  # type: ignore[return-value]

    return attend


def _spread(places: Places) -> Attend:
    """Side by side with padding, for attention alone. Asks the GPU once, how long the longest is."""
    boundaries, sequence, position = places
    lengths = boundaries.diff()
    longest = -(-int(lengths.max()) // ALIGNED) * ALIGNED
    row = torch.arange(longest, device=boundaries.device)
    into = (boundaries[:-1, None] + row).clamp(max=len(position) - 1)  # [B, longest]
    back = sequence * longest + position  # [T]
    padded = side_by_side((row < lengths[:, None])[:, None, None])

    def attend(qkv: Tensor, dropout: float) -> Tensor:
        return padded(qkv[into], dropout).flatten(0, 1)[back]

    return attend


def _masked(places: Places) -> Attend:
    """All tokens with all, others' masked: more work, but one graph for torch.compile whatever the lengths."""
    attend = side_by_side((places.sequence[:, None] == places.sequence)[None, None])
    return lambda qkv, dropout: attend(qkv[None], dropout)[0]
