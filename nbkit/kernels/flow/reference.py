"""ActNorm, invertible 1x1 convolution and mask, one after the other, as the equations say them."""

from __future__ import annotations

import torch
from torch import Tensor


def there(
    x: Tensor, mask: Tensor, log_scale: Tensor, bias: Tensor, weight: Tensor, reverse: bool
) -> tuple[Tensor, Tensor]:
    """As normalise_and_mix, with a mask [B, F, 1] of 0 and 1.

    Source: paper_notes/glow.md#actnorm and paper_notes/glow.md#mixing
    """
    each = log_scale.sum() + torch.linalg.slogdet(weight)[1] * (x.shape[2] // len(weight))  # log |det| of one frame
    counts = mask != 0
    x = torch.where(counts, x, 0)
    if reverse:
        z, each = (mixed(x, torch.linalg.inv(weight)) - bias) * torch.exp(-log_scale), -each
    else:
        z = mixed(torch.exp(log_scale) * x + bias, weight)
    return torch.where(counts, z, 0), each * counts.sum((1, 2))


def mixed(x: Tensor, weight: Tensor) -> Tensor:
    """weight [n, n] times each group of n channels of x [B, F, C].

    Group g holds channels (h, g, s) of [2, C / n, n / 2], as its members (h, s): half of it from either half of x.
    """
    half = len(weight) // 2
    groups = x.unflatten(2, (2, -1, half)).transpose(2, 3).flatten(3)  # [B, F, C / n, n]
    return (groups @ weight.T).unflatten(3, (2, half)).transpose(2, 3).flatten(2)
