"""Paper notes: what is read from one, what is found in it, and each way in which one can be out of order."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nbkit.evaluate import papers

ROOT = Path(papers.__file__).resolve().parents[2]
HOSTILE = "<script>alert(1)</script> \u202eright \U0001f600 " + "가" * 300
GOOD = """---
title: "A paper: of two"
authors: [Kim, 이]
year: 2020
venue: nowhere
arxiv: "2001.00001"
code: none
code_licence: none
data: none
line: flow
follows: []
state: read
status: read
notebook: []
---

# Short

The abstract was read for this note.

## What problem?

This one.

## What was missing?

That.

## What is the idea?

See [below](#two-step-x), and [itself](short.md#short).

## What is the evidence?

| claim | where from | here |
|---|---|---|
| twice as fast | abstract | not measured |
| better | *second-hand* | needs listeners |
| 3 weights | code | holds: counted, a \\| b |

After the table.

## What is open, and what would we try?

- **Is it
  true?** Try.
- plain
- **Why?** Because.

## Two-step `x`

    # not a heading
    y = x
"""


def note(text: str = GOOD, name: str = "short") -> papers.Note:
    return papers.parse(text, Path(f"{name}.md"))


def wrong(text: str, **others: papers.Note) -> list[str]:
    one = note(text)
    return papers.note_faults(one, ROOT, {"short": one, **others})


def test_a_note_is_read():
    one = note()
    assert (one.name, one.short, one.year) == ("short", "Short", 2020)
    assert one.about["authors"] == ["Kim", "이"]
    assert one.anchors >= {"what-is-open-and-what-would-we-try", "two-step-x"}
    assert "not-a-heading" not in one.anchors
    assert one.open_questions() == ["Is it true?", "Why?"]
    assert "After the table" in one.text
    assert wrong(GOOD) == []


def test_claims_tell_memory_and_their_verdict():
    first, second, third = note().claims()
    assert (first.claim, first.source, first.here) == ("twice as fast", "abstract", "not measured")
    assert [one.second_hand for one in (first, second, third)] == [False, True, False]
    assert [one.verdict for one in (first, second, third)] == ["not checked", "not checked", "holds"]
    assert note().verdicts() == {"holds": 1, "does not hold": 0, "open": 0, "not checked": 2}
    assert third.here == "holds: counted, a \\| b"


@pytest.mark.parametrize(
    ("here", "verdict"),
    [
        ("not measured; see there", "not checked"),
        ("English, not measured", "not checked"),
        ("needs listeners", "not checked"),
        ("holds for a small voice: 3", "holds"),
        ("does not hold: 4", "does not hold"),
        ("open: on other text", "open"),
        ("", ""),
        ("`knob` in 41_kobert_pretrain", ""),
        ("holdsome", ""),
    ],
)
def test_a_verdict_is_the_first_word(here: str, verdict: str):
    assert papers.Claim("a", "abstract", here).verdict == verdict


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("year: 2020\n", "", "lacks year"),
        ("state: read", "state: built", "state wants one of read, implemented, reproduced, got 'built'"),
        ("line: flow", "line: flows", "line wants one of"),
        ('"2001.00001"', "2001.00001", "in quotes"),
        ("authors: [Kim, 이]", "authors: Kim", "authors wants a list"),
        ("follows: []", "follows: [nobody]", "follows 'nobody', of which there is no note"),
        ("follows: []", "follows: [later]", "follows later, which is younger"),
        ("notebook: []", "notebook: [99_none]", "names the notebook '99_none'"),
        ("notebook: []", "notebook: []\nmood: good", "has mood, which no note has"),
        ("## What problem?", "## Which problem?", "five questions in their order"),
        ("was read for this note", "is good", "what was read for this note"),
        (
            "| better | *second-hand* | needs listeners |\n| 3 weights | code | holds: counted, a \\| b |\n",
            "",
            "two claims",
        ),
        ("| better | *second-hand* |", "| better | |", "with their sources"),
        ("| claim | where from | here |", "| what | where | here |", "table of two claims"),
        ("(#two-step-x)", "(#three-step)", "links to #three-step"),
        ("short.md#short", "short.md#long", "links to short.md#long"),
        ("short.md#short", "other.md", "links to other.md"),
        ("After the table.", "After nbkit/evaluate/nothing.py.", "names nbkit/evaluate/nothing.py"),
        ("state: read", "state: implemented", "wants the files where"),
        ("| not measured |", "| somewhere |", "wants a verdict before 'somewhere': holds, does not hold, open"),
        ("state: read", "state: reproduced", "more than half of its claims to hold here, got 1 of 3"),
    ],
)
def test_a_note_out_of_order_is_told(old: str, new: str, words: str):
    assert old in GOOD
    later = note(GOOD.replace("year: 2020", "year: 2021"), "later")
    found = wrong(GOOD.replace(old, new, 1), later=later)
    assert any(words in one for one in found), found


def test_what_is_implemented_names_files_and_a_notebook():
    text = GOOD.replace("state: read", "state: implemented").replace("notebook: []", "notebook: [20_glow_flows]")
    assert any("wants the files" in one for one in wrong(text))
    assert wrong(text.replace("That.", "That is in nbkit/evaluate/papers.py.")) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# No front matter\n", "wants front matter"),
        ("---\n[1, 2]\n---\n# A\n", "wants `field: value` lines"),
        ("---\na: [\n---\n# A\n", "wants YAML"),
    ],
)
def test_what_is_no_note_is_refused(text: str, words: str):
    with pytest.raises(papers.NoteError, match=words):
        note(text)


def test_empty_notes_are_told_not_crashed_on():
    assert len(wrong("---\na: 1\n---\n")) > 10


def test_search_wants_all_words_and_names_the_section():
    notes = [note(), note(GOOD.replace("This one.", HOSTILE), "hostile")]
    (found,) = papers.search(notes, ["ALERT(1)", "right"])
    assert (found.note.name, found.section.heading, found.line) == ("hostile", "What problem?", HOSTILE)
    assert [one.section.heading for one in papers.search(notes[:1], ["이", "paper"])] == ["Short"]
    assert papers.search(notes, ["twice", "nowhere to be found"]) == []
    assert [one.section.heading for one in papers.search(notes[:1], ["가중치"])] == ["What is the evidence?"], "weights"
    assert [one.section.anchor for one in papers.search(notes[:1], ["twostep", "="])] == ["two-step-x"], (
        "hyphens are taste"
    )
    with pytest.raises(ValueError, match="wants a word"):
        papers.search(notes, [" "])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("- **Why?** See [the note](a.md#b), `x`, *second-hand*", "Why? See the note, x, second-hand"),
        ("2 * 3 * 4 and 9^2", "2 * 3 * 4 and 9^2"),
        ("a \\| b", "a | b"),
        (HOSTILE, HOSTILE),
    ],
)
def test_marks_are_taken_off(text: str, shown: str):
    assert papers.plain(text) == shown


def test_notes_are_chosen_by_state_and_line():
    notes = [note(), note(GOOD.replace("line: flow", "line: data"), "other")]
    assert [one.name for one in papers.choose(notes, line="data")] == ["other"]
    assert papers.choose(notes, state="reproduced") == []
    assert len(papers.choose(notes)) == 2
    with pytest.raises(ValueError, match="state of read, implemented, reproduced, got 'good'"):
        papers.choose(notes, state="good")


def test_citations_of_what_is_not_there_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in ("nbkit", "notebooks", "paper_notes", "data_manifests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "paper_notes" / "short.md").write_text(GOOD, encoding="utf-8")
    (tmp_path / "nbkit" / "a.py").write_text('"""Source: paper_notes/short.md#two-step-x"""')
    (tmp_path / "notebooks" / "b.ipynb").write_text("[note](../paper_notes/short.md#no-such) paper_notes/gone.md")
    monkeypatch.setenv("NBKIT_HOME", str(tmp_path))
    found = papers.faults(papers.read())
    assert found == [
        "notebooks/b.ipynb: short.md#no-such is cited and not there",
        "notebooks/b.ipynb: gone.md is cited and not there",
    ]
    shutil.rmtree(tmp_path / "notebooks")
    (tmp_path / "notebooks").mkdir()
    assert papers.faults(papers.read()) == []
