"""Attention: measures against hand-made heads, words, a page that keeps the numbers, text that stays text."""

from __future__ import annotations

import base64
import json
import re
import zlib

import numpy as np
import pytest

from nbkit.views import attention
from nbkit.views.attention import Attention

EVIL = "<script>alert('가')</script>\"\u202e&"
PIECES = ["[CLS]", "▁영화", "가", "▁좋다", "[SEP]"]


def random(layers: int = 2, heads: int = 3, rows: int = 5, columns: int = 5, seed: int = 0) -> np.ndarray:
    weights = np.random.default_rng(seed).exponential(size=(layers, heads, rows, columns)) ** 3
    return weights / weights.sum(-1, keepdims=True)


def model(**changed) -> Attention:
    values = {"weights": random(), "tokens": PIECES, "special": [0, 4], "words": [-1, 0, 0, 1, -1], "title": "가"}
    return Attention(**{**values, **changed})


def data_of(page) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page.document, re.DOTALL)[1])


def unpacked(packed: dict) -> np.ndarray:
    kind = {"Uint8Array": "<u1", "Uint16Array": "<u2"}[packed["type"]]
    return np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), kind).reshape(packed["shape"])


def test_the_page_keeps_the_weights_to_a_fifth_of_a_per_cent():
    first, second = model(), model(weights=random(seed=1))
    for given, packed in zip((first, second), data_of(attention.page([first, second]))["models"], strict=True):
        steps, most = (unpacked(packed["weights"][name]).astype(float) for name in ("steps", "most"))
        found = steps * most[..., None] / 65535 / 255
        assert np.abs(found - given.weights).max() < 0.0021
        assert (found.argmax(-1) == given.weights.argmax(-1)).all()


def test_entropy_of_heads_that_are_known():
    one = np.eye(5)[None, None]
    assert attention.entropy(one) == pytest.approx(0)
    assert attention.entropy(np.full((1, 1, 5, 8), 1 / 8)) == pytest.approx(np.log(8))
    masked = np.full((1, 1, 4, 4), 1 / 4)
    masked[..., 2:, :] = 0
    assert attention.entropy(masked) == pytest.approx(np.log(4)), "masked rows do not count"


def test_rollout_against_a_loop_over_paths():
    weights = random(3, 2)
    found = attention.rollout(weights)
    flow = np.eye(5)
    for layer in range(3):
        mixed = 0.5 * weights[layer].mean(0) + 0.5 * np.eye(5)
        flow = np.array([[sum(mixed[i, k] * flow[k, j] for k in range(5)) for j in range(5)] for i in range(5)])
        np.testing.assert_allclose(found[layer], flow, atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    with pytest.raises(ValueError, match="across texts"):
        attention.rollout(random(columns=7))


def test_rollout_of_masked_rows_stays_with_the_token():
    weights = random(2, 2)
    weights[:, :, 4] = 0
    np.testing.assert_allclose(attention.rollout(weights)[:, 4], np.eye(5)[[4, 4]], atol=1e-6)


def test_words_average_who_looks_and_sum_what_is_looked_at():
    whole = model(second=3)
    found = attention.joined(whole)
    assert list(found.tokens) == ["[CLS]", "영화가", "좋다", "[SEP]"]
    assert (found.special, found.second, found.words) == ([0, 3], 2, None)
    np.testing.assert_allclose(found.weights.sum(-1), 1, atol=1e-6)
    pair = whole.weights[:, :, 1:3, 1:3].sum(-1).mean(-1)
    np.testing.assert_allclose(found.weights[:, :, 1, 1], pair, rtol=1e-6)
    with pytest.raises(ValueError, match="words="):
        attention.joined(model(words=None))


def test_words_of_cross_attention_join_only_those_that_look():
    cross = model(weights=random(columns=3), others=["ㅎ", "a", "b"])
    found = attention.joined(cross)
    assert found.weights.shape == (2, 3, 4, 3)
    np.testing.assert_allclose(found.weights[:, :, 1], cross.weights[:, :, 1:3].mean(2), rtol=1e-6)


def test_words_may_be_an_array():
    page = attention.page(model(words=np.array([-1, 0, 0, 1, -1])))
    assert data_of(page)["names"] == ["[CLS]", "영화가", "좋다", "[SEP]"]


@pytest.mark.parametrize(
    ("pieces", "word"),
    [(["▁영화", "가"], "영화가"), (["play", "##ing"], "playing"), (["▁"], "▁"), (["[CLS]"], "[CLS]")],
)
def test_a_word_loses_the_marks_of_its_pieces(pieces: list[str], word: str):
    assert attention.written(pieces) == word


def test_measures_know_neighbours_specials_and_distances():
    weights = np.zeros((1, 4, 5, 5))
    weights[0, 0] = np.eye(5)[[0, 0, 1, 2, 3]]  # the token before
    weights[0, 1] = np.eye(5)[[1, 2, 3, 4, 4]]  # the token behind
    weights[0, 2] = np.eye(5)[[4] * 5]  # [SEP]
    weights[0, 3] = np.eye(5)
    found = {name: values[0] for name, values in attention.measures(model(weights=weights)).items()}
    assert found["share on the token before"].argmax() == 0
    assert found["share on the token before"][0] == pytest.approx(1)
    assert found["share on the token behind"][1] == pytest.approx(1)
    np.testing.assert_allclose(found["share on [SEP]"], [0, 0.4, 1, 0.2])
    np.testing.assert_allclose(found["distance"], [0.8, 0.8, 2, 0])


def test_the_difference_of_two_models_is_the_share_that_moved():
    one = model(weights=np.broadcast_to(np.eye(5), (1, 1, 5, 5)))
    two = model(weights=np.full((1, 1, 5, 5), 0.2))
    assert attention.apart([one, two]) == pytest.approx(0.8)
    assert attention.apart([one]) == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": random(rows=4)}, r"\[layers, heads, 5, 5\], got shape \(2, 3, 4, 5\)"),
        ({"weights": random()[0]}, "got shape"),
        ({"weights": random().astype(int)}, "float weights"),
        ({"weights": np.full((1, 1, 5, 5), np.nan)}, "25 NaN"),
        ({"weights": 3 * random()}, "rows that sum to 1"),
        ({"weights": np.log(random())}, "rows that sum to 1"),
        ({"tokens": []}, "got shape"),
        ({"special": [5]}, "from 0 to 4"),
        ({"words": [0, 1]}, "got 2"),
        ({"second": 5}, "from 0 to 4"),
    ],
)
def test_what_is_no_attention_is_refused(changed: dict, message: str):
    with pytest.raises(ValueError, match=message):
        model(**changed)


def test_what_no_page_can_show_is_refused():
    with pytest.raises(ValueError, match="one model or two, got 3"):
        attention.page([model()] * 3)
    with pytest.raises(ValueError, match="one model or two, got 0"):
        attention.page([])
    with pytest.raises(ValueError, match="same layers, heads and tokens"):
        attention.page([model(), model(tokens=list("가나다라마"))])
    with pytest.raises(ValueError, match="same layers, heads and tokens"):
        attention.page([model(others=list("abcde")), model(others=list("abcdf"))])
    with pytest.raises(ValueError, match="layer wants a number from 0 to 1, got 2"):
        attention.page(model(), layer=2)
    with pytest.raises(ValueError, match="head wants a number from 0 to 2, got -4"):
        attention.page(model(), head=-4)
    long = Attention(np.broadcast_to(np.eye(513, dtype=np.float32), (1, 1, 513, 513)), ["a"] * 513)
    with pytest.raises(ValueError, match=r"512 tokens .* 1 x 1 x 513 x 513 .*shorter text"):
        attention.page(long)


def test_masked_rows_are_shown():
    weights = random()
    weights[:, :, 3:] = 0
    assert attention.page(model(weights=weights)).poster.startswith(b"\x89PNG")


def test_hostile_tokens_stay_text():
    tokens = [EVIL, "$x^2$", "가" * 300, "\ud800ᄒ", "🙂"]
    page = attention.page(model(tokens=tokens, title=EVIL + "\udfff", words=[0, 0, 1, 1, 2]))
    assert page.document.count("</script>") == page.document.count("<script") == 2
    assert "<script>alert" not in page.document
    data = data_of(page)
    assert data["tokens"] == [EVIL, "$x^2$", "가" * 300, "�ㅎ", "🙂"]
    assert data["names"][0] == EVIL + "$x^2$"
    page.document.encode("utf8")
    assert page.poster.startswith(b"\x89PNG")


def test_nothing_comes_from_outside():
    assert not re.search(r"https?://|//cdn|@import|src=\"(?!data:)", attention.page(model()).document)


def test_pictures_show_every_head_and_every_token():
    ax = attention.grid(model())
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "3"]
    picture = ax.get_images()[0].get_array()
    assert picture.shape == (2 * 6 - 1, 3 * 6 - 1)
    np.testing.assert_allclose(picture[6:11, 6:11], np.sqrt(model().weights[1, 1]), rtol=1e-6)
    ax = attention.matrix(model(), 1, 2)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["[CLS]", "·영화", "가", "·좋다", "[SEP]"]
    assert ax.get_title(loc="left") == "layer 2, head 3"
    ax = attention.lines(model(), 1, 2)
    drawn = len(ax.collections[0].get_paths())
    assert drawn == (model().weights[1, 2] >= 0.02).sum()


def test_a_mosaic_of_long_texts_keeps_its_strongest_cells():
    weights = np.zeros((1, 1, 200, 200), np.float32)
    weights[0, 0, :, 7] = 1
    image = attention.grid(Attention(weights, ["a"] * 200)).get_images()[0].get_array()
    assert image.shape == (50, 50)
    assert (image.max(1) == 1).all()
