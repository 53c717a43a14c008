"""Which runs there are, here and on a mirror; bringing one back, and making room. Needs no torch.

A listing is a look from outside: it takes no lock for longer than a moment and writes nothing. `restore` and `prune`
hold the run's lock, so they never meet a training on this machine.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from nbkit.base import amounts, record, workspace
from nbkit.base.record import Record
from nbkit.train import snapshot
from nbkit.train.layout import MANIFEST, PREFIX
from nbkit.train.mirror import Mirror
from nbkit.train.shelf import GONE, Shelf, measure
from nbkit.train.snapshot import CONFIRMED, Snapshot, SnapshotError

PATIENCE = 30.0  # seconds after which a mount that does not answer is not waited for
T = TypeVar("T")


class InventoryError(RuntimeError):
    """What was asked for cannot be done: wanted, got, remedy."""


class Run(NamedTuple):
    """One run. Steps with the newest first."""

    name: str
    task: str
    state: str  # of status.json; "cut off" where its process died, "unfinished" where only the mirror has it
    step: int  # the last one that is known of
    here: tuple[int, ...]  # checkpoints in its folder
    there: tuple[int, ...]  # snapshots on the mirror
    confirmed: int | None  # the newest that is known to be safe there
    folder: Path | None  # None where only the mirror has it
    size: int  # bytes in the folder
    written: float  # seconds since 1970
    changed: str  # the preset it is nearest to, and what differs from it

    @property
    def where(self) -> str:
        return ("both" if self.there else "here") if self.folder else "mirror"

    @property
    def backlog(self) -> int | None:
        """The newest checkpoint that lies only here as far as is known; None where there is none."""
        newest = self.here[0] if self.here else None
        return newest if newest is not None and (self.confirmed is None or newest > self.confirmed) else None


class Verdict(NamedTuple):
    """What became of one checkpoint in the search for one to go on from, or to bring back."""

    step: int
    where: str  # "here" or "mirror"
    size: int  # bytes
    written: float  # seconds since 1970
    verdict: str


def as_table(found: list[Verdict], now: float | None = None) -> tuple[list[str], list[list[str]]]:
    """Head and rows for a reader: step, where, size, age, verdict."""
    now = time.time() if now is None else now
    rows = []
    for one in found:
        size = amounts.size(one.size) if one.size else ""
        age = f"{amounts.duration(max(0.0, now - one.written))} ago" if one.written else ""
        rows.append([f"{one.step:,}", one.where, size, age, one.verdict])
    return ["step", "where", "size", "written", "verdict"], rows


def within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` gives; TimeoutError where it hangs, as a mount may that has lost its server."""
    found: list[T] = []
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            found.append(call())
        except BaseException as error:
            wrong.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if wrong:
        raise wrong[0]
    if not found:
        raise TimeoutError(errno.ETIMEDOUT, f"no answer within {seconds:g} seconds")
    return found[0]


def look(shelf: Shelf | None = None) -> tuple[list[Run], list[str]]:
    """All runs, here and on the mirror together, the one written to last first; and what is wrong, in words."""
    runs, notes = {run.name: run for run in _here()}, []
    if shelf is not None:
        try:
            there = within(PATIENCE, lambda: _there(shelf, set(runs)))
        except OSError as error:
            notes.append(f"the mirror {shelf} cannot be read ({error}); this is what lies here")
        else:
            notes += _disagreements(runs, there)
            mine = {name: run._replace(confirmed=None) for name, run in runs.items()}
            for name, found in there.items():
                known = mine.get(name)
                mine[name] = known._replace(there=found.there, confirmed=found.confirmed) if known else found
            runs = mine
    return sorted(runs.values(), key=lambda run: run.written, reverse=True), notes


def _disagreements(here: dict[str, Run], there: dict[str, Run]) -> list[str]:
    """What was confirmed once, as the runs here remember, and does not show on the mirror now."""
    found, gone = [], []
    for name, run in here.items():
        if run.confirmed is None:
            continue
        if name not in there:
            gone.append(name)
        elif run.confirmed > max(there[name].there):
            found.append(
                f"{name}: step {run.confirmed:,} was confirmed, and the mirror shows no step after "
                f"{max(there[name].there):,}: its listing is behind, or the copy was removed there"
            )
    if gone:
        names = ", ".join(gone[:3]) + (f" and {len(gone) - 3} more" if len(gone) > 3 else "")
        found.append(f"{names}: confirmed once, and not on this mirror now; is it the one that was used then?")
    return found


def _here() -> list[Run]:
    found = []
    for path in workspace.runs().glob(f"*/{record.CONFIG}"):
        folder = path.parent
        try:
            run = Record.read(folder)
            status, state, config = run.status(), run.state(), run.config
        except (ValueError, KeyError, TypeError, OSError):
            status, state, config = {}, "running" if record.is_busy(folder) else "unreadable", {}
        steps = _steps(folder)
        parts = [folder / part for part in (record.LOG, record.STATUS, record.CONFIG)]
        found.append(
            Run(
                folder.name, _task(config, folder.name), state, max([status.get("step", 0), *steps]),
                tuple(steps), (), status.get("confirmed"), folder, _bytes_in(folder),
                max(part.stat().st_mtime for part in parts if part.exists()), _changed(config),
            )
        )  # fmt: skip
    return found


def _there(shelf: Shelf, known: set[str]) -> dict[str, Run]:
    """The runs of a shelf. Of those that are not `known` here, a manifest is read for what they are."""
    found = {}
    for name in shelf.folders("runs"):
        names = set(shelf.names(snapshot.folder(name)))
        manifests = [n for n in names if snapshot.step_of(n) is not None]
        if not manifests:
            continue
        steps = tuple(sorted({_step(n) for n in manifests}, reverse=True))
        safe = [_step(n) for n in manifests if n + CONFIRMED in names and n + snapshot.DAMAGED not in names]
        newest = None if name in known else newest_readable(shelf, name, manifests)
        config = json.loads(newest.inline.get(record.CONFIG, "{}")) if newest else {}
        ended = steps[0] >= config.get("parameters", {}).get("stop_at", steps[0] + 1)
        found[name] = Run(
            name, _task(config, name), "finished" if ended else "unfinished", steps[0], (), steps,
            max(safe, default=None), None, 0, newest.written if newest else 0.0, _changed(config),
        )  # fmt: skip
    return found


def newest_readable(shelf: Shelf, run: str, names: Iterable[str]) -> Snapshot | None:
    """The newest manifest that can be read; the next ones are tried where a machine died while one was written."""
    for name in sorted((name for name in names if snapshot.step_of(name) is not None), reverse=True):
        try:
            return snapshot.read(shelf, run, name)
        except (SnapshotError, FileNotFoundError):
            continue
    return None


def _step(name: str) -> int:
    return int(name[:9])


def _steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in a run folder, the newest first."""
    names = (path.name.removeprefix(PREFIX) for path in (folder / "checkpoints").glob(f"{PREFIX}*") if path.is_dir())
    return sorted((int(name) for name in names if name.isdigit()), reverse=True)


def _task(config: dict[str, Any], name: str) -> str:
    return config.get("task") or re.sub(r"-[0-9a-f]{8}(-\d+)?$", "", name)


def _changed(config: dict[str, Any]) -> str:
    """colab, seed 3, batch_size 16"""
    changed = [f"{name} {value}" if value != "" else f"no {name}" for name, value in config.get("changed", {}).items()]
    return ", ".join(filter(None, [config.get("preset", ""), *changed]))


def _bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder; those that go while they are counted count nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def nearest_there(shelf: Shelf, run: Record) -> str:
    """Which run of the same task on the mirror has most in common with a new one, as record.nearest says it.

    On a fresh machine all earlier runs lie there. "" where there is none, or the mirror does not answer.
    """
    task = run.config["task"]
    try:
        there = within(PATIENCE, lambda: [_config_there(shelf, name) for name in shelf.folders("runs")
                                          if _task({}, name) == task and name != run.name])  # fmt: skip
    except (OSError, ValueError):
        return ""
    return record.nearest(run.config, [one[1:] for one in sorted(filter(None, there), key=lambda one: -one[0])])


def _config_there(shelf: Shelf, name: str) -> tuple[float, str, int, dict[str, Any]] | None:
    newest = newest_readable(shelf, name, shelf.names(snapshot.folder(name)))
    return newest and (newest.written, name, newest.step, json.loads(newest.inline.get(record.CONFIG, "{}")))


def damage(folder: Path) -> str:
    """What is wrong with a checkpoint folder; "" for a whole one. Reads all of it."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf8"))["files"]
        for name, wanted in files.items():
            found = measure(folder / name)
            if found.size != wanted["size"]:
                return f"{name} has {found.size} bytes, its manifest says {wanted['size']}"
            if found.sha256 != wanted["sha256"]:
                return f"{name} differs from the sha256 in its manifest"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"it cannot be read: {error}"
    return ""


def restore(shelf: Shelf, name: str, step: int | None = None) -> tuple[int | None, list[Verdict], list[str]]:
    """Bring the newest whole snapshot of a run, or that of `step`, into its folder.

    What lies here whole is never replaced, and a snapshot is not brought back where a later one lies here whole.

    returns   the step that was brought back (None: none was), what became of each one looked at, and notes
    raises    InventoryError, RunBusyError, and OSError where the mirror or the disk here does not go along
    """
    folder = workspace.runs() / name
    if Path(name).name != name or not shelf.names(snapshot.folder(name)):
        known = ", ".join(shelf.folders("runs")) or "none"
        raise InventoryError(f"wanted a run that lies on the mirror {shelf}, got {name!r}; there: {known}")
    there_before = folder.exists()
    with record.held(folder):
        mirror = Mirror(shelf, name, folder)
        candidates = mirror.candidates()
        if step is not None and step not in {one[0] for one in candidates}:
            steps = ", ".join(f"{one:,}" for one in sorted({one[0] for one in candidates}))
            raise InventoryError(f"wanted a snapshot of step {step:,} of {name}, the mirror has {steps or 'none'}")
        table: list[Verdict] = []
        newest_here = _whole_here(folder, table, step)
        found = None
        for at, manifest, _ in candidates:
            if (step is not None and at != step) or found is not None:
                continue
            if newest_here is not None and at <= newest_here:
                table.append(Verdict(at, "mirror", 0, 0.0, f"not needed: step {newest_here:,} lies here, whole"))
                break
            found = _bring_back(mirror, manifest, at, table)
        if found:
            _note(folder, found, max((one for one, _, sure in candidates if sure), default=None))
        elif not there_before and folder.exists() and not (folder / record.CONFIG).exists():
            shutil.rmtree(folder)  # made for nothing
    return found.step if found else None, table, list(mirror.notes)


def _whole_here(folder: Path, table: list[Verdict], step: int | None) -> int | None:
    """The newest whole checkpoint here. Damaged ones that are newer are told of."""
    for at in _steps(folder):
        if step is not None and at < step:
            return None
        path = folder / "checkpoints" / f"{PREFIX}{at:09d}"
        wrong = damage(path)
        table.append(
            Verdict(at, "here", _bytes_in(path), path.stat().st_mtime, f"damaged: {wrong}" if wrong else "whole")
        )
        if not wrong:
            return at
    return None


def _bring_back(mirror: Mirror, manifest: str, step: int, table: list[Verdict]) -> Snapshot | None:
    try:
        found = mirror.bring_back(manifest)
    except (OSError, SnapshotError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, OSError) and error.errno in (*GONE, errno.ENOSPC, errno.EDQUOT):
            raise
        table.append(Verdict(step, "mirror", 0, 0.0, f"passed over: {error}"))
        return None
    table.append(Verdict(step, "mirror", found.size, found.written, "whole, brought back"))
    return found


def _note(folder: Path, found: Snapshot, confirmed: int | None) -> None:
    """Say in status.json how far the run is now. It is not part of a snapshot."""
    run = Record.read(folder)
    run.writer = True
    ended = found.step >= run.config.get("parameters", {}).get("stop_at", found.step + 1)
    run.status(
        "finished" if ended else "paused", step=found.step, saved=found.step, confirmed=confirmed,
        message=f"brought back from the mirror on {time.strftime('%Y-%m-%d')}; run again to go on",
    )  # fmt: skip
