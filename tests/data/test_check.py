"""Every way in which a row can be bad, found before training."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nbkit.data import check, own
from nbkit.data.disk import DataError

RATE = 16000


def tone(seconds: float = 1.0, rate: int = RATE, level: float = 0.3) -> np.ndarray:
    return level * np.sin(2 * np.pi * 220 * np.arange(int(rate * seconds)) / rate)


def voice(folder: Path, **recordings) -> Path:
    """A folder of good recordings a, b, c and those given, each with the same good text or the one given."""
    folder.mkdir(parents=True)
    rows = {"a": tone(), "b": tone(), "c": tone(2.0)} | recordings
    lines = []
    for name, wave in rows.items():
        wave, text = wave if isinstance(wave, tuple) else (wave, "안녕하세요.")
        if wave is not None:
            soundfile.write(folder / f"{name}.wav", wave, RATE, subtype="FLOAT")
        lines.append(f"{name}.wav|{text}")
    (folder / "list.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def problems(folder: Path, **options) -> dict[str, list[tuple[str, str]]]:
    made, _ = own.add(str(folder), **options)
    found: dict[str, list[tuple[str, str]]] = {}
    for problem in check.check(made.name).problems:
        found.setdefault(problem.id, []).append((problem.kind, problem.detail))
    return found


def test_good_recordings_have_no_problem(home: Path, tmp_path: Path):
    made, _ = own.add(str(voice(tmp_path / "own")))
    report = check.check(made.name)
    assert report.good
    assert report.bad_lines() == set()
    assert report.excludable() == []
    assert dict(report.summary()) == {
        "rows": "3 of 1 speaker",
        "length": "4.0 s",
        "seconds": "1.00 shortest, 1.00 median, 2.00 longest",
        "sample rate": "16,000 Hz",
        "characters": "6 shortest, 6 median, 6 longest",
        "symbols": "front end 'jamo'",
    }


def test_bad_recordings_are_told_apart(home: Path, tmp_path: Path):
    broken = tone()
    broken[100:103] = np.nan
    folder = voice(
        tmp_path / "own",
        missing=(None, "없어요."),
        nan=broken,
        silent=np.zeros(RATE),
        none=np.zeros(0),
        clipped=np.clip(tone(level=3.0), -1, 1),
        loud=tone(level=1.5),
    )
    (folder / "empty.wav").write_bytes(b"")
    (folder / "page.wav").write_bytes(b"<html>not found</html>")
    soundfile.write(folder / "fast.wav", tone(rate=44100), 44100)
    soundfile.write(folder / "stereo.wav", np.stack([tone(), tone()], axis=1), RATE)
    soundfile.write(folder / "good.flac", tone(), RATE)
    (folder / "phone.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    cut = (folder / "a.wav").read_bytes()
    (folder / "cut.wav").write_bytes(cut[: len(cut) // 2])
    with open(folder / "list.txt", "a", encoding="utf-8") as stream:
        for name in ("empty.wav", "page.wav", "fast.wav", "stereo.wav", "good.flac", "phone.m4a", "cut.wav"):
            stream.write(f"\n{name}|안녕하세요.")
    made, _ = own.add(str(folder))
    report = check.check(made.name)
    found = {problem.id: (problem.kind, problem.detail) for problem in report.problems}
    for name, kind, told in [
        ("missing", "missing", "no file"),
        ("nan", "sound", "3 NaN or infinite"),
        ("silent", "sound", "silence"),
        ("none", "sound", "no samples"),
        ("loud", "sound", "a peak of 1.5"),
        ("clipped", "clipped", "cut off at full scale; record it at a lower level"),
        ("empty", "sound", "0 bytes"),
        ("page", "sound", "do not read as one"),
        ("fast", "rate", "wanted 16000 Hz as the manifest says, got 44100; convert it, or correct `rate`"),
        ("phone", "sound", "convert it: ffmpeg -i phone.m4a phone.wav"),
        ("cut", "sound", "cut short"),
    ]:
        assert found[name][0] == kind, name
        assert told in found[name][1], found[name]
    assert set(found) == {
        "missing",
        "nan",
        "silent",
        "none",
        "loud",
        "clipped",
        "empty",
        "page",
        "fast",
        "phone",
        "cut",
    }
    assert [p.line for p in report.problems] == sorted(p.line for p in report.problems)
    told = dict(report.summary())
    assert told["stereo"] == "1 recordings; their channels are averaged"
    assert told["sample rate"] == "16,000 Hz (6), 44,100 Hz (1)"


def test_bad_texts_are_told(home: Path, tmp_path: Path):
    found = problems(
        voice(
            tmp_path / "own",
            digits=(tone(), "값은 3천 원 OK"),
            signs=(tone(), "값은 3천 원 ★人"),
            nothing=(tone(), " "),
            long=(tone(0.1), "가나다" * 9),
        )
    )
    assert found["nothing"] == [("list", "empty text")]
    assert found["signs"] == [("symbols", "jamo does not know '★' '人'; write them as they are spoken")]
    assert found["long"] == [("too long", found["long"][0][1])]
    assert "symbols for 9 frames of sound" in found["long"][0][1]
    assert set(found) == {"nothing", "signs", "long"}, "digits and letters are read"


def test_rows_that_stand_twice_and_lines_out_of_shape(home: Path, tmp_path: Path):
    folder = voice(tmp_path / "own")
    with open(folder / "list.txt", "a", encoding="utf-8") as stream:
        stream.write("\nb.wav|안녕.\njust a line")
    found = problems(folder)
    assert found["b"] == [("list", "the id stands in line 2 already")]
    assert check.check("own").excludable() == []  # it would leave out the good b too
    assert found["just a line"] == [("list", "wanted 2 columns (path, text), got 1")]


def test_another_front_end(home: Path, tmp_path: Path):
    made, _ = own.add(str(voice(tmp_path / "own")))
    report = check.check(made.name, front_end="letters")
    assert len(report.problems) >= 3
    assert {problem.kind for problem in report.problems} == {"symbols"}


def test_a_language_without_a_front_end_is_checked_for_sound(home: Path, tmp_path: Path):
    made, _ = own.add(str(voice(tmp_path / "own", silent=np.zeros(RATE))), language="fr")
    report = check.check(made.name)
    assert report.excludable() == ["silent"]
    assert report.bad_lines() == {4}
    assert dict(report.summary())["symbols"] == "not checked: no front end"


def test_a_set_that_is_not_here(home: Path, tmp_path: Path):
    folder = voice(tmp_path / "own")
    made, _ = own.add(str(folder))
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="got no such folder"):
        check.check(made.name)


def test_real_recordings_are_good_and_quick(real_data: Path):
    started = time.monotonic()
    report = check.check("ljspeech_sample")
    assert time.monotonic() - started < 10
    assert report.rows == 24
    assert [problem for problem in report.problems if problem.kind != "symbols"] == []


@pytest.mark.parametrize("name", ["espeak_ko", "espeak_en"])
def test_synthetic_speech_is_good(home: Path, name: str):
    shipped = Path(__file__).parents[2] / "data_manifests" / f"{name}.yaml"
    few = shipped.read_text(encoding="utf-8").replace("count: 400", "count: 15")
    (home / f"{name}.yaml").write_text(few, encoding="utf-8")
    report = check.check(name)
    assert report.problems == []
    assert report.rows == 15
