"""The mirror: whatever a Drive does, no run is lost, nothing damaged is loaded, and what was called safe is."""

from __future__ import annotations

import errno
import os
import random
import threading
import time
from pathlib import Path

import pytest
import torch

from nbkit.base.record import Record
from nbkit.train import snapshot
from nbkit.train.mirror import WAITING, Mirror
from nbkit.train.rehearsal import KeepLast, Mirrored, Outcome, Overwrite, mixture, rehearse
from nbkit.train.shelf import Shelf
from nbkit.train.simulated_drive import FAULTS, Server, SimulatedDrive
from nbkit.train.store import CheckpointStore

SCHEDULES = int(os.environ.get("NBKIT_SCHEDULES", "150"))
KEPT = Outcome(lost=False, damaged=False, broken=0, repeated=0)


def checked(policy: str = "auto"):
    """Our strategy with the log of a run, and with a look at what must hold at every moment. For one schedule."""

    class Checked(Mirrored):
        safe_before, gap = 0, False

        def __init__(self, drive, folder, clock):
            super().__init__(drive, folder, clock)
            self.mirror.policy = self.mirror._settled = policy
            self.drive, self.record = drive, Record(folder, {}, writer=True)
            self.server_is_sound = "flipped_there" not in drive.faults  # else what is confirmed may be damaged later

        def newest(self):
            found = super().newest()
            step = found[0] if found else 0
            self.record.rewind(step if found else -1)
            logged = [row["step"] for row in self.record.rows()]
            assert len(set(logged)) == len(logged), "the log has a step twice"
            if any("log.jsonl" in note for note in self.mirror.notes):  # a piece that never arrived is told of
                assert step > Checked.safe_before or not self.server_is_sound, "a confirmed snapshot has its whole log"
                Checked.gap = True
            assert Checked.gap or logged == list(range(1, step + 1)), "the log has a gap that nobody was told of"
            return found

        def save(self, step, weights, metric):
            for new in range(max([0, *(row["step"] for row in self.record.rows())]) + 1, step + 1):
                self.record.log({"step": new, "loss": 1 / new})
            super().save(step, weights, metric)

        def work(self):
            super().work()
            Checked.safe_before = max(Checked.safe_before, self.safe() or 0)
            assert len(self.mirror._waiting) <= WAITING, "the queue grows"
            assert len(self.store.steps()) <= 2 + 1 + WAITING + 1, "the disk fills: kept, best, waiting, being copied"
            assert not self.drive.server.written_twice(), "a name was given to two contents"
            if Checked.safe_before and policy == "auto" and self.server_is_sound:
                assert self.survives(self.drive.server), "between two removals there was nothing whole on the server"

    return Checked


@pytest.mark.parametrize("fault", [*FAULTS, "none"])
def test_each_fault_alone_loses_no_run(fault):
    for seed in range(8):
        found = rehearse(checked(), seed, {k: p for k, p in FAULTS.items() if k == fault})
        assert not found.lost
        assert not found.damaged
        assert found.broken == 0 or fault == "flipped_there", "less was there than was called safe"


def test_random_mixtures_lose_no_run():
    for seed in range(SCHEDULES):
        assert rehearse(checked(), seed)._replace(repeated=0) == KEPT, f"schedule {seed}: {mixture(seed)}"


def test_waiting_for_later_copies_loses_no_run_in_mixtures():
    """Five later copies are no proof, as the mount's word is; with uploads that flow it holds."""
    for seed in range(SCHEDULES // 3):
        assert not rehearse(checked("later"), seed).lost


class ReadBack(Mirrored):
    """Believes what the cache of the mount says."""

    policy = "read-back"


@pytest.mark.parametrize("other", [Overwrite, KeepLast, ReadBack])
def test_what_others_do_loses_runs_in_the_same_schedules(other):
    """So the schedules are bad enough to tell strategies apart."""
    found = [rehearse(other, seed) for seed in range(max(30, SCHEDULES // 5))]
    assert any(one.lost or one.damaged or one.broken for one in found)


def test_a_schedule_is_the_same_each_time():
    assert [rehearse(Mirrored, 3) for _ in range(2)] == [rehearse(Mirrored, 3)] * 2
    with pytest.raises(ValueError, match="got rain"):
        rehearse(Mirrored, 3, {"rain": 1.0})


class Life:
    """A run folder, its store and its mirror on a simulated drive without faults, worked by hand."""

    def __init__(self, folder: Path, server: Server | None = None, **options):
        self.server = server or Server()
        self.drive = SimulatedDrive(self.server, random.Random(0))
        self.now = 0.0
        self.mirror = Mirror(self.drive, "run", folder, clock=lambda: self.now, **options)
        self.store = CheckpointStore(folder / "checkpoints", 2, self.mirror)

    def save(self, *steps: int, metric: float | None = None) -> None:
        for step in steps:
            self.store.save(step, {"w": torch.full((4,), float(step))}, {"step": step}, {}, metric)

    def work(self, pieces: int = 60, send: bool = True) -> None:
        for _ in range(pieces):
            self.now += 1 + self.mirror.work()
            if send:
                self.drive.upload(100)

    def there(self) -> list[int]:
        return [snapshot.step_of(name) or 0 for name in self.manifests()]

    def manifests(self) -> list[str]:
        return [name for name in self.drive.names("runs/run/checkpoints") if name.endswith(".json")]


def test_the_best_and_every_nth_are_kept(tmp_path):
    life = Life(tmp_path, keep=2, every=30)
    for step in range(10, 101, 10):
        life.save(step, metric=abs(step - 40))
        life.work()
    assert life.there() == [30, 40, 60, 90, 100]


def test_only_what_has_left_the_machine_makes_older_ones_go(tmp_path):
    life = Life(tmp_path, keep=2)
    for step in range(10, 61, 10):
        life.save(step)
        life.work(send=False)
    assert life.there() == [10, 20, 30, 40, 50, 60]
    assert life.mirror.state.confirmed is None
    life.work()
    assert life.there() == [50, 60]
    assert life.mirror.state.confirmed == 60
    assert not [name for name in life.server.files if "000000010" in name]


def test_the_queue_is_bounded_and_keeps_newest_and_best(tmp_path):
    life = Life(tmp_path)
    life.save(10, metric=0.1)
    life.save(20, 30, 40, 50, metric=0.5)
    assert life.mirror.pinned() == {10, 50}
    assert sorted(life.store.steps()) == [10, 40, 50]
    life.work()
    assert life.there() == [10, 50]
    assert str(life.mirror.state) == "mirror: safe up to step 50"


def test_a_file_that_changes_here_while_it_is_copied_is_not_called_a_copy(tmp_path):
    life = Life(tmp_path)
    life.save(10, 20)
    weights = tmp_path / "checkpoints" / "step-000000020" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    life.work()
    assert life.there() == [10]
    assert "weights.safetensors has changed on the disk of this machine" in " ".join(life.mirror.notes)


def test_a_picture_that_is_being_drawn_does_not_cost_a_checkpoint(tmp_path, monkeypatch):
    life = Life(tmp_path)
    picture = tmp_path / "views" / "alignment-000000010.png"
    picture.parent.mkdir()
    picture.write_bytes(b"half")
    real = life.mirror._measured

    def measured(path):  # it is finished after it was measured
        found = real(path)
        path.write_bytes(b"half, and the rest")
        return found

    monkeypatch.setattr(life.mirror, "_measured", measured)
    life.save(10)
    life.work()
    assert life.there() == [10]
    assert not life.mirror.notes
    monkeypatch.undo()
    life.save(20)
    life.work()
    newest = snapshot.read(life.drive, "run", life.manifests()[-1])
    assert life.drive.get(newest.files["views/alignment-000000010.png"].name)[0] == b"half, and the rest"


def test_a_copy_that_somebody_removed_is_not_waited_for(tmp_path):
    """The policy "sent" asks about every file; one that is gone must not keep later snapshots from counting."""
    shelf = SentShelf(tmp_path / "drive")
    shelf.open()
    mirror = Mirror(shelf, "run", tmp_path / "run", clock=lambda: 0.0)
    store = CheckpointStore(tmp_path / "run" / "checkpoints", 2, mirror)
    store.save(10, {"w": torch.zeros(4)}, {}, {})
    for _ in range(30):
        mirror.work()
    assert mirror.state.copied == (10,)
    for gone in (shelf.root / "runs" / "run" / "blobs").iterdir():
        gone.unlink()
    shelf.all_sent = True
    store.save(20, {"w": torch.ones(4)}, {}, {})
    for _ in range(30):
        mirror.work()
    assert mirror.state.confirmed == 20
    assert mirror.state.copied == ()
    assert "step 10" in " ".join(mirror.notes)


class SentShelf(Shelf):
    """A folder that tells what has left the machine, as Drive does."""

    all_sent = False

    def sent(self, name):
        os.stat(self.root / name)
        return self.all_sent


def test_a_clock_that_is_put_back_does_not_stop_the_mirror(tmp_path):
    life = Life(tmp_path)
    life.now = 1e9
    life.drive.faults = {"eio": 1.0}
    life.save(10)
    life.work(5)
    life.drive.faults, life.now = {}, 1e6
    life.work()
    assert life.mirror.state.confirmed == 10


def test_a_full_quota_is_told_and_waited_for(tmp_path):
    life = Life(tmp_path)
    life.drive.faults = {"full": 1.0}
    life.save(10)
    life.work(15)
    assert life.mirror.state.waiting == (10,)
    assert "the quota of the mirror is full; empty its trash" in str(life.mirror.state)
    assert [note for note in life.mirror.notes if "training goes on" in note]
    told = len(life.mirror.notes)
    life.work(20)
    assert len(life.mirror.notes) == told, "the same trouble is told once"
    life.drive.faults = {}
    life.work()
    assert life.mirror.state.confirmed == 10
    assert life.mirror.notes[-1] == "mirror: it works again"


def test_two_sessions_confirm_one_checkpoint(tmp_path):
    """The first session dies before its copy has left; the second, on the same machine, finds the copy and confirms."""
    first = Life(tmp_path)
    first.save(10)
    first.work(send=False)
    assert first.mirror.state.confirmed is None
    second = Life(tmp_path, first.server)
    second.drive = second.mirror.shelf = first.drive
    assert second.store.newest(clean=True)
    second.mirror.begin(10)
    second.mirror.offer(10, None)
    puts = dict(first.drive.cache)
    second.work(send=False)
    assert dict(first.drive.cache) == puts, "what lies there whole is not sent again"
    second.work()
    assert second.mirror.state.confirmed == 10
    assert len(second.manifests()) == 1


class HangingShelf(Shelf):
    """A mount that does not answer any more."""

    def __init__(self, root):
        super().__init__(root)
        self.release = threading.Event()

    def check(self):
        self.release.wait(30)
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")


def test_leaving_does_not_wait_for_a_mount_that_hangs(tmp_path):
    shelf = HangingShelf(tmp_path / "drive")
    mirror = Mirror(shelf, "run", tmp_path / "run")
    store = CheckpointStore(tmp_path / "run" / "checkpoints", 2, mirror)
    mirror.start()
    began = time.monotonic()
    store.save(10, {"w": torch.zeros(4)}, {}, {})
    assert time.monotonic() - began < 2, "saving waited for the mount"
    state = mirror.close(0.3)
    assert time.monotonic() - began < 4
    assert state.waiting == (10,)
    shelf.release.set()
