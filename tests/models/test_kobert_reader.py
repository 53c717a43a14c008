"""A reader in files: our own, transformers', ONNX; and a model that learns to know more pieces."""

import numpy as np
import pytest
import torch

from nbkit.data import packing, texts, tokenizer_training
from nbkit.models import kobert
from nbkit.models.kobert import Embedder, KoBERT, Matcher, Reader, Scorer, onnx

TEXTS = ("감자를 샀다", "오늘은 날씨가 좋아서 산책을 했습니다.", "네")
PAIRS = ("네", "", "정말 그렇게 말했어요")


@pytest.fixture(scope="module")
def encoder(tokenizer):
    torch.manual_seed(0)
    model = KoBERT(kobert.sized("tiny", tokenizer.vocabulary, positions=64))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return model.eval()


def readers(encoder, tokenizer):
    torch.manual_seed(1)
    return {
        "labels": Reader(Scorer(encoder, 3), tokenizer, ("bad", "good", "so so"), 32),
        "score": Reader(Scorer(encoder, 1), tokenizer, (), 32),
        "place": Reader(Embedder(encoder), tokenizer, (), 32),
        "match": Reader(Matcher(encoder), tokenizer, (), 32),
    }


KINDS = ("labels", "score", "place", "match")


@pytest.mark.parametrize("kind", KINDS)
def test_our_file(kind, encoder, tokenizer, tmp_path):
    reader = readers(encoder, tokenizer)[kind]
    path = reader.save(tmp_path / "new" / "reader.safetensors")
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    again = kobert.open_reader(path)
    np.testing.assert_array_equal(again.scores(TEXTS, PAIRS), reader.scores(TEXTS, PAIRS))
    assert (again.labels, again.max_length) == (reader.labels, 32)
    loaded = kobert.load(path)
    for name, value in encoder.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value), name
    assert loaded.tokenizer.fingerprint == tokenizer.fingerprint
    assert "reader" not in loaded.about
    with pytest.raises(ValueError, match="no head for a task"):
        kobert.open_reader(kobert.save_export(tmp_path / "b.safetensors", loaded.model, tokenizer, loaded.about))


def test_one_text_is_no_list_of_texts(encoder, tokenizer):
    reader = readers(encoder, tokenizer)["match"]
    for texts_, pairs in ((TEXTS[0], ()), (TEXTS, PAIRS[2])):
        with pytest.raises(ValueError, match=r"wanted a list of texts, got one text.*write \[text\]"):
            reader.encode(texts_, pairs)


@pytest.mark.parametrize("kind", ["labels", "score", "place"])
def test_transformers_opens_our_folder(kind, encoder, tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    reader = readers(encoder, tokenizer)[kind]
    folder = reader.save_folder(tmp_path / "folder")
    one = transformers.BertModel if kind == "place" else transformers.BertForSequenceClassification
    theirs, told = one.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    assert not any(told.values()), told
    batch = tokenizer.batch(TEXTS, PAIRS)
    inside = (np.arange(batch.tokens.shape[1]) < batch.lengths[:, None]).astype(np.int64)
    inputs = [torch.as_tensor(array) for array in (batch.tokens, inside, batch.types)]
    with torch.no_grad():
        out = theirs.eval()(*inputs)
    if kind == "place":
        mean = (out.last_hidden_state * inputs[1][:, :, None]).sum(1) / inputs[1].sum(1, keepdim=True)
        found = torch.nn.functional.normalize(mean, dim=-1)
    else:
        found = out.logits
    np.testing.assert_allclose(found.numpy(), reader.scores(TEXTS, PAIRS), atol=3e-5)
    if kind == "labels":
        assert theirs.config.id2label == {0: "bad", 1: "good", 2: "so so"}
        assert theirs.config.label2id == {"bad": 0, "good": 1, "so so": 2}
    assert getattr(theirs.config, "problem_type", None) == {
        "labels": "single_label_classification", "score": "regression", "place": None}[kind]  # fmt: skip
    assert theirs.config.architectures == [one.__name__]
    loaded = kobert.load(folder)
    assert loaded.tokenizer.fingerprint == tokenizer.fingerprint
    assert torch.equal(loaded.model.bert.pooler.dense.weight, encoder.bert.pooler.dense.weight)


def test_a_matcher_begins_with_the_cosine_and_is_no_model_of_transformers(encoder, tokenizer, tmp_path):
    reader = readers(encoder, tokenizer)["match"]
    packed = packing.pack(reader.encode(TEXTS, PAIRS))
    with torch.no_grad():
        hidden = encoder(type(packed)(*map(torch.as_tensor, packed))).hidden
    for found, start, end in zip(reader.scores(TEXTS, PAIRS)[:, 0], packed.boundaries, packed.boundaries[1:]):
        types = torch.as_tensor(packed.types[start:end])
        means = [hidden[start:end][types == n].mean(0) for n in (0, 1)]
        cosine = torch.nn.functional.cosine_similarity(*means, dim=0) if types.any() else 0.0  # nothing to compare with
        assert found == pytest.approx(10 * float(cosine), abs=1e-4)
    reader.model.begin_with(2.0, -1.0)
    np.testing.assert_allclose(
        reader.scores(TEXTS, PAIRS), readers(encoder, tokenizer)["match"].scores(TEXTS, PAIRS) / 5 - 1, atol=1e-4
    )
    with pytest.raises(ValueError, match="that transformers has"):
        reader.save_folder(tmp_path / "folder")


@pytest.mark.parametrize("kind", KINDS)
def test_the_padded_path_is_the_same(kind, encoder, tokenizer):
    """What is written into ONNX is what scores() says."""
    reader = readers(encoder, tokenizer)[kind]
    batch = tokenizer.batch(TEXTS, PAIRS)
    inside = torch.arange(batch.tokens.shape[1]) < torch.as_tensor(batch.lengths)[:, None]
    with torch.no_grad():
        found = onnx._Answering(reader.model.eval())(
            torch.as_tensor(batch.tokens), inside.long(), torch.as_tensor(batch.types)
        )[0]
    np.testing.assert_allclose(found.numpy(), reader.scores(TEXTS, PAIRS), atol=3e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["labels", "place", "match"])
def test_onnx_says_the_same(kind, encoder, tokenizer, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    reader = readers(encoder, tokenizer)[kind]
    path = kobert.export_onnx(tmp_path / "reader.onnx", reader)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == ["vector" if kind == "place" else "logits"]
    batch = tokenizer.batch(TEXTS, PAIRS)
    inside = (np.arange(batch.tokens.shape[1]) < batch.lengths[:, None]).astype(np.int64)
    found = session.run(None, dict(zip(onnx.INPUTS, (batch.tokens, inside, batch.types))))[0]
    np.testing.assert_allclose(found, reader.scores(TEXTS, PAIRS), atol=1e-4)


# more pieces


def test_a_wider_model_reads_old_pieces_as_before(encoder, tokenizer):
    wider = tokenizer.with_added(["[MASK]", "노잼감자", "감자샀다", "☃"])
    assert wider.vocabulary == tokenizer.vocabulary + 3
    made = kobert.widened(encoder, wider, tokenizer)
    assert made.config == kobert.sized("tiny", wider.vocabulary, positions=64)
    assert encoder.config.vocabulary == tokenizer.vocabulary, "the model itself is left as it was"
    changed = {"bert.embeddings.word_embeddings.weight", "cls.predictions.bias"}
    changed |= {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    was, now = encoder.state_dict(), made.state_dict()
    for name, value in was.items():
        assert torch.equal(now[name][: len(value)], value), name
        assert (len(now[name]) != len(value)) == (name in changed), name
    batch = [torch.as_tensor(a) for a in tokenizer.batch(TEXTS)]
    with torch.no_grad():
        assert torch.equal(made.padded(*batch).hidden, encoder.padded(*batch).hidden)
        logits = made.padded(*batch, torch.arange(2)).masked_logits
    pieces = [i for i in tokenizer.ids("감자샀다") if tokenizer.pieces[i] != "\u2581" and i != tokenizer.unknown]
    assert len(pieces) > 1
    torch.testing.assert_close(logits[:, wider.index["감자샀다"]], logits[:, pieces].mean(1))
    assert torch.equal(now["cls.predictions.bias"][wider.index["☃"]], was["cls.predictions.bias"][tokenizer.unknown])


def test_a_wider_model_is_kept_and_widened_again(encoder, tokenizer, tmp_path):
    first = tokenizer.with_added(["노잼감자"])
    second = first.with_added(["[MASK]", "매우 노잼감자"])
    made = kobert.widened(encoder, first)
    again = kobert.widened(kobert.load(kobert.save_export(tmp_path / "a.safetensors", made, first, {})).model, second)
    words = again.bert.embeddings.word_embeddings.weight
    ids = [i for i in first.ids("매우 노잼감자") if first.pieces[i] != "\u2581" and i != first.unknown]
    assert first.index["노잼감자"] in ids
    torch.testing.assert_close(words[-1], words[ids].mean(0))
    assert words.requires_grad
    logits = again(kobert_batch(second)).hidden.sum()
    logits.backward()
    assert words.grad[second.index["노잼감자"]].abs().sum() > 0
    assert encoder.bert.embeddings.word_embeddings.weight.grad is None


def kobert_batch(tokenizer):
    from nbkit.data import packing

    return packing.Packed(*map(torch.as_tensor, packing.pack([tokenizer.encode("노잼감자")])))


def test_another_tokenizer_is_told(encoder, tokenizer):
    smaller = tokenizer_training.train(texts.sentences("ko", 200), 600, at_most=True)
    larger = tokenizer_training.train(texts.sentences("ko", 900), 1200, at_most=True)
    other = tokenizer_training.train(texts.sentences("ko", 400), tokenizer.vocabulary - 2)
    assert other.vocabulary == tokenizer.vocabulary
    for wrong, words in (
        (smaller, "got .* pieces. Add to the model's own one"),
        (larger, "got another one"),
        (smaller.with_added([f"[{n}]" for n in range(400)]), "are not its own"),
        (other.with_added(["노잼"]), "are not its own"),
    ):
        with pytest.raises(ValueError, match=words):
            kobert.widened(encoder, wrong, tokenizer)
