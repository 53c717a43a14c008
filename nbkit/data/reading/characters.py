"""A text as characters in one form each: composed, narrow, with plain punctuation and single spaces."""

from __future__ import annotations

import itertools
import unicodedata

from nbkit.data.reading.pieces import Piece

_MARKS = {
    **dict.fromkeys("“”„«»「」『』〈〉《》″", '"'),
    **dict.fromkeys("‘’‚`´′", "'"),
    **dict.fromkeys("—–―‐‑−", "-"),
    **dict.fromkeys("[{〔【", "("),
    **dict.fromkeys("]}〕】", ")"),
    **dict.fromkeys("〜～∼", "~"),
    **dict(zip("、。⋯‥", ",.……")),
}
_WIDE = {wide: chr(ord(wide) - 0xFEE0) for wide in map(chr, range(ord("！"), ord("～") + 1))}
_NARROW = {letter: unicodedata.decomposition(letter).split() for letter in map(chr, range(0xFFA1, 0xFFDD))}
_PLAIN = str.maketrans(
    {
        **{wide: _MARKS.get(plain, plain) for wide, plain in _WIDE.items()},
        **{narrow: chr(int(form[1], 16)) for narrow, form in _NARROW.items() if form},  # Hangul letters
        **_MARKS,
    }
)


def characters(text: str) -> list[Piece]:
    """The composed characters, punctuation in one form, runs of white space as one space and none at the ends."""
    found = _composed(text)
    plain = "".join([piece.symbol for piece in found]).translate(_PLAIN)
    pieces: list[Piece] = []
    for character, (_, start, end) in zip(plain, found):
        if not character.isspace():
            pieces.append(Piece(character, start, end))
        elif pieces and pieces[-1].symbol == " ":
            pieces[-1] = Piece(" ", pieces[-1].start, end)
        elif pieces:
            pieces.append(Piece(" ", start, end))
    return pieces[:-1] if pieces and pieces[-1].symbol == " " else pieces


def _composed(text: str) -> list[Piece]:
    """The characters of `text` in their composed form (NFC), each with the characters it was written with."""
    if unicodedata.is_normalized("NFC", text):
        return [Piece(c, i, i + 1) for i, c in enumerate(text)]
    starts = [i for i, c in enumerate(text) if i == 0 or not (unicodedata.combining(c) or _joins(c))]
    pieces: list[Piece] = []
    for start, end in itertools.pairwise([*starts, len(text)]):
        written = text[start:end]
        composed = unicodedata.normalize("NFC", written)
        if composed == written:
            pieces += [Piece(c, start + i, start + i + 1) for i, c in enumerate(written)]
        else:
            pieces += [Piece(c, start, end) for c in composed]
    return pieces


def _joins(character: str) -> bool:
    """Is it a conjoining vowel or coda?"""
    return "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7fb"
