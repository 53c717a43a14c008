"""Blanks in texts: what is hidden from KoBERT, what counting alone would guess, and what the model guesses.

Source: paper_notes/bert.md#masked-language-model
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from nbkit.base.record import Record
from nbkit.data import packing
from nbkit.data.packing import MaskedBatch
from nbkit.data.tokenizer import TokenizerError
from nbkit.evaluate import text
from nbkit.evaluate.results import Results
from nbkit.models.kobert import KoBERT
from nbkit.tasks.kobert_pretrain import PROBED, KoBERTPretrainTask
from nbkit.views.blanks import BLANK

COUNTED = 5_000_000  # tokens that the base camp counts
METRIC = "accuracy in blanks"


def hidden(task: KoBERTPretrainTask, count: int = 6) -> list[tuple[str, str]]:
    """Sequences of ordinary length of the first training batch, as the model gets them, and what it is to find out."""
    batch, rows = task.batches("train", 0, 1)[0], []
    first = max(0, (len(batch.boundaries) - 1 - count) // 2)  # they are sorted by length
    for start, end in list(zip(batch.boundaries, batch.boundaries[1:]))[first : first + count]:
        inside = (batch.masked >= start) & (batch.masked < end)
        shown = task.tokenizer.decode(batch.tokens[start:end], specials=True).replace("[MASK]", BLANK)
        rows.append((shown, " · ".join(task.tokenizer.pieces[i] for i in batch.targets[inside])))
    return rows


def base_camp(task: KoBERTPretrainTask, results: Results) -> None:
    """Two guesses without a network: the commonest piece, and the one seen most often between these neighbours."""
    asked = [source[n] for source in [task.batches("validation", 0, 1)] for n in range(min(PROBED, len(source)))]
    truth = np.concatenate([batch.targets for batch in asked])
    began = time.monotonic()
    counts = Neighbours(task)
    guesses = np.concatenate([counts.guess(batch) for batch in asked])
    commonest = np.full_like(truth, counts.commonest)
    results.measure("commonest piece", METRIC, text.accuracy, commonest, truth)
    results.measure("its neighbours", METRIC, text.accuracy, guesses, truth, seconds=time.monotonic() - began)


def enter(task: KoBERTPretrainTask, results: Results, modules: Any, run: Record, name: str) -> None:
    """What the network guesses in the blanks of the same texts, into the table; seconds of learning and guessing."""
    began = time.monotonic()
    guesses, truth = task.guesses(modules["model"])
    seconds = sum(row["seconds"] for row in run.rows("train")) + time.monotonic() - began
    results.measure(name, METRIC, text.accuracy, guesses, truth, seconds=seconds)


class Neighbours:
    """Counts of pieces between their neighbours, in at most COUNTED tokens of the training batches."""

    def __init__(self, task: KoBERTPretrainTask):
        source, rows, total, n = task.batches("train", 0, 1), [], 0, 0
        while total < min(COUNTED, len(task.corpus.tokens)):
            batch = source[n]
            tokens = batch.tokens.copy()
            tokens[batch.masked] = batch.targets
            rows.append(tokens)
            total, n = total + len(tokens), n + 1
        tokens, size = np.concatenate(rows), task.tokenizer.vocabulary
        inside = np.flatnonzero(tokens[1:-1] > task.tokenizer.mask) + 1
        left, middle, right = tokens[inside - 1], tokens[inside], tokens[inside + 1]
        self.commonest = int(np.bincount(middle).argmax())
        self._size = size
        self._between = _likeliest(left * size + right, middle, size)
        self._behind = _likeliest(left, middle, size)

    def guess(self, batch: MaskedBatch) -> np.ndarray:
        """The piece for each place that is asked for; what was never seen falls back on less. [M] int64"""
        left, right = batch.tokens[batch.masked - 1], batch.tokens[batch.masked + 1]  # a special ends each sequence
        found = _look_up(self._behind, left, np.full(len(left), self.commonest))
        return _look_up(self._between, left * self._size + right, found)


def _likeliest(keys: np.ndarray, values: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The value that each key comes with most often: sorted keys, their values."""
    pairs, counts = np.unique(keys * size + values, return_counts=True)
    order = np.lexsort((counts, pairs // size))
    pairs = pairs[order]
    last = np.append(pairs[1:] // size != pairs[:-1] // size, True)
    return pairs[last] // size, pairs[last] % size


def _look_up(table: tuple[np.ndarray, np.ndarray], keys: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    known, values = table
    place = np.searchsorted(known, keys).clip(max=len(known) - 1)
    return np.where(known[place] == keys, values[place], otherwise)


@torch.no_grad()
def fill(task: KoBERTPretrainTask, model: KoBERT, texts: Sequence[str], count: int = 5) -> list[tuple[str, str]]:
    """Each text, with one ▢ for a piece that is hidden, and the pieces that the model would put there.

    raises  TokenizerError for a text without exactly one ▢
    """
    reader, rows = task.tokenizer.with_added(["[MASK]"]), []
    for written in texts:
        if written.count(BLANK) != 1:
            raise TokenizerError(f"wanted a text with one {BLANK} in it, got {written!r}")
        encoded = reader.encode(written.replace(BLANK, "[MASK]"), max_length=task.config.max_length)
        place = np.flatnonzero(encoded.ids == reader.mask)
        if not len(place):
            raise TokenizerError(f"the {BLANK} of {written!r} lies behind max_length; shorten the text")
        packed = packing.pack([(encoded.ids, encoded.types)])
        device = next(model.parameters()).device
        batch = type(packed)(*(torch.as_tensor(array, device=device) for array in packed))
        logits = model.eval()(batch, torch.as_tensor(place, device=device)).masked_logits
        assert logits is not None
        shares, found = logits[0].float().softmax(-1).topk(count)
        told = [f"{task.tokenizer.pieces[i]} {100 * share:.0f}%" for i, share in zip(found.tolist(), shares.tolist())]
        rows.append((written, " · ".join(told)))
    return rows
