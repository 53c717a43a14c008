"""Sound files and log-mel spectrograms: wave [S] <-> log_mel [C, F].

Waves are mono float32 in [-1, 1]. A mel is the natural logarithm of a magnitude (not power) mel spectrogram.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np

WHOLE = ("rate", "window", "hop", "bands")  # fields of a MelSpec that are integers
SILENCE = 1e-4  # -80 dB of full scale: below this a recording holds nothing


class AudioError(ValueError):
    """A sound that cannot be used; the message says which, what was wanted, what was found and what to do."""


@dataclass(frozen=True)
class MelSpec:
    """How a mel spectrogram is made. An acoustic model and a vocoder must agree in all of it.

    rate        samples a second, Hz
    window      samples under each frame's Hann window, which is also the FFT's length
    hop         samples between frames
    bands       mel bands (Slaney's scale, area-normalised), from `low` to `high` Hz
    floor       smallest magnitude before the logarithm
    """

    rate: int = 22050
    window: int = 1024
    hop: int = 256
    bands: int = 80
    low: float = 0.0
    high: float = 8000.0
    floor: float = 1e-5

    def __post_init__(self) -> None:
        if not (0 < self.hop <= self.window and self.window % 2 == 0 and self.rate > 0 and self.bands > 0):
            raise AudioError(f"mel: wanted 0 < hop <= window, window even, rate and bands positive; got {self}")
        if not (0 <= self.low < self.high <= self.rate / 2):
            raise AudioError(f"mel: wanted 0 <= low < high <= {self.rate / 2:g} Hz (half the rate), got {self}")
        if not self.floor > 0:
            raise AudioError(f"mel: wanted a floor above 0, got {self.floor}; the logarithm of 0 has no value")

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that differ when any field differs; kept in feature caches and checkpoints."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:8]

    def frames(self, samples: int) -> int:
        """Frames of a wave of so many samples: frame f is centred on sample f * hop."""
        return 1 + samples // self.hop

    def seconds(self, frames: float) -> float:
        """Time of a frame's centre, and (but for half a hop) the length of so many frames."""
        return frames * self.hop / self.rate

    def boundary(self, frame: float) -> float:
        """Seconds at which `frame` begins: half way from the centre of the frame before, never below 0."""
        return max(0.0, (frame - 0.5) * self.hop / self.rate)

    def as_dict(self) -> dict[str, float]:
        """Plain numbers of the declared types, so that 8000 and 8000.0 Hz have one fingerprint."""
        return {name: int(value) if name in WHOLE else float(value) for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, float]) -> MelSpec:
        """The inverse of as_dict; AudioError where a field is missing or unknown."""
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise AudioError(f"mel: wanted the fields {sorted(names)}, got {sorted(values)}; extract the mels again")
        return cls(**cls(**values).as_dict())  # pyright: ignore[reportArgumentType]  (JSON may hold 256.0 for 256)


def load(path: str | os.PathLike, rate: int, *, resample: bool = False) -> np.ndarray:
    """Read a sound file as float32 [S], mono (channels averaged), in [-1, 1].

    rate        Hz wanted; another rate in the file is an error, unless `resample` says to convert it
    AudioError  no file, empty, truncated or unreadable, wrong rate, NaN or infinite, beyond [-1, 1], silent
    """
    path = Path(path)
    wave, found = _read(path)
    if not len(wave):
        raise AudioError(f"{path}: wanted sound, got no samples; leave the file out or record it again")
    if not np.isfinite(wave).all():
        bad = int((~np.isfinite(wave)).any(axis=1).sum())
        raise AudioError(f"{path}: wanted finite samples, got {bad} NaN or infinite ones; export the file again")
    peak = float(np.abs(wave).max())
    if peak > 1:
        raise AudioError(f"{path}: wanted samples in [-1, 1], got a peak of {peak:.3f}; export it at a lower level")
    if peak < SILENCE:
        raise AudioError(f"{path}: wanted sound, got silence (peak {peak:.1e}); leave the file out or record it again")
    wave = wave.mean(axis=1, dtype=np.float32)
    if found == rate:
        return wave
    if not resample:
        raise AudioError(f"{path}: wanted {rate} Hz, got {found} Hz; convert it, or load with resample=True")
    import librosa

    wave = librosa.resample(wave, orig_sr=found, target_sr=rate).astype(np.float32)
    return wave / max(1.0, float(np.abs(wave).max()))  # a filter overshoots at full scale: rather quieter than clipped


def _read(path: Path) -> tuple[np.ndarray, int]:
    """All samples as float32 [S, channels] and their rate; AudioError where the file holds less than it promises."""
    import soundfile

    if not path.is_file():
        raise AudioError(f"{path}: wanted a sound file, got nothing there; check the path")
    size = path.stat().st_size
    if size == 0:
        raise AudioError(f"{path}: wanted a sound file, got 0 bytes; copy or download it again")
    try:
        with soundfile.SoundFile(path) as file:
            wave, rate, promised = file.read(dtype="float32", always_2d=True), file.samplerate, file.frames
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path}: wanted WAV, FLAC, Ogg or MP3, got {size} bytes that do not read as one ({error.error_string}); "
            f"{remedy(path)}"
        ) from error
    missing = promised - len(wave) or _missing_bytes(path)
    if missing > 0:
        raise AudioError(f"{path}: wanted the whole file, got one cut short; copy or download it again")
    return wave, rate


def _missing_bytes(path: Path) -> int:
    """Bytes that a WAV's header promises and the file lacks, 0 for other formats. libsndfile ignores the difference."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != b"RIFF" or file.read(8)[4:] != b"WAVE":
            return 0
        while len(header := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", header)
            if name == b"data":
                streamed = length == 0xFFFFFFFF  # a writer that could not seek back leaves the length open
                return 0 if streamed else max(0, file.tell() + length - size)
            file.seek(length + length % 2, os.SEEK_CUR)
    return 0


def save(path: str | os.PathLike, wave: np.ndarray, rate: int) -> None:
    """Write float [S] in [-1, 1] as 16-bit mono WAV, whole or not at all. AudioError rather than a clipped sample."""
    import soundfile

    path, wave = Path(path), np.asarray(wave)
    if wave.ndim != 1 or not len(wave) or not np.issubdtype(wave.dtype, np.floating):
        raise AudioError(f"{path}: wanted a float wave [S], got {wave.dtype} {list(wave.shape)}; pass one mono channel")
    if not np.isfinite(wave).all():
        raise AudioError(f"{path}: wanted finite samples, got NaN or infinite ones; look at what made the wave")
    peak = float(np.abs(wave).max())
    if peak > 1 + 1e-4:
        raise AudioError(f"{path}: wanted samples in [-1, 1], got a peak of {peak:.3f}; divide the wave by its peak")
    pcm = np.clip(np.rint(wave.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            soundfile.write(file, pcm, rate, format="WAV", subtype="PCM_16")
        os.chmod(part, 0o644)  # mkstemp's files are private
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def remedy(path: Path) -> str:
    """What to do about a file that is no sound that can be read: films and what telephones record are converted."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3":
        return f"it is a film or comes from a telephone; `ffmpeg -i {path.name} {path.stem}.wav` makes a WAV of it"
    return "copy or download it again"


def log_mel(wave: np.ndarray, spec: MelSpec) -> np.ndarray:
    """Log-mel spectrogram, float32 [C, F] of a float wave [S]; F = spec.frames(S), the ends mirrored under the first
    and last windows.

    AudioError  shorter than half a window, not finite, or whole numbers, whose scale nobody knows
    """
    wave = np.asarray(wave)
    if not np.issubdtype(wave.dtype, np.floating):
        raise AudioError(f"log_mel: wanted a float wave in [-1, 1], got {wave.dtype}; divide int16 samples by 32768")
    wave = wave.astype(np.float32, copy=False)
    shortest = spec.window // 2 + 1
    if wave.ndim != 1 or len(wave) < shortest:
        raise AudioError(
            f"log_mel: wanted a wave [S] of {shortest} samples or more, got {list(wave.shape)}; leave shorter ones out"
        )
    if not np.isfinite(wave).all():
        raise AudioError("log_mel: wanted finite samples, got NaN or infinite ones; check the file with audio.load")
    magnitude = np.abs(_stft(np.pad(wave, spec.window // 2, mode="reflect"), spec))
    return np.log(np.maximum(magnitude @ _mel_bank(spec).T, spec.floor)).T.astype(np.float32)


def griffin_lim(log_mel: np.ndarray, spec: MelSpec, iterations: int = 60) -> np.ndarray:
    """A wave, float32 [(F - 1) * hop], whose mel is near `log_mel` [C, F]. The same input gives the same samples.

    Magnitudes by non-negative least squares, phases by Griffin and Lim's iteration with momentum (Perraudin, Balazs
    and Sondergaard 2013). Scaled down only where the peak would pass 1. Source: paper_notes/tacotron.md#sound
    """
    log_mel = np.asarray(log_mel, dtype=np.float64)
    if log_mel.ndim != 2 or log_mel.shape[0] != spec.bands or log_mel.shape[1] < 2:
        raise AudioError(f"griffin_lim: wanted a mel [{spec.bands}, F] with F > 1, got {list(log_mel.shape)}")
    if not np.isfinite(log_mel).all():
        raise AudioError("griffin_lim: wanted a finite mel, got NaN or infinite values; look at what made the mel")
    magnitude = _linear(np.exp(log_mel).T, spec)
    phase = np.random.default_rng(0).uniform(-np.pi, np.pi, magnitude.shape)
    guess, before = magnitude * np.exp(1j * phase), 0.0
    for _ in range(iterations):
        rebuilt = _stft(_inverse_stft(guess, spec), spec)
        ahead = rebuilt + 0.99 * (rebuilt - before)
        guess, before = magnitude * (ahead / np.maximum(np.abs(ahead), 1e-12)), rebuilt
    half = spec.window // 2
    wave = _inverse_stft(guess, spec)[half:-half]
    return (wave / max(1.0, np.abs(wave).max())).astype(np.float32)


def _linear(mel: np.ndarray, spec: MelSpec, rounds: int = 60) -> np.ndarray:
    """Magnitudes [F, window / 2 + 1], none negative, that give `mel` [F, C]: multiplicative updates (Lee and Seung)."""
    from scipy.sparse import csr_array

    # a bin lies under two filters at most: the products with the whole bank would be a hundred times the work
    bank = csr_array(_mel_bank(spec).astype(np.float64))
    wanted = bank.T @ mel.T
    magnitude = wanted.copy()
    for _ in range(rounds):
        magnitude *= wanted / np.maximum(bank.T @ (bank @ magnitude), 1e-12)
    return np.ascontiguousarray(magnitude.T)


def _stft(padded: np.ndarray, spec: MelSpec) -> np.ndarray:
    """complex [F, window / 2 + 1] of all whole windows."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, spec.window)[:: spec.hop]
    return np.fft.rfft(windows * _hann(spec), axis=1)


def _inverse_stft(frames: np.ndarray, spec: MelSpec) -> np.ndarray:
    """The wave [(F - 1) * hop + window] whose STFT is nearest to `frames`, by weighted overlap-add."""
    window = _hann(spec)
    pieces = np.fft.irfft(frames, n=spec.window, axis=1) * window
    count = len(pieces)
    wave, weight = np.zeros((2, (count - 1) * spec.hop + spec.window))
    for start in range(count):
        place = slice(start * spec.hop, start * spec.hop + spec.window)
        wave[place] += pieces[start]
        weight[place] += window**2
    return wave / np.maximum(weight, 1e-8)


@lru_cache(maxsize=8)
def _hann(spec: MelSpec) -> np.ndarray:
    """Periodic Hann window, float64 [window]: rounded to float32 it moves quiet bands of a mel by 2e-4."""
    return np.hanning(spec.window + 1)[:-1]


@lru_cache(maxsize=8)
def _mel_bank(spec: MelSpec) -> np.ndarray:
    """Triangular filters, float32 [C, window / 2 + 1], on Slaney's scale.

    The scale is linear up to 1 kHz, where it stands at 15, and takes 27 more steps for each factor of 6.4 above.
    """

    def to_mel(hertz: float) -> float:
        return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)

    mels = np.linspace(to_mel(spec.low), to_mel(spec.high), spec.bands + 2)
    hertz = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))
    bins = np.fft.rfftfreq(spec.window, 1 / spec.rate)
    rising = (bins - hertz[:-2, None]) / np.diff(hertz)[:-1, None]
    falling = (hertz[2:, None] - bins) / np.diff(hertz)[1:, None]
    bank = np.maximum(0, np.minimum(rising, falling)) * (2 / (hertz[2:] - hertz[:-2]))[:, None]
    if (bank.max(axis=1) == 0).any():
        raise AudioError(f"mel: {spec.bands} bands of a {spec.window}-point FFT leave some empty; ask for fewer bands")
    return bank.astype(np.float32)
