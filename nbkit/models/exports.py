"""Exports that open alone: a .safetensors file whose metadata says what the weights are, and their hash."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

DAMAGED = (  # what torch.load raises on files that are cut, spoilt or something else
    pickle.UnpicklingError,
    struct.error,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    OSError,
)
HASH = "sha256"  # in the description; older exports have none


def write(path: str | os.PathLike, weights: Mapping[str, Tensor], about: dict[str, Any]) -> Path:
    """One .safetensors file of the weights, their description and their hash."""
    told = json.dumps(about | {HASH: digest(weights)}, ensure_ascii=False)
    return write_weights(path, weights, {"nbkit": told})


def write_weights(path: str | os.PathLike, weights: Mapping[str, Tensor], metadata: dict[str, str]) -> Path:
    """One .safetensors file, on the disk and under its name only once it is whole.

    raises  OSError where it cannot be written; nothing is left then
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    try:
        save_file(kept, temporary, metadata=metadata)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (SafetensorError, OSError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OSError(f"wanted to write {path}, got {error}; make room there, or name another folder") from error
    return path


def file(path: str | os.PathLike, wanted: str) -> Path:
    """The path, where a file lies there. raises FileNotFoundError that says what was wanted."""
    path = Path(path)
    if not path.is_file():
        got = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"wanted {wanted}, {path} {got}; name the file itself")
    return path


def read(path: Path, network: str, saved_by: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of an export and its description.

    network, saved_by  what it should be and what writes one, for errors: "WaveRNN", "Vocoder.save"
    raises             ValueError for a file that is none, or is damaged
    """
    weights, about = read_safetensors(path)
    if about is None:
        raise ValueError(f"wanted a {network} export, {path} has no description of nbkit; export it with {saved_by}")
    return weights, about


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Tensors of any .safetensors file, and what an export says of them; None where nbkit did not write it.

    raises  ValueError where it is damaged
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, framework="pt") as file:
            kept = (file.metadata() or {}).get("nbkit")
        weights, about = load_file(path), None if kept is None else dict(json.loads(kept))
    except (SafetensorError, ValueError, TypeError) as error:
        raise ValueError(
            f"wanted safetensors, {path} is damaged or not whole and cannot be read ({error}); copy or export it again"
        ) from error
    if about and about.pop(HASH, None) not in (None, digest(weights)):
        raise ValueError(f"wanted the weights that were written, {path} holds others: it is damaged; copy it again")
    return weights, about


def digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values."""
    found = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)};".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


@contextlib.contextmanager
def fitting(network: str) -> Iterator[None]:
    """ValueError for a description that lacks something, and weights that are not those of it."""
    try:
        yield
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"wanted weights and description of one {network}, got some that do not fit ({error}); export it again"
        ) from error
