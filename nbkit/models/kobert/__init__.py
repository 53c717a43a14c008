"""KoBERT. Source: paper_notes/kobert.md"""

from nbkit.models.kobert.config import SIZES, KoBERTConfig, flop_per_token, sized
from nbkit.models.kobert.files import Loaded, describe, from_parts, load, save_export
from nbkit.models.kobert.model import KoBERT, KoBERTOutput

__all__ = [
    "SIZES",
    "KoBERT",
    "KoBERTConfig",
    "KoBERTOutput",
    "Loaded",
    "describe",
    "flop_per_token",
    "from_parts",
    "load",
    "save_export",
    "sized",
]
