"""A run as it was at one checkpoint, on a shelf: one manifest, and the files that it names.

    runs/<run>/checkpoints/000000500-<sha256 of it>.json    the manifest, written last
    runs/<run>/checkpoints/000000500-....confirmed          left when the snapshot has left the machine
    runs/<run>/blobs/000000500-<sha256>-weights.safetensors
    runs/<run>/log/000000500-<sha256>.jsonl                 the lines of the log since the snapshot before
    runs/<run>/media/000000500-<sha256>-alignment.png

Every name holds the hash of the content, so nothing is ever written over something else, and a file that is there
already need not be sent again. A manifest names all that the run consists of: its checkpoint, every piece of its log
and every picture and sound up to that step. So one manifest whose files are whole is the run.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from nbkit.base import record
from nbkit.train.layout import MANIFEST, PREFIX, WRITING
from nbkit.train.shelf import Blob, Shelf

MEDIA = ("views", "audio")
CONFIRMED, DAMAGED = ".confirmed", ".damaged"
_NAME = re.compile(r"(\d{9})-([0-9a-f]{16})\.json")


class SnapshotError(RuntimeError):
    """A snapshot that cannot be used. `final` is False where another look may find it whole."""

    def __init__(self, message: str, *, final: bool):
        super().__init__(message)
        self.final = final


class Snapshot(NamedTuple):
    """What a manifest says. Paths are those in the run folder."""

    name: str  # of the manifest, "" before it is written
    step: int
    metric: float | None
    written: float  # seconds since 1970
    inline: dict[str, str]  # path -> text of small files
    files: dict[str, Blob]  # path -> where its content lies
    log: list[Blob]  # pieces of log.jsonl, in order

    def blobs(self) -> set[str]:
        """Names of all files that it needs."""
        return {blob.name for blob in (*self.files.values(), *self.log)}

    @property
    def size(self) -> int:
        """Bytes of the checkpoint, without log, pictures and sounds."""
        return sum(blob.size for path, blob in self.files.items() if path.startswith("checkpoints/"))

    def encoded(self) -> bytes:
        values = self._asdict()
        del values["name"]
        return json.dumps(values, ensure_ascii=False, indent=1).encode()


def folder(run: str, part: str = "checkpoints") -> str:
    """Where a part of a run lies on a shelf."""
    return f"runs/{run}/{part}"


def step_of(name: str) -> int | None:
    """The step of a manifest's name, None for any other file."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def name_of(step: int, content: bytes) -> str:
    return f"{step:09d}-{hashlib.sha256(content).hexdigest()[:16]}.json"


def small_files(target: Path, step: int) -> dict[str, str]:
    """What is small and changes in a run folder, and the labels of pictures and sounds: path to text."""
    paths = [
        target / "checkpoints" / f"{PREFIX}{step:09d}" / MANIFEST,
        target / record.CONFIG,
        target / record.ENVIRONMENT,
    ]
    paths += sorted(path for part in MEDIA for path in (target / part).glob("*.json"))
    found = (path for path in paths if path.exists())
    return {path.relative_to(target).as_posix(): path.read_text(encoding="utf8") for path in found}


def media(target: Path) -> list[Path]:
    """Pictures and sounds in a run folder."""
    files = (path for part in MEDIA for path in (target / part).glob("*"))
    return sorted(path for path in files if path.suffix != ".json" and not path.name.startswith("."))


def log_lines(target: Path, after: int | None, step: int) -> bytes:
    """The lines of the log in a run folder behind the step `after` (None: all), up to `step`."""
    rows = record.Record(target, {}).rows()
    chosen = [r for r in rows if (after is None or r.get("step", 0) > after) and r.get("step", 0) <= step]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen).encode()


def read(shelf: Shelf, run: str, name: str) -> Snapshot:
    """Read a manifest. raises OSError, and SnapshotError where its content is not what its name promises."""
    content, found = shelf.patiently(lambda: shelf.get(f"{folder(run)}/{name}"))
    step = step_of(name)
    if step is None or name_of(step, content) != name:
        raise SnapshotError(f"its manifest has {found.size} bytes and another hash than its name", final=False)
    values: dict[str, Any] = json.loads(content)
    values["files"] = {path: Blob(*blob) for path, blob in values["files"].items()}
    values["log"] = [Blob(*blob) for blob in values["log"]]
    return Snapshot(name, **values)


def fetch(shelf: Shelf, blob: Blob, target: Path) -> None:
    """Copy a file to `target`, a path that does not count until the caller moves it.

    raises OSError, and SnapshotError where the copy is not what the manifest says
    """
    try:
        _, found = shelf.patiently(lambda: shelf.get(blob.name, target))
    except FileNotFoundError:
        raise SnapshotError(f"{Path(blob.name).name} has not arrived there", final=False) from None
    if found.size != blob.size:
        raise SnapshotError(f"{Path(blob.name).name} has {found.size} bytes, wanted {blob.size}", final=False)
    if found.sha256 != blob.sha256:
        raise SnapshotError(f"{Path(blob.name).name} differs from its sha256", final=True)


def bring_back(shelf: Shelf, run: str, name: str, target: Path) -> tuple[Snapshot, set[str], list[str]]:
    """Copy a snapshot into the run folder `target`: checkpoint, log, pictures and sounds. What is there already stays.

    returns   the snapshot, the names of the files that are whole on the shelf, and what was left out since it is not:
              a piece of the log or a picture is no reason to go back to an older checkpoint
    raises    OSError, and SnapshotError where the checkpoint itself is not whole
    """
    found = read(shelf, run, name)
    home = target / "checkpoints" / f"{PREFIX}{found.step:09d}"
    writing = home.with_name(f"{WRITING}{found.step:09d}")
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    whole: set[str] = set()
    lost: list[str] = []

    def arrived(blob: Blob, path: Path) -> bool:
        try:
            fetch(shelf, blob, path)
        except SnapshotError as error:
            path.unlink(missing_ok=True)
            lost.append(str(error))
            return False
        whole.add(blob.name)
        return True

    try:
        for path, blob in found.files.items():
            if path.startswith("checkpoints/"):
                fetch(shelf, blob, writing / Path(path).name)
                whole.add(blob.name)
        (writing / MANIFEST).write_text(found.inline[f"checkpoints/{home.name}/{MANIFEST}"], encoding="utf8")
        arriving = writing / "arriving"
        pieces = [arriving.read_text(encoding="utf8") for blob in found.log if arrived(blob, arriving)]
        _join_log(target, found.step, "".join(pieces))
        for path, blob in found.files.items():
            place = target / path
            if not path.startswith("checkpoints/") and not place.exists() and arrived(blob, arriving):
                place.parent.mkdir(parents=True, exist_ok=True)
                arriving.replace(place)
        for path, text in found.inline.items():
            if not path.startswith("checkpoints/") and not (target / path).exists():
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                (target / path).write_text(text, encoding="utf8")
        arriving.unlink(missing_ok=True)
        shutil.rmtree(home, ignore_errors=True)
        writing.replace(home)  # last: from now on it counts
    finally:
        shutil.rmtree(writing, ignore_errors=True)
    return found, whole, lost


def _join_log(target: Path, step: int, lines: str) -> None:
    """The log up to the snapshot, unless there is as much of it here."""
    here = sum(row.get("step", 0) <= step for row in record.Record(target, {}).rows())
    if lines.count("\n") > here:
        record.write_text(target / record.LOG, lines)
