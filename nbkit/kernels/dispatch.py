"""Which implementation runs, and why: chosen here, reported in the run record."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import MappingProxyType

_choices: dict[str, str] = {}
choices = MappingProxyType(_choices)
"""Kernel name -> "implementation: reason" for each kernel that ran in this process."""


def choose(kernel: str, impl: str, implementations: dict[str, Callable], preferred: str, reason: str) -> Callable:
    """The implementation named by `impl`, or for "auto" the one that is `preferred` for `reason`.

    raises ValueError for a name that the kernel does not have
    """
    if impl != "auto" and impl not in implementations:
        raise ValueError(f"{kernel} has the implementations {', '.join(implementations)} and auto, got {impl!r}")
    name, why = (preferred, reason) if impl == "auto" else (impl, "asked for")
    _choices[kernel] = f"{name}: {why}"
    return implementations[name]


def processors() -> int:
    """How many threads may compute: OMP_NUM_THREADS where it says so, else the processors of this process."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
