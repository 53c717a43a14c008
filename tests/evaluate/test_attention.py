"""Measures of attention against cases whose answer is known."""

import numpy as np
import pytest

from nbkit.evaluate import attention


def shifted(tokens, step):
    """Each token looks at the one `step` further on, in a circle. [1, 1, T, T]"""
    return np.roll(np.eye(tokens), step, axis=1)[None, None]


def drawn(layers=2, heads=3, tokens=7, seed=0):
    weights = np.random.default_rng(seed).random((layers, heads, tokens, tokens)) ** 4
    return weights / weights.sum(-1, keepdims=True)


def test_divergence_goes_from_0_to_1_bit():
    assert attention.divergence(drawn(), drawn()).max() == pytest.approx(0, abs=1e-12)
    assert attention.divergence(shifted(5, 0), shifted(5, 1)) == pytest.approx(1)
    one, two = drawn(), drawn(seed=1)
    found = attention.divergence(one, two)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found, attention.divergence(two, one))
    row, other = one[1, 2, 4], two[1, 2, 4]
    middle = (row + other) / 2
    by_hand = (np.sum(row * np.log2(row / middle)) + np.sum(other * np.log2(other / middle))) / 2
    rows = [
        attention.divergence(np.tile(a, (7, 1))[None, None], np.tile(b, (7, 1))[None, None]).item()
        for a, b in zip(one[1, 2], two[1, 2])
    ]
    assert rows[4] == pytest.approx(by_hand)
    assert found[1, 2] == pytest.approx(np.mean(rows))


def test_crossing_counts_what_leaves_a_text():
    types = [0, 0, 0, 0, 1, 1, 1]
    there, back = attention.crossing(shifted(7, 4), types, [0, 3, 6])  # 1 -> 5, 2 -> 6 special, 4 -> 1, 5 -> 2
    assert (there.item(), back.item()) == (0.5, 1.0)
    there, back = attention.crossing(attention.alike(7), types)
    assert (there.item(), back.item()) == (pytest.approx(3 / 7), pytest.approx(4 / 7))


def test_by_distance_finds_where_heads_look():
    found = attention.by_distance(np.concatenate([np.eye(4)[None, None], attention.alike(4)]), 5)
    assert found.shape == (2, 1, 11)
    assert found[0, 0, 2:9].tolist() == [0, 0, 0, 1, 0, 0, 0]
    np.testing.assert_allclose(found[1, 0, 2:9], 0.25)
    assert np.isnan(found[:, :, [0, 1, 9, 10]]).all()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: attention.divergence(np.ones((2, 2)), np.ones((2, 2))), "wanted weights .layers, heads, from, to."),
        (lambda: attention.divergence(drawn(), drawn(tokens=6)), "wanted weights of one shape"),
        (lambda: attention.divergence(drawn(), np.full((2, 3, 7, 7), np.nan)), "wanted shares that sum to 1"),
        (lambda: attention.by_distance(5 * drawn(), 2), "wanted shares that sum to 1"),
        (lambda: attention.by_distance(np.zeros((0, 1, 2, 2)), 2), "got shape"),
        (lambda: attention.by_distance(drawn(), -1), "wanted a reach of at least 0"),
        (lambda: attention.crossing(drawn(), [0, 1]), "wanted a type for each of 7"),
        (lambda: attention.crossing(drawn(), [0] * 7), "wanted tokens of two texts, got 7 and 0"),
        (lambda: attention.crossing(drawn(), [0] * 4 + [1] * 3, [9]), "wanted places from 0 to 6"),
    ],
)
def test_errors_say_what_was_wanted(call, told):
    with pytest.raises(ValueError, match=told):
        call()
