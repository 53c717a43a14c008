"""Pages opened from the disk, with the network away."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nbkit.views import (
    alignment,
    claims,
    page,
    pieces,
    pipeline,
    player,
    ranking,
    reading,
    report,
    style,
    summary,
)

pytestmark = pytest.mark.browser
RATE = 22050


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "glow_tts-1a2b3c4d"
    (folder / "views").mkdir(parents=True)
    (folder / "audio").mkdir()
    config = {"task": "glow_tts", "parameters": {"sentence": "같이 <b>가자</b>", "stop_at": 60}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "status.json").write_text(json.dumps({"state": "finished", "step": 60}))
    rows = [{"step": step, "split": "train", "loss": 3 / step} for step in range(1, 61)]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ax = alignment.plot(np.full(6, 20), list("같이 가자고"), seconds_per_frame=256 / RATE)
    (folder / "views" / "alignment-000000060.png").write_bytes(style.png(ax))
    for name in ("recording", "synthesis"):
        tone = (8000 * np.sin(np.arange(5 * RATE) / 15)).astype(np.int16)
        (folder / "audio" / f"{name}.wav").write_bytes(player.wav(tone, RATE))
    return folder


def test_a_report_plays_without_a_network(run_folder: Path, view):
    page = view.page
    page.goto(report.write(run_folder).as_uri())
    assert page.locator("h1").inner_text() == "glow_tts"
    assert "같이 <b>가자</b>" in page.locator("table").first.inner_text()
    assert all(page.locator("img").evaluate_all("nodes => nodes.map((node) => node.naturalWidth > 100)"))
    first, second = page.locator("audio").all()
    page.locator(".play").first.click()
    page.wait_for_function("node => node.currentTime > 0", arg=first.element_handle())
    page.locator(".play").nth(1).click()
    page.wait_for_function("node => node.currentTime > 0", arg=second.element_handle())
    assert first.evaluate("node => node.paused"), "one plays at a time"
    view.screenshot("report")
    view.assert_clean()


def drawn_by_us(view) -> list[str]:
    """The texts of a page, after a look whether their Korean is drawn with the font that the page brought along."""
    leaves = "body :not(:has(*)):not(style, script)"
    browser = view.page.context.new_cdp_session(view.page)
    browser.send("DOM.enable")
    browser.send("CSS.enable")
    root = browser.send("DOM.getDocument")["root"]["nodeId"]
    nodes = browser.send("DOM.querySelectorAll", {"nodeId": root, "selector": leaves})["nodeIds"]
    texts = view.page.locator(leaves).all_text_contents()
    for node, text in zip(nodes, texts, strict=True):
        if wanted := sum(letter >= "\u3000" for letter in text):
            fonts = browser.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
            assert (text, sum(font["glyphCount"] for font in fonts if font["isCustomFont"])) == (text, wanted)
    return texts


def test_korean_comes_from_the_page_itself(run_folder: Path, view):
    view.page.goto(report.write(run_folder).as_uri())
    loaded = "async () => (await document.fonts.load('16px \"nbkit Hangul\"', '가')).map((font) => font.status)"
    assert view.page.evaluate(loaded) == ["loaded"]
    assert "같이 <b>가자</b>" in drawn_by_us(view)


def test_outputs_of_one_notebook_draw_all_their_korean(tmp_path: Path, view):
    """Also beside a text that no font draws, after which Chromium passes by a font behind system-ui."""
    word = reading.Word(("3시에", "세 시에"), ("native numeral",), (("ᄉ", True), ("ɕ", False)))
    piece = pieces.Piece("▁세상", 5, start=0, end=2)
    outputs = [
        summary.table([("같은 뜻", 12), ("다른 뜻", 3)], ("이름", "rows")),
        reading.table([word], ("written", "read")),
        pieces.boxes(pieces.Cut(("세상",), (piece,), "토막")),
        ranking.columns("몇 시예요?", {"낱말": [("세 시예요", 1.0), ("몰라요", 0.5)]}, {"세 시예요"}),
        claims.table(
            [claims.Row("정확도 .901", "논문", ".861", "open", "다른 크기에서 잼", "nbkit run 42_kobert_classify")]
        ),
    ]
    shown = "".join(f"<section>{output._repr_html_()}</section>" for output in outputs)
    (tmp_path / "outputs.html").write_text(
        f"<!DOCTYPE html><meta charset=utf8><p style='font-family:system-ui'>뷁<br></p>{shown}", encoding="utf8"
    )
    view.page.goto((tmp_path / "outputs.html").as_uri())
    view.page.evaluate("() => document.fonts.ready")
    assert "3시에" in drawn_by_us(view)
    view.screenshot("korean-outputs")
    view.assert_clean()


def test_a_page_reads_in_the_dark_and_on_a_phone(run_folder: Path, view):
    view.page.emulate_media(color_scheme="dark")
    view.page.set_viewport_size({"width": 390, "height": 800})
    view.page.goto(report.write(run_folder).as_uri())
    background = "() => getComputedStyle(document.body).backgroundColor"
    assert view.page.evaluate(background) == "rgb(20, 25, 30)"
    assert view.page.evaluate("() => document.documentElement.scrollWidth") <= 390
    view.screenshot("report-phone")


def test_without_scripts_the_browsers_own_controls_remain(run_folder: Path, chromium):
    page = chromium.new_page(java_script_enabled=False)
    page.goto(report.write(run_folder).as_uri())
    assert page.locator("audio[controls]").count() == 2
    assert page.locator("audio").first.is_visible()
    page.close()


def test_a_request_that_would_leave_the_machine_is_noted(tmp_path: Path, view):
    """Else nothing that says "no network" says anything."""
    (tmp_path / "page.html").write_text("<script src='https://example.org/a.js'></script>")
    view.page.goto((tmp_path / "page.html").as_uri())
    assert view.outside == ["https://example.org/a.js"]
    assert not view.errors


def test_the_graph_of_a_pipeline_fits_its_window_and_is_walked_through_by_keyboard(tmp_path: Path, view):
    train = pipeline.Stage("train", "22_glow_train", "done", seconds=75, run="glow_tts-1", report="report.html")
    speak = pipeline.Stage("speak", "23_glow_speak", "failed", [("train", "source")], error="no", log="In[3] " * 100)
    path = page.write(tmp_path / "report.html", pipeline.render("speech", [train, speak]))
    tab = view.page
    tab.goto(path.as_uri())
    for width, shown in ((1200, "wide"), (400, "narrow")):
        tab.set_viewport_size({"width": width, "height": 800})
        assert tab.locator("svg:visible").get_attribute("class") == shown
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    heard = []
    for _ in range(3):
        tab.keyboard.press("Tab")
        heard.append(tab.evaluate("document.activeElement.getAttribute('aria-label')"))
    assert heard == ["train: done; 1 min 15 s", "report of train, run glow_tts-1", "speak: failed; source from train"]
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#stage-2"
    view.screenshot("pipeline")
    view.assert_clean()
