"""Long sounds as a batch of short ones: conditioning is cut into folds that overlap, whose waves fade into each other.

A fold knows nothing of the wave of its neighbour, so it starts in silence: the first half of its overlap is where it
finds into the sound, and is thrown away; over the second half it takes over from the fold before.

Source: paper_notes/wavernn.md#folding; the gains of the fade are our own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LEAST_CORRELATION = -0.5  # two folds may be in opposite phase; no gain brings back what they cancel


def fold(rows: Any, target: int, overlap: int) -> Any:
    """[S, K] -> [N, overlap + target, K]: fold n makes the samples from n target on, and `overlap` before them.

    Rows are of numpy, or of torch and stay on their device.
    What lies before the first sample and behind the last one repeats the nearest row.
    raises  ValueError for a target below 1, or an overlap that is odd, negative or longer than the target
    """
    if target < 1 or not 0 <= overlap <= target or overlap % 2:
        raise ValueError(f"folds want a target of 1 or more and an even overlap of at most it, got {target}, {overlap}")
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"folds want conditioning [S, K] of a sample or more, got {list(rows.shape)}")
    starts = np.arange(-(-len(rows) // target)) * target
    places = np.clip(starts[:, None] + np.arange(-overlap, target), 0, len(rows) - 1)
    return rows[places] if isinstance(rows, np.ndarray) else rows[rows.new_tensor(places, dtype=int)]


def seams(samples: int, target: int) -> np.ndarray:
    """The samples at which a fold has taken over from the one before it."""
    return np.arange(target, samples, target)


def unfold(waves: np.ndarray, samples: int, overlap: int) -> np.ndarray:
    """[N, overlap + target] -> the wave [samples], with each fold faded into the next.

    The two gains of a fade are those that keep the level, given how much the two waves have in common there: linear for
    equal ones, with equal power for strangers.
    """
    N, length = waves.shape
    target, fade = length - overlap, overlap // 2
    if not (N - 1) * target < samples <= N * target:
        raise ValueError(
            f"{N} folds of {target} samples hold {(N - 1) * target + 1} to {N * target} samples, not {samples}; "
            "give the number that was folded"
        )
    wave = waves[:, overlap:].reshape(-1).astype(np.float32)
    rising = ((np.arange(fade) + 0.5) / fade).astype(np.float32) if fade else np.zeros(0, np.float32)
    for n in range(1, N):
        if not fade:
            break
        place = slice(n * target - fade, n * target)
        old, new = wave[place], waves[n, overlap - fade : overlap]
        energy = np.sqrt(float(old @ old) * float(new @ new))
        shared = max(LEAST_CORRELATION, float(old @ new) / energy) if energy > 0 else 0.0
        level = np.sqrt(rising**2 + (1 - rising) ** 2 + 2 * shared * rising * (1 - rising))
        wave[place] = np.clip(((1 - rising) * old + rising * new) / level, -1, 1)
    return wave[:samples]
