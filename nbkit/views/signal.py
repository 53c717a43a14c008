"""Sound as pictures: waves and mels over seconds, losses over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nbkit.views import style
from nbkit.views.page import readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

DECIBEL = 20 / np.log(10)  # of a natural logarithm of magnitude
_TICKS = (500, 1000, 2000, 4000, 8000, 16000)  # Hz


def waveform(wave: np.ndarray, rate: int, *, ax: Axes | None = None) -> Axes:
    """Amplitude over seconds, full scale -1 to 1.

    wave  [S]  float, not scaled for the plot: a quiet recording looks quiet
    """
    wave = np.asarray(wave, dtype=np.float32)
    if wave.ndim != 1 or not wave.size:
        raise ValueError(f"waveform wants a wave [S] of at least one sample, got shape {wave.shape}; mix or pick one")
    ax = style.axes(9, 1.8) if ax is None else ax
    low, high, edges = _envelope(wave, 2000)
    ax.fill_between(edges / rate, low, high, step="post", color=style.SERIES[0], linewidth=0.4)
    ax.set(xlim=(0, wave.size / rate), xlabel="seconds", ylabel="amplitude")
    reach = max(np.abs(wave).max(), 1e-3)
    ax.set_ylim(-1.05 * reach, 1.05 * reach)
    return ax


def _envelope(wave: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest and highest sample of each of at most `columns` slices, and where the slices start (last one repeated)."""
    starts = np.unique(np.linspace(0, wave.size, min(columns, wave.size), endpoint=False).astype(int))
    low, high = np.minimum.reduceat(wave, starts), np.maximum.reduceat(wave, starts)
    return np.append(low, low[-1]), np.append(high, high[-1]), np.append(starts, wave.size)


def spectrogram(
    log_mel: np.ndarray, *, rate: int, hop: int, low: float = 0.0, high: float = 8000.0, ax: Axes | None = None
) -> Axes:
    """A log-mel over seconds and Hz, the loudest 80 dB of it.

    log_mel    [C, F]  natural logarithm of magnitude
    rate, hop  samples a second, samples a frame
    low, high  Hz, edges of the mel scale the bands were cut from
    """
    decibel = DECIBEL * _matrix(log_mel, "spectrogram")
    top = decibel.max()
    ax = style.axes(9, 2.6) if ax is None else ax
    image = draw_mel(decibel, rate / hop, ax, limits=(max(top - 80, decibel.min()), top), low=low, high=high)
    ax.figure.colorbar(image, ax=ax, pad=0.01, label="dB")
    return ax


def difference(
    log_mel: np.ndarray,
    other: np.ndarray,
    *,
    rate: int,
    hop: int,
    low: float = 0.0,
    high: float = 8000.0,
    ax: Axes | None = None,
) -> Axes:
    """Where `log_mel` is louder (red) or softer (blue) than `other`, in dB.

    log_mel, other  [C, F]  natural logarithm of magnitude, of one shape: warp one to the other first
    """
    log_mel, other = _matrix(log_mel, "difference"), _matrix(other, "difference")
    if log_mel.shape != other.shape:
        raise ValueError(f"difference wants two mels of one shape, got {log_mel.shape} and {other.shape}; align them")
    decibel = DECIBEL * (log_mel - other)
    reach = max(float(np.quantile(np.abs(decibel), 0.99)), 1.0)
    ax = style.axes(9, 2.6) if ax is None else ax
    image = draw_mel(decibel, rate / hop, ax, limits=(-reach, reach), colours=style.DIFFERENCE, low=low, high=high)
    ax.figure.colorbar(image, ax=ax, pad=0.01, label="difference, dB", extend="both")
    return ax


def _matrix(values: np.ndarray, who: str) -> np.ndarray:
    values = np.asarray(values, dtype=np.float32)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"{who} wants a log-mel [bands, frames], got shape {values.shape}; pick one item of the batch")
    return values


def draw_mel(
    decibel: np.ndarray,
    frame_rate: float,
    ax: Axes,
    *,
    limits: tuple[float, float],
    colours: str = style.MAGNITUDE,
    low: float = 0.0,
    high: float = 8000.0,
) -> AxesImage:
    """Draw bands [C, F] so that a frame is as wide as it lasts; the Hz ticks stand where such a tone falls."""
    bands, frames = decibel.shape
    image = ax.imshow(
        decibel,
        origin="lower",
        aspect="auto",
        extent=(0, frames / frame_rate, -0.5, bands - 0.5),
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
    )
    bottom, top = _mel(np.array([low, high]))
    places = (_mel(np.array(_TICKS, dtype=float)) - bottom) / (top - bottom) * (bands + 1) - 1
    shown = [(place, tick) for place, tick in zip(places, _TICKS, strict=True) if -0.5 <= place <= bands - 0.5]
    ax.set_yticks([place for place, _ in shown], [f"{tick:,}" for _, tick in shown])
    ax.set(xlabel="seconds", ylabel="Hz")
    ax.spines[["top", "right"]].set_visible(True)
    return image


def _mel(hertz: np.ndarray) -> np.ndarray:
    """Slaney's mel scale, the one of the features: linear to 1,000 Hz, logarithmic above."""
    return np.where(hertz < 1000, hertz * 3 / 200, 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4))


def mark(ax: Axes, spans: Sequence[tuple], *, colour: str = style.INK) -> Axes:
    """Thin lines at the edges of labelled spans over an axis in seconds, their labels above it in up to two rows.

    spans  (label, start, end, ...) in seconds; a label that would cover its neighbours is left out
    """
    left, right = ax.get_xlim()
    seconds_per_inch = (right - left) / style.inches(ax)[0]
    for edge in {time for _, start, end, *_ in spans for time in (start, end)}:
        ax.axvline(edge, color=colour, linewidth=0.7, alpha=0.75)
    free_from = [left, left]
    for text, start, end, *_ in spans:
        text, centre = style.label(text), (start + end) / 2
        half = seconds_per_inch * (0.03 + sum(0.0625 if letter >= "\u3000" else 0.035 for letter in text))
        row = next((row for row in (0, 1) if centre - half >= free_from[row] and centre + half <= right), None)
        if row is not None:
            place = {"xy": (centre, 1), "xycoords": ax.get_xaxis_transform(), "xytext": (0, 3 + 12 * row)}
            ax.annotate(text, **place, textcoords="offset points", ha="center", va="bottom", fontsize=9)
            free_from[row] = centre + half
    return ax


def curves(rows: Sequence[Mapping], keys: str | Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Values of a run's log over its steps: training as a smoothed line over its raw trace, validation as dots.

    rows  mappings with "step", the keys, and "split" ("train" where it is absent); a row without a key is skipped
    """
    keys = [keys] if isinstance(keys, str) else list(keys)
    ax = style.axes(6, 2.8) if ax is None else ax
    for index, key in enumerate(keys):
        colour = style.SERIES[index % len(style.SERIES)]
        name = "" if len(keys) == 1 else readable(key) + ", "
        train, validation = series(rows, key, "train"), series(rows, key, "validation")
        if train[0].size:
            smooth = _smooth(train[1])
            if smooth is not train[1]:
                ax.plot(*train, color=colour, alpha=0.25, linewidth=0.8)
            ax.plot(train[0], smooth, color=colour, linewidth=1.6, label=f"{name}training")
        if validation[0].size:
            dots = {"color": colour if name else style.INK, "linestyle": ":", "marker": "o", "markersize": 4}
            ax.plot(*validation, **dots, linewidth=0.8, label=f"{name}validation")
    if len(keys) == 1:
        ax.set_ylabel(readable(keys[0]))
    if len(ax.get_legend_handles_labels()[0]) > 1:
        ax.legend(fontsize=9)
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    ax.set_xlabel("step")
    return ax


def series(rows: Sequence[Mapping], key: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and finite values of `key` in the rows of one split."""
    pairs = [
        (row["step"], row[key])
        for row in rows
        if row.get("split", "train") == split and isinstance(row.get(key), int | float) and np.isfinite(row[key])
    ]
    steps, values = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(steps), np.array(values, dtype=float)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Mean over a window of a 40th of the curve, shorter at its ends; the values themselves when there are few."""
    reach = values.size // 80
    if not reach:
        return values
    total = np.concatenate([[0.0], np.cumsum(values)])
    centre = np.arange(values.size)
    first, stop = np.maximum(centre - reach, 0), np.minimum(centre + reach + 1, values.size)
    return (total[stop] - total[first]) / (stop - first)
