"""Long texts to read aloud: chapters, paragraphs and sentences of a text file; words that are said in another way.

A chapter begins at a Markdown heading (`# ...`) or at a paragraph of its own such as "제 2 장 바다", "Chapter 2" or
"에필로그" that does not end like a sentence. An empty line ends a paragraph. Each line is one where the file has no
empty lines, or where most lines end like sentences, as in novels that set only scenes apart. Short lines of a poem are
said one by one; other lines are taken for sentences that an editor has wrapped.
"""

from __future__ import annotations

import csv
import functools
import itertools
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from nbkit.data import texts
from nbkit.data.disk import DataError
from nbkit.data.reading.pieces import Piece, rewrite, text_of

_INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060\u00ad"))  # marks that only a layout needs
_MARKED = re.compile(r"#{1,6}\s+(.+?)\s*#*")
_ITEM = re.compile(r"(?:(?:[-*+>•·▪●○◦※]\s+)+|(?=\d{1,2}[.)]\s))")  # of a list, or a quotation
_EMPHASIS = re.compile(r"(\*{1,3}|(?<!\w)_{1,3}|`+)(?=\S)(.+?)(?<=\S)\1")
_COUNT = r"\d+|[ivxlc]+|one|two|three|four|five|six|seven|eight|nine|ten"
_NUMBER = rf"(?:제\s*)?\d+\s*[장부화편막]\b|(?:chapter|part)\s+(?:{_COUNT})\b"
_NUMBERED = re.compile(rf"(?:{_NUMBER}).{{0,60}}", re.IGNORECASE)
_BARE = re.compile(
    rf"(?:{_NUMBER}|프롤로그|에필로그|서문|머리말|맺음말|prologue|epilogue|preface|foreword)\.?", re.IGNORECASE
)
_CLOSED = r"[.?!…。？！]+[\"'”’」』〉》)\]]*"
# An end of a sentence: its marks, what closes after them, then space. What quotes it may follow: "가자." 하고 말했다.
_END = re.compile(rf"{_CLOSED}\s+(?!(?:이?라고|하고|하며|하는|라는|이?라며|하더니|하자|고)\b|[a-z])")
_NO_END = re.compile(  # 1. J. Dr. p.m.
    r"(?:^|[\s\"'“‘(])(?:(?:\d{1,3}|[A-Z]|(?:[A-Za-z]\.)+[A-Za-z]|Mr|Mrs|Ms|Dr|St|Prof|vs)\.\s+.?|No\.\s+\d)$"
)
_VERSE = 30  # characters of the longest line of a poem
_HANJA = re.compile(r"(?<=[가-힣])[(（〔\[][\u3400-\u9fff\uf900-\ufaff·,\s]+[)）〕\]]")
_LETTER = re.compile(r"[^\W_]")
_SPACE = re.compile(r"\s+")
_CLAUSE = re.compile(r"[,;:、，]\s+")
_PARTICLES = (
    *("은/는", "이/가", "을/를", "과/와", "으로/로", "아/야", "이랑/랑", "이나/나", "이다/다", "이라/라", "이란/란"),
    *("이며/며", "이든/든", "이여/여", "이에요/예요", "이었/였"),
)
_PARTICLE = {form: pair for pair in _PARTICLES for form in pair.split("/")}
_TAIL = "부터|서|써|는|도|만|의|까지|커녕|요|고|면"  # 바다로부터, 할머니와의, 바다라고
_FORMS = "|".join(sorted(_PARTICLE.keys() - {"이었", "였"}, key=len, reverse=True))
_AFTER = rf"((?:{_FORMS})(?=(?:{_TAIL})?(?!\w))|이었|였)?"
# What may follow a word of one syllable, so that 배 is not found in 배우다.
_MORE = "에게서?|한테서?|께서?|에서?|까지|부터|보다|처럼|마다|밖에|마저|조차|대로|만큼|하고|의|도|만|뿐|들|님|씨|네"
_ALONE = rf"(?=(?:(?:{_MORE}|{_FORMS}){{0,2}}(?:{_TAIL})?(?!\w)|이었|였))"


class Line(NamedTuple):
    """What is said in one breath, and what follows it: "clause", "sentence", "paragraph" or "heading"."""

    text: str
    end: str


@dataclass(frozen=True)
class Chapter:
    """A heading (empty where there is none) and the paragraphs below it, the heading's own among them."""

    title: str
    paragraphs: tuple[tuple[Line, ...], ...]

    @property
    def lines(self) -> list[Line]:
        return [line for paragraph in self.paragraphs for line in paragraph]


class Said(NamedTuple):
    """A text as it is to be said. Each of its characters knows the characters [start, end) that it stands for."""

    text: str
    pieces: list[Piece]


def read(path: str | os.PathLike) -> str:
    """A text file, its characters composed. DataError for one that is empty, no text, or not in UTF-8."""
    content = Path(path).read_bytes()
    if b"\0" in content:
        raise DataError(f"{path}: wanted a text, got zero bytes; save the document as plain text in UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: wanted a text in UTF-8, got byte {content[error.start]:#x} at {error.start:,}; save it again as "
            "UTF-8 (older Korean files are cp949: iconv -f cp949 -t utf-8)"
        ) from None
    if not text.strip():
        raise DataError(f"{path}: wanted a text to read aloud, got an empty file")
    return unicodedata.normalize("NFC", text).translate(_INVISIBLE)


def chapters(text: str, longest: int = 80) -> list[Chapter]:
    """A text cut into what is said in one breath, in its order.

    Nothing is lost but white space, marks of Markdown, and lines without a letter or digit.

    longest   characters of a line; a longer sentence is cut at a comma, else between words
    raises    DataError where there is nothing to read, ValueError for a `longest` below 10
    """
    if longest < 10:
        raise ValueError(f"longest wants 10 characters or more, got {longest}")
    found: list[tuple[str, list[tuple[Line, ...]]]] = []
    for block in _blocks(text):
        title = _title(block)
        if title or not found:
            found.append((title, []))
        found[-1][1].append(_lines(title or block, longest, "heading" if title else "paragraph"))
    if not found:
        raise DataError("wanted a text to read aloud, got one without a letter")
    return [Chapter(title, tuple(paragraphs)) for title, paragraphs in found]


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph, with their marks and quotes; joined by spaces they are the paragraph.

    Each has a letter or digit: a silence that is written "……" stays with the sentence before it.
    """
    found, start = [], 0
    for mark in _END.finditer(paragraph):
        end = mark.end()
        if _parts(paragraph, start, end) and not _NO_END.search(paragraph[start : end + 1]):
            found.append(paragraph[start:end].strip())
            start = end
    return [one for one in (*found, paragraph[start:].strip()) if one]


def _parts(text: str, start: int, end: int) -> bool:
    """Whether something is to be said both in text[start:end] and after it."""
    return bool(_LETTER.search(text, start, end) and _LETTER.search(text, end))


def _title(block: str) -> str:
    """What a block is the heading of, empty where it is none."""
    if marked := _MARKED.fullmatch(block):
        return marked[1]
    numbered = _NUMBERED.fullmatch(block) and block[-1] not in ".?!…,。？！"
    return block if numbered or _BARE.fullmatch(block) else ""


def _blocks(text: str) -> Iterator[str]:
    """Headings and paragraphs, each on one line, a poem on its own ones; what has no letter or digit is none."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    alone = _are_paragraphs(lines)
    block: list[str] = []
    for line in [*lines, ""]:
        marked, item = _MARKED.fullmatch(line), _ITEM.match(line)
        if block and (alone or marked or item or not line):
            yield _joined(block)
            block = []
        if _LETTER.search(line):
            block.append(_EMPHASIS.sub(r"\2", line[item.end() if item else 0 :]))
            if marked:
                yield block.pop()


def _are_paragraphs(lines: list[str]) -> bool:
    """Whether each line is a paragraph: none is empty, or most of those that another one follows are sentences."""
    if "" not in lines[1:-1]:
        return True
    spoken = [bool(_LETTER.search(line)) and not _MARKED.fullmatch(line) and not _ITEM.match(line) for line in lines]
    followed = [line for line, one, after in zip(lines, spoken, spoken[1:]) if one and after]
    return 2 * sum(bool(re.search(rf"{_CLOSED}$", line)) for line in followed) > len(followed)


def _joined(block: list[str]) -> str:
    verse = all(len(line) <= _VERSE and len(sentences(line)) == 1 for line in block)
    return ("\n" if verse else " ").join(block)


def _lines(paragraph: str, longest: int, end: str) -> tuple[Line, ...]:
    found: list[Line] = []
    for sentence in (one for verse in paragraph.split("\n") for one in sentences(verse)):
        *cut, last = _breaths(sentence, longest)
        found += [Line(part, "clause") for part in cut]
        found.append(Line(last, "sentence"))
    return (*found[:-1], found[-1]._replace(end=end))


def _breaths(sentence: str, longest: int) -> Iterator[str]:
    """A sentence in parts of at most `longest` characters, a word that is longer alone."""

    def ends(pattern: re.Pattern[str], first: int, last: int) -> Iterator[int]:
        found = (mark.end() for mark in pattern.finditer(sentence, first, last))
        return (end for end in found if _parts(sentence, 0, end))

    while len(sentence) > longest:
        cuts = list(ends(_CLAUSE, longest // 3, longest + 1)) or list(ends(_SPACE, 0, longest + 1))
        cuts = cuts or list(itertools.islice(ends(_SPACE, 0, len(sentence)), 1))
        if not cuts:
            break
        yield sentence[: cuts[-1]].strip()
        sentence = sentence[cuts[-1] :]
    yield sentence.strip()


@dataclass(frozen=True)
class Glossary:
    """Words that are said in another way than they are written: names, foreign words, a dialect.

    A word is found where a word of the text begins, the longest first; one of a single syllable only where nothing but
    particles follows. The particle behind it is fitted to its new end: with 할머니 = 할망, 할머니가 is said 할망이.
    This puts words for words; it translates no grammar. A word that is said as it is written keeps shorter ones from
    being found in it: 바다표범 = 바다표범 saves it from 바다 = 바당.
    """

    words: Mapping[str, str] = field(default_factory=dict)

    def say(self, text: str) -> Said:
        """A text with its words replaced. Hanja in brackets behind what they write, as in 한자(漢字), are not said."""
        pieces = [Piece(character, place, place + 1) for place, character in enumerate(text)]
        pieces = rewrite(pieces, _HANJA, lambda found: "")
        if self.words:
            pieces = rewrite(pieces, self._pattern, lambda found: _fitted(self.words[found[1]], found[2] or ""))
        return Said(text_of(pieces), pieces)

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        found: dict[str, list[str]] = {}  # by their first character: a search looks at few of thousands
        for word in sorted(self.words, key=len, reverse=True):
            found.setdefault(word[0], []).append(re.escape(word[1:]) + (_ALONE if _syllable(word) else ""))
        words = "|".join(f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in found.items())
        return re.compile(rf"(?:(?<!\w)|(?!\w))(?!\s)({words})(?!(?<=[A-Za-z])[A-Za-z]|(?<=\d)\d){_AFTER}")


def _syllable(text: str) -> bool:
    return len(text) == 1 and "가" <= text <= "힣"


def glossary(path: str | os.PathLike) -> Glossary:
    """A glossary from a file of lines `written <tab> said`; a line that begins with # is a remark.

    raises   DataError for a line of another form, and for a word that is there twice
    """
    words: dict[str, str] = {}
    for number, row in enumerate(csv.reader(read(path).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE), 1):
        if not row or not "".join(row).strip() or row[0].startswith("#"):
            continue
        cells = [" ".join(cell.split()) for cell in row]
        if len(cells) != 2 or not all(cells):
            raise DataError(f"{path}: line {number}: wanted a word, a tab and how it is said, got {row!r}")
        if cells[0] in words:
            raise DataError(f"{path}: line {number}: {cells[0]!r} stands there a second time; keep one of the two")
        words[cells[0]] = cells[1]
    return Glossary(words)


def _fitted(word: str, particle: str) -> str:
    if particle and _syllable(word[-1]):
        return texts.fit_particles(f"{word}({_PARTICLE[particle]})")
    return word + particle


def word_places(text: str, said: Said) -> list[tuple[int, int, str]]:
    """The words of a written text: (start, end, how it is said, empty where as written).

    Words that were replaced together are one.
    """
    cuts = {mark.start(): mark.end() for mark in re.finditer(r"\s+", text)}
    for piece in said.pieces:
        if piece.end - piece.start > 1:
            cuts = {start: end for start, end in cuts.items() if not piece.start <= start < piece.end}
    edges = [0, *(place for cut in sorted(cuts.items()) for place in cut), len(text)]
    found = []
    for start, end in zip(edges[::2], edges[1::2]):
        spoken = "".join(piece.symbol for piece in said.pieces if start <= piece.start < end)
        if start < end:
            found.append((start, end, spoken if spoken != text[start:end] else ""))
    return found


def captions(cues: Sequence[tuple[float, float, Sequence[tuple[str, float]]]]) -> str:
    """WebVTT of lines (start, end, words), a word being (text, start), times in seconds; players light word by word."""
    lines = ["WEBVTT", ""]
    for start, end, words in cues:
        said = " ".join((f"<{_clock(at)}>" if at > start else "") + _escaped(word) for word, at in words)
        lines += [f"{_clock(start)} --> {_clock(end)}", said, ""]
    return "\n".join(lines)


def _clock(seconds: float) -> str:
    minutes, thousandths = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{thousandths // 1000:02}.{thousandths % 1000:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
