"""Answers of several systems side by side: escaped, the right ones marked, bars within a system."""

from __future__ import annotations

import math
import re

import pytest

from nbkit.views import ranking

FOUND = {
    "BM25": [("네 좋아요", 7.5), ("<script>alert(1)</script>", 5.0), ("모르겠어요", 2.5)],
    "bi-encoder & co": [("모르겠어요", 0.25)],
    "cross": [],
}


def test_answers_as_a_page():
    page = ranking.columns("<b>오늘</b> 어때?", FOUND, right=["모르겠어요"])._repr_html_()
    assert "<script" not in page
    assert "<b>오늘" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;b&gt;오늘&lt;/b&gt; 어때?" in page
    assert "bi-encoder &amp; co" in page
    assert page.index("네 좋아요") < page.index("script") < page.index("모르겠어요")
    assert re.findall(r"width:(\d+)%", page) == ["100", "50", "0", "0"]
    assert page.count("known to be right") == 2
    assert page.count(ranking.NOTHING) == 1
    assert "7.500" in page
    assert "@font-face" in page, "Korean shows on a machine without such a font"


def test_a_hostile_answer_in_an_attribute_or_a_style():
    hostile = '" onmouseover="alert(1)'
    page = ranking.columns(hostile, {hostile: [(hostile, 1.0)]}, right={hostile})._repr_html_()
    assert '" onmouseover' not in page
    page = ranking.columns("</style><i>", {"a": [("</style>{{ 7 * 7 }}", 1.0)]})._repr_html_()
    assert "<i>" not in page
    assert "</style>" not in page
    assert "{{ 7 * 7 }}" in page


def test_answers_as_text():
    lines = repr(ranking.columns("오늘 어때?", FOUND, right=["모르겠어요"])).splitlines()
    assert lines[:3] == ["오늘 어때?", "BM25", "       7.500  네 좋아요"]
    assert lines[4] == "  *    2.500  모르겠어요"
    assert lines[-2:] == ["cross", f"    {ranking.NOTHING}"]


@pytest.mark.parametrize("scores", [(1.0, 2.0), (math.nan, 1.0), (math.inf, 1.0)])
def test_scores_that_rank_nothing_are_refused(scores):
    with pytest.raises(ValueError, match="falling order, dense has"):
        ranking.columns("?", {"dense": [(str(score), score) for score in scores]})


def test_equal_scores_have_no_bars():
    shown = ranking.columns("?", {"dense": [("a", 1.0), ("b", 1.0)]}).columns["dense"]
    assert [bar for _, _, bar in shown] == [0.0, 0.0]
