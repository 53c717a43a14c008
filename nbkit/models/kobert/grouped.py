"""Attention on the CPU: sequences of equal length side by side, one matrix product for all their heads.

A batch of short texts has many lengths, so what runs here are many small products. Written by hand they take 2/3 of
the time that autograd needs over views of scaled_dot_product_attention, whose dropout and bf16 are slow on the CPU
(measured with nbkit.tasks.kobert_step_bench).

Source: paper_notes/bert.md#attention
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from nbkit.models import dropout as draws


class Groups:
    """Neighbours of equal length, and the order of rows in which those of a head of a sequence lie together.

    In memory a group holds [3, n, H, L, D]: of each of query, key and value, of each sequence, of each head the tokens.
    """

    def __init__(self, boundaries: Tensor, heads: int):
        """boundaries [B+1]"""
        self.shapes = [(len(list(same)), length) for length, same in groupby(boundaries.diff().tolist())]  # n, L
        self.heads, parts, joined, at = heads, [], [], 0
        part, head = torch.arange(3).view(3, 1, 1, 1), torch.arange(heads).view(heads, 1)
        for count, length in self.shapes:
            token = torch.arange(at, at + count * length).view(count, 1, length)
            parts.append(((token * 3 + part) * heads + head).flatten())
            joined.append((token * heads + head).flatten())
            at += count * length
        self.into, self.joined_into = torch.cat(parts), torch.cat(joined)
        self.back, self.joined_back = _inverse(self.into), _inverse(self.joined_into)

    def __call__(self, qkv: Tensor, dropout: float) -> Tensor:
        """qkv [T, 3, H, D] -> what each token gathers from its sequence, [T, H, D]"""
        return _Attention.apply(qkv, self, dropout)  # type: ignore[return-value]

    def parts(self, rows: Tensor) -> list[Tensor]:
        """Views of ordered rows [T * 3 * H, D], of each group [3, n * H, L, D]."""
        split = rows.split([3 * count * self.heads * length for count, length in self.shapes])
        return [x.view(3, count * self.heads, length, -1) for x, (count, length) in zip(split, self.shapes)]

    def joined(self, rows: Tensor) -> list[Tensor]:
        """Views of ordered rows [T * H, D], of each group [n * H, L, D]."""
        split = rows.split([count * self.heads * length for count, length in self.shapes])
        return [x.view(count * self.heads, length, -1) for x, (count, length) in zip(split, self.shapes)]


class _Attention(torch.autograd.Function):
    """joined = dropout(softmax(query key' / sqrt(D))) value, and its gradient."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, groups: Groups, dropout: float) -> Tensor:
        width = qkv.shape[-1]
        ordered = qkv.reshape(-1, width).index_select(0, groups.into)
        result = ordered.new_empty(len(ordered) // 3, width)
        weights, drops, factor = [], [], 1.0
        for (query, key, value), out in zip(groups.parts(ordered), groups.joined(result)):
            scores = _product(query, key.transpose(1, 2), width**-0.5)
            kept = weight = torch.softmax(scores, -1, out=scores)
            if dropout:
                dropped, factor = draws.draw(weight.shape, dropout)
                kept = weight.masked_fill(dropped, 0)
                drops.append(dropped)
            _product(kept, value, factor, out)
            if ctx.needs_input_grad[0]:
                weights.append(weight)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(ordered, result, *weights, *drops)
        ctx.groups, ctx.factor = groups, factor
        return result.index_select(0, groups.joined_back).view(len(qkv), -1, width)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        ordered, result, *kept = ctx.saved_tensors
        groups, (total, heads, width) = ctx.groups, gradients[0].shape
        weights, drops = kept[: len(groups.shapes)], kept[len(groups.shapes) :]
        d_result = gradients[0].reshape(-1, width).index_select(0, groups.joined_into)
        # the softmax's gradient takes off, of each row of weights, sum(weight * d_weight), which is this:
        along = groups.joined((d_result * result).sum(-1, keepdim=True))
        d_ordered = torch.empty_like(ordered)
        views = (groups.parts(ordered), groups.parts(d_ordered), groups.joined(d_result), along, weights)
        for i, ((query, key, value), (d_query, d_key, d_value), d_out, off, weight) in enumerate(zip(*views)):
            d_weight = _product(d_out, value.transpose(1, 2), ctx.factor)
            if drops:
                d_weight.masked_fill_(drops[i], 0)
            used = weight.masked_fill(drops[i], 0) if drops else weight
            _product(used.transpose(1, 2), d_out, ctx.factor, d_value)
            d_scores = d_weight.sub_(off).mul_(weight)
            _product(d_scores, key, width**-0.5, d_query)
            _product(d_scores.transpose(1, 2), query, width**-0.5, d_key)
        return d_ordered.index_select(0, groups.back).view(total, 3, heads, width), None, None


def _product(a: Tensor, b: Tensor, factor: float, out: Tensor | None = None) -> Tensor:
    """factor * a b of each pair of matrices."""
    out = a.new_empty(len(a), a.shape[1], b.shape[2]) if out is None else out
    return torch.baddbmm(out, a, b, beta=0, alpha=factor, out=out)


def _inverse(order: Tensor) -> Tensor:
    inverse = torch.empty_like(order)
    inverse[order] = torch.arange(len(order))
    return inverse
