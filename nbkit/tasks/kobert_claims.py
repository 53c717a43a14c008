"""The claims of KoBERT's table beside what is known here: what 45_kobert_claims runs.

The words of the claims stand in paper_notes/kobert.md#what-is-the-evidence. What is cheap is measured on the spot; what
takes a training is read from the newest runs, so that the table fills as somebody trains.
"""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from nbkit.base import record
from nbkit.base.params import Params, param
from nbkit.data import text_sets, tokenizer
from nbkit.data.tokenizer import Tokenizer
from nbkit.data.tokenizer_checks import lost_syllables
from nbkit.evaluate import bench, claims, text
from nbkit.evaluate.claims import Check, Measured, Missing
from nbkit.evaluate.results import Results, Row
from nbkit.models import kobert
from nbkit.tasks import encoders, kobert_tokens

HERE = "nbkit run 45_kobert_claims"
FROM_PUBLISHED = f"nbkit run 42_kobert_classify --preset colab -p init_from {encoders.WEIGHTS}"
CAMP, TRAINED, RANDOM = "TF-IDF + SVM", "KoBERT, pre-trained", "KoBERT, random start"
NEAR = 0.005  # our bound of an accuracy that is called the same: half a point
SAME = 1e-4  # our bound of outputs that are called the same
PLACES = 512
TEXTS, TOKENS = 16, 24  # of the batch that is timed
SHOWN = (
    ("한국어 모델을 공유합니다.", "▁한국 어 ▁모델 을 ▁공유 합니다 ."),
    (
        "SKTBrain에서 KoBERT 모델을 공개해준 덕분에 BERT-CRF 기반 객체명인식기를 쉽게 개발할 수 있었다.",
        "▁SK T B ra in 에서 ▁K o B ER T ▁모델 을 ▁공개 해 준 ▁덕분에 ▁B ER T - C R F ▁기반 ▁ 객 체 명 인 식 기를 ▁쉽게 "
        "▁개발 할 ▁수 ▁있었다 .",
    ),
)  # as the README cuts them
LISTED = (
    (-0.24610452, 0.24282141, 0.25895312, -0.48613444, -0.07305173, 0.07560554),
    (-0.24783179, 0.24200465, 0.25520486, -0.4877185, -0.0727044, 0.07536091),
    (-0.24721591, 0.24196623, 0.2560626, -0.48743123, -0.07326943, 0.07650235),
)  # first and last three of 768 channels of the last layer, for each token


@dataclass(frozen=True)
class KoBERTClaims(Params):
    """Parameters of 45_kobert_claims."""

    reviews: int = param(20_000, "Reviews whose characters are counted.", unit="reviews", low=100)
    seconds: float = param(10.0, "For the table of times.", unit="seconds", low=0.1)
    seed: int = param(0, "Decides the draws behind the intervals.", low=0)

    PRESETS: ClassVar = {"smoke": {"reviews": 1000, "seconds": 0.5}}


class FineTuned(NamedTuple):
    """A run of 42_kobert_classify that has results."""

    run: str
    dataset: str  # "" where the run does not tell
    layers: int
    hidden: int
    start: str  # what it began with: a run, kobert_weights, none
    limit: int  # rows that it learnt from; 0 all
    rows: dict[str, Row]  # accuracy, by system

    @property
    def published(self) -> bool:
        """Whether it is what the README speaks of: the published weights on all rows."""
        return self.start == encoders.WEIGHTS and not self.limit

    @property
    def few(self) -> str:
        """The number of rows in words, where it is not all of them."""
        return f", {self.limit:,} rows" if self.limit else ""

    @property
    def differs(self) -> str:
        """How it differs from that, in words."""
        return "" if self.published else f"{self.layers} layers of {self.hidden}, from {self.start}{self.few}"


def fine_tuned(dataset: str = "nsmc") -> list[FineTuned]:
    """The runs on a data set that have an accuracy: the published weights first, then the largest, then the newest."""
    found = [one for run in record.runs("kobert_classify") if (one := _fine_tuned(run)) and one.dataset == dataset]
    return sorted(found, key=lambda one: (not one.published, -one.layers * one.hidden**2))


def _fine_tuned(run: record.Record) -> FineTuned | None:
    rows = {row.system: row for row in Results(run.folder).all() if row.metric == "accuracy"}
    shape = re.search(r"\((\d+(?:, \d+)+)\)$", run.config.get("data", ""))
    if shape is None or not {TRAINED, RANDOM} & rows.keys():
        return None
    asked = run.config["parameters"]
    exports = [record.parse_export_name(path.name)[1] for path in (run.folder / "exports").glob("*.safetensors")]
    known = (
        {one["dataset"] for one in exports if "dataset" in one} if asked["dataset"] == "auto" else {asked["dataset"]}
    )
    _, hidden, layers, *_ = ast.literal_eval(shape[0])
    return FineTuned(run.name, min(known, default=""), layers, hidden, asked["init_from"], asked["count"], rows)


def accuracies(found: Sequence[FineTuned]) -> list[tuple[str, float, float, float]]:
    """Rows for a plot of intervals: system with size, accuracy, low, high; a linear model for each number of rows."""
    rows = {f"linear model{one.few}": one.rows[CAMP] for one in reversed(found) if CAMP in one.rows}
    for one in found:
        for name, start in ((TRAINED, one.start), (RANDOM, "random")):
            if name in one.rows:
                label = f"{one.layers} x {one.hidden}, {start}{one.few}"
                rows.setdefault(label if label not in rows else f"{label}, {one.run}", one.rows[name])
    return [(label, row.value, row.low, row.high) for label, row in rows.items()]


def checks(config: KoBERTClaims) -> dict[str, Check]:
    """The beginning of each claim of the note, and how it is checked."""
    accuracy = lambda: published_accuracy(fine_tuned())  # noqa: E731
    pretrain = "nbkit run 41_kobert_pretrain --preset cpu"
    return {
        "92 million": Check(claims.equal(92e6, 0.5e6), lambda: claims.exactly(parameters()), HERE),
        "a vocabulary of": Check(claims.equal(8002), vocabulary, HERE),
        "two sentences": Check(claims.equal(len(SHOWN)), cut_alike, HERE),
        "characters of a text": Check(claims.at_least(0.9995), lambda: covered(config), HERE),
        "PyTorch, ONNX": Check(claims.at_most(SAME), onnx_difference, HERE),
        "tokens 31, 51, 99": Check(claims.at_most(SAME), listed_difference, HERE),
        "NSMC fits": Check(claims.at_most(PLACES), longest, HERE),
        "NSMC accuracy .901": Check(claims.equal(0.901, NEAR), accuracy, FROM_PUBLISHED),
        "NSMC accuracy .8963": Check(claims.equal(0.8963, NEAR), accuracy, FROM_PUBLISHED),
        "what was pre-trained": Check(
            claims.above(0), lambda: gain(fine_tuned()), "nbkit run 42_kobert_classify --preset cpu"
        ),
        "MLM accuracy": Check(claims.equal(0.75, NEAR), lambda: pretrained("mlm_accuracy"), pretrain),
        "NSP accuracy": Check(
            claims.equal(0.988, NEAR), lambda: pretrained("nsp_accuracy"), f"{pretrain} -p next_sentence true"
        ),
    }


def parameters(layers: int = 12, vocabulary: int = 8002, heads: bool = False) -> int:
    """Weights of KoBERT's encoder, or with both heads, counted without a byte of them.

    Source: paper_notes/kobert.md#architecture
    """
    with torch.device("meta"):
        model = kobert.KoBERT(kobert.sized("base", vocabulary, layers=layers))
    return sum(one.numel() for one in (model if heads else model.bert).parameters())


def _published_tokenizer() -> Tokenizer | Missing:
    here = text_sets.here(tokenizer.PUBLISHED)
    return tokenizer.kobert() if here else Missing(f"not here: nbkit data fetch {tokenizer.PUBLISHED}")


def reader() -> Tokenizer:
    """The published tokenizer, or where it is not here one learnt from made documents."""
    return encoders.of_text("auto", "made_documents", 8000)


def vocabulary() -> Measured | Missing:
    """Ids of the published tokenizer."""
    found = _published_tokenizer()
    if isinstance(found, Missing):
        return found
    lost = len(lost_syllables(lambda word: found.encode(word).pieces[1:-1], found.index))
    return claims.exactly(found.vocabulary, f"{found.vocabulary:,}; of 27 common syllables {lost} are lost")


def cut_alike() -> Measured | Missing:
    """Sentences of the README that come out in its pieces."""
    found = _published_tokenizer()
    if isinstance(found, Missing):
        return found
    same = sum([found.pieces[i] for i in found.ids(sentence)] == wanted.split() for sentence, wanted in SHOWN)
    return claims.exactly(same, f"{same} of {len(SHOWN)}")


def covered(config: KoBERTClaims) -> Measured | Missing:
    """Share of the characters of reviews, blanks left out, that stand in a known piece."""
    found = _published_tokenizer()
    if isinstance(found, Missing):
        return found
    lines = kobert_tokens.reviews(config.reviews)
    counts = np.array([_characters(found, line) for line in lines])  # [N, 2] known, all
    share = lambda known, every: known.sum(-1) / every.sum(-1)  # noqa: E731
    bounds = text.interval(share, counts[:, 0], counts[:, 1], seed=config.seed)
    value = float(share(counts[:, 0], counts[:, 1]))
    told = f"{value:.4f} ({bounds[0]:.4f} to {bounds[1]:.4f}) of {len(lines):,} reviews"
    return Measured(value, *bounds, told, "film reviews in the place of an encyclopedia")


def _characters(found: Tokenizer, line: str) -> tuple[int, int]:
    every = sum(not one.isspace() for one in line)
    read = found.encode(line, max_length=1 << 16)
    lost = [line[start:end] for i, (start, end) in zip(read.ids, read.spans) if i == found.unknown]
    return every - sum(not one.isspace() for part in lost for one in part), every


def longest() -> Measured | Missing:
    """Tokens of the longest text of NSMC, with [CLS] and [SEP]."""
    found = _published_tokenizer()
    if isinstance(found, Missing) or not text_sets.here("nsmc"):
        return found if isinstance(found, Missing) else Missing("not here: nbkit data fetch nsmc")
    counts = lengths(found, [row.text for rows in text_sets.open_text_set("nsmc").splits.values() for row in rows])
    middle, high = np.quantile(counts, [0.5, 0.95])
    return claims.exactly(
        counts.max(), f"{counts.max()} tokens at most, {middle:.0f} in the middle, {high:.0f} at 95 %"
    )


def lengths(found: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """Tokens of each text, with [CLS] and [SEP]. [N]"""
    return np.array([len(ids) + 2 for ids in found.ids_batch(texts)])


@cache
def small() -> kobert.KoBERT:
    """A network of KoBERT's shape and pieces, but two layers of 64, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kobert.KoBERT(kobert.sized("tiny", 8002)).eval()


@cache
def ways() -> dict[str, Callable[[], Any]]:
    """What gives the last layer of a made batch: PyTorch, padded, and ONNX Runtime; raises ImportError without it."""
    with tempfile.TemporaryDirectory() as folder:
        path = kobert.export_onnx(Path(folder) / "small.onnx", small())
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # more of them wait in a loop, and take PyTorch its cores
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    ids, inside = np.random.default_rng(0).integers(5, 8002, (TEXTS, TOKENS)), np.ones((TEXTS, TOKENS), np.int64)
    inputs = {"input_ids": ids, "attention_mask": inside, "token_type_ids": 0 * inside}
    rows = torch.as_tensor(ids), torch.zeros(ids.shape, dtype=torch.long), torch.full((TEXTS,), TOKENS)

    @torch.no_grad()
    def ours() -> np.ndarray:
        return small().padded(*rows).hidden.numpy()

    return {"PyTorch": ours, "ONNX Runtime": lambda: session.run(["hidden"], inputs)[0]}


def times(config: KoBERTClaims) -> dict[str, bench.Timing] | str:
    """How long each of ways() takes on one thread; why not, where ONNX Runtime is not installed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return bench.compare(ways(), seconds=config.seconds)
    except ImportError as error:
        return str(error)
    finally:
        torch.set_num_threads(threads)


def onnx_difference() -> Measured | Missing:
    """The greatest between what PyTorch and an ONNX file give."""
    try:
        ours, theirs = (way() for way in ways().values())
    except ImportError as error:
        return Missing(str(error))
    worst = float(np.abs(ours - theirs).max())
    return claims.exactly(worst, f"{worst:.1e} at most", "a small network, our converter, and no MXNet")


def listed_difference() -> Measured | Missing:
    """The greatest between the README's numbers and those of the published weights."""
    if not text_sets.here(encoders.WEIGHTS):
        return Missing(f"not here: nbkit data fetch {encoders.WEIGHTS}")
    model = encoders.published().model.eval()
    with torch.no_grad():
        out = model.padded(torch.tensor([[31, 51, 99]]), torch.tensor([[0, 0, 1]]), torch.tensor([3]))
    shown = out.hidden[0][:, [0, 1, 2, -3, -2, -1]].numpy()
    worst = float(np.abs(shown - np.array(LISTED)).max())
    return claims.exactly(worst, f"{worst:.1e} at most, in 18 numbers")


def published_accuracy(found: Sequence[FineTuned]) -> Measured | Missing:
    """The accuracy on NSMC that stands nearest to the published one."""
    if not any(TRAINED in one.rows for one in found):
        return Missing(f"no run yet: fetch kobert_tokenizer, {encoders.WEIGHTS} and nsmc, then {FROM_PUBLISHED}")
    best = next(one for one in found if TRAINED in one.rows)
    row, camp = best.rows[TRAINED], best.rows.get(CAMP)
    told = f"{row}, {best.run}" + (f"; linear model {camp.value:.3f}" if camp else "")
    return Measured(row.value, row.low, row.high, told, best.differs)


def gain(found: Sequence[FineTuned]) -> Measured | Missing:
    """By how much the accuracy is higher than from random weights; low and high are from opposite ends of intervals."""
    both = [one for one in found if {TRAINED, RANDOM} <= one.rows.keys()]
    if not both:
        return Missing("no run yet that compares: nbkit run 42_kobert_classify --preset cpu, after 41_kobert_pretrain")
    a, b = both[0].rows[TRAINED], both[0].rows[RANDOM]
    value, low, high = a.value - b.value, a.low - b.high, a.high - b.low
    told = f"{value:+.3f} ({low:+.3f} to {high:+.3f}) at {both[0].layers} layers of {both[0].hidden}, {both[0].run}"
    return Measured(value, low, high, told)


def pretrained(metric: str) -> Measured | Missing:
    """The newest value of a measure in the newest run of 41_kobert_pretrain that has it."""
    for run in record.runs("kobert_pretrain"):
        values = [row[metric] for row in run.rows("validation") if metric in row]
        if values:
            asked = run.config["parameters"]
            differs = f"size {asked['size']}, text {asked['corpus']}, {run.status().get('step', 0):,} steps"
            return Measured(float(values[-1]), told=f"{values[-1]:.3f}, {run.name}", differs=differs)
    return Missing(f"no run yet that has {metric}: nbkit run 41_kobert_pretrain")
