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


TASKS = {
    "glow_tts": {"utterances": 12, "batch_size": 4},
    "kobert_pretrain": {
        "corpus": "made_documents",
        "tokenizer": "new",
        "vocabulary": 600,
        "size": "tiny",
        "batch_size": 48,
        "schedule_steps": 100,
        "warmup_steps": 10,
        "context": "document",
        "next_sentence": "true",
        "ramp_steps": 20,
    },
}
TWO_PROCESSES = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def fit(folder, task="glow_tts", *, launch=(), code=0, environment=None, **values):
    """Train in a process of its own; returns its record."""
    values = TASKS[task] | {"evaluate_every": 10, "save_every": 5} | values
    words = [word for name, value in values.items() for word in ("-p", name, str(value))]
    settings = {
        "NBKIT_OUTPUTS": str(folder),
        "PYTHONPATH": str(Path(nbkit.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, *launch, str(PROGRAM), task, *words]
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


def assert_same_run(found, wanted):
    assert found.name == wanted.name
    assert logged(found) == logged(wanted)
    assert [row["step"] for row in found.rows("train")] == list(range(1, 41))
    one, other = last(wanted), last(found)
    assert one.keys() == other.keys()
    for name, value in one.items():
        same = torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        assert same, name
    assert len(json.loads((found.folder / "environment.json").read_text())) == 2


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return fit(folder, stop_at=40, environment={"NBKIT_CACHE": str(folder / "cache")})


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_resumed_is_the_uncut_run(whole, tmp_path, workers):
    cut = fit(tmp_path, stop_at=40, code=-signal.SIGKILL, environment={"KILL_AT": "18"})
    assert cut.rows("train")[-1]["step"] == 17
    assert_same_run(fit(tmp_path, stop_at=40, workers=workers), whole)


@pytest.mark.parametrize(("launch", "code"), [((), -signal.SIGKILL), (TWO_PROCESSES, 1)], ids=["one", "two"])
def test_pretraining_killed_in_an_epoch_and_resumed_is_the_uncut_run(tmp_path, launch, code):
    """With one process, and with two, of which the first is killed."""
    wanted = fit(tmp_path / "whole", "kobert_pretrain", stop_at=40, launch=launch)
    how = {"launch": launch, "stop_at": 40}
    cut = fit(tmp_path / "cut", "kobert_pretrain", code=code, environment={"KILL_AT": "18"}, **how)
    assert cut.rows("train")[-1]["step"] == 17
    assert_same_run(fit(tmp_path / "cut", "kobert_pretrain", **how), wanted)


def test_two_processes_agree_with_one(tmp_path):
    without_dropout = {"DROPOUT": "0"}
    one = fit(tmp_path / "one", stop_at=20, environment=without_dropout)
    two = fit(tmp_path / "two", stop_at=20, environment=without_dropout, launch=TWO_PROCESSES)
    session = json.loads((two.folder / "environment.json").read_text())[-1]
    assert session["processes"] == 2
    for split in ("train", "validation"):
        for wanted, found in zip(one.rows(split), two.rows(split), strict=True):
            for term in ("loss", "mle", "duration"):
                assert found[term] == pytest.approx(wanted[term], rel=1e-5), (split, found["step"], term)
