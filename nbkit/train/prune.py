"""Making room: what of a run can go, here and on a mirror. A plan is made first, looked at, and then carried out.

Here the newest whole checkpoints and the best one stay. On the mirror it is the newest confirmed snapshots, the best
one, and whatever is newer than them. Log, pictures and exports stay, unless a whole run is removed.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nbkit.base import record, workspace
from nbkit.train import snapshot
from nbkit.train.inventory import Run, damage, newest_readable
from nbkit.train.layout import DAMAGED, MANIFEST, PREFIX, WRITING
from nbkit.train.shelf import Shelf
from nbkit.train.snapshot import CONFIRMED, Snapshot, SnapshotError

ELSEWHERE = 3600.0  # seconds: what was written there this recently may have a process that still writes
PARTS = ("checkpoints", "blobs", "log", "media")  # of a run on a shelf; manifests go first


class Removal(NamedTuple):
    """What can go of one run. Nothing has happened yet."""

    run: str
    where: str  # "here" or "mirror"
    steps: tuple[int, ...]  # whose checkpoints go
    kept: tuple[int, ...]  # whose checkpoints stay at that place
    names: tuple[str, ...]  # paths below the run folder, or names on the shelf, in the order in which they go
    size: int  # bytes
    warning: str  # what is lost for good; "" where nothing is
    whole: bool


class Left(NamedTuple):
    """A run that is left as it is, and why."""

    run: str
    reason: str


def plan(
    runs: list[Run],
    shelf: Shelf | None,
    *,
    keep: int = 1,
    older_than: float = 0.0,
    named: bool = False,
    whole: bool = False,
    now: Callable[[], float] = time.time,
) -> tuple[list[Removal], list[Left]]:
    """What can go of `runs`, and which of them are left as they are.

    shelf        None: here. A shelf: there, and nothing here
    keep         newest checkpoints that stay, beside the best one
    older_than   seconds since a run was written to, before which it is left
    named        the runs were named by a person; else only finished ones lose anything
    whole        the runs go with everything that they consist of
    raises OSError where the mirror does not answer
    """
    going, left = [], []
    for run in runs:
        if not (run.there if shelf else run.folder if whole else run.here):
            reason = f"it has no checkpoint {'on the mirror' if shelf else 'here'}" if named else ""
        elif run.state == "running":
            reason = "a process writes there"
        elif run.state != "finished" and not named:
            reason = f"it is {run.state}; name it to prune it all the same"
        elif now() - run.written < older_than:
            reason = "it was written to since"
        else:
            if whole:
                found = _all_there(run, shelf, now()) if shelf else _all_here(run)
            else:
                found = _there(run, shelf, keep) if shelf else _here(run, keep)
            if isinstance(found, Removal) and found.names:
                going.append(found)
                continue
            reason = found.reason if isinstance(found, Left) else ""  # there is nothing to remove
        if reason:
            left.append(Left(run.name, reason))
    return going, left


def _here(run: Run, keep: int) -> Removal:
    assert run.folder is not None
    home = run.folder / "checkpoints"
    whole: list[int] = []
    for step in run.here:
        if len(whole) >= keep:
            break
        if not damage(home / f"{PREFIX}{step:09d}"):
            whole.append(step)
    best = _best({step: _metric(home / f"{PREFIX}{step:09d}") for step in run.here}) if keep else None
    stays = {*whole, *([best] if best is not None else [])}
    if keep and not whole:
        stays = set(run.here)  # none can be read: that is for a person to look at
    going = [step for step in run.here if step not in stays]
    debris = sorted(p.name for mark in (DAMAGED, WRITING) for p in home.glob(f"{mark}*")) if whole or not keep else []
    names = tuple(f"checkpoints/{name}" for name in [*(f"{PREFIX}{step:09d}" for step in going), *debris])
    size = sum(_size(run.folder / name) for name in names)
    kept = tuple(sorted(stays, reverse=True))
    return Removal(run.name, "here", tuple(going), kept, names, size, "" if kept else _last_here(run), False)


def _last_here(run: Run) -> str:
    """What it means that no checkpoint stays here."""
    if run.confirmed is not None:
        behind = f", and step {run.here[0]:,} is lost" if run.here and run.here[0] > run.confirmed else ""
        return f"it can go on from step {run.confirmed:,} on the mirror only{behind}"
    return "no confirmed copy is left anywhere: run again, it starts at step 0" if run.here else ""


def _there(run: Run, shelf: Shelf, keep: int) -> Removal | Left:
    where = snapshot.folder(run.name)
    names = set(shelf.names(where))
    manifests = sorted((name for name in names if snapshot.step_of(name) is not None), reverse=True)
    known: dict[str, Snapshot] = {}
    for name in manifests:
        with contextlib.suppress(SnapshotError, FileNotFoundError):  # half of one: its machine died while it wrote
            known[name] = snapshot.read(shelf, run.name, name)
    safe = [n for n in known if n + CONFIRMED in names and n + snapshot.DAMAGED not in names]
    if len(safe) < keep:
        return Left(run.name, f"only {len(safe)} of its snapshots there are confirmed, wanted {keep} that stay")
    oldest = known[safe[keep - 1]].step
    best = _best({known[name].step: known[name].metric for name in safe})
    kept = {name: one for name, one in known.items() if one.step >= oldest or (one.step == best and name in safe)}
    needed = {blob for one in kept.values() for blob in one.blobs()}
    needed |= {f"{where}/{name}{mark}" for name in kept for mark in ("", CONFIRMED, snapshot.DAMAGED)}
    going = [name for name in _files(shelf, run.name) if name not in needed and _is_before(name, oldest)]
    size = sum(_size(shelf.root / name) for name in going)
    lost = tuple(sorted({one.step for name, one in known.items() if name not in kept}, reverse=True))
    steps = tuple(sorted({one.step for one in kept.values()}, reverse=True))
    return Removal(run.name, "mirror", lost, steps, tuple(going), size, "", False)


def _all_here(run: Run) -> Removal:
    assert run.folder is not None
    told = "no confirmed copy is left anywhere" if run.confirmed is None else f"step {run.confirmed:,} is on the mirror"
    if run.confirmed is not None and run.backlog:
        told += f", step {run.backlog:,} is not"
    exports = ", its exports go too" if any((run.folder / "exports").glob("*")) else ""
    return Removal(run.name, "here", run.here, (), (".",), _size(run.folder), told + exports, True)


def _all_there(run: Run, shelf: Shelf, now: float) -> Removal | Left:
    newest_here = run.here[0] if run.here else -1
    newest = newest_readable(shelf, run.name, shelf.names(snapshot.folder(run.name)))
    if run.there[0] > newest_here and run.state != "finished" and newest and now - newest.written < ELSEWHERE:
        return Left(run.name, "it was written to within the hour, perhaps by a training on another machine")
    names = _files(shelf, run.name)
    size = sum(_size(shelf.root / name) for name in names)
    told = f"step {newest_here:,} stays here" if run.here else "no checkpoint is left anywhere"
    confirmed = "the only confirmed copy goes; " if run.confirmed is not None else ""
    return Removal(run.name, "mirror", run.there, (), tuple(names), size, confirmed + told, True)


def _files(shelf: Shelf, run: str) -> list[str]:
    """Names of all files of a run on a shelf, manifests first: a manifest whose files are gone would be a lie."""
    folders = [snapshot.folder(run, part) for part in PARTS]
    return [f"{folder}/{name}" for folder in folders for name in shelf.names(folder)]


def _is_before(name: str, step: int) -> bool:
    """Whether a file belongs to an earlier step. What a training elsewhere is writing belongs to a later one."""
    start = Path(name).name[:9]
    return start.isdigit() and int(start) < step


def carry_out(removal: Removal, shelf: Shelf | None) -> int:
    """Remove what was planned; returns the bytes that are free now.

    raises RunBusyError, and OSError with what had gone by then already gone
    """
    folder = workspace.runs() / removal.run
    with record.held(folder):
        if shelf is None:
            for name in removal.names:
                path = folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            return removal.size
        if not removal.whole:
            _read_back(shelf, removal)
        for name in removal.names:
            shelf.drop(name)
        for place in [*(snapshot.folder(removal.run, part) for part in PARTS), f"runs/{removal.run}"]:
            with contextlib.suppress(OSError):
                (shelf.root / place).rmdir()  # only where nothing is left in it
    return removal.size


def _read_back(shelf: Shelf, removal: Removal) -> None:
    """OSError unless the newest confirmed snapshot that stays is whole to the last byte: others go for its sake."""
    names = set(shelf.names(snapshot.folder(removal.run)))
    newest = max(name for name in names if name + CONFIRMED in names and name + snapshot.DAMAGED not in names)
    try:
        kept = snapshot.read(shelf, removal.run, newest)
        wrong = [blob.name for path, blob in kept.files.items() if path.startswith("checkpoints/")
                 and shelf.measure(blob.name) != blob]  # fmt: skip
    except (SnapshotError, FileNotFoundError) as error:
        wrong = [str(error)]
    if wrong:
        raise OSError(
            f"nothing of {removal.run} was removed: the snapshot {newest}, which would stay, is damaged there "
            f"({Path(wrong[0]).name}); remove it by hand, or bring an older one back with `nbkit runs restore`"
        )


def _best(metrics: dict[int, float | None]) -> int | None:
    measured = {step: value for step, value in metrics.items() if value is not None and math.isfinite(value)}
    return min(measured, key=lambda step: (measured[step], -step), default=None)


def _metric(folder: Path) -> float | None:
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf8")).get("metric")
    except (OSError, ValueError, AttributeError):
        return None


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    with contextlib.suppress(FileNotFoundError):
        return (
            sum(p.lstat().st_size for p in path.rglob("*") if not p.is_dir()) if path.is_dir() else path.stat().st_size
        )
    return 0
