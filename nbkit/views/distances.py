"""How something depends on how far apart two tokens stand: a line a layer, and their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from nbkit.views import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot(values: ArrayLike, label: str, *, window: int = 0, level: float | None = None, ax: Axes | None = None) -> Axes:
    """Values over the distance, which is negative for tokens that stand before.

    values  [L, 2 reach + 1] of each layer, from -reach to reach; nan where there is none
    label   what they are
    window  distances up to this one are shaded; 0 shades none
    level   of a line to compare with
    """
    values = np.asarray(values, float)
    if values.ndim != 2 or values.shape[1] % 2 == 0 or not np.isfinite(values).any():
        raise ValueError(
            f"wanted values [layers, 2 reach + 1], some of them finite, got shape {values.shape}; give those from "
            "-reach to reach"
        )
    reach = values.shape[1] // 2
    distance = np.arange(-reach, reach + 1)
    ax = style.axes(5.6, 2.8) if ax is None else ax
    if window:
        ax.axvspan(-window - 0.5, window + 0.5, color="#eef3f9", zorder=0, label="window")
    if level is not None:
        ax.axhline(level, color=style.MUTED, linewidth=1, linestyle="--", label="if all looked alike")
    for number, row in enumerate(values):
        ax.plot(distance, row, color=style.SERIES[0], alpha=0.3, linewidth=1, label="" if number else "a layer")
    known = np.isfinite(values)
    mean = np.where(known, values, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
    ax.plot(distance, mean, color=style.SERIES[1], linewidth=2, marker="o", markersize=3, label="mean")
    ax.set(xlabel="distance in tokens, negative before", ylabel=label, xlim=(-reach - 0.5, reach + 0.5))
    ax.grid(axis="y")
    ax.legend(fontsize=8, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    return ax
