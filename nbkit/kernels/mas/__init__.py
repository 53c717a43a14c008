"""Monotonic alignment search: which token does each frame belong to, if speech never goes back and skips nothing?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nbkit.kernels import dispatch


class AlignmentError(ValueError):
    """Scores or lengths for which there is no best monotonic path."""


class Alignment(NamedTuple):
    """A monotonic path for each item. All arrays are of the kind and on the device of the scores.

    durations        [B, T] int64  frames held by each token, 0 behind the last token
    frame_to_token   [B, F] int64  token of each frame, 0 behind the last frame
    valid            [B] bool      False where the scores hold NaN or +inf, or sum to it: a path, but not the best one
    """

    durations: Any
    frame_to_token: Any
    valid: Any

    def checked(self) -> Alignment:
        """Itself. Looks at `valid`, for which a GPU has to be waited for; raises AlignmentError, naming the row."""
        bad = np.flatnonzero(~_numpy(self.valid))
        if bad.size:
            raise AlignmentError(
                f"row {bad[0]}: wanted scores that are finite or -inf, got NaN, +inf, or a sum beyond float32; "
                "the model has diverged or the input is damaged"
            )
        return self


def maximum_path(log_p, token_lengths, frame_lengths, *, layout: str = "btf", impl: str = "auto") -> Alignment:
    """The monotonic path with the greatest sum of scores; each token holds at least one frame.

    Source: paper_notes/glow_tts.md#search
    log_p           [B, T, F] with layout "btf", [B, F, T] with "bft" (which needs no transposition); float, numpy or
                    torch; log-likelihood of a frame under a token, searched in float32. It is not written to.
    token_lengths   [B] int, frame_lengths [B] int; what lies behind them has no influence
    impl            "reference", "cpu", "torch", "cupy" (on a GPU), "emulated" (its kernel on the CPU) or "auto"
    returns         Alignment. No score raises: that would wait for the device. See Alignment.valid and .checked().
    raises          AlignmentError, naming the row, for an empty item or more tokens than frames. Only lengths on the
                    host are looked at; where they lie on a device and so does the search, or torch.compile traces the
                    call, such an item is not valid.
    """
    if layout not in ("btf", "bft"):
        raise ValueError(f"layout is 'btf' for [B, T, F] or 'bft' for [B, F, T], got {layout!r}")
    if log_p.ndim != 3:
        raise AlignmentError(f"log_p must have three axes {layout!r}, got shape {tuple(log_p.shape)}")
    items, width, height = log_p.shape if layout == "btf" else (log_p.shape[0], log_p.shape[2], log_p.shape[1])
    search = dispatch.choose("maximum_path", impl, _IMPLEMENTATIONS, *_preferred(log_p, width))
    lengths = (token_lengths, frame_lengths)
    stays = search in (_torch, _cupy, _emulated)  # takes and gives tensors where they are
    if not stays or not (any(map(_far, lengths)) or _compiling()):
        lengths = tuple(np.array(_numpy(one), np.int64) for one in lengths)
        _check(items, width, height, *lengths)
    scores = _tensor(log_p) if stays else _numpy(log_p).astype(np.float32, copy=False)
    if layout == "btf":
        scores = scores.swapaxes(1, 2)
    return Alignment(*(_like(array, log_p) for array in search(scores, *lengths)))


def _check(items: int, width: int, height: int, tokens: np.ndarray, frames: np.ndarray) -> None:
    if tokens.shape != (items,) or frames.shape != (items,):
        raise AlignmentError(
            f"{items} items need {items} token and frame lengths, got {tokens.shape} and {frames.shape}"
        )
    for b, (T, F) in enumerate(zip(tokens.tolist(), frames.tolist())):  # a loop costs less here than numpy's calls do
        if not (1 <= T <= width and 1 <= F <= height):
            raise AlignmentError(
                f"row {b}: lengths must lie in 1..{width} tokens and 1..{height} frames, got {T} and {F}"
            )
        if T > F:
            raise AlignmentError(
                f"row {b}: {T} tokens cannot share {F} frames, each token needs one; "
                "remove the row, cut its text or use a smaller hop (`nbkit data check` lists such rows)"
            )


def _preferred(log_p, width: int) -> tuple[str, str]:
    """What "auto" takes, and why.

    Without a kernel for it, `cpu` takes the scores of a GPU too (reckoned, not measured): at about 4 microseconds to
    start an operation, 870 frames of 4 operations take 14 ms; copying 14 MB takes 1 to 5.
    """
    if not _far(log_p):
        return "cpu", "the fastest"
    lacking = f"the scores are on {log_p.device.type}" if log_p.device.type != "cuda" else _lacking(log_p, width)
    if lacking is None:
        return "cupy", "one kernel where the scores are"
    return "cpu", f"{lacking}; copying the scores takes less time than starting an operation for each frame"


def _lacking(log_p, width: int) -> str | None:
    from nbkit.kernels.mas import cuda

    return cuda.lacking(log_p.device) if width <= cuda.LONGEST else f"more than {cuda.LONGEST:,} tokens"


def _far(array) -> bool:
    """Whether an array lies where looking at it means waiting for a device."""
    return hasattr(array, "detach") and array.device.type != "cpu"


def _compiling() -> bool:
    import torch

    return torch.compiler.is_compiling()


def _numpy(array) -> np.ndarray:
    if not hasattr(array, "detach"):
        return np.asarray(array)
    return (array.float() if array.is_floating_point() else array).numpy(force=True)  # numpy has no bfloat16


def _tensor(array):
    import torch

    if hasattr(array, "detach"):
        return array.detach().float()
    return torch.from_numpy(np.array(array, np.float32, order="C"))  # torch warns of what cannot be written to


def _like(array, example):
    if not hasattr(example, "detach"):
        return array.numpy(force=True) if hasattr(array, "detach") else array
    import torch

    return (torch.from_numpy(array) if isinstance(array, np.ndarray) else array).to(example.device)


def _reference(scores, tokens, frames):
    from nbkit.kernels.mas import reference

    return reference.search(scores, tokens, frames)


def _cpu(scores, tokens, frames):
    from nbkit.kernels.mas import cpu

    return cpu.search(scores, tokens, frames)


def _torch(scores, tokens, frames):
    from nbkit.kernels.mas import torch

    return torch.search(scores, *_lengths(scores, tokens, frames))


def _cupy(scores, tokens, frames):
    from nbkit.kernels.mas import cuda

    scores = scores if scores.is_cuda else scores.cuda()
    return cuda.search(scores, *_lengths(scores, tokens, frames))


def _emulated(scores, tokens, frames):
    from nbkit.kernels.mas import cuda

    scores = scores.cpu()
    return cuda.search(scores, *_lengths(scores, tokens, frames))


def _lengths(scores, *lengths):
    import torch

    return (torch.as_tensor(one).to(scores.device, torch.int64, non_blocking=True) for one in lengths)


_IMPLEMENTATIONS = {"reference": _reference, "cpu": _cpu, "torch": _torch, "cupy": _cupy, "emulated": _emulated}
