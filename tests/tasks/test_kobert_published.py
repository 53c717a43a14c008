"""Fine-tuning that starts from the published KoBERT: its files are fetched, opened, and read with its own tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from nbkit.base import workspace
from nbkit.data import manifest
from nbkit.data.disk import DataError
from nbkit.models import kobert
from nbkit.tasks import encoders
from nbkit.tasks.kobert_classify import KoBERTClassify, KoBERTClassifyTask

SHAPE = {"vocab_size": 8002, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
SHAPE |= {"intermediate_size": 64, "max_position_embeddings": 512, "type_vocab_size": 2, "author": "someone"}


@pytest.fixture
def weights(tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """What the fetch of kobert_weights brings: a small BERT without heads, as transformers once wrote the large one."""
    home = tmp_path / "home"
    shutil.copytree(workspace.manifests(), home / "data_manifests", ignore=shutil.ignore_patterns("pins.json"))
    described = home / "data_manifests" / "kobert_weights.yaml"
    known = [part.sha256 for part in manifest.load("kobert_weights").downloads if part.sha256 != "unknown"]
    told = described.read_text(encoding="utf-8").replace(known[-1], "unknown").replace("    size: 535\n", "")
    described.write_text(told, encoding="utf-8")
    monkeypatch.setenv("NBKIT_HOME", str(home))
    monkeypatch.delenv("NBKIT_DATA")

    config = kobert.KoBERTConfig(vocabulary=8002, hidden=32, layers=2, heads=4, filter=64)
    state = kobert.KoBERT(config).state_dict()
    bare = {name.removeprefix("bert."): value for name, value in state.items() if name.startswith("bert.")}
    hosted = tmp_path / "hosted"
    hosted.mkdir()
    torch.save(bare, hosted / "pytorch_model.bin")
    (hosted / "config.json").write_text(json.dumps(SHAPE))
    shutil.copy(real_data / "kobert_tokenizer" / "tokenizer_78b3253a26.model", hosted / "spiece.model")

    def transferred(source: str, part: Path, archive: object, title: str) -> bool:
        shutil.copy(hosted / source.rsplit("/", 1)[1], part)
        return False

    monkeypatch.setattr("nbkit.data.transfer.fetch", transferred)
    return bare


def test_the_published_weights_are_opened_with_their_tokenizer(weights):
    with pytest.raises(DataError, match=r"(?s)data fetch kobert_weights`.*data fetch kobert_tokenizer`"):
        encoders.open_encoder("kobert_weights")
    manifest.fetch("kobert_weights")
    with pytest.raises(DataError, match="data fetch kobert_tokenizer`") as error:
        encoders.open_encoder("kobert_weights")
    assert "fetch kobert_weights" not in str(error.value)
    manifest.fetch("kobert_tokenizer")
    loaded = encoders.published()
    assert loaded.tokenizer is not None
    assert loaded.tokenizer.ids("한국어 모델을 공유합니다.") == [4958, 6855, 2046, 7088, 1050, 7843, 54]
    assert all(name.startswith("cls.") for name in loaded.about["missing"])
    state = loaded.model.state_dict()
    assert all(torch.equal(state[f"bert.{name}"], value) for name, value in weights.items())
    again = kobert.from_parts(state, loaded.about)
    assert again.tokenizer is not None
    assert again.tokenizer.fingerprint == loaded.tokenizer.fingerprint


def test_a_classifier_starts_from_the_published_weights(weights):
    for name in ("kobert_weights", "kobert_tokenizer"):
        manifest.fetch(name)
    task = KoBERTClassifyTask(KoBERTClassify.preset("smoke", init_from="kobert_weights"))
    assert repr(task).endswith("starts from kobert_weights")
    assert task.start == "pre-trained"
    assert task.tokenizer.vocabulary == task.model_config.vocabulary == 8002
    state = task.modules()["model"].state_dict()
    assert torch.equal(state["encoder.bert.pooler.dense.weight"], weights["pooler.dense.weight"])
    with pytest.raises(FileNotFoundError, match="no such run"):
        encoders.open_encoder("no such run")
