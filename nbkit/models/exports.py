"""Exports that open alone: a .safetensors file whose metadata says what the weights are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor


def read(path: Path, network: str, saved_by: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of an export and its description.

    network, saved_by  what it should be and what writes one, for errors: "WaveRNN", "Vocoder.save"
    raises             ValueError for a file that is none
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, framework="pt") as file:
            kept = (file.metadata() or {}).get("nbkit")
        weights = load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"wanted a {network} export (.safetensors), {path} cannot be read: {error}; export it again"
        ) from error
    if kept is None:
        raise ValueError(f"wanted a {network} export, {path} has no description of nbkit; export it with {saved_by}")
    return weights, json.loads(kept)
