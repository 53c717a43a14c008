"""Knobs that speak: sliders whose sound follows while they are held.

A thread makes the sound, always of what stands there now: what was asked for in between is dropped, so that it never
lags behind. While a knob moves the sound is a draft; once it rests, the full one follows.
"""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbkit.base import colab
from nbkit.base.params import Params, Value
from nbkit.views import panel, player, summary

if TYPE_CHECKING:
    from ipywidgets import VBox

_REST = 0.35  # seconds without a change after which a knob rests

Speak = Callable[[bool, dict[str, Value]], tuple[np.ndarray, int]]


class Knobs:
    """Sliders and choices over a function that makes sound.

    speak    (draft, values) to (wave [S], rate); a draft is wanted fast, and is replaced once nothing moves
    config   parameters, which give the values at the beginning and the bounds
    names    of the knobs among them
    choices  values of a text that can be chosen
    raises   ParamsError for an unknown name, ValueError for one that can neither slide nor be chosen
    """

    def __init__(
        self, speak: Speak, config: Params, names: Sequence[str], choices: Mapping[str, Sequence[str]] | None = None
    ):
        self._speak, self.fields = speak, [type(config).field(name) for name in names]
        self._choices = {name: tuple(options) for name, options in (choices or {}).items()}
        self.values = {name: getattr(config, name) for name in names}
        for field in self.fields:
            options = self._choices.get(field.name, field.choices)
            if not options and (field.type not in (int, float) or field.low is None or field.high is None):
                raise ValueError(
                    f"a knob wants bounds or choices, {field.name} has none; pass choices={{{field.name!r}: ...}}"
                )
            if options and self.values[field.name] not in options:
                self.values[field.name] = options[0]
        self._widget: VBox | None = None
        self._asked = threading.Condition()
        self._wanted = 0  # number of the newest request
        self._working = False

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        rows = [(field.name, str(self.values[field.name]), field.help) for field in self.fields]
        table = summary.table(rows, ("knob", "value", "what it is"))
        return panel.bundle(None if colab.headless() else self.widget, table._repr_html_(), repr(table))

    def widget(self) -> VBox:
        """The knobs. They are made once, and speak as soon as they are."""
        if self._widget is None:
            self._build()
        assert self._widget is not None
        return self._widget

    def _build(self) -> None:
        import ipywidgets as widgets

        self._audio: Any = None
        self._place = widgets.Box(layout=widgets.Layout(min_height="58px", width="100%"))
        self._note = widgets.HTML()
        self._auto = widgets.Checkbox(value=False, description="Play at each change", indent=False)
        rows = [self._row(field) for field in self.fields]
        self._widget = widgets.VBox(
            [*rows, self._auto, self._place, self._note], layout=widgets.Layout(max_width="720px", padding="4px")
        )
        self._ask()

    def _row(self, field: Any) -> Any:
        import ipywidgets as widgets

        style, layout = {"description_width": "110px"}, widgets.Layout(width="340px", flex="0 0 auto", max_width="100%")
        options = self._choices.get(field.name, field.choices)
        if options:
            knob: Any = widgets.Dropdown(options=options, description=field.name, style=style, layout=layout)
            knob.value = self.values[field.name]
        else:
            knob = panel.slider(field)
            knob.value, knob.readout, knob.continuous_update = self.values[field.name], True, True
            knob.description, knob.style.description_width, knob.layout = field.name, "110px", layout

        def changed(change: Any) -> None:
            if options or panel.moved(knob, self.values[field.name], change["new"]):
                self.turn(field.name, change["new"])

        knob.observe(changed, "value")
        told = widgets.HTML(f'<span style="font-size:12.5px;opacity:.8">{html.escape(field.help)}</span>')
        return widgets.Box([knob, told], layout=widgets.Layout(display="flex", flex_flow="row wrap"))

    def turn(self, name: str, value: Value) -> None:
        """Set a knob. Returns at once; the sound follows."""
        self.values[name] = value
        self._ask()

    def _ask(self) -> None:
        with self._asked:
            self._wanted += 1
            self._asked.notify_all()
            if not self._working:
                self._working = True
                threading.Thread(target=self._work, name="knobs", daemon=True).start()

    def _work(self) -> None:
        """Make the sound of the newest request until it is made in full and nothing new has come."""
        made, draft = -1, True
        while True:
            with self._asked:
                if made == self._wanted and draft:
                    self._asked.wait_for(lambda at=made: self._wanted != at, _REST)
                if made == self._wanted and not draft:
                    self._working = False
                    return
                draft = made != self._wanted
                made, values = self._wanted, dict(self.values)
            try:
                self._make(made, draft, values)
            except BaseException:  # the page is gone; should it come back, a new thread speaks
                with self._asked:
                    self._working = False
                raise

    def _make(self, number: int, draft: bool, values: dict[str, Value]) -> None:
        started = time.monotonic()
        try:
            wave, rate = self._speak(draft, values)
            data = player.wav(player.pcm(wave)[0], rate)
        except Exception as error:  # the thread goes on with the next request; the person reads what was wrong
            self._note.value = f"<b>{html.escape(f'{type(error).__name__}: {error}')}</b>"
            return
        took = time.monotonic() - started
        if number != self._wanted and not draft:
            return  # a knob has moved on meanwhile, and its draft comes next
        self._show(data)
        kind = "draft, the full sound follows" if draft else "full sound"
        self._note.value = (
            f'<span style="font-size:12.5px;opacity:.8">{kind} · {len(wave) / rate:.2f} s of sound '
            f"made in {1000 * took:.0f} ms</span>"
        )

    def _show(self, data: bytes) -> None:
        import ipywidgets as widgets

        if self._audio is None:
            self._audio = widgets.Audio(
                value=data, format="wav", autoplay=self._auto.value, loop=False, layout=widgets.Layout(width="100%")
            )
            self._place.children = [self._audio]
        else:
            self._audio.autoplay = self._auto.value
            self._audio.value = data  # one player for all: a new sound stops the one before
