"""`nbkit runs show | compare | export | tag | note` and the options of `list`, on made run folders."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

from nbkit.base import workspace
from nbkit.base.params import Params, param
from nbkit.base.record import Record
from nbkit.base.remarks import Remarks
from nbkit.evaluate import runs
from nbkit.run.__main__ import main


@dataclass(frozen=True)
class Small(Params):
    PRESETS = {"quick": {"rate": 0.1}}
    rate: float = param(0.01, "Rate.")
    size: str = param("tiny", "Size.")
    text: str = param("", "Text.")
    whole: bool = param(False, "Whole.")
    stop_at: int = param(0, "End.", identity=False)


def make(loss: float | str, **values) -> str:
    """A finished run whose last validation loss is `loss`."""
    with Record.open("small", Small.from_dict(values), "data") as run:
        run.log({"step": 0, "split": "validation", "loss": 9.0, "accuracy": 0.1})
        run.log({"step": 10, "split": "train", "loss": 1.0, "seconds": 0.5})
        run.log({"step": 10, "split": "validation", "loss": loss, "accuracy": 0.5})
        run.status("finished", step=10)
        return run.name


@pytest.fixture(autouse=True)
def three(tmp_path, monkeypatch) -> list[str]:
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "cache"))
    return [make(0.5), make(0.3, rate=0.1, text="같이 | 가자"), make(float("nan"), size="small", whole=True)]


def table(*arguments: str, capsys) -> list[dict[str, str]]:
    assert main(["runs", "export", *arguments]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_a_row_holds_parameters_and_what_came_out(three, capsys):
    found = {row["run"]: row for row in table(capsys=capsys)}
    assert set(found) == set(three)
    first = found[three[0]]
    assert (first["rate"], first["val_loss"], first["best_val_loss"], first["seconds"]) == ("0.01", "0.5", "0.5", "0.5")
    assert found[three[2]]["val_loss"] == "nan"
    assert found[three[2]]["best_val_loss"] == "9.0"
    assert found[three[1]]["text"] == "같이 | 가자"


@pytest.mark.parametrize(
    ("conditions", "wanted"),
    [
        (["val_loss<0.4"], [1]),
        (["rate=0.01"], [0, 2]),
        (["rate=1e-2", "size!=tiny"], [2]),
        (["whole=true"], [2]),
        (["text~가자"], [1]),
        (["val_loss>=0.3"], [0, 1]),
        (["state=finished", "step>10"], []),
    ],
)
def test_conditions_choose(three, conditions, wanted):
    rows = [runs.row(Record.read(workspace.runs() / name)) for name in three]
    assert [one["run"] for one in runs.choose(rows, where=conditions)] == [three[i] for i in wanted]


def test_sorting_puts_the_best_first_and_what_is_missing_last(three, capsys):
    order = [row["run"] for row in table("--sort", "val_loss", capsys=capsys)]
    assert order == [three[1], three[0], three[2]]
    assert [row["run"] for row in table("--sort=-val_loss", "--first", "1", capsys=capsys)] == [three[0]]


def test_list_takes_the_same_options_and_shows_their_columns(three, capsys):
    assert main(["runs", "list", "--sort", "val_loss", "--where", "size=tiny"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[-2:] == ["val_loss", "size"]
    assert [line.split()[0] for line in lines] == [three[1], three[0]]
    assert lines[0].split()[-2:] == ["0.3", "tiny"]


def test_what_list_finds_it_gives_to_a_program_too(three, capsys):
    assert main(["runs", "list", "--sort", "val_loss", "--first", "1", "--json"]) == 0
    (best,) = json.loads(capsys.readouterr().out)["runs"]
    assert (best["name"], best["val_loss"]) == (three[1], 0.3)
    assert main(["runs", "list", "--where", "size=huge"]) == 0
    assert "meets that" in capsys.readouterr().out


def test_a_run_that_is_at_work_shows_how_far_it_is(three, capsys):
    with Record.open("small", Small(rate=0.7, stop_at=300), "data") as run:
        run.log({"step": 120, "split": "train", "seconds": 2.0})
        run.status("running", step=100)
        assert main(["runs", "list", "--where", "state=running"]) == 0
        assert "120 of 300, 6 min 0 s left" in capsys.readouterr().out
    assert main(["runs", "list", "--where", "state=cut off"]) == 0
    assert run.name in capsys.readouterr().out, "its process is gone"


@pytest.mark.parametrize(
    ("file", "content"),
    [("environment.json", ""), ("status.json", "[]"), ("status.json", "{"), ("run.json", "nothing"),
     ("results.json", "[1"), ("remarks.json", '{"tags": 3}'), ("config.json", "[1, 2]")],
)  # fmt: skip
def test_a_damaged_run_is_left_out_and_told(three, file, content, capsys):
    (workspace.runs() / three[0] / file).write_text(content)
    assert main(["runs", "export", "--sort", "val_loss"]) == 0
    told = capsys.readouterr()
    assert [row["run"] for row in csv.DictReader(io.StringIO(told.out))] == [three[1], three[2]]
    assert file == "config.json" or f"{three[0]} is left out" in told.err
    assert main(["runs"]) == 0, "a list tells what it can"
    assert three[0] in capsys.readouterr().out
    assert main(["runs", "show", three[0]]) == 1


def test_a_damaged_line_of_a_log_is_no_line(three, capsys):
    with (workspace.runs() / three[0] / "log.jsonl").open("ab") as log:
        log.write(b'\xff\x00\n{"step": 20, "split": "validation", "loss": 0.1, "seco')
    found = {row["run"]: row for row in table(capsys=capsys)}
    assert found[three[0]]["val_loss"] == "0.5"


def test_a_reader_that_has_seen_enough_is_no_error(three):
    listing = subprocess.Popen(
        [sys.executable, "-m", "nbkit.run", "runs", "export"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    listing.stdout.close()
    assert listing.stderr.read() == b""
    listing.stderr.close()
    assert listing.wait() == 141


def test_what_nobody_knows_is_told(three, capsys):
    assert main(["runs", "export", "--where", "val_los<1"]) == 1
    assert "did you mean val_loss?" in capsys.readouterr().err
    assert main(["runs", "export", "--where", "loss is low"]) == 1
    assert "wanted a condition" in capsys.readouterr().err
    assert main(["runs", "show", "smal"]) == 1
    assert three[0] in capsys.readouterr().err
    assert main(["runs", "export", "-o", "runs.xlsx"]) == 1
    assert ".csv, .md, .parquet" in capsys.readouterr().err


def test_compare_shows_only_what_differs(three, capsys):
    assert main(["runs", "compare", three[0], three[1]]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert lines["rate"] == ["0.01", "0.1"]
    assert lines["val_loss"] == ["0.5", "0.3"]
    assert not lines.keys() & {"size", "whole", "val_accuracy"}
    assert main(["runs", "compare", three[0], three[0]]) == 1
    capsys.readouterr()
    names = [*three, make(0.1, rate=0.2), make(0.2, rate=0.3)]
    assert main(["runs", "compare", *names]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["run", "state", "step", "rate"], "many stand below each other"
    assert [line.split()[0] for line in lines] == names


def test_remarks_stay_with_the_run(three, capsys):
    name = three[0]
    assert main(["runs", "note", name, "a first look", "--verdict", "반반"]) == 0
    assert main(["runs", "tag", name, "baseline", "keep"]) == 0
    assert main(["runs", "tag", name, "--remove", "keep"]) == 0
    said = Remarks.read(workspace.runs() / name)
    assert (said.verdict, said.tags, [note.text for note in said.notes]) == ("반반", ("baseline",), ["a first look"])
    capsys.readouterr()
    assert main(["runs", "show", name]) == 0
    shown = capsys.readouterr().out
    assert "반반" in shown
    assert "a first look" in shown
    assert [row["run"] for row in table("--where", "tags~baseline", capsys=capsys)] == [name]
    assert main(["runs", "tag", name, "two words"]) == 1
    assert main(["runs", "tag", name, "--remove", "keep"]) == 1


def test_a_hypothesis_that_comes_after_the_end_says_so(three, capsys):
    assert main(["runs", "note", three[0], "--hypothesis", "more is better"]) == 0
    assert "after the run had ended" in Remarks.read(workspace.runs() / three[0]).notes[0].text
    with Record.open("small", Small(rate=0.5), "data") as run:
        assert main(["runs", "note", run.name, "--hypothesis", "more is better", "--expectation", "below 0.2"]) == 0
    assert Remarks.read(run.folder).notes == ()


def test_damaged_remarks_are_told(three, capsys):
    (workspace.runs() / three[0] / "remarks.json").write_text(json.dumps({"mood": "good"}))
    assert main(["runs", "show", three[0]]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_tables_are_written(three, tmp_path, capsys):
    assert main(["runs", "export", "-o", str(tmp_path / "runs.md"), "--columns", "run", "text", "val_loss"]) == 0
    lines = (tmp_path / "runs.md").read_text(encoding="utf8").splitlines()
    assert lines[0] == "| run | text | val_loss |"
    assert any("같이 \\| 가자" in line for line in lines)
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    assert main(["runs", "export", "-o", str(tmp_path / "runs.parquet")]) == 0
    found = {row["run"]: row for row in parquet.read_table(tmp_path / "runs.parquet").to_pylist()}
    assert found[three[1]]["text"] == "같이 | 가자"
    assert found[three[1]]["rate"] == 0.1
    assert found[three[2]]["whole"] is True
