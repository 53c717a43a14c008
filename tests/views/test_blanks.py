"""The picture of filled blanks."""

import numpy as np
import pytest

from nbkit.views import blanks, style

TEXTS = ["이 영화 ▢ 재미있다", "배우 연기가 아주 아주 아주 아주 아주 아주 아주 아주 아주 아주 좋고 음악도 ▢ 좋다"]
GUESSES = np.array([["▁정말", "▁참", "🎬"], ["도", "▁더", "만"]])
SHARES = np.array([[0.6, 0.3, 0.01], [0.2, 0.1, 0.05]])


def written(ax):
    return [text.get_text() for text in ax.texts]


def test_each_blank_has_its_text_its_guesses_and_the_truth():
    ax = blanks.plot(TEXTS, GUESSES, SHARES, ["▁참", "▁더"])
    assert "_정말 60%" in written(ax)
    assert "□ 1%" in written(ax)  # no font of ours draws it
    assert written(ax).count("_참") == 1
    framed = [patch for patch in ax.patches if patch.get_linewidth() > 1 and patch.get_edgecolor()[3]]
    assert [round(patch.get_x()) for patch in framed] == [1, 1]
    around = next(text for text in written(ax) if text.startswith("…"))
    assert blanks.BLANK in around
    assert len(around) < 45
    assert style.png(ax).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "text", ["가" * 60 + "▢", "▢" + "가" * 60, "가" * 30 + "▢" + "가" * 30, "reads " * 9 + "▢" + "가" * 9]
)
def test_a_long_text_ends_before_the_pieces(text):
    ax = blanks.plot([text], GUESSES[:1], SHARES[:1], ["▁참"])
    ax.figure.canvas.draw()
    shown = next(one for one in ax.texts if blanks.BLANK in one.get_text())
    right = ax.transData.inverted().transform(shown.get_window_extent())[1, 0]
    assert -0.9 < right < 0.05


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="same M > 0 blanks, got 2, 1"):
        blanks.plot(TEXTS, GUESSES, SHARES, ["▁참"])
    with pytest.raises(ValueError, match="M > 0"):
        blanks.plot([], np.zeros((0, 3)), np.zeros((0, 3)), [])
