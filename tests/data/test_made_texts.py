"""Texts that are made on the spot: the same everywhere, and not to be told by single words."""

from __future__ import annotations

import pytest

from nbkit.data import made_texts, manifest
from nbkit.data.text_sets import documents, open_text_set, source_fingerprint

FINGERPRINTS, STORIES = (
    ["8112b45b5b6042f2", "e82036592d1ffc53", "8c42abdf804c20cb", "e5e08bea2c97ff97"],
    "6431f1751ecfce26",
)


def test_made_documents():
    made = list(documents("made_documents"))
    assert len(made) == made_texts.STORIES
    assert {len(document) for document in made} == set(range(made_texts.LEAST, made_texts.MOST + 1))
    assert made == list(made_texts.documents())
    assert len({tuple(document) for document in made}) > 0.99 * len(made)
    for line in {line for document in made for line in document}:
        assert line.endswith(".")
        assert not set("<>{}()/|_") & set(line), line


@pytest.mark.parametrize(
    ("name", "kind", "labels"),
    [
        ("made_reviews", "labels", ("negative", "positive")),
        ("made_pairs", "labels", ("different", "same")),
        ("made_scores", "scores", ()),
        ("made_answers", "answers", ()),
    ],
)
def test_made_rows(name: str, kind: str, labels: tuple[str, ...]):
    found = open_text_set(name)
    assert (found.kind, found.labels) == (kind, labels)
    rows = [row for split in found.splits.values() for row in split]
    assert len(rows) == manifest.load(name).rows
    assert len({(row.text, row.pair) for row in rows}) == len({row.id for row in rows}) == len(rows)
    assert min(map(len, found.splits.values())) > 80
    assert all(not set("<>{}()/|_") & set(row.text + row.pair) for row in rows)
    assert found.pairs == (name != "made_reviews") == all(row.pair for row in rows)
    if kind == "labels":
        shares = [sum(row.label == label for row in rows) / len(rows) for label in labels]
        assert min(shares) > 0.45
    if kind == "scores":
        assert {row.score for row in rows} >= {0.0, 5.0}
        assert all(0 <= row.score <= 5 for row in rows)
    if kind == "answers":
        assert len({row.pair for row in rows}) == 240


def test_made_texts_are_the_same_everywhere():
    """What other machines made; a change here changes the fingerprints of runs."""
    names = ("made_reviews", "made_pairs", "made_scores", "made_answers")
    assert [open_text_set(name).fingerprint for name in names] == FINGERPRINTS
    assert source_fingerprint("made_documents") == STORIES


def test_single_words_do_not_tell_a_review():
    """Reviews with the same words and another order of clauses turn: no list of words can tell them."""
    rows = [row for split in open_text_set("made_reviews").splits.values() for row in split]
    good = [row for row in rows if "훌륭하네요" in row.text or "훌륭했다" in row.text]
    shares = sum(row.label == "positive" for row in good) / len(good)
    assert 0.4 < shares < 0.9
    for row in rows:
        last = row.text.split("하지만 ")[-1]
        if last.endswith("하네요.") and " 안 " not in f" {last}" and "않" not in last and "도 " not in last:
            stem = last.split()[-1].removesuffix("하네요.")
            assert row.label == ("positive" if stem in made_texts._words()["good"] else "negative"), row


def test_a_score_is_what_two_sentences_have_in_common():
    for row in open_text_set("made_scores", 200).splits["train"]:
        taken = 0.0
        for part, weight in made_texts.PARTS.items():
            groups = [words.split("/") for words in made_texts._words()[part]]
            meant = [
                {n for n, group in enumerate(groups) if _holds(text, group, part)} for text in (row.text, row.pair)
            ]
            taken += weight * (not meant[0] & meant[1])
        assert row.score == pytest.approx(5.0 - taken), row


def _holds(text: str, group: list[str], part: str) -> bool:
    ends = {"object": ("을 ", "를 "), "place": ("에서 ",), "who": ("이 ", "가 "), "when": (" ",), "verb": ("",)}[part]
    starts = ("",) if part == "verb" else (" ",)
    return any(f"{start}{word}{end}" in f" {text} " for word in group for end in ends for start in starts)
