"""Pitch: steady tones, glides and silence, and what is heard of a voice whose sounds are known."""

from __future__ import annotations

import numpy as np
import pytest

from nbkit.data import espeak, pitch

RATE, HOP = 22050, 256


def buzz(hertz: np.ndarray, rate: int = RATE) -> np.ndarray:
    """A tone with ten harmonics that follows a frequency [S]."""
    phase = 2 * np.pi * np.cumsum(hertz) / rate
    return np.float32(0.1) * np.sum([np.sin(k * phase) / k for k in range(1, 11)], axis=0).astype(np.float32)


@pytest.mark.parametrize("hertz", [70.0, 110.0, 220.0, 440.0])
@pytest.mark.parametrize("rate", [16000, 22050])
def test_a_steady_tone_is_within_15_cents(hertz: float, rate: int):
    found = pitch.f0(buzz(np.full(rate // 2, hertz), rate), rate, HOP)[4:-4]
    assert np.abs(1200 * np.log2(found / hertz)).max() < 15


def test_frames_are_those_of_a_mel_and_lie_where_they_say():
    truth = np.concatenate([np.linspace(100, 200, RATE), np.full(RATE // 2, 200.0)])
    found = pitch.f0(buzz(truth), RATE, HOP)
    assert found.shape == (1 + truth.size // HOP,)
    frames = np.arange(8, found.size - 8)
    assert np.abs(1200 * np.log2(found[frames] / truth[frames * HOP])).max() < 40


def test_silence_and_noise_have_no_pitch():
    assert np.isnan(pitch.f0(np.zeros(5000, np.float32), RATE, HOP)).all()
    noise = np.random.default_rng(0).normal(0, 0.1, RATE // 2).astype(np.float32)
    assert np.isnan(pitch.f0(noise, RATE, HOP)).mean() > 0.9


def test_vowels_are_voiced_and_hisses_and_pauses_are_not():
    speech = espeak.speak("같이 가자고 말해보세요. 제주에 오신 것을 환영합니다.")
    found = pitch.f0(speech.wave, RATE, HOP)
    times = np.arange(found.size) * HOP / RATE
    vowels, quiet = np.zeros(found.size, bool), np.zeros(found.size, bool)
    for phone in speech.phones:
        inside = (times >= phone.start + 0.01) & (times < phone.end - 0.01)
        vowels |= inside & any(letter in "aeiouɐɛɯʌ" for letter in phone.label)
        quiet |= inside & (phone.label in (*espeak.PAUSES, "s"))
    assert np.isfinite(found[vowels]).mean() > 0.97
    assert np.isnan(found[quiet]).mean() > 0.97
    steps = np.diff(np.log2(found))
    assert np.nanmax(np.abs(steps)) < 0.25, "an octave is never jumped"


@pytest.mark.parametrize("samples", [1, 300, 2000])
def test_short_waves_have_frames_too(samples: int):
    assert pitch.f0(np.full(samples, 0.1, np.float32), RATE, HOP).shape == (1 + samples // HOP,)


@pytest.mark.parametrize(
    ("wave", "how", "message"),
    [
        (np.zeros((2, 9), np.float32), {}, r"\(2, 9\)"),
        (np.zeros(0, np.float32), {}, "finite float wave"),
        (np.zeros(9, np.int16), {}, "int16"),
        (np.array([0.0, np.nan]), {}, "finite float wave"),
        (np.zeros(9, np.float32), {"low": 300.0, "high": 200.0}, "300 and 200 Hz"),
        (np.zeros(9, np.float32), {"low": 5.0}, "22 < low"),
    ],
)
def test_what_has_no_pitch_is_refused(wave: np.ndarray, how: dict, message: str):
    with pytest.raises(ValueError, match=message):
        pitch.f0(wave, RATE, HOP, **how)
