"""Measures of speech, against what can be worked out by hand."""

import numpy as np
import pytest

from nbkit.evaluate import speech


def test_boundaries_lie_half_a_frame_before_the_centre():
    np.testing.assert_allclose(speech.boundaries(np.array([2, 3]), 0.01), [0.0, 0.015, 0.045])


def test_boundary_errors_of_words():
    durations, word_of = np.array([4, 6, 2, 8]), np.array([0, 0, -1, 1])
    truth = [(0.0, 0.1), (0.12, 0.2)]
    errors = speech.boundary_errors(durations, word_of, truth, 0.01)
    np.testing.assert_allclose(errors, [0.0, 0.005, 0.005, 0.005], atol=1e-12)
    assert len(speech.boundary_errors(durations, np.full(4, -1), truth, 0.01)) == 0
    with pytest.raises(ValueError, match="one segment a token"):
        speech.boundary_errors(durations, word_of[:2], truth, 0.01)


def test_duration_errors_of_words_have_a_sign_and_do_not_ask_where_they_lie():
    durations, word_of = np.array([10, 2, 8]), np.array([0, -1, 1])
    truth = [(0.0, 0.1), (0.5, 0.6)]
    errors = speech.duration_errors(durations, word_of, truth, 0.01)
    np.testing.assert_allclose(errors, [-0.005, -0.02], atol=1e-12)  # the first frame of all begins at 0
    np.testing.assert_allclose(speech.duration_errors(durations + 1, word_of, truth, 0.01), errors + 0.01, atol=1e-12)
    assert len(speech.duration_errors(durations, np.full(3, -1), truth, 0.01)) == 0
    with pytest.raises(ValueError, match="one segment a token"):
        speech.duration_errors(durations, word_of[:2], truth, 0.01)


def test_equal_shares():
    shares = speech.equal_shares(3, 10)
    assert shares.sum() == 10
    assert shares.max() - shares.min() <= 1


def brute_force(cost, i=0, j=0):
    """The cheapest total from (i, j) to the last corner."""
    if (i, j) == (cost.shape[0] - 1, cost.shape[1] - 1):
        return cost[i, j]
    steps = [(a, b) for a, b in ((i + 1, j + 1), (i + 1, j), (i, j + 1)) if a < cost.shape[0] and b < cost.shape[1]]
    return cost[i, j] + min(brute_force(cost, *step) for step in steps)


def test_dtw_finds_the_cheapest_path():
    draw = np.random.default_rng(0)
    for _ in range(20):
        a, b = draw.normal(size=(draw.integers(1, 6), 3)), draw.normal(size=(draw.integers(1, 6), 3))
        warp = speech.dtw(a, b)
        cost = np.linalg.norm(a[:, None] - b[None], axis=-1)
        assert warp.distance * len(warp.path) == pytest.approx(brute_force(cost))
        steps = np.diff(warp.path, axis=0)
        assert ((steps >= 0) & (steps <= 1)).all()
        assert (steps.sum(1) > 0).all()
        assert warp.path[0].tolist() == [0, 0]
        assert warp.path[-1].tolist() == [len(a) - 1, len(b) - 1]


def test_mel_distance_forgives_tempo_and_not_content():
    draw = np.random.default_rng(1)
    mel = np.cumsum(draw.normal(size=(80, 50)), axis=1)
    assert speech.mel_distance(mel, mel) == pytest.approx(0.0, abs=1e-6)
    assert speech.mel_distance(mel, np.repeat(mel, 2, axis=1)) == pytest.approx(0.0, abs=1e-6)
    assert speech.mel_distance(mel, mel + 1.0) == pytest.approx(20 / np.log(10), rel=0.2)
    assert speech.mel_distance(mel, mel[:, ::-1]) > 10
    with pytest.raises(ValueError, match="at least one frame"):
        speech.mel_distance(mel, mel[:, :0])


def test_long_sequences_are_warped_block_by_block():
    """Three blocks of rows give what one matrix of costs gives."""
    draw = np.random.default_rng(2)
    a, b = np.cumsum(draw.normal(size=(600, 3)), 0), np.cumsum(draw.normal(size=(90, 3)), 0)
    sums = np.full((601, 91), np.inf)
    sums[0, 0] = 0
    for i, row in enumerate(np.linalg.norm(a[:, None] - b[None], axis=-1)):
        for j, cost in enumerate(row):
            sums[i + 1, j + 1] = cost + min(sums[i, j], sums[i, j + 1], sums[i + 1, j])
    warp = speech.dtw(a, b)
    assert warp.distance * len(warp.path) == pytest.approx(sums[-1, -1])
    assert np.linalg.norm(a[warp.path[:, 0]] - b[warp.path[:, 1]], axis=1).mean() == pytest.approx(warp.distance)


def test_what_is_not_finite_is_not_warped():
    with pytest.raises(ValueError, match="finite vectors"):
        speech.dtw(np.array([[1.0], [np.nan]]), np.ones((3, 1)))
