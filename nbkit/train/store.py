"""Checkpoints on the local disk: written whole or not at all, hashed, verified when they are read.

    checkpoints/step-000000500/
        weights.safetensors   every module
        state.pt              optimisers, gradient scaler, counts; loads with weights_only=True
        manifest.json         step, sizes, sha256, what the model is; written last

A folder takes its name by one rename, after everything in it has reached the disk. What cannot be verified is set aside
with its reason and the one before is taken. If there were checkpoints and none can be read, that is an error: training
never starts anew in silence.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nbkit.base import drive, record, workspace
from nbkit.train.inventory import Verdict
from nbkit.train.layout import DAMAGED, MANIFEST, PREFIX, WRITING
from nbkit.train.mirror import Mirror
from nbkit.train.shelf import GONE, Shelf, measure
from nbkit.train.snapshot import Snapshot, SnapshotError

WEIGHTS, STATE = "weights.safetensors", "state.pt"
SECONDS_FOR_ROOM = 600.0  # that a full disk is waited for, while the mirror copies what fills it


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written, or none that can be read."""


class Checkpoint(NamedTuple):
    """A verified checkpoint."""

    step: int
    weights: dict[str, Tensor]
    state: dict[str, Any]
    about: dict[str, Any]
    folder: Path


def open_store(run: record.Record, keep: int, every: int = 0) -> CheckpointStore:
    """The checkpoints of a run, with a mirror where there is a place for one (base.drive.mirror_folder).

    raises CheckpointError where a mirror was asked for and cannot be opened
    """
    place = drive.mirror_folder() if run.writer else None
    if place is None:
        return CheckpointStore(run.folder / "checkpoints", keep)
    shelf = Shelf(place)
    try:
        shelf.patiently(shelf.open)
    except OSError as error:
        raise CheckpointError(
            f"the mirror {place} cannot be opened ({error}); mount it, or name another folder in NBKIT_MIRROR "
            "(the folder above it must exist), or set NBKIT_MIRROR=none to keep checkpoints on this machine only"
        ) from error
    mirror = Mirror(shelf, run.name, run.folder, keep=keep, every=every)
    return CheckpointStore(run.folder / "checkpoints", keep, mirror)


def copy_export(path: Path) -> None:
    """Copy a finished file into exports/ on the mirror, where there is one; a line says where it lies, or why not."""
    place = workspace.mirror()
    if place is None:
        return
    shelf, name = Shelf(place), f"exports/{path.name}"
    try:
        wanted = measure(path)
        if not (shelf.root / name).exists() or shelf.measure(name)[1:] != wanted[1:]:
            shelf.put(name, path)
        print(f"a copy of {path.name} lies in {shelf.root / 'exports'}")
    except OSError as error:
        print(f"{path.name} could not be copied to {place} ({error}); it lies in {path.parent}")


class CheckpointStore:
    """The checkpoints of one run, here and, where there is a mirror, on its shelf."""

    def __init__(self, folder: str | os.PathLike, keep: int = 3, mirror: Mirror | None = None):
        """keep  newest checkpoints to keep, beside the one with the least metric"""
        self.folder, self.keep, self.mirror = Path(folder), keep, mirror
        self.notes: list[str] = []
        self.table: list[Verdict] = []
        self.brought_back: Snapshot | None = None  # by the last call of newest()

    def follow(self, step: int) -> None:
        """Training goes on from this step: what is here and not on the mirror is copied from now on."""
        if self.mirror is None:
            return
        self.mirror.begin(step)
        for mine in sorted(self.steps()):
            if mine <= step:
                with contextlib.suppress(CheckpointError):
                    self.mirror.offer(mine, _manifest(self.folder / f"{PREFIX}{mine:09d}").get("metric"))
        self.mirror.start()

    def steps(self) -> dict[int, Path]:
        """Step to folder, the newest first."""
        named = ((path.name.removeprefix(PREFIX), path) for path in self.folder.glob(f"{PREFIX}*") if path.is_dir())
        found = {int(step): path for step, path in named if step.isdecimal()}  # "step-000000500 (1)" is a person's copy
        return dict(sorted(found.items(), reverse=True))

    def save(
        self,
        step: int,
        weights: dict[str, Tensor],
        state: dict[str, Any],
        about: dict[str, Any],
        metric: float | None = None,
        watch: Callable[[], None] = lambda: None,
    ) -> Path:
        """Write the checkpoint of `step`, then forget those that need not be kept.

        Where the disk is full of checkpoints that the mirror has yet to copy, this waits until it has.

        metric   smaller is better; None where this step was not evaluated, and what is not finite counts as that
        watch    is called while it waits, several times a second; `notes` says what for
        raises   CheckpointError where the disk is full or cannot be written
        """
        end = time.monotonic() + SECONDS_FOR_ROOM
        while True:
            try:
                target = self._write(step, weights, state, about, metric)
                break
            except Exception as error:  # safetensors and torch wrap a full disk in errors of their own
                told = _why_not_written(error, self.folder, step, weights)
                shutil.rmtree(self.folder / f"{WRITING}{step:09d}", ignore_errors=True)
                if not (_is_full(error, self.folder, weights) and self._make_room(step, end, watch)):
                    raise CheckpointError(told) from error
        if self.mirror is not None:
            self.mirror.offer(step, metric)
        self._forget(self.keep)
        return target

    def _write(
        self, step: int, weights: dict[str, Tensor], state: dict[str, Any], about: dict[str, Any], metric: float | None
    ) -> Path:
        from safetensors.torch import save_file

        target, temporary = self.folder / f"{PREFIX}{step:09d}", self.folder / f"{WRITING}{step:09d}"
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, temporary / WEIGHTS)
        torch.save(state, temporary / STATE)
        files = {name: _measure(temporary / name) for name in (WEIGHTS, STATE)}
        manifest = {"step": step, "metric": metric, "files": files, "about": about}
        (temporary / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf8")
        for name in (WEIGHTS, STATE, MANIFEST):
            _sync(temporary / name)
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
        _sync(self.folder)
        return target

    def _make_room(self, step: int, end: float, watch: Callable[[], None]) -> bool:
        """Forget what the mirror has, but for the newest and the best; wait for it to copy more. Whether any went."""
        if self.mirror is None:
            return False
        before, told = len(self.steps()), False
        while True:
            self._forget(1)
            if len(self.steps()) < before:
                self.notes += ["the disk has room again, training goes on"] if told else []
                return True
            waiting = self.mirror.pinned() - set(list(self.steps())[:1])
            if not waiting or time.monotonic() > end:
                return False
            if not told:
                steps = ", ".join(f"{one:,}" for one in sorted(waiting))
                self.notes.append(
                    f"the disk is full: before step {step:,} is written, training waits for the mirror to copy {steps}"
                )
                told = True
            watch()
            time.sleep(0.2)

    def newest(self, *, clean: bool = False) -> Checkpoint | None:
        """The newest whole checkpoint, here or on the mirror; None for a run that never wrote one.

        `table` tells what was looked at, `notes` what is wrong. What only the mirror has is brought back.

        clean    rename damaged ones to damaged-..., remove what a dying process left half written, and ask the mirror;
                 only for the process that writes here, others may be looking while it does
        raises CheckpointError where there were checkpoints but none can be read, and where the mirror cannot be reached
               and there is none here
        """
        self.table, self.brought_back = [], None
        for leftover in self.folder.glob(f"{WRITING}*") if clean else ():
            shutil.rmtree(leftover, ignore_errors=True)
        there = self._there() if clean and self.mirror is not None else []
        looks = [(step, 1, path.name) for step, path in self.steps().items()]
        looks += [(step, 0, name) for step, name, _ in there]
        found = None
        for step, here, name in sorted(looks, reverse=True):
            if found is None:
                found = self._try_here(step, self.folder / name, clean) if here else self._try_there(step, name)
            elif here:
                self._tell(step, "here", _size(self.folder / name), _written(self.folder / name), "older")
            elif step < found.step:
                self.table.append(Verdict(step, "mirror", 0, 0.0, "older"))
        if found is None:
            self._none_readable(there)
        return found

    def _there(self) -> list[tuple[int, str, bool]]:
        """What the mirror has: step, manifest, whether it was confirmed."""
        assert self.mirror is not None
        try:
            return self.mirror.shelf.patiently(self.mirror.candidates)
        except OSError as error:
            if not self.steps():
                raise CheckpointError(
                    f"the mirror {self.mirror.shelf} cannot be read ({error}), and there is no checkpoint here: to "
                    "start now might leave behind what lies there. Mount it and run again, or do without a mirror "
                    "(NBKIT_MIRROR=none)"
                ) from error
            self.notes.append(f"the mirror {self.mirror.shelf} cannot be read ({error}); what lies here is used")
            return []

    def _try_here(self, step: int, path: Path, clean: bool) -> Checkpoint | None:
        size, written = _size(path), _written(path)
        try:
            found = load(path)
        except CheckpointError as error:
            aside = "set aside" if clean else "passed over"
            self.notes.append(f"checkpoint of step {step} {aside}: {error}")
            self._tell(step, "here", size, written, f"{aside}: {error}")
            if clean:
                _set_aside(path)
            return None
        self._tell(step, "here", size, written, "whole, used")
        return found

    def _try_there(self, step: int, name: str) -> Checkpoint | None:
        assert self.mirror is not None
        try:
            snapshot = self.mirror.bring_back(name)
        except (OSError, SnapshotError) as error:
            if isinstance(error, OSError) and error.errno in GONE:
                raise CheckpointError(
                    f"the mirror {self.mirror.shelf} went away while step {step} was brought back ({error}); what lies "
                    "there is not lost: mount it and run again"
                ) from error
            final = isinstance(error, SnapshotError) and error.final
            told = f"{'set aside' if final else 'passed over'}: {error}"
            self.notes.append(f"checkpoint of step {step} on the mirror {told}")
            self._tell(step, "mirror", 0, 0.0, told)
            if final:
                with contextlib.suppress(OSError):
                    self.mirror.set_aside(name, str(error))
            return None
        self._tell(step, "mirror", snapshot.size, snapshot.written, "whole, brought back")
        self.brought_back = snapshot
        return load(self.folder / f"{PREFIX}{step:09d}")

    def _tell(self, *row: Any) -> None:
        self.table.append(Verdict(*row))

    def _none_readable(self, there: list[tuple[int, str, bool]]) -> None:
        """An error where something was lost; where only uploads were cut that nobody was told to rely on, a word."""
        damaged = sorted(
            {path.name for path in self.folder.glob(f"{DAMAGED}*")} | {p.name for p in self.steps().values()}
        )
        confirmed = [name for _, name, sure in there if sure]
        told = "; ".join(self.notes) or "they were set aside before"
        if damaged or confirmed:
            raise CheckpointError(
                f"none of the {len(damaged) + len(confirmed)} checkpoints in {self.folder} can be read ({told}); "
                f"bring back a good copy, or remove {', '.join([*damaged, *confirmed])} to start this run from step 0"
            )
        if there:
            self.notes.append(
                f"the mirror has only {len(there)} unfinished copies, none of which was ever confirmed: step 0"
            )

    def _forget(self, keep: int) -> None:
        """Remove all but the newest `keep`, the best one, and those that the mirror has yet to copy."""
        steps = self.steps()
        kept = set(list(steps)[:keep])
        measured = {}
        for step, path in steps.items():
            with contextlib.suppress(CheckpointError):  # a damaged one is told of when it is to be read
                metric = _manifest(path).get("metric")
                measured |= {step: metric} if metric is not None and math.isfinite(metric) else {}
        if measured:
            kept.add(min(measured, key=lambda step: (measured[step], -step)))
        if self.mirror is not None:
            kept |= self.mirror.pinned()
        for step, path in steps.items():
            if step not in kept:
                shutil.rmtree(path, ignore_errors=True)


def load(folder: Path) -> Checkpoint:
    """Read and verify one checkpoint folder; raises CheckpointError that says what is wrong with it."""
    from safetensors.torch import load_file

    manifest = _manifest(folder)
    try:
        for name, wanted in manifest["files"].items():
            path = folder / name
            if not path.exists():
                raise CheckpointError(f"{name} is missing")
            if path.stat().st_size != wanted["size"]:
                raise CheckpointError(f"{name} has {path.stat().st_size} bytes, its manifest says {wanted['size']}")
            if _measure(path) != wanted:
                raise CheckpointError(f"{name} differs from the sha256 in its manifest")
        weights = load_file(folder / WEIGHTS)
        state = torch.load(folder / STATE, map_location="cpu", weights_only=True)
        return Checkpoint(manifest["step"], weights, state, manifest["about"], folder)
    except OSError as error:
        raise CheckpointError(f"{folder.name} cannot be read: {error}") from error
    except KeyError as error:
        raise CheckpointError(f"{MANIFEST} lacks {error}") from error
    except (TypeError, AttributeError) as error:
        raise CheckpointError(f"{MANIFEST} is not that of a checkpoint ({error})") from error


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _written(folder: Path) -> float:
    return folder.stat().st_mtime


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds {type(found).__name__}")
        return found
    except FileNotFoundError:
        raise CheckpointError(f"{MANIFEST} is missing") from None
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{MANIFEST} cannot be read: {error}") from error


def _measure(path: Path) -> dict[str, Any]:
    with open(path, "rb") as stream:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _set_aside(path: Path) -> None:
    target, n = path.with_name(DAMAGED + path.name), 1
    while target.exists():
        n += 1
        target = path.with_name(f"{DAMAGED}{path.name}-{n}")
    os.replace(path, target)


def _is_full(error: Exception, folder: Path, weights: dict[str, Tensor]) -> bool:
    free = shutil.disk_usage(folder).free if folder.exists() else 0
    known = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    return known or "No space left" in str(error) or free < _bytes(weights)


def _bytes(weights: dict[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in weights.values())


def _why_not_written(error: Exception, folder: Path, step: int, weights: dict[str, Tensor]) -> str:
    free = shutil.disk_usage(folder).free if folder.exists() else 0
    remedy = (
        "make room (`nbkit runs prune` shows what of old runs can go; `nbkit doctor` tells of the disks) and run again"
        if _is_full(error, folder, weights)
        else f"see that {folder} can be written to and run again"
    )
    return (
        f"the checkpoint of step {step} could not be written ({error}); {free / 1e6:.0f} MB are free, "
        f"about {3 * _bytes(weights) / 1e6:.0f} MB are needed; {remedy}: training goes on from the checkpoint before"
    )
