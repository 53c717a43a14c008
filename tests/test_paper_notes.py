"""Every paper note has its front matter and its five questions, and holds every section that the code cites."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import nbkit

ROOT = Path(nbkit.__file__).resolve().parents[1]
NOTES = sorted((ROOT / "paper_notes").glob("*.md"))
FIELDS = ("title", "authors", "year", "venue", "arxiv", "code", "code_licence", "data", "status", "notebook")
QUESTIONS = (
    "What problem?",
    "What was missing?",
    "What is the idea?",
    "What is the evidence?",
    "What is open, and what would we try?",
)
CITED = re.compile(r"paper_notes/([\w.-]+\.md)(?:#([\w-]+))?")
each_note = pytest.mark.parametrize("note", NOTES, ids=lambda note: note.stem)


def front_matter(text: str) -> dict:
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(text)}


def citations() -> list[tuple[str, str, str]]:
    """(file, note, anchor) of all citations in the package, "" for the whole note."""
    return [
        (path.relative_to(ROOT).as_posix(), *found)
        for path in sorted((ROOT / "nbkit").rglob("*.py"))
        for found in CITED.findall(path.read_text(encoding="utf-8"))
    ]


def test_there_are_notes_and_citations():
    assert NOTES
    assert len(citations()) > 5


@pytest.mark.parametrize(("path", "note", "anchor"), citations())
def test_what_the_code_cites_is_there(path: str, note: str, anchor: str):
    text = (ROOT / "paper_notes" / note).read_text(encoding="utf-8")
    assert not anchor or anchor in anchors(text), f"{path} cites #{anchor}, {note} has {sorted(anchors(text))}"


@each_note
def test_the_front_matter_is_complete(note: Path):
    told = front_matter(note.read_text(encoding="utf-8"))
    assert [field for field in FIELDS if not told.get(field)] == []
    assert isinstance(told["authors"], list)
    assert re.fullmatch(r"\d{4}\.\d{4,5}", told["arxiv"]), "arxiv is a text in quotes, or YAML reads a number"
    for name in told["notebook"]:
        assert (ROOT / "notebooks" / f"{name}.ipynb").is_file(), name


@each_note
def test_the_five_questions_are_asked_in_order(note: Path):
    asked = [heading for heading in headings(note.read_text(encoding="utf-8")) if heading.endswith("?")]
    assert tuple(asked) == QUESTIONS


@each_note
def test_links_and_files_exist(note: Path):
    text = note.read_text(encoding="utf-8")
    files = set(re.findall(r"\b(?:nbkit|tests)/[\w/]+\.py\b", text))
    assert files, "a note says where the code is"
    assert sorted(name for name in files if not (ROOT / name).is_file()) == []
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= anchors(text)


def test_anchors_are_those_of_github():
    assert anchors("# What is open, and what would we try?\n## Two-step `x`\n") == {
        "what-is-open-and-what-would-we-try",
        "two-step-x",
    }
