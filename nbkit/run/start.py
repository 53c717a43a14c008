"""What 00_start_here shows beside the doctor and the runs: the notebooks there are, and where each is opened."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from nbkit.base import colab, workspace
from nbkit.base.params import Params, param
from nbkit.data.espeak import VOICES
from nbkit.run.notebooks import colab_link, repository


@dataclass(frozen=True)
class StartHere(Params):
    """Parameters of 00_start_here."""

    sentence: str = param("같이 가자고 말해 보세요.", "What is to be spoken.")
    voice: str = param("ko", "Who speaks it; four voices for each language.", choices=VOICES)

    PRESETS: ClassVar = {"smoke": {}}  # nothing here takes long


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
