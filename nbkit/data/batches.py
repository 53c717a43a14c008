"""Rows to batches. The order is a pure function of (seed, epoch), and so batch n of a run is the same whether the run
came there in one go or was resumed, with any number of workers.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from nbkit.base import seeds


class Collate(Protocol):
    """Makes a batch of rows. Loading processes take it with them, so it has to be picklable."""

    def __call__(self, chosen: np.ndarray, n: int, whole: np.ndarray) -> Any:
        """Batch n of the rows `chosen`, which are this part's share of the rows `whole`."""
        ...


def epoch_order(lengths: np.ndarray, batch_size: int, seed: int, epoch: int, pool: int = 16) -> np.ndarray:
    """The batches of an epoch: [batches, batch_size] indices, items of like length together. A pure function.

    Items are shuffled, sorted by length within pools of `pool` batches, cut into batches, and the batches shuffled.
    Each item comes once; where the last batch is not full, items from the head of the shuffle come a second time.
    """
    draw = seeds.generator(seed, "order", epoch)
    shuffled = draw.permutation(len(lengths))
    batches = -(-len(lengths) // batch_size)
    filled = np.resize(shuffled, batches * batch_size)
    span = pool * batch_size
    pools = [filled[i : i + span] for i in range(0, len(filled), span)]
    ordered = np.concatenate([p[np.argsort(lengths[p], kind="stable")] for p in pools])
    return draw.permutation(ordered.reshape(batches, batch_size))


class ShuffledBatches:
    """Training batches: item n is part `part` of `parts` of the n-th batch of the run.

    The parts of a batch are what micro-batches and processes share; together they are the batch.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        collate: Collate,
        batch_size: int,
        seed: int,
        part: int = 0,
        parts: int = 1,
        pool: int = 16,
    ):
        """pool   batches within which rows of like length come together, see epoch_order

        raises   ValueError without rows, and for more parts than a batch has rows
        """
        if not len(lengths):
            raise ValueError("wanted rows to learn from, the data set has none in its split 'train'; add some")
        self.batch_size = min(batch_size, len(lengths))
        if self.batch_size < parts:
            raise ValueError(
                f"a batch of {self.batch_size} rows cannot be shared by {parts} processes and micro-batches; use fewer "
                "of them, or a larger batch"
            )
        self.collate, self.seed, self.part, self.parts, self.pool = collate, seed, part, parts, pool
        self.batches_per_epoch = -(-len(lengths) // self.batch_size)
        self._lengths = np.asarray(lengths)

    @functools.lru_cache(maxsize=2)  # noqa: B019  the object lives as long as the run
    def _order(self, epoch: int) -> np.ndarray:
        return epoch_order(self._lengths, self.batch_size, self.seed, epoch, self.pool)

    def __getitem__(self, n: int) -> Any:
        epoch, index = divmod(n, self.batches_per_epoch)
        whole = self._order(epoch)[index]
        return self.collate(whole[self.part :: self.parts], n, whole)


class SortedBatches:
    """All rows once, in order of length: item n of len() batches. With several processes each takes its share of them,
    so that a batch holds the same rows however many there are.
    """

    def __init__(self, lengths: Sequence[int], collate: Collate, batch_size: int, part: int = 0, parts: int = 1):
        order = np.argsort(lengths, kind="stable")
        self._batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)][part::parts]
        self._collate = collate

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, n: int) -> Any:
        return self._collate(self._batches[n], n, self._batches[n])
