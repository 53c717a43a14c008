"""Text to prior: prenet, self-attention with relative positions, duration predictor.

Inside, tokens lie in rows: [B, T, C], mask [B, T, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbkit.models.glow_tts.config import GlowTTSConfig
from nbkit.models.glow_tts.layers import Convolution, Dropout


def sequence_mask(lengths: Tensor, size: int) -> Tensor:
    """1 where an item has a value, 0 behind its end: lengths [B] -> [B, 1, size] float32."""
    return (torch.arange(size, device=lengths.device) < lengths[:, None]).unsqueeze(1).float()


def zero_(layer: nn.Module) -> None:
    """Set all parameters of a layer to 0, so that what it is added to starts unchanged."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of [B, T, C]."""

    def __init__(self, channels: int, eps: float = 1e-4):
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.gamma.shape, self.gamma, self.beta, self.eps)


class Prenet(nn.Module):
    """Three convolutions whose result is added to the embedding; the last projection starts at zero."""

    def __init__(self, channels: int, dropout: float, kernel: int = 5, layers: int = 3):
        super().__init__()
        self.convolutions = nn.ModuleList(Convolution(channels, channels, kernel) for _ in range(layers))
        self.norms = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))
        self.dropout = Dropout(dropout)
        self.projection = Convolution(channels, channels)
        zero_(self.projection)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = x
        for convolution, norm in zip(self.convolutions, self.norms):
            y = self.dropout(F.relu(norm(convolution(y * mask))))
        return (x + self.projection(y)) * mask


class RelativeAttention(nn.Module):
    """Self-attention that also knows how far apart two tokens stand, up to `window` to each side; shared by the heads.

    Source: paper_notes/glow_tts.md#encoder
    """

    def __init__(self, channels: int, heads: int, window: int, dropout: float):
        super().__init__()
        self.heads, self.window = heads, window
        self.query, self.key, self.value, self.output = (Convolution(channels, channels) for _ in range(4))
        for projection in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(projection.weight)
        width = channels // heads
        self.relative_key = nn.Parameter(torch.randn(2 * window + 1, width) * width**-0.5)
        self.relative_value = nn.Parameter(torch.randn(2 * window + 1, width) * width**-0.5)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [B, T, C], mask [B, T, 1] -> [B, T, C]"""
        weights = self.dropout(self.weights(x, mask))
        value = self._split(self.value(x))
        joined = weights @ value + self._band(weights) @ self.relative_value.to(weights.dtype)
        return self.output(joined.transpose(1, 2).reshape(x.shape))

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """The attention of each token to each other: [B, H, T, T], rows sum to 1."""
        query, key = self._split(self.query(x)), self._split(self.key(x))
        query = query / math.sqrt(query.shape[-1])
        scores = query @ key.transpose(2, 3) + self._spread(query @ self.relative_key.to(query.dtype).T)
        both = (mask * mask.transpose(1, 2)).unsqueeze(1) == 0
        return scores.masked_fill(both, -1e4).softmax(-1)

    def window_scores(self, x: Tensor, mask: Tensor) -> Tensor:
        """What the relative keys add to a score, by distance from -window to window, a mean over the tokens that have a
        token there: [B, H, 2 window + 1].
        """
        query = self._split(self.query(x)) / math.sqrt(self.relative_key.shape[1])
        there = self._band((mask * mask.transpose(1, 2)).unsqueeze(1))  # [B, 1, T, 2 window + 1]
        return ((query @ self.relative_key.to(query.dtype).T) * there).sum(2) / there.sum(2).clamp_min(1)

    def _split(self, x: Tensor) -> Tensor:
        """[B, T, C] -> [B, H, T, C / H]"""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def _distances(self, tokens: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Index into the 2 * window + 1 distances for each pair of tokens, and whether the pair lies in the window."""
        position = torch.arange(tokens, device=device)
        distance = position[None, :] - position[:, None] + self.window
        return distance.clamp(0, 2 * self.window), (distance >= 0) & (distance <= 2 * self.window)

    def _spread(self, by_distance: Tensor) -> Tensor:
        """[B, H, T, 2 window + 1] -> [B, H, T, T]: each distance to where the token at that distance stands."""
        index, inside = self._distances(by_distance.shape[2], by_distance.device)
        return by_distance.gather(3, index.expand(*by_distance.shape[:2], -1, -1)) * inside

    def _band(self, weights: Tensor) -> Tensor:
        """[B, H, T, T] -> [B, H, T, 2 window + 1]: the weights near the diagonal, by distance."""
        tokens = weights.shape[2]
        padded = F.pad(weights, (self.window, self.window))
        return torch.stack([padded.diagonal(d, 2, 3)[..., :tokens] for d in range(2 * self.window + 1)], -1)


class FeedForward(nn.Module):
    """Two convolutions over time with a ReLU between."""

    def __init__(self, channels: int, hidden: int, kernel: int, dropout: float):
        super().__init__()
        self.inner = Convolution(channels, hidden, kernel)
        self.outer = Convolution(hidden, channels, kernel)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.dropout(F.relu(self.inner(x * mask)))
        return self.outer(x * mask) * mask


class EncoderLayer(nn.Module):
    """Attention, then feed-forward, each added and normalised after."""

    def __init__(self, c: GlowTTSConfig):
        super().__init__()
        self.attention = RelativeAttention(c.hidden, c.heads, c.window, c.encoder_dropout)
        self.attention_norm = ChannelNorm(c.hidden)
        self.feed_forward = FeedForward(c.hidden, c.filter, c.kernel, c.encoder_dropout)
        self.feed_forward_norm = ChannelNorm(c.hidden)
        self.dropout = Dropout(c.encoder_dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x * mask
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x, mask)))


class DurationPredictor(nn.Module):
    """log of the frames that each token holds, from the encoder's output, which it does not train.

    Source: paper_notes/glow_tts.md#durations
    """

    def __init__(self, channels: int, hidden: int, kernel: int, dropout: float):
        super().__init__()
        self.convolutions = nn.ModuleList(Convolution(width, hidden, kernel) for width in (channels, hidden))
        self.norms = nn.ModuleList(ChannelNorm(hidden) for _ in range(2))
        self.projection = Convolution(hidden, 1)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [B, T, C], mask [B, T, 1] -> [B, T] natural log of frames"""
        for convolution, norm in zip(self.convolutions, self.norms):
            x = self.dropout(norm(F.relu(convolution(x * mask))))
        return (self.projection(x * mask) * mask).squeeze(2)


class TextEncoder(nn.Module):
    """Tokens to the mean and log sigma of the prior of a frame, and to the log durations."""

    def __init__(self, c: GlowTTSConfig):
        super().__init__()
        self.scale = math.sqrt(c.hidden)
        self.embedding = nn.Embedding(c.vocabulary, c.hidden)
        nn.init.normal_(self.embedding.weight, 0.0, c.hidden**-0.5)
        self.prenet = Prenet(c.hidden, c.prenet_dropout) if c.prenet else None
        self.layers = nn.ModuleList(EncoderLayer(c) for _ in range(c.encoder_layers))
        self.mean = Convolution(c.hidden, c.bands)
        self.log_sigma = None if c.mean_only else Convolution(c.hidden, c.bands)
        speaker = c.speaker_channels if c.speakers > 1 else 0
        self.duration = DurationPredictor(c.hidden + speaker, c.duration_filter, c.kernel, c.encoder_dropout)

    def hidden(self, tokens: Tensor, mask: Tensor, look: Callable[[Any, Tensor], None] | None = None) -> Tensor:
        """tokens [B, T], mask [B, T, 1] -> [B, T, C]

        look  is shown the RelativeAttention of each layer, and what it reads
        """
        x = self.embedding(tokens) * self.scale * mask
        if self.prenet is not None:
            x = self.prenet(x, mask)
        for layer in self.layers:
            if look is not None:
                look(layer.attention, x * mask)
            x = layer(x, mask)
        return x * mask

    def looks(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Who looks at whom, and what the window adds to the scores, in all layers and heads.

        Source: paper_notes/glow_tts.md#encoder
        tokens [B, T], mask [B, 1, T] -> weights [B, L, H, T, T], window [B, L, H, 2 window + 1]
        """
        mask = mask.transpose(1, 2)
        weights, window = [], []

        def look(attention: RelativeAttention, x: Tensor) -> None:
            weights.append(attention.weights(x, mask))
            window.append(attention.window_scores(x, mask))

        self.hidden(tokens, mask, look)
        return torch.stack(weights, 1), torch.stack(window, 1)

    def forward(self, tokens: Tensor, mask: Tensor, speaker: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """tokens [B, T], mask [B, 1, T], speaker [B, C', 1] -> mean, log_sigma [B, C, T], log durations [B, T]"""
        mask = mask.transpose(1, 2)
        x = self.hidden(tokens, mask)
        mean = (self.mean(x) * mask).float().transpose(1, 2)
        log_sigma = torch.zeros_like(mean)
        if self.log_sigma is not None:
            log_sigma = (self.log_sigma(x) * mask).float().transpose(1, 2)
        detached = x.detach()
        if speaker is not None:
            detached = torch.cat([detached, speaker.transpose(1, 2).expand(-1, x.shape[1], -1)], 2)
        return mean, log_sigma, self.duration(detached, mask).float()
