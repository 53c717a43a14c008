"""Claims in a table: what is claimed, what was measured, and a verdict in words and colour."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nbkit.views import page, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEADS = ("claim", "where from", "measured here", "verdict", "repeat it with")
# a verdict's mark says the same as its colour
MARKS = {
    "holds": ("✓", "#2f7d4a"),
    "does not hold": ("✗", "#b3402a"),
    "open": ("~", "#8a6414"),
    "not checked": ("–", "#5b6770"),
}
_WIDTHS = (40, 26, 46, 46)  # characters of a column in the picture
_LINE = 0.19  # inches of a line in the picture


class Row(NamedTuple):
    """One claim. verdict is one of MARKS; the rest is plain text of any origin."""

    what: str
    source: str
    measured: str
    verdict: str
    why: str
    command: str = ""


@dataclass(frozen=True)
class Claims:
    """Rows as a notebook output: a table, and a picture of it for viewers without HTML. Text is escaped."""

    rows: tuple[Row, ...]

    def _repr_html_(self) -> str:
        return page.output("claims.html", rows=self.rows, heads=HEADS, marks=MARKS)

    def _repr_png_(self) -> bytes:
        return self._picture

    def __repr__(self) -> str:
        return "\n".join(
            f"{MARKS[row.verdict][0]} {row.verdict}: {row.what} | {row.measured} | {row.why}" for row in self.rows
        )

    @cached_property
    def _picture(self) -> bytes:
        return style.png(picture(self.rows))

    def save(self, path: str | os.PathLike) -> Path:
        """Write the table as an HTML file, and its picture beside it as a PNG of the same name."""
        body = (
            f'<!doctype html><meta charset="utf-8"><title>Claims</title><body data-view="claims">{self._repr_html_()}'
        )
        path = page.write(path, body)
        path.with_suffix(".png").write_bytes(self._picture)
        return path


def table(rows: Sequence[Row]) -> Claims:
    """A table of claims.

    raises  ValueError without rows, and for a verdict that is none of MARKS
    """
    _check(rows)
    return Claims(tuple(Row(*row) for row in rows))


def _check(rows: Sequence[Row]) -> None:
    if not rows:
        raise ValueError("a table of claims wants a row at least, got none; give the claims of a note")
    for row in rows:
        if row[3] not in MARKS:
            raise ValueError(f"a claim wants a verdict of {', '.join(MARKS)}, got {row[3]!r}; use one of these")


def picture(rows: Sequence[Row], ax: Axes | None = None) -> Axes:
    """The table drawn: a line of text cells a claim, its verdict in its colour."""
    _check(rows)
    texts = [(row.what, row.source, row.measured, f"{MARKS[row.verdict][0]} {row.verdict}\n{row.why}") for row in rows]
    cells = [[_wrapped(text, width) for text, width in zip(cut, _WIDTHS)] for cut in texts]
    heights = [max(len(cell) for cell in cut) + 0.7 for cut in cells]
    total = sum(heights) + 1.6
    if ax is None:
        ax = style.axes(11, total * _LINE)
    ax.set_axis_off()
    ax.set(xlim=(0, sum(_WIDTHS)), ylim=(total, 0))
    places = [sum(_WIDTHS[:n]) for n in range(len(_WIDTHS))]
    for x, head in zip(places, HEADS):
        ax.text(x, 0.4, head, color=style.MUTED, va="top", fontsize=9)
    y = 1.8
    for row, cut, height in zip(rows, cells, heights):
        ax.axhline(y - 0.25, color="#e4e8ec", linewidth=0.8)
        for x, lines in zip(places[:-1], cut):
            _write(ax, x, y, lines, style.INK)
        _write(ax, places[-1], y, cut[-1][:1], MARKS[row.verdict][1], size=9.5)
        _write(ax, places[-1], y + 1, cut[-1][1:], style.INK)
        y += height
    return ax


def _wrapped(text: str, width: int) -> list[str]:
    lines = [piece for line in text.split("\n") for piece in (textwrap.wrap(line, width - 2) or [""])]
    return [style.drawable(line) for line in lines]


def _write(ax: Axes, x: float, y: float, lines: Sequence[str], colour: str, size: float = 8.5) -> None:
    for n, line in enumerate(lines):
        ax.text(x, y + n, line, va="top", fontsize=size, color=colour, parse_math=False)
