"""The staircase stands where the durations put it, and its labels can be read."""

from __future__ import annotations

import unicodedata

import matplotlib.pyplot as plt
import numpy as np
import pytest

from nbkit.views import alignment, style

FRAME = 256 / 22050


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def example(text: str = "같이 가자", seed: int = 0):
    """Jamo, durations and scores that favour the path."""
    draw = np.random.default_rng(seed)
    symbols = list(unicodedata.normalize("NFD", text))
    durations = draw.integers(0, 12, len(symbols))
    durations[-1] += 1
    frames = int(durations.sum())
    tokens = np.repeat(np.arange(len(symbols)), durations)
    scores = -3.0 * np.abs(np.arange(len(symbols))[:, None] - tokens) + draw.normal(size=(len(symbols), frames))
    return durations, symbols, scores


def found(ax):
    return next(line for line in ax.lines if line.get_label() == "found")


def test_the_path_holds_each_token_for_its_frames():
    durations, symbols, _ = example()
    x, y = found(alignment.plot(durations, symbols, seconds_per_frame=FRAME)).get_data()
    for token, frames in enumerate(durations):
        assert np.ptp(x[y == token]) == pytest.approx(frames * FRAME)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert (x[0], x[-1]) == (0, pytest.approx(durations.sum() * FRAME))


def test_axes_labels_and_words():
    durations, symbols, scores = example("같이 가자")
    ax = alignment.plot(durations, symbols, seconds_per_frame=FRAME, scores=scores)
    assert ax.get_xlabel() == "seconds"
    assert [label.get_text() for label in ax.get_yticklabels()] == list("ㄱㅏㅌㅇㅣ␣ㄱㅏㅈㅏ")
    assert [text.get_text() for text in ax.texts] == ["같이", "가자"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first token stands on top"
    assert ax.images[0].get_cmap().name == "viridis"


def test_words_with_blank_tokens_between():
    symbols = [s for letter in unicodedata.normalize("NFD", "가 나") for s in (alignment.BLANK, letter)] + [
        alignment.BLANK
    ]
    assert alignment.words(symbols) == [("가", 0, 5), ("나", 6, 11)]
    durations = np.ones(len(symbols), int)
    labels = alignment.plot(durations, symbols, seconds_per_frame=FRAME).get_yticklabels()
    assert [label.get_text() for label in labels] == list("ㄱㅏ␣ㄴㅏ")


def test_spans_are_the_words_in_seconds():
    durations, symbols, _ = example("같이 가자")
    first, second = alignment.spans(durations, symbols, seconds_per_frame=FRAME)
    assert first == ("같이", 0, pytest.approx(durations[:5].sum() * FRAME))
    assert second == ("가자", pytest.approx(durations[:6].sum() * FRAME), pytest.approx(durations.sum() * FRAME))


@pytest.mark.parametrize("text", ["오늘은 날씨가 좋아서 친구와 함께 한강에 다녀왔습니다.", "가자"])
def test_labels_do_not_cover_each_other(text: str):
    durations, symbols, scores = example(text)
    ax = alignment.plot(durations, symbols, seconds_per_frame=FRAME, scores=scores)
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()] + [t.get_window_extent() for t in ax.texts]
    assert len(boxes) >= len(symbols)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert min(label.get_fontsize() for label in ax.get_yticklabels()) >= 9


def test_truth_as_boxes_over_their_tokens_and_as_lines():
    durations, symbols, scores = example("같이 가자")
    ax = alignment.plot(durations, symbols, seconds_per_frame=FRAME, scores=scores, truth=[("같이", 0.1, 0.3, 0, 5)])
    (box,) = ax.patches
    assert box.get_bbox().extents.tolist() == pytest.approx([0.1, -0.5, 0.3, 4.5])
    ax = alignment.plot(durations, symbols, seconds_per_frame=FRAME, truth=[("같이", 0.1, 0.3)])
    assert not ax.patches
    assert "같이" in [text.get_text() for text in ax.texts]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["true", "found"]


def test_mel_lies_below_on_the_same_seconds():
    durations, symbols, scores = example()
    mel = np.random.default_rng(0).normal(size=(80, scores.shape[1]))
    ax = alignment.plot(durations, symbols, seconds_per_frame=FRAME, scores=scores, mel=mel)
    (below,) = ax.child_axes
    assert below.get_xlim() == ax.get_xlim() == (0, pytest.approx(scores.shape[1] * FRAME))
    assert (ax.get_xlabel(), below.get_xlabel()) == ("", "seconds")
    assert style.png(ax).startswith(b"\x89PNG")


def test_draws_into_given_axes_and_leaves_its_input_alone():
    durations, symbols, scores = example()
    scores[0, 5:] = -np.inf
    before = scores.copy(), durations.copy()
    ax = style.axes(4, 2)
    assert alignment.plot(durations, symbols, seconds_per_frame=FRAME, scores=scores, ax=ax) is ax
    assert np.isfinite(ax.images[0].get_array()).all()
    assert (scores == before[0]).all()
    assert (durations == before[1]).all()


def test_what_does_not_fit_together_is_refused():
    durations, symbols, scores = example()
    with pytest.raises(ValueError, match=r"one duration a symbol.*9 symbols"):
        alignment.plot(durations, symbols[:-1], seconds_per_frame=FRAME)
    with pytest.raises(ValueError, match=rf"scores of shape \(10, {durations.sum()}\).*cut the padding"):
        alignment.plot(durations, symbols, seconds_per_frame=FRAME, scores=scores[:, 1:])
    with pytest.raises(ValueError, match="mel of shape"):
        alignment.plot(durations, symbols, seconds_per_frame=FRAME, mel=scores[:, 1:])
