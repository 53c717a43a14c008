"""Scores without a model: what they hold, and that they are good enough for a search."""

import dataclasses

import numpy as np
import pytest

from nbkit.data import espeak, phone_scores
from nbkit.data.audio import MelSpec

SPEC = MelSpec()


def test_frames_belong_to_the_phone_that_sounds_then():
    one = phone_scores.utterance("같이 가자.", SPEC)
    of = phone_scores.phone_of_frame(one, SPEC)
    assert len(of) == one.mel.shape[1]
    assert set(of) == set(range(len(one.symbols)))
    for j, i in enumerate(of[:-1]):
        assert one.spans[i][1] <= j * SPEC.hop / SPEC.rate + 1e-9
        assert j * SPEC.hop / SPEC.rate < one.spans[i][2]
    again = phone_scores.utterance("같이 가자.", SPEC)
    np.testing.assert_array_equal(again.mel, one.mel)


def test_scores_know_the_sounds_and_nothing_of_the_utterance_itself():
    one = phone_scores.utterance("같이 가자고 말해 보세요.", SPEC)
    others = [phone_scores.utterance(text, SPEC) for text in espeak.sentences("ko", 20)]
    scores = phone_scores.frame_scores(one, others, SPEC)
    assert scores.shape == (one.mel.shape[1], len(one.symbols))
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    truth = phone_scores.phone_of_frame(one, SPEC)
    right = scores[np.arange(len(truth)), truth]
    assert (right > np.median(scores, axis=1)).mean() > 0.8
    same = [i for i, symbol in enumerate(one.symbols) if symbol == "ˈɐ"]
    assert len(same) > 1
    np.testing.assert_array_equal(scores[:, same[0]], scores[:, same[1]])


def test_a_rate_that_espeak_does_not_have_is_refused():
    with pytest.raises(ValueError, match="wanted 16000"):
        phone_scores.utterance("가자", dataclasses.replace(SPEC, rate=16000))
