"""Tables keep text and numbers apart and escape what they are given; histograms count every value."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from nbkit.views import summary


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_a_table_escapes_links_and_sets_numbers_right():
    made = summary.table(
        [("<b>가</b>", 1234, summary.Link("22", "a.ipynb")), ("나", -5, "")], ("name", "rows", "where")
    )
    page = made._repr_html_()
    assert "&lt;b&gt;가" in page
    assert "<b>" not in page
    assert '<a href="a.ipynb" target="_blank">22</a>' in page
    assert page.count("text-align:right") == 3, "the head of the numbers and two of them"
    assert ">1,234<" in page
    assert ">−5<" in page
    assert repr(made) == "name | rows | where\n<b>가</b> | 1,234 | 22\n나 | −5 | "


def test_a_table_brings_its_korean_along_and_nothing_else():
    korean = summary.table([("같은 뜻", 1)])._repr_html_()
    assert korean.startswith('<style>@font-face{font-family:"nbkit Hangul";src:url(data:font/woff')
    assert "font-family:sans-serif,'nbkit Hangul'\"><table" in korean
    assert len(korean) < 4_000
    plain = summary.table([("the same", 1)])._repr_html_()
    assert plain.startswith("<table")
    assert len(plain) < 500


def test_floats_have_four_digits():
    assert repr(summary.table([("a", 2.0916, 12345.6, -0.00012)])) == "a | 2.092 | 12,346 | −0.00012"


def test_a_table_without_rows_says_so():
    assert "No run yet" in summary.table([], ("run", "state"), empty="No run yet")._repr_html_()


def test_rows_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match=r"one length, got lengths \[2, 3\]"):
        summary.table([("a", 1)], ("name", "rows", "where"))


def test_a_histogram_counts_every_value():
    values = [1.0, 1.5, 2.0, 2.0, 9.0]
    ax = summary.histogram(values, "seconds")
    assert sum(bar.get_height() for bar in ax.patches) == len(values)
    assert ax.lines[0].get_xdata()[0] == 2.0
    assert ax.get_xlim()[0] == 0
    assert ax.get_title(loc="left") == "median 2"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("seconds", "recordings")


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [[1.0, 2.0]]])
def test_a_histogram_refuses_what_it_cannot_count(values):
    with pytest.raises(ValueError, match="histogram wants"):
        summary.histogram(values, "seconds")


def test_one_value_is_drawn_too():
    assert summary.histogram([3.0], "seconds").get_title(loc="left") == "median 3"
