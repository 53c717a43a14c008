"""The measurement compares ways that give the same."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")  # Colab's packages are tested without it

from nbkit.evaluate import bench, search_bench  # noqa: E402


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(before)


def test_all_ways_find_the_same():
    ways = search_bench.searches(3, 20, 61)
    matrix, by_frame, cpu, on_torch = (
        ways[name]() for name in (search_bench.LOOPS, search_bench.BY_FRAME, search_bench.CPU, search_bench.TORCH)
    )
    np.testing.assert_array_equal(matrix.sum(2), cpu.durations)
    np.testing.assert_array_equal(by_frame.sum(1), cpu.durations)
    np.testing.assert_array_equal(ways[search_bench.ALONE]()[0], cpu.durations)
    np.testing.assert_array_equal(on_torch.durations, cpu.durations)
    (path, z_mean, _), learnt, unit = (way() for way in search_bench.blocks(3, 20, 61, 8).values())
    for found in (learnt, unit):
        torch.testing.assert_close(found[0].durations.float(), path.sum(2))
        torch.testing.assert_close(found[1], z_mean)


def test_the_command_prints_a_line_a_way_and_keeps_them(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(bench, "copy_ceiling", lambda device: 1e10)
    values = {"threads": 1, "items": 2, "bands": 4, "seconds": 0.01}
    search_bench.main([f"--{name}={value}" for name, value in values.items()] + ["--sizes", "8x20"])
    told = capsys.readouterr().out
    assert told.startswith("cpu, 1 threads, B=2, full lengths\n")
    rows = bench.load("search")[0]["rows"]
    assert [row["way"] for row in rows] == [*search_bench.searches(2, 8, 20), *search_bench.blocks(2, 8, 20, 4)]
    assert all(row["way"] in told for row in rows)
    assert {(row["tokens"], row["frames"]) for row in rows} == {(8, 20)}
    cpu = next(row for row in rows if row["way"] == search_bench.CPU)
    assert cpu["bytes_per_second"] == pytest.approx(2 * 8 * 20 * 4.125 / cpu["median"])


@pytest.mark.parametrize("size", ["128", "20x8", "0x8", "ax8", "8x20x3"])
def test_a_size_is_tokens_and_frames(size, capsys):
    with pytest.raises(SystemExit):
        search_bench.main(["--sizes", size])
    assert "wanted tokens x frames as 128x870" in capsys.readouterr().err


def test_on_a_gpu_the_caches_are_written_over(monkeypatch):
    """Which ways are measured how, told without a GPU."""
    way = dict.fromkeys([search_bench.TORCH, search_bench.OURS], int)
    monkeypatch.setattr(search_bench, "searches", lambda *size: way)
    monkeypatch.setattr(search_bench, "blocks", lambda *size: {"align": int})
    found = [(title, list(ways), how) for title, ways, how in search_bench.tables(2, 8, 20, 4, "cuda")]
    assert found == [
        ("search", ["torch", "cupy"], {"flush": True}),
        ("search, played back", ["cupy"], {"graph": True}),
        ("search, played back, caches written over", ["cupy"], {"graph": True, "flush": True}),
        (search_bench.BLOCK, ["align"], {"flush": True}),
    ]


def test_an_operation_is_counted_four_times_a_round():
    assert search_bench.arithmetic_ceiling(0.01) > 1e8
