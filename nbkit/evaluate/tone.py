"""How near a sound is to a steady tone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Tone(NamedTuple):
    """The sine that is nearest to a wave, and how much louder it is than what is left without it."""

    frequency: float  # Hz
    amplitude: float  # of full scale
    snr: float  # dB


def nearest(wave: np.ndarray, rate: int) -> Tone:
    """The sine a cos(wt) + b sin(wt) that leaves the least of a wave [S]: frequency, amplitude, signal to noise.

    raises ValueError for fewer than 16 samples, a wave that is not finite, or silence
    """
    wave = np.asarray(wave, np.float64)
    if wave.ndim != 1 or len(wave) < 16 or not np.isfinite(wave).all() or not np.abs(wave).max() > 0:
        raise ValueError(f"a tone wants a finite wave [S] of 16 samples or more with a sound in it, got {wave.shape}")
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 8 * len(wave)))
    place = int(spectrum[1:-1].argmax()) + 1
    low, high = (place - 1) / (8 * len(wave)), (place + 1) / (8 * len(wave))  # cycles a sample
    for _ in range(40):
        third = (high - low) / 3
        if _fit(wave, low + third)[1] <= _fit(wave, high - third)[1]:
            high -= third
        else:
            low += third
    amplitude, left = _fit(wave, (low + high) / 2)
    kept = float((wave**2).sum()) - left
    return Tone((low + high) / 2 * rate, amplitude, float(10 * np.log10(max(kept, 1e-12) / max(left, 1e-12))))


def _fit(wave: np.ndarray, cycles: float) -> tuple[float, float]:
    """Amplitude of the best sine of so many cycles a sample, and the energy that it leaves."""
    angle = 2 * np.pi * cycles * np.arange(len(wave))
    basis = np.stack([np.cos(angle), np.sin(angle)], 1)
    found, *_ = np.linalg.lstsq(basis, wave, rcond=None)
    return float(np.hypot(*found)), float(((wave - basis @ found) ** 2).sum())


def piecewise(wave: np.ndarray, rate: int, seconds: float = 0.05) -> Tone:
    """The medians over pieces of a wave: what is heard as its pitch and its noise, however its phase wanders."""
    length = round(seconds * rate)
    if len(wave) < length:
        raise ValueError(f"pieces of {seconds} s want a longer wave, got {len(wave)} samples; shorten `seconds`")
    pieces = [nearest(wave[i : i + length], rate) for i in range(0, len(wave) - length + 1, length)]
    return Tone(*(float(np.median(values)) for values in zip(*pieces)))
