"""Which implementation runs, and why: chosen here, reported in the run record."""

from __future__ import annotations

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
