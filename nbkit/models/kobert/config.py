"""The size and shape of a KoBERT."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class KoBERTConfig:
    """Everything that decides what the model computes. Defaults are those of KoBERT.

    Source: paper_notes/kobert.md#architecture
    """

    vocabulary: int
    hidden: int = 768
    layers: int = 12
    heads: int = 12
    filter: int = 3072  # width between the two feed-forward maps
    positions: int = 512  # most tokens of a sequence
    types: int = 2
    dropout: float = 0.1
    attention_dropout: float | None = None  # of attention weights; None takes `dropout`
    eps: float = 1e-12  # of the layer norms

    def __post_init__(self):
        counts = ("vocabulary", "hidden", "layers", "heads", "filter", "positions", "types")
        if wrong := [f"{name} {getattr(self, name)!r}" for name in counts if not getattr(self, name) >= 1]:
            raise ValueError(f"wanted sizes of 1 or more, got {', '.join(wrong)}")
        if self.hidden % self.heads:
            raise ValueError(f"hidden must divide into heads, got {self.hidden} and {self.heads}")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise ValueError(f"wanted a {name} of 0 or more and less than 1, got {getattr(self, name)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """All that must agree for weights to fit: vocabulary, hidden, layers, heads, filter, positions, types."""
        return self.vocabulary, self.hidden, self.layers, self.heads, self.filter, self.positions, self.types

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> KoBERTConfig:
        return cls(**values)


SIZES: dict[str, dict[str, Any]] = {
    "tiny": dict(hidden=64, layers=2, heads=2, filter=256),
    "small": dict(hidden=256, layers=4, heads=4, filter=1024),
    "base": {},
}
"""Named sizes: with KoBERT's 8,002 pieces 0.7, 5.5 and 92.8 million parameters, heads included."""


def sized(size: str, vocabulary: int, dropout: float = 0.1, **changes: Any) -> KoBERTConfig:
    """The configuration of a named size for so many pieces, `changes` replacing its values."""
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
    return KoBERTConfig(**(SIZES[size] | {"vocabulary": vocabulary, "dropout": dropout} | changes))


def flop_per_token(config: KoBERTConfig, mask_rate: float) -> float:
    """Operations of forward and backward for each token of a batch: six a weight that it meets.

    The output layer and what leads to it meet only the share `mask_rate` of the tokens. Left out are the products of
    queries with keys and of weights with values, which grow with the length (12 x hidden x length x layers; 1 % at
    KoBERT's size and 64 tokens), the pooler and look-ups.
    """
    layer = 4 * config.hidden**2 + 2 * config.hidden * config.filter
    output = config.hidden**2 + config.hidden * config.vocabulary
    return 6.0 * (config.layers * layer + mask_rate * output)
