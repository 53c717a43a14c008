"""The kernel in wavernn_sampler.cu: its exchange, planted faults, what it refuses; on a GPU the size of the paper."""

import functools
import re

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from nbkit.kernels import compiler, dispatch, emulator, launch, wavernn_sampler
from nbkit.kernels.wavernn_sampler import State, cuda, folded, sample
from nbkit.kernels.wavernn_sampler import torch as plain
from tests.kernels.wavernn import inputs, weights

pytestmark = pytest.mark.torch
with_gcc = pytest.mark.compiler
SOURCE = cuda.SOURCE.read_text(encoding="utf-8")
TWO = ("mixture", 2, (5, 3, 13, 7, 30))
ONE = ("classes", 1, (4, 2, 16, 2, 2))  # of four blocks, two have units only
PAPER = cuda._PAPER
FULL_T4 = cuda.plan(PAPER, 1, 40)


@functools.cache
def case(kind, rows, samples=12):
    """Inputs of a network and what the reference makes of them."""
    made = weights(*kind)
    given = inputs(made, rows, samples)
    return made, given, sample(made, *given[:2], given=given[2], logits=True, impl="reference")


def drawn(source, made, given, *, seed=0, blocks=0):
    """Logits of the kernel alone, started on fewer or more blocks than planned."""

    def start(_, names, name, grid, block, args, **options):
        kernel = emulator.module(source, name_expressions=names).kernel(name)
        kernel((grid[0] + blocks,), block, args, seed=seed, **options)

    conditioning, uniforms, forced = (folded.by_time(one, "cpu") for one in given)
    split = folded.Folded(made, "cpu")
    state = folded.begin(split, None, conditioning.shape[1], "cpu")
    shape, mixture = cuda.shape_of(made), made.output == "mixture"
    numbers = shape.layers, shape.outputs, mixture, True
    return cuda._sample(start, *cuda.pack(split), split.before(conditioning), uniforms, forced, *state, *numbers)


def assert_right(found, wanted, close=1e-3):
    torch.testing.assert_close(found[2].transpose(0, 1), wanted.logits, atol=close, rtol=0)
    torch.testing.assert_close(found[0].T, wanted.x, atol=close, rtol=0)
    torch.testing.assert_close(found[1], wanted.state.hidden, atol=close, rtol=0)


@with_gcc
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("kind", "rows"), [(TWO, 1), (ONE, 1), (TWO, 3)], ids=["two", "one", "rows"])
def test_any_order_of_threads_draws_the_same(kind, rows, seed):
    made, given, wanted = case(kind, rows)
    found = drawn(SOURCE, made, given, seed=seed)
    assert_right(found, wanted)
    again = drawn(SOURCE, made, given, seed=0)
    assert all(map(torch.equal, found, again))


EARLY = "reinterpret_cast<volatile unsigned*>(box)"


@with_gcc
@pytest.mark.parametrize(
    ("kind", "right", "wrong", "message"),
    [
        (TWO, "(unsigned)(got[k] >> 32) != epoch", "(got[k] >> 32) == 0", "differs"),
        (TWO, "*box = (Word)epoch << 32 | __float_as_uint(value);",
         f"{EARLY}[1] = epoch; __nanosleep(0); {EARLY}[0] = __float_as_uint(value);", "differs"),
        (TWO, "gru(in, mine + KEPT + 3 * g * ROWS, ROWS, mine[STATE + g * ROWS]);\n",
         "mine[STATE + g * ROWS];\n", "differs"),
        (ONE, "(t & 1) * (size_t)", "0 * (size_t)", "deadlock: .*what is polled never changes"),
        (ONE, "if (has_row) {\n            float value = multiply<As, LAYER_PAIRS", "if (has_row && t != 3) {\n"
         "            float value = multiply<As, LAYER_PAIRS", "deadlock: .*what is polled never changes"),
        (TWO, "remember(g);\n    __syncthreads();", "remember(g);", "race: "),
        (TWO, "states[i] = value; });\n        __syncthreads();", "states[i] = value; });", "race: "),
        (TWO, "layer1[i] = value; });\n        __syncthreads();", "layer1[i] = value; });\n __syncwarp();", "race: "),
        (TWO, "i % COLUMNS < width) {", "i % COLUMNS <= width) {", "deadlock: .*what is polled never changes"),
        (TWO, "n < rows) drawn[place]", "n <= rows) drawn[place + 1]", "out of bounds: "),
        (TWO, "box + lane * outputs + o, epoch", "box + lane * outputs + o + 40, epoch", "out of bounds: |deadlock: "),
    ],
)  # fmt: skip
def test_planted_faults(kind, right, wrong, message):
    assert SOURCE.count(right) == 1
    made, given, wanted = case(kind, 1)
    told = []
    for seed in range(3):
        try:
            assert_right(drawn(SOURCE.replace(right, wrong), made, given, seed=seed), wanted)
        except emulator.KernelFault as fault:
            told.append(str(fault))
        except AssertionError as error:
            told.append(f"differs: {error}")
    assert told
    assert all(re.match(message, one, re.DOTALL) for one in told), told


@with_gcc
def test_a_launch_ends_whatever_happens():
    made, given, wanted = case(TWO, 1)
    lost = SOURCE.replace("PATIENCE = 1 << 24", "PATIENCE = 500").replace(
        "    int patience = PATIENCE;", "    if (blockIdx.x == 1) return;\n    int patience = PATIENCE;"
    )
    assert lost.count("500") == 1
    assert lost.count("x == 1) return") == 1
    found = drawn(lost, made, given)
    assert found[0][-1].isnan().all()
    assert found[1].isnan().any()
    assert drawn(SOURCE, made, given, blocks=-1)[0].isnan().all()  # as CuPy may start it
    assert_right(drawn(SOURCE, made, given, blocks=1), wanted)


@with_gcc
@pytest.mark.parametrize("kind", [TWO, ONE], ids=["two", "one"])
@pytest.mark.parametrize("impl", ["emulated", "torch"])
@pytest.mark.parametrize("rows", [1, 3])
def test_in_parts_as_in_one_bit_for_bit(kind, impl, rows, monkeypatch):
    made, (conditioning, uniforms, _), _ = case(kind, rows, 40)
    whole = sample(made, conditioning, uniforms, logits=True, impl=impl)
    state, x, logits = None, [], []
    for first, last in ((0, 1), (1, 18), (18, 40)):
        place = slice(first, last)
        part = sample(made, conditioning[:, place], uniforms[:, place], state=state, logits=True, impl=impl)
        state, x, logits = part.state, [*x, part.x], [*logits, part.logits]
    assert torch.equal(torch.cat(x, 1), whole.x)
    assert torch.equal(torch.cat(logits, 1), whole.logits)
    assert torch.equal(part.state.hidden, whole.state.hidden)
    monkeypatch.setattr(plain, "AT_ONCE", 16 * rows)  # parts of its own
    again = sample(made, conditioning, uniforms, logits=True, impl=impl)
    assert torch.equal(again.logits, whole.logits)


@with_gcc
def test_more_rows_than_a_launch_takes(monkeypatch):
    made, (conditioning, uniforms, forced), wanted = case(TWO, 5)
    monkeypatch.setattr(cuda, "ROWS", (1, 2, 4))
    state = State(torch.zeros(5), torch.zeros(2, 5, 13))
    found = sample(made, conditioning, uniforms, given=forced, state=state, logits=True, impl="emulated")
    torch.testing.assert_close(found.logits, wanted.logits, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="at most 4 rows here, got 5; give some of them"):
        drawn(SOURCE, made, (conditioning, uniforms, forced))


@with_gcc
@pytest.mark.parametrize("kind", [TWO, ("classes", 1, (4, 2, 16, 17, 32))], ids=["two", "one"])
def test_weights_of_16_bits(kind):
    made, (conditioning, uniforms, forced), wanted = case(kind, 3, 100)
    found = sample(made.in_half(), conditioning, uniforms, given=forced, logits=True, impl="emulated")
    difference = (found.logits - wanted.logits).abs().max()
    assert 1e-5 < difference < 2e-2
    assert ((found.x - wanted.x).abs() < 2e-2).float().mean() >= 0.999
    same = sample(made.in_half(), conditioning, uniforms, given=forced, logits=True, impl="torch")  # takes no notice
    assert (same.logits - wanted.logits).abs().max() < 1e-4


WIDEN = (
    SOURCE
    + """
extern "C" __global__ void widen(const unsigned* pairs, float* numbers) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const float2 both = Half::numbers(pairs[i]);
    numbers[2 * i] = both.x;
    numbers[2 * i + 1] = both.y;
}"""
)


def test_all_numbers_of_16_bits(run):
    bits = np.arange(1 << 16, dtype=np.uint16)
    found = np.zeros(1 << 16, np.float32)
    run(WIDEN, "widen", (128,), (256,), (bits.view(np.uint32), found))
    np.testing.assert_array_equal(found, bits.view(np.float16).astype(np.float32))


def test_what_does_not_fit_is_told():
    def told(shape, rows, processors, **limits):
        made = cuda.plan(shape, rows, processors)
        return cuda.refused(shape, made, **({"shared": 65536, "spilled": 0, "together": processors} | limits))

    half = PAPER._replace(half=True)
    assert [told(half, rows, 40) is None for rows in cuda.ROWS] == [True, True, True, False]  # T4
    assert "a block may have 65,536 bytes of shared memory, " in told(half, 8, 40)
    assert told(PAPER, 8, 132, shared=232448) is None
    assert told(PAPER, 1, 40, spilled=312) == (
        "wavernn_sampler.cu wants 9.4 MB of weights in registers, in 40 blocks of 416 threads; here 312 bytes of each "
        "thread find no register; use weights.in_half() (16 bits), a smaller model or impl='cuda_graph'"
    )
    assert "here 20 blocks run at the same time, 40 are needed; use a smaller model or" in told(
        half, 1, 40, together=20
    )
    assert "a block may have 1,024 threads, 1,120 are needed" in told(PAPER._replace(hidden=1400), 1, 40)
    with pytest.raises(ValueError, match="one or two GRUs, got 3; use impl='cuda_graph'"):
        cuda.placed(PAPER._replace(grus=3), 1, torch.device("cpu"))


@with_gcc
def test_32_bits_have_no_room_on_a_t4():
    if compiler.library() is None:
        pytest.skip("needs NVRTC: pip install nvidia-cuda-nvrtc-cu12")
    assert compiler.compile(cuda.SOURCE, (FULL_T4.name,), 75)[0].spilled > 0


@with_gcc
def test_the_operator_keeps_the_rules_of_torch():
    made, given, _ = case(TWO, 1, 2)
    split = folded.Folded(made, "cpu")
    conditioning, uniforms, forced = (folded.by_time(one, "cpu") for one in given)
    x, hidden = folded.begin(split, None, 1, "cpu")
    arguments = *cuda.pack(split), split.before(conditioning), uniforms
    for last in ((forced, x, hidden, 7, 30, True, True), (None, x, hidden, 7, 30, True, False)):
        torch.library.opcheck(torch.ops.nbkit.wavernn_sample.default, (*arguments, *last))


def test_what_is_chosen_for_a_gpu(monkeypatch):
    made = weights()
    with FakeTensorMode():
        conditioning = torch.zeros(1, 2, made.channels, device="cuda")
    device = conditioning.device
    asked = []
    monkeypatch.setattr(cuda, "lacking", lambda *given: asked.append(given))
    monkeypatch.setattr(plain, "lacking", lambda device: None)
    assert wavernn_sampler._preferred(made, conditioning)[0] == "cupy"
    assert asked == [(made, device)]
    monkeypatch.setattr(cuda, "lacking", lambda *given: "no CuPy (it is not there)")
    told = "no CuPy (it is not there); a graph starts the operations of many samples at once"
    assert wavernn_sampler._preferred(made, conditioning) == ("cuda_graph", told)
    monkeypatch.setattr(plain, "lacking", lambda device: "no graphs")
    assert wavernn_sampler._preferred(made, conditioning) == ("torch", "no CuPy (it is not there); no graphs")
    assert wavernn_sampler._preferred(made, torch.zeros(1, device="meta")) == ("torch", "the conditioning is on meta")


@with_gcc
def test_a_kernel_that_fails_its_trial_is_not_taken(monkeypatch):
    here, shape = torch.device("cpu"), cuda.Shape(13, 7, 30, 2, False)
    assert cuda.trial(shape, "mixture", here) is None
    assert cuda.trial(cuda.Shape(16, 17, 32, 1, True), "classes", here) is None
    with monkeypatch.context() as patch:
        patch.setattr(cuda, "SOURCE", cuda.SOURCE.with_name("lost.cu"))
        assert cuda.trial(shape, "mixture", here).startswith("lost.cu does not run on cpu (FileNotFoundError: ")
    with monkeypatch.context() as patch:
        pack = cuda.pack
        patch.setattr(cuda, "pack", lambda split: (pack(split)[0] * 1.1, pack(split)[1]))
        assert cuda.trial(shape, "mixture", here).startswith("wavernn_sampler.cu and PyTorch differ by 0.")
    with monkeypatch.context() as patch:
        patch.setattr(cuda, "pack", lambda split: (pack(split)[0] * torch.nan, pack(split)[1]))
        assert cuda.trial(shape, "mixture", here) == "wavernn_sampler.cu and PyTorch differ by nan on cpu"
    refusal = cuda.trial(shape._replace(grus=3), "mixture", here)
    assert refusal == "wavernn_sampler.cu wants one or two GRUs, got 3; use impl='cuda_graph'"
    if launch.lacking():
        assert cuda.lacking(weights(), here) == launch.lacking()


class Recorded(TorchDispatchMode):
    """Stands for a CUDA graph: keeps each operation with the tensors that it was called with, and calls it again."""

    def __init__(self):
        super().__init__()
        self.calls, self.made = [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        views = function.is_view or not isinstance(result, torch.Tensor)
        if not views:
            self.calls.append((function, args, kwargs or {}))
            known = [one for one in (*args, *(kwargs or {}).values()) if isinstance(one, torch.Tensor)]
            if result.untyped_storage().data_ptr() not in {one.untyped_storage().data_ptr() for one in known}:
                self.made.append(str(function))
        return result

    def replay(self):
        for function, args, kwargs in self.calls:
            function(*args, **kwargs)


@pytest.mark.parametrize("kind", [TWO, ONE], ids=["two", "one"])
def test_a_graph_replays_steps_that_allocate_nothing(kind, monkeypatch):
    made, (conditioning, uniforms, forced), _ = case(kind, 3, 40)
    graphs, loops = [], []

    class Capture:
        def __init__(self, graph):
            self.graph = graph

        def __enter__(self):
            self.state = loops[-1].x.clone(), loops[-1].hidden.clone()
            self.graph.__enter__()

        def __exit__(self, *error):
            self.graph.__exit__(*error)
            loops[-1].x.copy_(self.state[0])  # nothing runs in a capture
            loops[-1].hidden.copy_(self.state[1])

    class Loop(plain.Loop):
        def __init__(self, *given):
            super().__init__(*given)
            loops.append(self)

    def graph():
        graphs.append(Recorded())
        return graphs[-1]

    class Stream:
        def wait_stream(self, other):
            pass

    monkeypatch.setattr(plain, "Loop", Loop)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", graph)
    monkeypatch.setattr(torch.cuda, "graph", Capture)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: torch.no_grad())
    state = State(forced[:, 0], torch.full((made_grus(made), 3, made.hidden), 0.25))
    for given in (None, forced):
        wanted = plain.sample(made, conditioning, uniforms, state, given, True)
        found = plain.sample(made, conditioning, uniforms, state, given, True, graph=True)
        assert all(map(torch.equal, found, wanted))
    assert [one.made for one in graphs] == [[], []]
    assert len(graphs[0].calls) <= 35 * plain.CAPTURED


def made_grus(made):
    return len(made.grus)


def test_a_graph_needs_a_gpu():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    made, (conditioning, uniforms, _), _ = case(TWO, 1)
    with pytest.raises(ValueError, match="cuda_graph wants a GPU of NVIDIA, got none; use impl='torch' or 'cpu'"):
        sample(made, conditioning, uniforms, impl="cuda_graph")


# What waits for a GPU: the size of the paper.

PAPER_KIND = {"mixture": ("mixture", 2, (80, 32, 512, 512, 30)), "classes": ("classes", 2, (80, 32, 512, 512, 512))}
for_size = pytest.mark.parametrize("output", ["mixture", "classes"])


def on_gpu(made, given, half):
    """Weights and inputs there, or a skip where this GPU has no room."""
    made = made.in_half() if half else made
    refusal = cuda.lacking(made, torch.device("cuda", torch.cuda.current_device()))
    if refusal and "find no register" in refusal and not half:
        pytest.skip(refusal)
    assert refusal is None
    return made, [one.cuda() for one in given]


@pytest.mark.gpu
@for_size
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_paper_logits_and_draws(output, half, rows):
    made, given, wanted = case(PAPER_KIND[output], rows, 200)
    made, (conditioning, uniforms, forced) = on_gpu(made, given, half)
    found = sample(made, conditioning, uniforms, given=forced, logits=True, impl="cupy")
    close = cuda.CLOSE[half]
    torch.testing.assert_close(found.logits.cpu(), wanted.logits, atol=close, rtol=0)
    assert ((found.x.cpu() - wanted.x).abs() < close).float().mean() >= 0.999


@pytest.mark.gpu
@for_size
@pytest.mark.parametrize("impl", ["cupy", "cuda_graph", "torch"])
def test_paper_running_free(output, impl):
    made = weights(*PAPER_KIND[output])
    given = inputs(made, 1, 200)
    wanted = sample(made, *given[:2], impl="reference")
    if impl == "cupy":
        made, given = on_gpu(made, given, False)
    found = sample(made, given[0].cuda(), given[1].cuda(), impl=impl)
    torch.testing.assert_close(found.x.cpu(), wanted.x, atol=1e-3, rtol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("half", [False, True])
def test_paper_in_parts_as_in_one(half):
    made = weights(*PAPER_KIND["mixture"])
    made, (conditioning, uniforms, _) = on_gpu(made, inputs(made, 2, 11000), half)
    whole = sample(made, conditioning, uniforms, impl="cupy")
    first = sample(made, conditioning[:, :5512], uniforms[:, :5512], impl="cupy")
    rest = sample(made, conditioning[:, 5512:], uniforms[:, 5512:], state=first.state, impl="cupy")
    assert torch.equal(torch.cat([first.x, rest.x], 1), whole.x)
    assert torch.equal(rest.state.hidden, whole.state.hidden)


@pytest.mark.gpu
def test_paper_is_chosen_and_told():
    made = weights(*PAPER_KIND["mixture"])
    made, (conditioning, uniforms, _) = on_gpu(made, inputs(made, 1, 20), True)
    sample(made, conditioning, uniforms)
    assert dispatch.choices["wavernn_sampler"] == "cupy: one kernel for all samples, with the weights on the chip"
