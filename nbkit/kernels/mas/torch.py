"""Monotonic alignment search in torch: on any device, and without waiting for it.

The whole batch takes a step at each frame, four small operations a frame. A GPU spends its time on starting them, so
this is for scores that must stay where they are; where they may be copied, `cpu` is faster (see nbkit.kernels.mas).

Source: paper_notes/super_monotonic_align.md#column
"""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def search(log_p: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As reference.search, on tensors of one device. An item whose lengths leave no path is not valid."""
    items, height, width = log_p.shape
    T, F = token_lengths.clamp(1, max(width, 1)), frame_lengths.clamp(1, max(height, 1))
    possible = (token_lengths == T) & (frame_lengths == F) & (T <= F)
    token, frame = (torch.arange(n, device=log_p.device) for n in (width, height))
    # best[j + 1] is Q of frame j. The column on its left is where no path comes from, but for the one start.
    best = log_p.new_full((height + 1, items, width + 1), -torch.inf)
    best[0, :, 0] = 0
    for j in range(height):
        torch.maximum(best[j, :, 1:], best[j, :, :-1], out=best[j + 1, :, 1:])
        best[j + 1, :, 1:] += log_p[:, j]
    moved = best[:-1, :, :-1] > best[:-1, :, 1:]
    moved |= frame[:, None, None] == token  # with as many tokens left as frames
    moved &= (frame[:, None] < F)[:, :, None] & (token > 0)
    last = best[:, :, 1:].gather(0, F[None, :, None].expand(1, items, width))[0]
    # A NaN or +inf stays in its column, so the last frame tells of all.
    valid = possible & ((last < torch.inf) | (token >= T[:, None])).all(1)
    steps, path = moved.to(torch.int8), T.new_empty(height + 1, items, 1)  # path[j + 1] is the token of frame j
    path[height, :, 0] = T - 1
    for j in range(height - 1, 0, -1):
        torch.sub(path[j + 1], steps[j].gather(1, path[j + 1]), out=path[j])
    held = frame < F[:, None]
    frame_to_token = path[1:, :, 0].T * held
    durations = T.new_zeros(items, width).scatter_add_(1, frame_to_token, held.long())
    return durations, frame_to_token, valid
