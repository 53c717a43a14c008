"""Where things lie. The functions only name folders; who writes one makes it.

NBKIT_HOME     the project's folder (data_manifests, notebooks); by default the folder above the package
NBKIT_OUTPUTS  what runs write; by default outputs/ in the project's folder
NBKIT_CACHE    what can be made again; by default on the local disk
NBKIT_DATA     real data sets that are on this machine already; no default
NBKIT_MIRROR   where checkpoints are copied to, to outlive the machine; "none" for nowhere; by default, on Colab with
               Drive mounted, MyDrive/nbkit
NBKIT_DRIVE    where Drive is mounted on Colab; by default where it is mounted already, else /content/drive
"""

from __future__ import annotations

import os
from pathlib import Path

from nbkit.base import colab, drive


def root() -> Path:
    """The project's folder. Raises FileNotFoundError where it cannot be told."""
    named = os.environ.get("NBKIT_HOME")
    home = Path(named).expanduser().resolve() if named else Path(__file__).resolve().parents[2]
    if not (home / "data_manifests").is_dir():
        told = "NBKIT_HOME names" if named else "nbkit is installed in"
        raise FileNotFoundError(
            f"wanted a folder with data_manifests/ in it, {told} {home}, which has none; "
            "set NBKIT_HOME to a clone of the project"
        )
    return home


def outputs() -> Path:
    """What runs write."""
    return _named("NBKIT_OUTPUTS") or root() / "outputs"


def runs() -> Path:
    """One folder a run."""
    return outputs() / "runs"


def cache() -> Path:
    """What can be downloaded or computed again. On Colab the VM's own disk, never Drive."""
    if colab.on_vm():
        return _named("NBKIT_CACHE") or Path("/content/nbkit-cache")
    return _named("NBKIT_CACHE") or (_named("XDG_CACHE_HOME") or Path.home() / ".cache") / "nbkit"


def mirror() -> Path | None:
    """Where checkpoints are copied to, or None. A kernel asks nobody for it here; drive.mirror_folder() does."""
    if os.environ.get("NBKIT_MIRROR", "").lower() == "none":
        return None
    return _named("NBKIT_MIRROR") or (drive.folder() if colab.on_vm() else None)


def manifests() -> Path:
    """The descriptions of the data sets."""
    return root() / "data_manifests"


def real_data() -> Path | None:
    """Data sets that are on this machine already, or None."""
    return _named("NBKIT_DATA")


def _named(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None
