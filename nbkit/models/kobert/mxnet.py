"""Files of parameters that MXNet wrote, read without MXNet, and what gluonnlp's BERT calls its own.

All numbers are little-endian: u64 0x112, u64 0, u64 how many arrays, the arrays, u64 how many names, and each as u64
length and UTF-8. An array has a magic that tells its version, a storage type (from version 2 on), a shape, a device, a
type, its values.

Source: paper_notes/kobert.md#weights-of-mxnet
"""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = struct.pack("<Q", 0x112)
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DTYPES = dict(enumerate(("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8")))
_MOST_AXES = 32

_NAMES = (
    (r"encoder\.position_weight", "bert.embeddings.position_embeddings.weight"),
    (r"encoder\.layer_norm\.(gamma|beta)", r"bert.embeddings.LayerNorm.\1"),
    (r"word_embed\.0\.weight", "bert.embeddings.word_embeddings.weight"),
    (r"token_type_embed\.0\.weight", "bert.embeddings.token_type_embeddings.weight"),
    (r"pooler\.(weight|bias)", r"bert.pooler.dense.\1"),
    (r"classifier\.(weight|bias)", r"cls.seq_relationship.\1"),
    (r"decoder\.0\.(weight|bias)", r"cls.predictions.transform.dense.\1"),
    (r"decoder\.2\.(gamma|beta)", r"cls.predictions.transform.LayerNorm.\1"),
    (r"decoder\.3\.weight", "cls.predictions.decoder.weight"),
    (r"decoder\.3\.bias", "cls.predictions.bias"),
)
_CELL = re.compile(r"encoder\.transformer_cells\.(\d+)\.(.*)\.(\w+)")
_IN_CELL = {
    "attention_cell.proj_query": "attention.self.query",
    "attention_cell.proj_key": "attention.self.key",
    "attention_cell.proj_value": "attention.self.value",
    "proj": "attention.output.dense",
    "layer_norm": "attention.output.LayerNorm",
    "ffn.ffn_1": "intermediate.dense",
    "ffn.ffn_2": "output.dense",
    "ffn.layer_norm": "output.LayerNorm",
}


def our_name(theirs: str) -> str:
    """The name in transformers of a parameter of gluonnlp's BERTModel; an unknown one stays as it is."""
    if (found := _CELL.fullmatch(theirs)) and found[2] in _IN_CELL:
        return f"bert.encoder.layer.{found[1]}.{_IN_CELL[found[2]]}.{found[3]}"
    for pattern, ours in _NAMES:
        if found := re.fullmatch(pattern, theirs):
            return found.expand(ours)
    return theirs


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .params file by name. ValueError for one that is damaged, or not dense, or without names."""
    stream = _Stream(path)
    if stream.take(8) != MAGIC:
        raise ValueError(f"wanted parameters of MXNet, {path} begins otherwise; kobert.load tells what a file is")
    stream.number("Q")
    arrays = [_array(stream) for _ in range(stream.count("arrays", least=8))]
    names = [stream.text() for _ in range(stream.count("names", least=8))]
    if stream.left:
        raise ValueError(f"wanted the end of {path} behind its names, got {stream.left:,} bytes more; copy it again")
    if len(names) != len(arrays) or len(set(names)) != len(names):
        raise ValueError(
            f"wanted a name for each of {len(arrays)} arrays in {path}, got {len(set(names))}; save it with "
            "save_parameters"
        )
    pairs = zip(names, arrays)
    return {name.removeprefix("arg:").removeprefix("aux:"): array for name, array in pairs if array is not None}


def _array(stream: _Stream) -> np.ndarray | None:
    """The next array; None where one was saved before it had a shape."""
    magic = stream.number("I")
    if magic in (_V2, _V3) and (storage := stream.number("i")):
        raise ValueError(f"wanted dense arrays in {stream.path}, got storage type {storage}; save it dense")
    if magic in (_V1, _V2, _V3):
        axes, size = stream.number("i"), "q"
    else:
        axes, size = magic, "I"  # before versions there was nothing in front of the shape
    if axes > _MOST_AXES or axes < -1:
        raise ValueError(f"wanted an array at byte {stream.at - 4} of {stream.path}, got noise; copy it again")
    shape = tuple(stream.number(size) for _ in range(axes))
    if axes < 0 or (axes == 0 and magic != _V3) or any(extent < 0 for extent in shape):
        return None
    stream.take(8)  # the device it was on
    code = stream.number("i")
    if code not in _DTYPES:
        raise ValueError(f"wanted numbers of a type from 0 to {len(_DTYPES) - 1} in {stream.path}, got type {code}")
    dtype = np.dtype(_DTYPES[code])
    return np.frombuffer(stream.take(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)


class _Stream:
    """The bytes of a file, none behind its end."""

    def __init__(self, path: Path):
        self.path, self.content, self.at = path, memoryview(path.read_bytes()), 0

    @property
    def left(self) -> int:
        return len(self.content) - self.at

    def take(self, count: int) -> memoryview:
        if count > self.left:
            raise ValueError(
                f"wanted {count:,} bytes at byte {self.at:,} of {self.path}, got the end of the file; it is "
                "damaged or not whole, copy it again"
            )
        self.at += count
        return self.content[self.at - count : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def count(self, what: str, least: int) -> int:
        """How many follow, of which each takes `least` bytes."""
        count = self.number("Q")
        if count * least > self.left:
            raise ValueError(f"wanted room for {count:,} {what} in {self.path}, got {self.left:,} bytes; copy it again")
        return count

    def text(self) -> str:
        try:
            return bytes(self.take(self.number("Q"))).decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"wanted a name at byte {self.at:,} of {self.path}, got noise; copy it again") from error
