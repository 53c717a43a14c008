"""Glow-TTS on a speech data set: what 22_glow_train runs.

Source: paper_notes/glow_tts.md
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nbkit.base import seeds
from nbkit.base.params import param
from nbkit.data import manifest, speech, text
from nbkit.data.audio import MelSpec
from nbkit.data.speech import Batch, Example, TokenReader
from nbkit.evaluate import speech as measure
from nbkit.models import glow_tts
from nbkit.models.glow_tts import Voice
from nbkit.tasks import recordings, voices
from nbkit.train.loop import FitResult
from nbkit.train.task import Modules, Optimization, Picture, Probe, Training, warmup_inverse_square_root

PROBED = 16  # validation utterances that a probe aligns


@dataclass(frozen=True)
class GlowTTSTrain(Training):
    """Parameters of 22_glow_train."""

    dataset: str = param("espeak_ko", "A data set of data_manifests. `nbkit data list` shows them.")
    utterances: int = param(0, "Use so many utterances. 0 takes all; synthetic sets make as many as asked.", low=0)
    front_end: str = param(
        "auto",
        "What a token is. auto: jamo for Korean, letters for English. arpabet is that of the authors' checkpoint.",
        choices=("auto", "jamo", "letters", "phones", "arpabet"),
    )
    pronounce: bool = param(False, "Read Korean as it is pronounced: 같이 as 가치, 먹는 as 멍는.")
    blank: bool = param(False, "Put a blank token between all tokens.")
    size: str = param("tiny", "Size of the model. paper has 28.6 million parameters.", choices=tuple(glow_tts.SIZES))
    clip_value: float = param(5.0, "Each gradient is cut to this magnitude. 0 does not cut.", low=0.0)

    PRESETS: ClassVar = {
        "smoke": {
            "utterances": 24,
            "stop_at": 12,
            "warmup_steps": 10,
            "evaluate_every": 12,
            "save_every": 6,
        },
        "colab": {
            "dataset": "kss",
            "size": "paper",
            "batch_size": 32,
            "learning_rate": 1.1410886e-3,
            "warmup_steps": 4000,
            "stop_at": 60_000,
            "evaluate_every": 1000,
            "save_every": 500,
            "workers": 2,
        },
        "paper": {
            "dataset": "ljspeech",
            "size": "paper",
            "batch_size": 32,
            "learning_rate": 1.1410886e-3,
            "warmup_steps": 4000,
            "stop_at": 240_000,
            "evaluate_every": 2000,
            "save_every": 1000,
            "workers": 4,
        },
    }


class GlowTTSTask(recordings.Filed):
    """Glow-TTS and the examples it learns from."""

    name = "glow_tts"

    def __init__(self, config: GlowTTSTrain):
        """Open the data set, extract its features where they are not cached, and read all texts.

        raises  data.speech.SpeechError that names the rows that cannot be used, before anything is trained
        """
        self.config = config
        self.dataset = manifest.open_dataset(config.dataset, config.utterances)
        self.fingerprint, self.title = self.dataset.fingerprint, config.dataset
        self.spec = MelSpec()
        name = config.front_end
        if name == "auto":
            name = text.BY_LANGUAGE.get(self.dataset.language, "")
        front_end = text.front_end(name, self.dataset.language, pronounce=config.pronounce)
        self.reader = TokenReader(front_end, config.blank)
        self.features = recordings.features(self.dataset, self.spec)
        self.train, self.validation = (
            speech.examples(self.dataset, split, self.reader, self.features) for split in ("train", "validation")
        )
        shape = {
            "vocabulary": len(self.reader.symbols),
            "bands": self.spec.bands,
            "speakers": len(self.dataset.speakers),
        }
        self.model_config = glow_tts.sized(config.size, **shape)

    def __repr__(self) -> str:
        rows = [*self.train, *self.validation]
        minutes = sum(e.frames for e in rows) * self.seconds_per_frame / 60
        tokens, speakers = len(self.reader.symbols), len(self.dataset.speakers)
        return (
            f"{self.dataset.name}: {len(self.train)} utterances to learn from, {len(self.validation)} to check with, "
            f"{minutes:.1f} minutes, {speakers} speaker{'s' * (speakers > 1)}; "
            f"{tokens} symbols of front end {self.reader.front_end.name!r}; model {self.config.size!r}"
        )

    @property
    def seconds_per_frame(self) -> float:
        return self.spec.hop / self.spec.rate

    def untrained(self) -> Modules:
        """The networks as they are at step 0."""
        modules = self.modules()
        batch = self.batches("train", 0, 1)[0]
        self.prepare(modules, Batch(*(torch.as_tensor(array) for array in batch)))
        return modules

    def modules(self) -> Modules:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.key(self.config.seed, "init"))
            return {"model": glow_tts.GlowTTS(self.model_config)}

    def optimizations(self, modules: Modules) -> dict[str, Optimization]:
        adam = torch.optim.Adam(modules["model"].parameters(), betas=(0.9, 0.98), eps=1e-9, fused=True)
        rate = warmup_inverse_square_root(self.config.learning_rate, self.config.warmup_steps)
        return {"adam": Optimization(adam, rate, clip_value=self.config.clip_value or float("inf"))}

    def batches(self, split: str, part: int, parts: int) -> Any:
        if split == "train":
            return speech.SpeechBatches(
                self.train, self.features, self.config.batch_size, self.config.seed, part, parts
            )
        return speech.ValidationBatches(self.validation, self.features, self.config.batch_size, part, parts)

    def prepare(self, modules: Modules, batch: Batch) -> None:
        if self.config.init_from:  # its flow is initialised already
            voices.inherit(modules["model"], self.reader, self.spec, voices.open_voice(self.config.init_from))
        else:
            modules["model"].initialise(batch.mel, batch.frame_lengths, batch.speakers)

    def weights(self, batch: Batch) -> dict[str, float]:
        squeeze = self.model_config.squeeze
        frames = int((batch.frame_lengths // squeeze * squeeze).sum())
        return {"mle": frames * self.spec.bands, "duration": int(batch.token_lengths.sum())}

    def amount(self, batch: Batch) -> dict[str, int]:
        return {"frames": int(batch.frame_lengths.sum())}

    def losses(self, modules: Modules, batch: Batch, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        out = modules["model"](batch.tokens, batch.token_lengths, batch.mel, batch.frame_lengths, batch.speakers)
        yield "adam", {"mle": out.negative_log_likelihood(), "duration": out.duration_error()}

    def probe(self, modules: Modules, step: int) -> Probe:
        """Align some validation utterances and speak the first of them."""
        chosen = (self.validation or self.train)[:PROBED]
        probe = Probe()
        errors = [self.boundary_errors(modules["model"], example) for example in chosen]
        if any(len(e) for e in errors):
            probe.metrics["boundary_error_ms"] = 1000 * float(np.median(np.concatenate(errors)))
        probe.pictures = [self.alignment_picture(modules["model"], chosen[0]), self.sample_picture(modules, chosen[0])]
        return probe

    def contents(self) -> dict[str, Any]:
        return glow_tts.describe(
            self.model_config, self.reader, self.spec, self.dataset.speakers, self.dataset.language
        )

    def voice(self, modules: Modules) -> Voice:
        """The model with all that it needs to speak."""
        return Voice(modules["model"], self.reader, self.spec, self.dataset.speakers, self.dataset.language)

    @torch.no_grad()
    def align(self, model: glow_tts.GlowTTS, example: Example) -> glow_tts.GlowTTSOutput:
        """One pass of a model in eval mode over one example."""
        batch = speech.collate([0], [example], self.features)
        device = next(model.parameters()).device
        return model.eval()(*(torch.as_tensor(array, device=device) for array in batch[:5]))

    def segments(self, example: Example) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
        """What is known to be true of a row: segment of each token [T], -1 for none, and (label, start, end) of each.

        Phones where they are the tokens, else words; nothing where the data set knows no times.
        """
        if self.reader.front_end.name == "phones" and example.row.phones:
            index = np.arange(len(example.row.phones))
            return (_with_blanks(index) if self.reader.blank else index), [tuple(p) for p in example.row.phones]
        words = example.row.words
        labels = [(example.row.text[first:stop], start, end) for first, stop, start, end in words]
        return text.words_of(example.spans, words), labels

    def boundary_errors(self, model: glow_tts.GlowTTS, example: Example) -> np.ndarray:
        """Distance of both ends of each known segment from the truth, in seconds; empty where nothing is known."""
        segment_of, truth = self.segments(example)
        durations = self.align(model, example).durations[0].cpu().numpy()
        return measure.boundary_errors(durations, segment_of, [t[1:] for t in truth], self.seconds_per_frame)

    def measure(self, modules: Modules, most: int = 100) -> dict[str, float]:
        """How well it aligns and speaks: medians over rows that it learnt from (known) and rows kept apart (new).

        most      rows of each that are looked at; at most five of them are spoken, at noise 0
        returns   boundary_error_ms, where the truth is known, on new rows; known_mel_distance_db and
                  new_mel_distance_db between spoken and recorded, see evaluate.speech.DTW_NAME
        """
        groups = {"known": self.train[:most], "new": self.validation[:most]}
        aligned = groups["new"] or groups["known"]
        errors = np.concatenate([np.zeros(0), *(self.boundary_errors(modules["model"], e) for e in aligned)])
        found = {"boundary_error_ms": 1000 * float(np.median(errors))} if len(errors) else {}
        for group, rows in groups.items():
            distances = [self.mel_distance(modules, example) for example in rows[:5]]
            found |= {f"{group}_mel_distance_db": float(np.median(distances))} if distances else {}
        return {name: round(value, 2) for name, value in found.items()}

    def mel_distance(self, modules: Modules, example: Example) -> float:
        """How far the model, at noise 0, speaks the text of an example from its recording, in dB."""
        spoken = self.voice(modules).synthesise(example.row.text, speaker=example.row.speaker, noise_scale=0.0)
        return measure.mel_distance(spoken.log_mel, self.features.log_mel(example.row.audio).T)

    def export(self, result: FitResult, folder: Path) -> Path:
        """Write the trained voice into folder/exports under a name that tells what it is."""
        return self.export_to(folder, result.step, self.voice(result.modules))

    def alignment_picture(self, model: glow_tts.GlowTTS, example: Example) -> Picture:
        """The path of one example on the scores it was found on, with the truth where it is known."""
        out = self.align(model, example)
        scores = glow_tts.frame_scores(out.z, out.mean, out.log_sigma)[0].T.cpu().numpy()
        segment_of, truth = self.segments(example)
        spans = []
        for segment, span in enumerate(truth):
            held = np.flatnonzero(segment_of == segment)
            if len(held):
                spans.append((*span, int(held[0]), int(held[-1]) + 1))
        arrays = {
            "durations": out.durations[0].cpu().numpy(),
            "symbols": list(example.symbols),
            "seconds_per_frame": self.seconds_per_frame,
            "scores": scores,
            "truth": spans,
            "mel": self.features.log_mel(example.row.audio).T[:, : scores.shape[1]],
        }
        return Picture("alignment", "alignment", example.row.text, arrays)

    def sample_picture(self, modules: Modules, example: Example) -> Picture:
        """The text of one example, spoken by the model as it is now."""
        spoken = self.voice(modules).speak(example.row.text, speaker=example.row.speaker)
        arrays = spoken.mel._asdict() | {"log_mel": spoken.mel.log_mel.astype(np.float16), "hop": self.spec.hop}
        return Picture("sample", "audio", example.row.text, arrays | {"wave": spoken.wave, "rate": spoken.rate})


def _with_blanks(index: np.ndarray) -> np.ndarray:
    spaced = np.full(2 * len(index) + 1, -1)
    spaced[1::2] = index
    return spaced


def smoke_run() -> str:
    """Train the smoke preset, for notebooks that need a voice where there is none yet; returns the name of its run."""
    task = GlowTTSTask(GlowTTSTrain.preset("smoke"))
    return recordings.smoke_run(task, "It babbles: 22_glow_train trains a voice.")
