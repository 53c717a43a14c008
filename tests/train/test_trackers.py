"""TensorBoard, W&B and MLflow hear what log.jsonl holds, inside the run's folder, once; one that fails ends nothing.

The files are read with TensorBoard's own reader, with W&B's own messages, and with MLflow's client where it is
installed: its packages are many, so the environment of the project has none of them.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections import defaultdict
from pathlib import Path

import pytest
import toy
from test_loop import run_toy

from nbkit.base.record import Record
from nbkit.train import tracker

Curves = dict[str, list[tuple[int, float]]]


def logged(folder: Path) -> Curves:
    """The log as curves."""
    curves = defaultdict(list)
    for row in Record.read(folder).rows():
        for name, value in tracker.numbers(row).items():
            curves[name].append((row["step"], value))
    return dict(curves)


def of_tensorboard(folder: Path) -> Curves:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = (folder / "tracker" / "tensorboard").glob("events*")
    read = EventAccumulator(str(events), size_guidance={"scalars": 0}).Reload()
    return {name: [(one.step, one.value) for one in read.Scalars(name)] for name in read.Tags()["scalars"]}


def of_wandb(folder: Path) -> Curves:
    curves = defaultdict(list)
    for record in wandb_records(folder):
        values = {one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in record.history.item}
        for name, value in values.items():
            if not name.startswith("_"):
                curves[name].append((values["_step"], float(value)))
    return dict(curves)


def of_mlflow(folder: Path) -> Curves:
    client, run = mlflow_run(folder)
    histories = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    return {name: [(one.step, one.value) for one in history] for name, history in histories.items()}


def mlflow_run(folder: Path):
    """MLflow's client and the only run that the newest session's database holds."""
    from mlflow import MlflowClient

    (database,) = (folder / "tracker" / "mlflow").glob("session-*.db")
    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return client, run


def wandb_records(folder: Path) -> list:
    """What a file of W&B holds: chunks of blocks of 32 kB, each with checksum, length and kind; joined, a message."""
    from wandb.proto.wandb_internal_pb2 import Record as Message

    (path,) = (folder / "tracker" / "wandb").glob("wandb/offline-run-*/run-*.wandb")
    content, place, message, found = path.read_bytes(), 7, b"", []
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        message += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            found.append(Message.FromString(message))
            message = b""
    return found


def same(a: Curves, b: Curves) -> None:
    """The same names and steps, each once, and values up to the 32 bits of TensorBoard."""
    assert a.keys() == b.keys()
    for name in a:
        assert [step for step, _ in a[name]] == [step for step, _ in b[name]], name
        assert [v for _, v in a[name]] == pytest.approx([v for _, v in b[name]], rel=1e-6, nan_ok=True), name


def fail_in_step(monkeypatch, step: int) -> None:
    losses = toy.ToyTask.losses

    def failing(self, modules, batch, now):
        if now == step:
            raise OSError("the machine is gone")
        yield from losses(self, modules, batch, now)

    monkeypatch.setattr(toy.ToyTask, "losses", failing)


MLFLOW = pytest.param("mlflow", of_mlflow, marks=pytest.mark.filterwarnings("ignore"))  # its packages warn


@pytest.mark.parametrize(("name", "read"), [("tensorboard", of_tensorboard), ("wandb", of_wandb), MLFLOW])
def test_its_curves_are_those_of_the_log_also_after_a_cut(name, read, tmp_path, monkeypatch):
    pytest.importorskip(name, reason=f"{name} is not installed")
    home, here = tmp_path / "home", tmp_path / "here"
    for place in (home, here):
        place.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    wanted = {"stop_at": 20, "tracker": name, "poison_from": 3, "poison_to": 3}
    with monkeypatch.context() as cut:
        fail_in_step(cut, 14)
        with pytest.raises(OSError, match="the machine is gone"):
            toy.train(**wanted)
    _, folder = toy.train(**wanted)
    curves = read(folder)
    same(curves, logged(folder))
    assert [step for step, _ in curves["train/loss"]] == list(range(1, 21))
    assert math.isnan(curves["train/gradient_norm"][2][1])
    assert [step for step, _ in curves["validation/probed"]] == [0, 10, 20]
    files = [path for place in (home, here) for path in place.rglob("*") if path.is_file()]
    assert [path for path in files if "matplotlib" not in path.parts] == []
    assert {path.name for path in (folder / "tracker").iterdir()} == {name}
    if name == "wandb":
        run = next(one.run for one in wandb_records(folder) if one.HasField("run"))
        config = {one.key: json.loads(one.value_json) for one in run.config.update}
        assert (run.project, run.display_name) == ("toy", folder.name)
        configs = [one for one in wandb_records(folder) if one.HasField("config")]
        config |= {item.key: json.loads(item.value_json) for one in configs for item in one.config.update}
        assert (config["batch_size"], config["task"]) == (12, "toy")
    elif name == "mlflow":
        _, run = mlflow_run(folder)
        assert (run.info.run_name, run.info.status) == (folder.name, "FINISHED")
        assert (run.data.params["batch_size"], run.data.params["task"]) == ("12", "toy")
    else:
        (parameters,) = folder.glob("tracker/tensorboard/*/hparams.yml")
        assert "batch_size: 12\n" in parameters.read_text()


def test_a_tracker_that_is_asked_for_late_has_the_whole_curve_in_the_same_run():
    _, plain = toy.train(stop_at=10)
    _, folder = toy.train(stop_at=15, tracker="tensorboard")
    assert folder == plain
    same(of_tensorboard(folder), logged(folder))


def test_one_process_of_two_writes(tmp_path):
    _, folder = run_toy(tmp_path, processes=2, stop_at=4, tracker="tensorboard")
    same(of_tensorboard(folder), logged(folder))


def test_the_mode_of_the_environment_counts(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    _, folder = toy.train(stop_at=3, tracker="wandb")
    assert list((folder / "tracker" / "wandb").rglob("*.wandb")) == []
    assert len(Record.read(folder).rows("train")) == 3


def test_what_is_not_installed_is_told_before_anything_happens(monkeypatch):
    monkeypatch.setattr("accelerate.tracking._available_trackers", ["wandb"])
    with pytest.raises(ModuleNotFoundError, match=r"wants the package tensorboard.*pip install 'tensorboard>="):
        toy.train(tracker="tensorboard")
    (config,) = Path(toy.os.environ["NBKIT_OUTPUTS"]).rglob("config.json")
    assert not (config.parent / "log.jsonl").exists()


@pytest.mark.parametrize(
    ("method", "heard"), [("log", 6), ("start", 0), ("store_init_configuration", 0), ("finish", 13)]
)
def test_one_that_raises_is_told_of_once_and_ends_nothing(method, heard, monkeypatch, capsys):
    from accelerate.tracking import TensorBoardTracker

    told = getattr(TensorBoardTracker, method)

    def failing(self, *args, **more):
        if method != "log" or more["step"] >= 6:
            raise OSError("no room")
        return told(self, *args, **more)

    monkeypatch.setattr(TensorBoardTracker, method, failing)
    result, folder = toy.train(stop_at=12, tracker="tensorboard")
    assert (result.step, result.reason) == (12, "finished")
    assert len(Record.read(folder).rows("train")) == 12
    assert capsys.readouterr().out.count("tensorboard is given up, the log goes on: OSError: no room") == 1
    if heard == 6:
        assert [step for step, _ in of_tensorboard(folder)["train/loss"]] == [1, 2, 3, 4, 5]


def test_two_sessions_of_mlflow_in_one_process_name_two_databases(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    named = []
    for session in (1, 2):
        with tracker._at_home("mlflow", tmp_path, session):
            named.append(os.environ["MLFLOW_TRACKING_URI"])
    assert named == [f"sqlite:///{tmp_path}/session-{session}.db" for session in (1, 2)]
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_line_of_the_log_as_numbers():
    row = {"step": 3, "loss": 0.5, "gradient_norm": "nan", "split": "train", "amount": {"tokens": 812}}
    found = tracker.numbers(row)
    assert math.isnan(found.pop("train/gradient_norm"))
    assert found == {"train/loss": 0.5, "train/amount/tokens": 812.0}


def test_of_a_long_log_every_nth_step_is_told_again():
    rows = [{"step": n, "split": "train"} for n in range(1, 26)] + [{"step": 7, "split": "validation"}]
    assert tracker.thinned(rows, 25) == rows
    assert [row["step"] for row in tracker.thinned(rows, 10)] == [3, 6, 9, 12, 15, 18, 21, 24, 7]
