"""Two questions that the makers of KoBERT answered without figures: how many pieces, and what do more processes bring?

python -m nbkit.tasks.kobert_bench vocabularies --budget 50
python -m nbkit.tasks.kobert_bench processes --most 2
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nbkit
from nbkit.base import seeds
from nbkit.models import kobert
from nbkit.tasks import encoders
from nbkit.tasks.kobert_classify import KoBERTClassify, KoBERTClassifyTask
from nbkit.tasks.kobert_pretrain import KoBERTPretrain, KoBERTPretrainTask
from nbkit.train.device import accelerator, leave, tensors
from nbkit.train.loop import FitResult, fit

SIZES = (4000, 8000, 16_000, 32_000)


def main(words: list[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("vocabularies", "processes", "worker"))
    parser.add_argument("--corpus", default="auto")
    parser.add_argument("--size", default="small", choices=tuple(kobert.SIZES))
    parser.add_argument("--budget", type=float, default=50, help="TFLOP of each pre-training")
    parser.add_argument("--rows", type=int, default=30_000, help="reviews that each is fine-tuned on")
    parser.add_argument("--precision", default="bf16", choices=("fp32", "bf16"))
    parser.add_argument("--most", type=int, default=os.cpu_count() or 1, help="processes, one thread each")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=128)
    given = parser.parse_args(words)
    {"vocabularies": vocabularies, "processes": processes, "worker": worker}[given.what](given)


def vocabularies(given: argparse.Namespace) -> None:
    """Pre-train with each vocabulary at the same arithmetic, then fine-tune all alike."""
    print("pieces  tokens/line  unknown %  steps  tokens/s  seconds  MLM bits/character  accuracy on test")
    for pieces in SIZES:
        config = KoBERTPretrain.preset("cpu", corpus=given.corpus, tokenizer="new", vocabulary=pieces, size=given.size)
        task = KoBERTPretrainTask(config)
        steps = max(20, round(given.budget * 1e12 / flop_of_a_step(task)))
        changed = {"stop_at": steps, "schedule_steps": steps, "warmup_steps": max(1, steps // 10)}
        changed |= {"precision": given.precision, "evaluate_every": steps, "save_every": steps}
        task = KoBERTPretrainTask(KoBERTPretrain.from_dict(config.as_dict() | changed))
        with task.record() as run:
            result = fit(task, task.config, task.store(run), run)
        rows = run.rows("train")
        seconds, tokens = sum(row["seconds"] for row in rows), sum(row["amount"]["tokens"] for row in rows)
        per_line = len(task.corpus.tokens) / task.corpus.lines
        unknown = float(np.mean(np.asarray(task.corpus.tokens[:5_000_000]) == task.tokenizer.unknown))
        bits = bits_per_character(task, result)
        print(
            f"{pieces:6,}  {per_line:11.1f}  {100 * unknown:9.2f}  {steps:5}  {tokens / seconds:8,.0f}  "
            f"{seconds:7.0f}  {bits:18.3f}  {fine_tuned(run.name, given):16.4f}",
            flush=True,
        )


def flop_of_a_step(task: KoBERTPretrainTask) -> float:
    """Forward and backward: six for each weight and token, the output layer at hidden places only."""
    tokens = np.mean([len(task.batches("train", 0, 1)[n].tokens) for n in range(20)])
    return float(tokens) * kobert.flop_per_token(task.model_config, task.config.mask_rate)


@torch.no_grad()
def bits_per_character(task: KoBERTPretrainTask, result: FitResult) -> float:
    """What the hidden pieces of validation texts cost, for each character of theirs: comparable across vocabularies."""
    model, source = result.modules["model"], task.batches("validation", 0, 1)
    letters = np.array([len(piece.replace("▁", " ")) for piece in task.tokenizer.pieces])
    bits, characters = 0.0, 0
    for n in range(min(20, len(source))):
        arrays = source[n]
        batch = tensors(arrays, next(model.parameters()).device)
        logits = model(batch, batch.masked).masked_logits.float()
        bits += float(torch.nn.functional.cross_entropy(logits, batch.targets, reduction="sum")) / np.log(2)
        characters += int(letters[arrays.targets].sum())
    return bits / characters


def fine_tuned(run: str, given: argparse.Namespace) -> float:
    """Accuracy on the test set of reviews after one pass over so many of them."""
    steps = max(1, given.rows // 64)
    values = {"init_from": run, "count": given.rows, "batch_size": 64, "stop_at": steps, "schedule_steps": steps}
    values |= {"learning_rate": 3e-4, "warmup_steps": max(1, steps // 10), "precision": given.precision}
    config = KoBERTClassify.from_dict(
        KoBERTClassify().as_dict() | values | {"evaluate_every": steps, "save_every": steps}
    )
    task = KoBERTClassifyTask(config)
    with task.record() as record:
        result = fit(task, config, task.store(record), record)
    found = task.answers(result.modules, task.texts.splits["test"])
    return float((found == task.truth("test")).mean())


def processes(given: argparse.Namespace) -> None:
    """Steps of one whole batch shared by more and more processes, and how much of a step is talk between them."""
    print("processes  tokens/s  times as fast  share of communication")
    first = 0.0
    for count in range(1, given.most + 1):
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        words = ["--corpus", given.corpus, "--size", given.size, "--precision", given.precision]
        words += ["--steps", str(given.steps), "--batch-size", str(given.batch_size)]
        command = [sys.executable, *launch, "-m", "nbkit.tasks.kobert_bench", "worker", *words]
        path = os.pathsep.join([str(Path(nbkit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{count} processes failed:\n{done.stderr[-2000:]}")
        found = json.loads(done.stdout.splitlines()[-1])
        first = first or found["tokens_per_second"]
        print(
            f"{count:9}  {found['tokens_per_second']:8,.0f}  {found['tokens_per_second'] / first:13.2f}  "
            f"{100 * found['communication']:20.1f} %",
            flush=True,
        )


def worker(given: argparse.Namespace) -> None:
    """One of the processes: steps with and without adding up the gradients, in turns."""
    config = KoBERTPretrain(
        corpus=given.corpus, size=given.size, batch_size=given.batch_size, precision=given.precision
    )
    task = KoBERTPretrainTask(config)
    accelerate = accelerator(given.precision)
    model = task.modules()["model"]
    optimizer = torch.optim.AdamW(encoders.decayed(model, 0.01), lr=1e-4, fused=True)
    model, optimizer = accelerate.prepare(model, optimizer)
    source = task.batches("train", accelerate.process_index, accelerate.num_processes)
    took: dict[bool, list[float]] = {True: [], False: []}
    tokens = 0

    def step(n: int, together: bool) -> None:
        nonlocal tokens
        batch = tensors(source[n], accelerate.device)
        torch.manual_seed(seeds.key(0, "step", n))
        accelerate.wait_for_everyone()
        began = time.perf_counter()
        with accelerate.no_sync(model) if not together else contextlib.nullcontext():
            loss = next(task.losses({"model": model}, batch, n))[1]["mlm"]
            accelerate.backward(loss / len(batch.targets))
        optimizer.step()
        optimizer.zero_grad()
        took[together].append(time.perf_counter() - began)
        tokens += len(batch.tokens) if together else 0

    for n in range(2):
        step(n, bool(n))
    took, tokens = {True: [], False: []}, 0
    for n in range(given.steps):
        for together in (True, False):
            step(n, together)
    gathered: Any = accelerate.reduce(torch.tensor([float(tokens)], device=accelerate.device), "sum")
    if accelerate.is_main_process:
        whole, alone = float(np.median(took[True])), float(np.median(took[False]))
        rate = float(gathered[0]) / given.steps / whole
        share = max(0.0, 1 - alone / whole) if accelerate.num_processes > 1 else 0.0
        print(json.dumps({"tokens_per_second": rate, "communication": share}))
    leave()


if __name__ == "__main__":
    main()
