"""Which answer belongs to a question: the data, the protocol, and the base camp.

The protocol is that of response selection: for each held-out question its own answer stands among 99 others, and a
system puts them into an order. Which others depends on the question alone, never on the system or on its seed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from nbkit.base import seeds
from nbkit.data.text_sets import TextSet, plain_question
from nbkit.evaluate import text
from nbkit.evaluate.baselines import Bm25Search, TfidfSearch
from nbkit.evaluate.results import Results

CANDIDATES = 100
_QUERIES = 256  # that are compared with all documents at once, to bound memory


class Question(NamedTuple):
    """A question and the number of its answer."""

    id: str
    text: str
    answer: int


class Answers:
    """Questions of each split, and the pool of distinct answers in which theirs are.

    answers    [N] texts, each once
    questions  by split; one that stands in a split further out (test, then validation), but for what plain_question()
               leaves out, is left out of those further in, so that a held-out question is one that was never seen
    left_out   how many those are
    known      [K] numbers into questions["train"]: the first use of each text that is known to belong to an answer
    """

    def __init__(self, texts: TextSet):
        """raises  ValueError for a row without a question or an answer, or where there are fewer than two answers"""
        rows = {split: texts.splits[split] for split in ("test", "validation", "train")}
        for split in rows.values():
            for row in split:
                if not row.text.strip() or not row.pair.strip():
                    raise ValueError(f"wanted a question and an answer in each row, {texts.name} lacks one in {row.id}")
        self.answers = sorted({row.pair for split in rows.values() for row in split})
        if len(self.answers) < 2 or not all(rows.values()):
            got = ", ".join(f"{len(split)} rows of {name}" for name, split in rows.items())
            raise ValueError(f"wanted at least two different answers and rows in each split, {texts.name} has {got}")
        number = {answer: n for n, answer in enumerate(self.answers)}
        self.questions: dict[str, list[Question]] = {}
        self._right: dict[str, set[int]] = defaultdict(set)
        held_out: set[str] = set()
        for split, found in rows.items():
            kept = [row for row in found if plain_question(row.text) not in held_out]
            self.questions[split] = [Question(row.id, row.text, number[row.pair]) for row in kept]
            held_out |= {plain_question(row.text) for row in found}
            for row in found:
                self._right[plain_question(row.text)].add(number[row.pair])
        self.left_out = sum(map(len, rows.values())) - sum(map(len, self.questions.values()))
        if not self.questions["train"]:
            raise ValueError(f"wanted questions to learn from, all of {texts.name}'s are held out as well")

    def right(self, question: str) -> set[int]:
        """Numbers of all answers that the data gives to a question, in any split."""
        return self._right[plain_question(question)]

    def candidates(self, split: str, count: int = CANDIDATES) -> np.ndarray:
        """The true answer of each question, then others that the data gives to other questions only. [Q, count]

        There are fewer than `count` columns where there are not so many answers.
        """
        questions = self.questions[split]
        most = min(len(self.answers) - len(self.right(question.text)) for question in questions)
        others = min(count - 1, most)
        found = np.empty((len(questions), 1 + others), dtype=np.int64)
        for row, question in zip(found, questions):
            right = self.right(question.text)
            drawn = seeds.generator(0, "candidates", question.id).permutation(len(self.answers))
            row[0] = question.answer
            row[1:] = drawn[~np.isin(drawn, list(right))][:others]
        return found

    def documents(self, known_questions: bool) -> tuple[list[str], np.ndarray]:
        """What a search looks into, and the answer that each text stands for. [D] texts, [D] int64

        known_questions   not only the answers, but also the questions of the training split, which are often closer
                          to a new question than its answer is
        """
        texts, owners = list(self.answers), list(range(len(self.answers)))
        if known_questions:
            texts += [question.text for question in self.questions["train"]]
            owners += [question.answer for question in self.questions["train"]]
        return texts, np.array(owners)

    def hard(self, split: str, count: int = 20) -> np.ndarray:
        """For each question the wrong answers that BM25 takes for right, with known questions. [Q, count] int64"""
        search, best = Lookup(Bm25Search, self, True), []
        questions = self.questions[split]
        count = min(count, min(len(self.answers) - len(self.right(q.text)) for q in questions))
        for question, scores in zip(questions, search.rows([q.text for q in questions])):
            scores[list(self.right(question.text))] = -np.inf
            best.append(np.argsort(-scores, kind="stable")[:count])
        return np.array(best)


class Search(Protocol):
    """Points of texts that it was made of."""

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """Greater is nearer. [Q, N] float32"""
        ...


class Lookup:
    """A search in which each answer has as many points as the best of its texts."""

    def __init__(self, search: Callable[[Sequence[str]], Search], answers: Answers, known: bool):
        texts, owners = answers.documents(known)
        self._search, self._order = search(texts), np.argsort(owners, kind="stable")
        self._starts = np.searchsorted(owners[self._order], np.arange(len(answers.answers)))

    def rows(self, questions: Sequence[str]) -> Iterator[np.ndarray]:
        """Points of all N answers, question by question. [N] float32 each"""
        for start in range(0, len(questions), _QUERIES):
            scores = self._search.scores(questions[start : start + _QUERIES])
            yield from np.maximum.reduceat(scores[:, self._order], self._starts, axis=1)


class Ranked(NamedTuple):
    """What a system makes of the candidates: scores [Q, count], true answer in column 0, and the seconds of learning
    and answering together."""

    system: str
    scores: np.ndarray
    seconds: float

    @property
    def ranks(self) -> np.ndarray:
        """Of the true answers. [Q]"""
        return text.ranks(self.scores, np.zeros(len(self.scores), dtype=np.int64))


SEARCHES = {"TF-IDF": TfidfSearch, "BM25": Bm25Search}


def ranked(
    system: str, search: Callable[[Sequence[str]], Search], answers: Answers, split: str = "test", seconds: float = 0.0
) -> list[Ranked]:
    """What a search makes of the candidates: of the answers alone, and with the known questions of each beside it.

    seconds   that learning took, before
    """
    candidates, questions = answers.candidates(split), [question.text for question in answers.questions[split]]
    found = []
    for known in (False, True):
        began = time.monotonic()
        points = Lookup(search, answers, known).rows(questions)
        scores = np.stack([row[chosen] for row, chosen in zip(points, candidates)])
        within = "answers and known questions" if known else "answers"
        found.append(Ranked(f"{system}, {within}", scores, seconds + time.monotonic() - began))
    return found


def base_camp(answers: Answers, split: str = "test") -> list[Ranked]:
    """TF-IDF and BM25."""
    return [one for name, search in SEARCHES.items() for one in ranked(name, search, answers, split)]


def enter(results: Results, ranked: Ranked) -> None:
    """The measures of a system into the one table, with intervals."""
    for k in (1, 5, 10):
        results.measure(
            ranked.system, f"recall@{k}", partial(text.recall_at, k=k), ranked.ranks, seconds=ranked.seconds
        )
    results.measure(ranked.system, "MRR", text.mrr, ranked.ranks, seconds=ranked.seconds)


def misses(answers: Answers, systems: Sequence[Ranked], count: int = 6, split: str = "test") -> list[tuple]:
    """Questions on which the systems disagree most: question, true answer, its rank in each, what each puts first."""
    candidates, questions = answers.candidates(split), answers.questions[split]
    found = np.stack([ranked.ranks for ranked in systems], axis=1)
    spread = np.log(found).max(1) - np.log(found).min(1)
    rows = []
    for n in np.argsort(-spread, kind="stable")[:count]:
        first = [answers.answers[candidates[n, ranked.scores[n].argmax()]] for ranked in systems]
        ranked_as = [f"{rank:g}: {answer}" for rank, answer in zip(found[n], first)]
        rows.append((questions[n].text, answers.answers[questions[n].answer], *ranked_as))
    return rows
