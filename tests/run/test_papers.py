"""`nbkit papers`: the list, the search, the check, and what each says with which status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbkit.evaluate import papers
from nbkit.run.__main__ import main

ROOT = Path(papers.__file__).resolve().parents[2]
GOOD = (ROOT / "paper_notes" / "wavenet.md").read_text(encoding="utf-8")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two notes."""
    for folder in ("nbkit/models/glow_tts", "notebooks", "paper_notes", "data_manifests"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "nbkit/models/glow_tts/decoder.py").write_text("")
    for name, line in (("wavenet", "vocoder"), ("wavernn", "data")):
        text = GOOD.replace("line: vocoder", f"line: {line}").replace("# WaveNet\n", f"# {name.title()}\n", 1)
        (tmp_path / "paper_notes" / f"{name}.md").write_text(text, encoding="utf-8")
    monkeypatch.setenv("NBKIT_HOME", str(tmp_path))
    return tmp_path


def test_the_list_has_a_line_for_each_note(home: Path, capsys: pytest.CaptureFixture):
    assert main(["papers"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["YEAR", "NOTE", "LINE", "STATE", "CLAIMS", "SECOND-HAND", "HOLD", "FAIL", "OPEN", "PAPER"]
    assert [row.split()[:4] for row in rows] == [
        ["2016", "wavenet", "vocoder", "read"],
        ["2016", "wavernn", "data", "read"],
    ]
    assert main(["papers", "list", "--line", "data"]) == 0
    assert "wavenet" not in capsys.readouterr().out
    assert main(["papers", "--line", "data", "list"]) == 0, "a filter before the word stays"
    assert "wavenet" not in capsys.readouterr().out
    assert main(["papers", "--state", "reproduced"]) == 0
    assert capsys.readouterr().out == "no such note\n"


def test_the_list_as_json_holds_the_front_matter(home: Path, capsys: pytest.CaptureFixture):
    assert main(["papers", "list", "--json"]) == 0
    first, _ = json.loads(capsys.readouterr().out)
    assert first["note"] == "wavenet"
    assert first["arxiv"] == "1609.03499"
    assert first["claims"] >= first["second_hand"] > 0


def test_the_search_names_sections_and_their_lines(home: Path, capsys: pytest.CaptureFixture):
    (home / "paper_notes" / "wavernn.md").unlink()
    assert main(["papers", "search", "MU-LAW", "classes"]) == 0
    out = capsys.readouterr().out
    assert "paper_notes/wavenet.md#mu-law\n" in out
    assert max(map(len, out.splitlines())) <= 104
    assert main(["papers", "search", "mu-law", "zebra"]) == 1
    assert "no section of 1 notes holds all of: mu-law zebra" in capsys.readouterr().out


def test_the_check_tells_faults_and_fails(home: Path, capsys: pytest.CaptureFixture):
    assert main(["papers", "check"]) == 0 or "links to" in capsys.readouterr().out
    (home / "nbkit" / "a.py").write_text("# Source: paper_notes/wavenet.md#nothing")
    assert main(["papers", "check"]) == 1
    assert "nbkit/a.py: wavenet.md#nothing is cited and not there" in capsys.readouterr().out


def test_a_note_that_cannot_be_read_is_named(home: Path, capsys: pytest.CaptureFixture):
    (home / "paper_notes" / "bad.md").write_text("# Bad\n")
    for words in (["papers"], ["papers", "search", "a"], ["papers", "check"]):
        assert main(words) == 1
        assert "bad.md wants front matter" in capsys.readouterr().err


def test_unknown_lines_and_states_are_refused(home: Path, capsys: pytest.CaptureFixture):
    for words in (["papers", "--line", "cooking"], ["papers", "--state", "eaten"]):
        with pytest.raises(SystemExit, match="2"):
            main(words)
    assert "invalid choice: 'eaten'" in capsys.readouterr().err
