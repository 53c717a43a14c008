"""What the notebook on tokens shows is what the tokenizer does."""

from __future__ import annotations

import pytest

from nbkit.data import text_sets, tokenizer_training
from nbkit.data.tokenizer import Tokenizer
from nbkit.tasks import kobert_tokens
from nbkit.views.pieces import KNOWN, SPECIAL, UNKNOWN


@pytest.fixture(scope="module")
def learnt() -> list[str]:
    return kobert_tokens.split_text("made_documents", 1500)[0]


@pytest.fixture(scope="module")
def tokenizer(learnt) -> Tokenizer:
    return tokenizer_training.train(learnt, 500, coverage=1.0)


def test_a_pair_is_cut_into_what_encode_gives(tokenizer):
    cut = kobert_tokens.cut(tokenizer, "감자를 샀다 뷁", "네 [SEP]")
    read = tokenizer.encode("감자를 샀다 뷁", "네 [SEP]")
    assert [piece.id for piece in cut.pieces] == read.ids.tolist()
    assert [piece.text for piece in cut.pieces] == read.types.tolist()
    specials = [n for n, piece in enumerate(cut.pieces) if piece.kind == SPECIAL]
    assert specials == [0, read.types.tolist().index(1) - 1, len(cut.pieces) - 1]
    unknown = [cut.texts[one.text][one.start : one.end] for one in cut.pieces if one.kind == UNKNOWN]
    assert "뷁" in unknown
    assert all((piece.kind == UNKNOWN) == (piece.id == 0) for piece in cut.pieces)
    alone = kobert_tokens.cut(tokenizer, "감자를 팔았다", specials=False)
    assert {piece.kind for piece in alone.pieces} == {KNOWN}
    assert len(alone.pieces) == len(tokenizer.ids("감자를 팔았다"))


def test_unknowns_are_counted(tokenizer):
    found = kobert_tokens.unknowns(tokenizer, ["뷁 감자", "감자 뷁 뷁 ☃", "감자"])
    assert [(one.written, one.times, one.example) for one in found] == [("뷁", 3, "뷁 감자"), ("☃", 1, "감자 뷁 뷁 ☃")]
    assert found[1].characters == "snowman"


def test_a_text_is_measured(tokenizer):
    told = kobert_tokens.measure(tokenizer, ["뷁 감자", "감자"])
    tokens = [len(tokenizer.ids(one)) for one in ("뷁", "감자")]
    assert told.length == pytest.approx((tokens[0] + 2 * tokens[1]) / 3)
    assert told.unknown == pytest.approx(1 / 3)


def test_what_is_kept_apart_is_not_learnt_from(monkeypatch):
    documents = [[f"{n} {line}" for line in range(3)] for n in range(400)]
    monkeypatch.setattr(text_sets, "documents", lambda source: iter(documents))
    learnt, apart = kobert_tokens.split_text("any", 10_000)
    assert sorted([*learnt, *apart]) == sorted(line for document in documents for line in document)
    assert 3 * 20 < len(apart) < 3 * 70
    assert not {line.split()[0] for line in learnt} & {line.split()[0] for line in apart}
    fewer = kobert_tokens.split_text("any", 100)
    assert fewer[0] == learnt[:100]
    assert fewer[1] == apart[: len(fewer[1])]


def test_few_documents_are_kept_apart_by_the_line(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text("\n".join(f"줄 {n}" for n in range(600)), encoding="utf-8")
    learnt, apart = kobert_tokens.split_text(str(tmp_path), 10_000)
    assert sorted([*learnt, *apart]) == sorted(f"줄 {n}" for n in range(600))
    assert 30 < len(apart) < 90
    fewer = kobert_tokens.split_text(str(path), 100)
    assert fewer == (learnt[:100], apart[: len(fewer[1])])
    assert fewer[1]
    path.write_text("한 줄", encoding="utf-8")
    with pytest.raises(ValueError, match=r"lines to learn from and lines to measure on in .*, got \d and \d; take"):
        kobert_tokens.split_text(str(path), 100)


def test_vocabularies_of_the_sizes_that_the_text_gives(learnt):
    found = kobert_tokens.vocabularies("500, 400,99999", learnt)
    assert list(found)[:2] == [402, 502]
    assert len(found) == 3
    assert 502 < max(found) < 5000
    assert all(one.vocabulary == ids for ids, one in found.items())
    lengths = [kobert_tokens.measure(one, learnt).length for one in found.values()]
    assert lengths == sorted(lengths, reverse=True)
    few = kobert_tokens.vocabularies("16000, 8000, 4000", learnt)
    assert len(few) == 3
    assert list(few) == sorted(few)
    assert max(few) == max(found)
    with pytest.raises(ValueError, match="wants numbers with commas"):
        kobert_tokens.vocabularies("500; 600", learnt)


def test_coverage_decides_what_is_unknown(learnt):
    unknown = [kobert_tokens.measure(one, learnt).unknown for one in kobert_tokens.coverages(500, learnt).values()]
    assert unknown[0] > unknown[1] >= unknown[2]
    assert unknown[2] < 0.01


def test_speed_tells_where_ids_differ(tokenizer, monkeypatch):
    lines = kobert_tokens.reviews(100)
    assert len(lines) == 100
    assert [row[2] for row in kobert_tokens.speed(tokenizer, lines)] == ["", *["100 of 100"] * 2, "10 of 10"]
    right = Tokenizer.ids_batch

    def wrong(self, texts, threads=1):
        found = right(self, texts, threads)
        found[0] = found[0][:-1]
        return found

    monkeypatch.setattr(Tokenizer, "ids_batch", wrong)
    assert kobert_tokens.speed(tokenizer, lines)[1][2] == "99 of 100"


def test_how_others_read_the_same_pieces(tokenizer):
    pytest.importorskip("transformers", reason="transformers is not installed")
    ours, xlnet, bert = kobert_tokens.as_others_read(tokenizer, "감자를 샀다.")
    assert ours[0] == "ours"
    assert ours[3] < 3
    assert ours[2] == " ".join(map(str, tokenizer.encode("감자를 샀다.").ids))
    assert xlnet[1].endswith("<sep> <cls>")
    assert xlnet[3] == bert[3] == 27
