"""`nbkit sweep`: one notebook with many parameters, each point a run of its own, resumable after any interruption.

notebook: 22_glow_train        # a name in notebooks/, or a path
preset: smoke                  # optional
fixed: {stop_at: 60}           # optional; the same in all points
grid: {learning_rate: [0.001, 0.003], size: [tiny, small]}       # all combinations, or
list: [{seed: 0}, {seed: 1}]                                      # these, or
random: {count: 20, seed: 0, learning_rate: {low: 1e-4, high: 1e-2, log: true}, size: [tiny, small]}
retries: 1                     # further tries of a point that fails; 0
minutes: 30                    # of each try; 0 for no limit
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import math
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.base import record, workspace
from nbkit.base.amounts import duration
from nbkit.base.params import Params
from nbkit.base.record import RunBusyError, write_json
from nbkit.run import engines, points
from nbkit.run.data import table
from nbkit.run.notebook import find, params_class

WAYS = ("grid", "list", "random")
_KNOWN = ("name", "notebook", "preset", "fixed", "retries", "minutes", *WAYS)


class SweepError(ValueError):
    """A sweep that cannot be run as it is written: wanted, got, remedy."""


@dataclass(frozen=True)
class Sweep:
    """A checked sweep: its folder, and what each point changes and takes."""

    folder: Path
    notebook: Path
    points: tuple[Params, ...]
    varied: tuple[str, ...]
    retries: int = 0
    minutes: float = 0.0

    @property
    def name(self) -> str:
        return self.folder.name

    def states(self) -> list[dict[str, Any]]:
        """What is known of each point."""
        return [points.read(self.folder, number) for number in range(len(self.points))]


@dataclass
class Result:
    """How a sweep stands: the points that are done, that failed (with the last line of each), and the rest."""

    sweep: Sweep
    states: list[dict[str, Any]] = field(repr=False)

    @property
    def done(self) -> int:
        return sum(one["state"] == points.OK for one in self.states)

    @property
    def failed(self) -> list[int]:
        return [number for number, one in enumerate(self.states) if one["state"] == points.FAILED]

    def rows(self) -> list[tuple[str, ...]]:
        """A line a point: number, what varies, state, time, run folder."""
        heads = ("point", *self.sweep.varied, "state", "time", "run")
        return [heads, *map(self._row, range(len(self.states)))]

    def _row(self, number: int) -> tuple[str, ...]:
        one, config = self.states[number], self.sweep.points[number]
        values = [str(getattr(config, name)) for name in self.sweep.varied]
        time = duration(one["seconds"]) if one["seconds"] else "-"
        return (f"{number:03d}", *values, one["state"], time, Path(one["folder"]).name or "-")


def add_parser(subparsers: Any) -> None:
    """Add `sweep` to the command line."""
    parser = subparsers.add_parser(
        "sweep", help="run a notebook with many parameters", epilog=(__doc__ or "").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("file", metavar="SWEEP.yaml")
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="runs at once; by default one a GPU or core")
    parser.add_argument("--scheduler", default="", metavar="ADDRESS", help="a Dask cluster instead, as tcp://host:8786")
    parser.add_argument("--failed", action="store_true", help="try those again that failed")
    parser.add_argument("--status", action="store_true", help="only show how it stands")
    parser.set_defaults(call=_command)


def read(file: str | Path | Mapping[str, Any]) -> Sweep:
    """A sweep from a YAML file, or from what such a file holds; every point's parameters are checked.

    raises SweepError, and ParamsError for a parameter that the notebook does not take
    """
    import yaml

    spec = file
    if not isinstance(spec, Mapping):
        path = Path(spec)
        if not path.is_file():
            raise SweepError(f"wanted a YAML file of a sweep, got {file}; `nbkit sweep --help` shows one")
        try:
            spec = {"name": path.stem} | (yaml.safe_load(path.read_text(encoding="utf8")) or {})
        except (yaml.YAMLError, TypeError, ValueError) as error:
            raise SweepError(f"{path} is not the YAML of a sweep: {error}") from error
    for name in spec:
        if name not in _KNOWN:
            raise SweepError(f"a sweep has {', '.join(_KNOWN)}; got {name!r}")
    ways = [way for way in WAYS if way in spec]
    if "notebook" not in spec or len(ways) != 1:
        raise SweepError(f"a sweep wants a notebook and one of {', '.join(WAYS)}, got {', '.join(spec) or 'nothing'}")
    notebook = find(spec["notebook"])
    cls = params_class(notebook)
    changes = list({"grid": _grid, "list": _list, "random": _random}[ways[0]](spec[ways[0]]))
    configs = tuple(_configs(cls, spec, changes))
    asked = json.dumps([[config.as_dict() for config in configs], notebook.name], sort_keys=True, ensure_ascii=False)
    name = spec.get("name") or notebook.stem
    digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
    varied = tuple(dict.fromkeys(name for change in changes for name in change))
    folder = workspace.outputs() / "sweeps" / f"{name}-{digest}"
    return Sweep(folder, notebook, configs, varied, int(spec.get("retries", 0)), float(spec.get("minutes", 0.0)))


def _configs(cls: type[Params], spec: Mapping[str, Any], changes: list[dict[str, Any]]) -> Iterator[Params]:
    if not changes:
        raise SweepError("a sweep wants at least one point, got none")
    seen: dict[str, int] = {}
    for number, change in enumerate(changes):
        values = {**(spec.get("fixed") or {}), **change}
        config = cls.preset(spec["preset"], **values) if spec.get("preset") else cls.from_dict(values)
        key = json.dumps(config.identity(), sort_keys=True)
        if key in seen:
            raise SweepError(
                f"points {seen[key]} and {number} would be one run: they differ in nothing that changes the result. "
                "Take one out, or vary seed or repeat"
            )
        seen[key] = number
        yield config


def _grid(axes: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(axes, Mapping) or not all(isinstance(values, list) and values for values in axes.values()):
        raise SweepError(f"grid wants a list of values for each parameter, as size: [tiny, small], got {axes!r}")
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values))


def _list(found: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise SweepError(f"list wants points as [{{seed: 0}}, {{seed: 1}}], got {found!r}")
    yield from map(dict, found)


def _random(axes: Any) -> Iterator[dict[str, Any]]:
    """Draws that depend on seed and number alone: a greater count adds points and keeps those that there are."""
    axes = dict(axes) if isinstance(axes, Mapping) else {}
    count, seed = axes.pop("count", 0), axes.pop("seed", 0)
    if not isinstance(count, int) or count < 1 or not axes:
        raise SweepError("random wants a count of at least 1, and a list or {low, high} for each parameter")
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        yield {name: _drawn(name, axis, draw) for name, axis in axes.items()}


def _drawn(name: str, axis: Any, draw: random.Random) -> Any:
    if isinstance(axis, list) and axis:
        return draw.choice(axis)
    if isinstance(axis, Mapping) and {"low", "high"} <= axis.keys() <= {"low", "high", "log"}:
        low, high = (float(axis[end]) if isinstance(axis[end], str) else axis[end] for end in ("low", "high"))
        if low <= high and (low > 0 or not axis.get("log")):
            if axis.get("log"):
                return float(f"{math.exp(draw.uniform(math.log(low), math.log(high))):.4g}")
            if isinstance(low, int) and isinstance(high, int):
                return draw.randint(low, high)
            return float(f"{draw.uniform(low, high):.4g}")
    raise SweepError(f"random wants a list, or {{low, high}} (above 0 with log: true), for {name}, got {axis!r}")


def run(
    sweep: Sweep, *, jobs: int = 0, scheduler: str = "", failed: bool = False,
    told: Callable[[int, dict[str, Any]], None] = lambda number, state: None,
) -> Result:  # fmt: skip
    """Run what is not done yet, and return how it stands. An interrupt, or SIGTERM, lets the running points save first.

    jobs       runs at once; 0 takes one a GPU, without GPUs one a core, at most 4
    scheduler  address of a Dask cluster that sees this folder; its workers take the points instead
    failed     try those again that failed
    told       is called with a point and its state when it ends
    raises RunBusyError while another process runs this sweep
    """
    folder = sweep.folder
    (folder / "points").mkdir(parents=True, exist_ok=True)
    with record.held(folder):
        (folder / points.CANCEL).unlink(missing_ok=True)
        waiting = _prepare(sweep, failed)
        how = {"tries": sweep.retries + 1, "minutes": sweep.minutes}
        engine = engines.Dask(folder, scheduler, **how) if scheduler else engines.Local(folder, jobs, **how)
        with contextlib.closing(engine), cancelling(folder):
            for number, error in engine.ended(waiting):
                told(number, _state(sweep, number, error))
        result = Result(sweep, sweep.states())
        _write(result)
    return result


def _prepare(sweep: Sweep, failed: bool) -> list[int]:
    """Write down what each point is; returns those that are to be run."""
    waiting = []
    for number, config in enumerate(sweep.points):
        state = points.read(sweep.folder, number)
        again = state["state"] == points.STOPPED or (failed and state["state"] == points.FAILED)
        if "parameters" not in state or again:
            state |= {"notebook": str(sweep.notebook), "parameters": config.as_dict(), "state": points.WAITING}
            write_json(points.path(sweep.folder, number), state)
        if state["state"] in (points.WAITING, points.RUNNING):
            waiting.append(number)
    return waiting


def _state(sweep: Sweep, number: int, error: BaseException | None) -> dict[str, Any]:
    """How a point ended, also where the worker that had it is gone."""
    state = points.read(sweep.folder, number)
    if error is not None:
        state |= {"state": points.FAILED, "error": f"its worker is gone: {error}"}
        write_json(points.path(sweep.folder, number), state)
    return state


@contextlib.contextmanager
def cancelling(folder: Path) -> Iterator[None]:
    """A signal asks all points to save and leave; who runs them sees the file, on whatever machine."""

    def cancel(number: int, _frame: object) -> None:
        (folder / points.CANCEL).touch()
        os.write(2, f"\n{signal.Signals(number).name}: points that run are asked to save and stop\n".encode())

    try:
        before = {number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread, where no signal arrives
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write(result: Result) -> None:
    """The table of the sweep's runs, and what failed, beside its points."""
    from nbkit.evaluate import runs

    folders = [Path(one["folder"]) for one in result.states if one["state"] == points.OK]
    rows = [runs.row(record.Record.read(folder)) for folder in folders if (folder / record.CONFIG).exists()]
    if rows:
        runs.write(rows, result.sweep.folder / "runs.csv")
    failures = result.sweep.folder / "failures.txt"
    parts = [
        f"point {number:03d}: {result.states[number]['error']}\n{points.traceback(result.sweep.folder, number)}\n"
        for number in result.failed
    ]
    failures.write_text("\n".join(parts), encoding="utf8") if parts else failures.unlink(missing_ok=True)


def _command(arguments: argparse.Namespace) -> int:
    from nbkit.views.progress import Display

    try:
        sweep = read(arguments.file)
        if arguments.status:
            print(table(Result(sweep, sweep.states()).rows()))
            return 0
        before = Result(sweep, sweep.states())
        print(f"{sweep.name}: {len(sweep.points)} points, {before.done} of them done before")
        done, failures = before.done, 0 if arguments.failed else len(before.failed)
        with Display(sweep.name, len(sweep.points)) as display:
            display.update({"step": done, "failed": failures})

            def told(number: int, state: dict[str, Any]) -> None:
                nonlocal done, failures
                done += state["state"] == points.OK
                failures += state["state"] == points.FAILED
                if state["state"] == points.FAILED:
                    display.note(f"point {number:03d} failed: {state['error']}")
                display.update({"step": done, "failed": failures})

            result = run(sweep, jobs=arguments.jobs, scheduler=arguments.scheduler, failed=arguments.failed, told=told)
    except (ValueError, RunBusyError, OSError) as error:
        print(f"nbkit sweep: {error}", file=sys.stderr)
        return 2
    print(table(result.rows()))
    print(f"\n{result.done} of {len(sweep.points)} done, in {sweep.folder}")
    if result.failed:
        print(f"{len(result.failed)} failed, see {sweep.folder / 'failures.txt'}; --failed tries them again")
    return 0 if result.done == len(sweep.points) else 1
