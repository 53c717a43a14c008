"""Monotonic alignment search: which token does each frame belong to, if speech never goes back and skips nothing?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nbkit.kernels import dispatch


class Alignment(NamedTuple):
    """A monotonic path. Both arrays are of the kind and on the device of the scores.

    durations        [B, T] int64  frames held by each token, 0 behind the last token
    frame_to_token   [B, F] int64  token of each frame, 0 behind the last frame
    """

    durations: Any
    frame_to_token: Any


class AlignmentError(ValueError):
    """Scores or lengths for which there is no monotonic path."""


def maximum_path(log_p, token_lengths, frame_lengths, *, layout: str = "btf", impl: str = "auto") -> Alignment:
    """The monotonic path with the greatest sum of scores; each token holds at least one frame.

    Source: paper_notes/glow_tts.md#search
    log_p           [B, T, F] with layout "btf", [B, F, T] with "bft" (which needs no transposition); float, numpy or
                    torch; log-likelihood of a frame under a token. It is not written to.
    token_lengths   [B] int, frame_lengths [B] int; what lies behind them is not read
    impl            "reference", "cpu" or "auto"
    returns         Alignment
    raises          AlignmentError, naming the row, for more tokens than frames, an empty item, or a NaN
    """
    if layout not in ("btf", "bft"):
        raise ValueError(f"layout is 'btf' for [B, T, F] or 'bft' for [B, F, T], got {layout!r}")
    scores, tokens, frames = (
        _numpy(log_p),
        _numpy(token_lengths).astype(np.int64),
        _numpy(frame_lengths).astype(np.int64),
    )
    scores = scores.astype(np.float32, copy=False)
    if scores.ndim != 3:
        raise AlignmentError(f"log_p must have three axes {layout!r}, got shape {scores.shape}")
    if layout == "btf":
        scores = scores.transpose(0, 2, 1)
    _check(scores, tokens, frames)
    search = dispatch.choose("maximum_path", impl, {"reference": _reference, "cpu": _cpu}, "cpu", "no other one yet")
    frame_to_token = search(scores, tokens, frames)
    return Alignment(*(_like(a, log_p) for a in (durations(frame_to_token, frames, scores.shape[2]), frame_to_token)))


def durations(frame_to_token: np.ndarray, frame_lengths: np.ndarray, tokens: int) -> np.ndarray:
    """Frames held by each token: d_i = number of frames j with token i.

    frame_to_token [B, F], frame_lengths [B] -> [B, tokens] int64
    """
    items, frames = frame_to_token.shape
    valid = np.arange(frames) < frame_lengths[:, None]
    flat = (frame_to_token + np.arange(items)[:, None] * tokens)[valid]
    return np.bincount(flat, minlength=items * tokens).reshape(items, tokens)


def _check(scores: np.ndarray, tokens: np.ndarray, frames: np.ndarray) -> None:
    items, width, height = scores.shape[0], scores.shape[2], scores.shape[1]
    if tokens.shape != (items,) or frames.shape != (items,):
        raise AlignmentError(
            f"{items} items need {items} token and frame lengths, got {tokens.shape} and {frames.shape}"
        )
    for b in range(items):
        T, F = int(tokens[b]), int(frames[b])
        if not (1 <= T <= width and 1 <= F <= height):
            raise AlignmentError(
                f"row {b}: lengths must lie in 1..{width} tokens and 1..{height} frames, got {T} and {F}"
            )
        if T > F:
            raise AlignmentError(
                f"row {b}: {T} tokens cannot share {F} frames, each token needs one; "
                "remove the row, cut its text or use a smaller hop (`nbkit data check` lists such rows)"
            )
        # One sum tells whether any value is NaN; +inf and -inf in one item give NaN too and are no scores either.
        if np.isnan(scores[b, :F, :T].sum(dtype=np.float64)):
            raise AlignmentError(
                f"row {b}: the scores hold NaN or both infinities; the model has diverged or the input is damaged"
            )


def _numpy(array) -> np.ndarray:
    if not hasattr(array, "detach"):
        return np.asarray(array)
    return (array.float() if array.is_floating_point() else array).detach().cpu().numpy()  # numpy has no bfloat16


def _like(array: np.ndarray, example):
    if not hasattr(example, "detach"):
        return array
    import torch

    return torch.from_numpy(array).to(example.device)


def _reference(scores, tokens, frames):
    from nbkit.kernels.mas import reference

    return reference.search(scores, tokens, frames)


def _cpu(scores, tokens, frames):
    from nbkit.kernels.mas import cpu

    return cpu.search(scores, tokens, frames)
