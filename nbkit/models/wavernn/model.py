"""WaveRNN: a recurrent network that says how likely each sample is after those before it, given a mel.

Source: paper_notes/wavernn.md#community-model
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nbkit.kernels.wavernn_sampler import Weights, reference
from nbkit.models.wavernn.config import WaveRNNConfig

FIRST_LOG_SCALE = -2.0


class _ChannelNorm(nn.LayerNorm):
    """Normalises over the channels of each frame, [B, C, F]."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.transpose(1, 2)).transpose(1, 2)


class _Block(nn.Module):
    """Two convolutions over the channels of a frame, beside the way around them."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(channels, channels, 1, bias=False),
            _ChannelNorm(channels),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 1, bias=False),
            _ChannelNorm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Conditioner(nn.Module):
    """log_mel [B, C, F + 2 context] -> conditioning [B, (F - 1) hop, K]: bands, stretched and smoothed, and aux parts.

    Source: paper_notes/wavernn.md#conditioning
    Frame f is centred on sample f hop, as in data.audio, so the ends of the wave are the centres of the first and the
    last frame.
    """

    def __init__(self, config: WaveRNNConfig):
        super().__init__()
        self.config = config
        width = 2 * config.context + 1
        self.entry = nn.Conv1d(config.bands, config.stack, width, bias=False)
        self.norm = _ChannelNorm(config.stack)
        self.blocks = nn.Sequential(*(_Block(config.stack) for _ in range(config.blocks)))
        self.projection = nn.Conv1d(config.stack, (config.grus + 2) * config.aux, 1)
        self.smoothing = nn.ModuleList()
        for scale in config.scales:  # each begins as the mean over two steps of the coarser rate
            convolution = nn.Conv1d(1, 1, 2 * scale + 1, padding=scale, bias=False)
            nn.init.constant_(convolution.weight, 1 / (2 * scale + 1))
            self.smoothing.append(convolution)

    def forward(self, log_mel: Tensor) -> Tensor:
        config = self.config
        scaled = 1 + log_mel / -math.log(config.floor)  # 0 at the floor, 1 at magnitude 1
        aux = self.projection(self.blocks(F.relu(self.norm(self.entry(scaled)))))
        aux = aux.repeat_interleave(config.hop, 2)
        B, C, _ = scaled.shape
        mel = scaled.reshape(B * C, 1, -1)
        for scale, convolution in zip(config.scales, self.smoothing):
            mel = _stretch(mel, scale, convolution.get_parameter("weight"))
        half, edge = config.hop // 2, config.context * config.hop
        mel = mel.reshape(B, C, -1)[:, :, edge + half : -edge - half]
        return torch.cat([mel, aux[:, :, half:-half]], 1).transpose(1, 2)


def _stretch(rows: Tensor, scale: int, kernel: Tensor) -> Tensor:
    """[N, 1, F] -> [N, 1, F scale]: each value `scale` times, then a convolution with `kernel` [1, 1, 2 scale + 1].

    A place sees three values of the coarser rate at most, so its taps are added up first: a product with a small
    matrix, where a convolution of one channel would take half of a training step.
    """
    place, tap = torch.arange(scale), torch.arange(2 * scale + 1)
    seen = (place[:, None] + tap - scale).div(scale, rounding_mode="floor") + 1  # [scale, taps], 0 to 2
    taps = (seen[:, :, None] == torch.arange(3)).to(kernel) * kernel.flatten()[:, None]
    around = F.pad(rows[:, 0], (1, 1)).unfold(1, 3, 1)
    return (around @ taps.sum(1).T).flatten(1)[:, None]


class WaveRNN(nn.Module):
    """The network. Samples are x in [-1, 1], see distribution.to_network."""

    def __init__(self, config: WaveRNNConfig):
        super().__init__()
        self.config = config
        H, L, A = config.hidden, config.layers, config.aux
        self.conditioner = Conditioner(config)
        self.entry = nn.Linear(1 + config.bands + A, H)
        self.grus = nn.ModuleList(nn.GRU(H + A * (g > 0), H, batch_first=True) for g in range(config.grus))
        self.layer1, self.layer2 = nn.Linear(H + A, L), nn.Linear(L + A, L)
        self.out = nn.Linear(L, config.outputs)
        if config.output == "mixture":  # as wide as sound is, or the first steps are wild
            nn.init.constant_(self.out.bias[-config.mixtures :], FIRST_LOG_SCALE)

    def condition(self, log_mel: Tensor, *, edges: bool = True) -> Tensor:
        """What each sample is told of the mel: [B, C, F] natural log -> [B, (F - 1) hop, K].

        edges   the first and the last frame stand for what lies beyond them; without, `log_mel` brings
                `context` further frames at each end, which get no samples
        raises  ValueError for another number of bands, or fewer than two frames
        """
        context = self.config.context
        least = 2 if edges else 2 + 2 * context
        if log_mel.ndim != 3 or log_mel.shape[1] != self.config.bands or log_mel.shape[2] < least:
            raise ValueError(
                f"WaveRNN wants a mel [B, {self.config.bands}, F] of {least} frames or more, got {list(log_mel.shape)}"
                "; extract it with the MelSpec of the vocoder"
            )
        return self.conditioner(F.pad(log_mel, (context, context), mode="replicate") if edges else log_mel)

    def forward(self, x: Tensor, log_mel: Tensor, *, edges: bool = True) -> Tensor:
        """Logits of all samples at once: x [B, S] holds the sample before each, S = (F - 1) hop; returns [B, S, O].

        raises  ValueError where x does not have the samples that the mel has
        """
        conditioning = self.condition(log_mel, edges=edges)
        if x.shape != conditioning.shape[:2]:
            raise ValueError(
                f"WaveRNN wants x {list(conditioning.shape[:2])}, the samples between the centres of the first and "
                f"the last frame, got {list(x.shape)}; cut wave and mel alike"
            )
        mel, parts = self._split(conditioning)
        y = self.entry(torch.cat([x[..., None], mel, parts[0]], -1))
        for g, gru in enumerate(self.grus):
            y = y + gru(y if g == 0 else torch.cat([y, parts[g]], -1))[0]
        y = F.relu(self.layer1(torch.cat([y, parts[-2]], -1)))
        y = F.relu(self.layer2(torch.cat([y, parts[-1]], -1)))
        return self.out(y)

    def step(self, x: Tensor, conditioning: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The logits after one sample x [B], with conditioning [B, K] and the state [G, B, H] of the step before.

        returns   logits [B, O], state [G, B, H]; None for `hidden` is the state before the first sample
        """
        if hidden is None:
            hidden = x.new_zeros(self.config.grus, len(x), self.config.hidden)
        return reference.step(self.weights(), x, conditioning, hidden)

    def weights(self) -> Weights:
        """What a sampler multiplies by: views of the parameters."""
        grus = ((g.weight_ih_l0, g.weight_hh_l0, g.bias_ih_l0, g.bias_hh_l0) for g in self.grus)
        layers = ((layer.weight, layer.bias) for layer in (self.layer1, self.layer2, self.out))
        entry = self.entry.weight, self.entry.bias
        return Weights(self.config.output, self.config.bands, entry, tuple(grus), tuple(layers))

    def _split(self, conditioning: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        bands = self.config.bands
        return conditioning[..., :bands], conditioning[..., bands:].split(self.config.aux, -1)
