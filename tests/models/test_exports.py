"""Exports that were spoilt on their way, or by a disk."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from nbkit.models import exports, glow_tts, kobert, wavernn

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(2), "c": torch.zeros(0), "d": torch.ones(4).half()}


@pytest.fixture
def path(tmp_path):
    return exports.write(tmp_path / "new" / "x.safetensors", WEIGHTS, {"format": "x", "name": "말"})


def test_weights_and_description_come_back(path):
    weights, about = exports.read(path, "X", "X.save")
    assert about == {"format": "x", "name": "말"}
    assert all(torch.equal(weights[name], value) for name, value in WEIGHTS.items())
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    again = exports.write(path.with_name("y.safetensors"), dict(reversed(WEIGHTS.items())), about)
    assert path.read_bytes() == again.read_bytes()


def test_one_byte_that_changed_is_seen(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    load_file(path)  # opens without a word
    with pytest.raises(ValueError, match="holds others: it is damaged; copy it again"):
        exports.read(path, "X", "X.save")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_file_that_is_cut_is_told(path, share):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"damaged or not whole .* copy or export it again"):
        exports.read(path, "X", "X.save")


@pytest.mark.parametrize("told", ["{", "3", "[1]", "null"])
def test_a_description_that_is_none_is_told(tmp_path, told):
    save_file(WEIGHTS, tmp_path / "x", metadata={"nbkit": told})
    with pytest.raises(ValueError, match="damaged or not whole"):
        exports.read(tmp_path / "x", "X", "X.save")


def test_older_exports_and_those_of_others(tmp_path):
    save_file(WEIGHTS, tmp_path / "x", metadata={"nbkit": json.dumps({"format": "x"})})
    assert exports.read(tmp_path / "x", "X", "X.save")[1] == {"format": "x"}
    save_file(WEIGHTS, tmp_path / "x")
    assert exports.read_safetensors(tmp_path / "x")[1] is None
    with pytest.raises(ValueError, match=r"wanted a X export, .* has no description of nbkit; export it with X\.save"):
        exports.read(tmp_path / "x", "X", "X.save")


@pytest.mark.parametrize("opener", [glow_tts.load, wavernn.load, kobert.open_reader])
def test_no_file_and_a_folder_are_told(opener, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"wanted an? .*export.* does not exist; name the file itself"):
        opener(tmp_path / "x.safetensors")
    with pytest.raises(FileNotFoundError, match=r"wanted an? .*export.* is a folder; name the file itself"):
        opener(tmp_path)


def test_a_full_disk_leaves_the_export_of_before(path, monkeypatch):
    before = path.read_bytes()

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"wanted to write .*No space left.*make room there, or name another folder"):
        exports.write(path, {"a": torch.zeros(9)}, {})
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with pytest.raises(OSError, match="make room there"):
        exports.write_weights("/proc/self/x", WEIGHTS, {})


@pytest.mark.parametrize("error", [KeyError("model"), RuntimeError("size mismatch"), TypeError("unexpected")])
def test_parts_that_do_not_fit_are_told(error):
    words = r"weights and description of one X, got .*; export it again"
    with pytest.raises(ValueError, match=words), exports.fitting("X"):
        raise error
