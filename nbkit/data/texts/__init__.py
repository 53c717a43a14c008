"""Sentences to speak: written ones, and beyond them any number composed from patterns without repetition.

All texts in this folder were written for this project.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nbkit.base import seeds

LANGUAGES = ("ko", "en")


def sentences(language: str, count: int, seed: int = 0) -> list[str]:
    """The first `count` sentences of `language` in the order of `seed`, no two alike.

    Sentence i depends on language, seed and i, not on count. The written sentences come first.
    ValueError  another language, or more than there are
    """
    if language not in LANGUAGES:
        raise ValueError(f"wanted a language among {', '.join(LANGUAGES)}, got {language!r}")
    written, patterns = _written(language), _patterns(language)
    most = len(written) + len(patterns) * min(pattern.size for pattern in patterns)
    if not 0 <= count <= most:
        raise ValueError(f"wanted 0 to {most} sentences of {language!r}, got {count}; take fewer, or another seed too")
    order = seeds.generator(seed, "sentences", language).permutation(len(written))
    composed = (pattern.compose(turn, seed) for turn in itertools.count() for pattern in patterns)
    return [written[i] for i in order[:count]] + list(itertools.islice(composed, max(0, count - len(written))))


@dataclass(frozen=True)
class _Pattern:
    parts: tuple[tuple[str, ...], ...]  # the choices at each place; fixed text is a choice of one

    @property
    def size(self) -> int:
        return math.prod(map(len, self.parts))

    def compose(self, turn: int, seed: int) -> str:
        """Sentence `turn` of `size` different ones: a walk with a stride that visits each combination once."""
        stride = next(s for s in itertools.count(int(self.size * 0.618)) if math.gcd(s, self.size) == 1)
        at = (seeds.key(seed, "pattern", self.size) + turn * stride) % self.size
        words = []
        for choices in self.parts:
            at, chosen = divmod(at, len(choices))
            words.append(choices[chosen])
        text = fit_particles("".join(words))
        return text[0].upper() + text[1:]


def fit_particles(text: str) -> str:
    """Write "귤(을/를)" as "귤을": the first form follows a coda, the second none. (으로/로) takes 로 after ㄹ too."""

    def fitting(found: re.Match) -> str:
        before, closed, open_ = found.groups()
        coda = (ord(before) - ord("가")) % 28
        return before + (open_ if coda == 0 or (closed == "으로" and coda == 8) else closed)

    return re.sub(r"(.)\((\w+)/(\w+)\)", fitting, text)


@lru_cache
def _written(language: str) -> tuple[str, ...]:
    return tuple(lines(f"{language}.txt"))


@lru_cache
def _patterns(language: str) -> tuple[_Pattern, ...]:
    slots: dict[str, tuple[str, ...]] = {}
    patterns = []
    for line in lines(f"{language}_patterns.txt"):
        if line.startswith("- "):
            pieces = re.split(r"<(\w+)>", line[2:])  # fixed text and names of slots in turn
            patterns.append(_Pattern(tuple(slots[piece] if i % 2 else (piece,) for i, piece in enumerate(pieces))))
        elif not line.startswith("#"):
            name, words = line.split("=")
            slots[name.strip()] = tuple(word.strip() for word in words.split("|"))
    return tuple(patterns)


def lines(name: str) -> list[str]:
    """The lines of a file in this folder that are not empty."""
    return [line for line in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines() if line]
