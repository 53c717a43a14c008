"""What 00_start_here shows: every notebook with its own words, and a link that opens it."""

from __future__ import annotations

from pathlib import Path

import nbkit
from nbkit.run import start
from nbkit.run.notebooks import colab_link, repository

NOTEBOOKS = sorted((Path(nbkit.__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


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
