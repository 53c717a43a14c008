"""Mel to latent and back: a chain of invertible blocks whose log-determinants are known.

Source: paper_notes/glow_tts.md#decoder
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from nbkit.models.glow_tts.config import GlowTTSConfig
from nbkit.models.glow_tts.encoder import zero_


def squeeze(x: Tensor, mask: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Join n neighbouring frames into one: [B, C, F] -> [B, n C, F // n], with the mask of every n-th frame."""
    x = x[:, :, : x.shape[2] // n * n]
    mask = mask[:, :, n - 1 :: n]
    return x.unflatten(2, (-1, n)).permute(0, 3, 1, 2).flatten(1, 2) * mask, mask


def unsqueeze(x: Tensor, mask: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The inverse of squeeze: [B, n C, F] -> [B, C, n F]."""
    mask = mask.repeat_interleave(n, 2)
    return x.unflatten(1, (n, -1)).permute(0, 2, 3, 1).flatten(2, 3) * mask, mask


class ActNorm(nn.Module):
    """A scale and a shift for each channel: z = bias + exp(log_scale) x."""

    def __init__(self, channels: int):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(1, channels, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1))

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return (self.bias + self.log_scale.exp() * x) * mask, self.log_scale.sum() * mask.sum((1, 2))

    def inverse(self, z: Tensor, mask: Tensor) -> Tensor:
        return (z - self.bias) * torch.exp(-self.log_scale) * mask

    @torch.no_grad()
    def initialise(self, x: Tensor, mask: Tensor) -> None:
        """Choose scale and shift so that this batch leaves with mean 0 and variance 1 in each channel."""
        frames = mask.sum()
        mean = (x * mask).sum((0, 2)) / frames
        variance = (x * x * mask).sum((0, 2)) / frames - mean**2
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

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        split = len(self.weight)
        log_determinant = torch.linalg.slogdet(self.weight)[1] * (x.shape[1] // split) * mask.sum((1, 2))
        return self._mix(self.weight, x) * mask, log_determinant

    def inverse(self, z: Tensor, mask: Tensor) -> Tensor:
        return self._mix(torch.linalg.inv(self.weight), z) * mask

    def _mix(self, weight: Tensor, x: Tensor) -> Tensor:
        """Channel (h, g, s) of [2, C / split, split / 2] belongs to group g, as its member (h, s)."""
        split = len(weight)
        grouped = x.unflatten(1, (2, -1, split // 2)).transpose(2, 3).flatten(1, 2)  # [B, split, C / split, F]
        with torch.autocast(x.device.type, enabled=False):  # the latent must be that of the map which is inverted
            mixed = torch.einsum("os,bsgf->bogf", weight, grouped.to(weight.dtype))
        return mixed.unflatten(1, (2, split // 2)).transpose(2, 3).flatten(1, 3)


class WaveNet(nn.Module):
    """Gated dilated convolutions with residual and skip connections, conditioned on the speaker."""

    def __init__(self, c: GlowTTSConfig, speaker_channels: int):
        super().__init__()
        hidden, kernel = c.decoder_hidden, c.decoder_kernel
        self.hidden = hidden
        self.gates, self.outputs = nn.ModuleList(), nn.ModuleList()
        for layer in range(c.decoder_layers):
            dilation = c.dilation_rate**layer
            reach = (kernel - 1) * dilation // 2
            self.gates.append(weight_norm(nn.Conv1d(hidden, 2 * hidden, kernel, dilation=dilation, padding=reach)))
            last = layer == c.decoder_layers - 1
            self.outputs.append(weight_norm(nn.Conv1d(hidden, hidden if last else 2 * hidden, 1)))
        self.speaker = (
            weight_norm(nn.Conv1d(speaker_channels, 2 * hidden * c.decoder_layers, 1)) if speaker_channels else None
        )
        self.dropout = nn.Dropout(c.decoder_dropout)

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor | None) -> Tensor:
        conditions = (
            self.speaker(speaker).chunk(len(self.gates), 1) if self.speaker is not None else [0.0] * len(self.gates)
        )
        skipped = torch.zeros_like(x)
        for gate, output, condition in zip(self.gates, self.outputs, conditions):
            a, b = (self.dropout(gate(x)) + condition).chunk(2, 1)
            y = output(torch.tanh(a) * torch.sigmoid(b))
            if y.shape[1] == 2 * self.hidden:
                x = (x + y[:, : self.hidden]) * mask
            skipped = skipped + y[:, -self.hidden :]
        return skipped * mask


class AffineCoupling(nn.Module):
    """One half of the channels decides scale and shift of the other half; starts as the identity."""

    def __init__(self, c: GlowTTSConfig, speaker_channels: int):
        super().__init__()
        half = c.bands * c.squeeze // 2
        self.sigmoid_scale = c.sigmoid_scale
        self.start = weight_norm(nn.Conv1d(half, c.decoder_hidden, 1))
        self.wavenet = WaveNet(c, speaker_channels)
        self.end = nn.Conv1d(c.decoder_hidden, 2 * half, 1)
        zero_(self.end)

    def _shift_and_scale(self, x: Tensor, mask: Tensor, speaker: Tensor | None) -> tuple[Tensor, Tensor]:
        y = self.end(self.wavenet(self.start(x) * mask, mask, speaker)).float()
        shift, log_scale = y.chunk(2, 1)
        if self.sigmoid_scale:
            log_scale = torch.log(1e-6 + torch.sigmoid(log_scale + 2))
        return shift, log_scale

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor | None) -> tuple[Tensor, Tensor]:
        kept, changed = x.chunk(2, 1)
        shift, log_scale = self._shift_and_scale(kept, mask, speaker)
        z = torch.cat([kept, (shift + log_scale.exp() * changed) * mask], 1)
        return z, (log_scale * mask).sum((1, 2))

    def inverse(self, z: Tensor, mask: Tensor, speaker: Tensor | None) -> Tensor:
        kept, changed = z.chunk(2, 1)
        shift, log_scale = self._shift_and_scale(kept, mask, speaker)
        return torch.cat([kept, (changed - shift) * torch.exp(-log_scale) * mask], 1)


class FlowBlock(nn.Module):
    """ActNorm, invertible convolution, affine coupling."""

    def __init__(self, c: GlowTTSConfig, speaker_channels: int):
        super().__init__()
        self.norm = ActNorm(c.bands * c.squeeze)
        self.mix = InvertibleConvolution(c.split)
        self.coupling = AffineCoupling(c, speaker_channels)

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor | None) -> tuple[Tensor, Tensor]:
        x, from_norm = self.norm(x, mask)
        x, from_mix = self.mix(x, mask)
        x, from_coupling = self.coupling(x, mask, speaker)
        return x, from_norm + from_mix + from_coupling

    def inverse(self, z: Tensor, mask: Tensor, speaker: Tensor | None) -> Tensor:
        return self.norm.inverse(self.mix.inverse(self.coupling.inverse(z, mask, speaker), mask), mask)


class FlowDecoder(nn.Module):
    """Mel [B, C, F] <-> latent [B, C, F]; F must be a multiple of `squeeze`."""

    def __init__(self, c: GlowTTSConfig):
        super().__init__()
        self.squeeze = c.squeeze
        speaker_channels = c.speaker_channels if c.speakers > 1 else 0
        self.blocks = nn.ModuleList(FlowBlock(c, speaker_channels) for _ in range(c.blocks))

    def _flow(self) -> list[FlowBlock]:
        return cast(list[FlowBlock], list(self.blocks))

    def forward(self, mel: Tensor, mask: Tensor, speaker: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mel [B, C, F], mask [B, 1, F] -> latent [B, C, F], log |det dz/dmel| [B]"""
        x, short = squeeze(mel, mask, self.squeeze)
        log_determinant = x.new_zeros(len(x))
        for block in self._flow():
            x, added = block(x, short, speaker)
            log_determinant = log_determinant + added
        return unsqueeze(x, short, self.squeeze)[0], log_determinant

    def inverse(self, z: Tensor, mask: Tensor, speaker: Tensor | None = None) -> Tensor:
        """latent [B, C, F], mask [B, 1, F] -> mel [B, C, F]"""
        x, short = squeeze(z, mask, self.squeeze)
        for block in reversed(self._flow()):
            x = block.inverse(x, short, speaker)
        return unsqueeze(x, short, self.squeeze)[0]

    @torch.no_grad()
    def initialise(self, mel: Tensor, mask: Tensor, speaker: Tensor | None = None) -> None:
        """Data-dependent initialisation: each ActNorm in turn normalises what reaches it from this batch."""
        x, short = squeeze(mel, mask, self.squeeze)
        for block in self._flow():
            block.norm.initialise(x, short)
            x = block(x, short, speaker)[0]
