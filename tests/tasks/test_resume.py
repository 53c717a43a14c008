"""40 steps are 17 steps, a SIGKILL and 23 steps, bit for bit; and two processes agree with one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import nbkit
from nbkit.base.record import Record
from nbkit.train.store import CheckpointStore, load

PROGRAM = Path(__file__).with_name("program.py")
pytestmark = pytest.mark.slow


def fit(folder, *, launch=(), code=0, environment=None, **values):
    """Train in a process of its own; returns its record."""
    values = {"utterances": 12, "batch_size": 4, "evaluate_every": 10, "save_every": 5} | values
    words = [word for name, value in values.items() for word in ("-p", name, str(value))]
    settings = {
        "NBKIT_OUTPUTS": str(folder),
        "PYTHONPATH": str(Path(nbkit.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, *launch, str(PROGRAM), *words]
    done = subprocess.run(command, env=os.environ | settings | (environment or {}), capture_output=True, text=True)
    assert done.returncode == code, done.stderr[-2000:]
    return Record.read(next((folder / "runs").iterdir()))


def logged(run):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.rows()]


def tensors(value, path=""):
    """Every tensor and number of a nested state, by its path."""
    if isinstance(value, dict):
        return {k: v for name, item in value.items() for k, v in tensors(item, f"{path}/{name}").items()}
    if isinstance(value, list | tuple):
        return {k: v for i, item in enumerate(value) for k, v in tensors(item, f"{path}/{i}").items()}
    return {path: value}


def last(run):
    checkpoint = load(next(iter(CheckpointStore(run.folder / "checkpoints").steps().values())))
    assert checkpoint.step == 40
    return tensors(checkpoint.weights) | tensors(checkpoint.state)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return fit(folder, stop_at=40, environment={"NBKIT_CACHE": str(folder / "cache")})


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_resumed_is_the_uncut_run(whole, tmp_path, workers):
    cut = fit(tmp_path, stop_at=40, code=-signal.SIGKILL, environment={"KILL_AT": "18"})
    assert cut.rows("train")[-1]["step"] == 17
    resumed = fit(tmp_path, stop_at=40, workers=workers)
    assert resumed.name == whole.name
    assert logged(resumed) == logged(whole)
    assert [row["step"] for row in resumed.rows("train")] == list(range(1, 41))
    wanted, found = last(whole), last(resumed)
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        same = torch.equal(value, found[name]) if isinstance(value, torch.Tensor) else value == found[name]
        assert same, name
    assert len(json.loads((resumed.folder / "environment.json").read_text())) == 2


def test_two_processes_agree_with_one(tmp_path):
    without_dropout = {"DROPOUT": "0"}
    one = fit(tmp_path / "one", stop_at=20, environment=without_dropout)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    two = fit(tmp_path / "two", stop_at=20, environment=without_dropout, launch=launch)
    session = json.loads((two.folder / "environment.json").read_text())[-1]
    assert session["processes"] == 2
    for split in ("train", "validation"):
        for wanted, found in zip(one.rows(split), two.rows(split), strict=True):
            for term in ("loss", "mle", "duration"):
                assert found[term] == pytest.approx(wanted[term], rel=1e-5), (split, found["step"], term)
