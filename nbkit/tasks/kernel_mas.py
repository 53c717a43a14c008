"""What the notebook on the speed of the alignment search needs: ways, published figures, and a kernel that is broken.

Source: paper_notes/super_monotonic_align.md#column
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nbkit.base import seeds
from nbkit.base.params import Params, param
from nbkit.evaluate import bench, search_bench
from nbkit.kernels import compiler, emulator
from nbkit.kernels.mas import cuda, maximum_path

LADDER = (search_bench.LOOPS, search_bench.BY_FRAME, search_bench.ALONE, search_bench.CPU)
BARRIERS = {  # where it stands in mas.cu -> what stands before it
    "before the first tile": "fetch<PAIRS>(scores + (size_t)f * width, both) : make_float2(0.f, 0.f);",
    "behind each tile": "make_uint2(word0, word1);\n        }",
    "before the durations": "frames == wanted_frames;",
}
# Source: paper_notes/super_monotonic_align.md, B=16, F=4T; tokens: milliseconds of their Cython loops, of their kernel
PUBLISHED = {128: (8.8, 0.45), 256: (43.5, 1.6), 512: (305, 5.8), 1024: (1300, 19.8), 2048: (7793, 107)}


@dataclass(frozen=True)
class KernelMas(Params):
    """Parameters of 50_kernel_mas."""

    items: int = param(32, "Utterances of a batch.", low=2)
    tokens: int = param(128, "Tokens of each.", low=2, high=2048)
    frames: int = param(870, "Frames of each; 870 are 10 s.", low=2, high=8192)
    seconds: float = param(8.0, "How long each comparison measures.", unit="s", low=0.1)
    cases: int = param(40, "Random cases that the emulator searches.", low=1)
    seed: int = param(0, "Decides the cases and the order of threads.", low=0)

    PRESETS: ClassVar = {"smoke": {"items": 4, "tokens": 60, "frames": 200, "seconds": 1.0, "cases": 6}}


def ladder(config: KernelMas) -> search_bench.Calls:
    """The same scores searched by loops, by loops in the other layout, by vectors and bits, and by several threads."""
    ways = search_bench.searches(config.items, config.tokens, config.frames)
    return {name: ways[name] for name in LADDER}


def per_score(found: Mapping[str, bench.Timing], scores: int, kind: str = "measured here") -> list[dict[str, Any]]:
    """Rows for a picture: seconds for each score instead of seconds for the whole."""
    return [
        {"way": name, "kind": kind, **{part: getattr(time, part) / scores for part in ("median", "p20", "p80")}}
        for name, time in found.items()
    ]


def published(tokens: int) -> list[dict[str, Any]]:
    """Their two rows at the nearest of the lengths that they measured, in seconds for each score."""
    near = min(PUBLISHED, key=lambda one: abs(one - tokens))
    scores = 16 * near * 4 * near
    ways = (f"Cython loops, T={near}", f"super-monotonic-align, T={near}")
    return [
        {"way": way, "kind": "published, machine not named", "median": took / 1000 / scores}
        for way, took in zip(ways, PUBLISHED[near])
    ]


def points(found: Mapping[str, bench.Timing], scores: int) -> list[dict[str, Any]]:
    """What each way computes and moves, for the roofline."""
    moved = search_bench.traffic(scores)
    operations = search_bench.STEPS * scores
    return [
        {"way": name, "operations": operations, "bytes": moved[name], "median": time.median}
        for name, time in found.items()
        if name in moved
    ]


def small(seed: int, number: int, ties: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A ragged batch: scores [B, T, F] with NaN behind the ends, token_lengths and frame_lengths [B].

    ties  scores are whole numbers, so that many paths are as good as each other
    """
    draw = seeds.generator(seed, "small search", number)
    tokens = draw.integers(1, 131, 3)
    frames = np.array([draw.integers(count, count + 40) for count in tokens])
    scores = draw.normal(size=(3, tokens.max(), frames.max())).astype(np.float32)
    scores = np.round(scores) if ties else scores
    for b in range(3):
        scores[b, tokens[b] :], scores[b, :, frames[b] :] = np.nan, np.nan
    return scores, tokens, frames


def agrees(case: tuple[np.ndarray, np.ndarray, np.ndarray], impl: str) -> bool:
    """Whether an implementation finds the path of the reference, to the last frame."""
    found, wanted = (maximum_path(*case, impl=one) for one in (impl, "reference"))
    return all(map(np.array_equal, found, wanted))


class Orders(NamedTuple):
    """Of so many orders of threads: how many ended in the right path, and what the emulator told of the others."""

    right: int
    faults: list[str]


def without(barrier: str) -> str:
    """The text of mas.cu without one of the BARRIERS."""
    if barrier not in BARRIERS:
        raise ValueError(f"wanted a barrier of {list(BARRIERS)}, got {barrier!r}; choose one of them")
    before, source = BARRIERS[barrier], cuda.SOURCE.read_text(encoding="utf-8")
    source, places = re.subn(f"({re.escape(before)})\\n *__syncthreads\\(\\);", r"\1", source)
    if places != 1:
        raise ValueError(f"wanted one barrier {barrier} in mas.cu, got {places}; mend kernel_mas.BARRIERS")
    return source


def orders(count: int, lost: str = "", seed: int = 0) -> Orders:
    """Search one item of 250 tokens in so many orders of threads, without one of the BARRIERS."""
    source = without(lost) if lost else cuda.SOURCE.read_text(encoding="utf-8")
    tokens, frames, threads = 250, 300, 128
    scores = seeds.generator(seed, "orders").normal(size=(1, frames, tokens)).astype(np.float32)
    lengths = np.array([tokens]), np.array([frames])
    wanted = maximum_path(scores, *lengths, layout="bft", impl="cpu")
    kernel = emulator.module(source, name_expressions=cuda.KERNELS).kernel(cuda.KERNELS[0])
    right, faults = 0, []
    for number in range(count):
        out = np.zeros((1, tokens), np.int64), np.zeros((1, frames), np.int64), np.zeros(1, bool)
        words = np.zeros(-(-frames // cuda.TILE) * 2 * threads, np.uint32)
        try:
            kernel((1,), (threads,), (scores, *lengths, *out, words, np.int32(frames), np.int32(tokens)), seed=number)
        except emulator.KernelFault as fault:
            faults.append(str(fault))
            continue
        right += all(map(np.array_equal, out, wanted))
    return Orders(right, faults)


def registers() -> list[tuple[str, ...]]:
    """Kernel by kernel, registers of a thread on each architecture; nothing where NVRTC is not installed."""
    return compiler.registers(cuda.SOURCE, cuda.KERNELS)


def recorded() -> list[tuple[str, ...]]:
    """What was measured on GPUs with search_bench: device, date, table, size, way, microseconds, share of a copy."""
    return [
        (
            one["device"],
            one["date"][:10],
            row["table"],
            f"{row['tokens']} x {row['frames']}",
            row["way"],
            f"{1e6 * row['median']:.1f}",
            f"{row['of_copy']:.0%}" if "of_copy" in row else "",
        )
        for one in bench.load("search")
        if one["driver"]
        for row in one["rows"]
    ]
