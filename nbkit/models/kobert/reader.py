"""KoBERT with its tokenizer and a head, in one file: opens alone and answers for new texts.

reader = kobert.open_reader("kobert_classify.dataset-nsmc.step-2000.safetensors")
reader.labels, reader.scores(["재미있어요"])
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nbkit.data import packing
from nbkit.data.tokenizer import Tokenizer
from nbkit.models import exports
from nbkit.models.kobert.config import KoBERTConfig
from nbkit.models.kobert.files import describe, from_parts, read, untied, write_folder
from nbkit.models.kobert.heads import Embedder, Matcher, Scorer
from nbkit.models.kobert.model import KoBERT

Encoded = list[tuple[np.ndarray, np.ndarray]]
"""Of each text its ids [T] and types [T]."""

HEADS: dict[str, Any] = {"scores": Scorer, "vector": Embedder, "match": Matcher}
TOKENS_AT_ONCE = 8192  # that a pass over many texts holds
TOGETHER = 512  # texts that are sorted by length and read together


@dataclass
class Reader:
    """A network on KoBERT, and what it takes to ask it.

    labels   names of the outputs of a Scorer; () where it gives one number, or is no Scorer
    """

    model: Scorer | Embedder | Matcher
    tokenizer: Tokenizer
    labels: tuple[str, ...] = ()
    max_length: int = 128

    def scores(self, texts: Sequence[str], pairs: Sequence[str] = ()) -> np.ndarray:
        """What the network says of each text, or of each pair of texts. [N, outputs] float32

        A text that is longer than max_length loses its end.
        raises  ValueError for texts and pairs of different number, TokenizerError for what cannot be read
        """
        if len(pairs) and len(pairs) != len(texts):
            raise ValueError(f"wanted a pair for each text, got {len(texts)} texts and {len(pairs)} pairs")
        return self.scores_of(self.encode(texts, pairs))

    @torch.no_grad()
    def scores_of(self, encoded: Encoded) -> np.ndarray:
        """The same of texts in tokens, (ids, types) of each, as encode() gives them. [N, outputs] float32"""
        self.model.eval()
        found: list[Tensor] = []
        order = np.argsort([len(ids) for ids, _ in encoded], kind="stable")
        for chosen in _pieces(order, encoded):
            found.append(self.model(_row(self.model, [encoded[i] for i in chosen])).float().cpu())
        if not found:
            return np.zeros((0, len(self.labels) or 1), np.float32)
        values = torch.cat(found).numpy()
        back = np.empty_like(values)
        back[order] = values
        return back

    def predict(self, texts: Sequence[str], pairs: Sequence[str] = ()) -> np.ndarray:
        """The likeliest label of each text. [N] str"""
        if not self.labels:
            raise ValueError("wanted a reader with labels, this one gives numbers; ask for scores()")
        return np.array(self.labels)[self.scores(texts, pairs).argmax(-1)]

    def encode(self, texts: Sequence[str], pairs: Sequence[str] = ()) -> Encoded:
        """(ids, types) of each text, or of each pair, with its specials."""
        return encode(self.tokenizer, texts, pairs, self.max_length)

    def about(self) -> dict[str, Any]:
        """What a file of it says of itself, as JSON."""
        outputs = self.model.output.out_features if isinstance(self.model, Scorer) else 0
        kind = next(name for name, head in HEADS.items() if isinstance(self.model, head))
        about = self.tokenizer, kind, outputs, self.labels, self.max_length
        return describe_reader(self.model.encoder.config, *about)

    def save(self, path: str | os.PathLike) -> Path:
        """Write network, tokenizer and labels into one .safetensors file."""
        return exports.write(path, untied(self.model.state_dict()), self.about())

    def save_folder(self, folder: str | os.PathLike) -> Path:
        """Write a folder that transformers opens, with the files of the tokenizer.

        A Scorer becomes BertForSequenceClassification, whose logits are scores(). An Embedder becomes BertModel; the
        mean of its last_hidden_state where attention_mask is 1, divided by its length, is scores().
        raises  ValueError for a Matcher, since transformers has no such head
        """
        if isinstance(self.model, Matcher):
            raise ValueError(
                "wanted a reader of one text with a head that transformers has, got a Matcher of pairs; save() or "
                "export_onnx() write all of it, kobert.save_folder its encoder alone"
            )
        encoder, more = self.model.encoder, {}
        if isinstance(self.model, Scorer):
            bert = {f"bert.{name}": value for name, value in encoder.bert.state_dict().items()}
            state = bert | {f"classifier.{name}": value for name, value in self.model.output.state_dict().items()}
            names = self.labels or tuple(f"score {n}" for n in range(self.model.output.out_features))
            more["architectures"] = ["BertForSequenceClassification"]
            more["problem_type"] = "single_label_classification" if self.labels else "regression"
            more["id2label"] = {str(n): name for n, name in enumerate(names)}
            more["label2id"] = {name: n for n, name in enumerate(names)}
        else:
            state, more["architectures"] = encoder.bert.state_dict(), ["BertModel"]
        return write_folder(Path(folder), state, encoder, self.tokenizer, more)


def describe_reader(
    config: KoBERTConfig, tokenizer: Tokenizer, kind: str, outputs: int, labels: Sequence[str], max_length: int
) -> dict[str, Any]:
    """What a checkpoint or an export says of a reader; kind is one of HEADS, outputs are those of a Scorer."""
    told = {"kind": kind, "outputs": outputs, "labels": list(labels), "max_length": max_length}
    return {**describe(config, tokenizer), "reader": told}


def encode(tokenizer: Tokenizer, texts: Sequence[str], pairs: Sequence[str], max_length: int) -> Encoded:
    """(ids, types) of each text, or of each pair, with its specials; made in portions, to bound memory."""
    if isinstance(texts, str) or isinstance(pairs, str):
        raise ValueError("wanted a list of texts, got one text, which is a list of letters; write [text]")
    found = []
    for start in range(0, len(texts), TOGETHER):
        part = slice(start, start + TOGETHER)
        batch = tokenizer.batch(texts[part], pairs[part] if len(pairs) else None, max_length)
        found += [
            (ids[:length].astype(np.uint16), types[:length].astype(np.uint8))
            for ids, types, length in zip(batch.tokens, batch.types, batch.lengths.tolist())
        ]
    return found


@torch.no_grad()
def attentions(model: KoBERT, encoded: Encoded) -> list[np.ndarray]:
    """How much each token of a text looks at each other, in every head: [L, H, T, T] float32, rows sum to 1.

    Source: paper_notes/bert.md#attention
    encoded  (ids, types) of each text, as encode() gives them
    """
    model.eval()
    found: list[np.ndarray] = []
    for chosen in _pieces(np.arange(len(encoded)), encoded):
        seen = model(_row(model, [encoded[i] for i in chosen]), attentions=True).attentions
        found += [torch.stack(layers).float().cpu().numpy() for layers in zip(*seen)]
    return found


def _row(model: nn.Module, encoded: Encoded) -> packing.Packed:
    """Texts in tokens one behind another, as tensors where the model is."""
    device = next(model.parameters()).device
    return packing.Packed(*(torch.as_tensor(array, device=device) for array in packing.pack(encoded)))


def _pieces(order: np.ndarray, encoded: Encoded) -> list[np.ndarray]:
    """`order`, cut where TOKENS_AT_ONCE are full."""
    ends = np.cumsum([len(encoded[i][0]) for i in order]) // TOKENS_AT_ONCE
    return [part for part in np.split(order, np.flatnonzero(np.diff(ends)) + 1) if len(part)]


def reader_from_parts(weights: dict[str, Tensor], about: dict[str, Any]) -> Reader:
    """A reader from the weights of its network and what about() said."""
    told = about["reader"]
    encoder = from_parts(weights, about)
    if encoder.tokenizer is None:
        raise ValueError("wanted a reader with its tokenizer, got one without; export it again")
    with exports.fitting("reader"):
        head = HEADS[told.get("kind", "scores" if told["outputs"] else "vector")]  # the first exports did not say
        model = Scorer(encoder.model, told["outputs"]) if head is Scorer else head(encoder.model)
        model.load_state_dict(weights)
        return Reader(model.eval(), encoder.tokenizer, tuple(told["labels"]), told["max_length"])


def open_reader(path: str | os.PathLike) -> Reader:
    """A reader from the file that save() wrote; raises ValueError for any other file."""
    path = exports.file(path, "an export of kobert_classify, kobert_regress or kobert_search")
    weights, about = read(path)
    if about is None or "reader" not in about:
        raise ValueError(
            f"wanted an export of kobert_classify, kobert_regress or kobert_search, {path} has no head for a task; "
            "kobert.load opens the encoder alone"
        )
    return reader_from_parts(weights, about)
