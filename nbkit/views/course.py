"""The course of numbers over the steps of a run: in few points, as small curves of a page, as one picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nbkit.views import style
from nbkit.views.page import readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPLITS = {"train": ("training", "#3b82c4"), "validation": ("validation", "#e0662f")}  # how it is called, its colour
WIDTH, HEIGHT = 300, 64  # of a small curve, in units of its own
_LAST = ("gradient_norm", "learning_rate")  # how training went along, rather than how good it is


class Trace:
    """The course of one value in a bounded number of points: when they are full, neighbours are averaged."""

    LIMIT = 120
    __slots__ = ("_count", "_points", "_steps", "_stride", "_sum", "newest")

    def __init__(self) -> None:
        self.newest = math.nan
        self._points: list[tuple[float, float]] = []
        self._sum, self._steps, self._count, self._stride = 0.0, 0, 0, 1

    def add(self, step: int, value: float) -> None:
        """The next value; one that is not finite is shown as the newest but has no place on the curve."""
        self.newest = value
        if not math.isfinite(value):
            return
        self._sum += value
        self._steps += step
        self._count += 1
        if self._count == self._stride:
            self._points.append((self._steps / self._count, self._sum / self._count))
            self._sum, self._steps, self._count = 0.0, 0, 0
            if len(self._points) == self.LIMIT:
                pairs = zip(self._points[::2], self._points[1::2], strict=True)
                self._points = [((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in pairs]
                self._stride *= 2

    def points(self) -> list[tuple[float, float]]:
        """(step, value), at most LIMIT of them; what waits to be averaged is one as well."""
        if not self._count:
            return list(self._points)
        return [*self._points, (self._steps / self._count, self._sum / self._count)]


Traces = Mapping[str, Mapping[str, Trace]]  # by name and split


def ordered(traces: Traces) -> list[str]:
    """The names in the order in which they are shown: losses, what was measured, how training went along."""
    return sorted(traces, key=lambda name: (name.endswith(_LAST), name != "loss"))


def tiles(traces: Traces) -> list[dict[str, object]]:
    """What a page needs to draw each name: its numbers, and its curves as SVG paths of WIDTH by HEIGHT.

    All share the axis of steps, the curves of one name that of values as well. Of long courses the outermost 2 % of the
    values are drawn at the edge, so that the first steps do not press the rest flat.
    """
    courses = {name: _courses(traces[name]) for name in ordered(traces)}
    ends = _ends(course for of_name in courses.values() for course in of_name.values())
    return [_tile(name, traces[name], points, ends) for name, points in courses.items()]


def _courses(traces: Mapping[str, Trace]) -> dict[str, list[tuple[float, float]]]:
    """The points of each split, training first, so that validation lies above it."""
    return {split: traces[split].points() for split in sorted(traces, key=lambda split: split != "train")}


def _tile(
    name: str,
    traces: Mapping[str, Trace],
    points: Mapping[str, list[tuple[float, float]]],
    ends: tuple[float, float],
) -> dict[str, object]:
    low, high = _reach(points.values())
    first, last = ends
    across, up = (WIDTH - 8) / ((last - first) or 1), (HEIGHT - 8) / ((high - low) or 1)

    def place(step: float, value: float) -> str:
        return f"{4 + (step - first) * across:.0f},{HEIGHT - 4 - (min(max(value, low), high) - low) * up:.0f}"

    curves = [
        {"split": split, "line": " ".join(place(*point) for point in found), "end": place(*found[-1])}
        for split, found in points.items()
        if found
    ]
    return {
        "name": readable(name),
        "numbers": [(split, short(traces[split].newest)) for split in points],
        "curves": curves,
        "low": short(low) if curves and high > low else "",
        "high": short(high) if curves else "",
    }


def _ends(courses: Iterable[Sequence[tuple[float, float]]]) -> tuple[float, float]:
    steps = [course[place][0] for course in courses if course for place in (0, -1)]
    return (min(steps), max(steps)) if steps else (0.0, 0.0)


def _reach(courses: Iterable[Sequence[tuple[float, float]]]) -> tuple[float, float]:
    """Lowest and highest value that keeps its place; the newest one of each course always does."""
    courses = [course for course in courses if course]
    values = sorted(value for course in courses for _, value in course)
    if not values:
        return 0.0, 0.0
    out = len(values) // 50
    kept = [values[out], values[-1 - out], *(course[-1][1] for course in courses)]
    return min(kept), max(kept)


def picture(traces: Traces, title: str, facts: str) -> bytes:
    """A PNG of all courses, three a row, over what is said of the run; empty where nothing has changed yet."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    names = [name for name in ordered(traces) if any(len(trace.points()) > 1 for trace in traces[name].values())]
    if not names:
        return b""
    style.apply()
    rows = -(-len(names) // 3)
    figure = Figure(figsize=(9, 1.75 * rows + 0.7), layout="constrained")
    # pyplot keeps its hands off: a figure of its own would appear once more below the cell
    places = figure.subplots(rows, 3, squeeze=False).ravel()
    first, last = _ends(course for name in names for course in _courses(traces[name]).values())
    for ax, name in zip(places, names, strict=False):
        _draw(ax, name, traces[name])
        ax.set_xlim(first - 0.02 * (last - first), last + 0.02 * (last - first))
    for ax in places[len(names) :]:
        ax.set_visible(False)
    lines = [Line2D([], [], color=colour, label=called) for called, colour in SPLITS.values()]
    figure.legend(handles=lines, loc="upper right", ncols=2, fontsize=9, handlelength=1.2)
    figure.suptitle(
        f"{_cut(title, 90)}\n{_cut(facts)}", x=0.01, ha="left", fontsize=9, linespacing=1.5, parse_math=False
    )
    return style.png(places[0], dpi=90)


def _draw(ax: Axes, name: str, traces: Mapping[str, Trace]) -> None:
    """The courses of one name, its newest numbers at the right end of the title."""
    courses = _courses(traces)
    ax.set_title(_cut(readable(name), 24), fontsize=9, parse_math=False)
    for place, (split, points) in zip((1.0 - 0.22 * (len(courses) - 1), 1.0), courses.items(), strict=False):
        colour = SPLITS.get(split, SPLITS["train"])[1]
        marker = "o" if split != "train" and len(points) < 30 else ""
        ax.plot(*zip(*points, strict=True), color=colour, linewidth=1.2, marker=marker, markersize=2.5)
        newest = short(traces[split].newest)
        above = {"xycoords": "axes fraction", "xytext": (0, 6), "textcoords": "offset points"}
        ax.annotate(newest, (place, 1.0), color=colour, ha="right", fontsize=9, **above)
    low, high = _reach(courses.values())
    margin = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    ax.set_ylim(low - margin, high + margin)
    ax.tick_params(labelsize=8)
    ax.locator_params(nbins=4)


def _cut(text: str, most: int = 130) -> str:
    words = style.drawable(text if len(text) <= most else text[: most - 1] + "…")
    return words.replace("␣", " ")


def number(value: float) -> str:
    """A value in four digits."""
    return f"{value:.4g}"


def short(value: float) -> str:
    """A value in at most seven characters, its sign apart: 0.4123, 1,234, 9.6e-4."""
    if value and math.isfinite(value) and not 1e-2 <= abs(value) < 1e5:
        digits, exponent = f"{value:.1e}".split("e")
        return f"{digits}e{int(exponent)}"
    return f"{value:,.0f}" if abs(value) >= 1000 and math.isfinite(value) else f"{value:.4g}"
