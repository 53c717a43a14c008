"""ActNorm, 1x1 convolution and mask: every implementation against the reference, there, back, and by gradients."""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from nbkit.kernels import dispatch, emulator, flow
from nbkit.kernels.flow import cuda, normalise_and_mix
from nbkit.kernels.flow import torch as folding

each_implementation = pytest.mark.parametrize(
    "impl",
    [
        "reference",
        "torch",
        pytest.param("emulated", marks=pytest.mark.compiler),
        pytest.param("cupy", marks=pytest.mark.gpu),
    ],
)
SHAPES = [
    (1, 1, 4),
    (3, 7, 8),
    (2, 33, 12),
    (4, 50, 160),
    (1, 130, 4),
    (2, 5, 164),
    (1, 3, 1020),
    (1, 5, 1024),
]  # items, frames, channels
SOURCE = cuda.SOURCE.read_text(encoding="utf-8")


def case(items, frames, channels, *, split=4, dtype=torch.float32, behind=torch.nan, seed=0):
    """x, mask, log_scale, bias, weight; `behind` the ends."""
    draw = torch.Generator().manual_seed(seed)
    shapes = (items, frames, channels), (channels,), (channels,), (split, split)
    x, log_scale, bias, weight = (torch.randn(*shape, generator=draw, dtype=dtype) for shape in shapes)
    lengths = torch.randint(0, frames + 1, (items, 1), generator=draw)
    lengths[0] = frames
    mask = (torch.arange(frames) < lengths)[:, :, None]
    x = torch.where(mask, x, behind)
    return x, mask.to(dtype), 0.3 * log_scale, bias, weight + 2 * torch.eye(split, dtype=dtype)


def everything(impl, x, mask, log_scale, bias, weight):
    """What comes out there and back, and all gradients, for an implementation."""
    device = "cuda" if impl == "cupy" else "cpu"
    given = [one.detach().to(device).requires_grad_() for one in (x, log_scale, bias, weight)]
    mask = None if mask is None else mask.to(device)
    z, log_determinant = normalise_and_mix(given[0], mask, *given[1:], impl=impl)
    weights = torch.linspace(-1, 2, z.numel(), dtype=z.dtype, device=device).view(z.shape)
    worth = torch.linspace(-1, 3, len(z), dtype=z.dtype, device=device)
    gradients = torch.autograd.grad((z * weights).sum() + (log_determinant * worth).sum(), given)
    with torch.no_grad():
        back, removed = normalise_and_mix(z, mask, *given[1:], reverse=True, impl=impl)
    names = "z", "log_determinant", "to_x", "to_log_scale", "to_bias", "to_weight", "back", "removed"
    found = (z, log_determinant, *gradients, back, removed)
    return {name: one.detach().cpu() for name, one in zip(names, found, strict=True)}


def assert_close(found, wanted):
    for name, one in wanted.items():
        size = 1 + one.abs().max()
        assert found[name].shape == one.shape, name
        assert (found[name] - one).abs().max() < 3e-6 * size, name


@each_implementation
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_reference_in_float64(impl, shape):
    given = case(*shape)
    wanted = everything("reference", *(one.double() for one in given))
    found = everything(impl, *given)
    assert_close({name: one.double() for name, one in found.items()}, wanted)
    x, mask = given[:2]
    assert all(one[(mask == 0).expand_as(x)].eq(0).all() for one in (found["z"], found["to_x"], found["back"]))
    torch.testing.assert_close(found["back"], torch.where(mask != 0, x, 0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["removed"], -found["log_determinant"])


@each_implementation
def test_without_a_mask_every_frame_counts(impl):
    x, _, *coefficients = case(2, 9, 16, behind=0.5)
    assert_close(everything(impl, x, None, *coefficients), everything(impl, x, torch.ones(2, 9, 1), *coefficients))


@pytest.mark.parametrize("impl", ["reference", "torch"])
@pytest.mark.parametrize("split", [2, 4, 8])
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_those_of_the_differences(impl, split, reverse):
    x, mask, *coefficients = case(2, 3, 8, split=split, dtype=torch.float64, behind=0.0)
    given = [one.requires_grad_() for one in (x, *coefficients)]
    torch.autograd.gradcheck(
        lambda x, *others: normalise_and_mix(x, mask, *others, reverse=reverse, impl=impl), given, fast_mode=True
    )


@pytest.mark.parametrize("impl", ["reference", "torch"])
def test_the_determinant_is_that_of_the_jacobian(impl):
    x, mask, *coefficients = case(1, 2, 8, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: normalise_and_mix(x.view(1, 2, 8), mask, *coefficients, impl=impl)[0].flatten(), x.flatten()
    )
    wanted = torch.linalg.slogdet(jacobian)[1]
    torch.testing.assert_close(normalise_and_mix(x, mask, *coefficients, impl=impl)[1], wanted[None])


def test_a_group_takes_half_of_its_channels_from_either_half():
    x = torch.arange(8.0).view(1, 1, 8)
    weight = torch.zeros(4, 4)
    weight[0, 3] = 1  # the last member becomes the first
    for impl in ("reference", "torch"):
        z = normalise_and_mix(x, None, torch.zeros(8), torch.zeros(8), weight, impl=impl)[0]
        assert z.flatten().tolist() == [5, 0, 7, 0, 0, 0, 0, 0]


def test_a_gpu_takes_one_matrix_for_all(monkeypatch):
    """The way that a CPU does not go."""
    x, mask, *coefficients = case(2, 5, 16, behind=0.0)
    matrix, shift = folding.do(*coefficients)
    z = normalise_and_mix(x, mask, *coefficients, impl="reference")[0]
    torch.testing.assert_close((x @ matrix.T + shift) * mask, z)
    matrix, shift = folding.undo(*coefficients)
    torch.testing.assert_close((z @ matrix.T + shift) * mask, x)


def test_autocast_changes_nothing():
    given = case(2, 5, 8, behind=0.0)
    for impl in ("reference", "torch"):
        wanted = normalise_and_mix(*given, impl=impl)
        with torch.autocast("cpu", torch.bfloat16):
            found = normalise_and_mix(*given, impl=impl)
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(3, 8)}, r"x wants to be float \[B, F, C\], got torch.float32 \(3, 8\); transpose"),
        ({"x": torch.zeros(2, 3, 8, dtype=torch.int64)}, "got torch.int64"),
        ({"weight": torch.zeros(4, 2)}, r"weight wants to be \[n, n\], n even and a divisor of 8 channels, got \(4, 2"),
        ({"weight": torch.eye(6)}, r"got \(6, 6\); choose another split"),
        ({"weight": torch.zeros(0, 0)}, r"got \(0, 0\)"),
        ({"bias": torch.zeros(7)}, r"bias wants shape \(8,\) beside x \(2, 3, 8\), got \(7,\)"),
        ({"mask": torch.ones(2, 1, 3)}, r"mask wants shape \(2, 3, 1\) beside x \(2, 3, 8\), got \(2, 1, 3\)"),
        ({"mask": torch.ones(2, 3, 1).bool()}, "mask wants to be torch.float32 on cpu as x is, got torch.bool on cpu"),
        ({"log_scale": torch.zeros(8).double()}, "log_scale wants to be torch.float32 .* got torch.float64"),
        ({"impl": "cpu"}, "normalise_and_mix has the implementations reference, torch, cupy, emulated and auto"),
        ({"impl": "cupy"}, "impl='cupy' wants x on a GPU, got cpu; move it there or use impl='emulated'"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = dict(zip(("x", "mask", "log_scale", "bias", "weight"), case(2, 3, 8)))
    with pytest.raises(ValueError, match=message):
        normalise_and_mix(**(given | change))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split": 2}, r"flow\.cu does not take 8 channels in groups of 2; use impl='torch'"),
        ({"dtype": torch.float64}, r"flow\.cu does not take torch.float64"),
        ({"channels": 1028}, r"flow\.cu does not take 1,028 channels in groups of 4"),
    ],
)
def test_what_the_kernel_does_not_take(fields, message):
    with pytest.raises(ValueError, match=message):
        normalise_and_mix(*case(1, 2, **({"channels": 8} | fields)), impl="emulated")


def test_the_kernel_has_no_gradient_in_reverse():
    x, *others = case(1, 2, 8)
    with pytest.raises(ValueError, match=r"flow\.cu does not take gradients in reverse; use impl='torch'"):
        normalise_and_mix(x.requires_grad_(), *others, reverse=True, impl="emulated")


@pytest.mark.gpu
def test_a_gpu_gives_the_same_bits_on_any_stream():
    given = case(8, 300, 160)
    first = everything("cupy", *given)
    with torch.cuda.stream(torch.cuda.Stream()):
        second = everything("cupy", *given)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert flow._preferred(given[0].cuda(), 4, False) == ("cupy", "one kernel where x is")


@pytest.mark.compiler
def test_the_kernel_has_no_second_derivative():
    x, *others = case(1, 2, 8, behind=0.0)
    z, _ = normalise_and_mix(x.requires_grad_(), *others, impl="emulated")
    (first,) = torch.autograd.grad(z.square().sum(), x, create_graph=True)
    with pytest.raises(
        ValueError, match=r"flow\.cu gives first derivatives, a second one was asked for; use impl='torch'"
    ):
        first.sum().backward()


def test_the_choice_is_told(monkeypatch):
    """Tensors without content stand for a GPU."""
    given = case(1, 2, 8)
    normalise_and_mix(*given)
    assert dispatch.choices["normalise_and_mix"] == "torch: the fastest on a CPU"
    with FakeTensorMode(allow_non_fake_inputs=True):
        x, mask, *coefficients = (torch.zeros(one.shape, device="cuda") for one in given)
        monkeypatch.setattr(cuda, "lacking", lambda device: None)
        z, log_determinant = normalise_and_mix(x, mask, *coefficients)
        assert (z.device.type, tuple(z.shape), tuple(log_determinant.shape)) == ("cuda", (1, 2, 8), (1,))
        assert dispatch.choices["normalise_and_mix"] == "cupy: one kernel where x is"
        assert flow._preferred(x, 8, False) == ("torch", "no kernel: 8 channels in groups of 8")
        assert flow._preferred(x, 4, True) == ("torch", "no kernel: gradients in reverse")
        monkeypatch.setattr(cuda, "lacking", lambda device: "no CuPy (it is not there)")
        assert flow._preferred(x, 4, False) == ("torch", "no kernel: no CuPy (it is not there)")


# what only the kernel can do wrong


def run(source, x, mask, *coefficients, seed=0, back=False):
    """The kernel by itself, every output and the workspace poisoned: z, log |det|, or gradients of (z + log |det|)."""
    (items, frames, channels), groups = x.shape, 2 - x.shape[2] % 8 // 4
    names = [f"flow_backward<{groups}>", "flow_reduce"] if back else [f"flow_map<{groups}, false>"]
    module = emulator.module(source, name_expressions=tuple(names))
    arrays = [one.numpy() for one in (x, mask, *coefficients)]
    for array in arrays:
        array.flags.writeable = False

    def empty(*shape, dtype: type = np.float32):
        return np.full(shape, -7, dtype)

    if back:
        counted = mask.sum((1, 2)).int().numpy()
        blocks, width = 3, 2 * channels + 16
        out, partial = [empty(*array.shape) for array in (arrays[0], *arrays[2:])], empty(blocks, width)
        ones = np.ones_like(arrays[0])
        args = ones, *arrays, out[0], partial, np.int32(items * frames), np.int32(channels)
        module.kernel(names[0])((blocks,), (256,), args, seed=seed)
        args = partial, np.ones(items, np.float32), counted, arrays[4], *out[1:]
        numbers = np.int32(blocks), np.int32(items), np.int32(channels)
        module.kernel(names[1])((-(-width // 32),), (256,), (*args, *numbers), seed=seed)
        return out
    out = empty(*x.shape), empty(items), empty(items, dtype=np.int32)
    numbers = np.int32(items), np.int32(frames), np.int32(channels)
    module.kernel(names[0])((3,), (256,), (*arrays, *out, *numbers), seed=seed)
    return out[:2]


def wanted(x, mask, *coefficients, back=False):
    given = [one.double().requires_grad_() for one in (x, *coefficients)]
    z, log_determinant = normalise_and_mix(given[0], mask.double(), *given[1:], impl="reference")
    found = torch.autograd.grad(z.sum() + log_determinant.sum(), given) if back else (z, log_determinant)
    return [one.detach().numpy() for one in found]


def differs(source, given, seed=0, back=False):
    """By how much the kernel errs at most, in parts of the greatest value."""
    pairs = zip(run(source, *given, seed=seed, back=back), wanted(*given, back=back), strict=True)
    return max(np.abs(a - b).max() / (1 + np.abs(b).max()) for a, b in pairs)


@pytest.mark.compiler
@pytest.mark.parametrize("channels", [4, 24, 160])
@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_threads_gives_the_same_bits(channels, seed):
    given = case(3, 41, channels, seed=seed)
    assert differs(SOURCE, given, seed, back=True) < 3e-6
    assert differs(SOURCE, given, seed) < 3e-6
    for a, b in zip(run(SOURCE, *given, seed=seed, back=True), run(SOURCE, *given, seed=9, back=True), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("[k] = sum;\n    }\n    __syncthreads();", "[k] = sum;\n    }\n    __syncwarp();", "race|uninitialised"),
        ("[lane] = sum;\n    __syncthreads();", "[lane] = sum;", "race|uninitialised"),
        ("r < rows; ++r) sum", "r <= rows; ++r) sum", "uninitialised|out of bounds|race"),
        ("if (row > 0 || column >= width) return;", "if (row > 0) return;", "out of bounds"),
        ("if (threadIdx.x % 32 == 0) matrices", "if (threadIdx.x % 16 == 0) matrices", "race"),
        ("sum += __shfl_xor_sync(ALL, sum, step);\n        if",
         "if (first < rows) sum += __shfl_xor_sync(ALL, sum, step);\n        if",
         "divergence|deadlock"),
    ],
)  # fmt: skip
def test_planted_faults_of_the_reduction(right, wrong, message):
    assert SOURCE.count(right) == 1
    given = case(2, 40, 160, seed=1)
    for seed in range(3):
        with pytest.raises(emulator.KernelFault, match=message):
            run(SOURCE.replace(right, wrong), *given, seed=seed, back=True)


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("row < total; row += gridDim.x * rows) {\n        const size_t place = (size_t)row * channels + column;\n"
         "        if (mask[row] != 0.f) {\n            from.read(x + place, channels);\n#pragma",
         "row <= total; row += gridDim.x * rows) {\n        const size_t place = (size_t)row * channels + column;\n"
         "        if (mask[row] != 0.f) {\n            from.read(x + place, channels);\n#pragma", "out of bounds"),
        ("(cofactor(weight, j, i) / determinant(weight)) : weight[threadIdx.x];\n    __syncthreads();",
         "(cofactor(weight, j, i) / determinant(weight)) : weight[threadIdx.x];", "race|uninitialised"),
        ("frame < frames && mask", "mask", "out of bounds"),
        ("load<GROUPS>(row + channels / 2)", "load<GROUPS>(row + channels / 2 + 1)", "misaligned|out of bounds"),
    ],
)  # fmt: skip
def test_planted_faults_of_the_map(right, wrong, message):
    source = SOURCE.replace(right, wrong, 1)
    assert source != SOURCE
    given = case(2, 40, 160, seed=1, behind=0.0)
    given[1][:] = 1
    for seed in range(3):
        with pytest.raises(emulator.KernelFault, match=message):
            run(source, *given, seed=seed)


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("right", "wrong", "back"),
    [
        ("to_shift.member(g, l) += to_y;", "to_shift.member(g, l) += to_y * scale.member(g, l);", True),
        ("arriving.clear();", "", True),
        ("first < rows && row < total", "row < total", True),
        ("(channels / MEMBERS) * inverse", "channels * inverse", True),
        ("sums[row][lane] = sum;", "sums[row][lane] = row == 1 ? 0 : sum;", True),
        ("MEMBERS + 2 * half + within % 2", "MEMBERS + half + 2 * (within % 2)", True),
        ("to.clear();", "", False),
        ("w[k][l] * y[l]", "w[l][k] * y[l]", False),
        ("return (i + j) % 2 ? -d : d;", "return d;", False),
        ("step > 0; step /= 2) sum += __shfl_xor_sync(ALL, sum, step);\n            if",
         "step > 1; step /= 2) sum += __shfl_xor_sync(ALL, sum, step);\n            if", False),
    ],
)  # fmt: skip
def test_the_comparison_sees_what_is_wrong(right, wrong, back):
    """Faults of arithmetic, which only the reference can tell."""
    assert SOURCE.count(right) == 1
    given = case(3, 41, 24, seed=1, behind=0.5)  # of 256 threads, one has nothing to do
    assert not differs(SOURCE.replace(right, wrong), given, back=back) < 1e-3


@pytest.mark.compiler
@pytest.mark.parametrize("shape", [(0, 5, 8), (2, 0, 8)])
def test_nothing_is_asked_for(shape):
    x, mask, *coefficients = (
        one.requires_grad_() for one in (torch.zeros(shape), torch.ones(*shape[:2], 1), *case(1, 1, 8)[2:])
    )
    for impl in ("reference", "torch", "emulated"):
        z, log_determinant = normalise_and_mix(x, mask, *coefficients, impl=impl)
        assert z.shape == shape
        assert log_determinant.tolist() == [0] * shape[0]
        gradients = torch.autograd.grad(z.sum() + log_determinant.sum(), coefficients)
        assert not any(one.any() for one in gradients)


@pytest.mark.compiler
def test_rows_that_lie_askew_are_copied():
    x, mask, *coefficients = case(2, 6, 8, behind=0.0)
    wanted = normalise_and_mix(x, mask, *coefficients, impl="reference")[0]
    askew = torch.zeros(2 * 6 * 8 + 1)[1:].view(2, 6, 8).copy_(x)
    turned = x.transpose(1, 2).contiguous().transpose(1, 2)
    for one in (askew, turned):
        torch.testing.assert_close(normalise_and_mix(one, mask, *coefficients, impl="emulated")[0], wanted)


@pytest.mark.compiler
def test_the_operators_keep_the_rules_of_torch():
    x, mask, *coefficients = case(2, 5, 8, behind=0.0)
    given = (x.requires_grad_(), mask, *(one.requires_grad_() for one in coefficients))
    torch.library.opcheck(torch.ops.nbkit.normalise_and_mix.default, given)
    given = tuple(one.detach() for one in given)
    torch.library.opcheck(torch.ops.nbkit.unmix.default, given)
    counted = mask.sum((1, 2)).int()
    args = (torch.ones_like(x), torch.ones(2), *given, counted)
    torch.library.opcheck(torch.ops.nbkit.normalise_and_mix_backward.default, args)


@pytest.mark.compiler
@pytest.mark.parametrize("impl", ["emulated", "torch"])
def test_compile_passes_over_it(impl):
    given = case(2, 5, 8, behind=0.0)

    def loss(x, mask, *coefficients):
        z, log_determinant = normalise_and_mix(x, mask, *coefficients, impl=impl)
        return z.sin().sum() + log_determinant.sum()

    found = []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        x, mask, *coefficients = (one.clone() for one in given)
        leaves = [one.requires_grad_() for one in (x, *coefficients)]
        found.append(torch.autograd.grad(function(x, mask, *coefficients), leaves))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.compiler
def test_a_kernel_that_fails_its_trial_is_not_taken(monkeypatch):
    here = torch.device("cpu")
    assert cuda.trial(here) is None
    with torch.inference_mode():
        assert cuda.trial(here) is None
    with monkeypatch.context() as patch:
        patch.setattr(cuda, "SOURCE", cuda.SOURCE.with_name("lost.cu"))
        assert (cuda.trial(here) or "").startswith("flow.cu does not run on cpu (FileNotFoundError: ")
    with monkeypatch.context() as patch:
        right = cuda.there
        patch.setattr(cuda, "there", lambda x, *others: right(1.001 * x, *others))
        assert cuda.trial(here) == "flow.cu and the reference differ on cpu"
    assert (cuda.lacking.__wrapped__(here) or "no CuPy (").startswith("no CuPy (")
