"""`nbkit papers list | search | check`: the notes of paper_notes/."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from nbkit.evaluate import papers
from nbkit.run.data import table

HEADS = ("YEAR", "NOTE", "LINE", "STATE", "CLAIMS", "SECOND-HAND", "HOLD", "FAIL", "OPEN", "PAPER")
_WIDTH = 100  # characters of a line that was found


def add_parser(subparsers: Any) -> None:
    """Add `papers` to the command line."""
    parser = subparsers.add_parser(
        "papers", help="what was read, what of it is built here, and what came of its claims"
    )
    _choosing(parser)
    parser.set_defaults(call=_list)
    actions = parser.add_subparsers(metavar="ACTION")

    action = actions.add_parser("list", help="all notes, the oldest paper first; what `nbkit papers` does alone")
    _choosing(action)
    action.set_defaults(call=_list)

    action = actions.add_parser("search", help="sections that hold all of some words")
    action.add_argument("words", nargs="+", metavar="WORD")
    action.set_defaults(call=_search)

    action = actions.add_parser("check", help="front matter, questions, claims, and all that cites a note")
    action.set_defaults(call=_check)


def _choosing(parser: argparse.ArgumentParser) -> None:
    suppress = argparse.SUPPRESS
    parser.add_argument("--state", choices=tuple(papers.STATES), default=suppress, help="only those of this state")
    parser.add_argument("--line", choices=papers.LINES, default=suppress, metavar="LINE",
                        help=f"only those of this line: {', '.join(papers.LINES)}")  # fmt: skip
    parser.add_argument("--json", action="store_true", default=suppress, help="for a program to read")


def _notes() -> list[papers.Note] | None:
    """All notes; None, and a word about it, where one cannot be read."""
    try:
        return papers.read()
    except papers.NoteError as error:
        print(f"nbkit papers: {error}", file=sys.stderr)
        return None


def _list(arguments: argparse.Namespace) -> int:
    notes = _notes()
    if notes is None:
        return 1
    chosen = papers.choose(notes, state=getattr(arguments, "state", ""), line=getattr(arguments, "line", ""))
    if getattr(arguments, "json", False):
        values = [{"note": note.name, **note.about, **_counts(note)} for note in chosen]
        print(json.dumps(values, ensure_ascii=False, indent=1, default=str))
        return 0
    print(table([HEADS, *map(_row, chosen)]) if chosen else "no such note")
    return 0


def _counts(note: papers.Note) -> dict[str, int]:
    claims = note.claims()
    return {
        "claims": len(claims),
        "second_hand": sum(claim.second_hand for claim in claims),
        **{verdict: count for verdict, count in note.verdicts().items() if verdict != papers.UNCHECKED},
    }


def _row(note: papers.Note) -> tuple[str, ...]:
    told = [str(note.about.get(field, "?")) for field in ("line", "state")]
    return (str(note.year), note.name, *told, *map(str, _counts(note).values()), note.short)


def _search(arguments: argparse.Namespace) -> int:
    notes = _notes()
    if notes is None:
        return 1
    found = papers.search(notes, arguments.words)
    for note, section, found_line in found:
        line = papers.plain(found_line)
        print(f"paper_notes/{note.path.name}#{section.anchor}")
        print(f"    {line if len(line) <= _WIDTH else line[: _WIDTH - 1] + '…'}")
    if not found:
        print(f"no section of {len(notes)} notes holds all of: {' '.join(arguments.words)}")
    return 0 if found else 1


def _check(arguments: argparse.Namespace) -> int:
    notes = _notes()
    if notes is None:
        return 1
    wrong = papers.faults(notes)
    for line in wrong:
        print(line)
    print(f"{len(notes)} notes, {len(wrong)} faults")
    return 1 if wrong else 0
