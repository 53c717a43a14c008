"""KoBERT learns from running text: what 41_kobert_pretrain runs.

Pieces of the text are hidden and have to be guessed (MLM); on request it also says whether one text follows another
(NSP).

Source: paper_notes/bert.md
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nbkit.base import record, seeds
from nbkit.base.params import param
from nbkit.data import packing
from nbkit.data.packing import MaskedBatch
from nbkit.models import kobert
from nbkit.models.kobert import KoBERT
from nbkit.tasks import encoders
from nbkit.train import store
from nbkit.train.device import tensors
from nbkit.train.loop import FitResult
from nbkit.train.task import Modules, Optimization, Picture, Probe, Training
from nbkit.views.blanks import BLANK

PROBED = 8  # validation batches that a probe guesses in
SHOWN = 8  # blanks in its picture
RAMP_FROM = 0.125  # share of batch_size that a ramp begins with


@dataclass(frozen=True)
class KoBERTPretrain(Training):
    """Parameters of 41_kobert_pretrain."""

    corpus: str = param(
        "auto",
        "A text set of data_manifests, or the path of a folder of text. auto: reviews where they lie, else made.",
        auto=encoders.RUNNING,
    )
    tokenizer: str = param("auto", "kobert, new (learnt from the corpus), or a folder. auto: kobert where it lies.",
                           auto=("kobert_tokenizer",))  # fmt: skip
    vocabulary: int = param(8000, "Pieces of a new tokenizer.", low=100, high=60_000)
    size: str = param("tiny", "Size of the model. base is KoBERT's.", choices=tuple(kobert.SIZES))
    context: str = param(
        "line", "What is read at once: a line, or lines of a document up to max_length.", choices=("line", "document")
    )
    max_length: int = param(128, "Longest sequence.", unit="tokens", low=8, high=512)
    mask_rate: float = param(0.15, "Share of the pieces that are to be guessed.", low=0.01, high=0.9)
    whole_word: bool = param(False, "Hide all pieces of an eojeol together.")
    next_sentence: bool = param(False, "Also learn whether one text follows another; wants documents.")
    dropout: float = param(0.1, "Dropout.", low=0.0, high=0.9)
    weight_decay: float = param(0.01, "Weight decay of the matrices.", low=0.0)
    stop_at: int = param(
        1000, "Train to this step, counted from 0 also after a resume.", unit="steps", low=1, identity=False
    )
    schedule_steps: int = param(1000, "The learning rate has fallen to 0 here.", unit="steps", low=2)
    batch_size: int = param(32, "Sequences a step, over all processes.", low=1)
    ramp_steps: int = param(0, "Let the batch grow from an eighth in so many steps. 0 starts whole.", low=0)
    compile: bool = param(False, "Compile the network, which takes a minute. Not measured on a GPU.", identity=False)

    PRESETS: ClassVar = {
        "smoke": {
            "corpus": "made_documents",
            "size": "tiny",
            "tokenizer": "new",
            "vocabulary": 600,
            "batch_size": 32,
            "learning_rate": 5e-3,
            "stop_at": 200,
            "schedule_steps": 200,
            "warmup_steps": 20,
            "evaluate_every": 100,
            "save_every": 50,
        },
        "cpu": {
            "size": "small",
            "batch_size": 128,
            "learning_rate": 1e-3,
            "precision": "bf16",
            "stop_at": 4000,
            "schedule_steps": 4000,
            "warmup_steps": 400,
            "evaluate_every": 500,
            "save_every": 250,
        },
        "colab": {
            "corpus": "nsmc_raw",
            "size": "base",
            "batch_size": 512,
            "learning_rate": 4e-4,
            "warmup_steps": 1000,
            "stop_at": 20_000,
            "schedule_steps": 20_000,
            "ramp_steps": 1000,
            "evaluate_every": 1000,
            "save_every": 500,
            "workers": 2,
        },
        "paper": {
            "corpus": "ko_wikipedia",
            "tokenizer": "kobert",
            "size": "base",
            "context": "document",
            "max_length": 512,
            "next_sentence": True,
            "batch_size": 256,
            "learning_rate": 1e-4,
            "warmup_steps": 10_000,
            "stop_at": 1_000_000,
            "schedule_steps": 1_000_000,
            "evaluate_every": 5000,
            "save_every": 1000,
            "workers": 4,
        },
    }


def ramped(whole: int, steps: int, n: int) -> int:
    """Sequences of batch n: the ramp of so many steps, then the whole. No method, since loading processes take it."""
    return whole if n >= steps else max(1, math.ceil(whole * (RAMP_FROM + (1 - RAMP_FROM) * n / steps)))


class KoBERTPretrainTask:
    """KoBERT and the text that it learns from."""

    name = "kobert_pretrain"

    def __init__(self, config: KoBERTPretrain):
        """Find or train the tokenizer, and cut the corpus into tokens where that has not been done yet.

        raises  DataError, TokenizerError or ValueError in words, before anything is trained
        """
        self.config = config
        encoders.check_schedule(config)
        self.source = encoders.running_text(config.corpus)
        self.tokenizer = encoders.of_text(config.tokenizer, self.source, config.vocabulary)
        self.corpus = encoders.tokenised(self.source, self.tokenizer)
        self.model_config = kobert.sized(config.size, self.tokenizer.vocabulary, dropout=config.dropout)
        if config.max_length > self.model_config.positions:
            raise ValueError(
                f"wanted max_length of at most {self.model_config.positions}, got {config.max_length}; lower it"
            )
        self.parent: kobert.Loaded | None = None
        if config.init_from:
            origin, self.parent = encoders.open_encoder(config.init_from)
            self.config = dataclasses.replace(config, init_from=origin)
            self._check_parent(self.parent)
        self._reading = {
            "max_length": config.max_length,
            "mask_rate": config.mask_rate,
            "whole_word": config.whole_word,
            "next_sentence": config.next_sentence,
            "context": config.context,
            "seed": config.seed,
        }

    def _check_parent(self, parent: kobert.Loaded) -> None:
        if parent.tokenizer is not None and parent.tokenizer.fingerprint != self.tokenizer.fingerprint:
            raise ValueError(
                f"init_from wants weights of the tokenizer {self.tokenizer.fingerprint}, {self.config.init_from} has "
                f"{parent.tokenizer.fingerprint}; name that one's folder as tokenizer"
            )
        if parent.model.config.shape != self.model_config.shape:
            raise ValueError(
                f"init_from wants a model of the same size, {self.config.init_from} has {parent.model.config}; "
                f"here it is {self.model_config}"
            )

    def __repr__(self) -> str:
        parameters = sum(p.numel() for p in KoBERT(self.model_config).parameters())
        return (
            f"{Path(self.source).name}: {self.corpus.lines:,} lines of {self.corpus.documents:,} documents, "
            f"{len(self.corpus.tokens):,} tokens; {self.tokenizer.vocabulary:,} pieces; {self.config.size!r} model "
            f"with {parameters / 1e6:.1f} million parameters"
        )

    def record(self) -> record.Record:
        """The run folder of these parameters, opened for writing."""
        fingerprint = f"{self.corpus.fingerprint} {self.tokenizer.fingerprint}"
        return record.Record.open(self.name, self.config, fingerprint, repeat=self.config.repeat)

    def store(self, run: record.Record) -> store.CheckpointStore:
        """The checkpoints of a run, with their mirror where there is a place for one."""
        return store.open_store(run, self.config.keep, self.config.mirror_every)

    def modules(self) -> Modules:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.key(self.config.seed, "init"))
            model = KoBERT(self.model_config)
        if self.parent is not None:
            model.load_state_dict(self.parent.model.state_dict())
        model.freeze_unused(next_sentence=self.config.next_sentence)
        if self.config.compile:
            model.compile(dynamic=True)
        return {"model": model}

    def optimizations(self, modules: Modules) -> dict[str, Optimization]:
        groups = encoders.decayed(modules["model"], self.config.weight_decay)
        adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, fused=True)
        return {"adam": Optimization(adam, encoders.check_schedule(self.config), clip_norm=1.0)}

    def batches(self, split: str, part: int, parts: int) -> Any:
        if split == "train":
            size = self.config.batch_size
            if self.config.ramp_steps:
                size = functools.partial(ramped, size, self.config.ramp_steps)
            return packing.MaskedBatches(
                self.corpus, self.tokenizer, batch_size=size, part=part, parts=parts, **self._reading
            )
        return packing.ValidationBatches(
            self.corpus, self.tokenizer, batch_size=self.config.batch_size, part=part, parts=parts, **self._reading
        )

    def prepare(self, modules: Modules, batch: MaskedBatch) -> None: ...

    def weights(self, batch: MaskedBatch) -> dict[str, float]:
        found = {"mlm": float(len(batch.masked))}
        if self.config.next_sentence:
            found["nsp"] = float(len(batch.next_sentence))
        return found

    def amount(self, batch: MaskedBatch) -> dict[str, int]:
        return {"tokens": len(batch.tokens)}

    def losses(self, modules: Modules, batch: MaskedBatch, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        out = modules["model"](batch, batch.masked)
        terms = {"mlm": functional.cross_entropy(out.masked_logits.float(), batch.targets, reduction="sum")}
        if self.config.next_sentence:
            logits = out.next_sentence_logits.float()
            terms["nsp"] = functional.cross_entropy(logits, batch.next_sentence, reduction="sum")
        yield "adam", terms

    @torch.no_grad()
    def guesses(self, model: KoBERT) -> tuple[np.ndarray, np.ndarray]:
        """What the model puts into the blanks of PROBED validation batches, and what was there. [M], [M]"""
        source, device = self.batches("validation", 0, 1), next(model.parameters()).device
        guessed, truth = [], []
        for n in range(min(PROBED, len(source))):
            batch = tensors(source[n], device)
            guessed.append(model.eval()(batch, batch.masked).masked_logits.argmax(-1).cpu().numpy())
            truth.append(source[n].targets)
        return np.concatenate(guessed), np.concatenate(truth)

    @torch.no_grad()
    def probe(self, modules: Modules, step: int) -> Probe:
        """Guess the blanks of some validation batches."""
        model, source = modules["model"], self.batches("validation", 0, 1)
        guessed, truth = self.guesses(model)
        metrics = {"mlm_accuracy": float((guessed == truth).mean())}
        if self.config.next_sentence:
            right = []
            for n in range(min(PROBED, len(source))):
                batch = tensors(source[n], next(model.parameters()).device)
                right.append((model.eval()(batch).next_sentence_logits.argmax(-1) == batch.next_sentence).float())
            metrics["nsp_accuracy"] = float(torch.cat(right).mean())
        return Probe(metrics, [self.blanks_picture(model)])

    @torch.no_grad()
    def blanks_picture(self, model: KoBERT) -> Picture:
        """Some blanks of the first validation batch, and what the model would put there."""
        arrays = self.batches("validation", 0, 1)[0]
        batch = tensors(arrays, next(model.parameters()).device)
        hidden = np.flatnonzero(arrays.tokens[arrays.masked] == self.tokenizer.mask)
        chosen = hidden[np.linspace(0, len(hidden) - 1, min(SHOWN, len(hidden))).astype(int)]
        shares, guesses = model.eval()(batch, batch.masked).masked_logits[chosen].float().softmax(-1).topk(3)
        pieces = np.array(self.tokenizer.pieces)
        drawn = {
            "texts": np.array([self._around(arrays, place) for place in arrays.masked[chosen]]),
            "guesses": pieces[guesses.cpu().numpy()],
            "shares": shares.cpu().numpy(),
            "truth": pieces[arrays.targets[chosen]],
        }
        return Picture("blanks", "blanks", "texts that it never learns from", drawn)

    def _around(self, batch: MaskedBatch, place: int) -> str:
        """The sequence of a row that holds `place`, with a blank there and points where other pieces are hidden."""
        sequence = int(np.searchsorted(batch.boundaries, place, side="right")) - 1
        start, end = batch.boundaries[sequence : sequence + 2]
        before, after = (
            self.tokenizer.decode(ids).replace("[MASK]", "…")
            for ids in (batch.tokens[start:place], batch.tokens[place + 1 : end])
        )
        opens = self.tokenizer.starts[batch.tokens[place + 1]] if place + 1 < end else False
        return f"{before} {BLANK}{' ' if opens else ''}{after}".strip()

    def contents(self) -> dict[str, Any]:
        return kobert.describe(self.model_config, self.tokenizer)

    def export(self, result: FitResult, folder: Path) -> Path:
        """Write model and tokenizer into folder/exports as one file, under a name that tells what it is."""
        about = {"corpus": Path(self.source).stem, "size": self.config.size, "seed": self.config.seed}
        name = record.export_name(self.name, **about, step=result.step)
        path = folder / "exports" / f"{name}.safetensors"
        kobert.save_export(path, result.modules["model"], self.tokenizer, about)
        store.copy_export(path)
        return path
