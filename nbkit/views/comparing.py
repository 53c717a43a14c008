"""Many runs in one picture: what was set and what came of it, and how they got there."""

from __future__ import annotations

import contextlib
import itertools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nbkit.views import signal, style
from nbkit.views.page import readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DECADES = 30.0  # an axis whose greatest value is so many times the least is logarithmic
_MOST_CHOICES = 12  # texts that an axis can be labelled with
_FEW, _APART = 6, 0.06  # so many values of a grid, that far from each other, are written at the axis


def parallel(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], *, greatest: bool = False, ax: Axes | None = None
) -> Axes:
    """Parallel coordinates: an axis for each name, a line for each row, coloured by its value on the last axis.

    rows      mappings; a value is a number, a truth value or a text. A row that lacks a number leaves a gap there
    names     at least two; the last one is what came out, and must be a number where it is known
    greatest  whether the greatest value of the last one is the best, and not the least
    """
    if len(names) < 2 or not rows:
        raise ValueError(f"parallel wants rows and two names or more, got {len(rows)} rows and {list(names)}")
    columns = {name: [row.get(name) for row in rows] for name in names}
    scaled = {name: _scaled(values) for name, values in columns.items()}
    results = scaled[names[-1]].heights
    if not np.isfinite(results).any() or scaled[names[-1]].words:
        raise ValueError(f"parallel wants numbers in {names[-1]!r}, the last of its names; put what was measured last")
    ax = style.axes(max(6.0, 1.7 * len(names)), 3.6) if ax is None else ax
    heights = np.array([scaled[name].heights for name in names])  # [names, rows]
    worse = 1 - results if greatest else results  # 0 is the best
    colours, alpha = _colours(worse), float(np.clip(30 / len(rows), 0.15, 0.75))  # hundreds are a cloud
    for number in np.argsort(-np.nan_to_num(worse, nan=2.0)):  # what is best is drawn over the others
        best = worse[number] == np.nanmin(worse)
        ax.plot(heights[:, number], color=colours[number], linewidth=2.4 if best else 1.3, alpha=1.0 if best else alpha,
                marker="o", markersize=3)  # fmt: skip
    for place, name in enumerate(names):
        ax.axvline(place, color=style.MUTED, linewidth=0.8, zorder=0)
        for height, text in scaled[name].ticks:
            ax.annotate(style.drawable(text), (place, height), xytext=(4, 0), textcoords="offset points", fontsize=8,
                        parse_math=False, va="center", color=style.INK,
                        bbox={"facecolor": style.PAPER, "edgecolor": "none", "alpha": 0.7, "pad": 0.6})  # fmt: skip
    ax.set_xticks(range(len(names)), [style.drawable(readable(name)) for name in names], parse_math=False)
    ax.set_yticks([])
    ax.set(xlim=(-0.15, len(names) - 1 + 0.35), ylim=(-0.06, 1.06))
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(length=0)
    return ax


class _Scale:
    """Where values lie on an axis from 0 to 1, and what is written there."""

    def __init__(self, heights: np.ndarray, ticks: list[tuple[float, str]], words: bool):
        self.heights, self.ticks, self.words = heights, ticks, words


def _scaled(values: list[Any]) -> _Scale:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len([value for value in values if value is not None]) or not numbers:
        choices = sorted({str(value) for value in values if value is not None})
        places = {text: (i + 0.5) / len(choices) for i, text in enumerate(choices)}
        heights = np.array([places[str(value)] if value is not None else np.nan for value in values])
        ticks = [(places[text], text if len(text) < 20 else text[:19] + "…") for text in choices[:_MOST_CHOICES]]
        return _Scale(heights, ticks, True)
    known = np.array([float(value) if value is not None else np.nan for value in values])
    known[~np.isfinite(known)] = np.nan
    if np.isnan(known).all():
        return _Scale(known, [], False)
    low, high = np.nanmin(known), np.nanmax(known)
    if low == high:
        return _Scale(np.where(np.isnan(known), np.nan, 0.5), [(0.5, f"{low:.4g}")], False)
    if low > 0 and high / low >= _DECADES:
        heights, middle = np.log(known / low) / np.log(high / low), float(np.sqrt(low * high))
    else:
        heights, middle = (known - low) / (high - low), float(low + high) / 2
    tried = sorted({(float(height), f"{value:.4g}") for height, value in zip(heights, known) if np.isfinite(value)})
    if len(tried) <= _FEW and min(b[0] - a[0] for a, b in itertools.pairwise(tried)) >= _APART:
        return _Scale(heights, tried, False)
    return _Scale(heights, [(0.0, f"{low:.4g}"), (0.5, f"{middle:.3g}"), (1.0, f"{high:.4g}")], False)


def _colours(worse: np.ndarray) -> list[Any]:
    """The best in the colour of a path that was found, the others from dark to light."""
    import matplotlib as mpl

    shades = mpl.colormaps[style.MAGNITUDE](np.nan_to_num(worse, nan=1.0) * 0.85)
    return [style.PATH if value == np.nanmin(worse) else tuple(shade) for value, shade in zip(worse, shades)]


def courses(
    logs: Mapping[str, Sequence[Mapping[str, Any]]], key: str, *, split: str = "validation", ax: Axes | None = None
) -> Axes:
    """One value of several runs over their steps.

    logs   what a run is called, and the lines of its log; a run without the value has no line
    split  "train" or "validation"
    """
    series = {name: signal.series(rows, key, split) for name, rows in logs.items()}
    series = {name: found for name, found in series.items() if found[0].size}
    if not series:
        raise ValueError(f"no run of {', '.join(logs) or 'none'} has logged {key!r} for {split}; pick another value")
    ax = style.axes(6.4, 3.2) if ax is None else ax
    for number, (name, (steps, values)) in enumerate(series.items()):
        colour = style.SERIES[number % len(style.SERIES)]
        line = "-" if number < len(style.SERIES) else "--"
        ax.plot(steps, values, line, color=colour, linewidth=1.5, marker="o" if steps.size < 30 else "", markersize=3,
                label=style.drawable(name))  # fmt: skip
    ax.set(xlabel="step", ylabel=f"{readable(key)}, {split}")
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    ax.legend(fontsize=8)
    return ax


def side_by_side(pictures: Mapping[tuple[str, str], str | Path | None]) -> Axes:
    """PNG files in a grid: (kind, what it is of) -> file. Kinds below each other, what they are of beside each other.

    None leaves a place empty, and so does a file that a dying machine left half written. Returns the axes of the first.
    """
    import matplotlib.pyplot as plt

    if not any(pictures.values()):
        raise ValueError("side_by_side wants at least one picture, got none")
    style.apply()
    kinds, columns = (list(dict.fromkeys(key[place] for key in pictures)) for place in (0, 1))
    images = {}
    for key, path in pictures.items():
        with contextlib.suppress(OSError, SyntaxError, ValueError):  # SyntaxError is what Pillow says of half a PNG
            images |= {key: plt.imread(path)} if path else {}
    width = 12 / max(len(columns), 2)
    shapes = {kind: [image.shape for key, image in images.items() if key[0] == kind] for kind in kinds}
    tall = [width * max((shape[0] / shape[1] for shape in shapes[kind]), default=0.1) for kind in kinds]
    places = plt.subplots(
        len(kinds), len(columns), squeeze=False, figsize=(width * len(columns), sum(tall) + 0.35 * len(kinds)),
        layout="constrained", height_ratios=tall,
    )[1]  # fmt: skip
    titles = [textwrap.fill(style.drawable(column), int(11 * width)) for column in columns]
    for (row, kind), (column, name) in itertools.product(enumerate(kinds), enumerate(columns)):
        ax = places[row, column]
        ax.set_axis_off()
        ax.set_title(f"{style.drawable(readable(kind))}\n{titles[column]}", fontsize=8, parse_math=False)
        if (kind, name) in images:
            ax.imshow(images[kind, name], interpolation="antialiased")
    return places[0, 0]
