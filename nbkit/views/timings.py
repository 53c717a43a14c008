"""How long ways take, as bars on a logarithmic axis, and how far they are from what a machine allows."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbkit.views import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = 38  # letters in a line of a label


def bars(
    rows: Sequence[Mapping[str, Any]],
    xlabel: str = "milliseconds",
    *,
    factor: float = 1000,
    marks: Mapping[str, float] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """A bar a row, the first on top, its number behind it; the axis is logarithmic.

    rows    dicts with "way" and "median", as evaluate.bench gives them; "p20" and "p80" become a line across the end of
            the bar, "kind" its colour ("measured here", "published", ...)
    factor  what a median is multiplied by before it is shown
    marks   label -> value (times factor) of a dashed line, such as a floor
    raises  ValueError for no row, and for a value that is not above 0, which a logarithm cannot show
    """
    if not rows:
        raise ValueError("bars want a row or more, got none; measure something first")
    values = np.array([row["median"] for row in rows], float) * factor
    lines = np.array([value for value in (marks or {}).values()], float) * factor
    if not (np.isfinite(values) & (values > 0)).all() or not (np.isfinite(lines) & (lines > 0)).all():
        raise ValueError(f"a logarithmic axis wants values above 0, got {values.tolist()} and {lines.tolist()}")
    ax = style.axes(7.4, 0.4 * len(rows) + (1.3 if title else 1.0)) if ax is None else ax
    kinds = list(dict.fromkeys(str(row.get("kind", "")) for row in rows))
    start = 10 ** math.floor(math.log10(min(values.min(), lines.min(initial=np.inf))) - 0.3)
    for place, (row, value) in enumerate(zip(rows, values)):
        number = kinds.index(str(row.get("kind", "")))
        ax.barh(place, value - start, left=start, height=0.66, color=style.SERIES[number % len(style.SERIES)])
        high = value
        if "p20" in row and "p80" in row:
            high = max(value, float(row["p80"]) * factor)
            ax.hlines(place, float(row["p20"]) * factor, high, color=style.INK, linewidth=1.4)
        ax.annotate(_number(value), (high, place), (4, 0), textcoords="offset points", va="center", fontsize=9)
    for label, line in zip(marks or (), lines):
        ax.axvline(line, color=style.PATH, linestyle="--", linewidth=1.2, label=style.drawable(label))
    for number, kind in enumerate(kinds):
        if kind:
            ax.barh(0, 0, left=start, color=style.SERIES[number % len(style.SERIES)], label=style.drawable(kind))
    ax.set_xscale("log")
    ax.set_xlim(start, max(values.max(), lines.max(initial=0)) * 4)
    ax.set_yticks(range(len(rows)), [_short(str(row["way"])) for row in rows], parse_math=False)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0, pad=6)
    ax.grid(axis="x")
    ax.set_axisbelow(True)
    ax.set_xlabel(xlabel)
    _finish(ax, title, marks or any(kinds))
    return ax


def roofline(
    points: Sequence[Mapping[str, Any]],
    *,
    bytes_per_second: float,
    operations_per_second: float,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Where ways lie under the roof of a machine: to the left memory limits them, to the right arithmetic does.

    points                 dicts with "way", "operations", "bytes" (of one call) and "median" (seconds of a call)
    bytes_per_second       the slope of the roof: what a copy reads and writes
    operations_per_second  the height of the roof
    raises                 ValueError for no point, and for numbers that are not above 0
    """
    if not points:
        raise ValueError("a roofline wants a point or more, got none; measure something first")
    given = np.array([[point["operations"], point["bytes"], point["median"]] for point in points], float)
    roof = np.array([bytes_per_second, operations_per_second], float)
    if not (np.isfinite(given) & (given > 0)).all() or not (np.isfinite(roof) & (roof > 0)).all():
        raise ValueError(f"a roofline wants numbers above 0, got {given.tolist()} under a roof of {roof.tolist()}")
    ax = style.axes(7.4, 4.2) if ax is None else ax
    intensity, speed = given[:, 0] / given[:, 1], given[:, 0] / given[:, 2]
    ridge = operations_per_second / bytes_per_second
    x = np.array([min(intensity.min(), ridge) / 4, ridge, max(intensity.max(), ridge) * 8])
    ax.plot(x, np.minimum(x * bytes_per_second, operations_per_second), color=style.MUTED, linewidth=1.6)
    ax.text(ridge, operations_per_second * 1.15, f"{_number(operations_per_second / 1e9)} G operations/s", fontsize=8)
    slope = math.sqrt(x[0] * ridge)
    words = f"a copy: {_number(bytes_per_second / 1e9)} GB/s "
    ax.text(slope, slope * bytes_per_second, words, fontsize=8, ha="right", va="bottom")
    for number, (point, left, height) in enumerate(zip(points, intensity, speed)):
        label = (
            f"{style.drawable(str(point['way']))}: {height / min(left * bytes_per_second, operations_per_second):.0%}"
        )
        ax.plot(left, height, "o", markersize=8, color=style.SERIES[number % len(style.SERIES)], label=label)
    ax.set(xscale="log", yscale="log", xlabel="operations per byte", ylabel="operations per second")
    ax.set_ylim(min(speed.min(), x[0] * bytes_per_second) / 2, operations_per_second * 3)
    ax.grid()
    ax.set_axisbelow(True)
    _finish(ax, title, True)
    return ax


def _finish(ax: Axes, title: str, legend: object) -> None:
    if legend:
        ax.legend(fontsize=8, loc="lower right")
    if title:
        ax.set_title(style.drawable(title), parse_math=False)


def _number(value: float) -> str:
    """With three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _short(label: str) -> str:
    """In at most two lines."""
    return "\n".join(textwrap.wrap(style.drawable(label), _LONGEST, max_lines=2, placeholder="…"))
