"""Voices that were trained: found by the name of their run, opened, asked to speak, inherited from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from nbkit.base import record, workspace
from nbkit.base.params import Params, param
from nbkit.data import manifest
from nbkit.data.audio import MelSpec
from nbkit.data.manifest import Dataset
from nbkit.data.speech import TokenReader
from nbkit.models import glow_tts
from nbkit.models.glow_tts import Voice
from nbkit.train import trained


@dataclass(frozen=True)
class GlowTTSSpeak(Params):
    """Parameters of 23_glow_speak."""

    source: str = param(
        "", "Name of a run, or path of a checkpoint or export. Empty takes the newest run.", identity=False
    )
    text: str = param("안녕하세요, 제주에 오신 것을 환영합니다.", "What is to be spoken.")
    speaker: str = param("", "Name of a speaker. Empty takes the first.")
    noise_scale: float = param(0.667, "Temperature. 0 is flat and clean, 1 lively.", low=0.0, high=2.0)
    length_scale: float = param(1.0, "Factor on every duration. More is slower.", low=0.25, high=4.0)
    vocoder: str = param(
        "", "What makes the sound: a run or an export of 31_wavernn_train. Empty is Griffin-Lim.", identity=False
    )
    seed: int = param(0, "Decides the noise.", low=0)

    PRESETS: ClassVar = {"smoke": {"text": "안녕하세요."}}


def newest_run() -> str:
    """The name of the Glow-TTS run that was written to last and can speak; empty where there is none."""
    return trained.newest_run("glow_tts")


def open_voice(source: str | os.PathLike) -> Voice:
    """A voice from an export, the folder of a checkpoint, or the name or folder of a run (its newest checkpoint).

    raises FileNotFoundError where there is none of them
    """
    path = Path(source)
    if path.is_file():
        return glow_tts.load(path)
    return glow_tts.from_parts(*trained.parts(source, "glow_tts", "22_glow_train"))


def learnt_from(source: str | os.PathLike) -> Dataset | None:
    """The data set of the run (or checkpoint of a run) that made a voice, split as it was then; None of an export."""
    places = [Path(source), workspace.runs() / source, Path(source).absolute().parent.parent]
    folder = next((place for place in places if (place / record.CONFIG).is_file()), None)
    if folder is None:
        return None
    asked = record.Record.read(folder).config["parameters"]
    return manifest.open_dataset(asked["dataset"], asked.get("utterances", 0))


@torch.no_grad()
def inherit(model: glow_tts.GlowTTS, reader: TokenReader, spec: MelSpec, parent: Voice) -> list[str]:
    """Start `model` from the weights of another voice; returns the symbols that it did not know.

    The rows of the token embedding are matched by symbol, so that another language or front end can start from it; the
    embedding of the speakers starts anew. raises ValueError for a parent of another size, or of other features
    """
    if parent.spec != spec:
        raise ValueError(
            f"init_from wants a voice of the features {spec}, got {parent.spec}; take another voice to start from"
        )
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
