"""What a flow does, as pictures: a plane bent into a bell, frames squeezed into channels, who reaches whom, noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nbkit.views import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDEST = 4.0  # standard deviations that a histogram of noise shows to each side


def plane(clouds: Mapping[str, np.ndarray]) -> list[Axes]:
    """Clouds of points [N, 2] side by side by their titles; point n has one colour in all. Circles lie at 1 and 2."""
    panels = _panels(len(clouds), 3.0, 3.0)
    for ax, (title, points) in zip(panels, clouds.items()):
        points = _finite(points, "plane", 2)
        shade = np.linspace(0, 1, len(points))
        ax.scatter(*points.T, c=shade, cmap=style.MAGNITUDE, s=5, linewidths=0)
        for radius in (1, 2):
            turn = np.linspace(0, 2 * np.pi, 200)
            ax.plot(radius * np.cos(turn), radius * np.sin(turn), color=style.MUTED, linewidth=0.7)
        ax.set(title=title, xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal", xlabel="first number")
    panels[0].set_ylabel("second number")
    return panels


def squeezed(bands: int, frames: int, joined: int) -> list[Axes]:
    """How frames are joined: a mel of so many bands and frames as numbers, and its channels after the squeeze.

    joined  neighbouring frames that become one
    """
    panels = _panels(2, 4.2, 0.32 * bands * joined + 1.0)
    before = np.arange(frames) + np.zeros((bands, 1))
    for ax, of, title in (
        (panels[0], before, f"before: {bands} bands"),
        (panels[1], before.reshape(bands, -1, joined).transpose(2, 0, 1).reshape(bands * joined, -1), "after"),
    ):
        rows, columns = of.shape
        ax.imshow(of % joined, cmap="Pastel1", vmin=0, vmax=8, aspect="auto", origin="lower")
        for row in range(rows):
            for column in range(columns):
                ax.text(column, row, f"{int(of[row, column])}.{row % bands}", ha="center", va="center", fontsize=9)
        if rows > bands:
            ax.axhline(rows / 2 - 0.5, color=style.INK, linewidth=1.5)
            title = f"after: {rows} channels, in two halves"
        ax.set(title=title, xlabel="frame", ylabel="band" if rows == bands else "channel")
        ax.set_xticks(range(columns))
        ax.set_yticks(range(rows))
    return panels


def reach(sizes: Mapping[str, np.ndarray]) -> list[Axes]:
    """Matrices [C, C] side by side, on a logarithmic scale: row l, column n is how much number n moves latent number l.

    Each title says how many of the pairs have a way from one to the other; those without are pale.
    """
    panels = _panels(len(sizes), 2.6, 2.9)
    for ax, (title, size) in zip(panels, sizes.items()):
        size = np.abs(_finite(size, "reach", len(size)))
        shown = np.where(size > 1e-6, np.log10(np.maximum(size, 1e-6)), np.nan)
        ax.imshow(shown, cmap=style.MAGNITUDE, vmin=-3, vmax=0.5, origin="upper")
        ax.set_title(f"{title}: {np.isfinite(shown).mean():.0%}")
        ax.set(xlabel="number", ylabel="latent number" if ax is panels[0] else "")
        ax.set_xticks(range(0, len(size), 4))
        ax.set_yticks(range(0, len(size), 4))
        ax.set_facecolor("#eef1f4")
    return panels


def against_bell(noises: Mapping[str, Sequence[float] | np.ndarray]) -> list[Axes]:
    """Histograms side by side by their titles, each over the bell of mean 0 and standard deviation 1."""
    panels = _panels(len(noises), 2.6, 2.3)
    grid = np.linspace(-_WIDEST, _WIDEST, 200)
    for ax, (title, noise) in zip(panels, noises.items()):
        noise = np.asarray(noise, dtype=float).ravel()
        if not noise.size or not np.isfinite(noise).all():
            raise ValueError(f"against_bell wants finite numbers for {title!r}, got {noise.size}; look at the latent")
        bins = np.linspace(-_WIDEST, _WIDEST, int(np.clip(noise.size / 20, 15, 60)) + 1).tolist()
        ax.hist(np.clip(noise, -_WIDEST, _WIDEST), bins, density=True, color=style.SERIES[0], alpha=0.75)
        ax.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), color=style.PATH, linewidth=1.6)
        ax.set_title(style.label(title), parse_math=False)
        ax.set_xlabel(f"mean {noise.mean():.2f}, deviation {noise.std():.2f}")
        ax.set_yticks([])
    return panels


def mel_and_latent(log_mel: np.ndarray, noise: np.ndarray, seconds_per_frame: float) -> list[Axes]:
    """A log-mel [C, F] over the noise [C, F] that a flow makes of it, on one axis of seconds."""
    panels = _panels(2, 9.0, 2.0, upright=True)
    top = float(np.max(log_mel))
    rows = (
        (log_mel, style.MAGNITUDE, top - 9, top, "log-mel, natural logarithm"),
        (noise, style.DIFFERENCE, -3, 3, "noise, from -3 to 3"),
    )
    for ax, (values, colours, low, high, title) in zip(panels, rows):
        values = _finite(values, "mel_and_latent", None)
        extent = (0, values.shape[1] * seconds_per_frame, -0.5, len(values) - 0.5)
        ax.imshow(values, origin="lower", aspect="auto", extent=extent, cmap=colours, vmin=low, vmax=high)
        ax.set(title=title, ylabel="band" if ax is panels[0] else "channel")
    panels[-1].set_xlabel("seconds")
    return panels


def _panels(count: int, width: float, height: float, upright: bool = False) -> list[Axes]:
    """So many axes of this size in inches, side by side or one above the other."""
    import matplotlib.pyplot as plt

    style.apply()
    across, down = (1, count) if upright else (count, 1)
    size = (width * across, height * down)
    _, panels = plt.subplots(down, across, figsize=size, layout="constrained", squeeze=False, sharex=upright)
    return list(panels.ravel())


def _finite(values: np.ndarray, who: str, columns: int | None) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or not values.size or (columns and values.shape[1] != columns):
        raise ValueError(f"{who} wants a matrix of {columns or 'some'} columns, got {list(values.shape)}; pick one")
    if not np.isfinite(values).all():
        raise ValueError(f"{who} wants finite numbers, got NaN or infinite ones; look at what made them")
    return values
