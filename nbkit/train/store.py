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
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

WEIGHTS, STATE, MANIFEST = "weights.safetensors", "state.pt", "manifest.json"
PREFIX, DAMAGED, WRITING = "step-", "damaged-", ".writing-"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written, or none that can be read."""


class Checkpoint(NamedTuple):
    """A verified checkpoint."""

    step: int
    weights: dict[str, Tensor]
    state: dict[str, Any]
    about: dict[str, Any]
    folder: Path


class CheckpointStore:
    """The checkpoints of one run. A mirror of them elsewhere will find whole, immutable folders here."""

    def __init__(self, folder: str | os.PathLike, keep: int = 3):
        """keep  newest checkpoints to keep, beside the one with the least metric"""
        self.folder, self.keep = Path(folder), keep
        self.notes: list[str] = []

    def steps(self) -> dict[int, Path]:
        """Step to folder, the newest first."""
        found = {int(path.name.removeprefix(PREFIX)): path for path in self.folder.glob(f"{PREFIX}*") if path.is_dir()}
        return dict(sorted(found.items(), reverse=True))

    def save(
        self,
        step: int,
        weights: dict[str, Tensor],
        state: dict[str, Any],
        about: dict[str, Any],
        metric: float | None = None,
    ) -> Path:
        """Write the checkpoint of `step`, then forget those that need not be kept.

        metric   smaller is better; None where this step was not evaluated, and what is not finite counts as that
        raises   CheckpointError where the disk is full or cannot be written
        """
        from safetensors.torch import save_file

        target, temporary = self.folder / f"{PREFIX}{step:09d}", self.folder / f"{WRITING}{step:09d}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            save_file(
                {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, temporary / WEIGHTS
            )
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
        except Exception as error:  # safetensors and torch wrap a full disk in errors of their own
            shutil.rmtree(temporary, ignore_errors=True)
            raise CheckpointError(_why_not_written(error, self.folder, step, weights)) from error
        self._forget()
        return target

    def newest(self, *, clean: bool = False) -> Checkpoint | None:
        """The newest checkpoint that is whole; None for a run that never wrote one. Damaged ones are told in `notes`.

        clean    rename damaged ones to damaged-... and remove what a dying process left half written; only for the
                 process that writes here, others may be looking while it does
        raises CheckpointError where there are checkpoints but none can be read
        """
        for leftover in self.folder.glob(f"{WRITING}*") if clean else ():
            shutil.rmtree(leftover, ignore_errors=True)
        for step, path in self.steps().items():
            try:
                return load(path)
            except CheckpointError as error:
                self.notes.append(f"checkpoint of step {step} {'set aside' if clean else 'passed over'}: {error}")
                if clean:
                    _set_aside(path)
        damaged = sorted(
            {path.name for path in self.folder.glob(f"{DAMAGED}*")} | {p.name for p in self.steps().values()}
        )
        if damaged:
            told = "; ".join(self.notes) or "they were set aside before"
            raise CheckpointError(
                f"none of the {len(damaged)} checkpoints in {self.folder} can be read ({told}); "
                f"bring back a good copy, or remove {', '.join(damaged)} to start this run from step 0"
            )
        return None

    def _forget(self) -> None:
        steps = self.steps()
        kept = set(list(steps)[: self.keep])
        measured = {}
        for step, path in steps.items():
            with contextlib.suppress(CheckpointError):  # a damaged one is told of when it is to be read
                metric = _manifest(path).get("metric")
                measured |= {step: metric} if metric is not None and math.isfinite(metric) else {}
        if measured:
            kept.add(min(measured, key=lambda step: (measured[step], -step)))
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


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf8"))
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


def _why_not_written(error: Exception, folder: Path, step: int, weights: dict[str, Tensor]) -> str:
    free = shutil.disk_usage(folder).free if folder.exists() else 0
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error) or free < size
    remedy = (
        "make room (old runs: `ls outputs/runs`; cached data: the cache folder) and run again"
        if full
        else f"see that {folder} can be written to and run again"
    )
    return (
        f"the checkpoint of step {step} could not be written ({error}); {free / 1e6:.0f} MB are free, "
        f"about {3 * size / 1e6:.0f} MB are needed; {remedy}: training goes on from the checkpoint before"
    )
