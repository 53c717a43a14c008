"""What a step of pre-training costs at KoBERT's size: a plain loop over transformers' model, and ours.

    python -m nbkit.tasks.kobert_step_bench --rounds 3

All ways take the same batches of the same film reviews (made lengths where NBKIT_DATA is not set), hide the same
pieces, and end in the same fused AdamW; all have dropout. They are measured in turns, so that whatever else the machine
does falls on all of them alike.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nbkit.base import seeds, workspace
from nbkit.data import tokenizer as tokenizers
from nbkit.data.tokenizer import Tokenizer
from nbkit.models import kobert

Ways = dict[str, Callable[["Texts"], float]]
VOCABULARY, MASK_RATE, IGNORED = 8002, 0.15, -100
READ = 20_000  # reviews that batches are drawn from


class Texts(NamedTuple):
    """A batch of both kinds: one row of tokens, and the same sequences by themselves."""

    tokens: Tensor  # [T] shortest sequence first
    types: Tensor  # [T]
    boundaries: Tensor  # [B+1]
    masked: Tensor  # [M]
    targets: Tensor  # [M]


def main(words: list[str] | None = None) -> None:
    """Print a row a way: seconds a step, and how many times as fast as the first it is."""
    parser = argparse.ArgumentParser(description="Measure a step of pre-training.")
    parser.add_argument("--rounds", type=int, default=3, help="batches, each by every way")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", default="base", choices=tuple(kobert.SIZES))
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--wide", type=int, default=128, help="tokens of the way that pads to a fixed length")
    given = parser.parse_args(words)
    torch.set_num_threads(given.threads)
    sequences, source = reviews(given.wide)
    batches = [drawn(sequences, given.batch_size, n) for n in range(given.rounds + 1)]
    lengths = np.concatenate([batch.boundaries.diff().numpy() for batch in batches[1:]])
    print(
        f"{source}: {lengths.mean():.1f} tokens a text, the longest {lengths.max()}; {given.batch_size} texts a batch; "
        f"size {given.size}; {given.threads} threads; torch {torch.__version__}"
    )
    table(measured(ways(given.size, given.wide), batches))


def reviews(most: int) -> tuple[list[np.ndarray], str]:
    """Sequences with their specials, at most so long, and where they are from."""
    folder = workspace.real_data()
    if folder is None or not (folder / "nsmc").is_dir() or not (folder / "kobert_tokenizer").is_dir():
        rng = seeds.generator(0, "lengths")
        lengths = np.clip(np.exp(rng.normal(2.75, 0.7, READ)).astype(int), 1, most - 2)  # as those of NSMC are spread
        ids, source = [rng.integers(5, VOCABULARY, length) for length in lengths], "made lengths"
    else:
        lines = (folder / "nsmc" / "ratings_train.txt").read_text(encoding="utf-8").splitlines()[1 : READ + 1]
        ids, source = tokenizers.kobert().ids_batch([line.split("\t")[1] for line in lines]), "NSMC"
    specials = Tokenizer.cls, Tokenizer.sep
    return [np.array([specials[0], *row[: most - 2], specials[1]], np.int64) for row in ids], source


def drawn(sequences: list[np.ndarray], batch_size: int, n: int) -> Texts:
    """Batch n, of which 15 % of the pieces are hidden."""
    rng = seeds.generator(0, "batch", n)
    chosen = sorted((sequences[i] for i in rng.choice(len(sequences), batch_size, replace=False)), key=len)
    tokens = np.concatenate(chosen)
    pieces = np.flatnonzero((tokens != Tokenizer.cls) & (tokens != Tokenizer.sep))
    masked = np.sort(rng.choice(pieces, max(1, round(MASK_RATE * len(pieces))), replace=False))
    targets = tokens[masked].copy()
    tokens[masked] = Tokenizer.mask
    arrays = tokens, np.zeros_like(tokens), np.cumsum([0, *map(len, chosen)]), masked, targets
    return Texts(*map(torch.as_tensor, arrays))


def ways(size: str, wide: int) -> Ways:
    """Each takes a batch, makes a step and gives its loss."""
    torch.manual_seed(0)
    ours = kobert.KoBERT(kobert.sized(size, VOCABULARY)).train()
    theirs = of_transformers(ours)
    adams = {model: torch.optim.AdamW(model.parameters(), 1e-5, fused=True) for model in (ours, theirs)}
    theirs_to = functools.partial(padded_step, theirs, adams[theirs])
    found: Ways = {
        "transformers, padded to the longest": theirs_to,
        "transformers, padded to the longest, bf16": functools.partial(theirs_to, half=True),
        f"transformers, padded to {wide}": functools.partial(theirs_to, wide=wide),
        "ours": functools.partial(our_step, ours, adams[ours]),
        "ours, bf16": functools.partial(our_step, ours, adams[ours], half=True),
    }
    return found


def of_transformers(model: kobert.KoBERT) -> Any:
    """Their BertForPreTraining with the weights of ours, as from_pretrained makes it (attention by SDPA)."""
    try:
        from transformers import BertConfig, BertForPreTraining
    except ImportError as error:
        raise ImportError(
            "this compares with transformers, which is not installed; run pip install transformers"
        ) from error
    c = model.config
    theirs = BertForPreTraining(
        BertConfig(
            vocab_size=c.vocabulary,
            hidden_size=c.hidden,
            num_hidden_layers=c.layers,
            num_attention_heads=c.heads,
            intermediate_size=c.filter,
            pad_token_id=Tokenizer.pad,
        )
    )
    theirs.load_state_dict(model.state_dict())
    return theirs.train()


def our_step(model: kobert.KoBERT, adam: torch.optim.Optimizer, batch: Texts, half: bool = False) -> float:
    """No padding, and the output layer at hidden places only."""
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        out = model(batch, batch.masked)
    assert out.masked_logits is not None
    follows = torch.zeros(len(batch.boundaries) - 1, dtype=torch.long)
    loss = functional.cross_entropy(out.masked_logits.float(), batch.targets)
    loss = loss + functional.cross_entropy(out.next_sentence_logits.float(), follows)
    return _learn(loss, adam)


def padded_step(
    model: nn.Module, adam: torch.optim.Optimizer, batch: Texts, half: bool = False, wide: int = 0
) -> float:
    """A batch of [B, T] and the loss that the model itself gives. wide  pads to so many tokens, 0 to the longest"""
    lengths = batch.boundaries.diff()
    labels = torch.full_like(batch.tokens, IGNORED)
    labels[batch.masked] = batch.targets
    inputs = {
        "input_ids": _side_by_side(batch.tokens, lengths, Tokenizer.pad, wide),
        "token_type_ids": _side_by_side(batch.types, lengths, 0, wide),
        "attention_mask": _side_by_side(torch.ones_like(batch.tokens), lengths, 0, wide),
        "labels": _side_by_side(labels, lengths, IGNORED, wide),
        "next_sentence_label": torch.zeros(len(lengths), dtype=torch.long),
    }
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss = model(**inputs).loss
    return _learn(loss, adam)


def _side_by_side(row: Tensor, lengths: Tensor, filling: int, wide: int) -> Tensor:
    sequences = row.split(lengths.tolist())
    padded = nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=filling)
    return functional.pad(padded, (0, max(0, wide - padded.shape[1])), value=filling)


def _learn(loss: Tensor, adam: torch.optim.Optimizer) -> float:
    loss.backward()
    adam.step()
    adam.zero_grad(set_to_none=True)
    return loss.item()


def measured(ways: Ways, batches: list[Texts]) -> dict[str, list[float]]:
    """Seconds of each way for each batch but the first, which makes room in memory."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for n, batch in enumerate(batches):
        for name, way in ways.items():
            began = time.perf_counter()
            way(batch)
            if n:
                took[name].append(time.perf_counter() - began)
    return took


def table(took: dict[str, list[float]]) -> None:
    """Median and least time of each way; ratios are medians over the batches, to the first and to the third way."""
    names = list(took)
    first, third = names[0], names[2]
    print(f"{'step: forward, backward, AdamW':44} median s   least s   x {'longest':8} x {third.rsplit(' ', 1)[1]}")
    for name, times in took.items():
        ratios = [float(np.median(np.array(took[other]) / times)) for other in (first, third)]
        print(f"{name:44} {np.median(times):8.3f} {min(times):9.3f} {ratios[0]:9.2f}  {ratios[1]:9.2f}")


if __name__ == "__main__":
    main()
