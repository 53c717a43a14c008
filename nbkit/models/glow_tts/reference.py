"""State dicts of the authors' implementation (github.com/jaywalnut310/glow-tts), name for name, and its configuration.

Source: paper_notes/glow_tts.md#reference
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nbkit.models.glow_tts.config import GlowTTSConfig

CONFIG_NAMES = {
    "n_vocab": "vocabulary",
    "out_channels": "bands",
    "hidden_channels": "hidden",
    "filter_channels": "filter",
    "filter_channels_dp": "duration_filter",
    "kernel_size": "kernel",
    "n_heads": "heads",
    "n_layers_enc": "encoder_layers",
    "window_size": "window",
    "p_dropout": "encoder_dropout",
    "prenet": "prenet",
    "mean_only": "mean_only",
    "n_blocks_dec": "blocks",
    "hidden_channels_dec": "decoder_hidden",
    "n_block_layers": "decoder_layers",
    "kernel_size_dec": "decoder_kernel",
    "dilation_rate": "dilation_rate",
    "p_dropout_dec": "decoder_dropout",
    "n_split": "split",
    "n_sqz": "squeeze",
    "sigmoid_scale": "sigmoid_scale",
    "n_speakers": "speakers",
    "gin_channels": "speaker_channels",
}
CONSTRUCTOR: dict[str, Any] = {  # what their constructor takes for arguments that are left out
    **dict(kernel_size=3, n_heads=2, n_layers_enc=6, window_size=0, p_dropout=0.0, prenet=False, mean_only=False),
    **dict(
        n_blocks_dec=12, n_block_layers=4, kernel_size_dec=5, dilation_rate=5, p_dropout_dec=0.0, n_split=4, n_sqz=1
    ),
    **dict(sigmoid_scale=False, n_speakers=1, gin_channels=0),
}

_NAMES = (  # theirs and ours, "#" for a number; a beginning, or where it starts with a point a middle or an end
    ("emb_g", "speaker"),
    ("encoder.emb", "encoder.embedding"),
    ("encoder.pre.conv_layers", "encoder.prenet.convolutions"),
    ("encoder.pre.norm_layers", "encoder.prenet.norms"),
    ("encoder.pre.proj", "encoder.prenet.projection"),
    ("encoder.encoder.attn_layers.#.conv_q", "encoder.layers.#.attention.query"),
    ("encoder.encoder.attn_layers.#.conv_k", "encoder.layers.#.attention.key"),
    ("encoder.encoder.attn_layers.#.conv_v", "encoder.layers.#.attention.value"),
    ("encoder.encoder.attn_layers.#.conv_o", "encoder.layers.#.attention.output"),
    ("encoder.encoder.attn_layers.#.emb_rel_k", "encoder.layers.#.attention.relative_key"),
    ("encoder.encoder.attn_layers.#.emb_rel_v", "encoder.layers.#.attention.relative_value"),
    ("encoder.encoder.norm_layers_1.#", "encoder.layers.#.attention_norm"),
    ("encoder.encoder.norm_layers_2.#", "encoder.layers.#.feed_forward_norm"),
    ("encoder.encoder.ffn_layers.#.conv_1", "encoder.layers.#.feed_forward.inner"),
    ("encoder.encoder.ffn_layers.#.conv_2", "encoder.layers.#.feed_forward.outer"),
    ("encoder.proj_m", "encoder.mean"),
    ("encoder.proj_s", "encoder.log_sigma"),
    ("encoder.proj_w.conv_1", "encoder.duration.convolutions.0"),
    ("encoder.proj_w.conv_2", "encoder.duration.convolutions.1"),
    ("encoder.proj_w.norm_1", "encoder.duration.norms.0"),
    ("encoder.proj_w.norm_2", "encoder.duration.norms.1"),
    ("encoder.proj_w.proj", "encoder.duration.projection"),
    (".norm.logs", ".norm.log_scale"),
    (".wn.in_layers", ".wavenet.gates"),
    (".wn.res_skip_layers", ".wavenet.outputs"),
    (".wn.cond_layer", ".wavenet.speaker"),
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)
FLOW_PARTS = ("norm", "mix", "coupling")  # the authors keep one flat list, three modules a block


def config(arguments: Mapping[str, Any]) -> GlowTTSConfig:
    """The configuration for the constructor arguments of the authors' FlowGenerator; ValueError for what is not built.

    Without a window their attention has no relative positions: here a window of 0 whose table is 0.
    """
    given = CONSTRUCTOR | {name: value for name, value in arguments.items() if value is not None}
    if lacking := [name for name in CONFIG_NAMES if name not in given and name != "hidden_channels_dec"]:
        raise ValueError(f"wanted all arguments without a default, {', '.join(lacking)} are missing; add them")
    if given.get("block_length"):
        raise ValueError(f"wanted attention without blocks, got block_length {given['block_length']}; it is not built")
    fields = {ours: given[theirs] for theirs, ours in CONFIG_NAMES.items() if theirs in given}
    fields["hidden"] = given.get("hidden_channels_enc") or given["hidden_channels"]
    fields["decoder_hidden"] = given.get("hidden_channels_dec") or given["hidden_channels"]
    fields["speakers"] = max(1, int(given["n_speakers"]))
    return GlowTTSConfig(**fields)


def name(theirs: str) -> str:
    """Our name of a parameter of theirs."""
    block = re.match(r"decoder\.flows\.(\d+)", theirs)
    if block:
        number, part = divmod(int(block[1]), len(FLOW_PARTS))
        theirs = f"decoder.blocks.{number}.{FLOW_PARTS[part]}{theirs[block.end() :]}"
    return _renamed(theirs, _NAMES)


def their_name(ours: str) -> str:
    """The inverse of `name`."""
    theirs = _renamed(ours, [(to, of) for of, to in _NAMES])
    block = re.match(rf"decoder\.blocks\.(\d+)\.({'|'.join(FLOW_PARTS)})", theirs)
    if block:
        number = len(FLOW_PARTS) * int(block[1]) + FLOW_PARTS.index(block[2])
        theirs = f"decoder.flows.{number}{theirs[block.end() :]}"
    return theirs


def _renamed(parameter: str, pairs: Sequence[tuple[str, str]]) -> str:
    for of, to in pairs:
        pattern = re.escape(of).replace(r"\#", r"(\d+)")
        start = "" if of.startswith(".") else "^"
        parameter = re.sub(rf"{start}{pattern}(?=\.|$)", to.replace("#", r"\1"), parameter)
    return parameter


def convert(state: Mapping[str, Tensor], config: GlowTTSConfig) -> dict[str, Tensor]:
    """Their state dict under our names and shapes; relative positions, where they have none, become 0."""
    converted = {name(theirs): tensor for theirs, tensor in state.items()}
    for layer in range(config.encoder_layers):
        for table in ("relative_key", "relative_value"):
            ours = f"encoder.layers.{layer}.attention.{table}"
            if ours in converted:
                converted[ours] = converted[ours].squeeze(0)
            elif config.window == 0:
                converted[ours] = torch.zeros(1, config.hidden // config.heads)
    return converted
