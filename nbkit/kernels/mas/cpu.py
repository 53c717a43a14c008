"""Monotonic alignment search on the CPU: frames outside, tokens inside, so that the inner loop is one vector operation.

The row of the frame before is kept beside the row of this frame, and each decision is one byte. Compiled by numba at
first use and cached on disk. Items of the batch are shared by Python threads, not by numba's own: those set OpenMP's
number of threads for the whole process, which changes the last bits of torch's convolutions from then on.
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def _search(log_p, token_lengths, frame_lengths, tokens_of_frames, first, step):
    for b in range(first, log_p.shape[0], step):
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


@functools.cache
def _threads(process: int) -> ThreadPoolExecutor:
    """The threads of a process; a forked child gets its own."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="nbkit-mas")


def search(log_p: np.ndarray, token_lengths: np.ndarray, frame_lengths: np.ndarray) -> np.ndarray:
    """As reference.search."""
    tokens_of_frames = np.zeros(log_p.shape[:2], np.int64)
    shares = min(os.cpu_count() or 1, len(log_p))
    given = (np.ascontiguousarray(log_p), token_lengths, frame_lengths, tokens_of_frames)
    # one share is done here, so that a batch of one waits for no thread
    others = [_threads(os.getpid()).submit(_search, *given, share, shares) for share in range(1, shares)]
    _search(*given, 0, shares)
    for other in others:
        other.result()
    return tokens_of_frames
