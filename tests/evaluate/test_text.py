"""Measures of text tasks, against scipy, scikit-learn, and what can be worked out by hand."""

from functools import partial

import numpy as np
import pytest
from scipy import stats

from nbkit.evaluate import text


def correlated(rows=60, lines=()):
    stream = np.random.default_rng(3)
    a = stream.normal(size=(*lines, rows))
    return a, a + stream.normal(size=(*lines, rows))


def test_accuracy_and_f1_of_labels_and_of_numbers():
    from sklearn.metrics import f1_score

    stream = np.random.default_rng(0)
    predicted, truth = stream.integers(0, 4, 100), stream.integers(0, 3, 100)
    assert text.accuracy(predicted, truth) == (predicted == truth).mean()
    assert text.f1(predicted, truth) == pytest.approx(f1_score(truth, predicted, average="macro"))
    names = np.array(["not here", "a", "b", "c", "d"])  # a label that never occurs counts for nothing
    assert text.f1(names[predicted + 1], names[truth + 1]) == pytest.approx(text.f1(predicted, truth))
    assert text.f1(predicted + 7, truth + 7) == pytest.approx(text.f1(predicted, truth))


def test_correlations_are_those_of_scipy_with_ties():
    a, b = correlated()
    assert text.pearson(a, b) == pytest.approx(stats.pearsonr(a, b)[0])
    assert text.spearman(a.round(), b.round()) == pytest.approx(stats.spearmanr(a.round(), b.round())[0])
    assert text.rmse([1.0, 2.0], [1.0, 4.0]) == pytest.approx(2**0.5)


@pytest.mark.parametrize("measure", [text.accuracy, text.f1, text.pearson, text.spearman, text.rmse])
def test_a_measure_of_many_lines_is_that_of_each(measure):
    a, b = (x.round().astype(int) for x in correlated(lines=(5,)))
    np.testing.assert_allclose(measure(a, b), [measure(*pair) for pair in zip(a, b)])


def test_ranks_gain_nothing_from_ties():
    scores = [[3.0, 1.0, 2.0], [1.0, 1.0, 1.0], [0.5, 0.5, 0.9], [-np.inf, 1.0, -np.inf]]
    found = text.ranks(scores, np.array([0, 1, 1, 0]))
    np.testing.assert_array_equal(found, [1.0, 2.0, 2.5, 2.5])
    assert text.recall_at(found, 1) == 0.25
    assert text.recall_at(found, 2) == 0.5
    assert text.mrr(found) == pytest.approx((1 + 0.5 + 0.4 + 0.4) / 4)


@pytest.mark.parametrize("columns", [10, 100])
def test_a_system_that_scores_all_alike_is_not_above_chance(columns):
    found = text.ranks(np.zeros((4, columns)), np.arange(4))
    assert text.recall_at(found, 1) == 0
    assert text.mrr(found) == pytest.approx(2 / (columns + 1))


def test_intervals_are_those_of_scipy_and_of_the_seed():
    a, b = correlated()
    found = text.interval(text.pearson, a, b, draws=4000)
    theirs = stats.bootstrap(
        (a, b),
        lambda a, b, axis: text.pearson(a, b),
        paired=True,
        vectorized=True,
        n_resamples=4000,
        method="percentile",
        rng=1,
    ).confidence_interval
    np.testing.assert_allclose(found, theirs, atol=0.01)
    assert text.interval(text.pearson, a, b, seed=5) == text.interval(text.pearson, a, b, seed=5)
    assert text.interval(text.pearson, a, b, seed=5) != text.interval(text.pearson, a, b, seed=6)
    narrow = text.interval(text.pearson, a, b, level=0.5)
    assert found.low < narrow.low < narrow.high < found.high


def test_an_interval_covers_the_truth_as_often_as_it_says():
    stream, inside = np.random.default_rng(1), 0
    for trial in range(200):
        rows = (stream.random(100) < 0.8).astype(int)
        low, high = text.interval(text.accuracy, rows, np.ones(100, int), draws=400, seed=trial)
        inside += low <= 0.8 <= high
    assert 180 <= inside <= 199


def test_an_interval_does_not_depend_on_how_the_draws_are_cut(monkeypatch):
    a, b = correlated()
    whole = text.interval(text.spearman, a, b, draws=50)
    monkeypatch.setattr(text, "_CHUNK", 7 * len(a))
    assert text.interval(text.spearman, a, b, draws=50) == whole


def test_a_difference_is_paired():
    stream = np.random.default_rng(2)
    truth = stream.integers(0, 2, 400)
    theirs = np.where(stream.random(400) < 0.7, truth, 1 - truth)
    ours = theirs.copy()
    ours[:40] = truth[:40]  # never worse
    found = text.difference(text.accuracy, (ours, truth), (theirs, truth))
    assert found.value == pytest.approx((ours == truth).mean() - (theirs == truth).mean())
    assert 0 < found.low < found.value < found.high
    assert found.share < 0.01
    same = text.difference(text.accuracy, (theirs, truth), (theirs, truth))
    assert same == (0.0, 0.0, 0.0, 1.0)
    other = text.difference(text.accuracy, (theirs, truth), (ours, truth))
    assert (other.value, other.low) == pytest.approx((-found.value, -found.high))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: text.accuracy([1, 2], [1]), r"shapes \(2,\), \(1,\)"),
        (lambda: text.accuracy([], []), "at least one row"),
        (lambda: text.pearson([1.0, np.nan], [1.0, 2.0]), "1 that are nan"),
        (lambda: text.pearson([1.0, np.inf], [1.0, 2.0]), "finite numbers"),
        (lambda: text.pearson([1.0, 1.0], [1.0, 2.0]), "not defined"),
        (lambda: text.spearman(["a", "b"], [1.0, 2.0]), "finite numbers"),
        (lambda: text.ranks([[1.0, np.nan]], [0]), "1 that are nan"),
        (lambda: text.ranks([[1.0, 2.0]], [2]), "columns of 2 candidates"),
        (lambda: text.ranks([1.0, 2.0], [0]), "scores"),
        (lambda: text.interval(text.accuracy, [1, 2], [1, 2], draws=0), "at least one draw"),
        (lambda: text.interval(text.accuracy, [1, 2], [1, 2], level=95.0), "between 0 and 1"),
        (lambda: text.interval(lambda x: np.full(x.shape[:-1], np.nan), [0.0, 1.0], draws=31), "31 of 31 draws"),
        (lambda: text.difference(text.mrr, (np.ones(3),), (np.ones(4),)), "shapes"),
    ],
)
def test_what_cannot_be_measured_is_told(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_draw_without_a_correlation_is_left_out():
    low, high = text.interval(text.pearson, [0.0, 1.0, 2.0], [0.0, 2.0, 1.0], draws=200)
    assert -1 <= low <= high <= 1


def test_recall_in_an_interval():
    found = text.interval(partial(text.recall_at, k=2), np.array([1.0, 2.0, 3.0, 4.0] * 20))
    assert found.low < 0.5 < found.high
