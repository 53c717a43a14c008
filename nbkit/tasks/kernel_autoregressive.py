"""What the notebook on WaveRNN's loop needs, and its figures: python -m nbkit.tasks.kernel_autoregressive --size paper

Source: paper_notes/wavernn.md#community-model
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nbkit.base import seeds
from nbkit.base.params import Params, param
from nbkit.evaluate import bench
from nbkit.kernels.wavernn_sampler import Weights, reference, sample
from nbkit.models import wavernn
from nbkit.models.wavernn.config import sized

RATE = 22_050  # Hz, of the speech that the loop would make
Way = Callable[["Given"], Tensor]
Do = Callable[..., Tensor]


@dataclass(frozen=True)
class KernelAutoregressive(Params):
    """Parameters of 51_kernel_autoregressive."""

    size: str = param("paper", "Size of the WaveRNN; its weights are drawn.", choices=tuple(wavernn.SIZES))
    samples: int = param(1024, "Drawn in one call; 1,024 are 46 ms of speech.", low=16)
    threads: int = param(1, "Of this processor. On more, whoever else uses it is measured too.", low=1)
    seconds: float = param(15.0, "How long each comparison measures.", unit="s", low=0.1)
    compile: bool = param(True, "Also let torch.compile try; it thinks for a minute.")
    seed: int = param(0, "Decides weights and draws.", low=0)

    PRESETS: ClassVar = {"smoke": {"size": "tiny", "samples": 128, "seconds": 0.5, "compile": False}}


class Given(NamedTuple):
    """A network, and what it draws from: conditioning [B, S, K], uniforms [B, S, 2]."""

    model: nn.Module
    weights: Weights
    conditioning: Tensor
    uniforms: Tensor


def given(config: KernelAutoregressive, rows: int = 1, samples: int = 0, device: str = "cpu") -> Given:
    """Drawn weights: the clock does not ask what they say. samples  in place of config.samples"""
    samples = samples or config.samples
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = wavernn.WaveRNN(sized(config.size)).eval().to(device).requires_grad_(False)
    draw, weights = seeds.generator(config.seed, "autoregressive", rows, samples), model.weights()
    conditioning = torch.from_numpy(draw.normal(size=(rows, samples, weights.channels)).astype(np.float32))
    uniforms = torch.from_numpy(draw.random((rows, samples, 2), dtype=np.float32))
    return Given(model, weights, conditioning.to(device), uniforms.to(device))


def use_threads(count: int) -> None:
    """Let torch, the samplers, and the copy that they are measured against use so many."""
    torch.set_num_threads(count)
    os.environ["OMP_NUM_THREADS"] = str(count)


def by(impl: str) -> Way:
    """An implementation of kernels.wavernn_sampler."""
    return lambda it: sample(it.weights, it.conditioning, it.uniforms, impl=impl).x


def fresh(name: str, function: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Do an operation as PyTorch does it by itself: its result is a new tensor."""
    return function(*arguments)


class Pool:
    """Does each operation into the buffer that it was given the first time."""

    def __init__(self):
        self.buffers: dict[str, Tensor] = {}

    def __call__(self, name: str, function: Callable[..., Tensor], *arguments: Any) -> Tensor:
        if name not in self.buffers:
            self.buffers[name] = function(*arguments)
        return function(*arguments, out=self.buffers[name])


def step(weights: Weights, x: Tensor, conditioning: Tensor, hidden: list[Tensor], do: Do) -> Tensor:
    """reference.step with a GRU written out, each operation through `do`; `hidden` [B, H] of each GRU is replaced."""
    H, bands = weights.hidden, weights.bands
    mel, parts = conditioning[:, :bands], conditioning[:, bands:].split(weights.aux, 1)
    v = do("input", torch.cat, [x[:, None], mel, parts[0]], 1)
    y = do("entry", torch.addmm, weights.entry[1], v, weights.entry[0].T)
    for g, (W_ih, W_hh, b_ih, b_hh) in enumerate(weights.grus):
        v = y if g == 0 else do(f"input {g}", torch.cat, [y, parts[g]], 1)
        i = do(f"from input {g}", torch.addmm, b_ih, v, W_ih.T)
        h = do(f"from state {g}", torch.addmm, b_hh, hidden[g], W_hh.T)
        both = do(f"add {g}", torch.add, i[:, : 2 * H], h[:, : 2 * H])
        both = do(f"gates {g}", torch.sigmoid, both)
        new = do(f"reset {g}", torch.mul, both[:, :H], h[:, 2 * H :])
        new = do(f"plus {g}", torch.add, new, i[:, 2 * H :])
        new = do(f"new {g}", torch.tanh, new)
        hidden[g] = do(f"state {g}", torch.lerp, new, hidden[g], both[:, H:])
        y = do(f"around {g}", torch.add, y, hidden[g])
    for n, ((W, b), part) in enumerate(zip(weights.layers, parts[-2:])):
        v = do(f"wide {n}", torch.cat, [y, part], 1)
        v = do(f"layer {n}", torch.addmm, b, v, W.T)
        y = do(f"bent {n}", torch.clamp_min, v, 0)
    W, b = weights.layers[-1]
    return do("logits", torch.addmm, b, y, W.T)


@torch.no_grad()
def drawn_by(it: Given, do: Do) -> Tensor:
    """Samples [B, S] by `step`."""
    rows, samples = it.conditioning.shape[:2]
    x = it.conditioning.new_zeros(rows)
    hidden = [it.conditioning.new_zeros(rows, it.weights.hidden) for _ in it.weights.grus]
    found = []
    for t in range(samples):
        logits = step(it.weights, x, it.conditioning[:, t], hidden, do)
        x = reference.draw(logits, it.uniforms[:, t], it.weights.output)
        found.append(x)
    return torch.stack(found, 1)


class Step(nn.Module):
    """One sample as a module, draw and all: for whoever takes a program away from Python."""

    def __init__(self, model: nn.Module, weights: Weights):
        super().__init__()
        self.model, self.output = model, weights.output

    def forward(self, x: Tensor, conditioning: Tensor, hidden: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        logits, hidden = self.model.step(x, conditioning, hidden)  # pyright: ignore[reportCallIssue]
        return reference.draw(logits, uniforms, self.output), hidden


def _first(it: Given) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows = len(it.conditioning)
    hidden = it.conditioning.new_zeros(len(it.weights.grus), rows, it.weights.hidden)
    return it.conditioning.new_zeros(rows), it.conditioning[:, 0], hidden, it.uniforms[:, 0]


@torch.no_grad()
def repeated(one: Callable[..., Any], it: Given) -> Tensor:
    """Samples [B, S] by a step that takes and gives tensors."""
    x, _, hidden, _ = _first(it)
    found = []
    for t in range(it.conditioning.shape[1]):
        x, hidden = one(x, it.conditioning[:, t], hidden, it.uniforms[:, t])
        found.append(x.clone())
    return torch.stack(found, 1)


def scripted(it: Given) -> Callable[..., Any]:
    """The step as TorchScript, frozen."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # TorchScript is on its way out, and says so
        return torch.jit.freeze(torch.jit.trace(Step(it.model, it.weights).eval(), _first(it)))


def exported(it: Given) -> Callable[[Given], Tensor]:
    """The step in ONNX Runtime, on numpy.

    raises  ImportError where onnx, onnxscript or onnxruntime is not installed
    """
    import onnxruntime

    names, chatter = ("x", "conditioning", "hidden", "uniforms"), logging.getLogger("torch.onnx")
    before = chatter.level
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        chatter.setLevel(logging.ERROR)
        path = Path(folder) / "step.onnx"
        module = Step(it.model, it.weights).eval()
        torch.onnx.export(
            module, _first(it), path, input_names=names, output_names=("drawn", "next"), dynamo=True, verbose=False
        )
        chatter.setLevel(before)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # or others would wait for its threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(it: Given) -> Tensor:
        x, _, hidden, _ = (one.numpy() for one in _first(it))
        conditioning, uniforms, found = it.conditioning.numpy(), it.uniforms.numpy(), []
        for t in range(conditioning.shape[1]):
            told = dict(zip(names, (x, conditioning[:, t], hidden, uniforms[:, t])))
            x, hidden = session.run(None, told)
            found.append(x)
        return torch.from_numpy(np.stack(found, 1))

    return run


def programs(it: Given, compile: bool) -> tuple[dict[str, Way], list[str]]:
    """The same step, given away from Python in three ways, and what did not work here in words."""
    makers: dict[str, Callable[[], Way]] = {
        "TorchScript": lambda: _bound(scripted(it)),
        "ONNX Runtime": lambda: exported(it),
    }
    if compile:
        makers["torch.compile"] = lambda: _bound(torch.compile(Step(it.model, it.weights).eval(), dynamic=False))
    ways, faults = {}, []
    for name, make in makers.items():
        try:
            ways[name] = make()
            ways[name](it)
        except Exception as error:  # whatever a compiler or an exporter says
            ways.pop(name, None)
            faults.append(f"{name}: {type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:120]}")
    return ways, faults


def _bound(one: Callable[..., Any]) -> Way:
    return lambda it: repeated(one, it)


class Counted(NamedTuple):
    """What a sample costs beside arithmetic."""

    operations: float
    new_tensors: float
    copied: float  # bytes that concatenating and copying write


class _Counting(TorchDispatchMode):
    """Notes operations but for those that only look at memory in another way."""

    def __init__(self):
        super().__init__()
        self.operations, self.new, self.copied = 0, 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        before = {one.untyped_storage().data_ptr() for one in _tensors((args, kwargs))}
        made = [one for one in _tensors(out) if one.untyped_storage().data_ptr() not in before]
        if made or func._schema.is_mutable:
            self.operations += 1
            self.new += len(made)
            if str(func).split(".")[1] in ("cat", "copy_", "clone", "stack"):
                self.copied += sum(one.nbytes for one in _tensors(out))
        return out


def _tensors(tree: Any) -> list[Tensor]:
    return [one for one in tree_leaves(tree) if isinstance(one, Tensor)]


def counted(way: Way, config: KernelAutoregressive) -> Counted:
    """What each further sample costs: what 20 cost less what 10 cost."""
    found = []
    for samples in (10, 20):
        it = given(config, samples=samples)
        with _Counting() as counting:
            way(it)
        found.append(np.array([counting.operations, counting.new, counting.copied]))
    return Counted(*((found[1] - found[0]) / 10).tolist())


def folded_weights(weights: Weights) -> int:
    """Weights that a sample is multiplied by once the input layer is folded away."""
    recurrent = sum(int(np.prod(W_hh.shape)) for _, W_hh, _, _ in weights.grus)
    between = sum(int(np.prod(W_hh.shape)) for _, W_hh, _, _ in weights.grus[1:])
    (first, _), (middle, _), (last, _) = weights.layers
    return recurrent + between + len(first) * weights.hidden + len(middle) * len(first) + int(np.prod(last.shape))


def floor(weights: Weights, ceiling: float, size: int = 4) -> float:
    """Seconds a sample if all its weights, of `size` bytes each, came from memory at the speed of a copy."""
    return size * folded_weights(weights) / ceiling


def per_sample(found: Mapping[str, bench.Timing], it: Given, kind: str = "measured here") -> list[dict[str, Any]]:
    """Rows for a picture: seconds for each sample of each row."""
    samples = it.conditioning.shape[0] * it.conditioning.shape[1]
    parts = ("median", "p20", "p80", "least")
    return [
        {"way": name, "kind": kind, **{part: getattr(time, part) / samples for part in parts}}
        for name, time in found.items()
    ]


def speeds(rows: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """For a table: way, samples a second, times real time, times as fast as the first; by least times."""
    first = rows[0]["least"]
    return [
        (
            row["way"],
            f"{1 / row['least']:,.0f}",
            f"{1 / row['least'] / RATE:.3g}",
            f"{first / row['least']:.2f}",
        )
        for row in rows
    ]


def small(generator: np.random.Generator) -> Given:
    """A case for the emulator, drawn anew."""
    config = KernelAutoregressive(size="tiny", seed=int(generator.integers(1 << 30)))
    it = given(config, rows=2, samples=6)
    tiny = wavernn.WaveRNN(sized("tiny", hidden=20, layers=24, aux=4)).eval().requires_grad_(False)
    weights = tiny.weights()
    conditioning = torch.from_numpy(generator.normal(size=(2, 6, weights.channels)).astype(np.float32))
    return it._replace(model=tiny, weights=weights, conditioning=conditioning)


def recorded() -> list[tuple[str, ...]]:
    """What was measured on GPUs with main(): device, date, size, rows, way, samples a second, times real time."""
    return [
        (
            one["device"],
            one["date"][:10],
            one["about"]["size"],
            str(row["rows"]),
            row["way"],
            f"{1 / row['median']:,.0f}",
            f"{1 / row['median'] / RATE:.3g}",
        )
        for one in bench.load("wavernn")
        if one["driver"]
        for row in one["rows"]
    ]


def main(words: list[str] | None = None) -> None:
    """Measure every way on a device, one row and four, print tables and keep them."""
    parser = argparse.ArgumentParser(description="The loop of WaveRNN, every way, one row and four.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", default="paper", choices=tuple(wavernn.SIZES))
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--samples", type=int, default=1024, help="of a call")
    parser.add_argument("--seconds", type=float, default=60, help="for each table")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    told = parser.parse_args(words)
    config = KernelAutoregressive(size=told.size, threads=told.threads)
    use_threads(told.threads)
    kept = []
    for rows in (1, 4):
        it = given(config, rows, told.samples, told.device)
        ways: dict[str, Way] = {"eager": by("reference"), "views, folded products": by("torch")}
        if told.device == "cpu":
            others, faults = programs(it, not told.no_compile)
            ways |= {"buffers": lambda it: drawn_by(it, Pool()), **others, "one fused loop": by("cpu")}
        else:
            ways |= {"CUDA graph": by("cuda_graph"), "persistent kernel": by("cupy")}
            faults = []
        calls = {name: (lambda way=way, it=it: way(it)) for name, way in ways.items()}
        table = per_sample(bench.compare(calls, device=told.device, seconds=told.seconds), it)
        kept += [{**row, "rows": rows} for row in table]
        print(f"{rows} rows, {told.size}, {told.device}, {told.threads} threads; samples a second, times real time")
        print("\n".join(f"  {way:26}{speed:>10}{real:>9}{times:>8}" for way, speed, real, times in speeds(table)))
        print(*(f"  left out: {fault}\n" for fault in faults), sep="", end="")
    print(bench.save("wavernn", kept, device=told.device, size=told.size, threads=told.threads))


if __name__ == "__main__":
    main()
