"""Weights that others have written: a model from names and shapes, whatever the file.

Source: paper_notes/kobert.md#weights
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nbkit.base import seeds
from nbkit.models.kobert.config import KoBERTConfig
from nbkit.models.kobert.model import TIED, KoBERT

_WORDS = "bert.embeddings.word_embeddings.weight"
_LAYER = re.compile(r"bert\.encoder\.layer\.(\d+)\.")
_DRAWN = ("cls.", "bert.pooler.")  # what may lack, since not all that is published has it
_SHOWN = 8  # names in a message before "and so many more"


class Fitted(NamedTuple):
    """A model with the weights of others."""

    model: KoBERT
    missing: list[str]  # drawn here, since the file lacks them
    unused: list[str]  # in the file, but no part of KoBERT


def fitted(state: Mapping[str, Tensor], given: dict[str, Any], path: Path) -> Fitted:
    """The model that a state dict belongs to.

    given   fields of KoBERTConfig that are known; others are read from shapes
    raises  ValueError that names what lacks or does not fit
    """
    state = renamed(state)
    config = KoBERTConfig(**(_shown(state, path) | given))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.key(0, "kobert", "missing"))
        model = KoBERT(config)
    wanted = {name: value for name, value in model.state_dict().items() if name not in TIED}
    missing = [name for name in wanted if name not in state]
    problems = [f"{name} is missing" for name in missing if not name.startswith(_DRAWN)]
    for name, value in wanted.items():
        if name in state and state[name].shape != value.shape:
            problems.append(f"{name}: wanted {tuple(value.shape)}, got {tuple(state[name].shape)}")
    for name, other in TIED.items():
        if name in state and other in state and not torch.equal(state[name], state[other]):
            problems.append(f"{name} differs from {other}, which it should be")
    if problems:
        raise ValueError(
            f"{path} does not fit a KoBERT of {config.layers} layers: {_some(problems, '; ')}. Take a file that was "
            "written whole, and a config.json that belongs to it"
        )
    model.load_state_dict({name: state.get(name, value) for name, value in wanted.items()})
    unused = sorted(name for name in state if name not in wanted and name not in TIED)
    return Fitted(model.eval(), missing, unused)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names as BertForPreTraining has them today, values as fp32."""
    found = {}
    for theirs, value in state.items():
        name = theirs.removeprefix("module.")
        name = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
        if name.startswith(("embeddings.", "encoder.layer.", "pooler.dense.")):
            name = f"bert.{name}"
        if not name.endswith("position_ids"):  # which transformers once saved, and are 0, 1, 2 ...
            found[name] = value.float()
    if "cls.predictions.bias" not in found and "cls.predictions.decoder.bias" in found:
        found["cls.predictions.bias"] = found["cls.predictions.decoder.bias"]
    return found


def _shown(state: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """Sizes as the shapes show them."""

    def shape(name: str) -> tuple[int, int]:
        if name not in state or state[name].ndim != 2:
            raise ValueError(
                f"wanted the weights of a BERT, {path} lacks the matrix {name} and holds {_some(sorted(state))}"
            )
        return tuple(state[name].shape)  # type: ignore[return-value]

    layers = {int(found[1]) for name in state if (found := _LAYER.match(name))}
    vocabulary, hidden = shape(_WORDS)
    return {
        "vocabulary": vocabulary,
        "hidden": hidden,
        "layers": max(layers, default=0) + 1,
        "filter": shape("bert.encoder.layer.0.intermediate.dense.weight")[0],
        "positions": shape("bert.embeddings.position_embeddings.weight")[0],
        "types": shape("bert.embeddings.token_type_embeddings.weight")[0],
        "heads": max(1, hidden // 64),  # which no shape tells; so it is in KoBERT and all published sizes of BERT
    }


def _some(found: Sequence[str], separator: str = ", ") -> str:
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return separator.join([*found[:_SHOWN], *more]) or "nothing"
