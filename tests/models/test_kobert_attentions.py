"""The attention of a KoBERT read out, and answers to texts in tokens."""

import json

import numpy as np
import pytest
import torch

from nbkit.models import kobert
from nbkit.models.kobert import KoBERT, Reader, Scorer, reader

TEXTS = ("감자를 샀다", "오늘은 날씨가 좋아서 산책을 했습니다.", "네")
PAIRS = ("네", "", "정말 그렇게 말했어요")


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    made = KoBERT(kobert.sized("tiny", tokenizer.vocabulary, positions=64, dropout=0.5))
    for parameter in made.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return made


def test_attention_of_each_text_is_that_of_the_text_alone(model, tokenizer, monkeypatch):
    encoded = kobert.encode(tokenizer, TEXTS, PAIRS, 32)
    model.train()  # dropout of half of all weights would be seen
    found = kobert.attentions(model, encoded)
    assert not model.training
    for (ids, types), weights in zip(encoded, found, strict=True):
        assert weights.shape == (2, 2, len(ids), len(ids))
        assert weights.dtype == np.float32
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
        row = torch.as_tensor(ids.astype(np.int64))[None]
        with torch.no_grad():
            alone = model.padded(
                row, torch.as_tensor(types.astype(np.int64))[None], torch.tensor([len(ids)]), attentions=True
            ).attentions
        np.testing.assert_allclose(weights, torch.cat(alone).numpy(), atol=1e-5)
    monkeypatch.setattr(reader, "TOKENS_AT_ONCE", 8)  # more passes, the same order
    for one, again in zip(found, kobert.attentions(model, encoded), strict=True):
        np.testing.assert_allclose(one, again, atol=1e-6)
    assert kobert.attentions(model, []) == []


def test_scores_of_tokens_are_scores_of_the_text(model, tokenizer):
    asked = Reader(Scorer(model, 2), tokenizer, ("bad", "good"), 32)
    np.testing.assert_array_equal(asked.scores_of(asked.encode(TEXTS)), asked.scores(TEXTS))
    assert asked.scores_of([]).shape == (0, 2)


@pytest.mark.parametrize(("head", "outputs"), [(lambda model: Scorer(model, 2), 2), (kobert.Embedder, 0)])
def test_readers_that_do_not_say_their_kind_open(model, tokenizer, head, outputs):
    made = Reader(head(model), tokenizer, (), 32)
    about = json.loads(json.dumps(made.about()))
    assert about["reader"]["outputs"] == outputs
    del about["reader"]["kind"]
    again = kobert.reader_from_parts(made.model.state_dict(), about)
    np.testing.assert_array_equal(again.scores(TEXTS), made.scores(TEXTS))
