"""Dots and lines stand where the numbers are, under labels that are text."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from nbkit.views import intervals, style

EVIL = "<script>$\\frac$ 🫠" + "가" * 300


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_each_row_has_its_dot_and_its_line():
    rows = [("one", 0.5, 0.2, 0.8), ("two", 0.7, np.nan, np.nan)]
    ax = intervals.plot(rows, "share", limits=(0, 1), chance=0.5, title=EVIL)
    dots = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(dots.get_data(), ([0.5, 0.7], [0, 1]))
    lines = [path.vertices.tolist() for path in ax.collections[0].get_paths()]
    assert lines == [[[0.2, 0], [0.8, 0]], [[0.7, 1], [0.7, 1]]]
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first stands on top"
    assert ax.get_xlim() == (0, 1)


def test_labels_are_drawn_as_text_and_end_somewhere():
    ax = intervals.plot([(EVIL, 1.0, 0.0, 2.0)], "x")
    (label,) = ax.get_yticklabels()
    assert label.get_text().startswith("<script>$\\frac$ □가")
    assert len(label.get_text()) <= 2 * 36 + 1
    assert label.get_text().endswith("…")
    assert style.png(ax).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "a row or more, got none"),
        ([("a", np.nan, 0, 1)], "low <= value <= high, 'a'"),
        ([("a", 1, 0, 2), ("b", 3, 0, 2)], "'b'"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        intervals.plot(rows, "x")
