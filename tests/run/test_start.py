"""What 00_start_here shows: every notebook with its own words, and a link that opens it."""

from __future__ import annotations

import re
from pathlib import Path

import nbkit
from nbkit.run import start
from nbkit.run.notebooks import colab_link, repository

NOTEBOOKS = sorted((Path(nbkit.__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def test_every_notebook_has_its_line():
    found = start.notebooks()
    assert [one.name for one in found] == [path.stem for path in NOTEBOOKS]
    for one in found:
        assert len(one.about) > 20, one
        assert any(unit in one.cost for unit in ("second", "minute", "hour")), one


def test_both_pages_have_a_row_for_each_notebook_and_for_no_other():
    for page in ("README.md", "README.ko.md"):
        text = (NOTEBOOKS[0].parents[1] / page).read_text(encoding="utf-8")
        assert re.findall(r"^\| \[(\w+)]\(notebooks/\1\.ipynb\)", text, re.MULTILINE) == [p.stem for p in NOTEBOOKS]


def test_a_group_is_named_once():
    named = [one.group for one in start.notebooks() if one.group]
    assert len(set(named)) == len(named)
    assert {one.name[0] for one in start.notebooks()} == {
        digit for digit, group in start.GROUPS.items() if group in named
    }


def test_a_link_opens_from_where_it_is_shown(monkeypatch):
    name = NOTEBOOKS[0].stem
    assert start.notebooks()[0].address == f"{name}.ipynb"
    monkeypatch.setenv("NBKIT_HEADLESS", "1")
    assert start.notebooks()[0].address == colab_link(name, repository())
    monkeypatch.delenv("NBKIT_HEADLESS")
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    assert start.notebooks()[0].address == colab_link(name, repository())
