"""A run that is cut and goes on from its mirror, through fit."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
import toy

from nbkit.base.record import Record
from nbkit.train.loop import TrainingError, fit
from nbkit.train.mirror import Mirror
from nbkit.train.shelf import Shelf
from nbkit.train.store import CheckpointStore


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "cache"))
    shelf = Shelf(tmp_path / "drive")
    shelf.open()
    return shelf


def train(shelf, stop_at: int, **values):
    config = toy.ToyTrain.from_dict(
        {"batch_size": 12, "save_every": 5, "evaluate_every": 10, "stop_at": stop_at} | values
    )
    with Record.open("toy", config, "data", repeat=config.repeat) as run:
        store = CheckpointStore(run.folder / "checkpoints", config.keep, Mirror(shelf, run.name, run.folder))
        return fit(toy.ToyTask(config), config, store, run), run, store


def test_a_run_goes_on_where_its_machine_died(shelf, capsys):
    whole, run, _ = train(shelf, 40, repeat=1)
    wanted = [row for row in run.rows() if row["split"] == "train"]
    train(shelf, 22)
    folder = Path(os.environ["NBKIT_OUTPUTS"])
    shutil.rmtree(folder)  # the machine is gone
    capsys.readouterr()
    result, run, store = train(shelf, 40)
    told = capsys.readouterr().out
    assert "goes on at step 22" in told
    assert [row.verdict for row in store.table][:2] == ["whole, brought back", "older"]
    for name, tensor in whole.modules["net"].state_dict().items():
        assert torch.equal(tensor, result.modules["net"].state_dict()[name])
    rows = [row for row in run.rows() if row["split"] == "train"]
    assert [(r["step"], r["loss"]) for r in rows] == [(r["step"], r["loss"]) for r in wanted]
    assert list((run.folder / "audio").glob("*.wav"))
    assert (run.status()["confirmed"], run.status()["copied"]) == (40, True)
    assert len(json.loads((run.folder / "environment.json").read_text())) == 2, "both sessions are on record"


def test_a_mistake_of_the_mirror_is_told_and_does_not_end_training(shelf, capsys, monkeypatch):
    def broken(self):
        raise ValueError("a mistake")

    monkeypatch.setattr(Mirror, "work", broken)
    monkeypatch.setattr("nbkit.train.loop.SECONDS_TO_END", 0.2)
    result, run, _ = train(shelf, 10)
    told = capsys.readouterr().out
    assert result.step == 10
    assert "ValueError: a mistake" in told
    assert "to be copied: 10" in told
    assert (run.status()["confirmed"], run.status()["copied"]) == (None, False)


def test_a_signal_ends_the_waiting_for_the_mirror(shelf, monkeypatch):
    """Who interrupts a cell that only waits for its copies is not left waiting for half an hour."""
    monkeypatch.setattr(Mirror, "work", lambda self: 60.0)  # nothing is ever copied
    helper = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    helper.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        train(shelf, 5)
    assert time.monotonic() - began < 15
    (status,) = Path(os.environ["NBKIT_OUTPUTS"]).glob("runs/*/status.json")
    assert json.loads(status.read_text())["state"] == "finished"


def test_a_training_that_fails_still_copies_what_it_had_saved(shelf, monkeypatch):
    real = toy.ToyTask.losses

    def failing(self, modules, batch, step):
        if step > 7:
            raise ZeroDivisionError("a mistake in the task")
        return real(self, modules, batch, step)

    monkeypatch.setattr(toy.ToyTask, "losses", failing)
    with pytest.raises(ZeroDivisionError):
        train(shelf, 40)
    assert list(shelf.root.glob("runs/*/checkpoints/000000005-*.json.confirmed"))
    assert not [one for one in threading.enumerate() if one.name.startswith("mirror-")], "its thread has ended"


def test_a_disk_that_is_full_when_a_line_is_logged_is_told_with_a_remedy(shelf, monkeypatch):
    def full(self, row):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Record, "log", full)
    with pytest.raises(TrainingError, match=r"a disk is full .*nbkit runs prune"):
        train(shelf, 5)
