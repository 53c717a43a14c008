"""Who takes the points of a sweep: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol

from nbkit.run import points

MOST_JOBS = 4  # by default: each takes about a gigabyte


class Engine(Protocol):
    """Takes points, and gives each back when it has ended: its number, and the error of an engine that lost it."""

    def ended(self, numbers: list[int]) -> Iterator[tuple[int, BaseException | None]]: ...

    def close(self) -> None: ...


class Local:
    """Processes of this machine, one a GPU where there are any, else one a core; `jobs` for another number."""

    def __init__(self, folder: Path, jobs: int, **how: Any):
        found = gpus()
        count = jobs or len(found) or min(os.cpu_count() or 1, MOST_JOBS)
        threads = str(max(1, (os.cpu_count() or 1) // count))
        self.slots: queue.Queue[dict[str, str]] = queue.Queue()
        for number in range(count):
            gpu = {"CUDA_VISIBLE_DEVICES": found[number % len(found)]} if found else {}
            self.slots.put({"OMP_NUM_THREADS": threads, **gpu})
        self.folder, self.how, self.pool = folder, how, ThreadPoolExecutor(count)

    def ended(self, numbers: list[int]) -> Iterator[tuple[int, BaseException | None]]:
        futures = {self.pool.submit(self._run, number): number for number in numbers}
        for future in as_completed(futures):
            yield futures[future], future.exception()

    def _run(self, number: int) -> None:
        slot = self.slots.get()
        try:
            points.run(str(self.folder), number, environment=slot, **self.how)
        finally:
            self.slots.put(slot)

    def close(self) -> None:
        self.pool.shutdown()


class Dask:
    """Workers of a cluster that see the sweep's folder; where they have a resource GPU, one point takes one.

    raises  ValueError where Dask is missing, or no scheduler answers
    """

    def __init__(self, folder: Path, scheduler: str, **how: Any):
        try:
            from distributed import Client
        except ImportError:
            raise ValueError("--scheduler wants Dask, which is not installed: pip install 'nbkit[cluster]'") from None
        try:
            self.client = Client(scheduler, timeout="20s")
        except (OSError, TimeoutError) as error:
            raise ValueError(f"no Dask scheduler answers at {scheduler}: {error}") from error
        workers = self.client.scheduler_info()["workers"].values()
        self.resources = {"GPU": 1} if any(worker.get("resources", {}).get("GPU") for worker in workers) else None
        self.folder, self.how = folder, how

    def ended(self, numbers: list[int]) -> Iterator[tuple[int, BaseException | None]]:
        from distributed import as_completed as completed

        def submit(number: int) -> Any:
            return self.client.submit(
                points.run, str(self.folder), number, pure=False, resources=self.resources, **self.how
            )

        futures = {submit(number): number for number in numbers}
        for future in completed(list(futures)):
            yield futures[future], future.exception()

    def close(self) -> None:
        self.client.close()


def gpus() -> list[str]:
    """The names that CUDA_VISIBLE_DEVICES may take here."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [one for one in named.split(",") if one.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    done = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    return [str(number) for number, _ in enumerate(done.stdout.splitlines())] if done.returncode == 0 else []
