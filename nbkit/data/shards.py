"""Files of tokens: some lines of a text each, and a view on all of them as one row.

A shard is one file of whole lines: a head of four int64 (KIND, lines, tokens, crc32 of the rest), of each line its
length in uint32, whose highest bit says that the line opens a document, and the tokens in uint16.
"""

from __future__ import annotations

import bisect
import itertools
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from nbkit.data.tokenizer import Tokenizer

KIND = int.from_bytes(b"nbkit-1\0", "little")  # counts up when the same text is to be cut anew
OPENS = np.uint32(1 << 31)
_HEAD = 4  # int64 numbers


class Tokens:
    """The tokens of all shards in a row, [N] uint16: len(), [i], [i:j], [an array of places], np.asarray()."""

    dtype = np.dtype(np.uint16)

    def __init__(self, shards: list[np.ndarray]):
        self._shards = shards
        self._begins = [0, *itertools.accumulate(len(shard) for shard in shards)]

    def __len__(self) -> int:
        return self._begins[-1]

    @property
    def shape(self) -> tuple[int]:
        return (len(self),)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            begin, end, step = key.indices(len(self))
            return self._between(begin, end) if step == 1 else self[np.arange(begin, end, step)]
        places = np.asarray(key, np.int64)
        if ((places < -len(self)) | (places >= len(self))).any():
            raise IndexError(f"wanted places of {len(self):,} tokens, got {key}")
        flat = places.ravel() % max(len(self), 1)
        found = self.ranges(flat, np.ones_like(flat)).reshape(places.shape)
        return found if places.ndim else found[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._between(0, len(self)), dtype)

    def ranges(self, begins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The tokens begins[i] to begins[i] + lengths[i] of all i, one behind another: uint16 [sum of lengths]."""
        where = np.searchsorted(self._begins[1:-1], begins, side="right")
        found = [np.zeros(0, self.dtype)]
        for begin, length, shard in zip(begins.tolist(), lengths.tolist(), where.tolist()):
            at = begin - self._begins[shard]
            piece = self._shards[shard][at : at + length]
            found.append(piece if len(piece) == length else self._between(begin, begin + length))
        return np.concatenate(found)

    def _between(self, begin: int, end: int) -> np.ndarray:
        first = max(bisect.bisect_right(self._begins, begin) - 1, 0)
        pieces = [np.zeros(0, self.dtype)]
        for shard, start in zip(self._shards[first:], self._begins[first:]):
            if start >= end:
                break
            pieces.append(shard[max(begin - start, 0) : end - start])
        return pieces[1] if len(pieces) == 2 else np.concatenate(pieces)


def write_shard(tokenizer: Tokenizer, path: Path, lines: list[str], opens: list[int]) -> None:
    """Cut lines into tokens and write them as one file, whole or not at all."""
    rows = tokenizer.ids_batch(lines)
    lengths = np.fromiter(map(len, rows), np.uint32, len(rows))
    tokens = np.concatenate(rows).astype("<u2")
    lengths[opens] |= OPENS
    content = lengths.astype("<u4").tobytes() + tokens.tobytes()
    head = np.array([KIND, len(lines), len(tokens), zlib.crc32(content)], "<i8")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(head.tobytes() + content)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_head(path: Path) -> list[int]:
    """KIND, lines, tokens and crc32 of a shard that has the size that these ask for; [] for any other file."""
    try:
        size = path.stat().st_size
        head = np.fromfile(path, "<i8", _HEAD).tolist()
    except OSError:
        return []
    return head if len(head) == _HEAD and head[0] == KIND and size == _size(head[1], head[2]) else []


def _size(lines: int, tokens: int) -> int:
    return 8 * _HEAD + 4 * lines + 2 * tokens


def is_whole(path: Path, lines: int) -> bool:
    """Whether the shard of an earlier try can be used."""
    head = read_head(path)
    return bool(head) and head[1] == lines and zlib.crc32(path.read_bytes()[8 * _HEAD :]) == head[3]


def read_tokens(path: Path, lines: int, tokens: int) -> np.ndarray:
    """[tokens] uint16, memory-mapped."""
    if not tokens:
        return np.zeros(0, np.uint16)
    return np.memmap(path, "<u2", "r", offset=_size(lines, 0), shape=(tokens,)).view(np.ndarray)


def read_lines(path: Path, lines: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each line its tokens, [lines] int64, and which lines open a document."""
    raw = np.fromfile(path, "<u4", lines, offset=8 * _HEAD)
    return (raw & ~OPENS).astype(np.int64), np.flatnonzero(raw & OPENS)
