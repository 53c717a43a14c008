"""Error rates by hand, and a recogniser that hears made-up English and no more than was said."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nbkit.data import espeak
from nbkit.evaluate import recognise

SENTENCES = [
    "the sun rises over the hills in the morning",
    "she reads a long letter from her brother",
    "a cold wind blows from the north",
    "the children play in the small garden",
]


def test_edits_are_the_fewest():
    assert recognise.edit_distance("kitten", "sitting") == 3
    assert recognise.edit_distance("", "abc") == 3
    assert recognise.edit_distance(["a", "b"], ["b"]) == 1


def test_rates_look_past_punctuation_spaces_and_case():
    assert recognise.character_errors("같이 가자!", "같이가자") == (0, 4)
    assert recognise.character_errors("같이 가자", "가치 가자") == (2, 4)
    assert recognise.character_errors("\u1100\u1161\u11bd이", "갖이").edits == 0
    assert recognise.word_errors("Come, with me.", "come me").rate == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="at least one letter"):
        recognise.word_errors("...", "come")


def test_a_bigram_model_is_a_distribution():
    text = recognise.bigrams([one.split() for one in SENTENCES])
    single = {
        line.split()[1]: 10 ** float(line.split()[0])
        for line in text.split("\\1-grams:")[1].split("\\2-")[0].split("\n")
        if line
    }
    pairs = [line.split() for line in text.split("\\2-grams:")[1].split("\\end")[0].split("\n") if line]
    backs = {
        line.split()[1]: 10 ** float(line.split()[2])
        for line in text.split("\\1-grams:")[1].split("\\2-")[0].split("\n")
        if len(line.split()) == 3
    }
    single.pop("<s>")
    assert sum(single.values()) == pytest.approx(1, abs=1e-3)
    of_the = {b: 10 ** float(p) for p, a, b in pairs if a == "the"}
    assert sum(of_the.values()) + backs["the"] == pytest.approx(1, abs=1e-3)
    with pytest.raises(ValueError, match="at least one sentence"):
        recognise.bigrams([])


@pytest.fixture(scope="module")
def sphinx() -> recognise.Sphinx:
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    return recognise.Sphinx(SENTENCES)


def test_what_was_said_is_heard_and_what_was_not_is_not(sphinx):
    for said, other in pairwise(SENTENCES):
        speech = espeak.speak(said, "en")
        heard = sphinx.hear(np.asarray(speech.wave, np.float32), speech.rate)
        assert recognise.word_errors(said, heard).rate < 0.2
        assert recognise.word_errors(other, heard).rate > 0.5
        assert sphinx.hear(np.asarray(speech.wave, np.float32), speech.rate) == heard, "the same wave, the same words"


def test_what_came_before_is_forgotten(sphinx):
    """The background noise of one wave would else be taken from the next."""
    speech = espeak.speak(SENTENCES[0], "en")
    soft, loud = (
        np.random.default_rng(n).normal(scale=level, size=len(speech.wave)) for n, level in ((1, 0.08), (2, 0.2))
    )
    wave = (np.asarray(speech.wave) + soft).astype(np.float32)
    heard = sphinx.hear(wave, speech.rate)
    sphinx.hear(loud.astype(np.float32), speech.rate)
    assert sphinx.hear(wave, speech.rate) == heard


def test_half_a_sentence_is_half_heard(sphinx):
    speech = espeak.speak(SENTENCES[0], "en")
    wave = np.asarray(speech.wave, np.float32)
    heard = sphinx.hear(wave[: len(wave) // 2], speech.rate)
    assert recognise.word_errors(SENTENCES[0], heard).rate > 0.25


def test_a_broken_wave_is_refused(sphinx):
    with pytest.raises(ValueError, match="finite wave"):
        sphinx.hear(np.full(1000, np.nan, np.float32), 22_050)
