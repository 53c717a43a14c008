"""Listening tests: which sound is played when, what was answered, and how far each listener can be relied on.

    trials = plan("ab", items, systems, seed=0, listener="minji", repeats=2)
    ...
    given = read(run.folder)

What the answers say of the systems is in evaluate.opinions.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nbkit.base import answers, seeds

KINDS = ("ab", "abx", "mos")
_FIELDS = ("kind", "item", "order", "repeat", "answer", "seconds", "played", "listener")


@dataclass(frozen=True)
class Trial:
    """One question: an item, and the systems behind A, B (and X) or behind the one sound of a rating.

    repeat   1 where a question that was asked before comes again, to see whether the answer is the same
    """

    kind: str
    item: str
    order: tuple[str, ...]
    repeat: int = 0

    def about(self) -> dict[str, Any]:
        """The trial as it stands in the line of its answer."""
        return {"kind": self.kind, "item": self.item, "order": list(self.order), "repeat": self.repeat}


def plan(
    kind: str, items: Sequence[str], systems: Sequence[str], *, seed: int, listener: str, repeats: int = 0
) -> list[Trial]:
    """The questions of a listener in their order: a function of the arguments and of nothing else.

    Each pair of systems is asked once an item (each system, where sounds are rated). Of a pair each is A as often as B,
    but for one. The repeated questions come last, with A and B exchanged, and are taken from the first half, which is
    as many as there can be.
    raises  ValueError for less than two systems (one for ratings), or no item
    """
    least = 1 if kind == "mos" else 2
    if kind not in KINDS:
        raise ValueError(f"wanted a kind among {', '.join(KINDS)}, got {kind!r}")
    if len(set(systems)) != len(systems) or len(systems) < least or not items or len(set(items)) != len(items):
        raise ValueError(
            f"a test of kind {kind} wants {least} or more systems and 1 or more items, no two alike, got "
            f"{len(systems)} systems and {len(items)} items; compare more sounds"
        )
    draw = seeds.generator(seed, "listening", kind, listener)
    trials: list[Trial] = []
    for group in itertools.combinations(systems, least):
        for turn, place in enumerate(draw.permutation(len(items)), int(draw.integers(4))):
            trials.append(Trial(kind, items[int(place)], _order(kind, group, turn)))
    trials = [trials[i] for i in draw.permutation(len(trials))]
    if repeats < 0:
        raise ValueError(f"wanted 0 repeats or more, got {repeats}")
    half = math.ceil(len(trials) / 2)
    again = [trials[i] for i in draw.permutation(half)[:repeats]]
    return trials + [Trial(t.kind, t.item, (*t.order[1::-1], *t.order[2:]), 1) for t in again]


def _order(kind: str, group: tuple[str, ...], turn: int) -> tuple[str, ...]:
    if kind == "mos":
        return group
    pair = group if turn % 2 else group[::-1]
    return pair if kind == "ab" else (*pair, pair[turn // 2 % 2])


@dataclass(frozen=True)
class Answer:
    """What one listener said to one trial.

    answer   "A", "B" or "same"; 1 to 5 where sounds are rated
    seconds  from the first play to the answer;  played  how often each sound was
    """

    listener: str
    trial: Trial
    answer: str | int
    seconds: float
    played: tuple[int, ...]

    @property
    def system(self) -> str | int:
        """The system that was chosen, "same", or the rating."""
        return self.trial.order["AB".index(self.answer)] if self.answer in ("A", "B") else self.answer


def read(folder: str | os.PathLike) -> list[Answer]:
    """All answers that stand in a run folder, listener by listener; none where nobody was asked.

    raises  ValueError for a line that is no answer of a listening test
    """
    found = []
    for path in sorted((Path(folder) / answers.FOLDER).glob("*.jsonl")):
        for row in answers.standing(path).values():
            if missing := [name for name in _FIELDS if name not in row]:
                raise ValueError(f"wanted {', '.join(_FIELDS)} in each answer of {path}, got none of {missing}")
            trial = Trial(row["kind"], row["item"], tuple(row["order"]), row["repeat"])
            allowed = {"ab": ("A", "B", "same"), "abx": ("A", "B"), "mos": (1, 2, 3, 4, 5)}.get(trial.kind, ())
            if row["answer"] not in allowed:
                raise ValueError(f"wanted an answer among {allowed} in {path}, got {row['answer']!r}; take it out")
            found.append(Answer(row["listener"], trial, row["answer"], float(row["seconds"]), tuple(row["played"])))
    return found


@dataclass(frozen=True)
class Consistency:
    """How one listener answered.

    same      of the repeated questions, how many got the same answer; ratings may differ by 1
    first     how often "A" among the answers "A" and "B"; far from one half, the letter was answered, not the sound
    seconds   median from the first play to the answer;  played  plays a sound, in the mean
    """

    listener: str
    answers: int
    repeated: int
    same: int
    first: float
    seconds: float
    played: float


def consistency(given: Sequence[Answer]) -> list[Consistency]:
    """How far the answers of each listener can be relied on."""
    found = []
    for listener in sorted({a.listener for a in given}):
        own = [a for a in given if a.listener == listener]
        before = {(a.trial.item, frozenset(a.trial.order)): a for a in own if not a.trial.repeat}
        again = [(before[key], a) for a in own if a.trial.repeat
                 and (key := (a.trial.item, frozenset(a.trial.order))) in before]  # fmt: skip
        letters = [a.answer == "A" for a in own if a.answer in ("A", "B")]
        found.append(
            Consistency(
                listener,
                len(own),
                len(again),
                sum(_agree(one, other) for one, other in again),
                float(np.mean(letters)) if letters else math.nan,
                float(np.median([a.seconds for a in own])),
                float(np.mean([count for a in own for count in a.played])),
            )
        )
    return found


def _agree(one: Answer, other: Answer) -> bool:
    if one.trial.kind == "mos":
        return abs(int(one.answer) - int(other.answer)) <= 1
    return one.system == other.system
