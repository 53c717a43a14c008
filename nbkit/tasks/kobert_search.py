"""KoBERT finds the answer to a question: what 43_kobert_search runs.

Two rankers, one after the other. A bi-encoder gives each text a place of its own, so that all answers are placed once
and a question is compared with them by one product; it learns to tell its answer from the others of the batch. A
cross-encoder reads question and answer together, which is slow and sees more, and puts the best few into a new order.

Source: paper_notes/bert.md#search
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nbkit.base import seeds, workspace
from nbkit.base.params import param
from nbkit.base.record import Record
from nbkit.data import packing
from nbkit.data.batches import ShuffledBatches, SortedBatches
from nbkit.data.tokenizer import Tokenizer
from nbkit.evaluate import text
from nbkit.evaluate.baselines import Bm25Search
from nbkit.models import kobert
from nbkit.models.kobert import Embedder, KoBERT, Matcher, Reader
from nbkit.tasks.kobert_answers import Answers, Lookup, Ranked, ranked
from nbkit.tasks.kobert_finetune import BASE, SMALL, SMOKE, FineTune, FineTuneTask
from nbkit.train.task import Modules, Probe

PROBED = 200  # validation questions that a probe ranks
HARD = 20  # wrong answers of BM25, from which a cross-encoder's are drawn


@dataclass(frozen=True)
class KoBERTSearch(FineTune):
    """Parameters of 43_kobert_search."""

    dataset: str = param(
        "auto", "A text set of answers. auto: songys_chatbot where it lies, else made answers.",
        auto=("songys_chatbot", "made_answers"),
    )  # fmt: skip
    compare: bool = param(True, "In the notebook, also train a bi-encoder from random weights.", identity=False)
    ranker: str = param("bi", "bi places texts, cross reads pairs. The notebook trains both.", choices=("bi", "cross"))
    temperature: float = param(0.05, "bi: cosines are divided by this.", low=0.001, high=10.0)
    negatives: int = param(5, "cross: wrong answers beside the right one.", low=1, high=HARD)
    rerank: int = param(20, "So many of the bi-encoder's best are read by the cross-encoder.", low=2, identity=False)

    PRESETS: ClassVar = {
        "smoke": {"dataset": "made_answers", "init_from": "none", **SMOKE, "vocabulary": 300, "negatives": 3},
        "cpu": {**SMALL, "precision": "bf16", "batch_size": 48, "stop_at": 800, "schedule_steps": 800},
        "colab": {"dataset": "songys_chatbot", "stop_at": 800, "schedule_steps": 800, "workers": 2, **BASE},
    }


class Placed(NamedTuple):
    """Questions and the answers of a batch, one row of tokens, for a bi-encoder."""

    tokens: Any  # [T] int64
    types: Any  # [T] int64
    boundaries: Any  # [Q + A + 1] int64
    questions: Any  # [Q] int64, which texts are the questions
    answers: Any  # [A] int64, which are the answers, each once
    targets: Any  # [Q] int64, the answer of each question among the A
    wrong: Any  # [Q, A] bool, False where an answer is right too and is not the target


class Paired(NamedTuple):
    """Each question with its answer and with wrong ones, for a cross-encoder."""

    tokens: Any  # [T] int64
    types: Any  # [T] int64
    boundaries: Any  # [Q (1 + N) + 1] int64
    places: Any  # [Q, 1 + N] int64, which pair; the right one in column 0


class PlacedRows:
    """Questions to batches for a bi-encoder, for loading processes too."""

    def __init__(self, answers: Answers, split: str, tokenizer: Tokenizer, max_length: int):
        questions = answers.questions[split]
        self.lengths = [len(question.text) for question in questions]
        self._owners = np.array([question.answer for question in questions])
        self._right = [sorted(answers.right(question.text)) for question in questions]
        self._questions = kobert.encode(tokenizer, [question.text for question in questions], (), max_length)
        self._answers = kobert.encode(tokenizer, answers.answers, (), max_length)

    def __call__(self, chosen: np.ndarray, n: int, whole: np.ndarray) -> Placed:
        """The questions of a part, and the answers of the whole batch: what is wrong for a question is the same in any
        number of parts.
        """
        owners = np.unique(self._owners[whole])
        targets = np.searchsorted(owners, self._owners[chosen])
        encoded = [self._questions[i] for i in chosen] + [self._answers[i] for i in owners]
        packed, places = _by_length(encoded)
        wrong = np.array([~np.isin(owners, self._right[i]) for i in chosen])
        wrong[np.arange(len(chosen)), targets] = True
        return Placed(*packed, places[: len(chosen)], places[len(chosen) :], targets, wrong)


class PairedRows:
    """Questions to batches for a cross-encoder, for loading processes too."""

    def __init__(self, answers: Answers, split: str, tokenizer: Tokenizer, hard: np.ndarray, config: KoBERTSearch):
        self.lengths = [len(question.text) for question in answers.questions[split]]
        self._answers, self._split, self._tokenizer, self._hard = answers, split, tokenizer, hard
        self._config = config

    def __call__(self, chosen: np.ndarray, n: int, whole: np.ndarray) -> Paired:
        """Half of the wrong answers are those that share words with the question, half are any."""
        count, pairs = self._config.negatives, []
        for i in chosen.tolist():
            question = self._answers.questions[self._split][i]
            at = n if self._split == "train" else 0
            draw = seeds.generator(self._config.seed, "negatives", self._split, at, question.id)
            hard = draw.permutation(self._hard[i])[: (count + 1) // 2]
            right, most = self._answers.right(question.text), len(self._answers.answers)
            others = draw.permutation(most) if most < 10 * count else draw.integers(0, most, 4 * count + 8)
            wrong = [a for a in dict.fromkeys([*hard.tolist(), *others.tolist()]) if a not in right][:count]
            pairs += [(question.text, self._answers.answers[a]) for a in (question.answer, *wrong)]
        texts, answers = zip(*pairs)
        packed, places = _by_length(kobert.encode(self._tokenizer, texts, answers, self._config.max_length))
        return Paired(*packed, places.reshape(len(chosen), -1))


class KoBERTSearchTask(FineTuneTask):
    """Questions and their answers."""

    name = "kobert_search"

    def __init__(self, config: KoBERTSearch):
        # what only the other ranker uses does not make another run of this one
        unused = "negatives" if config.ranker == "bi" else "temperature"
        super().__init__(replace(config, **{unused: KoBERTSearch.field(unused).default}))
        if self.texts.kind != "answers":
            raise ValueError(f"kobert_search wants a text set with answers, {self.texts.name} has {self.texts.kind}")
        self.answers = Answers(self.texts)
        most = len(self.answers.answers) - max(len(self.answers.right(row.text)) for row in self.texts.splits["train"])
        if config.ranker == "cross" and config.negatives > most:
            raise ValueError(
                f"wanted at most {most} negatives, as there are answers that are wrong for every question, got "
                f"{config.negatives}; lower it"
            )
        self._rows: dict[str, PlacedRows | PairedRows] = {}
        for split in ("train", "validation"):
            if config.ranker == "bi":
                self._rows[split] = PlacedRows(self.answers, split, self.tokenizer, config.max_length)
            else:
                hard = self._hard_answers(split)
                self._rows[split] = PairedRows(self.answers, split, self.tokenizer, hard, self.config)

    def _hard_answers(self, split: str) -> np.ndarray:
        """Wrong answers that BM25 takes for right, from the cache where they were found before. [Q, HARD] int64"""
        path = workspace.cache() / "hard_answers" / f"{self.texts.fingerprint}-{split}-{HARD}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial_path = path.with_suffix(f".{os.getpid()}.part.npy")
            np.save(partial_path, self.answers.hard(split, HARD))
            partial_path.replace(path)
        return np.load(path)

    def told(self) -> dict[str, Any]:
        return {"ranker": self.config.ranker}

    @property
    def reads_as(self) -> tuple[str, int]:
        return ("vector" if self.config.ranker == "bi" else "match"), 0

    def head(self, encoder: KoBERT) -> Embedder | Matcher:
        return Embedder(encoder) if self.config.ranker == "bi" else Matcher(encoder)

    def batches(self, split: str, part: int, parts: int) -> Any:
        rows, config = self._rows[split], self.config
        if split == "train":
            return ShuffledBatches(rows.lengths, rows, config.batch_size, config.seed, part, parts, pool=1)
        return SortedBatches(rows.lengths, rows, config.batch_size, part, parts)

    def weights(self, batch: Placed | Paired) -> dict[str, float]:
        return {"cross_entropy": float(len(batch.questions if isinstance(batch, Placed) else batch.places))}

    def losses(self, modules: Modules, batch: Any, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        found = modules["model"](batch).float()
        if isinstance(batch, Placed):
            cosines = found[batch.questions] @ found[batch.answers].T
            logits, targets = (cosines / self.config.temperature).masked_fill(~batch.wrong, -torch.inf), batch.targets
        else:
            logits = found[:, 0][batch.places]
            targets = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
        yield "adam", {"cross_entropy": functional.cross_entropy(logits, targets, reduction="sum")}

    def rank(self, modules: Modules, run: Record) -> list[Ranked]:
        """What a trained bi-encoder makes of the test questions: with the answers, and with known questions too."""
        search = partial(EmbeddingSearch, self.reader(modules))
        name = "bi-encoder" if self.origin else "bi-encoder, random start"
        return ranked(name, search, self.answers, seconds=self.seconds(run))

    def rerank(self, modules: Modules, run: Record, first: Ranked, temperature: float) -> Ranked:
        """What a trained cross-encoder makes of a bi-encoder's ranking, see reranked()."""
        found = reranked(first, temperature, self.reader(modules), self.answers, self.config.rerank)
        return found._replace(seconds=found.seconds + self.seconds(run))

    @torch.no_grad()
    def probe(self, modules: Modules, step: int) -> Probe:
        candidates = self.answers.candidates("validation")[:PROBED]
        questions = [question.text for question in self.answers.questions["validation"][: len(candidates)]]
        if self.config.ranker == "bi":
            scores = EmbeddingSearch(self.reader(modules), self.answers.answers).scores(questions)
            scores = np.take_along_axis(scores, candidates, axis=1)
        else:
            scores = read_together(self.reader(modules), self.answers, questions, candidates[:, :HARD])
        found = text.ranks(scores, np.zeros(len(scores), np.int64))
        of = f"of {scores.shape[1]}"
        return Probe({f"recall@1 {of}": float(text.recall_at(found, 1)), f"MRR {of}": float(text.mrr(found))})


class EmbeddingSearch:
    """The cosine between a query and each of N texts, in the space of a bi-encoder."""

    def __init__(self, reader: Reader, texts: Sequence[str]):
        self.reader, self._places = reader, reader.scores(texts)

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """Greater is nearer, at most 1. [Q, N] float32"""
        return self.reader.scores(queries) @ self._places.T


def read_together(reader: Reader, answers: Answers, questions: Sequence[str], candidates: np.ndarray) -> np.ndarray:
    """What a cross-encoder says of each candidate of each question. [Q, count] float32"""
    texts = [question for question, row in zip(questions, candidates) for _ in row]
    pairs = [answers.answers[a] for row in candidates for a in row]
    return reader.scores(texts, pairs)[:, 0].reshape(candidates.shape)


def reranked(
    first: Ranked,
    temperature: float,
    reader: Reader,
    answers: Answers,
    top: int,
    split: str = "test",
) -> Ranked:
    """The `top` best of a bi-encoder's ranking in the order that both give; the others stay behind them as they were.

    Both learnt to give logits among answers: the bi-encoder its cosines over `temperature`, the cross-encoder what it
    says of a pair. Their sum is the product of what they believe.
    """
    began = time.monotonic()
    candidates, questions = answers.candidates(split), [question.text for question in answers.questions[split]]
    best = np.argsort(-first.scores, axis=1, kind="stable")[:, :top]
    read = read_together(reader, answers, questions, np.take_along_axis(candidates, best, axis=1))
    scores = first.scores.astype(np.float64) / temperature
    both = np.take_along_axis(scores, best, axis=1) + read
    lift = scores.max(1, keepdims=True) - both.min(1, keepdims=True) + 1.0  # above all that was not read
    np.put_along_axis(scores, best, both + lift, axis=1)
    return Ranked(f"{first.system}, then cross-encoder", scores, first.seconds + time.monotonic() - began)


class Desk:
    """Ask once, and see what each system answers."""

    def __init__(self, answers: Answers, bi: Reader, cross: Reader, config: KoBERTSearch):
        self.answers, self.cross, self.config = answers, cross, config
        searches = {"BM25": Bm25Search, "bi-encoder": partial(EmbeddingSearch, bi)}
        self._lookups = {name: Lookup(search, answers, True) for name, search in searches.items()}

    def ask(self, question: str, count: int = 5) -> dict[str, list[tuple[str, float]]]:
        """The best answers of BM25, of the bi-encoder, and of both among its best, see reranked().

        returns  system -> (answer, score), best first; answers of no score at all are left out
        raises   ValueError for a question of nothing but blanks
        """
        if not question.strip():
            raise ValueError("wanted a question, got only blanks; type one")
        found, best, scores = {}, np.zeros(0, np.int64), np.zeros(0)
        for name, lookup in self._lookups.items():
            (scores,) = lookup.rows([question])
            best = np.argsort(-scores, kind="stable")
            found[name] = [(self.answers.answers[i], float(scores[i])) for i in best[:count] if scores[i] > 0]
        chosen = best[: self.config.rerank]  # of the bi-encoder, the last one
        read = read_together(self.cross, self.answers, [question], chosen[None])[0]
        both = read + scores[chosen] / self.config.temperature
        order = np.argsort(-both, kind="stable")[:count]
        found["then cross-encoder"] = [(self.answers.answers[chosen[i]], float(both[i])) for i in order]
        return found


def _by_length(encoded: list[tuple[np.ndarray, np.ndarray]]) -> tuple[packing.Packed, np.ndarray]:
    """Texts packed by length, and the place of each in that order."""
    order = np.argsort([len(ids) for ids, _ in encoded], kind="stable")
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return packing.pack([encoded[i] for i in order]), places
