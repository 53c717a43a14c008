"""Monotonic alignment search on the CPU: frames outside, tokens inside, so that the inner loop is one vector operation.

The row of the frame before is kept beside the row of this frame, each decision is one byte, and items of the batch run
in parallel. Compiled by numba at first use and cached on disk.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(parallel=True, cache=True, nogil=True)
def _search(log_p, token_lengths, frame_lengths, tokens_of_frames):
    for b in numba.prange(log_p.shape[0]):
        T, F = token_lengths[b], frame_lengths[b]
        moved = np.zeros((F, T), np.uint8)
        above = np.full(T + 1, -np.inf, np.float32)  # above[i + 1] is Q of token i at the frame before
        below = np.full(T + 1, -np.inf, np.float32)
        above[1] = log_p[b, 0, 0]
        for j in range(1, F):
            row = log_p[b, j]
            for i in range(T):
                stay, move = above[i + 1], above[i]
                moved[j, i] = move > stay
                below[i + 1] = max(stay, move) + row[i]
            above, below = below, above
        i = T - 1
        for j in range(F - 1, -1, -1):
            tokens_of_frames[b, j] = i
            if i > 0 and (j == i or moved[j, i]):
                i -= 1


def search(log_p: np.ndarray, token_lengths: np.ndarray, frame_lengths: np.ndarray) -> np.ndarray:
    """As reference.search."""
    tokens_of_frames = np.zeros(log_p.shape[:2], np.int64)
    _search(np.ascontiguousarray(log_p), token_lengths, frame_lengths, tokens_of_frames)
    return tokens_of_frames
