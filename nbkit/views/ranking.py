"""Ranked answers of several systems side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nbkit.views import style
from nbkit.views.page import output

NOTHING = "shares nothing with any answer"


@dataclass(frozen=True)
class Ranking:
    """A column a system, the best answer on top. Text is escaped."""

    question: str
    columns: dict[str, list[tuple[str, float, float]]]  # answer, score, length of its bar 0..1
    right: frozenset[str]

    def _repr_html_(self) -> str:
        shown = {"question": self.question, "columns": self.columns, "right": self.right}
        return output("ranking.html", colour=style.SERIES[0], nothing=NOTHING, **shown)

    def __repr__(self) -> str:
        lines = [self.question]
        for system, answers in self.columns.items():
            shown = [f"  {'*' if text in self.right else ' '} {score:8.3f}  {text}" for text, score, _ in answers]
            lines += [system, *(shown or [f"    {NOTHING}"])]
        return "\n".join(lines)


def columns(
    question: str, found: Mapping[str, Sequence[tuple[str, float]]], right: Sequence[str] | set[str] = ()
) -> Ranking:
    """What each system answers, best first.

    found   system -> (answer, score), in falling order; a bar shows how far an answer is above the last one shown, and
            says nothing between systems, whose scores are of different kinds; none where a system found nothing
    right   answers that are known to be right; they are marked
    raises  ValueError where scores are not finite or not in falling order
    """
    shown = {}
    for system, answers in found.items():
        scores = np.array([score for _, score in answers], dtype=float)
        if not np.isfinite(scores).all() or (np.diff(scores) > 0).any():
            raise ValueError(f"wanted finite scores in falling order, {system} has {scores.round(3).tolist()}")
        spread = np.ptp(scores) if len(scores) else 0.0
        bars = (scores - scores.min()) / spread if spread else np.zeros_like(scores)
        shown[system] = [(text, float(s), float(b)) for (text, _), s, b in zip(answers, scores, bars)]
    return Ranking(question, shown, frozenset(right))
