"""Rows of a speech data set to batches of tokens and log-mel frames.

Features are extracted once into one archive. The order of batches is that of data.batches.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nbkit.base import seeds, workspace
from nbkit.data import audio, text
from nbkit.data.audio import MelSpec
from nbkit.data.batches import ShuffledBatches, SortedBatches
from nbkit.data.manifest import Dataset, Utterance

BLANK = "<blank>"
DITHER = 1 / 32768  # one step of 16 bits: without it digital silence sits on the floor, where a density has no bound


class SpeechError(ValueError):
    """Rows that cannot be trained on; each is named with its reason."""


class TokenReader:
    """Text to token ids as a model reads it: a front end and, between all tokens, the blank where it is asked for.

    The symbols are those of the front end; the blank, where used, is the last one. Kept in checkpoints as as_dict().
    """

    def __init__(self, front_end: text.FrontEnd, blank: bool = False):
        self.front_end, self.blank = front_end, blank
        self.symbols = (*front_end.symbols, BLANK) if blank else tuple(front_end.symbols)

    def read(self, written: str | Sequence[str], **options: Any) -> text.Encoded:
        """The tokens of a text, or of labels where the front end takes them; a blank has the span (-1, -1)."""
        encoded = self.front_end.encode(written, **options)
        if not self.blank:
            return encoded
        T = len(encoded.ids)
        ids = np.full(2 * T + 1, len(self.symbols) - 1, encoded.ids.dtype)
        spans = np.full((2 * T + 1, 2), -1, encoded.spans.dtype)
        ids[1::2], spans[1::2] = encoded.ids, encoded.spans
        symbols = [BLANK] + [s for symbol in encoded.symbols for s in (symbol, BLANK)]
        return text.Encoded(ids, symbols, spans, encoded.dropped)

    def as_dict(self) -> dict[str, Any]:
        return {"front_end": self.front_end.as_dict(), "blank": self.blank}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TokenReader:
        return cls(text.FrontEnd.from_dict(values["front_end"]), values["blank"])


class FeatureArchive:
    """The log-mel frames of a data set in one file, [frames, bands] float32 in a row, and an index beside it.

    Found by the content of the audio file; size and time of change only save reading it again. Writing is append-only
    and the index line comes after the frames, so an interrupted extraction goes on where it stopped.
    """

    def __init__(self, name: str, spec: MelSpec):
        folder = workspace.cache() / "features"
        folder.mkdir(parents=True, exist_ok=True)
        self.spec = spec
        self.path = folder / f"{name}-{spec.fingerprint}.f32"
        self.index_path = self.path.with_suffix(".jsonl")
        self._by_stat: dict[tuple[str, int, int], dict[str, Any]] = {}
        self._by_content: dict[str, dict[str, Any]] = {}
        self._read_index(repair=False)

    def missing(self, files: Sequence[Path]) -> list[Path]:
        """Those of `files` whose frames are not in the archive as far as it was read."""
        return [path for path in files if _stat(path) not in self._by_stat]

    def extract(self, files: Sequence[Path], progress: Callable[[int], None] = lambda done: None) -> None:
        """Make sure that the frames of all `files` are there. Several processes may call this at once.

        progress  called with the number of files that are there so far
        """
        from filelock import FileLock

        with FileLock(str(self.path) + ".lock"):
            self._read_index(repair=True)
            missing = self.missing(files)
            with open(self.path, "ab") as frames, open(self.index_path, "ab") as index:
                frames.truncate(self._bytes_indexed())
                frames.seek(0, os.SEEK_END)  # tell() would still give the end before the cut
                for done, path in enumerate(missing, len(files) - len(missing) + 1):
                    entry = self._entry(path, frames)
                    frames.flush()
                    index.write(json.dumps(entry).encode() + b"\n")
                    index.flush()
                    self._remember(entry)
                    progress(done)

    def frames(self, path: Path) -> int:
        """Number of frames of an audio file. SpeechError where they are not in the archive."""
        return self._known(path)["frames"]

    def log_mel(self, path: Path) -> np.ndarray:
        """[F, C] float32, natural log; read from disk when it is used. SpeechError where other bytes lie there now."""
        entry = self._known(path)
        try:
            found = np.fromfile(self.path, np.float32, entry["frames"] * self.spec.bands, offset=entry["offset"])
        except OSError as error:
            raise SpeechError(f"{self.path}: wanted features to read, got {error}; extract them again") from error
        whole = len(found) == entry["frames"] * self.spec.bands
        if not whole or entry.get("crc") not in (None, zlib.crc32(found.data)):  # older archives have no sum
            raise SpeechError(
                f"{self.path}: wanted the features of {path.name} that were written, got others: the file is damaged; "
                "remove it and run again, which extracts them anew"
            )
        return found.reshape(entry["frames"], self.spec.bands)

    def _known(self, path: Path) -> dict[str, Any]:
        try:
            return self._by_stat[_stat(path)]
        except KeyError:
            raise SpeechError(
                f"{self.path}: wanted features of {path}, got none, or of another version of it; extract() them first"
            ) from None

    def _entry(self, path: Path, frames) -> dict[str, Any]:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        known = self._by_content.get(content)
        if known is None:
            wave = audio.load(path, self.spec.rate, resample=True)
            noise = seeds.generator(0, "dither", content).random(len(wave), dtype=np.float32) - np.float32(0.5)
            try:
                mel = audio.log_mel(wave + noise * np.float32(DITHER), self.spec).T
            except audio.AudioError as error:
                raise audio.AudioError(f"{path}: {error}") from error
            written = np.ascontiguousarray(mel, np.float32).tobytes()
            known = {"content": content, "offset": frames.tell(), "frames": len(mel), "crc": zlib.crc32(written)}
            frames.write(written)
        path_text, size, changed = _stat(path)
        return known | {"path": path_text, "size": size, "changed": changed}

    def _read_index(self, repair: bool) -> None:
        """Take in the index. Lines that an interrupted writer left broken are removed where this process may write."""
        if not self.index_path.exists():
            return
        whole = self.path.stat().st_size if self.path.exists() else 0
        lines = self.index_path.read_bytes().split(b"\n")
        good = []
        for line in lines:
            with contextlib.suppress(ValueError, LookupError, TypeError):  # cut, spoilt, or of another kind
                entry = json.loads(line)
                if self._end(entry) <= whole:
                    self._remember(entry)
                    good.append(line)
        if repair and (len(good) != len(lines) - 1 or lines[-1]):
            self.index_path.write_bytes(b"".join(line + b"\n" for line in good))

    def _remember(self, entry: dict[str, Any]) -> None:
        self._by_stat[entry["path"], entry["size"], entry["changed"]] = entry
        self._by_content[entry["content"]] = entry

    def _end(self, entry: dict[str, Any]) -> int:
        return entry["offset"] + entry["frames"] * self.spec.bands * 4

    def _bytes_indexed(self) -> int:
        return max((self._end(entry) for entry in self._by_content.values()), default=0)


def _stat(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        raise SpeechError(
            f"expected the recording {path}, it is not there; `nbkit data check` lists what is missing"
        ) from None
    return str(path), found.st_size, found.st_mtime_ns


class Example(NamedTuple):
    """One utterance, ready for a model."""

    row: Utterance
    tokens: np.ndarray  # [T] int64
    spans: np.ndarray  # [T, 2] characters of row.text
    symbols: list[str]  # [T]
    frames: int
    speaker: int


def examples(dataset: Dataset, split: str, reader: TokenReader, features: FeatureArchive) -> list[Example]:
    """The rows of a split as Examples; the features must have been extracted.

    raises SpeechError that lists every row whose text cannot be read or has more tokens than half its frames (a flow
    that joins two frames into one needs two for each token)
    """
    found, problems = [], []
    for row in (row for row in dataset.rows if row.split == split):
        known_phones = reader.front_end.name == "phones" and row.phones
        try:
            encoded = reader.read([label for label, *_ in row.phones] if known_phones else row.text)
        except text.TextError as error:
            problems.append(f"{row.id}: {error}")
            continue
        frames = features.frames(row.audio)
        if len(encoded.ids) > frames // 2 * 2:
            problems.append(f"{row.id}: {len(encoded.ids)} tokens, but only {frames} frames")
        speaker = dataset.speakers.index(row.speaker)
        found.append(Example(row, encoded.ids, encoded.spans, encoded.symbols, frames, speaker))
    if problems:
        shown = "\n  ".join(problems[:10]) + (f"\n  and {len(problems) - 10} more" if len(problems) > 10 else "")
        raise SpeechError(
            f"{len(problems)} rows of {dataset.name} cannot be used:\n  {shown}\n"
            f"correct or remove them; `nbkit data check {dataset.name}` lists all before training does"
        )
    return found


class Batch(NamedTuple):
    """Utterances side by side, zero behind their ends: numpy as the data set gives it, torch in the training loop."""

    tokens: Any  # [B, T] int64
    token_lengths: Any  # [B] int64
    mel: Any  # [B, C, F] float32, natural log
    frame_lengths: Any  # [B] int64
    speakers: Any  # [B] int64
    items: Any  # [B] int64, index into the examples


def collate(chosen: Sequence[int] | np.ndarray, rows: Sequence[Example], features: FeatureArchive) -> Batch:
    """The examples at the indices `chosen`, padded to the longest of them."""
    found = [rows[i] for i in chosen]
    token_lengths = np.array([len(e.tokens) for e in found], np.int64)
    frame_lengths = np.array([e.frames for e in found], np.int64)
    tokens = np.zeros((len(found), token_lengths.max()), np.int64)
    mel = np.zeros((len(found), features.spec.bands, frame_lengths.max()), np.float32)
    for b, example in enumerate(found):
        tokens[b, : token_lengths[b]] = example.tokens
        mel[b, :, : frame_lengths[b]] = features.log_mel(example.row.audio).T
    speakers = np.array([e.speaker for e in found], np.int64)
    return Batch(tokens, token_lengths, mel, frame_lengths, speakers, np.asarray(chosen, np.int64))


class _Collate:
    """Collates the examples of a data set for loading processes too."""

    def __init__(self, rows: Sequence[Example], features: FeatureArchive):
        self.rows, self.features = rows, features

    def __call__(self, chosen: np.ndarray, n: int, whole: np.ndarray) -> Batch:
        return collate(chosen, self.rows, self.features)


class SpeechBatches(ShuffledBatches):
    """Training batches of utterances of like length, see data.batches."""

    def __init__(
        self,
        rows: Sequence[Example],
        features: FeatureArchive,
        batch_size: int,
        seed: int,
        part: int = 0,
        parts: int = 1,
    ):
        super().__init__([e.frames for e in rows], _Collate(rows, features), batch_size, seed, part, parts)


class ValidationBatches(SortedBatches):
    """All utterances once, in order of length, see data.batches."""

    def __init__(
        self, rows: Sequence[Example], features: FeatureArchive, batch_size: int, part: int = 0, parts: int = 1
    ):
        super().__init__([e.frames for e in rows], _Collate(rows, features), batch_size, part, parts)
