"""What the tasks share that put KoBERT to use: rows to batches, a model to start from, one optimiser.

Source: paper_notes/bert.md#fine-tuning
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from nbkit.base import record, seeds
from nbkit.base.params import param
from nbkit.data import manifest, text_sets
from nbkit.data.disk import DataError
from nbkit.data.text_sets import TextRow
from nbkit.data.tokenizer import Tokenizer
from nbkit.models import kobert
from nbkit.models.kobert import KoBERT
from nbkit.tasks import encoders
from nbkit.train import store
from nbkit.train.store import CheckpointError
from nbkit.train.task import Modules, Optimization, Training
from nbkit.train.trained import weights_fingerprint


@dataclass(frozen=True)
class FineTune(Training):
    """Parameters that all tasks on KoBERT have."""

    count: int = param(0, "Learn from so many rows of the data set. 0 takes all.", low=0)
    init_from: str = param(
        "auto",
        "A run of 41_kobert_pretrain, an export, kobert_weights (as published). auto: newest run; none: random.",
    )
    tokenizer: str = param("auto", "Where the start has none: kobert, new, or a folder. auto: kobert where it lies.",
                           auto=("kobert_tokenizer",))  # fmt: skip
    vocabulary: int = param(8000, "Pieces of a new tokenizer.", low=100, high=60_000)
    size: str = param("tiny", "Size of the model that starts from random weights.", choices=tuple(kobert.SIZES))
    max_length: int = param(128, "What is longer loses its end.", unit="tokens", low=8, high=512)
    dropout: float = param(0.1, "Dropout.", low=0.0, high=0.9)
    weight_decay: float = param(0.01, "Weight decay of the matrices.", low=0.0)
    stop_at: int = param(
        300, "Train to this step, counted from 0 also after a resume.", unit="steps", low=1, identity=False
    )
    schedule_steps: int = param(300, "The learning rate has fallen to 0 here.", unit="steps", low=2)
    batch_size: int = param(32, "Rows a step, over all processes.", low=1)
    learning_rate: float = param(1e-3, "Greatest learning rate, reached after the warm-up.", low=0.0)


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
SMALL = {"size": "small", "batch_size": 64, "learning_rate": 3e-4}
BASE = {
    "size": "base",
    "batch_size": 128,
    "learning_rate": 5e-5,
    "warmup_steps": 235,
    "evaluate_every": 500,
    "save_every": 250,
}


class FineTuneTask:
    """A data set of texts, a KoBERT to start from, and the parts of a task that are the same for all."""

    name: str

    def __init__(self, config: Any):
        """Open the data set and the weights; raises DataError, FileNotFoundError or ValueError in words."""
        self.config = config
        encoders.check_schedule(config)
        self.texts = text_sets.open_text_set(manifest.asked(config, "dataset"), config.count)
        self.origin, self.parent = self._begin(config.init_from)
        self.config = dataclasses.replace(config, init_from=self.origin or "none")
        self.tokenizer = self._tokenizer()
        self.model_config = self._shape()
        if config.max_length > self.model_config.positions:
            raise ValueError(
                f"wanted max_length of at most {self.model_config.positions}, got {config.max_length}; lower it"
            )

    def _begin(self, source: str) -> tuple[str, kobert.Loaded | None]:
        """The weights to start from, and the name that finds them again; "" and None for random ones.

        "auto" stays with what an unfinished run of these parameters began with, also where pre-training went on.
        """
        if source == "auto":
            source = self._unfinished() or encoders.newest_run() or "none"
        return ("", None) if source == "none" else encoders.open_encoder(source)

    def _unfinished(self) -> str:
        """What the newest run that differs from this one in nothing but its start began with, if it is not finished."""
        wanted = {**self.config.identity(), "init_from": ""}
        for run in record.runs(self.name):
            known = run.config.get("identity", {})
            if {**known, "init_from": ""} == wanted and run.status()["state"] not in ("finished", "new"):
                with contextlib.suppress(FileNotFoundError, DataError, CheckpointError):  # what it began with is gone
                    return encoders.open_encoder(known["init_from"])[0] if known["init_from"] != "none" else ""
        return ""

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
        return dataclasses.replace(known, dropout=self.config.dropout, attention_dropout=None)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(rows):,} {split}" for split, rows in self.texts.splits.items())
        none = "random weights; init_from names others, a run of 41_kobert_pretrain or kobert_weights"
        return f"{self.texts.name}: {counts}; starts from {self.origin or none}"

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

    @staticmethod
    def seconds(run: record.Record) -> float:
        """That training took, all sessions together, without evaluations."""
        return sum(row["seconds"] for row in run.rows("train"))

    def record(self) -> record.Record:
        """The run folder of these parameters, opened for writing."""
        weights = weights_fingerprint(self.parent.model) if self.parent is not None else "random"
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
        return {"adam": Optimization(adam, encoders.check_schedule(self.config), clip_norm=1.0)}

    def prepare(self, modules: Modules, batch: Any) -> None: ...

    def amount(self, batch: Any) -> dict[str, int]:
        return {"tokens": len(batch.tokens)}

    def told(self) -> dict[str, Any]:
        """What the name of an export says first."""
        return {}

    def reader(self, modules: Modules) -> kobert.Reader:
        """The network with all that it takes to ask it."""
        return kobert.Reader(modules["model"], self.tokenizer, self.texts.labels, self.config.max_length)

    @property
    def reads_as(self) -> tuple[str, int]:
        """The kind of head, as kobert.describe_reader has it, and the outputs of a Scorer."""
        raise NotImplementedError

    def contents(self) -> dict[str, Any]:
        about = self.texts.labels, self.config.max_length
        return kobert.describe_reader(self.model_config, self.tokenizer, *self.reads_as, *about)

    def export(self, modules: Modules, folder: Path, step: int) -> Path:
        """Write network and tokenizer into folder/exports as one file that opens alone, see kobert.open_reader."""
        about = {**self.told(), "dataset": self.texts.name, "seed": self.config.seed, "step": step}
        path = folder / "exports" / f"{record.export_name(self.name, **about)}.safetensors"
        self.reader(modules).save(path)
        store.copy_export(path)
        return path


def columns(rows: Iterable[TextRow]) -> tuple[list[str], list[str]]:
    """The texts of rows and their pairs; no pairs where no row has one."""
    rows = list(rows)
    pairs = [row.pair for row in rows]
    return [row.text for row in rows], pairs if any(pairs) else []
