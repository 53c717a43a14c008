"""What all tasks on KoBERT share: its tokenizer, its corpus, weights to start from, its optimiser's groups."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from torch import nn

from nbkit.base import record, workspace
from nbkit.data import corpus, manifest, text_sets, tokenizer_training
from nbkit.data import tokenizer as tokenizers
from nbkit.data.corpus import Corpus
from nbkit.data.disk import DataError
from nbkit.data.meter import Meter
from nbkit.data.tokenizer import Tokenizer
from nbkit.models import kobert
from nbkit.train.store import MANIFEST, CheckpointStore, load

PRETRAINING = "kobert_pretrain"
WEIGHTS = "kobert_weights"  # the manifest of the published ones


def running_text(name: str) -> str:
    """The text to learn from: what was asked for, or for "auto" the film reviews where they lie, else made text."""
    if name != "auto":
        return name
    return "nsmc_raw" if text_sets.here("nsmc_raw") else "made_documents"


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


def newest_run() -> str:
    """The name of the pre-training that was written to last and has a checkpoint; empty where there is none."""
    found = (run for run in record.runs(PRETRAINING) if CheckpointStore(run.folder / "checkpoints").steps())
    return next((run.name for run in found), "")


def open_encoder(source: str | os.PathLike) -> kobert.Loaded:
    """A KoBERT from the name or folder of a run, the folder of a checkpoint, or whatever models.kobert.load opens.

    "kobert_weights" are the published weights with the published tokenizer, where both have been fetched.
    raises  FileNotFoundError where there is none of them, naming the runs there are; DataError where the published
            ones are not here, naming what to fetch
    """
    path = Path(source)
    folder = path if (path / record.CONFIG).exists() else workspace.runs() / path
    if (path / MANIFEST).is_file():
        checkpoint = load(path)
    elif (folder / record.CONFIG).exists():
        checkpoint = CheckpointStore(folder / "checkpoints").newest()
    elif path.exists():
        return kobert.load(path)
    elif str(source) == WEIGHTS:
        return published()
    else:
        checkpoint = None
    if checkpoint is None:
        known = ", ".join(run.name for run in record.runs(PRETRAINING)) or "none yet; run 41_kobert_pretrain first"
        raise FileNotFoundError(
            f"wanted a run with a checkpoint, an export or a file of weights, got {source}; runs: {known}"
        )
    prefix = "model.encoder." if "reader" in checkpoint.about else "model."  # of a task on KoBERT, or of KoBERT alone
    weights = {k.removeprefix(prefix): v for k, v in checkpoint.weights.items() if k.startswith(prefix)}
    return kobert.from_parts(weights, checkpoint.about)


def published() -> kobert.Loaded:
    """The KoBERT that was published, with its tokenizer. DataError where one of them is not here, naming both."""
    both = [manifest.load(name) for name in (WEIGHTS, tokenizers.PUBLISHED)]
    if absent := [found for found in both if not manifest.is_here(found)]:
        raise DataError("\n".join(str(manifest.absent(found)) for found in absent))
    loaded, tokenizer = kobert.load(manifest.folder_of(both[0])), tokenizers.kobert()
    about = loaded.about | kobert.describe(loaded.model.config, tokenizer)
    return kobert.Loaded(loaded.model, tokenizer, about)


def weights_fingerprint(model: nn.Module) -> str:
    """Sixteen hexadecimal digits that change with any weight."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def decayed(model: nn.Module, weight_decay: float) -> list[dict]:
    """The parameters that learn in two groups: matrices, which decay, and biases and norms, which do not."""
    learning = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
