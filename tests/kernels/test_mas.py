"""Monotonic alignment search: every implementation against brute force, each other, and a golden peer."""

import itertools

import numpy as np
import pytest
import torch

from nbkit.kernels import dispatch, emulator
from nbkit.kernels.mas import Alignment, AlignmentError, maximum_path

IMPLEMENTATIONS = ("reference", "cpu", "torch", *(["emulated"] if emulator.available() else []))
each_implementation = pytest.mark.parametrize(
    "impl",
    [
        "reference",
        "cpu",
        "torch",
        pytest.param("emulated", marks=pytest.mark.compiler),
        pytest.param("cupy", marks=pytest.mark.gpu),
    ],
)
WIDTHS = (1, 2, 3, 7, 12, 31, 63, 64, 65, 127, 128, 129)  # around the edges of vectors and words
KINDS = {
    "plain": lambda draw, log_p: log_p,
    "ties": lambda draw, log_p: np.round(log_p),
    "all the same": lambda draw, log_p: np.zeros_like(log_p),
    "huge": lambda draw, log_p: log_p * 1e9,
    "far below": lambda draw, log_p: log_p - 1e9,
    "far above": lambda draw, log_p: log_p + 1e9,
    "forbidden": lambda draw, log_p: np.where(draw.random(log_p.shape) < 0.3, -np.inf, log_p),
    "nothing allowed": lambda draw, log_p: np.full_like(log_p, -np.inf),
}


def brute_force(log_p):
    """The best path of one item [T, F] among all of them: durations."""
    T, F = log_p.shape
    best, durations = -np.inf, np.array([], int)
    for cuts in itertools.combinations(range(1, F), T - 1):
        edges = [0, *cuts, F]
        score = sum(float(log_p[i, a:b].sum()) for i, (a, b) in enumerate(itertools.pairwise(edges)))
        if score > best:
            best, durations = score, np.diff(edges)
    return durations


def ragged(draw, items, tokens, frames):
    T = draw.integers(1, tokens + 1, items)
    return T, np.array([draw.integers(t, frames + 1) for t in T])


def poisoned(log_p, T, F):
    """NaN behind the ends of each item [T, F]."""
    log_p = log_p.copy()
    for b in range(len(log_p)):
        log_p[b, T[b] :], log_p[b, :, F[b] :] = np.nan, np.nan
    return log_p


def assert_same(found, wanted, note=""):
    for name, a, b in zip(Alignment._fields, found, wanted, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=f"{name} {note}")


@each_implementation
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
            assert found.frame_to_token[b, F[b] :].sum() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_all_agree_and_read_nothing_behind_the_ends(kind):
    """2,000 cases in all. The reference, which is slow, searches the small ones."""
    draw = np.random.default_rng(list(KINDS).index(kind))
    for case in range(250):
        width = int(draw.choice(WIDTHS))
        height = width + int(draw.integers(0, 30))
        T, F = ragged(draw, int(draw.integers(1, 5)), width, height)
        if case % 5 == 0:
            F = T.copy()
        log_p = KINDS[kind](draw, draw.normal(size=(len(T), width, height))).astype(np.float32)
        given = poisoned(log_p, T, F)
        before = given.copy()
        found = maximum_path(given, T, F, impl="cpu")
        for impl in IMPLEMENTATIONS[2:] if height >= 40 else IMPLEMENTATIONS:
            assert_same(maximum_path(given, T, F, impl=impl), found, f"case {case} {impl}")
        np.testing.assert_array_equal(given, before)
        assert found.valid.all()
        assert (found.durations.sum(1) == F).all()
        for b in range(len(T)):
            assert (found.durations[b, : T[b]] > 0).all()
            path = np.repeat(np.arange(T[b]), found.durations[b, : T[b]])
            np.testing.assert_array_equal(found.frame_to_token[b, : F[b]], path)


def test_a_batch_that_several_threads_share():
    draw = np.random.default_rng(6)
    T, F = ragged(draw, 40, 130, 400)
    log_p = draw.normal(size=(40, 400, 130)).astype(np.float32)
    wanted = maximum_path(log_p, T, F, layout="bft", impl="torch")
    for _ in range(20):
        assert_same(maximum_path(log_p, T, F, layout="bft", impl="cpu"), wanted)


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


@each_implementation
def test_layouts_kinds_and_views(impl):
    draw = np.random.default_rng(3)
    log_p = draw.normal(size=(2, 5, 11)).astype(np.float32)
    T, F = np.array([5, 3]), np.array([11, 7])
    wanted = maximum_path(log_p, T, F, impl="reference")
    wide = np.full((2, 10, 30), np.nan, np.float32)
    wide[:, ::2, 4:15] = log_p
    given = {
        "a view": wide[:, ::2, 4:15],
        "backwards": log_p[:, ::-1, ::-1].copy()[:, ::-1, ::-1],
        "float64": log_p.astype(np.float64),
        "torch": torch.from_numpy(log_p),
        "with a gradient": torch.from_numpy(log_p).requires_grad_(),
    }
    given["read only"] = log_p.copy()
    given["read only"].flags.writeable = False
    for kind, scores in given.items():
        for lengths in ((T, F), (torch.from_numpy(T), torch.from_numpy(F).int()), (T.tolist(), F.astype(np.int32))):
            found = maximum_path(scores, *lengths, impl=impl)
            assert_same(found, wanted, kind)
            assert {type(array) for array in found} == {torch.Tensor if hasattr(scores, "detach") else np.ndarray}
            turned = scores.swapaxes(1, 2)
            assert_same(maximum_path(turned, *lengths, layout="bft", impl=impl), wanted, kind)
    halved = torch.from_numpy(np.round(log_p)).bfloat16()
    assert_same(
        maximum_path(halved, T, F, impl=impl), maximum_path(halved.float().numpy(), T, F, impl="reference"), "bfloat16"
    )


@each_implementation
@pytest.mark.parametrize("place", [(0, 0), (2, 0), (0, 5), (4, 10), (3, 7)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_score_is_flagged_wherever_it_stands(impl, place, value):
    log_p = np.zeros((3, 5, 11), np.float32)
    log_p[1][place] = value
    found = maximum_path(log_p, np.full(3, 5), np.full(3, 11), impl=impl)
    assert found.valid.tolist() == [True, False, True]
    assert (found.durations.sum(1) == 11).all()
    assert (found.durations > 0).all(), "still a path, so that nothing later reads outside"
    with pytest.raises(AlignmentError, match="row 1: wanted scores that are finite or -inf, got NaN"):
        found.checked()


@each_implementation
def test_a_sum_beyond_float32_is_flagged(impl):
    found = maximum_path(np.full((1, 2, 40), 3e38, np.float32), [2], [40], impl=impl)
    assert not found.valid[0]
    fine = maximum_path(np.full((1, 2, 40), -3e38, np.float32), [2], [40], impl=impl)
    assert fine.checked() is fine


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, T, F: (s, T, np.array([6, 2])), r"row 1: 3 tokens cannot share 2 frames"),
        (lambda s, T, F: (s, np.array([0, 3]), F), r"row 0: lengths must lie in 1\.\.5 tokens"),
        (lambda s, T, F: (s, T, np.array([12, 7])), r"row 0: lengths must lie in .* 1\.\.11 frames"),
        (lambda s, T, F: (s[0], T, F), "three axes"),
        (lambda s, T, F: (s, T[:1], F), "2 items need 2 token and frame lengths"),
    ],
)
@each_implementation
def test_bad_input_is_named(impl, change, message):
    scores = np.zeros((2, 5, 11), np.float32)
    with pytest.raises(AlignmentError, match=message):
        maximum_path(*change(scores, np.array([5, 3]), np.array([11, 7])), impl=impl)


def test_lengths_on_a_device_are_flagged_there():
    """What lies on a device is not looked at, so it is not raised for either."""
    from nbkit.kernels.mas import torch as on_device

    scores = torch.zeros(5, 11, 5)
    T, F = torch.tensor([5, 3, 0, 6, 2]), torch.tensor([11, 2, 4, 9, 12])
    durations, frame_to_token, valid = on_device.search(scores, T, F)
    assert valid.tolist() == [True, False, False, False, False]
    assert frame_to_token.min() >= 0
    assert frame_to_token.max() < 5
    assert durations.shape == (5, 5)


@each_implementation
def test_an_empty_batch(impl):
    found = maximum_path(np.zeros((0, 3, 4), np.float32), np.zeros(0, int), np.zeros(0, int), impl=impl)
    assert [array.shape for array in found] == [(0, 3), (0, 4), (0,)]


def test_unknown_implementation_and_layout():
    one = np.zeros((1, 1, 1), np.float32), np.array([1]), np.array([1])
    with pytest.raises(ValueError, match="reference, cpu, torch, cupy, emulated and auto, got 'gpu'"):
        maximum_path(*one, impl="gpu")
    with pytest.raises(ValueError, match="layout is"):
        maximum_path(*one, layout="fbt")
    maximum_path(*one)
    assert dispatch.choices["maximum_path"].startswith("cpu: ")


@pytest.mark.gpu
@each_implementation
def test_scores_on_a_gpu_give_a_path_there(impl):
    draw = np.random.default_rng(3)
    T, F = ragged(draw, 4, 70, 131)
    scores = draw.normal(size=(4, 70, 131)).astype(np.float32)
    found = maximum_path(*(torch.as_tensor(array).cuda() for array in (scores, T, F)), impl=impl)
    assert {array.device.type for array in found} == {"cuda"}
    assert_same([array.cpu() for array in found], maximum_path(scores, T, F))


@pytest.mark.gpu
def test_torch_does_not_wait_for_a_gpu():
    given = torch.zeros(2, 5, 11).cuda(), torch.tensor([5, 3]).cuda(), torch.tensor([11, 2]).cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = maximum_path(*given, impl="torch")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert found.valid.tolist() == [True, False]
