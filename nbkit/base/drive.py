"""Google Drive on a Colab machine: mounted once, in the kernel of the page, and given up gracefully.

What google.colab does, with the numbers of googlecolab/colabtools: it asks the person through the page and waits two
minutes; a no arrives as MessageError "credential propagation was unsuccessful" (5531); a mount can drop for hours with
errno 107 (3441, 5951); a second mount elsewhere ends the first; after `flush_and_unmount` a further mount may fail
(4773).
"""

from __future__ import annotations

import importlib
import os
from enum import StrEnum
from pathlib import Path

from nbkit.base import colab

FOLDER = "nbkit"  # in MyDrive
_in_vain: set[Path] = set()  # mount points that this kernel has asked for without success


class State(StrEnum):
    """What the mount of Drive is like."""

    UP = "up"
    STALE = "stale"  # it is there and answers with an error
    DOWN = "down"


def point() -> Path:
    """Where Drive is mounted on a Colab machine, or would be: where it is already, else NBKIT_DRIVE, /content/drive."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    found = [line.split()[1] for line in lines if line.split()[2] == "fuse.drive"]
    return Path(found[0] if found else os.environ.get("NBKIT_DRIVE") or "/content/drive")


def state() -> State:
    """What the mount is like now. A folder MyDrive that somebody made where no mount is does not count."""
    try:
        names = os.listdir(point())
    except (FileNotFoundError, NotADirectoryError):
        return State.DOWN
    except OSError:
        return State.STALE
    return State.UP if "MyDrive" in names and os.path.ismount(point()) else State.DOWN


def folder() -> Path | None:
    """Our folder in a mounted Drive, also while the mount does not answer; None where Drive is not mounted."""
    return None if state() is State.DOWN else point() / "MyDrive" / FOLDER


def mirror_folder() -> Path | None:
    """The folder of the mirror, as workspace.mirror() gives it, after mounting Drive where that can be done.

    On a Colab page that NBKIT_MIRROR says nothing about, the person is asked for Drive, at most once a kernel. A mount
    that has dropped is mounted again, which is tried once a call. Never raises; where there is no Drive, one line says
    what will be lost.
    """
    from nbkit.base import workspace  # which asks this module where Drive is

    if colab.on_vm() and not os.environ.get("NBKIT_MIRROR"):
        before = state()
        if before is State.DOWN and point() not in _in_vain:
            _ask()
        elif before is State.STALE and colab.where() is colab.Place.COLAB:
            _mount_again()
    return workspace.mirror()


def _ask() -> None:
    """Mount Drive, or say what is lost without it."""
    if colab.where() is colab.Place.COLAB:
        print(f"Colab asks for your Drive: copies of the checkpoints go to MyDrive/{FOLDER} and outlive this machine")
        reason = _mount(again=False)
        by_hand = f"`from google.colab import drive; drive.mount('{point()}')` in a cell of its own"
    else:
        reason, by_hand = "only a Colab page can ask for it", "mount it in the notebook that started this one"
    if reason:
        _in_vain.add(point())
        print(
            f"Drive is not mounted ({reason}): training goes on, but its checkpoints lie on this machine alone and go "
            f"with it, and what an earlier machine left in Drive is not seen; to change that, {by_hand}, and run again"
        )


def _mount_again() -> None:
    print(f"the mount of Drive at {point()} has dropped; mounting it again")
    if reason := _mount(again=True):
        print(f"Drive could not be mounted again ({reason}); restart the runtime if that stays so")


def _mount(*, again: bool) -> str:
    """Mount Drive. Returns why it could not be mounted, in a few words, or nothing."""
    try:
        importlib.import_module("google.colab.drive").mount(str(point()), force_remount=again)
    except Exception as error:  # MessageError and others of google.colab, of pexpect, ValueError, KeyError
        text = " ".join(str(error).split())[:200]
        if "credential propagation" in text:
            return "access was not granted"
        if "already contain files" in text:
            return f"{point()} is a folder with files of this machine; rename it first"
        return text or type(error).__name__
    return "" if state() is State.UP else "Colab says that it is, but it cannot be read"


def flush(minutes: float) -> bool:
    """Send what the mount still holds and unmount Drive. Returns whether nothing is left to be sent.

    Only for the end, and only in the kernel of the page: mounting Drive once more on this machine may fail.
    """
    if colab.where() is not colab.Place.COLAB:
        return False
    if state() is State.DOWN:
        return True
    print(f"sending to Drive what it has not got yet, for at most {minutes:g} minutes")
    try:
        importlib.import_module("google.colab.drive").flush_and_unmount(timeout_ms=round(minutes * 60_000))
    except Exception as error:  # ValueError where it failed or took too long, KeyError, NotImplementedError
        print(f"Drive could not be sent everything ({type(error).__name__}: {error})")
        return False
    print("Drive is flushed and unmounted")
    return True
