"""What 90_compare_runs needs: records, read and never written to, and a few of them where there are none."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nbkit.base import record
from nbkit.base.params import Params, param
from nbkit.base.record import Record
from nbkit.evaluate import runs
from nbkit.evaluate.runs import Row

_CHANCE = ("seed", "repeat")
_LETTERS = 60  # of what sets a run apart
MADE = "sine"  # the task of the runs that are made where there are none


@dataclass(frozen=True)
class CompareRuns(Params):
    """Parameters of 90_compare_runs."""

    where: str = param("", "Conditions between commas, as: size is small, val_loss below 1. Empty takes all runs.")
    task: str = param("", "Runs of this task. Empty takes the task that has the most.")
    sweep: str = param("", "Runs of this sweep or pipeline, by the name of its folder. Empty takes all.")
    metric: str = param(
        "best_val_loss", "What came out, the lower the better; -val_accuracy: the greater the better.", identity=False
    )
    shown: int = param(3, "So many of the best runs side by side.", low=1, high=6, identity=False)

    PRESETS: ClassVar = {"smoke": {"task": MADE}}


@dataclass(frozen=True)
class Chosen:
    """Runs of one task, the best first, and what is known of them."""

    task: str
    metric: str
    greatest: bool  # whether the greatest is the best
    rows: list[Row]
    records: list[Record]

    def varied(self) -> list[str]:
        """The parameters in which the runs differ."""
        return [name for name in runs.differing(self.rows) if not runs.is_measured(name)]

    def axes(self) -> list[str]:
        """Axes of parallel coordinates: what varies, chance only where nothing else does, and what came out."""
        varied = self.varied()
        return [*([name for name in varied if name not in _CHANCE] or varied or ["run"])[:6], self.metric]

    def label(self, run: Record) -> str:
        """A run by what sets it apart: 0b0c4723: size small, learning_rate 0.003."""
        row = next(row for row in self.rows if row["run"] == run.name)
        told = ", ".join(f"{name} {row[name]}" for name in self.varied() if row.get(name, "") != "")
        short = run.name.removeprefix(f"{self.task}-")
        return f"{short}: {told if len(told) <= _LETTERS else told[: _LETTERS - 1] + '…'}" if told else run.name

    def curve(self) -> str:
        """What a log calls the metric; the loss where the metric is none of it."""
        name = self.metric.removeprefix("best_").removeprefix("val_")
        return name if any(name in line for run in self.records for line in run.rows("validation")) else "loss"


def choose(config: CompareRuns) -> Chosen:
    """The runs that the parameters ask for, of one task; raises ValueError where none does, and for bad conditions.

    Without a name it is the task of which most runs have the metric. Runs that cannot be read are told and left out.
    """
    metric, greatest = config.metric.removeprefix("-"), config.metric.startswith("-")
    found = record.runs()
    rows, damaged = runs.rows(found)
    print("".join(f"{line}\n" for line in damaged), end="")
    tasks = [row["task"] for row in rows]
    able = [row["task"] for row in rows if row.get(metric) is not None]
    task = config.task or max(sorted({*able}), key=able.count, default="")
    where = [condition(word) for word in config.where.split(",") if word.strip()]
    where += [f"sweep={config.sweep}"] if config.sweep else []
    rows = runs.choose([row for row in rows if row["task"] == task], where=where, sort=config.metric)
    rows = [row for row in rows if row.get(metric) is not None]
    if not rows:
        known = ", ".join(f"{tasks.count(name)} of {name}" for name in sorted({*tasks})) or "none"
        raise ValueError(f"no run of {task or 'any task'} meets that and has {metric}; runs here: {known}")
    by_name = {run.name: run for run in found}
    return Chosen(task, metric, greatest, rows, [by_name[row["run"]] for row in rows])


def condition(words: str) -> str:
    """A condition without the signs that a parameters cell cannot hold: "size is small" as "size=small"."""
    signs = {" is not ": "!=", " is ": "=", " below ": "<", " above ": ">", " has ": "~"}
    for word, sign in signs.items():
        if word in words:
            return words.replace(word, sign, 1).strip()
    raise ValueError(f"wanted a condition with one of {', '.join(s.strip() for s in signs)}, got {words!r}")


def make_some() -> list[str]:
    """Train eight networks of a thousand parameters on a sine, for a notebook that has no runs to read; their names."""
    from IPython.utils.capture import capture_output

    from nbkit.tasks.drive_resume import SineTask, SineTrain
    from nbkit.train.loop import fit

    print("No run here yet, so eight networks of a thousand parameters learn a sine, in a few seconds.")
    names = []
    pointer = os.environ.pop("NBKIT_RUN_POINTER", "")  # a notebook that runs headlessly is filed under its own record
    for rate in (0.001, 0.003, 0.01, 0.03):
        for batch_size in (8, 64):
            config = SineTrain(
                learning_rate=rate, batch_size=batch_size, warmup_steps=20, stop_at=120, evaluate_every=20,
                save_every=120, seconds_per_step=0.0,
            )  # fmt: skip
            task = SineTask(config)
            with capture_output(), task.record() as run:
                fit(task, config, task.store(run), run)
            names.append(run.name)
    os.environ["NBKIT_RUN_POINTER"] = pointer
    return names


def newest_files(run: Record, part: str, pattern: str) -> list[Path]:
    """The newest state of each picture or sound of a run: views/alignment-000000300.png and the like."""
    newest: dict[str, Path] = {}
    for path in sorted((run.folder / part).glob(pattern)):
        newest[_kind(path)] = path
    return list(newest.values())


def pictures(chosen: Chosen, best: list[Record]) -> dict[tuple[str, str], Path | None]:
    """The newest state of each picture: kind by kind, and of each kind one of each run, None where it has none.

    Stills of pages, which lie beside them, are left out: they show once more what a picture shows.
    """
    drawn = {run.name: newest_files(run, "views", "*.png") for run in best}
    found = {name: {_kind(one): one for one in files if not one.with_suffix(".html").exists()}
             for name, files in drawn.items()}  # fmt: skip
    kinds = dict.fromkeys(kind for of_run in found.values() for kind in of_run)
    return {(kind, chosen.label(run)): found[run.name].get(kind) for kind in kinds for run in best}


def _kind(path: Path) -> str:
    return path.stem.rpartition("-")[0] or path.stem


def seed_groups(chosen: Chosen) -> list[tuple[str, int, float, float]]:
    """Runs that differ in nothing but seed and repetition: their settings, how many, the lowest and highest measure."""
    names = [name for name in chosen.varied() if name not in _CHANCE]
    groups: dict[str, list[float]] = {}
    for row in chosen.rows:
        settings = ", ".join(f"{name} {row.get(name, '')}" for name in names)
        if runs.is_number(row[chosen.metric]):
            groups.setdefault(settings or "all the same", []).append(float(row[chosen.metric]))
    return [(told, len(found), min(found), max(found)) for told, found in groups.items() if len(found) > 1]
