"""What 80_paper_board needs: its parameters, and the notes as rows of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nbkit.base.params import Params, param
from nbkit.evaluate import papers
from nbkit.evaluate.papers import Note
from nbkit.views.papers import Paper
from nbkit.views.summary import Cell, Link

ALL = "all"
HEADS = ("year", "paper", "state", "claims", "from memory", "came out here", "notebooks", "what stands here")
TOLD = {papers.HOLDS: "hold", papers.FAILS: "fail", papers.OPEN: "open"}


@dataclass(frozen=True)
class PaperBoard(Params):
    """Parameters of 80_paper_board."""

    line: str = param(ALL, "Papers of this line of work.", choices=(ALL, *papers.LINES), identity=False)
    words: str = param("durations attention", "Sections that hold all of these words.", identity=False)

    PRESETS: ClassVar = {"smoke": {"line": "vocoder"}}


def chosen(config: PaperBoard) -> list[Note]:
    """The notes of the line that is asked for, the oldest paper first."""
    return papers.choose(papers.read(), line="" if config.line == ALL else config.line)


def rows(notes: Sequence[Note]) -> list[tuple[Cell, ...]]:
    """A row of HEADS for each note; its name leads to the note, as seen from notebooks/."""
    return [
        (
            str(note.year),
            Link(note.short, f"../paper_notes/{note.path.name}"),
            note.about["state"],
            len(note.claims()),
            sum(claim.second_hand for claim in note.claims()),
            ", ".join(f"{note.verdicts()[one]} {told}" for one, told in TOLD.items() if note.verdicts()[one]),
            ", ".join(name.split("_")[0] for name in note.about["notebook"]),
            papers.plain(note.about["status"]),
        )
        for note in notes
    ]


def on_board(notes: Sequence[Note]) -> list[Paper]:
    """The notes as views.papers.board takes them."""
    names = {note.name: note.short for note in notes}
    return [
        Paper(note.short, note.year, note.about["line"], note.about["state"],
              tuple(names[name] for name in note.about["follows"] if name in names))
        for note in notes
    ]  # fmt: skip


def claims(notes: Sequence[Note]) -> list[tuple[Cell, ...]]:
    """The claims that something here speaks to, those that hold first: paper, claim, where from, here."""
    return [
        (
            Link(note.short, f"../paper_notes/{note.path.name}"),
            *map(papers.plain, (claim.claim, claim.source, claim.here)),
        )
        for verdict in TOLD
        for note in notes
        for claim in note.claims()
        if claim.verdict == verdict
    ]


def open_questions(notes: Sequence[Note]) -> list[tuple[Cell, ...]]:
    """What each note leaves open, a row a note."""
    return [
        (Link(note.short, f"../paper_notes/{note.path.name}"), " · ".join(map(papers.plain, note.open_questions())))
        for note in notes
    ]


def found(words: str) -> list[tuple[Cell, ...]]:
    """Sections that hold all words: paper, section, the line that holds the most of them."""
    return [
        (
            one.note.short,
            Link(one.section.heading, f"../paper_notes/{one.note.path.name}#{one.section.anchor}"),
            one.line,
        )
        for one in papers.search(papers.read(), words.split())
    ]
