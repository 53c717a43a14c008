"""What stands on KoBERT for a task: numbers for a text or a pair, or a place among other texts.

Source: paper_notes/bert.md#fine-tuning
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nbkit.models.kobert.model import INIT, KoBERT


class Scorer(nn.Module):
    """One linear layer on the pooled [CLS]: a number for each label, or one number alone."""

    def __init__(self, encoder: KoBERT, outputs: int):
        super().__init__()
        encoder.freeze_unused(next_sentence=False, masked=False, pooled=True)
        self.encoder = encoder
        self.dropout = nn.Dropout(encoder.config.dropout)
        self.output = nn.Linear(encoder.config.hidden, outputs)
        nn.init.normal_(self.output.weight, std=INIT)
        nn.init.zeros_(self.output.bias)

    def forward(self, batch: Any) -> Tensor:
        """Logits or scores of a batch with tokens, types, boundaries. [B, outputs]"""
        return self.output(self.dropout(self.encoder(batch).pooled))

    def padded(self, tokens: Tensor, types: Tensor, inside: Tensor) -> Tensor:
        """The same of sequences side by side: tokens, types [B, T], inside [B, T] false where padded. [B, outputs]"""
        hidden, _, _ = self.encoder.encode(tokens, types, inside)
        return self.output(self.dropout(self.encoder.bert.pooled(hidden[:, 0])))


class _OfMeans(nn.Module):
    """What is made of means of hidden states, and of no pooled [CLS]."""

    def __init__(self, encoder: KoBERT):
        super().__init__()
        encoder.freeze_unused(next_sentence=False, masked=False, pooled=False)
        self.encoder = encoder


class Embedder(_OfMeans):
    """The mean of all hidden states of a text, on the unit sphere: near is alike."""

    def forward(self, batch: Any) -> Tensor:
        """Unit vectors of a batch with tokens, types, boundaries. [B, C]"""
        hidden = self.encoder(batch).hidden.float()
        lengths = batch.boundaries.diff()
        return functional.normalize(_sums(hidden, _sequences(lengths), len(lengths)) / lengths[:, None], dim=-1)

    def padded(self, tokens: Tensor, types: Tensor, inside: Tensor) -> Tensor:
        """The same of sequences side by side: tokens, types [B, T], inside [B, T] false where padded. [B, C]"""
        hidden, _, _ = self.encoder.encode(tokens, types, inside)
        read = inside[:, :, None].float()
        return functional.normalize((hidden.float() * read).sum(1) / read.sum(1), dim=-1)


class Matcher(_OfMeans):
    """How the two texts of a pair go together, which are read as one: a linear layer on what their means share and on
    what they do not.

    At the start it gives SCALE times the cosine of the means, so it begins with a measure of likeness and learns what
    reading both together adds. A linear layer on [CLS] has to find such a measure first, and did not with ten thousand
    pairs (EXPERIMENTS.md).
    """

    SCALE = 10.0  # of a cosine, to be a logit

    def __init__(self, encoder: KoBERT):
        super().__init__(encoder)
        self.output = nn.Linear(2 * encoder.config.hidden, 1)
        self.begin_with(self.SCALE, 0.0)

    @torch.no_grad()
    def begin_with(self, scale: float, bias: float) -> None:
        """Give scale times the cosine plus bias."""
        shared, apart = self.output.weight.unflatten(1, (2, -1)).unbind(1)
        shared.fill_(scale)
        apart.zero_()
        self.output.bias.fill_(bias)

    def forward(self, batch: Any) -> Tensor:
        """Logits of a batch of pairs with tokens, types, boundaries. [B, 1]"""
        hidden = self.encoder(batch).hidden.float()
        lengths = batch.boundaries.diff()
        sums = _sums(hidden, 2 * _sequences(lengths) + batch.types, 2 * len(lengths))
        return self._likeness(sums.unflatten(0, (-1, 2)))

    def padded(self, tokens: Tensor, types: Tensor, inside: Tensor) -> Tensor:
        """The same of pairs side by side: tokens, types [B, T], inside [B, T] false where padded. [B, 1]"""
        hidden, _, _ = self.encoder.encode(tokens, types, inside)
        halves = torch.stack([inside & (types == 0), inside & (types == 1)], 1).float()  # [B, 2, T]
        return self._likeness(halves @ hidden.float())

    def _likeness(self, sums: Tensor) -> Tensor:
        first, second = functional.normalize(sums, dim=-1).unbind(1)  # a mean and a sum point the same way
        return self.output(torch.cat([first * second, (first - second).abs()], -1))


def _sequences(lengths: Tensor) -> Tensor:
    """Of each token the number of its sequence. [B] -> [T]"""
    return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)


def _sums(hidden: Tensor, which: Tensor, count: int) -> Tensor:
    """The sum of the vectors [T, C] that belong to each of `count` places. [count, C]"""
    return hidden.new_zeros(count, hidden.shape[1]).index_add(0, which, hidden)
