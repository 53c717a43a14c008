"""The tasks on KoBERT, with a model of a few thousand weights and texts made on the spot."""

import dataclasses
import pickle
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nbkit.data.tokenizer import TokenizerError
from nbkit.evaluate import text
from nbkit.evaluate.results import Results
from nbkit.models import kobert
from nbkit.tasks import encoders, kobert_answers, kobert_blanks, kobert_search
from nbkit.tasks.kobert_classify import KoBERTClassify, KoBERTClassifyTask
from nbkit.tasks.kobert_pretrain import KoBERTPretrain, KoBERTPretrainTask
from nbkit.tasks.kobert_regress import KoBERTRegress, KoBERTRegressTask
from nbkit.tasks.kobert_search import KoBERTSearch, KoBERTSearchTask
from nbkit.train.device import tensors
from nbkit.train.loop import fit
from nbkit.train.trained import weights_fingerprint

pytestmark = pytest.mark.usefixtures("small_kobert", "shared_folders")
SHORT = {"stop_at": 30, "schedule_steps": 40, "warmup_steps": 5, "evaluate_every": 30, "save_every": 30}


def train(task):
    with task.record() as run:
        return fit(task, task.config, task.store(run), run), run


def preset(cls, **values):
    return cls.preset("smoke", **(SHORT | values))


@pytest.fixture(scope="module")
def pretrained(folders, small_kobert):
    task = KoBERTPretrainTask(preset(KoBERTPretrain, learning_rate=5e-3, stop_at=60, schedule_steps=120))
    result, run = train(task)
    return SimpleNamespace(task=task, result=result, run=run)


def test_pretraining_learns(pretrained):
    rows = pretrained.run.rows("validation")
    assert rows[-1]["mlm"] < 0.92 * rows[0]["mlm"]
    assert rows[0]["mlm"] == pytest.approx(np.log(pretrained.task.tokenizer.vocabulary), rel=0.05)
    assert all(row["amount"]["tokens"] > 0 for row in pretrained.run.rows("train"))
    assert list((pretrained.run.folder / "views").glob("blanks-*.png"))


def test_guesses_and_base_camp_are_about_the_same_blanks(pretrained):
    results = Results(pretrained.run.folder)
    kobert_blanks.base_camp(pretrained.task, results)
    kobert_blanks.enter(pretrained.task, results, pretrained.result.modules, pretrained.run, "KoBERT")
    commonest, near, ours = (
        results.get(name, kobert_blanks.METRIC) for name in ("commonest piece", "its neighbours", "KoBERT")
    )
    assert commonest.rows == near.rows == ours.rows > 100
    assert commonest.value < near.value
    assert ours.value == pytest.approx(pretrained.run.rows("validation")[-1]["mlm_accuracy"])


def test_neighbours_are_counted_right():
    likeliest = kobert_blanks._likeliest(np.array([7, 7, 7, 3, 3]), np.array([1, 2, 2, 5, 5]), 10)
    found = kobert_blanks._look_up(likeliest, np.array([3, 4, 7, 9]), np.full(4, 8))
    assert found.tolist() == [5, 8, 2, 8]


def test_fill_says_what_stands_in_the_blank(pretrained):
    ((written, told),) = kobert_blanks.fill(
        pretrained.task, pretrained.result.modules["model"], ["할머니는 ▢ 갔다."], 3
    )
    assert written == "할머니는 ▢ 갔다."
    assert len(told.split(" · ")) == 3
    with pytest.raises(TokenizerError, match="wanted a text with one ▢"):
        kobert_blanks.fill(pretrained.task, pretrained.result.modules["model"], ["ohne"])


def test_what_is_hidden_is_told_apart(pretrained):
    for shown, hidden in kobert_blanks.hidden(pretrained.task):
        assert shown.startswith("[CLS]")
        assert shown.count("▢") <= len(hidden.split(" · "))


def test_the_batch_grows(pretrained):
    task = KoBERTPretrainTask(dataclasses.replace(pretrained.task.config, ramp_steps=10, batch_size=32))
    sizes = [len(task.batches("train", 0, 1)[n].boundaries) - 1 for n in (0, 5, 9, 10, 50)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (4, 32)


def test_a_run_and_its_export_can_be_started_from(pretrained):
    path = pretrained.task.export(pretrained.result, pretrained.run.folder)
    for source in (pretrained.run.name, pretrained.run.folder, path):
        origin, loaded = encoders.open_encoder(source)
        assert origin in (str(path), f"{pretrained.run.name}@60")
        assert weights_fingerprint(loaded.model) == weights_fingerprint(pretrained.result.modules["model"])
        assert loaded.tokenizer.fingerprint == pretrained.task.tokenizer.fingerprint
    later = KoBERTPretrainTask(dataclasses.replace(pretrained.task.config, init_from=str(path), seed=3))
    assert weights_fingerprint(later.modules()["model"]) == weights_fingerprint(loaded.model)
    with pytest.raises(ValueError, match="model of the same size"):
        KoBERTPretrainTask(dataclasses.replace(later.config, size="small"))
    with pytest.raises(FileNotFoundError, match=pretrained.run.name):
        encoders.open_encoder("no such run")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stop_at": 50, "schedule_steps": 40}, "the learning rate is 0"),
        ({"stop_at": 20, "schedule_steps": 20, "warmup_steps": 20}, "more schedule_steps"),
        ({"tokenizer": "kobert"}, "nbkit data fetch kobert_tokenizer"),
        ({"corpus": "no_such_set"}, "no_such_set"),
    ],
)
def test_bad_parameters_are_told_before_training(values, words):
    config = KoBERTPretrain.from_dict(preset(KoBERTPretrain).as_dict() | values)
    with pytest.raises((ValueError, FileNotFoundError, RuntimeError), match=words):
        KoBERTPretrainTask(config)


def test_classify_learns_and_its_export_says_the_same(pretrained, tmp_path):
    task = KoBERTClassifyTask(preset(KoBERTClassify, init_from=pretrained.run.name, learning_rate=5e-3, stop_at=40))
    assert task.start == "pre-trained"
    result, run = train(task)
    rows = run.rows("train")
    assert np.mean([r["loss"] for r in rows[-5:]]) < np.mean([r["loss"] for r in rows[:5]])
    results = Results(run.folder)
    task.base_camp(results)
    task.enter(results, result.modules, run)
    found, truth = task.answers(result.modules, task.texts.splits["test"]), task.truth("test")
    assert results.get("KoBERT, pre-trained", "accuracy").value == pytest.approx((found == truth).mean())
    assert results.get("TF-IDF + SVM", "accuracy").value > 0.6
    reader = kobert.open_reader(task.export(result.modules, tmp_path, result.step))
    texts = [row.text for row in task.texts.splits["test"]]
    np.testing.assert_array_equal(reader.predict(texts), np.array(task.texts.labels)[found])
    for _, _, label, said, share in task.mistakes(result.modules, 4):
        assert label != said
        assert share >= 0.5
    again = encoders.open_encoder(run.name)[1].model
    assert weights_fingerprint(again) == weights_fingerprint(result.modules["model"].encoder)


def test_the_same_task_from_random_weights_is_another_run(pretrained):
    task = KoBERTClassifyTask(preset(KoBERTClassify, init_from="auto"))
    other = task.from_random()
    assert task.origin == f"{pretrained.run.name}@60"
    assert other.start == "random start"
    assert other.model_config == task.model_config
    with task.record() as run, other.record() as another:
        assert run.name != another.name
    one, two = task.modules()["model"], other.modules()["model"]
    assert torch.equal(one.output.weight, two.output.weight)
    assert weights_fingerprint(one.encoder) != weights_fingerprint(two.encoder)


def test_pairs_are_told_apart_too():
    task = KoBERTClassifyTask(preset(KoBERTClassify, dataset="made_pairs", vocabulary=300))
    batch = task.batches("train", 0, 1)[0]
    assert set(batch.types.tolist()) == {0, 1}
    assert len(batch.targets) == len(batch.boundaries) - 1
    halves = [task.batches("train", part, 2)[0] for part in (0, 1)]
    assert sorted(np.concatenate([half.targets for half in halves])) == sorted(batch.targets)
    with pytest.raises(ValueError, match="wants a text set with labels, made_scores has scores"):
        KoBERTClassifyTask(preset(KoBERTClassify, dataset="made_scores"))


def test_regress_learns_scores_in_deviations():
    task = KoBERTRegressTask(preset(KoBERTRegress))
    truth = task.truth("train")
    assert (truth.mean(), truth.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    result, run = train(task)
    results = Results(run.folder)
    task.base_camp(results)
    task.enter(results, result.modules, run)
    assert results.get("mean", "RMSE, deviations").value == pytest.approx(1, abs=0.1)
    assert results.get("shared characters", "Pearson").value > 0.4
    with pytest.raises(KeyError, match="Pearson of mean"):
        results.get("mean", "Pearson")
    found = task.answers(result.modules, task.texts.splits["test"])
    wanted = float(text.spearman(found, task.truth("test")))
    assert results.get("KoBERT, random start", "Spearman").value == pytest.approx(wanted)
    errors = [abs(true - said) for *_, true, said in task.mistakes(result.modules)]
    assert errors == sorted(errors, reverse=True)


@pytest.fixture
def bi(pretrained):
    return KoBERTSearchTask(preset(KoBERTSearch, init_from=pretrained.run.name, learning_rate=3e-3))


def test_a_bi_encoder_sees_each_answer_once_and_no_right_one_as_wrong():
    bi = KoBERTSearchTask(preset(KoBERTSearch))
    batch, answers = bi.batches("train", 0, 1)[0], bi.answers
    starts = batch.boundaries[:-1]
    ids = lambda place: batch.tokens[starts[place] : batch.boundaries[place + 1]].tolist()  # noqa: E731
    written = [ids(place) for place in batch.answers]
    assert len({tuple(one) for one in written}) == len(written)
    rows = bi._rows["train"]
    by_ids = {tuple(found.tolist()): n for n, (found, _) in enumerate(rows._answers)}
    asked = {tuple(found.tolist()): q.text for q, (found, _) in zip(answers.questions["train"], rows._questions)}
    for q, place in enumerate(batch.questions):
        right = answers.right(asked[tuple(ids(place))])
        assert by_ids[tuple(written[batch.targets[q]])] in right
        assert batch.wrong[q, batch.targets[q]]
        for a, other in enumerate(written):
            assert batch.wrong[q, a] == (a == batch.targets[q] or by_ids[tuple(other)] not in right)


def test_a_cross_encoder_reads_one_right_answer_and_wrong_ones():
    task = KoBERTSearchTask(preset(KoBERTSearch, ranker="cross", negatives=3))
    source = task.batches("train", 0, 1)
    batch = source[0]
    assert batch.places.shape == (task.config.batch_size, 4)
    answers = task.answers
    asked = {tuple(task.tokenizer.ids(q.text)): q.text for q in answers.questions["train"]}
    numbers = {tuple(task.tokenizer.ids(answer)): n for n, answer in enumerate(answers.answers)}
    for row in batch.places:
        pairs = [np.split(batch.tokens, batch.boundaries[1:-1])[p].tolist() for p in row]
        ends = [pair.index(task.tokenizer.sep) for pair in pairs]
        questions = {asked[tuple(pair[1:end])] for pair, end in zip(pairs, ends)}
        right, *wrong = (numbers[tuple(pair[end + 1 : -1])] for pair, end in zip(pairs, ends))
        (question,) = questions
        assert right in answers.right(question)
        assert not set(wrong) & answers.right(question)
    np.testing.assert_array_equal(source[0].tokens, task.batches("train", 0, 1)[0].tokens)
    assert not np.array_equal(source[1].tokens, batch.tokens)


def test_search_ranks_and_answers(bi, pretrained):
    result, run = train(bi)
    rows = run.rows("validation")
    assert rows[-1]["loss"] < rows[0]["loss"]
    placed, answers = bi.reader(result.modules), bi.answers
    found = kobert_answers.ranked("bi", lambda texts: kobert_search.EmbeddingSearch(placed, texts), answers)
    vectors = placed.scores(answers.answers)
    np.testing.assert_allclose((vectors**2).sum(1), 1, atol=1e-5)
    candidates = answers.candidates("test")
    questions = placed.scores([q.text for q in answers.questions["test"]])
    wanted = np.einsum("qc,qnc->qn", questions, vectors[candidates])
    np.testing.assert_allclose(found[0].scores, wanted, atol=1e-5)
    assert (found[1].scores >= found[0].scores - 1e-6).all()

    cross_task = KoBERTSearchTask(dataclasses.replace(bi.config, ranker="cross", stop_at=5))
    cross = cross_task.reader(train(cross_task)[0].modules)
    again = kobert_search.reranked(found[0], bi.config.temperature, cross, answers, top=10)
    assert ((found[0].ranks <= 10) == (again.ranks <= 10)).all()
    beyond = found[0].ranks > 10
    np.testing.assert_array_equal(again.ranks[beyond], found[0].ranks[beyond])
    read = kobert_search.read_together(cross, answers, [answers.questions["test"][0].text], candidates[:1])
    best = np.argsort(-found[0].scores[0])[:10]
    both = read[0, best] + found[0].scores[0, best] / bi.config.temperature
    assert np.argsort(-again.scores[0])[0] == best[both.argmax()]

    desk = kobert_search.Desk(answers, placed, cross, bi.config)
    told = desk.ask(answers.questions["test"][0].text, 3)
    assert set(told) == {"BM25", "bi-encoder", "then cross-encoder"}
    for pairs in told.values():
        scores = [score for _, score in pairs]
        assert len(pairs) == 3
        assert scores == sorted(scores, reverse=True)
    with pytest.raises(ValueError, match="wanted a question"):
        desk.ask("  ")


def test_a_bi_encoder_learns_the_same_in_parts(bi):
    """The negatives of a question are those of the whole batch, whoever shares it."""
    model = bi.modules()["model"].eval()
    whole = loss_of(bi, model, bi.batches("train", 0, 1)[2])
    parts = [bi.batches("train", part, 3)[2] for part in range(3)]
    assert sum(loss_of(bi, model, part) for part in parts) == pytest.approx(whole, rel=1e-5)
    assert len({len(part.answers) for part in parts}) == 1


def loss_of(task, model, batch):
    with torch.no_grad():
        return float(next(task.losses({"model": model}, tensors(batch, torch.device("cpu")), 1))[1]["cross_entropy"])


def test_what_only_the_other_ranker_uses_makes_no_other_run(bi):
    other = KoBERTSearchTask(dataclasses.replace(bi.config, negatives=2))
    warmer = KoBERTSearchTask(dataclasses.replace(bi.config, temperature=0.1))
    assert other.config == bi.config
    assert warmer.config != bi.config


@pytest.mark.parametrize("make", [
    lambda: KoBERTClassifyTask(preset(KoBERTClassify)),
    lambda: KoBERTRegressTask(preset(KoBERTRegress)),
    lambda: KoBERTSearchTask(preset(KoBERTSearch)),
    lambda: KoBERTSearchTask(preset(KoBERTSearch, ranker="cross")),
    lambda: KoBERTPretrainTask(preset(KoBERTPretrain, ramp_steps=5)),
])  # fmt: skip
def test_loading_processes_can_take_the_batches(make):
    task = make()
    for split in ("train", "validation"):
        source = task.batches(split, 0, 1)
        for mine, theirs in zip(source[0], pickle.loads(pickle.dumps(source))[0], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_auto_stays_with_what_an_unfinished_run_began_with(pretrained):
    config = preset(KoBERTClassify, init_from="auto", seed=11)
    task = KoBERTClassifyTask(config)
    with task.record() as run:
        run.status("paused", step=10)
    _, later = train(KoBERTPretrainTask(dataclasses.replace(pretrained.task.config, seed=5, stop_at=2)))
    try:
        assert encoders.newest_run() == later.name
        assert KoBERTClassifyTask(config).origin == task.origin == f"{pretrained.run.name}@60"
        other = KoBERTClassifyTask(dataclasses.replace(config, seed=12))
        assert other.origin == f"{later.name}@2"
        assert f"starts from {later.name}@2" in repr(other)
    finally:
        shutil.rmtree(later.folder)


def test_a_pretraining_that_only_the_mirror_has_is_brought_back(tmp_path, monkeypatch):
    monkeypatch.setenv("NBKIT_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "outputs"))
    result, run = train(KoBERTPretrainTask(preset(KoBERTPretrain, seed=21, stop_at=2, save_every=1)))
    shutil.rmtree(tmp_path / "outputs")
    assert encoders.newest_run() == run.name
    origin, loaded = encoders.open_encoder(run.name)
    assert origin == f"{run.name}@2"
    assert weights_fingerprint(loaded.model) == weights_fingerprint(result.modules["model"])
    with pytest.raises(FileNotFoundError, match=run.name):
        encoders.open_encoder(f"{run.name}@7")


def test_a_folder_of_transformers_can_be_started_from(pretrained, tmp_path):
    kobert.save_folder(tmp_path / "folder", pretrained.result.modules["model"], pretrained.task.tokenizer)
    task = KoBERTClassifyTask(preset(KoBERTClassify, init_from=str(tmp_path / "folder"), dropout=0.0))
    assert weights_fingerprint(task.modules()["model"].encoder) == weights_fingerprint(
        pretrained.result.modules["model"]
    )
    assert task.tokenizer.fingerprint == pretrained.task.tokenizer.fingerprint
    assert task.model_config.attention_dropout in (None, 0.0)


def test_candidates_hold_the_right_answer_first_and_no_other_right_one(bi):
    answers = bi.answers
    candidates = answers.candidates("test")
    assert candidates.shape == (len(answers.questions["test"]), 100)
    for question, row in zip(answers.questions["test"], candidates):
        assert row[0] == question.answer
        assert len(set(row.tolist())) == 100
        assert not set(row[1:].tolist()) & answers.right(question.text)
    np.testing.assert_array_equal(candidates, bi.answers.candidates("test"))
    held = {" ".join(q.text.casefold().split()) for q in answers.questions["test"]}
    assert not held & {" ".join(q.text.casefold().split()) for q in answers.questions["train"]}


def test_a_reader_refuses_what_it_cannot_read(pretrained, tmp_path):
    path = pretrained.task.export(pretrained.result, pretrained.run.folder)
    with pytest.raises(ValueError, match="no head for a task"):
        kobert.open_reader(path)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cannot be read"):
        kobert.open_reader(damaged)
