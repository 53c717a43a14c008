"""Pictures of many runs: what an axis shows, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from nbkit.views import comparing, style

ROWS = [
    {"rate": 0.001, "size": "small", "whole": True, "loss": 0.5},
    {"rate": 0.1, "size": "같이", "whole": False, "loss": 0.25},
    {"rate": 0.01, "size": "small", "loss": float("nan")},
]


def heights(ax) -> np.ndarray:
    """[row, axis], in the order of ROWS."""
    lines = [line for line in ax.lines if len(line.get_ydata()) == 4]
    found = {tuple(np.round(line.get_ydata(), 6)): line for line in lines}
    return np.array(sorted(found, key=lambda one: one[0]))


def test_wide_axes_are_logarithmic_and_the_best_line_is_marked():
    ax = comparing.parallel(ROWS, ["rate", "size", "whole", "loss"])
    found = heights(ax)
    assert found[:, 0].tolist() == [0.0, 0.5, 1.0], "0.01 lies halfway between 0.001 and 0.1"
    assert found[0, 3] == 1.0
    assert found[2, 3] == 0.0
    assert np.isnan(found[1, 2:]).all(), "what is not known leaves a gap"
    (best,) = (line for line in ax.lines if line.get_color() == style.PATH)
    assert best.get_ydata()[0] == 1.0
    texts = {text.get_text() for text in ax.texts}
    assert {"같이", "small", "0.001", "0.1", "True"} <= texts
    style.png(ax)


def test_the_greatest_may_be_the_best():
    ax = comparing.parallel(ROWS, ["rate", "loss"], greatest=True)
    (best,) = (line for line in ax.lines if line.get_color() == style.PATH)
    assert best.get_ydata().tolist() == [0.0, 1.0]


def test_few_values_are_all_written_and_many_are_not():
    ax = comparing.parallel([{"rate": rate, "loss": 1.0 + rate} for rate in (1, 2, 4, 8)], ["rate", "loss"])
    assert {"1", "2", "4", "8"} <= {text.get_text() for text in ax.texts}
    ax = comparing.parallel([{"rate": rate, "loss": rate} for rate in range(1, 21)], ["rate", "loss"])
    assert [text.get_text() for text in ax.texts if text.xy[0] == 0] == ["1", "10.5", "20"]


def test_an_axis_of_one_value_lies_in_the_middle():
    ax = comparing.parallel([{"a": 1, "loss": 2.0}, {"a": 1, "loss": 3.0}], ["a", "loss"])
    assert {line.get_ydata()[0] for line in ax.lines if len(line.get_ydata()) == 2 and line.get_linewidth() > 1} == {
        0.5
    }


@pytest.mark.parametrize(
    ("rows", "names", "words"),
    [
        ([], ["a", "loss"], "rows and two names"),
        (ROWS, ["loss"], "two names"),
        (ROWS, ["rate", "size"], "wants numbers"),
    ],
)
def test_what_cannot_be_drawn_is_refused(rows, names, words):
    with pytest.raises(ValueError, match=words):
        comparing.parallel(rows, names)


def test_courses_leave_out_runs_without_the_value():
    log = [{"step": step, "split": "validation", "loss": 1 / (step + 1)} for step in range(5)]
    ax = comparing.courses({"one": log, "둘": log[:3], "none": []}, "loss")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "둘"]
    assert ax.get_ylabel() == "loss, validation"
    with pytest.raises(ValueError, match="no run of one has logged 'accuracy'"):
        comparing.courses({"one": log}, "accuracy")


def test_pictures_stand_beside_each_other(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(style.png(style.axes(2, 1)))
    grid = {(kind, run): tmp_path / f"{kind}.png" for kind in ("a", "b") for run in ("one", "둘", "three")}
    (tmp_path / "half.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    ax = comparing.side_by_side({**grid, ("b", "one"): None, ("b", "three"): tmp_path / "half.png"})
    places = {one.get_title("left").replace("\n", " "): one for one in ax.figure.axes}
    assert [bool(places[f"{kind} {run}"].images) for kind, run in grid] == [True, True, True, False, True, False]
    ax.figure.canvas.draw()
    left = [round(places[f"{kind} 둘"].get_position().x0, 3) for kind in ("a", "b")]
    assert left[0] == left[1], "a run is a column"
    with pytest.raises(ValueError, match="at least one"):
        comparing.side_by_side({})
