"""How a module beside a .cu file runs it: through CuPy on a GPU, through the emulator on a CPU."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor


def on_gpu(
    source: Path,
    names: tuple[str, ...],
    name: str,
    grid: tuple,
    block: tuple,
    args: tuple,
    *,
    shared_mem: int = 0,
    cooperative: bool = False,
) -> None:
    """Start kernel `name`, one of the `names` of a file, on torch's current stream.

    args         tensors of one GPU, contiguous, the first among them; numbers of numpy
    shared_mem   bytes of a block beyond what is declared with a size
    cooperative  all blocks run at the same time. CuPy starts fewer where there is no room for all.
    """
    import cupy  # pyright: ignore[reportMissingImports]

    device = args[0].device
    stream = cupy.cuda.Stream.from_external(torch.cuda.current_stream(device))
    with cupy.cuda.Device(device.index), stream:
        pointers = (one.data_ptr() if isinstance(one, Tensor) else one for one in args)
        kernel = compiled(source, names, name, device.index, cooperative)
        if shared_mem > 48 << 10:
            kernel.max_dynamic_shared_size_bytes = shared_mem
        kernel(grid, block, tuple(pointers), shared_mem=shared_mem)


@functools.cache
def compiled(source: Path, names: tuple[str, ...], name: str, device: int, cooperative: bool = False):
    """The kernel, compiled for the device that is current."""
    import cupy  # pyright: ignore[reportMissingImports]

    text = source.read_text(encoding="utf-8")
    options = dict(options=("-std=c++17",), name_expressions=names, enable_cooperative_groups=cooperative)
    return cupy.RawModule(code=text, **options).get_function(name)


def emulated(
    source: Path,
    names: tuple[str, ...],
    name: str,
    grid: tuple,
    block: tuple,
    args: tuple,
    *,
    shared_mem: int = 0,
    cooperative: bool = False,
    seed: int = 0,
) -> None:
    """Run it on tensors of the CPU, with threads in an order drawn from `seed`."""
    from nbkit.kernels import emulator

    emulator.module(source, name_expressions=names).kernel(name)(
        grid, block, args, shared_mem=shared_mem, cooperative=cooperative, seed=seed
    )


def lacking() -> str | None:
    """What is missing to start kernels on a GPU, or None."""
    try:
        import cupy  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        return f"no CuPy ({error})"
    if not hasattr(cupy.cuda.Stream, "from_external") or not hasattr(torch.cuda.Stream, "__cuda_stream__"):
        return "CuPy or torch is too old to share a stream"
    return None
