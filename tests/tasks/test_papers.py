"""What 80_paper_board shows: rows of the real notes, and nothing in them that is a mark of Markdown."""

from __future__ import annotations

import pytest

from nbkit.base.params import ParamsError
from nbkit.evaluate import papers
from nbkit.tasks import papers as board
from nbkit.views import papers as pictures
from nbkit.views import style, summary

NOTES = papers.read()


def test_there_is_a_row_for_each_note_and_it_leads_there():
    rows = board.rows(NOTES)
    assert len(rows) == len(NOTES)
    assert rows[0][0] == str(NOTES[0].year), "a year is no quantity"
    assert all(isinstance(row[1], summary.Link) and row[1].address.startswith("../paper_notes/") for row in rows)
    assert "href" in summary.table(rows, board.HEADS)._repr_html_()


def test_what_came_of_the_claims_is_counted():
    found = {row[1].text: row[5] for row in board.rows(NOTES)}
    note = next(note for note in NOTES if note.name == "glow_tts")
    assert found[note.short] == f"{note.verdicts()['holds']} hold, {note.verdicts()['open']} open"
    assert found["WaveNet"] == ""
    assert len(board.claims(NOTES)) == sum(len(note.claims()) - note.verdicts()["not checked"] for note in NOTES)
    assert str(board.claims(NOTES)[0][3]).startswith("holds"), "what holds stands first"


def test_a_line_is_chosen():
    chosen = board.chosen(board.PaperBoard(line="vocoder"))
    assert {note.about["line"] for note in chosen} == {"vocoder"}
    assert len(board.chosen(board.PaperBoard())) == len(NOTES)
    with pytest.raises(ParamsError, match="line"):
        board.PaperBoard(line="cooking")


def test_texts_carry_no_marks():
    cells = [cell for row in (*board.claims(NOTES), *board.open_questions(NOTES)) for cell in row[1:]]
    assert cells
    assert [cell for cell in cells if "**" in str(cell) or "](" in str(cell) or "`" in str(cell)] == []


def test_every_note_leaves_something_open():
    assert [row[0] for row in board.open_questions(NOTES) if not row[1]] == []


def test_the_board_draws_all_notes():
    ax = pictures.board(board.on_board(NOTES), lines=papers.LINES)
    assert {note.short for note in NOTES} <= {text.get_text() for text in ax.texts}
    style.png(ax)


def test_words_are_found_in_their_sections():
    found = board.found("mu-law classes")
    assert any(row[0] == "WaveNet" and row[1].address.endswith("wavenet.md#mu-law") for row in found)
