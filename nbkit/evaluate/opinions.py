"""What the answers of a listening test say of the systems, with intervals.

    for estimate in results(listening.read(run.folder)): ...

Listeners and items are both a sample of others that could have been asked and heard. With one listener the intervals
speak of other items for the same ears. With several, both are drawn again in a bootstrap, and an interval is never
narrower than it would be if all answers were independent.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nbkit.base import seeds
from nbkit.evaluate.listening import Answer, Trial

_DRAWS = 2000


@dataclass(frozen=True)
class Estimate:
    """A number that answers give, with its 95 % interval.

    kind       ab: how often the first system was preferred among the answers that preferred one
               abx: how often X was recognised;  mos: mean rating;  difference: of the mean ratings of two systems
    ties       answers "no difference", which are left out of the share
    p          how often answers at least as far from chance come by chance; nan for ratings
    low, high  nan where ratings are all alike, or one alone: how far others would lie from them is not known
    """

    kind: str
    label: str
    value: float
    low: float
    high: float
    answers: int
    listeners: int
    ties: int = 0
    p: float = math.nan


CHANCE = {"ab": 0.5, "abx": 0.5, "difference": 0.0}


def results(given: Sequence[Answer]) -> list[Estimate]:
    """What the answers say of each system or pair; answers to repeated questions are left out."""
    first = [answer for answer in given if not answer.trial.repeat]
    kinds = {answer.trial.kind for answer in first}
    return [
        estimate
        for kind, measure in (("ab", _preferred), ("abx", _recognised), ("mos", _rated), ("mos", _differences))
        if kind in kinds
        for estimate in measure([answer for answer in first if answer.trial.kind == kind])
    ]


def _preferred(given: list[Answer]) -> list[Estimate]:
    found = []
    for one, other in _pairs(given):
        pair = [a for a in given if set(a.trial.order) == {one, other}]
        decided = [(a, float(a.system == one)) for a in pair if a.system != "same"]
        found.append(_share("ab", f"{one} over {other}", decided, len(pair) - len(decided)))
    return found


def _recognised(given: list[Answer]) -> list[Estimate]:
    found = []
    for one, other in _pairs(given):
        pair = [a for a in given if set(a.trial.order) == {one, other}]
        found.append(
            _share("abx", f"{one} told from {other}", [(a, float(a.system == a.trial.order[2])) for a in pair])
        )
    return found


def _rated(given: list[Answer]) -> list[Estimate]:
    systems = sorted({a.trial.order[0] for a in given})
    return [_mean("mos", s, [(a, float(a.answer)) for a in given if a.trial.order[0] == s], (1, 5)) for s in systems]


def _differences(given: list[Answer]) -> list[Estimate]:
    """Of two systems where the same listener has rated the same item of both."""
    ratings: dict[str, dict[tuple[str, str], Answer]] = {}
    for a in given:
        ratings.setdefault(a.trial.order[0], {})[a.listener, a.trial.item] = a
    found = []
    for one, other in itertools.combinations(sorted(ratings), 2):
        both = [(a, float(a.answer) - float(b.answer)) for key, a in ratings[one].items()
                if (b := ratings[other].get(key))]  # fmt: skip
        if both:
            found.append(_mean("difference", f"{one} less {other}", both, (-4, 4)))
    return found


def _pairs(given: list[Answer]) -> list[tuple[str, str]]:
    return sorted({(min(a.trial.order), max(a.trial.order)) for a in given})


def _share(kind: str, label: str, rows: list[tuple[Answer, float]], ties: int = 0) -> Estimate:
    """A share of ones, by Wilson's interval and the exact test of both sides against one half."""
    from scipy.stats import binomtest

    listeners = len({a.listener for a, _ in rows})
    if not rows:
        return Estimate(kind, label, math.nan, math.nan, math.nan, 0, 0, ties)
    ones = int(sum(value for _, value in rows))
    test = binomtest(ones, len(rows), CHANCE[kind])
    bounds = test.proportion_ci(method="wilson")
    low, high, p = bounds.low, bounds.high, test.pvalue
    if listeners > 1:
        drawn = _drawn(rows)
        low, high = _wider((low, high), drawn)
        p = max(p, 2 * min((drawn <= CHANCE[kind]).mean(), (drawn >= CHANCE[kind]).mean()))
    return Estimate(kind, label, ones / len(rows), low, high, len(rows), listeners, ties, min(1.0, float(p)))


def _mean(kind: str, label: str, rows: list[tuple[Answer, float]], scale: tuple[float, float]) -> Estimate:
    """A mean, by Student's interval, which ends where the scale ends; ratings that are all alike give none."""
    from scipy.stats import t

    values, listeners = np.array([value for _, value in rows]), len({a.listener for a, _ in rows})
    low = high = math.nan
    if np.ptp(values) > 0:
        reach = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
        low, high = values.mean() - reach, values.mean() + reach
        if listeners > 1:
            low, high = _wider((low, high), _drawn(rows))
    low, high = (float(np.clip(edge, *scale)) for edge in (low, high))
    return Estimate(kind, label, float(values.mean()), low, high, len(values), listeners)


def _drawn(rows: list[tuple[Answer, float]]) -> np.ndarray:
    """The mean over rows when listeners and items are both drawn again, each by itself. [draws], without undefined ones

    The weight of a row is how often its listener was drawn times how often its item was: the bootstrap for two crossed
    factors of Owen (2007), "The pigeonhole bootstrap", which errs on the wide side.
    """
    who, listener = np.unique([a.listener for a, _ in rows], return_inverse=True)
    what, item = np.unique([a.trial.item for a, _ in rows], return_inverse=True)
    values = np.array([value for _, value in rows])
    draw = seeds.generator(0, "bootstrap", "listening")
    weights = [draw.multinomial(n, np.full(n, 1 / n), _DRAWS) for n in (len(who), len(what))]
    weight = weights[0][:, listener] * weights[1][:, item]
    known = weight.sum(1) > 0
    return (weight[known] * values).sum(1) / weight[known].sum(1)


def _wider(bounds: tuple[float, float], drawn: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(min(bounds[0], low)), float(max(bounds[1], high))


class Promise(NamedTuple):
    """What a test of so many questions can promise, if the truth is `share`."""

    questions: int
    covered: float  # how often the interval holds the truth
    sure: float  # how often p < 0.05 comes out
    width: float  # of the interval in the mean


def promise(share: float, questions: int) -> Promise:
    """Of all tests with an imaginary listener who prefers one system in `share` of the questions; exact, not drawn."""
    from scipy.stats import binom

    if not (0 < share < 1 and questions > 0):
        raise ValueError(f"wanted a share between 0 and 1 and one question or more, got {share} and {questions}")
    chances = binom.pmf(np.arange(questions + 1), questions, share)
    found = [imaginary(share, questions, ones) for ones in range(questions + 1)]
    covered = sum(c for c, e in zip(chances, found, strict=True) if e.low <= share <= e.high)
    sure = sum(c for c, e in zip(chances, found, strict=True) if e.p < 0.05)
    width = sum(c * (e.high - e.low) for c, e in zip(chances, found, strict=True))
    return Promise(questions, float(covered), float(sure), float(width))


def imaginary(share: float, questions: int, ones: int | None = None, *, seed: int = 0) -> Estimate:
    """The result of a listener who does not exist, and says so in its label.

    ones  how many of the answers prefer the first system; drawn with chance `share` where it is not given
    """
    if ones is None:
        ones = int((seeds.generator(seed, "imaginary listener", questions).random(questions) < share).sum())
    trials = [Trial("ab", str(i), ("first", "second")) for i in range(questions)]
    rows = [(Answer("imaginary", t, "A", 0.0, ()), float(i < ones)) for i, t in enumerate(trials)]
    return _share("ab", f"imaginary listener, {questions} questions", rows)
