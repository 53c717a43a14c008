"""How long the alignment search takes, beside the ways it is usually done.

python -m nbkit.evaluate.search_bench                   on the CPU, also with --threads 1
python -m nbkit.evaluate.search_bench --device cuda
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import re
from collections.abc import Callable
from typing import Any

from nbkit.evaluate import bench

LOOPS, BY_FRAME = "loops over [B, T, F], path matrix", "loops over [B, F, T], path matrix"
ALONE, CPU, TORCH, READ = "cpu, one thread", "cpu", "torch", "reading the scores once, one thread"
OURS, TRITON, BLOCK = "cupy", "super-monotonic-align", "scores, search, prior of each frame"
STEPS = 3  # operations on a score: compare, select, add
SIZES = ((128, 870), (256, 1024))
Calls = dict[str, Callable[[], Any]]


def main(words: list[str] | None = None) -> None:
    """Print and keep two tables a size: the search alone, and the whole of scores, search and prior of each frame."""
    parser = argparse.ArgumentParser(description="Measure the alignment search.")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=2, help="on the CPU")
    parser.add_argument("--items", type=int, default=32)
    parser.add_argument("--sizes", nargs="+", type=_size, default=SIZES, metavar="TOKENSxFRAMES")
    parser.add_argument("--bands", type=int, default=80)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each table")
    given = parser.parse_args(words)
    os.environ["OMP_NUM_THREADS"] = str(given.threads)  # before torch and the kernel look
    # or torch's threads would go on spinning for milliseconds on the processors that the search is to use
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    print(f"{given.device}, {given.threads} threads, B={given.items}, full lengths")
    ceiling, kept = bench.copy_ceiling(given.device), []
    for tokens, frames in given.sizes:
        for title, ways, how in tables(given.items, tokens, frames, given.bands, given.device):
            found = bench.compare(ways, device=given.device, seconds=given.seconds, **how)
            moved = {name: count for name, count in traffic(given.items * tokens * frames).items() if name in ways}
            rows = bench.rows(found, moved=moved, ceiling=ceiling)
            print("\n" + bench.table(f"{title}, {tokens} x {frames}", rows), flush=True)
            kept += [row | {"table": title, "tokens": tokens, "frames": frames} for row in rows]
    about = {"items": given.items, "bands": given.bands, "copy_bytes_per_second": ceiling}
    print(bench.save("search", kept, device=given.device, threads=given.threads, **about))


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"wanted tokens x frames as 128x870, no more tokens than frames; got {text!r}")
    return int(found[1]), int(found[2])


def tables(items: int, tokens: int, frames: int, bands: int, device: str) -> list[tuple[str, Calls, dict[str, bool]]]:
    """Title, ways, and how they are measured.

    On a GPU the caches are written over, so that scores come from memory; and our kernel is played back besides, which
    finds them in the cache where there is room, and takes no time to start.
    """
    search, whole = searches(items, tokens, frames, device), blocks(items, tokens, frames, bands, device)
    if device == "cpu":
        return [("search", search, {}), (BLOCK, whole, {})]
    ours = {OURS: search[OURS]}
    return [
        ("search", search, {"flush": True}),
        ("search, played back", ours, {"graph": True}),
        ("search, played back, caches written over", ours, {"graph": True, "flush": True}),
        (BLOCK, whole, {"flush": True}),
    ]


def traffic(scores: int) -> dict[str, float]:
    """Bytes that each way of searching must read and write, caches left aside.

    Ours read a score once and write a bit. The loops copy the scores, write Q over the copy, read it again one frame
    later, and write a path matrix of 32-bit integers.
    """
    ours, loops = (4 + 1 / 8) * scores, (8 + 8 + 4) * scores
    return {LOOPS: loops, BY_FRAME: loops, ALONE: ours, CPU: ours, OURS: ours, READ: 4 * scores}


def searches(items: int, tokens: int, frames: int, device: str = "cpu") -> Calls:
    """The search on the same scores, laid out as each way likes them."""
    import torch

    from nbkit.kernels.mas import maximum_path

    by_frame = torch.randn(items, frames, tokens, generator=torch.Generator().manual_seed(0))
    T, F = torch.full((items,), tokens), torch.full((items,), frames)
    if device != "cpu":
        given = by_frame.to(device), T.to(device), F.to(device)
        return _triton(*given) | {
            impl: functools.partial(maximum_path, *given, layout="bft", impl=impl) for impl in (TORCH, OURS)
        }
    from nbkit.kernels.mas import cpu

    by_token = by_frame.numpy().swapaxes(1, 2).copy()
    loops, by_rows, read = _loops()
    lengths = T.numpy(), F.numpy()

    return {
        LOOPS: lambda: loops(by_token, *lengths),
        BY_FRAME: lambda: by_rows(by_frame.numpy(), *lengths),
        ALONE: lambda: cpu.search(by_frame.numpy(), *lengths, threads=1),
        CPU: lambda: maximum_path(by_frame, T, F, layout="bft", impl=CPU),
        TORCH: lambda: maximum_path(by_frame, T, F, layout="bft", impl=TORCH),
        READ: lambda: read(by_frame.numpy().reshape(-1)),
    }


def _triton(by_frame, T, F) -> Calls:
    """The Triton kernel, where its package is installed. It writes over its scores, so it is given a copy each time."""
    try:
        core = importlib.import_module("super_monotonic_align.core")
    except ImportError:
        return {}
    import torch

    by_token = by_frame.transpose(1, 2).contiguous()
    paths = torch.zeros_like(by_token, dtype=torch.int32)
    return {TRITON: lambda: core.maximum_path_triton(torch.zeros_like(paths), by_token.clone(), T, F)}


def arithmetic_ceiling(seconds: float = 0.5) -> float:
    """Operations a second, of the search's three a score, on vectors that stay in the nearest cache; one thread."""
    import numpy as np

    step, rounds, size = _steps(), 1000, 1024
    q, one, other = np.zeros((3, size), np.float32)
    found = bench.compare({"steps": lambda: step(q, one, other, rounds)}, seconds=seconds)
    return STEPS * 4 * rounds * size / found["steps"].least


def blocks(items: int, tokens: int, frames: int, bands: int, device: str = "cpu") -> Calls:
    """From latents and priors to the prior of each frame, with path matrices and without."""
    import torch

    from nbkit.models.glow_tts.model import align

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    draw = torch.Generator().manual_seed(0)
    z, mean = (torch.randn(items, bands, n, generator=draw).to(device) for n in (frames, tokens))
    T, F = (torch.full((items,), count, device=device) for count in (tokens, frames))
    sigma = torch.zeros_like(mean)
    return {
        "with path matrices": lambda: _with_matrices(z, mean, sigma, T, F),
        "align, log_sigma learnt": lambda: align(z, mean, sigma, T, F),
        "align, log_sigma 0": lambda: align(z, mean, sigma, T, F, unit=True),
    }


def _with_matrices(z, mean, log_sigma, T, F):
    """The formulation that most implementations share: scores [B, T, F] of four terms, and the path as a matrix."""
    import math

    import torch

    loops = _loops()[0]
    precision = torch.exp(-2 * log_sigma)
    scores = torch.sum(-0.5 * math.log(2 * math.pi) - log_sigma, 1).unsqueeze(-1)
    scores = scores + torch.matmul(precision.transpose(1, 2), -0.5 * z**2)
    scores = scores + torch.matmul((mean * precision).transpose(1, 2), z)
    scores = scores + torch.sum(-0.5 * mean**2 * precision, 1).unsqueeze(-1)
    path = torch.from_numpy(loops(*(array.cpu().numpy() for array in (scores, T, F)))).to(scores)
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

    @numba.njit
    def by_frame(scores, token_lengths, frame_lengths):
        q = scores.copy()
        path = np.zeros(scores.shape, np.int32)
        for b in range(len(q)):
            T, F = token_lengths[b], frame_lengths[b]
            q[b, 0, 1:T] = -np.inf
            for j in range(1, F):
                before, here = q[b, j - 1], q[b, j]
                here[0] += before[0]
                for i in range(1, T):  # neighbours in memory, so the compiler takes several at a time
                    here[i] += before[i] if before[i] >= before[i - 1] else before[i - 1]
            i = T - 1
            for j in range(F - 1, -1, -1):
                path[b, j, i] = 1
                if i > 0 and (i == j or q[b, j - 1, i] < q[b, j - 1, i - 1]):
                    i -= 1
        return path

    @numba.njit(fastmath=True)
    def read(values):
        total = np.float32(0)
        for i in range(values.size):
            total += values[i]
        return total

    return search, by_frame, read


@functools.cache
def _steps():
    """Four frames of the search at once, on scores that are there already."""
    import numba

    @numba.njit(fastmath=True, nogil=True)
    def steps(q, one, other, rounds):
        for _ in range(rounds):
            for i in range(q.size):
                a, b, c = q[i], one[i], other[i]
                a = (a if a > b else b) + c
                a = (a if a > c else c) + b
                a = (a if a > b else b) + c
                q[i] = (a if a > c else c) + b

    return steps


if __name__ == "__main__":
    main()
