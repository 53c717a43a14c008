"""Measures of text tasks, and how sure one can be of them.

Every measure reduces the last axis: rows [N] give a number, and [D, N], one line a resampling, give [D] at once. That
is what makes the bootstrap fast; a measure of one's own fits into it by doing the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nbkit.base import seeds

Statistic = Callable[..., np.ndarray]
"""Arrays [..., N] -> [...]; nan where it is not defined."""

_CHUNK = 1 << 22  # numbers that a bootstrap holds at once


def accuracy(predicted: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Share of the rows where both are equal."""
    predicted, truth = _rows(predicted, truth)
    return (predicted == truth).mean(-1)


def f1(predicted: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Macro F1: the mean over the labels that occur, in the predictions or in the truth."""
    predicted, truth = _rows(predicted, truth)
    scores = []
    for label in _labels(predicted, truth):
        said, true = predicted == label, truth == label
        with np.errstate(invalid="ignore"):
            scores.append(2 * (said & true).sum(-1) / (said.sum(-1) + true.sum(-1)))  # 0 / 0 where it does not occur
    known = np.isfinite(scores)
    return np.where(known, scores, 0.0).sum(0) / known.sum(0)


def rmse(predicted: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Root of the mean squared error."""
    predicted, truth = _rows(predicted, truth, finite=True)
    return np.sqrt(((predicted - truth) ** 2).mean(-1))


def pearson(predicted: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Linear correlation.

    raises  ValueError where either is constant: a guess of the mean has no correlation, not one of zero
    """
    predicted, truth = _rows(predicted, truth, finite=True)
    return _correlation(predicted, truth)


def spearman(predicted: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Correlation of the ranks, with the mean rank where values are tied; raises as pearson does."""
    from scipy.stats import rankdata

    predicted, truth = _rows(predicted, truth, finite=True)
    return _correlation(rankdata(predicted, axis=-1), rankdata(truth, axis=-1))


def ranks(scores: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """The rank of the true candidate of each query, 1 the best.

    Candidates with the same score share their mean rank, so that a system which scores all alike gains nothing.
    scores  [Q, N]  greater is better; -inf for what a system cannot say anything about
    truth   [Q]     column of the true candidate
    returns [Q]     1.0 .. N, in halves
    """
    scores, truth = np.asarray(scores), np.asarray(truth)
    if scores.ndim != 2 or not scores.size or truth.shape != scores.shape[:1]:
        raise ValueError(f"wanted scores [Q, N] and truth [Q], got {scores.shape} and {truth.shape}")
    if np.isnan(scores).any():
        raise ValueError(f"wanted scores that can be ordered, got {int(np.isnan(scores).sum())} that are nan")
    if truth.dtype.kind not in "iu" or truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise ValueError(f"wanted columns of {scores.shape[1]} candidates as truth, got {truth.min()} to {truth.max()}")
    own = scores[np.arange(len(scores)), truth][:, None]
    better, tied = (scores > own).sum(1), (scores == own).sum(1)  # the true one is tied with itself
    return 1.0 + better + (tied - 1) / 2


def recall_at(ranks: ArrayLike, k: int) -> np.ndarray:
    """Share of the queries whose true candidate is among the first k."""
    (ranks,) = _rows(ranks, finite=True)
    return (ranks <= k).mean(-1)


def mrr(ranks: ArrayLike) -> np.ndarray:
    """Mean reciprocal rank."""
    (ranks,) = _rows(ranks, finite=True)
    return (1.0 / ranks).mean(-1)


class Interval(NamedTuple):
    """Where a measure may lie, had other rows been drawn."""

    low: float
    high: float


def interval(
    statistic: Statistic, *arrays: ArrayLike, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Percentile bootstrap over rows: the same rows are drawn from all `arrays` [N].

    Draws in which the statistic is not defined (a correlation of equal values) are left out.
    raises  ValueError for arrays that do not fit together, or where most draws are left out
    """
    drawn = _drawn([(statistic, _rows(*arrays))], draws, seed)[0]
    return Interval(*_bounds(drawn, level))


class Difference(NamedTuple):
    """By how much the first system is better than the second.

    share   two-sided share of the draws in which the sign is another one; small means that it is no accident
    """

    value: float
    low: float
    high: float
    share: float


def difference(
    statistic: Statistic,
    first: tuple[ArrayLike, ...],
    second: tuple[ArrayLike, ...],
    *,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """Paired bootstrap of two systems on the same rows: difference(accuracy, (ours, truth), (theirs, truth))."""
    one, other = _rows(*first), _rows(*second)
    _rows(*one, *other)  # of one length
    value = float(statistic(*one)) - float(statistic(*other))
    drawn = np.subtract(*_drawn([(statistic, one), (statistic, other)], draws, seed))
    known = drawn[np.isfinite(drawn)]
    low, high = _bounds(drawn, level)
    share = min(1.0, 2 * min((known <= 0).mean(), (known >= 0).mean()))
    return Difference(value, low, high, float(share))


def _drawn(systems: list[tuple[Statistic, list[np.ndarray]]], draws: int, seed: int) -> np.ndarray:
    """The statistic of each system in each draw; a draw takes the same rows for all. [systems, draws]"""
    if draws < 1:
        raise ValueError(f"wanted at least one draw, got {draws}")
    rows = len(systems[0][1][0])
    chunk, stream, found = max(1, _CHUNK // rows), seeds.generator(seed, "bootstrap"), []
    for start in range(0, draws, chunk):
        index = stream.integers(0, rows, (min(chunk, draws - start), rows))
        found.append([statistic(*(array[index] for array in arrays)) for statistic, arrays in systems])
    return np.concatenate(found, axis=1)


def _bounds(drawn: np.ndarray, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"wanted a level between 0 and 1, got {level}")
    known = drawn[np.isfinite(drawn)]
    if 2 * len(known) < len(drawn):
        raise ValueError(
            f"wanted a statistic that is defined when rows are drawn again, it is not in {len(drawn) - len(known)} of "
            f"{len(drawn)} draws; measure on more rows"
        )
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _rows(*arrays: ArrayLike, finite: bool = False) -> list[np.ndarray]:
    """The arrays, after a look at their lengths and, where asked, at what stands in them."""
    found = [np.asarray(array) for array in arrays]
    shapes = {array.shape for array in found}
    if len(shapes) > 1 or not found[0].ndim or not found[0].size:
        got = ", ".join(str(array.shape) for array in found)
        raise ValueError(f"wanted one value a row, at least one row and as many in each array, got shapes {got}")
    for array in found:
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ValueError(f"wanted a value in each row, got {int(np.isnan(array).sum())} that are nan")
        if finite and not (array.dtype.kind in "fiub" and np.isfinite(array).all()):
            raise ValueError(f"wanted finite numbers, got {array.dtype} with {array.ravel()[:3]}...")
    return found


def _labels(*arrays: np.ndarray) -> np.ndarray:
    """The labels that occur; for small whole numbers perhaps some more, which is cheaper than to sort all rows."""
    if all(array.dtype.kind in "iu" and array.min() >= 0 and array.max() < 256 for array in arrays):
        return np.arange(max(int(array.max()) for array in arrays) + 1)
    return np.unique(np.concatenate([np.unique(array) for array in arrays]))


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    constant = (np.ptp(a, axis=-1) == 0) | (np.ptp(b, axis=-1) == 0)
    if a.ndim == 1 and constant:
        raise ValueError(
            f"wanted values that differ, got {a.size} rows of which one side is always the same: a correlation is not "
            "defined there; report rmse, or look why the predictions are all equal"
        )
    a, b = (x - x.mean(-1, keepdims=True) for x in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return np.where(constant, np.nan, np.clip(found, -1.0, 1.0))
