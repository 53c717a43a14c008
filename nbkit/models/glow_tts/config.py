"""The size and shape of a Glow-TTS."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class GlowTTSConfig:
    """Everything that decides the shape of the parameters. Defaults are those of the paper.

    Source: paper_notes/glow_tts.md#architecture
    """

    vocabulary: int
    bands: int = 80
    hidden: int = 192  # encoder width
    filter: int = 768  # feed-forward width
    duration_filter: int = 256
    kernel: int = 3  # of the feed-forward and duration convolutions
    heads: int = 2
    encoder_layers: int = 6
    window: int = 4  # relative positions reach this many tokens to each side
    encoder_dropout: float = 0.1
    prenet: bool = True
    prenet_dropout: float = 0.5
    mean_only: bool = True  # the prior's log sigma is 0
    blocks: int = 12  # flow blocks
    decoder_hidden: int = 192
    decoder_layers: int = 4  # WaveNet layers in each block
    decoder_kernel: int = 5
    dilation_rate: int = 1
    decoder_dropout: float = 0.05
    split: int = 4  # channels that one invertible convolution mixes
    squeeze: int = 2  # frames joined into one
    sigmoid_scale: bool = False
    speakers: int = 1  # an embedding is made for more than one
    speaker_channels: int = 64

    def __post_init__(self):
        counts = ("vocabulary", "bands", "hidden", "heads", "split", "squeeze", "speakers", "decoder_layers")
        if wrong := [f"{name} {getattr(self, name)!r}" for name in counts if not getattr(self, name) >= 1]:
            raise ValueError(f"wanted sizes of 1 or more, got {', '.join(wrong)}")
        if not (self.kernel % 2 and self.decoder_kernel % 2):
            raise ValueError(f"kernels must be odd, to keep the length, got {self.kernel} and {self.decoder_kernel}")
        if self.speakers > 1 and self.speaker_channels < 1:
            raise ValueError(
                f"{self.speakers} speakers want speaker_channels of 1 or more, got {self.speaker_channels}"
            )
        if self.hidden % self.heads:
            raise ValueError(f"hidden must divide into heads, got {self.hidden} and {self.heads}")
        if self.split % 2 or (self.bands * self.squeeze) % self.split:
            raise ValueError(
                f"split must be even and divide bands x squeeze = {self.bands * self.squeeze}, got {self.split}"
            )

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GlowTTSConfig:
        return cls(**values)


SIZES: dict[str, dict[str, Any]] = {
    "tiny": dict(
        hidden=112, filter=384, duration_filter=96, encoder_layers=3, blocks=4, decoder_hidden=48, decoder_layers=3
    ),
    "small": dict(
        hidden=128, filter=512, duration_filter=192, encoder_layers=4, blocks=8, decoder_hidden=128, decoder_layers=4
    ),
    "paper": {},
}
"""Named sizes: about 1.6 million, 9 million and 28.6 million parameters.

The decoder of "tiny" is small on purpose: the less the flow can explain by itself, the sooner the alignment is found.
"""


def sized(size: str, **fields: Any) -> GlowTTSConfig:
    """The configuration of a named size, `fields` (vocabulary at least) replacing its values."""
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
    return GlowTTSConfig(**(SIZES[size] | fields))
