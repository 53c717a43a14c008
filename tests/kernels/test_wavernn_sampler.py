"""Every sampler of WaveRNN draws what the plain loop draws."""

import numpy as np
import pytest
import torch

from nbkit.kernels import dispatch
from nbkit.kernels.wavernn_sampler import State, cpu, fitting, reference, sample
from tests.kernels.wavernn import inputs, weights

each_implementation = pytest.mark.parametrize(
    "impl",
    [
        "reference",
        "cpu",
        "torch",
        pytest.param("emulated", marks=pytest.mark.compiler),
        pytest.param("cupy", marks=pytest.mark.gpu),
        pytest.param("cuda_graph", marks=pytest.mark.gpu),
    ],
)
each_shape = pytest.mark.parametrize(
    ("output", "grus", "sizes"),
    [
        ("mixture", 1, (5, 3, 12, 10, 6)),
        ("mixture", 2, (5, 3, 13, 7, 30)),
        ("classes", 1, (4, 2, 16, 17, 32)),
        ("classes", 2, (80, 8, 64, 48, 512)),
    ],
    ids=str,
)
pytestmark = pytest.mark.torch


def few(impl, sizes):
    """Samples to draw: the emulator takes its time over a network that is not tiny."""
    return 10 if impl == "emulated" and sizes[2] > 16 else 200


@each_implementation
@each_shape
@pytest.mark.parametrize("rows", [1, 3])
def test_given_the_same_samples_logits_and_draws_agree(impl, output, grus, sizes, rows):
    made = weights(output, grus, sizes)
    conditioning, uniforms, forced = inputs(made, rows, few(impl, sizes))
    wanted = sample(made, conditioning, uniforms, given=forced, logits=True, impl="reference")
    found = sample(made, conditioning, uniforms, given=forced, logits=True, impl=impl)
    torch.testing.assert_close(found.logits, wanted.logits, atol=1e-3, rtol=0)
    assert ((found.x - wanted.x).abs() < 1e-3).float().mean() >= 0.999
    torch.testing.assert_close(found.state.hidden, wanted.state.hidden, atol=1e-3, rtol=0)
    assert torch.equal(found.state.x, forced[:, -1])
    assert wanted.logits.std() > 0.3


@pytest.mark.parametrize("output", ["mixture", "classes"])
def test_large_weights_are_kept_in_16_bits_on_a_processor(output):
    made = weights(output, 2, (20, 4, 256, 256, 30), gain=0.8)
    assert sum(one.numel() for gru in made.grus for one in gru) > cpu.FEW
    conditioning, uniforms, forced = inputs(made, samples=400)
    wanted = sample(made, conditioning, uniforms, given=forced, logits=True, impl="reference")
    found = sample(made, conditioning, uniforms, given=forced, logits=True, impl="cpu")
    error = (found.logits - wanted.logits).abs().max()
    assert 1e-5 < error < 1e-3  # below, they would be exact
    assert ((found.x - wanted.x).abs() < 1e-3).float().mean() >= 0.999
    again = sample(made, conditioning[1:2], uniforms[1:2], given=forced[1:2], impl="cpu")
    assert torch.equal(again.x, found.x[1:2])  # whatever is drawn beside it


@each_implementation
@each_shape
def test_running_free_the_first_samples_are_equal(impl, output, grus, sizes):
    made = weights(output, grus, sizes)
    conditioning, uniforms, _ = inputs(made, samples=few(impl, sizes))
    wanted = sample(made, conditioning, uniforms, impl="reference")
    found = sample(made, conditioning, uniforms, impl=impl)
    torch.testing.assert_close(found.x, wanted.x, atol=1e-3, rtol=0)
    assert wanted.x.std() > 0.1
    assert wanted.logits is None
    assert found.logits is None


@each_implementation
def test_a_loop_goes_on_where_it_stopped(impl):
    made = weights()
    conditioning, uniforms, _ = inputs(made)
    whole = sample(made, conditioning, uniforms, impl=impl)
    first = sample(made, conditioning[:, :77], uniforms[:, :77], impl=impl)
    kept = first.state.hidden.clone()
    second = sample(made, conditioning[:, 77:], uniforms[:, 77:], state=first.state, impl=impl)
    torch.testing.assert_close(torch.cat([first.x, second.x], 1), whole.x, atol=1e-5, rtol=0)
    assert torch.equal(first.state.hidden, kept)


@each_implementation
def test_arrays_of_numpy_and_tensors_alike(impl):
    made = weights()
    conditioning, uniforms, _ = inputs(made, samples=20)
    wanted = sample(made, conditioning, uniforms, impl=impl)
    found = sample(made.numpy(), conditioning.numpy(), uniforms.numpy(), impl=impl)
    assert isinstance(found.x, np.ndarray)
    assert isinstance(found.state.hidden, np.ndarray)
    np.testing.assert_allclose(found.x, wanted.x.numpy(), atol=1e-5)


@each_implementation
def test_inputs_are_not_written_to(impl):
    made = weights()
    conditioning, uniforms, forced = inputs(made, samples=9)
    state = State(torch.full((3,), 0.5), torch.full((2, 3, 12), 0.25))
    before = [one.clone() for one in (conditioning, uniforms, forced, *state, *made.grus[1], made.entry[0])]
    sample(made, conditioning, uniforms, state=state, given=forced, impl=impl)
    after = (conditioning, uniforms, forced, *state, *made.grus[1], made.entry[0])
    assert all(map(torch.equal, before, after))


@each_implementation
def test_uniform_numbers_at_the_edges(impl):
    made = weights()
    conditioning, uniforms, _ = inputs(made, samples=4)
    for edge in (0.0, float(np.nextafter(np.float32(1), np.float32(0)))):
        found = sample(made, conditioning, torch.full_like(uniforms, edge), impl=impl).x
        wanted = sample(made, conditioning, torch.full_like(uniforms, edge), impl="reference").x
        torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)
        assert found.abs().max() <= 1


def test_the_order_of_the_uniform_numbers():
    """The first chooses the component, the second draws from it: logits that leave one choice show which is which."""
    logits = torch.tensor([[50.0, 0, 0.25, -0.75, -8, -8]])
    drawn = reference.draw(logits.expand(2, -1), torch.tensor([[0.1, 0.5], [0.9, 0.5]]), "mixture")
    torch.testing.assert_close(drawn, torch.tensor([0.25, 0.25]), atol=1e-5, rtol=0)
    logits = torch.zeros(4, 5)
    uniforms = torch.tensor([[0.0, 0.9], [0.3, 0.9], [0.5, 0.9], [0.99, 0.1]])
    assert reference.draw(logits, uniforms, "classes").tolist() == [-1, -0.5, 0, 1]


def test_what_does_not_fit_is_refused():
    made = weights()
    conditioning, uniforms, forced = inputs(made, samples=4)
    with pytest.raises(ValueError, match=r"conditioning \[B, S, 17\].*got \[3, 4, 16\]"):
        sample(made, conditioning[..., 1:], uniforms)
    with pytest.raises(ValueError, match=r"a sample or more, got \[3, 0, 17\]"):
        sample(made, conditioning[:, :0], uniforms)
    with pytest.raises(ValueError, match=r"uniforms \[3, 4, 2\], got \[3, 4\]"):
        sample(made, conditioning, uniforms[..., 0])
    with pytest.raises(ValueError, match=r"given \[3, 4\], got \[2, 4\]"):
        sample(made, conditioning, uniforms, given=forced[:2])
    with pytest.raises(ValueError, match=r"state\.hidden \[2, 3, 12\], got \[1, 3, 12\]"):
        sample(made, conditioning, uniforms, state=State(torch.zeros(3), torch.zeros(1, 3, 12)))
    with pytest.raises(ValueError, match=r"reference, cpu, torch, .* and auto, got 'gpu'"):
        sample(made, conditioning, uniforms, impl="gpu")
    with pytest.raises(ValueError, match="mixture or classes, got 'gauss'"):
        sample(made._replace(output="gauss"), conditioning, uniforms)


def test_which_one_ran_is_told():
    made = weights()
    conditioning, uniforms, _ = inputs(made, samples=1)
    sample(made, conditioning, uniforms)
    assert dispatch.choices["wavernn_sampler"] == "cpu: the fastest on a processor"


@pytest.mark.parametrize(("fits", "half"), [((True, True), False), ((False, True), True), ((False, False), False)])
def test_a_gpu_that_is_too_small_for_32_bits_gets_16(monkeypatch, fits, half):
    from nbkit.kernels.wavernn_sampler import cuda

    made = weights()
    monkeypatch.setattr(cuda, "lacking", lambda given, device: None if fits[given.half] else "too large")
    assert fitting(made, torch.device("cuda")).half == half
    assert fitting(made, torch.device("cpu")) is made
