"""A listening test beside measures of its sounds."""

from __future__ import annotations

import numpy as np
import pytest

from nbkit.base import answers, record
from nbkit.data.audio import MelSpec
from nbkit.evaluate import agreement
from nbkit.tasks import agreeing, listening_sounds
from nbkit.tasks.listening import ListeningTest
from nbkit.tasks.listening_sounds import Sounds


def sweep(hertz: float, noise: float) -> np.ndarray:
    """A tone with a wobble, and noise so loud beside it."""
    time = np.arange(11025) / 22050
    wave = 0.3 * np.sin(2 * np.pi * (hertz * time + 3 * np.sin(8 * time)))
    return (wave + np.random.default_rng(0).normal(scale=noise, size=len(time))).astype(np.float32)


@pytest.fixture(scope="module")
def sounds() -> Sounds:
    """Three items as they are, a little noisy, and noisy."""
    noises = {"clean": 0.0, "rough": 0.02, "rougher": 0.2}
    waves = {system: {f"{hertz}": sweep(hertz, noise) for hertz in (150, 200, 250)} for system, noise in noises.items()}
    return Sounds(waves, MelSpec().rate, "here")


def test_noise_is_measured_as_listeners_hear_it(sounds):
    given = agreeing.imaginary(sounds)
    liked = agreement.liking(given)
    assert agreeing.best_liked(liked) == "clean"
    assert liked["rough", "150"] > liked["rougher", "150"]
    measured = agreeing.measure(sounds, "clean")
    assert set(measured["mcd"]) == {(system, item) for system in ("rough", "rougher") for item in sounds.items}
    lines = {line[0]: line[1:] for line in agreeing.table(agreeing.Tested(sounds, given, ""))}
    assert lines["MCD, dB"][:2] == (6, 3)
    assert float(str(lines["MCD, dB"][3]).split()[0]) < -0.8


def test_opinions_that_are_all_alike_say_nothing(monkeypatch, sounds):
    measured = {"mcd": {(system, item): float(len(system)) for system in ("rough", "rougher") for item in sounds.items}}
    monkeypatch.setattr(agreeing, "measure", lambda *_: measured)
    clean = [agreeing.Answer("me", agreeing.Trial("ab", i, ("clean", s)), "A", 1.0, (1, 1))
             for i in sounds.items for s in ("rough", "rougher")]  # fmt: skip
    assert agreeing.table(agreeing.Tested(sounds, clean, "")) == [
        ("MCD, dB", 6, "", "too few sounds, or all alike", ""),
    ]


def test_imaginary_listeners_are_the_same_each_time(sounds):
    assert agreeing.imaginary(sounds, 1) == agreeing.imaginary(sounds, 1)
    assert agreeing.imaginary(sounds, 1) != agreeing.imaginary(sounds, 2)


def test_a_reference_is_one_of_the_systems(sounds):
    with pytest.raises(ValueError, match="a system of clean, rough, rougher"):
        agreeing.measure(sounds, "studio")


@pytest.fixture
def run(monkeypatch, sounds) -> record.Record:
    """A test that one listener has answered."""
    monkeypatch.setattr(listening_sounds, "sounds", lambda *_: sounds)
    with record.Record.open("listening", ListeningTest(kind="mos"), sounds.fingerprint) as run:
        for number, given in enumerate(agreeing.imaginary(sounds)[:9]):
            row = given.trial.about() | {"answer": given.answer, "seconds": 1.0, "played": [1], "listener": "minji"}
            answers.append(run.folder / answers.FOLDER / "minji.jsonl", {"question": number} | row)
    return run


def test_the_newest_test_with_answers_is_taken(run):
    found = agreeing.find()
    assert found.told == f"{run.name}: 9 answers"
    assert {given.listener for given in found.answers} == {"minji"}
    assert agreeing.find(run.name).answers == found.answers


def test_sounds_that_have_changed_are_not_taken(run, monkeypatch, sounds):
    other = Sounds({name: {**own, "150": own["150"] / 2} for name, own in sounds.waves.items()}, sounds.rate, "here")
    monkeypatch.setattr(listening_sounds, "sounds", lambda *_: other)
    with pytest.raises(ValueError, match="lacks one of them"):
        agreeing.find(run.name)
    monkeypatch.setattr(listening_sounds, "made", lambda *_: sounds)
    assert "imaginary" in agreeing.find().told


def test_a_test_that_there_is_not_is_named(run):
    with pytest.raises(ValueError, match=f"tests: {run.name}"):
        agreeing.find("listening-nothing")
