"""What a run ran on: versions, machine, code. Nothing here fails, and nothing heavy is imported."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "nbkit", "torch", "accelerate", "numpy", "numba", "librosa", "soundfile", "espeakng-loader", "safetensors",
    "matplotlib", "ipywidgets", "papermill", "cupy-cuda12x", "triton",
)  # fmt: skip


def describe() -> dict[str, object]:
    """Python, platform, packages, processors, GPU and git state. The GPU is named only where torch is imported."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version for name in _PACKAGES if (version := installed(name))},
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpu": _gpu(),
        "git": _git(Path(__file__).resolve().parents[2]),
    }


def installed(distribution: str) -> str | None:
    """Version of an installed distribution, None where it is absent."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def code_fingerprint() -> dict[str, str]:
    """Every module and kernel of the package, as `nbkit/base/params.py`, with the first 16 hex digits of its sha256."""
    package = Path(__file__).resolve().parents[1]
    return {
        path.relative_to(package.parent).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in sorted([*package.rglob("*.py"), *package.rglob("*.cu")])
    }


def _gpu() -> dict[str, object] | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "count": torch.cuda.device_count(),
        "cuda": torch.version.cuda,
    }


def _git(folder: Path) -> dict[str, object] | None:
    """Commit and whether tracked files differ from it; None outside a clone or without git."""
    if not (folder / ".git").exists():
        return None
    try:
        commit = _ask_git(folder, "rev-parse", "HEAD")
        changed = _ask_git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changed)}


def _ask_git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
