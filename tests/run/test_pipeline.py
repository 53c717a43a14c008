"""`nbkit pipeline` on tiny notebooks: only what changed runs again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from nbkit.base import workspace
from nbkit.base.params import Params, param
from nbkit.data import manifest
from nbkit.run import points, stages, standing
from nbkit.run.stages import PipelineError, Stage

pytest.importorskip("snakemake")
METADATA = {
    "nbkit": {"parameters": "settings_of_pipeline:Step"},
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
}
SETTINGS = """
from dataclasses import dataclass
from nbkit.base import workspace
from nbkit.base.params import Params, param

@dataclass(frozen=True)
class Step(Params):
    source: str = param("", "Run of the stage before.")
    value: int = param(0, "Value.")
"""
CELL = """
from nbkit.base.record import Record
from helper_of_pipeline import PAUSE
from settings_of_pipeline import Step
config = Step.from_notebook(globals())
assert config.value != 7, "the planted failure"
if config.source:
    __import__("time").sleep(PAUSE)
with Record.open("step", config, "data") as run:
    run.status("finished")
"""
PIPELINE = """
stages:
  one: {notebook: one.ipynb, parameters: {value: 1}}
  two: {notebook: two.ipynb, takes: {source: one}}
  three: {notebook: three.ipynb, parameters: {value: 3}, inputs: [data.txt]}
"""


@pytest.fixture
def workshop(tmp_path, monkeypatch) -> Path:
    (tmp_path / "settings_of_pipeline.py").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "helper_of_pipeline.py").write_text("PAUSE = 0\n", encoding="utf-8")
    (tmp_path / "data.txt").write_text("some data", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "outputs"))
    for name in ("one", "two", "three"):
        notebook = nbformat.v4.new_notebook(metadata=METADATA)
        notebook.cells = [
            nbformat.v4.new_code_cell('source = ""\nvalue = 0', metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(CELL),
        ]
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    (tmp_path / "tiny.yaml").write_text(PIPELINE, encoding="utf-8")
    return tmp_path


def command(workshop: Path, jobs: int = 2) -> list[str]:
    file = str(workshop / "tiny.yaml")
    return [sys.executable, "-m", "nbkit.run", "pipeline", "run", file, "--jobs", str(jobs)]


def ran(workshop: Path, jobs: int = 2) -> tuple[set[str], int]:
    """The stages that a run of the pipeline started, and its exit status."""
    done = subprocess.run(command(workshop, jobs), capture_output=True, text=True, cwd=workshop)
    return started(done.stdout), done.returncode


def folder(workshop: Path) -> Path:
    return workshop / "outputs" / "pipelines" / "tiny"


def page(workshop: Path) -> str:
    return (folder(workshop) / "report.html").read_text(encoding="utf-8")


def started(told: str) -> set[str]:
    return {line.split(":")[0] for line in told.splitlines() if line.endswith(": starts")}


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.slow
def test_only_what_changed_runs_again(workshop):
    assert ran(workshop) == ({"one", "two", "three"}, 0)
    assert ran(workshop) == (set(), 0)
    change(workshop / "tiny.yaml", "value: 1", "value: 2")
    assert ran(workshop) == ({"one", "two"}, 0)
    assert "3 done" in page(workshop)
    assert "Ran: value 1 → 2." in page(workshop)
    change(workshop / "three.ipynb", "finished", "finished well")
    change(workshop / "data.txt", "some", "other")
    assert ran(workshop) == ({"three"}, 0)
    change(workshop / "helper_of_pipeline.py", "0", "0.1")
    assert ran(workshop) == ({"one", "two", "three"}, 0)
    change(workshop / "tiny.yaml", "value: 2", "value: 7")
    change(workshop / "tiny.yaml", "value: 3", "value: 4")
    gone = json.loads((folder(workshop) / "two.json").read_text())["folder"]
    shutil.rmtree(gone)
    failed = subprocess.run(command(workshop), capture_output=True, text=True, cwd=workshop)
    assert (started(failed.stdout), failed.returncode) == ({"one", "three"}, 1)
    assert "Traceback" in failed.stdout
    assert failed.stdout.splitlines()[-1] == str(folder(workshop) / "report.html")
    assert all(f"1 {state}" in page(workshop) for state in ("done", "failed", "would run"))
    assert "the planted failure" in page(workshop)
    assert f"Its run folder {gone} is gone." in page(workshop)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_pipeline_goes_on(workshop, jobs):
    change(workshop / "helper_of_pipeline.py", "0", "5")
    log = workshop / "first.log"
    with log.open("w") as file:
        first = subprocess.Popen(
            command(workshop, jobs), stdout=file, stderr=file, cwd=workshop, start_new_session=True
        )
    point = workshop / "outputs" / "pipelines" / "tiny" / "points" / "two.json"
    until(lambda: point.exists() and json.loads(point.read_text())["state"] == "running")
    process = json.loads(point.read_text())["pid"]
    first.kill()
    first.wait()
    assert ran(workshop, jobs)[1] == 0
    until(lambda: "two: " in log.read_text().replace("two: starts", ""))  # the stage that was left behind
    assert "two: ok" in log.read_text()
    told = json.loads(point.read_text())
    assert (told["state"], told["pid"]) == ("ok", process)
    assert ran(workshop) == (set(), 0)


@pytest.mark.slow
def test_one_job_is_one_stage_at_a_time(workshop):
    text = "stages:\n  one: {notebook: one.ipynb}\n"
    text += "".join(f"  {name}: {{notebook: {name}.ipynb, after: one}}\n" for name in ("two", "three"))
    (workshop / "tiny.yaml").write_text(text, encoding="utf-8")
    done = subprocess.run(command(workshop, jobs=1), capture_output=True, text=True, cwd=workshop)
    told = [line.split(":")[1].split(",")[0].strip() for line in done.stdout.splitlines() if ": " in line]
    assert told == ["starts", "ok"] * 3


def until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stages: {}", "at least one stage"),
        ("stages: {one: {notebook: one.ipynb, takes: {source: two}}}", "stages above it"),
        ("stages: {one: {notebook: one.ipynb, parameters: {valu: 1}}}", "did you mean value"),
        ("steps: {}", "got 'steps'"),
    ],
)
def test_a_bad_pipeline_is_refused_in_words(workshop, text, told):
    (workshop / "tiny.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(PipelineError, match=told):
        stages.read(workshop / "tiny.yaml")


@pytest.mark.torch
def test_the_pipelines_that_are_shipped_fit_their_notebooks():
    found = {path.stem: stages.read(path) for path in (workspace.root() / "notebooks").glob("*.yaml")}
    assert {"speech", "kobert"} <= found.keys()
    assert not [name for stage in found["kobert"].stages.values() for name in stage.unfollowed()]


@dataclass(frozen=True)
class Reads(Params):
    texts: str = param("auto", "Texts.", auto=("nsmc", "made_reviews"))
    run: str = param("auto", "A run.")


def test_a_data_set_that_is_auto_is_an_input_and_another_auto_is_told_of(monkeypatch):
    monkeypatch.delenv("NBKIT_DATA", raising=False)  # where real texts may lie
    stage = Stage("one", Path("one.ipynb"), Reads(), {})
    assert [file.name for file in stage.files()] == ["made_reviews.yaml"]
    assert stage.unfollowed() == ["run"]
    monkeypatch.setattr(manifest, "is_here", lambda _: True)
    assert [file.name for file in stage.files()] == ["nsmc.yaml"]


def test_a_run_that_cannot_be_read_is_told_of_and_its_links_stay(workshop):
    run = workshop / "outputs" / "runs" / "step-1"
    point = {"state": points.OK, "folder": str(run), "seconds": 2.0, "started": 0.0}
    for path, content in (
        (run / "config.json", {"task": "step", "parameters": {}}),
        (run / "results.json", "no list of numbers"),
        (points.path(folder(workshop), "one"), point),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    one, two, _ = standing.stages(stages.read(workshop / "tiny.yaml"), {})
    assert "cannot be read" in one.notes[0]
    assert one.links == [("report", "../../runs/step-1/report.html")]
    assert (one.state, two.state, two.run) == ("would run", "would run", "")
    assert two.why == ["for the first time", "one is not done"]
