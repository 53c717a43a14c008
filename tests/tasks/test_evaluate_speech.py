"""What 70_evaluate_speech makes of recordings and their spoilt twins."""

from __future__ import annotations

import numpy as np
import pytest

from nbkit.base import seeds
from nbkit.tasks import evaluate_speech
from nbkit.tasks.evaluate_speech import EvaluateSpeech, Measured


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> evaluate_speech.Bench:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield evaluate_speech.Bench(EvaluateSpeech.preset("smoke", dataset="espeak_ko"))


@pytest.fixture(scope="module")
def measured(bench) -> dict[str, Measured]:
    ways = ("as it is", "half as loud", "a third cut out")
    spoilt = bench.spoilt()
    return {way: bench.measure(spoilt[way]) for way in ways}


def test_loudness_is_noticed_by_nobody_and_a_missing_third_is(measured):
    noticed = evaluate_speech.moved(measured, 0)
    assert noticed["as it is"] == noticed["half as loud"] == []
    assert {"mcd", "pace"} <= set(noticed["a third cut out"])


def test_without_a_recogniser_nothing_is_said_of_words(bench, measured):
    assert bench.recogniser is None
    lines = {line[0]: line[1:] for line in evaluate_speech.table(measured, 0)}
    assert lines["a third cut out"][-1] == "-"
    assert lines["as it is"][0] == "0 (0 to 0)"


def test_correlations_leave_out_what_is_constant(measured):
    lines = {line[0]: line[1:] for line in evaluate_speech.correlations(measured, 0)}
    assert set(lines["CER"]) == {""}
    assert lines["MCD, dB"][0] == ""
    assert lines["MCD, dB"][3] == lines["pace"][0] != ""


def test_noise_has_the_power_that_was_asked_for():
    wave = np.sin(np.arange(20_000) / 9).astype(np.float32)
    noise = evaluate_speech.noisy(wave, 10.0, seeds.generator(0, "noise")) - wave
    assert 10 * np.log10((wave**2).mean() / (noise**2).mean()) == pytest.approx(10, abs=0.2)


def test_the_middle_third_is_cut():
    assert evaluate_speech.without_a_third(np.arange(9)).tolist() == [0, 1, 2, 6, 7, 8]


def test_every_recording_has_a_line_of_faults(bench):
    lines = evaluate_speech.faulty(bench)
    assert {line[0] for line in lines} == {row.id for row in bench.rows}
    assert lines[0][1] >= lines[-1][1]
    assert all(line[3] == 0 for line in lines)
