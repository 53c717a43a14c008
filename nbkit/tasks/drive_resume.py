"""What 01_drive_resume needs: a network that learns a sine, and a machine and a Drive made of two folders."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import nbkit
from nbkit.base import record, seeds, workspace
from nbkit.base.params import Params, param
from nbkit.train import snapshot, store
from nbkit.train.loop import fit
from nbkit.train.mirror import Mirror
from nbkit.train.shelf import Shelf
from nbkit.train.simulated_drive import flipped
from nbkit.train.store import WEIGHTS, CheckpointStore
from nbkit.train.task import Modules, Optimization, Probe, Training, warmup_inverse_square_root

STARTING = 120.0  # seconds that a process may take to begin training


@dataclass(frozen=True)
class DriveResume(Params):
    """Parameters of 01_drive_resume."""

    kill_in: int = param(25, "The first process is killed in this step or just after it.", unit="steps", low=1, high=39)
    refusals: int = param(2, "So often the full Drive refuses a file before there is room again.", low=2, high=4)
    schedules: int = param(150, "Runs that are lived through in the simulation, with each strategy.", low=1)

    PRESETS: ClassVar = {"smoke": {"schedules": 12}}


@dataclass(frozen=True)
class SineTrain(Training):
    """Parameters of the training in 01_drive_resume."""

    seconds_per_step: float = param(
        0.05, "Let a step take so long, as that of a real model does.", unit="seconds", low=0.0, identity=False
    )
    PRESETS: ClassVar = {"smoke": {"stop_at": 20, "save_every": 10, "seconds_per_step": 0.0}}


class Points(NamedTuple):
    """Places and the height of the sine there."""

    x: np.ndarray  # [B, 1]
    y: np.ndarray  # [B, 1]


class _Batches:
    def __init__(self, split: str, config: SineTrain, part: int, parts: int):
        self.split, self.config, self.part, self.parts = split, config, part, parts

    def __len__(self) -> int:
        return 1

    def __getitem__(self, n: int) -> Points:
        if self.split != "train" and n >= len(self):
            raise IndexError(n)
        draw = seeds.generator(self.config.seed, self.split, n)
        x = draw.uniform(-3, 3, (self.config.batch_size, 1)).astype(np.float32)[self.part :: self.parts]
        return Points(x, np.sin(2 * x))


class SineTask:
    """A network of a thousand parameters that learns sin 2x."""

    name = "sine"

    def __init__(self, config: SineTrain):
        self.config = config

    def record(self) -> record.Record:
        """The run folder of these parameters, opened for writing."""
        return record.Record.open(self.name, self.config, "sin 2x", repeat=self.config.repeat)

    def store(self, run: record.Record) -> CheckpointStore:
        """The checkpoints of a run, with their mirror where there is a place for one."""
        return store.open_store(run, self.config.keep, self.config.mirror_every)

    def modules(self) -> Modules:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.key(self.config.seed, "init"))
            return {"net": nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))}

    def optimizations(self, modules: Modules) -> dict[str, Optimization]:
        rate = warmup_inverse_square_root(self.config.learning_rate, self.config.warmup_steps)
        return {"adam": Optimization(torch.optim.Adam(modules["net"].parameters()), rate)}

    def batches(self, split: str, part: int, parts: int) -> _Batches:
        return _Batches(split, self.config, part, parts)

    def prepare(self, modules: Modules, batch: Any) -> None: ...

    def weights(self, batch: Any) -> dict[str, float]:
        return {"square": len(batch.x)}

    def amount(self, batch: Any) -> dict[str, int]:
        return {"points": len(batch.x)}

    def losses(self, modules: Modules, batch: Any, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        if torch.is_grad_enabled():
            time.sleep(self.config.seconds_per_step)
        yield "adam", {"square": ((modules["net"](batch.x) - batch.y) ** 2).sum()}

    def probe(self, modules: Modules, step: int) -> Probe:
        return Probe()

    def contents(self) -> dict[str, Any]:
        return {"format": "sine"}


CONFIG = SineTrain(batch_size=64, warmup_steps=20, learning_rate=1e-2, save_every=10, evaluate_every=10)


class FullShelf(Shelf):
    """A shelf whose quota is full until it has refused so many files."""

    def __init__(self, root: Path, refusals: int):
        super().__init__(root)
        self.refusals = refusals

    def put(self, name: str, source: Path | bytes) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().put(name, source)


@dataclass
class Session:
    """What one process did."""

    went_on_at: int
    rows: list[dict[str, Any]]  # of the log, all training steps of all sessions

    def __repr__(self) -> str:
        steps = [row["step"] for row in self.rows]
        once = "each once" if steps == list(range(1, len(steps) + 1)) else "NOT each once"
        return f"went on at step {self.went_on_at}; the log has steps 1 to {steps[-1]}, {once}"


class Room:
    """A machine and a Drive, each a folder. What this kernel trains from now on stays in there."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="nbkit-room-")  # goes with the kernel
        self.machine, self.drive = Path(self._folder.name, "machine"), Path(self._folder.name, "drive")
        self.machine.mkdir()
        os.environ["NBKIT_OUTPUTS"], os.environ["NBKIT_MIRROR"] = str(self.machine), str(self.drive)
        os.environ.pop("NBKIT_RUN_POINTER", None)  # a notebook that runs headlessly is not filed under what it breaks

    def __repr__(self) -> str:
        return f"machine  {self.machine}\nDrive    {self.drive}"

    def fit(self, stop_at: int, shelf: Shelf | None = None) -> Session:
        """Train in this process; with a shelf of its own instead of the mirror that NBKIT_MIRROR names."""
        config = SineTrain.from_dict(CONFIG.as_dict() | {"stop_at": stop_at})
        task = SineTask(config)
        with task.record() as run:
            kept = task.store(run)
            if shelf:
                kept = CheckpointStore(kept.folder, config.keep, Mirror(shelf, run.name, run.folder))
            fit(task, config, kept, run)
        used = [row.step for row in kept.table if row.verdict.startswith("whole")]
        return Session(used[0] if used else 0, run.rows("train"))

    def fit_and_kill(self, step: int) -> str:
        """Train in a process of its own and kill it, without warning, once it has logged `step`. Returns its words."""
        values = {**{k: v for k, v in CONFIG.as_dict().items() if v != getattr(SineTrain(), k)}, "stop_at": 1000}
        words = [word for name, value in values.items() for word in ("-p", name, str(value))]
        path = os.pathsep.join([str(Path(nbkit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "nbkit.run", "fit", SineTask.name, *words]
        said, end = Path(self._folder.name, "said.txt"), time.monotonic() + STARTING
        with open(said, "w", encoding="utf8") as out:
            child = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "PYTHONPATH": path})
        while child.poll() is None and self.logged() < step and time.monotonic() < end:
            time.sleep(0.02)
        child.kill()
        child.wait()
        return f"{said.read_text(encoding='utf8')}killed by signal {-child.returncode} after step {self.logged()}"

    def logged(self) -> int:
        """The last training step in the log."""
        rows = [row for run in record.runs(SineTask.name) for row in run.rows("train")]
        return rows[-1]["step"] if rows else 0

    def newest(self) -> dict[str, Path]:
        """The weights of the newest checkpoint, "here" and on the "mirror"."""
        here = sorted(workspace.runs().glob(f"sine-*/checkpoints/step-*/{WEIGHTS}"))
        there = sorted(self.drive.glob(f"{snapshot.folder('sine-*', 'blobs')}/*-{WEIGHTS}"))
        return {name: found[-1] for name, found in (("here", here), ("mirror", there)) if found}

    def lose_machine(self) -> None:
        """Everything that is not on the Drive is gone."""
        shutil.rmtree(self.machine)
        self.machine.mkdir()


def damage(path: Path) -> str:
    """Turn one bit of a file over, as a bad cable does."""
    content = path.read_bytes()
    path.write_bytes(flipped(content, random.Random(0)))
    return f"{path.name}: 1 of {8 * len(content):,} bits is another"
