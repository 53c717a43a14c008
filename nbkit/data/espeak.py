"""Speech with known boundaries, made on the spot by eSpeak NG: no download, no recording, any amount.

What its events are worth (eSpeak NG 1.52; measured on 300 Korean sentences, 10,000 boundaries): the sharpest change of
the spectrum within 20 ms of a boundary lies 0.0 ms from it in the median, half of all within 2 ms. Vowels after n, m,
ng, j and w are the exception, their event comes about 14 ms after the change.

- `sample` of an event is exact; `audio_position`, in whole milliseconds, is up to 1 ms early and is not used.
- A PHONEME event of a stop comes after its closure, a silence of 9 to 49 ms. Here a closure belongs to its stop, which
  is also what the WORD event says: a phone starts where the silence before it does, a word where its first phone does.
- PHONEME events with an empty name are pauses; those that make no silence are left out.
- A phone without a time of its own (a coda ㄹ, whose sound is the end of its vowel) shares a label with its neighbour.
- Korean words that begin with n or m have no WORD event, since the rules start them with a palatal mark that is deleted
  later and takes the word's start with it. The voices here delete it early, which keeps the event.
- Pitch flutter and cycle-wise roughness run on from call to call. The voices here have neither, so the samples are a
  function of the arguments alone.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from nbkit.base import seeds
from nbkit.data import audio
from nbkit.data.espeak_library import PHONEME, VOICES, WORD, EspeakError, Event, say
from nbkit.data.texts import sentences

__all__ = [
    "PAUSE",
    "PAUSES",
    "VOICES",
    "EspeakError",
    "Span",
    "Speech",
    "phones",
    "sentences",
    "speak",
    "unreadable",
    "write_corpus",
]

PAUSE = "_:"
PAUSES = (PAUSE, ",", ".", "?", "!")  # labels without a sound: a pause is named by the mark that makes it
TAIL = 0.1  # seconds of silence behind the last word; eSpeak leaves 7 ms
LONGEST_WORD = 40  # characters; somewhere above, eSpeak says only the beginning of a word
SPEEDS, PITCHES = (80, 300), (0, 99)

_RECIPE = 1  # raised whenever the same arguments give other samples or boundaries
_SHORTEST = 0.002  # seconds of a sound or a silence that counts
_MERGED = {"ko": 1, "en": 3}  # words of a text that are said as one, such as "in the"; Korean words never are
_QUIET = (
    ",.?!:;'\"()[]-…“”‘’«»「」『』〈〉《》。、·—–，．！？：；（）　"  # punctuation; other signs are read by their names
)
_MARKS = dict(zip("?？!！.…。．,，;；:：—、", "??!!....,,,,,,,,"))


@dataclass(frozen=True)
class Span:
    """A stretch of sound, `start` to `end` in seconds, and the characters [char_start, char_end) it comes from.

    A phone comes from the characters of its word, a pause from what stands between two words.
    """

    label: str
    start: float
    end: float
    char_start: int
    char_end: int


@dataclass(frozen=True)
class Speech:
    """wave float32 [S]; phones follow each other without a gap from 0 to the end; words leave the pauses out."""

    wave: np.ndarray
    rate: int
    phones: tuple[Span, ...]
    words: tuple[Span, ...]


def speak(text: str, voice: str = "ko", speed: int = 175, pitch: int = 50) -> Speech:
    """Say `text`. The same arguments give the same samples, in any order of calls and in any process.

    voice   one of VOICES: a language, or a language and another speaker of it, as "ko+2"
    speed   words a minute, 80 to 300
    pitch   0 to 99, 50 is the voice's own
    Labels are eSpeak's own in the International Phonetic Alphabet with stress marks (some Korean consonants have ASCII
    names such as "t-"), and PAUSES. A word is what eSpeak reads as one; "in the" may be one word.
    EspeakError  unknown voice, speed or pitch out of range, nothing to say, characters that eSpeak would spell or skip,
                 words that it leaves out (it does so where 150 or more Korean characters have no comma between them)
    """
    _check(text, voice, speed, pitch)
    pcm, events, rate = say(text, voice, speed, pitch)
    segments, positions = _segments(events, pcm, round(_SHORTEST * rate))
    if segments[-1].label != PAUSE:
        segments.append(_Segment(PAUSE, len(pcm), len(positions) - 1))
    pcm = np.concatenate([pcm, np.zeros(round(TAIL * rate), np.int16)])
    return _speech(text, pcm, rate, segments, _places(text, positions, _MERGED[voice.split("+")[0]]))


def phones(text: str, voice: str = "ko") -> list[str]:
    """The labels of the phones and pauses that `speak` gives at the voice's own speed."""
    return [span.label for span in speak(text, voice).phones]


def unreadable(text: str) -> list[str]:
    """Characters of `text`, sorted, that eSpeak would read by their names or pass over: arae-a, an emoji, "~"."""
    return sorted({c for c in text if not _readable(c)})


def write_corpus(
    folder: str | os.PathLike,
    voice: str,
    count: int,
    *,
    speakers: int = 1,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict]:
    """Make the first `count` utterances of a corpus in `folder`, those that are missing; returns their rows.

    Writes wavs/ID.wav and rows.jsonl, a line each: id, audio (path in the folder), text, speaker (a voice), seconds,
    phones [[label, start, end], ...] and words [[char_start, char_end, start, end], ...]. Utterance i depends on voice,
    speakers, seed and i alone: sentence i, said by speaker i % speakers, a little slower or faster, higher or lower.
    A longer corpus that is there already stays. An interrupted one goes on where it stopped.

    voice     the first speaker; further `speakers` are the voices of the same language that follow it in VOICES
    progress  called with (utterances done, count)
    """
    if voice not in VOICES:
        raise EspeakError(f"wanted a voice among {', '.join(VOICES)}, got {voice!r}")
    language = voice.split("+")[0]
    voices = [name for name in VOICES[VOICES.index(voice) :] if name.startswith(language)][:speakers]
    if len(voices) != speakers:
        raise EspeakError(f"wanted 1 to {len(voices)} speakers from {voice!r} on, got {speakers}")
    folder = Path(folder)
    before = _read_rows(folder)
    known = {row["id"]: row for row in before}
    rows: list[dict] = []
    try:
        for i, text in enumerate(sentences(language, count, seed)):
            rows.append(_utterance(folder, known, i, text, voices[i % speakers], seed))
            if progress:
                progress(i + 1, count)
    finally:
        same = [row["id"] for row in before[: len(rows)]] == [row["id"] for row in rows]
        _write_rows(folder, rows + (before[len(rows) :] if same else []))
    return rows


def _utterance(folder: Path, known: dict[str, dict], i: int, text: str, voice: str, seed: int) -> dict:
    """The row of utterance i: as it stands where its recording is whole, else made now."""
    draw = seeds.generator(seed, "say", i)
    speed, pitch = int(draw.integers(160, 191)), int(draw.integers(44, 57))
    recipe = (_RECIPE, metadata.version("espeakng-loader"), text, voice, speed, pitch)
    name = f"{voice}-{i:06d}-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:8]}"
    path = folder / "wavs" / f"{name}.wav"
    row = known.get(name)
    if row and path.is_file():  # recordings are written whole or not at all
        return row
    said = speak(text, voice, speed, pitch)
    audio.save(path, said.wave, said.rate)
    return {
        "id": name,
        "audio": f"wavs/{name}.wav",
        "text": text,
        "speaker": voice,
        "seconds": round(len(said.wave) / said.rate, 6),
        "phones": [[p.label, round(p.start, 6), round(p.end, 6)] for p in said.phones],
        "words": [[w.char_start, w.char_end, round(w.start, 6), round(w.end, 6)] for w in said.words],
    }


def _read_rows(folder: Path) -> list[dict]:
    path = folder / "rows.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _write_rows(folder: Path, rows: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    handle, part = tempfile.mkstemp(prefix=".rows.", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(lines)
    os.chmod(part, 0o644)  # mkstemp's files are private
    os.replace(part, folder / "rows.jsonl")


def _readable(character: str) -> bool:
    if "가" <= character <= "힣" or "\u3131" <= character <= "\u3163":  # syllables, letters on their own
        return True
    if character.isascii() or "À" <= character <= "ÿ":
        return character.isalnum() or character.isspace() or character in _QUIET
    return character in _QUIET


def _check(text: str, voice: str, speed: int, pitch: int) -> None:
    if voice not in VOICES:
        raise EspeakError(f"wanted a voice among {', '.join(VOICES)}, got {voice!r}")
    for name, value, (low, high) in (("speed", speed, SPEEDS), ("pitch", pitch, PITCHES)):
        if not (isinstance(value, int) and low <= value <= high):
            raise EspeakError(f"wanted {name} as an integer from {low} to {high}, got {value!r}")
    if not unicodedata.is_normalized("NFC", text):
        raise EspeakError(
            f"wanted composed text, got {text[:40]!r}; pass it through unicodedata.normalize('NFC', text)"
        )
    if bad := unreadable(text):
        named = ", ".join(f"{c!r} (U+{ord(c):04X})" for c in bad)
        raise EspeakError(f"eSpeak cannot read {named} of {text[:40]!r}; write these as syllables or leave them out")
    if long := [word for word in text.split() if len(word) > LONGEST_WORD]:
        raise EspeakError(f"wanted words of {LONGEST_WORD} characters or fewer, got {long[0]!r}; put spaces into it")
    if not any(c.isalnum() for c in text):
        raise EspeakError(f"wanted words to say, got {text[:40]!r}")


# --- from events to spans


@dataclass
class _Segment:
    label: str
    start: int  # sample
    word: int  # index of its word; of a pause, the word before it, -1 before the first


def _segments(events: list[Event], pcm: np.ndarray, shortest: int) -> tuple[list[_Segment], list[int]]:
    """Phones and pauses in order, the first at sample 0, and the text position (from 1) of each word."""
    sounding = np.flatnonzero(pcm)
    found: list[_Segment] = []
    positions: list[int] = []
    begun: Event | None = None  # a WORD event whose first phone is still to come
    for event in events:
        if event.kind == WORD:
            begun = begun or event
        if event.kind != PHONEME or event.name.startswith("("):  # "(en)": from here on the rules of another language
            continue
        near = np.searchsorted(sounding, event.sample)
        start = event.sample
        silent_from = int(sounding[near - 1]) + 1 if near else 0
        silent_until = int(sounding[near]) if near < len(sounding) else len(pcm)
        if not event.name:
            if silent_until - start < shortest or (found and found[-1].label == PAUSE):
                continue
        elif begun or not positions:
            position, earliest = (begun.position, begun.sample) if begun else (1, 0)
            start = max(earliest, silent_from)
            if position not in positions[-1:]:  # letters that are read by their names repeat the position of their word
                positions.append(position)
            begun = None
        elif found[-1].label != PAUSE:
            start = silent_from
        name = event.name or PAUSE
        while found and start - found[-1].start < shortest:  # it has no sound of its own: its neighbour has both names
            gone = found.pop()
            if gone.label != PAUSE and found and found[-1].label != PAUSE:
                found[-1].label += gone.label
            elif PAUSE not in (gone.label, name):
                name = gone.label + name
        found.append(_Segment(name, start if found else 0, len(positions) - 1))
    return found, positions


def _places(text: str, positions: list[int], most: int) -> list[tuple[int, int]]:
    """The characters [start, end) of each word: from its position to the last letter before the next word's.

    most   words of the text that eSpeak may say as one; more means that it has left some out
    """
    edges = [position - 1 for position in positions] + [len(text)]
    places = []
    for start, end in itertools.pairwise(edges):
        letters = [i for i in range(max(start, 0), end) if text[i].isalnum()]
        if not letters:
            raise EspeakError(f"wanted a word at the characters {edges[:-1]} of {text!r}; write it more plainly")
        places.append((letters[0], letters[-1] + 1))
    passed_over = [text[: places[0][0]]] if any(c.isalnum() for c in text[: places[0][0]]) else []
    passed_over += [text[slice(*place)] for place in places if len(text[slice(*place)].split()) > most]
    if passed_over:
        raise EspeakError(
            f"eSpeak leaves out words of {passed_over[0]!r}; give it commas, a full stop, or fewer words at once"
        )
    return places


def _speech(text: str, pcm: np.ndarray, rate: int, segments: list[_Segment], places: list[tuple[int, int]]) -> Speech:
    edges = [segment.start / rate for segment in segments] + [len(pcm) / rate]
    gaps = list(zip([0] + [end for _, end in places], [start for start, _ in places] + [len(text)]))
    following = [segment.word for segment in segments[1:]] + [None]
    phones, sounds = [], [[] for _ in places]
    for segment, start, end, next_word in zip(segments, edges, edges[1:], following):
        if segment.label != PAUSE or segment.word == next_word:  # a sound, or a pause within a word
            phones.append(Span(segment.label, start, end, *places[segment.word]))
            sounds[segment.word].append(phones[-1])
        else:
            gap = gaps[segment.word + 1]
            label = max((_MARKS[c] for c in text[slice(*gap)] if c in _MARKS), key=",.!?".index, default=PAUSE)
            phones.append(Span(label, start, end, *gap))
    for place, of in zip(places, sounds):
        if not of:
            raise EspeakError(f"wanted a sound for {text[slice(*place)]!r} of {text!r}, got none; say it more slowly")
    words = [Span(text[slice(*place)], of[0].start, of[-1].end, *place) for place, of in zip(places, sounds)]
    return Speech(pcm.astype(np.float32) / 32768, rate, tuple(phones), tuple(words))
