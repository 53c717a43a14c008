"""The counts and comparisons of 52_kernel_flow say what they should, and notice when they are wrong."""

import numpy as np
import pytest
import torch

from nbkit.evaluate import bench
from nbkit.kernels import emulator
from nbkit.tasks import kernel_flow

SMOKE = kernel_flow.KernelFlow.preset("smoke")


@pytest.fixture(autouse=True)
def compiled_once(own_folders, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path_factory.getbasetemp() / "compiled"))


def test_inputs_are_ragged_and_zero_behind_the_ends():
    x, mask, *coefficients = kernel_flow.inputs(SMOKE)
    assert x.shape == (4, 100, 160)
    assert mask.shape == (4, 100, 1)
    assert [tuple(one.shape) for one in coefficients] == [(160,), (160,), (4, 4)]
    lengths = mask.sum((1, 2))
    assert 50 <= lengths.min() < lengths.max() <= 100
    assert not (x * (1 - mask)).any()
    assert all(map(torch.equal, (x, mask), kernel_flow.inputs(SMOKE)[:2]))


def test_passes_are_what_operations_move():
    x = torch.zeros(3, 50, 40)
    given = (x,)

    def operations():
        doubled = (2 * x).transpose(1, 2)  # a look from another side moves nothing
        (doubled.contiguous() + x.transpose(1, 2)).add_(1)
        return doubled.sum()

    found = kernel_flow.passes(operations, given)
    assert [one.operation for one in found] == ["mul", "clone", "add", "add_", "sum"]
    moved = [(round(one.read, 2), round(one.written, 2)) for one in found]
    assert moved == [(1, 1), (1, 1), (2, 1), (1, 1), (1, 0)]
    assert round(kernel_flow.total(found)) == 10
    expanded = torch.zeros(50, 40).expand(3, 50, 40)
    assert kernel_flow.passes(lambda: expanded + 1, given)[0].read == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("impl", "there", "both"),
    [("reference", 14, 33), ("torch", 10, 33), pytest.param("emulated", 2, 5, marks=pytest.mark.compiler)],
)
def test_the_passes_of_each_way(impl, there, both):
    if impl == "emulated" and not emulator.available():
        pytest.skip("needs g++")
    given, way = kernel_flow.inputs(SMOKE), kernel_flow.by(impl)
    assert round(kernel_flow.total(kernel_flow.passes(kernel_flow.forward(way, given), given))) == there
    assert round(kernel_flow.total(kernel_flow.passes(kernel_flow.training(way, given), given))) == both


def test_the_comparison_tells_a_wrong_way():
    judge, right = (kernel_flow.gradients(kernel_flow.by(impl)) for impl in ("reference", "torch"))

    def wrong(x, mask, log_scale, bias, weight):
        return kernel_flow.by("torch")(x, mask, log_scale, bias, weight.T)

    assert bench.check(right, judge, kernel_flow.small) < 1e-3
    assert bench.check(kernel_flow.gradients(wrong), judge, kernel_flow.small) > 0.1


@pytest.mark.compiler
def test_orders_of_threads():
    if not emulator.available():
        pytest.skip("needs g++")
    assert kernel_flow.orders(3) == (1, [])
    broken = kernel_flow.orders(2, lost=kernel_flow.BEFORE_BARRIER)
    assert len(broken.faults) == 2
    assert all("flow_backward<2>, seed" in fault for fault in broken.faults)
    with pytest.raises(ValueError, match=r"wanted a line before one barrier of flow\.cu, got 'nothing'"):
        kernel_flow.orders(1, lost="nothing")


def test_why_it_does_not_compile_is_told(monkeypatch):
    def fails():
        raise RuntimeError("no compiler\nat all")

    given = kernel_flow.inputs(SMOKE)
    monkeypatch.setattr(kernel_flow, "compiled", fails)
    assert kernel_flow.compile_fault(given) == "RuntimeError: no compiler"
    monkeypatch.setattr(kernel_flow, "compiled", lambda: kernel_flow.by("torch"))
    assert kernel_flow.compile_fault(given) == ""


def test_what_was_recorded_on_a_gpu_and_nothing_else(monkeypatch):
    row = {"way": "cupy", "median": 0.002, "of_copy": 0.5}
    saved = [
        {"device": "a GPU", "driver": "1", "date": "2030-01-02T03:04:05Z", "rows": [row]},
        {"device": "a processor", "driver": None, "date": "2030-01-02T03:04:05Z", "rows": [row]},
    ]
    monkeypatch.setattr(bench, "load", lambda name: saved if name == "flow_training" else [])
    assert kernel_flow.recorded() == [("a GPU", "2030-01-02", "training", "cupy", "2.000", "50%")]


def test_a_measurement_is_kept(monkeypatch, capsys):
    threads = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    monkeypatch.setattr(bench, "copy_ceiling", lambda device: 1e9)
    monkeypatch.setattr(kernel_flow, "compile_fault", lambda given: "no compiler")
    try:
        kernel_flow.main(["--items", "2", "--frames", "10", "--seconds", "0.01", "--threads", "1"])
    finally:
        torch.set_num_threads(threads)
    (kept,) = bench.load("flow_training")
    assert [row["way"] for row in kept["rows"]] == ["reference", "torch"]
    assert kept["about"]["frames"] == 10
    assert "no compiler" in capsys.readouterr().out
    assert kernel_flow.recorded() == []


def test_the_share_of_a_step(monkeypatch):
    def compare(ways, seconds):
        assert np.isfinite(ways["step"]())
        return {name: bench.Timing(1.0, 1.0, 1.0, 1.0, 3) for name in ways}

    monkeypatch.setattr(bench, "compare", compare)
    found = kernel_flow.share(kernel_flow.KernelFlow(items=1, frames=12, seconds=0.1))
    blocks = kernel_flow.glow_tts.sized("tiny", vocabulary=50).blocks
    assert found["step"].least == 1
    assert found["torch"] == found["reference"] == (blocks, blocks, blocks, blocks, 3)
