"""WaveRNN. Source: paper_notes/wavernn.md"""

from nbkit.models.wavernn.config import SIZES, WaveRNNConfig, scales_of, sized
from nbkit.models.wavernn.model import WaveRNN
from nbkit.models.wavernn.vocoder import Vocoder, describe, from_parts, load

__all__ = [
    "SIZES",
    "Vocoder",
    "WaveRNN",
    "WaveRNNConfig",
    "describe",
    "from_parts",
    "load",
    "scales_of",
    "sized",
]
