"""Every paper note has its front matter, its five questions and its claims, and holds every section that is cited."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbkit
from nbkit.evaluate import papers

ROOT = Path(nbkit.__file__).resolve().parents[1]
NOTES = papers.read(ROOT / "paper_notes")
NAMES = {note.name: note for note in NOTES}
CITATIONS = papers.citations(ROOT, NAMES)
LEAST = 20


def test_there_are_notes_and_citations():
    assert len(NOTES) >= LEAST
    assert len(CITATIONS) > 20


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.name)
def test_a_note_is_in_order(note: papers.Note):
    assert papers.note_faults(note, ROOT, NAMES) == []


@pytest.mark.parametrize(("told", "wrong"), CITATIONS, ids=[told for told, _ in CITATIONS])
def test_what_is_cited_is_there(told: str, wrong: str):
    assert not wrong
