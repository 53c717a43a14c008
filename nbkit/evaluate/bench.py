"""How long ways to do the same thing take, side by side, and whether they do the same thing.

    found = bench.compare({"plain": plain, "ours": ours}, device="cuda", flush=True)
    rows = bench.rows(found, moved={"ours": scores.nbytes}, ceiling=bench.copy_ceiling("cuda"))
    print(bench.table("search", rows))
    bench.save("search", rows, device="cuda", items=32)

All ways are measured in turns, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nbkit.base import environment, record, workspace
from nbkit.evaluate.bench_check import check as check

Ways = Mapping[str, Callable[[], object]]
TURNS, TURN, MOST = 3, 0.05, 1000  # least turns of each way; seconds and most calls of a turn
REPLAYS = 20  # calls in a graph, so that its start weighs little
FLUSHED = 256 * 2**20  # bytes written over whatever a cache holds
_now = time.perf_counter


class Timing(NamedTuple):
    """Seconds of a call: half of the calls take less than the median, a fifth less than p20. calls  how many"""

    median: float
    p20: float
    p80: float
    least: float
    calls: int


def compare(
    ways: Ways, *, device: str = "cpu", seconds: float = 2.0, flush: bool = False, graph: bool = False
) -> dict[str, Timing]:
    """Time all ways in turns until `seconds` are over, three turns at least.

    Each is called twice before, which is not counted. A turn is as many calls as fit into a twentieth of a second; the
    first half of them is not counted either, since it finds the caches as another way left them.

    device   "cpu" by the clock, or "cuda" by events; ways on a GPU need not wait for it
    flush    write over the caches before each call, so that inputs come from memory
    graph    on a GPU: record the calls once and play them back, so that starting them costs nothing
    """
    if not ways or not seconds > 0:
        raise ValueError(f"wanted a way or more and seconds above 0, got {len(ways)} and {seconds}; name what to time")
    if graph and _kind(device) == "cpu":
        raise ValueError("graph=True plays back what a GPU did, got device 'cpu'; leave graph out")
    clock = _Events(device, flush, graph) if _kind(device) == "cuda" else _Clock(flush)
    given = {name: clock.prepared(way) for name, way in ways.items()}
    calls = {name: _calls(clock, way) for name, way in given.items()}
    took: dict[str, list[float]] = {name: [] for name in ways}
    stop, turn = _now() + seconds, 0
    while turn < TURNS or _now() < stop:
        for name, way in given.items():
            took[name] += clock.turn(way, calls[name])[calls[name] // 2 :]
        turn += 1
    return {name: _timing(times) for name, times in took.items()}


def _calls(clock: _Clock, way: Callable[[], object]) -> int:
    clock.turn(way, 1)
    began = _now()
    clock.turn(way, 1)
    return int(min(max(TURN / max(_now() - began, 1e-9), 1), MOST))


def _timing(times: list[float]) -> Timing:
    p20, median, p80 = (float(q) for q in np.quantile(times, [0.2, 0.5, 0.8]))
    return Timing(median, p20, p80, float(min(times)), len(times))


class _Clock:
    """Calls on the host."""

    def __init__(self, flush: bool):
        self.cold = np.zeros(FLUSHED, np.uint8) if flush else None

    def prepared(self, way: Callable[[], object]) -> Callable[[], object]:
        return way

    def turn(self, way: Callable[[], object], calls: int) -> list[float]:
        """Seconds of each of so many calls."""
        times = []
        for _ in range(calls):
            if self.cold is not None:
                self.cold += 1
            began = _now()
            way()
            times.append(_now() - began)
        return times


class _Events(_Clock):
    """Calls on a GPU: an event before and after each, read when all of a turn are done."""

    def __init__(self, device: str, flush: bool, graph: bool):
        import torch

        self.torch, self.graph = torch, graph
        self.repeats = REPLAYS if graph and not flush else 1  # a call in the midst of a graph cannot be flushed before
        self.cold = torch.zeros(FLUSHED, dtype=torch.uint8, device=device) if flush else None  # pyright: ignore[reportAttributeAccessIssue]

    def prepared(self, way: Callable[[], object]) -> Callable[[], object]:
        if not self.graph:
            return way
        side = self.torch.cuda.Stream()
        side.wait_stream(self.torch.cuda.current_stream())
        with self.torch.cuda.stream(side):  # what a first call allocates and compiles cannot be recorded
            way()
            way()
        self.torch.cuda.current_stream().wait_stream(side)
        played = self.torch.cuda.CUDAGraph()
        with self.torch.cuda.graph(played):
            for _ in range(self.repeats):
                way()
        return played.replay

    def turn(self, way: Callable[[], object], calls: int) -> list[float]:
        events = [[self.torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(calls)]
        for began, ended in events:
            if self.cold is not None:
                self.cold.zero_()  # pyright: ignore[reportAttributeAccessIssue]
            began.record()
            way()
            ended.record()
        self.torch.cuda.synchronize()
        return [began.elapsed_time(ended) / 1000 / self.repeats for began, ended in events]


def copy_ceiling(device: str = "cpu", seconds: float = 0.5) -> float:
    """Bytes a second, read and written, of a plain copy of 128 MiB: the best of those within `seconds`.

    On the CPU by as many threads as OMP_NUM_THREADS or the processors allow.
    """
    size = 128 * 2**20
    if _kind(device) == "cuda":
        import torch

        source, target = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
        found = compare({"copy": lambda: target.copy_(source)}, device=device, seconds=seconds)
        return 2 * size / found["copy"].least
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    source, target = (np.ones(size, np.uint8) for _ in range(2))
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads)))
    with ThreadPoolExecutor(threads) as pool:
        found = compare({"copy": lambda: list(pool.map(lambda pair: np.copyto(*pair), parts))}, seconds=seconds)
    return 2 * size / found["copy"].least


def rows(
    found: Mapping[str, Timing], *, moved: Mapping[str, float] | None = None, ceiling: float = 0
) -> list[dict[str, Any]]:
    """A row a way, for a table, a picture and a file; "times" says how many times as fast as the first, by medians.

    moved    bytes that a way must read and write; their row has "bytes_per_second", from the median
    ceiling  of a copy, in bytes a second; with it also "of_copy", the share of it
    """
    if unknown := set(moved or ()) - set(found):
        raise ValueError(f"wanted bytes of ways that were timed, got {sorted(unknown)}; timed were {list(found)}")
    if not found:
        raise ValueError("wanted a timing or more, got none; time something first")
    first = next(iter(found.values())).median
    table = []
    for name, timing in found.items():
        row = {"way": name, **timing._asdict(), "times": first / timing.median}
        if moved and name in moved:
            row["bytes_per_second"] = moved[name] / timing.median
            if ceiling:
                row["of_copy"] = row["bytes_per_second"] / ceiling
        table.append(row)
    return table


def table(title: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows as lines of text, milliseconds; GB/s and the share of a copy where they are known."""
    rows = list(rows)
    wide = max(len(title), *(len(row["way"]) for row in rows))
    lines = [f"{title:{wide}}  median ms       20 %       80 %      least   times as fast"]
    for row in rows:
        times = "".join(f"{1000 * row[name]:11.4g}" for name in ("median", "p20", "p80", "least"))
        moved = f"{row['bytes_per_second'] / 1e9:9.1f} GB/s" if "bytes_per_second" in row else ""
        share = f", {row['of_copy']:.0%} of a copy" if "of_copy" in row else ""
        lines.append(f"{row['way']:{wide}}{times}{row['times']:16.2f}{moved}{share}")
    return "\n".join(lines)


def save(name: str, rows: Iterable[Mapping[str, Any]], *, device: str, **about: Any) -> Path:
    """Write rows with what they were measured on to outputs/gallery/bench: a file for each name and device.

    name   small letters, digits and underscores, as it becomes part of a file's name
    about  sizes and whatever else must be known to measure again; numbers, texts, lists
    """
    described = describe(device)
    kept = {"name": _checked(name), "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", **described}
    path = _folders()[0] / f"{name}.{re.sub(r'[^a-z0-9]+', '-', described['device'].lower()).strip('-')}.json"
    try:
        text = json.dumps(kept | {"about": about, "rows": [dict(row) for row in rows]}, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"wanted rows of finite numbers and texts, got {error}; leave the others out") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(path, text + "\n")
    return path


def load(name: str) -> list[dict[str, Any]]:
    """What was saved under a name, here or with the project, on all devices, newest first; [] where there is nothing.

    returns  dicts with name, date, device, driver, clocks, versions, about and rows
    """
    found = {path.name: path for folder in reversed(_folders()) for path in folder.glob(f"{_checked(name)}.*.json")}
    return sorted(map(_read, found.values()), key=lambda result: result["date"], reverse=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        result = record.read_json(path)
        if result["rows"] and all(row["way"] for row in result["rows"]) and isinstance(result["date"], str):
            return result
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"wanted a result of bench.save in {path}, it holds something else; move it away")


def describe(device: str) -> dict[str, Any]:
    """device, driver, clocks and versions of this machine; the driver's clocks are those of now and the highest."""
    about = environment.describe()
    versions = {"python": about["python"], "platform": about["platform"], "git": about["git"]}
    versions |= dict(about["packages"])  # pyright: ignore[reportCallIssue, reportArgumentType]
    if _kind(device) == "cuda":
        import torch

        asked = ("driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "clocks.max.mem", "power.limit")
        told = dict(zip(asked, _nvidia_smi(asked)))
        name = torch.cuda.get_device_name(device)
        return {"device": name, "driver": told.pop("driver_version", None), "clocks": told, "versions": versions}
    name, clock = _processor()
    return {"device": f"{name}, {about['cpus']} processors", "driver": None, "clocks": clock, "versions": versions}


def _kind(device: str) -> str:
    kind = str(device).partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"wanted device 'cpu' or 'cuda', got {device!r}; other devices have no clock here")
    if kind == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ValueError("device 'cuda' wants a GPU, torch finds none; take device='cpu' or a machine with one")
    return kind


def _checked(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]{1,60}", name):
        raise ValueError(f"wanted a name of at most 60 small letters, digits and underscores, got {name[:80]!r}")
    return name


def _folders() -> list[Path]:
    """Where results are written, and where those lie that came with the project."""
    return [home / "gallery" / "bench" for home in (workspace.outputs(), workspace.root() / "outputs")]


def _nvidia_smi(asked: Iterable[str]) -> list[str]:
    command = ["nvidia-smi", f"--query-gpu={','.join(asked)}", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [word.strip() for word in told.splitlines()[0].split(",")]


def _processor() -> tuple[str, dict[str, str]]:
    """Its name and clock, as Linux tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = told.get("model name") or platform.processor() or platform.machine() or "cpu"
    return name, {"now": f"{told['cpu MHz']} MHz"} if "cpu MHz" in told else {}
