"""What of a step of WaveRNN depends on the sound, and what does not: one product for all conditioning, then the loop.

All that meets the conditioning is linear until a GRU or a layer bends it. So the input layer folds into whatever is
behind it: W (w_x x + W_c c + b + h) = (W w_x) x + (W W_c) c + W b + W h. What is left inside the loop multiplies states
only; of the paper's size those are 2.90 million weights of 3.82.

Source: paper_notes/wavernn.md#folding-the-input-layer
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nbkit.kernels.wavernn_sampler import Weights

BLOCK = 1024  # rows of conditioning that are multiplied at once: always as many, or a cut would change the last bits


class Folded:
    """Weights on a device, split. A row of W = 3HG + 2L numbers holds what is added: to each GRU's gates, each layer.

    matrix [W, K], bias [W]   what conditioning gives to a row;  through [W]   what the sample before gives
    inputs                    W_ih [3H, H] of each GRU but the first
    recurrent                 W_hh [3H, H] of each GRU, and of b_hh [3H] what `bias` cannot hold: the last third
    layers                    [L, H], [L, L], [O, L];  bias_out [O]
    """

    def __init__(self, weights: Weights, device: Any):
        def here(array) -> Tensor:  # folded in float64, where no setting of a GPU rounds a product
            return torch.as_tensor(array).detach().to(device, torch.float64)

        H, bands, A, G = weights.hidden, weights.bands, weights.aux, len(weights.grus)
        self.weights, self.hidden, self.rows = weights, H, G * 3 * H
        entry, entry_bias = map(here, weights.entry)
        x, start = entry[:, 0], entry[:, 1:]
        grus = [tuple(map(here, gru)) for gru in weights.grus]
        layers = [tuple(map(here, layer)) for layer in weights.layers]
        L, parts = len(layers[0][0]), []
        for place, (W, b) in enumerate([*((W_ih, b_ih) for W_ih, _, b_ih, _ in grus), layers[0]]):
            rows = W.new_zeros(len(W), weights.channels)
            rows[:, : bands + A] = W[:, :H] @ start
            if place:
                rows[:, bands + place * A : bands + (place + 1) * A] = W[:, H:]
            bias = W[:, :H] @ entry_bias + b
            if place < G:
                bias[: 2 * H] += grus[place][3][: 2 * H]
            parts.append((rows, bias, W[:, :H] @ x))
        last = x.new_zeros(L, weights.channels)
        last[:, -A:] = layers[1][0][:, L:]
        parts.append((last, layers[1][1], x.new_zeros(L)))
        self.matrix, self.bias, self.through = (torch.cat(one).float() for one in zip(*parts))
        self.inputs = [W_ih[:, :H].float() for W_ih, *_ in grus[1:]]
        self.recurrent = [(W_hh.float(), F.pad(b_hh[2 * H :], (2 * H, 0)).float()) for _, W_hh, _, b_hh in grus]
        self.layers = [layers[0][0][:, :H].float(), layers[1][0][:, :L].float(), layers[2][0].float()]
        self.bias_out = layers[2][1].float()

    def before(self, conditioning: Tensor) -> Tensor:
        """[S, B, K] -> what conditioning adds [S, B, W]."""
        S, B, K = conditioning.shape
        out = conditioning.new_empty(-(-S * B // BLOCK) * BLOCK, len(self.bias))
        padded = conditioning.new_zeros(len(out), K)
        padded[: S * B] = conditioning.reshape(S * B, K)
        turned = self.matrix.T
        for first in range(0, len(out), BLOCK):
            place = slice(first, first + BLOCK)
            torch.addmm(self.bias, padded[place], turned, out=out[place])
        return out[: S * B].view(S, B, -1)


def by_time(array: Any, device: Any) -> Tensor:
    """[B, S, ...] of numpy or torch to contiguous float32 [S, B, ...]."""
    return torch.as_tensor(array).detach().to(device, torch.float32).transpose(0, 1).contiguous()


def begin(folded: Folded, state: Any, B: int, device: Any) -> tuple[Tensor, Tensor]:
    """x [B] and hidden [G, B, H] that a loop may write to: those of `state`, or silence."""
    if state is None:
        shape = len(folded.recurrent), B, folded.hidden
        return torch.zeros(B, device=device), torch.zeros(shape, device=device)
    x, hidden = (torch.as_tensor(one).detach().to(device, torch.float32) for one in state)
    return x.clone(), hidden.clone(memory_format=torch.contiguous_format)
