"""What 00_start_here shows beside the doctor and the runs: the notebooks there are, and where each is opened."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from nbkit.base import colab, workspace
from nbkit.base.params import Params, param
from nbkit.data.espeak import VOICES
from nbkit.run.notebooks import colab_link, repository

# by the first digit of the name
GROUPS = {
    "0": "find your way", "1": "data", "2": "a voice: Glow-TTS", "3": "a vocoder: WaveRNN", "4": "texts: KoBERT",
    "5": "speed: kernels", "7": "measure and listen", "8": "papers", "9": "your runs",
}  # fmt: skip
_ROW = re.compile(r"^\| \[(\w+)]\([^|]*\| ([^|]+) \| ([^|]+) \|", re.MULTILINE)


@dataclass(frozen=True)
class StartHere(Params):
    """Parameters of 00_start_here."""

    sentence: str = param("같이 가자고 말해 보세요.", "What is to be spoken.")
    voice: str = param("ko", "Who speaks it; four voices for each language.", choices=VOICES)

    PRESETS: ClassVar = {"smoke": {}}  # nothing here takes long


class Notebook(NamedTuple):
    """A row of the table in README.md."""

    name: str
    group: str  # empty where the notebook above it has the same
    about: str
    cost: str
    address: str


def notebooks() -> list[Notebook]:
    """All notebooks of the project in their order, each with an address that opens it from where this code runs."""
    names = [path.stem for path in sorted((workspace.root() / "notebooks").glob("*.ipynb"))]
    page = (workspace.root() / "README.md").read_text(encoding="utf-8")
    told = {name: (about, cost) for name, about, cost in _ROW.findall(page)}
    groups = [GROUPS.get(name[0], "") for name in names]
    shown = [group if group != before else "" for group, before in zip(groups, ["", *groups], strict=False)]
    return [
        Notebook(name, group, *told.get(name, ("", "")), _address(name))
        for name, group in zip(names, shown, strict=True)
    ]


def _address(name: str) -> str:
    # A page in Jupyter stands beside the other notebooks; one in Colab, or the record of a run, does not.
    beside = not colab.on_vm() and not colab.headless()
    return f"{name}.ipynb" if beside else colab_link(name, repository())
