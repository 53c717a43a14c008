"""Numbers with their intervals, one below the other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nbkit.views import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = 36  # letters in a line of a label


def plot(
    rows: Sequence[tuple[str, float, float, float]],
    xlabel: str,
    *,
    limits: tuple[float, float] | None = None,
    chance: float | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """A dot and a line a row, the first on top.

    rows    (label, value, low, high); nan for both bounds where there is no interval
    chance  where a dotted line says that nothing is known
    raises  ValueError for no row, a value that is not finite, or bounds that do not enclose it
    """
    if not rows:
        raise ValueError("a plot of intervals wants a row or more, got none; measure something first")
    numbers = np.array([row[1:] for row in rows], dtype=float)
    value, low, high = numbers.T
    lacking = np.isnan(low) & np.isnan(high)
    fine = np.isfinite(value) & (lacking | ((low <= value + 1e-9) & (value - 1e-9 <= high)))
    if not fine.all():
        label, *wrong = rows[int(np.argmin(fine))]
        raise ValueError(f"wanted low <= value <= high, {label[:_LONGEST]!r} has value, low, high {wrong}")
    ax = style.axes(7, 0.42 * len(rows) + (1.1 if title else 0.8)) if ax is None else ax
    place = np.arange(len(rows))
    if chance is not None:
        ax.axvline(chance, color=style.MUTED, linestyle=":", linewidth=1.2)
    ax.hlines(place, np.where(lacking, value, low), np.where(lacking, value, high), color=style.SERIES[0], linewidth=2)
    ax.plot(value, place, "o", color=style.SERIES[0], markersize=7, clip_on=False, zorder=3)
    ax.set_yticks(place, [_short(label) for label, *_ in rows], parse_math=False)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0, pad=8)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")
    ax.set_axisbelow(True)
    if limits:
        ax.set_xlim(*limits)
    ax.set_xlabel(xlabel)
    if title:
        ax.set_title(style.drawable(title), parse_math=False)
    return ax


def _short(label: str) -> str:
    """In at most two lines."""
    return "\n".join(textwrap.wrap(style.drawable(label), _LONGEST, max_lines=2, placeholder="…"))
