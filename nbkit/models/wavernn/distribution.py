"""Samples of sound as a network sees them, how likely it finds them, and how they are drawn.

Two outputs: a mixture of logistics over the 65,536 steps of 16 bits (paper_notes/wavernn.md#mixture-of-logistics), and
classes of a mu-law, whose steps are fine where sound is quiet (paper_notes/wavernn.md#mu-law). The network sees x in
[-1, 1]: the wave itself, or its place on the mu-law.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nbkit.kernels.wavernn_sampler.reference import LOWEST_LOG_SCALE, draw
from nbkit.models.wavernn.config import WaveRNNConfig

HALF = 1 / 65535  # half a step of 16 bits on [-1, 1]


def with_emphasis(wave: np.ndarray, config: WaveRNNConfig) -> np.ndarray:
    """[1 + S] -> [S]: what is quiet in speech, its high frequencies, made as loud as what hides the noise of the draws.

    Source: paper_notes/wavernn.md#emphasis
    """
    return wave[1:] - np.float32(config.emphasis) * wave[:-1]


def without_emphasis(wave: np.ndarray, config: WaveRNNConfig) -> np.ndarray:
    """The inverse over a whole wave [S] that begins after silence, cut to [-1, 1]."""
    if not config.emphasis:
        return wave
    from scipy.signal import lfilter

    return np.clip(np.asarray(lfilter([1.0], [1.0, -config.emphasis], wave)), -1, 1).astype(np.float32)


def to_network(wave: Tensor, config: WaveRNNConfig) -> Tensor:
    """A wave in [-1, 1] as the network sees it: rounded to what the output can say."""
    if config.output == "mixture":
        return ((wave.clamp(-1, 1) + 1) / (2 * HALF)).round() * (2 * HALF) - 1
    top = 2**config.bits - 1
    place = wave.sign() * (top * wave.abs().clamp(max=1)).log1p() / math.log1p(top)
    return ((place + 1) / 2 * top).round() * 2 / top - 1


def to_wave(x: Tensor, config: WaveRNNConfig) -> Tensor:
    """The inverse of to_network, but for its rounding."""
    if config.output == "mixture":
        return x
    top = 2**config.bits - 1
    return x.sign() * (x.abs() * math.log1p(top)).expm1() / top


def negative_log_likelihood(logits: Tensor, x: Tensor, config: WaveRNNConfig) -> Tensor:
    """Nats that each sample takes: logits [..., O], x [...] from to_network; returns [...]."""
    logits = logits.float()
    if config.output == "classes":
        target = ((x + 1) / 2 * (2**config.bits - 1)).round().long()
        return F.cross_entropy(logits.flatten(0, -2), target.flatten(), reduction="none").view(x.shape)
    weights, means, log_scales = logits.chunk(3, -1)
    inverse = (-log_scales.clamp(min=LOWEST_LOG_SCALE)).exp()
    away = x[..., None] - means
    high, low = inverse * (away + HALF), inverse * (away - HALF)
    # log(s(high) - s(low)) without a difference of nearly equal numbers
    inside = F.logsigmoid(high) + F.logsigmoid(-low) + (-torch.expm1(-2 * HALF * inverse)).log()
    first, last = x[..., None] <= -1 + HALF, x[..., None] >= 1 - HALF
    likelihood = torch.where(first, F.logsigmoid(high), torch.where(last, F.logsigmoid(-low), inside))
    return -torch.logsumexp(weights.log_softmax(-1) + likelihood, -1)


def sample(logits: Tensor, uniforms: Tensor, config: WaveRNNConfig) -> Tensor:
    """Draw x [...] from logits [..., O] and uniform numbers [..., 2]: a function of these alone."""
    return draw(logits, uniforms, config.output)
