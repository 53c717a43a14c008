"""The loop of WaveRNN on a processor: one function from the first sample to the last, compiled by numba.

What does not depend on the samples is multiplied before them (folded.py), some samples at once. What is left is bound
by reading weights, so each serves all rows of the batch (panels.py), and those of a large network, which no cache near
the processor holds, are kept in 16 bits. What that gave stands in EXPERIMENTS.md.

Source: paper_notes/wavernn.md#folding-the-input-layer
"""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

from nbkit.kernels import dispatch
from nbkit.kernels.wavernn_sampler import State, Weights, panels
from nbkit.kernels.wavernn_sampler.folded import Folded
from nbkit.kernels.wavernn_sampler.panels import exp, multiply
from nbkit.kernels.wavernn_sampler.reference import EDGE, LOWEST_LOG_SCALE

AT_ONCE = 64  # rows of conditioning that are multiplied at once
FEW = 2**19  # weights that stay float32: 2 MB
WORTH = 100_000  # states to compute, from which on another thread is worth its start
_LOWEST, _EDGE = np.float32(LOWEST_LOG_SCALE), np.float32(EDGE)


@numba.njit(nogil=True, error_model="numpy", cache=True)
def _gates(gi, gh, h):
    """The new state h [B, H] of a GRU, in its place, from the products with its input and with its state [B, 3H]."""
    one = np.float32(1)
    B, H = h.shape
    for b in range(B):
        for i in range(H):
            r = one / (one + exp(-(gi[b, i] + gh[b, i])))
            z = one / (one + exp(-(gi[b, H + i] + gh[b, H + i])))
            n = gi[b, 2 * H + i] + r * gh[b, 2 * H + i]
            n = one - np.float32(2) / (one + exp(n + n))
            h[b, i] = n + z * (h[b, i] - n)


@numba.njit(nogil=True, cache=True)
def _choose(logits, u):
    """reference._choose for one row."""
    top = logits.max()
    total = np.float32(0)
    for i in range(logits.size):
        total += np.exp(logits[i] - top)
    so_far = np.float32(0)
    for i in range(logits.size):
        so_far += np.exp(logits[i] - top)
        if so_far > u * total:
            return i
    return logits.size - 1


@numba.njit(nogil=True, cache=True)
def _draw(logits, u, mixture):
    """reference.draw for one row."""
    one = np.float32(1)
    if not mixture:
        return np.float32(2) * np.float32(_choose(logits, u[0])) / np.float32(logits.size - 1) - one
    K = logits.size // 3
    chosen = _choose(logits[:K], u[0])
    v = min(max(u[1], _EDGE), one - _EDGE)
    scale = np.exp(max(logits[2 * K + chosen], _LOWEST))
    return min(max(logits[K + chosen] + scale * (np.log(v) - np.log1p(-v)), -one), one)


@numba.njit(nogil=True, cache=True)
def _add(through, x, out):
    """out [B, R] += x [B] through [R]."""
    for b in range(len(x)):
        for i in range(through.size):
            out[b, i] += through[i] * x[b]


@numba.njit(nogil=True, cache=True)
def _loop(conditioning, inside, x, hidden, uniforms, given, drawn, told, mixture):
    """S steps of B rows, conditioning [S, B, K]. `inside` holds what is multiplied, as panels.pack gives it:

    matrices   [3H, K] of each GRU and [L, K] of each layer: what conditioning gives to them
    through    [G, 3H] and [2, L]: what a sample gives to the same numbers
    recurrent  [3H, H] of each GRU;  second  [3H, H] of the second GRU, or anything where there is none
    layers     [L, H], [L, L] and [O, L]
    """
    matrices, through, recurrent, second, layers = inside
    S, B, K = conditioning.shape
    G, _, H = hidden.shape
    L, length = through[1].shape[1], max(1, AT_ONCE // B)
    gates, wide = np.empty((G, length * B, 3 * H), np.float32), np.empty((2, length * B, L), np.float32)
    gh, y = np.empty((B, 3 * H), np.float32), np.empty((B, H), np.float32)
    for t in range(S):
        if t % length == 0:
            rows = conditioning[t : t + length].reshape(-1, K)
            gates[:] = 0
            wide[:] = 0
            for n in range(2):
                if n < G:
                    multiply(matrices[n], rows, gates[n, : len(rows)])
                multiply(matrices[2 + n], rows, wide[n, : len(rows)])
        first = t % length * B
        for g in range(G):
            gi = gates[g, first : first + B]  # contiguous, or the compiler makes no vectors of what reads it
            _add(through[0][g], x, gi)
            if g:
                multiply(second, hidden[0], gi)
            gh[:] = 0
            multiply(recurrent[g], hidden[g], gh)
            _gates(gi, gh, hidden[g])
        y[:] = hidden[0]
        if G > 1:
            y += hidden[1]
        one, two = wide[0, first : first + B], wide[1, first : first + B]
        _add(through[1][0], x, one)
        multiply(layers[0], y, one)
        np.maximum(one, np.float32(0), one)
        multiply(layers[1], one, two)
        np.maximum(two, np.float32(0), two)
        logits = np.zeros((B, told.shape[2]), np.float32)
        multiply(layers[2], two, logits)
        for b in range(B):
            drawn[t, b] = _draw(logits[b], uniforms[t, b], mixture)
            x[b] = given[t, b] if given.size else drawn[t, b]
        if len(told):
            told[t] = logits


def sample(weights: Weights, conditioning, uniforms, state: State | None, given, logits: bool):
    """As reference.sample, in arrays of numpy; threads share the rows between them."""
    B, S = conditioning.shape[:2]
    inside, sizes = _packed(weights), (len(weights.grus), weights.hidden, weights.layers[-1][0].shape[0])
    many = min(dispatch.processors(), B) if S * B * sizes[1] > WORTH else 1

    def part(first: int, stop: int):
        place = slice(first, stop)
        begin = None if state is None else State(state.x[place], state.hidden[:, place])
        taken = None if given is None else given[place]
        return _part(inside, sizes, conditioning[place], uniforms[place], begin, taken, logits, weights.output)

    edges = [round(n * B / many) for n in range(many + 1)]
    if many == 1:
        return part(0, B)
    with ThreadPoolExecutor(many) as pool:
        drawn, hidden, told = zip(*pool.map(part, edges[:-1], edges[1:]))
    return np.concatenate(drawn), np.concatenate(hidden, 1), np.concatenate(told) if logits else None


def _part(inside, sizes: tuple[int, int, int], conditioning, uniforms, state, given, logits: bool, output: str):
    """Some of the rows."""
    conditioning, uniforms = _by_time(conditioning), _by_time(uniforms)
    (S, B, _), (G, H, outputs) = conditioning.shape, sizes
    x = np.zeros(B, np.float32) if state is None else _array(state.x).copy()
    hidden = np.zeros((G, B, H), np.float32)
    if state is not None:
        hidden[:] = _array(state.hidden)
    drawn = np.empty((S, B), np.float32)
    told = np.empty((S if logits else 0, B, outputs), np.float32)
    taken = np.empty((0, B), np.float32) if given is None else _by_time(given)
    _loop(conditioning, inside, x, hidden, uniforms, taken, drawn, told, output == "mixture")
    return drawn.T.copy(), hidden, told.swapaxes(0, 1).copy() if logits else None


_last: list[tuple[list[np.ndarray], Any]] = []  # weights that were packed last, and their panels


def _packed(weights: Weights):
    """What _loop multiplies. Sound is drawn in many short calls with the same weights, so the last ones are kept."""
    flat = [_array(one) for group in (weights.entry, *weights.grus, *weights.layers) for one in group]
    for before, found in _last:
        if len(before) == len(flat) and all(map(np.array_equal, before, flat)):
            return found
    folded = Folded(weights, "cpu")
    exact = sum(one.numel() for one in (*folded.inputs, *folded.layers, *(w for w, _ in folded.recurrent))) <= FEW
    pack = functools.partial(panels.pack, exact=exact)
    recurrent = [pack(weight.numpy(), bias.numpy()) for weight, bias in folded.recurrent]
    second = pack(folded.inputs[0].numpy()) if folded.inputs else recurrent[0]
    first, middle, last = (layer.numpy() for layer in folded.layers)
    layers = pack(first), pack(middle), pack(last, folded.bias_out.numpy())
    G, H, L = len(recurrent), folded.hidden, len(first)
    sizes = [3 * H] * G + [L] * 2
    parts = [pack(w.numpy(), b.numpy()) for w, b in zip(folded.matrix.split(sizes), folded.bias.split(sizes))]
    through = folded.through.numpy()
    gates, wide = np.split(through, [3 * H * G])
    matrices = parts[0], parts[G - 1], parts[G], parts[G + 1]
    found = matrices, (gates.reshape(G, -1), wide.reshape(2, L)), (recurrent[0], recurrent[-1]), second, layers
    _last[:] = [([one.copy() for one in flat], found)]
    return found


def _by_time(array: Any) -> np.ndarray:
    """[B, S, ...] to contiguous [S, B, ...]."""
    return np.ascontiguousarray(_array(array).swapaxes(0, 1))


def _array(array: Any) -> np.ndarray:
    return np.ascontiguousarray(array.numpy(force=True) if hasattr(array, "detach") else array, np.float32)
