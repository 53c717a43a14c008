"""fit: exact resume, several processes, non-finite steps, signals, time limits, the record it leaves."""

import contextlib
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from nbkit.base.record import Record, RunBusyError
from nbkit.train import loop
from nbkit.train.loop import TrainingError
from nbkit.train.store import CheckpointStore, load

TOY = Path(__file__).with_name("toy.py")
_spec = importlib.util.spec_from_file_location("toy", TOY)
toy = importlib.util.module_from_spec(_spec)
sys.modules["toy"] = toy
_spec.loader.exec_module(toy)

UNTIMED = ("seconds",)


def run_toy(folder, *, processes=1, check=True, **values):
    """Train in processes of their own; returns the exit code and the run folder."""
    words = [str(folder), *(f"{k}={v}" for k, v in values.items())]
    command = [sys.executable, str(TOY), *words]
    if processes > 1:
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *launch, str(TOY), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TOY.parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, done.stderr[-2000:]
    return done, next((folder / "runs").glob("toy-*"))


def rows(folder, split="train"):
    return [{k: v for k, v in row.items() if k not in UNTIMED} for row in Record.read(folder).rows(split)]


def last(folder):
    return load(next(iter(CheckpointStore(folder / "checkpoints").steps().values())))


def same_state(a, b):
    """Bit for bit, weights and optimiser."""
    assert a.weights.keys() == b.weights.keys()
    assert all(torch.equal(a.weights[k], b.weights[k]) for k in a.weights)
    one, other = (c.state["optimizers"]["adam"]["state"] for c in (a, b))
    assert one.keys() == other.keys()
    for parameter in one:
        assert all(torch.equal(one[parameter][k], other[parameter][k]) for k in one[parameter])


def test_loss_falls_and_the_record_tells(tmp_path):
    result, folder = toy.train(stop_at=60)
    found = rows(folder)
    assert [row["step"] for row in found] == list(range(1, 61))
    assert found[-1]["loss"] < 0.6 * found[0]["loss"]
    assert found[-1]["loss"] == pytest.approx(found[-1]["square"] + found[-1]["small"])
    validation = rows(folder, "validation")
    assert [row["step"] for row in validation] == [0, 10, 20, 30, 40, 50, 60]
    assert validation[-1]["probed"] == 60
    assert result.reason == "finished"
    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["step"], status["saved"]) == ("finished", 60, 60)
    assert json.loads((folder / "audio/tone-000000060.json").read_text())["caption"] == "a tone <b>"
    session = json.loads((folder / "environment.json").read_text())[-1]
    assert (session["device"], session["precision"], session["processes"]) == ("cpu", "fp32", 1)


def test_killed_and_resumed_is_bit_for_bit_the_uncut_run(tmp_path):
    _, whole = run_toy(tmp_path / "whole", stop_at=40)
    cut, folder = run_toy(tmp_path / "cut", stop_at=40, kill_at=17, check=False)
    assert cut.returncode == -signal.SIGKILL
    assert rows(folder)[-1]["step"] == 16
    _, folder = run_toy(tmp_path / "cut", stop_at=40, workers=1)
    assert rows(folder) == rows(whole)
    assert rows(folder, "validation") == rows(whole, "validation")
    same_state(last(folder), last(whole))


def test_training_longer_is_the_same_run(tmp_path):
    _, whole = toy.train(stop_at=20)
    expected, state = rows(whole), last(whole)
    longer = toy.train(stop_at=20, seed=1)[1]
    assert longer != whole
    first = toy.train(stop_at=9, seed=1)[1]
    assert first == longer  # it is at step 20 already, so there is nothing to do
    assert last(first).step == 20
    for part in (whole / "checkpoints").iterdir():
        for file in part.iterdir():
            file.unlink()
        part.rmdir()
    for stop_at in (4, 13, 20):
        toy.train(stop_at=stop_at)
    assert rows(whole) == expected
    same_state(last(whole), state)


@pytest.mark.slow
def test_two_processes_and_accumulation_agree_with_one(tmp_path):
    common = {"stop_at": 20, "dropout": 0.0}
    _, one = run_toy(tmp_path / "one", **common)
    _, two = run_toy(tmp_path / "two", processes=2, **common)
    _, parts = run_toy(tmp_path / "parts", accumulate=3, **common)
    for other in (two, parts):
        for split in ("train", "validation"):
            for wanted, found in zip(rows(one, split), rows(other, split), strict=True):
                assert found["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
    assert Record.read(two).rows("train")[-1]["step"] == 20


def test_a_non_finite_step_is_skipped_and_counted(tmp_path):
    _, folder = toy.train(stop_at=10, poison_from=4, poison_to=5)
    found = rows(folder)
    assert [row["skipped"] for row in found] == [0, 0, 0, 1, 2, 2, 2, 2, 2, 2]
    assert found[3]["loss"] == "nan"
    assert math.isfinite(found[-1]["loss"])
    assert all(torch.isfinite(tensor).all() for tensor in last(folder).weights.values())


def test_a_run_cut_before_its_first_checkpoint_starts_over(tmp_path):
    _, whole = run_toy(tmp_path / "whole", stop_at=6)
    run_toy(tmp_path / "cut", stop_at=6, kill_at=4, check=False)
    _, folder = run_toy(tmp_path / "cut", stop_at=6)
    for split in ("train", "validation"):
        assert rows(folder, split) == rows(whole, split)


def test_divergence_stops_with_words(tmp_path):
    with pytest.raises(TrainingError, match=r"26 steps in a row .* diverged at step 29.*Lower learning_rate"):
        toy.train(stop_at=100, poison_from=4, poison_to=100)
    with pytest.raises(TrainingError):  # the lock and the signals were given back, so the same run can be tried again
        toy.train(stop_at=100, poison_from=4, poison_to=100)
    folder = next((tmp_path / "outputs/runs").iterdir())
    assert "diverged" in json.loads((folder / "status.json").read_text())["message"]


def test_an_interrupt_saves_and_is_passed_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        toy.train(stop_signal=int(signal.SIGINT), save_every=1000)
    folder = next((tmp_path / "outputs/runs").iterdir())
    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["saved"]) == ("interrupted", 4)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    toy.train()
    whole = toy.train(repeat=1)[1]
    assert rows(folder) == rows(whole)


def test_an_interrupt_of_the_whole_group_saves_with_workers_too(tmp_path):
    """Jupyter and a terminal interrupt every process of the group, also those that load batches."""
    command = [sys.executable, str(TOY), str(tmp_path), "stop_at=100000", "save_every=100000", "workers=1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TOY.parents[2])}
    process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True)
    deadline, logs = time.monotonic() + 60, lambda: (tmp_path / "runs").glob("toy-*/log.jsonl")
    while time.monotonic() < deadline and not any(len(rows(log.parent)) > 20 for log in logs()):
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert "KeyboardInterrupt" in errors
    folder = next((tmp_path / "runs").glob("toy-*"))
    assert last(folder).step == rows(folder)[-1]["step"]


def test_a_metric_belongs_to_the_step_that_was_evaluated(tmp_path):
    _, folder = toy.train(stop_at=8, evaluate_every=5, save_every=4, keep=9)
    loss = {row["step"]: row["loss"] for row in rows(folder, "validation")}
    metrics = {
        step: json.loads((path / "manifest.json").read_text())["metric"]
        for step, path in CheckpointStore(folder / "checkpoints").steps().items()
    }
    assert metrics == {8: loss[8], 4: None}


def test_the_last_step_is_the_end_also_when_time_is_up(tmp_path):
    toy.train(stop_at=1)
    assert toy.train(stop_at=2, minutes=1e-9)[0].reason == "finished"


def test_accumulation_goes_on_in_the_same_run(tmp_path):
    _, folder = toy.train(stop_at=3)
    result, again = toy.train(stop_at=6, accumulate=3)
    assert again == folder
    assert result.step == 6


def test_sigterm_saves_and_ends_the_process(tmp_path):
    done, folder = run_toy(tmp_path, stop_signal=int(signal.SIGTERM), stop_at=20, check=False)
    assert done.returncode == -signal.SIGTERM
    assert last(folder).step == 4
    assert json.loads((folder / "status.json").read_text())["state"] == "interrupted"


def test_a_time_limit_pauses_and_the_next_call_goes_on(tmp_path):
    result, folder = toy.train(stop_at=20, minutes=1e-9)
    assert (result.reason, result.step) == ("time", 2)
    assert json.loads((folder / "status.json").read_text())["state"] == "paused"
    assert toy.train(stop_at=20)[0].reason == "finished"
    assert [row["step"] for row in rows(folder)] == list(range(1, 21))


def test_one_writer_a_folder(tmp_path):
    config = toy.ToyTrain()
    with Record.open("toy", config, "data"), pytest.raises(RunBusyError, match="only writer"):
        Record.open("toy", config, "data")
    Record.open("toy", config, "data").close()


def test_changed_code_is_named_at_resume(tmp_path, capsys):
    folder = toy.train(stop_at=5)[1]
    sessions = json.loads((folder / "environment.json").read_text())
    name = next(n for n in sessions[0]["code"] if n.endswith("loop.py"))
    sessions[0]["code"][name] = "0" * 8
    (folder / "environment.json").write_text(json.dumps(sessions))
    capsys.readouterr()
    toy.train(stop_at=6)
    assert f"code changed since it ran last: {name}" in capsys.readouterr().out


def test_out_of_memory_comes_with_advice(tmp_path, monkeypatch):
    def starved(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(toy.ToyTask, "losses", starved)
    with pytest.raises(TrainingError, match="Set accumulate to 2 or 4"):
        toy.train()


def test_the_log_names_what_is_saved_and_the_course_stays_as_a_picture(tmp_path, capsys):
    _, folder = toy.train(stop_at=20)
    assert capsys.readouterr().out.splitlines()[-1].endswith(" · saved step 20")
    assert (folder / "views/training.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder / "views/training.json").read_text())["in_report"] is False


@pytest.mark.parametrize(
    ("values", "error", "told"),
    [
        ({"poison_from": 11, "poison_to": 99, "stop_at": 80}, TrainingError, "failed after"),
        ({"stop_signal": int(signal.SIGINT), "stop_at": 80}, KeyboardInterrupt, "stopped after"),
        ({"minutes": 1e-6, "stop_at": 80}, None, "paused after"),
    ],
)
def test_the_display_ends_as_the_run_does(tmp_path, capsys, values, error, told):
    with pytest.raises(error) if error else contextlib.nullcontext():
        toy.train(**values)
    line = capsys.readouterr().out.splitlines()[-1]
    saved = Record.read(next(iter((tmp_path / "outputs/runs").glob("toy-*")))).status()["saved"]
    assert told in line
    assert line.endswith(f" · saved step {saved}")


def test_a_resumed_run_shows_its_whole_course_and_the_newest_sample(tmp_path, monkeypatch):
    shown = []

    class Watched(loop.Display):
        def show(self, step, png=None, sound=None, caption=""):
            shown.append((step, png, sound[1], caption))

        def close(self):
            super().close()
            courses.append([step for step, _ in self._traces["loss"]["train"].points()])

    courses = []
    monkeypatch.setattr(loop, "Display", Watched)
    toy.train(stop_at=20)
    toy.train(stop_at=40)
    assert shown == [(step, None, 22050, "a tone <b>") for step in (0, 10, 20, 30, 40)]
    assert courses == [list(range(1, 21)), list(range(1, 41))]


def test_a_picture_that_fails_does_not_end_a_training_that_is_done(tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("no font")

    monkeypatch.setattr("nbkit.views.course.picture", broken)
    result, _ = toy.train(stop_at=10)
    assert result.reason == "finished"
    assert "no picture of the course: RuntimeError: no font" in capsys.readouterr().out
