"""KoBERT in files: one that opens alone, a folder that transformers opens, and what others have written."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from nbkit.data.tokenizer import Tokenizer
from nbkit.models.kobert.config import KoBERTConfig
from nbkit.models.kobert.model import TIED, KoBERT

FORMAT = "nbkit.kobert.1"


@dataclass
class Loaded:
    """A KoBERT with what reads its texts."""

    model: KoBERT  # in eval mode
    tokenizer: Tokenizer | None  # None where the file holds none
    about: dict[str, Any]


def describe(config: KoBERTConfig, tokenizer: Tokenizer | None) -> dict[str, Any]:
    """Everything but the weights that from_parts needs, as JSON; exports and checkpoints keep it."""
    packed = None if tokenizer is None else base64.b64encode(tokenizer.to_bytes()).decode()
    return {"format": FORMAT, "config": config.as_dict(), "tokenizer": packed}


def from_parts(weights: dict[str, Tensor], about: dict[str, Any]) -> Loaded:
    """The model from a state dict and what describe() said when it was kept."""
    if about.get("format") != FORMAT:
        raise ValueError(f"wanted a KoBERT in format {FORMAT}, got {about.get('format')!r}")
    model = KoBERT(KoBERTConfig.from_dict(about["config"]))
    model.load_state_dict(weights)
    packed = about.get("tokenizer")
    tokenizer = None if packed is None else Tokenizer.from_bytes(base64.b64decode(packed))
    return Loaded(model.eval(), tokenizer, about)


def save_export(path: str | os.PathLike, model: KoBERT, tokenizer: Tokenizer | None, about: dict[str, Any]) -> Path:
    """Write one .safetensors file that load() opens alone; `about` is kept beside what describe() says."""
    from safetensors.torch import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    told = json.dumps(about | describe(model.config, tokenizer), ensure_ascii=False)
    save_file(untied(model), temporary, metadata={"nbkit": told})
    os.replace(temporary, path)
    return path


def untied(model: KoBERT) -> dict[str, Tensor]:
    """The state dict on the CPU, each weight once."""
    state = model.state_dict()
    return {name: value.detach().cpu().contiguous() for name, value in state.items() if name not in TIED}


def load(path: str | os.PathLike) -> Loaded:
    """Open an export."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, framework="pt") as file:
        kept = (file.metadata() or {}).get("nbkit")
    if kept is None:
        raise ValueError(f"wanted a KoBERT export, {path} has no description of nbkit")
    return from_parts(load_file(path), json.loads(kept))
