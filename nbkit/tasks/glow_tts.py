"""Glow-TTS on a speech data set: what the notebooks 22 and 23 run.

Source: paper_notes/glow_tts.md
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nbkit.base import record, seeds, workspace
from nbkit.base.params import Params, param
from nbkit.data import manifest, speech, text
from nbkit.data.audio import MelSpec
from nbkit.data.speech import Batch, Example, FeatureArchive, TokenReader
from nbkit.evaluate import speech as measure
from nbkit.models import glow_tts
from nbkit.models.glow_tts import Voice
from nbkit.train import store
from nbkit.train.task import Optimization, Picture, Probe, Training, warmup_inverse_square_root

PROBED = 8  # validation utterances that a probe aligns


@dataclass(frozen=True)
class GlowTTSTrain(Training):
    """Parameters of 22_glow_train."""

    dataset: str = param("espeak_ko", "A data set of data_manifests. `nbkit data list` shows them.")
    utterances: int = param(0, "Use so many utterances. 0 takes all; synthetic sets make as many as asked.", low=0)
    front_end: str = param(
        "auto",
        "What a token is. auto takes jamo for Korean and letters for English; phones come from eSpeak.",
        choices=("auto", "jamo", "letters", "phones"),
    )
    blank: bool = param(False, "Put a blank token between all tokens.")
    size: str = param("tiny", "Size of the model. paper has 28.6 million parameters.", choices=tuple(glow_tts.SIZES))
    clip_value: float = param(5.0, "Each gradient is cut to this magnitude. The paper's value is 5.", low=0.0)

    PRESETS: ClassVar = {
        "smoke": {
            "utterances": 24,
            "batch_size": 8,
            "stop_at": 12,
            "warmup_steps": 10,
            "evaluate_every": 12,
            "save_every": 6,
        },
        "colab": {
            "dataset": "kss",
            "size": "paper",
            "batch_size": 32,
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
            "stop_at": 240_000,
            "evaluate_every": 2000,
            "save_every": 1000,
            "workers": 4,
        },
    }


@dataclass(frozen=True)
class GlowTTSSpeak(Params):
    """Parameters of 23_glow_speak."""

    run: str = param("", "Run folder name, or the path of an export. Empty takes the newest run.", identity=False)
    text: str = param("안녕하세요, 제주에 오신 것을 환영합니다.", "What is to be spoken.")
    speaker: str = param("", "Name of a speaker. Empty takes the first.")
    noise_scale: float = param(0.667, "Temperature. 0 is flat and clean, 1 lively.", low=0.0, high=2.0)
    length_scale: float = param(1.0, "Factor on every duration. More is slower.", low=0.25, high=4.0)
    seed: int = param(0, "Decides the noise.", low=0)


class GlowTTSTask:
    """Glow-TTS and the examples it learns from."""

    name = "glow_tts"

    def __init__(self, config: GlowTTSTrain, progress: Callable[[int, int], None] | None = None):
        """Open the data set, extract its features where they are not cached, and read all texts.

        raises  data.speech.SpeechError that names the rows that cannot be used, before anything is trained
        """
        self.config = config
        self.dataset = manifest.open_dataset(config.dataset, config.utterances)
        self.spec = MelSpec()
        name = config.front_end
        if name == "auto":
            name = "jamo" if self.dataset.language == "ko" else "letters"
        self.reader = TokenReader(text.front_end(name, self.dataset.language), config.blank)
        self.features = FeatureArchive(self.dataset.name, self.spec)
        self.features.extract([row.audio for row in self.dataset.rows], progress)
        self.train, self.validation = (
            speech.examples(self.dataset, split, self.reader, self.features) for split in ("train", "validation")
        )
        shape = {
            "vocabulary": len(self.reader.symbols),
            "bands": self.spec.bands,
            "speakers": len(self.dataset.speakers),
        }
        self.model_config = glow_tts.sized(config.size, **shape)

    @property
    def seconds_per_frame(self) -> float:
        return self.spec.hop / self.spec.rate

    def record(self) -> record.Record:
        """The run folder of these parameters, opened for writing."""
        return record.Record.open(self.name, self.config, self.dataset.fingerprint, repeat=self.config.repeat)

    def modules(self) -> dict[str, nn.Module]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.key(self.config.seed, "init"))
            model = glow_tts.GlowTTS(self.model_config)
        if self.config.init_from:
            inherit(model, self.reader, open_voice(self.config.init_from))
        return {"model": model}

    def optimizations(self, modules: dict[str, nn.Module]) -> dict[str, Optimization]:
        adam = torch.optim.Adam(modules["model"].parameters(), betas=(0.9, 0.98), eps=1e-9)
        rate = warmup_inverse_square_root(self.config.learning_rate, self.config.warmup_steps)
        return {"adam": Optimization(adam, rate, clip_value=self.config.clip_value or float("inf"))}

    def batches(self, split: str, part: int, parts: int) -> Any:
        if split == "train":
            return speech.SpeechBatches(
                self.train, self.features, self.config.batch_size, self.config.seed, part, parts
            )
        return speech.ValidationBatches(self.validation, self.features, self.config.batch_size, part, parts)

    def prepare(self, modules: dict[str, nn.Module], batch: Batch) -> None:
        if not self.config.init_from:
            modules["model"].initialise(batch.mel, batch.frame_lengths, batch.speakers)

    def weights(self, batch: Batch) -> dict[str, float]:
        squeeze = self.model_config.squeeze
        frames = int((batch.frame_lengths // squeeze * squeeze).sum())
        return {"mle": frames * self.spec.bands, "duration": int(batch.token_lengths.sum())}

    def losses(self, modules: dict[str, nn.Module], batch: Batch, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        out = modules["model"](batch.tokens, batch.token_lengths, batch.mel, batch.frame_lengths, batch.speakers)
        yield "adam", {"mle": out.negative_log_likelihood(), "duration": out.duration_error()}

    def probe(self, modules: dict[str, nn.Module], step: int) -> Probe:
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

    def voice(self, modules: dict[str, nn.Module]) -> Voice:
        """The model with all that it needs to speak."""
        return Voice(modules["model"], self.reader, self.spec, self.dataset.speakers, self.dataset.language)

    @torch.no_grad()
    def align(self, model: nn.Module, example: Example) -> glow_tts.GlowTTSOutput:
        """One pass of a model in eval mode over one example."""
        batch = speech.collate([0], [example], self.features)
        device = next(model.parameters()).device
        return model.eval()(*(torch.as_tensor(array, device=device) for array in batch[:5]))

    def segments(self, example: Example) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
        """What is known to be true of a row: segment of each token [T], -1 for none, and (label, start, end) of each.

        Phones where they are the tokens, else words; nothing where the data set knows no times.
        """
        if self.reader.front_end.name == "phones":
            index = np.arange(len(example.row.phones))
            return (_with_blanks(index) if self.reader.blank else index), [tuple(p) for p in example.row.phones]
        words = example.row.words
        labels = [(example.row.text[first:stop], start, end) for first, stop, start, end in words]
        return text.words_of(example.spans, words), labels

    def boundary_errors(self, model: nn.Module, example: Example) -> np.ndarray:
        """Distance of both ends of each known segment from the truth, in seconds; empty where nothing is known."""
        segment_of, truth = self.segments(example)
        durations = self.align(model, example).durations[0].cpu().numpy()
        return measure.boundary_errors(durations, segment_of, [t[1:] for t in truth], self.seconds_per_frame)

    def measure(self, modules: dict[str, nn.Module], most: int = 100) -> dict[str, float]:
        """Median boundary error and mel distance of what is spoken from what was recorded, over validation rows.

        most  rows that are aligned; an eighth of them is spoken too, at noise 0
        """
        rows, model, voice = (self.validation or self.train)[:most], modules["model"], self.voice(modules)
        errors = np.concatenate([np.zeros(0), *(self.boundary_errors(model, example) for example in rows)])
        distances = []
        for example in rows[: max(1, len(rows) // 8)]:
            spoken = voice.synthesise(example.row.text, speaker=example.row.speaker, noise_scale=0.0)
            distances.append(measure.mel_distance(spoken.log_mel, self.features.log_mel(example.row.audio).T))
        found = {"boundary_error_ms": 1000 * float(np.median(errors))} if len(errors) else {}
        return found | {"mel_distance_db": float(np.median(distances))}

    def alignment_picture(self, model: nn.Module, example: Example) -> Picture:
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
        }
        return Picture("alignment", "alignment", example.row.text, arrays)

    def sample_picture(self, modules: dict[str, nn.Module], example: Example) -> Picture:
        """The text of one example, spoken by the model as it is now."""
        spoken = self.voice(modules).speak(example.row.text, speaker=example.row.speaker)
        return Picture("sample", "audio", example.row.text, {"wave": spoken.wave, "rate": spoken.rate})


def _with_blanks(index: np.ndarray) -> np.ndarray:
    spaced = np.full(2 * len(index) + 1, -1)
    spaced[1::2] = index
    return spaced


def open_voice(source: str | os.PathLike) -> Voice:
    """A voice from the name or folder of a run (its newest checkpoint) or from an export.

    raises FileNotFoundError where there is neither
    """
    path = Path(source)
    if path.is_file():
        return glow_tts.load(path)
    folder = path if (path / record.CONFIG).exists() else workspace.runs() / path
    checkpoint = store.CheckpointStore(folder / "checkpoints").newest() if folder.is_dir() else None
    if checkpoint is None:
        known = ", ".join(r.name for r in record.runs("glow_tts")) or "none yet; run 22_glow_train first"
        raise FileNotFoundError(f"wanted a run with a checkpoint or an export, got {source}; runs: {known}")
    weights = {k.removeprefix("model."): v for k, v in checkpoint.weights.items() if k.startswith("model.")}
    return glow_tts.from_parts(weights, checkpoint.about)


@torch.no_grad()
def inherit(model: nn.Module, reader: TokenReader, parent: Voice) -> list[str]:
    """Start `model` from the weights of another voice; returns the symbols that it did not know.

    The rows of the token embedding are matched by symbol, so that another language or front end can start from it; the
    embedding of the speakers starts anew. raises ValueError for a parent of another size
    """
    own, given = model.state_dict(), parent.model.state_dict()
    rows = "encoder.embedding.weight"
    for name in own.keys() | given.keys():
        if name in (rows, "speaker.weight"):
            continue
        shapes = [tuple(state[name].shape) if name in state else None for state in (own, given)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"init_from wants a model of the same size; {name} is {shapes[0]} here and {shapes[1]} there; "
                "choose the size, and one or several speakers, as the parent has them"
            )
        own[name].copy_(given[name])
    known = {symbol: i for i, symbol in enumerate(parent.reader.symbols)}
    for i, symbol in enumerate(reader.symbols):
        if symbol in known:
            own[rows][i].copy_(given[rows][known[symbol]])
    return [symbol for symbol in reader.symbols if symbol not in known]
