"""Archives to folders, whole or not at all, and never outside the folder.

Refused: absolute names, `..`, links, devices, encrypted entries, and more bytes than the archive can honestly hold.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from nbkit.base.amounts import size
from nbkit.base.record import write_json
from nbkit.data.disk import CHUNK, DataError, disk_full, need_space
from nbkit.data.meter import Meter
from nbkit.data.schema import Archive

MARK = ".nbkit.json"
RATIO, SMALL, ENTRIES = 20, 200_000_000, 2_000_000
JUNK = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$|\._)")
Entry = tuple[str, int, IO[bytes]]


def unpack(path: Path, folder: Path, archive: Archive, mark: dict[str, Any]) -> dict[str, str]:
    """Unpack `path` into `folder`, which appears only when everything is in it and replaces an older one.

    archive  its kind; `unpacked`, where known, limits the bytes, else RATIO times the size of the archive does
    mark     what is written about the archive into MARK in the folder
    returns  the sha256 of each file by its name in the folder
    raises   DataError in words where the archive is damaged, unsafe, or larger than the disk
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    limit = int(archive.unpacked * 1.05) or max(RATIO * path.stat().st_size, SMALL)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.unpack-", dir=folder.parent))
    try:
        entries = _zip(path, limit, folder.parent) if archive.kind == "zip" else _tar(path)
        with Meter(f"{folder.name}: unpacking", archive.unpacked) as meter:
            hashes = _write(entries, work, limit, meter)
        write_json(work / MARK, mark)
        os.chmod(work, 0o755)  # mkdtemp's folders are private
        if folder.exists():
            os.replace(folder, work.with_name(work.name + ".old"))
        os.replace(work, folder)
        return hashes
    except OSError as error:
        if full := disk_full(error, folder.parent):
            raise full from error
        raise
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise DataError(f"{path}: the archive is damaged ({error}); fetch it again") from None
    finally:
        sweep(folder)


def sweep(folder: Path) -> None:
    """Remove what unpacking `folder` has left, now or when it was killed."""
    for left in folder.parent.glob(f".{folder.name}.unpack-*"):
        shutil.rmtree(left, ignore_errors=True)


def _write(entries: Iterator[Entry], work: Path, limit: int, meter: Meter) -> dict[str, str]:
    hashes = {}
    for count, (name, announced, stream) in enumerate(entries, 1):
        target, digest = work / _safe(name), hashlib.sha256()
        if meter.done + announced > limit or count > ENTRIES:
            raise DataError(
                f"the archive would unpack to more than {size(limit)} or {ENTRIES:,} files, far more than one of its "
                "size holds; if it is right, give `unpacked` in the manifest"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as out:
            left = announced
            while piece := stream.read(min(CHUNK, left + 1)):
                left -= len(piece)
                if left < 0:
                    raise DataError(f"the archive holds more bytes of {name!r} than it announces; do not trust it")
                out.write(piece)
                digest.update(piece)
                meter.add(len(piece))
        hashes[target.relative_to(work).as_posix()] = digest.hexdigest()
    return hashes


def _safe(name: str) -> str:
    """The name of an entry, if it stays inside."""
    name = name.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/") or "\0" in name:
        raise DataError(f"the archive holds {name!r}, which would lie outside its folder; do not trust it")
    return name


def _zip(path: Path, limit: int, disk: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        total = sum(info.file_size for info in infos)
        if total <= limit:
            need_space(disk, total, f"unpacking {path.name}")
        for info in infos:
            name = _korean(info)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise DataError(f"the archive holds a link, {name!r}; a data set needs none, so it is not unpacked")
            if info.flag_bits & 1:
                raise DataError(f"{path.name} wants a password; unpack it yourself and add the folder")
            if not info.is_dir() and not JUNK.search(name):
                with archive.open(info) as stream:
                    yield name, info.file_size, stream


def _korean(info: zipfile.ZipInfo) -> str:
    """The name of an entry. Without the flag for UTF-8, zips made in Korea mean UTF-8 or CP949, not CP437."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    raw = info.filename.encode("cp437")
    for encoding in ("utf-8", "cp949"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def _tar(path: Path) -> Iterator[Entry]:
    with tarfile.open(path, "r|*") as archive:  # a stream: seeking in bz2 would unpack it again for each file
        for member in archive:
            if member.isdir() or JUNK.search(member.name):
                continue
            if not member.isfile():
                what = "a link" if member.issym() or member.islnk() else "a device"
                raise DataError(
                    f"the archive holds {what}, {member.name!r}; a data set needs none, so it is not unpacked"
                )
            stream = archive.extractfile(member)
            if stream is not None:
                with stream:
                    yield member.name, member.size, stream
