"""WaveRNNs of any shape with drawn weights, and something to draw from."""

import numpy as np
import torch

from nbkit.kernels.wavernn_sampler import Weights


def weights(output="mixture", grus=2, sizes=(5, 3, 12, 10, 6), seed=0, gain=1.5):
    """With a gain above 1 what differs a little once grows from sample to sample."""
    bands, A, H, L, outputs = sizes
    draw = np.random.default_rng(seed)

    def layer(rows, columns):
        scale = gain / np.sqrt(columns)
        made = draw.normal(0, scale, (rows, columns)), draw.normal(0, 0.1, rows)
        return tuple(torch.from_numpy(one.astype(np.float32)) for one in made)

    def gru(columns):
        (W_ih, b_ih), (W_hh, b_hh) = layer(3 * H, columns), layer(3 * H, H)
        return W_ih, W_hh, b_ih, b_hh

    cells = tuple(gru(H + A * (g > 0)) for g in range(grus))
    return Weights(output, bands, layer(H, 1 + bands + A), cells, (layer(L, H + A), layer(L, L + A), layer(outputs, L)))


def inputs(given, rows=3, samples=200, seed=1):
    draw = np.random.default_rng(seed)
    conditioning = draw.normal(0, 1, (rows, samples, given.channels)).astype(np.float32)
    uniforms = draw.random((rows, samples, 2), np.float32)
    forced = draw.uniform(-1, 1, (rows, samples)).astype(np.float32)
    return tuple(map(torch.from_numpy, (conditioning, uniforms, forced)))
