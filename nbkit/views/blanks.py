"""What a masked language model puts into the blanks of a text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nbkit.views import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLANK = "▢"
_ROOM = 28  # Hangul syllables that fit before the pieces


def plot(
    texts: Sequence[str],
    guesses: np.ndarray,
    shares: np.ndarray,
    truth: Sequence[str],
    *,
    ax: Axes | None = None,
) -> Axes:
    """A row for each blank: the text around it, the likeliest pieces, and how sure the model is of each.

    texts    [M] the text with BLANK at the place that is meant
    guesses  [M, K] pieces, the likeliest first
    shares   [M, K] probabilities, 0 to 1; the darker the likelier
    truth    [M] the piece that was there; framed where it is among the guesses
    raises   ValueError where the lengths differ or there is nothing to show
    """
    guesses, shares = np.asarray(guesses), np.asarray(shares, float)
    if not len(texts) or guesses.shape != shares.shape or not len(texts) == len(truth) == len(guesses):
        raise ValueError(
            f"wanted texts, truth, guesses and shares of the same M > 0 blanks, got {len(texts)}, {len(truth)}, "
            f"{guesses.shape} and {shares.shape}"
        )
    blanks, count = guesses.shape
    ax = style.axes(8.5, 0.34 * blanks + 0.5) if ax is None else ax
    ax.set_xlim(-3.6, count + 1.2)
    ax.set_ylim(blanks, -0.9)
    ax.axis("off")
    for x, head in [(-3.5, "text"), (0.1, "the model's pieces"), (count + 0.15, "was there")]:
        ax.text(x, -0.4, head, fontsize=9, color=style.INK, va="center", alpha=0.7)
    plain = {"va": "center", "color": style.INK, "parse_math": False}
    for y, (text, row, sure, true) in enumerate(zip(texts, guesses, shares, truth)):
        ax.text(-3.5, y + 0.5, style.drawable(_around(text)), fontsize=9, **plain)
        ax.text(count + 0.15, y + 0.5, style.drawable(_shown(true)), fontsize=9, **plain)
        for x, (piece, share) in enumerate(zip(row, sure)):
            frame = {"edgecolor": style.SERIES[1], "linewidth": 1.6} if piece == true else {"edgecolor": "none"}
            colour = (*_rgb(style.SERIES[0]), 0.08 + 0.6 * share)
            ax.add_patch(_rectangle(x + 0.03, y + 0.08, facecolor=colour, **frame))
            told = f"{style.drawable(_shown(str(piece)))} {100 * share:.0f}%"
            ax.text(x + 0.5, y + 0.5, told, fontsize=8.5, ha="center", **plain)
    return ax


def _around(text: str) -> str:
    """The text near its blank, as much of it as there is room for, and points where it was cut."""
    first = last = max(text.find(BLANK), 0)  # both inclusive
    room = _ROOM - _width(text[first : first + 1])
    while (first > 0 or last < len(text) - 1) and room > 0:
        before = first > 0 and (last >= len(text) - 1 or text.find(BLANK) - first <= last - text.find(BLANK))
        first, last = (first - 1, last) if before else (first, last + 1)
        room -= _width(text[first if before else last])
    return ("…" if first else "") + text[first : last + 1] + ("…" if last < len(text) - 1 else "")


def _width(letters: str) -> float:
    """In widths of a Hangul syllable."""
    return sum(1.0 if unicodedata.east_asian_width(letter) in "WFA" else 0.55 for letter in letters)


def _shown(piece: str) -> str:
    """A piece as it is read; the mark of a word's beginning becomes a thin one that every font has."""
    return piece.replace("▁", "_")


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)


def _rectangle(x: float, y: float, **how):
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), 0.94, 0.84, **how)
