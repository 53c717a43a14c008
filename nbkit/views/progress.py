"""How far a training run is: outputs that are replaced in a notebook, one line in a terminal, few lines in a log."""

from __future__ import annotations

import base64
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TextIO

from nbkit.base import colab
from nbkit.base.amounts import duration
from nbkit.views import course, page, sample
from nbkit.views.course import Trace, number

NOTEBOOK, TERMINAL, LOG = "notebook", "terminal", "log"
# Seconds between two drawings. Each drawing replaces the one before, so a saved notebook holds a single one.
_INTERVAL = {NOTEBOOK: 1.0, TERMINAL: 0.2, LOG: 10.0}
_HEADLESS_INTERVAL = 5.0
_NOT_SHOWN = ("step", "split", "seconds")  # the speed says more
_PACE_SECONDS = 60.0  # the speed is that of the last minute: a machine gets busy, and free again
_BYTES_PER_SECOND = 20_000  # of the numbers, and once more of the samples: a slow line to a Colab page carries both
_MOST_NOTES = 100  # that a notebook which nobody watches keeps
_WORDS = {"finished": "done", "paused": "paused", "interrupted": "stopped", "failed": "failed"}


class Display:
    """Progress of a run: its numbers as curves, what else is known of it, and the newest sample.

    update() may be called at every step: it costs microseconds except when it is time to draw again. The sample is an
    output of its own, which changes only with a new one: a sound that plays goes on while the numbers change. In a
    notebook that nobody watches (NBKIT_HEADLESS) the output is a line, and at the end the picture of the whole.

    title, total   what runs, and the step at which it ends
    unit           what a step is called; the pace of anything but steps is that of the whole time
    stream, clock  where lines go, and what time it is, for tests
    """

    def __init__(
        self, title: str, total: int, *, unit: str = "step", stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):  # fmt: skip
        self.title, self.total, self.unit = title, total, unit
        self._stream = stream or sys.stdout
        if stream is None and colab.in_kernel():
            self._kind = NOTEBOOK
        else:
            self._kind = TERMINAL if self._stream.isatty() else LOG
        self._headless = colab.headless()
        self._clock = clock
        self._started = self._next = self._next_sample = clock()
        self._pace: deque[tuple[float, int, dict[str, int]]] = (
            deque()
        )  # time, step, amounts: the last minute's drawings
        self._amounts: dict[str, int] = {}  # tokens or frames that were learnt from until now
        self._traces: dict[str, dict[str, Trace]] = {}  # by name and split
        self._notes: deque[str] = deque(maxlen=6)
        self._noted = 0
        self.aside = ""  # a line that changes, beside the numbers: how far the mirror is
        self.facts: dict[str, str] = {}  # what else is known, as {"saved": "step 200"}; the order stays
        self.gauges: Callable[[], Mapping[str, str]] = dict  # the same, asked at each drawing: memory
        self._table: tuple[list[str], list[list[str]]] = [], []
        self._sample: dict[str, Any] | None = None  # one that has not been shown
        self._step, self._state = 0, "running"
        self._closed = False
        self._picture: bytes | None = None
        self._identities: dict[str, str] = {}  # of the outputs of a notebook

    def update(self, row: Mapping[str, Any]) -> None:
        """Take a line of the log: "step", "split" ("train" where it is absent), "amount" and any numbers.

        A number that is absent keeps its last value.
        """
        now = self._clock()
        if "amount" in row:
            for name, count in row["amount"].items():
                self._amounts[name] = self._amounts.get(name, 0) + count
        self.recall(row)
        if not self._pace:
            self._pace.append((now, self._step, dict(self._amounts)))  # a resumed run does not start at 0
        if now >= self._next:
            self._draw(now)

    def recall(self, row: Mapping[str, Any]) -> None:
        """Take a line that was logged in an earlier session: it belongs to the curves, not to the speed."""
        step, split = int(row["step"]), row.get("split", "train")
        self._step = step
        for name, value in row.items():
            if isinstance(value, int | float) and name not in _NOT_SHOWN:
                traces = self._traces.get(name)
                if traces is None:
                    traces = self._traces[name] = {}
                trace = traces.get(split)
                if trace is None:
                    trace = traces[split] = Trace()
                trace.add(step, value)

    def show(
        self, step: int, png: bytes | None = None, sound: tuple[Any, int] | None = None, caption: str = ""
    ) -> None:
        """Show the newest sample: in a notebook that somebody watches, soon; elsewhere the record alone keeps it.

        png    a picture
        sound  (wave, rate): float [S] in [-1, 1] and Hz; the first seconds are heard, as loud as they are
        raises ValueError for a picture or a sound that is none
        """
        if self._kind == NOTEBOOK and not self._headless and (png or sound):
            self._sample = {
                "step": step,
                "caption": caption,
                "sound": sample.sound(*sound) if sound else "",
                "picture": sample.picture(png) if png else "",
            }
            self._draw(self._clock())

    def refresh(self) -> None:
        """Draw again if it is time: what changes while no step is done, as how far the mirror is."""
        if (now := self._clock()) >= self._next:
            self._draw(now)

    def note(self, text: str) -> None:
        """A line that stays: where the run goes on from, what was set aside, what changed."""
        self._notes.append(text)
        self._noted += 1
        if self._kind == NOTEBOOK and not self._headless:
            self._draw(self._clock())
        elif self._kind != NOTEBOOK or self._noted <= _MOST_NOTES:  # what is printed stays in the notebook
            clear = "\r\x1b[K" if self._kind == TERMINAL else ""
            print(f"{clear}{page.plain(text)}", file=self._stream, flush=True)

    def table(self, head: list[str], rows: list[list[str]]) -> None:
        """A short table that stays; in a terminal it is printed once."""
        self._table = head, rows
        if self._kind == NOTEBOOK and not self._headless:
            self._draw(self._clock())
        else:
            widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
            for row in [head, *rows]:
                line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                print(page.plain(line), file=self._stream)

    def end(self, state: str) -> None:
        """Say how the run ended: finished, paused, interrupted or failed. close() shows it."""
        if state not in _WORDS:
            raise ValueError(f"a run ends {', '.join(_WORDS)}, got {state!r}; name one of these")
        self._state = state

    def close(self) -> None:
        """Draw the last state and leave it standing; the end that nobody named is told by the step."""
        if self._closed:
            return
        self._closed, self._next_sample = True, self._clock()
        if self._state == "running":
            self._state = "finished" if self._step >= self.total else "interrupted"
        self._draw(self._clock())
        if self._kind == TERMINAL:
            print(file=self._stream, flush=True)

    def picture(self) -> bytes:
        """The curves and the state as a PNG, drawn once after close(); empty where nothing has changed."""
        if self._picture is None or not self._closed:
            now = self._clock()
            facts = " · ".join([*self._times(now), *(f"{name} {value}" for name, value in self._facts())])
            self._picture = course.picture(self._shown(), self._where(), facts)
        return self._picture

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._state == "running":
            self._state = "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed"
        self.close()

    def _draw(self, now: float) -> None:
        if self._pace:
            self._pace.append((now, self._step, dict(self._amounts)))
        while self.unit == "step" and len(self._pace) > 2 and now - self._pace[1][0] > _PACE_SECONDS:
            self._pace.popleft()
        wait = _INTERVAL[self._kind]
        if self._kind == NOTEBOOK:
            sent = self._draw_in_notebook(now)
            wait = _HEADLESS_INTERVAL if self._headless else max(wait, sent / _BYTES_PER_SECOND)
        elif self._kind == TERMINAL:
            line = self._line(now)[: shutil.get_terminal_size().columns - 1]
            print(f"\r{line}\x1b[K", end="", file=self._stream, flush=True)
        else:
            print(self._line(now), file=self._stream, flush=True)
        self._next = now + wait

    def _draw_in_notebook(self, now: float) -> int:
        """Returns how many bytes of numbers were sent."""
        bundle = {"text/plain": self._line(now)}
        if not self._headless:
            bundle["text/html"] = self._html(now)
        elif self._closed and (png := self.picture()):
            bundle["image/png"] = base64.b64encode(png).decode()
        self._send("numbers", bundle)
        if self._sample is not None and now >= self._next_sample:
            shown, self._sample = self._sample, None
            html = page.output("sample.html", **shown)
            told = page.plain(f"sample of step {shown['step']:,}: {shown['caption']}")
            self._send("sample", {"text/plain": told, "text/html": html})
            self._next_sample = now + len(html) / _BYTES_PER_SECOND
        return sum(map(len, bundle.values()))

    def _send(self, what: str, bundle: dict[str, str]) -> None:
        from IPython.display import display, update_display

        if what in self._identities:
            update_display(bundle, raw=True, display_id=self._identities[what])
        else:
            self._identities[what] = f"nbkit-{what}-{id(self)}-{time.time_ns()}"
            display(bundle, raw=True, display_id=self._identities[what])

    def _speed(self) -> float:
        """Steps a second over the last drawings; 0 while it is not known."""
        if not self._pace:
            return 0.0
        (start, first, _), (end, last, _) = self._pace[0], self._pace[-1]
        return (last - first) / (end - start) if end > start else 0.0

    def _pace_told(self) -> str:
        speed = self._speed()
        return (f"{speed:,.1f} {self.unit}s/s" if speed >= 1 else f"{1 / speed:.1f} s/{self.unit}") if speed else ""

    def _rates(self) -> dict[str, str]:
        """Tokens or frames a second over the last drawings."""
        if not self._pace or self._pace[-1][0] <= self._pace[0][0]:
            return {}
        (start, _, before), (end, _, amounts) = self._pace[0], self._pace[-1]
        return {name: f"{(count - before.get(name, 0)) / (end - start):,.0f}" for name, count in amounts.items()}

    def _left(self, now: float) -> str:
        """How long it will go on, or how it ended; "" where that is not known."""
        if self._closed:
            return f"{_WORDS[self._state]} after {duration(now - self._started)}"
        speed = self._speed()
        return f"{duration((self.total - self._step) / speed)} left" if speed else ""

    def _times(self, now: float) -> list[str]:
        """Speed and time, as far as they are known."""
        speed = self._pace_told()
        rates = [f"{rate} {name}/s" for name, rate in self._rates().items()] if speed else []
        return [told for told in (speed, *rates, self._left(now)) if told]

    def _where(self) -> str:
        share = 100 * self._step // max(self.total, 1)
        return f"{self.title} {self.unit} {self._step:,} of {self.total:,} ({share} %)"

    def _line(self, now: float) -> str:
        parts = [self._where(), *self._times(now)]
        for name, traces in self._traces.items():
            for split, trace in traces.items():
                parts.append(f"{'' if split == 'train' else split + ' '}{page.readable(name)} {number(trace.newest)}")
        if self._closed:
            parts += [f"{name} {value}" for name, value in self.facts.items()]
        return page.plain(" · ".join([*parts, self.aside] if self.aside else parts))

    def _shown(self) -> dict[str, dict[str, Trace]]:
        """The names that have a curve: how often a step was skipped is a fact."""
        return {name: traces for name, traces in self._traces.items() if not name.endswith("skipped")}

    def _facts(self) -> list[tuple[str, str]]:
        """What is told beside the curves. Places are kept for what is not known yet."""
        skipped = [trace.newest for name, t in self._traces.items() if name.endswith("skipped") for trace in t.values()]
        told = {**self.gauges(), **({"skipped steps": f"{max(skipped):,.0f}"} if skipped else {}), **self.facts}
        return list(told.items())

    def _html(self, now: float) -> str:
        rates = {f"{name} a second": rate for name, rate in self._rates().items()}
        return page.output(
            "progress.html",
            title=self.title,
            state=self._state,
            told=self._left(now) if self._closed else f"running for {duration(now - self._started)}",
            left="" if self._closed else self._left(now),
            unit=self.unit,
            step=self._step,
            total=self.total,
            share=min(100.0, 100 * self._step / max(self.total, 1)),
            tiles=course.tiles(self._shown()),
            splits=course.SPLITS,
            facts=[("speed", self._pace_told() or "–"), *rates.items(), *self._facts()],
            notes=list(self._notes),
            aside=self.aside,
            table=self._table,
        )
