"""The kernel in mas.cu, by the emulator: shapes, planted faults, and the operator of torch."""

import functools

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from nbkit.kernels import dispatch, emulator, mas
from nbkit.kernels.mas import cuda, maximum_path
from nbkit.models.glow_tts.model import align

pytestmark = pytest.mark.compiler
SOURCE = cuda.SOURCE.read_text(encoding="utf-8")


def case(items, tokens, frames, seed=0):
    draw = np.random.default_rng(seed)
    scores = np.round(draw.normal(size=(items, frames, tokens)) * 3).astype(np.float32)
    T = draw.integers(max(1, tokens // 2), tokens + 1, items)
    F = np.array([draw.integers(t, frames + 1) for t in T])
    T[0], F[0] = tokens, frames
    for b in range(items):
        scores[b, F[b] :], scores[b, :, T[b] :] = np.nan, np.nan
    return scores, T, F


def search(source, scores, T, F, *, seed=0, name=None):
    """The kernel by itself, with every output and the workspace poisoned."""
    items, frames, tokens = scores.shape
    threads = 32 * -(-tokens // 64)
    name = name or cuda.KERNELS[tokens % 2]
    out = np.full((items, tokens), -7, np.int64), np.full((items, frames), -7, np.int64), np.ones(items, bool)
    words = np.full(items * -(-frames // 32) * 2 * threads, 0xAAAAAAAA, np.uint32)
    kernel = emulator.module(source, name_expressions=cuda.KERNELS).kernel(name)
    args = scores, T, F, *out, words, np.int32(frames), np.int32(tokens)
    kernel((items,), (threads,), args, seed=seed)
    return out


def assert_right(found, scores, T, F):
    for a, b in zip(found, maximum_path(scores, T, F, layout="bft", impl="cpu"), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", cuda.KERNELS)
@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_threads_gives_the_same_path(name, seed):
    scores, T, F = case(3, 194, 233, seed)
    assert_right(search(SOURCE, scores, T, F, seed=seed, name=name), scores, T, F)


@pytest.mark.parametrize(("tokens", "frames"), [(1, 1), (1, 33), (2048, 2100), (2047, 2048), (300, 8192)])
def test_the_edges_of_its_shapes(tokens, frames):
    scores, T, F = case(1, tokens, frames)
    found = maximum_path(scores, T, F, layout="bft", impl="emulated")
    assert_right(found, scores, T, F)


def test_more_tokens_than_a_block_has():
    with pytest.raises(ValueError, match=r"mas\.cu wants at most 2,048 tokens, got 2,049; use impl='cpu'"):
        maximum_path(np.zeros((1, 2049, 2049), np.float32), [2], [2], impl="emulated")


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("        }\n        __syncthreads();\n    }", "        }\n        __syncwarp();\n    }", "race|uninitialised"),
        ("= __shfl_up_sync(ALL, at.q1, 1);\n        if (leftmost) left = at.edge;",
         "= at.edge;\n        if (!leftmost) left = __shfl_up_sync(ALL, at.q1, 1);", "deadlock|divergence"),
        ("before = &edges[warp][tile % 2][part]", "before = &edges[warp][0][part]", "race|uninitialised"),
        ("ALL_EXIST || f < rows", "ALL_EXIST || f <= rows", "out of bounds"),
        ("hands_on = lane == 31 && warp + 1 < warps", "hands_on = lane == 31", "out of bounds"),
        ("j < height; j +=", "j <= height; j +=", "out of bounds"),
        ("= __syncthreads_and(fine)", "= fine && __syncthreads_and(fine)", "divergence|race|deadlock"),
    ],
)  # fmt: skip
def test_planted_faults(right, wrong, message):
    assert SOURCE.count(right) == 1
    tokens, name = (2048, cuda.KERNELS[4]) if "hands" in right else (250, cuda.KERNELS[0])  # all warps of a block
    scores = np.zeros((1, tokens + 150, tokens), np.float32)
    scores[:, :, 3] = np.inf if "fine" in right else 0  # so that lanes differ
    T, F = np.full(1, tokens), np.full(1, tokens + 150)
    for seed in range(3):
        with pytest.raises(emulator.KernelFault, match=message):
            search(SOURCE.replace(right, wrong), scores, T, F, seed=seed, name=name)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("left > at.q0", "left >= at.q0"),
        ("move1 ? at.q0 : at.q1", "fmaxf(at.q0, at.q1)"),
        ("warp == 0 ? 0.f : -INFINITE", "0.f"),
        (": -1, token)", ": -1, begin)"),
        ("word1 |= part1 << part", "word1 |= part0 << part"),
    ],
)
def test_the_comparison_sees_what_is_wrong(right, wrong):
    """Faults of arithmetic, which only the reference can tell."""
    assert SOURCE.count(right) == 1
    wrong_anywhere = False
    for seed in range(4):
        scores, T, F = case(2, 150, 190, seed)
        if "fmaxf" in wrong:
            scores[0, 0, 5] = np.nan
        try:
            assert_right(search(SOURCE.replace(right, wrong), scores, T, F), scores, T, F)
        except (AssertionError, emulator.KernelFault):
            wrong_anywhere = True
    assert wrong_anywhere


def test_lengths_on_a_device_that_leave_no_path():
    T, F = torch.tensor([5, 3, 0, 6, 2, 5]), torch.tensor([11, 2, 4, 9, 12, 5])
    durations, frame_to_token, valid = cuda.search(torch.zeros(6, 11, 5), T, F)
    assert valid.tolist() == [True, False, False, False, False, True]
    assert (frame_to_token.min(), frame_to_token.max()) == (0, 4)
    assert (durations >= 0).all()
    assert (durations.sum(1) <= 11).all()


def test_the_operator_keeps_the_rules_of_torch():
    scores, T, F = map(torch.from_numpy, case(2, 7, 11))
    torch.library.opcheck(torch.ops.nbkit.maximum_path.default, (scores, T, F))


def alignment(z, mean, T, F):
    with torch.no_grad():
        scores = torch.baddbmm(-0.5 * (mean**2).sum(1, keepdim=True), z.transpose(1, 2), mean)
        path = maximum_path(scores, T, F, layout="bft", impl="emulated")
    return mean.gather(2, path.frame_to_token[:, None].expand(-1, mean.shape[1], -1)).sum() + z.sum()


def test_compile_passes_over_it():
    draw = torch.Generator().manual_seed(0)
    T, F = torch.tensor([9, 4]), torch.tensor([20, 13])
    compiled = torch.compile(alignment, fullgraph=True, backend="aot_eager")
    results = []
    for function in (alignment, compiled):
        draw.manual_seed(0)
        z, mean = (torch.randn(2, 3, n, generator=draw, requires_grad=True) for n in (20, 9))
        value = function(z, mean, T, F)
        value.backward()
        results.append((value.item(), z.grad, mean.grad))
    assert results[0][0] == results[1][0]
    assert all(torch.equal(a, b) for a, b in zip(results[0][1:], results[1][1:]))


def test_scores_on_a_gpu_stay_there_and_are_not_looked_at(monkeypatch):
    """Tensors without content stand for a GPU: whatever looked at one would fail."""
    with FakeTensorMode():
        scores, wide = (torch.zeros(2, 20, n, device="cuda") for n in (9, 2049))
        T, F = (torch.zeros(2, dtype=torch.int64, device="cuda") for _ in range(2))
        monkeypatch.setattr(cuda, "lacking", lambda device: None)
        path = maximum_path(scores, T, F, layout="bft")
        assert {array.device.type for array in path} == {"cuda"}
        assert [tuple(array.shape) for array in path] == [(2, 9), (2, 20), (2,)]
        assert dispatch.choices["maximum_path"] == "cupy: one kernel where the scores are"
        assert mas._preferred(wide, 2049)[1].startswith("more than 2,048 tokens; copying the scores takes less")
        monkeypatch.setattr(cuda, "lacking", lambda device: "no CuPy (it is not there)")
        assert mas._preferred(scores, 9)[0] == "cpu"
        assert mas._preferred(scores, 9)[1].startswith("no CuPy (it is not there); copying")


def test_the_alignment_of_the_model_is_one_graph(monkeypatch):
    """Scores, search and gather, with what a GPU would take: no break, the same numbers and the same gradient."""
    monkeypatch.setattr(mas, "_preferred", lambda log_p, width: ("emulated", "as on a GPU"))
    draw = torch.Generator().manual_seed(0)
    z, mean = (torch.randn(2, 3, n, generator=draw) for n in (20, 9))
    given = z, mean.requires_grad_(), torch.zeros_like(mean), torch.tensor([9, 4]), torch.tensor([20, 13])
    for unit in (True, False):
        whole = functools.partial(align, unit=unit)
        plain, compiled = whole(*given), torch.compile(whole, fullgraph=True, backend="aot_eager")(*given)
        assert all(map(torch.equal, plain[0], compiled[0]))
        assert all(map(torch.equal, plain[1:], compiled[1:]))
        assert torch.equal(*(torch.autograd.grad(out[1].square().sum(), mean)[0] for out in (plain, compiled)))


def test_a_kernel_that_fails_its_trial_is_not_taken(monkeypatch):
    here = torch.device("cpu")
    assert cuda.trial(here) is None
    with monkeypatch.context() as patch:
        patch.setattr(cuda, "SOURCE", cuda.SOURCE.with_name("lost.cu"))
        assert str(cuda.trial(here)).startswith("mas.cu does not run on cpu (FileNotFoundError: ")
    with monkeypatch.context() as patch:
        patch.setattr(cuda, "search", lambda log_p, *lengths: torch.ops.nbkit.maximum_path(-log_p, *lengths))
        assert cuda.trial(here) == "mas.cu and the reference differ on cpu"
    assert str(cuda.lacking.__wrapped__(here)).startswith("no CuPy (") or cuda.lacking(here) is None
