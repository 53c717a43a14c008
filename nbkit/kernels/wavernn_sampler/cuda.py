"""The loop of WaveRNN by wavernn_sampler.cu: through CuPy on a GPU, through the emulator on a CPU.

Both ways share all but the launch. The loop is an operator of torch, `torch.ops.nbkit.wavernn_sample`; it runs on
torch's current stream and waits for nothing. The kernel is compiled for the sizes of a network and for the number of
multiprocessors; whether all of it fits on the GPU at once is looked at before, see `placed`.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nbkit.kernels import launch
from nbkit.kernels.wavernn_sampler import State, Weights
from nbkit.kernels.wavernn_sampler import torch as plain
from nbkit.kernels.wavernn_sampler.folded import Folded, begin, by_time

SOURCE = Path(__file__).with_name("wavernn_sampler.cu")
ROWS = (1, 2, 4, 8)  # of a batch that one launch takes
LEAST_WARPS = 4  # of a block: one for each quarter of a multiprocessor
CLOSE = {False: 1e-3, True: 2e-2}  # logits to those of PyTorch: with weights of 32 bits, of 16


class Shape(NamedTuple):
    """What a kernel is compiled for, and what a GPU must hold."""

    hidden: int
    layers: int
    outputs: int
    grus: int
    half: bool


class Plan(NamedTuple):
    """One launch: a warp a unit, all blocks alive together."""

    name: str
    rows: int
    blocks: int
    threads: int
    shared: int  # bytes of a block


def plan(shape: Shape, rows: int, processors: int) -> Plan:
    """How `rows` rows (one of ROWS) are drawn on a GPU with so many multiprocessors."""
    H, L, outputs, G, half = shape
    pairs, layer_pairs, units = -(-H // 64), -(-L // 64), max(H, L)
    warps = max(LEAST_WARPS, -(-units // processors))
    blocks = -(-units // warps)
    spread = (outputs + outputs // 32 + 2) // 2 * 2
    last = max(pairs, layer_pairs) if G > 1 else layer_pairs
    own = (4 * G + 2 + (7 * G + 2) * rows + 1) // 2 * 2
    numbers = rows * (64 * (G * pairs + layer_pairs + last) + spread) + rows + rows % 2 + warps * own
    weights = 64 * (warps * (pairs + layer_pairs) + -(-outputs // blocks) * layer_pairs)
    name = f"wavernn_sample<{'Half' if half else 'Full'}, {pairs}, {layer_pairs}, {G}, {rows}, {warps}>"
    return Plan(name, rows, blocks, 32 * warps, 4 * numbers + (2 if half else 4) * weights)


_PAPER = Shape(512, 512, 30, 2, False)
KERNELS = (  # of those that may be compiled, the ones with the fewest registers to spare
    plan(_PAPER, 8, 64).name,
    *(plan(_PAPER._replace(half=True), rows, 40).name for rows in (1, 4)),  # T4
)


def refused(shape: Shape, made: Plan, *, shared: int, spilled: int, together: int) -> str | None:
    """Why a GPU does not hold the kernel, in words, or None.

    shared     bytes of shared memory that a block may have there
    spilled    bytes of a thread that find no register
    together   blocks that the GPU runs at the same time
    """
    if made.threads > 1024:
        lacks = f"a block may have 1,024 threads, {made.threads:,} are needed"
    elif made.shared > shared:
        lacks = f"a block may have {shared:,} bytes of shared memory, {made.shared:,} are needed"
    elif spilled:
        lacks = f"{spilled:,} bytes of each thread find no register"
    elif together < made.blocks:
        lacks = f"{together} blocks run at the same time, {made.blocks} are needed"
    else:
        return None
    remedy = "a smaller model" if shape.half else "weights.in_half() (16 bits), a smaller model"
    matrices = (6 * shape.grus - 3) * shape.hidden**2 * (2 if shape.half else 4)
    return (
        f"wavernn_sampler.cu wants {matrices / 1e6:.1f} MB of weights in registers, in {made.blocks} blocks of "
        f"{made.threads:,} threads; here {lacks}; use {remedy} or impl='cuda_graph'"
    )


def placed(shape: Shape, rows: int, device: torch.device) -> Plan:
    """The plan for as many of the rows at a time as fit. raises ValueError that tells why not even one does"""
    if shape.grus > 2:
        raise ValueError(f"wavernn_sampler.cu wants one or two GRUs, got {shape.grus}; use impl='cuda_graph'")
    wanted = min([size for size in ROWS if size >= rows], default=ROWS[-1])
    if device.type != "cuda":
        return plan(shape, wanted, -(-max(shape.hidden, shape.layers) // LEAST_WARPS))
    found = [_on_device(shape, size, device) for size in ROWS[: ROWS.index(wanted) + 1]]
    if room := [made for made, refusal in found if refusal is None]:
        return room[-1]
    raise ValueError(found[0][1])


@functools.cache
def _on_device(shape: Shape, rows: int, device: torch.device) -> tuple[Plan, str | None]:
    import cupy  # pyright: ignore[reportMissingImports]

    there = cupy.cuda.Device(device.index)
    limits, processors = there.attributes, there.attributes["MultiProcessorCount"]
    made, shared = plan(shape, rows, processors), limits["MaxSharedMemoryPerBlockOptin"]
    if refusal := refused(shape, made, shared=shared, spilled=0, together=made.blocks):
        return made, refusal
    with there:
        kernel = launch.compiled(SOURCE, (made.name,), made.name, device.index, True)
        kernel.max_dynamic_shared_size_bytes = made.shared
        together = processors * cupy.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor(
            kernel.kernel.ptr, made.threads, made.shared
        )
    return made, refused(shape, made, shared=shared, spilled=kernel.local_size_bytes, together=together)


def shape_of(weights: Weights) -> Shape:
    layers, outputs = len(weights.layers[0][0]), len(weights.layers[-1][0])
    return Shape(weights.hidden, layers, outputs, len(weights.grus), weights.half)


def lacking(weights: Weights, device: torch.device) -> str | None:
    """What is missing to draw on this GPU, or None. The first call for a size compiles the kernel and tries it."""
    return launch.lacking() or _trial(shape_of(weights), weights.output, device)


@functools.cache
def _trial(shape: Shape, output: str, device: torch.device) -> str | None:
    return trial(shape, output, device)


def trial(shape: Shape, output: str, device: torch.device) -> str | None:
    """Draw a few samples there. What went wrong, or None."""
    weights = _some(shape, output)
    draw = torch.Generator().manual_seed(1)
    conditioning, uniforms, forced = (torch.rand(2, 6, n, generator=draw) for n in (weights.channels, 2, 1))
    try:
        arguments = weights, conditioning.to(device), uniforms, None, forced[..., 0], True
        logits: list[Any] = [way(*arguments)[2] for way in (sample, plain.sample)]
        apart = float((logits[0] - logits[1]).abs().max())
    except Exception as error:  # whatever a driver or a compiler says
        return str(error) if str(error).startswith(SOURCE.name) else _failed(device, error)
    return None if apart <= CLOSE[shape.half] else f"{SOURCE.name} and PyTorch differ by {apart:.3g} on {device}"


def _failed(device: torch.device, error: Exception) -> str:
    return f"{SOURCE.name} does not run on {device} ({type(error).__name__}: {error})"


def _some(shape: Shape, output: str) -> Weights:
    """Weights of that shape, drawn."""
    draw, (H, L, outputs, G, half) = torch.Generator().manual_seed(0), shape

    def layer(rows: int, columns: int) -> tuple[Tensor, Tensor]:
        return torch.randn(rows, columns, generator=draw) / columns**0.5, 0.1 * torch.randn(rows, generator=draw)

    grus = []
    for g in range(G):
        (W_ih, b_ih), (W_hh, b_hh) = layer(3 * H, H + (g > 0)), layer(3 * H, H)
        grus.append((W_ih, W_hh, b_ih, b_hh))
    layers = layer(L, H + 1), layer(L, L + 1), layer(outputs, L)
    return Weights(output, 1, layer(H, 3), tuple(grus), layers, half)


def pack(folded: Folded) -> tuple[Tensor, Tensor]:
    """All weights of the loop as the kernel takes them, float32 or float16, and its constants."""
    matrices = [folded.recurrent[0][0]]
    if folded.inputs:
        matrices += [folded.recurrent[1][0], folded.inputs[0]]
    matrices += folded.layers
    flat = torch.cat([F.pad(one, (0, -one.shape[1] % 64)).reshape(-1) for one in matrices])
    H = folded.hidden
    new = [bias[2 * H :] for _, bias in folded.recurrent]
    return flat.half() if folded.weights.half else flat, torch.cat([folded.through, *new, folded.bias_out])


@torch.no_grad()
def sample(weights: Weights, conditioning, uniforms, state: State | None, given, logits: bool):
    """As reference.sample, on the device of the conditioning. raises ValueError where the kernel has no room"""
    device = torch.as_tensor(conditioning).device
    shape, folded = shape_of(weights), Folded(weights, device)
    packed, constants = pack(folded)
    conditioning, uniforms = by_time(conditioning, device), by_time(uniforms, device)
    given, B = None if given is None else by_time(given, device), conditioning.shape[1]
    x, hidden = begin(folded, state, B, device)
    found, first = [], 0
    while first < B:  # rows do not know of each other
        rows = slice(first, first + placed(shape, B - first, device).rows)
        inputs = [None if one is None else one[:, rows].contiguous() for one in (conditioning, uniforms, given)]
        found.append(_rows(folded, packed, constants, inputs, x[rows], hidden[:, rows].contiguous(), logits))
        first = rows.stop
    drawn, hidden, told = (torch.cat(one, 1) for one in zip(*found))
    return drawn.T.contiguous(), hidden, told.transpose(0, 1).contiguous() if logits else None


def _rows(folded: Folded, packed, constants, inputs, x, hidden, logits: bool):
    """Some rows from the first to the last sample, as many at a time as there is room for their conditioning."""
    (conditioning, uniforms, given), shape, found = inputs, shape_of(folded.weights), []
    length = max(1, plain.AT_ONCE // conditioning.shape[1])
    for first in range(0, len(conditioning), length):
        place = slice(first, first + length)
        taken = None if given is None else given[place]
        before = folded.before(conditioning[place])
        mixture = folded.weights.output == "mixture"
        numbers = shape.layers, shape.outputs, mixture, logits
        drawn, hidden, told = torch.ops.nbkit.wavernn_sample(
            packed, constants, before, uniforms[place], taken, x, hidden, *numbers
        )
        x = (drawn if taken is None else taken)[-1]
        found.append((drawn, told))
    drawn, told = (torch.cat(one) for one in zip(*found))
    return drawn, hidden, told


def _sample(start, weights, constants, before, uniforms, given, x, hidden, layers, outputs, mixture, logits):
    (samples, rows, _), (grus, _, H) = before.shape, hidden.shape
    half = weights.dtype == torch.float16
    made = placed(Shape(H, layers, outputs, grus, half), rows, before.device)
    if rows > made.rows:
        raise ValueError(f"wavernn_sampler.cu wants at most {made.rows} rows here, got {rows}; give some of them")
    drawn, hidden_end, told = _results(
        weights, constants, before, uniforms, given, x, hidden, layers, outputs, mixture, logits
    )
    drawn.fill_(torch.nan)  # what stays so, no block has drawn
    wide = 64 * (-(-H // 64) * grus + 2 * -(-layers // 64))
    mail = torch.zeros(2 * made.rows * (wide + outputs), dtype=torch.int64, device=before.device).view(torch.uint64)
    weights = weights.view(torch.uint16) if half else weights
    taken = uniforms if given is None else given  # not looked at
    tensors = weights, constants, before, uniforms, taken, x, hidden, drawn, told, hidden_end, mail
    flags = mixture + 2 * (given is not None) + 4 * logits
    numbers = (np.int32(one) for one in (samples, rows, H, layers, outputs, flags))
    arguments = (made.name,), made.name, (made.blocks,), (made.threads,), (*tensors, *numbers)
    start(SOURCE, *arguments, shared_mem=made.shared, cooperative=True)
    return drawn, hidden_end, told


def _results(weights, constants, before, uniforms, given, x, hidden, layers, outputs, mixture, logits):
    samples, rows, _ = before.shape
    told = before.new_empty(samples if logits else 0, rows, outputs)
    return before.new_empty(samples, rows), torch.empty_like(hidden), told


_library = torch.library.Library("nbkit", "FRAGMENT")
_library.define(
    "wavernn_sample(Tensor weights, Tensor constants, Tensor before, Tensor uniforms, Tensor? given, Tensor x, "
    "Tensor hidden, int layers, int outputs, bool mixture, bool logits) -> (Tensor, Tensor, Tensor)"
)
_library.impl("wavernn_sample", functools.partial(_sample, launch.on_gpu), "CUDA")
_library.impl("wavernn_sample", functools.partial(_sample, launch.emulated), "CPU")
torch.library.register_fake("nbkit::wavernn_sample", _results, lib=_library)
