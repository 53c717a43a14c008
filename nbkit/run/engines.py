"""Who takes the points of a sweep: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import os
import queue
import shutil
import socket
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from nbkit.base import workspace
from nbkit.run import points

MOST_JOBS = 4  # by default: each takes about a gigabyte


class Future(Protocol):
    """A point that an engine has taken; `exception` is that of an engine that lost it."""

    def done(self) -> bool: ...

    def exception(self) -> BaseException | None: ...


class Engine(Protocol):
    """Takes points and runs them; what becomes of them stands in the sweep's folder."""

    def submit(self, name: str) -> Future: ...

    def close(self) -> None: ...


class Local:
    """Processes of this machine, one a GPU where there are any, else one a core; `jobs` for another number."""

    def __init__(self, folder: Path, jobs: int = 0, **how: Any):
        if jobs < 0:
            raise ValueError(f"wanted at least one run at once, or 0 for one a GPU or core, got {jobs}")
        found = gpus()
        count = jobs or len(found) or min(os.cpu_count() or 1, MOST_JOBS)
        threads = str(max(1, (os.cpu_count() or 1) // count))
        self.slots: queue.Queue[dict[str, str]] = queue.Queue()
        for number in range(count):
            gpu = {"CUDA_VISIBLE_DEVICES": found[number % len(found)]} if found else {}
            self.slots.put({"OMP_NUM_THREADS": threads, **gpu})
        self.folder, self.how, self.pool = folder, how, ThreadPoolExecutor(count)

    def submit(self, name: str) -> Future:
        return self.pool.submit(self._run, name)

    def _run(self, name: str) -> None:
        slot = self.slots.get()
        try:
            points.run(str(self.folder), name, environment=slot, **self.how)
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
            self.client: Any = Client(scheduler, timeout="20s")
        except (OSError, TimeoutError, ValueError) as error:
            raise ValueError(f"no Dask scheduler answers at {scheduler}: {error}") from error
        workers = self.client.scheduler_info()["workers"].values()
        self.resources = {"GPU": 1} if any(worker.get("resources", {}).get("GPU") for worker in workers) else None
        self.hosts: dict[str, str] = self.client.run(socket.gethostname)
        self.folder = folder
        self.how = {"environment": {"NBKIT_OUTPUTS": str(workspace.outputs())}, **how}

    def submit(self, name: str) -> Future:
        home = self.home(points.read(self.folder, name))
        return self.client.submit(
            points.run, str(self.folder), name, pure=False, resources=self.resources, workers=home, **self.how
        )

    def home(self, point: Mapping[str, Any]) -> list[str] | None:
        """The workers on the machine where a point still runs whose starter was killed: only there it is found."""
        if point["state"] != points.RUNNING:
            return None
        return [address for address, host in self.hosts.items() if host == point.get("host")] or None

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
