"""Monotonic alignment search: every implementation against brute force, the reference, and a golden peer."""

import itertools

import numpy as np
import pytest

from nbkit.kernels import dispatch
from nbkit.kernels.mas import AlignmentError, maximum_path

IMPLEMENTATIONS = ("reference", "cpu")


def brute_force(log_p):
    """The best path of one item [T, F] among all of them: durations."""
    T, F = log_p.shape
    best, durations = -np.inf, None
    for cuts in itertools.combinations(range(1, F), T - 1):
        edges = [0, *cuts, F]
        score = sum(float(log_p[i, a:b].sum()) for i, (a, b) in enumerate(itertools.pairwise(edges)))
        if score > best:
            best, durations = score, np.diff(edges)
    return durations


def ragged(draw, items, tokens, frames):
    T = draw.integers(1, tokens + 1, items)
    return T, np.array([draw.integers(t, frames + 1) for t in T])


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_equals_brute_force(impl):
    draw = np.random.default_rng(1)
    for _ in range(60):
        T, F = ragged(draw, 3, 4, 9)
        log_p = draw.normal(size=(3, 4, 9)).astype(np.float32)
        found = maximum_path(log_p, T, F, impl=impl)
        for b in range(3):
            wanted = brute_force(log_p[b, : T[b], : F[b]])
            np.testing.assert_array_equal(found.durations[b, : T[b]], wanted)
            assert found.durations[b, T[b] :].sum() == 0
            np.testing.assert_array_equal(found.frame_to_token[b, : F[b]], np.repeat(np.arange(T[b]), wanted))


def test_cpu_equals_reference_also_on_ties_and_extremes():
    draw = np.random.default_rng(2)
    for case in range(150):
        tokens, frames = int(draw.integers(1, 12)), int(draw.integers(12, 30))
        T, F = ragged(draw, 4, tokens, frames)
        if case % 5 == 0:
            F = np.maximum(T, 1)
        log_p = draw.normal(size=(4, tokens, frames))
        log_p = [log_p, np.round(log_p), np.zeros_like(log_p), log_p * 1e9, log_p - 1e9][case % 5].astype(np.float32)
        wanted, found = (maximum_path(log_p, T, F, impl=impl) for impl in IMPLEMENTATIONS)
        np.testing.assert_array_equal(found.frame_to_token, wanted.frame_to_token)
        assert (found.durations.sum(1) == F).all()
        assert all((found.durations[b, : T[b]] > 0).all() for b in range(4))


def test_golden_paths(golden):
    files = sorted(golden.glob("mas*.npz"))
    assert files, f"no mas*.npz in {golden}"
    for path in files:
        data = np.load(path)
        for case in sorted({name.split("/")[0] for name in data.files}):
            scores, T, F = (data[f"{case}/{name}"] for name in ("log_p", "token_lengths", "frame_lengths"))
            for impl in IMPLEMENTATIONS:
                found = maximum_path(scores, T, F, impl=impl)
                np.testing.assert_array_equal(
                    found.durations, data[f"{case}/durations"], err_msg=f"{path} {case} {impl}"
                )


def test_layouts_torch_and_padding():
    import torch

    draw = np.random.default_rng(3)
    log_p = draw.normal(size=(2, 5, 11)).astype(np.float32)
    T, F = np.array([5, 3]), np.array([11, 7])
    dirty = log_p.copy()
    dirty[1, 3:], dirty[1, :, 7:] = np.nan, np.nan
    before = dirty.copy()
    wanted = maximum_path(log_p, T, F)
    for found in (maximum_path(dirty, T, F), maximum_path(dirty.transpose(0, 2, 1).copy(), T, F, layout="bft")):
        np.testing.assert_array_equal(found.frame_to_token, wanted.frame_to_token)
    np.testing.assert_array_equal(dirty, before)
    in_torch = maximum_path(torch.from_numpy(log_p), torch.from_numpy(T), torch.from_numpy(F))
    assert in_torch.durations.dtype == torch.int64
    np.testing.assert_array_equal(in_torch.durations.numpy(), wanted.durations)
    assert dispatch.choices["maximum_path"].startswith("cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, T, F: (s, T, np.array([6, 2])), r"row 1: 3 tokens cannot share 2 frames"),
        (lambda s, T, F: (np.where(np.arange(5)[:, None] == 1, np.nan, s), T, F), r"row 0: the scores hold NaN"),
        (lambda s, T, F: (s, np.array([0, 3]), F), r"row 0: lengths must lie in 1\.\.5 tokens"),
        (lambda s, T, F: (s, T, np.array([12, 7])), r"row 0: lengths must lie in .* 1\.\.11 frames"),
        (lambda s, T, F: (s[0], T, F), "three axes"),
        (lambda s, T, F: (s, T[:1], F), "2 items need 2 token and frame lengths"),
    ],
)
def test_bad_input_is_named(change, message):
    scores = np.zeros((2, 5, 11), np.float32)
    with pytest.raises(AlignmentError, match=message):
        maximum_path(*change(scores, np.array([5, 3]), np.array([11, 7])))


def test_unknown_implementation_and_layout():
    one = np.zeros((1, 1, 1), np.float32), np.array([1]), np.array([1])
    with pytest.raises(ValueError, match="reference, cpu and auto, got 'gpu'"):
        maximum_path(*one, impl="gpu")
    with pytest.raises(ValueError, match="layout is"):
        maximum_path(*one, layout="fbt")


def test_bfloat16_scores_are_taken():
    import torch

    found = maximum_path(torch.eye(3).bfloat16()[None], torch.tensor([3]), torch.tensor([3]))
    assert found.frame_to_token.tolist() == [[0, 1, 2]]


@pytest.mark.gpu
def test_scores_on_a_gpu_give_a_path_there():
    import torch

    draw = np.random.default_rng(3)
    T, F = ragged(draw, 4, 9, 31)
    scores = draw.normal(size=(4, 9, 31)).astype(np.float32)
    found = maximum_path(*(torch.as_tensor(array).cuda() for array in (scores, T, F)))
    assert found.durations.device.type == "cuda"
    np.testing.assert_array_equal(found.durations.cpu().numpy(), maximum_path(scores, T, F).durations)
