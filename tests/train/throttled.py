"""How long training waits for a checkpoint whose mirror takes 20 MB/s, beside torch.save straight into such a folder.

python tests/train/throttled.py [MB] [MB/s]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from nbkit.train.mirror import Mirror
from nbkit.train.shelf import PIECE, Shelf
from nbkit.train.store import CheckpointStore

INTERVAL = 300.0  # seconds between two checkpoints


class SlowFile:
    """A file that takes so many bytes a second."""

    def __init__(self, path: Path, speed: float):
        self.stream, self.speed = open(path, "wb"), speed  # noqa: SIM115

    def write(self, content) -> int:
        time.sleep(len(content) / self.speed)
        return self.stream.write(content)

    def flush(self) -> None:
        self.stream.flush()

    def close(self) -> None:
        self.stream.close()


class SlowShelf(Shelf):
    """A shelf that takes so many bytes a second."""

    speed = 20e6

    def put(self, name: str, source: Path | bytes) -> None:
        self.check()
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        out = SlowFile(self.root / name, self.speed)
        if isinstance(source, bytes):
            out.write(source)
        else:
            with open(source, "rb") as stream:
                while piece := stream.read(PIECE):
                    out.write(piece)
        out.close()


def main() -> None:
    megabytes, speed = (float(word) for word in [*sys.argv[1:], "340", "20"][:2])
    SlowShelf.speed = speed * 1e6
    count = int(megabytes * 1e6 / 12)  # weights and two moments of Adam, four bytes each
    weights = {"model.weight": torch.randn(count)}
    state = {"optimizers": {"adam": {"exp_avg": torch.randn(count), "exp_avg_sq": torch.rand(count)}}}
    with tempfile.TemporaryDirectory() as folder:
        shelf = SlowShelf(Path(folder) / "mirror")
        shelf.open()
        mirror = Mirror(shelf, "run", Path(folder) / "run", policy="read-back")
        store = CheckpointStore(Path(folder) / "run" / "checkpoints", 2, mirror)
        store.follow(0)
        waited, straight, computed = [], [], []
        for step in range(1, 4):
            began = time.monotonic()
            store.save(step, weights, state, {})
            waited.append(time.monotonic() - began)
            computed.append(multiply())  # what training does while the mirror works
            mirror.close(600)
            mirror.start()
            began = time.monotonic()
            slow = SlowFile(Path(folder) / "straight.pt", speed * 1e6)
            torch.save({"weights": weights, "state": state}, slow)
            slow.close()
            straight.append(time.monotonic() - began)
        alone = [multiply() for _ in range(3)]
        mirror.close(0)
    ours, theirs = statistics.median(waited), statistics.median(straight)
    print(f"{megabytes:.0f} MB to a mirror of {speed:.0f} MB/s, a checkpoint every {INTERVAL:.0f} s")
    print(f"training waits {ours:6.2f} s a checkpoint, {100 * ours / INTERVAL:.2f} % of its time (local disk and hash)")
    print(f"torch.save     {theirs:6.2f} s a checkpoint, {100 * theirs / INTERVAL:.2f} %, straight into such a folder")
    slower = statistics.median(computed) / statistics.median(alone)
    print(f"matrix product {slower:6.2f} x as long while the mirror copies")


def multiply() -> float:
    a = torch.randn(768, 768)
    began = time.monotonic()
    for _ in range(100):
        a @ a
    return time.monotonic() - began


if __name__ == "__main__":
    main()
