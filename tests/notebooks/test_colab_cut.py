"""22_glow_train on a Colab machine that dies, and on the next one, through papermill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from fake_colab import FakeColab

import nbkit
from nbkit.base.record import Record

ROOT = Path(nbkit.__file__).resolve().parents[1]
VALUES = {"stop_at": "24", "save_every": "4", "evaluate_every": "24"}
TRAIN = ["22_glow_train", "--preset", "smoke", *(word for item in VALUES.items() for word in ("-p", *item))]


def start(machine: FakeColab, cache: Path) -> subprocess.Popen:
    """`nbkit run` on this machine, whose disk is below its folder."""
    folders = {"NBKIT_OUTPUTS": str(machine.folder / "outputs"), "NBKIT_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "nbkit.run", "run", *TRAIN]
    return subprocess.Popen(
        command, env={**os.environ, **machine.environment(), **folders}, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def run_folder(machine: FakeColab) -> Path | None:
    return next((path.parent for path in machine.folder.glob("outputs/runs/glow_tts-*/log.jsonl")), None)


@pytest.mark.notebook
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_run_all_on_the_next_machine_goes_on(tmp_path):
    first = FakeColab(tmp_path / "first")
    first.mount()  # by the kernel of the page, before it starts `nbkit run`
    run = start(first, tmp_path / "cache")
    manifests = first.cloud / "MyDrive" / "nbkit" / "runs"
    deadline = time.monotonic() + 300
    confirmed = lambda: list(manifests.glob("*/checkpoints/*.confirmed"))  # noqa: E731
    while time.monotonic() < deadline and run.poll() is None and not confirmed():
        time.sleep(0.05)
    (kernel,) = (p for p in psutil.Process(run.pid).children() if "ipykernel" in " ".join(p.cmdline()))
    os.kill(kernel.pid, signal.SIGKILL)
    run.communicate()
    logged = Record.read(run_folder(first)).rows("train")[-1]["step"]
    safe = max(int(path.name[:9]) for path in confirmed())
    assert 4 <= safe <= logged < 24

    second = FakeColab(tmp_path / "second", cloud=first.cloud)  # nothing but Drive is left
    second.mount()
    start(second, tmp_path / "cache").communicate()
    record = Record.read(run_folder(second))
    told = (record.folder / "run.ipynb").read_text(encoding="utf-8")
    assert "whole, brought back" in told
    assert [row["step"] for row in record.rows("train")] == list(range(1, 25))
    assert record.status()["state"] == "finished"
    assert record.status()["confirmed"] == 24
    assert int(told.split("goes on at step ")[1].split()[0]) >= safe
    assert list((first.cloud / "MyDrive" / "nbkit" / "exports").glob("*.safetensors"))
