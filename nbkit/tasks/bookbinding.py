"""What was read aloud becomes chapters with captions and a text that follows the voice; and what sounds wrong in it."""

from __future__ import annotations

import dataclasses
import io
import itertools
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nbkit.base.record import Record
from nbkit.data import book, disk
from nbkit.data.book import Glossary, Line
from nbkit.models.glow_tts import Voice
from nbkit.tasks.audiobook import Audiobook, Book, SpokenLine
from nbkit.views import sample
from nbkit.views.book import Word

PAUSE = {"clause": 0.15, "sentence": 0.35, "paragraph": 0.8, "heading": 1.0}  # seconds behind a line
MOST_MINUTES = 20.0  # of a page and its sound; a longer chapter becomes several
_PRESSED = 0.6  # see sample.mp3
_DOUBTS = {"silence": 1.0, "clipped": 0.001, "repeated": 0.5}  # seconds, share of samples, seconds
_ODD_PACE = 1.8  # times as fast or as slow as the median line
_NO_NAME = re.compile(r"[^\w]+")


class Part(NamedTuple):
    """A chapter, or twenty minutes of one, ready to be heard."""

    title: str
    wave: np.ndarray  # int16 [S]
    rate: int
    paragraphs: list[list[Word]]
    sound: Path
    captions: Path


class Doubt(NamedTuple):
    """A line that should be heard by a person before the book is given away."""

    text: str
    why: str
    wave: np.ndarray
    rate: int


def bind(
    run: Record, content: Book, said: Sequence[Sequence[SpokenLine]], voice: Voice, config: Audiobook
) -> list[Part]:
    """Chapters as sounds and captions in the run folder, in their order; a long chapter in several parts."""
    folder, rate = run.folder / "book", voice.spec.rate
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    parts = []
    for title, paragraphs in _portions(content, said, rate, config.pauses):
        name = f"{len(parts) + 1:02}-{_NO_NAME.sub('-', title).strip('-')[:60]}".strip("-")
        wave, shown, cues = _laid_out(paragraphs, content.glossary, rate, config.pauses)
        path = _press(folder / name, wave, rate)
        captions = path.with_suffix(".vtt")
        _write(captions, book.captions(cues).encode())
        parts.append(Part(title or name, wave, rate, shown, path, captions))
    return parts


Paragraph = list[tuple[Line, SpokenLine]]


def _portions(
    content: Book, said: Sequence[Sequence[SpokenLine]], rate: int, pauses: float
) -> Iterator[tuple[str, list[Paragraph]]]:
    """Chapters in portions of at most MOST_MINUTES, or one paragraph that is longer."""
    spoken = iter(said)
    for chapter in content.chapters:
        portions: list[list[Paragraph]] = [[]]
        seconds = 0.0
        for paragraph in chapter.paragraphs:
            lines = list(zip(paragraph, next(spoken), strict=True))
            length = sum(len(one.wave) / rate + PAUSE[line.end] * pauses for line, one in lines)
            if portions[-1] and seconds + length > 60 * MOST_MINUTES:
                portions.append([])
                seconds = 0.0
            portions[-1].append(lines)
            seconds += length
        for number, portion in enumerate(portions, 1):
            yield chapter.title + (f" ({number})" if len(portions) > 1 else ""), portion


def _laid_out(paragraphs: list[Paragraph], glossary: Glossary, rate: int, pauses: float):
    """One behind the other, with pauses: the wave [S], the words of each paragraph, the cues of the captions."""
    waves: list[np.ndarray] = []
    shown: list[list[Word]] = []
    cues, at = [], 0
    for lines in paragraphs:
        shown.append([])
        for line, spoken in lines:
            words = _words(line, spoken, glossary, at / rate, rate)
            shown[-1] += [dataclasses.replace(word, heading=line.end == "heading") for word in words]
            cues.append((at / rate, (at + len(spoken.wave)) / rate, [(word.text, word.start) for word in words]))
            pause = np.zeros(round(PAUSE[line.end] * pauses * rate), np.int16)
            waves += [spoken.wave, pause]
            at += len(spoken.wave) + len(pause)
    return np.concatenate(waves), shown, cues


def _words(line: Line, spoken: SpokenLine, glossary: Glossary, at: float, rate: int) -> list[Word]:
    """The words of a line. Those without a sound of their own, as in_the where they are said as one, share by letters
    the time until the next that has one."""
    places = book.word_places(line.text, glossary.say(line.text))
    letters = np.array([end - start for start, end, _ in places])
    times = np.array(spoken.times)
    heard = [-1, *np.flatnonzero(~np.isnan(times[:, 0])), len(times)]
    for before, after in itertools.pairwise(heard):
        first = times[before, 1] if before >= 0 else 0.0
        stop = times[after, 0] if after < len(times) else len(spoken.wave) / rate
        edges = np.concatenate([[0], np.cumsum(letters[before + 1 : after])])
        edges = first + max(0.0, stop - first) * edges / max(1, edges[-1])
        times[before + 1 : after] = np.stack([edges[:-1], edges[1:]], 1)
    return [
        Word(line.text[start:end], at + float(first), at + float(stop), said)
        for (start, end, said), (first, stop) in zip(places, times)
    ]


def _press(path: Path, wave: np.ndarray, rate: int) -> Path:
    """An MP3, or a FLAC where libsndfile has none or MP3 has no such rate. DataError where the disk is full."""
    import soundfile

    content = sample.mp3(wave, rate, _PRESSED)
    found = path.with_name(f"{path.name}.{'flac' if content is None else 'mp3'}")
    if content is None:
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, rate, format="FLAC", subtype="PCM_16")
        content = buffer.getvalue()
    _write(found, content)
    return found


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        if told := disk.disk_full(error, path.parent):
            raise told from error
        raise


def doubts(content: Book, said: Sequence[Sequence[SpokenLine]], rate: int) -> list[Doubt]:
    """The lines that sound wrong by number: silent, clipped, repeated, or at another pace than the rest."""
    lines = [line for paragraph in content.paragraphs() for line in paragraph]
    spoken = [one for paragraph in said for one in paragraph]
    paces = [one.doubts[3] for one in spoken if not math.isnan(one.doubts[3])]
    pace = np.median(paces) if paces else math.nan  # all are silent
    found = []
    for line, one in zip(lines, spoken, strict=True):
        silence, clipped, repeated, fast = (float(value) for value in one.doubts)
        why = []
        if math.isinf(silence):
            why.append("silent")
        elif silence > _DOUBTS["silence"]:
            why.append(f"{silence:.1f} s of silence")
        if clipped > _DOUBTS["clipped"]:
            why.append(f"{clipped:.1%} clipped")
        if repeated > _DOUBTS["repeated"]:
            why.append(f"{repeated:.1f} s repeated")
        if len(line.text) >= 8 and not 1 / _ODD_PACE < fast / pace < _ODD_PACE and not math.isnan(fast):
            why.append(f"{fast / pace:.1f} times as fast as the others")
        if why:
            found.append(Doubt(line.text, ", ".join(why), one.wave, rate))
    return found
