"""What notebook 10 leans on: symbols stand with their words, and each damage is the one that it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbkit.base import workspace
from nbkit.data import check, espeak, manifest, own, text, tour


@pytest.mark.parametrize("front_end", ["jamo", "phones"])
def test_every_symbol_stands_with_its_word(front_end: str):
    written = "같이 가자고, 말해 보세요."
    encoded = text.front_end(front_end).encode(written)
    read = tour.by_word(written, encoded)
    assert [word for word, _ in read] == written.split()
    assert [symbol for _, symbols in read for symbol in symbols] == encoded.symbols
    assert all(symbols for _, symbols in read)


@pytest.mark.parametrize(
    ("language", "names"), [("ko", ["jamo", "phones"]), ("jje", ["jamo"]), ("en", ["letters", "phones"]), ("fr", [])]
)
def test_front_ends_of_a_language(language: str, names: list[str]):
    readers = tour.front_ends(language)
    assert [reader.name for reader in readers] == names
    assert {reader.language for reader in readers if reader.name == "phones"} <= {language}


def test_marks_and_spaces_stand_with_the_word_before():
    read = tour.by_word(" 네, 가", text.front_end("jamo").encode(" 네, 가"))
    assert read == [("네,", ["ᄂ", "ᅦ", ",", " "]), ("가", ["ᄀ", "ᅡ"])]


def test_elsewhere_is_another_home_and_passes(tmp_path, monkeypatch):
    monkeypatch.setenv("NBKIT_HOME", str(tmp_path))

    def fail_there() -> None:
        with tour.elsewhere() as home:
            assert workspace.root() == home.resolve()
            assert manifest.names() == []
            raise RuntimeError(str(home))

    with pytest.raises(RuntimeError, match="nbkit-") as caught:
        fail_there()
    assert not Path(str(caught.value)).exists()
    assert os.environ["NBKIT_HOME"] == str(tmp_path)
    monkeypatch.delenv("NBKIT_HOME")
    with tour.elsewhere():
        pass
    assert "NBKIT_HOME" not in os.environ


@pytest.mark.parametrize("count", [3, 12])
def test_the_check_names_each_damage_as_what_it_is(tmp_path, count: int):
    rows = [
        manifest.Utterance(row["id"], tmp_path / row["audio"], row["text"], row["speaker"])
        for row in espeak.write_corpus(tmp_path, "ko", count)
    ]
    with tour.elsewhere() as home:
        damages = tour.spoil(rows, home / "spoilt", 22050)
        made, _ = own.add(str(home / "spoilt"))
        report = check.check(made.name)
    found = {name: {problem.kind for problem in report.problems if problem.id == name} for name, *_ in damages}
    assert found == {damage.name: {damage.kind} - {""} for damage in damages}
    assert report.rows == len(damages)


def test_the_smoke_preset_is_small():
    assert tour.ManifestsAndAudio.preset("smoke").count < tour.ManifestsAndAudio().count
