"""A trained Glow-TTS that can be opened alone and speaks: network, symbols and feature parameters in one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from nbkit.base import seeds
from nbkit.data import audio
from nbkit.data.audio import MelSpec
from nbkit.data.speech import TokenReader
from nbkit.models import exports
from nbkit.models.glow_tts import published
from nbkit.models.glow_tts.config import GlowTTSConfig
from nbkit.models.glow_tts.model import GlowTTS

FORMAT = "nbkit.glow_tts.1"


class SpokenMel(NamedTuple):
    """A sentence as the model speaks it, before a vocoder."""

    log_mel: np.ndarray  # [C, F] natural log
    durations: np.ndarray  # [T] frames
    symbols: list[str]  # [T]


class Spoken(NamedTuple):
    """A sentence as it is heard."""

    wave: np.ndarray  # [S] float32
    rate: int
    mel: SpokenMel


class Looks(NamedTuple):
    """How the encoder reads a sentence, before a single frame is made."""

    weights: np.ndarray  # [L, H, T, T] how much each token looks at each other, rows sum to 1
    window: (
        np.ndarray
    )  # [L, H, 2 window + 1] what the relative keys add to a score, by distance, the farthest before first
    symbols: list[str]  # [T]


class Vocoder(Protocol):
    """What makes sound of a mel: models.wavernn.Vocoder, say."""

    def match(self, spec: MelSpec) -> None:
        """Raise ValueError that names what differs, where mels of `spec` are not what it learnt."""

    def vocode(self, log_mel: np.ndarray, *, seed: int) -> np.ndarray:
        """A wave, float32 [(F - 1) hop] in [-1, 1], of a mel [C, F]."""
        ...


class Voice:
    """A model with everything that it needs to read a text."""

    def __init__(self, model: GlowTTS, reader: TokenReader, spec: MelSpec, speakers: tuple[str, ...], language: str):
        self.model, self.reader, self.spec = model.eval(), reader, spec
        self.speakers, self.language = tuple(speakers), language

    @torch.inference_mode()
    def synthesise(
        self, text: str, *, speaker: str = "", noise_scale: float = 0.667, length_scale: float = 1.0, seed: int = 0
    ) -> SpokenMel:
        """Text to log-mel. The same arguments give the same frames.

        speaker        one of `speakers`; empty takes the first
        noise_scale    temperature, 0 to 1
        length_scale   factor on durations, > 1 is slower
        raises         ValueError for an empty text or an unknown speaker, TextError for symbols the model does not know
        """
        if speaker and speaker not in self.speakers:
            known = f"one of {', '.join(self.speakers)}" if self.speakers else "none, since this voice has no names"
            raise ValueError(f"wanted as speaker {known}, got {speaker!r}")
        encoded = self._read(text)
        device = next(self.model.parameters()).device
        spoken = self.model.synthesise(
            torch.as_tensor(encoded.ids, device=device)[None],
            torch.tensor([len(encoded.ids)], device=device),
            torch.tensor([self.speakers.index(speaker) if speaker else 0], device=device),
            generator=torch.Generator().manual_seed(seeds.key(seed, "speak")),
            noise_scale=noise_scale,
            length_scale=length_scale,
        )
        return SpokenMel(spoken.mel[0].float().cpu().numpy(), spoken.durations[0].cpu().numpy(), encoded.symbols)

    def speak(self, text: str, *, vocoder: Vocoder | None = None, iterations: int = 60, **how: Any) -> Spoken:
        """Text to sound; the other arguments are those of synthesise.

        vocoder     what makes the sound, of the same MelSpec; None is Griffin-Lim
        iterations  of its search for phases; fewer are faster and rougher
        raises      ValueError for a vocoder of another MelSpec, and as synthesise does
        """
        if vocoder is not None:
            vocoder.match(self.spec)
        mel = self.synthesise(text, **how)
        if vocoder is None:
            wave = audio.griffin_lim(mel.log_mel, self.spec, iterations)
        else:
            wave = vocoder.vocode(mel.log_mel, seed=how.get("seed", 0))
        return Spoken(wave, self.spec.rate, mel)

    @torch.inference_mode()
    def looks(self, text: str) -> Looks:
        """The attention of the encoder over the tokens of a text; raises as synthesise does."""
        encoded = self._read(text)
        tokens = torch.as_tensor(encoded.ids, device=next(self.model.parameters()).device)[None]
        weights, window = self.model.encoder.looks(tokens, torch.ones_like(tokens, dtype=torch.float32)[:, None])
        return Looks(weights[0].float().cpu().numpy(), window[0].float().cpu().numpy(), encoded.symbols)

    def _read(self, text: str) -> Any:
        if not text.strip():
            raise ValueError("wanted a text to speak, got an empty one; type a sentence")
        return self.reader.read(text)

    @property
    def seconds_per_frame(self) -> float:
        return self.spec.hop / self.spec.rate

    def about(self) -> dict[str, Any]:
        """What an export says of itself."""
        return describe(self.model.config, self.reader, self.spec, self.speakers, self.language)

    def save(self, path: str | os.PathLike) -> Path:
        """Write one .safetensors file that `load` opens alone."""
        return exports.write(path, self.model.state_dict(), self.about())


def describe(
    config: GlowTTSConfig, reader: TokenReader, spec: MelSpec, speakers: tuple[str, ...], language: str
) -> dict[str, Any]:
    """Everything but the weights that from_parts needs, as JSON; exports and checkpoints keep it."""
    return {
        "format": FORMAT,
        "model": config.as_dict(),
        "reader": reader.as_dict(),
        "mel": spec.as_dict(),
        "speakers": list(speakers),
        "language": language,
    }


def from_parts(weights: dict[str, Tensor], about: dict[str, Any]) -> Voice:
    """A Voice from a state dict and what describe() said when it was kept. ValueError where they do not fit."""
    if about.get("format") != FORMAT:
        raise ValueError(f"wanted a Glow-TTS in format {FORMAT}, got {about.get('format')!r}")
    with exports.fitting("Glow-TTS"):
        model = GlowTTS(GlowTTSConfig.from_dict(about["model"]))
        model.load_state_dict(weights)
        reader = TokenReader.from_dict(about["reader"])
        return Voice(model, reader, MelSpec.from_dict(about["mel"]), tuple(about["speakers"]), about["language"])


def load(path: str | os.PathLike) -> Voice:
    """Open an export, or a checkpoint of the authors' implementation. raises ValueError for a file that is neither."""
    path = exports.file(path, "a Glow-TTS export")
    if published.is_one(path):
        model, reader, spec = published.read(path)
        return Voice(model, reader, spec, tuple(map(str, range(model.config.speakers))), "en")
    return from_parts(*exports.read(path, "Glow-TTS", "Voice.save"))
