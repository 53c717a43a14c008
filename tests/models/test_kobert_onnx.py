"""The ONNX file gives what the model gives, for batches of other sizes than it was traced with."""

import builtins

import numpy as np
import pytest
import torch

from nbkit.models import kobert
from nbkit.models.kobert import KoBERT, KoBERTConfig, onnx

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = KoBERT(KoBERTConfig(vocabulary=50, hidden=32, layers=1, heads=4, filter=48, positions=64))
    for p in made.parameters():
        p.data += 0.2 * torch.randn(p.shape)
    return made.train()


@pytest.mark.slow
def test_equal_at_several_lengths(model, tmp_path):
    path = kobert.export_onnx(tmp_path / "new" / "kobert.onnx", model)
    assert model.training, "the model is left as it was"
    assert [file.name for file in path.parent.iterdir()] == ["kobert.onnx"]
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert {i.name for i in session.get_inputs()} == {"input_ids", "attention_mask", "token_type_ids"}
    assert [o.name for o in session.get_outputs()] == ["hidden", "pooled", "masked_logits"]
    model.eval()
    rng = np.random.default_rng(7)
    for batch, tokens in ((1, 2), (3, 11), (7, 64)):
        lengths = rng.integers(1, tokens + 1, batch)
        lengths[0] = tokens
        inside = np.arange(tokens) < lengths[:, None]
        ids = np.where(inside, rng.integers(5, 50, (batch, tokens)), 1)
        ids[0, -1] = 4
        types = np.where(inside, rng.integers(0, 2, (batch, tokens)), 0)
        inputs = dict(zip(onnx.INPUTS, (ids, inside.astype(np.int64), types)))
        hidden, pooled, logits = (np.asarray(found) for found in session.run(list(onnx.OUTPUTS), inputs))
        places = torch.as_tensor(np.flatnonzero(ids == 4))
        with torch.no_grad():
            ours = model.padded(*map(torch.as_tensor, (ids, types, lengths)), places)
        assert np.abs(hidden - ours.hidden.numpy())[inside].max() < 1e-4
        assert np.abs(pooled - ours.pooled.numpy()).max() < 1e-4
        assert logits.shape == (len(places), 50)
        assert np.abs(logits - ours.masked_logits.numpy()).max() < 1e-4


def test_a_file_that_differs_is_not_left(model, tmp_path, monkeypatch):
    class Wrong:
        def __init__(self, *_, **__):
            pass

        def run(self, names, inputs):
            batch, tokens = inputs["input_ids"].shape
            return [
                np.zeros((batch, tokens, 32)),
                np.zeros((batch, 32)),
                np.zeros(((inputs["input_ids"] == 4).sum(), 50)),
            ]

    monkeypatch.setattr(onnx, "_write", lambda path, padded: path.write_bytes(b"graph"))
    monkeypatch.setattr(runtime, "InferenceSession", Wrong)
    with pytest.raises(RuntimeError, match=r"wanted an ONNX file within 0.0001 of the model, got a difference of"):
        kobert.export_onnx(tmp_path / "a.onnx", model)
    assert list(tmp_path.iterdir()) == []


def test_without_its_packages_it_says_so(model, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **fields):
        if name == "onnxscript":
            raise ImportError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **fields)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="onnxscript is not installed; run pip install onnx onnxscript onnxruntime"):
        kobert.export_onnx(tmp_path / "a.onnx", model)
