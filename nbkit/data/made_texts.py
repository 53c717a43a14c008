"""Korean texts that are made on the spot, so that every notebook and test runs without a download.

All are composed from sentences and word lists written for this project, and are the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nbkit.base import seeds
from nbkit.data import texts
from nbkit.data.text_files import TextRow

STORIES = 800
LEAST, MOST = 3, 8  # lines of a story


class _Topic(NamedTuple):
    slots: dict[str, tuple[str, ...]]
    sentences: list[str]


def documents() -> Iterator[list[str]]:
    """STORIES documents of LEAST to MOST lines. The lines of one have a topic, people and things in common."""
    topics = _topics()
    for n in range(STORIES):
        draw = seeds.generator(0, "made documents", n)
        topic = topics[n % len(topics)]
        common = {name.capitalize(): str(draw.choice(words)) for name, words in topic.slots.items()}
        count = int(draw.integers(LEAST, min(MOST, len(topic.sentences)) + 1))
        chosen = np.sort(draw.permutation(len(topic.sentences))[:count])
        yield [_filled(topic.sentences[at], topic.slots, common, draw) for at in chosen]


def _filled(sentence: str, slots: dict[str, tuple[str, ...]], common: dict[str, str], draw: np.random.Generator) -> str:
    """A sentence with a word in each slot, no word twice, and the particles that fit."""
    used = set()

    def word(found: re.Match) -> str:
        name = found.group(1)
        if name in common:
            return common[name]
        free = [choice for choice in slots[name] if choice not in used] or list(slots[name])
        used.add(chosen := str(draw.choice(free)))
        return chosen

    return texts.fit_particles(re.sub(r"<(\w+)>", word, sentence))


@lru_cache
def _topics() -> list[_Topic]:
    shared, topics = {}, []
    for line in texts.lines("ko_stories.txt"):
        if line.startswith("topic "):
            topics.append(_Topic(dict(shared), []))
        elif line.startswith("- "):
            topics[-1].sentences.append(line[2:])
        elif not line.startswith("#"):
            name, words = line.split("=")
            slots = topics[-1].slots if topics else shared
            slots[name.strip()] = tuple(word.strip() for word in words.split("|"))
    return topics


def rows(name: str) -> list[TextRow]:
    """The rows of "reviews", "pairs", "scores" or "answers"."""
    raise NotImplementedError(name)
