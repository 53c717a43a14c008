"""KoBERT tells texts, or pairs of texts, apart: what 42_kobert_classify runs.

Source: paper_notes/bert.md#fine-tuning
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nbkit.base.params import param
from nbkit.base.record import Record
from nbkit.data import packing
from nbkit.data.batches import ShuffledBatches, SortedBatches
from nbkit.evaluate import text
from nbkit.evaluate.baselines import TextClassifier
from nbkit.evaluate.results import Results
from nbkit.models import kobert
from nbkit.models.kobert import KoBERT, Scorer
from nbkit.tasks.kobert_finetune import BASE, SMALL, SMOKE, FineTune, FineTuneTask, columns
from nbkit.train.task import Modules, Probe

PROBED = 2000  # validation rows that a probe looks at


@dataclass(frozen=True)
class KoBERTClassify(FineTune):
    """Parameters of 42_kobert_classify."""

    dataset: str = param(
        "auto", "A text set with labels. auto: nsmc where it lies, else made reviews.", auto=("nsmc", "made_reviews")
    )

    compare: bool = param(True, "In the notebook, also train from random weights.", identity=False)

    PRESETS: ClassVar = {
        "smoke": {"dataset": "made_reviews", "init_from": "none", **SMOKE},
        "cpu": {
            **SMALL,
            "precision": "bf16",
            "stop_at": 4500,
            "schedule_steps": 4500,
            "warmup_steps": 450,
            "evaluate_every": 1500,
            "save_every": 500,
        },
        "pairs": {**SMALL, "dataset": "question_pair", "stop_at": 600, "schedule_steps": 600},
        "colab": {"dataset": "nsmc", "stop_at": 2344, "schedule_steps": 2344, "workers": 2, **BASE},
    }


class Labelled(NamedTuple):
    """Rows one behind another, and what is wanted of each."""

    tokens: Any  # [T] int64
    types: Any  # [T] int64
    boundaries: Any  # [B + 1] int64
    targets: Any  # [B] int64 labels, or float32 scores


class LabelledRows:
    """Rows to batches, for loading processes too."""

    def __init__(self, encoded: list, targets: np.ndarray):
        self.encoded, self.targets = encoded, targets
        self.lengths = [len(ids) for ids, _ in encoded]

    def __call__(self, chosen: np.ndarray, n: int, whole: np.ndarray) -> Labelled:
        return Labelled(*packing.pack([self.encoded[i] for i in chosen]), self.targets[chosen])


class KoBERTClassifyTask(FineTuneTask):
    """A label for each text or pair."""

    name = "kobert_classify"
    kind = "labels"

    def __init__(self, config: Any):
        super().__init__(config)
        if self.texts.kind != self.kind:
            raise ValueError(f"{self.name} wants a text set with {self.kind}, {self.texts.name} has {self.texts.kind}")
        self._rows = {
            split: LabelledRows(
                kobert.encode(self.tokenizer, *columns(self.texts.splits[split]), config.max_length), self.truth(split)
            )
            for split in ("train", "validation")
        }

    def truth(self, split: str) -> np.ndarray:
        """What is true of each row of a split: number of its label. [N] int64"""
        number = {label: n for n, label in enumerate(self.texts.labels)}
        return np.array([number[row.label] for row in self.texts.splits[split]], np.int64)

    @property
    def reads_as(self) -> tuple[str, int]:
        return "scores", len(self.texts.labels)

    def head(self, encoder: KoBERT) -> nn.Module:
        return Scorer(encoder, self.reads_as[1])

    def batches(self, split: str, part: int, parts: int) -> Any:
        rows, config = self._rows[split], self.config
        if split == "train":
            return ShuffledBatches(rows.lengths, rows, config.batch_size, config.seed, part, parts, pool=1)
        return SortedBatches(rows.lengths, rows, 4 * config.batch_size, part, parts)

    def weights(self, batch: Labelled) -> dict[str, float]:
        return {"cross_entropy": float(len(batch.targets))}

    def losses(self, modules: Modules, batch: Labelled, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        logits = modules["model"](batch).float()
        yield "adam", {"cross_entropy": functional.cross_entropy(logits, batch.targets, reduction="sum")}

    @torch.no_grad()
    def probe(self, modules: Modules, step: int) -> Probe:
        rows = self.texts.splits["validation"][:PROBED]
        found = self.answers(modules, rows)
        return Probe({name: float(f(found, self.truth("validation")[: len(rows)])) for name, f in self.METRICS})

    METRICS: ClassVar = (("accuracy", text.accuracy),)

    def answers(self, modules: Modules, rows: list) -> np.ndarray:
        """What the network says of rows, as truth() has it. [N]"""
        return self.reader(modules).scores(*columns(rows)).argmax(-1)

    def base_camp(self, results: Results, split: str = "test") -> None:
        """The simplest thing that works into the table: TF-IDF of characters and a linear SVM.

        seconds are those of learning and answering together
        """
        train, test = self.texts.splits["train"], self.texts.splits[split]
        began = time.monotonic()
        texts, pairs = columns(train)
        camp = TextClassifier().fit(texts, self.truth("train").tolist(), pairs)
        texts, pairs = columns(test)
        self._enter(results, "TF-IDF + SVM", camp.predict(texts, pairs), split, time.monotonic() - began)

    def enter(self, results: Results, modules: Modules, run: Record, split: str = "test") -> None:
        """The measures of a trained network into the table, with intervals; seconds as in the base camp."""
        began = time.monotonic()
        found = self.answers(modules, self.texts.splits[split])
        seconds = self.seconds(run) + time.monotonic() - began
        self._enter(results, f"KoBERT, {self.start}", found, split, seconds)

    def _enter(self, results: Results, system: str, found: np.ndarray, split: str, seconds: float) -> None:
        truth = self.truth(split)
        for metric, statistic in (*self.METRICS, ("F1", text.f1)):
            results.measure(system, metric, statistic, np.asarray(found), truth, seconds=seconds)

    def mistakes(self, modules: Modules, count: int = 8, split: str = "test") -> list[tuple]:
        """Rows on which the network is surest and wrong: text, pair, truth, what it says, how sure it is."""
        rows = self.texts.splits[split]
        logits = self.reader(modules).scores(*columns(rows))
        shares = torch.as_tensor(logits).softmax(-1).numpy()
        said, truth = shares.argmax(-1), self.truth(split)
        wrong = np.flatnonzero(said != truth)
        surest = wrong[np.argsort(-shares[wrong, said[wrong]], kind="stable")][:count]
        names = self.texts.labels
        return [
            (rows[i].text, rows[i].pair, names[truth[i]], names[said[i]], round(float(shares[i, said[i]]), 3))
            for i in surest
        ]
