"""Monotonic alignment search as the equations say it. Slow, and obviously right."""

from __future__ import annotations

import numpy as np


@np.errstate(over="ignore", invalid="ignore")  # `valid` tells
def search(log_p: np.ndarray, token_lengths: np.ndarray, frame_lengths: np.ndarray):
    """The best monotonic path of each item: Q[j, i] = max(Q[j-1, i], Q[j-1, i-1]) + log_p[j, i].

    Source: paper_notes/glow_tts.md#search
    log_p           [B, F, T] float32
    token_lengths   [B], frame_lengths [B] int64, with 1 <= T_b <= F_b
    returns         durations [B, T] int64, frame_to_token [B, F] int64, valid [B] bool: see Alignment. Where both moves
                    score the same, the path stays.
    """
    items, height, width = log_p.shape
    durations, frame_to_token = np.zeros((items, width), np.int64), np.zeros((items, height), np.int64)
    valid = np.ones(items, bool)
    for b, (T, F) in enumerate(zip(token_lengths, frame_lengths)):
        best = np.full((F, T), -np.inf, np.float32)
        best[0, 0] = log_p[b, 0, 0]
        for j in range(1, F):
            for i in range(T):
                stay = best[j - 1, i]
                move = best[j - 1, i - 1] if i > 0 else np.float32(-np.inf)
                best[j, i] = max(stay, move) + log_p[b, j, i]
        i = T - 1
        for j in range(F - 1, -1, -1):
            frame_to_token[b, j] = i
            durations[b, i] += 1
            if i > 0 and (j == i or best[j - 1, i - 1] > best[j - 1, i]):
                i -= 1
        # scores are below +inf and no NaN, and so are their sums
        valid[b] = (log_p[b, :F, :T] < np.inf).all() and (best < np.inf).all()
    return durations, frame_to_token, valid
