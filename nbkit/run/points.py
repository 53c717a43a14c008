"""One point of a sweep: a notebook run in a process of its own, watched, retried, and its end written down.

    <sweep>/points/<name>.json      what is asked, how often it was tried, how it ended
    <sweep>/points/<name>.outcome   what its process says of itself: its run folder, then how it ended
    <sweep>/points/<name>.log       what the process prints; it goes into the run folder at the end

Whoever starts it, this machine or a worker of a cluster, calls `run`. A process whose starter was killed goes on; `run`
called again finds it and waits for it, so that no point is run twice.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbkit.base.record import Record, read_json, write_json

CANCEL = "cancel"  # a file of this name in the sweep's folder stops its points
LOG = "run.log"
OK, FAILED, STOPPED, RUNNING, WAITING = "ok", "failed", "stopped", "running", "waiting"
_GRACE = 60.0  # seconds that training has to save after SIGTERM
_POLL = 0.2
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal, in a traceback


def path(sweep: Path, name: str) -> Path:
    return sweep / "points" / f"{name}.json"


def read(sweep: Path, name: str) -> dict[str, Any]:
    """What is known of a point: state, attempts, folder, seconds, error, parameters. A damaged file knows nothing."""
    return {"state": WAITING, "attempts": 0, "folder": "", "seconds": 0.0, "error": ""} | _readable(path(sweep, name))


def _readable(file: Path) -> dict[str, Any]:
    """JSON that a machine may have died over: it is empty then, and the point is run again from its checkpoint."""
    with contextlib.suppress(ValueError, OSError):
        found = read_json(file, {})
        return found if isinstance(found, dict) else {}
    return {}


def progress(sweep: Path, name: str) -> tuple[Path | None, int, int]:
    """The run folder of a point that runs, its step, and the last one; None and 0 where that is not known (yet)."""
    folder = _outcome(sweep, name).get("folder")
    if not folder:
        return None, 0, 0
    last = read(sweep, name).get("parameters", {}).get("stop_at", 0)
    return Path(folder), Record(Path(folder), {}).pace()[0], last if isinstance(last, int) else 0


def _outcome(sweep: Path, name: str) -> dict[str, Any]:
    return _readable(path(sweep, name).with_suffix(".outcome"))


def run(
    sweep: str, name: str, *, tries: int = 1, minutes: float = 0.0, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a point to its end, at once or after an interruption. Returns what `read` gives then; raises nothing.

    tries        so many where it fails; one whose parameters are refused is not tried again
    minutes      of each try, after which it is asked to save and stopped; 0 for no limit
    environment  what the process gets beside that of this one
    """
    folder = Path(sweep)
    point = _taken_up(folder, name, minutes)
    tries = tries if point["state"] == WAITING else 0
    while tries and not (folder / CANCEL).exists():
        point = _watch(folder, name, _start(folder, name, point, environment or {}), minutes)
        tries = 0 if point["state"] != FAILED or point["code"] == 2 else tries - 1
    return point


def _taken_up(sweep: Path, name: str, minutes: float) -> dict[str, Any]:
    """A point whose starter is gone, at its end where its process got there; else as it waits to be started."""
    point = read(sweep, name)
    if point["state"] != RUNNING:
        return point
    if is_alive(point):
        return _watch(sweep, name, point, minutes)
    if _outcome(sweep, name).get("state", RUNNING) != RUNNING:
        return _end(sweep, name, point, None, None)
    return point | {"state": WAITING}


def _start(sweep: Path, name: str, point: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    outcome = path(sweep, name).with_suffix(".outcome")
    outcome.unlink(missing_ok=True)
    words = [word for key, value in point["parameters"].items() for word in ("-p", key, _word(value))]
    words += [f"--{key}={text}" for key, text in point.get("said", {}).items() if text]
    command = [sys.executable, "-m", "nbkit.run", "run", point["notebook"], *words]
    told = {"NBKIT_OUTCOME": str(outcome), "NBKIT_SWEEP": sweep.name, "PYTHONUNBUFFERED": "1"}
    with path(sweep, name).with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, **environment, **told},
        )  # fmt: skip
    point |= {
        "state": RUNNING, "attempts": point["attempts"] + 1, "error": "", "code": None, "pid": process.pid,
        "host": socket.gethostname(), "born": _born(process.pid), "started": time.time(),
    }  # fmt: skip
    try:
        write_json(path(sweep, name), point)
    except OSError:  # nobody would know of it
        _signal(process.pid, signal.SIGKILL)
        process.wait()
        raise
    _children[process.pid] = process
    return point


_children: dict[int, subprocess.Popen] = {}  # those of this process, which have to be waited for


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _born(pid: int) -> float | None:
    """When a process started: with its number this tells it from a later one that got the same number."""
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.create_time()
    return None


def is_alive(point: Mapping[str, Any]) -> bool:
    """Whether its process runs on this machine. Nobody can say that of another one, where it counts as gone."""
    here = point["state"] == RUNNING and point.get("host") == socket.gethostname()
    return here and point["born"] is not None and _born(point["pid"]) == point["born"]


def _watch(sweep: Path, name: str, point: dict[str, Any], minutes: float) -> dict[str, Any]:
    """Wait for the end of a running point, and write it down."""
    asked: str | None = None
    asked_at = 0.0
    child = _children.get(point["pid"])
    while child.poll() is None if child else is_alive(point):
        now = time.time()
        if asked is None:
            late = minutes > 0 and now - point["started"] > 60 * minutes
            asked = f"stopped after {minutes:g} minutes" if late else "cancelled" if (sweep / CANCEL).exists() else None
            if asked:
                asked_at = now
                _signal(point["pid"], signal.SIGTERM)
        elif now - asked_at > _GRACE:
            _signal(point["pid"], signal.SIGKILL)
        time.sleep(_POLL)
    _children.pop(point["pid"], None)
    return _end(sweep, name, point, child.returncode if child else None, asked)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number) if number == signal.SIGKILL else os.kill(pid, number)


def _end(sweep: Path, name: str, point: dict[str, Any], code: int | None, asked: str | None) -> dict[str, Any]:
    """What the process said of its end, or what can be told of one that said nothing."""
    log, outcome = (path(sweep, name).with_suffix(ending) for ending in (".log", ".outcome"))
    told = _readable(outcome)
    ended = outcome.stat().st_mtime if told.get("state", RUNNING) != RUNNING else time.time()
    if told.get("state") == OK:
        point |= {"state": OK, "error": "", "code": 0}
    elif asked == "cancelled":
        point |= {"state": STOPPED, "error": asked, "code": code}
    else:
        killed = f"ended by {signal.Signals(-code).name}" if code is not None and code < 0 else ""
        error = asked or told.get("error") or killed or _last_line(log) or "ended without a word"
        point |= {"state": FAILED, "error": error, "code": code}
    point |= {"seconds": round(ended - point["started"], 1), "folder": told.get("folder", "")}
    if point["state"] != STOPPED and Path(point["folder"] or "-").is_dir():
        with contextlib.suppress(OSError):  # it stays where it is
            shutil.move(log, Path(point["folder"]) / LOG)
    write_json(path(sweep, name), point)
    outcome.unlink(missing_ok=True)
    return point


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf8", errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def traceback(sweep: Path, name: str, lines: int = 40) -> str:
    """The last lines that a point printed, wherever its log lies by now."""
    folder = read(sweep, name)["folder"]
    log = Path(folder) / LOG if folder and (Path(folder) / LOG).exists() else path(sweep, name).with_suffix(".log")
    text = log.read_text(encoding="utf8", errors="replace") if log.exists() else ""
    return "\n".join(_COLOUR.sub("", text).splitlines()[-lines:])
