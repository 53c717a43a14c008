"""Faults that a GPU may let pass, planted one by one: each is told, with its kind, its threads and its line."""

import functools

import numpy as np
import pytest

from nbkit.kernels import emulator

pytestmark = pytest.mark.compiler

HALO = """extern "C" __global__ void halo(const float* x, float* out, int n, int rounds) {
    __shared__ float tile[66];
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    for (int round = 0; round < rounds; ++round) {
        tile[t + 1] = i < n ? x[i] : 0.f;
        if (t == 0) tile[0] = i > 0 ? x[i - 1] : 0.f;
        if (t == blockDim.x - 1) tile[t + 2] = i + 1 < n ? x[i + 1] : 0.f;
        __syncthreads();  // filled
        if (i < n) out[i] = tile[t] + tile[t + 1] + tile[t + 2];
        __syncthreads();  // read
    }
}"""


def halo(source, seed):
    x = np.random.default_rng(0).normal(size=150).astype(np.float32)
    out = np.zeros_like(x)
    emulator.module(source).kernel("halo")((3,), (64,), (x, out, np.int32(150), np.int32(3)), seed=seed)
    padded = np.pad(x, 1)
    np.testing.assert_array_equal(out, padded[:-2] + padded[1:-1] + padded[2:])


@pytest.mark.parametrize("seed", range(10))
def test_a_sound_kernel_is_let_pass(seed):
    halo(HALO, seed)


@pytest.mark.parametrize(
    ("right", "wrong", "kinds", "line"),
    [
        ("__syncthreads();  // filled", "", {"uninitialised", "race"}, ""),
        ("__syncthreads();  // read", "", {"race"}, ""),
        ("__syncthreads();  // read", "__syncwarp();", {"race"}, ""),
        ("tile[66]", "tile[65]", {"out of bounds"}, "line 7"),
        ("tile[t + 2] = i", "tile[t + 1] = i", {"race", "uninitialised"}, ""),  # the halo is another's
        ("t == blockDim.x - 1", "t == 0", {"race", "uninitialised"}, ""),
        ("if (i < n) out", "out", {"out of bounds"}, "line 9"),
        ("i > 0 ? x[i - 1] : 0.f", "x[i - 1]", {"out of bounds"}, "line 6"),
        ("__syncthreads();  // filled", "if (t < 32) __syncthreads();", {"divergence", "uninitialised", "race"}, ""),
        ("__syncthreads();  // read", "if (t < 32) __syncthreads();", {"divergence", "race"}, ""),
    ],
)
def test_planted_faults_of_a_halo(right, wrong, kinds, line):
    assert right in HALO
    for seed in range(10):
        with pytest.raises(emulator.KernelFault, match=rf"thread \(.*{line}.*halo, seed {seed}\)") as told:
            halo(HALO.replace(right, wrong), seed)
        assert told.value.kind in kinds


FAULTS = [
    (
        "if (t != 0) out[t] = __shfl_up_sync(ALL, t, 1);",
        "divergence: .* ends, others wait for it at __shfl_up_sync",
    ),
    (
        "if (t < 16) __shfl_sync(ALL, t, 0);\n else __shfl_sync(ALL, t, 1);",
        "divergence: lanes of one mask meet at __shfl_sync in line .* and at __shfl_sync in line",
    ),
    (
        "if (t != 0) __shfl_up_sync(ALL, t, 1); __syncthreads();",
        r"deadlock: nobody can go on; .*31 threads wait in __shfl_up_sync in line 4.*1 thread waits in __syncthreads",
    ),
    (
        "__shfl_sync(0xffu, t, 0);",
        r"divergence: thread .* comes to __shfl_sync in line 4, whose mask does not name",
    ),
    (
        "if (t < 16) __shfl_xor_sync(0xffffu, t, 16);",
        "divergence: .* asks lane .* in __shfl_xor_sync.*, which is not there",
    ),
    ("if (t == 5) return; __ballot_sync(ALL, 1);", "divergence: .* ends|divergence: .* a lane that has ended"),
    (
        "if (t == 5) return; __syncthreads();",
        "divergence: .* ends, others wait|divergence: .* a thread of the block has ended",
    ),
    (
        "if (t < 9) __syncthreads(); else\n __syncthreads();",
        "divergence: threads of one block meet at __syncthreads in line [45] and",
    ),
    (
        "volatile int* f = out;\n if (t == 3) while (f[0] != 7);",
        r"deadlock: .* what is polled never changes.*polled in line 5",
    ),
    ("while (atomicAdd(out, 0) != 7);", "deadlock: .*32 threads wait in an atomic in line 4"),
    (
        "out[64 + t] = 1;",
        r"out of bounds: thread .* writes 4 bytes at element \d+ of argument 0, which has 64 in line 4",
    ),
    ("int gone = out[t - 3]; out[t] = gone;", "out of bounds: .* reads 4 bytes at element -[123] of argument 0"),
    ("int* nothing = (int*)64; out[t] = *nothing;", "out of bounds: .* reads 4 bytes that belong to no argument"),
    ("atomicAdd(out + 64, 1);", "out of bounds: .* at element 64 of argument 0, which has 64, in line 4"),
    ("((int*)given)[t] = 1;", "read only: thread .* writes to argument 1 in line 4"),
    (
        "__shared__ int a[32]; __shared__ int b[32];\n b[t] = 0; (&a[0])[32 + n] = 1;",
        "out of bounds: .* shared memory",
    ),
    ("__shared__ int a[4][8];\n a[1][8 + n] = 1; out[0] = a[2][0];", "out of bounds: .* the index 8 of an array"),
    ("extern __shared__ int some[];\n some[16 + t] = 1;", "out of bounds: .* writes 4 bytes of shared memory"),
    ("__shared__ short some[33];\n some[t] = 1; out[t] = some[t + 1];", "uninitialised: .* reads 2 bytes|race: "),
    (
        "__shared__ int some[32];\n some[t] = t; int o = __shfl_sync(ALL, some[31 - t], 0); out[t] = o;",
        "race: .* reads 4 bytes of shared memory that thread .* has written|uninitialised",
    ),
    ("__shared__ int some[1];\n some[0] = t; out[0] = some[0];", "race: .* writes 4 bytes of shared memory"),
    ("float2 pair = *(const float2*)(given + 1); out[t] = pair.x;", "misaligned: thread .* line 4"),
    ("out[t] = 1u << (32 + n);", "undefined: thread .* shifts by 32 in line 4"),
    ("float some[4]; for (int i = 0; i < 4; ++i) some[i] = t;\n out[t] = some[4 + n];", "the index 4 of an array"),
    ("assert(t < 31);", r"assertion: assert\(t < 31\) in line 4 fails for thread \(31, 0, 0\) of block"),
    ("cooperative_groups::this_grid().sync();", "deadlock: grid.sync in line 4 needs a cooperative launch"),
    ("__shared__ float much[60000]; much[t] = 0;", "limits: wanted at most 227 KB of shared memory"),
]


@functools.cache
def all_of_them():
    """One module, for a compilation takes half a second; the lines of each kernel count from 1."""
    kernels = [
        f"""
#line 1
extern "C" __global__ void fault_{number}(int* out, const float* given, int n) {{
    const unsigned ALL = 0xffffffffu;
    int t = threadIdx.x;
    {body}
}}"""
        for number, (body, _) in enumerate(FAULTS)
    ]
    return emulator.module("\n".join(kernels))


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_planted_faults(number):
    given = np.zeros(64, np.float32)
    given.flags.writeable = False
    out = np.full(64, -1, np.int32)
    kernel = all_of_them().kernel(f"fault_{number}")
    for seed in range(5):
        with pytest.raises(emulator.KernelFault, match=FAULTS[number][1]):
            kernel((2,), (32,), (out, given, np.int32(0)), shared_mem=64, seed=seed)
        assert (out == -1).all(), "what a faulty kernel has written is not handed out"


def test_order_within_a_warp_comes_from_syncwarp():
    source = """extern "C" __global__ void turn(int* out) {
        __shared__ int some[32];
        unsigned half = threadIdx.x < 16 ? 0xffffu : 0xffff0000u;
        some[threadIdx.x] = threadIdx.x;
        __syncwarp(half);
        int near = some[threadIdx.x ^ 1];
        __syncwarp();
        out[threadIdx.x] = near + 100 * some[31 - threadIdx.x];
        __syncwarp();
        some[threadIdx.x] = 0;
    }"""
    for seed in range(5):
        out = np.zeros(32, np.int32)
        emulator.module(source).kernel("turn")((1,), (32,), (out,), seed=seed)
        assert out.tolist() == [(t ^ 1) + 100 * (31 - t) for t in range(32)]
        wrong = emulator.module(source.replace("__syncwarp();", "__syncwarp(half);", 1)).kernel("turn")
        with pytest.raises(emulator.KernelFault, match="race"):
            wrong((1,), (32,), (out,), seed=seed)


def test_blocks_that_wait_for_each_other_must_be_launched_together():
    source = """extern "C" __global__ void wait(int* here) {
        volatile int* all = here;
        all[blockIdx.x] = 1;
        while (all[1 - blockIdx.x] == 0);
    }"""
    wait = emulator.module(source).kernel("wait")
    wait((2,), (1,), (np.zeros(2, np.int32),), cooperative=True)
    with pytest.raises(emulator.KernelFault, match=r"run at the same time only in a cooperative launch.*line 4"):
        wait((2,), (1,), (np.zeros(2, np.int32),))
    with pytest.raises(emulator.KernelFault, match="limits: wanted at most 24000 threads at a time, got 102400"):
        wait((100,), (1024,), (np.zeros(2, np.int32),), cooperative=True)


def test_more_shared_memory_than_a_block_has():
    source = 'extern "C" __global__ void much(int* x) { extern __shared__ int some[]; some[0] = 0; x[0] = some[0]; }'
    much = emulator.module(source).kernel("much")
    much((1,), (1,), (np.zeros(1, np.int32),), shared_mem=227 << 10)
    with pytest.raises(emulator.KernelFault, match="limits: wanted at most 227 KB"):
        much((1,), (1,), (np.zeros(1, np.int32),), shared_mem=(227 << 10) + 1)
