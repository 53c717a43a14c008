"""The blind test: an answer waits for ears, is on the disk at once, and nothing that is shown names a system."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path

import numpy as np
import pytest

from nbkit.base import answers
from nbkit.views import listening
from nbkit.views.listening import KINDS, Question

RATE = 8000
EVIL = "<script>alert(1)</script>\u202e\"'😀\ud800" + "가" * 300


class Time:
    """A clock that stands, and calls that are due when it is moved."""

    def __init__(self):
        self.now, self.due = 100.0, []

    def later(self, seconds, call):
        self.due.append((self.now + seconds, call))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        ready = [call for when, call in self.due if when <= self.now]
        self.due = [(when, call) for when, call in self.due if when > self.now]
        for call in ready:
            call()


def sound(seconds: float, pitch: int = 220) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def questions(kind: str, count: int = 3) -> list[Question]:
    waves = tuple(sound(length) for length in (2.0, 4.0, 2.0))[: len(KINDS[kind].letters)]
    return [Question(waves, {"item": f"{EVIL}{n}", "order": ["secret", "other"]}) for n in range(count)]


def opened(path: Path, kind: str = "ab", count: int = 3) -> tuple[listening.Test, Time]:
    time = Time()
    test = listening.Test(kind, questions(kind, count), RATE, path, clock=lambda: time.now, later=time.later)
    test.widget()
    return test, time


def hear(test: listening.Test, time: Time) -> None:
    for index in range(len(test.kind.letters)):
        test.play(index)
        time.wait(4.0)


def widgets_of(widget) -> list:
    return [widget] + [w for child in getattr(widget, "children", ()) for w in widgets_of(child)]


def buttons(test: listening.Test) -> dict[str, bool]:
    """Description of each button that is shown, and whether it can be pressed."""
    return {w.description: not w.disabled for w in widgets_of(test.widget()) if hasattr(w, "on_click")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "listening" / "민지.jsonl"


def test_answers_wait_until_half_of_each_sound_was_heard(path):
    test, time = opened(path)
    assert [name for name, on in buttons(test).items() if on] == ["▶ A", "▶ B"]
    test.play(0)
    time.wait(0.9)
    test.play(1)  # A is cut short of its half
    time.wait(2.1)
    assert not buttons(test)["A is better"]
    assert "▶ B ✓" in buttons(test)
    test.answer("A")
    assert not path.exists(), "an answer that comes too early is none"
    test.play(0)
    time.wait(1.1)
    assert buttons(test)["A is better"]


def test_an_answer_is_on_the_disk_when_the_next_question_is_asked(path):
    test, time = opened(path)
    test.play(0)
    time.wait(3)
    test.play(0)
    time.wait(0.5)
    test.play(1)
    time.wait(2.5)
    test.answer("same")
    (row,) = map(json.loads, path.read_text(encoding="utf8").splitlines())
    assert row.pop("time")
    assert row == {
        "question": 0, "listener": "민지", "item": f"{EVIL}0", "order": ["secret", "other"], "answer": "same",
        "seconds": 6.0, "played": [2, 1],
    }  # fmt: skip
    assert test.number == 1
    assert not buttons(test)["No difference"], "of the next question nothing has been heard"


def test_another_session_goes_on_at_the_first_question_without_an_answer(path):
    test, time = opened(path)
    hear(test, time)
    test.answer("A")
    test, time = opened(path)
    assert test.number == 1
    assert "Question 2 of 3" in test.widget().children[0].value
    for _ in range(2):
        hear(test, time)
        test.answer("B")
    assert "All 3 questions" in test.widget().children[0].value
    assert list(buttons(test)) == ["Take the last answer back"]


def test_an_answer_can_be_taken_back_and_stays_in_the_file(path):
    test, time = opened(path)
    assert not buttons(test)["Take the last answer back"]
    for value in ("A", "B"):
        hear(test, time)
        test.answer(value)
    test.take_back()
    assert test.number == 1
    hear(test, time)
    test.answer("same")
    assert [row["answer"] for row in test.answers().values()] == ["A", "same"]
    assert len(path.read_text(encoding="utf8").splitlines()) == 4


def test_two_views_of_one_file_do_not_answer_the_same_question_twice(path):
    (one, early), (other, late) = opened(path), opened(path)
    for test, time in ((one, early), (other, late)):
        hear(test, time)
    one.answer("A")
    other.answer("B")
    assert [row["answer"] for row in one.answers().values()] == ["A"]
    assert "Question 2 of 3" in other.widget().children[0].value


def test_nothing_that_is_shown_tells_the_system_or_the_item(path):
    test, time = opened(path)
    for _ in range(3):
        hear(test, time)
        states = [w.get_state() for w in widgets_of(test.widget())]
        shown = repr([{k: v for k, v in state.items() if k != "value" or isinstance(v, str)} for state in states])
        assert not [word for word in ("secret", "other", "<script", "가", "민지") if word in shown]
        test.answer("A")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_offers_its_answers_and_a_picture(kind, path):
    test, time = opened(path, kind)
    hear(test, time)
    value, words = KINDS[kind].choices[-1]
    assert buttons(test)[words]
    test.answer(value)
    assert [row["answer"] for row in test.answers().values()] == [value]
    assert test.face().startswith(b"\x89PNG")


def test_one_sound_at_a_time_and_none_after_the_answer(path):
    test, time = opened(path)
    hear(test, time)
    sounds = [w for w in widgets_of(test.widget()) if type(w).__name__ == "Audio"]
    assert [w.autoplay for w in sounds] == [True]
    assert sounds[0].value[:4] == b"RIFF"
    assert len(sounds[0].value) == 44 + 2 * 4 * RATE
    test.answer("A")
    assert not [w for w in widgets_of(test.widget()) if type(w).__name__ == "Audio"]


def test_nobody_is_waited_for_where_nobody_looks(path, monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setenv("NBKIT_HEADLESS", "1")
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append(bundle))
    listening.Test("ab", questions("ab"), RATE, path)._ipython_display_()
    (bundle,) = shown
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert bundle["text/plain"] == "Which one sounds better? 0 of 3 answered"
    assert not path.exists()


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("xyz", questions("ab"), "among ab, abx, mos, got 'xyz'"),
        ("ab", [], "at least one question, got none"),
        ("abx", questions("ab"), "question 0 of kind abx wants 3 sounds, got 2"),
        ("mos", [Question((np.array([0.0, np.nan], np.float32),), {})], "1 that are NaN"),
    ],
)
def test_what_cannot_be_asked_is_refused(kind, given, message, path):
    with pytest.raises(ValueError, match=message):
        listening.Test(kind, given, RATE, path)


def test_a_word_that_is_no_answer_is_refused(path):
    test, time = opened(path)
    hear(test, time)
    with pytest.raises(ValueError, match="wanted an answer among"):
        test.answer("better")


def test_answers_to_another_test_are_not_taken_for_ours(path):
    test, time = opened(path)
    hear(test, time)
    test.answer("A")
    with pytest.raises(ValueError, match=r"got one to another question 0.*move the file away"):
        listening.Test("ab", [Question(q.sounds, {"item": "new"}) for q in questions("ab")], RATE, path)


def test_a_line_cut_by_a_crash_costs_that_answer_only(path):
    answers.append(path, {"question": 0, "answer": "A"})
    answers.append(path, {"question": 1, "answer": "B"})
    path.write_bytes(path.read_bytes()[:-9])
    assert list(answers.standing(path)) == [0]
    answers.append(path, {"question": 1, "answer": "same"})
    assert [row["answer"] for row in answers.standing(path).values()] == ["A", "same"]


def test_a_line_of_something_else_is_named(path):
    answers.append(path, {"question": 0, "answer": "A"})
    for line in ("hello", "[1]", '{"answer": "A"}', '{"question": 1e999}'):
        damaged = path.with_name("damaged.jsonl")
        damaged.write_text(f"{path.read_text()}{line}\n")
        with pytest.raises(ValueError, match="line 2 of"):
            answers.standing(damaged)


# --- the page for listeners without a notebook


def lines(of: listening.Test, *said: str | int, **changed) -> str:
    """What the page gives back."""
    rows = [{"test": of._key(), "question": n, "answer": value, "seconds": 1.5, "played": [1, 1], "time": "now"}
            for n, value in enumerate(said)]  # fmt: skip
    return "\n".join(json.dumps({**row, **changed}) for row in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_holds_each_sound_once_and_no_name(kind, path):
    test, _ = opened(path, kind)
    document = test.page().document
    assert document.count("UklGR") == len(KINDS[kind].letters), "a WAV begins so in base64"
    data = json.loads(document.split('id="test">')[1].split("</script>")[0])
    assert data["questions"] == [list(range(len(KINDS[kind].letters)))] * 3
    assert not [word for word in ("secret", "other", "alert", "가", "민지") if word in document]
    assert "http" not in document


def test_answers_come_back_from_the_page(path):
    test, _ = opened(path)
    said = lines(test, "A", "same")
    assert test.take(said) == 2
    assert test.take(f"\n{said}\n") == 0, "pasted twice, they count once"
    (first, second) = test.answers().values()
    assert (first["answer"], first["listener"], first["item"], first["played"]) == ("A", "민지", f"{EVIL}0", [1, 1])
    assert (second["answer"], test.number) == ("same", 2)
    assert test.take("") == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"answer": "C"},
        {"test": "0"},
        {"question": 9},
        {"question": -1},
        {"question": math.inf},
        {"played": None},
        {"seconds": "x"},
    ],
)
def test_lines_of_another_page_are_refused_and_none_is_kept(changed, path):
    test, _ = opened(path)
    for text in (lines(test, "A", "B") + "\n" + lines(test, "A", **changed), "hello", "[1]"):
        with pytest.raises(ValueError, match="wanted the answers of this listener's page"):
            test.take(text)
    assert not path.exists()
