"""What NVIDIA's compiler makes of the .cu files; no GPU is needed: python -m nbkit.kernels.compiler

NVRTC compiles and assembles for a named architecture, and its log tells what each kernel takes.
"""

from __future__ import annotations

import ctypes
import functools
import re
import sys
from pathlib import Path
from typing import NamedTuple

ARCHITECTURES = (75, 80, 89, 90)  # T4, A100, L4 and RTX 40, H100 and H200
OPTIONS = ("-std=c++17", "-ftz=true", "--ptxas-options=-v")  # the first two as CuPy has them


class Usage(NamedTuple):
    """What one kernel takes. Bytes, but for the registers of a thread."""

    kernel: str
    architecture: int
    registers: int
    spilled: int  # stored and loaded, for lack of registers
    stack: int
    shared: int  # what is declared with a size
    warnings: str  # of the whole file


def kernels() -> dict[Path, tuple[str, ...]]:
    """Every .cu file of the package and its kernels."""
    from nbkit.kernels.flow import cuda as flow
    from nbkit.kernels.mas import cuda as mas
    from nbkit.kernels.wavernn_sampler import cuda as wavernn_sampler

    return {room.SOURCE: room.KERNELS for room in (flow, mas, wavernn_sampler)}


def compile(source: Path, names: tuple[str, ...], architecture: int) -> list[Usage]:
    """Compile the named kernels of a file, for sm_75 where `architecture` is 75.

    raises FileNotFoundError without NVRTC, ValueError with its words for what does not compile
    """
    nvrtc = _nvrtc()
    program = ctypes.c_void_p()
    text = source.read_bytes()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, source.name.encode(), 0, None, None)
    try:
        for name in names:
            nvrtc.nvrtcAddNameExpression(program, name.encode())
        options = [option.encode() for option in (*OPTIONS, f"--gpu-architecture=sm_{architecture}")]
        failed = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        size = ctypes.c_size_t()
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        told = log.value.decode(errors="replace")
        if failed:
            raise ValueError(f"{source.name} wants to compile for sm_{architecture}, got:\n{told.strip()}")
        lowered = {}
        for name in names:
            found = ctypes.c_char_p()
            nvrtc.nvrtcGetLoweredName(program, name.encode(), ctypes.byref(found))
            lowered[(found.value or b"").decode()] = name
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return _read(told, lowered, architecture)


def _read(log: str, lowered: dict[str, str], architecture: int) -> list[Usage]:
    warnings, *parts = re.split(r"ptxas info *: Compiling entry function '(\w+)'.*\n", log)
    warnings = "\n".join(line for line in warnings.splitlines() if line.strip() and not line.startswith("ptxas info"))
    found = []
    for entry, text in zip(parts[::2], parts[1::2]):

        def number(before: str, after: str, text: str = text) -> int:
            return sum(map(int, re.findall(f"{before}(\\d+) {after}", text)))

        registers, shared = number("Used ", "registers"), number("", "bytes smem")
        spilled = number("", "bytes spill stores") + number("", "bytes spill loads")
        stack = number("", "bytes stack frame")
        found.append(Usage(lowered.get(entry, entry), architecture, registers, spilled, stack, shared, warnings))
    if len(found) < len(lowered):
        raise ValueError(f"wanted the usage of {len(lowered)} kernels in the log of NVRTC, got {len(found)}:\n{log}")
    return found


@functools.cache
def library() -> Path | None:
    """NVRTC of a wheel, or None. The wheels of torch with CUDA bring it along."""
    for folder in map(Path, sys.path):
        found = sorted((folder / "nvidia").glob("*/lib/libnvrtc.so.*"))
        found = [path for path in found if "alt" not in path.name]
        if found:
            return found[-1]
    return None


@functools.cache
def _nvrtc() -> ctypes.CDLL:
    path = library()
    if path is None:
        raise FileNotFoundError("wanted NVRTC, found none; pip install nvidia-cuda-nvrtc-cu12 (on Linux)")
    return ctypes.CDLL(str(path))


def registers(source: Path, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Rows for a table: kernel, then registers of a thread on each architecture; nothing where there is no NVRTC."""
    if library() is None:
        return []
    found = {a: compile(source, names, a) for a in ARCHITECTURES}
    taken = {(one.kernel, a): f"{one.registers}, {one.spilled} spilled" for a, some in found.items() for one in some}
    return [(kernel, *(taken[kernel, a] for a in ARCHITECTURES)) for kernel in names]


def main() -> None:
    """Print a table of all kernels for all architectures."""
    print(f"{'kernel':36} {'sm':>3} {'registers':>10} {'spilled':>8} {'stack':>6} {'shared':>7}")
    for source, names in kernels().items():
        for architecture in ARCHITECTURES:
            for one in compile(source, names, architecture):
                row = f"{one.architecture:>3} {one.registers:>10} {one.spilled:>8} {one.stack:>6} {one.shared:>7}"
                print(f"{one.kernel:36} {row}")


if __name__ == "__main__":
    main()
