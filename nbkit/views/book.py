"""A text that follows the voice that reads it: the word that sounds is lit, a click on a word plays from there."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nbkit.base.amounts import duration
from nbkit.views import signal, style
from nbkit.views.page import Page, render

_HEIGHT = 460  # CSS pixels of the frame; the text scrolls in it
_TYPES = {".mp3": "audio/mpeg", ".flac": "audio/flac", ".wav": "audio/wav"}


@dataclass(frozen=True)
class Word:
    """A word as it is written, and when it sounds.

    start, end   seconds
    said         how it is said, where that is otherwise than written
    heading      whether it belongs to a heading
    """

    text: str
    start: float
    end: float
    said: str = ""
    heading: bool = False


def page(title: str, sound: Path, wave: np.ndarray, rate: int, paragraphs: Sequence[Sequence[Word]]) -> Page:
    """A page that plays a sound and follows it through the text.

    sound        an MP3, FLAC or WAV file, which goes into the page
    wave         [S] the same, for the picture that stands where no page is shown
    paragraphs   their words, in the order of time; raises ValueError where times go back, or for another kind of sound
    """
    words = [word for paragraph in paragraphs for word in paragraph]
    if sound.suffix not in _TYPES:
        raise ValueError(
            f"a page of a book plays {', '.join(_TYPES)}, got {sound.name}; write the sound as one of them"
        )
    if not words:
        raise ValueError("a page of a book wants at least one word, got none")
    starts = np.array([(word.start, word.end) for word in words])
    if not np.isfinite(starts).all() or (np.diff(starts[:, 0]) < 0).any() or (starts[:, 1] < starts[:, 0]).any():
        raise ValueError("a page of a book wants words in the order of time, got times that go back or are no numbers")
    shown = [
        {
            "heading": bool(paragraph) and paragraph[0].heading,
            "words": [{"text": style.label(word.text), "said": style.label(word.said)} for word in paragraph],
        }
        for paragraph in paragraphs
    ]
    font = style.font_face(style.label("".join([title, *(word.text + word.said for word in words)])))
    document = render(
        "book.html",
        title=title,
        paragraphs=shown,
        font=font,
        source=f"data:{_TYPES[sound.suffix]};base64,{base64.b64encode(sound.read_bytes()).decode()}",
        times=[[round(word.start, 3), round(word.end, 3)] for word in words],
        length=duration(len(wave) / rate),
    )
    return Page(document, _poster(title, wave, rate, words), _HEIGHT, title)


def _poster(title: str, wave: np.ndarray, rate: int, words: Sequence[Word]) -> bytes:
    """The wave, and the first words of the text above it."""
    wave = np.asarray(wave)
    wave = wave / 32768 if wave.dtype == np.int16 else wave
    ax = signal.waveform(wave, rate, ax=style.axes(8, 1.8))
    said = " ".join(word.text for word in words if not word.heading)
    ax.set_title(style.drawable(f"{title} · {said}"[:70] + "…"), fontsize=10, loc="left", parse_math=False)
    return style.png(ax, dpi=80)
