"""Disks that are really full: small file systems in memory, where this machine lets a test mount them."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
import torch
import toy

from nbkit.base.record import Record
from nbkit.train import store as store_module
from nbkit.train.loop import fit
from nbkit.train.mirror import Mirror
from nbkit.train.shelf import Shelf
from nbkit.train.store import CheckpointError, CheckpointStore

KILOBYTES = 512
WEIGHTS = {"w": torch.zeros(30_000)}  # 120 kB


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 512 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={KILOBYTES}k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if mounted.returncode:
        pytest.skip(f"this machine does not let a test mount a file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Fill a file system but for so many bytes."""
    room = os.statvfs(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - leave))
    return ballast


def wait_for(holds, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def opened(folder: Path, name: str = "drive") -> Shelf:
    shelf = Shelf(folder / name)
    shelf.open()
    return shelf


def test_training_goes_on_while_the_mirror_is_full_and_the_mirror_when_there_is_room(
    small_disk, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "cache"))
    shelf = opened(small_disk)
    ballast = fill(small_disk, leave=4096)
    config = toy.ToyTrain.from_dict({"batch_size": 12, "save_every": 5, "evaluate_every": 10, "stop_at": 20})
    with Record.open("toy", config, "data") as run:
        mirror = Mirror(shelf, run.name, run.folder)

        def make_room() -> None:
            wait_for(lambda: run.status()["state"] == "finished" and mirror.trouble)
            ballast.unlink()

        helper = threading.Thread(target=make_room)
        helper.start()
        result = fit(toy.ToyTask(config), config, CheckpointStore(run.folder / "checkpoints", 3, mirror), run)
        helper.join()
    told = capsys.readouterr().out
    assert result.step == 20
    assert "the quota of the mirror is full" in told
    assert "training goes on" in told
    assert "mirror: it works again" in told
    assert mirror.state.confirmed == 20
    assert mirror.state.waiting == ()


def test_a_full_local_disk_without_a_mirror_is_an_error_in_words(small_disk):
    store = CheckpointStore(small_disk / "checkpoints", 3)
    store.save(1, WEIGHTS, {}, {})
    fill(small_disk, leave=50_000)
    with pytest.raises(CheckpointError, match=r"step 2 could not be written .*make room"):
        store.save(2, WEIGHTS, {}, {})
    found = store.newest()
    assert found
    assert found.step == 1
    assert not list(store.folder.glob(".writing*"))


def test_a_full_local_disk_waits_for_the_mirror_and_says_so(small_disk, tmp_path):
    mirror = Mirror(opened(tmp_path), "run", small_disk)
    store = CheckpointStore(small_disk / "checkpoints", 1, mirror)
    store.save(1, WEIGHTS, {}, {}, metric=3.0)
    store.save(2, WEIGHTS, {}, {}, metric=2.0)
    assert set(store.steps()) == {1, 2}, "both wait to be copied"
    fill(small_disk, leave=50_000)
    seen = []

    def watch() -> None:
        seen.append(list(store.notes))
        mirror.work()

    store.save(3, WEIGHTS, {}, {}, metric=1.0, watch=watch)
    told = ["the disk is full: before step 3 is written, training waits for the mirror to copy 1"]
    assert seen[0] == told
    assert store.notes == [*told, "the disk has room again, training goes on"]
    found = store.newest()
    assert found
    assert found.step == 3
    assert mirror.state.waiting == (3,) or 3 in mirror.pinned()


def test_what_the_mirror_has_makes_room_at_once(small_disk, tmp_path):
    mirror = Mirror(opened(tmp_path), "run", small_disk)
    store = CheckpointStore(small_disk / "checkpoints", 3, mirror)
    for step in (1, 2):
        store.save(step, WEIGHTS, {}, {})
    while mirror.state.waiting:
        mirror.work()
    fill(small_disk, leave=50_000)
    store.save(3, WEIGHTS, {}, {})
    assert list(store.steps()) == [3, 2]
    assert not store.notes, "nobody had to wait"


def test_waiting_for_room_ends(small_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SECONDS_FOR_ROOM", 0.5)
    mirror = Mirror(opened(tmp_path), "run", small_disk)
    store = CheckpointStore(small_disk / "checkpoints", 1, mirror)
    for step in (1, 2):
        store.save(step, WEIGHTS, {}, {}, metric=1 / step)
    fill(small_disk, leave=50_000)
    with pytest.raises(CheckpointError, match="step 3 could not be written"):
        store.save(3, WEIGHTS, {}, {})  # nobody works at the mirror
    assert set(store.steps()) == {1, 2}

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.save(3, WEIGHTS, {}, {}, watch=interrupt)
