"""The size and shape of a WaveRNN."""

from __future__ import annotations

import dataclasses
import math
from typing import Any


@dataclasses.dataclass(frozen=True)
class WaveRNNConfig:
    """Everything that decides the shape of the parameters. Defaults are those that the community runs.

    Source: paper_notes/wavernn.md#community-model. But the conditioning network normalises over the channels of each
    frame and not over the batch, so that a frame means the same in any batch, on any number of processes, and alone.
    """

    bands: int = 80
    hop: int = 256  # samples a frame
    scales: tuple[int, ...] = (4, 8, 8)  # the steps in which a frame is stretched to `hop` samples
    floor: float = 1e-5  # of the mel before its logarithm
    context: int = 2  # frames to each side that the conditioning of a frame sees
    stack: int = 128  # width of the conditioning stack
    blocks: int = 10  # residual blocks in it
    aux: int = 32  # channels of each part that it gives
    hidden: int = 512
    grus: int = 2
    layers: int = 512  # width of the two layers behind the GRUs
    output: str = "mixture"  # of logistics, or "classes" of a mu-law
    mixtures: int = 10
    bits: int = 9  # of the mu-law
    emphasis: float = 0.0  # share of the sample before that is taken off each one, in what the network sees

    def __post_init__(self):
        object.__setattr__(self, "scales", tuple(int(scale) for scale in self.scales))  # JSON has lists
        counts = ("bands", "hop", "context", "stack", "aux", "hidden", "grus", "layers", "mixtures", "bits")
        if wrong := [f"{name} {getattr(self, name)!r}" for name in counts if not getattr(self, name) >= 1]:
            raise ValueError(f"wanted sizes of 1 or more, got {', '.join(wrong)}")
        if math.prod(self.scales) != self.hop or self.hop % 2:
            raise ValueError(f"scales must multiply to an even hop, got {self.scales} and {self.hop}; change either")
        if self.grus > 2 or self.bits > 12:
            raise ValueError(f"wanted 1 or 2 GRUs and 12 bits at most, got {self.grus} and {self.bits}")
        if not 0 <= self.emphasis < 1:
            raise ValueError(f"emphasis must be from 0 to below 1, got {self.emphasis!r}")
        if self.output not in ("mixture", "classes"):
            raise ValueError(f"output must be mixture or classes, got {self.output!r}")
        reach = 1.0 + sum(1 / math.prod(self.scales[:i]) for i in range(1, len(self.scales)))
        if self.context < math.ceil(reach - 0.5):
            raise ValueError(f"the stretching of {self.scales} sees {reach:.1f} frames, got context {self.context}")

    @property
    def channels(self) -> int:
        """K, the channels of the conditioning of a sample."""
        return self.bands + (self.grus + 2) * self.aux

    @property
    def outputs(self) -> int:
        """O, the logits of a sample."""
        return 3 * self.mixtures if self.output == "mixture" else 2**self.bits

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"scales": list(self.scales)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> WaveRNNConfig:
        return cls(**values)


SIZES: dict[str, dict[str, Any]] = {
    "tiny": dict(stack=32, blocks=2, aux=8, hidden=64, grus=1, layers=64),
    "small": dict(stack=64, blocks=4, aux=16, hidden=192, grus=1, layers=192),
    "paper": {},
}
"""Named sizes: about 50 thousand, 500 thousand and 4.3 million parameters."""


def sized(size: str, **fields: Any) -> WaveRNNConfig:
    """The configuration of a named size, `fields` replacing its values."""
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
    return WaveRNNConfig(**(SIZES[size] | fields))


def scales_of(hop: int) -> tuple[int, ...]:
    """Up to three factors of a hop, smallest first, near to each other: 256 gives (4, 8, 8), 275 gives (5, 5, 11)."""
    found = [(a, b, hop // (a * b)) for a in _divisors(hop) for b in _divisors(hop // a) if a <= b <= hop // (a * b)]
    best = min(found, key=lambda factors: (max(factors), -factors[0]))
    return tuple(factor for factor in best if factor > 1) or (1,)


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
