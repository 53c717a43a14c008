"""How long the alignment search takes, beside the ways it is usually done: python -m nbkit.evaluate.search_bench

All rows of a table are measured in turns, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from collections.abc import Callable


def main(words: list[str] | None = None) -> None:
    """Print two tables: the search alone, and the whole of scores, search and prior of each frame."""
    parser = argparse.ArgumentParser(description="Measure the alignment search.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--items", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--frames", type=int, default=870)
    parser.add_argument("--bands", type=int, default=80)
    parser.add_argument("--seconds", type=float, default=20, help="for each table")
    given = parser.parse_args(words)
    os.environ["OMP_NUM_THREADS"] = str(given.threads)  # before torch and the kernel look
    # or torch's threads would go on spinning for milliseconds on the processors that the search is to use
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    size = given.items, given.tokens, given.frames
    print("{} threads, B={}, {} x {}, full lengths".format(given.threads, *size))
    table("search", searches(*size), given.seconds)
    table("scores, search, prior of each frame", blocks(*size, given.bands), given.seconds)


def table(title: str, ways: dict[str, Callable[[], object]], seconds: float) -> None:
    """Print median, tenth percentile and the ratio of medians to the first way, in turns until `seconds` are over.

    In its turn a way runs until a twentieth of a second is over, ten times at least. The first half is not counted: it
    finds its scores in memory, the second in the cache, as a search finds scores that were computed just before.
    """
    import numpy as np

    took: dict[str, list[float]] = {name: [] for name in ways}
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        for name, way in ways.items():
            turn: list[float] = []
            while len(turn) < 10 or sum(turn) < 50:
                began = time.perf_counter()
                way()
                turn.append(1000 * (time.perf_counter() - began))
            took[name] += turn[len(turn) // 2 :]
    first = np.median(next(iter(took.values())))
    print(f"\n{title:54} median ms   10 % below   times as fast")
    for name, all_of_them in took.items():
        median, low = np.quantile(all_of_them, [0.5, 0.1])
        print(f"{name:54} {median:9.2f} {low:12.2f} {first / median:15.1f}")


def searches(items: int, tokens: int, frames: int) -> dict[str, Callable[[], object]]:
    """The search on the same scores, laid out as each way likes them."""
    import numpy as np
    import torch

    from nbkit.kernels.mas import maximum_path

    by_frame = torch.randn(items, frames, tokens, generator=torch.Generator().manual_seed(0))
    by_token = np.ascontiguousarray(by_frame.numpy().swapaxes(1, 2))
    T, F = torch.full((items,), tokens), torch.full((items,), frames)
    loops, read = _loops()
    return {
        "loops over [B, T, F] with a path matrix, one thread": lambda: loops(by_token, T.numpy(), F.numpy()),
        "cpu": lambda: maximum_path(by_frame, T, F, layout="bft", impl="cpu"),
        "torch": lambda: maximum_path(by_frame, T, F, layout="bft", impl="torch"),
        "reading the scores once, one thread": lambda: read(by_frame.numpy().reshape(-1)),
    }


def blocks(items: int, tokens: int, frames: int, bands: int) -> dict[str, Callable[[], object]]:
    """From latents and priors to the prior of each frame, with path matrices and without."""
    import torch

    from nbkit.models.glow_tts.model import align

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    draw = torch.Generator().manual_seed(0)
    z, mean = (torch.randn(items, bands, n, generator=draw) for n in (frames, tokens))
    sigma, T, F = torch.zeros_like(mean), torch.full((items,), tokens), torch.full((items,), frames)
    return {
        "with path matrices": lambda: _with_matrices(z, mean, sigma, T, F),
        "align, log_sigma learnt": lambda: align(z, mean, sigma, T, F),
        "align, log_sigma 0": lambda: align(z, mean, sigma, T, F, unit=True),
    }


def _with_matrices(z, mean, log_sigma, T, F):
    """The formulation that most implementations share: scores [B, T, F] of four terms, and the path as a matrix."""
    import math

    import torch

    loops, _ = _loops()
    precision = torch.exp(-2 * log_sigma)
    scores = torch.sum(-0.5 * math.log(2 * math.pi) - log_sigma, 1).unsqueeze(-1)
    scores = scores + torch.matmul(precision.transpose(1, 2), -0.5 * z**2)
    scores = scores + torch.matmul((mean * precision).transpose(1, 2), z)
    scores = scores + torch.sum(-0.5 * mean**2 * precision, 1).unsqueeze(-1)
    path = torch.from_numpy(loops(scores.numpy(), T.numpy(), F.numpy())).to(scores.dtype)
    return path, torch.matmul(mean, path), torch.matmul(log_sigma, path)


@functools.cache
def _loops():
    """Plain loops, compiled: an item after the other, a frame after the other, Q written over a copy of the scores."""
    import numba
    import numpy as np

    @numba.njit
    def search(scores, token_lengths, frame_lengths):
        q = scores.copy()
        path = np.zeros(scores.shape, np.int32)
        for b in range(len(q)):
            T, F = token_lengths[b], frame_lengths[b]
            for j in range(F):
                for i in range(max(0, T + j - F), min(T, j + 1)):
                    stay = q[b, i, j - 1] if i < j else -1e9
                    move = q[b, i - 1, j - 1] if i > 0 else (0.0 if j == 0 else -1e9)
                    q[b, i, j] += max(stay, move)
            i = T - 1
            for j in range(F - 1, -1, -1):
                path[b, i, j] = 1
                if i > 0 and (i == j or q[b, i, j - 1] < q[b, i - 1, j - 1]):
                    i -= 1
        return path

    @numba.njit(fastmath=True)
    def read(values):
        total = np.float32(0)
        for i in range(values.size):
            total += values[i]
        return total

    return search, read


if __name__ == "__main__":
    main()
