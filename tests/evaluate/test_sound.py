"""Each measure moves with what it measures, and not with how loud a recording is."""

from __future__ import annotations

import numpy as np
import pytest

from nbkit.data import espeak
from nbkit.data.audio import MelSpec
from nbkit.evaluate import sound

SPEC = MelSpec()


@pytest.fixture(scope="module")
def wave() -> np.ndarray:
    return np.asarray(espeak.speak("같이 바다에 가자고 말해 보세요", "ko").wave, np.float32)


@pytest.fixture(scope="module")
def measured(wave) -> dict[str, sound.Comparison]:
    import librosa

    draw, middle = np.random.default_rng(0), len(wave) // 2
    distorted = {
        "quiet": 0.2 * wave,
        "noise": (wave + draw.normal(size=wave.shape) * np.sqrt((wave**2).mean() / 100)).astype(np.float32),
        "pitch": librosa.effects.pitch_shift(wave, sr=SPEC.rate, n_steps=2),
        "slow": librosa.effects.time_stretch(wave, rate=1 / 1.25),
        "deleted": np.concatenate([wave[: middle - 4000], wave[middle + 4000 :]]),
        "edges": np.pad(wave, 8000),
    }
    return {name: sound.compare(one, wave, SPEC) for name, one in distorted.items()}


def test_the_same_is_the_same(wave):
    assert sound.compare(wave, wave, SPEC) == pytest.approx((0.0, 0.0, 0.0, 0.0), abs=1e-5)


def test_what_was_heard_once_serves_again(wave, measured):
    assert sound.compare(0.2 * wave, sound.heard(wave, SPEC), SPEC) == measured["quiet"]


def test_loudness_changes_nothing(measured):
    assert measured["quiet"] == pytest.approx((0.0, 0.0, 0.0, 0.0), abs=1e-3)


def test_level_and_offset_change_nothing_however_small(wave):
    """A mel has a floor, so a recording 60 dB down would else lose its quiet parts; an offset would be a sound."""
    for other in (0.001 * wave, wave + 0.1, -0.5 * wave):
        found = sound.compare(other, wave, SPEC)
        assert found == pytest.approx((0.0, 0.0, 0.0, 0.0), abs=0.02), other[:3]
    assert sound.faults(wave + 0.1, SPEC).edges == pytest.approx(sound.faults(wave, SPEC).edges, abs=0.021)


def test_a_later_start_is_the_floor_of_each_measure(wave):
    """Frames fall on other samples: what the notebook calls harmless, and no less than nothing."""
    for shift in (30, 110, 128):
        found = sound.compare(np.pad(wave, (shift, 0)), wave, SPEC)
        assert found.mcd < 1
        assert abs(found.pace) < 0.02


def test_silence_around_it_changes_next_to_nothing(measured):
    assert measured["edges"].mcd < 1.4, "frames fall on other samples, which is not nothing"
    assert abs(measured["edges"].pace) < 0.01


def test_pitch_is_told_in_cents(measured):
    assert measured["pitch"].f0_rmse == pytest.approx(200, abs=30)
    assert abs(measured["pitch"].pace) < 0.02


def test_pace_is_told_and_costs_the_spectrum_little(measured):
    assert measured["slow"].pace == pytest.approx(np.log(1.25), abs=0.02)
    assert measured["slow"].f0_rmse < 60
    assert measured["slow"].mcd < measured["noise"].mcd


def test_noise_and_missing_words_are_heard(measured):
    assert measured["noise"].mcd > 3
    assert measured["deleted"].mcd > 1
    assert measured["deleted"].pace < -0.1


def test_the_distortion_is_that_of_the_smoothed_spectra():
    """A cosine over the bands, of one decibel root mean square, is one decibel of distortion; of a 30th order none."""
    bands = np.arange(80) + 0.5
    flat = np.zeros((80, 50))
    for order, wanted in ((3, 1.0), (24, 1.0), (30, 0.0)):
        ripple = np.sqrt(2) * np.cos(np.pi * order * bands / 80)[:, None] / sound.DECIBEL
        distance = np.linalg.norm(sound.cepstrum(flat + ripple) - sound.cepstrum(flat), axis=1) / np.sqrt(80)
        assert distance * sound.DECIBEL == pytest.approx(wanted, abs=1e-9)


def test_faults_are_found(wave):
    clean = sound.faults(wave, SPEC)
    assert clean.clipped == 0
    assert clean.repeated < 0.25
    assert sound.faults(np.clip(8 * wave, -1, 1), SPEC).clipped > 0.01
    assert sound.faults(0.3 * np.clip(8 * wave, -1, 1), SPEC).clipped > 0.01, "clipped, and then made quieter"
    assert sound.faults(0.3 * np.sin(np.arange(SPEC.rate) / 36).astype(np.float32), SPEC).clipped == 0, "a low hum"
    assert sound.faults(np.pad(wave, (0, SPEC.rate)), SPEC).edges == pytest.approx(clean.edges + 1, abs=0.03)
    middle, second = len(wave) // 2, SPEC.rate
    pause = np.insert(wave, middle, np.zeros(second))
    assert sound.faults(pause, SPEC).silence == pytest.approx(1, abs=0.15)
    # hop by hop the same frames again: half a second that comes twice
    start = middle // SPEC.hop * SPEC.hop
    length = 40 * SPEC.hop
    stuck = np.concatenate([wave[: start + length], wave[start : start + length], wave[start + length :]])
    assert sound.faults(stuck, SPEC).repeated == pytest.approx(length / SPEC.rate, abs=0.1)


def test_a_steady_tone_is_not_stuck():
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(2 * SPEC.rate) / SPEC.rate).astype(np.float32)
    assert sound.faults(tone, SPEC).repeated == 0


def test_rate_counts_from_the_first_sound_to_the_last(wave):
    rate = sound.speaking_rate(wave, SPEC.rate, 13)
    assert sound.speaking_rate(np.pad(wave, 10_000), SPEC.rate, 13) == pytest.approx(rate, rel=0.03)
    assert 3 < rate < 9


@pytest.mark.parametrize("bad", [np.zeros(5000, np.float32), np.zeros(0, np.float32), np.full(5000, np.nan)])
def test_what_cannot_be_compared_is_refused(wave, bad):
    with pytest.raises(ValueError, match="wanted a"):
        sound.compare(bad, wave, SPEC)
    with pytest.raises(ValueError, match="wanted a"):
        sound.faults(bad, SPEC)


def test_frames_of_a_mel_are_compared():
    wanted = np.full((4, 6), -3.0)
    made = np.full((4, 9), -3.0)
    made[:, 2] += np.log(10)
    made[:2, 3] = wanted[:2, 3] = -30  # both are silent, so the difference does not count
    made[2, 3] = -50
    found = sound.mel_errors(made, wanted)
    assert found[2] == pytest.approx(20)
    assert found[3] == pytest.approx((-3 * 20 / np.log(10) + 60) / 4)
    assert (found[[0, 1, 4, 5]] == 0).all()
    with pytest.raises(ValueError, match=r"the same bands, got \(4, 9\) and \(3, 6\)"):
        sound.mel_errors(made, wanted[:3])
    assert sound.near(np.array([300, 900]), 5, 256, 128).tolist() == [False, True, False, False, True]
