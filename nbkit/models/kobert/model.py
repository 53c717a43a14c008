"""KoBERT: tokens to vectors, and the two heads of its pre-training.

Source: paper_notes/kobert.md
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from nbkit.models.kobert import attention
from nbkit.models.kobert.attention import Attend
from nbkit.models.kobert.config import KoBERTConfig
from nbkit.models.kobert.layers import Bert, Heads

EMBEDDING, BIAS = "bert.embeddings.word_embeddings.weight", "cls.predictions.bias"
TIED = {"cls.predictions.decoder.weight": EMBEDDING, "cls.predictions.decoder.bias": BIAS}
INIT = 0.02  # standard deviation of all matrices at the start


class Row(Protocol):
    """Sequences one behind another: data.packing's Packed or MaskedBatch, as tensors."""

    @property
    def tokens(self) -> Tensor: ...  # [T]
    @property
    def types(self) -> Tensor: ...  # [T]
    @property
    def boundaries(self) -> Tensor: ...  # [B+1]


class KoBERTOutput(NamedTuple):
    """What the model makes of a batch; on the padded path [T] is [B, T]."""

    hidden: Tensor  # [T, C]
    pooled: Tensor  # [B, C]
    masked_logits: Tensor | None  # [M, V] at the places that were asked for
    next_sentence_logits: Tensor  # [B, 2] it follows, it does not
    attentions: tuple[Any, ...] | None = None  # of each layer: [H, L, L] of each sequence; padded [B, H, T, T]
    hidden_states: tuple[Tensor, ...] | None = None  # after the embeddings and after each layer


class KoBERT(nn.Module):
    """BERT's encoder with the heads of its pre-training; the names in its state dict are those of transformers.

    Weights start from N(0, 0.02), biases at 0. The output layer is the embedding.
    """

    def __init__(self, config: KoBERTConfig):
        super().__init__()
        self.config = config
        self.bert = Bert(config)
        self.cls = Heads(config)
        self.apply(_start)
        self.register_state_dict_post_hook(_name_tied)
        self.register_load_state_dict_pre_hook(_drop_tied)

    def forward(
        self, batch: Row, masked: Tensor | None = None, *, attentions: bool = False, hidden_states: bool = False
    ) -> KoBERTOutput:
        """Sequences one behind another, no padding.

        masked  [M] places in the row whose pieces are to be guessed
        """
        tokens, boundaries = batch.tokens, batch.boundaries
        self._check(boundaries)
        places = attention.places(boundaries, len(tokens))
        x = self.bert.embeddings(tokens, batch.types, places.position)
        dropout = self.bert.encoder.dropout if self.training else 0.0
        attend = attention.within(places, self.config, _computed_in(x), dropout)
        edges = boundaries.tolist() if attentions else []
        maps = (lambda qkv: attention.maps(qkv, edges)) if attentions else None
        x, seen, states = self._layers(x, attend, maps, hidden_states)
        return self._output(x, x[boundaries[:-1]], None if masked is None else x[masked], seen, states)

    def padded(
        self,
        tokens: Tensor,
        types: Tensor,
        lengths: Tensor,
        masked: Tensor | None = None,
        *,
        attentions: bool = False,
        hidden_states: bool = False,
    ) -> KoBERTOutput:
        """Sequences side by side, filled at their right: tokens, types [B, T], lengths [B].

        masked  [M] places in the flattened batch, b * T + t
        """
        inside = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        x, seen, states = self.encode(tokens, types, inside, attentions, hidden_states)
        chosen = None if masked is None else x.flatten(0, 1)[masked]
        return self._output(x, x[:, 0], chosen, seen, states)

    def encode(
        self, tokens: Tensor, types: Tensor, inside: Tensor, attentions: bool = False, hidden_states: bool = False
    ) -> tuple[Tensor, tuple | None, tuple | None]:
        """tokens, types [B, T], inside [B, T] false where padded -> hidden [B, T, C], attentions, hidden states"""
        mask = inside[:, None, None]

        def maps(qkv: Tensor) -> Tensor:
            query, key, _ = qkv.permute(2, 0, 3, 1, 4)
            scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
            return scores.masked_fill(~mask, -math.inf).softmax(-1)

        x = self.bert.embeddings(tokens, types, torch.arange(tokens.shape[1], device=tokens.device))
        return self._layers(x, attention.side_by_side(mask), maps if attentions else None, hidden_states)

    def freeze_unused(self, *, next_sentence: bool, masked: bool = True, pooled: bool | None = None) -> None:
        """Say which outputs are learnt from; what feeds no other gets requires_grad False.

        pooled  the vector of a sequence; None where only the next sentence asks for it
        """
        self.cls.seq_relationship.requires_grad_(next_sentence)
        self.bert.pooler.requires_grad_(next_sentence if pooled is None else pooled or next_sentence)
        self.cls.predictions.requires_grad_(masked)

    def _check(self, boundaries: Tensor) -> None:
        """ValueError for sequences that are too long or empty; on a GPU the kernels find those."""
        if boundaries.device.type != "cpu" or torch.compiler.is_compiling():
            return
        lengths = boundaries.diff()
        if not len(lengths) or lengths.min() < 1 or lengths.max() > self.config.positions:
            got = f"lengths of {int(lengths.min())} to {int(lengths.max())}" if len(lengths) else "no sequence"
            raise ValueError(f"wanted sequences of 1 to {self.config.positions} tokens, got {got}; lower max_length")

    def _layers(
        self, x: Tensor, attend: Attend, maps: Any, hidden_states: bool
    ) -> tuple[Tensor, tuple | None, tuple | None]:
        seen, states = [], [x]
        dropout = self.bert.encoder.dropout if self.training else 0.0
        look = None if maps is None else lambda qkv: seen.append(maps(qkv))
        for layer in self.bert.encoder.layer:
            x = layer(x, attend, dropout, look)
            states.append(x)
        return x, tuple(seen) if maps is not None else None, tuple(states) if hidden_states else None

    def _output(self, x: Tensor, first: Tensor, chosen: Tensor | None, seen: Any, states: Any) -> KoBERTOutput:
        pooled = self.bert.pooled(first)
        guessed = (
            self.cls.predictions(chosen, self.bert.embeddings.word_embeddings.weight) if chosen is not None else None
        )
        return KoBERTOutput(x, pooled, guessed, self.cls.seq_relationship(pooled), seen, states)


def _computed_in(x: Tensor) -> torch.dtype:
    """The type of matrix products of x: that of autocast where it is on."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


@torch.no_grad()
def _start(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        module.weight.normal_(0.0, INIT)
    if isinstance(module, nn.Linear):
        module.bias.zero_()


def _name_tied(module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: Any) -> None:
    """transformers names the output layer too. A copy, since safetensors takes no two names for one memory."""
    for name, other in TIED.items():
        state[prefix + name] = state[prefix + other].detach().clone()


def _drop_tied(
    module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: Any, strict: bool, missing: Any,
    unexpected: Any, errors: list[str],
) -> None:  # fmt: skip
    for name, other in TIED.items():
        own, shared = state.pop(prefix + name, None), state.get(prefix + other)
        if own is not None and shared is not None and not torch.equal(own.to(shared), shared):
            errors.append(f"wanted {name} to be {other}, since KoBERT's output layer is its embedding; they differ")
