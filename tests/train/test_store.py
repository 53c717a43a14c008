"""Checkpoints: whole or not at all, verified, and never a silent fresh start."""

import errno
import json
import os
import shutil

import pytest
import torch

from nbkit.train import store as store_module
from nbkit.train.store import CheckpointError, CheckpointStore


def save(store, step, metric=None):
    weights = {"net.weight": torch.full((3, 4), float(step)), "net.bias": torch.arange(4.0)[::1]}
    return store.save(step, weights, {"optimizers": {"adam": {"step": step}}, "skipped": 0}, {"size": "tiny"}, metric)


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "checkpoints", keep=2)


def test_round_trip(store):
    assert store.newest() is None
    save(store, 5)
    save(store, 10)
    found = store.newest()
    assert (found.step, found.about, found.state["optimizers"]["adam"]["step"]) == (10, {"size": "tiny"}, 10)
    torch.testing.assert_close(found.weights["net.weight"], torch.full((3, 4), 10.0))


def test_keeps_the_newest_and_the_best(store):
    for step, metric in ((1, 0.9), (2, 0.1), (3, None), (4, 0.5), (5, None)):
        save(store, step, metric)
    assert list(store.steps()) == [5, 4, 2]


def test_a_metric_that_is_not_finite_is_none(store):
    for step, metric in ((1, 0.1), (2, 0.5), (3, float("nan")), (4, None), (5, None)):
        save(store, step, metric)
    assert list(store.steps()) == [5, 4, 1]


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: flip(f / "weights.safetensors"), "weights.safetensors differs from the sha256"),
        (lambda f: flip(f / "state.pt"), "state.pt differs from the sha256"),
        (lambda f: os.truncate(f / "weights.safetensors", 40), "has 40 bytes, its manifest says"),
        (lambda f: (f / "state.pt").unlink(), "state.pt is missing"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda f: (f / "manifest.json").write_text('{"step": 10'), "manifest.json cannot be read"),
        (lambda f: (f / "manifest.json").write_text('{"step": 10}'), "manifest.json lacks 'files'"),
        (lambda f: (f / "manifest.json").write_text("[10]"), "manifest.json cannot be read: it holds list"),
        (lambda f: (f / "manifest.json").write_bytes(bytes(100)), "manifest.json cannot be read"),
        (lambda f: (f / "manifest.json").write_text('{"files": {"state.pt": 3}}'), "not that of a checkpoint"),
    ],
)
def test_damage_is_set_aside_and_told(store, damage, told):
    save(store, 5)
    damage(save(store, 10))
    reader = CheckpointStore(store.folder)
    assert reader.newest().step == 5
    assert told in reader.notes[0]
    assert not list(store.folder.glob("damaged-*"))
    assert store.newest(clean=True).step == 5
    assert len(store.notes) == 1
    assert "step 10" in store.notes[0]
    assert told in store.notes[0]
    assert [path.name for path in store.folder.glob("damaged-*")] == ["damaged-step-000000010"]
    save(store, 10)
    assert store.newest().step == 10


def test_a_copy_that_somebody_made_is_no_checkpoint(store):
    shutil.copytree(save(store, 5), store.folder / "step-000000005 (1)")
    assert list(store.steps()) == [5]
    assert store.newest(clean=True).step == 5
    assert (store.folder / "step-000000005 (1)").exists()


def test_none_readable_is_an_error_today_and_tomorrow(store):
    flip(save(store, 5) / "weights.safetensors")
    for clean in (False, True):
        with pytest.raises(CheckpointError, match=r"none of the 1 checkpoints .* can be read .*sha256"):
            store.newest(clean=clean)
    with pytest.raises(CheckpointError, match="remove damaged-step-000000005 to start this run from step 0"):
        CheckpointStore(store.folder).newest()


def test_a_cut_write_leaves_the_one_before(store, monkeypatch):
    save(store, 5)
    (store.folder / ".writing-000000010").mkdir()
    (store.folder / ".writing-000000010" / "weights.safetensors").write_bytes(b"half")
    assert store.newest().step == 5
    assert list(store.folder.glob(".writing-*"))
    assert store.newest(clean=True).step == 5
    assert not list(store.folder.glob(".writing-*"))


def test_a_full_disk_is_told_in_words(store, monkeypatch):
    save(store, 5)

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, "_sync", full)
    with pytest.raises(CheckpointError, match=r"step 10 could not be written .*No space left.* MB are free.*make room"):
        save(store, 10)
    monkeypatch.undo()
    assert store.newest().step == 5
    assert not list(store.folder.glob(".writing-*"))


def test_a_damaged_older_checkpoint_does_not_stop_a_save(store):
    (save(store, 5, 0.1) / "manifest.json").write_text("{")
    save(store, 6)
    save(store, 7)
    assert list(store.steps()) == [7, 6]


def test_manifest_lies_in_the_folder_last(store):
    folder = save(store, 5)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {"weights.safetensors", "state.pt"}
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "manifest.json"
