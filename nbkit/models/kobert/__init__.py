"""KoBERT. Source: paper_notes/kobert.md

loaded = kobert.load("kobert_pretrain.step-2000.safetensors")
tokenizer = loaded.tokenizer.with_added(["노잼", "ㅋㅋㅋ"])         words of one's own, each one id
model = kobert.widened(loaded.model, tokenizer)                  starts them from the pieces that they were
kobert.save_export("wider.safetensors", model, tokenizer, {})    to go on with, as `init_from` of a task
"""

from nbkit.models.kobert.config import SIZES, KoBERTConfig, flop_per_token, sized
from nbkit.models.kobert.files import Loaded, describe, from_parts, load, read, save_export, save_folder
from nbkit.models.kobert.heads import Embedder, Matcher, Scorer
from nbkit.models.kobert.model import KoBERT, KoBERTOutput
from nbkit.models.kobert.onnx import export_onnx
from nbkit.models.kobert.reader import (
    Encoded,
    Reader,
    attentions,
    describe_reader,
    encode,
    open_reader,
    reader_from_parts,
)
from nbkit.models.kobert.wider import widened

__all__ = [
    "SIZES",
    "Embedder",
    "Encoded",
    "KoBERT",
    "KoBERTConfig",
    "KoBERTOutput",
    "Loaded",
    "Matcher",
    "Reader",
    "Scorer",
    "attentions",
    "describe",
    "describe_reader",
    "encode",
    "export_onnx",
    "flop_per_token",
    "from_parts",
    "load",
    "open_reader",
    "read",
    "reader_from_parts",
    "save_export",
    "save_folder",
    "sized",
    "widened",
]
