"""How a text is read: each word on its way to symbols, and which rules changed it."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbkit.views import style
from nbkit.views.page import output

if TYPE_CHECKING:
    from ipywidgets import VBox


@dataclass(frozen=True)
class Word:
    """A word on its way.

    steps     what it was at each step, as many as there are heads
    rules     that changed it, in their order
    symbols   what a model reads, and of each whether the model knows it
    """

    steps: tuple[str, ...]
    rules: tuple[str, ...]
    symbols: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Reading:
    """Words of a text below each other, a colour for each rule; what a model does not know stands in red."""

    words: tuple[Word, ...]
    heads: tuple[str, ...]

    def _repr_html_(self) -> str:
        names = dict.fromkeys(rule for word in self.words for rule in word.rules)
        colours = {name: style.SERIES[i % len(style.SERIES)] for i, name in enumerate(names)}
        shown = [
            {
                "steps": [
                    {"text": style.label(step), "changed": i > 0 and step != word.steps[i - 1]}
                    for i, step in enumerate(word.steps)
                ],
                "rules": [(rule, colours[rule]) for rule in word.rules],
                "symbols": [(style.label(symbol), known) for symbol, known in word.symbols],
            }
            for word in self.words
        ]
        return output("reading.html", words=shown, heads=[self.heads[0], "rules", *self.heads[1:], "symbols"])

    def __repr__(self) -> str:
        lines = [" | ".join(self.heads) + " | rules | symbols"]
        for word in self.words:
            symbols = " ".join(style.label(symbol) + "?" * (not known) for symbol, known in word.symbols)
            lines.append(" | ".join([*word.steps, ", ".join(word.rules), symbols]))
        return "\n".join(lines)


def table(words: Sequence[Word], heads: Sequence[str]) -> Reading:
    """The words of a text, a row each. ValueError where a word has other steps than `heads`."""
    for word in words:
        if len(word.steps) != len(heads):
            raise ValueError(f"a reading wants {len(heads)} steps ({', '.join(heads)}), got {word.steps!r}; fill it up")
    return Reading(tuple(words), tuple(heads))


def ask(text: str, answer: Callable[[str], Reading]) -> VBox:
    """A field to type a sentence into; the kernel answers below it, a ValueError with its words."""
    import ipywidgets as widgets

    def answered(typed: str) -> str:
        try:
            return answer(typed)._repr_html_()
        except ValueError as error:
            return html.escape(str(error))

    def show(change: dict[str, Any]) -> None:
        shown.value = answered(change["new"])

    field = widgets.Text(value=text, continuous_update=False, layout=widgets.Layout(width="99%"))
    shown = widgets.HTML(answered(text))
    field.observe(show, "value")
    return widgets.VBox([field, shown])
