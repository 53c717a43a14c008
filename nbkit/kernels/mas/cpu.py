"""Monotonic alignment search on the CPU: 64 tokens at a time in vector registers, one bit a decision.

A stretch of frames is searched tile by tile, a tile being 64 tokens: their Q never leaves the registers, their
decisions become one word a frame, and the scores of the frames to come are fetched meanwhile. Compiled by numba at
first import and cached on disk. Items of the batch are shared by Python threads, not by numba's own: those set OpenMP's
number of threads for the whole process, which changes the last bits of torch's convolutions from then on.

What was tried and what each of it gave stands in EXPERIMENTS.md. Source: paper_notes/glow_tts.md#search
"""

from __future__ import annotations

import functools
import os
import queue
import threading

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from nbkit.kernels.dispatch import processors

TILE = 64  # tokens, and bits of a word
LANES = 16  # tokens of a vector; the compiler cuts it into what the processor has
STRETCH = 16  # frames that are searched tile by tile before the next ones; their scores stay in the nearest cache
CELLS = 250_000  # that make it worth while to wake another thread, about 50 microseconds of work

_LENGTHS, _TABLE = types.int64[::1], types.int64[:, ::1]
_SEARCH = types.int64(*[types.intp] * 4, *[_LENGTHS] * 4, _TABLE, _TABLE, types.boolean[::1])


@intrinsic
def _tile(typing, scores, row_bytes, frames, before, after, q, words, word_bytes):
    """Search a tile for some frames: Q = max(stay, move) + score, a word of decisions for each frame.

    All arguments are integers. Addresses: scores of the first frame and of the tile's first token (a frame is row_bytes
    further), before and after [frames] Q of the token left of the tile at the frame before, and of the tile's last one
    at this frame, q [TILE] is read and written, words (a frame is word_bytes further).
    """

    def generate(context, builder, signature, arguments):
        scores, row_bytes, frames, before, after, q, words, word_bytes = arguments
        one, vector, bits = ir.FloatType(), ir.VectorType(ir.FloatType(), LANES), ir.IntType(LANES)
        integer, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        fetch = ir.FunctionType(ir.VoidType(), [byte, integer, integer, integer])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], fetch)
        # lane i of `move` is lane i - 1 of `stay`, lane 0 the last lane of the vector to the left
        shifted = ir.Constant(ir.VectorType(integer, LANES), [2 * LANES - 1, *range(LANES - 1)])
        parts = range(TILE // LANES)

        def at(address, offset, kind):
            return builder.inttoptr(builder.add(address, offset), kind.as_pointer())

        def place(part):
            return ir.Constant(q.type, part * LANES * 4)

        kept = [cgutils.alloca_once(builder, vector) for _ in parts]  # becomes registers
        for part in parts:
            builder.store(builder.load(at(q, place(part), vector), align=4), kept[part])
        with cgutils.for_range(builder, frames) as loop:
            edge = builder.mul(loop.index, ir.Constant(q.type, 4))
            row = builder.add(scores, builder.mul(loop.index, row_bytes))
            ahead = builder.add(row, builder.mul(row_bytes, ir.Constant(q.type, STRETCH)))
            word = builder.add(words, builder.mul(loop.index, word_bytes))
            left = builder.insert_element(
                ir.Constant(vector, ir.Undefined), builder.load(at(before, edge, one)), integer(LANES - 1)
            )
            for part in parts:
                builder.call(prefetch, [at(ahead, place(part), ir.IntType(8)), integer(0), integer(3), integer(1)])
                score = builder.load(at(row, place(part), vector), align=4)
                stay = builder.load(kept[part])
                move = builder.shuffle_vector(stay, left, shifted)
                moved = builder.fcmp_ordered(">", move, stay)  # false where `stay` is NaN, so a NaN stays in its column
                builder.store(builder.fadd(builder.select(moved, move, stay), score), kept[part])
                builder.store(builder.bitcast(moved, bits), at(word, ir.Constant(q.type, part * LANES // 8), bits))
                left = stay
            last = builder.extract_element(builder.load(kept[-1]), integer(LANES - 1))
            builder.store(last, at(after, edge, one))
        for part in parts:
            builder.store(builder.load(kept[part]), at(q, place(part), vector), align=4)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 8), generate


@intrinsic
def _next(typing, counter):
    """The value at an address, which is one higher from then on, whichever threads ask."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", pointer, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(types.intp), generate


@numba.njit(nogil=True)
def _forward(scores, width, spare, T, F, q, edges, words, padded):
    """Fill words [F, tiles] with decisions; q [tiles * TILE] ends as Q of the last frame.

    scores  address of [F, width]; spare is how many more scores may be read from there on
    edges   [2, STRETCH + 1], padded [STRETCH, TILE] and words are there to be written to
    """
    tiles = (T + TILE - 1) // TILE
    q[:] = -np.inf
    for first in range(0, F, STRETCH):
        n = min(STRETCH, F - first)
        edges[0] = -np.inf
        if first == 0:
            edges[0, 0] = 0.0  # the path begins at the first token
        for t in range(tiles):
            here, there = edges[t % 2], edges[1 - t % 2]
            there[0] = q[t * TILE + TILE - 1]
            start = first * width + t * TILE
            # A tile is read as a whole, past the last token. Only behind the last row of the batch is there nothing.
            whole = min(n, max(0, (spare - TILE - start) // width + 1))
            word = words.ctypes.data + (first * tiles + t) * 8
            state, step = q.ctypes.data + t * TILE * 4, tiles * 8
            before, after = here.ctypes.data, there.ctypes.data + 4
            _tile(scores + start * 4, width * 4, whole, before, after, state, word, step)  # pyright: ignore[reportCallIssue]
            if whole < n:
                _copy(scores + (start + whole * width) * 4, width, T - t * TILE, n - whole, padded)
                before, after, word = before + whole * 4, after + whole * 4, word + whole * step
                _tile(padded.ctypes.data, TILE * 4, n - whole, before, after, state, word, step)


@intrinsic
def _score(typing, address):
    """The float32 at an address."""

    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], ir.FloatType().as_pointer()))

    return types.float32(types.intp), generate


@numba.njit(nogil=True)
def _copy(scores, width, tokens, frames, padded):
    for j in range(frames):
        for i in range(min(tokens, TILE)):
            padded[j, i] = _score(scores + (j * width + i) * 4)  # pyright: ignore[reportCallIssue]


@numba.njit(nogil=True)
def _backward(words, T, F, durations, frame_to_token):
    """Walk back from the last token at the last frame; words [F, tiles] -> durations [T], frame_to_token [F]."""
    tiles = (T + TILE - 1) // TILE
    i, j = T - 1, F - 1
    while 0 < i < j:
        tile = i // TILE
        low, bit = tile * TILE, i % TILE
        # Within a tile the address of the next word does not depend on the path, so the loads run ahead of it.
        while bit >= 0 and j > low + bit:
            frame_to_token[j] = low + bit
            durations[low + bit] = j  # the first frame of the token, in the end
            bit -= np.int64((words[j * tiles + tile] >> np.uint64(bit)) & np.uint64(1))
            j -= 1
        i = low + bit
    for frame in range(j + 1):  # the first token holds what is left, or as many tokens are left as frames
        frame_to_token[frame] = min(frame, i)
        durations[min(frame, i)] = frame
    durations[0] = 0
    for token in range(T - 1):
        durations[token] = durations[token + 1] - durations[token]
    durations[T - 1] = F - durations[T - 1]


@numba.njit(_SEARCH, nogil=True, cache=True)
def _search(
    scores, items, height, width, order, counter, token_lengths, frame_lengths, durations, frame_to_token, valid
):
    """Search items of `order` until none is left; other threads do the same. Returns how many were done here."""
    tiles = (width + TILE - 1) // TILE
    words = np.empty(height * tiles, np.uint64)
    q = np.empty(tiles * TILE, np.float32)
    edges = np.empty((2, STRETCH + 1), np.float32)
    padded = np.zeros((STRETCH, TILE), np.float32)
    done = 0
    while True:
        place = _next(counter.ctypes.data)  # pyright: ignore[reportCallIssue]
        if place >= items:
            return done
        b = order[place]
        T, F = token_lengths[b], frame_lengths[b]
        start = b * height * width
        _forward(scores + start * 4, width, items * height * width - start, T, F, q, edges, words, padded)
        valid[b] = True
        for i in range(T):  # a NaN or +inf stays in its column, so the last frame tells of all
            valid[b] &= q[i] < np.inf
        _backward(words, T, F, durations[b], frame_to_token[b])
        durations[b, T:] = 0
        frame_to_token[b, F:] = 0
        done += 1


@functools.cache
def _helpers(process: int) -> tuple[queue.SimpleQueue, int]:
    """What the other threads of a process wait at, and how many they are; a forked child gets its own."""
    tasks: queue.SimpleQueue = queue.SimpleQueue()

    def work():
        while True:
            arguments, scores, done = tasks.get()
            done.put(_search(*arguments))
            del arguments, scores, done  # or the scores would live until the next search

    helpers = processors() - 1
    for number in range(helpers):
        threading.Thread(target=work, name=f"nbkit-mas-{number}", daemon=True).start()
    return tasks, helpers


def search(log_p: np.ndarray, token_lengths: np.ndarray, frame_lengths: np.ndarray, *, threads: int = 0):
    """As reference.search. threads  at most so many; 0 for what the machine has"""
    scores = np.ascontiguousarray(log_p)
    items, height, width = scores.shape
    durations = np.empty((items, width), np.int64)
    frame_to_token = np.empty((items, height), np.int64)
    valid = np.empty(items, np.bool_)
    tasks, helpers = _helpers(os.getpid())
    helpers = min(threads - 1 if threads else helpers, helpers, items - 1, scores.size // CELLS)
    # with several threads the longest first, so that they end together
    order = np.argsort(-token_lengths * frame_lengths) if helpers > 0 else np.arange(items)
    counter = np.zeros(1, np.int64)  # the next place in `order`, for whoever is free
    given = (scores.ctypes.data, items, height, width, order, counter, token_lengths, frame_lengths)
    given = (*given, durations, frame_to_token, valid)
    done: queue.SimpleQueue = queue.SimpleQueue()
    for _ in range(helpers):
        tasks.put((given, scores, done))  # their address keeps nothing alive where the wait below is interrupted
    left = items - _search(*given)
    while left:  # a helper that came too late is not waited for
        left -= done.get()
    return durations, frame_to_token, valid
