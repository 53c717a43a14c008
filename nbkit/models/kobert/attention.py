"""Attention within sequences that lie one behind another, without padding.

    attend = within(boundaries, device, ...)       once a forward, says how
    joined = attend(query, key, value, dropout)    each layer; all [T, H, D]

Source: paper_notes/bert.md#attention
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

try:  # torch 2.10 and later
    from torch.nn.attention.varlen import varlen_attn
except ImportError:
    varlen_attn = None

Attend = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def within(boundaries: Tensor, config_positions: int, dtype: torch.dtype, dropout: float) -> Attend:
    """How the tokens of each sequence look at each other and at no other's.

    boundaries  [B+1] where each sequence begins, then where the last one ends
    dtype       of queries, keys and values
    """
    if boundaries.device.type == "cuda":
        if varlen_attn is not None and dtype in (torch.float16, torch.bfloat16) and dropout == 0 and _flash(boundaries):
            return _varlen(boundaries, config_positions)
        return _spread(boundaries)
    if torch.compiler.is_compiling():
        return _masked(boundaries)
    return _grouped(boundaries)


def maps(query: Tensor, key: Tensor, boundaries: list[int]) -> list[Tensor]:
    """Of each sequence how much its tokens look at each other, [H, L, L], from queries and keys [T, H, D]."""
    found = []
    for start, end in zip(boundaries, boundaries[1:]):
        q, k = query[start:end].transpose(0, 1), key[start:end].transpose(0, 1)
        found.append((q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(-1))
    return found


def _flash(boundaries: Tensor) -> bool:
    return torch.cuda.get_device_capability(boundaries.device) >= (8, 0)


def _grouped(boundaries: Tensor) -> Attend:
    """Neighbours of equal length side by side, as views: [n, L, H, D]."""
    lengths = boundaries.diff().tolist()
    groups = [(length, len(list(same))) for length, same in groupby(lengths)]
    sizes = [length * count for length, count in groups]

    def attend(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
        parts = zip(groups, query.split(sizes), key.split(sizes), value.split(sizes))
        joined = []
        for (length, count), *qkv in parts:
            q, k, v = (x.unflatten(0, (count, length)).transpose(1, 2) for x in qkv)
            joined.append(F.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2).flatten(0, 1))
        return torch.cat(joined)

    return attend


def _varlen(boundaries: Tensor, longest: int) -> Attend:
    """FlashAttention over the row. The bound on the length costs nothing and asks the GPU nothing."""
    starts = boundaries.to(torch.int32)

    def attend(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
        assert varlen_attn is not None and dropout == 0
        return varlen_attn(query, key, value, starts, starts, longest, longest)  # type: ignore[return-value]

    return attend


def _spread(boundaries: Tensor) -> Attend:
    """Side by side with padding, for attention alone."""
    lengths = boundaries.diff()
    longest = int(lengths.max())
    inside = torch.arange(longest, device=boundaries.device) < lengths[:, None]  # [B, longest]
    total = int(boundaries[-1])
    place = (boundaries[:-1, None] + torch.arange(longest, device=boundaries.device)).clamp(max=total - 1)
    mask = inside[:, None, None]

    def attend(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
        q, k, v = (x[place].transpose(1, 2) for x in (query, key, value))
        joined = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return joined.transpose(1, 2)[inside]

    return attend


def _masked(boundaries: Tensor) -> Attend:
    """All tokens with all, what is not of the same sequence masked: one shape whatever the lengths, for compile."""
    raise NotImplementedError
