"""A tracker beside the record: TensorBoard, W&B or MLflow hear what the log hears, through accelerate's log_with.

    outputs/runs/<run>/tracker/tensorboard/     tensorboard --logdir outputs/runs
    outputs/runs/<run>/tracker/wandb/           wandb sync outputs/runs/<run>/tracker/wandb/wandb/offline-run-*
    outputs/runs/<run>/tracker/mlflow/          mlflow ui --backend-store-uri sqlite:///<that folder>/session-1.db

The files of the record are the truth. Each session makes the tracker's folder anew from log.jsonl, which has been
rewound to the checkpoint by then, and goes on from there. So its curves are those of the log, whatever happened: steps
that are done twice are there once, a tracker that was asked for late has all, and one that was on a machine that is
gone is made again, which is why no mirror has to carry it. Pictures and sounds stay in views/ and audio/.

A tracker that fails is told of once and given up; training goes on without it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbkit.base.record import ENVIRONMENT, Record, read_json

PACKAGES = {"tensorboard": "tensorboard>=2.19", "wandb": "wandb>=0.21", "mlflow": "mlflow>=3.1"}
FOLDER = "tracker"  # of a run folder
# steps of the log that a session tells again, in seconds; of more, every n-th. MLflow needs tens of milliseconds each
MOST_REPLAYED = {"tensorboard": 10_000, "wandb": 10_000, "mlflow": 1_000}


def check(name: str) -> None:
    """Raises ModuleNotFoundError, which says what to install, where a tracker is not installed."""
    from accelerate.tracking import get_available_trackers

    if name and name not in map(str, get_available_trackers()):
        raise ModuleNotFoundError(
            f"tracker={name!r} wants the package {name}, which this process did not find; run `pip install "
            f"'{PACKAGES[name]}'` and start the kernel anew, or set tracker to \"\": log.jsonl has the same numbers"
        )


def folder(run: Record, name: str) -> Path:
    """Where a tracker of a run writes, and nowhere else."""
    return run.folder / FOLDER / name


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """A line of the log as a tracker takes it: {"train/loss": 0.5, "train/amount/tokens": 812.0}."""
    flat = {**row, **{f"amount/{name}": count for name, count in row.get("amount", {}).items()}}
    split = row.get("split", "train")
    return {f"{split}/{name}": float(v) for name, v in flat.items() if name != "step" and _is_number(v)}


def _is_number(value: Any) -> bool:
    """The log writes a number that is not finite as a text."""
    return isinstance(value, int | float) or value in ("nan", "inf", "-inf")


class Tracker:
    """What the loop tells its numbers; does nothing without a name, and in all processes but the first.

    accelerator   made with log_with=name and logging_dir=folder(run, name).parent
    tell          hears in words where the tracker writes, and once what went wrong with it
    """

    def __init__(self, name: str, accelerator: Any, run: Record, tell: Callable[[str], None]):
        self.name, self.accelerator, self.run, self.tell = name, accelerator, run, tell
        self._works = bool(name) and run.writer
        self._home = contextlib.ExitStack()

    def start(self) -> None:
        """Make its folder anew, and tell it the log so far."""
        self._safely(self._start)

    def log(self, row: Mapping[str, Any]) -> None:
        """Tell it a line of the log."""
        self._safely(lambda: self.accelerator.log(numbers(row), step=row["step"]))

    def close(self) -> None:
        """Let it write what it still holds; not accelerate's end_training, which would part the processes too."""
        for one in self.accelerator.trackers:
            if self._works:
                self._safely(one.finish)
            else:
                with contextlib.suppress(Exception):  # told already
                    one.finish()
        self._works = False
        self._home.close()

    def _start(self) -> None:
        place, config = folder(self.run, self.name), self.run.config
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        asked = {**config["parameters"], "task": config["task"], "run": self.run.name, "data": config["data"]}
        # the name of a project, which TensorBoard takes for that of its folder
        project = self.name if self.name == "tensorboard" else config["task"]
        session = len(read_json(self.run.folder / ENVIRONMENT, []))
        self._home.enter_context(_at_home(self.name, place, session))
        options = _options(self.name, place, self.run.name)
        self.accelerator.init_trackers(project, asked, {self.name: options})
        for row in thinned(self.run.rows(), MOST_REPLAYED[self.name]):
            self.accelerator.log(numbers(row), step=row["step"])
        self.tell(f"{self.name} hears the log too: {place}")

    def _safely(self, action: Callable[[], None]) -> None:
        if not self._works:
            return
        try:
            action()
        except Exception as error:  # what was learnt is worth more than a curve of it
            self._works = False
            self.tell(f"{self.name} is given up, the log goes on: {type(error).__name__}: {error}")


def thinned(rows: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """All that was validated, and every n-th step of training, so that these are at most so many."""
    steps = sum(row.get("split", "train") == "train" for row in rows)
    nth = max(1, -(-steps // most))
    return [row for row in rows if row.get("split", "train") != "train" or row["step"] % nth == 0]


def _options(name: str, place: Path, run: str) -> dict[str, Any]:
    """What the tracker's own beginning is given, beside the name of the project."""
    if name == "mlflow":
        return {"logging_dir": (place / "artifacts").absolute().as_uri(), "run_name": run}
    if name != "wandb":
        return {}
    import wandb

    # console: what a cell prints is the display's; symlink: a mounted Drive has none
    settings = wandb.Settings(console="off", silent=True, symlink=False, disable_git=True, save_code=False)
    mode: Any = os.environ.get("WANDB_MODE", "offline")
    again = {"resume": "allow"} if mode == "online" else {}  # a file of an offline run begins with the first step
    return {"dir": str(place), "mode": mode, "id": run, "name": run, "settings": settings, **again}


@contextlib.contextmanager
def _at_home(name: str, place: Path, session: int) -> Iterator[None]:
    """A tracker keeps all that it writes in `place` and reports to nobody, unless the environment says otherwise.

    MLflow keeps databases open by their names, so a second session in one process wants another name than the first.
    """
    wanted = {
        "wandb": {"WANDB_CACHE_DIR": str(place / "cache"), "WANDB_ERROR_REPORTING": "false"},
        "mlflow": {
            "MLFLOW_TRACKING_URI": f"sqlite:///{place.absolute()}/session-{session}.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
    }.get(name, {})
    given = {variable: value for variable, value in wanted.items() if variable not in os.environ}
    os.environ.update(given)
    try:
        yield
    finally:
        for variable in given:
            del os.environ[variable]
