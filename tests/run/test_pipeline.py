"""`nbkit pipeline` on tiny notebooks: only what changed runs again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from nbkit.run import stages
from nbkit.run.stages import PipelineError

pytest.importorskip("snakemake")
METADATA = {
    "nbkit": {"parameters": "settings_of_pipeline:Step"},
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
}
SETTINGS = """
from dataclasses import dataclass
from nbkit.base.params import Params, param

@dataclass(frozen=True)
class Step(Params):
    source: str = param("", "Run of the stage before.")
    value: int = param(0, "Value.")
"""
CELL = """
from nbkit.base.record import Record
from settings_of_pipeline import Step
config = Step.from_notebook(globals())
assert config.value != 7, "the planted failure"
with Record.open("step", config, "data") as run:
    run.status("finished")
"""
PIPELINE = """
stages:
  one: {notebook: one.ipynb, parameters: {value: 1}}
  two: {notebook: two.ipynb, takes: {source: one}}
  three: {notebook: three.ipynb, parameters: {value: 3}}
"""


@pytest.fixture
def workshop(tmp_path, monkeypatch) -> Path:
    (tmp_path / "settings_of_pipeline.py").write_text(SETTINGS, encoding="utf-8")
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


def ran(workshop: Path) -> tuple[set[str], int]:
    """The stages that a run of the pipeline started, and its exit status."""
    command = [sys.executable, "-m", "nbkit.run", "pipeline", "run", str(workshop / "tiny.yaml"), "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=workshop)
    return {line.split(":")[0] for line in done.stdout.splitlines() if line.endswith(": starts")}, done.returncode


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
    change(workshop / "three.ipynb", "finished", "finished well")
    assert ran(workshop) == ({"three"}, 0)
    change(workshop / "tiny.yaml", "value: 2", "value: 7")
    change(workshop / "tiny.yaml", "value: 3", "value: 4")
    assert ran(workshop) == ({"one", "three"}, 1)


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
