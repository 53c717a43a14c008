"""What CUDA promises, by the emulator and by a GPU: the same kernels, the same numbers."""

import numpy as np
import pytest

from nbkit.kernels import emulator

SHUFFLES = r"""
extern "C" __global__ void shuffles(int* out, int argument, int width) {
    int lane = threadIdx.x % 32, value = 100 + threadIdx.x, *mine = out + 4 * threadIdx.x;
    mine[0] = __shfl_sync(0xffffffffu, value, argument, width);
    mine[1] = __shfl_up_sync(0xffffffffu, value, argument, width);
    mine[2] = __shfl_down_sync(0xffffffffu, value, argument, width);
    mine[3] = (int)__shfl_xor_sync(0xffffffffu, (double)value, argument % width, width);
}
"""


@pytest.mark.parametrize("width", [2, 8, 32])
@pytest.mark.parametrize("argument", [0, 1, 5, 31])
def test_shuffles(run, width, argument):
    out = np.zeros((64, 4), np.int32)
    run(SHUFFLES, "shuffles", (1,), (64,), (out, np.int32(argument), np.int32(width)))
    for thread in range(64):
        lane = thread % 32
        first = lane // width * width
        up = lane - argument if lane - argument >= first else lane
        down = lane + argument if lane + argument < first + width else lane
        sources = [first + argument % width, up, down, lane ^ (argument % width)]
        assert out[thread].tolist() == [100 + thread // 32 * 32 + source for source in sources]


VOTES = r"""
extern "C" __global__ void votes(unsigned* out, const int* marked) {
    int lane = threadIdx.x;
    unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
    if (lane < 16) {
        out[lane] = __ballot_sync(half, marked[lane]);
    } else {
        out[lane] = __any_sync(half, marked[lane]) + 2 * __all_sync(half, marked[lane]);
    }
    __syncwarp();
    out[32 + lane] = __shfl_sync(half, lane, 3, 16);
    out[64 + lane] = __activemask() >> lane & 1;
}
"""


def test_votes_of_half_a_warp(run):
    marked = np.array([0, 1, 0, 1] * 4 + [1] * 16, np.int32)
    out = np.zeros((3, 32), np.uint32)
    run(VOTES, "votes", (1,), (32,), (out, marked))
    assert (out[0, :16] == 0xAAAA).all()
    assert (out[0, 16:] == 3).all()
    assert out[1].tolist() == [3] * 16 + [19] * 16
    assert (out[2] == 1).all()


BARRIERS = r"""
extern "C" __global__ void barriers(int* out, const int* marked) {
    int t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    int* mine = out + 3 * (blockIdx.y * 24 + t);
    mine[0] = __syncthreads_count(marked[t]);
    mine[1] = __syncthreads_or(marked[t] > blockIdx.y);
    mine[2] = __syncthreads_and(marked[t] >= blockIdx.y);
}
"""


def test_barriers_that_count_and_threads_in_three_dimensions(run):
    marked = np.array([1] * 20 + [0] * 4, np.int32)
    out = np.zeros((2, 24, 3), np.int32)
    run(BARRIERS, "barriers", (1, 2), (4, 3, 2), (out, marked))
    assert np.unique(out[0], axis=0).tolist() == [[20, 1, 1]]
    assert np.unique(out[1], axis=0).tolist() == [[20, 0, 0]]


SUM = r"""
template <typename T, int WARPS>
__device__ T over_warps(T value) {
    __shared__ T parts[WARPS];  // and another for each T
    for (int away = 16; away; away /= 2) value += __shfl_xor_sync(0xffffffffu, value, away);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0;
    for (int i = 0; i < WARPS; ++i) value += parts[i];
    return value;
}
template <typename T>
__global__ void __launch_bounds__(128) sum(const T* __restrict__ x, T* __restrict__ out, int n) {
    extern __shared__ __align__(16) unsigned char bytes[]; /* what __shared__ float here[2]; would be */
    T* stage = reinterpret_cast<T*>(bytes);
    T total = 0;
    for (int first = 0; first < n; first += blockDim.x) {
        int i = first + threadIdx.x;
        stage[threadIdx.x] = i < n ? x[blockIdx.x * n + i] : T(0);
        __syncthreads();
        total += stage[blockDim.x - 1 - threadIdx.x];
        __syncthreads();
    }
    total = over_warps<T, 4>(total);
    if (threadIdx.x == 0) out[blockIdx.x] = total;
}
"""


@pytest.mark.parametrize(("name", "kind"), [("float", np.float32), ("double", np.float64), ("int", np.int32)])
def test_templates_and_both_kinds_of_shared_memory(run, name, kind):
    x = np.random.default_rng(0).integers(-50, 50, (3, 301)).astype(kind)
    out = np.zeros(3, kind)
    run(SUM, f"sum<{name}>", (3,), (128,), (x, out, np.int32(301)), shared_mem=128 * x.itemsize)
    np.testing.assert_array_equal(out, x.sum(1))


ATOMICS = r"""
extern "C" __global__ void atomics(const int* values, int* counts, float* sum, int* least, unsigned* round, int* lock) {
    __shared__ int here[8];
    if (threadIdx.x < 8) here[threadIdx.x] = 0;
    __syncthreads();
    int value = values[blockIdx.x * blockDim.x + threadIdx.x];
    atomicAdd(&here[value], 1);
    atomicAdd(sum, 0.5f);
    atomicMin(least, -value);
    atomicInc(round, 4);
    if (threadIdx.x % 32 == 0) {  // one at a time
        while (atomicCAS(lock, 0, 1) != 0) {}
        volatile int* counted = lock + 1;
        *counted = *counted + 1;
        __threadfence();
        atomicExch(lock, 0);
    }
    __syncthreads();
    if (threadIdx.x < 8) atomicAdd(&counts[threadIdx.x], here[threadIdx.x]);
}
"""


def test_atomics(run):
    values = np.random.default_rng(1).integers(0, 8, (3, 64)).astype(np.int32)
    counts, total, least, lock = np.zeros(8, np.int32), np.zeros(1, np.float32), np.zeros(1, np.int32), np.zeros(2, int)
    turn, lock = np.zeros(1, np.uint32), lock.astype(np.int32)
    run(ATOMICS, "atomics", (3,), (64,), (values, counts, total, least, turn, lock))
    assert counts.tolist() == np.bincount(values.ravel(), minlength=8).tolist()
    assert (total[0], least[0], turn[0], lock.tolist()) == (96, -values.max(), 192 % 5, [0, 6])


TOGETHER = r"""
#include <cooperative_groups.h>
extern "C" __global__ void together(int* numbers, int* out, int rounds) {
    auto grid = cooperative_groups::this_grid();
    for (int i = 0; i < rounds; ++i) {
        if (threadIdx.x == 0) numbers[blockIdx.x] = i + blockIdx.x;
        grid.sync();
        int sum = 0;
        for (int b = threadIdx.x; b < gridDim.x; b += blockDim.x) sum += numbers[b];
        for (int away = 16; away; away /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, away);
        if (threadIdx.x == 0) out[i * gridDim.x + blockIdx.x] = sum;
        grid.sync();
    }
}
"""

EXCHANGE = r"""
// Each block waits for all others by what they write: a number and its round in one store of 8 bytes.
extern "C" __global__ void exchange(unsigned long long* mail, int* out, int rounds) {
    __shared__ int got[32];
    int value = blockIdx.x;
    for (int round = 1; round <= rounds; ++round) {
        volatile unsigned long long* box = mail + round % 2 * gridDim.x;
        if (threadIdx.x == 0) box[blockIdx.x] = (unsigned long long)round << 32 | (unsigned)value;
        if (threadIdx.x < gridDim.x) {
            unsigned long long letter;
            do { letter = box[threadIdx.x]; } while (letter >> 32 != round);
            got[threadIdx.x] = (int)letter;
        }
        __syncthreads();
        value = 0;
        for (int b = 0; b < gridDim.x; ++b) value = (value * 3 + got[b]) % 10007;
        value += blockIdx.x;
        __syncthreads();
    }
    if (threadIdx.x == 0) out[blockIdx.x] = value;
}
"""


@pytest.mark.parametrize("seed", range(3))
def test_blocks_that_wait_for_each_other(run, seed):
    blocks, rounds = 7, 5
    numbers, out = np.zeros(blocks, np.int32), np.zeros((rounds, blocks), np.int32)
    run(TOGETHER, "together", (blocks,), (32,), (numbers, out, np.int32(rounds)), cooperative=True, seed=seed)
    assert out.tolist() == [[blocks * i + 21] * blocks for i in range(rounds)]
    mail, out = np.zeros(2 * blocks, np.uint64), np.zeros(blocks, np.int32)
    run(EXCHANGE, "exchange", (blocks,), (32,), (mail, out, np.int32(rounds)), cooperative=True, seed=seed)
    values = list(range(blocks))
    for _ in range(rounds):
        shared = 0
        for value in values:
            shared = (shared * 3 + value) % 10007
        values = [shared + b for b in range(blocks)]
    assert out.tolist() == values


BEHIND = """
extern "C" __global__ void behind(unsigned* turn, unsigned* missed) {
    volatile unsigned* word = turn;
    if (blockIdx.x < 2) {
        for (unsigned round = blockIdx.x; round < 40; round += 2) {
            while (word[0] != round) {}
            word[0] = round + 1;
        }
        return;
    }
    for (unsigned last = 0, now; last < 40; last = now) {
        now = word[0];
        missed[0] = max(missed[0], now - last);
    }
}
"""


@pytest.mark.compiler
def test_a_block_may_be_left_behind():
    found = []
    for seed in range(20):
        missed = np.zeros(1, np.uint32)
        kernel = emulator.module(BEHIND).kernel("behind")
        kernel((3,), (1,), (np.zeros(1, np.uint32), missed), cooperative=True, seed=seed)
        found.append(missed[0])
    assert min(found) < 20 < max(found)


ORDER = """
extern "C" __global__ void order(int* turn, int* out) {
    out[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(turn, 1);
}
"""


@pytest.mark.compiler
def test_a_seed_is_an_order():
    def order(seed):
        out = np.zeros(128, np.int32)
        emulator.module(ORDER).kernel("order")((2,), (64,), (np.zeros(1, np.int32), out), seed=seed)
        assert sorted(out.tolist()) == list(range(128))
        return out.tolist()

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(8)}) == 8
    assert any(order(seed)[0] > 63 for seed in range(8)), "blocks come in any order"


@pytest.mark.compiler
def test_tensors_scalars_and_the_same_array_twice():
    torch = pytest.importorskip("torch")
    source = """extern "C" __global__ void add(const float* x, float* y, double a, bool twice, unsigned char n) {
        if (threadIdx.x < n) y[threadIdx.x] += (twice ? 2 : 1) * a * x[threadIdx.x];
    }"""
    add = emulator.module(source).kernel("add")
    assert add.signature == ("*f4", "*f4", "f8", "b1", "u1")
    y = torch.arange(5.0)
    add((1,), (32,), (y, y, np.float64(0.5), np.bool_(True), np.uint8(4)))
    assert y.tolist() == [0, 2, 4, 6, 4]


@pytest.mark.compiler
def test_numbers_below_the_normal_ones_are_none_as_cupy_compiles_it():
    source = 'extern "C" __global__ void half(float* x) { x[0] = x[0] * 0.5f; }'
    x = np.array([1.2e-38], np.float32)
    emulator.module(source).kernel("half")((1,), (1,), (x,))
    assert x[0] == 0
    assert np.float32(1.2e-38) * np.float32(0.5) > 0, "and this process has them again"


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, n: (x[::2], n), "argument 0 of id wants a contiguous array, got strides"),
        (lambda x, n: (x.astype(float), n), "argument 0 of id wants float32, got float64"),
        (lambda x, n: (np.float32(1), n), "argument 0 of id wants an array of float32, got float32; pass an array"),
        (lambda x, n: (x, 3), r"argument 1 of id wants int32, got int; pass np.int32\(...\)"),
        (lambda x, n: (x, np.int64(3)), "argument 1 of id wants int32, got int64"),
        (lambda x, n: (x,), "id takes 2 arguments, got 1"),
    ],
)
def test_arguments_that_do_not_fit_are_named(change, message):
    kernel = emulator.module('extern "C" __global__ void id(float* x, int n) { x[n] = 1; }').kernel("id")
    x = np.zeros(8, np.float32)
    with pytest.raises(ValueError, match=message):
        kernel((1,), (1,), change(x, np.int32(0)))
    kernel((1,), (1,), (x, np.int32(0)))
    assert x[0] == 1
    for grid, block, told in (
        ((0,), (1,), "grid wants"),
        ((1,), (1, 1, 1, 1), "block wants"),
        ((1,), (2048,), "1,024"),
    ):
        with pytest.raises(ValueError, match=told):
            kernel(grid, block, (x, np.int32(0)))


@pytest.mark.compiler
def test_what_does_not_compile_is_told_with_its_line():
    with pytest.raises(ValueError, match=r"source\.cu:2:.*not declared"):
        emulator.module('extern "C" __global__ void wrong(float* x) {\n  x[0] = nothing; }')
    with pytest.raises(ValueError, match=r"one variable in a __shared__ declaration, got '__shared__ float a\[2\]"):
        emulator.module('extern "C" __global__ void two() { __shared__ float a[2], b[2]; }')
    with pytest.raises(ValueError, match="wanted one of the kernels order, got 'other'"):
        emulator.module(ORDER).kernel("other")


def test_without_a_compiler(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert not emulator.available()
    with pytest.raises(FileNotFoundError, match=r"wants g\+\+ to compile a kernel, and there is none; install it"):
        emulator.module('extern "C" __global__ void never() { }')


@pytest.mark.compiler
def test_what_was_compiled_is_kept(monkeypatch):
    source = 'extern "C" __global__ void kept(int* x) { x[0] = 1; }'
    emulator.module(source)
    emulator._module.cache_clear()
    monkeypatch.setattr(emulator, "_run", lambda *_: pytest.fail("compiled again"))
    x = np.zeros(1, np.int32)
    emulator.module(source).kernel("kept")((1,), (1,), (x,))
    assert x[0] == 1
