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


class Embedder(nn.Module):
    """The mean of all hidden states of a text, on the unit sphere: near is alike."""

    def __init__(self, encoder: KoBERT):
        super().__init__()
        encoder.freeze_unused(next_sentence=False, masked=False, pooled=False)
        self.encoder = encoder

    def forward(self, batch: Any) -> Tensor:
        """Unit vectors of a batch with tokens, types, boundaries. [B, C]"""
        hidden = self.encoder(batch).hidden.float()
        lengths = batch.boundaries.diff()
        which = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
        sums = hidden.new_zeros(len(lengths), hidden.shape[1]).index_add(0, which, hidden)
        return functional.normalize(sums / lengths[:, None], dim=-1)

    def padded(self, tokens: Tensor, types: Tensor, inside: Tensor) -> Tensor:
        """The same of sequences side by side: tokens, types [B, T], inside [B, T] false where padded. [B, C]"""
        hidden, _, _ = self.encoder.encode(tokens, types, inside)
        read = inside[:, :, None].float()
        return functional.normalize((hidden.float() * read).sum(1) / read.sum(1), dim=-1)
