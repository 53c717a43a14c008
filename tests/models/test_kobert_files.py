"""KoBERT from and to files: what it is its content tells, and what is damaged is told in words."""

import json
import os
import pickle
import zipfile
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from nbkit.models import kobert
from nbkit.models.kobert import KoBERT, KoBERTConfig, foreign

transformers = pytest.importorskip("transformers")
TOKENS = torch.tensor([[2, 9, 4, 7, 3], [2, 30, 3, 1, 1]])
TYPES = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
LENGTHS = torch.tensor([5, 3])
HEADS_OF_PRETRAINING = {name for name in KoBERT(KoBERTConfig(9, 8, 1, 1, 8)).state_dict() if name.startswith("cls.")}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return KoBERT(
        KoBERTConfig(vocabulary=50, hidden=32, layers=2, heads=4, filter=48, positions=16, dropout=0.2)
    ).eval()


def same(ours: KoBERT, other: KoBERT):
    with torch.no_grad():
        a, b = (m.padded(TOKENS, TYPES, LENGTHS, torch.tensor([2, 6])) for m in (ours, other))
    for x, y in zip(a[:4], b[:4]):
        assert torch.equal(x, y)


def test_an_export_opens_alone(model, tmp_path):
    path = kobert.save_export(tmp_path / "new" / "kobert.size-tiny.safetensors", model, None, {"corpus": "made"})
    loaded = kobert.load(path)
    same(loaded.model, model)
    assert loaded.model.config == model.config
    assert loaded.tokenizer is None
    assert loaded.about["corpus"] == "made"
    assert not loaded.model.training
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert "cls.predictions.decoder.weight" not in load_file(path), "each weight is kept once"


def test_an_export_holds_its_tokenizer(tokenizer, tmp_path):
    model = KoBERT(kobert.sized("tiny", tokenizer.vocabulary))
    loaded = kobert.load(kobert.save_export(tmp_path / "a.safetensors", model, tokenizer, {}))
    assert loaded.tokenizer.fingerprint == tokenizer.fingerprint
    again = kobert.from_parts(model.state_dict(), json.loads(json.dumps(kobert.describe(model.config, tokenizer))))
    assert again.tokenizer.fingerprint == tokenizer.fingerprint
    other = KoBERT(replace(model.config, vocabulary=tokenizer.vocabulary + 1))
    for write in (lambda: kobert.save_export(tmp_path / "b", other, tokenizer, {}),
                  lambda: kobert.save_folder(tmp_path / "c", other, tokenizer)):  # fmt: skip
        with pytest.raises(ValueError, match=r"wanted a tokenizer of .* pieces, as many as the model knows"):
            write()


def test_parts_that_do_not_fit_are_told(model):
    about = kobert.describe(model.config, None)
    with pytest.raises(ValueError, match=r"wanted a KoBERT in format nbkit.kobert.1, got 'nbkit.glow_tts.1'"):
        kobert.from_parts(model.state_dict(), about | {"format": "nbkit.glow_tts.1"})
    with pytest.raises(ValueError, match=r"(?s)description of one KoBERT, got .*\[50, 32\].*export it again"):
        kobert.from_parts(model.state_dict(), about | {"config": about["config"] | {"vocabulary": 51}})


def test_transformers_opens_our_folder_and_we_theirs(model, tokenizer, tmp_path):
    folder = kobert.save_folder(tmp_path / "folder", model, None)
    wanted = model.padded(TOKENS, TYPES, LENGTHS, torch.arange(10))
    inside = (torch.arange(5) < LENGTHS[:, None]).long()
    theirs = transformers.BertForPreTraining.from_pretrained(folder, attn_implementation="eager").eval()
    out = theirs(TOKENS, inside, TYPES)
    torch.testing.assert_close(out.prediction_logits.flatten(0, 1), wanted.masked_logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(out.seq_relationship_logits, wanted.next_sentence_logits, rtol=0, atol=1e-5)
    bare = transformers.BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    torch.testing.assert_close(bare(TOKENS, inside, TYPES).pooler_output, wanted.pooled, rtol=0, atol=1e-5)
    assert theirs.config.hidden_dropout_prob == 0.2
    again = kobert.load(folder)
    same(again.model, model)
    assert again.model.config == replace(model.config, attention_dropout=0.2)
    theirs.save_pretrained(tmp_path / "theirs")
    loaded = kobert.load(tmp_path / "theirs")
    same(loaded.model, model)
    assert loaded.about["missing"] == loaded.about["unused"] == []
    bare.save_pretrained(tmp_path / "bare")
    loaded = kobert.load(tmp_path / "bare")
    assert set(loaded.about["missing"]) == HEADS_OF_PRETRAINING - {
        "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}  # fmt: skip
    torch.testing.assert_close(loaded.model.padded(TOKENS, TYPES, LENGTHS).pooled, wanted.pooled)


def test_a_folder_holds_its_tokenizer(tokenizer, tmp_path):
    model = KoBERT(kobert.sized("tiny", tokenizer.vocabulary))
    folder = kobert.save_folder(tmp_path, model, tokenizer)
    assert kobert.load(folder).tokenizer.fingerprint == tokenizer.fingerprint
    assert transformers.BertModel.from_pretrained(folder).config.pad_token_id == 1


def test_an_odd_folder_is_told(model, tmp_path):
    folder = kobert.save_folder(tmp_path / "odd", model, None)
    told = json.loads((folder / "config.json").read_text())
    for change, words in (
        ({"hidden_act": "relu"}, "wanted a BERT with {'hidden_act': 'gelu'}"),
        ({"model_type": "gpt2"}, "got {'model_type': 'gpt2'}; that is not built"),
        ({"num_hidden_layers": 3}, "bert.encoder.layer.2.attention.self.query.weight is missing"),
        ({"vocab_size": 51}, r"word_embeddings.weight: wanted \(51, 32\), got \(50, 32\)"),
    ):
        (folder / "config.json").write_text(json.dumps(told | change))
        with pytest.raises(ValueError, match=words):
            kobert.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="wanted JSON of transformers"):
        kobert.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=r"wanted config.json and .* got model.safetensors; copy it again"):
        kobert.load(folder)


def bare(state, prefixed):
    """As the PyTorch port published it: no heads, no prefix, positions, names as they once were."""
    kept = {name: value for name, value in state.items() if not name.startswith("cls.")}
    if prefixed:
        return kept
    old = {name.removeprefix("bert."): value for name, value in kept.items()}
    old = {n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
           for n, v in old.items()}  # fmt: skip
    return old | {"embeddings.position_ids": torch.arange(16)[None]}


@pytest.mark.parametrize("prefixed", [True, False])
@pytest.mark.parametrize("kind", ["zip", "old", "wrapped", "safetensors", "half"])
def test_bare_weights(model, tmp_path, prefixed, kind):
    path, state = tmp_path / "weights.params", bare(model.state_dict(), prefixed)
    if kind == "half":
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    if kind == "safetensors":
        save_file({name: value.clone() for name, value in state.items()}, path)
    else:
        kept = (
            {"state_dict": {f"module.{name}": value for name, value in state.items()}} if kind == "wrapped" else state
        )
        torch.save(kept, path, _use_new_zipfile_serialization=kind != "old")
    loaded, again = kobert.load(path, heads=4), kobert.load(path, heads=4)
    assert loaded.model.config == replace(model.config, dropout=0.1)
    assert {name.split(".")[0] for name in loaded.about["missing"]} == {"cls"}
    same(loaded.model, again.model)  # the heads that lacked are drawn, but always alike
    ours, wanted = (m.padded(TOKENS, TYPES, LENGTHS) for m in (loaded.model, model))
    torch.testing.assert_close(ours.hidden, wanted.hidden, rtol=0, atol=1e-2 if kind == "half" else 0)
    torch.testing.assert_close(ours.pooled, wanted.pooled, rtol=0, atol=1e-2 if kind == "half" else 0)


def test_heads_follow_from_the_width():
    for hidden, heads in ((768, 12), (256, 4), (64, 1), (32, 1)):
        c = KoBERTConfig(20, hidden, 1, 1, 8)
        state = {name: value.clone() for name, value in KoBERT(c).state_dict().items()}
        assert foreign.fitted(state, {}, "here").model.config.heads == heads


def test_what_is_no_part_of_it_is_named(model, tmp_path):
    state = model.state_dict() | {"classifier.weight": torch.zeros(2, 32)}
    torch.save(state, tmp_path / "tuned.bin")
    loaded = kobert.load(tmp_path / "tuned.bin", heads=4)
    assert loaded.about["unused"] == ["classifier.weight"]
    assert loaded.about["missing"] == []
    assert loaded.about["source"] == "tuned.bin"


def test_weights_that_do_not_fit_are_told(model, tmp_path):
    def load(changes):
        state = model.state_dict() | changes
        torch.save({name: value for name, value in state.items() if value is not None}, tmp_path / "a.pt")
        return kobert.load(tmp_path / "a.pt", heads=4)

    key = "bert.encoder.layer.1.attention.self.key.bias"
    with pytest.raises(ValueError, match=f"does not fit a KoBERT of 2 layers: {key} is missing. Take a file"):
        load({key: None})
    with pytest.raises(ValueError, match=rf"{key}: wanted \(32,\), got \(31,\)"):
        load({key: torch.zeros(31)})
    with pytest.raises(ValueError, match=r"decoder.weight differs from bert.embeddings.word_embeddings.weight"):
        load({"cls.predictions.decoder.weight": torch.zeros(50, 32)})
    with pytest.raises(ValueError, match=r"wanted the weights of a BERT, .* lacks the matrix bert.embeddings.word"):
        load({"bert.embeddings.word_embeddings.weight": None})


def whole(path, model, kind):
    if kind == "export":
        kobert.save_export(path, model, None, {})
    else:
        torch.save(model.state_dict(), path, _use_new_zipfile_serialization=kind == "zip")
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["export", "zip", "old"])
def test_a_file_that_is_not_whole_is_told(model, tmp_path, kind):
    path = tmp_path / "cut"
    content = whole(path, model, kind)
    for share in (0.999, 0.5, 0.05):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(ValueError, match=r"wanted .*(cannot be read|not whole).* again"):
            kobert.load(path, heads=4)


class Evil:
    def __reduce__(self):
        return os.getcwd, ()


def test_foreign_files_are_told(tmp_path):
    path = tmp_path / "file"
    for content, words in (
        (b"", "is an empty file; copy it again"),
        (b"<!DOCTYPE html><html>", "is a web page; the download went wrong"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is the pointer that git-lfs left; fetch"),
        (b"RIFF....WAVEfmt ", "begins b'RIFF....'"),
        (pickle.dumps([1, 2]), "cannot be read; copy or download it again"),
        (pickle.dumps([1, 2], protocol=2), "cannot be read; copy or download it again"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=words):
            kobert.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("kobert/config.json", "{}")
    with pytest.raises(ValueError, match=r"is an archive of kobert/config.json; unpack it first"):
        kobert.load(path)
    torch.save({"weights": Evil()}, path)
    with pytest.raises(ValueError, match=r"wanted tensors alone, .* holds more \(GLOBAL .*getcwd.* state dict alone"):
        kobert.load(path)
    torch.save({"step": 3}, path)
    with pytest.raises(ValueError, match=r"wanted a state dict of names and tensors in .*, got step"):
        kobert.load(path)
    with pytest.raises(FileNotFoundError, match="there is nothing at"):
        kobert.load(tmp_path / "nowhere")


def test_real_tokenizer_beside_weights(real_data, tmp_path):
    for file in (real_data / "kobert_tokenizer").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    kobert.save_folder(tmp_path, KoBERT(kobert.sized("tiny", 8002)), None)
    assert kobert.load(tmp_path).tokenizer.ids("한국어 모델을 공유합니다.") == [4958, 6855, 2046, 7088, 1050, 7843, 54]
