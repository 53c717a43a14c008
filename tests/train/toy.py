"""A task small enough to train in milliseconds: a dropout network on noise, with everything that the loop asks for.

Run as a program it trains in a process of its own, so that tests can kill it:

    python toy.py OUT stop_at=40 save_every=5 kill_at=17
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from nbkit.base import seeds
from nbkit.base.params import param
from nbkit.base.record import Record
from nbkit.train.device import leave
from nbkit.train.loop import fit
from nbkit.train.store import CheckpointStore
from nbkit.train.task import Optimization, Picture, Probe, Training, warmup_inverse_square_root


@dataclass(frozen=True)
class ToyTrain(Training):
    dropout: float = param(0.2, "Dropout.", low=0.0, high=0.9)
    kill_at: int = param(0, "Kill this process in this step.", identity=False)
    stop_signal: int = param(0, "Send this signal to this process in step 3.", identity=False)
    poison_from: int = param(0, "The loss is NaN from this step on.", identity=False)
    poison_to: int = param(0, "The loss is NaN until this step.", identity=False)


class Rows(NamedTuple):
    x: np.ndarray  # [B, 8]
    y: np.ndarray  # [B, 1]


class Batches:
    """Item n is a part of the n-th batch; ten batches for validation."""

    def __init__(self, split: str, size: int, seed: int, part: int, parts: int):
        self.split, self.size, self.seed, self.part, self.parts = split, size, seed, part, parts

    def __len__(self) -> int:
        return 10

    def __getitem__(self, n: int) -> Rows:
        if n >= 1_000_000:
            raise IndexError
        x = seeds.generator(self.seed, self.split, n).normal(size=(self.size, 8)).astype(np.float32)
        x = x[self.part :: self.parts]
        return Rows(x, np.tanh(x[:, :1] * 2 - x[:, 1:2]))


class ToyTask:
    name = "toy"

    def __init__(self, config: ToyTrain):
        self.config = config

    def modules(self) -> dict[str, nn.Module]:
        torch.manual_seed(seeds.key(self.config.seed, "init"))
        net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Dropout(self.config.dropout), nn.Linear(16, 1))
        return {"net": net}

    def optimizations(self, modules) -> dict[str, Optimization]:
        adam = torch.optim.Adam(modules["net"].parameters())
        return {"adam": Optimization(adam, warmup_inverse_square_root(1e-2, 10), clip_norm=1.0)}

    def batches(self, split: str, part: int, parts: int) -> Batches:
        return Batches(split, self.config.batch_size, self.config.seed, part, parts)

    def prepare(self, modules, batch: Rows) -> None:
        with torch.no_grad():
            modules["net"][0].bias.copy_(-modules["net"][0](batch.x).mean(0))

    def weights(self, batch: Rows) -> dict[str, float]:
        return {"square": len(batch.x), "small": 2 * len(batch.x)}

    def amount(self, batch: Rows) -> dict[str, int]:
        return {"points": len(batch.x)}

    def losses(self, modules, batch: Rows, step: int) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
        if step == self.config.kill_at and torch.is_grad_enabled():
            os.kill(os.getpid(), signal.SIGKILL)
        if step == 3 and self.config.stop_signal and torch.is_grad_enabled():
            os.kill(os.getpid(), self.config.stop_signal)
        out = modules["net"](batch.x)
        if 0 < self.config.poison_from <= step <= self.config.poison_to:
            out = out * float("nan")
        yield "adam", {"square": ((out - batch.y) ** 2).sum(), "small": 0.1 * (out**2).sum()}

    def probe(self, modules, step: int) -> Probe:
        tone = np.sin(np.arange(2205) * 0.1).astype(np.float32) * 0.3
        return Probe({"probed": float(step)}, [Picture("tone", "audio", "a tone <b>", {"wave": tone, "rate": 22050})])

    def contents(self) -> dict:
        return {"format": "toy"}


def train(**values):
    """Train to the end of this session; returns the result and the run folder."""
    config = ToyTrain.from_dict({"batch_size": 12, "save_every": 5, "evaluate_every": 10, "stop_at": 20} | values)
    with Record.open("toy", config, "data") as run:
        store = CheckpointStore(run.folder / "checkpoints", config.keep)
        return fit(ToyTask(config), config, store, run), run.folder


if __name__ == "__main__":
    given = dict(word.split("=") for word in sys.argv[2:])
    os.environ["NBKIT_OUTPUTS"] = sys.argv[1]
    os.environ["NBKIT_CACHE"] = str(Path(sys.argv[1]) / "cache")
    train(**{name: ToyTrain.field(name).parse(text, "toy") for name, text in given.items()})
    leave()
