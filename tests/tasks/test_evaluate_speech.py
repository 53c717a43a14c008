"""What 70_evaluate_speech makes of recordings and their spoilt twins."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from nbkit.base import seeds
from nbkit.tasks import evaluate_speech
from nbkit.tasks.evaluate_speech import EvaluateSpeech, Measured


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[evaluate_speech.Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield evaluate_speech.Bench(EvaluateSpeech.preset("smoke", dataset="espeak_ko"))


@pytest.fixture(scope="module")
def measured(bench) -> dict[str, Measured]:
    ways = ("as it is", *evaluate_speech.HARMLESS, "a third cut out")
    spoilt = bench.spoilt()
    return {way: bench.measure(spoilt[way]) for way in ways}


def test_loudness_changes_nothing_and_a_missing_third_is_noticed(measured):
    for name in ("mcd", "f0_rmse", "voicing_error", "pace"):
        assert measured["half as loud"].mean(name) == pytest.approx(0, abs=1e-4)
    noticed = evaluate_speech.moved(measured, 0)
    assert list(noticed) == ["a third cut out"]
    assert {"mcd", "pace"} <= set(noticed["a third cut out"])


def made(**values: list[float]) -> Measured:
    return Measured({name: np.array(values.get(name, [0.0] * 8)) for name in evaluate_speech.MEASURES})


def test_noticing_is_more_than_what_is_harmless_sentence_by_sentence():
    """A rate that differs much between sentences and little from way to way: only the paired difference sees it."""
    base = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    harmless = dict.fromkeys(evaluate_speech.HARMLESS, made(cer=base, f0_rmse=[np.nan] * 8))
    worse, other = [one + 0.02 for one in base], [one + 0.02 * (-1) ** n for n, one in enumerate(base)]
    ways = {"worse": made(cer=worse, f0_rmse=[5.0] * 8), "other": made(cer=other), "one": made(pace=[0.0] * 7 + [9.0])}
    found = evaluate_speech.moved({"as it is": made(), **harmless, **ways}, 0)
    assert found == {"worse": ["cer"], "other": [], "one": []}


def test_correlations_draw_sentences_with_all_their_ways():
    """Four ways that stand in one order in each of two sentences are not eight pieces of evidence."""
    ways = {str(n): made(mcd=[n, n + 0.5], pace=[n, 3 - n]) for n in range(4)}
    low, high = evaluate_speech.correlations(ways, 0)[0][4].split("(")[1].strip(")").split(" to ")
    assert (float(low), float(high)) == (-1, 1)


def test_without_a_recogniser_nothing_is_said_of_words(bench, measured):
    assert bench.ear is None
    assert evaluate_speech.failures(bench, dict.fromkeys(measured, bench.waves), measured) == []
    lines = {line[0]: line[1:] for line in evaluate_speech.table(measured, 0)}
    assert lines["a third cut out"][-1] == "-"
    assert lines["as it is"][0] == "0 (0 to 0)"


def test_correlations_leave_out_what_is_constant(measured):
    lines = {line[0]: line[1:] for line in evaluate_speech.correlations(measured, 0)}
    assert set(lines["CER"]) == {""}
    assert lines["MCD, dB"][0] == ""
    assert lines["MCD, dB"][3] == lines["pace"][0] != ""


class Echo:
    """Hears of each wave what it was told to."""

    def __init__(self, *texts: str):
        self.texts = list(texts)

    def hear(self, wave: np.ndarray, rate: int) -> str:
        return self.texts.pop(0)


def test_the_worst_sentences_can_be_heard(bench, monkeypatch):
    texts = [row.text for row in bench.rows]
    wrong = texts[1][: len(texts[1]) // 2]
    monkeypatch.setattr(bench, "ear", evaluate_speech.Ear(Echo(texts[0], wrong, texts[2]), "ko"))
    measured = bench.measure(bench.waves)
    assert (measured.values["cer"] > 0).tolist() == [False, True, False]
    (only,) = evaluate_speech.failures(bench, {"cut": bench.waves}, {"cut": measured}, each=3)
    assert only.wave is bench.waves[1]
    assert only.caption == f"said: {texts[1]} | heard: {wrong}"
    assert only.title.startswith("cut, CER 0.")


def test_who_listens_is_asked_for_by_name(bench):
    assert evaluate_speech.hearing(bench.dataset) is None
    assert evaluate_speech.hearing(bench.dataset, "none") is None
    with pytest.raises(ValueError, match="hears English, espeak_ko is 'ko'; take a Whisper"):
        evaluate_speech.hearing(bench.dataset, "pocketsphinx")
    with pytest.raises(ValueError, match="wants auto, none, pocketsphinx or a name of the Hugging Face hub, got 'bat'"):
        evaluate_speech.hearing(bench.dataset, "bat")


def test_whisper_is_told_the_language(bench, monkeypatch):
    asked = []
    monkeypatch.setattr(evaluate_speech.recognise, "Whisper", lambda *words: asked.append(words))
    for language in ("ko", "en", "jje"):
        evaluate_speech.hearing(dataclasses.replace(bench.dataset, language=language), "openai/whisper-small")
    assert asked == [("openai/whisper-small", one) for one in ("ko", "en", "ko")]


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
    assert all(len(line) == len(evaluate_speech.FAULTS) and 3 < float(line[5]) < 10 for line in lines), "syllables"
