"""A text whose characters remember where they were written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Piece(NamedTuple):
    """A character or a symbol and the characters [start, end) of the text that it stands for."""

    symbol: str
    start: int
    end: int


def text_of(pieces: Sequence[Piece]) -> str:
    """The pieces, one character each, as a string."""
    return "".join(piece.symbol for piece in pieces)


def rewrite(
    pieces: list[Piece], pattern: str | re.Pattern[str], spoken: Callable[[re.Match[str]], str | None]
) -> list[Piece]:
    """Replace what matches: each character of the replacement stands for all that was matched.

    pieces    one character each
    spoken    from the match to what is said; None leaves it as it is
    """
    text, found, done = text_of(pieces), [], 0
    for match in re.finditer(pattern, text):
        said = spoken(match) if match.end() > match.start() else None
        if said is None:
            continue
        start, end = pieces[match.start()].start, pieces[match.end() - 1].end
        found += pieces[done : match.start()] + [Piece(character, start, end) for character in said]
        done = match.end()
    return found + pieces[done:]
