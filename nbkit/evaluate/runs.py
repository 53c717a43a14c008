"""Runs as rows of one table: chosen, sorted, told apart, written out. Reads run folders, never changes them.

read, damaged = runs.rows(record.runs())
found = runs.choose(read, where=["size=small", "val_loss<1"], sort="val_loss")
runs.differing(found)           # the parameters that are not the same in all
runs.write(found, "runs.csv")
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nbkit.base.record import LOG, Record, read_json
from nbkit.base.remarks import Remarks
from nbkit.evaluate.results import Results

Row = dict[str, Any]
"""Column -> value. First what names the run, then its parameters, then val_* and results."""

NAMING = (
    "run",
    "task",
    "state",
    "step",
    "started",
    "seconds",
    "device",
    "sweep",
    "tags",
    "hypothesis",
    "expectation",
    "verdict",
)
FORMATS = ("csv", "md", "parquet")
_SECONDS = re.compile(rb'"seconds": ?([0-9.e+-]+)[,}]')
_CONDITION = re.compile(r"\s*([\w .:+-]+?)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*")


class RunsError(ValueError):
    """Runs that cannot be chosen or written as asked: wanted, got, remedy."""


def row(run: Record) -> Row:
    """All that is known of one run, flat.

    run, task, state, step, started, device   of its record; tags and remarks of a person
    seconds            of all training steps in its log
    <parameter>        each of its parameters
    val_<name>         the newest validation; best_val_loss the lowest loss of all of them
    <metric>, <system> each number of its results.json
    """
    config, status = run.config, run.status()
    seconds, measured = _told_by_log(run.folder / LOG)
    sessions, said = read_json(run.folder / "environment.json", []), Remarks.read(run.folder)
    device = (sessions[-1].get("gpu") or {}).get("name") or sessions[-1].get("device", "") if sessions else ""
    values: Row = {
        "run": run.name, "task": config.get("task", ""), "state": run.state(), "step": status.get("step", 0),
        "started": sessions[0].get("started", "") if sessions else "",
        "seconds": seconds, "device": device,
        "sweep": read_json(run.folder / "run.json", {}).get("sweep", ""),
        "tags": " ".join(said.tags), "hypothesis": said.hypothesis, "expectation": said.expectation,
        "verdict": said.verdict,
    }  # fmt: skip
    values |= {name: value for name, value in config.get("parameters", {}).items() if name not in values}
    if measured:
        newest = {name: value for name, value in measured[-1].items() if name not in ("step", "split", "seconds")}
        values |= {f"val_{name}": _number(value) for name, value in newest.items()}
        losses = [loss for line in measured if isinstance(loss := line.get("loss"), int | float)]
        values |= {"best_val_loss": min(losses)} if losses else {}
    return values | {f"{one.metric}, {one.system}": one.value for one in Results(run.folder).all()}


def rows(found: Iterable[Record]) -> tuple[list[Row], list[str]]:
    """The rows of runs, and in words which ones cannot be read, as after the death of a machine."""
    read, damaged = [], []
    for run in found:
        try:
            read.append(row(run))
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            damaged.append(f"{run.name} is left out, a file of it cannot be read: {error}")
    return read, damaged


def _told_by_log(path: Path) -> tuple[float, list[dict[str, Any]]]:
    """Seconds of all lines, and the lines of validation; hundreds of long logs are not parsed for that."""
    content = path.read_bytes() if path.exists() else b""
    seconds = sum(map(float, _SECONDS.findall(content)))
    lines, end = [], 0
    while (found := content.find(b'"validation"', end)) >= 0:
        start, end = content.rfind(b"\n", 0, found) + 1, content.find(b"\n", found)
        end = len(content) if end < 0 else end
        with contextlib.suppress(ValueError):  # half written
            lines.append(json.loads(content[start:end]))
    return round(seconds, 1), [line for line in lines if line.get("split") == "validation"]


def _number(value: Any) -> Any:
    """The log writes a number that is not finite as a text."""
    return float(value) if value in ("nan", "inf", "-inf") else value


def columns(rows: Iterable[Row]) -> list[str]:
    """Every column that a row has, in the order in which they come."""
    return list(dict.fromkeys(name for one in rows for name in one))


def choose(rows: Iterable[Row], *, where: Sequence[str] = (), sort: str = "", first: int = 0) -> list[Row]:
    """The rows that meet all conditions, sorted, the first few of them.

    where  "name=value", with one of = != < <= > >= and ~ for "contains"; a row without that column does not meet it
    sort   a column, the least first; "-name" for the greatest first. Rows without it come last
    first  so many; 0 for all
    raises RunsError for a condition that is none, and for a column that no row has
    """
    found = list(rows)
    for condition in where:
        name, compare, wanted = _parsed(condition, found)
        found = [one for one in found if name in one and _meets(one[name], compare, wanted)]
    if sort:
        name, falls = sort.removeprefix("-"), sort.startswith("-")
        _known(name, found)
        have = [one for one in found if not _missing(one.get(name))]
        have.sort(key=lambda one: _order(one[name]), reverse=falls)
        found = have + [one for one in found if _missing(one.get(name))]
    return found[:first] if first else found


def asked(where: Sequence[str], sort: str) -> list[str]:
    """The columns that conditions and an order name."""
    matches = (_CONDITION.fullmatch(condition) for condition in where)
    return list(dict.fromkeys([sort.removeprefix("-")] * bool(sort) + [match[1] for match in matches if match]))


def _parsed(condition: str, rows: Sequence[Row]) -> tuple[str, str, str]:
    match = _CONDITION.fullmatch(condition)
    if not match:
        raise RunsError(
            f"wanted a condition as 'size=small' or 'val_loss<1', got {condition!r}; = != < <= > >= ~ compare"
        )
    name, compare, wanted = match.groups()
    _known(name, rows)
    return name, compare, wanted


def _known(name: str, rows: Sequence[Row]) -> None:
    names = columns(rows)
    if rows and name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        meant = f"did you mean {near[0]}?" if near else "`nbkit runs export` shows all columns"
        raise RunsError(f"no run has a column {name!r}; {meant}")


def _meets(value: Any, compare: str, wanted: str) -> bool:
    if compare == "~":
        return wanted.casefold() in str(value).casefold()
    if isinstance(value, bool):
        value = str(value).lower()
        wanted = wanted.lower()
    number = _as_number(wanted)
    if isinstance(value, int | float) and number is None and compare not in ("=", "!="):
        raise RunsError(f"wanted a number to compare {value!r} with, got {wanted!r}")
    if isinstance(value, int | float) and number is not None:
        left, right = float(value), number
    else:
        left, right = str(value), wanted
    return {
        "=": left == right, "!=": left != right, "<": left < right, "<=": left <= right,  # type: ignore[operator]
        ">": left > right, ">=": left >= right,  # type: ignore[operator]
    }[compare]  # fmt: skip


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _order(value: Any) -> tuple[int, Any]:
    """Numbers before texts, so that a column of both can be sorted."""
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def differing(rows: Sequence[Row]) -> list[str]:
    """The columns, beside those that name a run, in which not all rows are the same; one that lacks counts as other."""
    absent = object()
    names = [name for name in columns(rows) if name not in NAMING]
    return [name for name in names if len({_key(one.get(name, absent)) for one in rows}) > 1]


def _key(value: Any) -> str:
    return repr(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)


def is_measured(name: str) -> bool:
    """Whether a column is what came out, not what was asked."""
    return name.startswith(("val_", "best_val_")) or ", " in name


def write(rows: Sequence[Row], path: str | Path, names: Sequence[str] = ()) -> Path:
    """Write a table as .csv, .md or .parquet, after its ending; `names` are the columns, all by default.

    A parquet file wants pyarrow. Columns of several types become texts there.
    raises RunsError for another ending, and where pyarrow is missing
    """
    path, names = Path(path), list(names) or columns(rows)
    kind = path.suffix.removeprefix(".")
    if kind == "parquet":
        _write_parquet(rows, path, names)
    else:
        path.write_text(as_text(rows, kind, names), encoding="utf8")
    return path


def as_text(rows: Sequence[Row], kind: str, names: Sequence[str] = ()) -> str:
    """A table as CSV or Markdown."""
    names = list(names) or columns(rows)
    if kind == "csv":
        stream = io.StringIO()
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(names)
        lines.writerows([["" if one.get(name) is None else one[name] for name in names] for one in rows])
        return stream.getvalue()
    if kind == "md":
        lines = [names, ["---"] * len(names), *([_cell(one.get(name)) for name in names] for one in rows)]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)
    raise RunsError(f"wanted a file ending in .{', .'.join(FORMATS)}, got {kind!r}")


def _cell(value: Any) -> str:
    """A value in a Markdown table: four digits, and nothing that ends the cell."""
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _write_parquet(rows: Sequence[Row], path: Path, names: Sequence[str]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise RunsError("a parquet file wants pyarrow, which is not installed: pip install pyarrow") from None
    arrays = {}
    for name in names:
        values = [one.get(name) for one in rows]
        kinds = {
            bool if isinstance(v, bool) else float if isinstance(v, int | float) else str
            for v in values
            if v is not None
        }
        mixed = len(kinds) > 1
        arrays[name] = [None if v is None else str(v) for v in values] if mixed else _of_one_kind(values)
    parquet.write_table(pyarrow.table(arrays), path)


def _of_one_kind(values: list[Any]) -> list[Any]:
    if any(isinstance(v, float) for v in values):
        return [None if v is None else float(v) for v in values]
    return values


def told_apart(rows: Sequence[Row]) -> list[tuple[str, list[Any]]]:
    """Line by line what differs: (column, its value in each row), parameters first."""
    names = sorted(differing(rows), key=is_measured)
    return [(name, [one.get(name, "") for one in rows]) for name in names]


def parameters(rows: Sequence[Row]) -> list[str]:
    """The columns that are parameters."""
    return [name for name in columns(rows) if name not in NAMING and not is_measured(name)]
