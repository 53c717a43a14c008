"""Loudness by BS.1770: its tables, its sine, and sounds made equal by it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nbkit.views import loudness


def sine(level: float, rate: int, seconds: float = 2.0, hertz: float = 997.0) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def test_the_filters_at_48_khz_are_those_of_the_recommendation():
    (b, a), (b2, a2) = loudness.k_weighting(48000)
    np.testing.assert_allclose(b, [1.53512485958697, -2.69169618940638, 1.19839281085285], atol=1e-9)
    np.testing.assert_allclose(a, [1, -1.69065929318241, 0.73248077421585], atol=1e-9)
    np.testing.assert_allclose(b2, [1, -2, 1])
    np.testing.assert_allclose(a2, [1, -1.99004745483398, 0.99007225036621], atol=1e-9)


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_a_sine_of_full_scale_has_the_loudness_that_the_recommendation_says(rate):
    assert loudness.lufs(sine(1.0, rate), rate) == pytest.approx(-3.01, abs=0.05)
    assert loudness.lufs(sine(0.1, rate), rate) == pytest.approx(-23.01, abs=0.05)


def test_pauses_do_not_make_a_recording_softer():
    spoken = sine(0.2, 22050, 4.0)
    with_pause = np.concatenate([spoken, np.zeros(4 * 22050), 0.003 * spoken])
    assert loudness.lufs(with_pause, 22050) == pytest.approx(loudness.lufs(spoken, 22050), abs=0.3)


def test_short_and_silent_waves_have_a_loudness_too():
    assert loudness.lufs(sine(0.5, 16000, 0.1), 16000) == pytest.approx(-9.0, abs=0.5)
    assert loudness.lufs(np.zeros(100), 16000) == -math.inf


def test_gains_make_sounds_equal_and_clip_none():
    rate = 16000
    click = sine(0.01, rate)
    click[100] = 1.0  # so high a peak leaves no room to make it louder
    waves = [sine(0.9, rate), sine(0.02, rate), click]
    made = [gain * wave for gain, wave in zip(loudness.gains(waves, rate), waves, strict=True)]
    levels = [loudness.lufs(wave, rate) for wave in made]
    assert np.ptp(levels) < 0.01
    assert levels[0] < -23
    assert max(np.abs(wave).max() for wave in made) <= 0.97 + 1e-9
    assert loudness.lufs(loudness.gains(waves[:2], rate)[0] * waves[0], rate) == pytest.approx(-23, abs=0.01)


@pytest.mark.parametrize("wave", [np.zeros((2, 9)), np.zeros(0), np.array([0.0, np.nan])])
def test_what_has_no_loudness_is_refused(wave):
    with pytest.raises(ValueError, match="finite wave"):
        loudness.lufs(wave, 16000)


def test_silence_cannot_be_made_loud():
    with pytest.raises(ValueError, match="number 1 is silent"):
        loudness.gains([sine(0.1, 16000), np.zeros(16000)], 16000)
