"""What 00_start_here shows: the machine, the notebooks, the runs so far."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import nbkit
from nbkit.base import colab, environment, record, workspace
from nbkit.base.params import Params, param
from nbkit.data.espeak import VOICES
from nbkit.data.meter import size
from nbkit.run.notebooks import colab_link, repository


@dataclass(frozen=True)
class StartHere(Params):
    """Parameters of 00_start_here."""

    sentence: str = param("같이 가자고 말해 보세요.", "What is to be spoken.")
    voice: str = param("ko", "Who speaks it; four voices for each language.", choices=VOICES)

    PRESETS: ClassVar = {"smoke": {}}  # nothing here takes long


def machine() -> list[tuple[str, str]]:
    """What is here to work with, as names and values. Imports torch, which takes some seconds."""
    import psutil
    import torch

    told = environment.describe()
    memory = psutil.virtual_memory()
    git, gpu = told["git"], told["gpu"]
    code = f", commit {git['commit'][:10]}{' with changes' * git['dirty']}" if isinstance(git, dict) else ""
    card = (
        f"{gpu['name']}, {gpu['memory_gib']} GiB" if isinstance(gpu, dict) else "none; what stands below does without"
    )
    return [
        ("nbkit", f"{nbkit.__version__}{code}"),
        ("Python", f"{told['python']} on {told['platform']}"),
        ("torch", torch.__version__),
        ("GPU", card),
        ("processors", str(told["cpus"])),
        ("memory", f"{size(memory.total)}, {size(memory.available)} of it free"),
        ("runs go to", _place(workspace.runs())),
        ("data and features go to", _place(workspace.cache())),
    ]


def _place(folder: Path) -> str:
    """A folder, which may not be there yet, and the room that its disk has."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    return f"{folder}\n{size(shutil.disk_usage(there).free)} free"


class Notebook(NamedTuple):
    """What the first cell of a notebook says."""

    name: str
    title: str
    about: str
    cost: str
    address: str


def notebooks() -> list[Notebook]:
    """All notebooks of the project in their order, each with an address that opens it from where this code runs."""
    return [_read(path) for path in sorted((workspace.root() / "notebooks").glob("*.ipynb"))]


def _read(path: Path) -> Notebook:
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
    text = re.sub(r"\[([^]]*)]\([^)]*\)|[*`]", r"\1", "".join(first))  # links and marks to plain text
    title, _, rest = text.partition("\n")
    blocks = [" ".join(block.split()) for block in rest.split("\n\n") if block.strip() != "Open in Colab"]
    cost, about = (*blocks, "", "")[:2]
    # A page in Jupyter stands beside the other notebooks; one in Colab, or the record of a run, does not.
    beside = not colab.on_vm() and not colab.headless()
    address = path.name if beside else colab_link(path.stem, repository())
    return Notebook(path.stem, title.lstrip("# "), about, cost.split(" · ")[0], address)


def runs(most: int = 10) -> list[tuple[str, str, int, str]]:
    """Name, state, step and time of the runs that were written to last."""
    told = [(run.name, run.status()) for run in record.runs()[:most]]
    return [(name, one["state"], one["step"], _moment(one.get("time", ""))) for name, one in told]


def _moment(time: str) -> str:
    """A time of a status file, to the minute."""
    return time[:16].replace("T", " ")
