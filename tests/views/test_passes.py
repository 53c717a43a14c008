from typing import Any, cast

import matplotlib.pyplot as plt
import pytest

from nbkit.views import passes


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_strip_is_as_long_as_what_is_moved():
    ax = passes.strips({"plain $x$": [("mul", 1, 1), ("add", 2, 1)], "one": [("all", 1, 1)]})
    assert [text.get_text() for text in ax.texts] == ["5", "2"]
    widths = [bar.get_width() for bar in cast(Any, ax.patches) if bar.get_width()]
    assert widths == [1, 1, 2, 1, 1, 1]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["plain $x$", "one"]
    ax.figure.canvas.draw()


def test_bars_end_at_the_median_and_floors_stand_where_they_are():
    rows = [("plain", 0.004, 0.003, 0.005, 0.001), ("unknown", 0.002, 0.002, 0.002, float("nan"))]
    ax = passes.beside_floor(rows, title="training")
    assert [bar.get_width() for bar in cast(Any, ax.patches)] == [4, 2]
    (marks,) = ax.lines
    assert cast(Any, marks.get_xdata())[0] == 1
    assert ax.get_title("left") == "training"
    assert ax.get_legend() is not None
    ax.figure.canvas.draw()
    assert passes.beside_floor(rows[1:]).get_legend() is None


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match=r"wants ways with an operation or more, got \{'a': \[\]\}; count first"):
        passes.strips({"a": []})
    with pytest.raises(ValueError, match="wants a row or more, got none; measure something first"):
        passes.beside_floor([])
