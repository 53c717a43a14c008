"""Recordings one can see and hear: a wave with a playhead, and words or sounds to click on."""

from __future__ import annotations

import base64
import io
import wave as wave_file
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nbkit.views import signal, style
from nbkit.views.page import Page, render


@dataclass(frozen=True)
class Sound:
    """One recording of a page.

    wave   [S]  float in [-1, 1], or int16; played as loud as it is, never scaled
    rate        samples a second
    spans       (label, start, end, ...) in seconds: words or phones, each can be clicked
    """

    wave: np.ndarray
    rate: int
    title: str = ""
    caption: str = ""
    spans: Sequence[tuple] = ()


def audio(wave: np.ndarray, rate: int, *, title: str = "", caption: str = "", spans: Sequence[tuple] = ()) -> Page:
    """One recording with its wave, a playhead and clickable spans, as a notebook output or a page."""
    return page([Sound(wave, rate, title, caption, spans)])


def page(items: Sequence[Sound]) -> Page:
    """Several recordings below each other, drawn on one scale of loudness so that levels can be compared."""
    if not items:
        raise ValueError("a player page wants at least one Sound, got none")
    views = [view(item) for item in items]
    titles = ", ".join(item.title for item in items if item.title) or "recording"
    texts = [text for item in items for text in (item.title, item.caption, *(span[0] for span in item.spans))]
    font = style.font_face(style.label("".join(texts)))
    document = render("player.html", title=titles, players=views, font=font)
    return Page(document, _poster(items), 16 + sum(_height(item) for item in items), titles)


def _height(item: Sound) -> int:
    """CSS pixels: heading, wave, and what there is of caption and spans; a frame cannot ask its page for more."""
    caption_lines = -(-len(item.caption) // 80)
    return 112 + 22 * caption_lines + (26 if item.spans else 0)


def view(item: Sound) -> dict:
    """What templates/players.html needs of one recording."""
    samples, clipped = pcm(item.wave)
    peak = np.abs(samples.astype(np.int32)).max() / 32768
    level = f"peak {20 * np.log10(peak):.1f} dB".replace("-", "−") if peak else "silent"
    return {
        "title": item.title,
        "caption": item.caption,
        "note": f"{samples.size / item.rate:.2f} s · {item.rate:,} Hz · {level}"
        + (f" · {clipped:,} samples clipped" if clipped else ""),
        "wav": base64.b64encode(wav(samples, item.rate)).decode(),
        "spans": [(style.label(text), float(start), float(end)) for text, start, end, *_ in item.spans],
    }


def pcm(wave: np.ndarray) -> tuple[np.ndarray, int]:
    """A wave [S] as int16, and how many of its samples lay outside -1 to 1 and were clipped."""
    wave = np.asarray(wave)
    if wave.ndim != 1 or not wave.size:
        raise ValueError(f"a player wants a wave [S] of at least one sample, got shape {wave.shape}; pick or mix one")
    if wave.dtype == np.int16:
        return wave, 0
    if not np.issubdtype(wave.dtype, np.floating):
        raise ValueError(f"a player wants float samples in [-1, 1] or int16, got {wave.dtype}; convert it")
    if not np.isfinite(wave).all():
        broken = int((~np.isfinite(wave)).sum())
        raise ValueError(f"a player wants finite samples, got {broken} that are NaN or infinite; look where they arise")
    scaled = np.rint(wave * 32767.0)
    return np.clip(scaled, -32767, 32767).astype(np.int16), int((np.abs(wave) > 1).sum())


def wav(samples: np.ndarray, rate: int) -> bytes:
    """Samples [S] int16 as the bytes of a WAV file with the plain header of 44 bytes that player.js skips."""
    buffer = io.BytesIO()
    with wave_file.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def read(path: Path, *, title: str = "", caption: str = "") -> Sound:
    """The recording in a 16-bit mono WAV file."""
    with wave_file.open(str(path), "rb") as file:
        if (file.getsampwidth(), file.getnchannels()) != (2, 1):
            got = f"{file.getnchannels()} channels of {8 * file.getsampwidth()} bit"
            raise ValueError(f"a player wants one channel of 16 bit, {path.name} has {got}; save it with data.audio")
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return Sound(samples, file.getframerate(), title, caption)


def _poster(items: Sequence[Sound]) -> bytes:
    """The waves one below the other, for where no page is shown."""
    import matplotlib.pyplot as plt

    style.apply()
    waves = [pcm(item.wave)[0] / 32768 for item in items]
    reach = max(0.01, *(float(np.abs(wave).max()) for wave in waves))
    places = plt.subplots(len(items), squeeze=False, figsize=(8, 1.3 * len(items) + 0.2), layout="constrained")[1]
    for ax, item, wave in zip(places[:, 0], items, waves, strict=True):
        signal.waveform(wave, item.rate, ax=ax)
        ax.set_ylim(-reach, reach)
        ax.set(ylabel="", xlabel="seconds" if item is items[-1] else "")
        ax.set_title(style.drawable(item.title), fontsize=10, parse_math=False)
    return style.png(places[0, 0], dpi=80)
