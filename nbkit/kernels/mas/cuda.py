"""Monotonic alignment search by mas.cu: through CuPy on a GPU, through the emulator on a CPU.

Both ways share all but the launch. The search is an operator of torch, `torch.ops.nbkit.maximum_path`, so torch.compile
passes over it. It runs on torch's current stream, waits for nothing, copies nothing, and asks torch's own pool for what
it returns and for one bit a score of workspace.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nbkit.kernels import launch
from nbkit.kernels.mas import reference

SOURCE = Path(__file__).with_name("mas.cu")
TILE, TOKENS = 32, 64  # as in mas.cu: frames of a tile, tokens of a warp
AHEAD = {256: 32, 512: 16, 1024: 8}  # most threads of a block -> frames fetched ahead, as its registers allow
KERNELS = tuple(f"mas_search<{ahead}, {most}, {pairs}>" for most, ahead in AHEAD.items() for pairs in ("true", "false"))
LONGEST = 2048  # tokens: a block of 1,024 threads


def search(log_p: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As torch.search, for at most LONGEST tokens; float32 [B, F, T] and int64 [B] on one device."""
    return torch.ops.nbkit.maximum_path(log_p.contiguous(), token_lengths, frame_lengths)


@torch.compiler.assume_constant_result
@functools.cache
def lacking(device: torch.device) -> str | None:
    """What is missing to search on this GPU, or None. The first call compiles the kernels and tries them."""
    return launch.lacking() or trial(device)


def trial(device: torch.device) -> str | None:
    """Search a small batch there. What went wrong, or None."""
    scores = np.random.default_rng(0).normal(size=(2, 90, 70)).astype(np.float32)
    lengths = np.array([70, 33]), np.array([90, 71])
    try:
        given = (torch.from_numpy(array).to(device) for array in (scores, *lengths))
        found = [array.cpu().numpy() for array in search(*given)]
    except Exception as error:  # whatever a driver or a compiler says
        return f"mas.cu does not run on {device} ({type(error).__name__}: {error})"
    if not all(map(np.array_equal, found, reference.search(scores, *lengths))):
        return f"mas.cu and the reference differ on {device}"
    return None


def _search(start, log_p: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    items, height, width = log_p.shape
    if width > LONGEST:
        raise ValueError(f"mas.cu wants at most {LONGEST:,} tokens, got {width:,}; use impl='cpu'")
    durations, frame_to_token, valid = _outputs(log_p, token_lengths, frame_lengths)
    if items == 0 or height == 0 or width == 0:
        return durations, frame_to_token, valid.fill_(False)
    threads = TILE * -(-width // TOKENS)
    pairs = width % 2 == 0 and log_p.data_ptr() % 8 == 0  # so that both scores of a lane come by one instruction
    name = KERNELS[2 * sum(threads > most for most in AHEAD) + (not pairs)]
    words = log_p.new_empty(items * -(-height // TILE) * 2 * threads, dtype=torch.uint32)
    tensors = (log_p, token_lengths, frame_lengths, durations, frame_to_token, valid, words)
    start(SOURCE, KERNELS, name, (items,), (threads,), (*tensors, np.int32(height), np.int32(width)))
    return durations, frame_to_token, valid


def _outputs(log_p: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    items, height, width = log_p.shape
    durations, frame_to_token = (log_p.new_empty(items, size, dtype=torch.int64) for size in (width, height))
    return durations, frame_to_token, log_p.new_empty(items, dtype=torch.bool)


_library = torch.library.Library("nbkit", "DEF")
_library.define("maximum_path(Tensor log_p, Tensor token_lengths, Tensor frame_lengths) -> (Tensor, Tensor, Tensor)")
_library.impl("maximum_path", functools.partial(_search, launch.on_gpu), "CUDA")
_library.impl("maximum_path", functools.partial(_search, launch.emulated), "CPU")
torch.library.register_fake("nbkit::maximum_path", _outputs, lib=_library)
