"""English for voices that were trained elsewhere on the symbols of the CMU dictionary (ARPAbet) and on letters.

Those voices know 148 symbols: marks, letters, and "@" with an ARPAbet phone behind it. Here eSpeak gives the phones, so
no dictionary is fetched and every word is known; one that it cannot say is spelled in letters, which such voices know
too. Against the dictionary (3,729 words of LJ Speech, the nearest of its pronunciations, eSpeak NG 1.52): 3.7 % of the
phones differ, 2.7 % weighted by how often a word comes, 5.6 % where stress counts; 82 % of the words are the same.
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Sequence

from nbkit.data import espeak, text
from nbkit.data.reading.pieces import Piece, text_of

# What eSpeak calls the phones of the dictionary. A vowel without a digit has the stress that eSpeak marks, or 0.
_SAID_AS = """
b B, d D, f F, ɡ G, h HH, k K, l L, m M, n N, ŋ NG, p P, ɹ R, r R, s S, t T, v V, w W, j Y, z Z, ʃ SH, ʒ ZH, tʃ CH,
dʒ JH, θ TH, ð DH, ʔ T, ɾ T, x K, æ AE, ɑː AA, ɑ AA, ɔ AO, ɔː AO, oː AO, aʊ AW, aɪ AY, ɛ EH, ɚ ER, ɜː ER, eɪ EY, ɪ IH,
i IY, iː IY, oʊ OW, ɔɪ OY, ʊ UH, u UW, uː UW, ʌ AH, ə AH, ɐ AH, ᵻ IH, iə IY AH0, aɪə AY AH0, aɪɚ AY ER0, n̩ AH0 N
"""
_SAID = {said: phones.split() for said, phones in (pair.split(maxsplit=1) for pair in _SAID_AS.split(","))}
_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
_CONSONANTS = {phone for phones in _SAID.values() for phone in phones if phone.isalpha()}.difference(_VOWELS)
PHONES = sorted([*_CONSONANTS, *(vowel + stress for vowel in _VOWELS for stress in ("", "0", "1", "2"))])
_SOUND = re.compile("|".join(sorted(map(re.escape, _SAID), key=len, reverse=True)) + "|[ˈˌ]|.")
_WORD = re.compile(r"[A-Za-zÀ-ÿ]+(?:'[A-Za-zÀ-ÿ]+)*")


class Arpabet(text.FrontEnd):
    """Words as ARPAbet phones with "@" in front, all else as it is written. A phone stands for its whole word."""

    name = "arpabet"

    def reads(self) -> str:
        return "en"

    def own_symbols(self) -> Sequence[str]:
        letters = string.ascii_uppercase + string.ascii_lowercase
        return ("-", *"!'(),.:;? ", *letters, *(f"@{phone}" for phone in PHONES))

    def split(self, pieces: list[Piece]) -> list[Piece]:
        found, done = [], 0
        for word in _WORD.finditer(text_of(pieces)):
            start, end = word.span()
            place = (pieces[start].start, pieces[end - 1].end)
            said = pronounced(word[0])
            spelled = [Piece(piece.symbol.lower(), piece.start, piece.end) for piece in pieces[start:end]]
            found += pieces[done:start] + ([Piece(f"@{phone}", *place) for phone in said] if said else spelled)
            done = end
        return [part for piece in found + pieces[done:] for part in _marks(piece)]

    def labelled(self, labels: Sequence[str]) -> list[Piece]:
        return [Piece(f"@{label}", i, i + 1) for i, label in enumerate(labels)]


@functools.lru_cache(maxsize=10_000)
def pronounced(word: str) -> tuple[str, ...]:
    """ARPAbet phones of an English word, vowels with their stress; empty where eSpeak cannot say it."""
    try:
        said = "".join(label for label in espeak.phones(word, "en") if label not in espeak.PAUSES)
    except espeak.EspeakError:
        return ()
    phones, stress = [], "0"
    for sound in _SOUND.findall(said):
        if sound in "ˈˌ":
            stress = "12"["ˈˌ".index(sound)]
            continue
        if sound not in _SAID:
            return ()
        if sound == "ɹ" and phones and phones[-1][:2] in ("ER", "R"):  # the dictionary has it once
            continue
        for phone in ["D"] if sound == "ɾ" and "t" not in word.lower() else _SAID[sound]:
            weak = sound in "əɐᵻ"  # never stressed, though eSpeak marks "the" when it stands alone
            phones.append(phone + ("0" if weak else stress) if phone in _VOWELS else phone)
            stress = "0" if phone in _VOWELS else stress
    return tuple(phones)


def _marks(piece: Piece) -> list[Piece]:
    """An ellipsis as the three points that the table has."""
    return [Piece(".", piece.start, piece.end)] * 3 if piece.symbol == "…" else [piece]


text.FRONT_ENDS[Arpabet.name] = Arpabet  # text cannot import what needs it
