"""Korean texts that are made on the spot, so that every notebook and test runs without a download.

All are composed from sentences and word lists written for this project, and are the same on every machine. They can be
learnt, but not from single words: a review turns with a negation and with its last clause, a pair means the same in
other words and another order, an answer calls things by other names than its question.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nbkit.base import seeds
from nbkit.data import texts
from nbkit.data.text_files import TextRow

STORIES = 800
LEAST, MOST = 3, 8  # lines of a story
REVIEWS, PAIRS, SCORES = 4000, 4000, 4000
# how much a difference in each part of a sentence takes from the score of a pair; together 5
PARTS = {"when": 0.5, "who": 1.0, "place": 1.0, "object": 1.25, "verb": 1.25}
NAMED = 0.6  # share of the answers that call a place as the question does
FINAL = ("했다.", "하네요.", "합니다.", "해요.", "하더라고요.")
ENDINGS = ("다.", "어요.", "습니다.", "대요.")
Words = dict[str, tuple[str, ...]]


class _Topic(NamedTuple):
    slots: Words
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


def rows(name: str) -> list[TextRow]:
    """The rows of "reviews", "pairs", "scores" or "answers", no two alike."""
    if name == "answers":
        return list(_answers())
    make, count = {"reviews": (_review, REVIEWS), "pairs": (_pair, PAIRS), "scores": (_scored, SCORES)}[name]
    return _distinct(name, make, count)


def _distinct(name: str, make: Callable[[str, np.random.Generator], TextRow], count: int) -> list[TextRow]:
    found: dict[tuple[str, str], TextRow] = {}
    for n in itertools.count():
        row = make(f"{name}-{n}", seeds.generator(0, "made", name, n))
        found.setdefault((row.text, row.pair), row)
        if len(found) == count:
            return list(found.values())
    raise AssertionError("unreachable")


def _review(name: str, draw: np.random.Generator) -> TextRow:
    """A film review, positive or negative as its last clause says."""
    words, good = _words(), bool(draw.random() < 0.5)
    first, second = (str(word) for word in draw.permutation(words["aspect"])[:2])
    form, end = draw.random(), _says(good, draw, FINAL)
    adverb = _one(words["adverb"], draw) + " " if draw.random() < 0.6 else ""
    if form < 0.3:
        text = f"{first}(이/가) {adverb}{end}"
    elif form < 0.6:
        text = f"{first}(은/는) {_says(not good, draw, FINAL)} 하지만 {second}(은/는) {adverb}{end}"
    elif form < 0.75:
        text = f"{first}(은/는) {_says(not good, draw, ('했지만', '하지만'))} {second}(은/는) {adverb}{end}"
    else:
        text = f"{first}도 {_says(good, draw, ('하고', '했고'))} {second}도 {adverb}{end}"
    if draw.random() < 0.4:
        text = f"{_one(words['opener'], draw)} {text}"
    if draw.random() < 0.25:
        text = f"{text} {_one(words['praise' if good else 'blame'], draw)}"
    return TextRow(name, texts.fit_particles(text), label="positive" if good else "negative")


def _says(good: bool, draw: np.random.Generator, ends: tuple[str, ...]) -> str:
    """A predicate with that meaning: a word of it, or a word of the opposite and a negation."""
    negated = bool(draw.random() < 0.45)
    stem, end = _one(_words()["good" if good != negated else "bad"], draw), _one(ends, draw)
    if not negated:
        return stem + end
    if draw.random() < 0.5:
        return f"안 {stem}{end}"
    return f"{stem}하지 " + {"했": "않았", "하": "않", "합": "않습", "해": "않아"}[end[0]] + end[1:]


def _pair(name: str, draw: np.random.Generator) -> TextRow:
    """Two sentences that mean the same, or differ in one part or two."""
    same = bool(draw.random() < 0.5)
    changed = [] if same else _some(PARTS, int(draw.integers(1, 3)), draw)
    return TextRow(name, *_two(changed, draw), label="same" if same else "different")


def _scored(name: str, draw: np.random.Generator) -> TextRow:
    """Two sentences that differ in any number of parts, and 5 points less the weight of these."""
    changed = _some(PARTS, int(draw.integers(0, len(PARTS) + 1)), draw)
    return TextRow(name, *_two(changed, draw), score=5.0 - sum(PARTS[part] for part in changed))


def _two(changed: list[str], draw: np.random.Generator) -> tuple[str, str]:
    words, first, second = _words(), {}, {}
    for part in PARTS:
        one, other = (str(word) for word in draw.permutation(words[part])[:2])
        first[part] = one
        second[part] = other if part in changed else one
    return _sentence(first, draw), _sentence(second, draw)


def _sentence(said: dict[str, str], draw: np.random.Generator) -> str:
    """The parts in some order, each in one of its wordings, and the verb last."""
    word = {part: _one(said[part].split("/"), draw) for part in PARTS}
    parts = [word["when"], f"{word['who']}(이/가)", f"{word['place']}에서", f"{word['object']}(을/를)"]
    ordered = [parts[at] for at in draw.permutation(len(parts))]
    return texts.fit_particles(" ".join([*ordered, word["verb"] + _one(ENDINGS, draw)]))


def _answers() -> Iterator[TextRow]:
    """Every question about every place; the answer depends on the place and on what is asked, not on how."""
    words = _words()
    for place in words["spot"]:
        called, meant = place.split("/")
        for topic in [name[2:] for name in words if name.startswith("Q ")]:
            draw = seeds.generator(0, "made answers", called, topic)
            values = {name: _one(choices, draw) for name, choices in words.items() if name.isalpha()}
            named = called if draw.random() < NAMED else meant  # as in life, some answers share words with the question
            answer = texts.fit_particles(words[f"A {topic}"][0].format(**values, Y=named))
            for n, asked in enumerate(words[f"Q {topic}"], 1):
                question = texts.fit_particles(asked.format(X=called))
                yield TextRow(f"answers-{called}-{topic}-{n}", question, answer)


def _one(choices: tuple[str, ...] | list[str], draw: np.random.Generator) -> str:
    return choices[int(draw.integers(len(choices)))]


def _some(choices: dict[str, float], count: int, draw: np.random.Generator) -> list[str]:
    return [str(part) for part in draw.permutation(list(choices))[:count]]


def _filled(sentence: str, slots: Words, common: dict[str, str], draw: np.random.Generator) -> str:
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
            _list_words(line, topics[-1].slots if topics else shared)
    return topics


@lru_cache
def _words() -> Words:
    words: Words = {}
    for line in texts.lines("ko_made.txt"):
        if not line.startswith("#"):
            _list_words(line, words)
    return words


def _list_words(line: str, into: Words) -> None:
    name, words = line.split("=")
    into[name.strip()] = tuple(word.strip() for word in words.split("|"))
