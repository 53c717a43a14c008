"""`nbkit runs show | compare | export | tag | note`: what was asked, what came out, what a person says of it."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbkit.base import record, workspace
from nbkit.base.record import Record
from nbkit.base.remarks import Remarks
from nbkit.run.data import table

SHORT = ("run", "state", "step")  # what every table begins with
COLUMNS = (
    "Columns are what `nbkit runs show RUN` lists: run, task, state, step, sweep, tags; each parameter, as "
    "learning_rate; what came out, as val_loss and best_val_loss. Conditions compare with = != < <= > >=, and ~ for "
    "`contains`; all of them have to hold."
)
_BESIDE = 4  # so many runs stand beside each other; more of them below


def add_actions(actions: Any) -> None:
    """Add them to `nbkit runs`."""
    action = actions.add_parser("show", help="all that is known of one run")
    action.add_argument("run", metavar="RUN", help="its name, or how only this one begins")
    action.set_defaults(call=_told(_show))

    action = actions.add_parser("compare", help="in what two or more runs differ, and what came of it")
    action.add_argument("runs", nargs="+", metavar="RUN", help="names, or how they begin")
    action.set_defaults(call=_told(_compare))

    action = actions.add_parser(
        "export", help="one table of all runs, or of those that meet conditions", epilog=COLUMNS
    )
    choosing(action)
    action.add_argument("-o", dest="output", metavar="FILE", help="ending in .csv, .md or .parquet; else it is printed")
    action.add_argument("--columns", nargs="+", metavar="NAME", help="these columns only")
    action.set_defaults(call=_told(_export))

    action = actions.add_parser("tag", help="put tags on a run, or take them off")
    action.add_argument("run", metavar="RUN")
    action.add_argument("tags", nargs="*", metavar="TAG", help="a word each; `nbkit runs list --where tags~TAG`")
    action.add_argument("--remove", nargs="+", default=[], metavar="TAG", help="take these off")
    action.set_defaults(call=_told(_tag))

    action = actions.add_parser(
        "note", help="write down what was expected of a run, what came of it, or a line of text",
        epilog="Without text it shows what was written. `nbkit run NOTEBOOK --hypothesis TEXT --expectation TEXT` says "
        "it before the run starts.",
    )  # fmt: skip
    action.add_argument("run", metavar="RUN")
    action.add_argument("text", nargs="?", default="", metavar="TEXT", help="a line that is kept with its time")
    for name, help in (("hypothesis", "what is believed"), ("expectation", "what the run should show then"),
                       ("verdict", "what it did show")):  # fmt: skip
        action.add_argument(f"--{name}", metavar="TEXT", help=help)
    action.set_defaults(call=_told(_note))


def choosing(parser: argparse.ArgumentParser) -> None:
    """The options that choose and sort runs."""
    parser.add_argument(
        "--where",
        nargs="+",
        default=[],
        metavar="CONDITION",
        help="as size=small, 'val_loss<1', 'text~제주', tags~good",
    )
    parser.add_argument(
        "--sort", default="", metavar="NAME", help="by a column, least first; --sort=-NAME greatest first"
    )
    parser.add_argument("--first", type=int, default=0, metavar="N", help="only so many; with --sort the best ones")


def chosen(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of the runs here that the options of `choosing` ask for."""
    from nbkit.evaluate import runs

    rows, damaged = runs.rows(record.runs())
    for line in damaged:
        print(f"nbkit runs: {line}", file=sys.stderr)
    return runs.choose(rows, where=arguments.where, sort=arguments.sort, first=arguments.first)


def columns(arguments: argparse.Namespace) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """The columns that the options name, and for each chosen run its values of them."""
    from nbkit.evaluate import runs

    names = [name for name in runs.asked(arguments.where, arguments.sort) if name not in (*SHORT, "task")]
    return names, {row["run"]: {name: row.get(name) for name in names} for row in chosen(arguments)}


def _told(action):
    """An action whose errors are told in words, with exit status 1."""

    def call(arguments: argparse.Namespace) -> int:
        try:
            return action(arguments)
        except BrokenPipeError:
            raise
        except (ValueError, OSError) as error:
            print(f"nbkit runs: {error}", file=sys.stderr)
            return 1

    return call


def _open(name: str) -> Record:
    """The run of that name, or of the only name that begins so."""
    folder = workspace.runs() / name
    if (folder / record.CONFIG).exists():
        return Record.read(folder)
    known = [run.name for run in record.runs()]
    begun = [one for one in known if one.startswith(name)]
    if len(begun) == 1:
        return Record.read(workspace.runs() / begun[0])
    near = begun or difflib.get_close_matches(name, known, n=3)
    meant = f"; did you mean {', '.join(near[:5])}?" if near else f"; `nbkit runs` lists those of {workspace.runs()}"
    raise ValueError(f"wanted the name of a run, got {name!r}{meant}")


def text(value: Any) -> str:
    """A value in a table of a terminal."""
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _show(arguments: argparse.Namespace) -> int:
    from nbkit.evaluate import runs

    run = _open(arguments.run)
    row, changed = runs.row(run), run.config.get("changed", {})
    parameters = [name for name in runs.parameters([row]) if name in run.config.get("parameters", {})]
    print(table([(name, text(row[name])) for name in runs.NAMING if row[name] not in ("", None)]))
    print(f"\nparameters, those that differ from {run.config.get('preset') or 'the defaults'} marked with *")
    print(table([(f"{'*' if name in changed else ' '} {name}", text(row[name])) for name in parameters]))
    measured = [(f"  {name}", text(row[name])) for name in runs.columns([row]) if runs.is_measured(name)]
    if measured:
        print("\nmeasured\n" + table(measured))
    for note in Remarks.read(run.folder).notes:
        print(f"\n{note.time[:16].replace('T', ' ')}  {note.text}", end="")
    print(f"\n{run.folder}")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from nbkit.evaluate import runs

    opened = [_open(name) for name in dict.fromkeys(arguments.runs)]
    if len(opened) < 2:
        raise ValueError(f"wanted two runs or more to compare, got {', '.join(arguments.runs)}")
    rows = [runs.row(run) for run in opened]
    lines = [(name, *(text(row[name]) for row in rows)) for name in SHORT]
    lines += [(name, *map(text, values)) for name, values in runs.told_apart(rows)]
    print(table(lines if len(rows) <= _BESIDE else list(zip(*lines))))
    data = {run.config.get("data") for run in opened}
    if len(data) > 1:
        print("\ntheir data are not the same")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from nbkit.evaluate import runs

    rows = chosen(arguments)
    if not rows:
        raise ValueError(f"no run in {workspace.runs()} meets that; leave conditions out")
    known = runs.columns(rows)
    names = arguments.columns or known
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no run has a column {unknown[0]!r}; there are {', '.join(known)}")
    if arguments.output:
        print(f"{len(rows)} runs, {len(names)} columns: {runs.write(rows, Path(arguments.output), names)}")
    else:
        print(runs.as_text(rows, "csv", names), end="")
    return 0


def _tag(arguments: argparse.Namespace) -> int:
    run = _open(arguments.run)
    if not arguments.tags and not arguments.remove:
        raise ValueError("wanted tags, or --remove and tags, got none")
    said = Remarks.read(run.folder).tagged(arguments.tags, arguments.remove).write(run.folder)
    print(f"{run.name}: {' '.join(said.tags) or 'no tags'}")
    return 0


def _note(arguments: argparse.Namespace) -> int:
    run = _open(arguments.run)
    said = Remarks.read(run.folder)
    given = {
        name: text
        for name in ("hypothesis", "expectation", "verdict")
        if (text := getattr(arguments, name)) is not None
    }
    if not given and not arguments.text:
        print(json.dumps({"hypothesis": said.hypothesis, "expectation": said.expectation, "verdict": said.verdict,
                          "notes": [note.text for note in said.notes]}, ensure_ascii=False, indent=1))  # fmt: skip
        return 0
    if run.status()["state"] in ("finished", "failed") and given.keys() & {"hypothesis", "expectation"}:
        # an expectation that is written when the result is known is none; it stays, and says so
        said = said.noted("hypothesis or expectation written after the run had ended")
    said = replace(said, **given)
    (said.noted(arguments.text) if arguments.text else said).write(run.folder)
    print(f"noted with {run.name}")
    return 0
