"""What 00_start_here shows: true values of this machine, every notebook with its own words, the newest runs first."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import nbkit
from nbkit.base import workspace
from nbkit.run import start
from nbkit.run.notebooks import colab_link, repository

NOTEBOOKS = sorted((Path(nbkit.__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.torch
def test_the_machine_is_told_in_words():
    import torch

    told = dict(start.machine())
    assert told["torch"] == torch.__version__
    assert told["nbkit"].startswith(nbkit.__version__)
    assert ("none" in told["GPU"]) != torch.cuda.is_available()
    assert told["runs go to"].splitlines()[0] == str(workspace.runs())
    assert told["runs go to"].endswith("B free")
    assert not workspace.runs().exists(), "looking makes no folder"


def test_every_notebook_tells_what_it_is_about():
    found = start.notebooks()
    assert [one.name for one in found] == [path.stem for path in NOTEBOOKS]
    for one in found:
        assert one.title
        assert len(one.about) > 40, one
        assert any(unit in one.cost for unit in ("second", "minute", "hour")), one.cost
        assert not set("[]*`#") & set(one.title + one.about + one.cost), one


def test_a_link_opens_from_where_it_is_shown(monkeypatch):
    name = NOTEBOOKS[0].stem
    assert start.notebooks()[0].address == f"{name}.ipynb"
    monkeypatch.setenv("NBKIT_HEADLESS", "1")
    assert start.notebooks()[0].address == colab_link(name, repository())
    monkeypatch.delenv("NBKIT_HEADLESS")
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    assert start.notebooks()[0].address == colab_link(name, repository())


@pytest.mark.parametrize("most", [1, 5])
def test_runs_come_newest_first(most: int):
    assert start.runs() == []
    for age, (name, status) in enumerate(
        {
            "glow_tts-2": {"state": "running", "step": 40, "time": "2026-11-02T10:20:30+0000"},
            "glow_tts-1": {"state": "finished", "step": 400, "time": "2026-11-01T10:20:30+0000"},
        }.items()
    ):
        folder = workspace.runs() / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"task": "glow_tts"}')
        (folder / "status.json").write_text(json.dumps(status))
        os.utime(folder / "status.json", (1000 - age, 1000 - age))
    expected = [("glow_tts-2", "running", 40, "2026-11-02 10:20"), ("glow_tts-1", "finished", 400, "2026-11-01 10:20")]
    assert start.runs(most) == expected[:most]
