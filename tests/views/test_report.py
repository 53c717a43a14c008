"""The page of a run folder, whole or in pieces."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from nbkit.views import player, report, style

PIXEL = b"\x89PNG" + b"\r\n\x1a\n" + bytes(40)


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf8")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    folder = tmp_path / "glow_tts-1a2b3c4d"
    parameters = {"dataset": "espeak_ko", "sentence": "같이 <가자>", "stop_at": 400}
    identity = {key: parameters[key] for key in ("dataset", "sentence")}
    write(folder / "config.json", {"task": "glow_tts", "parameters": parameters, "identity": identity, "data": "9f8e"})
    return folder


@pytest.fixture
def full(bare: Path) -> Path:
    session = {"started": "2026-11-20T13:00:00+0000", "python": "3.11.7", "platform": "Linux", "cpus": 2, "gpu": None}
    session |= {"packages": {"torch": "2.13.0"}, "git": {"commit": "0123456789abcdef", "dirty": True}}
    write(bare / "environment.json", [session, session | {"gpu": {"name": "Tesla T4"}, "precision": "fp16"}])
    write(bare / "status.json", {"state": "interrupted", "step": 300, "stop_at": 400, "message": "SIGTERM; saved"})
    rows = [{"step": i, "split": "train", "loss": 3 / i, "skipped": 0, "gradient_norm": "nan"} for i in range(1, 301)]
    rows += [{"step": i, "split": "validation", "loss": 4 / i, "boundary_error_ms": 227.1 - i / 2} for i in (100, 300)]
    (bare / "log.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 301, "lo', encoding="utf8"
    )
    for step in range(0, 2000, 100):
        about = {"caption": "말해보세요", "name": "alignment", "step": step}
        write(bare / f"views/alignment-{step:09d}.json", about)
        (bare / f"views/alignment-{step:09d}.png").write_bytes(PIXEL + bytes([step // 100]))
    samples = (3000 * np.sin(np.arange(11025) / 8)).astype(np.int16)
    for step in (100, 300):
        write(
            bare / f"audio/sample-{step}.json",
            {"caption": "Griffin-Lim", "text": "가 <나>", "name": "sample", "step": step},
        )
        (bare / f"audio/sample-{step}.wav").write_bytes(player.wav(samples, 22050))
    return bare


def page(folder: Path) -> str:
    path = report.write(folder)
    assert path == folder / "report.html"
    return path.read_text(encoding="utf8")


def test_a_run_that_has_only_begun_has_a_page(bare: Path):
    text = page(bare)
    assert "glow_tts-1a2b3c4d" in text
    assert "같이 &lt;가자&gt;" in text
    assert "<h2>Curves" not in text
    assert "<h2>Listen" not in text


def test_a_config_that_says_little_is_enough(bare: Path):
    write(bare / "config.json", {"parameters": {"seed": 0}})
    assert "<h1>glow_tts-1a2b3c4d</h1>" in page(bare)


def test_a_run_shows_all_it_has(full: Path):
    text = page(full)
    assert '<span class="state interrupted">interrupted</span>' in text
    assert "<b>300</b> of 400 · Tesla T4" in text
    assert "SIGTERM; saved" in text
    assert "fp16" in text
    assert "commit 0123456789 with changes" in text
    assert re.search(r"boundary error, ms</td><td>177.1</td><td>77.1</td>", text)
    assert re.findall(r'alt="(.*) over steps"', text) == ["loss", "boundary error, ms"]
    assert "말해보세요" in text
    assert "가 &lt;나&gt; — Griffin-Lim" in text
    assert text.count("<audio") == 2
    assert re.search(r'class="free"><td>stop_at', text)
    assert not re.search(r'class="free"><td>dataset', text)


def test_of_many_states_the_first_the_newest_and_a_few_between_are_shown(full: Path):
    steps = re.findall(r'alt="alignment, step (\d+)"', page(full))
    assert steps == ["0", "400", "800", "1100", "1500"]
    assert "<small>step 1,900</small>" in page(full)


def test_nothing_comes_from_outside(full: Path):
    assert not re.search(r"https?://|@import|src=\"(?!data:)", page(full))


def test_korean_glyphs_come_along(full: Path):
    assert style.FAMILIES[1] in page(full).partition("</style>")[0]


def test_what_cannot_be_read_is_named(full: Path):
    (full / "audio" / "broken.wav").write_bytes(b"RIFF")
    (full / "views" / "empty.png").write_bytes(b"")
    text = page(full)
    assert "audio/broken.wav cannot be shown" in text
    assert "views/empty.png cannot be shown: not a PNG" in text
    assert text.count("<audio") == 2


def test_files_without_a_caption_are_shown_by_their_name(bare: Path):
    (bare / "views").mkdir()
    (bare / "views" / "scores.png").write_bytes(PIXEL)
    assert "<h2>Scores</h2>" in page(bare)


def test_what_a_failed_notebook_said_is_on_the_page(full: Path):
    write(full / "run.json", {"state": "dead", "error": "the kernel died in cell 5"})
    assert "SIGTERM; saved Notebook: dead, the kernel died in cell 5" in page(full)


def test_another_folder_is_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        report.write(tmp_path)


def test_the_page_of_a_view_is_linked_and_others_are_not(tmp_path):
    folder = tmp_path / "glow_tts-1a2b3c4d"
    (folder / "views").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"task": "glow_tts", "parameters": {}}))
    picture = style.png(style.axes(2, 1))
    for name in ("player", "alignment"):
        (folder / "views" / f"{name}.png").write_bytes(picture)
    (folder / "views" / "player.html").write_text("<!doctype html>")
    written = report.write(folder).read_text(encoding="utf8")
    assert 'href="views/player.html"' in written
    assert "views/alignment.html" not in written
