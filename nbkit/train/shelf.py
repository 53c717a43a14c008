"""A folder that outlives the machine, taken as what it is: slow, sometimes gone, and not always telling the truth.

A mounted Drive keeps writes on the machine and sends them later, in any order; it drops for hours; its deleted and
overwritten files fill the quota; renaming is not documented. So a shelf only knows files that are written once, under
names that never come again, in folders one level deep.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

PIECE = 4 << 20
MARKER = "nbkit-mirror"  # a file that stands in the root of every shelf: where it is missing, the mount is
_ID = "user.drive.id"  # what Drive for desktop, and with it Colab's mount, says of a file
_NOT_SENT = b"local-"
GONE = (errno.ENOTCONN, errno.ENODEV, errno.ESTALE, errno.ETIMEDOUT)  # the mount, not the file, is what fails
T = TypeVar("T")


class Blob(NamedTuple):
    """A file on a shelf: its name, and what it holds where nothing has damaged it."""

    name: str
    size: int
    sha256: str


def measure(path: Path) -> Blob:
    """Size and hash of any file."""
    with open(path, "rb") as stream:
        return Blob(path.name, os.fstat(stream.fileno()).st_size, hashlib.file_digest(stream, "sha256").hexdigest())


class Shelf:
    """Files that are written once, below a folder. Every method may raise OSError, and then has done nothing final."""

    pauses: tuple[float, ...] = (0.5, 2.0, 5.0)  # seconds between attempts to read

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)

    def __repr__(self) -> str:
        return str(self.root)

    def patiently(self, read: Callable[[], T]) -> T:
        """What `read` gives. A mount that does not answer is asked again after each pause; raises its last OSError."""
        for pause in self.pauses:
            try:
                return read()
            except FileNotFoundError:
                raise
            except OSError:
                time.sleep(pause)
        return read()

    def open(self) -> None:
        """Make the folder where there is none yet. The one above it must be there: a mount that is not up has none."""
        self.root.mkdir(exist_ok=True)
        if not (self.root / MARKER).exists():
            (self.root / MARKER).write_text("Checkpoints of nbkit. `nbkit runs` reads them.\n", encoding="utf8")

    def check(self) -> None:
        """OSError where the shelf is gone: what is written below an empty mount point stays on this machine."""
        if not (self.root / MARKER).exists():
            raise OSError(errno.ENOTCONN, f"{self.root} is not there; mount it again")

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none where the folder does not exist."""
        self.check()
        try:
            return sorted(entry.name for entry in os.scandir(self.root / folder) if entry.is_file())
        except FileNotFoundError:
            return []

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, sorted."""
        self.check()
        try:
            return sorted(entry.name for entry in os.scandir(self.root / folder) if entry.is_dir())
        except FileNotFoundError:
            return []

    def put(self, name: str, source: Path | bytes) -> None:
        """Write a file and sync it. What stood there under this name, half of it perhaps, is replaced."""
        self.check()
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(open(target, "wb"))
            if isinstance(source, bytes):
                stream.write(source)
            else:
                read = stack.enter_context(open(source, "rb"))
                while piece := read.read(PIECE):
                    stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())

    def get(self, name: str, target: Path | None = None) -> tuple[bytes, Blob]:
        """The content of a file, or a copy of it at `target`, and what was read. The content is b"" with a target."""
        digest, size, whole = hashlib.sha256(), 0, []
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(open(self.root / name, "rb"))
            copy = stack.enter_context(open(target, "wb")) if target else None
            while piece := stream.read(PIECE):
                digest.update(piece)
                size += len(piece)
                copy.write(piece) if copy else whole.append(piece)
            if copy:
                copy.flush()
                os.fsync(copy.fileno())
        return b"".join(whole), Blob(name, size, digest.hexdigest())

    def measure(self, name: str) -> Blob:
        """Read a file for its size and hash alone."""
        return measure(self.root / name)._replace(name=name)

    def drop(self, name: str) -> None:
        """Remove a file. It is emptied first, so that what a trash keeps of it takes no room."""
        path = self.root / name
        with contextlib.suppress(FileNotFoundError):
            os.truncate(path, 0)
            path.unlink()

    def sent(self, name: str) -> bool | None:
        """Whether a file has left this machine, as the mount itself says; None where it says nothing."""
        try:
            return not os.getxattr(self.root / name, _ID).startswith(_NOT_SENT)
        except AttributeError:  # not on Linux
            return None
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.ENOTSUP, errno.EPERM):
                return None
            raise

    def is_mount_of_its_own(self) -> bool:
        """Whether the folder lies on a file system in user space, which may keep writes to itself."""
        try:
            lines = Path("/proc/self/mounts").read_text(encoding="utf8").splitlines()
        except OSError:
            return False
        here, kind, deepest = os.path.realpath(self.root), "", ""
        for line in lines:
            place, name = line.split()[1:3]
            place = place.encode().decode("unicode_escape")  # a blank is written \\040
            inside = here == place or here.startswith(place.rstrip("/") + "/")
            if inside and len(place) >= len(deepest):
                deepest, kind = place, name
        return kind.startswith("fuse")
