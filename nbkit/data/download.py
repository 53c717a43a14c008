"""One verified file from one of several addresses: http(s), Google Drive, or a path on this machine.

What arrives is verified before it is kept: first bytes, size, hash. An address that fails is named with its reason,
and the next one is tried.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nbkit.data import transfer
from nbkit.data.disk import DataError, disk_full, hash_of, need_space
from nbkit.data.meter import Meter
from nbkit.data.schema import UNKNOWN, Archive
from nbkit.data.transfer import DRIVE_QUOTA, MAGIC, Refused

DRIVE_PRIVATE = "; if the file is yours, share it in Drive with everyone who has the link"


@dataclass(frozen=True)
class Received:
    """A file that arrived whole, and the address that gave it."""

    source: str
    size: int
    sha256: str


def download(sources: Sequence[str], target: Path, archive: Archive, *, title: str = "") -> Received:
    """Bring the archive to `target` from the first of `sources` that has it.

    sources  addresses: http(s)://..., gdrive:ID, or a path on this machine
    target   appears only when it is complete and right; until then `target`.part holds what has arrived
    archive  kind, and size and hashes as far as they are known
    raises   DataError naming each address and its reason, or a full disk
    """
    title = title or target.name
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    reasons = []
    for source in sources:
        try:
            received = _from(source, part, archive, title)
        except Refused as reason:
            reasons.append(f"  {source}\n    {reason}")
        except OSError as error:
            if full := disk_full(error, target.parent):
                raise full from error
            raise
        else:
            os.replace(part, target)
            transfer.state_file(part).unlink(missing_ok=True)
            return received
    raise DataError(f"{title}: no address gave the file\n" + "\n".join(reasons))


def drive_id(address: str) -> str:
    """The id in a share address of Google Drive or in gdrive:ID, "" where it is neither; a folder is an error."""
    if re.match(r"https?://drive\.google\.com/.*folders/", address):
        raise DataError(
            f"wanted the address of a file in Google Drive, got a folder: {address}; zip the folder, upload the zip, "
            "and share that"
        )
    found = re.match(r"gdrive:([\w-]+)$", address) or re.match(
        r"https?://(?:drive|docs|drive\.usercontent)\.google\.com/.*?(?:/d/|[?&]id=)([\w-]+)", address
    )
    return found.group(1) if found else ""


def kind_of(path: Path) -> str:
    """The kind of an archive by its first bytes, "" where it is none of ours."""
    with open(path, "rb") as stream:
        head = stream.read(512)
    return next((kind for kind, (start, magics) in MAGIC.items() if head[start:].startswith(magics)), "")


def _from(source: str, part: Path, archive: Archive, title: str) -> Received:
    """Bring the file from one address into `part` and verify it."""
    identity = drive_id(source)
    if identity:
        _drive(identity, part, archive, title)
    elif not re.match(r"https?://", source):
        _copy(Path(source).expanduser(), part, archive)
    elif transfer.fetch(source, part, archive, title):
        try:
            return _verified(source, part, archive, title)
        except Refused:  # the piece from an earlier session may be at fault: once more, from the first byte
            transfer.fetch(source, part, archive, title)
    return _verified(source, part, archive, title)


def _verified(source: str, part: Path, archive: Archive, title: str) -> Received:
    """First bytes, size, hashes. What is wrong is removed."""
    try:
        got = part.stat().st_size
        with open(part, "rb") as stream:
            transfer.look_at(stream.read(4096), archive.kind)
        if archive.size and got != archive.size:
            raise Refused(f"wanted {archive.size} bytes, got {got}; the file there is another one or is damaged")
        with Meter(f"{title}: checking", got) as meter:
            sha256 = hash_of(part, meter.add)
        wanted, found = ("sha256", archive.sha256), sha256
        if archive.sha256 == UNKNOWN:
            wanted, found = ("md5", archive.md5), hash_of(part, algorithm="md5") if archive.md5 else ""
        if found != wanted[1]:
            raise Refused(f"wanted {' '.join(wanted)}, got {found}; the file there is another one or is damaged")
    except Refused:
        part.unlink(missing_ok=True)
        transfer.state_file(part).unlink(missing_ok=True)
        raise
    return Received(source, got, sha256)


def _drive(identity: str, part: Path, archive: Archive, title: str) -> None:
    """Fetch a public file of Google Drive. gdown cannot resume safely, so it always begins at the first byte."""
    import gdown
    import requests

    with tempfile.TemporaryDirectory(dir=part.parent, prefix=".drive-") as folder:
        try:
            with Meter(title, archive.size) as meter, _watching(Path(folder), meter):
                got = gdown.download(id=identity, output=str(Path(folder) / "file"), quiet=True, use_cookies=False)
        except requests.exceptions.RequestException as error:
            raise Refused(transfer.in_words(error)) from None
        except OSError:
            raise
        except Exception as error:  # what gdown raises has changed from version to version
            raise Refused(_drive_reason(str(error)) + DRIVE_PRIVATE) from None
        if not got or not Path(folder, "file").is_file():
            raise Refused("Google Drive gave no file" + DRIVE_PRIVATE)
        os.replace(Path(folder, "file"), part)


def _drive_reason(text: str) -> str:
    if re.search(r"too many users|many accesses|quota|rate.?limit", text, re.I):
        return DRIVE_QUOTA
    return f"Google Drive gave no file ({' '.join(text.split())[:200]})"


class _watching:
    """Tells a meter, from a thread, how much lies in a folder while something else writes there."""

    def __init__(self, folder: Path, meter: Meter):
        self.folder, self.meter, self.over = folder, meter, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self.over.wait(1.0):
            try:
                self.meter.to(sum(entry.stat().st_size for entry in os.scandir(self.folder)))
            except FileNotFoundError:
                continue  # renamed between the listing and the look

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


def _copy(path: Path, part: Path, archive: Archive) -> None:
    if not path.is_file():
        raise Refused("there is no such file on this machine")
    need_space(part.parent, path.stat().st_size + archive.unpacked, path.name)
    shutil.copyfile(path, part)
