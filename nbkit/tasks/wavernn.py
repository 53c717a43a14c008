"""WaveRNN on recordings: what 31_wavernn_train runs, and 30_wavernn_fit_a_sine on a tone.

Source: paper_notes/wavernn.md
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nbkit.base import seeds
from nbkit.base.params import param
from nbkit.data import audio, manifest
from nbkit.data.audio import MelSpec
from nbkit.evaluate import sound
from nbkit.models import wavernn
from nbkit.models.wavernn import Vocoder, distribution
from nbkit.tasks import recordings, vocoders
from nbkit.train.loop import FitResult
from nbkit.train.task import Modules, Optimization, Picture, Probe, Training, warmup_inverse_square_root

WINDOWS = 32  # of the validation recordings, on which the loss of a step is measured


@dataclass(frozen=True)
class Recurrent(Training):
    """What all trainings of a WaveRNN have."""

    size: str = param("tiny", "Size of the model. paper has 4.2 million parameters.", choices=tuple(wavernn.SIZES))
    output: str = param(
        "classes",
        "What a sample is drawn from: the classes of a mu-law, or a mixture of logistics, which learns more slowly.",
        choices=("mixture", "classes"),
    )
    window: int = param(2, "Length of the stretches that are learnt from.", unit="frames", low=1, high=200)
    clip_norm: float = param(4.0, "Gradients longer than this are shortened to it. 0 does not.", low=0.0)
    probe_seconds: float = param(
        1.0, "So much of a recording is made anew at each evaluation.", unit="seconds", low=0.05, identity=False
    )


@dataclass(frozen=True)
class WaveRNNTrain(Recurrent):
    """Parameters of 31_wavernn_train."""

    dataset: str = param("espeak_ko", "A data set of data_manifests. `nbkit data list` shows them.")
    utterances: int = param(0, "Use so many utterances. 0 takes all; synthetic sets make as many as asked.", low=0)
    stop_at: int = param(
        1000, "Train to this step, counted from 0 also after a resume.", unit="steps", low=1, identity=False
    )
    batch_size: int = param(16, "Windows a step, over all processes.", low=1)
    learning_rate: float = param(8e-3, "Greatest learning rate, after the warm-up. Larger models want less.", low=0.0)
    evaluate_every: int = param(200, "Validate, and make sound, every so many steps.", low=1, identity=False)
    save_every: int = param(200, "Write a checkpoint every so many steps.", low=1, identity=False)

    PRESETS: ClassVar = {
        "smoke": {
            "utterances": 16,
            "stop_at": 20,
            "batch_size": 4,
            "warmup_steps": 10,
            "evaluate_every": 20,
            "save_every": 10,
            "probe_seconds": 0.3,
        },
        "colab": {
            "dataset": "kss",
            "size": "paper",
            "window": 6,
            "batch_size": 32,
            "learning_rate": 5e-4,
            "warmup_steps": 1000,
            "stop_at": 60_000,
            "evaluate_every": 2000,
            "save_every": 1000,
            "workers": 2,
        },
        "paper": {
            "dataset": "ljspeech",
            "size": "paper",
            "window": 6,
            "batch_size": 32,
            "learning_rate": 5e-4,
            "warmup_steps": 1000,
            "stop_at": 1_000_000,
            "evaluate_every": 10_000,
            "save_every": 2000,
            "workers": 4,
        },
    }


class Windows(NamedTuple):
    """Stretches of recordings side by side: numpy as they are cut, torch in the training loop."""

    wave: Any  # [B, 1 + window hop] float32, the sample before the window first, with emphasis
    log_mel: Any  # [B, C, window + 1 + 2 context] float32, natural log


class Clip:
    """One recording and its frames. The recording is read where it is used, window by window if its rate is right."""

    def __init__(self, title: str, log_mel: Any, frames: int, wave: Any):
        """log_mel   () -> [F, C];  wave   (start, stop) -> float32 [stop - start]"""
        self.title, self.frames = title, frames
        self._log_mel, self._wave = log_mel, wave

    def log_mel(self) -> np.ndarray:
        """[C, F]"""
        return self._log_mel().T

    def wave(self, start: int, stop: int) -> np.ndarray:
        """Samples from `start` to `stop`; before the first one there is silence."""
        found = self._wave(max(start, 0), stop)
        return np.concatenate([np.zeros(stop - start - len(found), np.float32), found])

    def sound(self, hop: int) -> np.ndarray:
        """All of the recording that its frames say: [(F - 1) hop]"""
        return self.wave(0, (self.frames - 1) * hop)


def _read(path: Path, rate: int, start: int, stop: int) -> np.ndarray:
    import soundfile

    with soundfile.SoundFile(path) as file:
        if file.samplerate == rate and file.channels == 1:
            file.seek(start)
            return file.read(stop - start, dtype="float32")
    return _whole(path, rate)[start:stop].astype(np.float32) / 32767


@functools.cache
def _whole(path: Path, rate: int) -> np.ndarray:
    """A recording of another rate, converted once and kept as int16 (an hour takes 160 MB)."""
    return np.rint(32767 * audio.load(path, rate, resample=True)).astype(np.int16)


class _Drawn:
    """Training windows: those of step n are a function of the seed and of n."""

    def __init__(self, task: WaveRNNTask, part: int, parts: int):
        self.task, self.part, self.parts = task, part, parts

    def __getitem__(self, n: int) -> Windows:
        config, clips = self.task.config, self.task.train
        room = np.array([clip.frames - config.window for clip in clips])
        draw = seeds.generator(config.seed, "windows", n)
        places = draw.integers(0, room.sum(), config.batch_size)
        noise = self.task.noise(draw, config.batch_size)
        return self.task.cut(clips, places[self.part :: self.parts], noise[self.part :: self.parts])


class _Fixed:
    """The windows that are validated on: the same ones in every run, evenly over the recordings."""

    def __init__(self, task: WaveRNNTask, part: int, parts: int):
        self.task = task
        room = sum(clip.frames - task.config.window for clip in task.validation)
        places = np.unique(np.linspace(0, room - 1, WINDOWS).astype(int)) if room else np.zeros(0, int)
        size, noise = task.config.batch_size, task.noise(seeds.generator(0, "validation"), len(places))
        self.batches = [(places[i : i + size], noise[i : i + size]) for i in range(0, len(places), size)][part::parts]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, n: int) -> Windows:
        return self.task.cut(self.task.validation, *self.batches[n])


class WaveRNNTask(recordings.Filed):
    """WaveRNN and the recordings that it learns from."""

    name = "wavernn"
    emphasis = 0.85  # as LPCNet has it
    dither = 2.0**-12  # of full scale, 72 dB below it

    def __init__(self, config: Any):
        """Open the data set and extract its features where they are not cached.

        raises  ValueError where no recording is longer than a window
        """
        self.config = config
        self.open()
        shape = {"bands": self.spec.bands, "hop": self.spec.hop, "scales": wavernn.scales_of(self.spec.hop)}
        shape |= {"output": config.output, "floor": self.spec.floor, "emphasis": self.emphasis}
        self.model_config = wavernn.sized(config.size, **shape)
        self.train, self.validation = ([c for c in all_ if c.frames > config.window] for all_ in self.clips())
        if not self.train:
            raise ValueError(
                f"{self.config.window} frames of {self.spec.hop} samples are longer than each recording to learn "
                "from; shorten window"
            )

    def open(self) -> None:
        """Find the recordings, and say how their mels are made."""
        self.spec = MelSpec()
        self.dataset = manifest.open_dataset(self.config.dataset, self.config.utterances)
        self.fingerprint, self.title = self.dataset.fingerprint, self.dataset.name
        self.features = recordings.features(self.dataset, self.spec)

    def clips(self) -> tuple[list[Clip], list[Clip]]:
        """The recordings to learn from, and those kept apart."""

        def clip(row: manifest.Utterance) -> Clip:
            read = functools.partial(_read, row.audio, self.spec.rate)
            log_mel = functools.partial(self.features.log_mel, row.audio)
            return Clip(row.text, log_mel, self.features.frames(row.audio), read)

        train, validation = ([clip(row) for row in self.dataset.split(name)] for name in ("train", "validation"))
        return train, validation

    def __repr__(self) -> str:
        minutes = sum(c.frames for c in (*self.train, *self.validation)) * self.spec.hop / self.spec.rate / 60
        return (
            f"{self.title}: {len(self.train)} recordings to learn from, {len(self.validation)} to check with, "
            f"{minutes:.1f} minutes at {self.spec.rate:,} Hz; model {self.config.size!r}, windows of "
            f"{self.config.window * self.spec.hop:,} samples"
        )

    def noise(self, draw: np.random.Generator, count: int) -> np.ndarray:
        """What is added to windows, [count, samples]: after exact silence a model stays silent, whatever the mel."""
        shape = count, self.config.window * self.spec.hop + 2
        return np.float32(self.dither) * draw.uniform(-1, 1, shape).astype(np.float32)

    def cut(self, clips: list[Clip], places: np.ndarray, noise: np.ndarray) -> Windows:
        """The windows at `places`, with noise: each place counts through all windows of all clips, clip after clip."""
        window, hop, context = self.config.window, self.spec.hop, self.model_config.context
        ends = np.cumsum([clip.frames - window for clip in clips])
        waves, mels = [], []
        for place, added in zip(places, noise, strict=True):
            index = int(np.searchsorted(ends, place, side="right"))
            clip, first = clips[index], int(place - (ends[index - 1] if index else 0))
            frames = np.clip(np.arange(first - context, first + window + 1 + context), 0, clip.frames - 1)
            mels.append(clip.log_mel()[:, frames])
            wave = clip.wave(first * hop - 2, (first + window) * hop) + added
            waves.append(distribution.with_emphasis(wave, self.model_config))
        return Windows(np.stack(waves), np.stack(mels))

    def modules(self) -> Modules:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.key(self.config.seed, "init"))
            return {"model": wavernn.WaveRNN(self.model_config)}

    def optimizations(self, modules: Modules) -> dict[str, Optimization]:
        adam = torch.optim.Adam(modules["model"].parameters(), fused=True)
        rate = warmup_inverse_square_root(self.config.learning_rate, self.config.warmup_steps)
        return {"adam": Optimization(adam, rate, clip_norm=self.config.clip_norm or float("inf"))}

    def batches(self, split: str, part: int, parts: int) -> Any:
        return (_Drawn if split == "train" else _Fixed)(self, part, parts)

    def prepare(self, modules: Modules, batch: Windows) -> None:
        if self.config.init_from:
            vocoders.inherit(modules["model"], self.spec, vocoders.open_vocoder(self.config.init_from))

    def weights(self, batch: Windows) -> dict[str, float]:
        return {"nats": batch.wave.shape[0] * (batch.wave.shape[1] - 1)}

    def amount(self, batch: Windows) -> dict[str, int]:
        return {"samples": batch.wave.shape[0] * (batch.wave.shape[1] - 1)}

    def losses(self, modules: Modules, batch: Windows, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        x = distribution.to_network(batch.wave, self.model_config)
        logits = modules["model"](x[:, :-1], batch.log_mel, edges=False)
        yield "adam", {"nats": distribution.negative_log_likelihood(logits, x[:, 1:], self.model_config).sum()}

    def probe(self, modules: Modules, step: int) -> Probe:
        """Make the beginning of a recording anew, from its mel."""
        clip = (self.validation or self.train)[0]
        log_mel = clip.log_mel()[:, : 1 + max(1, round(self.config.probe_seconds * self.spec.rate / self.spec.hop))]
        wave = self.vocoder(modules).vocode(log_mel)
        about = {"hop": self.spec.hop, "rate": self.spec.rate}
        made = self.log_mel(wave)
        picture = {"log_mel": made, **about, "low": self.spec.low, "high": self.spec.high}
        pictures = [
            Picture("mel", "spectrogram", clip.title, picture),
            Picture("sample", "audio", clip.title, {"wave": wave, "rate": self.spec.rate}),
        ]
        return Probe({"mel_error_db": float(sound.mel_errors(made, log_mel).mean())}, pictures)

    def log_mel(self, wave: np.ndarray) -> np.ndarray:
        """The mel of a wave that may be shorter than a window."""
        return audio.log_mel(np.pad(wave, (0, max(0, self.spec.window - len(wave)))), self.spec)

    def contents(self) -> dict[str, Any]:
        return wavernn.describe(self.model_config, self.spec)

    def vocoder(self, modules: Modules) -> Vocoder:
        """The model with all that it needs to make sound of a mel."""
        return Vocoder(modules["model"], self.spec)

    def export(self, result: FitResult, folder: Path) -> Path:
        """Write the trained vocoder into folder/exports under a name that tells what it is."""
        return self.export_to(folder, result.step, self.vocoder(result.modules))


def smoke_run() -> str:
    """Train the smoke preset, for notebooks that need a vocoder where there is none yet; returns its run's name."""
    task = WaveRNNTask(WaveRNNTrain.preset("smoke"))
    return recordings.smoke_run(task, "It hisses: 31_wavernn_train trains a vocoder.")
