"""The page of a pipeline: its graph, and of each stage how it stands, why it ran, and what came out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from nbkit.base.amounts import duration
from nbkit.views import graph, page, style

# a state's mark says the same as its colour
STATES = {
    "done": ("✓", "#2f7d4a"),
    "failed": ("✗", "#b3402a"),
    "running": ("▸", "#2a6fbb"),
    "would run": ("○", "#8a6414"),
}
LETTERS = 21  # that a line of a box holds
WIDEST = 980.0  # pixels; a graph that is wider from left to right is drawn from above to below only


class Stage(NamedTuple):
    """One stage, as plain text of any origin. Links are paths that start at the page's folder."""

    name: str
    notebook: str
    state: str  # one of STATES
    takes: Sequence[tuple[str, str]] = ()  # (stage, the parameter that names its run, "" for none)
    why: Sequence[str] = ()  # that it would run, or ran the last time
    seconds: float | None = None
    ended: str = ""
    run: str = ""
    report: str = ""
    links: Sequence[tuple[str, str]] = ()
    sounds: Sequence[tuple[str, str]] = ()
    parameters: Sequence[tuple[str, str]] = ()  # that differ from the defaults
    numbers: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()  # what could not be read
    error: str = ""
    log: str = ""

    @property
    def took(self) -> str:
        """How long the last run took, in words; "" where that is not known."""
        return "" if self.seconds is None else duration(self.seconds)

    @property
    def spoken(self) -> str:
        """The stage in a sentence, for those who hear the graph."""
        takes = [f"{name or 'comes after'} {'from ' * bool(name)}{stage}" for stage, name in self.takes]
        said = [f"{self.name}: {self.state}", self.took, *takes, *self.why]
        return "; ".join(part for part in said if part)


def render(name: str, stages: Sequence[Stage], *, made: str = "", command: str = "") -> str:
    """A page without outside references but for links to the runs.

    stages   those that a stage takes from are among them; ValueError else
    made     when;  command  that runs what would run
    """
    known = [stage.name for stage in stages]
    if len({*known}) < len(known):
        raise ValueError(f"a pipeline wants stages with names of their own, got {', '.join(known)}; rename one")
    if unknown := [one for stage in stages for one, _ in stage.takes if one not in known]:
        raise ValueError(f"a stage takes from those of the page ({', '.join(known)}), got {unknown[0]!r}")
    if unknown := [stage.state for stage in stages if stage.state not in STATES]:
        raise ValueError(f"a stage is {', '.join(STATES)}; got {unknown[0]!r}")
    counts = [(state, sum(stage.state == state for stage in stages)) for state in STATES]
    plain = [stage._replace(log=re.sub(r"\x1b\[[0-9;]*m", "", stage.log)) for stage in stages]
    drawings = _drawings(plain)
    filled = {"name": name, "stages": plain, "drawings": drawings, "made": made, "command": command, "view": "pipeline"}
    filled |= {"counts": [(state, count) for state, count in counts if count], "states": STATES, "shorten": _shorten}
    return page.render("pipeline.html", **filled, font=style.font_face(str((name, plain))))


def _drawings(stages: Sequence[Stage]) -> list[tuple[str, graph.Drawing]]:
    """The graph from left to right where that is not too wide, and from above to below; with classes for CSS."""
    number = {stage.name: place for place, stage in enumerate(stages)}
    named: dict[tuple[int, int], list[str]] = {}
    for stage in stages:
        for source, parameter in stage.takes:
            named.setdefault((number[source], number[stage.name]), []).extend([parameter] if parameter else [])
    edges = [(start, to, ", ".join(names)) for (start, to), names in named.items()]
    longest = max((len(name) for *_, name in edges), default=0)
    wide = graph.draw(len(stages), edges, box=(172, 76), gap=20, step=max(80, 7 * longest + 34), down=False)
    narrow = graph.draw(len(stages), edges, box=(172, 76), gap=14, step=58, down=True)
    return [("narrow", narrow)] if wide.width > WIDEST else [("wide", wide), ("narrow", narrow)]


def _shorten(text: str, letters: int = LETTERS, end: int = 0) -> str:
    """A text without its middle, so that it fits a box; `end` letters of its end stay. Hangul takes the room of two."""
    sizes = [2 if letter >= "\u1100" else 1 for letter in text]
    if sum(sizes) <= letters:
        return text
    room, kept = letters - 1 - sum(sizes[len(text) - end :]), 0
    while sum(sizes[: kept + 1]) <= room:
        kept += 1
    return f"{text[:kept]}…{text[len(text) - end :]}"
