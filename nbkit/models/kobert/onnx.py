"""KoBERT, alone or with a head for a task, for onnxruntime; proven equal on the spot."""

from __future__ import annotations

import copy
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nbkit.data.tokenizer import Tokenizer
from nbkit.models.kobert.heads import Embedder, Matcher, Scorer
from nbkit.models.kobert.model import KoBERT
from nbkit.models.kobert.reader import Reader

INPUTS = "input_ids", "attention_mask", "token_type_ids"  # [B, T] int64 each
OUTPUTS = "hidden", "pooled", "masked_logits"  # [B, T, C], [B, C], [M, V] where input_ids is [MASK], row by row
TOLERANCE = 1e-4
_SHAPES = (1, 1), (2, 7), (1, 40), (5, 23)  # that parity is proven on, as far as the model has places for them


class _Padded(nn.Module):
    """The padded path under the names that are usual for inputs."""

    outputs = OUTPUTS

    def __init__(self, model: KoBERT):
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, ...]:
        hidden, _, _ = self.model.encode(input_ids, token_type_ids, attention_mask > 0)
        embedding = self.model.bert.embeddings.word_embeddings.weight
        chosen = hidden[input_ids == Tokenizer.mask]
        return hidden, self.model.bert.pooled(hidden[:, 0]), self.model.cls.predictions(chosen, embedding)


class _Answering(nn.Module):
    """The same of a network with a head."""

    def __init__(self, model: Scorer | Embedder | Matcher):
        super().__init__()
        self.model, self.config = model, model.encoder.config
        self.outputs = ("vector",) if isinstance(model, Embedder) else ("logits",)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, ...]:
        return (self.model.padded(input_ids, token_type_ids, attention_mask > 0),)


def export_onnx(path: str | os.PathLike, model: KoBERT | Reader) -> Path:
    """Write an .onnx file of a model for batches of any size and length.

    Inputs are INPUTS. Outputs of the encoder with the head that guesses are OUTPUTS; of a reader they are what its
    scores() are: "logits" [B, outputs] in the order of its labels or [B, 1] of a pair, or the unit "vector" [B, C].
    Before it returns, onnxruntime has run the file on random batches.
    raises  ImportError where onnx, onnxscript or onnxruntime lacks; RuntimeError where outputs differ by over 1e-4
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"an export to ONNX wants onnx, onnxscript and onnxruntime, {error.name} is not installed; run "
            "pip install onnx onnxscript onnxruntime"
        ) from error
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    own = copy.deepcopy(model.model if isinstance(model, Reader) else model).float().cpu().eval()
    padded = _Padded(own) if isinstance(own, KoBERT) else _Answering(own)
    temporary = path.with_name(f".{path.name}")
    try:
        _write(temporary, padded)
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        worst = max(_difference(session, padded, np.random.default_rng(n), *shape) for n, shape in enumerate(_SHAPES))
        if not worst <= TOLERANCE:
            raise RuntimeError(
                f"wanted an ONNX file within {TOLERANCE} of the model, got a difference of {worst:.2g}, so none was "
                "written; try other versions of onnxscript and onnxruntime"
            )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _write(path: Path, padded: _Padded | _Answering) -> None:
    example = _batch(np.random.default_rng(0), 2, min(6, padded.config.positions), padded.config)
    axes: Any = {name: {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for name in INPUTS}
    chatter = logging.getLogger("torch.onnx")
    level = chatter.level
    chatter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the exporter itself uses
            torch.onnx.export(
                padded,
                tuple(map(torch.as_tensor, example)),
                path,
                input_names=list(INPUTS),
                output_names=list(padded.outputs),
                dynamic_shapes=axes,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        chatter.setLevel(level)


def _batch(rng: np.random.Generator, batch: int, tokens: int, config: Any) -> list[np.ndarray]:
    """Random inputs: the first row whole, others of any length; in the first row a [MASK] where there is room."""
    lengths = np.array([tokens, *rng.integers(1, tokens + 1, batch - 1)])
    inside = np.arange(tokens) < lengths[:, None]
    ids = np.where(inside, rng.integers(0, config.vocabulary, (batch, tokens)), Tokenizer.pad)
    ids[0, tokens // 2] = Tokenizer.mask if tokens > 1 else Tokenizer.cls
    types = np.where(inside, rng.integers(0, config.types, (batch, tokens)), 0)
    return [ids.astype(np.int64), inside.astype(np.int64), types.astype(np.int64)]


@torch.no_grad()
def _difference(session: Any, padded: _Padded | _Answering, rng: np.random.Generator, batch: int, tokens: int) -> float:
    """The greatest between what the file and the model give for a random batch."""
    config = padded.config
    inputs = _batch(rng, batch, min(tokens, config.positions), config)
    theirs = session.run(list(padded.outputs), dict(zip(INPUTS, inputs)))
    ours = [output.numpy() for output in padded(*map(torch.as_tensor, inputs))]
    inside = inputs[1] > 0
    if padded.outputs == OUTPUTS:  # what stands where nothing is to read means nothing
        theirs[0], ours[0] = theirs[0][inside], ours[0][inside]
    return max(
        float(np.abs(a - b).max(initial=0)) if a.shape == b.shape else float("inf") for a, b in zip(theirs, ours)
    )
