"""Progress of long work on data, in one line that is updated in place.

A terminal gets a line that is rewritten, a notebook one output that is replaced, a log a few lines at growing
intervals: nothing here grows with the length of the work.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

from nbkit.base import colab
from nbkit.base.amounts import duration, size


class Meter:
    """Shows how far a piece of work is. Use it as a context manager and call `add` or `to`.

    title   what is being done
    total   the amount at the end, 0 where it is not known
    unit    "bytes", or a plural noun
    """

    def __init__(self, title: str, total: int = 0, unit: str = "bytes", *, stream: TextIO | None = None):
        self.title, self.total, self.unit = title, total, unit
        self.stream = stream or sys.stderr
        self.done = self.first = 0
        self.started = self.shown = time.monotonic()
        self.interval = 1.0
        self.notebook = stream is None and colab.in_kernel() and not colab.headless()
        self.terminal = not self.notebook and self.stream.isatty()
        self._handle = None

    def add(self, amount: int) -> None:
        """`amount` more is done."""
        self.to(self.done + amount)

    def to(self, done: int) -> None:
        """`done` of it is done, what was done by an earlier try included."""
        self.done = done
        now = time.monotonic()
        if now - self.shown >= self.interval:
            self.shown = now
            self._show(self.line())
            if not (self.terminal or self.notebook):
                self.interval = min(self.interval * 2, 300.0)  # a log: 25 lines in the first hour and a half

    def start_at(self, done: int) -> None:
        """`done` was there before this work began and does not count for its speed."""
        self.done = self.first = done

    def say(self, text: str) -> None:
        """A line that stays, above the one that is updated."""
        self.stream.write(("\r\x1b[K" if self.terminal else "") + text + "\n")
        self.stream.flush()

    def line(self) -> str:
        """What is shown now."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        speed = (self.done - self.first) / seconds
        shown = size if self.unit == "bytes" else "{:,.0f}".format
        text = f"{self.title}: {shown(self.done)}" + (f" of {shown(self.total)}" if self.total else "")
        text += f" {self.unit}" * (self.unit != "bytes")
        if self.total:
            text += f", {100 * self.done // self.total} %"
        if speed > 0 and seconds > 1:
            text += f", {shown(speed)}/s"
            if self.total > self.done:
                text += f", {duration((self.total - self.done) / speed)} left"
        return text

    def _show(self, text: str) -> None:
        if self.notebook:
            from IPython.display import display

            if self._handle is None:
                self._handle = display({"text/plain": text}, raw=True, display_id=True)
            else:
                self._handle.update({"text/plain": text}, raw=True)
        elif self.terminal:
            self.stream.write("\r\x1b[K" + text)
        else:
            self.stream.write(text + "\n")
        self.stream.flush()

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # short work passes in silence
        if self.shown > self.started:
            self._show(self.line() + ("" if kind is None else ", stopped"))
            if self.terminal:
                self.stream.write("\n")
                self.stream.flush()
