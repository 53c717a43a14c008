"""Where a text is cut: escaped, unknown pieces marked, letters in the colour of their piece; curves over sizes."""

from __future__ import annotations

import math
import re

import pytest

from nbkit.views import pieces, style
from nbkit.views.pieces import SPECIAL, UNKNOWN, Cut, Piece

CUT = Cut(
    ("좋다 뷁", "<b>네"),
    (
        Piece("[CLS]", 2, SPECIAL),
        Piece("▁좋", 10, start=0, end=1),
        Piece("다", 11, start=1, end=2),
        Piece("▁", 5, start=3, end=3),
        Piece("뷁", 0, UNKNOWN, 3, 4),
        Piece("[SEP]", 3, SPECIAL),
        Piece("▁<b>", 12, start=0, end=3, text=1),
        Piece("ᄂ", 13, start=3, end=4, text=1),
    ),
    "the <i>first</i>",
)


def test_pieces_as_a_page():
    page = pieces.boxes(CUT)._repr_html_()
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;b&gt;" in page
    assert "the &lt;i&gt;first&lt;/i&gt;, 8 pieces" in page
    assert re.findall(r"tabular-nums\">(\d+)<", page) == ["2", "10", "11", "5", "0", "3", "12", "13"]
    assert page.count('title="special"') == 2
    assert page.count('title="unknown"') == 1
    assert page.count(f"background:{pieces.RED}") == 1
    assert "@font-face" in page
    assert ">ㄴ<" in page, "a single letter is drawn as one that stands alone"


def test_letters_have_the_colour_of_their_piece():
    page = pieces.boxes(CUT)._repr_html_()
    runs = re.findall(r'<span(?: style="border-bottom:3px solid (#\w+)")?>([^<]*)</span>', page)
    first, second = pieces.COLOURS[:2]
    assert runs[:4] == [(first, "좋"), (second, "다"), ("", " "), (pieces.RED, "뷁")]
    assert [letters for _, letters in runs[4:]] == ["&lt;b&gt;", "네"]
    assert len({colour for colour, _ in runs[4:]} - {""}) == 2
    assert style.SERIES[1] not in pieces.COLOURS


def test_pieces_as_text():
    told = repr(pieces.boxes([CUT, Cut(("네",), (Piece("▁네", 7, end=1),))])).splitlines()
    assert told[0] == "the <i>first</i>: 좋다 뷁 / <b>네"
    assert told[1] == "  [CLS] 2 | ▁좋 10 | 다 11 | ▁ 5 | 뷁? 0 | [SEP] 3 | ▁<b> 12 | ㄴ 13"
    assert told[2:] == ["네", "  ▁네 7"]


def test_a_hostile_text_stays_text():
    hostile = '"><script>{{ 7 * 7 }}</script></style>'
    page = pieces.boxes(Cut((hostile,), (Piece(hostile, 0, UNKNOWN, 0, len(hostile)),), hostile))._repr_html_()
    assert "<script" not in page
    assert "</style" not in page
    assert page.count("{{ 7 * 7 }}") == 3


@pytest.mark.parametrize("wrong", [{"end": 3}, {"start": 2, "end": 1}, {"text": 1}])
def test_places_outside_of_the_text_are_refused(wrong):
    with pytest.raises(ValueError, match="the places in its own text"):
        pieces.boxes(Cut(("좋다",), (Piece("좋다", 1, **wrong),)))


def test_curves():
    ax = pieces.curves([1000, 2000, 4000], {"first": [3.0, 2.5, 2.25], "둘째": [3.5, 3, 2]}, "pieces an eojeol")
    assert [line.get_ydata().tolist() for line in ax.get_lines()] == [[3.0, 2.5, 2.25], [3.5, 3, 2]]
    assert ax.get_xscale() == "log"
    assert ax.get_xticks().tolist() == [1000, 2000, 4000]
    assert ax.get_ylim()[0] == 0
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["first", "둘째"]
    style.png(ax)
    for wrong in ([1.0], [1.0, math.nan, 2.0]):
        with pytest.raises(ValueError, match="finite value for each of 3 sizes"):
            pieces.curves([1000, 2000, 4000], {"first": wrong}, "pieces")
