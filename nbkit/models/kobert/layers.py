"""The parts of KoBERT, under the names that transformers gives them; tokens are rows [T, C] or [B, T, C].

Source: paper_notes/bert.md
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbkit.models.dropout import Dropout
from nbkit.models.kobert.attention import Attend
from nbkit.models.kobert.config import KoBERTConfig


class Embeddings(nn.Module):
    """What a token is, where it stands and to which text it belongs, added.

    Source: paper_notes/bert.md#input
    """

    def __init__(self, c: KoBERTConfig):
        super().__init__()
        self.word_embeddings = nn.Embedding(c.vocabulary, c.hidden)
        self.position_embeddings = nn.Embedding(c.positions, c.hidden)
        self.token_type_embeddings = nn.Embedding(c.types, c.hidden)
        self.LayerNorm = nn.LayerNorm(c.hidden, eps=c.eps)
        self.dropout = Dropout(c.dropout)

    def forward(self, tokens: Tensor, types: Tensor, positions: Tensor) -> Tensor:
        """tokens, types, positions of one shape (...) -> (..., C)"""
        x = self.word_embeddings(tokens) + self.token_type_embeddings(types) + self.position_embeddings(positions)
        return self.dropout(self.LayerNorm(x))


class SelfAttention(nn.Module):
    """Queries, keys and values of all heads.

    Source: paper_notes/bert.md#attention
    """

    def __init__(self, c: KoBERTConfig):
        super().__init__()
        self.heads = c.heads
        self.query, self.key, self.value = (nn.Linear(c.hidden, c.hidden) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., 3, H, D)"""
        parts = self.query, self.key, self.value
        if torch.is_grad_enabled():  # one product; joining the weights is little beside a training batch
            weight, bias = torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
            joined = F.linear(x, weight, bias)
        else:  # but much beside one sentence
            joined = torch.cat([part(x) for part in parts], -1)
        return joined.unflatten(-1, (3, self.heads, -1))


class Added(nn.Module):
    """Brings the result of a layer back to C channels, adds what went into it, normalises."""

    def __init__(self, c: KoBERTConfig, inputs: int):
        super().__init__()
        self.dense = nn.Linear(inputs, c.hidden)
        self.LayerNorm = nn.LayerNorm(c.hidden, eps=c.eps)
        self.dropout = Dropout(c.dropout)

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(y)) + x)


class Attention(nn.Module):
    """Attention with its residual."""

    def __init__(self, c: KoBERTConfig):
        super().__init__()
        self.self = SelfAttention(c)
        self.output = Added(c, c.hidden)


class Dense(nn.Module):
    """One map, under the name dense."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x)


class Layer(nn.Module):
    """Attention, then two maps with a GELU between, each added to its input and normalised after.

    Source: paper_notes/bert.md#layer
    """

    def __init__(self, c: KoBERTConfig):
        super().__init__()
        self.attention = Attention(c)
        self.intermediate = Dense(c.hidden, c.filter)
        self.output = Added(c, c.filter)

    def forward(
        self, x: Tensor, attend: Attend, dropout: float, look: Callable[[Tensor], None] | None = None
    ) -> Tensor:
        """x (..., C) -> (..., C)

        dropout  of the weights of attention
        look     is shown queries, keys and values, (..., 3, H, D)
        """
        qkv = self.attention.self(x)
        if look is not None:
            look(qkv)
        joined = attend(qkv, dropout)
        x = self.attention.output(joined.flatten(-2), x)
        return self.output(F.gelu(self.intermediate(x)), x)


class Encoder(nn.Module):
    def __init__(self, c: KoBERTConfig):
        super().__init__()
        self.dropout = c.dropout if c.attention_dropout is None else c.attention_dropout  # of attention weights
        self.layer = nn.ModuleList(Layer(c) for _ in range(c.layers))


class Bert(nn.Module):
    """Embeddings, layers, pooler."""

    def __init__(self, c: KoBERTConfig):
        super().__init__()
        self.embeddings = Embeddings(c)
        self.encoder = Encoder(c)
        self.pooler = Dense(c.hidden, c.hidden)

    def pooled(self, first: Tensor) -> Tensor:
        """The vector of each sequence from that of its [CLS]: [B, C] -> [B, C]"""
        return torch.tanh(self.pooler(first))


class Transform(nn.Module):
    """What stands between the encoder and the output layer."""

    def __init__(self, c: KoBERTConfig):
        super().__init__()
        self.dense = nn.Linear(c.hidden, c.hidden)
        self.LayerNorm = nn.LayerNorm(c.hidden, eps=c.eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.LayerNorm(F.gelu(self.dense(x)))


class Predictions(nn.Module):
    """Guesses pieces with the embedding itself as output layer.

    Source: paper_notes/bert.md#masked-language-model
    """

    def __init__(self, c: KoBERTConfig):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(c.vocabulary))
        self.transform = Transform(c)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x [M, C], embedding [V, C] -> [M, V]"""
        return F.linear(self.transform(x), embedding, self.bias)


class Heads(nn.Module):
    """What pre-training asks."""

    def __init__(self, c: KoBERTConfig):
        super().__init__()
        self.predictions = Predictions(c)
        self.seq_relationship = nn.Linear(c.hidden, 2)
