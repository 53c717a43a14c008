"""How often numbers travel between memory and processor, and how long that takes beside the least it could."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nbkit.views import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

READ, WRITTEN = style.SERIES[0], style.SERIES[1]


def strips(ways: Mapping[str, Sequence[tuple[str, float, float]]], *, ax: Axes | None = None) -> Axes:
    """A row a way, on it its operations one after the other: as wide as what each reads and writes.

    ways   (operation, read, written), both in passes over the whole input
    """
    if not ways or not all(ways.values()):
        raise ValueError(f"a picture of passes wants ways with an operation or more, got {dict(ways)}; count first")
    ax = style.axes(9, 0.55 * len(ways) + 1.1) if ax is None else ax
    for place, operations in enumerate(ways.values()):
        begin = 0.0
        for _, read, written in operations:
            for size, colour in ((read, READ), (written, WRITTEN)):
                ax.barh(place, size, left=begin, color=colour, edgecolor=style.PAPER, linewidth=0.6, height=0.6)
                begin += size
            ax.plot([begin, begin], [place - 0.38, place + 0.38], color=style.INK, linewidth=1)
        ax.text(begin + 0.3, place, f"{begin:.0f}", va="center")
    ax.set_yticks(range(len(ways)), list(ways), parse_math=False)
    ax.set_ylim(len(ways) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("passes over the input; a black line ends an operation")
    for label, colour in (("read", READ), ("written", WRITTEN)):
        ax.barh(0, 0, color=colour, label=label)
    ax.margins(x=0.08)
    ax.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    return ax


def beside_floor(rows: Sequence[tuple[str, float, float, float, float]], *, title: str = "") -> Axes:
    """Milliseconds of each way: a bar to the median, a line from 20 to 80 %, and where its bytes alone would end.

    rows   (way, median, p20, p80, floor), seconds; a floor of nan is not drawn
    """
    if not rows:
        raise ValueError("a picture of times wants a row or more, got none; measure something first")
    ax = style.axes(9, 0.5 * len(rows) + (1.2 if title else 0.9))
    median, low, high, floor = 1000 * np.array([row[1:] for row in rows], float).T
    place = np.arange(len(rows))
    ax.barh(place, median, color=READ, height=0.55)
    ax.hlines(place, low, high, color=style.INK, linewidth=1.2)
    ax.plot(floor, place, "|", color=WRITTEN, markersize=22, markeredgewidth=3, label="what its bytes alone would take")
    ax.set_yticks(place, [row[0] for row in rows], parse_math=False)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(left=0)
    ax.set_xlabel("ms; bars to the median, lines from 20 to 80 % of all calls")
    if np.isfinite(floor).any():
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    if title:
        ax.set_title(title, loc="left", parse_math=False)
    return ax
