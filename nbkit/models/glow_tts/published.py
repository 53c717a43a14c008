"""Checkpoints as the authors published them (github.com/jaywalnut310/glow-tts), with all that a voice needs.

Source: paper_notes/glow_tts.md#reference
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nbkit.data.arpabet import Arpabet
from nbkit.data.audio import MelSpec
from nbkit.data.speech import TokenReader
from nbkit.data.text import Letters
from nbkit.models import exports
from nbkit.models.glow_tts import reference
from nbkit.models.glow_tts.model import GlowTTS

_PUBLISHED = reference.CONSTRUCTOR | dict(dilation_rate=1, p_dropout=0.1, p_dropout_dec=0.05)  # of what no shape tells
_RANKS = {  # parameters whose shapes tell the configuration, and how many axes they have
    "encoder.emb.weight": 2,
    "encoder.encoder.attn_layers.0.conv_q.weight": 3,
    "encoder.encoder.ffn_layers.0.conv_1.weight": 3,
    "encoder.proj_m.weight": 3,
    "encoder.proj_w.conv_1.weight": 3,
    "decoder.flows.0.logs": 3,
    "decoder.flows.1.weight": 2,
    "decoder.flows.2.start.weight_v": 3,
    "decoder.flows.2.wn.in_layers.0.weight_v": 3,
}
_SHOWN = 8  # names in a message before "and so many more"


class Checkpoint(NamedTuple):
    """A checkpoint of theirs with all that a voice needs."""

    model: GlowTTS
    reader: TokenReader
    spec: MelSpec


def is_one(path: Path) -> bool:
    """Is it a file of torch, by its name or its first bytes?"""
    if path.suffix in (".pth", ".pt"):
        return True
    with open(path, "rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"\x80\x02\x8a\x0a")  # a zip; what torch wrote before 1.6


def read(path: Path) -> Checkpoint:
    """Open a .pth of theirs; a config.json of theirs in the same folder is followed where there is one.

    Of what shapes do not tell (dilation, sigmoid scale, heads without relative positions, the mel) it takes the
    published values where no config.json says otherwise.
    ValueError for a file that is damaged, holds more than tensors and numbers, or is another model
    """
    state = _state(path)
    given = _config_beside(path)
    model, data = given.get("model", {}), given.get("data", {})
    shown = _shown(state, path)
    bands = {"out_channels": data["n_mel_channels"]} if "n_mel_channels" in data else {}
    config = reference.config((reference.CONSTRUCTOR if model else _PUBLISHED) | shown | model | bands)
    made = GlowTTS(config)
    _check_fit(state, made, path)
    made.load_state_dict(reference.convert(state, config))
    return Checkpoint(made, _reader(config.vocabulary, data, path), _spec(config.bands, data))


def _state(path: Path) -> dict[str, Tensor]:
    """Their parameters by their names, as float32; nothing in the file is run."""
    scalar: Any = np.float64(0).__reduce__()[0]  # their rate is a number of numpy, which torch does not expect
    numbers: list[Any] = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    try:
        with (
            torch.serialization.safe_globals([*numbers, np.dtype, type(np.dtype(np.float64))]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of an unusual protocol; whether it can be read is seen below
            kept = torch.load(path, map_location="cpu", weights_only=True)
    except exports.DAMAGED as error:
        if refused := re.search(r"Unsupported \S+.*?(?= was not|$)", str(error), re.MULTILINE):
            raise ValueError(
                f"wanted tensors and numbers, {path} holds more ({refused[0]}), and opening that could run code of "
                "whoever made it; ask them for the state dict alone"
            ) from error
        raise ValueError(f"wanted a checkpoint of torch, {path} cannot be read; copy or download it again") from error
    state = kept.get("model", kept) if isinstance(kept, dict) else kept
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        found = ", ".join(map(str, list(kept)[:_SHOWN])) if isinstance(kept, dict) else type(kept).__name__
        raise ValueError(f"wanted a Glow-TTS of the authors ('model' holds its state dict), {path} holds {found}")
    return {str(theirs).removeprefix("module."): tensor.float() for theirs, tensor in state.items()}


def _config_beside(path: Path) -> dict[str, Any]:
    beside = path.with_name("config.json")
    if not beside.is_file():
        return {}
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"wanted JSON in {beside}, got something else ({error}); mend it or move it away") from error
    if not isinstance(found, dict) or not {"model", "data"} <= found.keys():
        raise ValueError(f"wanted the authors' config with 'model' and 'data' in {beside}; mend it or move it away")
    return found


def _shown(state: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """The constructor's arguments as the shapes show them."""
    shapes = {theirs: tuple(tensor.shape) for theirs, tensor in state.items()}
    lacking = [theirs for theirs, rank in _RANKS.items() if len(shapes.get(theirs, ())) != rank]
    if lacking:
        raise ValueError(
            f"wanted a Glow-TTS of the authors, {path} lacks {_some(lacking)} and holds {_some(sorted(shapes))}"
        )
    embedding, query, feed, mean, duration, scale, mix, start, gate = (shapes[theirs] for theirs in _RANKS)
    relative = shapes.get("encoder.encoder.attn_layers.0.emb_rel_k", ())
    heads = dict(n_heads=query[0] // max(1, relative[2]), window_size=relative[1] // 2) if len(relative) == 3 else {}
    speakers = shapes.get("emb_g.weight", (1, 0))
    counted = {
        "n_layers_enc": _count(shapes, r"encoder\.encoder\.attn_layers\.(\d+)"),
        "n_blocks_dec": -(-_count(shapes, r"decoder\.flows\.(\d+)") // len(reference.FLOW_PARTS)),
        "n_block_layers": _count(shapes, r"decoder\.flows\.2\.wn\.in_layers\.(\d+)"),
    }
    return counted | heads | {
        "n_vocab": embedding[0],
        "hidden_channels": embedding[1],
        "filter_channels": feed[0],
        "kernel_size": feed[2],
        "filter_channels_dp": duration[0],
        "out_channels": mean[0],
        "mean_only": "encoder.proj_s.weight" not in shapes,
        "prenet": any(theirs.startswith("encoder.pre.") for theirs in shapes),
        "hidden_channels_dec": start[0],
        "kernel_size_dec": gate[2],
        "n_split": mix[0],
        "n_sqz": max(1, scale[1] // max(1, mean[0])),
        "n_speakers": speakers[0],
        "gin_channels": speakers[-1],
    }  # fmt: skip


def _count(names: Mapping[str, Any], pattern: str) -> int:
    return 1 + max(int(found[1]) for found in (re.match(pattern, theirs) for theirs in names) if found)


def _check_fit(state: Mapping[str, Tensor], model: GlowTTS, path: Path) -> None:
    """ValueError that names all parameters which are missing, unknown or of another shape, as the authors call them."""
    wanted = {reference.their_name(ours): tuple(tensor.shape) for ours, tensor in model.state_dict().items()}
    wanted = {theirs: (1, *shape) if "emb_rel" in theirs else shape for theirs, shape in wanted.items()}
    if model.config.window == 0:
        wanted = {theirs: shape for theirs, shape in wanted.items() if "emb_rel" not in theirs or theirs in state}
    shapes = {theirs: tuple(tensor.shape) for theirs, tensor in state.items()}
    problems = []
    for theirs, shape in wanted.items():
        if theirs not in shapes:
            problems.append(f"{theirs}: wanted {shape}, it is missing")
        elif shapes[theirs] != shape:
            problems.append(f"{theirs}: wanted {shape}, got {shapes[theirs]}")
    problems += [f"{theirs}: unknown, got {shape}" for theirs, shape in shapes.items() if theirs not in wanted]
    if problems:
        raise ValueError(
            f"{path} does not fit a Glow-TTS of the authors: {_some(problems, '; ')}. "
            "Lay the config.json that it was trained with beside it, or take a file that was written whole"
        )


def _some(found: Sequence[str], separator: str = ", ") -> str:
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return separator.join([*found[:_SHOWN], *more])


def _reader(vocabulary: int, data: Mapping[str, Any], path: Path) -> TokenReader:
    """Their table: 148 symbols, and a blank behind them where one stands between all tokens."""
    table = Arpabet()
    blank = bool(data.get("add_blank", vocabulary == len(table.symbols) + 1))
    if vocabulary != len(table.symbols) + blank:
        raise ValueError(
            f"wanted the authors' {len(table.symbols)} symbols, or one more with a blank, {path} was trained with "
            f"{vocabulary}; what those are is not in the file: train it again here, or build the voice from "
            "reference.convert and a front end of its symbols"
        )
    spelled = bool(data) and not data.get("cmudict_path")  # trained without a dictionary, it knows no phones
    return TokenReader(Letters(table.symbols) if spelled else table, blank)


def _spec(bands: int, data: Mapping[str, Any]) -> MelSpec:
    window = data.get("filter_length", 1024)
    if data.get("win_length", window) != window:
        raise ValueError(
            f"wanted win_length as long as filter_length, got {data['win_length']} and {window}; it is not built"
        )
    rate = data.get("sampling_rate", 22050)
    high = data.get("mel_fmax", 8000.0)
    return MelSpec(rate, window, data.get("hop_length", 256), bands, data.get("mel_fmin", 0.0), high or rate / 2)
