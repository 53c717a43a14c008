"""Which token holds which stretch of sound: the staircase that an alignment search climbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke

from nbkit.views import signal, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLANK = "<blank>"  # stands between the tokens of some models and is not worth a label


def plot(
    durations: np.ndarray,
    symbols: Sequence[str],
    *,
    seconds_per_frame: float,
    scores: np.ndarray | None = None,
    truth: Sequence[tuple] | None = None,
    mel: np.ndarray | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The path of the tokens over seconds, first token on top, on the scores that led to it.

    durations  [T]     frames held by each token
    symbols    [T]     what the tokens stand for; a space ends a word, whose letters are then written together
    scores     [T, F]  any score of token and frame, higher is better; drawn relative to the best token of each frame
    truth              spans (label, start, end) in seconds, drawn as lines; or (label, start, end, first, stop) where
                       tokens first..stop-1 are what is said there, drawn as boxes: a perfect path enters each at its
                       top left corner and leaves it at its bottom right one
    mel        [C, F]  natural-log mel, drawn below with the path's words (or tokens) cut into it
    ax                 where to draw; the mel then takes the space below it
    """
    durations = _durations(durations, symbols, scores, mel)
    tokens, seconds = len(symbols), float(durations.sum()) * seconds_per_frame
    if ax is None:
        # Rows are generous for few tokens and 7.2 points for many, where labels in two columns can still be read.
        height = max(1.8, tokens * float(np.clip(400 / tokens, 7.2, 16)) / 72)
        ax = style.axes(10, height + (1.9 if mel is not None else 0.8))
    else:
        height = style.inches(ax)[1]
    times = np.concatenate([[0.0], np.cumsum(durations)]) * seconds_per_frame
    ax.set(xlim=(0, seconds), ylim=(tokens - 0.5, -0.5), xlabel="seconds")
    on_scores = scores is not None
    if on_scores:
        _draw_scores(ax, np.asarray(scores, dtype=np.float32), seconds)
    groups = words(symbols)
    _draw_truth(ax, truth or (), on_scores)
    _draw_path(ax, times, on_scores)
    _label_tokens(ax, symbols, groups, 72 * height / tokens)
    if truth:
        ink, ground = (style.PAPER, style.INK) if on_scores else (style.INK, style.PAPER)
        ax.legend(loc="upper right", fontsize=9, labelcolor=ink, facecolor=ground, edgecolor="none", frameon=True)
    if mel is not None:
        edges = [(text, times[first], times[stop]) for text, first, stop in groups]
        _draw_mel(ax, height, np.asarray(mel, dtype=np.float32), seconds_per_frame, edges, truth or ())
    return ax


def words(symbols: Sequence[str]) -> list[tuple[str, int, int]]:
    """The words of a token sequence as (text, first, stop): what stands between spaces, jamo composed to syllables."""
    found, first = [], 0
    for index, symbol in enumerate([*symbols, " "]):
        if symbol == " ":
            text = style.label("".join(s for s in symbols[first:index] if s != BLANK))
            if text:
                found.append((text, first, index))
            first = index + 1
    return found


def spans(durations: np.ndarray, symbols: Sequence[str], *, seconds_per_frame: float) -> list[tuple[str, float, float]]:
    """Where each word lies when its tokens hold `durations` [T] frames: (text, start, end) in seconds."""
    edges = np.concatenate([[0.0], np.cumsum(durations)]) * seconds_per_frame
    return [(text, float(edges[first]), float(edges[stop])) for text, first, stop in words(symbols)]


def _durations(durations, symbols, scores, mel) -> np.ndarray:
    durations = np.asarray(durations)
    if durations.shape != (len(symbols),):
        raise ValueError(
            f"alignment wants one duration a symbol, got durations {durations.shape} and {len(symbols)} symbols; "
            "cut the padding off both"
        )
    frames = int(durations.sum())
    for name, array, shape in (("scores", scores, (len(symbols), frames)), ("mel", mel, (None, frames))):
        got = np.shape(array) if array is not None else None
        if got and (len(got) != 2 or got[1] != shape[1] or shape[0] not in (None, got[0])):
            raise ValueError(
                f"alignment wants {name} of shape ({shape[0] or 'bands'}, {frames}), as many frames as the durations "
                f"sum to, got {got}; cut the padding off"
            )
    return durations


def _draw_scores(ax: Axes, scores: np.ndarray, seconds: float) -> None:
    finite = np.where(np.isfinite(scores), scores, -np.inf)
    below = finite - finite.max(axis=0, keepdims=True)
    known = below[np.isfinite(below)]
    # Most pairs are hopeless; the colours are kept for the better half of all pairs.
    worst = min(float(np.quantile(known, 0.5)), -1e-6) if known.size else -1.0
    image = np.nan_to_num(below, nan=worst, neginf=worst)
    extent = (0, seconds, scores.shape[0] - 0.5, -0.5)
    drawn = ax.imshow(image, extent=extent, aspect="auto", vmin=worst, vmax=0, cmap=style.MAGNITUDE)
    ax.figure.colorbar(drawn, ax=ax, pad=0.01, label="score, relative to the frame's best token", extend="min")


def _draw_path(ax: Axes, times: np.ndarray, on_scores: bool) -> None:
    """One step a token; a token without frames is passed through on the way down."""
    rows = np.arange(times.size - 1)
    x = np.repeat(times, 2)[1:-1]
    y = np.repeat(rows, 2)
    ax.plot(
        x, y, color=style.PATH, linewidth=1.7, solid_joinstyle="miter", label="found", path_effects=_edge(on_scores)
    )


def _draw_truth(ax: Axes, truth: Sequence[tuple], on_scores: bool) -> None:
    colour = style.TRUTH if on_scores else style.SERIES[0]
    boxes = [span for span in truth if len(span) == 5]
    for _, start, end, first, stop in boxes:
        box = Rectangle((start, first - 0.5), end - start, stop - first, linewidth=1.2, edgecolor=colour)
        box.set_path_effects(_edge(on_scores))
        box.set_facecolor("none" if on_scores else (colour, 0.1))
        ax.add_patch(box)
    lines = [span for span in truth if len(span) != 5]
    signal.mark(ax, lines, colour=colour)
    if truth:
        ax.plot([], [], color=colour, linewidth=1.0, label="true")


def _edge(on_scores: bool) -> list[AbstractPathEffect]:
    """A dark edge that keeps a line apart from bright scores."""
    return [withStroke(linewidth=3.2, foreground="#00000080")] if on_scores else []


def _label_tokens(ax: Axes, symbols: Sequence[str], groups: list[tuple[str, int, int]], points: float) -> None:
    """Symbols beside their rows, which are `points` high, and the words that they spell to the left of them."""
    shown = [(index, style.label(symbol)) for index, symbol in enumerate(symbols) if symbol != BLANK and points > 5]
    texts = [text for _, text in shown]
    ax.set_yticks([index for index, _ in shown], texts, fontsize=10, va="center_baseline", parse_math=False)
    ax.tick_params(axis="y", length=0, pad=3)
    if points < 13:  # neighbours in two columns, so that the letters can be larger than the rows are high
        for tick in ax.yaxis.get_major_ticks()[::2]:
            tick.set_pad(18)
    if len(groups) < 2:
        return
    inch = 1 / style.inches(ax)[0]
    bar = -inch * (0.45 if points < 13 else 0.3)
    place = {"transform": ax.get_yaxis_transform(), "clip_on": False}
    beside = {"ha": "right", "va": "center", "fontsize": 10, "parse_math": False}
    for text, first, stop in groups:
        ax.plot([bar, bar], [first - 0.35, stop - 0.65], color=style.MUTED, linewidth=0.9, **place)
        ax.text(bar - 0.08 * inch, (first + stop - 1) / 2, text, **beside, **place)


def _draw_mel(
    ax: Axes, height: float, mel: np.ndarray, seconds_per_frame: float, edges: Sequence[tuple], truth: Sequence[tuple]
) -> Axes:
    """A mel as wide as the path, an inch high, just below the path, which is `height` inches high."""
    below = ax.inset_axes((0, -1.2 / height, 1, 1.1 / height), sharex=ax)
    top = signal.DECIBEL * float(mel.max())
    signal.draw_mel(signal.DECIBEL * mel, 1 / seconds_per_frame, below, limits=(top - 80, top))
    below.set_xlim(ax.get_xlim())
    for edge in {time for _, start, end in edges for time in (start, end)}:
        below.axvline(edge, color=style.PATH, linewidth=1.2)
    for edge in {time for _, start, end, *_ in truth for time in (start, end)}:
        below.axvline(edge, color=style.TRUTH, linewidth=0.6, alpha=0.8)
    ax.tick_params(axis="x", labelbottom=False)
    ax.set_xlabel("")
    return below
