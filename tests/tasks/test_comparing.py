"""What 90_compare_runs reads: runs of one task, the best first."""

from __future__ import annotations

import pytest

from nbkit.base.record import Record
from nbkit.tasks import comparing
from nbkit.tasks.comparing import CompareRuns
from nbkit.tasks.drive_resume import SineTrain


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "cache"))


def make(loss: float, task: str = "sine", **values) -> str:
    with Record.open(task, SineTrain.from_dict(values), "data") as run:
        run.log({"step": 10, "split": "validation", "loss": loss})
        run.status("finished", step=10)
        for file in ("views/a-000000010.png", "views/a-000000020.png", "views/b.png"):
            (run.folder / file).write_bytes(b"")
        return run.name


def test_the_best_of_the_task_with_most_runs_come_first():
    names = [make(0.5), make(0.2, learning_rate=0.01), make(0.3, seed=1)]
    make(0.1, task="other")
    chosen = comparing.choose(CompareRuns())
    assert [run.name for run in chosen.records] == [names[1], names[2], names[0]]
    assert chosen.varied() == ["learning_rate", "seed"]
    assert chosen.axes() == ["learning_rate", "best_val_loss"], "chance is no setting"
    assert comparing.seed_groups(chosen) == [("learning_rate 0.003", 2, 0.3, 0.5)]
    few = comparing.choose(CompareRuns(where="best_val_loss below 0.4, seed is 0"))
    assert [run.name for run in few.records] == [names[1]]


def test_pictures_stand_in_rows_of_one_kind():
    names = [make(0.5), make(0.2, learning_rate=0.01)]
    chosen = comparing.choose(CompareRuns())
    (chosen.records[1].folder / "views/b.png").unlink()
    (chosen.records[0].folder / "views/page.png").write_bytes(b"")
    (chosen.records[0].folder / "views/page.html").write_bytes(b"")
    best, other = (chosen.label(run) for run in chosen.records)
    assert best == f"{names[1].removeprefix('sine-')}: learning_rate 0.01"
    found = comparing.pictures(chosen, chosen.records)
    assert {key: path and path.name for key, path in found.items()} == {
        ("a", best): "a-000000020.png", ("a", other): "a-000000020.png", ("b", best): "b.png", ("b", other): None,
    }  # fmt: skip
    assert list(found)[:2] == [("a", best), ("a", other)]


def test_the_greatest_may_be_the_best_and_what_is_no_number_comes_last(capsys):
    make(float("nan"), seed=1)
    names = [make(0.5), make(0.7, learning_rate=0.01), make(0.1, task="other"), make(0.2, task="other", seed=3)]
    make(9.0, task="other", seed=4)
    chosen = comparing.choose(CompareRuns(metric="-val_loss", task="sine"))
    assert (chosen.metric, chosen.greatest, chosen.curve()) == ("val_loss", True, "loss")
    assert [run.name for run in chosen.records][:2] == [names[1], names[0]]
    assert comparing.seed_groups(chosen) == [], "one of the two is not known"
    (chosen.records[0].folder / "environment.json").write_text("")
    assert len(comparing.choose(CompareRuns(task="sine")).rows) == 1
    assert f"{names[1]} is left out" in capsys.readouterr().out


def test_a_task_that_has_the_metric_is_taken():
    name = make(0.5)
    for seed in (1, 2):
        with Record.open("unmeasured", SineTrain(seed=seed), "data"):
            pass
    assert [run.name for run in comparing.choose(CompareRuns()).records] == [name]


def test_nothing_to_read_is_told():
    with pytest.raises(ValueError, match="runs here: none"):
        comparing.choose(CompareRuns())
    make(0.5)
    with pytest.raises(ValueError, match="1 of sine"):
        comparing.choose(CompareRuns(sweep="night"))
    with pytest.raises(ValueError, match="wanted a condition with one of"):
        comparing.choose(CompareRuns(where="seed 0"))


def test_some_are_made_where_there_are_none(capsys):
    names = comparing.make_some()
    chosen = comparing.choose(CompareRuns(task=comparing.MADE))
    assert sorted(run.name for run in chosen.records) == sorted(names)
    assert len(set(names)) == 8
    assert chosen.rows[0]["best_val_loss"] < 0.1 < chosen.rows[-1]["best_val_loss"]
