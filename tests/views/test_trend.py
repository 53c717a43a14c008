"""Points with their line."""

import numpy as np
import pytest

from nbkit.views import trend


def test_a_power_is_a_straight_line_on_logarithmic_axes():
    x = np.array([1.0, 2.0, 8.0])
    ax = trend.plot({"it": (x, 3 * x**2)}, "x", "y", logarithmic=True)
    line = ax.lines[1].get_ydata()
    assert line == pytest.approx([3, 192])
    assert (ax.get_xscale(), ax.get_legend()) == ("log", None)


def test_kinds_are_told_apart():
    ax = trend.plot({"spoken": ([1, 2], [0.2, 0.1]), "recorded": ([1, 1], [0.0, 0.1])}, "x", "y")
    assert [one.get_text() for one in ax.get_legend().get_texts()] == ["spoken", "recorded"]
    assert len(ax.lines) == 3  # where all x are alike there is no line
    assert ax.get_ylim()[0] <= 0


@pytest.mark.parametrize(
    ("kinds", "logarithmic", "told"),
    [
        ({}, False, "got none"),
        ({"it": ([1, 2], [1])}, False, "shapes"),
        ({"it": ([1, 2], [1, np.nan])}, False, "finite"),
        ({"it": ([0, 2], [1, 1])}, True, "above 0"),
    ],
)
def test_what_cannot_be_drawn_is_named(kinds, logarithmic, told):
    with pytest.raises(ValueError, match=told):
        trend.plot(kinds, "x", "y", logarithmic=logarithmic)
