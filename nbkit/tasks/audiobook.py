"""A whole text read aloud: checked before a word is said, kept paragraph by paragraph, bound into sounds and pages.

<cache>/spoken/<voice>/<what>-<hash>.npz   a paragraph as it was said; also on the mirror, where there is one
<run>/book/01-<title>.mp3, .vtt            a chapter (20 minutes of it at most) and its captions, word by word

A paragraph is found again by what was said and how, so after a change in the text only what changed is said anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nbkit.base import drive, workspace
from nbkit.base.params import Params, param
from nbkit.base.record import Record
from nbkit.data import book, disk, meter, text, texts
from nbkit.data.book import Chapter, Glossary, Line
from nbkit.evaluate import sound
from nbkit.models.glow_tts import Voice
from nbkit.models.glow_tts.voice import Vocoder
from nbkit.train.trained import weights_fingerprint
from nbkit.views import loudness

TALES = {"ko": ("ko_tale.txt", "ko_tale_jeju.tsv"), "en": ("en_tale.txt", None)}  # and their glossaries
_MARGIN = 0.02  # seconds that stay before the first sound of a line and behind its last


@dataclass(frozen=True)
class Audiobook(Params):
    """Parameters of 25_glow_audiobook."""

    book: str = param(
        "", "Path of a text file in UTF-8. Empty is a tale in two chapters, with words of Jeju.", identity=False
    )
    glossary: str = param(
        "", "Path of a file of words and how they are said, a tab between them. Empty is none.", identity=False
    )
    source: str = param(
        "", "Name of a run, or path of a checkpoint or export. Empty takes the newest run.", identity=False
    )
    speaker: str = param("", "Name of a speaker. Empty takes the first.")
    chapters: int = param(0, "Only so many chapters from the first one. 0 is all.", low=0)
    longest: int = param(80, "What is said in one breath at most; longer sentences are cut.", unit="characters", low=10)
    pauses: float = param(1.0, "Factor on the pauses between sentences and paragraphs.", low=0.0, high=5.0)
    noise_scale: float = param(0.667, "Temperature. 0 is flat and clean, 1 lively.", low=0.0, high=2.0)
    length_scale: float = param(1.0, "Factor on every duration. More is slower.", low=0.25, high=4.0)
    vocoder: str = param(
        "", "What makes the sound: a run or an export of 31_wavernn_train. Empty is Griffin-Lim.", identity=False
    )
    seed: int = param(0, "Decides the noise.", low=0)

    PRESETS: ClassVar = {"smoke": {"chapters": 1}}


@dataclass(frozen=True)
class Book:
    """What is to be read: its chapters, and the words that are said in another way than they are written."""

    chapters: tuple[Chapter, ...]
    glossary: Glossary

    def paragraphs(self) -> list[tuple[Line, ...]]:
        return [paragraph for chapter in self.chapters for paragraph in chapter.paragraphs]

    def characters(self) -> int:
        return sum(len(line.text) for chapter in self.chapters for line in chapter.lines)


class SpokenLine(NamedTuple):
    """A line as it was said.

    wave    int16 [S], from the first sound to the last, as loud as the others
    times   float [W, 2], seconds in which each word of book.word_places sounds; NaN for one without a sound
    doubts  float [4]: seconds of silence within, share of clipped samples, repeated seconds, characters a second
    """

    wave: np.ndarray
    times: np.ndarray
    doubts: np.ndarray


def open_book(config: Audiobook, language: str = "ko") -> Book:
    """The book of the parameters, or a tale in `language` (English for "en", else Korean) where they name none.

    raises DataError for a file that cannot be read
    """
    folder = Path(texts.__file__).parent
    tale, own = TALES["en" if language == "en" else "ko"]
    written = book.read(_named(config.book) if config.book else folder / tale)
    glossary = Glossary()
    if config.glossary:
        glossary = book.glossary(_named(config.glossary))
    elif own and not config.book:
        glossary = book.glossary(folder / own)
    return Book(tuple(book.chapters(written, config.longest)[: config.chapters or None]), glossary)


def _named(path: str) -> Path:
    found = Path(path).expanduser()
    if not found.is_file():
        raise disk.DataError(f"wanted a text file, got {path}, which is none; upload it, or correct the path")
    return found


def check(content: Book, voice: Voice) -> None:
    """Raise TextError that names what the voice cannot read anywhere in the book, before anything is said."""
    _check([line for paragraph in content.paragraphs() for line in paragraph], content.glossary, voice)


def _check(lines: Sequence[Line], glossary: Glossary, voice: Voice) -> None:
    found: dict[str, str] = {}
    for line in lines:
        for symbol in voice.reader.front_end.unknown(glossary.say(line.text).text):
            found.setdefault(symbol, line.text)
    if found:
        shown = "; ".join(f"{symbol!r} in {where[:40]!r}" for symbol, where in list(found.items())[:8])
        more = f", and {len(found) - 8} more" if len(found) > 8 else ""
        raise text.TextError(
            f"the voice cannot read {shown}{more}; put into the glossary how it is said, or take it out of the text"
        )


def open_run(config: Audiobook, content: Book, voice: Voice, vocoder: Vocoder | None = None) -> Record:
    """The run folder of this book in this voice: another text, glossary, or weights are another one."""
    return Record.open("glow_audiobook", config, _digest([content.chapters, content.glossary, _makers(voice, vocoder)]))


def read_aloud(
    content: Book, voice: Voice, config: Audiobook, vocoder: Vocoder | None = None
) -> list[list[SpokenLine]]:
    """Say each paragraph that has not been said in this voice and way; what was is taken from the disk or the mirror.

    raises TextError, before anything is said, where the voice cannot read all of it
    """
    makers = _makers(voice, vocoder)
    shelf, said = _Shelf(_digest(makers)), []
    keys = [_key(paragraph, content.glossary, config, makers) for paragraph in content.paragraphs()]
    missing = [one for key, one in zip(keys, content.paragraphs()) if key not in shelf]
    _check([line for paragraph in missing for line in paragraph], content.glossary, voice)
    with meter.Meter("read aloud", content.characters(), "characters") as progress:
        for key, paragraph in zip(keys, content.paragraphs()):
            length = sum(len(line.text) for line in paragraph)
            spoken = shelf.take(key, len(paragraph))
            if spoken is None:
                spoken = [_say(line, content.glossary, voice, config, vocoder) for line in paragraph]
                shelf.keep(key, spoken)
            else:
                progress.first += length  # nothing was done for it
            progress.add(length)
            said.append(spoken)
    return said


def _key(paragraph: Sequence[Line], glossary: Glossary, config: Audiobook, makers: Sequence[str]) -> str:
    return _digest([paragraph, [glossary.say(line.text).text for line in paragraph], _how(config), makers])


def _how(config: Audiobook) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ("speaker", "noise_scale", "length_scale", "seed")}


def _makers(voice: Voice, vocoder: Any) -> list[str]:
    """What tells voice and vocoder from others: their weights, symbols and features."""
    about = [voice.reader.as_dict(), voice.spec.as_dict(), voice.speakers]
    return [_digest(about), *(weights_fingerprint(one.model) for one in (voice, vocoder) if one is not None)]


def _digest(values: Any) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def _say(line: Line, glossary: Glossary, voice: Voice, config: Audiobook, vocoder: Vocoder | None) -> SpokenLine:
    said = glossary.say(line.text)
    spoken = voice.speak(said.text, vocoder=vocoder, **_how(config))
    rate, frame = spoken.rate, voice.seconds_per_frame
    try:
        faults = sound.faults(spoken.wave, voice.spec)
        first, last = sound.sounding(spoken.wave, rate)
        level = loudness.gains([spoken.wave], rate)[0]
        doubts = [faults.silence, faults.clipped, faults.repeated, len(said.text) * rate / (last - first)]
    except ValueError:  # silent, and told as a doubt
        first, last, level, doubts = 0, len(spoken.wave), 1.0, [math.inf, 0.0, 0.0, math.nan]
    start, end = max(0, first - round(_MARGIN * rate)), min(len(spoken.wave), last + round(_MARGIN * rate))
    wave = _faded(spoken.wave[start:end] * level, round(_MARGIN * rate / 2))
    words = book.word_places(line.text, said)
    encoded = voice.reader.read(said.text)
    places = [_written(said, *span) for span in encoded.spans]
    edges = np.concatenate([[0.0], np.cumsum(spoken.mel.durations)]) * frame - start / rate
    times = _times(text.words_of(np.array(places), [word[:2] for word in words]), edges, len(words), len(wave) / rate)
    return SpokenLine(np.rint(np.clip(wave, -1, 1) * 32767).astype(np.int16), times, np.array(doubts))


def _written(said: book.Said, start: int, end: int) -> tuple[int, int]:
    """The characters of the written text that a token's characters of the said one stand for."""
    return (said.pieces[start].start, said.pieces[end - 1].end) if 0 <= start < end else (-1, -1)


def _times(word_of_token: np.ndarray, edges: np.ndarray, words: int, seconds: float) -> np.ndarray:
    times = np.full((words, 2), np.nan)
    for word in range(words):
        held = np.flatnonzero(word_of_token == word)
        if len(held):
            times[word] = np.clip([edges[held[0]], edges[held[-1] + 1]], 0.0, seconds)
    return times


def _faded(wave: np.ndarray, samples: int) -> np.ndarray:
    wave = np.array(wave, np.float32)
    ramp = np.linspace(0.0, 1.0, min(samples, len(wave) // 2), dtype=np.float32)
    wave[: len(ramp)] *= ramp
    wave[len(wave) - len(ramp) :] *= ramp[::-1]
    return wave


class _Shelf:
    """Paragraphs of one voice on the disk and on the mirror: <what was asked>-<hash of the content>.npz."""

    def __init__(self, voice: str):
        self.here = workspace.cache() / "spoken" / voice
        place = drive.mirror_folder()
        self.mirror = None if place is None else place / "spoken" / voice
        self.here.mkdir(parents=True, exist_ok=True)
        self._kept: dict[str, list[Path]] = {}  # by key; looked up once, since a listing of a mirror takes seconds
        for folder in (self.here, self.mirror):
            with contextlib.suppress(OSError):  # a mirror that is away
                for path in sorted(folder.glob("*.npz")) if folder is not None else ():
                    self._kept.setdefault(path.stem.rpartition("-")[0], []).append(path)

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def take(self, key: str, lines: int) -> list[SpokenLine] | None:
        """What was kept under `key`, whole; None where nothing was, or nothing that can be read."""
        for path in self._kept.get(key, ()):
            with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):
                content = path.read_bytes()
                if path.stem.endswith(_hash(content)):
                    if path.parent != self.here:
                        self._write(self.here / path.name, content)
                    found = np.load(io.BytesIO(content))
                    return [SpokenLine(*(found[f"{part}{i}"] for part in SpokenLine._fields)) for i in range(lines)]
        return None

    def keep(self, key: str, spoken: Sequence[SpokenLine]) -> None:
        """raises DataError where the disk is full; a mirror that takes nothing is told of once and left alone."""
        buffer = io.BytesIO()
        arrays = {f"{name}{i}": value for i, line in enumerate(spoken) for name, value in line._asdict().items()}
        np.savez(buffer, allow_pickle=False, **arrays)
        content = buffer.getvalue()
        name = f"{key}-{_hash(content)}.npz"
        self._write(self.here / name, content)
        if self.mirror is not None:
            try:
                self.mirror.mkdir(parents=True, exist_ok=True)
                self._write(self.mirror / name, content)
            except OSError as error:
                print(f"{self.mirror} takes no more paragraphs ({error}); they stay on this machine only", flush=True)
                self.mirror = None

    def _write(self, path: Path, content: bytes) -> None:
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_bytes(content)
            os.replace(part, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            if path.parent == self.here and (told := disk.disk_full(error, self.here)):
                raise told from error
            raise


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
