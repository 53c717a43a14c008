"""A text whose characters remember where they were written, and rules that rewrite it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple


class Piece(NamedTuple):
    """A character or a symbol and the characters [start, end) of the text that it stands for."""

    symbol: str
    start: int
    end: int


class Rule(NamedTuple):
    """How one kind of writing is read aloud.

    spoken   from the match to what is said in its place; None leaves it as it is
    """

    name: str
    pattern: re.Pattern[str]
    spoken: Callable[[re.Match[str]], str | None]


class Fired(NamedTuple):
    """A rule that changed the characters [start, end) of the text: what stood there before it, and after it."""

    rule: str
    before: str
    after: str
    start: int
    end: int


def text_of(pieces: Sequence[Piece]) -> str:
    """The pieces, one character each, as a string."""
    return "".join([piece.symbol for piece in pieces])


def rewrite(
    pieces: list[Piece], pattern: str | re.Pattern[str], spoken: Callable[[re.Match[str]], str | None]
) -> list[Piece]:
    """Replace what matches: each character of the replacement stands for all that was matched.

    pieces    one character each
    spoken    from the match to what is said; None leaves it as it is
    """
    return _rewritten(pieces, text_of(pieces), re.compile(pattern), spoken, None)


def apply(rules: Iterable[Rule], pieces: list[Piece], told: list[Fired] | None = None) -> list[Piece]:
    """Let each rule in its turn rewrite the pieces, one character each; what fired is appended to `told`."""
    text = text_of(pieces)
    for rule in rules:
        fired = None if told is None else (told, rule.name)
        found = _rewritten(pieces, text, rule.pattern, rule.spoken, fired)
        if found is not pieces:
            pieces, text = found, text_of(found)
    return pieces


def _rewritten(
    pieces: list[Piece],
    text: str,
    pattern: re.Pattern[str],
    spoken: Callable[[re.Match[str]], str | None],
    told: tuple[list[Fired], str] | None,
) -> list[Piece]:
    """`pieces` itself where nothing is to be replaced."""
    found: list[Piece] = []
    done = 0
    for match in pattern.finditer(text):
        first, last = match.span()
        said = spoken(match) if last > first else None
        if said is None or said == match.group():
            continue
        start, end = pieces[first].start, pieces[last - 1].end
        found += pieces[done:first]
        found += [Piece(character, start, end) for character in said]
        done = last
        if told is not None:
            told[0].append(Fired(told[1], match.group(), said, start, end))
    return found + pieces[done:] if done else pieces
