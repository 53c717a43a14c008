"""How Korean is pronounced: from syllables as they are spelled to syllables as they are heard.

The rules are those of the South Korean standard (표준 발음법, paragraphs as §). What happens where two syllables meet
depends on the coda of the first, the onset of the second and little else: `_meet` says it once for every pair, and
reading is looking it up. What depends on the words is marked before: joints of words in pronunciation_words.py, and
endings and dependent nouns as patterns.

Between words, at one space, only what the standard gives for two words said in one breath happens: codas as at a
word's end, and these move into a vowel (꽃 위 꼬 뒤, not before i and y), ㅎ (옷 한 벌 오 탄 벌), nasals (밥 먹는다
밤 멍는다), ㄹㄴ (달 나라 달 라라), tense consonants (책 두 권 책 뚜 권; 할 것을 할 꺼슬), ㄴ (할 일 할 릴, 못 잊어
몬 니저). ㄴㄹㅁㅇ stay where they are before a vowel (산 위). Any other character is a pause, quotation marks inside
a word aside.

Where the standard allows two readings: 마싣따, 내까, 게 for 계 (페, 헤, ...; not 예, 례), 거멸, 그뮹; 의 stays 의 but
after a consonant (희망 히망). Length of vowels is not said. There is no morphological analysis: 신고 (report; wearing
shoes), 감다, 안다, 잠자리, 고가, 지적 and other spellings of two words are read as the more frequent or the unchanged
one, tense consonants inside nouns (§26, §28) and ㄴ between nouns (§29) only where a list or a pattern knows them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from nbkit.data.reading import pronunciation_words as words
from nbkit.data.reading.pieces import Piece

_ONSETS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_CODAS = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
_HEARD = {
    **dict(zip("ㄲㅋㄳㄺㅅㅆㅈㅊㅌㅎㅍㅄㄿ", "ㄱㄱㄱㄱㄷㄷㄷㄷㄷㄷㅂㅂㅂ")),
    **dict(zip("ㄵㄶㄼㄽㄾㅀㄻ", "ㄴㄴㄹㄹㄹㄹㅁ")),
}
_CLUSTERS = dict(
    zip(
        "ㄳㄵㄶㄺㄻㄼㄽㄾㄿㅀㅄ",
        ("ㄱㅅ", "ㄴㅈ", "ㄴㅎ", "ㄹㄱ", "ㄹㅁ", "ㄹㅂ", "ㄹㅅ", "ㄹㅌ", "ㄹㅍ", "ㄹㅎ", "ㅂㅅ"),
    )
)
_TENSE = dict(zip("ㄱㄷㅂㅅㅈ", "ㄲㄸㅃㅆㅉ"))
_BREATHED = dict(zip("ㄱㄷㅂㅈ", "ㅋㅌㅍㅊ"))
_NASAL = dict(zip("ㄱㄷㅂ", "ㅇㄴㅁ"))
_BEFORE_I = {"ㄷ": "ㅈ", "ㅌ": "ㅊ"}
_IOTA, _STAYING = "ㅣㅕ", "ㅣㅕㅑㅒㅖㅛㅠㅢ"  # before which ㄷ becomes ㅈ; into which no coda moves over a space
_GAPS = {"": False, "'": False, '"': False, " ": True}  # what is said through: is it the space between two words?
_OLD_VOWELS = {"\u119e": "ㅏ", "\u11a1": "ㅐ", "\u11a2": "ㅑ"}  # arae-a behaves, and lives on, as a


def _meet(coda: str, onset: str, vowel: str, apart: bool) -> tuple[str, str]:
    """The coda and the onset that are heard where a coda and the next syllable's onset and vowel meet.

    apart    there is a space between them
    """
    heard = _HEARD.get(coda, coda)
    stays, moves = _CLUSTERS.get(coda, ("", coda)) if coda else ("", "")
    if not coda:
        return "", onset
    if onset == "ㅇ":
        return _before_vowel(coda, vowel, apart)
    if onset == "ㅎ":  # §12.1
        if not apart and moves in "ㄷㅈㅌ" and vowel in _IOTA:  # §17: 굳히다, 닫혀
            return stays, "ㅊ"
        if not apart and (coda == "ㄼ" or (coda == "ㄺ" and vowel in _IOTA)):  # 넓히다, 밝히다; but 닭하고
            return stays, _BREATHED[moves]
        return ("", _BREATHED[heard]) if heard in _BREATHED else (heard, onset)
    if moves == "ㅎ" and onset in "ㄱㄷㅈ":
        return stays, _BREATHED[onset]
    if moves == "ㅎ" and onset == "ㅅ":  # §12.2
        return stays, "ㅆ"
    if onset in _TENSE and not apart and coda == "ㄺ" and onset == "ㄱ":  # §11: 맑게
        return "ㄹ", "ㄲ"
    if onset in _TENSE and (heard in _NASAL or (not apart and coda in "ㄵㄻㄼㄾ" and onset != "ㅂ")):  # §23 to §25
        return heard, _TENSE[onset]
    if onset in "ㄴㅁ" and heard in _NASAL:  # §18
        return _NASAL[heard], onset
    if onset == "ㄹ" and not apart and heard in "ㄱㄷㅂㅁㅇ":  # §19
        return _NASAL.get(heard, heard), "ㄴ"
    if (heard == "ㄹ" and onset == "ㄴ") or (heard == "ㄴ" and onset == "ㄹ" and not apart):  # §20
        return "ㄹ", "ㄹ"
    return heard, onset


def _before_vowel(coda: str, vowel: str, apart: bool) -> tuple[str, str]:
    heard = _HEARD.get(coda, coda)
    stays, moves = _CLUSTERS.get(coda, ("", coda))
    if apart:  # §15
        return ("", heard) if heard in _NASAL and vowel not in _STAYING else (heard, "ㅇ")
    if moves in _BEFORE_I and vowel in _IOTA:  # §17
        return stays, _BEFORE_I[moves]
    if moves == "ㅎ":  # §12.4
        return "", stays or "ㅇ"
    if coda == "ㅇ":
        return coda, "ㅇ"
    return stays, "ㅆ" if stays and moves == "ㅅ" else moves  # §13, §14


@cache
def _table() -> dict[tuple[bool, int, int, int], tuple[int, int]]:
    """`_meet` by numbers: (apart, coda, onset, vowel) to (coda, onset)."""
    found = {}
    for apart in (False, True):
        for c, coda in enumerate(_CODAS):
            for o, onset in enumerate(_ONSETS):
                met = {vowel: _meet(coda, onset, vowel, apart) for vowel in "ㅏ" + _STAYING}
                for v, vowel in enumerate(_VOWELS):
                    new_coda, new_onset = met.get(vowel, met["ㅏ"])
                    found[apart, c, o, v] = _CODAS.index(new_coda), _ONSETS.index(new_onset)
    return found


def _syllables(onsets: str, codas: str) -> str:
    """All composed syllables with one of these onsets and one of these codas, as a class for a pattern; "" is any."""
    found = (
        chr(0xAC00 + (o * 21 + v) * 28 + c)
        for o, onset in enumerate(_ONSETS)
        for v in range(21)
        for c, coda in enumerate(_CODAS)
        if (not onsets or onset in onsets) and (not codas or (coda and coda in codas))
    )
    return f"[{''.join(found)}]"


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    def written(pattern: str) -> str:
        pattern = re.sub("<([ㄱ-ㅎ]+)>", lambda found: _syllables("", found[1]), pattern)
        return re.sub("{([ㄱ-ㅎ]+)}", lambda found: _syllables(found[1], ""), pattern)

    return [(mark, re.compile(written(pattern))) for mark, listed in words.PATTERNS.items() for pattern in listed]


class _Word(NamedTuple):
    plain: str
    joints: list[tuple[int, str]]  # place in the word, mark
    starts: bool  # only at the start of a word
    ends: bool


@cache
def _words() -> dict[str, list[_Word]]:
    """The listed words by their first two syllables, the longest first."""
    found: dict[str, list[_Word]] = {}
    for word in " ".join((words.SINO, words.TENSE, words.NASAL, words.ALONE, words.BETWEEN)).split():
        parts = re.split("(['+/-])", word.strip("^$"))
        joints = [(len("".join(parts[:i:2])), parts[i]) for i in range(1, len(parts), 2)]
        listed = found.setdefault("".join(parts[::2])[:2], [])
        listed.append(_Word("".join(parts[::2]), joints, word.startswith("^"), word.endswith("$")))
        listed.sort(key=lambda word: -len(word.plain))
    return found


def _joints(text: str) -> Iterator[tuple[int, str]]:
    """Where something happens that the letters do not show: (index of the syllable behind, mark)."""
    known, done = _words(), 0
    for i in range(len(text)):
        listed = known.get(text[i : i + 2]) or known.get(text[i])
        if listed is None or i < done:
            continue
        for word in listed:
            end = i + len(word.plain)
            if text.startswith(word.plain, i) and _fits(word, text, i, end):
                done = end
                yield from ((i + place, mark) for place, mark in word.joints if i + place < len(text))
                break
    for mark, pattern in _patterns():
        for match in pattern.finditer(text):
            yield match.end(match.lastindex or 0), mark


def _fits(word: _Word, text: str, start: int, end: int) -> bool:
    return not ((word.starts and text[start - 1 : start].isalnum()) or (word.ends and text[end : end + 1].isalnum()))


def _apply(mark: str, before: list[int], after: list[int]) -> None:
    """Change the two syllables, [onset, vowel, coda], at a joint."""
    coda, onset = _CODAS[before[2]], _ONSETS[after[0]]
    heard = _HEARD.get(coda, coda)
    if mark == "'":
        onset = _TENSE.get(onset, onset)
    elif mark == "-" and onset in _TENSE:
        coda, onset = "", _TENSE[onset]
    elif mark == "+" and onset in "ㅇㄹ":
        onset = "ㄴ"
    elif mark == "/" and onset in "ㅇㅎ":
        coda, onset = "", heard if onset == "ㅇ" else _BREATHED.get(heard, heard)
    elif mark == "/":
        coda = heard
    elif mark == "ㄼ":
        coda = "ㅂ"
    elif mark in "ㅅㄱㅂ" and onset == "ㅇ":
        coda, onset = "", mark
    before[2], after[0] = _CODAS.index(coda), _ONSETS.index(onset)


def pronounce(pieces: list[Piece]) -> list[Piece]:
    """The same text as it is pronounced: as many syllables, each where it was; what is not a syllable stays.

    pieces    composed syllables and anything else; a syllable with an old vowel (arae-a) as its conjoining jamo, one or
              several in a piece, and it comes out in this form
    """
    groups = _grouped(pieces)
    text = "".join(syllable or (group[0].symbol if len(group[0].symbol) == 1 else "\0") for group, syllable in groups)
    codes = [ord(character) - 0xAC00 for character in text]
    parts = [[code // 588, code // 28 % 21, code % 28] if 0 <= code < 11172 else [] for code in codes]
    for at, mark in _joints(text):
        if parts[at]:
            _apply(mark, parts[at - 1] or parts[at - 2], parts[at])  # [at - 1] may be a space
    _walk(text, parts)
    found: list[Piece] = []
    for (group, _), code, part in zip(groups, codes, parts):
        found += _written(group, code, part) if part else group
    return found


def _walk(text: str, parts: list[list[int]]) -> None:
    """Apply to each coda and what follows it the rules for pairs, and to each vowel those of §5."""
    table, at_end = _table(), _END
    waiting, behind = None, 0
    for i, part in enumerate(parts):
        if not part:
            continue
        onset, vowel, _ = part
        if waiting is not None and waiting[2]:
            apart = _GAPS.get(text[behind:i])
            if apart is None:
                waiting[2] = at_end[waiting[2]]
            else:
                waiting[2], part[0] = table[apart, waiting[2], onset, vowel]
        if vowel in _UNSTABLE:
            written = (ord(text[i]) - 0xAC00) // 588
            part[1] = _vowel(_ONSETS[written], _VOWELS[vowel], _ONSETS[part[0]])
        waiting, behind = part, i + 1
    if waiting is not None:
        waiting[2] = at_end[waiting[2]]


_END = [_CODAS.index(_HEARD.get(coda, coda)) for coda in _CODAS]
_UNSTABLE = {_VOWELS.index(vowel) for vowel in "ㅕㅖㅢ"}


def _vowel(written: str, vowel: str, heard: str) -> int:
    """§5: 가져 가저, 계집 게집, 희망 히망.

    written, heard    the onset as it is spelled and as it is said
    """
    if vowel == "ㅕ" and heard in "ㅈㅉㅊ":
        vowel = "ㅓ"
    elif vowel == "ㅖ" and written not in "ㅇㄹ":
        vowel = "ㅔ"
    elif vowel == "ㅢ" and written != "ㅇ":
        vowel = "ㅣ"
    return _VOWELS.index(vowel)


def _grouped(pieces: list[Piece]) -> list[tuple[list[Piece], str]]:
    """The pieces of each syllable and the composed syllable that stands for it, "" for what is none."""
    found: list[tuple[list[Piece], str]] = []
    i = 0
    while i < len(pieces):
        symbol, group = pieces[i].symbol, [pieces[i]]
        if "가" <= symbol <= "힣" and len(symbol) == 1:
            syllable = symbol
        elif symbol and "\u1100" <= symbol[0] <= "\u1112":
            while i + len(group) < len(pieces) and _JAMO.fullmatch(
                "".join(p.symbol for p in [*group, pieces[i + len(group)]])
            ):
                group.append(pieces[i + len(group)])
            syllable = _stand_in("".join(piece.symbol for piece in group))
        else:
            syllable = ""
        found.append((group, syllable))
        i += len(group)
    return found


_JAMO = re.compile("([\u1100-\u1112])([\u1161-\u1175\u119e\u11a1\u11a2])([\u11a8-\u11c2]?)")


def _stand_in(jamo: str) -> str:
    """A composed syllable that behaves like these conjoining jamo; "" where they are not a syllable."""
    match = _JAMO.fullmatch(jamo)
    if not match:
        return ""
    onset, vowel, coda = match.groups()
    v = _VOWELS.index(_OLD_VOWELS[vowel]) if vowel in _OLD_VOWELS else ord(vowel) - 0x1161
    return chr(0xAC00 + ((ord(onset) - 0x1100) * 21 + v) * 28 + (ord(coda) - 0x11A7 if coda else 0))


def _written(group: list[Piece], code: int, part: list[int]) -> list[Piece]:
    """The pieces of a syllable with its new parts, in the form it came in."""
    onset, vowel, coda = part
    now = (onset * 21 + vowel) * 28 + coda
    if now == code:
        return group
    if len(group) == 1 and len(group[0].symbol) == 1:
        return [Piece(chr(0xAC00 + now), group[0].start, group[0].end)]
    was = [Piece(jamo, piece.start, piece.end) for piece in group for jamo in piece.symbol]
    old = was[1].symbol if was[1].symbol in _OLD_VOWELS else chr(0x1161 + vowel)
    said = [chr(0x1100 + onset), old, *([chr(0x11A7 + coda)] if coda else [])]
    if len(group) == 1:
        return [Piece("".join(said), group[0].start, group[0].end)]
    ends = [piece.end for piece in was[: len(said) - 1]] + [was[-1].end]  # a coda that moved on leaves its place
    return [Piece(jamo, piece.start, end) for jamo, piece, end in zip(said, was, ends)]
