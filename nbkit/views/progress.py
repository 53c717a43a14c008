"""How far a training run is: one output that is replaced in a notebook, one line in a terminal, few lines in a log."""

from __future__ import annotations

import base64
import math
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from nbkit.base import colab
from nbkit.base.amounts import duration
from nbkit.views.page import readable, render

NOTEBOOK, TERMINAL, LOG = "notebook", "terminal", "log"
# Seconds between two drawings. Each drawing replaces the one before, so a saved notebook holds a single one.
_INTERVAL = {NOTEBOOK: 0.5, TERMINAL: 0.2, LOG: 10.0}
_HEADLESS_INTERVAL = 5.0
_NOT_SHOWN = ("step", "split", "seconds")  # the speed says more
_PACE_SECONDS = 60.0  # the speed is that of the last minute: a machine gets busy, and free again
_FIGURE_BYTES_PER_SECOND = 50_000  # what a slow line to a Colab page carries without falling behind


class Display:
    """Progress of a run, with its losses as numbers and small curves, and the newest figure.

    update() may be called at every step: it costs microseconds except when it is time to draw again. In a notebook that
    nobody watches (NBKIT_HEADLESS) figures are left out; the record keeps them in views/.

    title, total   what runs, and the step at which it ends
    stream, clock  where lines go, and what time it is, for tests
    """

    def __init__(
        self, title: str, total: int, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ):
        self.title, self.total = title, total
        self._stream = stream or sys.stdout
        if stream is None and colab.in_kernel():
            self._kind = NOTEBOOK
        else:
            self._kind = TERMINAL if self._stream.isatty() else LOG
        self._headless = colab.headless()
        self._clock = clock
        self._started = self._next = clock()
        self._pace: deque[tuple[float, int, dict[str, int]]] = (
            deque()
        )  # time, step, amounts: the last minute's drawings
        self._amounts: dict[str, int] = {}  # tokens or frames that were learnt from until now
        self._traces: dict[str, dict[str, Trace]] = {}  # by name and split
        self._notes: deque[str] = deque(maxlen=6)
        self.aside = ""  # a line that changes, beside the numbers: how far the mirror is
        self._table: tuple[list[str], list[list[str]]] = [], []
        self._figure: bytes | None = None
        self._step, self._closed = 0, False
        self._identity: str | None = None

    def update(self, row: Mapping[str, Any], figure_png: bytes | None = None) -> None:
        """Take a line of the log: "step", "split" ("train" where it is absent), "amount" and any numbers.

        A number that is absent keeps its last value, and so does the figure.
        """
        now = self._clock()
        self._step, split = int(row["step"]), str(row.get("split", "train"))
        for name, count in row.get("amount", {}).items():
            self._amounts[name] = self._amounts.get(name, 0) + count
        if not self._pace:
            self._pace.append((now, self._step, dict(self._amounts)))  # a resumed run does not start at 0
        for name, value in row.items():
            if name not in _NOT_SHOWN and isinstance(value, int | float):
                traces = self._traces.setdefault(name, {})
                traces.setdefault(split, Trace()).add(value)
        if figure_png is not None and not (self._headless and self._kind == NOTEBOOK):
            self._figure = figure_png
        if now >= self._next:
            self._draw(now)

    def note(self, text: str) -> None:
        """A line that stays: where the run goes on from, what was set aside, what changed."""
        self._notes.append(text)
        if self._kind == NOTEBOOK:
            self._draw(self._clock())
        else:
            clear = "\r\x1b[K" if self._kind == TERMINAL else ""
            print(f"{clear}{text}", file=self._stream, flush=True)

    def table(self, head: list[str], rows: list[list[str]]) -> None:
        """A short table that stays; in a terminal it is printed once."""
        self._table = head, rows
        if self._kind == NOTEBOOK:
            self._draw(self._clock())
        else:
            widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
            for row in [head, *rows]:
                print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip(), file=self._stream)

    def close(self) -> None:
        """Draw the last state and leave it standing."""
        if self._closed:
            return
        self._closed = True
        self._draw(self._clock())
        if self._kind == TERMINAL:
            print(file=self._stream, flush=True)

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self, now: float) -> None:
        if self._pace:
            self._pace.append((now, self._step, dict(self._amounts)))
        while len(self._pace) > 2 and now - self._pace[1][0] > _PACE_SECONDS:
            self._pace.popleft()
        if self._kind == NOTEBOOK:
            self._draw_in_notebook(now)
        elif self._kind == TERMINAL:
            line = self._line(now)[: shutil.get_terminal_size().columns - 1]
            print(f"\r{line}\x1b[K", end="", file=self._stream, flush=True)
        else:
            print(self._line(now), file=self._stream, flush=True)
        wait = _INTERVAL[self._kind]
        if self._kind == NOTEBOOK:
            sending = len(self._figure or b"") / _FIGURE_BYTES_PER_SECOND
            wait = _HEADLESS_INTERVAL if self._headless else max(wait, sending)
        self._next = now + wait

    def _draw_in_notebook(self, now: float) -> None:
        from IPython.display import display, update_display

        bundle = {"text/plain": self._line(now), "text/html": self._html(now)}
        if self._identity is None:
            self._identity = f"nbkit-progress-{id(self)}-{time.time_ns()}"
            display(bundle, raw=True, display_id=self._identity)
        else:
            update_display(bundle, raw=True, display_id=self._identity)

    def _speed(self) -> float:
        """Steps a second over the last drawings; 0 while it is not known."""
        if not self._pace:
            return 0.0
        (start, first, _), (end, last, _) = self._pace[0], self._pace[-1]
        return (last - first) / (end - start) if end > start else 0.0

    def _rates(self) -> list[str]:
        """Tokens or frames a second over the last drawings."""
        if not self._pace or self._pace[-1][0] <= self._pace[0][0]:
            return []
        (start, _, before), (end, _, amounts) = self._pace[0], self._pace[-1]
        return [f"{(count - before.get(name, 0)) / (end - start):,.0f} {name}/s" for name, count in amounts.items()]

    def _times(self, now: float) -> list[str]:
        """Speed and time, as far as they are known."""
        speed = self._speed()
        pace = [f"{speed:,.1f} steps/s" if speed >= 1 else f"{1 / speed:.1f} s/step"] if speed else []
        pace += self._rates() if speed else []
        if self._closed:
            end = "done" if self._step >= self.total else "stopped"
            return [*pace, f"{end} after {duration(now - self._started)}"]
        return [*pace, f"{duration((self.total - self._step) / speed)} left"] if speed else []

    def _line(self, now: float) -> str:
        share = 100 * self._step // max(self.total, 1)
        parts = [f"{self.title} step {self._step:,} of {self.total:,} ({share} %)", *self._times(now)]
        for name, traces in self._traces.items():
            for split, trace in traces.items():
                parts.append(f"{'' if split == 'train' else split + ' '}{readable(name)} {number(trace.newest)}")
        return " · ".join([*parts, self.aside] if self.aside else parts)

    def _html(self, now: float) -> str:
        return render(
            "progress.html",
            title=self.title,
            step=self._step,
            total=self.total,
            share=min(100.0, 100 * self._step / max(self.total, 1)),
            times=self._times(now),
            splits=sorted({split for traces in self._traces.values() for split in traces}),
            metrics=[(readable(name), traces) for name, traces in self._traces.items()],
            number=number,
            notes=list(self._notes),
            aside=self.aside,
            table=self._table,
            figure=base64.b64encode(self._figure).decode() if self._figure else "",
        )


class Trace:
    """The course of one value in a bounded number of points: when they are full, neighbours are averaged."""

    LIMIT = 120

    def __init__(self) -> None:
        self.newest = math.nan
        self._values: list[float] = []
        self._sum, self._count, self._stride = 0.0, 0, 1

    def add(self, value: float) -> None:
        """The next value; one that is not finite is shown as the newest but has no place on the curve."""
        self.newest = value = float(value)
        if not math.isfinite(value):
            return
        self._sum += value
        self._count += 1
        if self._count == self._stride:
            self._values.append(self._sum / self._count)
            self._sum, self._count = 0.0, 0
        if len(self._values) == self.LIMIT:
            halves = zip(self._values[::2], self._values[1::2], strict=True)
            self._values = [(first + second) / 2 for first, second in halves]
            self._stride *= 2

    def points(self, width: int = 120, height: int = 20) -> str:
        """The curve for an SVG polyline of this size, empty while it has less than two points."""
        if len(self._values) < 2:
            return ""
        low, high = min(self._values), max(self._values)
        across, up = (width - 2) / (len(self._values) - 1), (height - 4) / ((high - low) or 1)
        return " ".join(f"{1 + i * across:.1f},{height - 2 - (v - low) * up:.1f}" for i, v in enumerate(self._values))


def number(value: float) -> str:
    """A value in four digits."""
    return f"{value:.4g}"
