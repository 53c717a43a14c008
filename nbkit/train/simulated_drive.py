"""A Drive in memory that misbehaves, as the real one has been seen to and worse, from a seed.

What is written lies in a cache on the machine and reads back from there. Uploads happen later, in any order (those of
one file in theirs). When the machine dies, what was not uploaded is gone. On top of that come faults, each with a
probability.
"""

from __future__ import annotations

import errno
import hashlib
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nbkit.train.shelf import Blob, Shelf

FAULTS = {  # the highest probability of each in a mixture, at each call or, where it says so, otherwise
    "eio": 0.05,  # errno 5, nothing is done
    "full": 0.05,  # errno 28 after half of a file
    "dropped": 0.05,  # errno 107 after a third of a file
    "truncated": 0.1,  # a file ends early, and nobody says so
    "flipped": 0.1,  # a bit
    "zeroed": 0.1,  # a piece of a file
    "stale": 0.3,  # a listing from a while ago
    "vanished": 0.02,  # the mount is away for some calls
    "slow": 0.5,  # an upload that has to wait
    "cut": 0.5,  # at a death: an upload under way leaves the first part of its file
    "flipped_there": 0.02,  # a bit, in an upload: only the server has it, and no read-back shows it
}


@dataclass
class Server:
    """What survives a machine."""

    files: dict[str, bytes] = field(default_factory=dict)
    meant: dict[str, set[bytes]] = field(default_factory=dict)  # what was asked to be written under each name

    def whole(self, name: str) -> bool:
        """Whether a file is here as it was meant."""
        return self.files.get(name) in self.meant.get(name, ())

    def written_twice(self) -> list[str]:
        """Names that were given to more than one content."""
        return [name for name, contents in self.meant.items() if len(contents) > 1]


class SimulatedDrive(Shelf):
    """The mount of one machine. `faults` gives the probability of each kind (FAULTS names them)."""

    pauses = (0.0, 0.0, 0.0)  # nobody waits in a simulation

    def __init__(self, server: Server, draw: random.Random, faults: dict[str, float] | None = None):
        super().__init__("/simulated/drive")
        unknown = set(faults or {}) - set(FAULTS)
        if unknown:
            raise ValueError(f"faults are {', '.join(FAULTS)}, got {', '.join(sorted(unknown))}")
        self.server, self.draw, self.faults = server, draw, faults or {}
        self.cache = dict(server.files)
        self.pending: list[tuple[str, bytes | None]] = []  # writes, and None for a removal, that the server lacks
        self.gone = 0  # calls for which the mount is away
        self.before = set(self.cache)  # an old listing

    def _happens(self, fault: str) -> bool:
        return self.draw.random() < self.faults.get(fault, 0.0)

    def _trouble(self) -> None:
        if self._happens("vanished"):
            self.gone = self.draw.randint(1, 30)
        if self.gone > 0:
            self.gone -= 1
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        if self._happens("eio"):
            raise OSError(errno.EIO, "Input/output error")

    def open(self) -> None: ...

    def check(self) -> None:
        self._trouble()

    def is_mount_of_its_own(self) -> bool:
        return True

    def names(self, folder: str) -> list[str]:
        self._trouble()
        known = set(self.cache)
        listed = self.before if self._happens("stale") else known
        self.before = known if self.draw.random() < 0.3 else self.before
        return sorted(name for name in _below(listed, folder) if "/" not in name)

    def folders(self, folder: str) -> list[str]:
        self._trouble()
        return sorted({name.split("/")[0] for name in _below(self.cache, folder) if "/" in name})

    def put(self, name: str, source: Path | bytes) -> None:
        content = source if isinstance(source, bytes) else source.read_bytes()
        self.server.meant.setdefault(name, set()).add(content)
        self._trouble()
        for fault, share, number in (("full", 2, errno.ENOSPC), ("dropped", 3, errno.ENOTCONN)):
            if self._happens(fault):
                self._write(name, content[: len(content) // share])
                raise OSError(number, os.strerror(number))
        if self._happens("truncated"):
            content = content[: self.draw.randrange(len(content) + 1)]
        if content and self._happens("flipped"):
            content = flipped(content, self.draw)
        if self._happens("zeroed"):
            at = self.draw.randrange(len(content) + 1)
            content = content[:at] + bytes(min(64, len(content) - at)) + content[at + 64 :]
        self._write(name, content)

    def _write(self, name: str, content: bytes) -> None:
        self.cache[name] = content
        self.pending.append((name, content))

    def get(self, name: str, target: Path | None = None) -> tuple[bytes, Blob]:
        self._trouble()
        if name not in self.cache:
            raise FileNotFoundError(errno.ENOENT, "No such file", name)
        content = self.cache[name]
        if target:
            target.write_bytes(content)
        return b"" if target else content, Blob(name, len(content), hashlib.sha256(content).hexdigest())

    def measure(self, name: str) -> Blob:
        return self.get(name)[1]

    def drop(self, name: str) -> None:
        self._trouble()
        if name in self.cache:
            self._write(name, b"")
            self._remove(name)

    def remove(self, name: str) -> None:
        """Unlink a file as it is."""
        self._trouble()
        self._remove(name)

    def _remove(self, name: str) -> None:
        if self.cache.pop(name, None) is not None:
            self.pending.append((name, None))

    def sent(self, name: str) -> bool | None:
        self._trouble()
        return all(waiting != name for waiting, _ in self.pending)

    def upload(self, most: int) -> None:
        """Let up to `most` writes reach the server, in any order but for those of one file."""
        for _ in range(min(most, len(self.pending))):
            if self._happens("slow"):
                continue
            name, content = self._next_upload()
            if content is None:
                self.server.files.pop(name, None)
            else:
                damaged = bool(content) and self._happens("flipped_there")
                self.server.files[name] = flipped(content, self.draw) if damaged else content

    def die(self) -> None:
        """The machine goes, and what it has not sent with it."""
        if self.pending and self._happens("cut"):
            name, content = self._next_upload()
            if content is not None:
                self.server.files[name] = content[: self.draw.randrange(len(content) + 1)]
        self.pending.clear()

    def _next_upload(self) -> tuple[str, bytes | None]:
        name = self.draw.choice(self.pending)[0]
        return self.pending.pop(next(i for i, (waiting, _) in enumerate(self.pending) if waiting == name))


def flipped(content: bytes, draw: random.Random) -> bytes:
    """The content with one bit turned over."""
    at = draw.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]


def _below(names: Iterable[str], folder: str) -> list[str]:
    start = folder.rstrip("/") + "/"
    return [name[len(start) :] for name in names if name.startswith(start)]
