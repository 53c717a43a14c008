"""What the tasks share that put KoBERT to use: rows to batches, a model to start from, one optimiser.

Source: paper_notes/bert.md#fine-tuning
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from nbkit.base import record, seeds
from nbkit.base.params import param
from nbkit.data import text_sets
from nbkit.data.speech import epoch_order
from nbkit.data.text_sets import TextRow
from nbkit.data.tokenizer import Tokenizer
from nbkit.models import kobert
from nbkit.models.kobert import KoBERT
from nbkit.tasks import encoders
from nbkit.train import store
from nbkit.train.task import Modules, Optimization, Training, warmup_linear


@dataclass(frozen=True)
class FineTune(Training):
    """Parameters that all tasks on KoBERT have."""

    count: int = param(0, "Learn from so many rows of the data set. 0 takes all.", low=0)
    init_from: str = param(
        "auto",
        "A run of 41_kobert_pretrain, an export, or kobert_weights: the published KoBERT, once it and kobert_tokenizer "
        "are fetched (`nbkit data fetch NAME`). auto: the newest run; none: random weights.",
    )
    tokenizer: str = param("auto", "Where the start has none: kobert, new, or a folder. auto: kobert where it lies.")
    vocabulary: int = param(8000, "Pieces of a new tokenizer.", low=100, high=60_000)
    size: str = param("small", "Size of the model that starts from random weights.", choices=tuple(kobert.SIZES))
    max_length: int = param(128, "What is longer loses its end.", unit="tokens", low=8, high=512)
    dropout: float = param(0.1, "Dropout.", low=0.0, high=0.9)
    weight_decay: float = param(0.01, "Weight decay of the matrices.", low=0.0)
    stop_at: int = param(
        2000, "Train to this step, counted from 0 also after a resume.", unit="steps", low=1, identity=False
    )
    schedule_steps: int = param(2000, "The learning rate has fallen to 0 here.", unit="steps", low=2)
    batch_size: int = param(64, "Rows a step, over all processes.", low=1)
    learning_rate: float = param(3e-4, "Greatest learning rate, reached after the warm-up.", low=0.0)


SMOKE = {
    "size": "tiny",
    "tokenizer": "new",
    "vocabulary": 200,
    "batch_size": 32,
    "stop_at": 200,
    "schedule_steps": 200,
    "warmup_steps": 20,
    "learning_rate": 3e-3,
    "evaluate_every": 100,
    "save_every": 50,
}
BASE = {"batch_size": 128, "learning_rate": 5e-5, "warmup_steps": 235, "evaluate_every": 500, "save_every": 250}


class FineTuneTask:
    """A data set of texts, a KoBERT to start from, and the parts of a task that are the same for all."""

    name: str
    smoke_set: str  # what "auto" takes where the real set is not on this machine
    real_set: str

    def __init__(self, config: Any):
        """Open the data set and the weights; raises DataError, FileNotFoundError or ValueError in words."""
        self.config = config
        self.rate = warmup_linear(config.learning_rate, config.warmup_steps, config.schedule_steps)
        name = config.dataset
        if name == "auto":
            name = self.real_set if text_sets.here(self.real_set) else self.smoke_set
        self.texts = text_sets.open_text_set(name, config.count)
        self.origin = config.init_from
        if self.origin == "auto":
            self.origin = encoders.newest_run()
        elif self.origin == "none":
            self.origin = ""
        self.parent = encoders.open_encoder(self.origin) if self.origin else None
        self.tokenizer = self._tokenizer()
        self.model_config = self._shape()
        if config.max_length > self.model_config.positions:
            raise ValueError(
                f"wanted max_length of at most {self.model_config.positions}, got {config.max_length}; lower it"
            )

    def _tokenizer(self) -> Tokenizer:
        if self.parent is not None and self.parent.tokenizer is not None:
            return self.parent.tokenizer
        lines = lambda: (text for row in self.texts.splits["train"] for text in (row.text, row.pair) if text)  # noqa: E731
        return encoders.open_tokenizer(self.config.tokenizer, lines, self.texts.fingerprint, self.config.vocabulary)

    def _shape(self) -> kobert.KoBERTConfig:
        if self.parent is None:
            return kobert.sized(self.config.size, self.tokenizer.vocabulary, dropout=self.config.dropout)
        known = self.parent.model.config
        if known.vocabulary != self.tokenizer.vocabulary:
            raise ValueError(
                f"wanted weights of {self.tokenizer.vocabulary:,} pieces, as the tokenizer has, {self.origin} has "
                f"{known.vocabulary:,}; name its own tokenizer"
            )
        return dataclasses.replace(known, dropout=self.config.dropout)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(rows):,} {split}" for split, rows in self.texts.splits.items())
        return f"{self.texts.name}: {counts}; starts from {self.origin or 'random weights'}"

    def from_random(self) -> Self:
        """The same task and the same shape of a model, from random weights: what pre-training is measured against."""
        other = copy.copy(self)
        other.config = dataclasses.replace(self.config, init_from="none")
        other.parent, other.origin = None, ""
        return other

    @property
    def start(self) -> str:
        """How this run's row in a table of results is called."""
        return "pre-trained" if self.origin else "random start"

    def record(self) -> record.Record:
        """The run folder of these parameters, opened for writing."""
        weights = encoders.weights_fingerprint(self.parent.model) if self.parent is not None else "random"
        fingerprint = f"{self.texts.fingerprint} {self.tokenizer.fingerprint} {weights} {self.model_config.shape}"
        return record.Record.open(self.name, self.config, fingerprint, repeat=self.config.repeat)

    def store(self, run: record.Record) -> store.CheckpointStore:
        """The checkpoints of a run, with their mirror where there is a place for one."""
        return store.open_store(run, self.config.keep, self.config.mirror_every)

    def head(self, encoder: KoBERT) -> nn.Module:
        """The network of the task, on an encoder."""
        raise NotImplementedError

    def modules(self) -> Modules:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.key(self.config.seed, "init"))
            encoder = KoBERT(self.model_config)
            if self.parent is not None:
                encoder.load_state_dict(self.parent.model.state_dict())
            return {"model": self.head(encoder)}

    def optimizations(self, modules: Modules) -> dict[str, Optimization]:
        groups = encoders.decayed(modules["model"], self.config.weight_decay)
        adam = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-6, fused=True)
        return {"adam": Optimization(adam, self.rate, clip_norm=1.0)}

    def prepare(self, modules: Modules, batch: Any) -> None: ...

    def amount(self, batch: Any) -> dict[str, int]:
        return {"tokens": len(batch.tokens)}

    def reader(self, modules: Modules) -> kobert.Reader:
        """The network with all that it takes to ask it."""
        return kobert.Reader(modules["model"], self.tokenizer, self.texts.labels, self.config.max_length)

    @property
    def outputs(self) -> int:
        """Numbers that the network gives for a text; 0 where it gives a vector."""
        raise NotImplementedError

    def contents(self) -> dict[str, Any]:
        about = self.texts.labels, self.config.max_length
        return kobert.describe_reader(self.model_config, self.tokenizer, self.outputs, *about)

    def export(self, modules: Modules, folder: Path, step: int) -> Path:
        """Write network and tokenizer into folder/exports as one file that opens alone, see kobert.open_reader."""
        about = {"dataset": self.texts.name, "seed": self.config.seed, "step": step}
        path = folder / "exports" / f"{record.export_name(self.name, **about)}.safetensors"
        self.reader(modules).save(path)
        store.copy_export(path)
        return path


class Rows:
    """Training batches of rows: item n is part `part` of `parts` of the n-th batch of the run, by length."""

    def __init__(
        self,
        lengths: Sequence[int],
        collate: Callable[[np.ndarray, int], Any],
        batch_size: int,
        seed: int,
        part: int,
        parts: int,
    ):
        """collate   makes a batch from the numbers of its rows and n"""
        if not len(lengths):
            raise ValueError("wanted rows to learn from, the data set has none in its split 'train'")
        self.batch_size = min(batch_size, len(lengths))
        if self.batch_size < parts:
            raise ValueError(
                f"a batch of {self.batch_size} rows cannot be shared by {parts} processes and micro-batches; use fewer "
                "of them, or a larger batch"
            )
        self._lengths, self._collate, self._seed = np.asarray(lengths), collate, seed
        self._part, self._parts = part, parts
        self._per_epoch = -(-len(lengths) // self.batch_size)
        self._order = functools.lru_cache(maxsize=2)(self._batches)

    def _batches(self, epoch: int) -> np.ndarray:
        return epoch_order(self._lengths, self.batch_size, self._seed, epoch, pool=1)

    def __getitem__(self, n: int) -> Any:
        epoch, index = divmod(n, self._per_epoch)
        return self._collate(self._order(epoch)[index][self._part :: self._parts], n)


class InOrder:
    """All rows once, by length: item n of len() batches; with several processes each takes its part."""

    def __init__(
        self,
        lengths: Sequence[int],
        collate: Callable[[np.ndarray, int], Any],
        batch_size: int,
        part: int,
        parts: int,
    ):
        order = np.argsort(lengths, kind="stable")[part::parts]
        self._batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        self._collate = collate

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, n: int) -> Any:
        return self._collate(self._batches[n], n)


def columns(rows: Iterable[TextRow]) -> tuple[list[str], list[str]]:
    """The texts of rows and their pairs; no pairs where no row has one."""
    rows = list(rows)
    pairs = [row.pair for row in rows]
    return [row.text for row in rows], pairs if any(pairs) else []
