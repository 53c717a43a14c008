"""A book in a browser: the lit word is the one that sounds, a click plays from there, the text follows, keys work."""

from __future__ import annotations

import numpy as np
import pytest

from nbkit.data import audio
from nbkit.views import book
from nbkit.views.book import Word
from tests.browser.looks import wait_until

pytestmark = pytest.mark.browser
RATE, COUNT = 22050, 240


@pytest.fixture
def shown(view, tmp_path):
    """A minute, four words a second, a word of it said otherwise."""
    wave = (0.1 * np.sin(np.arange(60 * RATE) / 12)).astype(np.float32)
    audio.save(tmp_path / "a.wav", wave, RATE)
    words = [Word(f"말{i}", i / 4, i / 4 + 0.2, "소리" if i == 3 else "", i < 2) for i in range(COUNT)]
    paragraphs = [words[:2], *(words[at : at + 40] for at in range(2, COUNT, 40))]
    page = book.page("이야기", tmp_path / "a.wav", wave, RATE, paragraphs)
    view.page.set_viewport_size({"width": 480, "height": page.height})
    view.page.goto(page.save(tmp_path / "book.html").as_uri())
    wait_until(lambda: "1:00" in view.page.locator("#time").inner_text())
    yield view.page
    view.assert_clean()


def lit(page) -> str:
    return " ".join(page.locator(".word.on").all_inner_texts())


def now(page) -> float:
    return page.locator("audio").evaluate("node => node.currentTime")


def test_the_lit_word_is_the_one_that_sounds(shown):
    assert lit(shown) == ""
    shown.get_by_role("button", name="play").click()
    wait_until(lambda: lit(shown) == "말4")
    shown.get_by_role("button", name="pause").click()
    assert int(4 * now(shown)) in (4, 5)
    assert shown.locator(".heard").count() == int(4 * now(shown))


def test_a_click_plays_from_a_word_and_the_text_follows(shown):
    shown.locator(".word").nth(200).scroll_into_view_if_needed()
    shown.locator(".word").nth(200).click()
    wait_until(lambda: 50.0 <= now(shown) < 52 and lit(shown).startswith("말20"))
    shown.get_by_role("button", name="pause").click()
    shown.get_by_role("slider").fill("5")
    wait_until(lambda: lit(shown) == "말20")
    wait_until(lambda: shown.locator("main").evaluate("node => node.scrollTop") < 200)
    assert shown.locator(".heard").count() == 20


def test_keys_and_speed(shown):
    shown.locator("main").focus()
    shown.keyboard.press("ArrowRight")
    wait_until(lambda: now(shown) == pytest.approx(10, abs=0.1))
    shown.keyboard.press("ArrowLeft")
    wait_until(lambda: now(shown) == pytest.approx(0, abs=0.1))
    shown.get_by_role("combobox").select_option("2")
    shown.locator("main").focus()
    shown.keyboard.press(" ")
    wait_until(lambda: now(shown) > 0.2)
    assert shown.locator("audio").evaluate("node => node.playbackRate") == 2
    shown.keyboard.press(" ")
    wait_until(lambda: shown.locator("audio").evaluate("node => node.paused"))


def test_what_is_said_stands_above_what_is_written(shown):
    ruby = shown.locator("ruby").bounding_box()
    said = shown.locator("rt").bounding_box()
    assert shown.locator("rt").inner_text() == "소리"
    assert said["y"] < ruby["y"] + ruby["height"] / 2
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
