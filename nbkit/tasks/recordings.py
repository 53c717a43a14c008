"""What tasks that learn from recordings share: features, the run folder with its checkpoints, a first small run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nbkit.base import record
from nbkit.data.audio import MelSpec
from nbkit.data.manifest import Dataset
from nbkit.data.speech import FeatureArchive
from nbkit.train import store
from nbkit.train.loop import fit
from nbkit.views.progress import Display


def features(dataset: Dataset, spec: MelSpec) -> FeatureArchive:
    """The mels of all rows of a data set, extracted where they are not cached, with a display where that takes time."""
    archive, files, display = FeatureArchive(dataset.name, spec), [row.audio for row in dataset.rows], None
    if archive.missing(files):
        display = Display(f"features of {dataset.name}", len(files))
    archive.extract(files, lambda done: display.update({"step": done}) if display else None)
    if display:
        display.close()
    return archive


class Filed:
    """A task whose runs lie in folders of their own. `title` is the data set as an export names it."""

    name: str
    title: str
    fingerprint: str
    config: Any

    def record(self) -> record.Record:
        """The run folder of these parameters, opened for writing."""
        return record.Record.open(self.name, self.config, self.fingerprint, repeat=self.config.repeat)

    def store(self, run: record.Record) -> store.CheckpointStore:
        """The checkpoints of a run, with their mirror where there is a place for one."""
        return store.open_store(run, self.config.keep, self.config.mirror_every)

    def export_to(self, folder: Path, step: int, saved: Any) -> Path:
        """Write what has a `save(path)` into folder/exports under a name that tells what it is."""
        about = {"dataset": self.title, "size": self.config.size, "seed": self.config.seed, "step": step}
        path = folder / "exports" / f"{record.export_name(self.name, **about)}.safetensors"
        saved.save(path)
        store.copy_export(path)
        return path


def smoke_run(task: Any, what: str) -> str:
    """Train a task of a smoke preset, for notebooks that need a model where there is none; returns the run's name.

    what  it gives, for the line that is printed: "It babbles: 22_glow_train trains a voice."
    """
    print(f"No run here yet, so the smoke preset is trained for a few seconds. {what}")
    pointer = os.environ.pop("NBKIT_RUN_POINTER", "")  # a notebook that runs headlessly is filed under its own record
    with task.record() as run:
        fit(task, task.config, task.store(run), run)
    os.environ["NBKIT_RUN_POINTER"] = pointer
    return run.name
