"""The claims of KoBERT: counted, cut, compared on the spot, and read from the folders of runs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from nbkit.base import record, workspace
from nbkit.evaluate import claims
from nbkit.evaluate.claims import Measured, Missing
from nbkit.evaluate.results import Results
from nbkit.models import kobert
from nbkit.tasks import kobert_claims
from nbkit.tasks.kobert_claims import CAMP, RANDOM, TRAINED, KoBERTClaims
from nbkit.tasks.kobert_classify import KoBERTClassify, KoBERTClassifyTask

SMALL = "abc def 0123 (8002, 256, 4, 4, 1024, 512, 2)"
BASE = "abc def 4567 (8002, 768, 12, 12, 3072, 512, 2)"


def run(name, data, results, dataset="nsmc", init_from="kobert_pretrain-1", count=0, export=""):
    """A folder as a run of 42_kobert_classify leaves it."""
    folder = workspace.runs() / name
    (folder / "exports").mkdir(parents=True)
    asked = {"dataset": dataset, "init_from": init_from, "count": count, "size": "small"}
    record.write_json(folder / "config.json", {"task": "kobert_classify", "parameters": asked, "data": data})
    table = Results(folder)
    for system, (value, low, high) in results.items():
        table.add(system, "accuracy", value, (low, high), rows=49_997)
        table.add(system, "F1", 0.1, (0.0, 0.2), rows=49_997)
    if export:
        (folder / "exports" / f"kobert_classify.dataset-{export}.step-10.safetensors").touch()


@pytest.fixture
def checked():
    """The verdicts of what reads runs alone, by the beginning of a claim."""
    wanted = ("NSMC accuracy", "what was pre-trained", "MLM", "NSP")

    def look():
        every = kobert_claims.checks(KoBERTClaims.preset("smoke"))
        some = {key: check for key, check in every.items() if key.startswith(wanted)}
        return {one.claim.what: one for one in claims.check(claims.of_note("kobert", some)) if one.claim.checkable}

    return look


def test_every_claim_of_the_note_is_checked_or_says_why_not():
    rows = claims.of_note("kobert", kobert_claims.checks(KoBERTClaims()))
    assert sum(one.checkable for one in rows) == len(kobert_claims.checks(KoBERTClaims()))
    assert all(one.command.startswith("nbkit run 4") for one in rows if one.checkable)
    assert all(one.how.without.startswith("not ") for one in rows if not one.checkable)


def test_parameters_are_counted():
    assert kobert_claims.parameters() == 92_186_880
    assert kobert_claims.parameters(heads=True) == 92_788_548
    assert kobert_claims.parameters(vocabulary=30_522) - kobert_claims.parameters() == (30_522 - 8002) * 768


def test_without_runs_each_claim_says_what_would_fill_it(checked):
    found = checked()
    assert {one.verdict.word for one in found.values()} == {"not checked"}
    assert all("no run yet" in one.verdict.why and "nbkit run 4" in one.verdict.why for one in found.values())
    assert kobert_claims.fine_tuned() == []


def test_a_run_of_another_size_leaves_the_claim_open_but_shows_its_number(checked):
    small = {CAMP: (0.873, 0.870, 0.876), TRAINED: (0.861, 0.858, 0.864), RANDOM: (0.830, 0.827, 0.833)}
    run("kobert_classify-1", SMALL, small, dataset="auto", export="nsmc")
    run("kobert_classify-2", SMALL, {TRAINED: (0.99, 0.98, 1.0)}, dataset="auto", export="made_reviews")
    run("kobert_classify-3", SMALL, {TRAINED: (0.99, 0.98, 1.0)}, dataset="auto")
    found = checked()
    one = found["NSMC accuracy .901"]
    assert one.verdict == ("open", "measured on something else: 4 layers of 256, from kobert_pretrain-1")
    assert str(one.found) == "0.861 (0.858 to 0.864), kobert_classify-1; linear model 0.873"
    gain = found["what was pre-trained answers better than what begins at random"]
    assert gain.verdict.word == "holds"
    assert gain.found[:3] == pytest.approx((0.031, 0.025, 0.037))
    rows = kobert_claims.accuracies(kobert_claims.fine_tuned())
    assert [row[0] for row in rows] == ["linear model", "4 x 256, kobert_pretrain-1", "4 x 256, random"]


@pytest.mark.parametrize(
    ("bounds", "word"),
    [((0.898, 0.903), "holds"), ((0.880, 0.886), "does not hold"), ((0.894, 0.899), "open")],
)
def test_the_published_weights_decide(bounds, word, checked):
    run("kobert_classify-1", BASE, {TRAINED: (0.95, 0.94, 0.96)}, init_from="kobert_pretrain-9")
    run("kobert_classify-2", BASE, {TRAINED: (sum(bounds) / 2, *bounds)}, init_from="kobert_weights")
    run("kobert_classify-3", BASE, {TRAINED: (0.5, 0.4, 0.6)}, init_from="kobert_weights", count=1000)
    one = checked()["NSMC accuracy .901"]
    assert one.verdict.word == word
    assert "kobert_classify-2" in str(one.found)


def test_a_gain_that_may_be_none_is_open(checked):
    run("kobert_classify-1", SMALL, {TRAINED: (0.83, 0.82, 0.84), RANDOM: (0.825, 0.815, 0.835)})
    assert checked()["what was pre-trained answers better than what begins at random"].verdict.word == "open"


def test_guesses_come_from_the_log_of_pretraining(checked):
    folder = workspace.runs() / "kobert_pretrain-1"
    folder.mkdir(parents=True)
    asked = {"size": "small", "corpus": "nsmc_raw"}
    record.write_json(folder / "config.json", {"task": "kobert_pretrain", "parameters": asked, "data": ""})
    record.write_json(folder / "status.json", {"state": "finished", "step": 4000})
    rows = [{"step": n, "split": "validation", "mlm_accuracy": n / 10_000} for n in (2000, 4000)]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = checked()
    assert str(found["MLM accuracy .750"].found) == "0.400, kobert_pretrain-1"
    assert (
        found["MLM accuracy .750"].verdict.why == "measured on something else: size small, text nsmc_raw, 4,000 steps"
    )
    assert found["NSP accuracy .988"].verdict.word == "not checked"


def test_pieces_are_those_of_the_page(real_data):
    assert kobert_claims.vocabulary() == claims.exactly(8002, "8,002; of 27 common syllables 0 are lost")
    assert kobert_claims.cut_alike() == claims.exactly(2, "2 of 2")
    share = kobert_claims.covered(KoBERTClaims.preset("smoke"))
    assert 0.97 < share.low < share.value < share.high < 0.9995
    assert kobert_claims._characters(kobert_claims.reader(), "강추 뷁 ㅋㅋㅋ") == (5, 6)


def test_without_its_tokenizer_nothing_is_said_of_pieces(monkeypatch):
    monkeypatch.delenv("NBKIT_DATA", raising=False)
    config = KoBERTClaims.preset("smoke")
    for one in (
        kobert_claims.vocabulary(),
        kobert_claims.cut_alike(),
        kobert_claims.covered(config),
        kobert_claims.longest(),
    ):
        assert one == Missing("not here: nbkit data fetch kobert_tokenizer")
    assert kobert_claims.listed_difference() == Missing("not here: nbkit data fetch kobert_weights")


def test_the_listed_numbers_are_compared(monkeypatch):
    model = kobert.KoBERT(kobert.KoBERTConfig(8002, hidden=6, layers=1, heads=1, filter=8)).eval()
    with torch.no_grad():
        shown = (
            model.padded(torch.tensor([[31, 51, 99]]), torch.tensor([[0, 0, 1]]), torch.tensor([3])).hidden[0].numpy()
        )
    monkeypatch.setattr(kobert_claims.text_sets, "here", lambda name: True)
    monkeypatch.setattr(kobert_claims.encoders, "published", lambda: kobert.Loaded(model, None, {}))
    monkeypatch.setattr(kobert_claims, "LISTED", shown.astype(float))
    assert kobert_claims.listed_difference().value < 1e-6
    monkeypatch.setattr(kobert_claims, "LISTED", shown + np.array([0, 0, 0, 0, 0, 0.5]))
    assert kobert_claims.listed_difference().value == pytest.approx(0.5, abs=1e-6)


def test_an_onnx_file_gives_the_same_numbers_and_is_timed():
    pytest.importorskip("onnxruntime")
    found = kobert_claims.onnx_difference()
    assert isinstance(found, Measured)
    assert 0 < found.value < kobert_claims.SAME
    threads = torch.get_num_threads()
    assert list(kobert_claims.times(KoBERTClaims.preset("smoke"))) == ["PyTorch", "ONNX Runtime"]
    assert torch.get_num_threads() == threads


def test_without_onnx_it_says_what_to_install(monkeypatch):
    def lacking():
        raise ImportError("run pip install onnx")

    monkeypatch.setattr(kobert_claims, "ways", lacking)
    assert kobert_claims.onnx_difference() == Missing("run pip install onnx")
    assert kobert_claims.times(KoBERTClaims()) == "run pip install onnx"


def test_a_run_of_the_task_itself_is_read():
    task = KoBERTClassifyTask(KoBERTClassify.preset("smoke"))
    with task.record() as opened:
        results = Results(opened.folder)
        task.base_camp(results)
        assert kobert_claims.fine_tuned("made_reviews") == []
        results.add(f"KoBERT, {task.from_random().start}", "accuracy", 0.5, (0.4, 0.6))
    (found,) = kobert_claims.fine_tuned("made_reviews")
    assert (found.run, found.layers, found.hidden, found.start) == (opened.name, 2, 64, "none")
    assert found.rows.keys() == {CAMP, RANDOM}
