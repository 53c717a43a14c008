"""The decoder's way back for one utterance in fp32 on a CPU, at twice the speed: its linear maps joined, in few passes.

What the modules compute from latent to mel, with these identities:

- A convolution with 5 taps gives 6 frames from 10 products a channel pair instead of 30: Winograd's minimal filtering
  F(6, 5), as in Lavin and Gray 2015, arXiv 1509.09308. It rounds to about 1e-5 of the greatest value, so the points at
  which its polynomials are evaluated were chosen for small errors.
- tanh(a) sigmoid(b) = 0.5 tanh(a) (1 + tanh(b / 2)), one tanh for both; its factors go into the weights around it.
- What a layer skips to the end passes linear maps only: its gates times one matrix are added to shift and log scale.

Frames lie apart by their place in a tile of 6: [6, T, C], frame 6 t + p at [p, t]. Then neither transform of F(6, 5)
moves anything, and all else does not ask for the order of frames. Source: paper_notes/glow_tts.md#decoder
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from nbkit.models.glow_tts.layers import Convolution

if TYPE_CHECKING:
    from nbkit.models.glow_tts.decoder import AffineCoupling

KERNEL = 5
REACH = KERNEL // 2
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 1.25, -1.25)  # and infinity
WINDOW = len(POINTS) + 1
TILE = WINDOW - KERNEL + 1


def powers(count: int) -> Tensor:
    """The first powers of each point [WINDOW, count], in fp64."""
    points = torch.tensor(POINTS, dtype=torch.float64)[:, None] ** torch.arange(count)
    return torch.cat([points, torch.eye(count, dtype=torch.float64)[-1:]])


INTO = torch.linalg.inv(powers(WINDOW)).T.float().contiguous()  # a window to the points
OUT_OF = powers(TILE).T.float().contiguous()  # the points to a tile


class Matrix(NamedTuple):
    """x @ weight + bias."""

    weight: Tensor
    bias: Tensor


class Folded(NamedTuple):
    """A flow block with its linear maps joined. L layers."""

    start: Matrix
    gates: list[Matrix]  # at the points [WINDOW, C, 2 C]; the second half gives b / 2
    onward: list[Matrix]  # of all layers but the last
    end: Matrix  # [L, C, 2 half]: the gates of each layer to its part of shift and log scale
    undo: Matrix
    speaker: Matrix | None  # to what is added to the gates, [C', L 2 C]
    sigmoid_scale: bool


class Workspace(NamedTuple):
    """What is written anew in each layer. T tiles."""

    window: Tensor  # [WINDOW, T, C]: the frames of a tile, and those around it
    points: Tensor  # [WINDOW, T C]
    products: Tensor  # [WINDOW, T, 2 C]
    sums: Tensor  # [TILE, T 2 C]
    empty: Tensor  # a view of window: frames behind the end


def fold(coupling: AffineCoupling, undo: Tensor, shift: Tensor) -> Folded:
    """Join the linear maps of a block, in fp64; undo and shift are what its coupling is followed by."""
    wavenet = coupling.wavenet
    layers = list(zip(cast(list[Convolution], wavenet.gates), cast(list[Convolution], wavenet.outputs)))
    end, bias = matrix(coupling.end, torch.float64)
    gates, onward, skipped = [], [], []
    for gate, output in layers:
        taps = gate.weight.permute(2, 1, 0)  # [KERNEL, C, 2 C]
        weight = (powers(KERNEL) @ taps.flatten(1).double()).float().view(WINDOW, *taps.shape[1:])
        gates.append(Matrix(halved(weight), halved(_bias(gate))))
        weight, added = matrix(output, torch.float64)
        if len(gates) < len(layers):
            (through, weight), (moved, added) = weight.chunk(2, 1), added.chunk(2)
            onward.append(Matrix((0.5 * through).float().contiguous(), moved.float()))
        skipped.append(0.5 * weight @ end)
        bias = bias + added @ end
    speaker = None
    if wavenet.speaker is not None:
        weight, condition = matrix(cast(Convolution, wavenet.speaker))
        speaker = Matrix(halved(weight, len(layers)), halved(condition, len(layers)))
    return Folded(
        matrix(cast(Convolution, coupling.start)),
        gates,
        onward,
        Matrix(torch.stack(skipped).float(), bias.float()),
        Matrix(undo.T.contiguous(), shift),
        speaker,
        coupling.sigmoid_scale,
    )


def matrix(convolution: Convolution, dtype: torch.dtype = torch.float32) -> Matrix:
    """Of a 1x1 convolution."""
    return Matrix(convolution.weight.squeeze(2).T.to(dtype).contiguous(), _bias(convolution).to(dtype))


def _bias(convolution: Convolution) -> Tensor:
    return cast(Tensor, convolution.bias)


def halved(x: Tensor, layers: int = 1) -> Tensor:
    """[..., L 2 C] -> the same, the second C of each layer halved."""
    return (x.unflatten(-1, (layers, 2, -1)) * torch.tensor([[1.0], [0.5]])).flatten(-3)


def invert(blocks: list[Folded], z: Tensor, speaker: Tensor | None) -> Tensor:
    """Latent z [F, C], speaker [1, 1, C'] or None -> mel [F, C], both squeezed."""
    frames, tiles = len(z), -(-len(z) // TILE)
    space = _workspace(frames, tiles, blocks[0])
    x = F.pad(z, (0, 0, 0, tiles * TILE - frames)).view(tiles, TILE, -1).transpose(0, 1).reshape(tiles * TILE, -1)
    for block in reversed(blocks):
        kept, changed = x.chunk(2, 1)
        shift, scale = _shift_and_scale(kept, block, speaker, space).chunk(2, 1)
        changed.sub_(shift)
        if block.sigmoid_scale:
            changed.div_(scale.add_(2).sigmoid_().add_(1e-6))
        else:
            changed.mul_(scale.neg_().exp_())
        x = torch.addmm(block.undo.bias, x, block.undo.weight)
    return x.view(TILE, tiles, -1).transpose(0, 1).reshape(tiles * TILE, -1)[:frames]


def _workspace(frames: int, tiles: int, block: Folded) -> Workspace:
    channels = block.start.weight.shape[1]
    window = torch.zeros(WINDOW, tiles, channels)
    return Workspace(
        window,
        torch.empty(WINDOW, tiles * channels),
        torch.empty(WINDOW, tiles, 2 * channels),
        torch.empty(TILE, tiles * 2 * channels),
        window[REACH + frames - TILE * (tiles - 1) : REACH + TILE, -1],
    )


def _shift_and_scale(kept: Tensor, block: Folded, speaker: Tensor | None, space: Workspace) -> Tensor:
    """[TILE T, half] -> [TILE T, 2 half]"""
    window, products = space.window, space.products
    tiles, channels = window.shape[1:]
    x = window[REACH : REACH + TILE].view(TILE * tiles, channels)
    torch.addmm(block.start.bias, kept, block.start.weight, out=x)
    total = block.end.bias.repeat(len(x), 1)
    added = [gate.bias for gate in block.gates]
    if block.speaker is not None and speaker is not None:
        conditions = torch.addmm(block.speaker.bias, speaker[0], block.speaker.weight)
        added = [bias + condition for bias, condition in zip(added, conditions.view(len(added), -1))]
    for layer, gate in enumerate(block.gates):
        space.empty.zero_()
        window[:REACH, 1:] = window[TILE : TILE + REACH, :-1]  # the ends of the tiles before
        window[-REACH:, :-1] = window[REACH : 2 * REACH, 1:]  # the beginnings of the tiles after
        torch.mm(INTO, window.view(WINDOW, -1), out=space.points)
        torch.bmm(space.points.view(window.shape), gate.weight, out=products)
        products[1] += added[layer]  # what is added at the point 1 comes out in each frame
        gates = torch.mm(OUT_OF, products.view(WINDOW, -1), out=space.sums).tanh_()
        a, b = gates.view(len(x), -1).chunk(2, 1)
        gated = a.addcmul_(a, b)
        total.addmm_(gated, block.end.weight[layer])
        if layer < len(block.onward):
            x.addmm_(gated, block.onward[layer].weight).add_(block.onward[layer].bias)
    return total
