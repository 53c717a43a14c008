"""What a training left, by the name of its run: the weights of its newest checkpoint, and what is said of them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nbkit.base import record, workspace
from nbkit.train.store import MANIFEST, CheckpointStore, load


def newest_run(task: str) -> str:
    """The name of the run of a task that was written to last and has a checkpoint; empty where there is none."""
    found = (run for run in record.runs(task) if CheckpointStore(run.folder / "checkpoints").steps())
    return next((run.name for run in found), "")


def parts(source: str | os.PathLike, task: str, notebook: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of the network "model" and their description, of a checkpoint or of a run's newest one.

    source    the folder of a checkpoint, or the name or folder of a run
    task      whose runs are listed where there is none of that name
    notebook  that makes such runs
    raises    FileNotFoundError where there is no checkpoint
    """
    path = Path(source)
    folder = path if (path / record.CONFIG).exists() else workspace.runs() / path
    if (path / MANIFEST).is_file():
        checkpoint = load(path)
    else:
        checkpoint = CheckpointStore(folder / "checkpoints").newest() if folder.is_dir() else None
    if checkpoint is None:
        known = ", ".join(run.name for run in record.runs(task)) or f"none yet; run {notebook} first"
        raise FileNotFoundError(f"wanted a run with a checkpoint or an export, got {source}; runs: {known}")
    weights = {k.removeprefix("model."): v for k, v in checkpoint.weights.items() if k.startswith("model.")}
    return weights, checkpoint.about


def weights_fingerprint(model: nn.Module) -> str:
    """Sixteen hexadecimal digits that change with any weight."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
