"""Many things at once: a table, how some values are spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from nbkit.views import style
from nbkit.views.page import output

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Link:
    """A cell that leads somewhere."""

    text: str
    address: str


Cell = str | int | float | Link


@dataclass(frozen=True)
class Table:
    """Rows of a notebook output. Text is escaped; a number stands at the right of its column."""

    rows: tuple[tuple[Cell, ...], ...]
    heads: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        sides = ["right" if all(map(_is_number, column)) else "left" for column in zip(*self.rows)]
        shown = [[{"text": _text(cell), "address": getattr(cell, "address", "")} for cell in row] for row in self.rows]
        return output("table.html", rows=shown, heads=self.heads, sides=sides)

    def __repr__(self) -> str:
        heads = [self.heads] if self.heads else []
        return "\n".join(" | ".join(map(_text, row)) for row in [*heads, *self.rows])


def table(rows: Sequence[Sequence[Cell]], heads: Sequence[str] = (), *, empty: str = "nothing") -> Table:
    """A table of values and links.

    rows    each as long as `heads`, where these are given; two columns without heads are names and values
    empty   what is shown where there are no rows
    """
    rows = [tuple(row) for row in rows]
    if not rows:
        return Table(((empty,),))
    widths = {len(row) for row in rows} | ({len(heads)} if heads else set())
    if len(widths) > 1:
        raise ValueError(f"a table wants rows and heads of one length, got lengths {sorted(widths)}; fill up with ''")
    return Table(tuple(rows), tuple(heads))


def histogram(values: Sequence[float], label: str, *, counted: str = "recordings", ax: Axes | None = None) -> Axes:
    """How many values fall where, with the median; the axis begins at 0, so that a narrow spread looks narrow.

    label     what the values are, and their unit
    counted   what each value was taken of
    """
    known = np.asarray(values, dtype=float)
    if known.ndim != 1 or not known.size or not np.isfinite(known).all():
        bad = int((~np.isfinite(known)).sum())
        raise ValueError(f"histogram wants finite values, got {known.size}, {bad} of them not finite; leave those out")
    ax = style.axes(4.4, 2.4) if ax is None else ax
    ax.hist(known, bins="sturges", color=style.SERIES[0], alpha=0.8, edgecolor=style.PAPER, linewidth=0.8)
    median = float(np.median(known))
    ax.axvline(median, color=style.PATH, linewidth=1.4)
    ax.set_title(f"median {median:.3g}", fontsize=10)
    ax.set(xlabel=label, ylabel=counted)
    ax.set_xlim(min(0.0, known.min()), None)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _text(cell: Cell) -> str:
    """How a cell is written: whole numbers with thousands, others with four digits."""
    if isinstance(cell, Link):
        return cell.text
    if not _is_number(cell):
        return str(cell)
    small = isinstance(cell, float) and abs(cell) < 1000
    return (f"{cell:.4g}" if small else f"{cell:,.0f}").replace("-", "−")
