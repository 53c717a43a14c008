"""Measures beside opinions: joined by sound, correlated over items."""

import numpy as np
import pytest

from nbkit.evaluate import agreement
from nbkit.evaluate.listening import Answer, Trial


def rating(listener, system, item, value, repeat=0):
    return Answer(listener, Trial("mos", item, (system,), repeat), value, 1.0, (1,))


def choice(item, order, answer):
    return Answer("me", Trial("ab", item, order), answer, 1.0, (1, 1))


def test_liking_is_the_mean_rating_of_a_sound():
    given = [rating("a", "x", "1", 4), rating("b", "x", "1", 5), rating("a", "y", "1", 2), rating("a", "x", "1", 1, 1)]
    assert agreement.liking(given) == {("x", "1"): 4.5, ("y", "1"): 2.0}


def test_liking_is_how_often_a_sound_was_preferred():
    given = [choice("1", ("x", "y"), "A"), choice("1", ("y", "z"), "B"), choice("2", ("y", "x"), "same")]
    liked = agreement.liking(given)
    assert liked["x", "1"] == liked["z", "1"] == 1
    assert liked["y", "1"] == 0
    assert liked["x", "2"] == liked["y", "2"] == 0.5


def test_two_scales_are_not_mixed():
    with pytest.raises(ValueError, match="one kind"):
        agreement.liking([rating("a", "x", "1", 4), choice("1", ("x", "y"), "A")])


def sounds(noise: float, items: int = 12):
    draw = np.random.default_rng(1)
    names = [(system, str(item)) for item in range(items) for system in "abc"]
    liked = {name: 5.0 - "abc".index(name[0]) + draw.normal(scale=0.2) for name in names}
    return {name: -value + draw.normal(scale=noise) for name, value in liked.items()}, liked


def test_a_planted_agreement_is_found_with_its_interval():
    found = agreement.agree(*sounds(0.1))
    assert (found.sounds, found.items) == (36, 12)
    for one in (found.spearman, found.pearson):
        assert -1 <= one.low <= one.value <= one.high < -0.9
    nothing = agreement.agree(*sounds(50.0)).spearman
    assert nothing.low < 0 < nothing.high


def test_items_stand_together():
    """Twelve sounds of two items are two pieces of evidence: the interval is wider than that of twelve."""
    measured = {(system, item): float(n) for n, system in enumerate("abcdef") for item in "12"}
    liked = {sound: value if sound[1] == "1" else -value for sound, value in measured.items()}
    found = agreement.agree(measured, liked)
    assert found.spearman[:3] == pytest.approx((0, -1, 1), abs=1e-6)


def test_sounds_without_a_partner_are_left_out():
    measured, liked = sounds(0.1)
    del measured["a", "0"]
    measured["b", "1"] = np.nan
    liked["d", "9"] = 1.0
    found = agreement.agree(measured, liked)
    assert found.sounds == 34
    assert found.pearson.high < -0.9


@pytest.mark.parametrize(
    ("measured", "liked", "told"),
    [
        ({("a", "1"): 1.0}, {("a", "2"): 1.0}, "got 0 of 1 measured"),
        ({("a", i): 1.0 for i in "123"}, {("a", i): float(i) for i in "123"}, "measured values that are all 1"),
        ({("a", i): float(i) for i in "123"}, {("a", i): 2.0 for i in "123"}, "opinions that are all 2"),
    ],
)
def test_what_cannot_be_correlated_is_named(measured, liked, told):
    with pytest.raises(ValueError, match=told):
        agreement.agree(measured, liked)
