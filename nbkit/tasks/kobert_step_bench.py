"""What a step of pre-training costs at KoBERT's size: a plain loop over transformers' model, and ours.

    python -m nbkit.tasks.kobert_step_bench            also with --device cuda

All ways take the same batch of film reviews of middling length (made lengths where NBKIT_DATA is not set), hide the
same pieces, and end in the same fused AdamW; all have dropout.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nbkit.base import seeds, workspace
from nbkit.data import tokenizer as tokenizers
from nbkit.data.tokenizer import Tokenizer
from nbkit.evaluate import bench
from nbkit.models import kobert

Ways = dict[str, Callable[[], float]]
VOCABULARY, MASK_RATE, IGNORED = 8002, 0.15, -100
READ, DRAWN = 20_000, 64  # reviews that batches are drawn from, and batches of which the middling one is taken


class Texts(NamedTuple):
    """A batch of both kinds: one row of tokens, and the same sequences by themselves."""

    tokens: Tensor  # [T] shortest sequence first
    types: Tensor  # [T]
    boundaries: Tensor  # [B+1]
    masked: Tensor  # [M]
    targets: Tensor  # [M]


def main(words: list[str] | None = None) -> None:
    """Print a table, a row a way, and keep it."""
    parser = argparse.ArgumentParser(description="Measure a step of pre-training.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--size", default="base", choices=tuple(kobert.SIZES))
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--wide", type=int, default=128, help="tokens of the way that pads to a fixed length")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure; three turns at least")
    given = parser.parse_args(words)
    torch.set_num_threads(given.threads)
    sequences, source = reviews(given.wide)
    batch = middling([drawn(sequences, given.batch_size, n) for n in range(DRAWN)])
    lengths = batch.boundaries.diff()
    about = {
        "texts": source,
        "batch_size": given.batch_size,
        "tokens": int(lengths.sum()),
        "longest": int(lengths.max()),
    }
    about |= {"size": given.size, "threads": given.threads, "wide": given.wide}
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    calls = ways(given.size, Texts(*(one.to(given.device) for one in batch)), given.wide)
    rows = bench.rows(bench.compare(calls, device=given.device, seconds=given.seconds))
    print(bench.table("step: forward, backward, AdamW", rows))
    print(bench.save("kobert_step", rows, device=given.device, **about))


def middling(batches: list[Texts]) -> Texts:
    """The batch whose padded size is nearest to the mean, since the time of a step grows with it."""
    padded = np.array([int(batch.boundaries.diff().max()) for batch in batches])
    return batches[int(np.argmin(np.abs(padded - padded.mean())))]


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


def ways(size: str, batch: Texts, wide: int) -> Ways:
    """Each makes a step on the batch, where that lies, and gives its loss."""
    torch.manual_seed(0)
    ours = kobert.KoBERT(kobert.sized(size, VOCABULARY)).to(batch.tokens.device).train()
    theirs = of_transformers(ours).to(batch.tokens.device)
    adams = {model: torch.optim.AdamW(model.parameters(), 1e-5, fused=True) for model in (ours, theirs)}
    padded = functools.partial(padded_step, theirs, adams[theirs], batch)
    packed = functools.partial(our_step, ours, adams[ours], batch)
    return {
        "transformers, padded to the longest": padded,
        "transformers, padded to the longest, bf16": functools.partial(padded, half=True),
        f"transformers, padded to {wide}": functools.partial(padded, wide=wide),
        "ours": packed,
        "ours, bf16": functools.partial(packed, half=True),
    }


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
    with torch.autocast(batch.tokens.device.type, torch.bfloat16, enabled=half):
        out = model(batch, batch.masked)
    assert out.masked_logits is not None
    follows = torch.zeros(len(batch.boundaries) - 1, dtype=torch.long, device=batch.tokens.device)
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
        "next_sentence_label": torch.zeros_like(lengths),
    }
    with torch.autocast(batch.tokens.device.type, torch.bfloat16, enabled=half):
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


if __name__ == "__main__":
    main()
