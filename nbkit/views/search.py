"""The table of an alignment search: a row a token, a column a frame, first token on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nbkit.views import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def numbers(
    values: np.ndarray,
    symbols: Sequence[str],
    *,
    frame: int | None = None,
    moved: np.ndarray | None = None,
    path: np.ndarray | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """A small table with its numbers written into it; what cannot be reached, -inf, stays empty.

    values   [F, T]
    symbols  [T]
    frame    1..F    columns to the right of it stay empty, in the colours of the whole table; all of them by default
    moved    [F, T]  draws where each cell came from: True from the token before, False from the same; not at frame 0
    path     [F]     token of each frame, drawn as a line; -1 draws nothing at a frame
    """
    values = _table(values, symbols, "numbers")
    F, T = values.shape
    frame = _frame(values, F if frame is None else frame, "numbers")
    ax = style.axes(0.8 * F + 1, 0.65 * T + 0.9) if ax is None else ax
    _image(ax, values, frame)
    values = values[:frame]
    for (j, i), value in np.ndenumerate(values):
        if np.isfinite(value):
            ax.text(j, i, f"{value:g}", ha="center", va="center", fontsize=11, color=style.INK, zorder=4)
    if moved is not None:
        for j, i in np.argwhere(np.isfinite(values[1:])):
            _arrow(ax, int(j) + 1, int(i), bool(moved[j + 1, i]))
    if path is not None:
        _line(ax, np.asarray(path), 9, 0.45)
    ax.set_xticks(range(F), [str(j + 1) for j in range(F)])
    ax.set_xlabel("frame")
    _label(ax, symbols, title, 14)
    return ax


def beginnings(
    best: np.ndarray,
    symbols: Sequence[str],
    frame: int,
    *,
    ends: Sequence[int] = (),
    path: np.ndarray | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """How far a search has come after `frame` frames: how good the best beginning of each cell is, and some of them.

    best    [F, T]  Q of the search, -inf where nothing leads
    frame   1..F    columns to the right of it are not known yet
    ends    tokens whose best beginning is drawn as a thin line, from the first frame to `frame`
    path    [F]     the path of the whole search, drawn dotted
    """
    best = _table(best, symbols, "beginnings")
    frame = _frame(best, frame, "beginnings")
    ax = style.axes(9, max(2.2, 0.16 * len(symbols) + 0.8)) if ax is None else ax
    shown = np.full_like(best, -np.inf)
    shown[:frame] = best[:frame] - best[:frame].max(1, keepdims=True)
    _image(ax, shown, frame)
    if path is not None:
        ax.plot(range(len(path)), path, color=style.INK, linewidth=1.2, linestyle=":")
    for end in ends:
        _line(ax, beginning(best, frame, end), 1.6, 0.9)
    ax.axvline(frame - 0.5, color=style.INK, linewidth=0.8)
    ax.set_xlabel("frame")
    _label(ax, symbols, title, 8)
    return ax


def beginning(best: np.ndarray, frame: int, end: int) -> np.ndarray:
    """The best way to be at token `end` at the last of `frame` frames: [frame] tokens. best [F, T] is the table Q."""
    path, i = np.full(frame, -1), end
    for j in range(frame - 1, -1, -1):
        path[j] = i
        if i > 0 and j > 0 and (j == i or best[j - 1, i - 1] > best[j - 1, i]):
            i -= 1
    return path


def _table(values: np.ndarray, symbols: Sequence[str], who: str) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or values.shape[1] != len(symbols) or not values.size:
        raise ValueError(
            f"{who} wants a table [frames, {len(symbols)}], a column a symbol, got shape {values.shape}; pick one item"
        )
    return values


def _frame(values: np.ndarray, frame: int, who: str) -> int:
    if not 1 <= frame <= len(values):
        raise ValueError(f"{who} wants a frame in 1..{len(values)}, got {frame}")
    return frame


def _image(ax: Axes, values: np.ndarray, frame: int) -> None:
    known = values[np.isfinite(values)]
    low, high = (np.quantile(known, 0.2), known.max()) if known.size else (0.0, 1.0)
    heard = np.where(np.arange(len(values))[:, None] < frame, values, np.nan)
    masked = np.ma.masked_invalid(heard.T)
    ax.imshow(masked, cmap="YlGn", vmin=low, vmax=max(high, low + 1e-6) + 0.7 * (high - low), aspect="auto")
    ax.set_facecolor("#f4f5f6")


def _arrow(ax: Axes, j: int, i: int, moved: bool) -> None:
    start = (j - 0.72, i - 0.72) if moved else (j - 0.72, i)
    end = (j - 0.3, i - 0.3) if moved else (j - 0.32, i)
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": style.SERIES[0], "linewidth": 1.3}, zorder=5)


def _line(ax: Axes, path: np.ndarray, width: float, alpha: float) -> None:
    known = np.flatnonzero(path >= 0)
    ax.plot(known, path[known], color=style.PATH, linewidth=width, alpha=alpha, solid_capstyle="round", zorder=3)


def _label(ax: Axes, symbols: Sequence[str], title: str, size: float) -> None:
    ax.set_yticks(range(len(symbols)), [style.label(symbol) for symbol in symbols], fontsize=size, parse_math=False)
    ax.set_ylim(len(symbols) - 0.5, -0.5)
    ax.tick_params(length=0)
    if title:
        ax.set_title(title, parse_math=False)
