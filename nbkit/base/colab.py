"""Where the code runs, what Colab gives there, and what a notebook needs before anything else.

Nothing here raises because of where it runs: google.colab waits for ever, or raises, wherever no page answers it.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import nbkit
from nbkit.base import environment

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

    from nbkit.base.record import Record

# programs that start kernels which no page of Colab talks to
_STARTERS = {
    "colab_kernel_launcher", "ipykernel_launcher", "ipykernel", "papermill", "nbconvert", "jupyter-nbconvert",
    "jupyter-execute",
}  # fmt: skip
_REFUSALS = {  # what google.colab.userdata raises
    "SecretNotFoundError": "there is none of that name",
    "NotebookAccessError": "this notebook may not read it",
    "TimeoutException": "the page did not answer",
}


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
        return Place.COLAB if _has_page() else Place.COLAB_VM
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return Place.CI
    return Place.JUPYTER if in_kernel() else Place.PYTHON


def on_vm() -> bool:
    """True on a machine of Colab, with a page or without.

    The package google.colab says nothing of that: it can be installed and imported anywhere.
    """
    return "COLAB_RELEASE_TAG" in os.environ or os.path.exists("/var/colab/hostname")


def in_kernel() -> bool:
    """True where code runs in a kernel, so that rich outputs have somewhere to go."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)  # not there yet while IPython is being imported
    return getattr(get() if get else None, "kernel", None) is not None


def headless() -> bool:
    """True under `nbkit run`: nobody looks, nobody can be asked."""
    return os.environ.get("NBKIT_HEADLESS") == "1"


def _has_page() -> bool:
    """True in the kernel that a page of Colab talks to, the only one that can ask the person for anything."""
    return "google.colab" in sys.modules and in_kernel() and not headless() and not _started_by_a_program()


def _started_by_a_program() -> bool:
    """True where another kernel, or a program that executes notebooks, is among the processes above this one."""
    process = os.getppid()
    while process > 1:
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[:5]
            status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it is gone, or there is no /proc
            return False
        if _STARTERS & {Path(os.fsdecode(word)).stem for word in words}:
            return True
        process = int(status.rpartition(")")[2].split()[1])
    return False


def secret(name: str) -> str | None:
    """A token from the environment or from the secrets of the Colab page; None where there is none.

    The page's secrets are read only by the kernel that it talks to. Why it gave none is printed in one line.
    """
    if value := os.environ.get(name):
        return value
    if where() is not Place.COLAB:
        return None
    try:
        return importlib.import_module("google.colab.userdata").get(name) or None
    except Exception as error:  # of classes of its own, which only that package has
        reason = _REFUSALS.get(type(error).__name__, f"{type(error).__name__}: {error}")
        print(f"Colab gave no secret {name}: {reason}; see to it under the key at the left edge of the page")
        return None


def give_back(run: Record | None = None, minutes: float = 15.0) -> bool:
    """Send what Drive's mount still holds, then end this Colab machine, so that its GPU costs nothing more.

    run      a training: where its newest checkpoint lies on this machine alone, the machine stays
    minutes  how long the sending may take; where it does not succeed the machine stays
    returns  whether the machine was given back; a line says what happened
    """
    from nbkit.base import drive  # which asks this module where it is

    if where() is not Place.COLAB:
        print(f"a machine is given back only from the kernel of a Colab page; this is {where()}, which goes on")
        return False
    if run is not None and not run.status().get("copied"):
        print(
            f"the machine is not given back, since the newest checkpoint of {run.name} lies here alone: mount Drive, "
            "see that it has room, and run again, which copies it"
        )
        return False
    if not drive.flush(minutes):
        print("the machine is not given back, since with it would go what Drive has not got")
        return False
    try:
        importlib.import_module("google.colab.runtime").unassign()
    except Exception as error:  # of classes of its own, and of those of its HTTP client
        print(f"the machine could not be given back ({error}); choose Runtime > Disconnect and delete runtime")
        return False
    print("the machine is given back; `Run all` on another one goes on from the last checkpoint in Drive")
    return True


def setup() -> None:
    """What the first cell of a notebook ends with: install the few packages that lack, print one line.

    What is installed already is held where it is by constraints, since a runtime that changes under a running kernel
    has to be restarted. Raises RuntimeError with pip's words where the installation fails.
    """
    home = Path(nbkit.__file__).resolve().parents[1]
    # processes started from here (workers, `!python -m nbkit.run`) find the same nbkit
    if str(home) not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH")]))
    # and `!python`, `!nbkit` are those of the kernel, also where JupyterLab was started without its environment
    if (programs := str(Path(sys.executable).parent)) not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join(filter(None, [programs, os.environ.get("PATH")]))
    lacking = _lacking(home / "requirements-colab.txt")
    if lacking:
        print(f"installing {', '.join(lacking)}: half a minute, once on a machine", flush=True)
        _install(lacking)
    done = f"installed {', '.join(lacking)}" if lacking else "nothing to install"
    print(f"nbkit {nbkit.__version__} from {home} on {where()}, {done}")


def _lacking(requirements: Path) -> list[str]:
    """The lines of a requirements file that the installed packages do not meet."""
    from packaging.requirements import Requirement

    lines = requirements.read_text(encoding="utf-8").splitlines() if requirements.exists() else []
    wanted = [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [str(one) for one in wanted if not _meets(environment.installed(one.name), one.specifier)]


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
    importlib.invalidate_caches()
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
