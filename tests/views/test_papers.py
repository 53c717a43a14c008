"""The board of papers: where each lies, what its dot says, and what is refused."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_hex

from nbkit.views import papers, style
from nbkit.views.papers import Paper

HOSTILE = "<script>$x_1$</script> \u202e \U0001f600 \ud800 " + "가" * 300
BOARD = [
    Paper("A", 2016, "flow", "read"),
    Paper("B", 2018, "flow", "implemented", ("A",)),
    Paper("같이", 2018, "data", "reproduced", ("A", "not on the board")),
]


def dots(ax) -> list[tuple[float, float, str]]:
    """(x, y, colour) of the papers."""
    return [
        (line.get_xdata()[0], line.get_ydata()[0], to_hex(line.get_markerfacecolor()))
        for line in ax.lines
        if line.get_marker() == "o" and len(line.get_xdata())
    ]


def test_papers_lie_in_their_years_and_lanes():
    ax = papers.board(BOARD, lines=["data", "language", "flow"])
    (ax_, ay, ac), (bx, by, bc), (cx, cy, cc) = dots(ax)
    assert (ax_, bx, cx) == (2016, 2018, 2018)
    assert cy < ay == by, "data is above flow; two years leave room for one row"
    assert (ac, bc, cc) == (style.PAPER, style.SERIES[0], style.SERIES[2])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["data", "flow"], "an empty lane is left out"
    assert {text.get_text() for text in ax.texts if text.get_text()} == {"A", "B", "같이"}
    assert sum(not text.get_text() for text in ax.texts) == 2, "an arrow for each paper that is on the board"
    style.png(ax)


def test_neighbours_in_time_share_no_row():
    ax = papers.board([Paper(str(i), 2018 + i, "flow", "read") for i in range(3)])
    heights = [y for _, y, _ in dots(ax)]
    assert heights[0] == heights[2] != heights[1]
    style.png(ax)


def test_hostile_names_stay_text():
    ax = papers.board([Paper(HOSTILE, 2020, HOSTILE, "read")])
    (shown,) = (text.get_text() for text in ax.texts)
    assert shown.startswith("<script>$x_1$")
    assert len(shown) <= 28
    style.png(ax)


@pytest.mark.parametrize(
    ("board", "lines", "words"),
    [
        ([], (), "got 0"),
        ([BOARD[0], BOARD[0]], (), r"twice \['A'\]"),
        ([Paper("A", 2016, "flow", "eaten")], (), "wants a state of read, implemented, reproduced, got 'eaten'"),
        (BOARD, ("flow",), "'같이' wants a line of flow, got 'data'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(board, lines, words):
    with pytest.raises(ValueError, match=words):
        papers.board(board, lines=lines)
