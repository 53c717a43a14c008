"""`nbkit runs`: what there is here and on the mirror, what is brought back, what goes, and what never does."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from nbkit.base import record, workspace
from nbkit.base.amounts import size
from nbkit.base.params import Params, param
from nbkit.base.record import Record
from nbkit.run import runs
from nbkit.run.__main__ import main
from nbkit.train import inventory, prune
from nbkit.train.layout import MANIFEST, PREFIX
from nbkit.train.mirror import Mirror
from nbkit.train.shelf import Shelf


@dataclass(frozen=True)
class Small(Params):
    PRESETS = {"quick": {"stop_at": 40, "learning_rate": 0.01}}
    learning_rate: float = param(0.003, "Rate.")
    size: str = param("tiny", "Size.")
    stop_at: int = param(300, "End.", identity=False)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv("NBKIT_MIRROR", str(tmp_path / "drive"))
    shelf = Shelf(tmp_path / "drive")
    shelf.open()
    return shelf


def checkpoint(folder: Path, step: int, metric: float | None = None) -> None:
    """A checkpoint as the store writes it, with made-up content."""
    home = folder / "checkpoints" / f"{PREFIX}{step:09d}"
    home.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in ("weights.safetensors", "state.pt"):
        content = f"{name} of {step} ".encode() * 1000
        (home / name).write_bytes(content)
        files[name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (home / MANIFEST).write_text(json.dumps({"step": step, "metric": metric, "files": files, "about": {}}))


def train(
    steps: list[int], shelf: Shelf | None = None, state: str = "finished", mirrored: int = 9**9, **values
) -> Path:
    """A run with checkpoints of these steps, and copies of those up to `mirrored`; every fifth step is measured."""
    stop_at = max(steps) if state == "finished" else max(steps) + 100
    with Record.open("small", Small.from_dict({"stop_at": stop_at} | values), "data") as run:
        mirror = Mirror(shelf, run.name, run.folder, keep=99) if shelf else None
        for step in steps:
            for at in range(step - 9, step + 1):
                run.log({"step": at, "loss": 1 / at})
            checkpoint(run.folder, step, 1 / step)
            run.status(state, step=step, confirmed=step if mirror and step <= mirrored else None)
            if mirror and step <= mirrored:
                mirror.begin(step)
                mirror.offer(step, 1 / step)
                while step not in {one.step for n, one in mirror.known.items() if n in mirror.confirmed}:
                    mirror.work()
        return run.folder


def checkpoints(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix(PREFIX)) for path in (folder / "checkpoints").glob(f"{PREFIX}*"))


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(folder: Path) -> None:
    shutil.rmtree(folder)


def listed(capsys: pytest.CaptureFixture) -> dict[str, dict]:
    assert main(["runs", "--json"]) == 0
    return {run["name"]: run for run in json.loads(capsys.readouterr().out)["runs"]}


# --- list


def test_runs_here_and_there_stand_in_one_table(shelf: Shelf, capsys: pytest.CaptureFixture):
    gone = train([10, 20], shelf, learning_rate=0.01)
    remove(gone)
    both = train([10, 20, 30], shelf, state="paused", mirrored=20)
    here = train([10], size="small")
    for age, folder in ((60, here), (3600, both)):
        for name in (record.LOG, record.STATUS, record.CONFIG):
            os.utime(folder / name, (time.time() - age, time.time() - age))
    found = listed(capsys)
    assert list(found) == [gone.name, here.name, both.name], "the one written to last comes first"
    told = {name: (one["where"], one["state"], one["step"], one["confirmed"]) for name, one in found.items()}
    assert told == {
        gone.name: ("mirror", "finished", 20, 20),
        here.name: ("here", "finished", 10, None),
        both.name: ("both", "paused", 30, 20),
    }
    assert found[here.name]["size"] == sum(path.stat().st_size for path in here.rglob("*") if path.is_file())
    assert found[here.name]["changed"] == "size small, stop_at 10"
    assert found[gone.name]["changed"] == "quick, stop_at 20", "the nearest preset, from the manifest's config"
    assert main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["RUN", "STATE", "STEP", "SAFE"]
    assert lines[2].split()[:5] == [here.name, "finished", "10", "-", "here"]
    assert lines[2].endswith("size small, stop_at 10")
    assert [row[0] for row in runs.rows(2)] == [gone.name, here.name], "as 00_start_here shows it"
    assert len(runs.rows()[0]) == len(runs.HEADS)


def test_a_run_whose_process_died_is_told_from_one_that_runs(capsys: pytest.CaptureFixture):
    folder = train([10], state="running")
    assert listed(capsys)[folder.name]["state"] == "cut off"
    with Record.open("small", Small.from_dict({"stop_at": 110}), "data"):
        assert listed(capsys)[folder.name]["state"] == "running"
        assert main(["runs", "prune", folder.name, "--keep", "0", "--yes"]) == 0
        assert "a process writes there" in capsys.readouterr().out
    assert checkpoints(folder) == [10]


def test_a_mirror_that_is_gone_is_told_and_the_rest_is_listed(shelf, capsys, monkeypatch, tmp_path):
    folder = train([10, 20], shelf)
    (shelf.root / "nbkit-mirror").unlink()
    assert main(["runs"]) == 0
    told = capsys.readouterr()
    assert f"the mirror {shelf} cannot be read" in told.err
    assert told.out.splitlines()[1].split()[:4] == [folder.name, "finished", "20", "20"], "as it was heard last"
    monkeypatch.setenv("NBKIT_MIRROR", str(tmp_path / "other"))
    assert main(["runs"]) == 0
    assert "holds nothing yet" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_mirror_that_hangs_is_not_waited_for(shelf, capsys, monkeypatch):
    folder = train([10], shelf)
    monkeypatch.setattr(inventory, "PATIENCE", 0.1)
    monkeypatch.setattr(Shelf, "folders", lambda *_: time.sleep(2))
    began = time.monotonic()
    assert main(["runs"]) == 0
    assert time.monotonic() - began < 1.5
    told = capsys.readouterr()
    assert "no answer within 0.1 seconds" in told.err
    assert folder.name in told.out


def test_a_listing_that_is_behind_is_told(shelf, capsys, monkeypatch):
    folder = train([10, 20], shelf)
    names = Shelf.names
    monkeypatch.setattr(Shelf, "names", lambda self, part: [n for n in names(self, part) if "0020-" not in n])
    assert main(["runs"]) == 0
    assert f"{folder.name}: step 20 was confirmed, and the mirror shows no step after 10" in capsys.readouterr().err


def test_what_was_confirmed_on_another_mirror_is_not_safe(shelf, capsys, monkeypatch, tmp_path):
    folder = train([10, 20], shelf)
    Shelf(tmp_path / "other").open()
    monkeypatch.setenv("NBKIT_MIRROR", str(tmp_path / "other"))
    assert main(["runs"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[1].split()[:4] == [folder.name, "finished", "20", "-"]
    assert f"{folder.name}: confirmed once, and not on this mirror now" in told.err
    assert main(["runs", "prune", "--keep", "0"]) == 0
    assert "no confirmed copy is left anywhere" in capsys.readouterr().out


def test_half_written_files_do_not_hide_the_other_runs(shelf, capsys):
    good, broken = train([10]), train([10], size="small")
    (broken / record.CONFIG).write_text('{"task": "sm')
    half = train([10, 20], shelf, size="large")
    remove(half)
    newest = max((shelf.root / "runs" / half.name / "checkpoints").glob("*.json"))
    newest.write_bytes(newest.read_bytes()[:100])
    found = listed(capsys)
    assert {name: one["state"] for name, one in found.items()} == {
        good.name: "finished", broken.name: "unreadable", half.name: "finished",
    }  # fmt: skip
    assert [run.name for run in record.runs()] == [good.name]


def test_it_starts_without_torch():
    code = "import sys; from nbkit.run.__main__ import main; main(['runs']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


# --- restore


def test_a_run_comes_back_whole(shelf, capsys):
    folder = train([10, 20], shelf)
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    remove(folder)
    assert main(["runs", "restore", folder.name]) == 0
    told = capsys.readouterr().out
    assert "whole, brought back" in told
    assert f"step 20 of {folder.name} is in {folder}" in told
    assert checkpoints(folder) == [20]
    for path, content in before.items():
        if "000000010" not in str(path) and path.name != record.STATUS:
            assert (folder / path).read_bytes() == content, path
    assert {**Record.read(folder).status()}.items() >= {"state": "finished", "step": 20, "confirmed": 20}.items()
    assert listed(capsys)[folder.name]["where"] == "both"


def test_a_damaged_snapshot_is_passed_over(shelf, capsys):
    folder = train([10, 20], shelf)
    remove(folder)
    damage(next((shelf.root / "runs" / folder.name / "blobs").glob("000000020-*weights*")))
    assert main(["runs", "restore", folder.name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("differs from its sha256")
    assert lines[2].split()[0] == "10"
    assert checkpoints(folder) == [10]


def test_what_lies_here_whole_is_not_written_over(shelf, capsys):
    folder = train([10, 20], shelf)
    stamp = (folder / "checkpoints" / f"{PREFIX}{20:09d}" / MANIFEST).stat().st_mtime_ns
    assert main(["runs", "restore", folder.name]) == 0
    assert "what lies here is as new" in capsys.readouterr().out
    assert main(["runs", "restore", folder.name, "--step", "10"]) == 1
    assert "first move what is newer out" in capsys.readouterr().out
    damage(folder / "checkpoints" / f"{PREFIX}{20:09d}" / "state.pt")
    assert main(["runs", "restore", folder.name]) == 0
    assert "damaged: state.pt differs from the sha256" in capsys.readouterr().out
    assert not inventory.damage(folder / "checkpoints" / f"{PREFIX}{20:09d}")
    assert (folder / "checkpoints" / f"{PREFIX}{20:09d}" / MANIFEST).stat().st_mtime_ns != stamp


def test_a_later_snapshot_comes_to_older_checkpoints(shelf, capsys):
    folder = train([10, 20], shelf)
    remove(folder / "checkpoints" / f"{PREFIX}{20:09d}")
    assert main(["runs", "restore", folder.name]) == 0
    assert checkpoints(folder) == [10, 20]


def test_a_chosen_step_and_what_is_not_there(shelf, capsys):
    folder = train([10, 20], shelf)
    remove(folder)
    assert main(["runs", "restore", folder.name, "--step", "10"]) == 0
    assert checkpoints(folder) == [10]
    assert len(Record.read(folder).rows()) == 10
    assert main(["runs", "restore", folder.name, "--step", "15"]) == 1
    assert "the mirror has 10, 20" in capsys.readouterr().err
    for name in ("small-00000000", "../" + folder.name, "", "."):
        assert main(["runs", "restore", name]) == 1
        assert "wanted a run that lies on the mirror" in capsys.readouterr().err


def test_nothing_whole_leaves_nothing_behind(shelf, capsys):
    folder = train([10], shelf)
    remove(folder)
    damage(next((shelf.root / "runs" / folder.name / "blobs").glob("*weights*")))
    assert main(["runs", "restore", folder.name]) == 1
    assert "none of 1 is whole" in capsys.readouterr().out
    assert not folder.exists()


def test_a_full_disk_or_a_lost_mount_is_an_error_and_not_an_older_step(shelf, capsys, monkeypatch):
    folder = train([10, 20], shelf)
    remove(folder)
    for number in (28, 107):

        def fail(*_, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(Mirror, "bring_back", fail)
        assert main(["runs", "restore", folder.name]) == 1
        assert os.strerror(number) in capsys.readouterr().err
    assert not checkpoints(folder)


def test_a_run_that_is_written_to_is_not_restored(shelf, capsys):
    train([10, 20], shelf)
    with Record.open("small", Small.from_dict({"stop_at": 20}), "data") as run:
        remove(run.folder / "checkpoints")
        assert main(["runs", "restore", run.name]) == 1
    assert "only writer" in capsys.readouterr().err
    assert not checkpoints(run.folder)


def test_without_a_mirror_there_is_nothing_to_restore_from(capsys, monkeypatch):
    monkeypatch.setenv("NBKIT_MIRROR", "none")
    assert main(["runs", "restore", "any"]) == 1
    assert "NBKIT_MIRROR" in capsys.readouterr().err


# --- prune


def test_prune_shows_first_and_removes_then(capsys):
    folder = train([10, 20, 30])
    (folder / "exports").mkdir()
    (folder / "exports" / "voice.safetensors").write_bytes(b"voice")
    (folder / "checkpoints" / "damaged-step-000000005").mkdir()
    everything = {path for path in folder.rglob("*") if path.is_file()}
    assert main(["runs", "prune"]) == 0
    told = capsys.readouterr().out
    assert "step 20, 10" in told
    assert "Nothing was removed yet" in told
    assert {path for path in folder.rglob("*") if path.is_file()} == everything
    held = inventory._bytes_in(folder)
    assert main(["runs", "prune", "--yes"]) == 0
    assert checkpoints(folder) == [30]
    assert capsys.readouterr().out.endswith(f"\n{size(held - inventory._bytes_in(folder))} are free now\n")
    assert not (folder / "checkpoints" / "damaged-step-000000005").exists()
    assert {path for path in everything if "checkpoints" not in path.parts} <= set(folder.rglob("*"))
    assert main(["runs", "prune", "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_the_size_that_was_shown_is_the_size_that_is_freed(shelf):
    train([10, 20, 30], shelf)
    for place, root in ((None, workspace.runs()), (shelf, shelf.root)):
        before = inventory._bytes_in(root)
        going, left = prune.plan(inventory.look(shelf)[0], place)
        assert not left
        assert prune.carry_out(going[0], place) == going[0].size == before - inventory._bytes_in(root) > 0


def test_the_best_one_stays_and_a_damaged_one_does_not_count(capsys):
    folder = train([10, 20, 30, 40])
    checkpoint(folder, 10, metric=0.0)
    damage(folder / "checkpoints" / f"{PREFIX}{40:09d}" / "state.pt")
    assert main(["runs", "prune", "--yes"]) == 0
    assert checkpoints(folder) == [10, 30], "40 would have been kept, and 30 lost"


def test_where_no_checkpoint_is_whole_none_goes(capsys):
    folder = train([10, 20])
    for path in folder.glob("checkpoints/*/state.pt"):
        damage(path)
    assert main(["runs", "prune", "--yes"]) == 0
    assert checkpoints(folder) == [10, 20]


def test_unfinished_and_young_runs_are_left(capsys):
    paused, young = train([10, 20], state="paused"), train([10, 20], size="small")
    assert main(["runs", "prune", "--yes", "--older-than", "1d"]) == 0
    told = capsys.readouterr().out
    assert f"{paused.name}, it is paused; name it" in told
    assert f"{young.name}, it was written to since" in told
    for name in (record.LOG, record.STATUS, record.CONFIG):
        os.utime(young / name, (0, 0))
    assert main(["runs", "prune", "--yes", "--older-than", "1d"]) == 0
    assert [checkpoints(paused), checkpoints(young)] == [[10, 20], [20]]
    assert main(["runs", "prune", "--yes", paused.name]) == 0
    assert checkpoints(paused) == [20]


def test_the_last_checkpoint_goes_only_with_a_word(shelf, capsys):
    alone, copied = train([10, 20]), train([10, 20, 30], shelf, mirrored=20, size="small")
    Record.read(copied)
    assert main(["runs", "prune", "--keep", "0"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "no confirmed copy is left anywhere: run again, it starts at step 0" in lines[alone.name]
    assert "it can go on from step 20 on the mirror only, and step 30 is lost" in lines[copied.name]


def test_prune_on_the_mirror_keeps_what_restores(shelf, capsys):
    folder = train([10, 20, 30], shelf)
    names = lambda part: sorted(path.name[:9] for path in (shelf.root / "runs" / folder.name / part).iterdir())  # noqa: E731
    assert main(["runs", "prune", "--mirror", "--yes"]) == 0
    assert checkpoints(folder) == [10, 20, 30], "nothing here goes"
    assert set(names("checkpoints")) == set(names("blobs")) == {"000000030"}
    assert names("log") == ["000000010", "000000020", "000000030"], "the log of the last one has these pieces"
    remove(folder)
    assert main(["runs", "restore", folder.name]) == 0
    assert checkpoints(folder) == [30]
    assert len(Record.read(folder).rows()) == 30


def test_files_on_the_mirror_are_emptied_before_they_go(shelf, capsys, monkeypatch):
    train([10, 20], shelf)
    seen = []
    unlink = Path.unlink

    def spy(path, *words, **more):
        if shelf.root in path.parents:
            seen.append(path.stat().st_size)
        unlink(path, *words, **more)

    monkeypatch.setattr(Path, "unlink", spy)
    assert main(["runs", "prune", "--mirror", "--yes"]) == 0
    assert seen
    assert not any(seen)


def test_only_confirmed_snapshots_count_and_damage_stops_it(shelf, capsys):
    folder = train([10, 20, 30], shelf)
    there = shelf.root / "runs" / folder.name
    for path in there.glob("checkpoints/*.confirmed"):
        path.unlink() if path.name.startswith("000000030") else None
    damage(next(there.glob("blobs/000000020-*weights*")))
    assert main(["runs", "prune", "--mirror", "--yes"]) == 1
    assert "nothing of" in capsys.readouterr().err
    assert len(list(there.glob("checkpoints/*.json"))) == 3
    for path in there.glob("checkpoints/*.confirmed"):
        path.unlink()
    assert main(["runs", "prune", "--mirror", "--yes"]) == 0
    assert "only 0 of its snapshots there are confirmed" in capsys.readouterr().out
    assert len(list(there.glob("checkpoints/*.json"))) == 3


def test_what_a_training_elsewhere_is_writing_stays(shelf, capsys):
    folder = train([10, 20], shelf)
    new = shelf.root / "runs" / folder.name / "blobs" / "000000030-0123456789abcdef-weights.safetensors"
    new.write_bytes(b"not complete")
    assert main(["runs", "prune", "--mirror", "--yes"]) == 0
    assert new.exists()


def test_whole_runs_go_only_by_name(shelf, capsys):
    folder, other = train([10, 20], shelf), train([10], size="small")
    assert main(["runs", "prune", "--whole", "--yes"]) == 2
    assert main(["runs", "prune", "--whole", "--yes", folder.name]) == 0
    assert "step 20 is on the mirror" in capsys.readouterr().out
    assert [folder.exists(), other.exists()] == [False, True]
    assert main(["runs", "prune", "--whole", "--mirror", "--yes", folder.name]) == 0
    assert "the only confirmed copy goes; no checkpoint is left anywhere" in capsys.readouterr().out
    assert not (shelf.root / "runs" / folder.name).exists()
    assert (shelf.root / "nbkit-mirror").exists()
    assert list(listed(capsys)) == [other.name]


def test_a_whole_run_that_may_be_training_elsewhere_stays(shelf, capsys):
    folder = train([10, 20], shelf, state="paused")
    remove(folder)
    words = ["runs", "prune", "--whole", "--mirror", "--yes", folder.name]
    assert main(words) == 0
    assert "perhaps by a training on another machine" in capsys.readouterr().out
    assert (shelf.root / "runs" / folder.name).exists()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--keep", "-1"], 2),
        (["--mirror", "--keep", "0"], 2),
        (["small-1"], 1),
        ([".."], 1),
        (["--whole", ".", "--yes"], 1),
    ],
)
def test_prune_refuses_what_makes_no_sense(shelf, words, status, capsys):
    folder = train([10], shelf)
    assert main(["runs", "prune", *words]) == status
    assert capsys.readouterr().err.startswith("nbkit runs: ")
    assert checkpoints(folder) == [10]


def test_an_age_is_a_number_and_a_unit(capsys):
    with pytest.raises(SystemExit):
        main(["runs", "prune", "--older-than", "soon"])
    assert "wanted an age as 12h, 30d or 2w" in capsys.readouterr().err


# --- what a changed config says


def test_a_new_run_says_what_it_differs_in():
    first = train([500])
    train([20], learning_rate=0.01, size="small")
    with Record.open("small", Small.from_dict({"learning_rate": 0.001}), "data") as run:
        assert run.differs_from == f"differs from {first.name} (step 500) in learning_rate 0.003 -> 0.001"
    with Record.open("small", Small.from_dict({"learning_rate": 0.001}), "data") as again:
        assert again.differs_from == "", "it is no new run any more"
    with Record.open("small", Small.from_dict({"learning_rate": 0.001}), "data", repeat=1) as repeated:
        assert repeated.differs_from == f"differs from {run.name} (step 0) in repeat 0 -> 1"
    with Record.open("small", Small.from_dict({}), "other data") as other:
        assert other.differs_from == f"differs from {first.name} (step 500) in its data"
    with Record.open("large", Small.from_dict({}), "data") as alone:
        assert alone.differs_from == "", "another task is nothing to compare with"


def test_of_equally_near_runs_the_newest_is_told():
    older, newer = train([10], learning_rate=0.01), train([10], learning_rate=0.02)
    os.utime(older / record.STATUS, (1000, 1000))
    with Record.open("small", Small.from_dict({"learning_rate": 0.03}), "data") as run:
        assert newer.name in run.differs_from


def test_a_parameter_that_the_code_gained_is_told():
    old = {"identity": {"rate": 1}, "data": "a"}
    other = ("small-1", 0, old)
    told = record.nearest({"identity": {"rate": 1, "blank": False}, "data": "a"}, [other])
    assert told == "differs from small-1 (step 0) in blank (not there) -> False"
    many = record.nearest({"identity": {f"p{n}": n for n in range(9)}, "data": "a"}, [other])
    assert many.endswith("p4 (not there) -> 4, 5 more")


def test_runs_that_only_the_mirror_has_are_compared_with_too(shelf):
    gone, near = train([10, 20], shelf, learning_rate=0.01), train([10, 20], shelf)
    for folder in (gone, near):
        remove(folder)
    with Record.open("small", Small.from_dict({"learning_rate": 0.001}), "data") as run:
        assert run.differs_from == "", "nothing is left here"
        told = inventory.nearest_there(shelf, run)
    assert told == f"differs from {near.name} (step 20) in learning_rate 0.003 -> 0.001"
    (shelf.root / "nbkit-mirror").unlink()
    assert inventory.nearest_there(shelf, run) == "", "a mirror that is away is told of elsewhere"


@pytest.mark.torch
def test_a_training_says_it_when_it_starts(shelf, capsys):
    import toy

    from nbkit.train.loop import fit
    from nbkit.train.store import open_store

    names = []
    for rate in (0.003, 0.001, 0.002):
        config = toy.ToyTrain.from_dict({"stop_at": 4, "save_every": 4, "evaluate_every": 4, "learning_rate": rate})
        with Record.open("toy", config, "data") as run:
            fit(toy.ToyTask(config), config, open_store(run, 3), run)
        names.append(run.name)
        if rate == 0.001:
            shutil.rmtree(workspace.runs())  # the machine is gone, the mirror has both
    told = [line for line in capsys.readouterr().out.splitlines() if "starts at step 0" in line]
    assert "differs from" not in told[0]
    assert f"differs from {names[0]} (step 4) in learning_rate 0.003 -> 0.001 on cpu" in told[1]
    assert f"differs from {names[1]} (step 4) in learning_rate 0.001 -> 0.002 on cpu" in told[2]
