"""Latin words as Koreans say them, in Hangul: "TV" 티비, "KTX" 케이티엑스, "message" 메시지.

In this order: words whose Korean form is fixed (`latin_words`), names of letters for initialisms, and for everything
else what is said in English, written by the rules for loanwords (`loanwords`).
"""

from __future__ import annotations

import functools
import re
import unicodedata

from nbkit.data.reading.latin_words import WORDS
from nbkit.data.reading.loanwords import by_sound

_NAMES = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        str.split(
            "에이 비 시 디 이 에프 지 에이치 아이 제이 케이 엘 엠 엔 오 피 큐 알 에스 티 유 브이 더블유 엑스 와이 제트"
        ),
    )
)
_LIGATURES = str.maketrans({"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ß": "ss", "’": "'"})


@functools.cache
def in_hangul(word: str) -> str:
    """A word of Latin letters, with or without accents, in composed Hangul syllables.

    Apostrophes belong to the word (don't 돈트); hyphens, dots and small-to-capital joints part it (YouTube, e-mail).
    ValueError  no letter, or anything that is neither a Latin letter nor one of ' - .: digits are read elsewhere
    """
    plain = unicodedata.normalize("NFKD", word.translate(_LIGATURES))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    if not re.fullmatch(r"[A-Za-z'.-]*[A-Za-z][A-Za-z'.-]*", plain):
        raise ValueError(f"wanted a word of Latin letters, got {word!r}; read digits and signs before")
    plain = plain.strip("'.-")
    return _known(plain) or "".join(_part(part) for part in re.split(r"[.-]+", plain))


def _known(word: str) -> str | None:
    return WORDS.get(word) or WORDS.get(word.lower())


def _part(word: str) -> str:
    """Without hyphens and dots."""
    word = word.strip("'")
    if not word:
        return ""
    if known := _known(word):
        return known
    squeezed = re.sub(r"(?i)(.)\1{2,}", r"\1\1", word)  # gooood
    if squeezed != word and re.search(r"(?i)(.)(?!\1)[a-z]", word):
        return _known(squeezed) or _known(re.sub(r"(.)\1", r"\1", squeezed)) or _part(squeezed)
    if _is_spelled(word):
        return letter_names(word)
    if plural := re.fullmatch(r"([A-Z]{2,})'?s", word):  # CEOs, FBI's
        return _part(plural[1]) + "스"
    if word.isupper():  # LOVE, DON'T
        return _known(word.lower()) or by_sound(word) or letter_names(word)
    parts = re.findall(r"(?:Mc|Mac)[A-Z][a-z']+|[A-Z]{2,}s?(?![a-z])|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z']+|[A-Z]", word)
    if len(parts) > 1:
        return "".join(_part(part) for part in parts)
    return by_sound(word) or letter_names(word)


def letter_names(word: str) -> str:
    """The names of the letters: ABC 에이비시."""
    return "".join(_NAMES[c] for c in word.upper() if c in _NAMES)


_ONSET = r"(?:[^AEIOU]|[BCFGKP][LR]|[DTW]R|[CPSTW]H|CHR|[DST]W|QU|S[CKLMNPTQ]|S[CHPT][HLR]|THR|[GK]N)?"
_CODA = r"(?:[HLMNRSW]|GH)?(?:TCH|[DPX]TH|[CGPST]H|CK|D?ST|[CFPBX]T|L[DP]|GN|([DFGLNSTZ])\1|[BCDFGKLMNPSTVXZ])?S?E?"
_LIKE_A_WORD = re.compile(rf"{_ONSET}[AEIOUY]{{1,2}}(?:[^AEIOU]{{1,3}}[AEIOUY]{{1,2}})*{_CODA}")


def _is_spelled(word: str) -> bool:
    """One letter, no vowel, up to three capitals, or up to five letters that nobody could say as a word."""
    if len(word) == 1 or not re.search(r"(?i)[aeiouy]", word) or len(set(word.lower())) == 1:
        return True
    if len(word) > 5 or "'" in word or not (word.isupper() or word.islower()):
        return False
    return (word.isupper() and len(word) <= 3) or not _LIKE_A_WORD.fullmatch(word.upper())
