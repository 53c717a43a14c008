"""Mel to latent and back: a chain of invertible blocks whose log-determinants are known.

Inside, squeezed frames lie in rows: x [B, F, C], mask [B, F, 1], or None where every frame counts.

Source: paper_notes/glow_tts.md#decoder; the three maps are of paper_notes/glow.md
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from nbkit.kernels.flow import normalise_and_mix
from nbkit.kernels.flow.reference import mixed
from nbkit.kernels.flow.torch import undo
from nbkit.models.glow_tts.config import GlowTTSConfig
from nbkit.models.glow_tts.encoder import zero_
from nbkit.models.glow_tts.layers import Convolution, Dropout, Keeping, is_alone
from nbkit.models.glow_tts.speaking import KERNEL, Folded, fold, invert


def squeeze(x: Tensor, n: int) -> Tensor:
    """Join n neighbouring frames into one: [B, C, F] -> [B, F // n, n C]."""
    return x[:, :, : x.shape[2] // n * n].transpose(1, 2).reshape(len(x), -1, n * x.shape[1])


def unsqueeze(x: Tensor, n: int) -> Tensor:
    """The inverse of squeeze: [B, F, n C] -> [B, C, n F]."""
    return x.reshape(len(x), -1, x.shape[2] // n).transpose(1, 2)


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """x, 0 behind the ends."""
    return x if mask is None else x * mask


class ActNorm(nn.Module):
    """A scale and a shift for each channel: z = bias + exp(log_scale) x. Source: paper_notes/glow.md#actnorm"""

    def __init__(self, channels: int):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(1, channels, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1))

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        z = self.bias.view(-1) + self.log_scale.view(-1).exp() * x
        return masked(z, mask), self.log_scale.sum() * frames(x, mask)

    @torch.no_grad()
    def initialise(self, x: Tensor, mask: Tensor) -> None:
        """Choose scale and shift so that this batch leaves with mean 0 and variance 1 in each channel."""
        mean = (x * mask).sum((0, 1)) / mask.sum()
        variance = (x * x * mask).sum((0, 1)) / mask.sum() - mean**2
        log_scale = -0.5 * variance.clamp_min(1e-6).log()
        self.log_scale.copy_(log_scale[None, :, None])
        self.bias.copy_((-mean * log_scale.exp())[None, :, None])


class InvertibleConvolution(nn.Module):
    """A 1x1 convolution that mixes groups of `split` channels, half of each from either half of the coupling."""

    def __init__(self, split: int):
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(split, split))[0]
        if torch.det(rotation) < 0:
            rotation[:, 0] = -rotation[:, 0]
        self.weight = nn.Parameter(rotation)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        return masked(mixed(x, self.weight), mask), self.log_determinant(x.shape[2]) * frames(x, mask)

    def log_determinant(self, channels: int) -> Tensor:
        """Of one frame."""
        return torch.linalg.slogdet(self.weight)[1] * (channels // len(self.weight))


def frames(x: Tensor, mask: Tensor | None) -> Tensor:
    """How many frames count, of each item: [B]."""
    return x.new_full((len(x),), x.shape[1]) if mask is None else mask.sum((1, 2))


class WaveNet(nn.Module):
    """Gated dilated convolutions with residual and skip connections, conditioned on the speaker.

    Source: paper_notes/wavenet.md#gate
    """

    def __init__(self, c: GlowTTSConfig, speaker_channels: int):
        super().__init__()
        hidden, last = c.decoder_hidden, c.decoder_layers - 1
        self.gates, self.outputs = nn.ModuleList(), nn.ModuleList()
        for layer in range(c.decoder_layers):
            self.gates.append(weight_norm(Convolution(hidden, 2 * hidden, c.decoder_kernel, c.dilation_rate**layer)))
            self.outputs.append(weight_norm(Convolution(hidden, hidden if layer == last else 2 * hidden)))
        self.speaker = (
            weight_norm(Convolution(speaker_channels, 2 * hidden * c.decoder_layers)) if speaker_channels else None
        )
        self.dropout = Dropout(c.decoder_dropout)

    def forward(self, x: Tensor, mask: Tensor | None, speaker: Tensor | None) -> Tensor:
        """x [B, F, C] -> [B, F, C], anything behind the ends"""
        layers = len(self.gates)
        conditions = self.speaker(speaker).chunk(layers, 2) if self.speaker is not None else [None] * layers
        total = None
        for gate, output, condition in zip(self.gates, self.outputs, conditions):
            y = self.dropout(gate(x))
            if condition is not None:
                y = y + condition
            a, b = y.chunk(2, 2)
            y = output(torch.tanh(a) * torch.sigmoid(b))
            if y.shape[2] > x.shape[2]:
                onward, y = y.chunk(2, 2)
                x = x + onward if mask is None else torch.addcmul(x, onward, mask)
            total = y if total is None else total + y
        assert total is not None
        return total


class AffineCoupling(nn.Module):
    """One half of the channels decides scale and shift of the other half; starts as the identity."""

    def __init__(self, c: GlowTTSConfig, speaker_channels: int):
        super().__init__()
        half = c.bands * c.squeeze // 2
        self.sigmoid_scale = c.sigmoid_scale
        self.start = weight_norm(Convolution(half, c.decoder_hidden))
        self.wavenet = WaveNet(c, speaker_channels)
        self.end = Convolution(c.decoder_hidden, 2 * half)
        zero_(self.end)

    def _shift_and_scale(self, x: Tensor, mask: Tensor | None, speaker: Tensor | None) -> tuple[Tensor, Tensor]:
        """Both 0 behind the ends."""
        y = self.end(self.wavenet(masked(self.start(x), mask), mask, speaker)).float()
        if not self.sigmoid_scale:
            shift, log_scale = masked(y, mask).chunk(2, 2)
            return shift, log_scale
        shift, scale = y.chunk(2, 2)
        return masked(shift, mask), masked(torch.log(1e-6 + torch.sigmoid(scale + 2)), mask)

    def forward(self, x: Tensor, mask: Tensor | None, speaker: Tensor | None) -> tuple[Tensor, Tensor]:
        kept, changed = x.chunk(2, 2)
        shift, log_scale = self._shift_and_scale(kept, mask, speaker)
        return torch.cat([kept, torch.addcmul(shift, log_scale.exp(), changed)], 2), log_scale.sum((1, 2))

    def inverse(self, z: Tensor, mask: Tensor | None, speaker: Tensor | None) -> Tensor:
        kept, changed = z.chunk(2, 2)
        shift, log_scale = self._shift_and_scale(kept, mask, speaker)
        return torch.cat([kept, (changed - shift) * torch.exp(-log_scale)], 2)


class FlowBlock(Keeping):
    """ActNorm, invertible convolution, affine coupling. The first two and their mask are one function of `kernels`."""

    def __init__(self, c: GlowTTSConfig, speaker_channels: int):
        super().__init__()
        self.norm = ActNorm(c.bands * c.squeeze)
        self.mix = InvertibleConvolution(c.split)
        self.coupling = AffineCoupling(c, speaker_channels)

    def forward(self, x: Tensor, mask: Tensor | None, speaker: Tensor | None) -> tuple[Tensor, Tensor]:
        self._kept.clear()  # a step may follow, and a fused optimiser changes weights without their versions
        x, from_maps = normalise_and_mix(x, mask, *self._coefficients())
        z, from_coupling = self.coupling(x, mask, speaker)
        return z, from_maps + from_coupling

    def inverse(self, z: Tensor, mask: Tensor | None, speaker: Tensor | None) -> Tensor:
        z = self.coupling.inverse(z, mask, speaker)
        return normalise_and_mix(z, mask, *self._coefficients(), reverse=True)[0]

    def folded(self) -> Folded:
        """The way back with its linear maps joined, for one utterance."""
        return self.kept(self._folded, *self.parameters())

    def _folded(self) -> Folded:
        return fold(self.coupling, *undo(*self._coefficients()))

    def _coefficients(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.norm.log_scale.view(-1), self.norm.bias.view(-1), self.mix.weight


class FlowDecoder(nn.Module):
    """Mel [B, C, F] <-> latent [B, C, F]; F must be a multiple of `squeeze`."""

    def __init__(self, c: GlowTTSConfig):
        super().__init__()
        self.squeeze = c.squeeze
        self.has_quick_kernels = c.decoder_kernel == KERNEL and (c.dilation_rate == 1 or c.decoder_layers == 1)
        speaker_channels = c.speaker_channels if c.speakers > 1 else 0
        self.blocks = nn.ModuleList(FlowBlock(c, speaker_channels) for _ in range(c.blocks))

    def forward(self, mel: Tensor, mask: Tensor, speaker: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mel [B, C, F], mask [B, 1, F], speaker [B, C', 1] -> latent [B, C, F], log |det dz/dmel| [B]"""
        x, short, speaker = self._rows(mel, mask, speaker)
        log_determinant = x.new_zeros(len(x))
        for block in self._flow():
            x, added = block(x, short, speaker)
            log_determinant = log_determinant + added
        return unsqueeze(x, self.squeeze), log_determinant

    def inverse(self, z: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        """latent [B, C, F], mask [B, 1, F] or None where every frame counts, speaker [B, C', 1] -> mel [B, C, F]"""
        x, short, speaker = self._rows(z, mask, speaker)
        if self._is_quick(x, short):
            return unsqueeze(invert([block.folded() for block in self._flow()], x[0], speaker)[None], self.squeeze)
        for block in reversed(self._flow()):
            x = block.inverse(x, short, speaker)
        return unsqueeze(x, self.squeeze)

    @torch.no_grad()
    def initialise(self, mel: Tensor, mask: Tensor, speaker: Tensor | None = None) -> None:
        """Data-dependent initialisation: each ActNorm in turn normalises what reaches it from this batch."""
        x, short, speaker = self._rows(mel, mask, speaker)
        for block in self._flow():
            block.norm.initialise(x, cast(Tensor, short))
            x = block(x, short, speaker)[0]

    def _is_quick(self, x: Tensor, mask: Tensor | None) -> bool:
        return mask is None and is_alone(x) and not self.training and self.has_quick_kernels

    def _flow(self) -> list[FlowBlock]:
        return cast(list[FlowBlock], list(self.blocks))

    def _rows(
        self, x: Tensor, mask: Tensor | None, speaker: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Squeezed frames [B, F, C], 0 behind the ends; their mask [B, F, 1]; speaker [B, 1, C']."""
        short = None if mask is None else mask[:, :, self.squeeze - 1 :: self.squeeze].transpose(1, 2)
        speaker = None if speaker is None else speaker.transpose(1, 2)
        return masked(squeeze(x, self.squeeze), short), short, speaker
