"""`nbkit sweep`: one notebook with many parameters, each point a run of its own, resumable after any interruption.

rates.yaml:
  notebook: 22_glow_train        # a name in notebooks/, or a path; `nbkit run 22_glow_train --help` tells its values
  preset: smoke                  # optional
  fixed: {stop_at: 60}           # optional; the same in all points
  grid: {learning_rate: [1e-3, 3e-3], size: [tiny, small]}          # all combinations, or
  list: [{seed: 0}, {seed: 1}]                                      # these, or
  random: {count: 20, seed: 0, learning_rate: {low: 1e-4, high: 1e-2, log: true}, size: [tiny, small]}
  retries: 1                     # further tries of a point that fails; 0
  minutes: 30                    # of each try; 0 for no limit
  best: best_val_loss            # what tells the best point, the least; -val_accuracy takes the greatest
  hypothesis: "..."              # optional, as expectation: what each run carries from its start on

nbkit sweep rates.yaml             run what is not done; after an interruption, or with points added, the same again
nbkit sweep rates.yaml --status    how it stands, from any terminal
nbkit sweep rates.yaml --cancel    let what runs save and stop, from any terminal, as ctrl-C does in its own

What failed stands in outputs/sweeps/<name>/failures.txt, the table of the runs in runs.csv beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nbkit.base import colab, record
from nbkit.base.record import RunBusyError, write_json
from nbkit.run import engines, points
from nbkit.run.sweep_file import Sweep, SweepError, read
from nbkit.run.sweep_result import Result, best_of, changes, row_of

__all__ = ["Result", "Sweep", "SweepError", "cancel", "cancelling", "follow", "read", "run"]
_POLL = 0.2
_TICK = {True: 2.0, False: 60.0}  # seconds between two lines on what runs, where somebody looks and in a log


def add_parser(subparsers: Any) -> None:
    """Add `sweep` to the command line."""
    parser = subparsers.add_parser(
        "sweep", help="run a notebook with many parameters", epilog=(__doc__ or "").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("file", metavar="SWEEP.yaml", help="what to run; below is all that it may say")
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="runs at once; by default one a GPU or core")
    parser.add_argument("--scheduler", default="", metavar="ADDRESS", help="a Dask cluster instead, as tcp://host:8786")
    parser.add_argument("--failed", action="store_true", help="try those again that failed")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--status", action="store_true", help="only show how it stands")
    other.add_argument("--cancel", action="store_true", help="let the points that run save and stop")
    parser.set_defaults(call=_command)


def run(
    sweep: Sweep, *, jobs: int = 0, scheduler: str = "", failed: bool = False,
    told: Callable[[int, dict[str, Any]], None] = lambda number, state: None, tick: Callable[[], None] = lambda: None,
) -> Result:  # fmt: skip
    """Run what is not done yet, and return how it stands. An interrupt, or SIGTERM, lets the running points save first.

    jobs       runs at once; 0 takes one a GPU, without GPUs one a core, at most 4
    scheduler  address of a Dask cluster that sees this folder; its workers take the points instead
    failed     try those again that failed
    told       is called with a point and its state when it ends; tick several times a second
    raises RunBusyError while another process runs this sweep
    """
    folder = sweep.folder
    (folder / "points").mkdir(parents=True, exist_ok=True)
    with _held(sweep):
        (folder / points.CANCEL).unlink(missing_ok=True)
        waiting = _prepare(sweep, failed)
        how = {"tries": sweep.retries + 1, "minutes": sweep.minutes}
        engine = engines.Dask(folder, scheduler, **how) if scheduler else engines.Local(folder, jobs, **how)
        result = Result.of(sweep)
        with contextlib.closing(engine), cancelling(folder):
            futures = {engine.submit(sweep.key(number)): number for number in waiting}
            while futures:
                for future in [one for one in futures if one.done()]:
                    number = futures.pop(future)
                    result.states[number] = _ended(sweep, number, future)
                    told(number, result.states[number])
                tick()
                time.sleep(_POLL if futures else 0)
        _write(result)
    return result


@contextlib.contextmanager
def _held(sweep: Sweep) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(record.held(sweep.folder))
        except RunBusyError:
            raise RunBusyError(
                f"another process runs {sweep.name}; --status shows how it stands, --cancel stops it"
            ) from None
        yield


def _prepare(sweep: Sweep, failed: bool) -> list[int]:
    """Write down what each point is; returns those that are to be run."""
    waiting = []
    for number, config in enumerate(sweep.points):
        key = sweep.key(number)
        state = points.read(sweep.folder, key)
        gone = state["state"] == points.OK and not Path(state["folder"]).exists()
        again = state["state"] == points.STOPPED or gone or (failed and state["state"] == points.FAILED)
        if "parameters" not in state or again:
            asked = {"notebook": str(sweep.notebook), "parameters": config.as_dict(), "said": dict(sweep.said)}
            state |= {**asked, "state": points.WAITING, "error": "", "folder": "", "seconds": 0.0}
            write_json(points.path(sweep.folder, key), state)
        if state["state"] in (points.WAITING, points.RUNNING):
            waiting.append(number)
    return waiting


def _ended(sweep: Sweep, number: int, future: engines.Future) -> dict[str, Any]:
    """How a point ended, also where the worker that had it is gone."""
    try:
        error = future.exception()
    except BaseException as lost:  # cancelled, as all of a scheduler that is gone
        error = lost
    state = points.read(sweep.folder, sweep.key(number))
    if error is None:
        cut = state["state"] in (points.WAITING, points.RUNNING) and not (sweep.folder / points.CANCEL).exists()
        told = "what ran it is gone, as when a Dask scheduler dies; the same command goes on"
        return state | ({"error": told} if cut else {})
    if points.is_alive(state):
        return state | {"error": f"it runs on, but nobody watches it ({error}); the same command waits for it"}
    state |= {"state": points.FAILED, "error": f"what ran it gave up: {type(error).__name__}: {error}"}
    with contextlib.suppress(OSError):  # a full disk, which is what the error tells
        write_json(points.path(sweep.folder, sweep.key(number)), state)
    return state


@contextlib.contextmanager
def cancelling(folder: Path) -> Iterator[None]:
    """A signal asks all points to save and leave; who runs them sees the file, on whatever machine."""

    def cancel(number: int, _frame: object) -> None:
        if number == signal.SIGHUP:  # the terminal is gone, and whatever is written to it an error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in (1, 2):
                if os.isatty(stream):
                    os.dup2(nowhere, stream)
        (folder / points.CANCEL).touch()
        told = f"\n{signal.Signals(number).name}: points that run are asked to save and stop, within a minute\n"
        with contextlib.suppress(OSError):
            os.write(2, told.encode())

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        # what the caller ignores, as nohup does with SIGHUP, stays ignored
        before = {one: signal.signal(one, cancel) for one in numbers if signal.getsignal(one) != signal.SIG_IGN}
    except ValueError:  # not in the main thread, where no signal arrives
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def cancel(sweep: Sweep) -> list[int]:
    """Ask the points that run to save and stop; returns them.

    Who runs the sweep sees to it. Of a sweep whose starter was killed, this waits for the points that run here.
    """
    running = [number for number, one in enumerate(sweep.states()) if one["state"] == points.RUNNING]
    if running or record.is_busy(sweep.folder):
        (sweep.folder / points.CANCEL).touch()
    if running and not record.is_busy(sweep.folder):
        alive = [number for number in running if points.is_alive(points.read(sweep.folder, sweep.key(number)))]
        with ThreadPoolExecutor(max(1, len(alive))) as pool:
            list(pool.map(lambda number: points.run(str(sweep.folder), sweep.key(number)), alive))
        return alive
    return running


def _write(result: Result) -> None:
    """The table of the sweep's runs, and what failed, beside its points."""
    from nbkit.evaluate import runs

    sweep, rows = result.sweep, [row for row in result.runs().values() if row]
    if rows:
        runs.write(rows, sweep.folder / "runs.csv")
    failures = sweep.folder / "failures.txt"
    parts = [
        f"point {sweep.told(number)}: {result.states[number]['error']}\n"
        f"{points.traceback(sweep.folder, sweep.key(number))}\n"
        for number in result.failed
    ]
    failures.write_text("\n".join(parts), encoding="utf8") if parts else failures.unlink(missing_ok=True)


def follow(sweep: Sweep, *, jobs: int = 0, scheduler: str = "", failed: bool = False) -> Result:
    """`run` with its progress shown, in a terminal or a notebook: what is done, how far what runs is, the best."""
    from nbkit.views.progress import Display

    before = Result.of(sweep)
    rows, failures, looked = before.runs(), 0 if failed else len(before.failed), 0.0
    somebody_looks = colab.in_kernel() or sys.stdout.isatty()
    with Display(sweep.name, len(sweep.points), unit="point") as display:
        display.update({"step": len(rows)})

        def told(number: int, state: dict[str, Any]) -> None:
            nonlocal failures
            if state["state"] == points.OK:
                rows[number] = row_of(state)
            failures += state["state"] == points.FAILED
            if state["error"] and state["state"] != points.STOPPED:
                display.note(f"point {sweep.told(number)} {state['state']}: {state['error']}")
            display.aside = _aside(sweep, rows, failures)
            display.update({"step": len(rows)})

        def tick() -> None:
            nonlocal looked
            if time.monotonic() - looked > _TICK[somebody_looks]:
                looked = time.monotonic()
                display.aside = _aside(sweep, rows, failures)
                display.refresh()

        result = run(sweep, jobs=jobs, scheduler=scheduler, failed=failed, told=told, tick=tick)
        display.aside = _aside(sweep, rows, failures)
        display.end("finished" if result.done + len(result.failed) == len(sweep.points) else "interrupted")
    return result


def _aside(sweep: Sweep, rows: dict[int, dict[str, Any]], failures: int) -> str:
    """What failed, what runs and how far it is, the best so far."""
    parts = [f"{failures} failed"] if failures else []
    for number in range(len(sweep.points)):
        if number not in rows and (path := points.path(sweep.folder, sweep.key(number))).with_suffix(".log").exists():
            _, step, last = points.progress(sweep.folder, path.stem)
            parts += [f"{number:03d} at step {step:,} of {last:,}"] if step and last else []
    return " · ".join([*parts, *filter(None, [best_of(sweep, rows)])])


def _command(arguments: argparse.Namespace) -> int:
    try:
        sweep = read(arguments.file)
        if arguments.status:
            print(Result.of(sweep))
            return 0
        if arguments.cancel:
            asked = ", ".join(f"{number:03d}" for number in cancel(sweep))
            print(f"asked to save and stop: {asked}" if asked else "nothing of this sweep runs")
            return 0
        before = Result.of(sweep)
        print(f"{sweep.name}: {len(sweep.points)} points, {before.done} of them done before")
        print("".join(f"{line}\n" for line in changes(before)), end="", flush=True)
        how = {"jobs": arguments.jobs, "scheduler": arguments.scheduler, "failed": arguments.failed}
        result = follow(sweep, **how)
    except (ValueError, RunBusyError, OSError) as error:
        print(f"nbkit sweep: {error}", file=sys.stderr)
        return 2
    print("\n".join(filter(None, [repr(result), result.best()])))
    if result.failed:
        print(f"{len(result.failed)} failed, see {sweep.folder / 'failures.txt'}; --failed tries them again")
    if left := len(sweep.points) - result.done - len(result.failed):
        print(f"{left} not run to their end; the same command goes on with them")
    return 0 if result.done == len(sweep.points) else 1
