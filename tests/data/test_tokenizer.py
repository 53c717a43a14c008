"""KoBERT's tokenizer: the published ids, specials and pairs, places in the text, added tokens, files, refusals."""

from __future__ import annotations

import csv
import io
import json
import pickle
import re
import unicodedata

import numpy as np
import pytest

from nbkit.data import texts, tokenizer_training
from nbkit.data.disk import DataError
from nbkit.data.tokenizer import BLANK, SPECIALS, Tokenizer, TokenizerError, kobert

LINES = [*texts.sentences("ko", 1500), *texts.sentences("en", 200)]
ODD = [
    "  나는   간다  ",
    "㎏ 단위 ㈜한글 ½ …",
    "ﾊﾝｸﾞﾙ ｶﾞ ﾡﾢ Ａｂｃ",
    "\u1112\u1161\u11ab국 가\u0301",
    "😀😀 좋아 👩\u200d👩\u200d👧",
    "a\u200bb\u3000c\tㅋㅋㅋ ㅠㅠ",
    "\ufeff한\ufeff국 ﷺ 가\x00나",
    "[SEP] [MASK] <s> </s> ▁ \U000f0000",
    "",
    " \t\n",
]


@pytest.fixture(scope="module")
def small() -> Tokenizer:
    return tokenizer_training.train(LINES, 1500)


@pytest.fixture
def published(real_data) -> Tokenizer:
    return kobert()


@pytest.fixture(params=["small", "published"])
def each(request) -> Tokenizer:
    return request.getfixturevalue(request.param)


def composed(text: str) -> str:
    """A text as pieces have it, without blanks: characters that are another way of writing one are that one."""
    return re.sub("[\\s\u200b-\u200d\ufeff\u2581]", "", unicodedata.normalize("NFKC", text))


# the published one


def test_published_ids(published):
    assert published.ids("한국어 모델을 공유합니다.") == [4958, 6855, 2046, 7088, 1050, 7843, 54]
    assert published.vocabulary == 8002
    assert published.pieces[:5] == ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
    specials = published.unknown, published.pad, published.cls, published.sep, published.mask
    assert specials == (0, 1, 2, 3, 4)
    assert published.starts[[4958, 6855, 517]].tolist() == [True, False, True]


def test_reviews_get_the_ids_of_sentencepiece_itself(published, real_data):
    from sentencepiece import SentencePieceProcessor

    with (real_data / "nsmc" / "ratings_test.txt").open(encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        reviews = [row["document"] for row, _ in zip(rows, range(5000))]
    folder = real_data / "kobert_tokenizer"
    processor = SentencePieceProcessor(model_file=str(next(folder.glob("*.model"))))
    index = json.loads(next(folder.glob("*.json")).read_text())["token_to_idx"]
    wanted = [[index.get(piece, 0) for piece in pieces] for pieces in processor.Encode(reviews, out_type=str)]
    assert len(reviews) == 5000
    assert [found.tolist() for found in published.ids_batch(reviews, threads=2)] == wanted
    assert [published.encode(text).ids[1:-1].tolist() for text in reviews[:200]] == wanted[:200]


def test_without_the_published_files_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("NBKIT_DATA", str(tmp_path))
    with pytest.raises(DataError, match="kobert_tokenizer is not on this machine"):
        kobert()


# specials, pairs, lengths


def test_specials_and_types(small):
    first, second = small.ids("바다가 좋다"), small.ids("네")
    read = small.encode("바다가 좋다", "네")
    assert read.ids.tolist() == [2, *first, 3, *second, 3]
    assert read.types.tolist() == [0] * (len(first) + 2) + [1] * (len(second) + 1)
    assert read.ids.dtype == read.types.dtype == read.spans.dtype == np.int64
    alone = small.encode("바다가 좋다")
    assert alone.ids.tolist() == [2, *first, 3]
    assert not alone.types.any()
    assert small.encode("").ids.tolist() == [2, 3]
    assert (small.ids(""), small.ids_batch([])) == ([], [])


def test_text_is_no_special(each):
    for text in ("[CLS] [SEP] [MASK] [PAD] [UNK]", "<s> </s> <unk>"):
        assert not {1, 2, 3, 4} & set(each.ids(text))


@pytest.mark.parametrize(
    ("first", "second", "room", "kept"),
    [
        (9, 3, 100, (9, 3)),
        (9, 3, 8, (5, 3)),
        (3, 9, 8, (3, 5)),
        (9, 9, 8, (4, 4)),
        (9, 9, 7, (4, 3)),
        (9, 1, 2, (1, 1)),
    ],
)
def test_of_a_pair_the_longer_text_gives(small, first, second, room, kept):
    words = small.ids(" ".join(["바다가"] * 20))
    texts_ = [small.decode(words[:n]) for n in (first, second)]
    assert [len(small.ids(text)) for text in texts_] == [first, second], "the test's own texts"
    read = small.encode(*texts_, max_length=room + 3)
    assert read.types.tolist() == [0] * (kept[0] + 2) + [1] * (kept[1] + 1)
    assert read.ids.tolist() == [2, *words[: kept[0]], 3, *words[: kept[1]], 3]


def test_a_length_without_room_is_refused(small):
    assert len(small.encode("바다가 좋다", max_length=3).ids) == 3
    with pytest.raises(TokenizerError, match="at least 3, specials included, got 2"):
        small.encode("바다", max_length=2)
    with pytest.raises(TokenizerError, match="at least 5"):
        small.batch(["바다"], ["네"], max_length=4)


def test_a_batch_is_its_texts_filled_up_at_the_right(each):
    given, pairs = [*LINES[:3], "", "짧다"], ["", "네 그렇습니다", "", "네", ""]
    batch = each.batch(given, pairs, max_length=24)
    assert batch.tokens.shape == batch.types.shape == (5, batch.lengths.max())
    for row, (text, pair) in enumerate(zip(given, pairs)):
        read, end = each.encode(text, pair, max_length=24), batch.lengths[row]
        assert batch.tokens[row, :end].tolist() == read.ids.tolist()
        assert batch.types[row, :end].tolist() == read.types.tolist()
        assert (batch.tokens[row, end:] == 1).all()
        assert not batch.types[row, end:].any()
    with pytest.raises(TokenizerError, match="2 texts and 1 pairs"):
        each.batch(["가", "나"], ["다"])
    with pytest.raises(TokenizerError, match="0 texts"):
        each.batch([])


# places


@pytest.mark.parametrize("text", ["\n".join(LINES[:40]), *ODD], ids=["lines", *map(ascii, ODD)])
def test_places_are_those_of_the_text_as_it_came(each, text):
    read = each.encode(text, max_length=4096)
    assert read.ids[1:-1].tolist() == each.ids(text)
    assert read.spans[[0, -1]].tolist() == [[0, 0], [0, 0]]
    last = 0
    for piece, (start, end) in zip(read.pieces[1:-1], read.spans[1:-1].tolist()):
        assert 0 <= start <= end <= len(text)
        assert start >= last or text[start] in "…㎏㈜½ﷺ", "later pieces stand later, but for parts of one character"
        last = end
        if piece == BLANK:
            assert start == end
        else:
            assert composed(piece) in composed(text[start:end])
            assert text[start:end] == text[start:end].strip(), "the blank before a piece is not part of it"
    covered = {n for start, end in read.spans.tolist() for n in range(start, end)}
    shown = "".join(letter if n in covered else " " for n, letter in enumerate(text))
    assert composed(shown) == composed(text), "nothing is left out"


def test_places_of_characters_that_change(published):
    read = published.encode("㎏ ﾊﾝｸﾞﾙ 😀 한", "네")
    shown = list(zip(read.pieces, read.spans.tolist()))
    assert ("kg", [0, 1]) in shown
    assert ("ハングル", [2, 7]) in shown
    assert ("😀", [8, 9]) in shown
    assert read.ids[read.pieces.index("😀")] == published.unknown
    assert shown[-2] == (BLANK + "네", [0, 1]), "a pair is counted from its own beginning"


# back to text


def test_decoding(each):
    for text in LINES[:40]:
        assert each.unknown in each.ids(text) or each.decode(each.ids(text)) == text
    read = each.encode("바다가 좋다", "나무").ids.tolist()
    assert each.decode(read) == "바다가 좋다 나무"
    assert each.decode(read, specials=True) == "[CLS] 바다가 좋다[SEP] 나무[SEP]"
    assert each.decode([2, 0, 1, 3]) == "[UNK]"
    for wrong in (-1, each.vocabulary):
        with pytest.raises(TokenizerError, match=f"got {wrong}; another vocabulary"):
            each.decode([wrong])


# added tokens


def test_an_added_token_is_one_id_wherever_it_stands(each):
    more = each.with_added(["<이름>", "ㅋㅋㅋ", "<이름>!"])
    assert more.vocabulary == each.vocabulary + 3
    name, laugh, called = range(each.vocabulary, more.vocabulary)
    left, right = each.ids("나무"), each.ids("바다")
    assert more.ids("나무 바다") == [*left, *right], "other text is cut as ever"
    found = more.ids("나무ㅋㅋㅋ 바다")
    assert found == [*left, laugh, *right]
    assert more.ids("나무<이름>!<이름>") == [*left, called, name], "the longest is found"
    read = more.encode("나무 <이름> 바다")
    assert (
        read.ids[1:-1].tolist() == more.ids("나무 <이름> 바다") == more.ids_batch(["", "나무 <이름> 바다"])[1].tolist()
    )
    assert [read.pieces[i] for i in (-4, -3, -2)][-3 + 0] in (BLANK, "<이름>")
    at = read.pieces.index("<이름>")
    assert read.spans[at].tolist() == [3, 7]
    assert read.spans[at + 1, 0] == 8
    assert more.decode(read.ids) == "나무 <이름> 바다"
    assert more.fingerprint != each.fingerprint
    assert more.with_added(["ㅋㅋㅋ"]).fingerprint == more.fingerprint


def test_a_mask_that_is_written_takes_the_blank_before_it(each):
    reader = each.with_added(["[MASK]"])
    assert reader.vocabulary == each.vocabulary
    left, right = each.ids("나무"), each.ids("바다")
    for text in ("나무 [MASK] 바다", "나무[MASK] 바다"):
        assert reader.ids(text) == [*left, 4, *right]
        assert reader.encode(text).ids.tolist() == [2, *left, 4, *right, 3]
    assert reader.ids("[MASK] 바다") == [4, *right]
    assert reader.ids("나무[MASK][MASK]") == [*left, 4, 4]
    read = reader.encode("나무 [MASK] 바다")
    at = read.pieces.index("[MASK]")
    assert read.spans[at - 1, 1] == 2
    assert read.spans[at].tolist() == [3, 9]


def test_private_characters_are_no_added_tokens(small):
    more = small.with_added(["<이름>"])
    for text in ("\U000f0000", "\U0010fffd가", "\U000f0001 나"):
        assert more.ids(text) == small.ids(text)
        assert small.vocabulary not in more.encode(text).ids


@pytest.mark.parametrize("token", ["", "  ", 3])
def test_what_cannot_be_added(small, token):
    with pytest.raises(TokenizerError, match="at least one letter to add"):
        small.with_added([token])


# files


def test_saved_loaded_pickled(small, tmp_path):
    more = small.with_added(["<이름>", "[MASK]"])
    more.save(tmp_path / "own")
    copies = [Tokenizer.load(tmp_path / "own"), Tokenizer.from_bytes(more.to_bytes()), pickle.loads(pickle.dumps(more))]
    for copy in copies:
        assert copy.fingerprint == more.fingerprint
        assert copy.to_bytes() == more.to_bytes()
        assert copy.ids("나무 <이름> [MASK] 바다") == more.ids("나무 <이름> [MASK] 바다")


def test_files_that_are_not_whole(published, real_data, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in (real_data / "kobert_tokenizer").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    assert Tokenizer.load(folder).fingerprint == published.fingerprint
    model = next(folder.glob("*.model"))
    model.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(TokenizerError, match=r"begins 78b3253a26.* in 1,000 bytes.*copy it again"):
        Tokenizer.load(folder)


def test_a_folder_that_holds_no_tokenizer(small, tmp_path):
    with pytest.raises(TokenizerError, match="got neither"):
        Tokenizer.load(tmp_path)
    small.save(tmp_path)
    (tmp_path / "vocabulary.json").write_text("[1, 2")
    with pytest.raises(TokenizerError, match="JSON with a list idx_to_token") as error:
        Tokenizer.load(tmp_path)
    assert str(tmp_path) in "".join(error.value.__notes__)
    (tmp_path / "vocab2.json").write_text("{}")
    with pytest.raises(TokenizerError, match=r"tokenizer_kobert.model, vocab2.json, vocabulary.json"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("cut", [0, 100, -1])
def test_bytes_that_are_damaged(small, cut):
    with pytest.raises(TokenizerError, match="damaged"):
        Tokenizer.from_bytes(small.to_bytes()[:cut])
    with pytest.raises(TokenizerError, match=r"wanted a SentencePiece model, got 10 bytes"):
        Tokenizer(b"0123456789", small.pieces)


# refusals


def test_lists_that_do_not_belong_to_the_model(small):
    with pytest.raises(TokenizerError, match="as ids 0 to 4"):
        Tokenizer(small.model, small.pieces[5:])
    with pytest.raises(TokenizerError, match="same place"):
        Tokenizer(small.model, small.pieces[:-1])
    with pytest.raises(TokenizerError, match=r"only in one of both: .*xyz"):
        Tokenizer(small.model, [*small.pieces, "xyz"])
    with pytest.raises(TokenizerError, match="a piece twice"):
        Tokenizer(small.model, [*small.pieces, small.pieces[-1]])


def test_the_published_model_with_another_order_of_pieces(published):
    pieces = published.pieces
    with pytest.raises(TokenizerError, match=r"wants the ids \[4958, 6855"):
        Tokenizer(published.model, [*pieces[:5], *reversed(pieces[5:])])


def test_a_model_that_splits_hangul_is_refused(tmp_path):
    split = {chr(i): unicodedata.normalize("NFD", chr(i)) for i in range(ord("가"), ord("힣") + 1)}
    rules = [f"{ord(one):X}\t{' '.join(f'{ord(letter):X}' for letter in letters)}\t" for one, letters in split.items()]
    (tmp_path / "rules.tsv").write_text("\n".join(rules))
    with pytest.raises(TokenizerError, match=f"splits Hangul.* '이' becomes \\[.*{split['이']}"):
        trained(LINES, normalization_rule_tsv=str(tmp_path / "rules.tsv"))


def test_a_model_that_knows_no_hangul_is_refused():
    with pytest.raises(TokenizerError, match="does not know it: of 27 common syllables 27 are lost"):
        trained(texts.sentences("en", 300))


def test_pieces_that_are_bytes_are_refused():
    with pytest.raises(TokenizerError, match="byte_fallback"):
        trained(LINES, byte_fallback=True)


def trained(lines: list[str], **settings) -> Tokenizer:
    """A tokenizer with settings that are not ours."""
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    written = io.BytesIO()
    SentencePieceTrainer.Train(
        sentence_iterator=iter(lines), model_writer=written, vocab_size=1500, minloglevel=3, hard_vocab_limit=False,
        **settings,
    )  # fmt: skip
    processor = SentencePieceProcessor(model_proto=written.getvalue())
    pieces = [processor.IdToPiece(i) for i in range(3, processor.GetPieceSize())]
    return Tokenizer(written.getvalue(), [*SPECIALS, *sorted(pieces)])


@pytest.mark.parametrize(
    ("text", "said"), [("가\ud83d나", "character 1 of text 1 is half of a surrogate pair"), (3, "got 3 as number 1")]
)
@pytest.mark.parametrize("added", [(), ("<이름>",)])
def test_what_is_no_text_is_told(small, text, said, added):
    reader = small.with_added(added)
    with pytest.raises(TokenizerError, match=said):
        reader.ids_batch(["가", text])
    with pytest.raises(TokenizerError, match=said.replace("1 is", "0 is").replace("number 1", "number 0")[-20:]):
        reader.encode(text)


# training


def test_training_gives_the_same_for_the_same_lines(small):
    again = tokenizer_training.train(iter(LINES), 1500)
    assert again.fingerprint == small.fingerprint
    assert small.vocabulary == 1502, "three of the 1,500 are SentencePiece's own, five are ours"
    assert small.pieces[5:] == sorted(small.pieces[5:])
    assert tokenizer_training.train([*LINES[1:], "", "  "], 1500).fingerprint != small.fingerprint


def test_of_many_lines_some_are_chosen():
    chosen = tokenizer_training._sample((str(n) for n in range(1000)), 100)
    assert len(set(chosen)) == 100
    assert chosen == tokenizer_training._sample((str(n) for n in range(1000)), 100)
    assert 350 < np.mean([int(n) for n in chosen]) < 650, "from the whole text"


def test_text_that_is_too_small_is_told():
    with pytest.raises(TokenizerError, match="none that is not blank"):
        tokenizer_training.train(["", " "])
    with pytest.raises(TokenizerError, match=r"wanted 8,000 pieces, the text is too small for more than \d+"):
        tokenizer_training.train(LINES[:200], 8000)
    fewer = tokenizer_training.train(LINES[:200], 8000, at_most=True)
    assert 300 < fewer.vocabulary < 8000
    assert tokenizer_training.train(LINES[:200], fewer.vocabulary - 2).fingerprint == fewer.fingerprint
    with pytest.raises(TokenizerError, match=r"wanted 20 pieces, the characters of the text alone are \d+"):
        tokenizer_training.train(LINES, 20, at_most=True)
    with pytest.raises(TokenizerError, match=r"wanted a coverage from 0.98 to 1, got 0.9; KoBERT's is"):
        tokenizer_training.train(LINES, 400, 0.9, at_most=True)
