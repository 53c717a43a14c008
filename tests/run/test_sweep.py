"""`nbkit sweep` on a tiny notebook: every point once, whatever happens to the sweep."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
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
from nbkit.base.record import Record, RunBusyError, write_json
from nbkit.base.remarks import Remarks
from nbkit.run import engines, points, sweep
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
    stop_at: int = param(0, "Its last step.", identity=False)
    trace: str = param("", "A file that gets a line from each run.", identity=False)
"""
# one run: it says that it was here, fails where it is told to, and leaves a record
CELL = """
import time
from nbkit.base.record import Record
from settings_of_sweep import Point
config = Point.from_notebook(globals())
with Record.open("point", config, "data") as run:
    print("open", flush=True)
    if config.stop_at:
        run.log({"step": 120, "split": "train", "seconds": 0.1})
        print("step 120", flush=True)
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
    fixed = values.pop("fixed", {})
    fixed = {"trace": str(workshop / "trace"), **fixed} if isinstance(fixed, dict) else fixed
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
    assert {state["attempts"] for state in found.states} == {1}
    assert trace(workshop) == sorted(f"{seed} {rate}" for seed in range(5) for rate in (0.5, 0.25))
    told = capfd.readouterr().out
    assert "10 of 12 done" in told
    failures = (one.folder / "failures.txt").read_text()
    assert "RuntimeError: the planted failure" in failures
    assert "\x1b" not in failures, "colours are for terminals"
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
    file = spec(workshop, list=[{"seed": 1}, {"seed": 2}], fixed={"seconds": 30.0}, hypothesis="- 같이 = 가치")
    command = [sys.executable, "-m", "nbkit.run", "sweep", str(file), "--jobs", "1"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    one = sweep.read(file)
    until(lambda: list((workshop / "outputs/runs").glob("point-*/config.json")))
    (folder,) = (workshop / "outputs/runs").glob("point-*")
    until(lambda: Remarks.read(folder).hypothesis == "- 같이 = 가치")
    running.send_signal(signal.SIGHUP)
    assert running.wait(60) == 1
    assert [state["state"] for state in one.states()] == ["stopped", "waiting"]
    assert not any("settings_of_sweep" in str(p.info) for p in psutil.process_iter(["environ"]) if p.pid != os.getpid())


@pytest.fixture
def quick(monkeypatch) -> list[int]:
    """Points that end at once, without a process; returns the seeds of those that were run."""
    ran = []

    def run(folder: str, name: str, **_how) -> None:
        from settings_of_sweep import Point

        point = points.read(Path(folder), name)
        config = Point.from_dict(point["parameters"])
        ran.append(config.seed)
        with Record.open("point", config, "data") as record:
            loss = {8: float("nan"), 9: 1e9}.get(config.seed, config.rate * (1 + config.seed))
            record.log({"step": 1, "split": "validation", "loss": loss, "accuracy": 1 - loss})
            record.status("finished", step=1)
        write_json(points.path(Path(folder), name), point | {"state": points.OK, "folder": str(record.folder)})

    monkeypatch.setattr(points, "run", run)
    return ran


def test_points_that_are_added_join_those_that_are_done(workshop, quick, capsys):
    sweep.run(sweep.read(spec(workshop, grid={"seed": [1, 2]})))
    more = spec(workshop, grid={"seed": [0, 1, 2], "rate": ["1e-2", 0.02]})
    assert main(["sweep", str(more)]) == 0
    assert sorted(quick) == [0, 0, 1, 1, 2, 2]
    assert "6 points, 2 of them done before" in (told := capsys.readouterr().out)
    assert "done after" in told
    assert "best 000 (rate 0.01, seed 0): best_val_loss 0.01" in told
    few = sweep.read(spec(workshop, random={"count": 1, "rate": [0.5], "seed": {"low": 40, "high": 50}}))
    assert few.points[0].seed >= 40, "a range of seeds is a parameter, not the seed of the draws"


def test_a_run_folder_that_is_gone_is_run_again(workshop, quick, capsys):
    file = spec(workshop, list=[{"seed": 1}, {"seed": 2}])
    states = sweep.run(sweep.read(file)).states
    shutil.rmtree(states[1]["folder"])
    points.path(sweep.read(file).folder, sweep.read(file).key(0)).write_text("", encoding="utf8")
    assert main(["sweep", str(file)]) == 0
    assert sorted(quick) == [1, 1, 2, 2], "one whose file a dying machine left empty too"
    assert "run again, since their run folders are gone: 001" in capsys.readouterr().out


def test_the_best_point_is_told_as_asked(workshop, quick):
    seeds = [{"seed": seed} for seed in (3, 1, 8, 9)]
    result = sweep.run(sweep.read(spec(workshop, list=seeds)))
    assert result.best() == "best 001 (seed 1): best_val_loss 0.02"
    assert [row[-1] for row in result.rows()] == ["best_val_loss", "0.04", "0.02", "-", "1e+09"]
    other = sweep.Result.of(sweep.read(spec(workshop, list=[seeds[2], *seeds[:2]], best="val_loss")))
    assert other.best() == "best 002 (seed 1): val_loss 0.02", "the first one came to no number"
    assert sweep.Result.of(sweep.read(spec(workshop, list=seeds, best="-val_accuracy"))).best().startswith("best 001")
    assert sweep.Result.of(sweep.read(spec(workshop, list=seeds, best="nothing"))).best() == ""


def test_a_full_disk_fails_points_and_not_the_sweep(workshop, monkeypatch, capsys):
    def full(*_arguments, **_how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(points, "run", full)
    result = sweep.follow(sweep.read(spec(workshop, list=[{"seed": 1}, {"seed": 2}])))
    assert result.failed == [0, 1]
    assert "No space left" in result.states[0]["error"]
    assert "done after" in str(capsys.readouterr().out), "whatever became of the points, the sweep is through"


def test_a_cluster_that_forgets_a_point_is_told_and_the_point_waits(workshop, monkeypatch, capsys):
    monkeypatch.setattr(points, "run", lambda *arguments, **how: None)
    result = sweep.follow(sweep.read(spec(workshop, list=[{"seed": 1}])))
    assert (result.done, result.failed, result.states[0]["state"]) == (0, [], points.WAITING)
    assert "the same command goes on" in capsys.readouterr().out


def test_other_code_since_is_told(workshop, quick, capsys, monkeypatch):
    file = spec(workshop, list=[{"seed": 1}])
    assert main(["sweep", str(file)]) == 0
    assert "other code" not in capsys.readouterr().out
    monkeypatch.setattr("nbkit.run.modules.was_made_by", lambda record, code: False)
    assert main(["sweep", str(file)]) == 0
    assert "done by other code than there is now, and left so: 000" in capsys.readouterr().out
    assert quick == [1]


def test_a_point_that_runs_is_shown_waited_for_and_cancelled_from_elsewhere(workshop, capsys):
    """Its starter is killed; another terminal sees its step and lets it stop, and a dead one is told from it."""
    file = spec(workshop, list=[{"seed": 1}, {"seed": 2}], fixed={"seconds": 60.0, "stop_at": 300})
    one = sweep.read(file)
    command = [sys.executable, "-m", "nbkit.run", "sweep", str(file), "--jobs", "1"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: points.progress(one.folder, one.key(0))[1:] == (120, 300))
    with pytest.raises(RunBusyError, match=r"another process runs rates-.*--cancel stops it"):
        sweep.run(one)
    running.kill()
    running.wait()
    assert main(["sweep", str(file), "--status"]) == 0
    assert "step 120 of 300" in capsys.readouterr().out
    assert main(["sweep", str(file), "--cancel"]) == 0
    assert "asked to save and stop: 000" in capsys.readouterr().out
    assert [state["state"] for state in one.states()] == ["stopped", "waiting"]
    assert main(["sweep", str(file), "--cancel"]) == 0
    assert "nothing of this sweep runs" in capsys.readouterr().out


def test_a_worker_is_looked_for_where_its_point_still_runs():
    dask = engines.Dask.__new__(engines.Dask)
    dask.hosts = {"tcp://10.0.0.1:1": "a", "tcp://10.0.0.2:1": "b", "tcp://10.0.0.2:2": "b"}
    assert dask.home({"state": points.RUNNING, "host": "b"}) == ["tcp://10.0.0.2:1", "tcp://10.0.0.2:2"]
    assert dask.home({"state": points.RUNNING, "host": "gone"}) is None
    assert dask.home({"state": points.WAITING, "host": "b"}) is None


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
        "wants the name of a notebook and one of": {},
        "has name, notebook": {"fixed": {}, "retry": 1},
        "fixed wants names and values": {"list": [{"seed": 1}], "fixed": ["a"]},
        "minutes wants a number": {"list": [{"seed": 1}], "minutes": "ten"},
        "retries wants an integer": {"list": [{"seed": 1}], "retries": -1},
        "seed stands in fixed and in grid": {"grid": {"seed": [1, 2]}, "fixed": {"seed": 1}},
        "name of a sweep has letters": {"list": [{"seed": 1}], "name": "a/b"},
        "random wants a list, or": {"random": {"count": 2, "rate": {"low": "least", "high": 1}}},
        "points 0 and 1 would be one run": {"list": [{"seconds": 1.0}, {"seconds": 2.0}]},
        "got 'girds'": {"girds": 1},
        "grid wants a list of values": {"grid": {"seed": 3}},
        "above 0 with log": {"random": {"count": 2, "rate": {"low": 0, "high": 1, "log": True}}},
    }
    for words, values in cases.items():
        with pytest.raises(SweepError, match=words):
            sweep.read(spec(workshop, **values))
    for text in ("- a list", "", "notebook: [half", "notebook: 5\nlist: [{}]"):
        (workshop / "odd.yaml").write_text(text)
        assert main(["sweep", str(workshop / "odd.yaml")]) == 2
        assert "nbkit sweep: " in capsys.readouterr().err
    with pytest.raises(ParamsError, match="did you mean seed"):
        sweep.read(spec(workshop, grid={"sed": [1]}))
    assert main(["sweep", str(workshop / "none.yaml")]) == 2
    assert not (workshop / "outputs").exists()


def test_points_share_the_gpus_that_there_are(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    local = engines.Local(tmp_path, 0)
    local.close()
    slots = [local.slots.get_nowait()["CUDA_VISIBLE_DEVICES"] for _ in range(local.slots.qsize())]
    assert slots == ["2", "5"]


def test_a_number_that_another_process_got_is_not_taken_for_the_point(tmp_path):
    state = {"state": points.RUNNING, "pid": os.getpid(), "host": os.uname().nodename, "born": 1.0}
    assert not points.is_alive(state)
    assert points.is_alive(state | {"born": psutil.Process().create_time()})
