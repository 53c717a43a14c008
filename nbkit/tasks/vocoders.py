"""Vocoders that were trained: found by the name of their run, opened, inherited from, measured on recordings."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from nbkit.base.params import Params, param
from nbkit.data import audio, manifest
from nbkit.data.audio import MelSpec
from nbkit.evaluate import sound
from nbkit.models import wavernn
from nbkit.models.wavernn import Vocoder, folding
from nbkit.tasks import voices
from nbkit.train import trained

WAYS = ("recording", "Griffin-Lim", "WaveRNN")
HEADS = ("", "MCD, dB", "F0, cents", "voicing", "level, dB", "mel, dB")
SHORT = 0.1  # seconds of a fold where seams are measured, so that there are many


@dataclass(frozen=True)
class WaveRNNVocode(Params):
    """Parameters of 32_wavernn_vocode."""

    vocoder: str = param(
        "", "Name of a run, or path of a checkpoint or export. Empty takes the newest run.", identity=False
    )
    voice: str = param(
        "", "The same for the voice that speaks. Empty takes the newest run of Glow-TTS.", identity=False
    )
    text: str = param("안녕하세요, 제주에 오신 것을 환영합니다.", "What is to be spoken.")
    count: int = param(3, "Recordings that are made anew from their own mels.", low=1)
    fold: float = param(
        0.5, "Length of the stretches that are made side by side. 0 makes one after the other.", unit="seconds", low=0.0
    )
    seed: int = param(0, "Decides every draw.", low=0)

    PRESETS: ClassVar = {"smoke": {"text": "안녕하세요.", "count": 1}}


def newest_run() -> str:
    """The name of the WaveRNN run that was written to last and has a checkpoint; empty where there is none."""
    return trained.newest_run("wavernn")


def open_vocoder(source: str | os.PathLike) -> Vocoder:
    """A vocoder from an export, the folder of a checkpoint, or the name or folder of a run (its newest checkpoint).

    raises FileNotFoundError where there is none of them
    """
    path = Path(source)
    if path.is_file():
        return wavernn.load(path)
    return wavernn.from_parts(*trained.parts(source, "wavernn", "31_wavernn_train"))


class Copy:
    """A recording, and what two vocoders make of its own mel: copy synthesis, so that only the vocoder is heard."""

    def __init__(self, title: str, recording: np.ndarray, vocoder: Vocoder, *, seed: int = 0, fold: float = 0.5):
        """recording [S] of the rate of the vocoder"""
        self.title, self.spec = title, vocoder.spec
        self.log_mel = audio.log_mel(recording, self.spec)  # [C, F]
        began = time.perf_counter()
        made = vocoder.vocode(self.log_mel, seed=seed, fold=fold)
        self.took = time.perf_counter() - began  # seconds
        whole = audio.griffin_lim(self.log_mel, self.spec)
        waves = recording[: len(made)], whole[: len(made)], made
        self.waves = dict(zip(WAYS, waves, strict=True))  # way -> [S]

    def measures(self) -> dict[str, tuple[float, ...]]:
        """For both vocoders what HEADS says: how far their sound is from the recording; silence is NaN."""
        wanted = self.waves["recording"]
        return {way: self._of(self.waves[way], wanted) for way in WAYS[1:]}

    def _of(self, wave: np.ndarray, wanted: np.ndarray) -> tuple[float, ...]:
        if not np.abs(wave).max() > 1e-3 or not np.abs(wanted).max() > 1e-3:
            return (np.nan,) * (len(HEADS) - 1)
        found = sound.compare(wave, wanted, self.spec)
        level = 10 * np.log10((wave**2).mean() / (wanted**2).mean())
        mel = sound.mel_errors(audio.log_mel(wave, self.spec), self.log_mel).mean()
        return found.mcd, found.f0_rmse, found.voicing_error, float(level), float(mel)


def measured(copies: Sequence[Copy]) -> list[tuple[str | float, ...]]:
    """A line for each vocoder: means over copies of what HEADS says, "-" where none has a value."""
    found = [copy.measures() for copy in copies]
    lines = []
    for way in WAYS[1:]:
        values = np.array([one[way] for one in found])
        known = [column[~np.isnan(column)] for column in values.T]
        lines.append((way, *(round(float(column.mean()), 3) if column.size else "-" for column in known)))
    return lines


def recordings(source: str | os.PathLike, vocoder: Vocoder, count: int) -> list[tuple[str, np.ndarray]]:
    """(text, wave [S]) of recordings that the run of a vocoder kept apart; of an export, eSpeak's.

    raises  what manifest.open_dataset raises where its data set is not here
    """
    dataset = voices.learnt_from(source) or manifest.open_dataset("espeak_ko", 16)
    rows = [*dataset.split("validation"), *dataset.split("train")][:count]
    return [(row.text, audio.load(row.audio, vocoder.spec.rate, resample=True)) for row in rows]


def seams(vocoder: Vocoder, mels: Sequence[np.ndarray], seed: int = 0) -> list[tuple[str, float, float]]:
    """How far the sound is from its mel where folds meet and elsewhere, in dB: in one row, in folds, in cut-off folds.

    In one row there are no seams: the same places tell what chance is. Folds are of SHORT seconds.
    """
    overlaps = {"in one row": None, "folds that fade": 0.05, "folds that are cut off": 0.0}
    lines = []
    for way, overlap in overlaps.items():
        errors, at_seam = [], []
        for log_mel in mels:
            how: dict[str, Any] = {"fold": 0.0} if overlap is None else {"fold": SHORT, "overlap": overlap}
            wave = vocoder.vocode(log_mel, seed=seed, **how)
            errors.append(sound.mel_errors(audio.log_mel(wave, vocoder.spec), log_mel))
            places = folding.seams(len(wave), round(SHORT * vocoder.spec.rate))
            at_seam.append(sound.near(places, len(errors[-1]), vocoder.spec.hop, vocoder.spec.hop))
        error, seam = np.concatenate(errors), np.concatenate(at_seam)
        lines.append(
            (way, *(round(float(error[where].mean()), 2) if where.any() else np.nan for where in (seam, ~seam)))
        )
    return lines


def speeds(vocoder: Vocoder, log_mel: np.ndarray, folds: Sequence[float]) -> list[tuple[str, int, float]]:
    """(way, samples a second, times real time) of one mel, for lengths of folds in seconds; 0 is one row."""
    vocoder.vocode(log_mel[:, :2], fold=0.0)  # what is compiled is compiled before the clock starts
    lines = []
    for fold in folds:
        began = time.perf_counter()
        samples = len(vocoder.vocode(log_mel, fold=fold))
        speed = samples / (time.perf_counter() - began)
        rows = -(-samples // round(fold * vocoder.spec.rate)) if fold else 1
        lines.append((f"{rows} row{'s' * (rows > 1)}", round(speed), round(speed / vocoder.spec.rate, 3)))
    return lines


@torch.no_grad()
def inherit(model: wavernn.WaveRNN, spec: MelSpec, parent: Vocoder) -> None:
    """Start `model` from the weights of another vocoder.

    raises ValueError for one of another shape or of other features
    """
    parent.match(spec)
    if parent.model.config != model.config:
        raise ValueError(
            f"init_from wants a WaveRNN of the same shape, {model.config}, got {parent.model.config}; choose size and "
            "output as the parent has them"
        )
    model.load_state_dict(parent.model.state_dict())
