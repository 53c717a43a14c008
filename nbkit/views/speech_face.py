"""The speech player as a picture, for where no page is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from nbkit.views import alignment, signal, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nbkit.views.speech import Version

PITCH = "#ff9de2"  # viridis has no pink
_EDGE = [withStroke(linewidth=3.4, foreground="#000000a0")]


def mel_image(log_mel: np.ndarray) -> np.ndarray:
    """A log-mel [C, F] as bytes, the loudest 80 dB of it, lowest band first."""
    decibel = signal.DECIBEL * np.asarray(log_mel, np.float32)
    return np.rint(255 * np.clip(1 + (decibel - decibel.max()) / 80, 0, 1)).astype(np.uint8)


def score_image(scores: np.ndarray) -> np.ndarray:
    """Scores [T, F] as bytes, relative to the best token of each frame; the lower half of all pairs is 0."""
    finite = np.where(np.isfinite(scores), scores, -np.inf).astype(np.float32)
    best = finite.max(axis=0, keepdims=True)
    below = np.where(np.isfinite(finite), finite - np.where(np.isfinite(best), best, 0), -np.inf)
    known = below[np.isfinite(below)]
    worst = min(float(np.quantile(known, 0.5)), -1e-6) if known.size else -1.0
    return np.rint(255 * np.clip(1 - np.maximum(below, worst) / worst, 0, 1)).astype(np.uint8)


def draw(version: Version, text: str = "") -> bytes:
    """Wave, mel with pitch and tokens, and the path below each other on one axis in seconds, as a PNG."""
    import matplotlib.pyplot as plt

    style.apply()
    heights = [0.8]
    if version.log_mel is not None:
        heights.append(1.7)
    if version.durations is not None:
        heights += [0.28, float(np.clip(0.13 * len(version.symbols), 1.6, 4.2))]
    figure, places = plt.subplots(
        len(heights),
        squeeze=False,
        sharex=True,
        height_ratios=heights,
        figsize=(10, sum(heights) + 0.8),
        layout="constrained",
    )
    rest = list(places[:, 0])
    seconds = len(version.wave) / version.rate
    ax = rest.pop(0)
    wave = np.asarray(version.wave)
    signal.waveform(wave / 32768 if wave.dtype == np.int16 else wave, version.rate, ax=ax)
    ax.set(ylabel="", yticks=[])
    heading = text or version.title
    heading = style.drawable(heading if len(heading) < 90 else heading[:89] + "…")
    ax.set_title(heading.replace("␣", " "), fontsize=12, parse_math=False)
    if version.log_mel is not None:
        _mel(rest.pop(0), version)
    if version.durations is not None:
        _tokens(rest.pop(0), version)
        _path(rest.pop(0), version)
    for ax in places[:, 0]:
        ax.set(xlim=(0, seconds), xlabel="")
    places[-1, 0].set_xlabel("seconds")
    figure.align_ylabels()
    return style.png(places[0, 0], dpi=96)


def _mel(ax: Axes, version: Version) -> None:
    decibel = signal.DECIBEL * np.asarray(version.log_mel, np.float32)
    top = float(decibel.max())
    signal.draw_mel(decibel, 1 / version.frame, ax, limits=(top - 80, top))
    for edge in {time for _, start, end, *_ in version.truth for time in (start, end)}:
        ax.axvline(edge, color=style.TRUTH, linewidth=0.8, alpha=0.8)
    if version.pitch is not None and np.isfinite(version.pitch).any():
        hertz = ax.twinx()
        times = (np.arange(len(version.pitch)) + 0.5) * version.frame
        hertz.plot(times, version.pitch, color=PITCH, linewidth=2, path_effects=_EDGE)
        hertz.set(yscale="log", ylim=(50, 500), ylabel="pitch, Hz")
        hertz.set_yticks([75, 150, 300], ["75", "150", "300"])
        hertz.minorticks_off()


def _tokens(ax: Axes, version: Version) -> None:
    ax.set(ylim=(0, 1), yticks=[])
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(axis="x", length=0, labelbottom=False)
    room = 9.3 / (len(version.wave) / version.rate)  # inches a second, about
    for text, start, end in version.tokens:
        ax.axvline(start, color=style.MUTED, linewidth=0.5)
        text = style.drawable(text)
        if (end - start) * room > 0.13 * len(text):
            ax.text((start + end) / 2, 0.5, text, ha="center", va="center", fontsize=9, parse_math=False)


def _path(ax: Axes, version: Version) -> None:
    tokens = version.symbols
    ax.set(ylim=(len(tokens) - 0.5, -0.5))
    words = [
        ((first + stop - 1) / 2, style.drawable(text)[:12]) for text, first, stop in alignment.words(version.symbols)
    ]
    ax.set_yticks([place for place, _ in words], [text for _, text in words], parse_math=False)
    ax.tick_params(axis="y", length=0)
    edges = np.concatenate([[0.0], np.cumsum(np.asarray(version.durations))]) * version.frame
    if version.scores is not None:
        extent = (0, edges[-1], len(tokens) - 0.5, -0.5)
        ax.imshow(score_image(version.scores), extent=extent, aspect="auto", cmap=style.MAGNITUDE, vmin=0, vmax=255)
    for _, start, end, first, stop in (span for span in version.truth if len(span) == 5):
        colour = style.TRUTH if version.scores is not None else style.SERIES[0]
        ax.add_patch(Rectangle((start, first - 0.5), end - start, stop - first, edgecolor=colour, facecolor="none"))
    rows = np.repeat(np.arange(len(tokens)), 2)  # one step a token
    around = _EDGE if version.scores is not None else []
    ax.plot(np.repeat(edges, 2)[1:-1], rows, color=style.PATH, linewidth=1.7, path_effects=around)
