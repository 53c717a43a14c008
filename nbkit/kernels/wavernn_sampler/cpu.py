"""The loop of WaveRNN on a processor: one function from the first sample to the last, compiled by numba.

What does not depend on the samples is computed before it, for many samples at once: all products with conditioning. The
input layer is folded into the first GRU, W_ih (w_x x + W_c c + b) = (W_ih w_x) x + ..., so that of the paper's size a
step multiplies by 2.98 million weights instead of 3.82. The rows of a batch share each weight that is read.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from nbkit.kernels.wavernn_sampler import State, Weights
from nbkit.kernels.wavernn_sampler.reference import EDGE, LOWEST_LOG_SCALE

BLOCK = 2048  # rows of conditioning that are multiplied at once
_LOWEST, _EDGE = np.float32(LOWEST_LOG_SCALE), np.float32(EDGE)


@numba.njit(nogil=True, fastmath=True, cache=True)
def _multiply(weight, x, bias, out):
    """out [B, R] = bias [B or 1, R] + x [B, C] weight [R, C]^T, four rows of the weights at a time."""
    R, C = weight.shape
    for b in range(x.shape[0]):
        for r in range(R):
            out[b, r] = bias[b % bias.shape[0], r]
    whole = R // 4 * 4
    for r in range(0, whole, 4):
        for b in range(x.shape[0]):
            a0, a1, a2, a3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for c in range(C):
                v = x[b, c]
                a0 += weight[r, c] * v
                a1 += weight[r + 1, c] * v
                a2 += weight[r + 2, c] * v
                a3 += weight[r + 3, c] * v
            out[b, r] += a0
            out[b, r + 1] += a1
            out[b, r + 2] += a2
            out[b, r + 3] += a3
    for r in range(whole, R):
        for b in range(x.shape[0]):
            a0 = np.float32(0)
            for c in range(C):
                a0 += weight[r, c] * x[b, c]
            out[b, r] += a0


@numba.njit(nogil=True, fastmath=True, cache=True)
def _gates(gi, gh, h):
    """The new state h [B, H] of a GRU, in its place, from the products with its input and with its state [B, 3H]."""
    one = np.float32(1)
    B, H = h.shape
    for b in range(B):
        for i in range(H):
            r = one / (one + np.exp(-(gi[b, i] + gh[b, i])))
            z = one / (one + np.exp(-(gi[b, H + i] + gh[b, H + i])))
            n = gi[b, 2 * H + i] + r * gh[b, 2 * H + i]
            n = one - np.float32(2) / (one + np.exp(n + n))
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
def _loop(before, inside, x, hidden, uniforms, given, drawn, told):
    """S steps of B rows. `before` is what conditioning gives: the input, and what is added to each layer. `inside`:

    folded     the products of a sample with the input layer [H] and with the first GRU behind it [3H]
    recurrent  W_hh and b_hh of each GRU;  second  W_ih of the second GRU, one row where there is none
    dense      the weights of the two layers and of the output, and the bias of the output
    """
    entry, gates, further, layers = before
    folded, recurrent, second, dense = inside
    S, B, H = entry.shape
    G, L = hidden.shape[0], layers.shape[-1]
    y, gi, gh = np.empty((B, H), np.float32), np.empty((B, 3 * H), np.float32), np.empty((B, 3 * H), np.float32)
    one, two = np.empty((B, L), np.float32), np.empty((B, L), np.float32)
    logits = np.empty((B, dense[2].shape[0]), np.float32)
    for t in range(S):
        for b in range(B):
            for i in range(H):
                y[b, i] = entry[t, b, i] + folded[0][i] * x[b]
            for i in range(3 * H):
                gi[b, i] = gates[t, b, i] + folded[1][i] * x[b]
        for g in range(G):
            if g:
                _multiply(second, y, further[t], gi)
            _multiply(recurrent[0][g], hidden[g], recurrent[1][g : g + 1], gh)
            _gates(gi, gh, hidden[g])
            y += hidden[g]
        _multiply(dense[0], y, layers[0, t], one)
        np.maximum(one, np.float32(0), one)
        _multiply(dense[1], one, layers[1, t], two)
        np.maximum(two, np.float32(0), two)
        _multiply(dense[2], two, dense[3], logits)
        for b in range(B):
            drawn[t, b] = _draw(logits[b], uniforms[t, b], folded[2][0] > 0)
            x[b] = given[t, b] if given.size else drawn[t, b]
        if told.size:
            told[t] = logits


def sample(weights: Weights, conditioning, uniforms, state: State | None, given, logits: bool):
    """As reference.sample, in arrays of numpy."""
    weights = weights.numpy()
    conditioning, uniforms = _by_time(conditioning), _by_time(uniforms)
    S, B, _ = conditioning.shape
    outputs = weights.layers[-1][0].shape[0]
    x = np.zeros(B, np.float32) if state is None else _array(state.x).copy()
    hidden = np.zeros((len(weights.grus), B, weights.hidden), np.float32)
    if state is not None:
        hidden[:] = _array(state.hidden)
    drawn = np.empty((S, B), np.float32)
    told = np.empty((S if logits else 0, B, outputs), np.float32)
    taken = np.empty((0, B), np.float32) if given is None else _by_time(given)
    folded = _Folded(weights)
    length = max(1, BLOCK // B)
    for first in range(0, S, length):  # slices of the first axis are contiguous, so the loop is compiled once
        place = slice(first, first + length)
        before = folded.before(conditioning[place])
        _loop(before, folded.inside, x, hidden, uniforms[place], taken[place], drawn[place], told[place])
    return drawn.T.copy(), hidden, told.swapaxes(0, 1).copy() if logits else None


class _Folded:
    """The weights, split into what is multiplied before the loop and what is left inside it."""

    def __init__(self, weights: Weights):
        self.weights, H = weights, weights.hidden
        entry, bias = weights.entry
        W_ih, _, b_ih, _ = weights.grus[0]
        self.gates = W_ih @ entry[:, 1:], W_ih @ bias + b_ih
        mixture = np.array([weights.output == "mixture"], np.float32)
        recurrent = np.stack([gru[1] for gru in weights.grus]), np.stack([gru[3] for gru in weights.grus])
        second = weights.grus[-1][0] if len(weights.grus) > 1 else np.zeros((1, H), np.float32)
        (first, _), (middle, _), (last, out) = weights.layers
        dense = tuple(np.ascontiguousarray(w) for w in (first[:, :H], middle[:, : first.shape[0]], last, out[None]))
        folded = np.ascontiguousarray(entry[:, 0]), W_ih @ entry[:, 0], mixture
        self.inside = folded, recurrent, np.ascontiguousarray(second[:, :H]), dense

    def before(self, conditioning: np.ndarray) -> tuple[np.ndarray, ...]:
        """What conditioning [S, B, K] adds: to the input layer, to both GRUs, and [2, ...] to the two layers."""
        weights, H = self.weights, self.weights.hidden
        bands, A, G = weights.bands, weights.aux, len(weights.grus)
        parts = [conditioning[..., bands + n * A : bands + (n + 1) * A] for n in range(G + 2)]
        start = np.ascontiguousarray(conditioning[..., : bands + A])
        entry = start @ weights.entry[0][:, 1:].T + weights.entry[1]
        gates = start @ self.gates[0].T + self.gates[1]
        further = np.zeros((len(start), 1, 1), np.float32)
        if G > 1:
            further = parts[1] @ weights.grus[1][0][:, H:].T + weights.grus[1][2]
        layers = [part @ w[:, -A:].T + b for part, (w, b) in zip(parts[-2:], weights.layers[:2])]
        return entry, gates, further, np.stack(layers)


def _by_time(array: Any) -> np.ndarray:
    """[B, S, ...] to contiguous [S, B, ...]."""
    return np.ascontiguousarray(_array(array).swapaxes(0, 1))


def _array(array: Any) -> np.ndarray:
    return np.ascontiguousarray(array.numpy(force=True) if hasattr(array, "detach") else array, np.float32)
