"""The sha256 of many files, remembered by size and time of change, so that asking again costs a look at the folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nbkit.base import workspace
from nbkit.base.record import read_object, write_json
from nbkit.data.disk import hash_of
from nbkit.data.meter import Meter


def hashes(folder: Path, files: Iterable[Path]) -> dict[Path, str]:
    """The sha256 of the content of each file.

    folder  under whose name the answers are remembered in the cache
    raises  FileNotFoundError
    """
    memory = _memory(folder)
    known, answer, new = read_object(memory), {}, {}
    for path in files:
        found = path.stat()
        entry = known.get(str(path))
        if entry and entry[:2] == [found.st_size, found.st_mtime_ns]:
            answer[path] = entry[2]
        else:
            new[path] = found
    if new:
        total = sum(found.st_size for found in new.values())
        with Meter("hashing recordings", total) as meter, ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for path, sha256 in zip(new, pool.map(hash_of, new)):
                answer[path] = sha256
                meter.add(new[path].st_size)
        _remember(memory, known, {path: (found, answer[path]) for path, found in new.items()})
    return answer


def remember(folder: Path, hashes_by_name: dict[str, str]) -> None:
    """Keep hashes that were computed while the files were written, by their names in `folder`."""
    files = {folder / name: sha256 for name, sha256 in hashes_by_name.items()}
    _remember(_memory(folder), {}, {path: (path.stat(), sha256) for path, sha256 in files.items()})


def _remember(memory: Path, known: dict, new: dict[Path, tuple[os.stat_result, str]]) -> None:
    for path, (found, sha256) in new.items():
        known[str(path)] = [found.st_size, found.st_mtime_ns, sha256]
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_json(memory, known)


def _memory(folder: Path) -> Path:
    return workspace.cache() / "hashes" / (hashlib.sha256(str(folder).encode()).hexdigest()[:16] + ".json")
