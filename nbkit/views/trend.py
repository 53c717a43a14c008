"""How one number goes with another: points of a few kinds over a common axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import ArrayLike

from nbkit.views import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot(
    kinds: Mapping[str, tuple[ArrayLike, ArrayLike]],
    xlabel: str,
    ylabel: str,
    *,
    logarithmic: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Points (x [N], y [N]) of each kind, and the straight line through them that errs least.

    logarithmic  both axes, and the line; then a proportion rises by a decade a decade
    raises       ValueError for what is not finite, of two lengths, or not above 0 on logarithmic axes
    """
    if not kinds:
        raise ValueError("a trend wants points, got none; measure something first")
    ax = style.axes(6, 3) if ax is None else ax
    for number, (name, pair) in enumerate(kinds.items()):
        x, y = (np.asarray(one, float) for one in pair)
        if x.ndim != 1 or not x.size or x.shape != y.shape or not np.isfinite([x, y]).all():
            raise ValueError(f"{name}: wanted finite x and y [N], got shapes {x.shape} and {y.shape}; measure again")
        if logarithmic and min(x.min(), y.min()) <= 0:
            raise ValueError(f"{name}: logarithmic axes want numbers above 0, got {min(x.min(), y.min())}")
        colour = style.SERIES[number % len(style.SERIES)]
        ax.plot(x, y, "o", color=colour, markersize=5, label=style.drawable(name))
        if len(np.unique(x)) > 1:
            ax.plot(*_line(x, y, logarithmic), color=colour, linewidth=1.5, alpha=0.7)
    if logarithmic:
        ax.set(xscale="log", yscale="log")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    if len(kinds) > 1:
        ax.legend(fontsize=9)
    return ax


def _line(x: np.ndarray, y: np.ndarray, logarithmic: bool) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the line of least squares."""
    change, back = (np.log, np.exp) if logarithmic else (np.asarray, np.asarray)
    slope, start = np.polyfit(change(x), change(y), 1)
    ends = np.array([x.min(), x.max()])
    return ends, back(start + slope * change(ends))
