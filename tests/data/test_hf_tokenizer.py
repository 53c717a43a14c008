"""Our tokenizer behind transformers' interface: the same ids, and its collators and pipelines work."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from nbkit.data import texts, tokenizer_training
from nbkit.data.tokenizer import Tokenizer, TokenizerError

pytestmark = pytest.mark.torch
LINES = texts.sentences("ko", 1500)
PAIRS = [("바다가 좋다", "네"), ("짧다", "이 둘째 글은 첫째 글보다 훨씬 길어서 끝이 잘린다"), ("가" * 30, "나" * 30)]


@pytest.fixture(scope="module")
def ours() -> Tokenizer:
    return tokenizer_training.train(LINES, 1400)


@pytest.fixture
def hf():
    pytest.importorskip("transformers", reason="transformers is not installed")
    from nbkit.data import hf_tokenizer

    return hf_tokenizer


@pytest.fixture
def face(hf, ours):
    return hf.for_transformers(ours)


def test_ids_types_and_padding_are_ours(face, ours):
    batch, wanted = face(LINES[:8], padding=True, return_tensors="pt"), ours.batch(LINES[:8])
    assert batch["input_ids"].tolist() == wanted.tokens.tolist()
    assert batch["token_type_ids"].tolist() == wanted.types.tolist()
    assert batch["attention_mask"].sum(1).tolist() == wanted.lengths.tolist()
    specials = face.unk_token_id, face.pad_token_id, face.cls_token_id, face.sep_token_id, face.mask_token_id
    assert specials == (0, 1, 2, 3, 4)
    assert sorted(face.all_special_ids) == [0, 1, 2, 3, 4]
    assert (face.padding_side, face.model_max_length, len(face)) == ("right", 512, ours.vocabulary)
    assert (face.vocab_size, face.get_vocab()) == (ours.vocabulary, ours.index)


@pytest.mark.parametrize("max_length", [512, 16, 11, 10])
def test_pairs_are_cut_as_ours(face, ours, max_length):
    firsts, seconds = map(list, zip(*PAIRS))
    batch = face(firsts, seconds, truncation=True, max_length=max_length, padding=True, return_tensors="np")
    wanted = ours.batch(firsts, seconds, max_length=max_length)
    assert batch["input_ids"].tolist() == wanted.tokens.tolist()
    assert batch["token_type_ids"].tolist() == wanted.types.tolist()
    alone = face(LINES[0], truncation=True, max_length=6)["input_ids"]
    assert alone == ours.encode(LINES[0], max_length=6).ids.tolist()


def test_the_published_one(hf, real_data):
    from nbkit.data.tokenizer import kobert

    face = hf.for_transformers(kobert())
    assert face("한국어 모델을 공유합니다.")["input_ids"] == [2, 4958, 6855, 2046, 7088, 1050, 7843, 54, 3]
    assert face.tokenize("한국어 모델을") == ["▁한국", "어", "▁모델", "을"]
    assert face.convert_tokens_to_ids(["▁한국", "어", "?!"]) == [4958, 6855, 0]


def test_a_special_that_is_written_is_one(face, ours):
    left, right = ours.ids("나무"), ours.ids("바다")
    assert face("나무 [MASK] 바다")["input_ids"] == [2, *left, 4, *right, 3]
    literal = face("나무 [MASK] 바다", split_special_tokens=True)["input_ids"]
    assert literal == [2, *ours.ids("나무 [MASK] 바다"), 3]
    assert 4 not in literal


def test_back_to_text(face, ours):
    for text in LINES[:20]:
        assert face.decode(face(text)["input_ids"], skip_special_tokens=True) == text
    read = face("바다가", "좋다")["input_ids"]
    assert face.decode(read) == ours.decode(read, specials=True)
    assert face.decode([2, 0, 3], skip_special_tokens=True) == ""
    for wrong in (-100, len(face)):
        with pytest.raises(TokenizerError, match=f"got {wrong}"):
            face.decode([wrong])


def test_saved_opened_and_pickled(hf, face, tmp_path):
    from transformers import AutoTokenizer

    assert face.add_tokens(["ㅋㅋㅋ", "<이름>"]) == 2
    text = "정말ㅋㅋㅋ <이름> 나무 [MASK]"
    wanted = face(text)["input_ids"]
    first = face.vocab_size
    assert [i for i in wanted if i >= first] == [first, first + 1]
    face.save_pretrained(tmp_path)
    opened = [hf.KoBERTTokenizer.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)]
    for copy in [*opened, pickle.loads(pickle.dumps(face))]:
        assert isinstance(copy, hf.KoBERTTokenizer)
        assert copy(text)["input_ids"] == wanted
        assert (len(copy), copy.vocab_size) == (first + 2, first)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.fingerprint == face.ours.fingerprint
    assert 4 not in loaded.ids(text), "in our own reading a mask that is written stays text"
    with pytest.raises(TokenizerError, match="no prefix"):
        face.save_pretrained(tmp_path, filename_prefix="a")


def test_a_folder_of_ours_opens_in_transformers(hf, ours, tmp_path):
    from transformers import AutoTokenizer, BertConfig

    more = ours.with_added(["<이름>"])
    more.save(tmp_path)
    BertConfig(vocab_size=more.vocabulary).save_pretrained(tmp_path)
    face = AutoTokenizer.from_pretrained(tmp_path)
    assert face("나무 <이름>")["input_ids"] == more.encode("나무 <이름>").ids.tolist()
    assert len(face) == more.vocabulary
    (tmp_path / "vocabulary.json").unlink()
    with pytest.raises(TokenizerError, match=r"one tokenizer\*\.model and one"):
        hf.KoBERTTokenizer.from_pretrained(tmp_path)


def test_without_our_class_transformers_gives_no_wrong_ids(ours, tmp_path):
    """Where this package is not loaded, AutoTokenizer must not open the files in a way of its own."""
    pytest.importorskip("transformers")
    from transformers import BertConfig

    ours.save(tmp_path)
    BertConfig(vocab_size=ours.vocabulary).save_pretrained(tmp_path)
    source = f"from transformers import AutoTokenizer; AutoTokenizer.from_pretrained({str(tmp_path)!r})"
    result = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert result.returncode == 1
    assert "Couldn't instantiate the backend tokenizer" in result.stderr


def test_a_collator_masks_with_it(face):
    import torch
    from transformers import DataCollatorForLanguageModeling

    collate = DataCollatorForLanguageModeling(face, mlm_probability=0.5, seed=1)
    batch = collate([face(text) for text in LINES[:16]])
    chosen = batch["labels"] != -100
    assert 0.3 < chosen.float().mean() / batch["attention_mask"].float().mean() < 0.6
    assert (batch["labels"][chosen] > 4).all(), "specials and padding are never guessed"
    assert 0.7 < (batch["input_ids"][chosen] == 4).float().mean() < 0.9
    assert torch.equal(batch["input_ids"][:, 0], torch.full((16,), 2))
    assert (batch["input_ids"][batch["attention_mask"] == 0] == 1).all()


def test_blanks_are_filled_with_it(face):
    import torch
    from transformers import BertConfig, BertForMaskedLM, pipeline

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(face), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        pad_token_id=1,
    )  # fmt: skip
    fill = pipeline("fill-mask", model=BertForMaskedLM(config).eval(), tokenizer=face, device="cpu")
    found = fill("나무 [MASK] 바다", top_k=3)
    assert len(found) == 3
    for one in found:
        assert one["token_str"] == face.convert_ids_to_tokens(one["token"]).replace("▁", " ").strip()
        assert one["sequence"].startswith("나무")
        assert one["sequence"].endswith("바다")
