"""State dicts of the authors' implementation (github.com/jaywalnut310/glow-tts), name for name.

Source: paper_notes/glow_tts.md#reference
"""

from __future__ import annotations

import re
from typing import Any

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

_RULES = [
    (r"^emb_g\.", "speaker."),
    (r"^encoder\.emb\.", "encoder.embedding."),
    (r"^encoder\.pre\.conv_layers\.", "encoder.prenet.convolutions."),
    (r"^encoder\.pre\.norm_layers\.", "encoder.prenet.norms."),
    (r"^encoder\.pre\.proj\.", "encoder.prenet.projection."),
    (r"^encoder\.encoder\.attn_layers\.(\d+)\.conv_q\.", r"encoder.layers.\1.attention.query."),
    (r"^encoder\.encoder\.attn_layers\.(\d+)\.conv_k\.", r"encoder.layers.\1.attention.key."),
    (r"^encoder\.encoder\.attn_layers\.(\d+)\.conv_v\.", r"encoder.layers.\1.attention.value."),
    (r"^encoder\.encoder\.attn_layers\.(\d+)\.conv_o\.", r"encoder.layers.\1.attention.output."),
    (r"^encoder\.encoder\.attn_layers\.(\d+)\.emb_rel_k$", r"encoder.layers.\1.attention.relative_key"),
    (r"^encoder\.encoder\.attn_layers\.(\d+)\.emb_rel_v$", r"encoder.layers.\1.attention.relative_value"),
    (r"^encoder\.encoder\.norm_layers_1\.(\d+)\.", r"encoder.layers.\1.attention_norm."),
    (r"^encoder\.encoder\.norm_layers_2\.(\d+)\.", r"encoder.layers.\1.feed_forward_norm."),
    (r"^encoder\.encoder\.ffn_layers\.(\d+)\.conv_1\.", r"encoder.layers.\1.feed_forward.inner."),
    (r"^encoder\.encoder\.ffn_layers\.(\d+)\.conv_2\.", r"encoder.layers.\1.feed_forward.outer."),
    (r"^encoder\.proj_m\.", "encoder.mean."),
    (r"^encoder\.proj_s\.", "encoder.log_sigma."),
    (r"^encoder\.proj_w\.conv_1\.", "encoder.duration.convolutions.0."),
    (r"^encoder\.proj_w\.conv_2\.", "encoder.duration.convolutions.1."),
    (r"^encoder\.proj_w\.norm_1\.", "encoder.duration.norms.0."),
    (r"^encoder\.proj_w\.norm_2\.", "encoder.duration.norms.1."),
    (r"^encoder\.proj_w\.proj\.", "encoder.duration.projection."),
    (r"\.wn\.in_layers\.", ".wavenet.gates."),
    (r"\.wn\.res_skip_layers\.", ".wavenet.outputs."),
    (r"\.wn\.cond_layer\.", ".wavenet.speaker."),
    (r"\.weight_g$", ".parametrizations.weight.original0"),
    (r"\.weight_v$", ".parametrizations.weight.original1"),
]
_FLOW_PARTS = ("norm", "mix", "coupling")  # the authors keep one flat list, three modules a block


def config(arguments: dict[str, Any]) -> GlowTTSConfig:
    """The configuration for the constructor arguments of the authors' FlowGenerator."""
    fields = {ours: arguments[theirs] for theirs, ours in CONFIG_NAMES.items() if arguments.get(theirs) is not None}
    for part in ("enc", "dec"):
        width = arguments.get(f"hidden_channels_{part}") or arguments["hidden_channels"]
        fields["hidden" if part == "enc" else "decoder_hidden"] = width
    fields["speakers"] = max(1, int(fields.get("speakers", 1)))
    return GlowTTSConfig(**fields)


def name(theirs: str) -> str:
    """Our name of a parameter of theirs."""
    for pattern, ours in _RULES:
        theirs = re.sub(pattern, ours, theirs)
    flow = re.match(r"decoder\.flows\.(\d+)\.(.*)", theirs)
    if flow:
        block, part = divmod(int(flow[1]), len(_FLOW_PARTS))
        rest = flow[2].replace("logs", "log_scale") if _FLOW_PARTS[part] == "norm" else flow[2]
        theirs = f"decoder.blocks.{block}.{_FLOW_PARTS[part]}.{rest}"
    return theirs


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict under our names and shapes."""
    converted = {name(theirs): tensor for theirs, tensor in state.items()}
    return {k: v.squeeze(0) if k.endswith(("relative_key", "relative_value")) else v for k, v in converted.items()}
