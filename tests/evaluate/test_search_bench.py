"""The measurement compares ways that give the same."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")  # Colab's packages are tested without it

from nbkit.evaluate import search_bench  # noqa: E402


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(before)


def test_all_ways_find_the_same():
    matrix, cpu, on_torch, _ = (way() for way in search_bench.searches(3, 20, 61).values())
    np.testing.assert_array_equal(matrix.sum(2), cpu.durations)
    np.testing.assert_array_equal(on_torch.durations, cpu.durations)
    (path, z_mean, _), learnt, unit = (way() for way in search_bench.blocks(3, 20, 61, 8).values())
    for found in (learnt, unit):
        torch.testing.assert_close(found[0].durations.float(), path.sum(2))
        torch.testing.assert_close(found[1], z_mean)


def test_the_command_prints_a_line_a_way(capsys):
    sizes = {"threads": 1, "items": 2, "tokens": 8, "frames": 20, "bands": 4, "seconds": 0.01}
    search_bench.main([f"--{name}={value}" for name, value in sizes.items()])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 threads, B=2, 8 x 20, full lengths"
    assert [line.split("  ")[0] for line in lines if line[54:].strip()[:1].isdigit()] == [
        "loops over [B, T, F] with a path matrix, one thread",
        "cpu",
        "torch",
        "reading the scores once, one thread",
        "with path matrices",
        "align, log_sigma learnt",
        "align, log_sigma 0",
    ]
