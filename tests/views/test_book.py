"""The page of a book: the very sound, every word with its time, text escaped, nothing from outside."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

from nbkit.data import audio
from nbkit.views import book
from nbkit.views.book import Word

RATE = 22050
EVIL = "<script>alert('가')</script>&"
WORDS = [[Word("제목", 0.0, 0.4, heading=True)], [Word("할머니가", 0.5, 1.0, "할망이"), Word(EVIL, 1.0, 1.5, EVIL)]]


@pytest.fixture
def sound(tmp_path):
    wave = (0.2 * np.sin(np.arange(2 * RATE) / 12)).astype(np.float32)
    audio.save(tmp_path / "a.wav", wave, RATE)
    return tmp_path / "a.wav", wave


def test_the_page_holds_sound_words_and_times(sound):
    path, wave = sound
    page = book.page("이야기", path, wave, RATE, WORDS)
    found = re.search(r'src="data:audio/wav;base64,([^"]+)"', page.document)
    assert base64.b64decode(found[1]) == path.read_bytes()
    times = json.loads(re.search(r'id="times">(.*?)</script>', page.document)[1])
    assert times == [[0.0, 0.4], [0.5, 1.0], [1.0, 1.5]]
    assert page.document.count('class="word"') == 3
    assert "<h2>" in page.document
    assert re.search(r"할머니가<rt>할망이</rt>", page.document)
    assert EVIL not in page.document
    assert not re.search(r'(src|href)="(?!data:)', page.document)
    assert page.poster.startswith(b"\x89PNG")


def test_words_are_apart_where_the_text_is_copied(sound):
    page = book.page("이야기", *sound, RATE, WORDS)
    text = re.sub(r"<[^>]+>", "", page.document[page.document.index("<main") : page.document.index("</main>")])
    assert "할머니가할망이 " in text.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "at least one word"),
        ([[Word("나", 1.0, 1.2), Word("가", 0.5, 0.7)]], "go back"),
        ([[Word("나", 1.0, 0.9)]], "go back"),
        ([[Word("나", float("nan"), 0.9)]], "no numbers"),
    ],
)
def test_words_without_an_order_are_refused(sound, words, told):
    with pytest.raises(ValueError, match=told):
        book.page("이야기", *sound, RATE, words)


def test_another_kind_of_sound_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.opus"):
        book.page("이야기", tmp_path / "a.opus", np.zeros(9, np.float32), RATE, WORDS)
