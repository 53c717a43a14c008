"""How loud a recording is, and recordings made equally loud, so that ears compare the sound and not the level."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_BLOCK, _STEP = 0.4, 0.1  # seconds
_SILENT, _BELOW = -70.0, -10.0  # LUFS of a block that never counts; LU below the mean of those that do
_SPEECH = -23.0  # LUFS, where EBU R 128 puts a programme
_CEILING = 0.97  # of full scale; no sound is made to pass it


def lufs(wave: np.ndarray, rate: int) -> float:
    """Integrated loudness of a mono wave [S] in LUFS, by ITU-R BS.1770; -inf for silence.

    Filtered as the head and the ear do, in blocks of 0.4 s, without those that are silent or 10 LU below the others. A
    wave of less than a block is one block.
    """
    from scipy.signal import lfilter

    wave = np.asarray(wave, np.float64)
    if wave.ndim != 1 or not wave.size or not np.isfinite(wave).all():
        raise ValueError(
            f"loudness wants a finite wave [S] of a sample or more, got shape {wave.shape}; mix or mend it"
        )
    for b, a in k_weighting(rate):
        wave = np.asarray(lfilter(b, a, wave))
    block, step = min(round(_BLOCK * rate), len(wave)), max(1, round(_STEP * rate))
    energy = np.concatenate([[0.0], np.cumsum(wave**2)])
    starts = np.arange(0, len(wave) - block + 1, step)
    power = (energy[starts + block] - energy[starts]) / block
    power = power[power > 10 ** ((_SILENT + 0.691) / 10)]
    if not power.size:
        return -math.inf
    return _level(power[power > power.mean() * 10 ** (_BELOW / 10)].mean())


def gains(waves: Sequence[np.ndarray], rate: int) -> list[float]:
    """Factors that make waves [S] in [-1, 1] equally loud: at -23 LUFS, or lower where one of them would clip there.

    raises  ValueError for a silent one
    """
    levels = [lufs(wave, rate) for wave in waves]
    if -math.inf in levels:
        raise ValueError(f"wanted sounds of some loudness, number {levels.index(-math.inf)} is silent; leave it out")
    room = [20 * math.log10(_CEILING / float(np.abs(wave).max())) for wave in waves]
    target = min(_SPEECH, *(level + above for level, above in zip(levels, room, strict=True)))
    return [10 ** ((target - level) / 20) for level in levels]


def k_weighting(rate: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Numerator and denominator of the two filters of BS.1770, whose tables are for 48 kHz, at any rate in Hz."""
    found = []
    for frequency, gain, q in (
        (1681.974450955533, 3.999843853973347, 0.7071752369554196),
        (38.13547087602444, 0.0, 0.5003270373238773),
    ):
        k = math.tan(math.pi * frequency / rate)
        norm = 1 + k / q + k * k
        denominator = np.array([1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm])
        if gain:  # a shelf: what lies high is louder in front of a head
            high = 10 ** (gain / 20)
            middle = high**0.4996667741545416
            top = [high + middle * k / q + k * k, 2 * (k * k - high), high - middle * k / q + k * k]
            found.append((np.array(top) / norm, denominator))
        else:  # a high pass: what lies low is hardly heard
            found.append((np.array([1.0, -2.0, 1.0]), denominator))
    return found


def _level(power: float) -> float:
    return -0.691 + 10 * math.log10(power)
