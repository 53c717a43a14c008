"""The player page: the very samples, text escaped, nothing from outside."""

from __future__ import annotations

import base64
import html
import io
import re
import wave
from html.parser import HTMLParser

import numpy as np
import pytest

from nbkit.views import player

RATE = 22050
EVIL = "<script>alert('가')</script> & \"x\" </iframe>"


def tone(level: float = 0.25, seconds: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def recordings(document: str) -> list[np.ndarray]:
    found = []
    for data in re.findall(r'src="data:audio/wav;base64,([^"]+)"', document):
        with wave.open(io.BytesIO(base64.b64decode(data))) as file:
            assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (RATE, 2, 1)
            found.append(np.frombuffer(file.readframes(file.getnframes()), "<i2"))
    return found


def test_the_sound_is_as_loud_as_it_was():
    loud, quiet = recordings(player.page([player.Sound(tone(0.9), RATE), player.Sound(tone(0.01), RATE)]).document)
    assert np.abs(loud / 32767 - tone(0.9)).max() <= 0.5 / 32767 + 1e-7
    assert np.abs(quiet).max() == round(0.01 * 32767)


def test_what_is_too_loud_is_clipped_and_said():
    page = player.audio(np.array([0.0, 1.5, -2.0, 0.5], np.float32), RATE)
    assert recordings(page.document)[0].tolist() == [0, 32767, -32767, 16384]
    assert "2 samples clipped" in page.document


def test_integers_pass_unchanged():
    samples = np.array([1, -32768, 32767], np.int16)
    assert recordings(player.audio(samples, RATE).document)[0].tolist() == samples.tolist()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 5), np.float32), r"\(2, 5\)"),
        (np.zeros(0, np.float32), "at least one sample"),
        (np.array([0.0, np.nan], np.float32), "1 that are NaN"),
        (np.zeros(5, np.int64), "int64"),
    ],
)
def test_what_cannot_be_played_is_refused(samples: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        player.audio(samples, RATE)


def test_no_items_is_an_error():
    with pytest.raises(ValueError, match="at least one Sound"):
        player.page([])


def test_silence_can_be_shown():
    assert "silent" in player.audio(np.zeros(100, np.float32), RATE).document


def test_text_is_escaped_and_korean_kept():
    spans = [("</script><b>나", 0.0, 0.2), ("ᄒ", 0.2, 0.4)]
    document = player.audio(tone(), RATE, title=EVIL, caption=EVIL, spans=spans).document
    assert "<script>alert" not in document
    assert document.count("</script>") == document.count("<script")
    assert html.escape(EVIL).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in document
    assert '["\\u314e", 0.2, 0.4]' in document, "a lone jamo becomes a letter that stands alone"


@pytest.mark.parametrize("title", ["$\\frac{$", "costs $5, not $6_", "half \ud800", "😀"])
def test_a_title_is_no_formula_and_may_be_half_broken(title: str, tmp_path):
    page = player.audio(tone(), RATE, title=title, caption=title)
    page._repr_html_().encode("utf8")
    assert page.save(tmp_path / "sound.html").exists()


def test_nothing_comes_from_outside():
    document = player.audio(tone(), RATE, title="가").document
    assert not re.search(r"https?://|//cdn|@import|src=\"(?!data:)", document)


class Frames(HTMLParser):
    """The attributes of frames and pictures."""

    def __init__(self, text: str):
        super().__init__()
        self.found: dict[str, list[dict]] = {"iframe": [], "img": []}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag in self.found:
            self.found[tag].append(dict(attrs))


def test_a_notebook_shows_a_sandboxed_frame_over_a_picture():
    page = player.audio(tone(), RATE, title=EVIL)
    parsed = Frames(page._repr_html_()).found
    (frame,), (picture,) = parsed["iframe"], parsed["img"]
    assert frame["srcdoc"] == page.document
    assert frame["sandbox"] == "allow-scripts"
    assert base64.b64decode(picture["src"].partition(",")[2]) == page._repr_png_()
    assert page._repr_html_().startswith("<div"), "IPython warns of outputs that start with an iframe"
    assert page.poster.startswith(b"\x89PNG")


def test_save_writes_the_page_and_its_picture(tmp_path):
    page = player.audio(tone(), RATE, title="가")
    path = page.save(tmp_path / "new" / "sound.html")
    assert path.read_text(encoding="utf8") == page.document
    assert sorted(file.name for file in path.parent.iterdir()) == ["sound.html", "sound.png"]


def test_read_refuses_what_the_script_would_misread(tmp_path):
    path = tmp_path / "stereo.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(8))
    with pytest.raises(ValueError, match="2 channels of 16 bit"):
        player.read(path)
