"""Whether a measure agrees with people: measured values of sounds beside what listeners thought of the same sounds.

liked = agreement.liking(listening.read(run.folder))
agreement.agree({("voice", "item 1"): 7.2, ...}, liked)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nbkit.evaluate import text
from nbkit.evaluate.listening import Answer

Sound = tuple[str, str]
"""System and item."""


class Correlation(NamedTuple):
    """A correlation with its 95 % interval; nan where too few draws define one."""

    value: float
    low: float
    high: float


class Agreement(NamedTuple):
    """How a measure goes with opinions."""

    sounds: int
    items: int
    spearman: Correlation
    pearson: Correlation


def liking(given: Sequence[Answer]) -> dict[Sound, float]:
    """What listeners thought of each sound: its mean rating, else how often it was preferred where it was compared.

    "No difference" counts half for both. Answers to repeated questions, and of kind abx, say nothing here and are left
    out. raises  ValueError where ratings and preferences stand side by side: they are two scales
    """
    found: dict[Sound, list[float]] = defaultdict(list)
    used = [answer for answer in given if not answer.trial.repeat and answer.trial.kind in ("ab", "mos")]
    if len({answer.trial.kind for answer in used}) > 1:
        raise ValueError("opinions want answers of one kind, got ratings and preferences; take one test at a time")
    for answer in used:
        for system in answer.trial.order:
            if answer.trial.kind == "mos":
                value = float(answer.answer)
            else:
                value = 0.5 if answer.system == "same" else float(answer.system == system)
            found[system, answer.trial.item].append(value)
    return {sound: float(np.mean(values)) for sound, values in found.items()}


def agree(measured: Mapping[Sound, float], liked: Mapping[Sound, float], *, seed: int = 0) -> Agreement:
    """Rank and linear correlation over the sounds that have both, with bootstrap intervals over items.

    The sounds of one item stand or fall together: items are drawn again, each with all of its sounds.
    raises  ValueError where there are less than three sounds with both, or all values of one side are alike
    """
    both = [sound for sound in sorted(liked) if np.isfinite(measured.get(sound, np.nan))]
    if len(both) < 3:
        raise ValueError(
            f"wanted three sounds or more that were measured and heard, got {len(both)} of {len(measured)} measured "
            f"and {len(liked)} heard; give both the same names"
        )
    x, y = (np.array([side[sound] for sound in both]) for side in (measured, liked))
    for name, side in (("measured values", x), ("opinions", y)):
        if np.ptp(side) == 0:
            raise ValueError(f"a correlation wants values that differ, got {name} that are all {side[0]:g}; add sounds")
    items, of_item = np.unique([item for _, item in both], return_inverse=True)
    table = np.full((len(items), max(np.bincount(of_item))), -1)  # the sounds of each item, -1 where it has fewer
    for number, sound in zip(of_item, range(len(both))):
        table[number, np.argmin(table[number])] = sound
    return Agreement(len(both), len(items), *(_over_items(how, x, y, table, seed) for how in (_spearman, text.pearson)))


def _over_items(how: text.Statistic, x: np.ndarray, y: np.ndarray, table: np.ndarray, seed: int) -> Correlation:
    def statistic(drawn: np.ndarray) -> np.ndarray:
        rows = table[drawn].reshape(*drawn.shape[:-1], -1)
        if (table >= 0).all():
            return how(x[rows], y[rows])
        return np.array([how(x[row[row >= 0]][None], y[row[row >= 0]][None])[0] for row in np.atleast_2d(rows)])

    value = float(how(x[None], y[None])[0])
    if len(table) < 2:
        return Correlation(value, np.nan, np.nan)
    return Correlation(value, *text.interval(statistic, np.arange(len(table)), seed=seed))


def _spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return text.spearman(x, y)
