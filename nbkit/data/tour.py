"""What the notebooks on data need: texts as front ends read them, recordings spoilt on purpose."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from nbkit.base.params import Params, param
from nbkit.data import audio, espeak
from nbkit.data.espeak_library import LANGUAGES
from nbkit.data.reading.pieces import Piece
from nbkit.data.rows import Utterance
from nbkit.data.text import BY_LANGUAGE, Encoded, FrontEnd, front_end


@dataclass(frozen=True)
class ManifestsAndAudio(Params):
    """Parameters of 10_manifests_and_audio."""

    dataset: str = param("espeak_ko", "A data set that is here, or one that is made on the spot.")
    count: int = param(60, "Use so many rows of it.", low=2)
    row: int = param(0, "Which of them to look at, counted from 0.", low=0)
    text: str = param("3월 2일, KTX로 가요 ♥", "A text for the front end to read, as people write it.")

    PRESETS: ClassVar = {"smoke": {"count": 16}}


@dataclass(frozen=True)
class KoreanText(Params):
    """Parameters of 11_korean_text."""

    sentence: str = param("2020년 8월 3일, 세계 3위 KTX를 3번 타고 5만 원 냈다 ♥", "What is to be read.")
    front_end: str = param(
        "jamo", "What a symbol is: a letter, or a sound as eSpeak says it.", choices=("jamo", "phones")
    )
    pronounce: bool = param(True, "Apply the rules of pronunciation behind those of reading.")
    voice: str = param("ko", "Who speaks.", choices=("ko", "ko+2", "ko+3", "ko+4"))
    speed: int = param(150, "Words a minute.", low=80, high=300)

    PRESETS: ClassVar = {"smoke": {"sentence": "3시에 KTX 타고 같이 갈 사람 2명 ♥"}}


class Way(NamedTuple):
    """A word of a text at each step of a front end. What was matched across a space is one word."""

    written: str
    read: str
    pronounced: str
    rules: tuple[str, ...]
    symbols: tuple[tuple[str, bool], ...]  # and whether the front end knows it


def ways(reader: FrontEnd, text: str) -> list[Way]:
    """How each word of a text becomes symbols."""
    steps = reader.steps(text)
    words = [found.span() for found in re.finditer(r"\S+", text)]
    for piece in (*steps.read, *steps.symbols):
        inside = [word for word in words if word[0] < piece.end and piece.start < word[1]]
        if len(inside) > 1:
            words = sorted({*words, (inside[0][0], inside[-1][1])} - set(inside))
    known = set(reader.symbols)

    def said(pieces: Sequence[Piece], start: int, end: int) -> str:
        return "".join(piece.symbol for piece in pieces if start <= piece.start < end)

    return [
        Way(
            text[start:end],
            said(steps.read, start, end),
            said(steps.pronounced, start, end),
            tuple(dict.fromkeys(one.rule for one in steps.fired if start <= one.start < end)),
            tuple((piece.symbol, piece.symbol in known) for piece in steps.symbols if start <= piece.start < end),
        )
        for start, end in words
    ]


def heard(text: str, voice: str = "ko", speed: int = 150) -> tuple[espeak.Speech | None, str]:
    """Speech of a text without what eSpeak cannot read, and that; no speech where nothing is left to say."""
    text = unicodedata.normalize("NFC", text)
    left_out = set(espeak.unreadable(text))
    rest = "".join(" " if character in left_out else character for character in text)
    if not any(character.isalnum() for character in rest):
        return None, "".join(sorted(left_out))
    return espeak.speak(rest, voice, speed), "".join(sorted(left_out))


def front_ends(language: str) -> list[FrontEnd]:
    """All that can read a language: as it is written, and as eSpeak says it; none for a language unknown to both."""
    written = [front_end(BY_LANGUAGE[language])] if language in BY_LANGUAGE else []
    spoken = [front_end("phones", language)] if language in LANGUAGES else []
    return [*written, *spoken]


def by_word(text: str, encoded: Encoded) -> list[tuple[str, list[str]]]:
    """The words of a text and the symbols that each of them, with the space and the marks behind it, became."""
    words = [(found.start(), found.group()) for found in re.finditer(r"\S+", text)]
    starts = [start for start, _ in words]
    read: list[tuple[str, list[str]]] = [(word, []) for _, word in words]
    for symbol, (start, _) in zip(encoded.symbols, encoded.spans.tolist()):
        read[max(0, int(np.searchsorted(starts, start, side="right")) - 1)][1].append(symbol)
    return read


@contextlib.contextmanager
def elsewhere() -> Iterator[Path]:
    """A home with no data set in it, for trying what would write into the project's own; gone at the end."""
    before = os.environ.get("NBKIT_HOME")
    with tempfile.TemporaryDirectory(prefix="nbkit-") as name:
        (Path(name) / "data_manifests").mkdir()
        os.environ["NBKIT_HOME"] = name
        try:
            yield Path(name)
        finally:
            os.environ.pop("NBKIT_HOME")
            if before is not None:
                os.environ["NBKIT_HOME"] = before


class Damage(NamedTuple):
    """What a recording, or its text, has to suffer."""

    name: str  # of the file that is written
    done: str
    kind: str  # what check.check calls it, "" where it must find nothing


DAMAGES = (
    Damage("untouched", "nothing", ""),
    Damage("silent", "every sample 0", "sound"),
    Damage("not_a_number", "100 samples NaN", "sound"),
    Damage("clipped", "20 dB above full scale, tops cut", "clipped"),
    Damage("cut_short", "second half of the file missing", "sound"),
    Damage("other_rate", "saved at 16,000 Hz", "rate"),
    Damage("no_file", "recording deleted", "missing"),
    Damage("stops_early", "all but the first 0.2 s cut away", "too long"),
    Damage("no_text", "text deleted", "list"),
    Damage("sign", "a sign without a name put into the text", "symbols"),
)


def spoil(rows: Sequence[Utterance], folder: Path, rate: int) -> tuple[Damage, ...]:
    """Copy a recording for each of DAMAGES into `folder`, harm the copy, and write the list of their texts.

    rows    where the copies come from, the longest texts first, each again where there are fewer than damages
    rate    of the copies, Hz
    """
    folder.mkdir(parents=True)
    longest_first = sorted(rows, key=lambda row: -len(row.text))
    lines = []
    for i, damage in enumerate(DAMAGES):
        row = longest_first[i % len(rows)]
        path = folder / f"{damage.name}.wav"
        _write(path, audio.load(row.audio, rate, resample=True), rate)
        text = {"no_text": "", "sign": f"★ {row.text}"}.get(damage.name, row.text)
        lines.append(f"{path.name}|{text}\n")
    (folder / "texts.txt").write_text("".join(lines), encoding="utf-8")
    return DAMAGES


def _write(path: Path, wave: np.ndarray, rate: int) -> None:
    """Save a recording with the damage that the name of its file tells."""
    match path.stem:
        case "silent":
            wave = np.zeros_like(wave)
        case "not_a_number":
            wave[:100] = np.nan
        case "clipped":
            wave = np.clip(10 * wave / np.abs(wave).max(), -1, 1)
        case "stops_early":
            wave = wave[: rate // 5]
        case "other_rate":
            rate = 16000
        case "no_file":
            return
    if np.isfinite(wave).all():
        audio.save(path, wave, rate)
    else:
        import soundfile

        soundfile.write(path, wave, rate, subtype="FLOAT")  # a file of integers cannot hold a NaN
    if path.stem == "cut_short":
        os.truncate(path, path.stat().st_size // 2)
