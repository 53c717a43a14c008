"""Bars end where the numbers are; points lie where operations, bytes and seconds put them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from nbkit.views import style, timings

EVIL = "<script>$\\frac$ 🫠" + "가" * 300
ROWS = [
    {"way": "loops", "median": 0.1, "p20": 0.08, "p80": 0.12, "kind": "published"},
    {"way": EVIL, "median": 0.001, "kind": "measured here"},
]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_bars_end_at_their_values_and_say_them():
    ax = timings.bars(ROWS, marks={"floor": 0.0002}, title="<b>$\\frac$ 🫠")
    bars = [bar for bar in ax.patches if isinstance(bar, Rectangle) and bar.get_width() > 0]
    assert [bar.get_x() + bar.get_width() for bar in bars] == pytest.approx([100, 1])
    assert bars[0].get_facecolor() != bars[1].get_facecolor()
    assert [text.get_text() for text in ax.texts] == ["100", "1"]
    assert ax.collections[0].get_paths()[0].vertices.tolist() == [[80, 0], [120, 0]]  # pyright: ignore[reportAttributeAccessIssue]
    assert ax.get_xscale() == "log"
    assert ax.get_xlim()[0] < 0.2
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first stands on top"
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["floor", "published", "measured here"]
    assert style.png(ax).startswith(b"\x89PNG")


def test_labels_are_drawn_as_text_and_end_somewhere():
    label = timings.bars(ROWS).get_yticklabels()[1].get_text()
    assert label.startswith("<script>$\\frac$ □가")
    assert label.endswith("…")


def test_points_lie_under_the_roof():
    points = [{"way": "a", "operations": 4e9, "bytes": 8e9, "median": 1.0}]
    ax = timings.roofline(points, bytes_per_second=16e9, operations_per_second=64e9, title="here")
    roof, point = ax.lines
    assert np.array(point.get_data()).ravel().tolist() == [0.5, 4e9]
    x, y = np.array(roof.get_data())
    assert (x[1], y[1], y[2]) == (4, 64e9, 64e9), "they meet where a byte has four operations"
    assert y[0] == x[0] * 16e9
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_texts()[0].get_text() == "a: 50%", "of what memory allows here"
    assert style.png(ax).startswith(b"\x89PNG")


@pytest.mark.parametrize("median", [0, -1, float("nan"), float("inf")])
def test_what_a_logarithm_cannot_show_is_refused(median):
    with pytest.raises(ValueError, match="wants values above 0"):
        timings.bars([{"way": "a", "median": median}])
    with pytest.raises(ValueError, match="wants numbers above 0"):
        timings.roofline(
            [{"way": "a", "operations": 1, "bytes": 1, "median": median}], bytes_per_second=1, operations_per_second=1
        )


def test_no_row_is_refused():
    with pytest.raises(ValueError, match="measure something first"):
        timings.bars([])
    with pytest.raises(ValueError, match="measure something first"):
        timings.roofline([], bytes_per_second=1, operations_per_second=1)
