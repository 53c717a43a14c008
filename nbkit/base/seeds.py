"""Stateless random streams: every draw is a pure function of a seed and of what it is for.

No generator is carried along, so nothing about randomness has to be saved: a run that is cut anywhere and resumed
draws the same numbers as the run that was not cut.
"""

from __future__ import annotations

import hashlib

import numpy as np


def key(seed: int, *names: str | int) -> int:
    """A 63-bit key for the stream `names` of `seed`, for example key(0, "dropout", step, micro_batch, rank)."""
    text = "\x1f".join([str(int(seed)), *(str(name) for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator at the start of the stream `names` of `seed`."""
    return np.random.Generator(np.random.Philox(key(seed, *names)))
