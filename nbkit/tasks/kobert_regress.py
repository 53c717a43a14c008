"""KoBERT says how alike two texts are: what 46_kobert_similarity runs.

Source: paper_notes/bert.md#fine-tuning
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nbkit.base.params import param
from nbkit.evaluate import text
from nbkit.evaluate.baselines import PairRegressor
from nbkit.evaluate.results import Results
from nbkit.models.kobert import KoBERT, Matcher
from nbkit.tasks.kobert_classify import KoBERTClassifyTask, Labelled
from nbkit.tasks.kobert_finetune import BASE, SMALL, SMOKE, FineTune, columns
from nbkit.train.task import Modules


@dataclass(frozen=True)
class KoBERTRegress(FineTune):
    """Parameters of 46_kobert_similarity."""

    dataset: str = param(
        "auto", "A text set of pairs with scores. auto: kor_sts where it lies, else made pairs.",
        auto=("kor_sts", "made_scores"),
    )  # fmt: skip
    compare: bool = param(True, "In the notebook, also train from random weights.", identity=False)

    PRESETS: ClassVar = {
        "smoke": {"dataset": "made_scores", "init_from": "none", **SMOKE},
        "cpu": {**SMALL, "precision": "bf16", "batch_size": 32, "stop_at": 600, "schedule_steps": 600},
        "colab": {"dataset": "kor_sts", "stop_at": 900, "schedule_steps": 900, "workers": 2, **BASE, "batch_size": 32},
    }


class KoBERTRegressTask(KoBERTClassifyTask):
    """A number for each pair, learnt on scores of mean 0 and deviation 1."""

    name = "kobert_regress"
    kind = "scores"

    def truth(self, split: str) -> np.ndarray:
        """The score of each row of a split, scaled by mean and deviation of the training rows. [N] float32"""
        scores = np.array([row.score for row in self.texts.splits[split]], np.float64)
        known = scores if split == "train" else np.array([row.score for row in self.texts.splits["train"]])
        return ((scores - known.mean()) / (known.std() or 1.0)).astype(np.float32)

    @property
    def reads_as(self) -> tuple[str, int]:
        return "match", 0

    def head(self, encoder: KoBERT) -> Matcher:
        return Matcher(encoder)

    @torch.no_grad()
    def prepare(self, modules: Modules, batch: Labelled) -> None:
        """Let the network begin with the line through its own cosines that fits the first batch best."""
        model = modules["model"].eval()
        model.begin_with(1.0, 0.0)
        cosines, targets = model(batch).float()[:, 0], batch.targets
        spread = cosines - cosines.mean()
        slope = float((spread * targets).sum() / (spread**2).sum().clamp_min(1e-6))
        model.begin_with(slope, float(targets.mean()) - slope * float(cosines.mean()))

    def weights(self, batch: Labelled) -> dict[str, float]:
        return {"squared_error": float(len(batch.targets))}

    def losses(self, modules: Modules, batch: Labelled, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        error = modules["model"](batch).float()[:, 0] - batch.targets
        yield "adam", {"squared_error": (error**2).sum()}

    METRICS: ClassVar = (("RMSE, deviations", text.rmse),)

    def answers(self, modules: Modules, rows: list) -> np.ndarray:
        """What the network says of rows, as truth() has it. [N]"""
        return self.reader(modules).scores(*columns(rows))[:, 0]

    def base_camp(self, results: Results, split: str = "test") -> None:
        """The mean, which has no correlation, and a line through what two texts share."""
        train, test = self.texts.splits["train"], self.texts.splits[split]
        began = time.monotonic()
        camp = PairRegressor().fit(*columns(train), self.truth("train").tolist())
        found = camp.predict(*columns(test))
        results.measure("mean", *self.METRICS[0], np.full(len(test), camp.mean), self.truth(split))
        self._enter(results, "shared characters", found, split, time.monotonic() - began)

    def _enter(self, results: Results, system: str, found: np.ndarray, split: str, seconds: float) -> None:
        measures = (*self.METRICS, ("Pearson", text.pearson), ("Spearman", text.spearman))
        for metric, statistic in measures:
            results.measure(system, metric, statistic, np.asarray(found), self.truth(split), seconds=seconds)

    def mistakes(self, modules: Modules, count: int = 8, split: str = "test") -> list[tuple]:
        """Pairs on which the network is furthest off: text, pair, truth and what it says, in deviations."""
        rows, truth = self.texts.splits[split], self.truth(split)
        found = self.answers(modules, rows)
        worst = np.argsort(-np.abs(found - truth), kind="stable")[:count]
        return [(rows[i].text, rows[i].pair, round(float(truth[i]), 2), round(float(found[i]), 2)) for i in worst]
