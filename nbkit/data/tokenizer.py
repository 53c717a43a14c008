"""Text to the ids of KoBERT and back: a SentencePiece unigram model, five specials, and the place of each piece.

    tokenizer = kobert()                    the published one, or train(lines) from tokenizer_training
    tokenizer.ids("한국어 모델을 공유합니다.")     [4958, 6855, 2046, 7088, 1050, 7843, 54]
    tokenizer.encode("질문", "대답")          [CLS] 질문 [SEP] 대답 [SEP], with types and places

Ids 0 to 4 are the specials, the ids behind them the pieces of the model, sorted, and then the tokens that were added.
Text never becomes a special: whoever writes "[SEP]" gets brackets and letters.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nbkit.data import manifest
from nbkit.data import tokenizer_checks as checks
from nbkit.data.added_tokens import BLANK, AddedTokens
from nbkit.data.tokenizer_checks import SPECIALS, TokenizerError

# transformers would read a file named tokenizer.model without the list of ids, and give wrong ones in silence
PUBLISHED = "kobert_tokenizer"  # the manifest
MODEL, VOCABULARY = "tokenizer_kobert.model", "vocabulary.json"
FOR_TRANSFORMERS = {"tokenizer_class": "KoBERTTokenizer"}  # of hf_tokenizer; without it AutoTokenizer refuses


class Encoding(NamedTuple):
    """A text, or a pair, as a model reads it."""

    ids: np.ndarray  # [T] int64
    types: np.ndarray  # [T] int64, 0 up to and with the first [SEP], 1 behind it
    spans: np.ndarray  # [T, 2] int64, characters of its own text without the blank before it; (0, 0) of a special
    pieces: list[str]  # [T], an unknown one as it was written


class PaddedBatch(NamedTuple):
    """Texts side by side, filled with [PAD] at their right."""

    tokens: np.ndarray  # [B, T] int64
    types: np.ndarray  # [B, T] int64, 0 where padded
    lengths: np.ndarray  # [B] int64


class Tokenizer:
    """A SentencePiece model, the list that gives its pieces their ids, and tokens that are found before it looks.

    raises TokenizerError where these do not fit each other, and where Hangul does not get through whole
    """

    unknown, pad, cls, sep, mask = range(len(SPECIALS))

    def __init__(self, model: bytes, pieces: Sequence[str], added: Sequence[str] = ()):
        self.model, self.pieces, self.added = model, list(pieces), tuple(added)
        self._processor = checks.processor_of(model)
        checks.check_pieces(self._processor, self.pieces, self.added)
        self.index = {piece: i for i, piece in enumerate(self.pieces)}
        count = self._processor.GetPieceSize()
        of_model = (self.index.get(self._processor.IdToPiece(i), self.unknown) for i in range(count))
        self._table = np.fromiter(of_model, np.uint16, count)  # SentencePiece's id -> ours
        of_pieces = "".join(set(self.pieces[len(SPECIALS) :]) - set(self.added))
        self._added = AddedTokens({token: self.index[token] for token in self.added}, of_pieces)
        checks.check_hangul(partial(self._processor.Encode, out_type=str), self.index)
        checks.check_published(model, self.ids(checks.KNOWN[0]))

    @property
    def vocabulary(self) -> int:
        """How many ids there are."""
        return len(self.pieces)

    @cached_property
    def starts(self) -> np.ndarray:
        """[V] bool: whether a piece begins an eojeol."""
        return np.array([piece.startswith(BLANK) for piece in self.pieces])

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with any id of any text."""
        digest = hashlib.sha256(self.model)
        digest.update(json.dumps([self.pieces, self.added]).encode())
        return digest.hexdigest()[:16]

    def with_added(self, tokens: Iterable[str]) -> Tokenizer:
        """The same, and each of `tokens`, wherever it stands in a text, is one id, behind all others.

        A token that has an id keeps it: with_added(["[MASK]"]) reads the mask where it is written. A blank before a
        special is part of it, as it is part of the piece that the mask stands for.
        """
        new = [token for token in dict.fromkeys(tokens) if token not in self.added]
        for token in new:
            if not isinstance(token, str) or not token.strip():
                raise TokenizerError(f"wanted tokens of at least one letter to add, got {token!r}")
        return Tokenizer(self.model, self.pieces + [t for t in new if t not in self.index], (*self.added, *new))

    # text to ids

    def ids(self, text: str) -> list[int]:
        """The ids of a text, without specials."""
        return self.ids_batch([text])[0].tolist()

    def ids_batch(self, texts: Sequence[str], threads: int = 1) -> list[np.ndarray]:
        """The ids of each text, [T] uint16, without specials: the fast way for many texts."""
        texts = list(texts)
        try:
            written = [self._added.hide(text).text for text in texts] if self.added else texts
            read = self._processor.Encode(written, out_type=int, num_threads=threads)
        except (TypeError, RuntimeError) as error:
            raise checks.unreadable(texts) from error
        found = [self._table[row] if row else self._table[:0] for row in read]
        for n in (n for n, text in enumerate(written) if text in self._added):
            found[n] = np.array([i for _, i, silent in self._cut(written[n]) if not silent], np.uint16)
        return found

    def encode(self, text: str, pair: str = "", max_length: int = 512) -> Encoding:
        """[CLS] text [SEP], and pair [SEP] where there is one; what is too long loses its end, the longer first."""
        first, second = self._read(text), self._read(pair)
        keep = _room(len(first), len(second) if pair else None, max_length)
        special = lambda i: (i, SPECIALS[i], (0, 0))  # noqa: E731
        rows = [special(self.cls), *first[: keep[0]], special(self.sep)]
        types = [0] * len(rows)
        if pair:
            rows += [*second[: keep[1]], special(self.sep)]
        types += [1] * (len(rows) - len(types))
        ids, pieces, spans = zip(*rows, strict=True)
        return Encoding(np.array(ids, np.int64), np.array(types, np.int64), np.array(spans, np.int64), list(pieces))

    def batch(self, texts: Sequence[str], pairs: Sequence[str] | None = None, max_length: int = 512) -> PaddedBatch:
        """The texts, each with its pair where that is not empty, as encode() has them; padded to the longest."""
        pairs = [""] * len(texts) if pairs is None else pairs
        if len(pairs) != len(texts) or not len(texts):
            raise TokenizerError(f"wanted texts and a pair for each, got {len(texts)} texts and {len(pairs)} pairs")
        read = self.ids_batch([*texts, *pairs])
        halves: list[list[np.ndarray]] = []
        for first, second, pair in zip(read, read[len(texts) :], pairs):
            keep = _room(len(first), len(second) if pair else None, max_length)
            halves.append([first[: keep[0]], second[: keep[1]]] if pair else [first[: keep[0]]])
        lengths = np.array([1 + sum(len(half) + 1 for half in row) for row in halves], np.int64)
        tokens = np.full((len(texts), lengths.max()), self.pad, np.int64)
        types = np.zeros_like(tokens)
        for b, row in enumerate(halves):
            end = len(row[0]) + 2
            tokens[b, 0], tokens[b, 1 : end - 1], tokens[b, end - 1] = self.cls, row[0], self.sep
            if len(row) == 2:
                tokens[b, end : lengths[b] - 1], tokens[b, lengths[b] - 1] = row[1], self.sep
                types[b, end : lengths[b]] = 1
        return PaddedBatch(tokens, types, lengths)

    def decode(self, ids: Iterable[int], specials: bool = False) -> str:
        """The text of ids, as the normaliser left it; what was unknown stays [UNK], other specials only on request."""
        chosen = np.asarray(list(ids), np.int64)
        wrong = chosen[(chosen < 0) | (chosen >= self.vocabulary)]
        if wrong.size:
            raise TokenizerError(f"wanted ids from 0 to {self.vocabulary - 1}, got {wrong[0]}; another vocabulary?")
        shown = chosen if specials else chosen[(chosen == self.unknown) | (chosen >= len(SPECIALS))]
        return "".join(self.pieces[i] for i in shown).replace(BLANK, " ").strip()

    # files

    def save(self, folder: str | Path) -> None:
        """Write the two files that load() reads, and a third that tells transformers whose they are."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files().items():
            (folder / name).write_bytes(content)
        (folder / "tokenizer_config.json").write_text(json.dumps(FOR_TRANSFORMERS))

    def files(self) -> dict[str, bytes]:
        """Name and content of the two files that hold all of it."""
        listed = {"idx_to_token": self.pieces, "added": self.added}
        return {MODEL: self.model, VOCABULARY: json.dumps(listed, ensure_ascii=False).encode()}

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """The tokenizer in a folder: one that save() wrote, or the pair that was published for KoBERT."""
        models, lists = sorted(Path(path).glob("tokenizer*.model")), sorted(Path(path).glob("*vocab*.json"))
        if len(models) != 1 or len(lists) != 1:
            found = ", ".join(file.name for file in [*models, *lists]) or "neither"
            raise TokenizerError(f"wanted one tokenizer*.model and one *vocab*.json in {path}, got {found}")
        model, vocabulary = (checks.whole_file(file) for file in (models[0], lists[0]))
        try:
            return cls._from_files(model, vocabulary)
        except TokenizerError as error:
            error.add_note(f"read from {path}")
            raise

    def to_bytes(self) -> bytes:
        """All of it, as it goes into checkpoints and exports: the same bytes for the same tokenizer."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files().items():
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Tokenizer:
        """What to_bytes() gave."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                model, vocabulary = archive.read(MODEL), archive.read(VOCABULARY)
        except (zipfile.BadZipFile, KeyError, EOFError) as error:
            raise TokenizerError(f"wanted the bytes of a tokenizer, got {len(data):,} damaged ones") from error
        return cls._from_files(model, vocabulary)

    def __reduce__(self):
        return Tokenizer.from_bytes, (self.to_bytes(),)

    @classmethod
    def _from_files(cls, model: bytes, vocabulary: bytes) -> Tokenizer:
        try:
            listed = json.loads(vocabulary)
            return cls(model, listed["idx_to_token"], listed.get("added", ()))
        except (UnicodeDecodeError, json.JSONDecodeError, KeyError, AttributeError, TypeError) as error:
            raise TokenizerError("wanted JSON with a list idx_to_token, got something else; copy it again") from error

    # reading

    def _read(self, text: str) -> list[tuple[int, str, tuple[int, int]]]:
        """The (id, piece, span) of each token of a text."""
        try:
            written, starts, ends = self._added.hide(text)
            cut = self._cut(written)
            normal, at = self._processor.Normalize(written, with_offsets=True)
        except (TypeError, RuntimeError) as error:
            raise checks.unreadable([text]) from error
        at = np.asarray(at)  # of each character of `normal` its place in `written`
        behind = at[np.searchsorted(at, at, side="right").clip(max=len(at) - 1)]  # where the next one begins
        rows, place = [], 0
        for piece, i, silent in cut:
            begin = place + len(piece) - len(piece.lstrip(BLANK))
            place += len(piece)
            start = int(starts[at[begin]])
            end = int(ends[behind[place - 1] - 1]) if place > begin else start
            if not silent:
                rows.append((i, self.pieces[i] if piece in self._added.ids else piece, (start, end)))
        if place != len(normal):
            raise TokenizerError(f"the pieces of {text!r} do not add up to {normal!r}, so they have no places in it")
        return rows

    def _cut(self, written: str) -> list[tuple[str, int, bool]]:
        """The pieces of a text whose added tokens are hidden, their ids, and whether one is left out."""
        pieces, ids = (self._processor.Encode(written, out_type=kind) for kind in (str, int))
        found: list[tuple[str, int]] = []
        for piece, i in zip(pieces, self._table[ids or []].tolist(), strict=True):
            if i == self.unknown and piece in self._added:
                found += [(part, self._added.ids.get(part, self.unknown)) for part in self._added.split(piece)]
            else:
                found.append((piece, i))
        silent = self._added.silent([piece for piece, _ in found])
        return [(*one, out) for one, out in zip(found, silent)]


def kobert() -> Tokenizer:
    """The tokenizer that was published with KoBERT, where NBKIT_DATA has it or where it was fetched to.

    What is fetched is the model alone; the list of ids is made of it, and checked by the known ids.
    raises  DataError where it is not on this machine, TokenizerError where it is another one
    """
    found = manifest.load(PUBLISHED)
    if not manifest.is_here(found):
        raise manifest.absent(found)
    folder = manifest.folder_of(found)
    models = sorted(folder.glob("tokenizer*.model"))
    if len(models) != 1 or any(folder.glob("*vocab*.json")):
        return Tokenizer.load(folder)
    made = of_model(checks.whole_file(models[0]))
    if made.ids(checks.KNOWN[0]) != checks.KNOWN[1]:
        raise TokenizerError(f"wanted the model of KoBERT in {folder}, got another one; fetch {PUBLISHED} again")
    return made


def of_model(model: bytes) -> Tokenizer:
    """The tokenizer of a SentencePiece model whose ids were given as KoBERT's were: specials, then sorted pieces."""
    return Tokenizer(model, [*SPECIALS, *sorted(checks.text_pieces(checks.processor_of(model)))])


def _room(first: int, second: int | None, max_length: int) -> tuple[int, int]:
    """How many tokens of each text stay: the longer one gives first, at equal length the second."""
    least = 3 if second is None else 5
    if max_length < least:
        raise TokenizerError(f"wanted max_length of at least {least}, specials included, got {max_length}")
    if second is None:
        return min(first, max_length - 2), 0
    room = max_length - 3
    kept = min(second, max(room - first, room // 2))
    return min(first, room - kept), kept
