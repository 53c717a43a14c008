"""Looking into KoBERT, with a model of a few thousand weights and texts made on the spot."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from nbkit.base import workspace
from nbkit.base.record import read_json
from nbkit.data.tokenizer import TokenizerError
from nbkit.evaluate.results import Results
from nbkit.models import kobert
from nbkit.models.kobert import KoBERT, Reader, Scorer
from nbkit.tasks import encoders, kobert_attention, kobert_heads
from nbkit.tasks.kobert_attention import KoBERTAttention, Subject
from nbkit.tasks.kobert_classify import KoBERTClassify, KoBERTClassifyTask
from nbkit.tasks.kobert_pretrain import KoBERTPretrain, KoBERTPretrainTask
from nbkit.views import attention

TEXT, SECOND = "배우의 연기는 별로였지만 이야기는 정말 재미있었어요.", "다시 보고  싶지는\t않아요."
pytestmark = pytest.mark.usefixtures("small_kobert", "shared_folders")
SHORT = {"stop_at": 4, "schedule_steps": 40, "warmup_steps": 5, "evaluate_every": 4, "save_every": 4}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def runs(folders, small_kobert):
    """Names of a pre-training, and of a run that began with it."""
    start = kobert_attention._trained(KoBERTPretrainTask(KoBERTPretrain.preset("smoke", **SHORT)))
    tuned = KoBERTClassify.preset("smoke", init_from=start, **SHORT)
    return start, kobert_attention._trained(KoBERTClassifyTask(tuned))


@pytest.fixture(scope="module")
def subjects(runs):
    return kobert_attention.open_subjects(KoBERTAttention())


def config(**values):
    return KoBERTAttention.preset("smoke", **({"model": "auto"} | values))


def test_auto_finds_the_newest_run_and_what_it_began_with(runs, subjects):
    before, after = subjects
    assert [before.name, after.name] == [f"{name}@4" for name in runs]
    assert (before.reader, after.reader.labels) == (None, ("negative", "positive"))
    assert after.says(TEXT) in ("negative", "positive")
    assert before.says(TEXT) == ""
    wanted = encoders.open_encoder(runs[0])[1].model.state_dict()
    assert all(torch.equal(wanted[name], value) for name, value in before.model.state_dict().items())


def test_without_a_start_it_is_compared_with_random_weights(runs, tmp_path):
    for values in ({"before": "none"}, {"model": runs[0]}):
        before, after = kobert_attention.open_subjects(config(**values))
        assert before.name == kobert_attention.RANDOM
        assert before.model.config == after.model.config
        assert abs(before.look(TEXT).weights - after.look(TEXT).weights).max() > 1e-4
    again, _ = kobert_attention.open_subjects(config(before="none"))
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), before.model.parameters()))
    export = Reader(Scorer(after.model, 2), after.tokenizer, ("bad", "good"), 32)
    path = export.save(tmp_path / "reader.safetensors")
    before, after = kobert_attention.open_subjects(config(model=str(path)))
    assert (before.name, after.says(TEXT) in ("bad", "good")) == (kobert_attention.RANDOM, True)


def test_other_sources_open_too(runs, tmp_path, subjects):
    after = subjects[1]
    kobert.save_folder(tmp_path / "folder", after.model, after.tokenizer)
    checkpoint = workspace.runs() / runs[1] / "checkpoints" / "step-000000004"
    for source, labels in ((tmp_path / "folder", False), (checkpoint, True), (workspace.runs() / runs[1], True)):
        found = kobert_attention.open_subjects(config(model=str(source), before="none"))[1]
        assert (found.reader is not None) == labels, source
        np.testing.assert_allclose(found.look(TEXT).weights, after.look(TEXT).weights, atol=1e-6)


def test_what_does_not_belong_together_is_refused(runs, tmp_path, subjects):
    other = KoBERT(kobert.sized("tiny", subjects[1].tokenizer.vocabulary, layers=1))
    path = kobert.save_export(tmp_path / "other.safetensors", other, subjects[1].tokenizer, {})
    with pytest.raises(ValueError, match="wanted two KoBERT of one shape and one tokenizer"):
        kobert_attention.open_subjects(config(before=str(path)))
    with pytest.raises(ValueError, match="wanted weights with their tokenizer"):
        kobert_attention.open_subjects(
            config(model=str(kobert.save_export(tmp_path / "bare.safetensors", other, None, {})))
        )
    with pytest.raises(FileNotFoundError, match="wanted a run with a checkpoint"):
        kobert_attention.open_subjects(config(model="no such run"))


def test_each_token_belongs_to_its_word(subjects):
    look = subjects[1].look(TEXT, SECOND)
    assert look.words == [*TEXT.split(), *SECOND.split()]
    joined = ["".join(p for p, o in zip(look.pieces, look.owner) if o == n).strip("▁") for n in range(len(look.words))]
    assert joined == look.words
    assert [look.pieces[place] for place in look.special] == ["[CLS]", "[SEP]", "[SEP]"]
    assert look.second == look.special[1] + 1
    assert subjects[1].look(TEXT).second == 0
    shown = look.shown("after")
    assert attention.joined(shown).tokens[1:4] == look.words[:3]


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "\"&<'",
        "\u202eabc\u202c 좋다",
        "🎬🎬 최고",
        "가" * 300,
        "  \t좋다\n\u3000좋아 ",
        "뷁",
    ],
)
def test_any_text_can_be_looked_at(subjects, text):
    before, after = subjects
    look = after.look(text)
    assert look.owner.max() == len(look.words) - 1
    assert len(look.words) <= len(text.split())
    page = kobert_attention.page(before, after, config(text=text), text)
    assert "<script>alert" not in page.document
    assert np.isfinite(after.effects([look])[0]).all()


def test_what_cannot_be_read_is_told(subjects):
    for empty in ("", " \n"):
        with pytest.raises(ValueError, match="wanted texts of at least one word"):
            subjects[1].look(empty)
    with pytest.raises(TokenizerError):
        subjects[1].look("좋다 \ud800")


def test_a_text_that_is_too_long_loses_its_last_words(subjects):
    after = subjects[1]
    short = Subject("short", after.model, after.tokenizer, None, 12)
    look = short.look(TEXT)
    assert len(look.pieces) == 12
    assert look.words == TEXT.split()[: len(look.words)]
    assert len(look.words) < len(TEXT.split())
    assert set(look.owner) == {-1, *range(len(look.words))}


def test_effects_are_those_of_hiding_a_word(subjects):
    before, after = subjects
    look = after.look(TEXT)
    (found,) = after.effects([look])
    hidden = look.encoding.ids.copy()
    hidden[look.owner == 2] = after.tokenizer.mask
    types = look.encoding.types
    whole, without = (after.reader.scores_of([(ids, types)])[0] for ids in (look.encoding.ids, hidden))
    said = whole.argmax()
    assert found[2] == pytest.approx((whole[said] - whole[1 - said]) - (without[said] - without[1 - said]), abs=1e-5)
    (apart,) = before.effects([before.look(TEXT)])  # no head: how far [CLS] moves
    assert apart.shape == found.shape
    assert (apart > 0).all()
    several = after.effects([after.look(SECOND), look, after.look(SECOND, TEXT)])
    np.testing.assert_allclose(several[1], found, atol=1e-5)
    assert [len(one) for one in several] == [4, 6, 10]


def test_measures_of_many_texts_and_what_is_made_of_them(subjects, tmp_path):
    before, after = subjects
    texts = kobert_heads.held_out(config(count=12))
    assert len(texts) == 12
    measured = kobert_heads.measure(before, after, [*texts, ("", ""), ("좋다", TEXT)])
    assert measured.change.shape == (13, 2, 2)  # an empty text is left out
    assert all(values.shape == (13, 2, 2) for values in (*measured.before.values(), *measured.after.values()))
    wanted = attention.measures(after.look(texts[0][0]).shown(""))
    for name, values in measured.after.items():
        np.testing.assert_allclose(values[0], wanted[name], atol=1e-5)
    same = kobert_heads.measure(after, after, texts)
    assert same.change.max() == pytest.approx(0, abs=1e-6)
    rows = kobert_heads.most(measured).rows
    assert [row[0] for row in rows if row[0].startswith("share")] == [n for n in wanted if n.startswith("share")]
    share = next(row for row in rows if row[0] == "share on [CLS]")
    assert share[2] == round(float(measured.after["share on [CLS]"].mean(0).max()), 3)
    moved = kobert_heads.moved(measured, 3).rows
    assert len(moved) == 3
    assert float(moved[0][1].split()[0]) == round(float(measured.change.mean(0).max()), 3)
    results = Results(tmp_path)
    layers = kobert_heads.by_layer(measured, results)
    assert [row.system for row in layers] == ["layer 1", "layer 2", "last less first"]
    assert layers[2].value == pytest.approx(layers[1].value - layers[0].value)
    assert len(read_json(tmp_path / "results.json")) == 3
    with pytest.raises(ValueError, match="wanted at least one text with letters"):
        kobert_heads.measure(before, after, [("", "")])


def test_attention_from_cls_is_gathered_by_words(subjects):
    look = subjects[1].look(TEXT)
    shares = kobert_heads.from_cls(look)
    weights = look.weights[-1].mean(0)[0]
    assert shares[kobert_heads.LAST][1] == pytest.approx(weights[look.owner == 1].sum(), abs=1e-6)
    assert shares[kobert_heads.PIECES].sum() == len(look.pieces) - 2
    table = kobert_heads.words(look)
    assert [row[0] for row in table.rows[:-1]] == look.words
    assert 1 < table.rows[-1][1] <= len(look.words)
    assert kobert_heads.words(look, np.arange(len(look.words))).rows[3][-1] == 3


def test_explanations_are_correlations_within_texts(subjects, tmp_path):
    (before, after), results = subjects, Results(tmp_path)
    texts = [(TEXT, ""), (f"정말 {TEXT}", ""), ("짧다", "")]
    rows = kobert_heads.explains(before, after, texts, results)
    names = [kobert_heads.LAST, kobert_heads.ROLLOUT, kobert_heads.BEFORE, kobert_heads.PIECES]
    assert [row.system for row in rows] == [*names, "rollout less last layer", "rollout less rollout before"]
    assert all(-2 <= row.low <= row.value <= row.high <= 2 and row.rows == 2 for row in rows)
    assert rows[4].value == pytest.approx(rows[1].value - rows[0].value)
    assert rows[5].value == pytest.approx(rows[1].value - rows[2].value)
    looked, effects = kobert_heads.from_cls(after.look(TEXT)), np.abs(after.effects([after.look(TEXT)])[0])
    alone = kobert_heads.explains(before, after, texts[:1] * 2, results)
    ranks = [np.argsort(np.argsort(values)) for values in (looked[kobert_heads.ROLLOUT], effects)]
    assert alone[1].value == pytest.approx(np.corrcoef(*ranks)[0, 1])
    ranks[0] = np.argsort(np.argsort(kobert_heads.from_cls(before.look(TEXT))[kobert_heads.ROLLOUT]))
    assert alone[2].value == pytest.approx(np.corrcoef(*ranks)[0, 1])
    with pytest.raises(ValueError, match="wanted at least two texts of 4 words"):
        kobert_heads.explains(before, after, texts[2:], results)


def test_two_texts_cross(subjects):
    looks = [subject.look(TEXT, SECOND) for subject in subjects]
    rows = kobert_heads.crossing(*looks).rows
    assert [row[0] for row in rows] == ["layer 1", "layer 2", "if all alike"]
    tokens, back = len(looks[0].pieces), (looks[0].encoding.types == 0).sum() - 2
    assert rows[-1][2] == rows[-1][4] == round(back / tokens, 3)
    with pytest.raises(ValueError, match="give it a pair"):
        kobert_heads.crossing(*(subject.look(TEXT) for subject in subjects))


def test_the_page_opens_the_head_that_was_named(subjects, tmp_path):
    page = kobert_attention.page(*subjects, config(layer=1, head=2))
    assert "before: pretrain-" in page.document
    assert "after: classify-" in page.document
    assert page.save(tmp_path / "x.html").with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="wanted a layer up to 2 and a head up to 2"):
        kobert_attention.page(*subjects, config(layer=3))


def test_the_run_is_known_by_its_weights(subjects, runs):
    names = []
    for pair in (subjects, subjects[::-1]):
        with kobert_attention.record(config(), *pair) as run:
            names.append(run.name)
    assert names[0] != names[1]
    assert names[0].startswith("kobert_attention-")
