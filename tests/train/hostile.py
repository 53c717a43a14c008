"""A Drive that behaves as badly as the real one has been seen to, and worse, from a seed.

What is written lies in a cache on the machine and reads back from there. Uploads happen later, in any order (those of
one file in theirs). When the machine dies, what was not uploaded is gone. On top of that come faults, each with a
probability: errors before or in the middle of a write, damage that shows and damage that only the server has, a mount
that vanishes for a while, listings from a while ago.
"""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from nbkit.train.shelf import MARKER, Blob, Shelf

FAULTS = ("eio", "full", "dropped", "truncated", "flipped", "zeroed", "flipped_there", "stale", "vanished", "slow")


@dataclass
class Server:
    """What survives a machine."""

    files: dict[str, bytes] = field(default_factory=dict)


class HostileDrive(Shelf):
    """The mount of one machine. `faults` gives the probability of each kind at each call."""

    def __init__(self, server: Server, draw: random.Random, faults: dict[str, float] | None = None):
        super().__init__("/simulated/drive")
        assert set(faults or {}) <= set(FAULTS)
        self.server, self.draw, self.faults = server, draw, faults or {}
        self.cache = dict(server.files)
        self.pending: list[tuple[str, bytes | None]] = []
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

    def _below(self, names, folder: str) -> list[str]:
        start = folder.rstrip("/") + "/"
        return [name[len(start) :] for name in names if name.startswith(start)]

    def names(self, folder: str) -> list[str]:
        self._trouble()
        known = set(self.cache)
        listed = self.before if self._happens("stale") else known
        self.before = known if self.draw.random() < 0.3 else self.before
        return sorted(name for name in self._below(listed, folder) if "/" not in name)

    def folders(self, folder: str) -> list[str]:
        self._trouble()
        return sorted({name.split("/")[0] for name in self._below(self.cache, folder) if "/" in name})

    def put(self, name: str, source: Path | bytes) -> None:
        self._trouble()
        content = source if isinstance(source, bytes) else source.read_bytes()
        if self._happens("full"):
            self._write(name, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        if self._happens("dropped"):
            self._write(name, content[: len(content) // 3])
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
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
            del self.cache[name]
            self.pending.append((name, None))

    def sent(self, name: str) -> bool | None:
        self._trouble()
        return all(waiting != name for waiting, _ in self.pending)

    def upload(self, most: int) -> None:
        """Let up to `most` writes reach the server, in any order but for those of one file."""
        for _ in range(min(most, len(self.pending))):
            if self._happens("slow"):
                continue
            name = self.draw.choice(self.pending)[0]
            index = next(i for i, (waiting, _) in enumerate(self.pending) if waiting == name)
            _, content = self.pending.pop(index)
            if content is None:
                self.server.files.pop(name, None)
            else:
                damaged = bool(content) and self._happens("flipped_there")
                self.server.files[name] = flipped(content, self.draw) if damaged else content


def flipped(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]


class LateFolder(Shelf):
    """A mount on the disk: what is written lies in `here`, and a thread brings it to `server` later, in any order.

    `server` is what survives the machine; `mount()` is what a new machine sees.
    """

    def __init__(self, here: Path, server: Path, draw: random.Random):
        super().__init__(here)
        self.server, self.draw = server, draw
        self.waiting: list[str] = []

    @classmethod
    def mount(cls, here: Path, server: Path, draw: random.Random) -> LateFolder:
        """A new machine: only what reached the server is there."""
        shutil.rmtree(here, ignore_errors=True)
        server.mkdir(parents=True, exist_ok=True)
        shutil.copytree(server, here)
        (here / MARKER).touch()
        return cls(here, server, draw)

    def put(self, name: str, source: Path | bytes) -> None:
        super().put(name, source)
        self.waiting.append(name)

    def drop(self, name: str) -> None:
        super().drop(name)
        self.waiting.append(name)

    def sent(self, name: str) -> bool | None:
        return name not in self.waiting

    def deliver(self) -> None:
        """Runs in a thread of its own until the process dies."""
        while True:
            time.sleep(self.draw.random() * 0.01)
            if not self.waiting:
                continue
            name = self.draw.choice(list(self.waiting))
            times = self.waiting.count(name)
            here, there = self.root / name, self.server / name
            there.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(here, there.with_name(there.name + ".part"))
                os.replace(there.with_name(there.name + ".part"), there)
            except FileNotFoundError:
                there.unlink(missing_ok=True)
            for _ in range(times):
                self.waiting.remove(name)
