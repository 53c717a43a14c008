"""The base camp learns what can be learnt from characters, and says what it cannot use."""

import numpy as np
import pytest

from nbkit.evaluate.baselines import Bm25Search, PairRegressor, TextClassifier, TfidfSearch

GOOD = ["정말 재미있는 영화", "재미있어요 최고", "최고의 연기 재미있다", "연기가 최고", "감동 재미있음"]
BAD = ["지루한 영화 최악", "너무 지루해요", "최악의 연기 지루하다", "시간이 아깝다 최악", "지루함"]
ANSWERS = ["오늘은 비가 와요.", "점심은 김밥이 좋겠어요.", "푹 쉬는 게 좋아요.", "주말에는 비가 그쳐요."]


def test_the_classifier_tells_labels_of_any_kind_apart():
    model = TextClassifier().fit(GOOD + BAD, ["good"] * 5 + ["bad"] * 5)
    assert model.predict(["재미있는 최고 연기", "지루하고 최악"]).tolist() == ["good", "bad"]
    again = TextClassifier().fit(GOOD + BAD, [1] * 5 + [0] * 5)
    assert again.predict(["재미있는 최고 연기", ""]).dtype.kind == "i"


def test_the_classifier_sees_whether_two_texts_are_alike():
    stream = np.random.default_rng(0)
    words = ["영화", "점심", "날씨", "주말", "친구", "커피", "버스", "운동", "음악", "여행"]
    first, second = stream.integers(0, 10, (2, 300))
    second[:150] = first[:150]
    texts, pairs = [f"{words[i]} 어때" for i in first], [f"{words[i]} 좋아해?" for i in second]
    model = TextClassifier().fit(texts[::2], (first == second)[::2].tolist(), pairs[::2])
    assert (model.predict(texts[1::2], pairs[1::2]) == (first == second)[1::2]).mean() > 0.95


def test_the_regressor_knows_likeness():
    texts, pairs, scores = [], [], []
    for base in GOOD + BAD:
        texts += [base] * 3
        pairs += [base, base[: len(base) // 2], "qwerty"]
        scores += [5.0, 3.0, 0.0]
    model = PairRegressor().fit(texts[:24], pairs[:24], scores[:24])
    assert model.mean == pytest.approx(8 / 3)
    same, half, other = model.predict(texts[24:27], pairs[24:27])
    assert same > half > other
    assert model.predict(["", "a"], ["", "b"]).shape == (2,)


@pytest.mark.parametrize("search", [TfidfSearch, Bm25Search, lambda texts: Bm25Search(texts, "words")])
def test_a_search_finds_what_shares_most_and_nothing_where_nothing_is_shared(search):
    found = search(ANSWERS).scores(["비가 와요.", "XYZ", "", "푹 쉬는 게"])
    assert found.shape == (4, 4)
    assert found.dtype == np.float32
    assert found[0].argmax() == 0
    assert found[3].argmax() == 2
    assert not found[1:3].any()


def test_characters_find_a_stem_behind_another_ending_and_words_do_not():
    assert Bm25Search(ANSWERS).scores(["점심에 김밥"])[0].argmax() == 1
    assert not Bm25Search(ANSWERS, "words").scores(["점심에 김밥"]).any()


def test_bm25_is_the_formula():
    texts = ["a b b", "a c", "d"]
    found = Bm25Search(texts, "words").scores(["b c"])[0]
    idf = np.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    norm = 1 - 0.75 + 0.75 * np.array([3, 2]) / 2
    np.testing.assert_allclose(found[:2], idf * np.array([2, 1]) / (np.array([2, 1]) + 1.5 * norm), rtol=1e-5)
    assert found[2] == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: TextClassifier().fit(["a", "b"], ["x"]), "2 texts, 1 labels"),
        (lambda: TextClassifier().fit([], []), "0 texts"),
        (lambda: TextClassifier().fit(["a", "b"], ["x", "x"]), "only 'x'"),
        (lambda: TextClassifier().fit(["", ""], ["x", "y"]), "at least 1 characters"),
        (lambda: PairRegressor().fit(["ab"], ["ab"], [float("nan")]), "1 of them have none"),
        (lambda: TfidfSearch([]), "0 texts"),
        (lambda: Bm25Search(["", " "]), "none of the 2"),
        (lambda: Bm25Search(["a"], "stems"), "'characters' or 'words'"),
    ],
)
def test_what_cannot_be_learnt_from_is_told(call, words):
    with pytest.raises(ValueError, match=words):
        call()
