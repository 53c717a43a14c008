"""Exports that open alone: a .safetensors file whose metadata says what the weights are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from torch import Tensor, nn


def write(path: str | os.PathLike, model: nn.Module, about: dict[str, Any]) -> Path:
    """One .safetensors file of the weights and their description, under its name only once it is whole."""
    from safetensors.torch import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, temporary, metadata={"nbkit": json.dumps(about, ensure_ascii=False)})
    os.replace(temporary, path)
    return path


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
