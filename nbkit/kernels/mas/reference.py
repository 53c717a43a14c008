"""Monotonic alignment search as the equations say it. Slow, and obviously right."""

from __future__ import annotations

import numpy as np


def search(log_p: np.ndarray, token_lengths: np.ndarray, frame_lengths: np.ndarray) -> np.ndarray:
    """The token of each frame on the best monotonic path: Q[j, i] = max(Q[j-1, i], Q[j-1, i-1]) + log_p[j, i].

    Source: paper_notes/glow_tts.md#search
    log_p           [B, F, T] float32
    token_lengths   [B], frame_lengths [B], with 1 <= T_b <= F_b
    returns         [B, F] int64, 0 behind the last frame. Where both moves score the same, the path stays.
    """
    tokens_of_frames = np.zeros(log_p.shape[:2], np.int64)
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
            tokens_of_frames[b, j] = i
            if i > 0 and (j == i or best[j - 1, i - 1] > best[j - 1, i]):
                i -= 1
    return tokens_of_frames
