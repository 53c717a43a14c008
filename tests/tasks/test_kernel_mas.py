"""What the notebook on the speed of the search shows is so."""

from __future__ import annotations

import numpy as np
import pytest

from nbkit.evaluate import bench, search_bench
from nbkit.kernels import emulator
from nbkit.tasks import kernel_mas

TIMING = bench.Timing(2e-3, 1e-3, 3e-3, 1e-3, 9)
needs_compiler = pytest.mark.skipif(not emulator.available(), reason="needs g++")


def test_each_way_has_a_place_under_the_roof():
    found: dict[str, bench.Timing] = {name: TIMING for name in kernel_mas.LADDER}
    points = kernel_mas.points(found, 1000)
    assert [point["way"] for point in points] == list(kernel_mas.LADDER)
    assert {point["operations"] for point in points} == {3000}
    assert points[0]["bytes"] == 20_000, "copied, Q written and read, path written"
    assert points[-1]["bytes"] == 4125, "a score read, a bit written"
    assert list(kernel_mas.ladder(kernel_mas.KernelMas.preset("smoke"))) == list(kernel_mas.LADDER)


def test_times_are_those_of_a_score():
    (row,) = kernel_mas.per_score({"a": TIMING}, 1000)
    assert (row["median"], row["p20"], row["p80"]) == pytest.approx((2e-6, 1e-6, 3e-6))
    loops, triton = kernel_mas.published(870)
    assert loops["way"].endswith("T=1024")
    assert triton["median"] == pytest.approx(19.8e-3 / (16 * 1024 * 4096))


def test_cases_are_ragged_and_some_have_ties():
    scores, tokens, frames = kernel_mas.small(0, 3, ties=True)
    assert (tokens <= frames).all()
    assert all(np.isnan(scores[b, tokens[b] :]).all() for b in range(3))
    seen = scores[0, : tokens[0], : frames[0]]
    assert (seen == np.round(seen)).all()
    assert not np.array_equal(seen, kernel_mas.small(0, 3)[0][0, : tokens[0], : frames[0]])


def test_ways_agree_and_a_wrong_one_does_not(monkeypatch):
    case = kernel_mas.small(0, 1, ties=True)
    assert all(kernel_mas.agrees(case, impl) for impl in ("cpu", "torch"))
    right = kernel_mas.maximum_path
    monkeypatch.setattr(
        kernel_mas, "maximum_path", lambda s, T, F, impl: right(-s if impl == "cpu" else s, T, F, impl=impl)
    )
    assert not kernel_mas.agrees(case, "cpu")


@needs_compiler
def test_a_barrier_is_missed():
    found = kernel_mas.orders(2, lost="behind each tile")
    assert found.right == 0
    assert all(fault.startswith(("race: ", "uninitialised: ")) for fault in found.faults)
    assert len(found.faults) == 2


@needs_compiler
def test_with_all_barriers_any_order_is_right():
    assert kernel_mas.orders(3) == kernel_mas.Orders(3, [])


def test_a_barrier_has_a_name_and_one_place(monkeypatch):
    assert all(kernel_mas.without(barrier).count("__syncthreads();") == 2 for barrier in kernel_mas.BARRIERS)
    with pytest.raises(ValueError, match="wanted a barrier of"):
        kernel_mas.orders(1, lost="somewhere")
    monkeypatch.setitem(kernel_mas.BARRIERS, "gone", "what is not there")
    with pytest.raises(ValueError, match=r"wanted one barrier gone in mas\.cu, got 0"):
        kernel_mas.orders(1, lost="gone")


def test_only_figures_of_gpus_are_recorded(tmp_path, monkeypatch):
    rows = [{"way": search_bench.OURS, "table": "search", "tokens": 8, "frames": 20, "median": 2e-5, "of_copy": 0.25}]
    result = {"device": "a GPU", "driver": "1", "date": "2026-01-02T00:00:00Z", "rows": rows}
    monkeypatch.setattr(bench, "load", lambda name: [result, result | {"driver": None}])
    assert kernel_mas.recorded() == [("a GPU", "2026-01-02", "search", "8 x 20", "cupy", "20.0", "25%")]
