"""What the notebook on the alignment search needs: an utterance, and how well each of its frames fits each sound.

No model and no training: the mean log-mel of each phone, taken from other utterances of the same voice whose boundaries
are known, and one spread for each band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nbkit.base import seeds
from nbkit.base.params import Params, param
from nbkit.data import audio, espeak
from nbkit.data.audio import MelSpec

_DITHER = 1 / 32768  # one step of 16 bits, or digital silence would lie infinitely far from everything


@dataclass(frozen=True)
class AlignmentSearch(Params):
    """Parameters of 21_alignment_search."""

    text: str = param("같이 가자고 말해 보세요.", "A Korean sentence to align.")
    others: int = param(60, "Take the sound of each phone from so many other sentences.", low=1, high=400)
    longest: int = param(2048, "Frames of the longest search that is timed.", low=128, high=8192)

    PRESETS: ClassVar = {"smoke": {"others": 20, "longest": 256}}


@dataclass(frozen=True)
class Aligned:
    """An utterance [S] whose truth is known, and its log-mel [C, F]."""

    wave: np.ndarray
    mel: np.ndarray
    symbols: list[str]  # [T] phones and pauses
    spans: list[tuple[str, float, float]]  # [T] (symbol, start, end) in seconds


def utterance(text: str, spec: MelSpec) -> Aligned:
    """Korean text as eSpeak says it, at the rate of `spec`."""
    said = espeak.speak(text)
    if said.rate != spec.rate:
        raise ValueError(f"eSpeak speaks at {said.rate} Hz, wanted {spec.rate}; use a MelSpec of that rate")
    noise = seeds.generator(0, "dither", text).random(len(said.wave), dtype=np.float32) - np.float32(0.5)
    mel = audio.log_mel(said.wave + noise * np.float32(_DITHER), spec)
    return Aligned(said.wave, mel, [p.label for p in said.phones], [(p.label, p.start, p.end) for p in said.phones])


def phone_of_frame(one: Aligned, spec: MelSpec) -> np.ndarray:
    """The phone that sounds in the middle of each frame: [F] indices into one.symbols."""
    ends = np.array([end for *_, end in one.spans])
    return np.minimum(
        np.searchsorted(ends, np.arange(one.mel.shape[1]) * spec.hop / spec.rate, side="right"), len(ends) - 1
    )


def frame_scores(one: Aligned, others: Sequence[Aligned], spec: MelSpec) -> np.ndarray:
    """Log-likelihood of each frame under each phone: [F, T] float32, from the phones of `others` alone.

    A phone that `others` do not hold is scored as the mean of all sounds.
    """
    frames = np.concatenate([other.mel.T for other in others])
    names = np.concatenate([np.array(other.symbols)[phone_of_frame(other, spec)] for other in others])
    means = {name: frames[names == name].mean(0) for name in set(names.tolist())}
    spread = np.std(frames - np.stack([means[name] for name in names]), axis=0)
    token_means = np.stack([means.get(symbol, frames.mean(0)) for symbol in one.symbols])
    off = (one.mel.T[:, None] - token_means) / spread  # [F, T, C]
    return (-0.5 * off**2 - np.log(spread) - 0.5 * np.log(2 * np.pi)).sum(2).astype(np.float32)
