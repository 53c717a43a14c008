"""`nbkit fit`: the same run as the notebook's, in one process or several, and words for what cannot be trained on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import nbkit
from nbkit.base.record import Record
from nbkit.run.__main__ import main

pytestmark = pytest.mark.torch

SMALL = ["-p", "utterances", "12", "-p", "batch_size", "4", "-p", "stop_at", "2", "-p", "evaluate_every", "2"]


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path):
    """Dropout differs between processes, so only the first step's loss, before any update, can be compared closely."""
    environment = os.environ | {"PYTHONPATH": str(Path(nbkit.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    folders = []
    for name, launch in (("one", []), ("two", ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"])):
        outputs = tmp_path / name
        command = [sys.executable, *launch, "-m", "nbkit.run", "fit", "glow_tts", *SMALL]
        done = subprocess.run(
            command, env=environment | {"NBKIT_OUTPUTS": str(outputs)}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("FitResult") == 1
        folders.append(next((outputs / "runs").iterdir()))
    one, two = (Record.read(folder) for folder in folders)
    assert folders[0].name == folders[1].name
    assert [row["step"] for row in two.rows("train")] == [1, 2]
    assert two.rows("validation")[0]["loss"] == pytest.approx(one.rows("validation")[0]["loss"], rel=1e-5)
    assert two.rows("train")[0]["loss"] == pytest.approx(one.rows("train")[0]["loss"], rel=0.2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-p", "sizes", "tiny"], "did you mean size?"),
        (["-p", "dataset", "nowhere"], "nowhere"),
        (["-p", "front_end", "letters", *SMALL], "'letters' cannot read"),
    ],
)
def test_what_cannot_be_trained_on_is_told(words, told, capsys):
    assert main(["fit", "glow_tts", *words]) == 2
    assert told in capsys.readouterr().err
