"""How a listening test looks: its heading, its picture, and the page for listeners without a notebook."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbkit.views import player, style
from nbkit.views.page import Page, render

if TYPE_CHECKING:
    from nbkit.views.listening import Kind


def page(
    kind: Kind, questions: Sequence[Sequence[np.ndarray]], rate: int, key: str, heard: float, poster: bytes
) -> Page:
    """A page that asks and plays without a kernel, and gives the answers as lines to be copied.

    questions  the sounds [S] int16 of each, a letter each; one that comes again is in the page once
    key        is in each line of the answers;  heard  share of a sound that has to be played
    """
    place: dict[int, int] = {}  # of a sound, in the order of the first play, which tells nothing of its system
    order = [[place.setdefault(id(wave), len(place)) for wave in sounds] for sounds in questions]
    waves = {id(wave): wave for sounds in questions for wave in sounds}
    test = {
        "key": key,
        "letters": kind.letters,
        "answers": [value for value, _ in kind.choices],
        "heard": heard,
        "questions": order,
        "sounds": [base64.b64encode(player.wav(waves[one], rate)).decode() for one in place],
    }
    return Page(render("listening.html", kind=kind, test=test), poster, 330, kind.question)


def answers_in(lines: str, key: str, allowed: Sequence[str | int], count: int) -> dict[int, dict[str, Any]]:
    """The answers in lines that were copied out of a page, by the number of their question.

    key, allowed, count  of that page: its key, the values of its answers, and how many questions it has
    raises  ValueError for a line of something else
    """
    found = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        try:
            row = json.loads(line)
            number, own = int(row["question"]), row["test"] == key and row["answer"] in allowed
            seconds, played = float(row["seconds"]), [int(times) for times in row["played"]]
            found[number] = {"answer": row["answer"], "seconds": seconds, "played": played, "time": str(row["time"])}
        except (ValueError, TypeError, KeyError, OverflowError):
            number, own = -1, False
        if not (own and 0 <= number < count):
            raise ValueError(
                f"wanted the answers of this listener's page, got {line[:60]!r}; paste all of its lines, and set "
                "listener to who was asked"
            )
    return found


def heading(kind: Kind, done: int, total: int) -> str:
    told = f"Question {done + 1} of {total}" if done < total else f"All {total} questions are answered."
    question = kind.question if done < total else "Thank you. Run the cells below to see what came of it."
    return (
        f'<div style="line-height:1.5"><span style="opacity:.75">{told}</span>'
        f'<div style="height:6px;margin:2px 0 8px;border-radius:3px;background:rgba(128,140,152,.25)">'
        f'<div style="height:6px;border-radius:3px;background:{style.SERIES[0]};width:{100 * done / total:.1f}%"></div>'
        f'</div><b style="font-size:16px">{question}</b></div>'
    )


def face(kind: Kind, done: int, total: int) -> bytes:
    """The question as a picture: what is asked, which buttons there are, how many are answered."""
    from matplotlib.patches import Rectangle

    ax = style.axes(7, 1.9)
    ax.set_xlim(0, 100)
    ax.set_ylim(0, 100)
    ax.axis("off")
    ax.text(0, 96, f"{done} of {total} questions answered", color=style.MUTED, fontsize=9, va="top")
    for width, colour in ((100, "#e4e8ec"), (100 * done / total, style.SERIES[0])):
        ax.barh(74, width, height=5, color=colour)
    ax.text(0, 62, kind.question, fontsize=13, va="top")
    letters = ["Play" if letter == "sound" else letter for letter in kind.letters]
    for words, width, y in (([f"▶ {name}" for name in letters], 14, 26), ([w for _, w in kind.choices], 18.5, 0)):
        for i, word in enumerate(words):
            ax.add_patch(Rectangle((i * (width + 1), y), width, 18, facecolor="#eceff1"))
            ax.text(i * (width + 1) + width / 2, y + 9, word, ha="center", va="center", fontsize=9)
    return style.png(ax)
