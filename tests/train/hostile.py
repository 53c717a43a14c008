"""A mount on the disk whose files reach the server late, for processes that are killed while it sends."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

from nbkit.train.shelf import MARKER, Shelf


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
