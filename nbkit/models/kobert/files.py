"""KoBERT in files: one that opens alone, a folder that transformers opens, and whatever others have published.

    loaded = load("kobert_pretrain.step-2000.safetensors")     our export
    loaded = load("kobert-base-v1")                            a folder of transformers
    loaded = load("pytorch_kobert_2439f391a6.params")          weights alone, of PyTorch, MXNet or safetensors

What a file is its content tells, not its name. Source: paper_notes/kobert.md#weights
"""

from __future__ import annotations

import base64
import json
import os
import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nbkit.data.tokenizer import Tokenizer
from nbkit.models import exports
from nbkit.models.kobert import foreign, mxnet
from nbkit.models.kobert.config import KoBERTConfig
from nbkit.models.kobert.model import TIED, KoBERT

FORMAT = "nbkit.kobert.1"
ENCODER = "encoder."  # begins the names of KoBERT's weights in a network with a head
KINDS = "an export, a folder of transformers, or weights of PyTorch, safetensors or MXNet"
WEIGHTS = "model.safetensors", "pytorch_model.bin"  # of transformers, the first is taken
_THEIRS = {  # our fields in a config.json of transformers
    "vocabulary": "vocab_size",
    "hidden": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "filter": "intermediate_size",
    "positions": "max_position_embeddings",
    "types": "type_vocab_size",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "eps": "layer_norm_eps",
}
_FIXED = {  # what is built here, and what transformers takes where nothing is said
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "tie_word_embeddings": True,
}


@dataclass
class Loaded:
    """A KoBERT with what reads its texts.

    about  what describe() says; of weights that others wrote also "source", "missing" (parameters that lacked and
           were drawn, always alike) and "unused" (what is no part of KoBERT)
    """

    model: KoBERT  # in eval mode
    tokenizer: Tokenizer | None  # None where the file holds none
    about: dict[str, Any]


def describe(config: KoBERTConfig, tokenizer: Tokenizer | None) -> dict[str, Any]:
    """Everything but the weights that from_parts needs, as JSON; exports and checkpoints keep it."""
    packed = None if tokenizer is None else base64.b64encode(tokenizer.to_bytes()).decode()
    return {"format": FORMAT, "config": config.as_dict(), "tokenizer": packed}


def from_parts(weights: dict[str, Tensor], about: dict[str, Any]) -> Loaded:
    """The model from a state dict and what describe() said when it was kept. ValueError where they do not fit.

    Of a reader, a network with a head for a task, it is the encoder alone.
    """
    if about.get("format") != FORMAT:
        raise ValueError(f"wanted a KoBERT in format {FORMAT}, got {about.get('format')!r}")
    if "reader" in about:
        about = {name: value for name, value in about.items() if name != "reader"}
        weights = {name.removeprefix(ENCODER): value for name, value in weights.items() if name.startswith(ENCODER)}
    with exports.fitting("KoBERT"):
        model = KoBERT(KoBERTConfig.from_dict(about["config"]))
        model.load_state_dict(weights)
    packed = about.get("tokenizer")
    tokenizer = None if packed is None else Tokenizer.from_bytes(base64.b64decode(packed))
    return Loaded(model.eval(), tokenizer, about)


def save_export(path: str | os.PathLike, model: KoBERT, tokenizer: Tokenizer | None, about: dict[str, Any]) -> Path:
    """Write one .safetensors file that load() opens alone; `about` is kept beside what describe() says."""
    _check_pair(model, tokenizer)
    return exports.write(path, untied(model.state_dict()), about | describe(model.config, tokenizer))


def save_folder(folder: str | os.PathLike, model: KoBERT, tokenizer: Tokenizer | None) -> Path:
    """Write a folder that transformers' BertForPreTraining and BertModel open, with the two files of the tokenizer."""
    _check_pair(model, tokenizer)
    return write_folder(Path(folder), model.state_dict(), model, tokenizer, {"architectures": ["BertForPreTraining"]})


def write_folder(
    folder: Path, state: dict[str, Tensor], model: KoBERT, tokenizer: Tokenizer | None, more: dict[str, Any]
) -> Path:
    """Weights under transformers' names, the config.json of `model` with `more`, and the files of the tokenizer."""
    exports.write_weights(folder / WEIGHTS[0], untied(state), {"format": "pt"})
    values = model.config.as_dict() | {"attention_dropout": model.bert.encoder.dropout}
    told = {**_FIXED, "dtype": "float32", "pad_token_id": Tokenizer.pad, **more}
    told |= {theirs: values[ours] for ours, theirs in _THEIRS.items()}
    (folder / "config.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    if tokenizer is not None:
        tokenizer.save(folder)
    return folder


def load(path: str | os.PathLike, *, heads: int | None = None) -> Loaded:
    """A KoBERT from whatever holds one.

    heads   of bare weights, whose shapes do not tell; None takes 64 channels for each
    raises  FileNotFoundError where nothing is; ValueError or TokenizerError for what is damaged, or something else
    """
    path = Path(path)
    given = {} if heads is None else {"heads": heads}
    if path.is_dir():
        return _from_folder(path, given)
    if not path.is_file():
        raise FileNotFoundError(f"wanted {KINDS}, there is nothing at {path}; mend the path")
    state, kept = read(path)
    if kept is not None:
        return from_parts(state, kept)
    return _from_others(state, given, path, None)


def _from_folder(folder: Path, given: dict[str, Any]) -> Loaded:
    files = [folder / name for name in ("config.json", *WEIGHTS)]
    found = [file for file in files[1:] if file.is_file()]
    if not files[0].is_file() or not found:
        held = ", ".join(sorted(file.name for file in folder.iterdir())[:8]) or "nothing"
        raise ValueError(f"wanted config.json and {' or '.join(WEIGHTS)} in {folder}, got {held}; copy it again, whole")
    try:
        told = json.loads(files[0].read_text(encoding="utf-8"))
        odd = {name: told[name] for name, value in _FIXED.items() if told.get(name, value) != value}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"wanted JSON of transformers in {files[0]}, got something else; copy it again") from error
    if odd:
        wanted = {name: _FIXED[name] for name in odd}
        raise ValueError(f"wanted a BERT with {wanted} in {folder}, got {odd}; that is not built here")
    given = {ours: told[theirs] for ours, theirs in _THEIRS.items() if theirs in told} | given
    whole = any(folder.glob("tokenizer*.model")) and any(folder.glob("*vocab*.json"))
    return _from_others(read(found[0])[0], given, folder, Tokenizer.load(folder) if whole else None)


def _from_others(state: dict[str, Tensor], given: dict[str, Any], path: Path, tokenizer: Tokenizer | None) -> Loaded:
    model, missing, unused = foreign.fitted(state, given, path)
    _check_pair(model, tokenizer)
    about = describe(model.config, tokenizer) | {"source": path.name, "missing": missing, "unused": unused}
    return Loaded(model, tokenizer, about)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """The tensors in a file, and what an export says of itself.

    raises  ValueError for what is damaged or holds no weights
    """
    with open(path, "rb") as file:
        start = file.read(64)
    if start.startswith(mxnet.MAGIC):
        arrays = mxnet.read(path).items()
        return {mxnet.our_name(name): torch.tensor(array) for name, array in arrays}, None
    if start[8:9] == b"{":
        return exports.read_safetensors(path)
    if start.startswith((b"PK\x03\x04", b"\x80")):  # what torch writes today, and before 1.6
        return _read_torch(path), None
    text = start.lstrip().lower()
    if text.startswith(b"<"):
        got, remedy = "a web page", "the download went wrong, fetch it again"
    elif text.startswith(b"version https://git-lfs"):
        got, remedy = "the pointer that git-lfs left", "fetch the file itself with git lfs pull"
    else:
        got, remedy = f"a file that begins {bytes(start[:8])!r}" if start else "an empty file", "copy it again"
    raise ValueError(f"wanted {KINDS}, {path} is {got}; {remedy}")


def _read_torch(path: Path) -> dict[str, Tensor]:
    """A state dict, alone or under "state_dict" or "model"; nothing in the file is run."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if not any(name.endswith("data.pkl") for name in names):
            raise ValueError(f"wanted {KINDS}, {path} is an archive of {', '.join(names[:8])}; unpack it first")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an unusual protocol; whether it can be read is seen below
            kept = torch.load(path, map_location="cpu", weights_only=True)
    except exports.DAMAGED as error:
        if refused := re.search(r"(?i)unsupported (global.*?|class.*?)(?= was | whose |$)", str(error), re.MULTILINE):
            raise ValueError(
                f"wanted tensors alone, {path} holds more ({refused[1]}), and opening that could run code of whoever "
                "made it; ask them for the state dict alone"
            ) from error
        raise ValueError(f"wanted a state dict of torch, {path} cannot be read; copy or download it again") from error
    for name in ("state_dict", "model"):
        if isinstance(kept, dict) and isinstance(kept.get(name), dict):
            kept = kept[name]
    if not isinstance(kept, dict) or not kept or not all(isinstance(value, Tensor) for value in kept.values()):
        found = ", ".join(map(str, list(kept)[:8])) if isinstance(kept, dict) else type(kept).__name__
        raise ValueError(f"wanted a state dict of names and tensors in {path}, got {found or 'an empty one'}")
    return {str(name): tensor for name, tensor in kept.items()}


def _check_pair(model: KoBERT, tokenizer: Tokenizer | None) -> None:
    if tokenizer is not None and tokenizer.vocabulary != model.config.vocabulary:
        raise ValueError(
            f"wanted a tokenizer of {model.config.vocabulary:,} pieces, as many as the model knows, got "
            f"{tokenizer.vocabulary:,}; take the two that were trained together"
        )


def untied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a network, each once."""
    return {name: value for name, value in state.items() if name.removeprefix(ENCODER) not in TIED}
