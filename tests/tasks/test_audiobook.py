"""Books: read once and found again, in time with the text, bound in order, refused before a word is said."""

from __future__ import annotations

import dataclasses
import errno
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from nbkit.base import workspace
from nbkit.base.record import Record
from nbkit.data import audio
from nbkit.data.audio import MelSpec
from nbkit.data.book import Glossary, Line
from nbkit.data.disk import DataError
from nbkit.data.speech import TokenReader
from nbkit.data.text import TextError, front_end
from nbkit.models.glow_tts import Voice
from nbkit.models.glow_tts.config import sized
from nbkit.models.glow_tts.model import GlowTTS
from nbkit.models.glow_tts.voice import Spoken, SpokenMel
from nbkit.tasks import audiobook, bookbinding
from nbkit.tasks.audiobook import Audiobook, SpokenLine

SPEC, HELD = MelSpec(), 8  # frames of each token
TEXT = "# 첫째 장\n\n할머니가 웃었다. 바다는 3시에 잔다.\n\n둘이 간다.\n\n# 둘째 장\n\n끝이다."


class Metronome(Voice):
    """Each token lasts eight frames; letters sound as a tone, spaces and marks are silent."""

    said: list[str]

    def speak(self, text: str, **how) -> Spoken:
        self.said.append(text)
        encoded = self.reader.read(text)
        durations = np.full(len(encoded.symbols), HELD)
        loud = np.repeat([float(symbol.isalpha()) for symbol in encoded.symbols], HELD * SPEC.hop)
        wave = 0.3 * np.sin(np.arange(len(loud)) * 2 * np.pi * 220 / SPEC.rate) * loud
        return Spoken(wave.astype(np.float32), SPEC.rate, SpokenMel(np.zeros((80, 1)), durations, encoded.symbols))


@pytest.fixture
def voice() -> Metronome:
    torch.manual_seed(0)
    reader = TokenReader(front_end("jamo"))
    made = Metronome(GlowTTS(sized("tiny", vocabulary=len(reader.symbols))), reader, SPEC, ("one",), "ko")
    made.said = []
    return made


@pytest.fixture
def config(tmp_path) -> Audiobook:
    (tmp_path / "book.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "words.tsv").write_text("할머니\t할망\n", encoding="utf-8")
    return Audiobook(book=str(tmp_path / "book.txt"), glossary=str(tmp_path / "words.tsv"))


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    for name in ("outputs", "cache", "mirror"):
        monkeypatch.setenv(f"NBKIT_{name.upper()}", str(tmp_path / name))


def test_words_are_in_time_with_the_sound(voice, config):
    content = audiobook.open_book(config)
    said = audiobook.read_aloud(content, voice, config)
    with audiobook.open_run(config, content, voice) as run:
        parts = bookbinding.bind(run, content, said, voice, config)
    assert [part.title for part in parts] == ["첫째 장", "둘째 장"]
    words = [word for paragraph in parts[0].paragraphs for word in paragraph]
    assert " ".join(word.text for word in words) == "첫째 장 할머니가 웃었다. 바다는 3시에 잔다. 둘이 간다."
    assert [(word.text, word.said) for word in words if word.said] == [("할머니가", "할망이")]
    assert [word.heading for word in words] == [True] * 2 + [False] * 7
    frame, level = SPEC.hop / SPEC.rate, np.abs(parts[0].wave / 32768)
    assert words[2].end - words[2].start == pytest.approx(len("할망이") * HELD * frame, abs=0.03)
    for word in words:
        start, end = round(word.start * SPEC.rate), round(word.end * SPEC.rate)
        letters = end - (HELD * SPEC.hop if word.text.endswith(".") else 0)
        assert level[start : letters - 600].reshape(-1)[600:].max() > 0.05
        assert level[max(0, start - 700) : max(0, start - 400)].max(initial=0.0) < 0.01  # nothing sounds before it
    assert parts[0].captions.read_text(encoding="utf-8").startswith("WEBVTT")
    assert abs(len(audio.load(parts[0].sound, SPEC.rate)) - len(parts[0].wave)) < 0.1 * SPEC.rate


def test_what_was_said_is_not_said_again(voice, config, tmp_path):
    content = audiobook.open_book(config)
    first = audiobook.read_aloud(content, voice, config)
    assert len(voice.said) == 6
    again = audiobook.read_aloud(content, voice, config)
    assert len(voice.said) == 6
    for one, other in zip(chain(*first), chain(*again)):
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other))
    (tmp_path / "book.txt").write_text(TEXT.replace("둘이", "셋이"), encoding="utf-8")
    audiobook.read_aloud(audiobook.open_book(config), voice, config)
    assert voice.said[6:] == ["셋이 간다."]
    audiobook.read_aloud(content, voice, dataclasses.replace(config, length_scale=1.5))
    assert len(voice.said) == 7 + 6


def test_a_lost_machine_costs_nothing_and_a_damaged_paragraph_is_said_anew(voice, config):
    content = audiobook.open_book(config)
    audiobook.read_aloud(content, voice, config)
    here = sorted((workspace.cache() / "spoken").rglob("*.npz"))
    assert len(here) == 5
    for path in here:
        path.unlink()
    there = sorted((workspace.mirror() / "spoken").rglob("*.npz"))
    there[0].write_bytes(there[0].read_bytes()[:-100])
    before = len(voice.said)
    audiobook.read_aloud(content, voice, config)
    assert 1 <= len(voice.said) - before <= 2  # the lines of one paragraph


def test_a_mirror_that_takes_nothing_stops_nobody(voice, config, capsys):
    workspace.mirror().write_text("in the way")
    audiobook.read_aloud(audiobook.open_book(config), voice, config)
    assert "takes no more paragraphs" in capsys.readouterr().out
    assert len(voice.said) == 6


def test_a_mirror_that_is_away_stops_nobody(voice, config, monkeypatch):
    glob = Path.glob

    def away(path: Path, pattern: str):
        if path.is_relative_to(workspace.mirror()):
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return glob(path, pattern)

    monkeypatch.setattr(Path, "glob", away)
    audiobook.read_aloud(audiobook.open_book(config), voice, config)
    assert len(voice.said) == 6


def test_a_full_disk_is_told_in_words(voice, config, monkeypatch):
    content = audiobook.open_book(config)
    said = audiobook.read_aloud(content, voice, config)

    def full(*about):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="full"):
        audiobook.read_aloud(content, voice, dataclasses.replace(config, seed=1))
    with audiobook.open_run(config, content, voice) as run, pytest.raises(DataError, match="full"):
        bookbinding.bind(run, content, said, voice, config)


def test_a_reading_that_was_killed_goes_on_where_it_was(voice, config, monkeypatch):
    content = audiobook.open_book(config)
    say = Metronome.speak

    def killed(self, text: str, **how):
        if text == "둘째 장":
            raise KeyboardInterrupt
        return say(self, text, **how)

    with monkeypatch.context() as dying:
        dying.setattr(Metronome, "speak", killed)
        with pytest.raises(KeyboardInterrupt):
            audiobook.read_aloud(content, voice, config)
    before = len(voice.said)
    audiobook.read_aloud(content, voice, config)
    assert voice.said[before:] == ["둘째 장", "끝이다."]
    monkeypatch.setattr(voice.reader.front_end, "unknown", None)
    audiobook.read_aloud(content, voice, config)  # what was said need not be checked again


def test_words_that_are_said_as_one_share_its_time():
    line = Line("She is in the sea - now", "sentence")
    times = np.array([[0, 1], [1, 2], [np.nan] * 2, [np.nan] * 2, [3, 4], [np.nan] * 2, [np.nan] * 2])
    spoken = SpokenLine(np.zeros(6 * SPEC.rate, np.int16), times, np.zeros(4))
    words = bookbinding._words(line, spoken, Glossary(), 10.0, SPEC.rate)
    assert [(word.start, word.end) for word in words[2:]] == [
        (12.0, pytest.approx(12.4)),
        (pytest.approx(12.4), 13.0),
        (13.0, 14.0),
        (14.0, 14.5),
        (14.5, 16.0),
    ]


def test_what_cannot_be_read_is_named_before_a_word_is_said(voice, config, tmp_path):
    (tmp_path / "book.txt").write_text("읽는다.\n\n☃를 읽는다.", encoding="utf-8")
    content = audiobook.open_book(config)
    with pytest.raises(TextError, match=r"☃.*glossary"):
        audiobook.read_aloud(content, voice, config)
    assert voice.said == []
    (tmp_path / "words.tsv").write_text("☃\t눈사람\n", encoding="utf-8")
    audiobook.read_aloud(audiobook.open_book(config), voice, config)
    assert voice.said[-1] == "눈사람을 읽는다."


def test_a_missing_book_is_refused(config):
    with pytest.raises(DataError, match=r"nowhere\.txt"):
        audiobook.open_book(dataclasses.replace(config, book="nowhere.txt"))


def test_another_text_voice_or_glossary_is_another_run(voice, config, tmp_path):
    def name(**changed) -> str:
        asked = dataclasses.replace(config, **changed)
        with audiobook.open_run(asked, audiobook.open_book(asked), voice) as run:
            assert isinstance(run, Record)
            return run.name

    names = [name(), name(glossary=""), name(chapters=1)]
    assert name() == names[0]
    with torch.no_grad():
        next(voice.model.parameters()).add_(1.0)
    assert len({*names, name()}) == 4


def test_a_long_chapter_comes_in_parts_and_none_is_lost(voice, config, monkeypatch):
    content = audiobook.open_book(config)
    said = audiobook.read_aloud(content, voice, config)
    monkeypatch.setattr(bookbinding, "MOST_MINUTES", 7 / 60)
    with audiobook.open_run(config, content, voice) as run:
        parts = bookbinding.bind(run, content, said, voice, config)
    assert [part.title for part in parts] == ["첫째 장 (1)", "첫째 장 (2)", "둘째 장"]
    whole = " ".join(word.text for part in parts for paragraph in part.paragraphs for word in paragraph)
    assert whole == " ".join(TEXT.replace("# ", "").split())
    assert len({part.sound for part in parts}) == 3


def test_what_sounds_wrong_is_listed(voice, config):
    content = audiobook.open_book(config)
    said = audiobook.read_aloud(content, voice, config)
    assert any("repeated" in doubt.why for doubt in bookbinding.doubts(content, said, SPEC.rate))  # it is one tone
    said = [[line._replace(doubts=line.doubts * [1, 1, 0, 1]) for line in paragraph] for paragraph in said]
    assert bookbinding.doubts(content, said, SPEC.rate) == []
    mute = [[line._replace(doubts=np.array([np.inf, 0, 0, np.nan])) for line in paragraph] for paragraph in said]
    assert {doubt.why for doubt in bookbinding.doubts(content, mute, SPEC.rate)} == {"silent"}
    odd = said[1][1]._replace(doubts=np.array([np.inf, 0.0, 0.0, np.nan]))
    fast = said[1][0]._replace(doubts=said[1][0].doubts * [1, 1, 1, 3])
    stuck = said[2][0]._replace(doubts=np.array([2.0, 0.5, 1.5, said[2][0].doubts[3]]))
    found = bookbinding.doubts(content, [said[0], [fast, odd], [stuck], *said[3:]], SPEC.rate)
    assert [doubt.text for doubt in found] == ["할머니가 웃었다.", "바다는 3시에 잔다.", "둘이 간다."]
    assert "times as fast" in found[0].why
    assert found[1].why == "silent"
    assert all(part in found[2].why for part in ("2.0 s of silence", "clipped", "1.5 s repeated"))


def test_both_tales_can_be_read():
    for language, kind in (("ko", "jamo"), ("en", "letters")):
        content = audiobook.open_book(Audiobook(), language)
        reader = TokenReader(front_end(kind))
        assert len(content.chapters) == 2
        assert not [s for c in content.chapters for line in c.lines for s in reader.front_end.unknown(line.text)]
    assert len(audiobook.open_book(Audiobook.preset("smoke")).chapters) == 1
