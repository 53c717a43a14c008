"""`nbkit runs list | restore | prune`: the runs of this machine and of the mirror. Others are in run.compare."""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from nbkit.base import workspace
from nbkit.base.amounts import duration, size
from nbkit.base.record import Record, RunBusyError
from nbkit.run import compare
from nbkit.run.data import table
from nbkit.train import inventory, prune
from nbkit.train.inventory import InventoryError, Run
from nbkit.train.shelf import Shelf

HEADS = ("run", "state", "step", "safe", "where", "size here", "written", "parameters")
_SECONDS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def add_parser(subparsers: Any) -> None:
    """Add `runs` to the command line."""
    parser = subparsers.add_parser("runs", help="list and compare runs, note what they show, make room")
    _json(parser, False)
    parser.set_defaults(call=_told(_list))
    actions = parser.add_subparsers(metavar="ACTION")

    action = actions.add_parser("list", help="all runs, here and on the mirror; what `nbkit runs` does alone",
                                epilog=compare.COLUMNS)  # fmt: skip
    _json(action, argparse.SUPPRESS)
    compare.choosing(action)
    action.set_defaults(call=_told(_list))

    action = actions.add_parser("restore", help="bring the newest whole checkpoint of a run back from the mirror")
    action.add_argument("run", metavar="RUN")
    action.add_argument("--step", type=int, metavar="N", help="that of step N instead")
    action.set_defaults(call=_told(_restore))

    action = actions.add_parser("prune", help="remove checkpoints that are no longer needed; shows first what would go")
    action.add_argument("runs", nargs="*", metavar="RUN", help="by default all that are finished")
    how_much = action.add_mutually_exclusive_group()
    how_much.add_argument(
        "--keep", type=int, default=1, metavar="N", help="newest checkpoints that stay beside the best one; 1"
    )
    how_much.add_argument("--whole", action="store_true", help="the named runs, with log, pictures, sounds and exports")
    action.add_argument(
        "--older-than", type=_age, default=0.0, metavar="AGE", help="only runs not written to since, as 30d, 12h or 2w"
    )
    action.add_argument("--mirror", action="store_true", help="remove on the mirror, and nothing here")
    action.add_argument("--yes", action="store_true", help="do it, do not only show it")
    action.set_defaults(call=_told(_prune))
    compare.add_actions(actions)


def _json(parser: argparse.ArgumentParser, default: Any) -> None:
    parser.add_argument("--json", action="store_true", default=default, help="for a program to read")


def _age(text: str) -> float:
    """Seconds in 30d."""
    found = re.fullmatch(r"(\d+)([hdw])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"wanted an age as 12h, 30d or 2w, got {text!r}")
    return int(found[1]) * _SECONDS[found[2]]


def _told(action: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """An action whose errors are told in words, with exit status 1."""

    def call(arguments: argparse.Namespace) -> int:
        try:
            return action(arguments)
        except BrokenPipeError:
            raise
        except (InventoryError, RunBusyError, OSError, ValueError) as error:
            print(f"nbkit runs: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nstopped", file=sys.stderr)
            return 130

    return call


def _shelf(wanted: bool = False) -> Shelf | None:
    """The mirror, None where there is none (an error where it is wanted)."""
    place = workspace.mirror()
    if place is None and wanted:
        raise InventoryError("wanted a mirror, there is none: mount Drive on Colab, or name the folder in NBKIT_MIRROR")
    return Shelf(place) if place else None


def _look() -> tuple[list[Run], list[str]]:
    shelf = _shelf()
    if shelf and not shelf.root.exists() and shelf.root.parent.is_dir():
        found, _ = inventory.look()
        return found, [f"the mirror {shelf} holds nothing yet; should it, see that the disk it lies on is mounted"]
    return inventory.look(shelf)


def _list(arguments: argparse.Namespace) -> int:
    found, notes = _look()
    heads, more = tuple(head.upper() for head in HEADS), {}
    if getattr(arguments, "where", []) or getattr(arguments, "sort", "") or getattr(arguments, "first", 0):
        by_name = {run.name: run for run in found}
        names, more = compare.columns(arguments)
        heads += tuple(names)
        found = [by_name[name] for name in more if name in by_name]
    if arguments.json:
        values = [
            {**run._asdict(), "folder": run.folder and str(run.folder), "where": run.where, **more.get(run.name, {})}
            for run in found
        ]
        print(json.dumps({"runs": values, "notes": notes}, ensure_ascii=False, indent=1))
        return 0
    none = f"no run in {workspace.runs()} " + ("meets that" if getattr(arguments, "where", []) else "yet")
    shown = [(*_row(run), *map(compare.text, more.get(run.name, {}).values())) for run in found]
    print(table([heads, *shown]) if found else none)
    for note in notes:
        print(f"nbkit runs: {note}", file=sys.stderr)
    return 0


def rows(most: int = 10) -> list[tuple[str, ...]]:
    """The runs that were written to last, for a table in a notebook with HEADS."""
    return [_row(run) for run in _look()[0][:most]]


def _row(run: Run) -> tuple[str, ...]:
    """A line of the list. The task is in the run's name."""
    step = _pace(run) if run.state == "running" else f"{run.step:,}"
    safe = "-" if run.confirmed is None else f"{run.confirmed:,}"
    shown = run.changed if len(run.changed) <= 60 else run.changed[:59] + "…"
    return (
        run.name, run.state, step, safe, run.where, size(run.size) if run.folder else "-",
        f"{_ago(time.time() - run.written)} ago" if run.written else "-", shown,
    )  # fmt: skip


def _pace(run: Run) -> str:
    """How far a run is that is at work, as 120 of 300, 5 min left."""
    if run.folder is None:
        return f"{run.step:,}"
    newest, seconds = Record(run.folder, {}).pace()
    step, last = max(newest, run.step), Record.read(run.folder).config.get("parameters", {}).get("stop_at", 0)
    if not isinstance(last, int) or last <= step:
        return f"{step:,}"
    return f"{step:,} of {last:,}" + (f", {duration(seconds * (last - step))} left" if seconds else "")


def _ago(seconds: float) -> str:
    return f"{seconds / 86400:.0f} days" if seconds > 2 * 86400 else duration(max(0.0, seconds))


def _restore(arguments: argparse.Namespace) -> int:
    shelf = _shelf(wanted=True)
    assert shelf is not None
    shelf.check()
    step, verdicts, notes = inventory.restore(shelf, arguments.run, arguments.step)
    rows = [("STEP", "WHERE", "SIZE", "WRITTEN", "VERDICT")]
    for one in verdicts:
        written = f"{_ago(time.time() - one.written)} ago" if one.written else ""
        rows.append((f"{one.step:,}", one.where, size(one.size) if one.size else "", written, one.verdict))
    print(table(rows))
    for note in notes:
        print(note)
    folder = workspace.runs() / arguments.run
    if step is not None:
        print(f"\nstep {step:,} of {arguments.run} is in {folder}; training with the same parameters goes on from it")
        return 0
    if arguments.step is not None and any(one.where == "here" and one.verdict == "whole" for one in verdicts):
        print(f"\nNothing was changed. To go back, first move what is newer out of {folder / 'checkpoints'}")
    elif any(one.verdict == "whole" for one in verdicts):
        print("\nNothing to bring back: what lies here is as new")
        return 0
    else:
        print(f"\nNothing was brought back: none of {len(verdicts)} is whole")
    return 1


def _prune(arguments: argparse.Namespace) -> int:
    if arguments.whole and not arguments.runs:
        print("nbkit runs: --whole removes whole runs, so it wants their names", file=sys.stderr)
        return 2
    least = 1 if arguments.mirror else 0
    if arguments.keep < least:
        print(f"nbkit runs: --keep wants at least {least}, got {arguments.keep}; --whole RUN removes it all",
              file=sys.stderr)  # fmt: skip
        return 2
    found, notes = _look()
    for note in notes:
        print(f"nbkit runs: {note}", file=sys.stderr)
    shelf = _shelf(wanted=True) if arguments.mirror else None
    if shelf:
        shelf.check()
    chosen = _named(found, arguments.runs)
    going, left = prune.plan(
        chosen, shelf, keep=arguments.keep, older_than=arguments.older_than, named=bool(arguments.runs),
        whole=arguments.whole,
    )  # fmt: skip
    _show(going, left)
    if not going:
        return 0
    if not arguments.yes:
        print(f"\n{size(sum(one.size for one in going))} would be free. Nothing was removed yet; add --yes to do it")
        return 0
    freed, failed = 0, False
    for one in going:
        try:
            freed += prune.carry_out(one, shelf)
        except (RunBusyError, OSError) as error:
            failed = True
            print(f"nbkit runs: {error}", file=sys.stderr)
    print(f"\n{size(freed)} are free now")
    return 1 if failed else 0


def _named(found: list[Run], names: list[str]) -> list[Run]:
    """The runs of these names, or all."""
    by_name = {run.name: run for run in found}
    for name in names:
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, n=1)
            meant = f"; did you mean {near[0]}?" if near else "; `nbkit runs` lists them"
            raise InventoryError(f"wanted the name of a run, got {name!r}{meant}")
    return [by_name[name] for name in dict.fromkeys(names)] if names else found


def _show(going: list[prune.Removal], left: list[prune.Left]) -> None:
    if going:
        rows = [("RUN", "WHERE", "GOES", "STAYS", "SIZE", "MIND")]
        for one in going:
            what = "all of it" if one.whole else _steps(one.steps) or "what was damaged or half written"
            rows.append((one.run, one.where, what, _steps(one.kept) or "-", size(one.size), one.warning))
        print(table(rows))
    for one in left:
        print(f"left: {one.run}, {one.reason}")
    if not going:
        print("nothing to remove")


def _steps(steps: tuple[int, ...]) -> str:
    """500, 400 and 12 more."""
    shown = [f"step {steps[0]:,}", *(f"{step:,}" for step in steps[1:4])] if steps else []
    return ", ".join(shown) + (f" and {len(steps) - 4} more" if len(steps) > 4 else "")
