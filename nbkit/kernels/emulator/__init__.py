"""Run a .cu file on the CPU: slowly, with an eye on what a GPU would let pass.

The same source is compiled by g++ behind a header that stands for CUDA C++ (cuda.hpp), each CUDA thread is a fiber, and
every read and write of a kernel is watched (runtime.cpp):

    add = emulator.module("add.cu").kernel("add")
    add((4,), (256,), (x, y, out, np.int32(1000)))

What is wrong raises KernelFault, with the threads, the line and the seed:

- divergence: lanes that a shuffle names do not come to it, threads meet at different barriers, or end before one. CUDA
  forgives threads that have ended; this does not
- deadlock: nobody can go on, and who waits where; also for a value that is polled and never comes
- out of bounds, read only, misaligned: arrays and shared memory are known by the byte
- undefined: a shift by more than there are bits, which is one thing on a CPU and another on a GPU
- uninitialised: shared memory is read that nobody has written
- race: two threads use a word of shared memory, one of them writes, and neither a barrier nor __syncwarp lies between.
  Volatile and atomic accesses are left out; what they hand over from thread to thread should be handed over by barrier
- assertion, limits

Which thread goes on is drawn from `seed`: a warp at a time, for as long as it can, which is as unfair as a GPU may be.
Blocks of a cooperative launch are alive together, and now and then one is left behind for as long as the others can do
without it; others run one after the other in a drawn order. What is not here: fp16, tensor cores, inline PTX, the order
in which memory becomes visible, and time.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import numpy as np

from nbkit.base import workspace

_HERE = Path(__file__).parent
_WATCH = [
    "-fsanitize=thread",
    "-fsanitize=alignment,bounds,shift-exponent",
    "--param=tsan-distinguish-volatile=1",
    "--param=tsan-instrument-func-entry-exit=0",
]
_FLAGS = ["-std=c++17", "-O2", "-g1", "-w", "-fPIC", "-ffp-contract=off", "-fno-exceptions", f"-I{_HERE}"]


_one_at_a_time = threading.Lock()


class KernelFault(RuntimeError):
    """What a kernel did wrong. `kind` is the word before the colon."""

    def __init__(self, text: str):
        super().__init__(text)
        self.kind = text.partition(":")[0]


class _Array(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("bytes", ctypes.c_uint64), ("item_bytes", ctypes.c_uint64),
        ("writable", ctypes.c_int), ("argument", ctypes.c_int), ("slot", ctypes.c_void_p),
    ]  # fmt: skip


class _Launch(ctypes.Structure):
    _fields_ = [
        ("grid", ctypes.c_uint * 3), ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_uint64), ("seed", ctypes.c_uint64),
        ("cooperative", ctypes.c_int), ("arrays", ctypes.c_int), ("array", ctypes.POINTER(_Array)),
        ("report", ctypes.c_char_p), ("report_bytes", ctypes.c_uint64), ("place", ctypes.c_uint64),
    ]  # fmt: skip


class Kernel:
    """A kernel that can be called as a cupy.RawKernel is."""

    def __init__(self, name: str, library: ctypes.CDLL, file: Path, number: int):
        self.name, self._library, self._file = name, library, file
        self._enter = getattr(library, f"nb_enter_{number}")
        text = ctypes.create_string_buffer(1024)
        getattr(library, f"nb_signature_{number}")(text)
        self.signature = tuple(text.value.decode().split())  # "*f4" points to float32, "i4" is int32

    def __call__(self, grid, block, args, *, shared_mem: int = 0, seed: int = 0, cooperative: bool = False) -> None:
        """Run it.

        grid, block   up to three numbers each
        args          arrays of numpy or, on the CPU, torch, contiguous; numbers of numpy (np.int32(3)), as a GPU takes
                      them. Read-only arrays may only be read; others hold the results afterwards, if all went well.
        shared_mem    bytes of dynamic shared memory
        raises        KernelFault for what the kernel does, ValueError for arguments that do not fit it
        """
        launch = _Launch(_three(grid, "grid"), _three(block, "block"), shared_mem, seed, cooperative)
        threads = int(np.prod(list(launch.block)))
        if threads > 1024:
            raise ValueError(f"{self.name} wants at most 1,024 threads in a block, got {threads}; use more blocks")
        if len(args) != len(self.signature):
            raise ValueError(f"{self.name} takes {len(self.signature)} arguments, got {len(args)}; see its parameters")
        slots = (ctypes.c_uint64 * max(1, len(args)))()
        addresses = (ctypes.c_void_p * max(1, len(args)))(*(ctypes.addressof(slots) + 8 * i for i in range(len(args))))
        arrays, seen = [], {}
        for i, (wanted, given) in enumerate(zip(self.signature, args)):
            value = _checked(f"argument {i} of {self.name}", wanted, given)
            if isinstance(value, np.ndarray):
                key = (value.ctypes.data, value.nbytes)
                if value.nbytes and key in seen:
                    addresses[i] = addresses[seen[key]]
                    continue
                seen[key] = i
                arrays.append(_Array(*key, value.itemsize, value.flags.writeable, i, addresses[i]))
            else:
                ctypes.memmove(addresses[i], value.tobytes(), value.itemsize)
        report = ctypes.create_string_buffer(2048)
        launch.arrays, launch.array = len(arrays), (_Array * max(1, len(arrays)))(*arrays)
        launch.report, launch.report_bytes = ctypes.cast(report, ctypes.c_char_p), len(report)
        with _one_at_a_time:
            failed = self._library.nb_launch(ctypes.byref(launch), self._enter, addresses)
        if failed:
            place = f" in {self._line(launch.place)}" if launch.place else ""
            raise KernelFault(f"{report.value.decode(errors='replace')}{place} ({self.name}, seed {seed})")

    def _line(self, place: int) -> str:
        """File and line of an instruction; g++ has put it near there."""
        tool = shutil.which("addr2line")
        if not tool:
            return f"instruction {place:#x}"
        command = [tool, "-i", "-e", self._file, hex(place)]
        lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
        known = [Path(line.partition(" (")[0]).name for line in lines if "?" not in line]
        named = [line for line in known if not line.startswith("cuda.hpp")]
        return "line " + named[0].rpartition(":")[2] if named else f"instruction {place:#x}"


class Module:
    """What one .cu file holds."""

    def __init__(self, file: Path, names: tuple[str, ...]):
        self._library, self._file, self.names = ctypes.CDLL(str(file)), file, names

    def kernel(self, name: str) -> Kernel:
        if name not in self.names:
            raise ValueError(
                f"wanted one of the kernels {', '.join(self.names)}, got {name!r}; "
                "name what is made from a template in name_expressions"
            )
        return Kernel(name, self._library, self._file, self.names.index(name))


def module(source: str | Path, options: tuple[str, ...] = (), name_expressions: tuple[str, ...] = ()) -> Module:
    """Compile a .cu file, or text that stands for one. Kept in the cache, by all that it was made from.

    options           of g++, such as "-DWIDTH=32"
    name_expressions  kernels that are made from templates, such as "add<float>"; those in `extern "C"` are found
    raises            FileNotFoundError without g++, ValueError with g++'s words for what does not compile
    """
    path = source if isinstance(source, Path) else Path(source) if source.endswith(".cu") else None
    text, name = (path.read_text(encoding="utf-8"), path.name) if path else (str(source), "source.cu")
    return _module(text, name, tuple(options), tuple(name_expressions))


def available() -> bool:
    """Whether there is a g++ to compile with."""
    return shutil.which("g++") is not None


@functools.cache
def _module(text: str, name: str, options: tuple[str, ...], expressions: tuple[str, ...]) -> Module:
    bare = _without_comments(text)
    found = re.findall(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(', bare)
    names = tuple(dict.fromkeys([*found, *expressions]))
    enter = "".join(
        f'extern "C" void nb_enter_{i}(void** arguments) {{ nb::enter({one}, arguments); }}\n'
        f'extern "C" void nb_signature_{i}(char* text) {{ nb::signature({one}, text); }}\n'
        for i, one in enumerate(names)
    )
    code = f'#include "cuda.hpp"\n#line 1 "{name}"\n{_translated(bare)}\n#line 1 "enter"\n{enter}'
    runtime = _built((_HERE / "runtime.cpp").read_text(encoding="utf-8"), "runtime.o", ["-c"])
    return Module(_built(code, "kernels.so", ["-shared", "-Wl,-Bsymbolic", *_WATCH, *options], runtime), names)


def _built(code: str, target: str, options: list[str], *others: Path) -> Path:
    """The file that g++ makes of `code`, from the cache where it is there already."""
    compiler = shutil.which("g++")
    if compiler is None:
        raise FileNotFoundError(
            "the emulator wants g++ to compile a kernel, and there is none; install it (apt-get install g++, or "
            "conda install gxx), or run the kernel on a GPU"
        )
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    headers = [path.read_text(encoding="utf-8") for path in sorted(_HERE.glob("*.hpp"))]
    made_from = repr([code, options, _FLAGS[:-1], headers, version, [other.parent.name for other in others]])
    folder = workspace.cache() / "emulator" / hashlib.sha256(made_from.encode()).hexdigest()[:16]
    if (folder / target).exists():
        return folder / target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        (Path(work) / "code.cpp").write_text(code, encoding="utf-8")
        shared = "-shared" in options
        command = [compiler, *_FLAGS, *(one for one in options if one != "-shared"), "-c", "code.cpp", "-o", "code.o"]
        _run(command, work)
        if shared:  # without -fsanitize, which would bring another runtime along
            _run([compiler, "-shared", "-Wl,-Bsymbolic", "code.o", *map(str, others), "-o", "made", "-ldl"], work)
        os.replace(Path(work) / ("made" if shared else "code.o"), folder / target)
    return folder / target


def _run(command: list[str], folder: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if re.search("error|undefined", line, re.IGNORECASE)]
        raise ValueError("the kernel wants to be CUDA C++ that g++ takes, got:\n" + "\n".join(lines[:10]))


def _without_comments(text: str) -> str:
    """Comments become blank, lines stay where they are."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda found: "\n" * found[0].count("\n") or " ", text, flags=re.DOTALL)


def _translated(text: str) -> str:
    """Shared memory is asked for, so that it has borders; CUDA's own headers are ours."""
    text = re.sub(r"#\s*include\s*<(cuda_runtime|cooperative_groups)\.h>", "", text)
    text = re.sub(
        r"extern\s+__shared__\s+(?:__align__\s*\([^)]*\)\s*)?([^;\[]+?)\s*(\w+)\s*\[\s*\]\s*;",
        r"\1* \2 = static_cast<\1*>(nb::nb_dynamic_shared());",
        text,
    )
    counted = iter(range(len(text)))

    def declare(found: re.Match) -> str:
        parts = re.fullmatch(r"\s*(.+?)\s*\b(\w+)\s*((?:\[[^\]]*\]\s*)*)", found[1], re.DOTALL)
        if not parts or "," in re.sub(r"<[^<>]*>", "", parts[1]):
            raise ValueError(f"the emulator wants one variable in a __shared__ declaration, got {found[0]!r}; split it")
        kind, name, sizes = parts.groups()
        n = next(counted)
        return (
            f"typedef {kind} nb_type_{n}{sizes}; static const char nb_key_{n} = 0; nb_type_{n}& {name} = "
            f"*static_cast<nb_type_{n}*>(nb::nb_shared(&nb_key_{n}, sizeof(nb_type_{n})));"
        )

    return re.sub(r"__shared__\s+([^;]*);", declare, text)


def _three(sizes, what: str):
    given = [int(size) for size in sizes]
    if not 1 <= len(given) <= 3 or min(given) < 1:
        raise ValueError(f"{what} wants one to three numbers from 1 on, got {tuple(sizes)}")
    return (ctypes.c_uint * 3)(*given, *[1] * (3 - len(given)))


def _checked(what: str, wanted: str, given) -> np.ndarray | np.generic:
    """An argument as numpy has it, of the type that the kernel takes."""
    if hasattr(given, "detach"):
        given = given.detach().numpy()
    pointer, kind, size = wanted.startswith("*"), wanted.lstrip("*")[0], int(wanted.lstrip("*")[1:])
    name = "anything" if kind == "V" else np.dtype(f"{kind}{size}").name
    if not isinstance(given, np.ndarray if pointer else np.generic):
        remedy = "pass an array" if pointer else f"pass np.{name}(...), as a GPU takes bytes and no Python numbers"
        raise ValueError(
            f"{what} wants {'an array of ' if pointer else ''}{name}, got {type(given).__name__}; {remedy}"
        )
    if kind != "V" and given.dtype.str[1:] != f"{kind}{size}":
        raise ValueError(f"{what} wants {name}, got {given.dtype.name}; convert it")
    if pointer and not given.flags.c_contiguous:
        raise ValueError(f"{what} wants a contiguous array, got strides {given.strides}; pass a copy")
    return given
