"""Running text as tokens: cut once into shards in the cache, and read from there by memory map.

    corpus = for_source("nsmc_raw", tokenizer)
    corpus.tokens[corpus.starts[i] : corpus.starts[i + 1]]      line i

Where shards are cut is decided by the text alone, so any number of processes writes the same bytes, and what an
interrupted try has left is used by the next one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nbkit.base import workspace
from nbkit.base.record import read_object, write_json
from nbkit.data import disk, shards, text_sets
from nbkit.data.corpus_workers import Workers
from nbkit.data.disk import DataError, disk_full
from nbkit.data.shards import Tokens
from nbkit.data.tokenizer import Tokenizer

LINES, CHARACTERS = 1 << 15, 1 << 22  # of a shard, whichever is reached first
MARK, STARTS, DOCUMENTS = "corpus.json", "starts.i64", "documents.i64"


class Corpus:
    """A text in tokens, without specials. Pickles as the name of its folder.

    tokens           [N] uint16, memory-mapped
    starts           [L + 1] int64, the first token of each line, then N; a line of which nothing is left has none
    document_starts  [D + 1] int64, the first line of each document, then L
    fingerprint      16 hexadecimal digits of the tokens and all boundaries
    raises           DataError where the folder does not hold a whole corpus
    """

    def __init__(self, folder: Path):
        about = _about(folder)
        if not about:
            raise DataError(f"wanted a whole tokenised corpus in {folder}, got a part or none; run for_source() again")
        self.folder = folder
        self.tokens = Tokens([shards.read_tokens(path, *about["shards"][path.name]) for path in _paths(folder, about)])
        self.starts: np.ndarray = np.memmap(folder / STARTS, np.int64, "r").view(np.ndarray)
        self.document_starts: np.ndarray = np.memmap(folder / DOCUMENTS, np.int64, "r").view(np.ndarray)
        self.fingerprint: str = about["fingerprint"]

    @property
    def lines(self) -> int:
        return len(self.starts) - 1

    @property
    def documents(self) -> int:
        return len(self.document_starts) - 1

    def __reduce__(self):
        return Corpus, (self.folder,)

    def __repr__(self) -> str:
        return f"Corpus({self.documents:,} documents, {self.lines:,} lines, {len(self.tokens):,} tokens)"


def for_source(
    source: str | Path, tokenizer: Tokenizer, processes: int = 1, progress: Callable[[int], None] | None = None
) -> Corpus:
    """The tokens of running text. Cut up in the cache at the first call, found there by every later one.

    source     what text_sets.documents() takes: the name of a text set, or the path of text
    processes  how many cut; they change nothing but the time
    progress   called with the number of lines that are done, those of an interrupted try included
    raises     DataError where there is no text, or no room for its tokens; TokenizerError for what it cannot read
    """
    of_source = text_sets.source_fingerprint(str(source))
    named = re.sub(r"[^\w.-]+", "-", Path(source).resolve().name) or "text"
    folder = workspace.cache() / "corpora" / f"{named}-{of_source}-{tokenizer.fingerprint}"
    if not _about(folder):
        with disk.alone(folder.name, "cutting this text into tokens"):
            if not _about(folder):  # another process may have made it meanwhile
                _make(folder, str(source), tokenizer, max(1, processes), progress or (lambda done: None))
    return Corpus(folder)


class _Part(NamedTuple):
    """The text of a shard."""

    lines: list[str]
    opens: list[int]  # the lines that open a document


def _parts(source: str) -> Iterator[_Part]:
    lines, opens, characters = [], [], 0
    for document in text_sets.documents(source):
        for n, line in enumerate(document):
            opens += [len(lines)] * (n == 0)
            lines.append(line)
            characters += len(line)
            if len(lines) >= LINES or characters >= CHARACTERS:
                yield _Part(lines, opens)
                lines, opens, characters = [], [], 0
    if lines:
        yield _Part(lines, opens)


def _make(folder: Path, source: str, tokenizer: Tokenizer, processes: int, progress: Callable[[int], None]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*"):
            left.unlink(missing_ok=True)
        paths = _write_shards(folder, source, tokenizer, processes, progress)
        _finish(folder, paths, source)
    except OSError as error:
        if full := disk_full(error, folder.parent):
            raise full from error
        raise


def _write_shards(
    folder: Path, source: str, tokenizer: Tokenizer, processes: int, progress: Callable[[int], None]
) -> list[Path]:
    """Make the shards that are not there, at most so many at once; returns all of them in order."""
    paths: list[Path] = []
    pending: deque[tuple[Future[None] | None, int]] = deque()
    lines = 0

    def take() -> None:
        nonlocal lines
        future, count = pending.popleft()
        if future:
            future.result()
        lines += count
        progress(lines)

    parts = _parts(source)
    head = list(itertools.islice(parts, 2 * processes))
    if len(head) < 2 * processes:  # done before a second process would have started
        processes = 1
    with Workers(tokenizer, processes, shards.write_shard) as workers, ThreadPoolExecutor(processes) as threads:
        try:
            for part in itertools.chain(head, parts):
                path = folder / f"{len(paths):05}.shard"
                paths.append(path)
                there = shards.is_whole(path, len(part.lines))
                pending.append((None if there else threads.submit(workers, path, *part), len(part.lines)))
                while len(pending) > 2 * processes:
                    take()
            while pending:
                take()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return paths


def _finish(folder: Path, paths: list[Path], source: str) -> None:
    """Write the boundaries of lines and documents over all shards, and then the mark that all is there."""
    counts, digest, lines, tokens = {}, hashlib.sha256(), 0, 0
    temporary = {name: folder / f".{name}" for name in (STARTS, DOCUMENTS)}
    with open(temporary[STARTS], "wb") as starts, open(temporary[DOCUMENTS], "wb") as documents:
        for path in paths:
            head = shards.read_head(path)
            if not head:
                raise DataError(f"{path} has changed while the corpus was made; leave it alone, and run the same again")
            lengths, opens = shards.read_lines(path, head[1])
            documents.write((opens + lines).astype("<i8").tobytes())
            starts.write((tokens + np.cumsum(lengths) - lengths).astype("<i8").tobytes())
            counts[path.name] = head[1:3]
            digest.update(json.dumps(head).encode())
            lines, tokens = lines + head[1], tokens + head[2]
        starts.write(np.array([tokens], "<i8").tobytes())
        documents.write(np.array([lines], "<i8").tobytes())
    if not tokens:
        raise DataError(
            f"wanted running text in {source}, got {lines} lines of which no token is left; name other text"
        )
    for name, written in temporary.items():
        written.replace(folder / name)
    about = {"fingerprint": digest.hexdigest()[:16], "lines": lines, "tokens": tokens, "shards": counts}
    about["documents"] = (folder / DOCUMENTS).stat().st_size // 8 - 1
    write_json(folder / MARK, about)


def _about(folder: Path) -> dict[str, Any]:
    """What the mark says, where all files are there in full length; else {}."""
    about = read_object(folder / MARK)
    if not about:
        return {}
    sizes = {folder / STARTS: 8 * (about["lines"] + 1), folder / DOCUMENTS: 8 * (about["documents"] + 1)}
    try:
        whole = all(path.stat().st_size == size for path, size in sizes.items())
    except OSError:
        return {}
    return (
        about
        if whole and all(shards.read_head(p)[1:3] == about["shards"][p.name] for p in _paths(folder, about))
        else {}
    )


def _paths(folder: Path, about: dict[str, Any]) -> list[Path]:
    return [folder / name for name in about["shards"]]
