"""ActNorm, invertible 1x1 convolution and mask by flow.cu: through CuPy on a GPU, through the emulator on a CPU.

Both ways share all but the launch. `torch.ops.nbkit.normalise_and_mix` is an operator of torch with a gradient, so
torch.compile passes over it. It runs on torch's current stream, waits for nothing, and asks torch's own pool for what
it returns and, for gradients, for 1.3 kB a block at 160 channels. x is copied only where its rows do not lie one after
the other at a multiple of 16 bytes.

Sums over frames have one order, whatever the GPU does first: the same input gives the same bits.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nbkit.kernels import launch
from nbkit.kernels.flow import reference

SOURCE = Path(__file__).with_name("flow.cu")
THREADS, MEMBERS, LANES = 256, 4, 32  # as in flow.cu: of a block, channels of a group, columns of a block that reduces
KERNELS = (
    *(f"flow_map<{groups}, {back}>" for groups in (1, 2) for back in ("false", "true")),
    *(f"flow_backward<{groups}>" for groups in (1, 2)),
    "flow_reduce",
)
MOST = 1024  # channels: 256 groups, one a thread
BLOCKS = {"map": 512, "backward": 256}  # at most; chosen for 132 multiprocessors by reckoning, not by measuring


def there(
    x: Tensor, mask: Tensor | None, log_scale: Tensor, bias: Tensor, weight: Tensor, reverse: bool
) -> tuple[Tensor, Tensor]:
    """As normalise_and_mix, in float32; the gradient is known for one direction."""
    mask = x.new_ones(*x.shape[:2], 1) if mask is None else mask
    given = (one.contiguous() for one in (x, mask, log_scale, bias, weight))
    return (torch.ops.nbkit.unmix if reverse else torch.ops.nbkit.normalise_and_mix)(*given)[:2]


@torch.compiler.assume_constant_result
@functools.cache
def lacking(device: torch.device) -> str | None:
    """What is missing to run on this GPU, or None. The first call compiles the kernels and tries them."""
    return launch.lacking() or trial(device)


@torch.inference_mode(False)  # whoever speaks first may have switched gradients off for good
@torch.enable_grad()
def trial(device: torch.device) -> str | None:
    """A small batch there, back, and its gradients. What went wrong, or None."""
    draw = torch.Generator().manual_seed(0)
    shapes = (2, 40, 24), (24,), (24,), (4, 4)
    x, log_scale, bias, weight = (torch.randn(*shape, generator=draw) for shape in shapes)
    mask = (torch.arange(40) < torch.tensor([[40], [23]])).float()[:, :, None]
    given = x, 0.3 * log_scale, bias, weight + 2 * torch.eye(4)
    try:
        with torch.autocast(device.type, enabled=False):
            found = _tried(there, given, mask, device)
    except Exception as error:  # whatever a driver or a compiler says
        return f"flow.cu does not run on {device} ({type(error).__name__}: {error})"
    wanted = _tried(reference.there, given, mask, torch.device("cpu"))
    if not all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(found, wanted)):
        return f"flow.cu and the reference differ on {device}"
    return None


def _tried(way, given: tuple[Tensor, ...], mask: Tensor, device: torch.device) -> list[Tensor]:
    x, *coefficients = (one.to(device).requires_grad_() for one in given)
    mask = mask.to(device)
    z, log_determinant = way(x, mask, *coefficients, False)
    gradients = torch.autograd.grad((z.sin().sum() + log_determinant.sum()), (x, *coefficients))
    with torch.no_grad():
        back = way(z, mask, *coefficients, True)
    return [one.detach().cpu() for one in (z, log_determinant, *gradients, *back)]


def _aligned(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(one if one.data_ptr() % 16 == 0 else one.clone() for one in tensors)


def _blocks(what: str, frames: int, channels: int, groups: int) -> int:
    rows = THREADS // (channels // (MEMBERS * groups))  # that a block reads at a time
    return min(BLOCKS[what], -(-frames // rows))


def _groups(x: Tensor) -> int:
    """How many groups of channels a thread takes. raises ValueError for what flow.cu does not take"""
    channels = x.shape[2]
    if x.dtype != torch.float32 or channels % MEMBERS or not MEMBERS <= channels <= MOST:
        raise ValueError(
            f"flow.cu wants float32 and 4 to {MOST:,} channels in groups of 4, got {x.dtype} and {channels:,}; "
            "use impl='torch'"
        )
    return 2 if channels % (2 * MEMBERS) == 0 else 1


def _map(start, back: bool, x: Tensor, mask: Tensor, log_scale: Tensor, bias: Tensor, weight: Tensor):
    (items, frames, channels), groups = x.shape, _groups(x)
    z, log_determinant, counted = outputs = _outputs(x, mask, log_scale, bias, weight)
    if x.numel() == 0:
        return z, log_determinant.fill_(0), counted.fill_(0)
    given = _aligned(x, mask, log_scale, bias, weight)
    name = KERNELS[2 * (groups - 1) + back]
    numbers = np.int32(items), np.int32(frames), np.int32(channels)
    grid = (_blocks("map", items * frames, channels, groups),)
    start(SOURCE, KERNELS, name, grid, (THREADS,), (*given, *outputs, *numbers))
    return outputs


def _outputs(x: Tensor, mask: Tensor, log_scale: Tensor, bias: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty(len(x)), x.new_empty(len(x), dtype=torch.int32)


def _backward(start, to_z, to_log_determinant, x, mask, log_scale, bias, weight, counted):
    (items, frames, channels), groups = x.shape, _groups(x)
    to_x, *to_coefficients = _gradients(to_z, to_log_determinant, x, mask, log_scale, bias, weight, counted)
    if x.numel() == 0:
        return (to_x, *(one.fill_(0) for one in to_coefficients))
    given = _aligned(to_z.contiguous(), x, mask, log_scale, bias, weight)
    blocks = _blocks("backward", items * frames, channels, groups)
    width = 2 * channels + MEMBERS**2
    partial = x.new_empty(blocks, width)
    numbers = np.int32(items * frames), np.int32(channels)
    start(SOURCE, KERNELS, KERNELS[3 + groups], (blocks,), (THREADS,), (*given, to_x, partial, *numbers))
    given = partial, to_log_determinant.contiguous(), counted, weight, *to_coefficients
    numbers = np.int32(blocks), np.int32(items), np.int32(channels)
    start(SOURCE, KERNELS, KERNELS[-1], (-(-width // LANES),), (THREADS,), (*given, *numbers))
    return (to_x, *to_coefficients)


def _gradients(to_z, to_log_determinant, x, mask, log_scale, bias, weight, counted) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(one) for one in (x, log_scale, bias, weight))


def _keep(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs, output[2])


def _differentiate(ctx, to_z: Tensor, to_log_determinant: Tensor, _):
    to_x, *others = torch.ops.nbkit.normalise_and_mix_backward(to_z, to_log_determinant, *ctx.saved_tensors)
    return (to_x, None, *others)


def _no_second(ctx, *gradients: Tensor):
    raise ValueError("flow.cu gives first derivatives, a second one was asked for; use impl='torch'")


_GIVEN = "Tensor x, Tensor mask, Tensor log_scale, Tensor bias, Tensor weight"
_library = torch.library.Library("nbkit", "FRAGMENT")
_library.define(f"normalise_and_mix({_GIVEN}) -> (Tensor, Tensor, Tensor)")
_library.define(f"unmix({_GIVEN}) -> (Tensor, Tensor, Tensor)")
_library.define(
    f"normalise_and_mix_backward(Tensor to_z, Tensor to_log_determinant, {_GIVEN}, Tensor counted)"
    " -> (Tensor, Tensor, Tensor, Tensor)"
)
for _key, _start in (("CUDA", launch.on_gpu), ("CPU", launch.emulated)):
    _library.impl("normalise_and_mix", functools.partial(_map, _start, False), _key)
    _library.impl("unmix", functools.partial(_map, _start, True), _key)
    _library.impl("normalise_and_mix_backward", functools.partial(_backward, _start), _key)
torch.library.register_fake("nbkit::normalise_and_mix", _outputs, lib=_library)
torch.library.register_fake("nbkit::unmix", _outputs, lib=_library)
torch.library.register_fake("nbkit::normalise_and_mix_backward", _gradients, lib=_library)
torch.library.register_autograd("nbkit::normalise_and_mix", _differentiate, setup_context=_keep, lib=_library)
torch.library.register_autograd("nbkit::normalise_and_mix_backward", _no_second, lib=_library)
