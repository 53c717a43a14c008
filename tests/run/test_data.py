"""`nbkit data` as a person sees it."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nbkit.data import manifest
from nbkit.run import data


def main(words: list[str]) -> int:
    """The exit status of `nbkit` with these words."""
    parser = argparse.ArgumentParser(prog="nbkit")
    data.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(words)
    return arguments.call(arguments)


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """Three recordings and a list."""
    folder = tmp_path / "내 목소리"
    folder.mkdir()
    for name in "abc":
        soundfile.write(folder / f"{name}.wav", 0.3 * np.sin(np.arange(22050) / 10), 22050)
    (folder / "list.txt").write_text("a.wav|하나.\nb.wav|둘.\nc.wav|셋.\n", encoding="utf-8")
    return folder


def test_list_names_every_data_set(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NBKIT_DATA", raising=False)
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "KIND", "LANGUAGE", "HOURS", "ROWS", "LICENCE", "ON", "THIS", "MACHINE"]
    assert [line.split()[0] for line in lines[1:]] == manifest.names()
    told = {line.split()[0]: line for line in lines}
    assert told["ljspeech"].endswith("public domain           to fetch, 2.75 GB")
    assert "13,100" in told["ljspeech"]
    assert told["espeak_ko"].endswith("made on the spot")
    assert told["ljspeech_sample"].endswith("set NBKIT_DATA")
    assert told["kss"].split()[1] == "speech"
    assert told["nsmc"].split()[1:3] == ["labels", "ko"]
    assert told["nsmc"].endswith("to fetch, 19.5 MB")
    assert told["nsmc_raw"].endswith("to fetch")
    assert told["made_answers"].endswith("made on the spot")


def test_list_goes_on_past_a_wrong_manifest(home: Path, voice: Path, capsys: pytest.CaptureFixture):
    assert main(["data", "add", str(voice)]) == 0
    (home / "bad.yaml").write_text("name: bad\n")
    capsys.readouterr()
    assert main(["data", "list"]) == 1
    told = capsys.readouterr()
    assert "내_목소리" in told.out
    assert f"{home / 'bad.yaml'}: wanted field 'title'" in told.err


def test_add_says_what_it_saw_and_what_is_next(home: Path, voice: Path, capsys: pytest.CaptureFixture):
    assert main(["data", "add", str(voice), "--name", "mine", "--licence", "my own voice"]) == 0
    told = capsys.readouterr().out
    for part in (
        "list.txt: path|text in utf-8, recordings at {path}",
        f"language ko, 22,050 Hz; written to {home / 'mine.yaml'}",
        "mine: all 3 rows are good",
        "Next: nbkit run 22_glow_train -p dataset mine",
    ):
        assert part in told
    assert manifest.load("mine").licence == "my own voice"


def test_bad_rows_make_a_table_and_an_exit_status(home: Path, voice: Path, capsys: pytest.CaptureFixture):
    (voice / "b.wav").unlink()
    (voice / "list.txt").write_text("a.wav|하나 ♥.\nb.wav|둘.\nc.wav|셋.\n", encoding="utf-8")
    assert main(["data", "add", str(voice), "--name", "mine"]) == 1
    assert "Next:" not in capsys.readouterr().out
    assert main(["data", "check", "mine"]) == 1
    told = capsys.readouterr().out
    table = told[told.index("LINE") :].splitlines()
    assert table[0].split() == ["LINE", "ID", "PROBLEM", "WHAT"]
    assert table[1].split()[:3] == ["1", "a", "symbols"]
    assert table[2].split()[:3] == ["2", "b", "missing"]
    assert "2 of 3 rows are bad; repair them and check again" in told
    line = told.strip().splitlines()[-1]
    path = home / "mine.yaml"
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    assert main(["data", "check", "mine"]) == 0
    assert "mine: all 1 rows are good" in capsys.readouterr().out


def test_fetch_of_an_archive_and_of_nothing(home: Path, voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    archive = tmp_path / "voice.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        for path in voice.iterdir():
            stream.write(path, path.name)
    assert main(["data", "add", str(archive), "--name", "mine"]) == 0
    folder = manifest.folder_of(manifest.load("mine"))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    capsys.readouterr()
    assert main(["data", "check", "mine"]) == 1
    assert "mine is not on this machine yet" in capsys.readouterr().err
    assert main(["data", "fetch", "mine"]) == 0
    assert capsys.readouterr().out.endswith(f"mine is in {folder}\n")
    assert main(["data", "fetch", "nine"]) == 1
    assert "did you mean mine?" in capsys.readouterr().err


def test_synthetic_speech_is_made(capsys: pytest.CaptureFixture):
    assert main(["data", "fetch", "espeak_ko", "--count", "12"]) == 0
    folder = manifest.folder_of(manifest.load("espeak_ko"))
    assert f"espeak_ko is in {folder}" in capsys.readouterr().out
    found = manifest.open_dataset("espeak_ko", 12)
    assert [len(found.rows), len(found.split("validation"))] == [12, 1]
    assert found.rows[0].phones
    assert found.rows[0].words
    more = manifest.open_dataset("espeak_ko", 20)
    assert [u.id for u in more.rows[:12]] == [u.id for u in found.rows]
    assert manifest.open_dataset("espeak_ko", 12).fingerprint == found.fingerprint != more.fingerprint


def test_an_interrupt_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(manifest, "fetch", stopped)
    assert main(["data", "fetch", "ljspeech"]) == 130
    assert "the same command goes on there" in capsys.readouterr().err


def test_hangul_counts_double_in_a_table():
    assert data.table([("가나", "b"), ("abc", "d")]).splitlines() == ["가나  b", "abc   d"]


def test_what_is_made_on_the_spot_needs_no_fetch(capsys: pytest.CaptureFixture):
    assert main(["data", "fetch", "made_reviews"]) == 0
    told = capsys.readouterr()
    assert told.out.endswith("made_reviews is made on the spot each time it is opened; there is nothing to fetch\n")
    assert not told.err


def test_a_published_model_is_listed_and_checked_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setenv("NBKIT_DATA", str(tmp_path))
    assert main(["data", "list"]) == 0
    told = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert told["kobert_tokenizer"].split()[1:3] == ["model", "ko"]
    assert told["kobert_tokenizer"].endswith("to fetch, 371 kB")
    assert main(["data", "check", "kobert_weights"]) == 1
    assert "bring it with `nbkit data fetch kobert_weights`" in capsys.readouterr().err
    (tmp_path / "kobert_weights").mkdir()
    (tmp_path / "kobert_weights" / "config.json").write_text("{}")
    assert main(["data", "check", "kobert_weights"]) == 1
    told = capsys.readouterr().out
    assert "pytorch_model.bin  missing" in told
    assert "kobert_weights: 1 of 2 files are bad" in told
    assert "exclude" not in told
    assert main(["data", "fetch", "kobert_weights"]) == 0
    assert "kobert_weights is in" in capsys.readouterr().out
