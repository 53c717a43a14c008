"""The speech player in a browser: one playhead over everything, tokens, loops, zoom, versions, steps, keys."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from nbkit.views import player, speech
from tests.browser.looks import frame_of, position, wait_until

pytestmark = pytest.mark.browser
RATE, HOP = 22050, 256
WORDS = ["ᄒ", "ᅡ", "ᆫ", " ", "ᄆ", "ᅡ", "ᆯ"]
SOURCE = """
import numpy as np
from nbkit.views import speech
rate, hop = 22050, 256
wave = (0.2 * np.sin(np.arange(2 * rate) / 12)).astype(np.float32)
durations = np.array([40, 30, 20, 10, 30, 22, 20])
mel = np.random.default_rng(0).normal(size=(80, 172))
speech.player(
    [speech.Version(title, wave, rate, mel, hop, list("가나다 마바사"), durations) for title in ("녹음", "모델")]
)
"""


def version(title: str, seconds: float, **changed) -> speech.Version:
    """A tone whose first token lasts as long as the six others."""
    frames = int(seconds * RATE / HOP)
    durations = np.diff(np.rint(np.array([0, 6, 7, 8, 9, 10, 11, 12]) / 12 * frames).astype(int))
    random = np.random.default_rng(frames)
    wave = (0.2 * np.sin(2 * np.pi * 220 * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)
    arrays = {
        "log_mel": random.normal(size=(80, frames)),
        "hop": HOP,
        "symbols": WORDS,
        "durations": durations,
        "scores": random.normal(size=(len(WORDS), frames)),
        "truth": [("한", 0.0, 0.6 * seconds, 0, 3)],
        "pitch": np.where(np.arange(frames) % 40 < 10, np.nan, 220.0),
    }
    return speech.Version(title, wave, RATE, **(arrays | changed))


def open_page(view, made, path: Path) -> None:
    view.page.goto(made.save(path).as_uri())
    view.page.wait_for_selector("body[data-ready]")


def at(view) -> float:
    """Seconds that the page shows."""
    return float(view.page.locator(".time").inner_text().split()[0])


def is_playing(view) -> bool:
    return view.page.locator(".play").get_attribute("aria-label") == "pause"


@pytest.fixture
def two(view, tmp_path):
    """A page of two versions, one of 3 and one of 4 seconds."""
    open_page(
        view, speech.player([version("recording", 3.0), version("step 20,000", 4.0)], text="한 말"), tmp_path / "x.html"
    )
    return view


def test_the_head_moves_with_the_sound_and_stops_at_its_end(two):
    page = two.page
    page.locator(".play").click()
    wait_until(lambda: position(page.locator(".head")) > 5)
    assert is_playing(two)
    page.keyboard.press("Space")
    assert not is_playing(two)
    rests = at(two)
    page.wait_for_timeout(150)
    assert at(two) == rests
    page.locator(".track").click(position={"x": 0.74 * page.locator(".track").bounding_box()["width"], "y": 30})
    assert at(two) == pytest.approx(0.74 * 4, abs=0.02)
    page.keyboard.press("Space")
    wait_until(lambda: not is_playing(two))
    assert at(two) == 3.0
    two.screenshot("speech")
    two.assert_clean()


def test_a_token_is_heard_alone(two):
    token = two.page.locator(".token").nth(4)
    assert token.inner_text() == "ㅁ"
    token.click()
    assert is_playing(two)
    assert 2.25 <= at(two) <= 2.55
    wait_until(lambda: not is_playing(two))
    assert at(two) == pytest.approx(2.5, abs=0.02)
    two.assert_clean()


def test_another_version_goes_on_at_the_same_point_of_the_same_token(two):
    page = two.page
    track = page.locator(".track").bounding_box()
    page.locator(".track").click(position={"x": track["width"] * 1.0 / 4, "y": 30})  # 2/3 of the first token
    assert at(two) == pytest.approx(1.0, abs=0.02)
    page.locator(".version").nth(1).click()
    assert at(two) == pytest.approx(4 / 3, abs=0.03)
    assert page.locator(".version").nth(1).get_attribute("aria-pressed") == "true"
    page.locator(".play").click()
    wait_until(lambda: at(two) > 1.45)
    page.keyboard.press("1")
    assert is_playing(two)
    assert 1.0 < at(two) < 1.45
    page.keyboard.press("2")
    page.keyboard.press("Space") if is_playing(two) else None
    two.assert_clean()


def test_tokens_are_one_stop_of_the_tab_key(two):
    page = two.page
    tokens = page.locator(".token")
    stops = tokens.evaluate_all("nodes => nodes.filter((node) => node.tabIndex === 0).length")
    assert tokens.count() > 1
    assert stops == 1
    tokens.first.focus()
    page.keyboard.press("ArrowRight")
    held = page.evaluate("[...document.querySelectorAll('.token')].indexOf(document.activeElement)")
    assert held == 1
    assert at(two) == 0  # the arrow moved to the next token and not in time
    page.keyboard.press("Enter")
    assert is_playing(two)
    two.assert_clean()


def test_a_drag_loops_until_escape(two):
    page = two.page
    box = page.locator(".track").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.30 * box["width"], box["y"] + 60, steps=4)
    page.mouse.up()
    assert is_playing(two)
    page.wait_for_timeout(900)  # four times round
    assert is_playing(two)
    assert 1.0 <= at(two) <= 1.21
    assert page.locator(".region").is_visible()
    page.keyboard.press("Escape")
    assert page.locator(".region").is_hidden()
    wait_until(lambda: at(two) > 1.3)
    page.keyboard.press("l")  # the word that is heard now
    assert page.locator(".loop").get_attribute("aria-pressed") == "true"
    two.assert_clean()


def test_zoom_and_keys(two):
    page = two.page
    width = page.locator(".track").bounding_box()["width"]
    page.locator(".in").click()
    page.keyboard.press("+")
    assert page.locator(".track").bounding_box()["width"] == pytest.approx(4 * width, rel=0.01)
    page.keyboard.press("ArrowRight")
    assert at(two) == pytest.approx(0.1)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("-")
    page.keyboard.press("-")
    page.locator(".track").hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    wait_until(lambda: page.locator(".track").bounding_box()["width"] == pytest.approx(2 * width, rel=0.01))
    two.screenshot("speech-zoomed")
    two.assert_clean()


@pytest.mark.parametrize(("width", "scheme"), [(420, "light"), (1040, "dark")])
def test_nothing_is_cut_off(view, tmp_path, width: int, scheme: str):
    made = speech.player([version("recording", 3.0), version("a" * 300, 4.0)], text="한 말 " * 40)
    view.page.emulate_media(color_scheme=scheme)
    view.page.set_viewport_size({"width": width, "height": 900})
    open_page(view, made, tmp_path / "x.html")
    assert view.page.evaluate("document.documentElement.scrollWidth") <= width
    view.screenshot(f"speech-{width}-{scheme}")
    view.assert_clean()


def test_no_half_letters_stand_in_narrow_tokens(two):
    """Half of ㅁ reads as another letter, so what has no room is left out."""
    two.page.set_viewport_size({"width": 300, "height": 800})
    tokens = two.page.locator(".strip.tokens > *")

    def looks() -> list[list]:
        return tokens.evaluate_all(
            "all => all.map((one) => [getComputedStyle(one).fontSize, one.scrollWidth - one.clientWidth])"
        )

    wait_until(lambda: {size for size, _ in looks()} == {"0px", "13px"})
    assert all(over <= 0 for size, over in looks() if size != "0px")


def test_hostile_text_stays_text(view, tmp_path):
    hostile = ["<script>document.title='x'</script>", "</script><b>", "\"'", "\u202eabc", "😀", "가" * 300, "\ud800"]
    made = speech.player([version(hostile[0], 3.0, symbols=hostile, truth=[(hostile[1], 0.0, 1.0)])], text=hostile[0])
    open_page(view, made, tmp_path / "x.html")
    assert view.page.locator(".token").all_text_contents() == [*hostile[:6], "\ufffd"]
    assert view.page.title() == view.page.locator("h1").text_content() == hostile[0]
    assert view.page.locator(".strip.truth span").all_text_contents() == [hostile[1]]
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 1280
    view.screenshot("speech-hostile")
    view.assert_clean()


def test_everything_has_a_name_for_those_who_hear_it(two):
    head = two.page.get_by_role("slider", name="position in seconds")
    two.page.locator(".token").nth(4).click()
    wait_until(lambda: not is_playing(two))
    assert float(head.get_attribute("aria-valuenow")) == pytest.approx(2.5, abs=0.02)
    for name in ("play", "zoom in", "zoom out", "loop", "1 recording", "ㅁ"):
        assert two.page.get_by_role("button", name=name, exact=True).count() == 1
    two.assert_clean()


def test_the_frame_is_high_enough(view, tmp_path):
    made = speech.player([version("recording", 3.0), version("model", 4.0)], text="한 말")
    for width in (1280, 720):
        view.page.set_viewport_size({"width": width, "height": 200})
        open_page(view, made, tmp_path / "x.html")
        assert made.height - 80 < view.page.evaluate("document.documentElement.scrollHeight") <= made.height
    view.assert_clean()


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "glow_tts-1a2b3c4d"
    for part in ("views", "audio"):
        (folder / part).mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"task": "glow_tts", "parameters": {}}))
    for index in range(4):
        one = version("", 2.0)
        durations = np.roll(np.array(one.durations), index)
        arrays = {"durations": durations, "symbols": WORDS, "seconds_per_frame": HOP / RATE}
        path = folder / "views" / f"alignment-{1000 * index:09d}.npz"
        scores = np.roll(np.array(one.scores), index, axis=0)
        np.savez(path, **arrays, mel=np.array(one.log_mel), scores=scores)
        sample = player.wav(player.pcm(version("", 1.0 + index).wave)[0], RATE)
        (folder / "audio" / f"sample-{1000 * index:09d}.wav").write_bytes(sample)
    return folder


def test_a_slider_shows_the_alignment_growing(view, run, tmp_path):
    recording = player.Sound(version("", 2.0).wave, RATE, "recording", "한 말")
    open_page(view, speech.growth(run, recording=recording), tmp_path / "x.html")
    page = view.page
    picture = "() => document.querySelector('.panel.path canvas').toDataURL()"
    assert page.locator("output").inner_text() == "step 3,000"
    page.locator(".play").click()
    wait_until(lambda: at(view) > 0.2)
    last, reached = page.evaluate(picture), at(view)
    slider = page.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("output").inner_text() == "step 2,000"
    assert page.evaluate(picture) != last
    assert is_playing(view)
    assert reached <= at(view) < reached + 1.0
    view.screenshot("speech-growth")
    page.keyboard.press("2")
    assert page.locator(".time").inner_text().endswith("3.00 s")
    view.assert_clean()


@pytest.mark.slow
def test_in_a_notebook(lab, view):
    path = lab.folder / "speech-notebook.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(SOURCE.strip())]), path)
    lab.run_notebook(view, path)
    frame = frame_of(view.page, "speech")
    frame.locator(".play").click()
    wait_until(lambda: position(frame.locator(".head")) > 2)
    frame.locator(".token").nth(4).click()
    wait_until(lambda: position(frame.locator(".head")) == pytest.approx(100 * 130 / 172.3, abs=1))
    assert frame.locator(".token").first.inner_text() == "가"
    view.assert_clean()
