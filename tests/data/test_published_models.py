"""KoBERT as it was published: what is fetched, from which address, opened, checked, and told of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nbkit.base import workspace
from nbkit.data import check_text, manifest, text_sets, tokenizer
from nbkit.data.disk import DataError
from nbkit.data.manifest import ManifestError
from nbkit.data.transfer import Refused

MODEL = "tokenizer_78b3253a26.model"


@pytest.fixture
def hosts(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes | str]:
    """Address -> what it gives, a text as the reason why it gives nothing; and no folder of real data."""
    model = (real_data / "kobert_tokenizer" / MODEL).read_bytes()
    part = manifest.load("kobert_tokenizer").downloads[0]
    given: dict[str, bytes | str] = {part.source: model, part.mirrors[0]: model}

    def transferred(source: str, part: Path, archive: object, title: str) -> bool:
        answer = given[source]
        if isinstance(answer, str):
            raise Refused(answer)
        part.write_bytes(answer)
        return False

    monkeypatch.setattr("nbkit.data.transfer.fetch", transferred)
    monkeypatch.delenv("NBKIT_DATA")
    return given


def test_a_fetched_tokenizer_is_the_published_one(hosts, real_data: Path):
    assert not text_sets.here("kobert_tokenizer")
    with pytest.raises(DataError, match="bring it with `nbkit data fetch kobert_tokenizer`"):
        tokenizer.kobert()
    folder = manifest.fetch("kobert_tokenizer")
    assert folder == workspace.cache() / "data" / "kobert_tokenizer"
    assert text_sets.here("kobert_tokenizer")
    made = tokenizer.kobert()
    assert made.fingerprint == tokenizer.Tokenizer.load(real_data / "kobert_tokenizer").fingerprint
    assert made.ids("한국어 모델을 공유합니다.") == [4958, 6855, 2046, 7088, 1050, 7843, 54]
    assert manifest.state(manifest.load("kobert_tokenizer")) == "here"
    report = check_text.check("kobert_tokenizer")
    assert report.good
    assert (report.rows, report.counted) == (1, "files")
    assert dict(report.summary())[MODEL] == "371 kB"


@pytest.mark.parametrize("answer", ["gone (404)", b"another model"])
def test_the_mirror_is_asked_where_the_first_address_fails(hosts, answer: bytes | str):
    part = manifest.load("kobert_tokenizer").downloads[0]
    hosts[part.source] = answer
    manifest.fetch("kobert_tokenizer")
    assert tokenizer.kobert().vocabulary == 8002
    hosts[part.mirrors[0]] = answer
    shutil.rmtree(workspace.cache() / "data")
    with pytest.raises(DataError, match="no address gave the file") as error:
        manifest.fetch("kobert_tokenizer")
    assert str(error.value).count("huggingface.co") == 2


def test_a_damaged_model_is_told_with_the_remedy(hosts):
    folder = manifest.fetch("kobert_tokenizer")
    with (folder / MODEL).open("r+b") as file:
        file.write(b"x")
    with pytest.raises(tokenizer.TokenizerError, match="damaged or not whole"):
        tokenizer.kobert()
    report = check_text.check("kobert_tokenizer")
    assert [problem.kind for problem in report.problems] == ["damaged"]
    assert "and fetch it again" in report.problems[0].detail
    (folder / MODEL).unlink()
    assert [problem.kind for problem in check_text.check("kobert_tokenizer").problems] == ["missing"]


def test_another_model_is_not_taken_for_the_published_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from nbkit.data.tokenizer_training import train

    (tmp_path / "kobert_tokenizer").mkdir()
    lines = [line for document in text_sets.documents("made_documents") for line in document]
    (tmp_path / "kobert_tokenizer" / "tokenizer.model").write_bytes(train(lines, 500).model)
    monkeypatch.setenv("NBKIT_DATA", str(tmp_path))
    with pytest.raises(tokenizer.TokenizerError, match="wanted the model of KoBERT"):
        tokenizer.kobert()


def test_a_model_is_no_text_and_no_recording(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NBKIT_DATA", raising=False)
    for ask in (text_sets.open_text_set, text_sets.documents):
        with pytest.raises(ManifestError, match="kobert_weights is a model, wanted a set of texts"):
            ask("kobert_weights")
    with pytest.raises(ManifestError, match="kobert_weights is a model, wanted a set of recordings"):
        manifest.open_dataset("kobert_weights")
    with pytest.raises(DataError, match="bring it with `nbkit data fetch kobert_weights`"):
        check_text.check("kobert_weights")
    told = manifest.load("kobert_weights")
    assert [part.path for part in told.downloads] == ["config.json", "pytorch_model.bin"]
    assert manifest.state(told) == "to fetch"
