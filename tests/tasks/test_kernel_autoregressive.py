"""Every step of the story of WaveRNN's loop draws what the plain loop draws, and its counts are true."""

import numpy as np
import pytest
import torch

from nbkit.evaluate import bench
from nbkit.kernels.wavernn_sampler import State, sample
from nbkit.tasks import kernel_autoregressive as story

pytestmark = pytest.mark.torch
CONFIG = story.KernelAutoregressive(size="tiny", samples=40)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("walk", ["fresh", "pool"])
def test_the_step_written_out_draws_what_the_reference_draws(walk, rows):
    it = story.given(CONFIG, rows)
    do = story.fresh if walk == "fresh" else story.Pool()
    torch.testing.assert_close(story.drawn_by(it, do), story.by("reference")(it), atol=1e-4, rtol=0)


def test_a_pool_makes_no_new_tensor_of_a_step_and_views_copy_less():
    fresh, pool, views = (
        story.counted(way, CONFIG)
        for way in (
            lambda it: story.drawn_by(it, story.fresh),
            lambda it: story.drawn_by(it, story.Pool()),
            story.by("torch"),
        )
    )
    assert fresh.new_tensors == fresh.operations
    assert pool.operations == fresh.operations
    assert 0 < pool.new_tensors < fresh.new_tensors  # those of the draw are left
    assert views.new_tensors == 0
    assert views.operations < pool.operations
    assert views.copied < pool.copied


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_programs_draw_what_the_reference_draws():
    it = story.given(CONFIG)
    ways, faults = story.programs(it, compile=False)
    assert set(ways) == {"TorchScript", "ONNX Runtime"}, faults
    wanted = story.by("reference")(it)
    for way in ways.values():
        torch.testing.assert_close(way(it), wanted, atol=1e-4, rtol=0)


def test_what_does_not_work_is_told_in_words(monkeypatch):
    def broken(it):
        raise RuntimeError("no exporter\nand more")

    monkeypatch.setattr(story, "exported", broken)
    ways, faults = story.programs(story.given(CONFIG), compile=False)
    assert set(ways) == {"TorchScript"}
    assert faults == ["ONNX Runtime: RuntimeError: no exporter"]


def test_weights_of_a_sample_are_those_of_the_matrices_in_the_loop():
    it = story.given(CONFIG)
    H = L = 64
    assert story.folded_weights(it.weights) == 3 * H * H + L * H + L * L + L * 30
    assert story.floor(it.weights, ceiling=4.0) == story.folded_weights(it.weights)


@pytest.mark.compiler
def test_the_emulated_kernel_draws_what_the_reference_draws():
    case = story.small(np.random.default_rng(0))
    torch.testing.assert_close(story.by("emulated")(case), story.by("reference")(case), atol=1e-4, rtol=0)


def test_speeds_are_those_of_all_rows():
    it = story.given(CONFIG, rows=2)
    found = {name: bench.Timing(*[s] * 4, calls=1) for name, s in (("one", 0.008), ("two", 0.002))}
    rows = story.per_sample(found, it)
    assert rows[0]["median"] == pytest.approx(0.008 / 80)
    assert story.speeds(rows) == [("one", "10,000", "0.454", "1.00"), ("two", "40,000", "1.81", "4.00")]


def test_threads_change_no_bit():
    it = story.given(story.KernelAutoregressive(size="small", samples=200), rows=5)
    wanted = [
        sample(it.weights, it.conditioning[n : n + 1], it.uniforms[n : n + 1], impl="cpu", logits=True)
        for n in range(5)
    ]
    first = sample(it.weights, it.conditioning[:, :120], it.uniforms[:, :120], impl="cpu")
    state = State(first.state.x, first.state.hidden)
    rest = sample(it.weights, it.conditioning[:, 120:], it.uniforms[:, 120:], impl="cpu", state=state, logits=True)
    assert torch.equal(torch.cat([first.x, rest.x], 1), torch.cat([one.x for one in wanted]))
    assert torch.equal(rest.logits, torch.cat([one.logits for one in wanted])[:, 120:])


def test_recorded_figures_come_from_gpus_only(monkeypatch, tmp_path):
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(
        bench, "describe", lambda device: {"device": device, "driver": "", "clocks": {}, "versions": {}}
    )
    row = {"way": "eager", "median": 0.001, "rows": 1}
    bench.save("wavernn", [row], device="cpu", size="tiny")
    assert not [one for one in story.recorded() if one[0] == "cpu"]
    about = {"device": "H100", "driver": "1", "clocks": {}, "versions": {}}
    monkeypatch.setattr(bench, "describe", lambda device: about)
    bench.save("wavernn", [row], device="cuda", size="tiny")
    assert [one[3:] for one in story.recorded() if one[0] == "H100"] == [("1", "eager", "1,000", "0.0454")]
