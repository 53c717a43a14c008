"""Measures of speech: how far an alignment is from the truth, how far one mel is from another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

DECIBEL = 20 / np.log(10)  # of a natural logarithm of magnitude
DTW_NAME = "mel distance along DTW, dB: root mean square over bands of log-mel differences, mean over the path"
_ROWS = 256  # frames whose costs are held at once


def boundaries(durations: np.ndarray, seconds_per_frame: float) -> np.ndarray:
    """Where each token begins, and the last one ends: durations [T] in frames -> [T + 1] in seconds.

    Frame j is centred on sample j * hop, so the border between frame j - 1 and j lies half a frame before that.
    """
    edges = np.concatenate([[0], np.cumsum(durations)])
    return np.maximum(edges - 0.5, 0.0) * seconds_per_frame


def boundary_errors(
    durations: np.ndarray, segment_of: np.ndarray, truth: Sequence[tuple[float, float]], seconds_per_frame: float
) -> np.ndarray:
    """Distance of both ends of each segment (a word, a phone) from the truth, in seconds.

    durations    [T]  frames held by each token
    segment_of   [T]  index of the segment that a token belongs to, -1 for none; its tokens stand side by side
    truth        start and end of each segment, in seconds
    returns      [2 N] for the N segments that have tokens
    """
    return np.abs(_offsets(durations, segment_of, truth, seconds_per_frame)).reshape(-1)


def duration_errors(
    durations: np.ndarray, segment_of: np.ndarray, truth: Sequence[tuple[float, float]], seconds_per_frame: float
) -> np.ndarray:
    """By how much each segment lasts longer than it should, in seconds, below 0 where it is shorter: [N].

    The arguments are those of boundary_errors; where the segments lie does not matter here.
    """
    return np.diff(_offsets(durations, segment_of, truth, seconds_per_frame)).reshape(-1)


def _offsets(
    durations: np.ndarray, segment_of: np.ndarray, truth: Sequence[tuple[float, float]], seconds_per_frame: float
) -> np.ndarray:
    """How much later than they should both ends of the segments with tokens lie, in seconds: [N, 2]."""
    durations, segment_of = np.asarray(durations), np.asarray(segment_of)
    if durations.shape != segment_of.shape:
        raise ValueError(f"wanted one segment a token, got {durations.shape} durations and {segment_of.shape} segments")
    edges = boundaries(durations, seconds_per_frame)
    found = [
        (edges[held[0]] - start, edges[held[-1] + 1] - end)
        for segment, (start, end) in enumerate(truth)
        if len(held := np.flatnonzero(segment_of == segment))
    ]
    return np.array(found, np.float64).reshape(-1, 2)


def equal_shares(tokens: int, frames: int) -> np.ndarray:
    """The alignment that knows nothing: every token holds the same share of the frames. [T] int64"""
    return np.diff(np.linspace(0, frames, tokens + 1).round().astype(np.int64))


class Warp(NamedTuple):
    """A path of dynamic time warping: mean cost along it, and its pairs of frames [N, 2]."""

    distance: float
    path: np.ndarray


def dtw(a: np.ndarray, b: np.ndarray) -> Warp:
    """Dynamic time warping of two sequences of vectors, Euclidean cost, steps (1, 1), (1, 0), (0, 1).

    a [F, C], b [F', C] -> Warp; its distance is the mean over the path, so that length alone costs nothing. Of the
    costs only some rows are held at a time: two minutes of speech take a byte for each pair of frames, and no more.
    raises  ValueError for sequences that are empty, not finite or of different widths
    """
    from nbkit.evaluate import _dtw

    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise ValueError(
            f"wanted two sequences [F, C] of one width and at least one frame, got {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("wanted finite vectors to warp, got NaN or infinite ones; look at what made them")
    came = np.empty((len(a), len(b)), np.uint8)
    sums = np.concatenate([[0.0], np.full(len(b), np.inf)])
    turned, squares = -2 * b.T, (b**2).sum(1)
    for start in range(0, len(a), _ROWS):
        rows = a[start : start + _ROWS]
        cost = rows @ turned
        cost += (rows**2).sum(1)[:, None]
        cost += squares
        _dtw.advance(np.sqrt(np.maximum(cost, 0.0, out=cost), out=cost), sums, came[start : start + _ROWS])
    path = _dtw.path_back(came)
    return Warp(float(sums[-1]) / len(path), path)


def mel_distance(log_mel: np.ndarray, other: np.ndarray) -> float:
    """How far two log-mels of any lengths are apart, in dB: see DTW_NAME. [C, F], [C, F'] natural log."""
    bands = len(log_mel)
    return dtw(log_mel.T, other.T).distance / np.sqrt(bands) * DECIBEL
