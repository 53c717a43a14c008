"""The pictures of the alignment search show what the search did."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from nbkit.kernels.mas import maximum_path
from nbkit.views import search, style


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def table(log_p):
    Q = np.full(log_p.shape, -np.inf)
    Q[0, 0] = log_p[0, 0]
    for j in range(1, len(Q)):
        Q[j] = np.maximum(Q[j - 1], np.concatenate([[-np.inf], Q[j - 1, :-1]])) + log_p[j]
    return Q


def test_numbers_stand_in_their_cells_and_arrows_only_where_a_path_can_be():
    values = np.array([[-1.0, -np.inf], [-2.5, -3.0], [-4.0, -5.0]])
    moved = np.array([[False, False], [False, True], [False, False]])
    ax = search.numbers(values, ["ㄱ", "ㅏ"], moved=moved, path=np.array([0, 1, 1]), title="Q")
    texts = {text.get_position(): text.get_text() for text in ax.texts if text.get_text()}
    assert texts == {(0, 0): "-1", (1, 0): "-2.5", (1, 1): "-3", (2, 0): "-4", (2, 1): "-5"}
    assert len([text for text in ax.texts if not text.get_text()]) == 4, "one arrow a cell that has a predecessor"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ㄱ", "ㅏ"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first token stands on top"
    np.testing.assert_array_equal(ax.lines[0].get_data(), ([0, 1, 2], [0, 1, 1]))
    assert style.png(ax).startswith(b"\x89PNG")


def test_numbers_behind_the_frame_stay_hidden_and_those_before_it_keep_their_colour():
    Q = table(np.array([[-1.0, -4], [-1, -2], [-9, -2]]))
    whole, part = search.numbers(Q, ["ㄱ", "ㅏ"]), search.numbers(Q, ["ㄱ", "ㅏ"], frame=2)
    assert {text.get_position()[0] for text in part.texts} == {0, 1}
    assert np.ma.getmaskarray(part.images[0].get_array())[:, 2:].all()
    assert part.images[0].get_clim() == whole.images[0].get_clim()
    assert part.get_xlim() == whole.get_xlim()


def test_a_beginning_of_all_frames_is_the_path():
    draw = np.random.default_rng(0)
    for T, F in ((1, 1), (1, 4), (4, 4), (5, 30)):
        log_p = draw.normal(size=(F, T))
        wanted = maximum_path(log_p[None], [T], [F], layout="bft").frame_to_token[0]
        np.testing.assert_array_equal(search.beginning(table(log_p), F, T - 1), wanted)


def test_beginnings_hide_what_is_not_known_yet():
    Q = table(np.random.default_rng(0).normal(size=(12, 4)))
    ax = search.beginnings(Q, list("abcd"), 7, ends=[2, 3], path=np.repeat(range(4), 3))
    image = ax.images[0].get_array()
    assert np.ma.getmaskarray(image)[:, 7:].all()
    assert not np.ma.getmaskarray(image)[0, :7].any()
    lines = [line.get_data() for line in ax.lines]
    assert [line[1][-1] for line in lines[1:3]] == [2, 3]
    assert all(len(line[0]) == 7 for line in lines[1:3])
    search.beginnings(Q, list("abcd"), 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: search.numbers(np.zeros((3, 2)), ["a"]), r"table \[frames, 1\].*got shape \(3, 2\)"),
        (lambda: search.numbers(np.zeros((3, 2)), ["a", "b"], frame=0), r"numbers wants a frame in 1\.\.3, got 0"),
        (lambda: search.beginnings(np.zeros((3, 2)), ["a", "b"], 4), r"frame in 1\.\.3, got 4"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
