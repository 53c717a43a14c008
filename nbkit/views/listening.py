"""A blind listening test: sounds by the letters A, B and X, buttons for the answer, and each answer kept at once.

This view knows no system. It gets sounds in the order in which they are to be shown, and hands what else belongs to a
question on to the file of the answers without showing it.

The kernel keeps the answers, so the buttons are widgets. Sound goes through a fresh `Audio` widget for each play: that
needs no script in the page, works with ipywidgets 7.7 and 8, stops what played before, and lets the kernel count.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nbkit.base import answers, colab
from nbkit.views import listening_page, player
from nbkit.views.page import Page

if TYPE_CHECKING:
    from ipywidgets import Button, VBox

HEARD = 0.5  # share of a sound that has to be played before an answer is taken


@dataclass(frozen=True)
class Kind:
    """A way to ask: the question, the letters of its sounds, and (value, words) of each answer."""

    question: str
    letters: tuple[str, ...]
    choices: tuple[tuple[str | int, str], ...]


KINDS = {
    "ab": Kind(
        "Which one sounds better?",
        ("A", "B"),
        (("A", "A is better"), ("same", "No difference"), ("B", "B is better")),
    ),
    "abx": Kind(
        "X is the same sound as A, or the same as B. Which?",
        ("A", "B", "X"),
        (("A", "X is A"), ("B", "X is B")),
    ),
    "mos": Kind(
        "How good does it sound?",
        ("sound",),
        ((1, "1 · bad"), (2, "2 · poor"), (3, "3 · fair"), (4, "4 · good"), (5, "5 · excellent")),
    ),
}  # the words of the last are those of ITU-T P.800


@dataclass(frozen=True)
class Question:
    """One question.

    sounds  waves [S], float in [-1, 1] or int16, one a letter of the kind
    about   what the line of its answer holds besides, such as the item and the order; it is never shown
    """

    sounds: tuple[np.ndarray, ...] = field(repr=False)
    about: Mapping[str, Any] = field(repr=False)


class Test:
    """The questions of one listener, as far as they are answered, and the widget that asks the next one.

    kind       a name of KINDS
    questions  in the order in which they are asked
    rate       of the sounds, Hz
    path       where the answers go, named after the listener; those that are there already are not asked again
    raises     ValueError for no question, sounds that cannot be played, or answers to other questions in the file
    """

    __test__ = False  # not one of pytest's

    def __init__(
        self,
        kind: str,
        questions: Sequence[Question],
        rate: int,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], object] | None = None,
    ):
        if kind not in KINDS:
            raise ValueError(f"wanted a kind among {', '.join(KINDS)}, got {kind!r}")
        if not questions:
            raise ValueError("a listening test wants at least one question, got none; give it sounds to compare")
        self.kind, self.questions, self.rate, self.path = KINDS[kind], questions, rate, Path(path)
        for number, question in enumerate(questions):
            if len(question.sounds) != len(self.kind.letters):
                raise ValueError(
                    f"question {number} of kind {kind} wants {len(self.kind.letters)} sounds, got "
                    f"{len(question.sounds)}; give one a letter of {', '.join(self.kind.letters)}"
                )
        pcm = {id(wave): player.pcm(wave)[0] for question in questions for wave in question.sounds}
        self._pcm = [[pcm[id(wave)] for wave in question.sounds] for question in questions]
        self._clock, self._later = clock, later or _later
        self._widget: VBox | None = None
        self.answers()

    def answers(self) -> dict[int, dict[str, Any]]:
        """The answers that stand, by the number of their question."""
        found = answers.standing(self.path)
        for number, row in found.items():
            about = self.questions[number].about if number < len(self.questions) else None
            if about is None or any(row.get(name) != value for name, value in about.items()):
                raise ValueError(
                    f"wanted answers to these questions in {self.path}, got one to another question {number}; the test "
                    "was another one then: move the file away, or answer under another name"
                )
        return found

    @property
    def number(self) -> int:
        """The first question without an answer; as many as there are questions where none is left."""
        known = self.answers()
        return next((n for n in range(len(self.questions)) if n not in known), len(self.questions))

    def face(self) -> bytes:
        """A PNG of the question and of how many are answered, for where nobody can press a button."""
        return listening_page.face(self.kind, len(self.answers()), len(self.questions))

    def page(self) -> Page:
        """All questions as one file that any browser opens, for a listener who has no notebook.

        It keeps nothing: the listener copies the answers out of it, and `take` reads them. 60 kB a second of sound.
        """
        return listening_page.page(self.kind, self._pcm, self.rate, self._key(), HEARD, self.face())

    def take(self, lines: str) -> int:
        """Keep the answers that a listener copied out of the page; returns how many of them are new.

        raises  ValueError for a line that is no answer to this page
        """
        known, allowed = self.answers(), [value for value, _ in self.kind.choices]
        found = listening_page.answers_in(lines, self._key(), allowed, len(self.questions))
        new = {number: row for number, row in found.items() if number not in known}
        for number, row in new.items():
            answers.append(self.path, self._line(number, row))
        return len(new)

    def _key(self) -> str:
        """Tells the page of one listener and test from others, and nothing about what is asked."""
        asked = [dict(question.about) for question in self.questions]
        return hashlib.sha256(json.dumps([self.path.stem, asked], sort_keys=True).encode()).hexdigest()[:12]

    def _line(self, number: int, answer: dict[str, Any]) -> dict[str, Any]:
        return {"question": number, "listener": self.path.stem, **self.questions[number].about, **answer}

    def _ipython_display_(self) -> None:
        from IPython.display import display

        done, total = len(self.answers()), len(self.questions)
        if colab.headless():
            words = f"{self.kind.question} {done} of {total} answered"
            # not an Image: that of IPython 7.34, which Colab has, takes no words
            display({"image/png": base64.b64encode(self.face()).decode(), "text/plain": words}, raw=True)
        else:
            display(self.widget())

    def widget(self) -> VBox:
        """The buttons. It is made once; shown in two places, both show the same."""
        if self._widget is None:
            self._build()
        assert self._widget is not None
        return self._widget

    def _build(self) -> None:
        import ipywidgets as widgets

        def button(words: str, call: Callable[[], None], width: str = "auto", look: str = "") -> Button:
            made = widgets.Button(description=words, button_style=look, layout=widgets.Layout(width=width))
            made.on_click(lambda _: call())
            return made

        self._head, self._hint = widgets.HTML(), widgets.HTML()
        letters = range(len(self.kind.letters))
        self._plays = [button("", lambda i=i: self.play(i), "110px") for i in letters]
        self._place = widgets.Box(layout=widgets.Layout(height="62px", width="100%"))
        self._choices = [
            button(words, lambda value=value: self.answer(value), "130px") for value, words in self.kind.choices
        ]
        self._back = button("Take the last answer back", self.take_back, "200px")
        rows = [widgets.HBox(row, layout=widgets.Layout(flex_flow="row wrap")) for row in (self._plays, self._choices)]
        self._asking = [rows[0], self._place, rows[1], self._hint]
        box = widgets.VBox(layout=widgets.Layout(max_width="720px", padding="4px 8px"))
        self._body = widgets.VBox(layout=widgets.Layout(margin="4px 0 12px"))
        box.children = [self._head, self._body, self._back]
        self._widget = box
        self._shown = -1
        self._show()

    # --- what the buttons do

    def play(self, index: int) -> None:
        """Play a sound of the question from its beginning."""
        import ipywidgets as widgets

        if self._moved_on():
            return
        self._stop()
        now = self._clock()
        self._began = now if self._began is None else self._began
        self._played[index] += 1
        self._playing = (index, now)
        before = self._place.children
        wav = player.wav(self._pcm[self._shown][index], self.rate)
        self._place.children = [
            widgets.Audio(value=wav, format="wav", autoplay=True, loop=False, layout=widgets.Layout(width="100%"))
        ]
        _close(before)
        self._later(self._needed(index) + 0.02, lambda at=self._shown: self._look(at))
        self._enable()

    def answer(self, value: str | int) -> None:
        """Keep an answer to the question that is shown, and ask the next one."""
        if self._moved_on():
            return
        self._stop()
        if not all(self._heard):
            return self._enable()
        if value not in [known for known, _ in self.kind.choices]:
            raise ValueError(f"wanted an answer among {[known for known, _ in self.kind.choices]}, got {value!r}")
        began = self._clock() if self._began is None else self._began
        row = {
            "answer": value,
            "seconds": round(self._clock() - began, 2),  # since the first sound was asked for
            "played": list(self._played),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        answers.append(self.path, self._line(self._shown, row))
        self._show()

    def take_back(self) -> None:
        """Ask the question again that was answered last."""
        known = self.answers()
        if known:
            answers.take_back(self.path, list(known)[-1], time=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        self._show()

    # --- what is shown

    def _moved_on(self) -> bool:
        """Show the question that is due where another view of the same file has answered the one shown here."""
        if self.number == self._shown < len(self.questions):
            return False
        self._show()
        return True

    def _show(self) -> None:
        """The question that is due, with nothing of it played yet."""
        done, total, number = len(self.answers()), len(self.questions), self.number
        self._shown, self._began, self._playing = number, None, None
        self._played = [0] * len(self.kind.letters)
        self._heard = [False] * len(self.kind.letters)
        before, self._place.children = self._place.children, []
        _close(before)
        self._head.value = listening_page.heading(self.kind, done, total)
        self._body.children = self._asking if number < total else []
        self._back.disabled = not done
        self._enable()

    def _needed(self, index: int) -> float:
        return HEARD * len(self._pcm[self._shown][index]) / self.rate

    def _look(self, shown: int) -> None:
        """Whether what plays has been heard now."""
        if shown == self._shown and self._playing is not None:
            index, since = self._playing
            self._heard[index] |= self._clock() - since >= self._needed(index)
            self._enable()

    def _stop(self) -> None:
        self._look(self._shown)
        self._playing = None

    def _enable(self) -> None:
        for button, letter, heard in zip(self._plays, self.kind.letters, self._heard, strict=True):
            name = "Play" if letter == "sound" else letter
            button.description = f"▶ {name}" + (" ✓" if heard else "")
        ready = all(self._heard)
        for button in self._choices:
            button.disabled = not ready
        missing = [letter for letter, heard in zip(self.kind.letters, self._heard, strict=True) if not heard]
        named = "it" if missing == ["sound"] else " and ".join(missing)
        hint = "Listen as often as you like." if ready else f"The answers wait until half of {named} has been heard."
        self._hint.value = f'<span style="opacity:.75">{hint}</span>'


def _later(seconds: float, call: Callable[[], None]) -> None:
    """Call back in some seconds, in the loop of the kernel where it runs."""
    try:
        asyncio.get_running_loop().call_later(seconds, call)
    except RuntimeError:
        timer = threading.Timer(seconds, call)
        timer.daemon = True
        timer.start()


def _close(old: Sequence[Any]) -> None:
    for one in old:
        one.close()
