"""Tokens that are found in a text before SentencePiece sees it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from nbkit.data.tokenizer_checks import SPECIALS

BLANK = "\u2581"  # stands for the blank before an eojeol
_PRIVATE = range(0xF0000, 0xFFFFE)  # Unicode gives these characters to nobody
_STRANGER = "\U0010fffd"  # for a private character of the text itself


class Hidden(NamedTuple):
    """A text whose added tokens are one character each."""

    text: str
    starts: np.ndarray  # [W + 1] where each character begins in the text as it came, and its end
    ends: np.ndarray  # [W] where it ends there


class AddedTokens:
    """Each token goes through SentencePiece as one character that its model does not know, so that what stands beside
    it is cut as ever.

    ids    token -> its id
    known  the characters that the model knows
    """

    def __init__(self, ids: Mapping[str, int], known: Iterable[str] = ()):
        known = set(known)
        free = (chr(i) for i in _PRIVATE if chr(i) not in known)
        self._stand_ins = {token: next(free) for token in ids}
        self.ids = {self._stand_ins[token]: i for token, i in ids.items()}
        self._specials = {self._stand_ins[token] for token in ids if token in SPECIALS}
        stand_ins = "".join(self.ids)
        longest_first = sorted(map(re.escape, ids), key=len, reverse=True)
        self._in_text = re.compile("|".join([*longest_first, f"[{stand_ins}]"])) if ids else None
        self._in_piece = re.compile(f"([{stand_ins}])") if ids else None

    def hide(self, text: str) -> Hidden:
        """The text with one character in the place of each added token."""
        if self._in_text is None:
            places = np.arange(len(text) + 1)
            return Hidden(text, places, places[1:])
        parts, starts, ends, last = [], [], [], 0
        for found in self._in_text.finditer(text):
            parts += [text[last : found.start()], self._stand_ins.get(found[0], _STRANGER)]
            starts += range(last, found.start() + 1)
            ends += [*range(last + 1, found.start() + 1), found.end()]
            last = found.end()
        starts, ends = [*starts, *range(last, len(text) + 1)], [*ends, *range(last + 1, len(text) + 1)]
        return Hidden("".join([*parts, text[last:]]), np.array(starts), np.array(ends, np.int64))

    def __contains__(self, written: str) -> bool:
        """Whether a token is hidden in this text or piece."""
        return self._in_piece is not None and self._in_piece.search(written) is not None

    def split(self, piece: str) -> list[str]:
        """A piece that SentencePiece did not know, with the tokens that are hidden in it on their own."""
        return [part for part in self._in_piece.split(piece) if part] if self._in_piece is not None else [piece]

    def silent(self, pieces: list[str]) -> list[bool]:
        """Of each piece whether it is the mere blank before a special, which needs none: [MASK] may begin an eojeol."""
        return [piece == BLANK and behind in self._specials for piece, behind in zip(pieces, [*pieces[1:], ""])]
