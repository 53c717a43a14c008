"""Ways are timed in turns, checked on poisoned outputs, and written down with what they ran on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nbkit.evaluate import bench

ROWS = bench.rows({"plain": bench.Timing(0.2, 0.1, 0.3, 0.1, 5), "ours": bench.Timing(0.1, 0.1, 0.1, 0.1, 5)})


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where a way says so."""

    class Clock:
        now = 0.0

        def way(self, *durations):
            rest = iter(durations * 1000)
            return lambda: setattr(self, "now", self.now + next(rest))

    clock = Clock()
    monkeypatch.setattr(bench, "_now", lambda: clock.now)
    return clock


@pytest.fixture
def folder(monkeypatch, tmp_path):
    (tmp_path / "data_manifests").mkdir()
    monkeypatch.setenv("NBKIT_HOME", str(tmp_path))
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "here"))
    return tmp_path


def test_ways_take_turns_after_a_warm_up(clock):
    seen = []
    slow, quick = clock.way(1.0), clock.way(0.02)
    found = bench.compare(
        {"slow": lambda: (seen.append("slow"), slow()), "quick": lambda: (seen.append("quick"), quick())}, seconds=1
    )
    turn = ["slow", "quick", "quick"]  # as many as fit into a twentieth of a second, one at least
    assert seen == ["slow"] * 2 + ["quick"] * 2 + turn * bench.TURNS
    assert found["slow"].calls == found["quick"].calls == bench.TURNS, "the first half of a turn is not counted"


def test_quantiles_of_known_durations(clock):
    found = bench.compare({"a": clock.way(9, 9, 1, 2, 3, 4, 5)}, seconds=15)["a"]  # two to warm up, then 1 to 5
    assert found == pytest.approx(bench.Timing(median=3, p20=1.8, p80=4.2, least=1, calls=5))


def test_time_ends_it_but_not_before_three_turns(clock):
    assert bench.compare({"a": clock.way(1.0)}, seconds=0.001)["a"].calls == 3
    assert bench.compare({"a": clock.way(1.0)}, seconds=7)["a"].calls == 7


def test_caches_are_written_over_before_each_call_when_asked(monkeypatch):
    monkeypatch.setattr(bench, "FLUSHED", 10)
    cold = bench._Clock(flush=True)
    seen, buffer = [], cold.cold
    assert buffer is not None
    cold.turn(lambda: seen.append(int(buffer[0])), 3)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    ("ways", "given", "message"),
    [
        ({}, {}, "wanted a way or more"),
        ({"a": int}, {"seconds": 0}, "seconds above 0, got 1 and 0"),
        ({"a": int}, {"seconds": float("nan")}, "seconds above 0"),
        ({"a": int}, {"device": "tpu"}, "wanted device 'cpu' or 'cuda', got 'tpu'"),
        ({"a": int}, {"graph": True}, "leave graph out"),
    ],
)
def test_what_cannot_be_timed_is_refused(ways, given, message):
    with pytest.raises(ValueError, match=message):
        bench.compare(ways, **given)


@pytest.mark.torch
def test_cuda_without_a_gpu_is_refused():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    for call in (lambda: bench.compare({"a": int}, device="cuda"), lambda: bench.copy_ceiling("cuda")):
        with pytest.raises(ValueError, match="wants a GPU, torch finds none"):
            call()


@pytest.mark.gpu
@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize("graph", [False, True])
def test_on_a_gpu_a_copy_is_not_faster_than_the_ceiling(flush, graph):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    source, target = torch.zeros(2, 2**26, device="cuda")
    found = bench.compare({"copy": lambda: target.copy_(source)}, device="cuda", seconds=0.2, flush=flush, graph=graph)
    rate = bench.rows(found, moved={"copy": 2 * source.nbytes}, ceiling=bench.copy_ceiling("cuda", 0.2))[0]
    assert 0.3 < rate["of_copy"] < 1.2


def test_rows_tell_ratios_and_bytes():
    found = {"a": bench.Timing(0.2, 0.1, 0.3, 0.1, 5), "b": bench.Timing(0.1, 0.1, 0.1, 0.1, 5)}
    rows = bench.rows(found, moved={"b": 1e9}, ceiling=2e10)
    assert [row["times"] for row in rows] == [1, 2]
    assert (rows[1]["bytes_per_second"], rows[1]["of_copy"]) == (1e10, 0.5)
    assert "of_copy" not in rows[0]
    lines = bench.table("two ways", rows).splitlines()
    assert lines[1].split() == ["a", "200", "100", "300", "100", "1.00"]
    assert lines[2].endswith("2.00     10.0 GB/s, 50% of a copy")
    with pytest.raises(ValueError, match=r"wanted bytes of ways that were timed, got \['c'\]"):
        bench.rows(found, moved={"c": 1})
    with pytest.raises(ValueError, match="time something first"):
        bench.rows({})


def test_a_copy_reads_and_writes(monkeypatch):
    def compare(ways, seconds):
        ways["copy"]()
        return {"copy": bench.Timing(1, 1, 1, 0.5, 9)}

    monkeypatch.setattr(bench, "compare", compare)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert bench.copy_ceiling() == 2 * 128 * 2**20 / 0.5


def test_results_come_back_newest_first(folder, monkeypatch):
    path = bench.save("search", ROWS, device="cpu", items=32, sizes=[128, 870])
    assert path.parent == folder / "here" / "gallery" / "bench"
    assert path.name.startswith("search.")
    (found,) = bench.load("search")
    assert found["rows"] == ROWS
    assert found["about"] == {"items": 32, "sizes": [128, 870]}
    assert {"device", "driver", "clocks", "versions", "date", "name"} <= set(found)
    assert "numpy" in found["versions"]

    came = folder / "outputs" / "gallery" / "bench"
    came.mkdir(parents=True)
    (came / "search.a-gpu.json").write_text(json.dumps(found | {"date": "2999-01-01T00:00:00Z", "device": "a GPU"}))
    (came / path.name).write_text(json.dumps(found | {"device": "of the project, measured here since"}))
    assert [result["device"] for result in bench.load("search")] == ["a GPU", found["device"]]
    bench.save("search", ROWS[:1], device="cpu")
    assert bench.load("search")[1]["rows"] == ROWS[:1], "a name and a device are one file"
    assert bench.load("sea") == []


def test_a_file_that_is_something_else_is_named(folder):
    path = bench.save("search", ROWS, device="cpu")
    for text in ("{", "[]", '{"date": "", "rows": [{}]}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"wanted a result of bench\.save in .*search\."):
            bench.load("search")


@pytest.mark.parametrize("name", ["", "../up", "a/b", "A", "a.b", "a b", "가", "a" * 61, "a\n"])
def test_hostile_names_are_refused(folder, name):
    for call in (lambda: bench.save(name, ROWS, device="cpu"), lambda: bench.load(name)):
        with pytest.raises(ValueError, match="wanted a name of at most 60 small letters"):
            call()
    assert not (folder / "here").exists()


@pytest.mark.parametrize("value", [float("nan"), np.float32(1), object()])
def test_rows_that_no_reader_knows_are_refused(folder, value):
    with pytest.raises(ValueError, match="wanted rows of finite numbers and texts"):
        bench.save("search", [{"way": "a", "median": value}], device="cpu")
    assert not list(folder.rglob("*.json"))


def draw(rng):
    return (rng.normal(size=(4, 5)).astype(np.float32),)


def test_an_output_that_is_not_written_is_found():
    def half(x, out):
        np.multiply(x[:2], 2, out=out[:2])

    def whole(x, out):
        np.multiply(x, 2, out=out)

    def outputs(x):
        return (np.zeros_like(x),)

    assert bench.check(whole, lambda x: 2 * x, draw, outputs=outputs) == 0
    with pytest.raises(ValueError, match="output 0: wanted every element written, 10 of 20 are NaN"):
        bench.check(half, lambda x: 2 * x, draw, outputs=outputs)


def test_inputs_are_fresh_and_the_reference_is_exact():
    seen = []

    def reference(x):
        assert x.dtype == np.float64
        return x + 1e-3

    assert bench.check(lambda x: seen.append(x) or x, reference, draw) == pytest.approx(1e-3)
    assert not np.array_equal(seen[0], seen[1])


def test_numbers_of_integers_and_infinity_are_compared():
    def ends(rng):
        return (np.array([np.inf, -np.inf, np.nan], np.float32), np.arange(3))

    assert bench.check(lambda x, n: (x, n), lambda x, n: (x, n), ends) == 0
    assert bench.check(lambda x, n: (x, n + 2), lambda x, n: (x, n), ends) == 2
    assert bench.check(lambda x, n: (-x, n), lambda x, n: (x, n), ends) == np.inf


@pytest.mark.parametrize(
    ("way", "message"),
    [
        (lambda x: x[:2], r"output 0: wanted shape \(4, 5\)"),
        (lambda x: (x, x), "wanted 1 outputs"),
        (lambda x: x.__iadd__(1), "input 0 was written to"),
    ],
)
def test_ways_that_do_something_else_are_told(way, message):
    with pytest.raises(ValueError, match=message):
        bench.check(way, lambda x: x, draw)


@pytest.mark.torch
def test_what_torch_allocates_is_poisoned():
    torch = pytest.importorskip("torch")

    def tensors(rng):
        return (torch.from_numpy(draw(rng)[0]),)

    assert bench.check(lambda x: torch.empty_like(x).copy_(x).half(), lambda x: x, tensors) < 2e-3
    with pytest.raises(ValueError, match="wanted every element written"):
        bench.check(lambda x: x.new_empty(x.shape), lambda x: x, tensors)
    assert not torch.are_deterministic_algorithms_enabled()
