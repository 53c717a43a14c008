"""How one recording of a sentence differs from another: spectrum, melody, pace; and what is plainly wrong with one.

Two recordings are laid on each other by time warping of their cepstra, so length alone costs nothing there; how the
lengths differ is a measure of its own. A comparison does not depend on how loud a recording is, nor on an offset that
is added to it; it takes a byte for each pair of frames, 107 MB for two recordings of a minute.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nbkit.data import audio, pitch
from nbkit.data.audio import MelSpec
from nbkit.evaluate.speech import DECIBEL, dtw

ORDER = 24
MCD_NAME = (
    f"MCD, dB: coefficients 1 to {ORDER} of the orthonormal DCT of a natural-log mel within 80 dB of its peak, "
    "frames half a hop apart, Euclidean, per band, mean along DTW"
)
_RANGE = 80.0  # dB below the loudest band that still count
_FAINT = -60.0  # dB of full scale below which nothing is heard
_QUIET = 40.0  # dB below the loudest 20 ms where silence begins
_BLOCK = 0.02  # seconds
_FULL = 0.999  # of full scale
_FLAT, _FLAT_RUN = 1e-4, 3  # of the own extreme; samples in a row that are as near to it, where a top was cut off
_ALIKE, _SOONEST, _LATEST = 0.97, 0.2, 2.0  # cosine of cepstra that count as one sound; seconds to its repetition


class Comparison(NamedTuple):
    """What came out differently in a recording.

    mcd              dB, see MCD_NAME
    f0_rmse          cents, root mean square over pairs of frames that have a pitch in both; NaN where there are none
    voicing_error    0 to 1, share of pairs where one has a pitch and the other has not
    pace             logarithm of its length over that of the reference, both from the first sound to the last
    """

    mcd: float
    f0_rmse: float
    voicing_error: float
    pace: float


class Faults(NamedTuple):
    """What is plainly wrong with one recording.

    silence     seconds of its longest pause between two sounds
    edges       seconds of silence before the first sound and after the last
    clipped     share of samples at full scale, or in a flat top of the wave however loud it is
    repeated    seconds of the longest stretch that comes again within two seconds
    """

    silence: float
    edges: float
    clipped: float
    repeated: float


def cepstrum(log_mel: np.ndarray, order: int = ORDER) -> np.ndarray:
    """The shape of each frame's spectrum without its level: log_mel [C, F], natural log -> [F, order].

    The DCT keeps lengths, so the distance of two frames is that of their smoothed log spectra; divided by the root of C
    and in decibels it is the usual mel-cepstral distortion.
    """
    from scipy.fft import dct

    log_mel = np.asarray(log_mel, np.float64)
    if log_mel.ndim != 2 or log_mel.shape[0] <= order or not log_mel.shape[1] or not np.isfinite(log_mel).all():
        raise ValueError(
            f"cepstrum wants a finite log-mel [C, F] of more than {order} bands, got {log_mel.shape}; see data.audio"
        )
    within = np.maximum(log_mel, log_mel.max() - _RANGE / DECIBEL)
    return np.ascontiguousarray(np.asarray(dct(within, axis=0, norm="ortho"))[1 : order + 1].T)


class Heard(NamedTuple):
    """What a comparison looks at in one recording, from its first sound to its last.

    cepstra   [F', ORDER]  twice a hop
    tones     [F]          Hz, NaN without a pitch; once a hop, for they are slow to find
    samples
    """

    cepstra: np.ndarray
    tones: np.ndarray
    samples: int


def heard(wave: np.ndarray, spec: MelSpec) -> Heard:
    """What to compare of a recording [S] of spec.rate, float in [-1, 1].

    Cepstra are taken twice a hop: at 256 samples a later start of some of them would alone cost up to 2 dB, at 128 it
    costs 0.3 to 1.3, and what is really different costs the same.
    raises  ValueError for a recording that is silent or not finite
    """
    wave = _levelled(wave, spec.rate)
    fine = replace(spec, hop=max(1, spec.hop // 2))
    return Heard(cepstrum(audio.log_mel(wave, fine)), pitch.f0(wave, spec.rate, spec.hop), len(wave))


def compare(wave: np.ndarray | Heard, reference: np.ndarray | Heard, spec: MelSpec) -> Comparison:
    """How a recording [S] differs from another of the same sentence [S'], or what was `heard` of them."""
    one, other = (given if isinstance(given, Heard) else heard(given, spec) for given in (wave, reference))
    warp = dtw(one.cepstra, other.cepstra)
    mine, theirs = (
        own.tones[np.rint(places * ((len(own.tones) - 1) / max(1, len(own.cepstra) - 1))).astype(int)]
        for own, places in zip((one, other), warp.path.T)
    )
    voiced = ~np.isnan(mine) & ~np.isnan(theirs)
    cents = 1200 * np.log2(mine[voiced] / theirs[voiced])
    return Comparison(
        mcd=float(warp.distance / np.sqrt(spec.bands) * DECIBEL),
        f0_rmse=float(np.sqrt((cents**2).mean())) if cents.size else float("nan"),
        voicing_error=float((np.isnan(mine) != np.isnan(theirs)).mean()),
        pace=float(np.log(one.samples / other.samples)),
    )


def _levelled(wave: np.ndarray, rate: int) -> np.ndarray:
    """From the first sound to the last, around 0 and with a peak of 1, since a mel has a floor."""
    start, end = sounding(wave, rate)
    wave = np.asarray(wave, np.float64)[start:end]
    wave = wave - wave.mean()
    return (wave / np.abs(wave).max()).astype(np.float32)


def mel_errors(log_mel: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How far each frame of a mel is from the one it was made of, in dB of magnitude; below -60 dB counts as that.

    log_mel [C, F], wanted [C, F'], natural log -> [min(F, F')]; raises ValueError for other bands, or none
    """
    if log_mel.ndim != 2 or wanted.ndim != 2 or len(log_mel) != len(wanted) or not log_mel.size or not wanted.size:
        raise ValueError(f"wanted two mels [C, F] of the same bands, got {log_mel.shape} and {wanted.shape}")
    F = min(log_mel.shape[1], wanted.shape[1])
    made, asked = (np.maximum(mel[:, :F], _FAINT / DECIBEL) for mel in (log_mel, wanted))
    return DECIBEL * np.abs(made - asked).mean(0)


def near(places: np.ndarray, frames: int, hop: int, reach: int) -> np.ndarray:
    """[F] bool: the frames whose centre lies within `reach` samples of one of the samples `places`."""
    centres = np.arange(frames)[:, None] * hop
    return np.asarray((np.abs(centres - np.asarray(places)[None]) <= reach).any(1))


def sounding(wave: np.ndarray, rate: int) -> tuple[int, int]:
    """The samples from the first sound to the end of the last: what lies within 40 dB of the loudest 20 ms."""
    loud = np.flatnonzero(_loud(wave, rate))
    block = round(_BLOCK * rate)
    return int(loud[0]) * block, min(int(loud[-1] + 1) * block, len(wave))


def _loud(wave: np.ndarray, rate: int) -> np.ndarray:
    """Whether each block of 20 ms is sound: [S / block] bool."""
    wave = np.asarray(wave, np.float64)
    if wave.ndim != 1 or not wave.size or not np.isfinite(wave).all():
        raise ValueError(f"wanted a finite wave [S] of a sample or more, got shape {wave.shape}; mix or mend it")
    block = round(_BLOCK * rate)
    padded = np.pad(wave - np.median(wave), (0, -len(wave) % block))  # the median is what pauses are, mean and all
    level = np.sqrt((padded.reshape(-1, block) ** 2).mean(1))
    if not level.max() > 1e-4:
        raise ValueError("wanted a recording with a sound in it, this one is silent; look where it was made")
    return level > level.max() * 10 ** (-_QUIET / 20)


def speaking_rate(wave: np.ndarray, rate: int, syllables: int) -> float:
    """Syllables (or whatever is counted) a second, from the first sound to the last."""
    start, end = sounding(wave, rate)
    return syllables / ((end - start) / rate)


def faults(wave: np.ndarray, spec: MelSpec) -> Faults:
    """What is plainly wrong with a recording [S] of spec.rate; raises ValueError for a silent one."""
    loud = np.flatnonzero(_loud(wave, spec.rate))
    start, end = sounding(wave, spec.rate)
    pauses = np.diff(loud) - 1
    return Faults(
        silence=float(pauses.max() * _BLOCK) if pauses.size else 0.0,
        edges=(start + len(wave) - end) / spec.rate,
        clipped=_clipped(wave),
        repeated=_repeated(wave[start:end], spec),
    )


def _clipped(wave: np.ndarray) -> float:
    """Share of samples at full scale or in a row of some that all lie at one extreme of the wave."""
    wave = np.asarray(wave, np.float64)
    cut = np.abs(wave) >= _FULL
    for side in (wave, -wave):
        top = side >= side.max() - _FLAT * np.abs(wave).max()
        edges = np.flatnonzero(np.diff(np.concatenate([[0], top.view(np.int8), [0]])))
        for first, stop in zip(edges[::2], edges[1::2]):
            if stop - first >= _FLAT_RUN:
                cut[first:stop] = True
    return float(cut.mean())


def _repeated(wave: np.ndarray, spec: MelSpec) -> float:
    """The longest stretch, in seconds, whose sounds come again in the same order: a voice that is stuck.

    A steady sound is like itself at any distance, so stretches in which nothing changes do not count.
    """
    mel = audio.log_mel(wave, spec)
    shape = cepstrum(mel)
    norms = np.linalg.norm(shape, axis=1)
    shape = shape / np.maximum(norms, 1e-9)[:, None]
    seconds, longest = spec.hop / spec.rate, 0
    loud = mel.max(0) > mel.max() - _QUIET / DECIBEL
    for lag in range(round(_SOONEST / seconds), min(round(_LATEST / seconds), len(shape) - 1)):
        alike = (shape[lag:] * shape[:-lag]).sum(1) > _ALIKE
        alike &= loud[lag:] & loud[:-lag]
        edges = np.flatnonzero(np.diff(np.concatenate([[0], alike.view(np.int8), [0]])))
        for first, stop in zip(edges[::2], edges[1::2]):
            if stop - first > longest and _changes(shape[first:stop]):
                longest = int(stop - first)
    return longest * seconds


def _changes(shape: np.ndarray) -> bool:
    """Whether the frames [F, C] of a stretch are not all one sound."""
    return float((shape @ shape[len(shape) // 2]).min()) < _ALIKE
