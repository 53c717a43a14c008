"""Where a tokenizer cuts a text: the pieces as boxes under it, each in the colour of the letters that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.ticker import PercentFormatter, ScalarFormatter

from nbkit.views import style
from nbkit.views.page import output

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KNOWN, UNKNOWN, SPECIAL = "known", "unknown", "special"
RED = "#c0392b"
COLOURS = [colour for colour in style.SERIES if colour != "#d9622b"]  # its orange is too near to what is unknown


class Piece(NamedTuple):
    """A piece, its id, and the characters of its text that it stands for."""

    written: str
    id: int
    kind: str = KNOWN
    start: int = 0
    end: int = 0
    text: int = 0  # which of the texts, 0 or 1


@dataclass(frozen=True)
class Cut:
    """One or two texts as one tokenizer reads them. Pieces stand in their order; a special belongs to no letters."""

    texts: tuple[str, ...]
    pieces: tuple[Piece, ...]
    name: str = ""


@dataclass(frozen=True)
class Cuts:
    """What `boxes` gives. Text is escaped; what a tokenizer does not know stands in red."""

    cuts: tuple[Cut, ...]

    def _repr_html_(self) -> str:
        return output("pieces.html", cuts=[_shown(cut) for cut in self.cuts])

    def __repr__(self) -> str:
        lines = []
        for cut in self.cuts:
            lines += [f"{cut.name}: {' / '.join(cut.texts)}" if cut.name else " / ".join(cut.texts)]
            told = (f"{style.label(p.written)}{'?' * (p.kind == UNKNOWN)} {p.id}" for p in cut.pieces)
            lines += ["  " + " | ".join(told)]
        return "\n".join(lines)


def boxes(cuts: Cut | Sequence[Cut]) -> Cuts:
    """One text, or the same text as several tokenizers cut it, below each other.

    raises  ValueError where a piece stands for letters that its text has not
    """
    cuts = (cuts,) if isinstance(cuts, Cut) else tuple(cuts)
    for cut in cuts:
        for piece in cut.pieces:
            if piece.kind == SPECIAL:
                continue
            if not 0 <= piece.text < len(cut.texts) or not 0 <= piece.start <= piece.end <= len(cut.texts[piece.text]):
                raise ValueError(f"wanted pieces of {cut.texts}, got {piece}; give each the places in its own text")
    return Cuts(cuts)


def curves(
    sizes: Sequence[int],
    values: Mapping[str, Sequence[float]],
    label: str,
    *,
    share: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """How something changes with the number of pieces: a line a text, the number of ids on a scale of doublings.

    values  name of a text -> a value for each size
    share   the values are shares, shown in per cent
    """
    ax = style.axes(5.2, 2.8) if ax is None else ax
    for name, row in values.items():
        if len(row) != len(sizes) or not np.isfinite(row).all():
            raise ValueError(f"wanted a finite value for each of {len(sizes)} sizes, {name} has {list(row)}")
        ax.plot(sizes, row, marker="o", markersize=4, label=style.drawable(name))
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(sizes))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.minorticks_off()
    if share:
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set_ylim(bottom=0)
    ax.set(xlabel="ids", ylabel=label)
    ax.grid(axis="y")
    ax.legend()
    return ax


def _shown(cut: Cut) -> dict:
    """A cut as the template has it: letters in runs of one colour, and the boxes below them."""
    colours, last = [], -1
    for piece in cut.pieces:
        last += piece.kind == KNOWN
        colours.append({KNOWN: COLOURS[last % len(COLOURS)], UNKNOWN: RED, SPECIAL: style.MUTED}[piece.kind])
    texts = []
    for number, text in enumerate(cut.texts):
        owners: list[str] = [""] * len(text)
        for piece, colour in zip(cut.pieces, colours):
            if piece.kind != SPECIAL and piece.text == number:
                owners[piece.start : piece.end] = [colour] * (piece.end - piece.start)
        texts.append(_runs(text, owners))
    boxes = [
        {"written": style.label(piece.written), "id": piece.id, "colour": colour, "kind": piece.kind}
        for piece, colour in zip(cut.pieces, colours)
    ]
    return {"name": cut.name, "texts": texts, "boxes": boxes}


def _runs(text: str, owners: Sequence[str]) -> list[dict[str, str]]:
    runs: list[dict[str, str]] = []
    for letter, colour in zip(text, owners):
        if runs and runs[-1]["colour"] == colour:
            runs[-1]["letters"] += letter
        else:
            runs.append({"letters": letter, "colour": colour})
    return runs
