"""Batches without padding: sequences one behind another, and for pre-training some of their pieces hidden.

    batches = MaskedBatches(corpus, tokenizer, batch_size=128, seed=0)
    batches[1000]       the same at any time, in any process, from any instance

Which sequences a batch holds follows from (seed, epoch) and the number of sequences before it; what is hidden in them
from (seed, number of the batch). Source: paper_notes/bert.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nbkit.base import seeds
from nbkit.data.corpus import Corpus
from nbkit.data.disk import DataError
from nbkit.data.sequences import Sequences, Spans, held_apart
from nbkit.data.tokenizer import SPECIALS, Tokenizer

MASKED, REPLACED = 0.8, 0.1  # of the hidden pieces; the others stay as they are and are asked for all the same
FOLLOWS, FOLLOWS_NOT = 0, 1  # as BertForPreTraining counts


class Packed(NamedTuple):
    """Sequences one behind another; sequence b is tokens[boundaries[b] : boundaries[b + 1]]. Arrays, or tensors."""

    tokens: Any  # [T] int64
    types: Any  # [T] int64
    boundaries: Any  # [B + 1] int64


class MaskedBatch(NamedTuple):
    """Sequences with hidden pieces, the longest first. Arrays, or tensors."""

    tokens: Any  # [T] int64
    types: Any  # [T] int64
    boundaries: Any  # [B + 1] int64
    masked: Any  # [M] int64, rising: places in tokens that are to be guessed
    targets: Any  # [M] int64, what was there
    next_sentence: Any  # [B] int64: 0 the second text follows the first, 1 it does not; [0] where not asked for


def pack(encodings: Iterable[Sequence[Any]]) -> Packed:
    """Encodings, or pairs of ids and types, one behind another in their order."""
    rows = [(np.asarray(row[0], np.int64), np.asarray(row[1], np.int64)) for row in encodings]
    none = np.zeros(0, np.int64)
    boundaries = np.cumsum([0, *(len(ids) for ids, _ in rows)], dtype=np.int64)
    return Packed(
        np.concatenate([none, *(r[0] for r in rows)]), np.concatenate([none, *(r[1] for r in rows)]), boundaries
    )


class _Reader:
    """What training and validation share: a choice of the corpus, and how sequences become a batch."""

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Tokenizer,
        *,
        batch_size: int | Callable[[int], int],
        part: int = 0,
        parts: int = 1,
        max_length: int = 128,
        mask_rate: float = 0.15,
        whole_word: bool = False,
        next_sentence: bool = False,
        context: str = "line",
        seed: int = 0,
    ):
        if not 0 < mask_rate < 1:
            raise DataError(f"wanted a mask_rate between 0 and 1, got {mask_rate}; BERT's is 0.15")
        if not callable(batch_size) and batch_size < 1:
            raise DataError(f"wanted a batch_size of at least 1, got {batch_size}")
        if not 0 <= part < parts:
            raise DataError(f"wanted a part from 0 to {parts - 1}, got {part}")
        self._arguments: dict[str, Any] = dict(
            batch_size=batch_size, part=part, parts=parts, max_length=max_length, mask_rate=mask_rate,
            whole_word=whole_word, next_sentence=next_sentence, context=context, seed=seed,
        )  # fmt: skip
        self.corpus, self.tokenizer, self.part, self.parts = corpus, tokenizer, part, parts
        self.batch_size: Any = batch_size
        self.mask_rate, self.whole_word, self.seed = mask_rate, whole_word, seed
        apart = held_apart(corpus)
        self.sequences = Sequences(
            corpus, apart if self.validates else ~apart, max_length, context=context, next_sentence=next_sentence
        )

    validates = False

    def __reduce__(self):
        return _open, (type(self), self.corpus, self.tokenizer, self._arguments)

    def _batch(self, items: np.ndarray, stream: tuple[str | int, ...], *chosen: slice) -> MaskedBatch:
        """Items by their length, and of these those that the slices, one after another, choose.

        All random numbers are drawn for all items, so none depends on which of them are chosen.
        """
        spans = self.sequences.spans(items, seeds.generator(self.seed, *stream, "pairs"))
        sizes = spans.sizes
        order = np.argsort(-sizes, kind="stable")
        for which in chosen:
            order = order[which]
        draw = seeds.generator(self.seed, *stream, "masks")
        of_sequence, of_token = draw.random(len(items)), draw.random((2, int(sizes.sum())))
        packed = _assemble(self.corpus, self.tokenizer, spans.take(order))
        places = _ranges((np.cumsum(sizes) - sizes)[order], sizes[order])
        hidden = self._hidden(packed, of_sequence[order], of_token[0][places])
        tokens = _replaced(packed.tokens, hidden, of_token[1][places][hidden], self.tokenizer)
        follows = spans.follows[order] if len(spans.follows) else np.zeros(0, bool)
        labels = np.where(follows, FOLLOWS, FOLLOWS_NOT).astype(np.int64)
        return MaskedBatch(tokens, packed.types, packed.boundaries, hidden, packed.tokens[hidden], labels)

    def _hidden(self, packed: Packed, of_sequence: np.ndarray, of_token: np.ndarray) -> np.ndarray:
        """Places of the pieces to hide, rising: whole units, which are pieces or eojeols.

        of_sequence  [B] random numbers, one for each sequence
        of_token     [T] random numbers; those of the first pieces of the units give the order
        """
        places = np.flatnonzero(packed.tokens >= len(SPECIALS))
        if not len(places):
            return places
        sequence = np.repeat(np.arange(len(of_sequence)), np.diff(packed.boundaries))[places]
        first = np.arange(len(places))
        if self.whole_word:
            first = np.flatnonzero(np.diff(self._words(packed.tokens)[places], prepend=-1))
        # one sort for all sequences: the number of the sequence in the high bits, the random number below
        key = (sequence[first] << 40) + (of_token[places[first]] * 2.0**40).astype(np.int64)
        order = np.argsort(key, kind="stable")
        sizes = np.diff(first, append=len(places))
        chosen = np.zeros(len(first), bool)
        chosen[order] = _take(sizes[order], sequence[first], self.mask_rate, of_sequence)
        return places[np.repeat(chosen, sizes)]

    def _words(self, tokens: np.ndarray) -> np.ndarray:
        """[T], rising: the number of the eojeol that a token belongs to. Specials, but for [UNK], stand between."""
        between = (tokens == self.tokenizer.cls) | (tokens == self.tokenizer.sep)
        behind = np.concatenate([[False], between[:-1]])
        return np.cumsum(self.tokenizer.starts[tokens] | between | behind)


class MaskedBatches(_Reader):
    """A map-style data set of training batches: item n is part `part` of `parts` of the n-th batch of the run.

    Each sequence comes once an epoch, in an order of that epoch; batches go over the end of an epoch. Masks are drawn
    anew each time. The parts of a batch together are the batch, whatever their number. Pickles small, without what it
    has computed.

    batch_size     sequences, or a function that gives those of batch n; it must be a pure one, and one that pickles
                   where batches are loaded by other processes
    max_length     tokens of a sequence, specials included; what is longer loses its end
    mask_rate      share of the pieces to be guessed; at least one in each sequence
    whole_word     all pieces of an eojeol are hidden or none; [UNK], which nobody can guess, is never
    next_sentence  two texts a sequence: half of the time the second follows the first in its document, else it is from
                   another document
    context        "line": a sequence is a line. "document": as many consecutive lines of a document as fit
    raises         DataError where the corpus is too small or has no documents where these are needed
    """

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, **arguments: Any):
        super().__init__(corpus, tokenizer, **arguments)
        self._orders: dict[int, np.ndarray] = {}
        self._sums = np.zeros(1, np.int64)  # sequences before batch 0, 1, ... where batch_size is a function

    def __getitem__(self, n: int) -> MaskedBatch:
        if n < 0:
            raise IndexError(f"wanted a batch from 0 on, got {n}")
        begin, end = self._before(n), self._before(n + 1)
        if end - begin < self.parts:
            raise DataError(
                f"a batch of {end - begin} sequences cannot be shared by {self.parts} processes and micro-batches; use "
                "fewer of them, or a larger batch"
            )
        count = len(self.sequences)
        items = [
            self._order(epoch)[max(begin - epoch * count, 0) : end - epoch * count]
            for epoch in range(begin // count, (end - 1) // count + 1)
        ]
        return self._batch(np.concatenate(items), ("train", n), slice(self.part, None, self.parts))

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            for old in [known for known in self._orders if abs(known - epoch) > 1]:
                del self._orders[old]
            draw = seeds.generator(self.seed, "order", epoch)
            self._orders[epoch] = draw.permutation(len(self.sequences)).astype(np.int32)
        return self._orders[epoch]

    def _before(self, n: int) -> int:
        """Sequences in all batches before batch n."""
        if not callable(self.batch_size):
            return n * self.batch_size
        known = len(self._sums) - 1
        if n > known:
            sizes = np.fromiter(map(self.batch_size, range(known, n + 4096)), np.int64)
            if sizes.min() < 1:
                raise DataError(f"wanted batches of at least one sequence, got {sizes.min()}")
            self._sums = np.concatenate([self._sums, self._sums[-1] + np.cumsum(sizes)])
        return int(self._sums[n])


class ValidationBatches(_Reader):
    """Batches of the documents that are kept apart, all of their sequences once, the longest first.

    The arguments are those of MaskedBatches, but batch_size is a number. The masks are the same each time, whatever
    batch_size and parts. A part that has nothing to do in the last batch has one batch fewer.
    """

    validates = True
    batch_size: int

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, *, batch_size: int, **arguments: Any):
        super().__init__(corpus, tokenizer, batch_size=batch_size, **arguments)

    def __len__(self) -> int:
        last = len(self.sequences) % self.batch_size
        share = min(self.batch_size, len(self.sequences))
        full = len(self.sequences) // self.batch_size * (self.part < share)
        return full + (self.part < last)

    def __getitem__(self, n: int) -> MaskedBatch:
        if not 0 <= n < len(self):
            raise IndexError(f"wanted one of {len(self)} validation batches, got {n}")
        of_batch = slice(n * self.batch_size, (n + 1) * self.batch_size)
        return self._batch(
            np.arange(len(self.sequences)), ("validation",), of_batch, slice(self.part, None, self.parts)
        )


def _open(kind: type[_Reader], corpus: Corpus, tokenizer: Tokenizer, arguments: dict[str, Any]) -> _Reader:
    return kind(corpus, tokenizer, **arguments)


def _assemble(corpus: Corpus, tokenizer: Tokenizer, spans: Spans) -> Packed:
    """[CLS] text [SEP], or [CLS] text [SEP] text [SEP], of each span."""
    texts = spans.begins.shape[1]
    boundaries = np.concatenate([[0], np.cumsum(spans.sizes)])
    lengths = spans.lengths.ravel()
    room = (spans.lengths + 1).cumsum(1)  # of each text its end in the sequence, [SEP] included, [CLS] left out
    at = (boundaries[:-1, None] + 1 + room - (spans.lengths + 1)).ravel()
    tokens = np.full(boundaries[-1], tokenizer.sep, np.int64)
    tokens[boundaries[:-1]] = tokenizer.cls
    tokens[_ranges(at, lengths)] = corpus.tokens.ranges(spans.begins.ravel(), lengths)
    types = np.zeros_like(tokens)
    if texts == 2:
        types[_ranges(at[1::2], lengths[1::2] + 1)] = 1
    return Packed(tokens, types, boundaries)


def _take(sizes: np.ndarray, sequence: np.ndarray, rate: float, draw: np.ndarray) -> np.ndarray:
    """[U] bool: which units are hidden, so that the mean over all draws is `rate` of a sequence's pieces.

    Units are taken as they come until that is reached; the one that goes beyond is taken with the chance that makes
    this the mean. At least one is taken: where the first alone goes beyond, the first that does not stands in for it
    with the other chance. Where even the smallest does, that one is taken, and the share is larger.

    sizes     [U] pieces of a unit, in random order within its sequence
    sequence  [U] the sequence of a unit, rising
    draw      [B] a random number for each sequence
    """
    heads = np.flatnonzero(np.diff(sequence, prepend=-1))
    units = np.diff(heads, append=len(sizes))
    draw = draw[sequence[heads]]
    wanted = rate * np.add.reduceat(sizes, heads)
    before = np.cumsum(sizes) - sizes
    taken = np.repeat(wanted + before[heads], units) - before > np.repeat(draw, units) * sizes
    limit = np.maximum(wanted, np.minimum.reduceat(sizes, heads))
    fitting = np.flatnonzero(sizes <= np.repeat(limit, units))
    stand_in = fitting[np.searchsorted(fitting, heads)]
    beyond = sizes[heads] > wanted
    chance = (wanted - sizes[stand_in]) / np.maximum(sizes[heads] - sizes[stand_in], 1)
    replaced = beyond & (draw >= chance)
    taken[heads] = ~replaced
    taken[stand_in[replaced]] = True
    return taken


def _replaced(tokens: np.ndarray, hidden: np.ndarray, draw: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """[T]: of the hidden pieces four in five are [MASK], one in ten is any piece, the others stay.

    draw  [M] random numbers
    """
    found = tokens.copy()
    found[hidden[draw < MASKED]] = tokenizer.mask
    other = (draw >= MASKED) & (draw < MASKED + REPLACED)
    pieces = tokenizer.vocabulary - len(SPECIALS)
    which = ((draw[other] - MASKED) / REPLACED * pieces).astype(np.int64)  # what is left of the draw chooses the piece
    found[hidden[other]] = len(SPECIALS) + which.clip(0, pieces - 1)
    return found


def _ranges(begins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """begins[i], begins[i] + 1, ... lengths[i] numbers, for all i one behind another."""
    total = int(lengths.sum())
    return np.repeat(begins - (np.cumsum(lengths) - lengths), lengths) + np.arange(total)
