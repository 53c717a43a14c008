"""Vocoders that were trained: found by the name of their run, opened, inherited from, put behind a voice."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from nbkit.base.params import Params, param
from nbkit.data.audio import MelSpec
from nbkit.models import wavernn
from nbkit.models.wavernn import Vocoder
from nbkit.train import trained


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
    fold: float = param(
        0.5, "Length of the stretches that are made side by side. 0 makes one after the other.", unit="seconds", low=0.0
    )
    seed: int = param(0, "Decides every draw.", low=0)

    PRESETS: ClassVar = {"smoke": {"text": "안녕하세요."}}


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
