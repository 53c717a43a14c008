"""Drive on a Colab machine: asked for once, told in words, given up at the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fake_colab import FakeColab, run_cells

from nbkit.base import colab, drive, workspace
from nbkit.base.record import Record


@pytest.fixture
def fake(tmp_path, monkeypatch) -> FakeColab:
    """This process is the kernel of a Colab page."""
    one = FakeColab(tmp_path / "colab")
    one.enter(monkeypatch)
    monkeypatch.setattr(colab, "_started_by_a_program", lambda: False)  # whatever runs the tests
    return one


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(drive, "_in_vain", set())
    for name in ("NBKIT_MIRROR", "NBKIT_DRIVE", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)


def names(fake: FakeColab) -> list[str]:
    return [name for name, _ in fake.calls()]


def test_drive_is_mounted_once_and_holds_the_mirror(fake, capsys):
    assert workspace.mirror() is None, "where nobody asked yet"
    folder = drive.mirror_folder()
    assert folder == fake.mount_point / "MyDrive" / "nbkit"
    assert drive.mirror_folder() == workspace.mirror() == folder
    assert names(fake) == ["drive.mount"]
    assert "copies of the checkpoints go to MyDrive/nbkit" in capsys.readouterr().out
    folder.mkdir()
    (folder / "here").write_text("kept")
    assert (fake.cloud / "MyDrive" / "nbkit" / "here").read_text() == "kept"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("declined", "(access was not granted)"),
        ("failed", "(mount failed)"),
        ("unsupported", "(Mounting drive is unsupported in this environment.)"),
    ],
)
def test_without_drive_one_line_says_what_will_be_lost_and_nobody_is_asked_again(fake, capsys, answer, told):
    fake.set(mount=answer)
    assert drive.mirror_folder() is None
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith(
        f"Drive is not mounted {told}: training goes on, but its checkpoints lie on this machine alone"
    )
    fake.set(mount="granted")
    assert drive.mirror_folder() is None
    assert capsys.readouterr().out == ""
    assert names(fake) == ["drive.mount"]
    fake.mount()  # as the line says, in a cell of its own
    assert drive.mirror_folder() == fake.mount_point / "MyDrive" / "nbkit"


def test_a_module_that_is_missing_is_no_error(fake, monkeypatch, capsys):
    monkeypatch.delitem(colab.sys.modules, "google.colab.drive")
    assert drive.mirror_folder() is None
    assert "Drive is not mounted (No module named 'google.colab.drive')" in capsys.readouterr().out


def test_an_interrupted_question_is_asked_again(fake, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as once:
        once.setattr(colab.sys.modules["google.colab"].drive, "mount", interrupted)
        with pytest.raises(KeyboardInterrupt):
            drive.mirror_folder()
    assert drive.mirror_folder() is not None


@pytest.mark.parametrize("setting", ["a folder", "none", "None"])
def test_a_mirror_that_is_named_asks_nobody(fake, tmp_path, monkeypatch, setting):
    monkeypatch.setenv("NBKIT_MIRROR", str(tmp_path / "backup") if setting == "a folder" else setting)
    assert drive.mirror_folder() == (tmp_path / "backup" if setting == "a folder" else None)
    assert names(fake) == []


def test_a_headless_kernel_takes_the_mount_of_the_machine_and_never_asks(fake, monkeypatch, capsys):
    monkeypatch.setenv("NBKIT_HEADLESS", "1")
    assert drive.mirror_folder() is None
    assert "only a Colab page can ask for it" in capsys.readouterr().out
    fake.mount()
    assert drive.mirror_folder() == fake.mount_point / "MyDrive" / "nbkit"
    fake.drop()
    assert drive.mirror_folder() == fake.mount_point / "MyDrive" / "nbkit", "whoever copies tries until it is back"
    assert names(fake) == []


def test_a_mount_that_has_dropped_is_mounted_again(fake, capsys):
    drive.mirror_folder()
    fake.drop()
    with pytest.raises(OSError, match="Transport endpoint is not connected"):
        os.listdir(fake.mount_point)
    assert drive.state() is drive.State.STALE
    assert drive.mirror_folder() == fake.mount_point / "MyDrive" / "nbkit"
    assert drive.state() is drive.State.UP
    assert fake.calls()[-1][1]["force_remount"] is True
    assert f"the mount of Drive at {fake.mount_point} has dropped; mounting it again" in capsys.readouterr().out


def test_a_mount_that_cannot_be_mounted_again_is_told_each_time(fake, capsys):
    drive.mirror_folder()
    fake.drop()
    fake.set(mount="declined")
    for _ in range(2):
        # still the folder: without one training would start anew beside what lies there
        assert drive.mirror_folder() == fake.mount_point / "MyDrive" / "nbkit"
        assert "Drive could not be mounted again (access was not granted)" in capsys.readouterr().out
    fake.come_back()
    assert drive.state() is drive.State.UP


def test_a_plain_folder_in_place_of_the_mount_is_not_taken_for_drive(fake, capsys):
    (fake.mount_point / "MyDrive" / "nbkit").mkdir(parents=True)
    assert drive.mirror_folder() is None
    assert f"({fake.mount_point} is a folder with files of this machine; rename it first)" in capsys.readouterr().out


def test_a_drive_that_is_mounted_elsewhere_is_used(monkeypatch):
    table = "proc /proc proc rw 0 0\ndrive /content/gdrive fuse.drive rw,nosuid 0 0\n"
    monkeypatch.setattr(drive.Path, "read_text", lambda *_, **__: table)
    monkeypatch.setenv("NBKIT_DRIVE", "/elsewhere")
    assert drive.point() == Path("/content/gdrive"), "a second mount would end the first"


def test_without_a_mount_its_place_is_named_or_colabs_own(monkeypatch):
    assert drive.point() == Path("/content/drive")
    monkeypatch.setenv("NBKIT_DRIVE", "/elsewhere")
    assert drive.point() == Path("/elsewhere")


def test_off_colab_there_is_a_mirror_only_where_one_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(colab, "on_vm", lambda: False)
    assert drive.mirror_folder() is None
    monkeypatch.setenv("NBKIT_MIRROR", str(tmp_path))
    assert drive.mirror_folder() == tmp_path
    assert capsys.readouterr().out == ""


def test_at_the_end_drive_is_flushed_and_then_the_machine_given_back(fake, capsys):
    drive.mirror_folder()
    assert colab.give_back(minutes=2)
    assert fake.calls()[1:] == [["drive.flush_and_unmount", {"timeout_ms": 120_000}], ["runtime.unassign", {}]]
    assert drive.state() is drive.State.DOWN
    assert "the machine is given back" in capsys.readouterr().out


def test_a_machine_without_drive_is_given_back_at_once(fake):
    assert colab.give_back()
    assert names(fake) == ["runtime.unassign"]


def test_a_machine_that_holds_what_drive_has_not_got_stays(fake, capsys):
    drive.mirror_folder()
    fake.set(flush="failed")
    assert not colab.give_back()
    assert names(fake) == ["drive.mount", "drive.flush_and_unmount"]
    assert "not given back, since with it would go what Drive has not got" in capsys.readouterr().out


def test_a_machine_that_alone_has_the_newest_checkpoint_stays(fake, tmp_path, capsys):
    """Drive was declined, or dropped before the end: what was trained would go with the machine."""
    run = Record(tmp_path, {}, writer=True)
    run.status("finished", step=100, copied=False)
    assert not colab.give_back(run)
    assert names(fake) == []
    assert "lies here alone" in capsys.readouterr().out
    run.status("finished", copied=True)
    drive.mirror_folder()
    assert colab.give_back(run)
    assert names(fake) == ["drive.mount", "drive.flush_and_unmount", "runtime.unassign"]


def test_a_machine_that_is_not_taken_back_is_told_and_drive_asked_for_anew(fake, capsys):
    drive.mirror_folder()
    fake.set(unassign="failed")
    assert not colab.give_back()
    assert "choose Runtime > Disconnect and delete runtime" in capsys.readouterr().out
    assert drive.mirror_folder() == fake.mount_point / "MyDrive" / "nbkit"


@pytest.mark.parametrize("place", ["headless", "elsewhere"])
def test_only_the_kernel_of_the_page_gives_a_machine_back(fake, monkeypatch, capsys, place):
    fake.mount()
    if place == "headless":
        monkeypatch.setenv("NBKIT_HEADLESS", "1")
    else:
        monkeypatch.delenv("COLAB_RELEASE_TAG")
    assert not drive.flush(1)
    assert not colab.give_back()
    assert names(fake) == []
    assert "only from the kernel of a Colab page" in capsys.readouterr().out


IN_A_KERNEL = [
    "from nbkit.base import drive; folder = drive.mirror_folder(); print(folder)",
    "folder.mkdir(); print((folder / 'one').write_text('kept'))",
    """
import subprocess, sys
look = "from nbkit.base import drive; print(drive.mirror_folder())"
print(subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout, end="")
""",
    """
from pathlib import Path
Path(folder.parents[3], "dropped").touch()
one, two = folder / "one", folder / "two"
for broken in (folder.iterdir, one.read_text, one.unlink, one.stat, two.touch, lambda: two.write_text("")):
    try:
        print(list(broken()))
    except OSError as error:
        print(error.errno)
""",
    "print(drive.mirror_folder()); print((folder / 'one').read_text())",
    "from nbkit.base import colab; print(colab.give_back())",
]


def test_a_kernel_of_the_page_mounts_and_what_it_starts_takes_the_mount(tmp_path, monkeypatch):
    """The whole way in a real kernel, where the mount fails as a mount does."""
    fake = FakeColab(tmp_path / "colab")
    if colab._started_by_a_program():
        pytest.skip("a kernel runs these tests, so that no kernel of theirs is the one of a page")
    monkeypatch.setenv("PYTHONPATH", str(Path(colab.__file__).parents[2]))
    said = run_cells(IN_A_KERNEL, tmp_path, {**os.environ, **fake.environment()})
    folder = str(fake.mount_point / "MyDrive" / "nbkit")
    assert [text.splitlines()[-1] for text in said[:3]] == [folder, "4", folder]
    assert said[3].split() == ["107"] * 6
    assert said[4].splitlines()[-2:] == [folder, "kept"]
    assert said[5].splitlines()[-1] == "True"
    assert names(fake) == ["drive.mount", "drive.mount", "drive.flush_and_unmount", "runtime.unassign"]
    assert (fake.cloud / "MyDrive" / "nbkit" / "one").read_text() == "kept"
