"""The run folder: what was asked, where it ran, what came out. Written by training, read by views and by `run`.

    outputs/runs/<task>-<hash8>/
        config.json        the declared parameters, all of them, and the fingerprint of the data
        environment.json   one entry a session: versions, device, git commit, hash of every module of nbkit
        log.jsonl          one line a step
        status.json        state, step, message
        checkpoints/ views/ audio/ exports/

The name is a hash of everything that changes the result (Params.identity and the data), so the same parameters find
the same folder and go on in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nbkit.base import environment, workspace

_TAIL = 16_384  # bytes of a log that tell how fast it grows
LOG, STATUS, CONFIG, ENVIRONMENT = "log.jsonl", "status.json", "config.json", "environment.json"


class RunBusyError(RuntimeError):
    """Another process writes into this run folder."""


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf8")
    os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of one."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=False) + "\n")


def read_json(path: Path, default: Any = None) -> Any:
    """The JSON in `path`, or `default` where there is no such file."""
    return json.loads(path.read_text(encoding="utf8")) if path.exists() else default


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, empty where there is none that can be read: for what can be made again."""
    try:
        found = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def run_hash(task: str, identity: dict[str, object], data_fingerprint: str) -> str:
    """Eight hexadecimal digits for what decides the result of a run."""
    text = json.dumps([task, identity, data_fingerprint], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def is_writer() -> bool:
    """Whether this process writes the record: only the first one that torchrun or accelerate started."""
    return int(os.environ.get("RANK", "0")) == 0


@dataclasses.dataclass
class Record:
    """An open run folder. Only the first process writes; in the others the writing methods do nothing."""

    folder: Path
    config: dict[str, Any]
    writer: bool = False
    changed_code: tuple[str, ...] = ()
    differs_from: str = ""  # of a new folder: the run here that has most in common with it, and what has changed
    _lock: Any = None

    @classmethod
    def open(cls, task: str, config, data_fingerprint: str, *, repeat: int = 0) -> Record:
        """Open the folder that belongs to these parameters, and make it where it does not exist yet.

        config            a Params; its identity() and `data_fingerprint` decide the folder
        repeat            0 the run of these parameters, n > 0 the n-th repetition of it, in a folder of its own
        raises RunBusyError while another process writes there
        """
        name = f"{task}-{run_hash(task, config.identity(), data_fingerprint)}" + (f"-{repeat}" if repeat else "")
        folder = workspace.runs() / name
        content = {
            "task": task,
            "parameters": config.as_dict(),
            **in_short(config),
            "identity": config.identity(),
            "data": data_fingerprint,
            "repeat": repeat,
        }
        record = cls(folder, content)
        if is_writer():
            record._start_writing()
        return record

    @classmethod
    def read(cls, folder: str | os.PathLike) -> Record:
        """Open a run folder for reading."""
        folder = Path(folder)
        config = read_json(folder / CONFIG)
        if config is None:
            raise FileNotFoundError(f"expected a run folder with {CONFIG}, got {folder}; `nbkit runs` lists the runs")
        if not isinstance(config, dict):
            raise ValueError(f"expected names and values in {folder / CONFIG}, got {str(config)[:40]!r}; it is damaged")
        return cls(folder, config)

    def _start_writing(self) -> None:
        for part in ("checkpoints", "views", "audio"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self._lock = _acquire(self.folder)
        self.writer = True
        if not (self.folder / CONFIG).exists():
            others = runs(self.config["task"])
            self.differs_from = nearest(self.config, [(o.name, o.status().get("step", 0), o.config) for o in others])
        pointer = os.environ.get("NBKIT_RUN_POINTER")
        if pointer:
            Path(pointer).write_text(str(self.folder), encoding="utf8")
        sessions = read_json(self.folder / ENVIRONMENT, [])
        code = environment.code_fingerprint()
        before = sessions[-1]["code"] if sessions else code
        self.changed_code = tuple(sorted(f for f in code.keys() | before.keys() if code.get(f) != before.get(f)))
        sessions.append({"started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **environment.describe(), "code": code})
        write_json(self.folder / ENVIRONMENT, sessions)
        write_json(self.folder / CONFIG, self.config)

    def recall(self, earlier: list[dict[str, Any]]) -> None:
        """Sessions of this run on a machine that is gone: they come before those that are known here."""
        if not self.writer:
            return
        sessions = read_json(self.folder / ENVIRONMENT, [])
        missing = [session for session in earlier if session not in sessions]
        if missing:
            before, now = missing[-1]["code"], sessions[-1]["code"]
            self.changed_code = tuple(sorted(f for f in now.keys() | before.keys() if now.get(f) != before.get(f)))
            write_json(self.folder / ENVIRONMENT, missing + sessions)

    def note_session(self, **values: Any) -> None:
        """Add to what environment.json says of this session: device, precision, kernels."""
        if self.writer:
            sessions = read_json(self.folder / ENVIRONMENT)
            sessions[-1] |= values
            write_json(self.folder / ENVIRONMENT, sessions)

    def close(self) -> None:
        """Let others write into the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self.writer = False

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The name of the run, which is the name of its folder."""
        return self.folder.name

    def log(self, row: dict[str, Any]) -> None:
        """Append one line to the log. A number that is not finite is written as a string, to keep the file JSON."""
        if not self.writer:
            return
        row = {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        with open(self.folder / LOG, "a", encoding="utf8") as stream:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")

    def rows(self, split: str | None = None) -> list[dict[str, Any]]:
        """The lines of the log; a last line that a dying process left half written is not one of them."""
        path = self.folder / LOG
        if not path.exists():
            return []
        rows = list(_parsed(path.read_text(encoding="utf8", errors="replace").split("\n")))
        return rows if split is None else [row for row in rows if row.get("split") == split]

    def pace(self) -> tuple[int, float]:
        """The newest step of training, and seconds a step over the last lines of the log; 0 where nothing is known."""
        path = self.folder / LOG
        if not path.exists():
            return 0, 0.0
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL))
            lines = stream.read().decode("utf8", errors="replace").split("\n")
        steps = [row for row in _parsed(lines) if isinstance(row, dict) and row.get("split", "train") == "train"]
        seconds = [row["seconds"] for row in steps if isinstance(row.get("seconds"), int | float)]
        return max((row.get("step", 0) for row in steps), default=0), sum(seconds) / max(len(seconds), 1)

    def rewind(self, step: int) -> None:
        """Forget the lines after `step`: the steps between the checkpoint and the cut are about to be done again.

        -1 forgets all of them, also what was measured before the first step
        """
        if not self.writer:
            return
        kept = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in self.rows() if r.get("step", 0) <= step)
        write_text(self.folder / LOG, kept)

    def status(self, state: str | None = None, **values: Any) -> dict[str, Any]:
        """The content of status.json, after setting its state and values where they are given."""
        path = self.folder / STATUS
        content = read_json(path, {"state": "new", "step": 0})
        if not isinstance(content, dict):
            raise ValueError(f"expected names and values in {path}, got {str(content)[:40]!r}; it is damaged")
        if self.writer and (state or values):
            content |= ({"state": state} if state else {}) | values | {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
            write_json(path, content)
        return content

    def state(self) -> str:
        """That of status.json, but "running" while a process of this machine writes here, "cut off" where one died."""
        if is_busy(self.folder):
            return "running"
        state = str(self.status()["state"])
        return "cut off" if state == "running" else state

    def place(self, part: str, file: str, caption: str = "", **about: Any) -> Path:
        """The path of a new file in views/ or audio/, with a JSON file beside it that says what it shows."""
        path = self.folder / part / file
        if self.writer:
            path.parent.mkdir(exist_ok=True)
            write_json(path.with_suffix(".json"), {"caption": caption, **about})
        return path


def _parsed(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def _acquire(folder: Path):
    """One writer a folder. The lock lies on the local disk: those of a mounted Drive cannot be trusted."""
    from filelock import FileLock, Timeout

    path = _lock_file(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0.3)  # is_busy takes it for a moment
    try:
        lock.acquire()
    except Timeout:
        raise RunBusyError(
            f"expected to be the only writer of {folder.name}, but another process (or an earlier cell) writes there; "
            "wait for it, stop it, or close its record; repeat=1 opens a second folder for the same parameters"
        ) from None
    return lock


def _lock_file(folder: Path) -> Path:
    return workspace.cache() / "locks" / (hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16] + ".lock")


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the only writer of a run folder, which need not exist yet; raises RunBusyError."""
    lock = _acquire(folder)
    try:
        yield
    finally:
        lock.release()


def is_busy(folder: Path) -> bool:
    """Whether a process of this machine writes into a run folder just now."""
    if not _lock_file(folder).exists():
        return False
    try:
        with held(folder):
            return False
    except RunBusyError:
        return True


def in_short(config) -> dict[str, Any]:
    """The preset (or "", the defaults) that the parameters are nearest to, and those that differ from it."""
    values, plain = config.as_dict(), {field.name: field.default for field in config.fields()}
    short = {}
    for name, preset in {"": {}, **config.PRESETS}.items():
        base = plain | dict(preset)
        short[name] = {key: value for key, value in values.items() if value != base[key]}
    name = min(short, key=lambda preset: len(short[preset]))
    return {"preset": name, "changed": short[name]}


def nearest(config: dict[str, Any], others: list[tuple[str, int, dict[str, Any]]]) -> str:
    """Which other run has most in common with one, and what has changed since, in words; "" where there is none.

    "differs from glow_tts-cd34 (step 500) in learning_rate 0.003 -> 0.001"
    others   name, step and config, the newest first: of several that are equally near, the newest is told
    """
    found = [(told, name, step) for name, step, other in others if (told := _differences(other, config))]
    if not found:
        return ""
    told, name, step = min(found, key=lambda one: len(one[0]))
    count = len(told)
    if count > 6:
        told = [*told[:5], f"{count - 5} more"]
    return f"differs from {name} (step {step:,}) in {', '.join(told)}"


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What changes the result and is not the same in two config.json, in words."""

    def told(value: Any) -> str:
        return "(not there)" if value is None else str(value) or '""'

    before, after = ({**c.get("identity", {}), "repeat": c.get("repeat", 0)} for c in (old, new))
    names = [name for name in {**after, **before} if before.get(name) != after.get(name)]
    found = [f"{name} {told(before.get(name))} -> {told(after.get(name))}" for name in names]
    return [*found, "its data"] if old.get("data") != new.get("data") else found


def runs(task: str | None = None) -> list[Record]:
    """The run folders below outputs/runs, the one that was written to last first; without those that are damaged."""
    found = [path.parent for path in workspace.runs().glob(f"*/{CONFIG}")]
    found.sort(
        key=lambda folder: (folder / STATUS if (folder / STATUS).exists() else folder).stat().st_mtime, reverse=True
    )
    records = []
    for folder in found:
        with contextlib.suppress(ValueError, OSError):
            records.append(Record.read(folder))
    return [record for record in records if task is None or record.config.get("task") == task]


def export_name(task: str, **fields: object) -> str:
    """A readable file name without its ending.

    export_name("glow_tts", n_blocks=12, lr=1e-3) is "glow_tts.n_blocks-12.lr-0.001".
    Values may hold dots and hyphens (1e-3, 0.412) but nothing that reads as a further field (a dot, a name, a hyphen).
    """
    for name, value in {"task": task, **fields}.items():
        if re.search(r"[/\s]|\.[A-Za-z_][A-Za-z0-9_]*-", str(value)) or not re.fullmatch(
            r"[A-Za-z_][A-Za-z0-9_]*", name
        ):
            raise ValueError(f"{name} {value!r} cannot stand in a file name; use letters, digits, '_', '.' and '-'")
    return ".".join([task, *(f"{name}-{value}" for name, value in fields.items())])


def parse_export_name(name: str) -> tuple[str, dict[str, str]]:
    """The task and the fields of a name made by export_name: a field starts at a dot, a name and a hyphen."""
    stem = re.sub(r"\.(safetensors|onnx|pt)$", "", Path(name).name)
    task, *rest = re.split(r"\.(?=[A-Za-z_][A-Za-z0-9_]*-)", stem)
    return task, dict(field.split("-", 1) for field in rest)
