"""Where KoBERT looks: two states of it, texts to look at, and what is measured: what 44_kobert_attention runs.

Source: paper_notes/bert.md#what-heads-do
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from nbkit.base import seeds, workspace
from nbkit.base.params import Params, param
from nbkit.base.record import Record
from nbkit.data.packing import Packed, pack
from nbkit.data.tokenizer import Encoding, Tokenizer
from nbkit.models import kobert
from nbkit.models.kobert import KoBERT, Reader
from nbkit.tasks import encoders
from nbkit.tasks.kobert_classify import KoBERTClassify, KoBERTClassifyTask
from nbkit.tasks.kobert_pretrain import KoBERTPretrain, KoBERTPretrainTask
from nbkit.train.loop import fit
from nbkit.train.trained import weights_fingerprint
from nbkit.views import attention
from nbkit.views.page import Page

RANDOM = "random weights"
MADE = {"learning_rate": 1e-3, "stop_at": 400, "schedule_steps": 400}  # of made_run's fine-tuning


@dataclass(frozen=True)
class KoBERTAttention(Params):
    """Parameters of 44_kobert_attention."""

    model: str = param(
        "auto",
        "A run of 42_kobert_classify, another run on KoBERT, an export. auto: newest run; made: trains a tiny one.",
    )
    before: str = param("auto", "What it is compared with, named alike. auto: what it began with; none: random.")
    text: str = param("배우들의 연기는 정말 좋았는데 이야기가 너무 지루해서 아쉬웠다.", "The text to look at.")
    second: str = param("그래도 음악은 오래 기억에 남는다.", "A second text, which is read together with the first.")
    layer: int = param(0, "Layer that is shown large. 0 is the last.", low=0, high=48, identity=False)
    head: int = param(1, "Head that is shown large.", low=1, high=48, identity=False)
    dataset: str = param(
        "auto", "Texts to measure on, a text set with labels. auto: nsmc where it lies, else made.",
        auto=("nsmc", "made_reviews"),
    )  # fmt: skip
    count: int = param(100, "Held-out texts that are measured.", low=10, high=1000)

    PRESETS: ClassVar = {
        "smoke": {
            "model": "made",
            "dataset": "made_reviews",
            "count": 40,
            "text": "배우의 연기는 별로였지만 이야기는 정말 재미있었어요.",
            "second": "다시 보고 싶지는 않아요.",
        },
    }


class Look(NamedTuple):
    """A text, or a pair, and how a KoBERT looks at it."""

    weights: np.ndarray  # [L, H, T, T]
    encoding: Encoding
    words: list[str]  # what is written between blanks, of both texts
    owner: np.ndarray  # [T] number of the word that a token belongs to, -1 of a special

    @property
    def pieces(self) -> list[str]:
        return self.encoding.pieces

    @property
    def special(self) -> list[int]:
        """Places of [CLS] and [SEP]."""
        return np.flatnonzero(self.owner < 0).tolist()

    @property
    def second(self) -> int:
        """Where the second text begins; 0 where there is none."""
        return int(np.argmax(self.encoding.types == 1)) if self.encoding.types.any() else 0

    def shown(self, title: str) -> attention.Attention:
        """As views.attention takes it."""
        about = {"special": self.special, "words": self.owner.tolist(), "second": self.second}
        return attention.Attention(self.weights, self.pieces, title=title, **about)


@dataclass(frozen=True)
class Subject:
    """A KoBERT that is looked into, and its head for a task where it has one."""

    name: str
    model: KoBERT
    tokenizer: Tokenizer
    reader: Reader | None
    max_length: int

    def look(self, text: str, pair: str = "") -> Look:
        """Raises ValueError for an empty text, TokenizerError for what cannot be read."""
        return self.looks([(text, pair)])[0]

    def looks(self, texts: Sequence[tuple[str, str]]) -> list[Look]:
        """look() of several texts and their pairs, in one pass."""
        read = [self.tokenizer.encode(text, pair, self.max_length) for text, pair in texts]
        named = [words_of(encoding, *written) for encoding, written in zip(read, texts, strict=True)]
        if not all(words for words, _ in named):
            raise ValueError("wanted texts of at least one word, got an empty one; type a sentence")
        seen = kobert.attentions(self.model, [(encoding.ids, encoding.types) for encoding in read])
        return [Look(weights, encoding, *names) for weights, encoding, names in zip(seen, read, named, strict=True)]

    @torch.no_grad()
    def answers(self, encoded: kobert.Encoded) -> np.ndarray:
        """What the head says of texts in tokens; without a head, the vector of [CLS]. [N, outputs]"""
        if self.reader is not None:
            return self.reader.scores_of(encoded)
        row = Packed(*map(torch.as_tensor, pack(encoded)))
        return self.model.eval()(row).hidden[row.boundaries[:-1]].numpy()

    def effects(self, looks: Sequence[Look]) -> list[np.ndarray]:
        """What hiding each word of a text behind [MASK] does to the answer, leaving one out at a time. [W] each

        With labels: by how much the log-odds of its answer fall. Else: how far the answer moves.
        """
        asked: kobert.Encoded = []
        for look in looks:
            ids, types = look.encoding.ids, look.encoding.types
            asked.append((ids, types))
            asked += [(np.where(look.owner == n, self.tokenizer.mask, ids), types) for n in range(len(look.words))]
        answers = self.answers(asked).astype(np.float64)
        parts = np.split(answers, np.cumsum([1 + len(look.words) for look in looks])[:-1])
        return [self._falls(part) for part in parts]

    def _falls(self, answers: np.ndarray) -> np.ndarray:
        """Of the answers [1 + W, outputs] to a whole text and to each without a word."""
        if self.reader is None or len(self.reader.labels) < 2:
            return np.linalg.norm(answers[1:] - answers[0], axis=1)
        said = int(answers[0].argmax())
        odds = answers[:, said] - np.logaddexp.reduce(np.delete(answers, said, axis=1), axis=1)
        return odds[0] - odds[1:]

    def says(self, text: str) -> str:
        """The label of a text, where there are labels."""
        if self.reader is None or not self.reader.labels:
            return ""
        return str(self.reader.predict([text])[0])


def words_of(encoding: Encoding, text: str, pair: str = "") -> tuple[list[str], np.ndarray]:
    """What is written between blanks, of a text and its pair, and the word of each token, -1 of specials: [W], [T]

    A word that was cut off at the end of a text that is too long is left out.
    """
    names: list[str] = []
    owner = np.full(len(encoding.ids), -1)
    for kind, written in enumerate((text, pair)):
        blank = np.array([letter.isspace() for letter in written], bool)
        begins = ~blank & np.concatenate([[True], blank[:-1]])[: len(blank)]
        number = np.cumsum(begins) - 1 + len(names)  # of each letter
        own = np.flatnonzero(
            (encoding.types == kind) & (encoding.ids != Tokenizer.cls) & (encoding.ids != Tokenizer.sep)
        )
        if own.size:
            owner[own] = number[np.minimum(encoding.spans[own, 0], len(written) - 1)]
        names += written.split()
    used = np.unique(owner[owner >= 0])
    return [names[word] for word in used], np.where(owner < 0, -1, np.searchsorted(used, owner))


def open_subjects(config: KoBERTAttention) -> tuple[Subject, Subject]:
    """The KoBERT before and after, which read the same tokens and have the same shape.

    raises  FileNotFoundError or DataError where one of them is not there, ValueError where they do not fit together
    """
    source = config.model
    if source == "auto":
        source = encoders.newest_run(KoBERTClassifyTask.name) or "made"
    after = _open(made_run() if source == "made" else source)
    start = _begun_from(after.name) if config.before == "auto" else config.before
    if start in ("", "none"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.key(0, "init"))
            return Subject(RANDOM, KoBERT(after.model.config).eval(), after.tokenizer, None, after.max_length), after
    before = _open(start)
    if before.model.config.shape != after.model.config.shape or (
        before.tokenizer.fingerprint != after.tokenizer.fingerprint
    ):
        raise ValueError(
            f"wanted two KoBERT of one shape and one tokenizer, {before.name} has {before.model.config.shape} and "
            f"{before.tokenizer.fingerprint}, {after.name} {after.model.config.shape} and "
            f"{after.tokenizer.fingerprint}; name as `before` what the other was trained from"
        )
    return before, after


def page(before: Subject, after: Subject, config: KoBERTAttention, pair: str = "") -> Page:
    """Both on the same text, or pair, with the head that the parameters name; ValueError where there is none."""
    named = ("before", before), ("after", after)
    models = [
        subject.look(config.text, pair).shown(f"{when}: {subject.name.removeprefix('kobert_')}")
        for when, subject in named
    ]
    layers, heads = models[0].weights.shape[:2]
    if config.layer > layers or config.head > heads:
        raise ValueError(
            f"wanted a layer up to {layers} and a head up to {heads}, which this KoBERT has, got {config.layer} and "
            f"{config.head}; lower them"
        )
    return attention.page(models, layer=config.layer - 1, head=config.head - 1)


def record(config: KoBERTAttention, before: Subject, after: Subject) -> Record:
    """The run folder of these parameters and weights, opened for writing."""
    fingerprint = " ".join(weights_fingerprint(subject.model) for subject in (before, after))
    return Record.open("kobert_attention", config, fingerprint)


def made_run() -> str:
    """Train a tiny KoBERT on made text and then on made reviews, for a notebook without one; the name of its run."""
    print(
        "A tiny KoBERT is trained on made text for some seconds; 41_kobert_pretrain and 42_kobert_classify train one."
    )
    pointer = os.environ.pop("NBKIT_RUN_POINTER", "")  # a notebook that runs headlessly is filed under its own record
    try:
        start = _trained(KoBERTPretrainTask(KoBERTPretrain.preset("smoke")))
        return _trained(KoBERTClassifyTask(KoBERTClassify.preset("smoke", init_from=start, **MADE)))
    finally:  # also where the cell is interrupted
        if pointer:
            os.environ["NBKIT_RUN_POINTER"] = pointer


def _trained(task: Any) -> str:
    with task.record() as run:
        fit(task, task.config, task.store(run), run)
    return run.name


def _open(source: str) -> Subject:
    name, reader = encoders.open_reader(source)
    if reader is not None:
        return Subject(name, reader.model.encoder, reader.tokenizer, reader, reader.max_length)
    name, loaded = encoders.open_encoder(source)
    if loaded.tokenizer is None:
        raise ValueError(f"wanted weights with their tokenizer, {source} has none; name a run or an export")
    return Subject(name, loaded.model, loaded.tokenizer, None, min(128, loaded.model.config.positions))


def _begun_from(name: str) -> str:
    """What a run on this machine says that it began with; "" where that is not known."""
    folder = workspace.runs() / name.partition("@")[0]
    known = Record.read(folder).config.get("identity", {}).get("init_from", "") if folder.is_dir() else ""
    return "" if known in ("none", "auto") else known
