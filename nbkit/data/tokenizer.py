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
import re
import zipfile
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nbkit.base import workspace
from nbkit.data.disk import DataError

SPECIALS = ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")
BLANK = "\u2581"  # stands for the blank before an eojeol
MODEL, VOCABULARY = "tokenizer.model", "vocabulary.json"
KNOWN = "한국어 모델을 공유합니다.", [4958, 6855, 2046, 7088, 1050, 7843, 54]
PUBLISHED = "78b3253a26b9e6937c25a1c1f33fbeba"  # md5 of the model that gives these ids
COMMON = "이다는을가에의하고지한은로사기리서나도대어아자를인해시"  # syllables that no Korean text is without

# An added token goes through SentencePiece as one character that no model knows; so its neighbours are cut as ever.
_FIRST, _LAST, _STRANGER = "\U000f0000", "\U000ffffd", "\U0010fffd"


class TokenizerError(ValueError):
    """A tokenizer that cannot be used, or a text that it cannot read."""


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
        from sentencepiece import SentencePieceProcessor

        self._processor = SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise TokenizerError(f"wanted a SentencePiece model, got {len(model):,} bytes that are none") from error
        self.model, self.pieces, self.added = model, list(pieces), tuple(added)
        self._index = {piece: i for i, piece in enumerate(self.pieces)}
        self._check_pieces()
        count = self._processor.GetPieceSize()
        of_model = (self._index.get(self._processor.IdToPiece(i), self.unknown) for i in range(count))
        self._table = np.fromiter(of_model, np.uint16, count)  # SentencePiece's id -> ours
        self._stand_ins = {token: chr(ord(_FIRST) + i) for i, token in enumerate(self.added)}
        self._added_ids = {self._stand_ins[token]: self._index[token] for token in self.added}
        self._check_reading()

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

        A token that has an id keeps it: with_added(["[MASK]"]) reads the mask where it is written.
        """
        new = [token for token in dict.fromkeys(tokens) if token not in self.added]
        for token in new:
            if not isinstance(token, str) or not token.strip():
                raise TokenizerError(f"wanted tokens of at least one letter to add, got {token!r}")
        return Tokenizer(self.model, self.pieces + [t for t in new if t not in self._index], (*self.added, *new))

    # text to ids

    def ids(self, text: str) -> list[int]:
        """The ids of a text, without specials."""
        return self.ids_batch([text])[0].tolist()

    def ids_batch(self, texts: Sequence[str], threads: int = 1) -> list[np.ndarray]:
        """The ids of each text, [T] uint16, without specials: the fast way for many texts."""
        texts = list(texts)
        written = [self._hide_added(text)[0] for text in texts] if self.added else texts
        try:
            read = self._processor.Encode(written, out_type=int, num_threads=threads)
        except (TypeError, RuntimeError) as error:
            raise _unreadable(texts) from error
        if not self.added:
            return [self._table[row] if row else self._table[:0] for row in read]
        with_stand_in = re.compile(f"[{_FIRST}-{_LAST}]").search
        return [
            np.array([i for _, i in self._cut(text)], np.uint16) if with_stand_in(text) else self._table[row or []]
            for text, row in zip(written, read, strict=True)
        ]

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
        """Write the two files that load() reads."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self._files().items():
            (folder / name).write_bytes(content)

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """The tokenizer in a folder: one that save() wrote, or the pair that was published for KoBERT."""
        models, lists = sorted(Path(path).glob("tokenizer*.model")), sorted(Path(path).glob("*vocab*.json"))
        if len(models) != 1 or len(lists) != 1:
            found = ", ".join(file.name for file in [*models, *lists]) or "neither"
            raise TokenizerError(f"wanted one tokenizer*.model and one *vocab*.json in {path}, got {found}")
        model, vocabulary = (_read_file(file) for file in (models[0], lists[0]))
        try:
            return cls._from_files(model, vocabulary)
        except TokenizerError as error:
            error.add_note(f"read from {path}")
            raise

    def to_bytes(self) -> bytes:
        """All of it, as it goes into checkpoints and exports: the same bytes for the same tokenizer."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self._files().items():
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

    def _files(self) -> dict[str, bytes]:
        listed = {"idx_to_token": self.pieces, "added": self.added}
        return {MODEL: self.model, VOCABULARY: json.dumps(listed, ensure_ascii=False).encode()}

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
        written, origin = self._hide_added(text)
        cut = self._cut(written)
        normal, at = self._processor.Normalize(written, with_offsets=True)
        at = np.asarray(at)
        behind = at[np.searchsorted(at, at, side="right").clip(max=len(at) - 1)]  # where the next character begins
        rows, place = [], 0
        for piece, i in cut:
            begin = place + len(piece) - len(piece.lstrip(BLANK))
            place += len(piece)
            end = behind[place - 1] if place > begin else at[begin]
            span = int(origin[at[begin]]), int(origin[end])
            rows.append((i, self.pieces[i] if piece in self._added_ids else piece, span))
        assert place == len(normal), (text, normal)
        return rows

    def _cut(self, written: str) -> list[tuple[str, int]]:
        """The pieces of a text whose added tokens are hidden, and their ids."""
        try:
            cut = self._processor.Encode(written, out_type=str)
            ids = self._processor.Encode(written, out_type=int)
        except (TypeError, RuntimeError) as error:
            raise _unreadable([written]) from error
        found = []
        for piece, i in zip(cut, self._table[ids or []].tolist(), strict=True):
            if i == self.unknown and self.added:
                parts = [part for part in re.split(f"([{_FIRST}-{_LAST}])", piece) if part]
                found += [(part, self._added_ids.get(part, self.unknown)) for part in parts]
            else:
                found.append((piece, i))
        return found

    def _hide_added(self, text: str) -> tuple[str, np.ndarray]:
        """The text with one character for each added token, and of each character of it the place in `text`."""
        if not self.added:
            return text, np.arange(len(text) + 1) if isinstance(text, str) else np.zeros(1)
        longest_first = sorted(map(re.escape, self.added), key=len, reverse=True)
        pattern = re.compile("|".join([*longest_first, f"[{_FIRST}-{_LAST}]"]))
        parts, origin, last = [], [], 0
        for found in pattern.finditer(text):
            parts += [text[last : found.start()], self._stand_ins.get(found[0], _STRANGER)]
            origin += [*range(last, found.start() + 1)]
            last = found.end()
        return "".join([*parts, text[last:]]), np.array([*origin, *range(last, len(text) + 1)])

    # checks

    def _check_pieces(self) -> None:
        own = {self._processor.IdToPiece(i) for i in range(self._processor.GetPieceSize())}
        own -= {self._processor.IdToPiece(i) for i in self._controls()}
        if tuple(self.pieces[: len(SPECIALS)]) != SPECIALS:
            raise TokenizerError(f"wanted the specials {SPECIALS} as ids 0 to 4, got {self.pieces[: len(SPECIALS)]}")
        listed = set(self.pieces[len(SPECIALS) :]) - set(self.added)
        if len(self._index) != len(self.pieces) or own - set(self.pieces) or listed - own:
            odd = sorted((own - set(self.pieces)) | (listed - own))[:3]
            raise TokenizerError(
                f"wanted a list of the {len(own):,} pieces of the model, got {len(self.pieces) - len(SPECIALS):,} "
                f"(only in one of both: {odd}); take the model and the vocabulary from the same place"
            )
        if len(self.pieces) > 1 << 16:
            raise TokenizerError(f"wanted at most 65,536 pieces, which two bytes can number, got {len(self.pieces):,}")

    def _controls(self) -> list[int]:
        p = self._processor
        return [i for i in range(p.GetPieceSize()) if p.IsControl(i) or p.IsUnknown(i)]

    def _check_reading(self) -> None:
        """Refuse what turns Hangul into letters, bytes or nothing: a model would train on it without a complaint."""
        cut = self._processor.Encode(" ".join(COMMON), out_type=str)
        read = "".join(piece for piece in cut if piece in self._index)
        lost = [syllable for syllable in COMMON if syllable not in read]
        if len(lost) > len(COMMON) // 2:
            raise TokenizerError(
                f"this tokenizer splits Hangul, or does not know it: of {len(COMMON)} common syllables {len(lost)} are "
                f"lost, {COMMON[0]!r} becomes {self._processor.Encode(COMMON[0], out_type=str)}; it wants a model that "
                "was trained on Korean text with the normaliser nmt_nfkc"
            )
        if hashlib.md5(self.model).hexdigest() == PUBLISHED and self.ids(KNOWN[0]) != KNOWN[1]:
            raise TokenizerError(
                f"KoBERT's {KNOWN[0]!r} wants the ids {KNOWN[1]}, got {self.ids(KNOWN[0])}; its vocabulary is not the "
                "published one, or this version of sentencepiece reads it wrongly"
            )


def kobert() -> Tokenizer:
    """The tokenizer that was published with KoBERT. DataError where it is not on this machine."""
    real = workspace.real_data()
    if real is None or not (real / "kobert_tokenizer").is_dir():
        raise DataError("kobert_tokenizer is not on this machine; set NBKIT_DATA to the folder that holds it")
    return Tokenizer.load(real / "kobert_tokenizer")


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


def _unreadable(texts: Sequence[str]) -> TokenizerError:
    for n, text in enumerate(texts):
        if not isinstance(text, str):
            return TokenizerError(f"wanted texts, got {text!r} as number {n}")
        lone = re.search("[\ud800-\udfff]", text)
        if lone:
            return TokenizerError(
                f"text {n}, character {lone.start()} is half of a surrogate pair; decode the file as UTF-8"
            )
    return TokenizerError(f"SentencePiece cannot read one of {len(texts)} texts")


def _read_file(path: Path) -> bytes:
    """A file, whole: the published ones carry the beginning of their md5 in their names."""
    content = path.read_bytes()
    told = re.search(r"_([0-9a-f]{10})\.", path.name)
    got = hashlib.md5(content).hexdigest()
    if told and not got.startswith(told[1]):
        raise TokenizerError(
            f"wanted {path} with an md5 that begins {told[1]}, as its name says, got {got} in {len(content):,} bytes; "
            "it is damaged or not whole, copy it again"
        )
    return content
