"""`nbkit sweep` on a tiny notebook: every point once, whatever happens to the sweep."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
import yaml

import nbkit
from nbkit.base.params import ParamsError
from nbkit.run import points, sweep
from nbkit.run.__main__ import main
from nbkit.run.sweep import SweepError

SETTINGS = """
from dataclasses import dataclass
from nbkit.base.params import Params, param

@dataclass(frozen=True)
class Point(Params):
    PRESETS = {"quick": {"seconds": 0.1}}
    rate: float = param(0.01, "Rate.")
    size: str = param("tiny", "Size.", choices=("tiny", "small"))
    seed: int = param(0, "Seed.")
    whole: bool = param(False, "Whole.")
    seconds: float = param(0.3, "How long it takes.", identity=False)
    trace: str = param("", "A file that gets a line from each run.", identity=False)
"""
# one run: it says that it was here, fails where it is told to, and leaves a record
CELL = """
import time
from nbkit.base.record import Record
from settings_of_sweep import Point
config = Point.from_notebook(globals())
with Record.open("point", config, "data") as run:
    time.sleep(config.seconds)
    if config.seed == 7:
        raise RuntimeError("the planted failure")
    run.log({"step": 1, "split": "validation", "loss": config.seed + config.rate})
    run.status("finished", step=1)
with open(config.trace, "a") as file:
    file.write(f"{config.seed} {config.rate}\\n")
"""


@pytest.fixture
def workshop(tmp_path, monkeypatch) -> Path:
    (tmp_path / "settings_of_sweep.py").write_text(SETTINGS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "settings_of_sweep", raising=False)
    source = str(Path(nbkit.__file__).resolve().parents[1])
    for name, value in {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), source]), "NBKIT_OUTPUTS": str(tmp_path / "outputs"),
        "NBKIT_CACHE": str(tmp_path / "cache"), "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"), "OMP_NUM_THREADS": "1",
        "NBKIT_HEADLESS": "", "NBKIT_RUN_POINTER": "",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    from settings_of_sweep import Point

    cells = [
        nbformat.v4.new_code_cell(Point().cell(), metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(CELL),
    ]
    metadata = {"language_info": {"name": "python"}, "nbkit": {"parameters": "settings_of_sweep:Point"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), tmp_path / "point.ipynb")
    return tmp_path


def spec(workshop: Path, **values) -> Path:
    file = workshop / "rates.yaml"
    fixed = {"trace": str(workshop / "trace"), **values.pop("fixed", {})}
    file.write_text(yaml.safe_dump({"notebook": str(workshop / "point.ipynb"), "fixed": fixed, **values}))
    return file


def trace(workshop: Path) -> list[str]:
    return sorted((workshop / "trace").read_text().splitlines())


def test_twelve_points_killed_twice_and_resumed(workshop, capfd):
    """Eleven results, none run twice, the planted failure told."""
    file = spec(workshop, grid={"seed": [0, 1, 2, 3, 4, 7], "rate": [0.5, 0.25]}, fixed={"seconds": 0.4})
    command = [sys.executable, "-m", "nbkit.run", "sweep", str(file), "--jobs", "2"]
    draw = random.Random(5)
    for _ in range(2):
        running = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(draw.uniform(5, 8))
        running.kill()
        running.wait()
    assert main(["sweep", str(file), "--jobs", "2"]) == 1
    found = sweep.Result(one := sweep.read(file), one.states())
    assert found.done == 10
    assert [one.points[number].seed for number in found.failed] == [7, 7]
    assert trace(workshop) == sorted(f"{seed} {rate}" for seed in range(5) for rate in (0.5, 0.25))
    told = capfd.readouterr().out
    assert "10 of 12 done" in told
    assert "the planted failure" in (one.folder / "failures.txt").read_text()
    folder = Path(found.states[0]["folder"])
    assert {"run.ipynb", "run.log", "run.json", "config.json"} <= {path.name for path in folder.iterdir()}
    assert json.loads((folder / "run.json").read_text())["sweep"] == one.name
    rows = list(csv.DictReader((one.folder / "runs.csv").read_text(encoding="utf8").splitlines()))
    assert sorted(float(row["val_loss"]) for row in rows)[0] == 0.25
    assert {row["sweep"] for row in rows} == {one.name}
    assert main(["sweep", str(file)]) == 1
    assert len(trace(workshop)) == 10, "nothing is run again"
    assert [one["attempts"] for one in found.states] == [one["attempts"] for one in sweep.read(file).states()]


def test_the_same_through_a_cluster(workshop):
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    file = spec(workshop, list=[{"seed": seed} for seed in (1, 2, 7)], retries=1)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with distributed.LocalCluster(**options) as cluster:
        result = sweep.run(sweep.read(file), scheduler=cluster.scheduler_address)
        assert (result.done, result.failed) == (2, [2])
        assert result.states[2]["attempts"] == 2
        again = sweep.run(sweep.read(file), scheduler=cluster.scheduler_address)
    assert again.states == result.states
    assert trace(workshop) == ["1 0.01", "2 0.01"]


def test_a_signal_lets_points_go_and_a_later_call_goes_on(workshop):
    file = spec(workshop, list=[{"seed": 1}, {"seed": 2}], fixed={"seconds": 30.0})
    command = [sys.executable, "-m", "nbkit.run", "sweep", str(file), "--jobs", "1"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    one = sweep.read(file)
    until(lambda: list((workshop / "outputs/runs").glob("point-*/config.json")))
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 1
    assert [state["state"] for state in one.states()] == ["stopped", "waiting"]
    assert not any("settings_of_sweep" in str(p.info) for p in psutil.process_iter(["environ"]) if p.pid != os.getpid())


def until(holds, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_point_that_takes_too_long_is_stopped(workshop):
    file = spec(workshop, list=[{"seed": 1}], fixed={"seconds": 60.0}, minutes=0.1)
    result = sweep.run(sweep.read(file))
    assert result.failed == [0]
    assert "stopped after 0.1 minutes" in result.states[0]["error"]


def test_random_points_are_the_same_again_and_grow(workshop):
    axes = {
        "rate": {"low": 1e-4, "high": 1e-1, "log": True},
        "seed": {"low": 0, "high": 99999},
        "size": ["tiny", "small"],
    }
    few = sweep.read(spec(workshop, random={"count": 5, "seed": 3, **axes})).points
    many = sweep.read(spec(workshop, random={"count": 50, "seed": 3, **axes})).points
    assert many[:5] == few
    assert all(1e-4 <= one.rate <= 1e-1 for one in many)
    assert sum(one.rate < 3e-3 for one in many) in range(15, 36), "half of them below the geometric mean"
    assert {one.size for one in many} == {"tiny", "small"}


def test_a_sweep_that_cannot_be_run_is_refused_before_anything_runs(workshop, capsys):
    cases = {
        "wants a notebook and one of": {},
        "points 0 and 1 would be one run": {"list": [{"seconds": 1.0}, {"seconds": 2.0}]},
        "got 'girds'": {"girds": 1},
        "grid wants a list of values": {"grid": {"seed": 3}},
        "above 0 with log": {"random": {"count": 2, "rate": {"low": 0, "high": 1, "log": True}}},
    }
    for words, values in cases.items():
        with pytest.raises(SweepError, match=words):
            sweep.read(spec(workshop, **values))
    with pytest.raises(ParamsError, match="did you mean seed"):
        sweep.read(spec(workshop, grid={"sed": [1]}))
    assert main(["sweep", str(workshop / "none.yaml")]) == 2
    assert not (workshop / "outputs").exists()


def test_points_share_the_gpus_that_there_are(monkeypatch, tmp_path):
    from nbkit.run import engines

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    local = engines.Local(tmp_path, 0)
    local.close()
    slots = [local.slots.get_nowait()["CUDA_VISIBLE_DEVICES"] for _ in range(local.slots.qsize())]
    assert slots == ["2", "5"]


def test_a_number_that_another_process_got_is_not_taken_for_the_point(tmp_path):
    state = {"state": points.RUNNING, "pid": os.getpid(), "host": os.uname().nodename, "born": 1.0}
    assert not points.is_alive(state)
    assert points.is_alive(state | {"born": psutil.Process().create_time()})
