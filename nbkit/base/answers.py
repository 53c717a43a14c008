"""What people answered: one JSON line an answer, on the disk as soon as it is given.

Nothing is written over. An answer that is taken back stays in the file, and a line after it says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

FOLDER = "listening"  # of a run; a file a listener


def append(path: Path, row: dict[str, Any]) -> None:
    """Add the answer to question `row["question"]`, and return when it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")  # else a process died within its last line
    with open(path, "a", encoding="utf8") as stream:
        stream.write(("" if whole else "\n") + json.dumps(row, ensure_ascii=True) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def take_back(path: Path, question: int, **about: Any) -> None:
    """Let the answer to a question stand no more."""
    append(path, {"question": question, "taken_back": True, **about})


def standing(path: Path) -> dict[int, dict[str, Any]]:
    """The answers that stand, by the number of their question and in the order in which they were given.

    A question that was answered twice has its later answer. A last line that was left half written counts as not there.
    raises  ValueError for another line that is no answer
    """
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    found: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line) if line.strip() else None
            question = None if row is None else int(row["question"])
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            if line.startswith(b'{"') and not line.endswith(b"}"):
                continue  # cut where a process died
            raise ValueError(
                f"wanted an answer in line {number} of {path}, got {line[:60]!r} ({error}); take the line out"
            ) from None
        if question is not None and row is not None:
            found.pop(question, None)
            if not row.get("taken_back"):
                found[question] = row
    return found


def copy(path: Path, folder: Path) -> None:
    """Copy a file of answers into a folder that outlives the machine, under a name that holds the hash of its content.

    Nothing there is written over: a mounted Drive may send an older state after a newer one. raises OSError as it does
    """
    if not path.exists() or not (content := path.read_bytes()):
        return
    copied = folder / f"{path.stem}-{hashlib.sha256(content).hexdigest()[:12]}{path.suffix}"
    if not copied.exists():
        folder.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(content)


def bring_back(path: Path, folder: Path) -> bool:
    """Take the longest whole copy from such a folder where this machine has no answers yet; whether there was one."""
    if path.exists() or not folder.is_dir():
        return False
    whole = []
    for found in folder.glob(f"*{path.suffix}"):
        name, _, digest = found.stem.rpartition("-")
        if name == path.stem and hashlib.sha256(found.read_bytes()).hexdigest()[:12] == digest:
            whole.append(found)
    if not whole:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(max(whole, key=lambda found: found.stat().st_size), path)
    return True
