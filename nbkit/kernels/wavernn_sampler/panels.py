"""Products of a large matrix with a few vectors on a processor, where reading the matrix is what takes the time.

A matrix may be kept in 16 bits: integers with one scale a row, which errs by 2^-16 of the largest weight of the row. It
lies in panels of 64 rows, whose sums stay in vector registers while the columns pass; each weight that is read serves
up to four vectors. Each sum has one order, whatever is multiplied beside it, so its bits do not depend on that.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

PANEL = 64  # rows of a panel
LANES = 16  # of them in a vector; the compiler cuts it into what the processor has
AHEAD = 1024  # bytes that a panel is fetched before they are multiplied
LARGEST = 2**15 - 1


def pack(
    weight: np.ndarray, bias: np.ndarray | None = None, *, exact: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """weight [R, C] -> panels [P, C, PANEL], and scale and bias [P PANEL] of each row, padded with zeros.

    exact   panels in float32; else in int16
    """
    R, C = weight.shape
    rows = -(-R // PANEL) * PANEL
    scale, kept = np.ones(rows, np.float32), np.zeros(rows, np.float32)
    if bias is not None:
        kept[:R] = bias
    panels = np.zeros((rows, C), np.float32 if exact else np.int16)
    if exact:
        panels[:R] = weight
    else:
        largest = np.maximum(np.abs(weight).max(1), np.finfo(np.float32).tiny)
        scale[:R] = largest / LARGEST
        panels[:R] = np.rint(weight * (LARGEST / largest)[:, None])
    return np.ascontiguousarray(panels.reshape(-1, PANEL, C).swapaxes(1, 2)), scale, kept


def _panel(vectors: int, size: int):
    """A function that multiplies one panel: out [vectors, PANEL] = x [vectors, columns] panel [columns, PANEL].

    Numbers of the panel have `size` bytes: 2 for int16, 4 for float32. All arguments are integers: the address of the
    panel, those of x and of out, each with the bytes from one vector to the next, and the number of columns.
    """

    def generate(context, builder, signature, arguments):
        panel, x, x_bytes, out, out_bytes, columns = arguments
        one, vector = ir.FloatType(), ir.VectorType(ir.FloatType(), LANES)
        short, wide = (ir.VectorType(ir.IntType(bits), LANES) for bits in (16, 32))
        integer, byte, unset = ir.IntType(32), ir.IntType(8).as_pointer(), ir.Constant(vector, ir.Undefined)
        fetch = ir.FunctionType(ir.VoidType(), [byte, integer, integer, integer])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], fetch)

        def at(address, index, step, kind: ir.Type = ir.IntType(8)):  # noqa: B008  made once
            """A pointer to `kind`, `index` times `step` bytes behind an address."""
            index, step = (ir.Constant(panel.type, n) if isinstance(n, int) else n for n in (index, step))
            return builder.inttoptr(builder.add(address, builder.mul(index, step)), kind.as_pointer())

        def each(b, part):
            return at(builder.add(out, builder.mul(out_bytes, ir.Constant(out.type, b))), part, 4 * LANES, vector)

        parts = range(PANEL // LANES)
        sums = [[cgutils.alloca_once(builder, vector) for _ in parts] for _ in range(vectors)]  # become registers
        for row in sums:
            for total in row:
                builder.store(ir.Constant(vector, None), total)
        with cgutils.for_range(builder, columns) as loop:
            column = builder.add(panel, builder.mul(loop.index, ir.Constant(panel.type, size * PANEL)))
            place = builder.add(x, builder.mul(loop.index, ir.Constant(x.type, 4)))
            for ahead in range(AHEAD, AHEAD + size * PANEL, 64):
                builder.call(prefetch, [at(column, 1, ahead), integer(0), integer(3), integer(1)])
            kind = short if size == 2 else vector
            weights = [builder.load(at(column, part, size * LANES, kind), align=size) for part in parts]
            if size == 2:
                weights = [builder.sitofp(builder.sext(part, wide), vector) for part in weights]
            for b, row in enumerate(sums):
                value = builder.insert_element(unset, builder.load(at(place, x_bytes, b, one)), integer(0))
                value = builder.shuffle_vector(value, unset, ir.Constant(wide, None))  # in each lane
                for weight, total in zip(weights, row):
                    product = builder.fmul(weight, value, flags=("contract",))
                    builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        for b, row in enumerate(sums):
            for part, total in enumerate(row):
                builder.store(builder.load(total), each(b, part), align=4)
        return context.get_dummy_value()

    @intrinsic
    def multiply(typing, panel, x, x_bytes, out, out_bytes, columns):
        return types.void(*[types.intp] * 6), generate

    return multiply


_one, _two, _four = _panel(1, 2), _panel(2, 2), _panel(4, 2)
_exact_one, _exact_four = _panel(1, 4), _panel(4, 4)


@numba.njit(nogil=True, cache=True)
def _some(size, left, panel, x, x_bytes, out, columns):
    """Multiply as many of the vectors that are left as fit; how many these are."""
    if size == 4:
        if left >= 4:
            _exact_four(panel, x, x_bytes, out, PANEL * 4, columns)  # pyright: ignore[reportCallIssue]
            return 4
        _exact_one(panel, x, x_bytes, out, PANEL * 4, columns)  # pyright: ignore[reportCallIssue]
        return 1
    if left >= 4:
        _four(panel, x, x_bytes, out, PANEL * 4, columns)  # pyright: ignore[reportCallIssue]
        return 4
    if left >= 2:
        _two(panel, x, x_bytes, out, PANEL * 4, columns)  # pyright: ignore[reportCallIssue]
        return 2
    _one(panel, x, x_bytes, out, PANEL * 4, columns)  # pyright: ignore[reportCallIssue]
    return 1


@numba.njit(nogil=True, cache=True)
def multiply(matrix, x, out):
    """out [B, P PANEL] += bias + weight x, for x [B, C] of contiguous rows."""
    panels, scale, bias = matrix
    P, C, _ = panels.shape
    B, width = x.shape[0], out.shape[1]
    sums = np.empty((B, PANEL), np.float32)
    for p in range(P):
        panel, here = panels.ctypes.data + p * C * PANEL * panels.itemsize, p * PANEL
        b = 0
        while b < B:
            start, end = x.ctypes.data + b * x.strides[0], sums.ctypes.data + b * PANEL * 4
            b += _some(panels.itemsize, B - b, panel, start, x.strides[0], end, C)
        for b in range(B):
            for i in range(min(PANEL, width - here)):
                out[b, here + i] += bias[here + i] + scale[here + i] * sums[b, i]


@numba.njit(nogil=True, inline="always")
def exp(x):
    """e^x for the loops that the compiler makes vectors of; errs by 2 units in the last place. x is held in +-87."""
    t = min(max(x, np.float32(-87)), np.float32(87)) * np.float32(1.4426950408889634)
    whole = np.floor(t + np.float32(0.5))
    f = (t - whole) * np.float32(0.6931471805599453)
    term = np.float32(1) + f * np.float32(1 / 6)
    term = np.float32(1) + f * np.float32(1 / 5) * term
    term = np.float32(1) + f * np.float32(1 / 4) * term
    term = np.float32(1) + f * np.float32(1 / 3) * term
    term = np.float32(1) + f * np.float32(1 / 2) * term
    term = np.float32(1) + f * term
    return term * np.int32((np.int32(whole) + 127) << 23).view(np.float32)
