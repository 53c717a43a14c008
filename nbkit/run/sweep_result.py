"""How a sweep stands: a row a point, the best of them, what has changed since points were done."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.base.amounts import duration
from nbkit.base.record import Record
from nbkit.run import modules, points
from nbkit.run.data import table
from nbkit.run.sweep_file import Sweep


@dataclass(repr=False)
class Result:
    """How a sweep stands: the points that are done, that failed (with the last line of each), and the rest."""

    sweep: Sweep
    states: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, sweep: Sweep) -> Result:
        """As it stands now."""
        return cls(sweep, sweep.states())

    @property
    def done(self) -> int:
        return sum(one["state"] == points.OK for one in self.states)

    @property
    def failed(self) -> list[int]:
        return [number for number, one in enumerate(self.states) if one["state"] == points.FAILED]

    def runs(self) -> dict[int, dict[str, Any]]:
        """The row of each point that is done, as in the table of runs; {} for one that left no record."""
        return {number: row_of(one) for number, one in enumerate(self.states) if one["state"] == points.OK}

    def rows(self) -> list[tuple[str, ...]]:
        """A line a point: number, what varies, state, time, run folder, what came out."""
        measured, metric = self.runs(), self.sweep.best.removeprefix("-")
        lines = [("point", *self.sweep.varied, "state", "time", "run", metric)]
        for number, config in enumerate(self.sweep.points):
            values = [str(getattr(config, name)) for name in self.sweep.varied]
            value = measured.get(number, {}).get(metric)
            shown = "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append((f"{number:03d}", *values, *self._state(number), shown))
        return lines

    def _state(self, number: int) -> tuple[str, str, str]:
        one, key = self.states[number], self.sweep.key(number)
        if one["state"] != points.RUNNING:
            time_taken = duration(one["seconds"]) if one["seconds"] else "-"
            return one["state"], time_taken, Path(one["folder"]).name or "-"
        folder, step, last = points.progress(self.sweep.folder, key)
        state = f"step {step:,} of {last:,}" if step and last else points.RUNNING
        if not points.is_alive(one):
            state = "cut off" if one["host"] == socket.gethostname() else f"{state}, on {one['host']}"
        return state, duration(time.time() - one["started"]), folder.name if folder else "-"

    def best(self) -> str:
        """The best point in words; "" while no point has what tells it."""
        return best_of(self.sweep, self.runs())

    def __repr__(self) -> str:
        return "\n".join([table(self.rows()), "", f"{self.done} of {len(self.states)} done, in {self.sweep.folder}"])


def row_of(state: dict[str, Any]) -> dict[str, Any]:
    from nbkit.evaluate import runs

    with contextlib.suppress(ValueError, OSError):
        return next(iter(runs.rows([Record.read(state["folder"])])[0]), {})
    return {}


def best_of(sweep: Sweep, rows: dict[int, dict[str, Any]]) -> str:
    from nbkit.evaluate import runs

    name = sweep.best.removeprefix("-")
    known = [number for number in rows if runs.is_number(rows[number].get(name))]
    if not known:
        return ""
    number = (max if sweep.best.startswith("-") else min)(known, key=lambda one: float(rows[one][name]))
    return f"best {sweep.told(number)}: {name} {rows[number][name]:.4g}"


def changes(result: Result) -> Iterator[str]:
    """What has become of points that were done before: their run folder is gone, or the code is another one now."""
    code = modules.fingerprint(result.sweep.notebook)
    done = {f"{n:03d}": Path(one["folder"]) for n, one in enumerate(result.states) if one["state"] == points.OK}
    if gone := [told for told, folder in done.items() if not folder.exists()]:
        yield f"run again, since their run folders are gone: {', '.join(gone)}"
    older = []
    for told, folder in done.items():
        with contextlib.suppress(OSError, ValueError, KeyError):
            older += [] if modules.was_made_by(Record.read(folder), code) else [told]
    if older:
        yield f"done by other code than there is now, and left so: {', '.join(older)}; repeat: 1 in fixed runs all anew"
