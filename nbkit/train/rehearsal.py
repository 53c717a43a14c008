"""Rehearsing for the worst: machines that die, a Drive that misbehaves, and three ways to keep checkpoints there.

All is drawn from a seed, so a schedule can be lived through again, and by another strategy.
"""

from __future__ import annotations

import io
import json
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from nbkit.train.mirror import Mirror
from nbkit.train.simulated_drive import FAULTS, Server, SimulatedDrive
from nbkit.train.store import CheckpointError, CheckpointStore


class Strategy(Protocol):
    """One way to keep checkpoints, on one machine with one mount."""

    def newest(self) -> tuple[int, Tensor] | None:
        """Step and weights to go on from; None to start anew; OSError or CheckpointError where one has to come back."""
        ...

    def save(self, step: int, weights: Tensor, metric: float | None) -> None: ...

    def work(self) -> None:
        """A piece of what goes on beside training."""
        ...

    def safe(self) -> int | None:
        """The step that a person is told is safe."""
        ...

    @staticmethod
    def survives(server: Server) -> bool:
        """Whether there is a whole checkpoint on the server."""
        ...


Machine = Callable[[SimulatedDrive, Path, Callable[[], float]], Strategy]
"""What makes a strategy, from a mount, an empty folder on the local disk, and a clock."""


class Mirrored:
    """What nbkit does: the store and the mirror of the package, without its thread."""

    policy = "auto"

    def __init__(self, drive: SimulatedDrive, folder: Path, clock: Callable[[], float]):
        self.folder = folder
        self.mirror = Mirror(drive, "run", folder, keep=2, policy=self.policy, clock=clock)
        self.store = CheckpointStore(folder / "checkpoints", keep=2, mirror=self.mirror)

    def newest(self) -> tuple[int, Tensor] | None:
        found = self.store.newest(clean=True)
        self.mirror.begin(found.step if found else 0)
        return (found.step, found.weights["net.weight"]) if found else None

    def save(self, step: int, weights: Tensor, metric: float | None) -> None:
        self.store.save(step, {"net.weight": weights}, {"step": step}, {}, metric)

    def work(self) -> None:
        self.mirror.work()

    def safe(self) -> int | None:
        return self.mirror.state.confirmed

    @staticmethod
    def survives(server: Server) -> bool:
        for name in server.files:
            if name.startswith("runs/run/checkpoints/") and name.endswith(".json") and server.whole(name):
                files = json.loads(server.files[name])["files"]
                if all(server.whole(blob) for path, (blob, *_) in files.items() if path.startswith("checkpoints/")):
                    return True
        return False


class KeepLast:
    """torch.save straight into the mounted folder under a new name, then remove all but the newest three.

    Kinder than most scripts: an error while writing does not end the training, nothing is removed before the new file
    is written, and a file that torch.load refuses is passed over for the one before it.
    """

    keep = 3

    def __init__(self, drive: SimulatedDrive, folder: Path, clock: Callable[[], float]):
        self.drive, self.mine = drive, []

    def newest(self) -> tuple[int, Tensor] | None:
        self.mine = self.drive.names("peer")
        for name in reversed(self.mine):
            content, _ = self.drive.get(f"peer/{name}")
            try:
                found = torch.load(io.BytesIO(content), weights_only=True)
                return int(found["step"]), found["weights"]
            except Exception:  # torch.load has no one way to refuse what is damaged
                continue
        return None

    def name(self, step: int) -> str:
        return f"{step:09d}.pt"

    def save(self, step: int, weights: Tensor, metric: float | None) -> None:
        content = io.BytesIO()
        torch.save({"step": step, "weights": weights}, content)
        try:
            self.drive.put(f"peer/{self.name(step)}", content.getvalue())
            self.mine = sorted({*self.mine, self.name(step)})
            while len(self.mine) > self.keep:
                self.drive.remove(f"peer/{self.mine[0]}")
                del self.mine[0]
        except OSError:
            pass  # told, and tried again with the next checkpoint

    def work(self) -> None: ...

    def safe(self) -> int | None:
        return None

    @staticmethod
    def survives(server: Server) -> bool:
        return any(name.startswith("peer/") and server.whole(name) for name in server.files)


class Overwrite(KeepLast):
    """torch.save straight into the mounted folder, always under the same name."""

    def name(self, step: int) -> str:
        return "last.pt"


STRATEGIES: dict[str, Machine] = {
    "overwrite one file": Overwrite,
    "keep the last 3": KeepLast,
    "nbkit's mirror": Mirrored,
}


class Outcome(NamedTuple):
    """What became of one run."""

    lost: bool  # nothing could be read, although a whole checkpoint had reached the server
    damaged: bool  # other weights than those that were saved were loaded, without a word
    broken: int  # steps that had been called safe and were not there
    repeated: int  # steps that had to be trained twice


def mixture(seed: int) -> dict[str, float]:
    """Faults of a schedule: about half of those that a write or a listing can show, each more or less likely."""
    draw = random.Random(f"mixture {seed}")
    likely = {name: p * draw.random() for name, p in FAULTS.items() if draw.random() < 0.6}
    likely.pop("flipped_there", None)  # damage that only the server has can be found, but no strategy can prevent it
    return likely


def rehearse(machine: Machine, seed: int, faults: dict[str, float] | None = None, deaths: int = 4) -> Outcome:
    """One run on machines that die one after the other, each at a random moment, and one that finds what is left.

    The training, its pauses and the pace of the uploads are the same for every strategy; which call meets which fault
    depends on the calls. Where the mount does not answer at the start, a person comes back when it does.

    faults    probability of each of FAULTS; None draws a mixture
    """
    life, weather = random.Random(f"life {seed}"), random.Random(f"weather {seed}")
    faults = mixture(seed) if faults is None else faults
    server, trained, safe, survived, repeated, broken = Server(), 0, 0, False, 0, 0
    survives = Mirrored.survives
    with tempfile.TemporaryDirectory(dir=_memory()) as scratch:
        for number in range(deaths + 1):
            folder, now = Path(scratch, str(number)), [0.0]
            folder.mkdir()
            drive = SimulatedDrive(server, weather, faults)
            strategy = machine(drive, folder, lambda now=now: now[0])
            survives = strategy.survives
            found = _come_back(strategy, drive)
            step = found[0] if found else 0
            if found and not torch.equal(found[1], weights(step)):
                return Outcome(False, True, broken, repeated)
            broken, repeated = max(broken, safe - step), repeated + trained - step
            if survived and not found:
                return Outcome(True, False, broken, repeated)
            if number == deaths:
                break
            for trained in range(step + 1, step + life.randrange(4, 20)):
                metric = 1 / trained if life.random() < 0.8 else None
                if trained % 2 == 0:
                    strategy.save(trained, weights(trained), metric)
                for _ in range(life.randrange(20)):
                    strategy.work()
                    now[0] += life.choice((0.0, 0.0, 1.0, 30.0))
                    drive.upload(life.randrange(3))
                    survived = survived or survives(server)
                safe = max(safe, strategy.safe() or 0)
            drive.die()
    return Outcome(False, False, broken, repeated)


def _come_back(strategy: Strategy, drive: SimulatedDrive) -> tuple[int, Tensor] | None:
    """What the strategy finds to go on from, at the latest when the mount is up; None where that is nothing."""
    faults = drive.faults
    try:
        return strategy.newest()
    except (OSError, CheckpointError):
        drive.faults, drive.gone = {}, 0
        try:
            return strategy.newest()
        except CheckpointError:
            return None
    finally:
        drive.faults = faults


def weights(step: int) -> Tensor:
    """What a training of so many steps has learnt, 4 kB of it."""
    return torch.arange(1000.0) + step


def count(machine: Machine, seeds: range) -> Counter:
    """How often a run was lost, damage was loaded, a claim was broken; and the steps that were repeated in all."""
    outcomes = [rehearse(machine, seed) for seed in seeds]
    return Counter(
        lost=sum(one.lost for one in outcomes),
        damaged=sum(one.damaged for one in outcomes),
        broken=sum(one.broken > 0 for one in outcomes),
        repeated=sum(one.repeated for one in outcomes),
    )


def _memory() -> str | None:
    """A folder that costs no disk, where there is one: a simulated checkpoint is synced a hundred times a second."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
