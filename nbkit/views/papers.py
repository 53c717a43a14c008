"""Papers on a board: a lane for each line of work, the years from left to right, and who follows whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from nbkit.views import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STATES = ("read", "implemented", "reproduced")
_STEP = 0.9  # between papers of one year in one lane; 1 is the least height of a lane
_LONGEST = 28  # characters of a name


@dataclass(frozen=True)
class Paper:
    """One point of the board. follows: names of others on it, none of them younger."""

    name: str
    year: int
    line: str
    state: str
    follows: tuple[str, ...] = ()


def board(papers: Sequence[Paper], *, lines: Sequence[str] = (), ax: Axes | None = None) -> Axes:
    """Each paper as a dot in the lane of its line, empty where it was only read, full where it is built.

    lines   the lanes from top to bottom; those that no paper has are left out; by default as they come
    raises  ValueError without papers, for a name that comes twice, a state that is none, a line that has no lane
    """
    order = list(dict.fromkeys(lines or [paper.line for paper in papers]))
    _check(papers, order)
    lanes = [line for line in order if any(paper.line == line for paper in papers)]
    places, edges = _places(papers, lanes)
    if ax is None:
        ax = style.axes(10.5, max(2.4, 0.34 * edges[-1] + 0.9))
    for number, (top, bottom) in enumerate(pairwise(edges)):
        if number % 2 == 0:
            ax.axhspan(top, bottom, color="#f4f6f8", zorder=0, linewidth=0)
    for paper in papers:
        for other in paper.follows:
            if other in places:
                _arrow(ax, places[other], places[paper.name])
    colours: dict[str, str] = {"read": style.PAPER, "implemented": style.SERIES[0], "reproduced": style.SERIES[2]}
    for paper in papers:
        x, y = places[paper.name]
        ax.plot(x, y, "o", markersize=8, markerfacecolor=colours[paper.state], markeredgewidth=1.5, zorder=3,
                markeredgecolor=style.MUTED if paper.state == "read" else colours[paper.state])  # fmt: skip
        ax.annotate(_name(paper.name), (x, y), xytext=(8, 0), textcoords="offset points", va="center", fontsize=9,
                    parse_math=False, zorder=2, bbox={"facecolor": style.PAPER, "edgecolor": "none", "alpha": 0.6,
                    "pad": 0.5})  # fmt: skip
    _frame(ax, papers, lanes, edges)
    _legend(ax, colours, {paper.state for paper in papers})
    return ax


def _check(papers: Sequence[Paper], order: list[str]) -> None:
    names = [paper.name for paper in papers]
    if not papers or len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"board wants papers with names of their own, got {len(papers)}, twice {twice}; rename those")
    for paper in papers:
        if paper.state not in STATES:
            raise ValueError(f"{paper.name!r} wants a state of {', '.join(STATES)}, got {paper.state!r}")
        if paper.line not in order:
            raise ValueError(f"{paper.name!r} wants a line of {', '.join(order)}, got {paper.line!r}; add it to lines")


def _places(papers: Sequence[Paper], lanes: list[str]) -> tuple[dict[str, tuple[float, float]], list[float]]:
    """Where each paper lies, and where lanes begin and end. Papers of neighbouring years share no row."""
    places: dict[str, tuple[float, float]] = {}
    edges = [0.0]
    for line in lanes:
        rows: list[list[int]] = []  # years that are taken in each row
        for paper in sorted((one for one in papers if one.line == line), key=lambda one: one.year):
            row = next((i for i, years in enumerate(rows) if max(years) < paper.year - 1), len(rows))
            if row == len(rows):
                rows.append([])
            rows[row].append(paper.year)
            places[paper.name] = (float(paper.year), edges[-1] + 0.55 + row * _STEP)
        edges.append(edges[-1] + 0.2 + max(1, len(rows)) * _STEP)
    return places, edges


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate("", end, xytext=start, zorder=1, arrowprops={
        "arrowstyle": "-|>", "color": style.MUTED, "alpha": 0.6, "linewidth": 0.9, "shrinkA": 5, "shrinkB": 5,
        "mutation_scale": 8, "connectionstyle": "arc3,rad=0.12"})  # fmt: skip


def _name(text: str) -> str:
    return style.drawable(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def _frame(ax: Axes, papers: Sequence[Paper], lanes: list[str], edges: list[float]) -> None:
    years = [paper.year for paper in papers]
    ax.set_xlim(min(years) - 0.35, max(years) + 1.35)
    ax.set_ylim(edges[-1], 0)
    ax.set_xticks(range(min(years), max(years) + 1))
    middles = [(top + bottom) / 2 for top, bottom in pairwise(edges)]
    ax.set_yticks(middles, [_name(line) for line in lanes], parse_math=False)
    ax.tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)


def _legend(ax: Axes, colours: dict[str, str], shown: set[str]) -> None:
    for state in STATES:
        if state in shown:
            ax.plot([], [], "o", markersize=8, markerfacecolor=colours[state], markeredgewidth=1.5, label=state,
                    markeredgecolor=style.MUTED if state == "read" else colours[state])  # fmt: skip
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=9, handletextpad=0.2)
