"""The numbers of a run in one table: each beside the base camp's, each with its interval.

    results = Results(run.folder)
    results.measure("TF-IDF + SVM", "accuracy", text.accuracy, guesses, truth, seconds=15.1)
    results.table()

A row is known by its system and its metric, so that a cell which is run again replaces what it wrote before.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nbkit.base import record
from nbkit.evaluate import text
from nbkit.views import summary

FILE = "results.json"


@dataclass(frozen=True)
class Row:
    """One number. low and high are nan where no interval is known, seconds where no time was taken."""

    system: str
    metric: str
    value: float
    low: float = math.nan
    high: float = math.nan
    seconds: float = math.nan
    rows: int = 0

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class Results:
    """The results of a run folder, which are in results.json as soon as they are added."""

    def __init__(self, folder: str | os.PathLike):
        self.path = Path(folder) / FILE
        self.all()  # a file that cannot be read is told of before anything is measured

    def all(self) -> list[Row]:
        """The rows, in the order in which they were first added; raises ValueError for a file that is not ours."""
        try:
            return [Row(**_with_nan(row)) for row in record.read_json(self.path, [])]
        except (json.JSONDecodeError, TypeError, AttributeError) as error:
            raise ValueError(
                f"wanted a list of results in {self.path}, it cannot be read ({error}); move it away and evaluate again"
            ) from None

    def get(self, system: str, metric: str) -> Row:
        """One row by its names; raises KeyError that lists what there is."""
        found = {(row.system, row.metric): row for row in self.all()}
        if (system, metric) not in found:
            known = ", ".join(f"{s}: {m}" for s, m in found) or "nothing yet"
            raise KeyError(f"no {metric} of {system} in {self.path}; there is {known}")
        return found[system, metric]

    def add(
        self,
        system: str,
        metric: str,
        value: float,
        bounds: tuple[float, float] = (math.nan, math.nan),
        *,
        seconds: float = math.nan,
        rows: int = 0,
    ) -> Row:
        """Add a number, or replace the one of this system and metric, and write the file.

        bounds   low and high of its interval;  seconds   that the system took;  rows   it was measured on
        raises   ValueError for a value that is not finite
        """
        row = Row(system, metric, float(value), float(bounds[0]), float(bounds[1]), float(seconds), int(rows))
        if not math.isfinite(row.value):
            raise ValueError(f"wanted a finite {metric} of {system}, got {value}")
        kept = {(one.system, one.metric): one for one in self.all()}
        kept[system, metric] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        record.write_json(self.path, [_plain(one) for one in kept.values()])
        return row

    def measure(
        self,
        system: str,
        metric: str,
        statistic: text.Statistic,
        *arrays: ArrayLike,
        seconds: float = math.nan,
        draws: int = 1000,
        seed: int = 0,
    ) -> Row:
        """Add statistic(*arrays) of rows [N] with its bootstrap interval, see evaluate.text."""
        value = float(statistic(*arrays))
        bounds = text.interval(statistic, *arrays, draws=draws, seed=seed)
        return self.add(system, metric, value, bounds, seconds=seconds, rows=np.asarray(arrays[0]).size)

    def table(self) -> summary.Table:
        """A row a system, a column a metric, with 95 % intervals by bootstrap where they are known."""
        found = self.all()
        systems, metrics = (list(dict.fromkeys(getattr(r, name) for r in found)) for name in ("system", "metric"))
        cells = {(row.system, row.metric): row for row in found}
        shown = []
        for system in systems:
            own = [row for row in found if row.system == system]
            times = [row.seconds for row in own if not math.isnan(row.seconds)]
            numbers = [str(cells.get((system, metric), "")) for metric in metrics]
            shown.append([system, *numbers, max(row.rows for row in own) or "", f"{max(times):.3g}" if times else ""])
        return summary.table(shown, ["system", *metrics, "rows", "seconds"], empty="no results yet")


def _with_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in values.items()}


def _plain(row: Row) -> dict[str, Any]:
    """JSON has no nan."""
    return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in asdict(row).items()}
