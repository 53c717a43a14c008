"""ActNorm, invertible 1x1 convolution and mask in few operations of torch, on any device.

On a CPU, ActNorm and mask are one pass each, and the matrix goes over groups of channels. Elsewhere all coefficients
become one matrix [C, C], mostly zeros: a GPU has arithmetic to spare, and reads and writes less so.

Source: paper_notes/glow.md#mixing
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def there(
    x: Tensor, mask: Tensor | None, log_scale: Tensor, bias: Tensor, weight: Tensor, reverse: bool
) -> tuple[Tensor, Tensor]:
    """As normalise_and_mix."""
    each = log_scale.sum() + torch.linalg.slogdet(weight)[1] * (x.shape[2] // len(weight))
    behind = None if mask is None else mask == 0
    if behind is not None and torch.is_grad_enabled():
        x = x.masked_fill(behind, 0)  # whatever lies there would reach the gradients
    if x.device.type != "cpu":
        z = _cleared(F.linear(x, *(undo if reverse else do)(log_scale, bias, weight)), behind)
    elif reverse:
        shrink = torch.exp(-log_scale)
        z = _cleared(torch.addcmul(-bias * shrink, _mixed(x, torch.linalg.inv(weight)), shrink), behind)
    else:
        z = _mixed(_cleared(torch.addcmul(bias, log_scale.exp(), x), behind), weight)
    counted = x.new_full((len(x),), x.shape[1]) if mask is None else mask.sum((1, 2))
    return z, (-each if reverse else each) * counted


def do(log_scale: Tensor, bias: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix [C, C] and shift [C] of ActNorm and convolution."""
    mix = spread(weight, len(bias))
    return mix * log_scale.exp(), mix @ bias


def undo(log_scale: Tensor, bias: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix [C, C] and shift [C] that undo both."""
    shrink = torch.exp(-log_scale)
    return spread(torch.linalg.inv(weight), len(bias)) * shrink[:, None], -bias * shrink


def spread(weight: Tensor, channels: int) -> Tensor:
    """The matrix [C, C] that applies `weight` [n, n] to each group of channels; see reference.mixed."""
    half = len(weight) // 2
    groups = torch.eye(channels // len(weight), dtype=weight.dtype, device=weight.device)
    return torch.einsum("abcd,gk->agbckd", weight.view(2, half, 2, half), groups).reshape(channels, channels)


def _cleared(z: Tensor, behind: Tensor | None) -> Tensor:
    return z if behind is None else z.masked_fill_(behind, 0)


def _mixed(x: Tensor, weight: Tensor) -> Tensor:
    half = len(weight) // 2
    grouped = x.unflatten(2, (2, -1, half))
    return torch.einsum("aspq,bfpgq->bfags", weight.view(2, half, 2, half), grouped).flatten(2)
