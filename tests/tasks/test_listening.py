"""71_listening_test: where its sounds come from, what is hidden, what stays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nbkit.base import record
from nbkit.base.params import ParamsError
from nbkit.data import audio
from nbkit.evaluate.results import Results
from nbkit.tasks import listening as lesson
from nbkit.tasks import listening_sounds
from nbkit.tasks.listening import Listening, ListeningTest
from nbkit.views import loudness

RATE = 16000
EVIL = "<script>alert('$x$')<" + "가" * 40


def write(path: Path, level: float = 0.2, hertz: float = 300.0, rate: int = RATE) -> None:
    audio.save(path, level * np.sin(2 * np.pi * hertz * np.arange(rate) / rate), rate)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three sounds of two systems, one of them louder, and one sound that the other lacks."""
    for i in range(3):
        write(tmp_path / "pairs" / EVIL / f"{i}.wav", 0.8, 200 + 50 * i)
        write(tmp_path / "pairs" / "plain" / f"{i}.wav", 0.05, 300 + 50 * i)
    write(tmp_path / "pairs" / "plain" / "alone.wav")
    (tmp_path / "pairs" / "plain" / "notes.txt").write_text("not a sound")
    return tmp_path / "pairs"


def config(folder: Path, **changed) -> ListeningTest:
    return ListeningTest(**({"source": str(folder), "repeats": 1} | changed))


def answer_all(session: Listening, better: str) -> None:
    """As somebody who prefers one system, and has heard it."""
    session.test.widget()
    while session.test.number < len(session.trials):
        trial = session.trials[session.test.number]
        session.test._heard = [True] * len(trial.order)
        session.test.answer("AB"[trial.order.index(better)])


def test_a_folder_with_a_folder_a_system(folder):
    found = listening_sounds.sounds(str(folder), 10)
    assert list(found.waves) == [EVIL, "plain"]
    assert found.items == ["0", "1", "2"]
    assert found.rate == RATE
    assert found.note.startswith("1 sounds are left out")
    assert len(listening_sounds.sounds(str(folder), 2).items) == 2


def test_another_rate_is_converted_upwards(folder):
    for i in range(3):
        write(folder / "plain" / f"{i}.wav", rate=8000)
    found = listening_sounds.sounds(str(folder), 10)
    assert found.rate == RATE
    assert {len(own["0"]) for own in found.waves.values()} == {RATE}


def run_with_sounds(name: str, steps: tuple[int, ...], count: int = 4) -> record.Record:
    with record.Record.open(name, ListeningTest(), "") as run:
        for i in range(count):
            for step in steps:
                write(run.place("audio", f"sample_{i}-{step:09d}.wav"), hertz=200.0 + 50 * i + step)
    return run


def test_one_run_is_compared_with_its_own_beginning():
    run = run_with_sounds("voice", (100, 200, 300))
    assert list(listening_sounds.sounds(run.name, 9).waves) == ["step 100", "step 300"]
    assert listening_sounds.sounds("", 9).source == run.name, "the newest run with enough sounds is taken by itself"


def test_several_runs_are_compared_in_their_newest_sounds():
    one, other = (run_with_sounds(name, (100, 200)) for name in ("voice", "other"))
    found = listening_sounds.sounds(f"{one.name}, {other.name}", 9)
    assert list(found.waves) == [one.name, other.name]
    assert found.items == [f"sample_{i}" for i in range(4)]


def test_without_sounds_they_are_made(monkeypatch):
    monkeypatch.setattr(listening_sounds, "ITERATIONS", (1, 0))
    run_with_sounds("voice", (100, 200), count=1)  # too few to ask about
    found = listening_sounds.sounds("", 1)
    assert (found.source, len(found.waves)) == ("made here", 3)
    assert found.fingerprint == listening_sounds.made(1).fingerprint


@pytest.mark.parametrize("source", ["nowhere", "a, b"])
def test_a_source_that_is_not_there_is_named(source):
    with pytest.raises(ValueError, match=f"got {source}; check the path"):
        listening_sounds.sounds(source, 1)


def test_folders_that_share_nothing_are_named(folder):
    for path in (folder / "plain").glob("?.wav"):
        path.unlink()
    with pytest.raises(ValueError, match="wanted two systems or more with sounds of the same names"):
        listening_sounds.sounds(str(folder), 1)


def test_one_name_twice_is_refused(folder):
    (folder / "plain" / "0.WAV").write_bytes((folder / "plain" / "0.wav").read_bytes())
    with pytest.raises(ValueError, match=r"one sound 0 in .*plain, got two"):
        listening_sounds.sounds(str(folder), 1)


@pytest.mark.parametrize("name", ["", "../me", "a b", "x" * 41, "<b>"])
def test_a_listener_is_the_name_of_a_file(name):
    with pytest.raises(ParamsError, match="listener names a file"):
        ListeningTest(listener=name)


def test_what_is_played_is_equally_loud_unless_told_otherwise(folder):
    def levels(session):
        return [loudness.lufs(np.asarray(w, float) / 32768, RATE) for pair in session.test._pcm for w in pair]

    assert np.ptp(levels(Listening(config(folder)))) < 0.1
    assert np.ptp(levels(Listening(config(folder, match_loudness=False)))) > 20


def test_listeners_have_one_folder_and_orders_of_their_own(folder):
    one, other = Listening(config(folder, listener="minji")), Listening(config(folder, listener="민지"))
    assert one.folder == other.folder
    assert one.page.read_text(encoding="utf8") != other.page.read_text(encoding="utf8")
    assert not [word for word in (EVIL, "alert", "plain") if word in one.page.read_text(encoding="utf8")]
    assert one.trials != other.trials
    answer_all(one, "plain")
    answer_all(other, "plain")
    assert sorted(path.name for path in (one.folder / "listening").glob("*.jsonl")) == ["minji.jsonl", "민지.jsonl"]
    assert {answer.listener for answer in one.given()} == {"minji", "민지"}


def test_a_session_goes_on_and_keeps_what_came_of_it(folder):
    session = Listening(config(folder))
    assert record.Record.read(session.folder).status()["state"] == "waits for answers"
    assert session.plot() is None
    assert "no answers yet" in repr(session.table())
    assert "no answers yet" in repr(session.reliance())
    answer_all(session, "plain")
    again = Listening(config(folder))
    assert again.test.number == len(again.trials) == 4
    page = again.keep().read_text(encoding="utf8")
    assert "<script>alert" not in page
    status = record.Record.read(again.folder).status()
    assert (status["state"], status["step"], status["stop_at"]) == ("finished", 4, 4)
    (row,) = Results(again.folder).all()
    assert (row.metric, row.value, row.rows) == ("preferred", 0.0, 3)
    assert row.system == f"{EVIL} over plain"
    assert "<script>" not in again.table()._repr_html_()
    assert "1 of 1" in repr(again.reliance())
    assert (again.folder / "views" / "answers.png").exists()
    lines = (again.folder / "listening" / "me.jsonl").read_text(encoding="utf8").splitlines()
    assert {json.loads(line)["kind"] for line in lines} == {"ab"}


def test_answers_outlive_the_machine(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NBKIT_MIRROR", str(tmp_path / "drive"))
    session = Listening(config(folder))
    session.keep()
    assert not (tmp_path / "drive").exists(), "there is nothing to copy yet"
    session.test.widget()
    for done in (1, 2):
        session.test._heard = [True, True]
        session.test.answer("A")
        session.keep()
        session.keep()
        assert len([*(tmp_path / "drive" / "listening").rglob("me-*.jsonl")]) == done
    (damaged,) = (path for path in (tmp_path / "drive").rglob("*.jsonl") if len(path.read_bytes().splitlines()) == 2)
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "another machine"))
    assert Listening(config(folder)).test.number == 2
    assert "brought the answers of me back" in capsys.readouterr().out
    damaged.write_bytes(damaged.read_bytes()[:-40] + bytes(40))
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "a third one"))
    assert Listening(config(folder)).test.number == 1, "a damaged copy is passed over"
    assert Listening(config(folder, listener="you")).test.number == 0


def test_a_drive_that_refuses_costs_nothing(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "drive").write_text("no folder")
    monkeypatch.setenv("NBKIT_MIRROR", str(tmp_path / "drive"))
    session = Listening(config(folder))
    answer_all(session, "plain")
    assert session.keep().exists()
    assert "they lie on this machine alone" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "labels"), [("abx", ["told from"]), ("mos", ["plain", "less"])])
def test_the_other_kinds_have_results_too(kind, labels, folder):
    session = Listening(config(folder, kind=kind))
    session.test.widget()
    for _ in session.trials:
        session.test._heard = [True] * 3
        session.test.answer("A" if kind == "abx" else 4)
    assert all(label in repr(session.table()) for label in labels)
    assert session.plot() is not None
    session.keep()


def test_promises_are_a_table():
    assert "questions | intervals that hold the truth" in repr(lesson.promises(0.7, [10]))
