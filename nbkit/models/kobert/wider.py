"""KoBERT with more pieces than it was trained with."""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import Tensor, nn

from nbkit.data.added_tokens import BLANK
from nbkit.data.tokenizer import Tokenizer, TokenizerError
from nbkit.models.kobert.model import KoBERT


@torch.no_grad()
def widened(model: KoBERT, tokenizer: Tokenizer, before: Tokenizer | None = None) -> KoBERT:
    """A copy of the model that knows the tokens which were added to its tokenizer; all else is as it was.

        tokenizer = loaded.tokenizer.with_added(["노잼", "ㅋㅋㅋ"])
        model = kobert.widened(loaded.model, tokenizer)

    Each new token starts as the mean of the pieces that it was cut into so far, without the mere blank and without
    [UNK] where there is anything else. So does its bias in the output layer: with both, its logit is the mean of the
    logits of these pieces, so that a new token is at first about as likely as they are. A bias of 0 would be that of
    a piece of middling frequency, while what is added is mostly rare.

    before  the tokenizer of the model, for a check that it is the same but for what was added; None believes it
    raises  ValueError where the tokenizer is not the model's own with tokens added
    """
    old = _before(model.config.vocabulary, tokenizer, before)
    rows = [_cut(old, token) for token in tokenizer.pieces[old.vocabulary :]]
    made = copy.deepcopy(model)
    made.config = dataclasses.replace(model.config, vocabulary=tokenizer.vocabulary)
    words, bias = model.bert.embeddings.word_embeddings.weight, model.cls.predictions.bias
    embedding = made.bert.embeddings.word_embeddings
    embedding.weight, embedding.num_embeddings = _grown(words, rows), tokenizer.vocabulary
    made.cls.predictions.bias = _grown(bias, rows)
    return made


def _before(count: int, tokenizer: Tokenizer, before: Tokenizer | None) -> Tokenizer:
    """The tokenizer with the first `count` pieces."""
    pieces, new = tokenizer.pieces[:count], tokenizer.pieces[count:]
    wanted = f"wanted the tokenizer of the model, which has {count:,} pieces, with tokens added"
    if len(pieces) < count:
        raise ValueError(f"{wanted}; got {len(pieces):,} pieces. Add to the model's own one by with_added()")
    added = (
        tokenizer.added[: min(map(tokenizer.added.index, new), default=None)] if {*new} <= {*tokenizer.added} else ()
    )
    try:
        old = Tokenizer(tokenizer.model, pieces, added)
    except TokenizerError as error:
        raise ValueError(f"{wanted}; got another one ({error}). Add to the model's own one by with_added()") from error
    if before is not None and (before.model, before.pieces) != (old.model, old.pieces):
        raise ValueError(f"{wanted}; the first {count:,} pieces are not its own. Add to it by with_added()")
    return before or old


def _cut(old: Tokenizer, token: str) -> list[int]:
    """The ids that a token was read as."""
    ids = [i for i in old.ids(token) if old.pieces[i] != BLANK]
    return [i for i in ids if i != old.unknown] or ids or [old.unknown]


def _grown(values: Tensor, rows: list[list[int]]) -> nn.Parameter:
    """[V, ...] with the mean of so many of its rows behind it for each new one."""
    new = [values[row].float().mean(0, keepdim=True).to(values) for row in rows]
    return nn.Parameter(torch.cat([values.detach(), *new]), values.requires_grad)
