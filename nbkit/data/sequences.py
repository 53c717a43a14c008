"""Which lines of a corpus are read together, alone or in pairs, and which are kept apart for validation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nbkit.base import seeds
from nbkit.data.corpus import Corpus
from nbkit.data.disk import DataError

APART, MOST = 0.01, 2000  # of the documents, and at most so many lines, are for validation
CONTEXTS = ("line", "document")


def held_apart(corpus: Corpus) -> np.ndarray:
    """[L] bool: lines that are for validation, a pure function of the sizes of the documents.

    They are whole documents, about one in a hundred, at least one (two where there are four), chosen by a hash of their
    number; those of one line come last. Where most documents are too large for that, as an only one is, runs of up to
    50 consecutive lines are kept apart instead.
    raises  DataError where nothing would be left to learn from
    """
    sizes = np.diff(corpus.document_starts)
    fitting = np.flatnonzero(sizes <= min(MOST, corpus.lines // 2))
    if 2 * len(fitting) >= len(sizes):
        chosen = _choose(fitting, sizes, least=2 if len(fitting) >= 4 else 1)
        return np.repeat(np.isin(np.arange(len(sizes)), chosen), sizes)
    if corpus.lines < 2:
        raise DataError("wanted at least two lines of text, one to learn from and one to validate on, got one")
    run = min(max(corpus.lines // 200, 1), 50)
    runs = np.arange(corpus.lines) // run
    number = int(runs[-1]) + 1
    return np.isin(runs, _choose(np.arange(number), np.bincount(runs), least=1))


def _choose(among: np.ndarray, sizes: np.ndarray, least: int) -> np.ndarray:
    """About one in a hundred of `among`, as long as they have at most MOST lines; the first `least` in any case."""
    draw = seeds.generator(0, "held apart").random(len(sizes))
    order = among[np.argsort((draw + (sizes < 2))[among], kind="stable")]
    order = order[: max(least, round(APART * len(sizes)))]
    return order[(np.cumsum(sizes[order]) <= MOST) | (np.arange(len(order)) < least)]


class Spans(NamedTuple):
    """What a sequence consists of: one or two stretches of tokens of the corpus."""

    begins: np.ndarray  # [B, 1 or 2] int64, first token
    lengths: np.ndarray  # [B, 1 or 2] int64, tokens
    follows: np.ndarray  # [B] bool, whether the second follows the first; [0] where there is one only

    @property
    def sizes(self) -> np.ndarray:
        """[B] tokens of a sequence with its specials."""
        return 1 + (self.lengths + 1).sum(1)

    def take(self, order: np.ndarray) -> Spans:
        """The sequences at these places."""
        return Spans(
            self.begins[order], self.lengths[order], self.follows[order] if len(self.follows) else self.follows
        )


class Sequences:
    """All sequences that some lines of a corpus make, by number. They are the same in each epoch.

    In context "document" a sequence takes lines of a document until the next one would not fit. With pairs these lines
    are divided in two at random; in context "line" a pair is a line and the one behind it. Lines without tokens are
    left out, and so is, with pairs, a document of one line.

    lines       [L] bool, which may be used; no sequence goes over a line that may not
    max_length  tokens with all specials
    raises      DataError where there is no sequence
    """

    def __init__(self, corpus: Corpus, lines: np.ndarray, max_length: int, *, context: str, next_sentence: bool):
        if context not in CONTEXTS:
            raise DataError(f"wanted a context among {', '.join(CONTEXTS)}, got {context!r}")
        least = 5 if next_sentence else 3
        if max_length < least:
            raise DataError(f"wanted max_length of at least {least}, specials included, got {max_length}")
        self.room = max_length - (3 if next_sentence else 2)
        self.context, self.next_sentence = context, next_sentence
        self._choose_lines(corpus, lines)
        self._first, self._end = self._cut()
        if not len(self._first):
            wanted = "documents of at least two lines" if next_sentence else "lines"
            raise DataError(f"wanted {wanted}, got {corpus} with none among {int(lines.sum())} lines; take more text")
        if next_sentence:
            self._others(corpus)

    def __len__(self) -> int:
        return len(self._first)

    def _choose_lines(self, corpus: Corpus, lines: np.ndarray) -> None:
        """Of each line that is used: begin and end in tokens, and the line behind the last that goes on from it."""
        starts = np.asarray(corpus.starts)
        opens = np.zeros(corpus.lines, bool)
        opens[corpus.document_starts[:-1]] = True
        segment = np.cumsum(opens | np.diff(lines, prepend=lines[0]))
        self._used = np.flatnonzero(lines & (np.diff(starts) > 0))
        self._begins, self._ends = starts[self._used], starts[self._used + 1]
        first = np.flatnonzero(np.diff(segment[self._used], prepend=-1))
        sizes = np.diff(first, append=len(self._used))
        self._segment, self._segment_end = np.repeat(first, sizes), np.repeat(first + sizes, sizes)

    def _cut(self) -> tuple[np.ndarray, np.ndarray]:
        """First line of each sequence, and the line behind its last one."""
        line = np.arange(len(self._used))
        if self.context == "line":
            if not self.next_sentence:
                return line, line + 1
            first = line[self._segment_end > line + 1]
            return first, first + 2
        fitting = np.searchsorted(self._ends, self._begins + self.room, side="right")
        behind = np.minimum(np.maximum(fitting, line + 1 + self.next_sentence), self._segment_end)
        found, at, following = [], 0, behind.tolist()
        while at < len(following):
            found.append(at)
            at = following[at]
        first = np.array(found, np.int64)
        end = behind[first]
        if self.next_sentence:  # a last line that was left alone goes together with the one before it
            first = np.where((end - first == 1) & (first > self._segment[first]), first - 1, first)
            first, end = first[end - first > 1], end[end - first > 1]
        return first, end

    def _others(self, corpus: Corpus) -> None:
        """Of each line that is used, which lines are of its document."""
        document = np.searchsorted(corpus.document_starts, self._used, side="right")
        first = np.flatnonzero(np.diff(document, prepend=-1))
        if len(first) < 2:
            raise DataError(
                "wanted a second document to take text from that does not follow, got one; separate documents by "
                "blank lines, or set next_sentence to False"
            )
        sizes = np.diff(first, append=len(document))
        self._document, self._document_size = np.repeat(first, sizes), np.repeat(sizes, sizes)

    def spans(self, items: np.ndarray, draw: np.random.Generator) -> Spans:
        """The tokens of these sequences; pairs are drawn for all of them at once."""
        first, end = self._first[items], self._end[items]
        begins = self._begins[first]
        if not self.next_sentence:
            lengths = np.minimum(self._ends[end - 1] - begins, self.room)
            return Spans(begins[:, None], lengths[:, None], np.zeros(0, bool))
        follows = draw.random(len(items)) < 0.5
        middle = first + 1 + (draw.random(len(items)) * (end - first - 1)).astype(np.int64)
        length = self._ends[middle - 1] - begins
        second, second_end = middle, end
        other = self._elsewhere(first, draw.random(len(items)))
        begins_second = self._begins[np.where(follows, second, other)]
        true_length = self._ends[second_end - 1] - self._begins[second]
        other_end = self._as_long(other, true_length)
        length_second = np.where(follows, true_length, self._ends[other_end - 1] - self._begins[other])
        kept = np.minimum(length_second, np.maximum(self.room - length, self.room // 2))  # as Tokenizer.encode() does
        lengths = np.stack([np.minimum(length, self.room - kept), kept], 1)
        return Spans(np.stack([begins, begins_second], 1), lengths, follows)

    def _elsewhere(self, lines: np.ndarray, draw: np.ndarray) -> np.ndarray:
        """For each line one of another document, all with the same chance."""
        own, size = self._document[lines], self._document_size[lines]
        found = (draw * (len(self._used) - size)).astype(np.int64)
        return found + size * (found >= own)

    def _as_long(self, lines: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The line behind those from `lines` on that have at most so many tokens, at least one."""
        if self.context == "line":
            return lines + 1
        fitting = np.searchsorted(self._ends, self._begins[lines] + tokens, side="right")
        return np.minimum(np.maximum(fitting, lines + 1), self._segment_end[lines])
