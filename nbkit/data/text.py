"""Text to symbols: Korean as conjoining jamo, English as letters, both as phones.

A front end has five steps: normalise (characters, each with its place in the text), read (3시 is 세 시), pronounce
where that is asked for (먹는 is 멍는), split into symbols, number them. No character is ever dropped unless asked for,
and then it is on record.
"""

from __future__ import annotations

import functools
import hashlib
import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nbkit.data import espeak
from nbkit.data.reading.characters import characters
from nbkit.data.reading.english import read_english
from nbkit.data.reading.korean import read_korean
from nbkit.data.reading.pieces import Fired, Piece, rewrite
from nbkit.data.reading.pronunciation import pronounce as pronounced

PAD = "_"
_DOT = re.compile("[·・]")  # for the readings it is no comma: 3·1절
PUNCTUATION = " ,.?!:;-~…'\"()"
ONSETS = "".join(map(chr, range(0x1100, 0x1113)))
VOWELS = "".join(map(chr, range(0x1161, 0x1176))) + "\u119e\u11a1\u11a2"  # and arae-a, arae-a with i, double arae-a
CODAS = "".join(map(chr, range(0x11A8, 0x11C3)))
_LETTERS_FROM, _LETTERS_TO = "\u3131", "\u318e"  # jamo on their own, as a keyboard gives them
# What eSpeak NG 1.52 says, found by letting it read all Korean syllables, film reviews, a treebank and English prose:
# vowels, stress mark before and, where the next sound has no time of its own, that sound behind; consonants.
_SAID = {
    "ko": ("ɐ ɛ ʌ e o u ɯ i", "ɫ", "n j h q m s d ɾ ŋ w t- p tɕ dʑ ɡ t tʃ s- kh ph b l q- k p- k- d- ɫ"),
    "en": (
        "æ ɐ ɑː ɑːɹ ɔ ɔː ɔːɹ ɔɪ ə ɚ ɛ ɛɹ ɜː ɪ ɪɹ i iː iə aɪ aɪə aɪɚ aʊ eɪ oʊ u uː ʊ ʊɹ ʌ ᵻ n̩",
        "l ʔ",
        "t n s k d ɹ z p m ð l f b v w ŋ ɾ ʃ ɡ j dʒ tʃ h θ ʒ r ʔ tr pr br dr kr ɡr pʔ",
    ),
}


class TextError(ValueError):
    """A text that a front end cannot read; the message names what, and what to do."""


@dataclass(frozen=True)
class Encoded:
    """A text as a model reads it.

    ids      [T] int64
    symbols  the symbol of each token
    spans    [T, 2] int64, the characters [start, end) of the text as it was given that each token comes from; where a
             list of labels was given, the places in that list
    dropped  what was left out, in order; empty unless `strict=False`
    """

    ids: np.ndarray
    symbols: list[str]
    spans: np.ndarray
    dropped: list[str]


class Steps(NamedTuple):
    """A text on its way to symbols. Each piece knows its place in the text as it was given."""

    written: list[Piece]  # normalised characters
    read: list[Piece]  # what is said, in letters
    pronounced: list[Piece]  # as `read` where the front end does not pronounce
    symbols: list[Piece]  # known and unknown ones
    fired: list[Fired]  # the reading rules that changed something, in their order


class FrontEnd:
    """From text to ids. `symbols` are in the order of their ids, the pad first; `version` changes when they do.

    pronounce   Korean as it is pronounced: 같이 먹는 becomes 가치 멍는
    """

    name = ""
    rules = 2  # raised when the same text gives other symbols

    def __init__(self, symbols: Sequence[str] = (), language: str = "", pronounce: bool = False):
        self.language, self.pronounce = language, pronounce
        if pronounce and self.reads() != "ko":
            raise TextError(f"pronounce wants Korean text, '{self.name}' reads English here; leave it off")
        self.symbols = tuple(symbols) or (PAD, *self.own_symbols())
        self.version = f"{self.rules}-{hashlib.sha256(chr(0).join(self.symbols).encode()).hexdigest()[:8]}"
        self._ids = {symbol: i for i, symbol in enumerate(self.symbols) if i}  # nothing in a text means the pad

    def own_symbols(self) -> Sequence[str]:
        """All symbols but the pad."""
        raise NotImplementedError

    def reads(self) -> str:
        """The language whose numbers, dates, signs and foreign words it reads: "ko" or "en"."""
        raise NotImplementedError

    def normalise(self, text: str) -> list[Piece]:
        """The composed characters of `text`, punctuation in one form, runs of white space as one space."""
        return characters(text)

    def split(self, pieces: list[Piece]) -> list[Piece]:
        """From read characters to symbols; what has no symbol stays as it is."""
        raise NotImplementedError

    def steps(self, text: str) -> Steps:
        """All that happens to a text before its symbols are numbered."""
        fired: list[Fired] = []
        written = self.normalise(text)
        read = (read_korean if self.reads() == "ko" else read_english)(written, fired)
        read = rewrite(read, _DOT, lambda dot: ",")
        said = pronounced(read) if self.pronounce else read
        return Steps(written, read, said, self.split(said), fired)

    def unknown(self, text: str) -> list[str]:
        """What in `text` cannot be read, sorted, each once and as it is written."""
        found = self.steps(text).symbols
        return sorted({text[piece.start : piece.end] for piece in found if piece.symbol not in self._ids})

    def encode(self, text: str | Sequence[str], *, strict: bool = True) -> Encoded:
        """Tokens of a text, or of a list of labels where the front end takes one.

        strict     True: TextError that names everything unknown; False: leave it out and say so in `dropped`
        """
        pieces = self.steps(text).symbols if isinstance(text, str) else self.labelled(text)
        unknown = {(p.symbol, "".join(text[p.start : p.end])) for p in pieces if p.symbol not in self._ids}
        if unknown and strict:
            named = ", ".join(_named(symbol, written) for symbol, written in sorted(unknown))
            raise TextError(f"'{self.name}' cannot read {named} in {text[:60]!r}; write it as it is spoken")
        return self._numbered(pieces, text)

    def labelled(self, labels: Sequence[str]) -> list[Piece]:
        """Symbols of a list of labels."""
        raise TextError(f"'{self.name}' reads texts, got a list of {len(labels)} labels; only 'phones' takes those")

    def _numbered(self, pieces: list[Piece], text: str | Sequence[str]) -> Encoded:
        known = [piece for piece in pieces if piece.symbol in self._ids]
        return Encoded(
            np.array([self._ids[piece.symbol] for piece in known], np.int64),
            [piece.symbol for piece in known],
            np.array([piece[1:] for piece in known], np.int64).reshape(-1, 2),
            ["".join(text[piece.start : piece.end]) for piece in pieces if piece.symbol not in self._ids],
        )

    def as_dict(self) -> dict[str, Any]:
        """For checkpoints; `FrontEnd.from_dict` reads with these symbols also when newer versions have others."""
        return {
            "name": self.name,
            "version": self.version,
            "language": self.language,
            "pronounce": self.pronounce,
            "symbols": list(self.symbols),
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> FrontEnd:
        """The front end that gave `values`. TextError where it cannot be the same."""
        kind = _kind(str(values.get("name", "")))
        made = kind(values.get("symbols", ()), values.get("language", ""), values.get("pronounce", False))
        if values.get("version") != made.version:
            raise TextError(
                f"wanted front end '{kind.name}' of version {made.version} (rules, symbols), got "
                f"{values.get('version')!r}; use the nbkit that made it, or train again"
            )
        return made


class Jamo(FrontEnd):
    """Korean and Jeju as onsets, vowels and codas: conjoining jamo, an onset and a coda being different symbols."""

    name = "jamo"

    def reads(self) -> str:
        return "ko"

    def own_symbols(self) -> Sequence[str]:
        return (*PUNCTUATION, *ONSETS, *VOWELS, *CODAS)

    def split(self, pieces: list[Piece]) -> list[Piece]:
        plain = [_as_jamo(piece.symbol) for piece in pieces]
        vowel = [jamo in VOWELS for jamo in plain] + [False]  # one that is not part of a composed syllable
        found: list[Piece] = []
        for i, (jamo, piece) in enumerate(zip(plain, pieces)):
            if (
                vowel[i - 1] and not vowel[i + 1] and len(jamo) == 1
            ):  # one by one, as in ㅎㆍㄴ, typed or from NFKC: this is a coda
                jamo = _as_coda(jamo)
            found += [Piece(part, piece.start, piece.end) for part in jamo]
        return found


class Letters(FrontEnd):
    """English as small letters."""

    name = "letters"

    def reads(self) -> str:
        return "en"

    def own_symbols(self) -> Sequence[str]:
        return (*PUNCTUATION, *string.ascii_lowercase)

    def split(self, pieces: list[Piece]) -> list[Piece]:
        return [Piece(piece.symbol.lower(), piece.start, piece.end) for piece in pieces]


class Phones(FrontEnd):
    """What eSpeak says, in its own labels, the same that come with its recordings: a text, or a list of labels.

    There is no token between words, for there is nothing between them to hear; pauses are tokens. A phone stands for
    the characters of its whole word, a pause for those between two words.
    """

    name = "phones"

    def __init__(self, symbols: Sequence[str] = (), language: str = "", pronounce: bool = False):
        if language and language not in _SAID:
            raise TextError(f"'phones' speaks {' or '.join(_SAID)}, got {language!r}; take 'jamo' or 'letters'")
        super().__init__(symbols, language or "ko", pronounce)

    def reads(self) -> str:
        return self.language

    def own_symbols(self) -> Sequence[str]:
        vowels, endings, consonants = (listed.split() for listed in _SAID[self.language])
        voiced = [stress + vowel + ending for ending in ("", *endings) for stress in ("", "ˈ", "ˌ") for vowel in vowels]
        return (*espeak.PAUSES, *consonants, *voiced)

    def split(self, pieces: list[Piece]) -> list[Piece]:
        unreadable = set(espeak.unreadable("".join(piece.symbol for piece in pieces)))
        left_out = [piece for piece in pieces if piece.symbol in unreadable]
        said = [piece for piece in pieces if piece.symbol not in unreadable]
        if not any(piece.symbol.isalnum() for piece in said):
            return left_out
        try:
            spans = espeak.speak("".join(piece.symbol for piece in said), self.language).phones
        except espeak.EspeakError as error:
            raise TextError(str(error)) from error
        return [Piece(span.label, *_original(said, span.char_start, span.char_end)) for span in spans] + left_out

    def labelled(self, labels: Sequence[str]) -> list[Piece]:
        return [Piece(label, i, i + 1) for i, label in enumerate(labels)]


FRONT_ENDS: dict[str, type[FrontEnd]] = {kind.name: kind for kind in (Jamo, Letters, Phones)}
BY_LANGUAGE = {"ko": "jamo", "jje": "jamo", "en": "letters"}
"""Language of a data set to the front end that reads its texts when nobody asks for another."""


def front_end(name: str, language: str = "", *, pronounce: bool = False) -> FrontEnd:
    """A front end by name: "jamo" (Korean, Jeju), "letters" (English) or "phones" (`language` "ko" or "en").

    pronounce   as FrontEnd's; TextError where it does not read Korean
    """
    return _kind(name)(language=language, pronounce=pronounce)


def words_of(spans: np.ndarray, words: Sequence[Sequence[float]]) -> np.ndarray:
    """The word that each token belongs to, [T] int64, -1 for spaces, punctuation, pauses and blanks.

    spans   [T, 2] as in Encoded; (-1, -1) is a token that stands for nothing
    words   (char_start, char_end, ...) of each word, in order, as in rows.jsonl
    """
    spans = np.asarray(spans, np.int64).reshape(-1, 2)
    places = np.array([word[:2] for word in words], np.int64).reshape(-1, 2)
    if not len(places):
        return np.full(len(spans), -1, np.int64)
    index = np.searchsorted(places[:, 0], spans[:, 0], side="right") - 1
    inside = (index >= 0) & (spans[:, 0] < spans[:, 1]) & (spans[:, 1] <= places[index, 1])
    return np.where(inside, index, -1)


def _kind(name: str) -> type[FrontEnd]:
    from nbkit.data import arpabet  # noqa: F401  it enters itself, and cannot before this module is there

    if name not in FRONT_ENDS:
        raise TextError(f"wanted a front end among {', '.join(FRONT_ENDS)}, got {name!r}")
    return FRONT_ENDS[name]


@functools.cache
def _as_jamo(character: str) -> str:
    """Conjoining jamo of a syllable, or of a letter on its own: a consonant as an onset where it can be one."""
    if "가" <= character <= "힣":
        return unicodedata.normalize("NFD", character)
    if _LETTERS_FROM <= character <= _LETTERS_TO:
        jamo = unicodedata.normalize("NFKC", character)
        return jamo if jamo in ONSETS + VOWELS else _as_coda(jamo)  # ㅄ begins no syllable
    return character


def _as_coda(jamo: str) -> str:
    coda = unicodedata.name(jamo, "").replace("CHOSEONG", "JONGSEONG")
    found = unicodedata.lookup(coda) if coda else jamo
    return found if found in CODAS else jamo


def _original(said: list[Piece], start: int, end: int) -> tuple[int, int]:
    """Characters of the text as it was given, for the characters [start, end) of what was said."""
    edges = [said[0].start, *(piece.end for piece in said)]
    return (said[start].start if start < end else edges[start]), edges[end]


def _named(symbol: str, written: str) -> str:
    points = " ".join(f"U+{ord(c):04X}" for c in written)
    return f"{written!r} ({points})" if symbol == written else f"{symbol!r} of {written!r}"
