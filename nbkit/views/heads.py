"""Still pictures of attention: a mosaic of all heads, one head as a matrix, one head as lines between two columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.collections import LineCollection

from nbkit.views import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nbkit.views.attention import Attention

LONGEST = 12  # characters of a token that a picture writes
TILE = 64  # pixels of a head in the mosaic
FAINTEST = 0.02  # share of the thinnest line


def grid(model: Attention, *, ax: Axes | None = None) -> Axes:
    """All heads at a glance, a layer a row: what looks from top to bottom, what is looked at from left to right.

    The colour is the square root of the share, on one scale for all heads, so that faint shares are seen too.
    """
    layers, heads = model.weights.shape[:2]
    ax = style.axes(0.7 * heads + 1, 0.7 * layers + 1) if ax is None else ax
    small = _pooled(model.weights)
    height, width = small.shape[2:]
    gap_x, gap_y = (max(1, round(side / 12)) for side in (width, height))
    framed = np.pad(small, ((0, 0), (0, 0), (0, gap_y), (0, gap_x)), constant_values=np.nan)
    image = framed.transpose(0, 2, 1, 3).reshape(layers * (height + gap_y), heads * (width + gap_x))
    ax.imshow(
        np.sqrt(image[:-gap_y, :-gap_x]),
        cmap=style.MAGNITUDE,
        vmin=0,
        vmax=1,
        extent=(0, heads, layers, 0),
        aspect="auto",
        interpolation="none",
    )
    ax.set(xlabel="head", ylabel="layer")
    ax.set_xticks(np.arange(heads) + 0.5, [str(n + 1) for n in range(heads)])
    ax.set_yticks(np.arange(layers) + 0.5, [str(n + 1) for n in range(layers)])
    _bare(ax)
    ax.set_title(style.drawable(model.title), parse_math=False)
    return ax


def matrix(model: Attention, layer: int = -1, head: int = 0, *, ax: Axes | None = None) -> Axes:
    """One head large: a row for each token that looks, a column for each that is looked at."""
    weights = model.weights[layer, head]
    rows, columns = weights.shape
    ax = style.axes(6.4, 5.6) if ax is None else ax
    picture = ax.imshow(weights, cmap=style.MAGNITUDE, vmin=0, aspect="auto", interpolation="nearest")
    height, width = (72 * inches for inches in style.inches(ax)[::-1])
    _write(ax, "y", model.tokens, height / rows)
    _write(ax, "x", model.tokens if model.others is None else model.others, width / columns)
    _bare(ax)
    ax.set_title(name(model, layer, head))
    bar = ax.figure.colorbar(picture, ax=ax, format=lambda share, _: f"{100 * share:.3g} %", shrink=0.5, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    return ax


def lines(model: Attention, layer: int = -1, head: int = 0, *, ax: Axes | None = None) -> Axes:
    """One head as lines from the tokens that look (left) to those looked at (right), the stronger the darker."""
    weights = model.weights[layer, head]
    others = model.tokens if model.others is None else model.others
    longest = max(weights.shape)
    ax = style.axes(4.2, max(2.0, 0.2 * longest + 0.6)) if ax is None else ax
    rows, columns = np.nonzero(weights >= FAINTEST)
    shares = weights[rows, columns]
    order = np.argsort(shares)
    ends = np.stack([np.stack([0 * rows, rows], -1), np.stack([0 * rows + 1, columns], -1)], 1)[order]
    colour = style.SERIES[head % model.weights.shape[1] % len(style.SERIES)]
    ax.add_collection(
        LineCollection(list(ends), colors=colour, alpha=shares[order], linewidths=0.5 + 2.5 * shares[order])
    )
    size = float(np.clip(72 * style.inches(ax)[1] / longest * 0.75, 4, 10))
    for place, side, names in ((-0.04, "right", model.tokens), (1.04, "left", others)):
        for y, token in enumerate(names):
            ax.text(place, y, _short(token), ha=side, va="center", fontsize=size, parse_math=False)
    ax.set(xlim=(-0.5, 1.5), ylim=(longest - 0.5, -0.5))
    ax.axis("off")
    ax.set_title(name(model, layer, head))
    return ax


def poster(models: Sequence[Attention], layer: int, head: int) -> bytes:
    """All heads beside the opened one, a row for each model, as a PNG."""
    import matplotlib.pyplot as plt

    style.apply()
    places = plt.subplots(
        len(models), 2, squeeze=False, figsize=(11.5, 5.4 * len(models)), layout="constrained", width_ratios=(1, 1.1)
    )[1]
    for model, (left, right) in zip(models, places, strict=True):
        grid(model, ax=left)
        matrix(model, layer, head, ax=right)
    return style.png(places[0, 0], dpi=80)


def _write(ax: Axes, axis: Literal["x", "y"], tokens: Sequence[str], room: float) -> None:
    """Tokens as ticks, as many of them as `room` points for each leave legible."""
    size = float(np.clip(0.8 * room, 6, 9))
    places = range(0, len(tokens), int(np.ceil(1.15 * size / room)))
    labels = [_short(tokens[place]) for place in places]
    if axis == "x":
        ax.set_xticks(places, labels, fontsize=size, parse_math=False, rotation=90)
    else:
        ax.set_yticks(places, labels, fontsize=size, parse_math=False)


def name(model: Attention, layer: int, head: int) -> str:
    """What people call a head; they count from 1."""
    layers, heads = model.weights.shape[:2]
    return f"layer {layer % layers + 1}, head {head % heads + 1}"


def _pooled(weights: np.ndarray) -> np.ndarray:
    """Weights [L, H, T, S] with at most TILE cells a side, the largest of those that fall together."""
    for axis in (2, 3):
        step = -(-weights.shape[axis] // TILE)
        if step > 1:
            weights = np.maximum.reduceat(weights, np.arange(0, weights.shape[axis], step), axis=axis)
    return weights


def _short(token: str) -> str:
    text = style.drawable(token).replace("▁", "·")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _bare(ax: Axes) -> None:
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
