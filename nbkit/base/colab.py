"""Where the code runs, and what a notebook needs there before anything else.

Drive (mount, mirror, flush) gets its functions here too when checkpoints learn to survive the loss of the VM.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import nbkit

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet


class Place(StrEnum):
    """Who is on the other side of an output."""

    COLAB = "colab"  # a person at a Colab page
    COLAB_VM = "colab-vm"  # a Colab machine without a page: a headless kernel, a terminal
    CI = "ci"
    JUPYTER = "jupyter"  # any other kernel
    PYTHON = "python"


def where() -> Place:
    """The place of this process. Never raises."""
    if on_vm():
        return Place.COLAB if "google.colab" in sys.modules and not headless() else Place.COLAB_VM
    if os.environ.get("CI", "").lower() in ("1", "true"):
        return Place.CI
    return Place.JUPYTER if in_kernel() else Place.PYTHON


def on_vm() -> bool:
    """True on a machine of Colab, with a page or without.

    `find_spec("google.colab")` would not do: it raises where `google` is absent, and the package may be installed
    elsewhere too.
    """
    return "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules


def in_kernel() -> bool:
    """True where code runs in a kernel, so that rich outputs have somewhere to go."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


def headless() -> bool:
    """True under `nbkit run`: nobody looks, nobody can be asked."""
    return os.environ.get("NBKIT_HEADLESS") == "1"


def setup() -> None:
    """What the first cell of a notebook ends with: install the few packages that lack, print one line.

    What is installed already is held where it is by constraints, since a runtime that changes under a running kernel
    has to be restarted. Raises RuntimeError with pip's words where the installation fails.
    """
    home = Path(nbkit.__file__).resolve().parents[1]
    # processes started from here (workers, `!python -m nbkit.run`) find the same nbkit
    if str(home) not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH")]))
    lacking = _lacking(home / "requirements-colab.txt")
    if lacking:
        _install(lacking)
    done = f"installed {', '.join(lacking)}" if lacking else "nothing to install"
    print(f"nbkit {nbkit.__version__} from {home} on {where()}, {done}")


def _lacking(requirements: Path) -> list[str]:
    """The lines of a requirements file that the installed packages do not meet."""
    from packaging.requirements import Requirement

    lines = requirements.read_text(encoding="utf-8").splitlines() if requirements.exists() else []
    wanted = [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    have = _distributions()
    return [str(one) for one in wanted if not _meets(have.get(_key(one.name)), one.specifier)]


def _meets(version: str | None, specifier: SpecifierSet) -> bool:
    return version is not None and specifier.contains(version, prereleases=True)


def _install(requirements: list[str]) -> None:
    from packaging.requirements import Requirement

    free = {_key(Requirement(line).name) for line in requirements}
    held = [f"{name}=={version}\n" for name, version in _distributions().items() if name not in free]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(held), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints), *requirements]
        result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(
            f"wanted {', '.join(requirements)} beside the packages of this runtime, pip could not install them: "
            f"{result.stderr.strip()[-2000:]}; check the connection and run the cell again"
        )


def _distributions() -> dict[str, str]:
    """Installed distributions, canonical name to public version; the first on the path is the one in use."""
    from packaging.version import InvalidVersion, Version

    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        try:
            version = Version(distribution.version)
        except (InvalidVersion, TypeError):
            continue  # a system package with a version that pip could not read as a constraint either
        if name:
            found.setdefault(_key(name), version.public)
    return found


def _key(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)
