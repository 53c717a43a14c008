"""Small things every reader and writer of data needs: free space, hashes, locks, whole files or none."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from nbkit.base import workspace
from nbkit.base.amounts import size

CHUNK = 1 << 20
ELSEWHERE = "make room, or name a folder on a larger disk in NBKIT_CACHE"


class DataError(RuntimeError):
    """Data cannot be had as it was asked for; says what was wanted, what was found, what to do."""


def need_space(folder: Path, wanted: int, what: str) -> None:
    """Raise DataError where the disk of `folder` has fewer than `wanted` bytes free."""
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise DataError(
            f"{what} needs {size(wanted)}, but the disk that holds {folder} has {size(free)} free; {ELSEWHERE}"
        )


def disk_full(error: OSError, folder: Path) -> DataError | None:
    """A full disk or quota in words; None where the error is another one."""
    if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return None
    free = size(shutil.disk_usage(folder).free)
    return DataError(
        f"the disk that holds {folder} is full ({free} free); {ELSEWHERE}, and run the same again: what has arrived "
        "is kept"
    )


@contextlib.contextmanager
def alone(name: str, doing: str) -> Iterator[None]:
    """Only one process of this machine at a time; the others wait, and say what the one is `doing` with `name`."""
    from filelock import FileLock, Timeout

    path = workspace.cache() / "locks" / f"data-{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(path))
    try:
        lock.acquire(timeout=1)
    except Timeout:
        print(f"{name}: another process is {doing}; waiting for that", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def hash_of(path: Path, progress: Callable[[int], None] = lambda _: None, algorithm: str = "sha256") -> str:
    """The hash of a file's content; `progress` hears the bytes of each piece."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
            progress(len(piece))
    return digest.hexdigest()
