"""What all tasks on KoBERT share: its tokenizer, its corpus, weights to start from, its optimiser's groups."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nbkit.base import drive, workspace
from nbkit.data import corpus, manifest, text_sets, tokenizer_training
from nbkit.data import tokenizer as tokenizers
from nbkit.data.corpus import Corpus
from nbkit.data.disk import DataError
from nbkit.data.meter import Meter
from nbkit.data.tokenizer import Tokenizer
from nbkit.models import kobert
from nbkit.train import inventory, snapshot
from nbkit.train.shelf import Shelf
from nbkit.train.store import MANIFEST, Checkpoint, CheckpointStore, load
from nbkit.train.task import warmup_linear

PRETRAINING = "kobert_pretrain"
RUNNING = ("nsmc_raw", "made_documents")  # text that "auto" takes, the first that is here
WEIGHTS = "kobert_weights"  # the manifest of the published ones


def running_text(name: str) -> str:
    """The text to learn from: what was asked for, or for "auto" the film reviews where they lie, else made text."""
    return manifest.first_here(RUNNING) if name == "auto" else name


def open_tokenizer(name: str, lines: Callable[[], Iterable[str]], fingerprint: str, vocabulary: int) -> Tokenizer:
    """The published tokenizer ("kobert"), one learnt from `lines` ("new"), or one in a folder.

    "auto" takes the published one where it lies on this machine. A new one is kept in the cache, by the fingerprint of
    the text that it was learnt from; a text that is too small gives fewer pieces.
    raises  DataError where the published one is not here, TokenizerError for a folder without a tokenizer
    """
    if name == "kobert" or (name == "auto" and text_sets.here("kobert_tokenizer")):
        return tokenizers.kobert()
    if name not in ("auto", "new"):
        return Tokenizer.load(name)
    folder = workspace.cache() / "tokenizers" / f"{fingerprint}-{vocabulary}"
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        tokenizer_training.train(lines(), vocabulary, at_most=True).save(partial)
        with contextlib.suppress(OSError):  # another process was first
            partial.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
    return Tokenizer.load(folder)


def of_text(name: str, source: str, vocabulary: int) -> Tokenizer:
    """open_tokenizer() with running text as what a new one is learnt from."""
    lines = lambda: (line for document in text_sets.documents(source) for line in document)  # noqa: E731
    return open_tokenizer(name, lines, text_sets.source_fingerprint(source), vocabulary)


def tokenised(source: str, tokenizer: Tokenizer) -> Corpus:
    """The corpus of a text in tokens, with a display where cutting it up takes time."""
    with Meter(f"{Path(source).name}: into tokens", 0, "lines") as meter:
        return corpus.for_source(source, tokenizer, processes=min(4, os.cpu_count() or 1), progress=meter.to)


def newest_run(task: str = PRETRAINING) -> str:
    """The name of the run of a task that was written to last and has a checkpoint, here or on the mirror; else ""."""
    shelf = _shelf()
    found, _ = inventory.look(shelf if shelf is not None and shelf.root.is_dir() else None)
    return next((run.name for run in found if run.task == task and (run.here or run.there)), "")


def open_encoder(source: str | os.PathLike) -> tuple[str, kobert.Loaded]:
    """A KoBERT, and the name that finds the same weights again.

    source  the name or folder of a run, for its newest checkpoint; NAME@STEP for that of a step; the folder of a
            checkpoint; "kobert_weights", the published ones; or whatever models.kobert.load opens. A run that is not
            on this machine is brought back from the mirror
    raises  FileNotFoundError where there is none of them, naming the runs there are; DataError where the published
            ones are not here, naming what to fetch
    """
    if str(source) == WEIGHTS and not (Path(source) / MANIFEST).is_file():
        return WEIGHTS, published()
    name, found = _found(source)
    return name, kobert.load(found) if isinstance(found, Path) else _of_checkpoint(found)


def open_reader(source: str | os.PathLike) -> tuple[str, kobert.Reader | None]:
    """A KoBERT with its head for a task, and the name that finds it again; None for one that has no head.

    source and errors are those of open_encoder
    """
    if str(source) == WEIGHTS and not (Path(source) / MANIFEST).is_file():
        return WEIGHTS, None
    name, found = _found(source)
    if isinstance(found, Path):
        weights, about = kobert.read(found) if found.is_file() else ({}, None)
    else:
        weights, about = _bare(found), found.about
    return name, kobert.reader_from_parts(weights, about) if about is not None and "reader" in about else None


def _found(source: str | os.PathLike) -> tuple[str, Checkpoint | Path]:
    """What open_encoder is asked for: a checkpoint, or a file or folder with weights, and its name."""
    path, (name, _, step) = Path(source), str(source).partition("@")
    folder = Path(name) if (Path(name) / "checkpoints").is_dir() else workspace.runs() / name
    if (path / MANIFEST).is_file():
        return str(source), load(path)
    if path.exists() and not (path / "checkpoints").is_dir():
        return str(source), path
    if step and not step.isdecimal():
        raise FileNotFoundError(f"wanted NAME@STEP with a number, got {source}")
    checkpoint = _checkpoint(folder, int(step) if step else None)
    if checkpoint is None:
        found, _ = inventory.look(_shelf())
        known = ", ".join(f"{r.name} ({r.step:,} steps)" for r in found if r.task == PRETRAINING)
        raise FileNotFoundError(
            f"wanted a run with a checkpoint, an export or a file of weights, got {source}; runs: "
            f"{known or 'none yet; run 41_kobert_pretrain first'}"
        )
    return f"{folder.name}@{checkpoint.step}", checkpoint


def _shelf() -> Shelf | None:
    place = drive.mirror_folder()
    return Shelf(place) if place is not None else None


def _checkpoint(folder: Path, step: int | None) -> Checkpoint | None:
    """The checkpoint of a step, or the newest, of a run that lies here or is brought back from the mirror."""
    here = CheckpointStore(folder / "checkpoints")
    if not here.steps() or (step is not None and step not in here.steps()):
        shelf = _shelf()
        if shelf is not None and shelf.root.is_dir() and shelf.names(snapshot.folder(folder.name)):
            with contextlib.suppress(inventory.InventoryError):  # of a step that is not there either
                inventory.restore(shelf, folder.name, step)
    if step is None:
        return here.newest()
    return load(here.steps()[step]) if step in here.steps() else None


def _of_checkpoint(checkpoint: Checkpoint) -> kobert.Loaded:
    """Of KoBERT alone or of a task on it: from_parts tells by `about`."""
    return kobert.from_parts(_bare(checkpoint), checkpoint.about)


def _bare(checkpoint: Checkpoint) -> dict[str, Tensor]:
    return {k.removeprefix("model."): v for k, v in checkpoint.weights.items() if k.startswith("model.")}


def published() -> kobert.Loaded:
    """The KoBERT that was published, with its tokenizer. DataError where one of them is not here, naming both."""
    both = [manifest.load(name) for name in (WEIGHTS, tokenizers.PUBLISHED)]
    if absent := [found for found in both if not manifest.is_here(found)]:
        raise DataError("\n".join(str(manifest.absent(found)) for found in absent))
    loaded, tokenizer = kobert.load(manifest.folder_of(both[0])), tokenizers.kobert()
    about = loaded.about | kobert.describe(loaded.model.config, tokenizer)
    return kobert.Loaded(loaded.model, tokenizer, about)


def check_schedule(config: Any) -> Callable[[int], float]:
    """The learning rate of BERT for a task's parameters; ValueError for steps behind the end of the schedule."""
    if config.stop_at > config.schedule_steps:
        raise ValueError(
            f"wanted stop_at of at most schedule_steps ({config.schedule_steps:,}), got {config.stop_at:,}: behind it "
            "the learning rate is 0. Raise both, which opens another run; init_from lets it start from this one"
        )
    return warmup_linear(config.learning_rate, config.warmup_steps, config.schedule_steps)


def decayed(model: nn.Module, weight_decay: float) -> list[dict]:
    """The parameters that learn in two groups: matrices, which decay, and biases and norms, which do not."""
    learning = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
