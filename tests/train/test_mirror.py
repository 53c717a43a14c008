"""The mirror: whatever a Drive does, no run is lost, nothing damaged is loaded, and what was called safe is."""

from __future__ import annotations

import os
import random
from pathlib import Path

import hostile
import pytest
import torch

from nbkit.base.record import Record
from nbkit.train import shelf as shelf_module
from nbkit.train import store as store_module
from nbkit.train.mirror import Mirror
from nbkit.train.store import CheckpointError, CheckpointStore

SCHEDULES = int(os.environ.get("NBKIT_SCHEDULES", "150"))
FAULTS = {
    "eio": 0.05,
    "full": 0.05,
    "dropped": 0.05,
    "truncated": 0.1,
    "flipped": 0.1,
    "zeroed": 0.1,
    "stale": 0.3,
    "vanished": 0.02,
    "slow": 0.5,
}


class Machine:
    """One VM: a local disk, a mount, and a training that writes a checkpoint now and then."""

    def __init__(
        self, folder: Path, server: hostile.Server, draw: random.Random, faults: dict[str, float], policy: str
    ):
        self.draw, self.now = draw, 0.0
        self.drive = hostile.HostileDrive(server, draw, faults)
        self.mirror = Mirror(self.drive, "run", folder, keep=2, policy=policy, clock=lambda: self.now)
        self.store = CheckpointStore(folder / "checkpoints", keep=2, mirror=self.mirror)
        self.record = Record(folder, {}, writer=True)
        self.step = 0
        self.safe, self.gap = -1, False

    def resume(self) -> int:
        found = self.store.newest(clean=True)
        if found is not None:
            assert torch.equal(found.weights["net.weight"], weights(found.step)), "a damaged checkpoint was loaded"
            assert found.state == {"step": found.step}
        self.step = found.step if found else 0
        self.mirror.begin(self.step)
        self.record.rewind(self.step if found else -1)
        logged = [row["step"] for row in self.record.rows()]
        assert len(set(logged)) == len(logged), "the log has a step twice"
        if any(
            "log.jsonl" in note for note in self.mirror.notes
        ):  # a piece that never arrived is told of, and stays lost
            assert self.step > self.safe, "a confirmed snapshot has its whole log"
            self.gap = True
        assert self.gap or logged == list(range(1, self.step + 1)), "the log has a gap that nobody was told of"
        return self.step

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.step += 1
            self.record.log({"step": self.step, "loss": 1 / self.step})
            if self.step % 2 == 0:
                metric = 1 / self.step if self.draw.random() < 0.8 else None
                self.store.save(self.step, {"net.weight": weights(self.step)}, {"step": self.step}, {}, metric)
            for _ in range(self.draw.randrange(20)):
                self.mirror.work()
                self.now += self.draw.choice((0.0, 0.0, 1.0, 30.0))
                self.drive.upload(self.draw.randrange(3))
            self.safe = max(self.safe, self.mirror.state.confirmed or -1)


def weights(step: int) -> torch.Tensor:
    return torch.arange(12.0).reshape(3, 4) + step


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No waiting, and no syncing: nothing here outlives the test."""
    monkeypatch.setattr(shelf_module.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(store_module, "_sync", lambda path: None)


def live_and_die(tmp_path: Path, seed: int, faults: dict[str, float], policy: str = "auto") -> tuple[int, int]:
    """Four machines, one after the other, each killed at a random moment.

    returns   the most steps that were called safe and not found again, and how often training began at step 0 after all
    """
    draw, server, safe, gap, worst, restarts = random.Random(seed), hostile.Server(), -1, False, 0, 0
    for number in range(4):
        machine = Machine(tmp_path / f"{seed}-{number}", server, draw, faults, policy)
        (tmp_path / f"{seed}-{number}").mkdir()
        machine.safe = -1 if "flipped_there" in faults else safe
        machine.gap = gap
        try:
            step = machine.resume()
        except CheckpointError:
            machine.drive.faults = {}  # a person comes back later, when the mount is up
            machine.drive.gone = 0
            step = machine.resume()
        machine.drive.faults = faults
        if safe >= 0:
            worst = max(worst, safe - step)
            restarts += step == 0
        machine.train(draw.randrange(4, 20))
        safe, gap = machine.safe, machine.gap
    return worst, restarts


@pytest.mark.parametrize("fault", [*FAULTS, "flipped_there", "none"])
def test_each_fault_alone_loses_no_run(tmp_path, fault):
    faults = {"flipped_there": 0.02} if fault == "flipped_there" else {k: v for k, v in FAULTS.items() if k == fault}
    for seed in range(8):
        worst, restarts = live_and_die(tmp_path, seed, faults)
        assert restarts == 0
        assert worst <= 0 or fault == "flipped_there", "less was there than was called safe"


def test_random_mixtures_lose_no_run(tmp_path):
    for seed in range(SCHEDULES):
        draw = random.Random(-seed - 1)
        faults = {name: p * draw.random() for name, p in FAULTS.items() if draw.random() < 0.6}
        worst, restarts = live_and_die(tmp_path, seed, faults)
        assert (max(worst, 0), restarts) == (0, 0), f"schedule {seed}: {faults}"
