"""What the notebook on tokens needs: a text as pieces, what is unknown in many, vocabularies side by side, speed."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import re
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from nbkit.base import seeds
from nbkit.base.params import Params, param
from nbkit.data import text_sets, texts, tokenizer_training
from nbkit.data.tokenizer import Tokenizer
from nbkit.data.tokenizer_checks import TokenizerError, lost_syllables
from nbkit.tasks import encoders
from nbkit.views.pieces import KNOWN, SPECIAL, UNKNOWN, Cut, Piece

APART = 10  # one of so many documents is not learnt from; drawn, for topics may come in turn
FEW = 20  # documents, of which a tenth would be one or none
COVERAGES = (0.99, 0.9995, 1.0)  # KoBERT's is the second


@dataclass(frozen=True)
class KoBERTTokens(Params):
    """Parameters of 40_kobert_tokens."""

    sentence: str = param("이 영화 훠얼씬 재밌게 봤어요 ㅋㅋㅋ 강추 뷁 😀", "What is cut into pieces.")
    tokenizer: str = param("auto", "kobert, new (learnt from the corpus), or a folder. auto: kobert where it lies.",
                           auto=("kobert_tokenizer",))  # fmt: skip
    vocabulary: int = param(8000, "Pieces of a new tokenizer.", low=300, high=60_000)
    corpus: str = param(
        "auto",
        "A text set of running text, or the path of a folder of text. auto: reviews where they lie, else made.",
        auto=encoders.RUNNING,
    )
    lines: int = param(40_000, "Learn vocabularies from the first lines of the corpus.", unit="lines", low=100)
    sizes: str = param("2000, 4000, 8000, 16000, 32000", "Pieces of the vocabularies to compare.")
    reviews: int = param(50_000, "Measure speed on so many reviews.", unit="reviews", low=100)

    PRESETS: ClassVar = {
        "smoke": {"corpus": "made_documents", "lines": 2000, "sizes": "400, 500, 600", "reviews": 2000},
    }


def open_tokenizer(config: KoBERTTokens) -> Tokenizer:
    """The tokenizer that the parameters name."""
    return encoders.of_text(config.tokenizer, encoders.running_text(config.corpus), config.vocabulary)


def cut(tokenizer: Tokenizer, text: str, pair: str = "", *, specials: bool = True, name: str = "") -> Cut:
    """A text, or a pair, as the tokenizer cuts it, to be shown."""
    read = tokenizer.encode(text, pair, max_length=1 << 16)
    found = []
    for n, (written, i, which, (start, end)) in enumerate(zip(read.pieces, read.ids, read.types, read.spans.tolist())):
        around = n == 0 or n == len(read.ids) - 1 or (pair != "" and which == 0 and read.types[n + 1] == 1)
        kind = SPECIAL if around else UNKNOWN if i == tokenizer.unknown else KNOWN
        if specials or kind != SPECIAL:
            found.append(Piece(written, int(i), kind, start, end, int(which)))
    return Cut((text, pair) if pair else (text,), tuple(found), name)


class Unknown(NamedTuple):
    """What a tokenizer has no piece for."""

    written: str
    characters: str  # what Unicode calls them
    times: int
    example: str


def unknowns(tokenizer: Tokenizer, lines: Sequence[str], count: int = 10) -> list[Unknown]:
    """What is [UNK] most often in the lines, each with the first line that has it."""
    times: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for line, ids in zip(lines, tokenizer.ids_batch(lines)):
        if not (ids == tokenizer.unknown).any():
            continue
        read = tokenizer.encode(line, max_length=1 << 16)
        for i, (start, end) in zip(read.ids, read.spans.tolist()):
            if i == tokenizer.unknown:
                times[line[start:end]] += 1
                examples.setdefault(line[start:end], line)
    called = lambda text: ", ".join(unicodedata.name(one, f"U+{ord(one):04X}").lower() for one in text[:2])  # noqa: E731
    return [Unknown(text, called(text), n, examples[text]) for text, n in times.most_common(count)]


def split_text(source: str, lines: int) -> tuple[list[str], list[str]]:
    """The first lines of a text to learn from, and those of a tenth of its documents, which are kept apart.

    Where there are few documents in so many lines, they are a tenth of the lines.
    raises  ValueError where the text is too short for lines on both sides
    """
    learnt, apart, used = _sides(text_sets.documents(source), lines)
    if used < FEW:
        learnt, apart, _ = _sides(([line] for document in text_sets.documents(source) for line in document), lines)
    if not learnt or not apart:
        got = f"{len(learnt)} and {len(apart)}"
        raise ValueError(
            f"wanted lines to learn from and lines to measure on in {source}, got {got}; take a text of 100 or more"
        )
    return learnt, apart


def _sides(units: Iterable[list[str]], lines: int) -> tuple[list[str], list[str], int]:
    """Units of lines to learn from, those kept apart, and how many units there were until the first side was full."""
    learnt: list[str] = []
    apart: list[str] = []
    used = 0
    for used, unit in enumerate(units, 1):
        (learnt if seeds.key(0, "kept apart", used - 1) % APART else apart).extend(unit)
        if len(learnt) >= lines:
            break
    return learnt[:lines], apart, used


class Measured(NamedTuple):
    """A tokenizer on a text."""

    length: float  # tokens an eojeol
    unknown: float  # share of eojeol with an unknown piece
    letters: float  # letters a token, blanks left out


def measure(tokenizer: Tokenizer, lines: Sequence[str]) -> Measured:
    """How long a text becomes, and how much of it is lost."""
    eojeol = [one for line in lines for one in line.split()]
    read = tokenizer.ids_batch(eojeol)
    tokens = sum(map(len, read))
    lost = sum(bool((ids == tokenizer.unknown).any()) for ids in read)
    return Measured(tokens / len(eojeol), lost / len(eojeol), sum(map(len, eojeol)) / tokens)


def vocabularies(sizes: str, learnt: Sequence[str]) -> dict[int, Tokenizer]:
    """Tokenizers learnt from the lines, by their number of ids; where the text gives fewer pieces, as many as it gives.

    raises  ValueError where sizes is no list of numbers
    """
    if not re.fullmatch(r"\s*\d+(\s*,\s*\d+)*\s*", sizes):
        raise ValueError(f"sizes wants numbers with commas between them, got {sizes!r}; for example 2000, 8000")
    asked = sorted({int(size) for size in sizes.split(",")})
    made = [tokenizer_training.train(learnt, size, at_most=True) for size in asked]
    found = {one.vocabulary: one for one in made}
    if len(found) < min(len(asked), 3):  # a small text: something to compare all the same
        for share in (0.7, 0.85):
            with contextlib.suppress(TokenizerError):  # fewer than its characters
                one = tokenizer_training.train(learnt, int(share * max(found)))
                found[one.vocabulary] = one
    return dict(sorted(found.items()))


def coverages(size: int, learnt: Sequence[str]) -> dict[float, Tokenizer]:
    """Tokenizers of one size that differ in the share of all characters that shall be known."""
    return {share: tokenizer_training.train(learnt, size, share, at_most=True) for share in COVERAGES}


def other_text() -> list[str]:
    """Sentences of another kind than reviews and stories, which none of the vocabularies has seen."""
    return texts.sentences("ko", 2000)


def reviews(count: int) -> list[str]:
    """Film reviews where they lie, else made ones."""
    rows = text_sets.open_text_set("nsmc" if text_sets.here("nsmc") else "made_reviews").splits["train"]
    return [row.text for row in itertools.islice(itertools.cycle(rows), count)]


def speed(tokenizer: Tokenizer, lines: Sequence[str]) -> list[tuple[str, int, str]]:
    """Texts a second, and whether the ids are those of SentencePiece's own pieces: rows of what, how many, same ids."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_proto=tokenizer.model)
    pieces, took = _timed(lambda: processor.Encode(list(lines), out_type=str, num_threads=1))
    wanted = [[tokenizer.index.get(piece, tokenizer.unknown) for piece in row] for row in pieces]
    found = [("SentencePiece alone, its own pieces", round(len(lines) / took), "")]
    for threads in (1, 2):
        read, took = _timed(lambda: tokenizer.ids_batch(lines, threads=threads))  # noqa: B023
        same = sum(ids.tolist() == row for ids, row in zip(read, wanted))
        found.append((f"ids_batch, {threads} thread{'s'[: threads > 1]}", round(len(lines) / took), _of(same, lines)))
    part = lines[: len(lines) // 10]
    read, took = _timed(lambda: [tokenizer.encode(line).ids[1:-1] for line in part])
    same = sum(ids.tolist() == row for ids, row in zip(read, wanted))
    found.append(("encode, with places", round(len(part) / took), _of(same, part)))
    return found


def as_others_read(tokenizer: Tokenizer, text: str) -> list[tuple[str, str, str, int]]:
    """The same pieces behind tokenizers that transformers may take for KoBERT's: who, pieces, ids, syllables lost."""
    read = tokenizer.encode(text)
    cut = lambda line: [tokenizer.pieces[i] for i in tokenizer.ids(line)]  # noqa: E731
    rows = [("ours", " ".join(read.pieces), read.ids.tolist(), len(lost_syllables(cut, tokenizer.index)))]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "spiece.model").write_bytes(tokenizer.model)
        for name, other in _others(folder, tokenizer.index).items():
            ids = other(text)["input_ids"]
            lost = len(lost_syllables(other.tokenize, other.get_vocab()))
            rows.append((name, " ".join(other.convert_ids_to_tokens(ids)), ids, lost))
    return [(name, pieces, " ".join(map(str, ids)), lost) for name, pieces, ids, lost in rows]


def _others(folder: str, index: dict[str, int]) -> dict[str, Any]:
    """Tokenizers of transformers over the same model or the same pieces; none where it is not installed."""
    if importlib.util.find_spec("transformers") is None:
        return {}
    from transformers import BertTokenizer, XLNetTokenizer

    return {"XLNetTokenizer": XLNetTokenizer.from_pretrained(folder), "BertTokenizer": BertTokenizer(vocab=index)}


def _timed(work):
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def _of(same: int, lines: Sequence[str]) -> str:
    return f"{same:,} of {len(lines):,}"
