"""What the notebook on the flow kernel needs, and its figures on a GPU: python -m nbkit.tasks.kernel_flow --device cuda

Source: paper_notes/glow_tts.md#decoder
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nbkit.base import seeds
from nbkit.base.params import Params, param
from nbkit.data.speech import Batch
from nbkit.evaluate import bench
from nbkit.kernels import compiler, emulator
from nbkit.kernels.flow import cuda, normalise_and_mix
from nbkit.models import glow_tts
from nbkit.tasks import glow_tts_bench

BEFORE_BARRIER = "        if (threadIdx.x % 32 == 0) matrices[threadIdx.x / 32][k] = sum;\n    }"  # in flow.cu
Way = Callable[..., tuple[Tensor, Tensor]]
Given = tuple[Tensor, ...]  # x, mask, log_scale, bias, weight


@dataclass(frozen=True)
class KernelFlow(Params):
    """Parameters of 52_kernel_flow."""

    items: int = param(16, "Utterances of a batch.", low=1)
    frames: int = param(300, "Squeezed frames of the longest; 300 are 7 s.", low=2)
    channels: int = param(160, "Channels of a squeezed frame.", low=8, high=1024)
    threads: int = param(1, "Of this processor. On more, whoever else uses it is measured too.", low=1)
    seconds: float = param(6.0, "How long each comparison measures.", unit="s", low=0.1)
    compile: bool = param(True, "Also let torch.compile try; it thinks for a minute.")
    size: str = param("tiny", "Size of the Glow-TTS whose step is measured.", choices=tuple(glow_tts.SIZES))
    seed: int = param(0, "Decides numbers and lengths.", low=0)

    PRESETS: ClassVar = {
        "smoke": {"items": 4, "frames": 100, "seconds": 0.5, "compile": False},
        "colab": {"items": 32, "frames": 435, "threads": 2, "size": "small"},
    }


class Pass(NamedTuple):
    """An operation, and the bytes that it reads and writes, as parts of those of x."""

    operation: str
    read: float
    written: float


def inputs(config: KernelFlow, device: str = "cpu") -> Given:
    """x [B, F, C] 0 behind the ends, its mask, and coefficients as they are after some training."""
    draw = seeds.generator(config.seed, "kernel flow")
    lengths = draw.integers(config.frames // 2, config.frames + 1, config.items)
    mask = (np.arange(config.frames) < lengths[:, None])[:, :, None]
    x = draw.normal(size=(config.items, config.frames, config.channels)) * mask
    log_scale, bias = 0.3 * draw.normal(size=(2, config.channels))
    weight = np.linalg.qr(draw.normal(size=(4, 4)))[0]
    return tuple(torch.tensor(one, dtype=torch.float32, device=device) for one in (x, mask, log_scale, bias, weight))


def use_threads(count: int) -> None:
    """Let torch, and the copy that it is measured against, use so many."""
    torch.set_num_threads(count)
    os.environ["OMP_NUM_THREADS"] = str(count)


def by(impl: str) -> Way:
    """The maps by one implementation."""
    return lambda *given: normalise_and_mix(*given, impl=impl)


def forward(way: Way, given: Given) -> Callable[[], object]:
    """A call without gradients."""

    @torch.no_grad()
    def call() -> object:
        return way(*given)

    return call


def training(way: Way, given: Given) -> Callable[[], object]:
    """There and back: the maps, then the gradients of x and of all coefficients."""
    x, mask, *coefficients = given
    leaves = [one.clone().requires_grad_() for one in (x, *coefficients)]
    arriving = torch.ones_like(x), torch.ones_like(x[:, 0, 0])

    def call() -> object:
        return torch.autograd.grad(way(leaves[0], mask, *leaves[1:]), leaves, arriving)

    return call


class _Counting(TorchDispatchMode):
    """Notes what each operation of torch reads and writes, but for those that only look at memory in another way."""

    def __init__(self, unit: int):
        super().__init__()
        self.unit, self.found = unit, list[Pass]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        made = [one for one in tree_leaves(out) if isinstance(one, Tensor)]
        there = {one.untyped_storage().data_ptr() for one in given}
        looks = all(one.untyped_storage().data_ptr() in there for one in made) and not func._schema.is_mutable
        if not looks:
            read, written = (sum(map(_bytes, some)) / self.unit for some in (given, made))
            self.found.append(Pass(str(func).split(".")[1], read, written))
        return out


def _bytes(one: Tensor) -> int:
    """That must be fetched or stored: what is expanded lies in memory once."""
    return one.element_size() * math.prod(size for size, step in zip(one.shape, one.stride()) if step)


def passes(call: Callable[[], object], given: Given) -> list[Pass]:
    """The operations of a call that move at least a tenth of x."""
    with _Counting(given[0].nbytes) as counting:
        call()
    return [one for one in counting.found if one.read + one.written > 0.1]


def total(operations: list[Pass]) -> float:
    """Passes over x in all."""
    return sum(one.read + one.written for one in operations)


def compiled() -> Way:
    """The maps one after the other, fused by torch.compile as it sees fit."""
    return torch.compile(by("reference"), dynamic=False)


def compile_fault(given: Given) -> str:
    """Why torch.compile does not take the maps here; nothing where it does. A compiler may be missing, or fail."""
    try:
        training(compiled(), given)()
    except Exception as error:  # whatever a compiler says
        return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:120]}"
    return ""


def small(generator: np.random.Generator) -> Given:
    """A case for the emulator, drawn anew: ragged, its rows no multiple of what a block takes."""
    config = KernelFlow(items=2, frames=21, channels=24, seed=int(generator.integers(1 << 30)))
    return inputs(config)


def gradients(way: Way) -> Callable[..., tuple[Tensor, ...]]:
    """z, log |det| and all gradients, for bench.check."""

    def call(x: Tensor, mask: Tensor, *coefficients: Tensor) -> tuple[Tensor, ...]:
        leaves = [one.clone().requires_grad_() for one in (x, *coefficients)]
        z, log_determinant = way(leaves[0], mask, *leaves[1:])
        found = torch.autograd.grad(z.sin().sum() + log_determinant.sum(), leaves)
        return (z.detach(), log_determinant.detach(), *found)

    return call


class Orders(NamedTuple):
    """What comes of the gradient of the matrix in many orders of threads."""

    results: int
    faults: list[str]


def orders(seeds_tried: int, lost: str = "") -> Orders:
    """Run the backward kernel in so many orders of threads, with one barrier removed where `lost` ends before it."""
    source = cuda.SOURCE.read_text(encoding="utf-8")
    if lost:
        if source.count(f"{lost}\n    __syncthreads();") != 1:
            raise ValueError(f"wanted a line before one barrier of flow.cu, got {lost!r}; look into the file")
        source = source.replace(f"{lost}\n    __syncthreads();", lost)
    x, mask, *coefficients = (one.numpy() for one in small(np.random.default_rng(0)))
    module = emulator.module(source, name_expressions=("flow_backward<2>",))
    results, faults = set(), []
    for seed in range(seeds_tried):
        to_x, partial = np.zeros_like(x), np.zeros((2, 2 * x.shape[2] + 16), np.float32)
        numbers = np.int32(x.shape[0] * x.shape[1]), np.int32(x.shape[2])
        args = np.ones_like(x), x, mask, *coefficients, to_x, partial, *numbers
        try:
            module.kernel("flow_backward<2>")((2,), (cuda.THREADS,), args, seed=seed)
        except emulator.KernelFault as fault:
            faults.append(str(fault))
        results.add(partial.tobytes())
    return Orders(len(results), faults)


def registers() -> list[tuple[str, ...]]:
    """Kernel by kernel, registers of a thread on each architecture; nothing where NVRTC is not installed."""
    return compiler.registers(cuda.SOURCE, cuda.KERNELS)


def step(config: KernelFlow) -> Callable[[], object]:
    """A whole training step of Glow-TTS on a batch of the same shape, of numbers that mean nothing."""
    draw = torch.Generator().manual_seed(config.seed)
    frames = 2 * config.frames
    tokens = max(1, frames // 7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = glow_tts.GlowTTS(glow_tts.sized(config.size, vocabulary=50)).train()
    mel = torch.randn(config.items, network.config.bands, frames, generator=draw)
    whole = torch.full((config.items,), frames)
    texts = torch.randint(1, 50, (config.items, tokens), generator=draw)
    zeros = torch.zeros(config.items, dtype=torch.int64)
    batch = Batch(texts, torch.full((config.items,), tokens), mel, whole, zeros, zeros)
    network.initialise(mel, whole)
    adam = torch.optim.Adam(network.parameters(), 1e-5, fused=True)
    return lambda: glow_tts_bench.step(network, adam, batch, False)


def share(config: KernelFlow) -> dict[str, bench.Timing]:
    """A training step, and within it the maps of all blocks as they were and as they are."""
    given = inputs(config)
    blocks = glow_tts.sized(config.size, vocabulary=50).blocks
    ways = {name: training(by(name), given) for name in ("reference", "torch")}
    found = bench.compare({"step": step(config), **ways}, seconds=config.seconds)
    for name in ways:
        of_all = (blocks * seconds for seconds in found[name][:4])
        found[name] = bench.Timing(*of_all, calls=found[name].calls)
    return found


def recorded() -> list[tuple[str, ...]]:
    """Rows of what was measured on GPUs with main(): device, date, what, way, ms, part of a copy's speed."""
    return [
        (one["device"], one["date"][:10], what, row["way"], f"{1000 * row['median']:.3f}", f"{row['of_copy']:.0%}")
        for what in ("forward", "training")
        for one in bench.load(f"flow_{what}")
        if one["driver"]
        for row in one["rows"]
    ]


def main(words: list[str] | None = None) -> None:
    """Measure every way on a device, print a table and keep it."""
    parser = argparse.ArgumentParser(description="ActNorm, 1x1 convolution and mask, every way, against a copy.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--items", type=int, default=32)
    parser.add_argument("--frames", type=int, default=435)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    told = parser.parse_args(words)
    config = KernelFlow(items=told.items, frames=told.frames)
    use_threads(told.threads)
    given = inputs(config, told.device)
    ways = {"reference": by("reference"), "torch": by("torch")}
    if not (fault := compile_fault(given)):
        ways["compile"] = compiled()
    ways |= {"cupy": by("cupy")} if told.device != "cpu" else {}
    ceiling, x = bench.copy_ceiling(told.device), given[0]
    for name, make, least in (("forward", forward, 2), ("training", training, 5)):
        calls = {way: make(call, given) for way, call in ways.items()}
        found = bench.compare(calls, device=told.device, seconds=told.seconds, flush=told.device != "cpu")
        rows = bench.rows(found, moved=dict.fromkeys(found, least * x.nbytes), ceiling=ceiling)
        print(bench.table(f"{name}, {fault or 'compile too'}", rows))
        about = dict(items=told.items, frames=told.frames, threads=told.threads, channels=config.channels, copy=ceiling)
        print(bench.save(f"flow_{name}", rows, device=told.device, **about))


if __name__ == "__main__":
    main()
