"""Notebooks that run beside this kernel: they outlive it, are found again, and save when they are stopped.

outputs/background/<notebook>-<hash8>/
    job.json       what runs: notebook, parameters, process, start
    log.txt        what `nbkit run` prints
    outcome.json   how it ended, written by `nbkit run`
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.base import record, workspace
from nbkit.base.amounts import duration
from nbkit.base.params import Params, Value

JOB, PRINTED, OUTCOME = "job.json", "log.txt", "outcome.json"
_TAIL_BYTES = 8000  # of a log that is read for its last lines
_RUN = (sys.executable, "-m", "nbkit.run", "run")
_children: dict[int, subprocess.Popen] = {}  # started by this process, which has to reap them


def words(config: Params) -> list[str]:
    """The arguments of `nbkit run NOTEBOOK` that give these parameters: the nearest preset and what differs."""
    short = record.in_short(config)
    found = ["--preset", short["preset"]] if short["preset"] else []
    for name, value in short["changed"].items():
        found += ["-p", name, _word(value)]
    return found


def command(notebook: str, config: Params) -> str:
    """The line of a shell that runs a notebook with these parameters."""
    return shlex.join(["nbkit", "run", notebook, *words(config)])


def _word(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass
class Job:
    """A notebook that runs, or ran, in the background."""

    folder: Path
    about: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        return self.folder.name

    def alive(self) -> bool:
        """Whether its process is there. A child of this kernel that has ended is reaped here."""
        import psutil

        process = self.about["process"]
        if process in _children and _children[process].poll() is not None:
            del _children[process]
        try:
            found = psutil.Process(process)
            # another process may have got the number since
            return abs(found.create_time() - self.about["created"]) < 1 and found.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def outcome(self) -> dict[str, Any]:
        """What `nbkit run` said at its end; {} where it has not yet, or could not."""
        return record.read_object(self.folder / OUTCOME)

    def run_folder(self) -> Path | None:
        """The run folder, as soon as the notebook has opened it."""
        if told := self.outcome().get("folder"):
            return Path(told)
        if "run" not in self.about:
            # `nbkit run` names the file after itself and removes it at its end
            for pointer in (workspace.runs() / ".running").glob(f"*-{self.about['process']}.pointer"):
                with contextlib.suppress(OSError):
                    if told := pointer.read_text(encoding="utf8"):
                        self._note("run", told)
        return Path(self.about["run"]) if "run" in self.about else None

    def _note(self, name: str, value: Any) -> None:
        known = record.read_object(self.folder / JOB)
        if known.get("process") == self.about["process"]:  # another look at this run may have noted something too
            self.about |= known
        self.about[name] = value
        record.write_json(self.folder / JOB, self.about)

    def progress(self) -> tuple[int, int]:
        """The step that is done and the one at which it ends; (0, 0) while that is not known."""
        folder, last = self.run_folder(), self.about["parameters"].get("stop_at", 0)
        if not folder or not last:
            return 0, 0
        return int(record.read_object(folder / record.STATUS).get("step", 0)), int(last)

    def tail(self, count: int) -> list[str]:
        """The last lines that it printed, without colours."""
        path = self.folder / PRINTED
        if not path.exists():
            return []
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = stream.read().decode("utf8", "replace")
        text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
        return [line.rpartition("\r")[2].rstrip() for line in text.split("\n") if line.strip()][-count:]

    def told(self) -> str:
        """How it is going, or how it ended, in words."""
        if self.alive():
            since = duration(time.time() - self.about["created"])
            return f"is saving and ends, after {since}" if self.about.get("cancelled") else f"running for {since}"
        outcome = self.outcome()
        if not outcome:
            return "ended without a word: killed, or out of memory"
        after = duration(outcome["seconds"])
        where = f" in In [{outcome['cell']}]" if outcome.get("cell") else ""
        return {
            "ok": f"done after {after}",
            "stopped": f"stopped after {after}; the same parameters go on from its last checkpoint",
        }.get(outcome["state"], f"{outcome['state']}{where} after {after}: {outcome['error']}")

    def cancel(self) -> None:
        """Ask it to save and to end; asked once more, its kernel is ended at once."""
        if self.alive():
            self._note("cancelled", True)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.about["process"], signal.SIGTERM)


def start(notebook: str, config: Params) -> Job:
    """Run a notebook beside this kernel; the one that runs already where these parameters are at work.

    Two runs of the same identity would write into one folder, so there is only one.
    notebook  a name in notebooks/, or a path
    """
    import psutil

    stem, identity = Path(notebook).stem, {**config.identity(), "repeat": getattr(config, "repeat", 0)}
    folder = _folder() / f"{stem}-{record.run_hash(stem, identity, '')}"
    folder.mkdir(parents=True, exist_ok=True)
    with record.held(folder):  # of two that start it at once, the second is told
        known = _job(folder)
        if known is not None and known.alive():
            return known
        (folder / OUTCOME).unlink(missing_ok=True)
        home = str(Path(__file__).resolve().parents[2])
        path = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **{name: value for name, value in os.environ.items() if name != "NBKIT_RUN_POINTER"},
            "NBKIT_OUTCOME": str(folder / OUTCOME),
            "NBKIT_OUTPUTS": str(workspace.outputs()),
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONUNBUFFERED": "1",
        }
        with (folder / PRINTED).open("wb") as log:
            child = subprocess.Popen(
                [*_RUN, notebook, *words(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                start_new_session=True,  # it outlives this kernel
            )  # fmt: skip
        _children[child.pid] = child
        about = {
            "notebook": notebook,
            "parameters": config.as_dict(),
            "changed": record.in_short(config),
            "process": child.pid,
            "created": psutil.Process(child.pid).create_time(),
            "started": time.time(),
        }
        record.write_json(folder / JOB, about)
        return Job(folder, about)


def jobs(notebook: str) -> list[Job]:
    """What runs and ran of a notebook, also what another kernel has started; the newest first."""
    found = [_job(folder) for folder in _folder().glob(f"{Path(notebook).stem}-????????")]
    return sorted((job for job in found if job is not None), key=lambda job: -job.about["started"])


def _folder() -> Path:
    return workspace.outputs() / "background"


def _job(folder: Path) -> Job | None:
    about = record.read_object(folder / JOB)
    return Job(folder, about) if {"notebook", "parameters", "process", "created", "started"} <= about.keys() else None
