"""Trainings that are killed at random moments, on machines that are lost now and then. Run as a program:

    python cuts.py FOLDER SEED CUTS

Imports once, then forks a child for each session, so that a cut costs tenths of a second. Prints one JSON line for each
session, and one for the run that nobody cut.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import hostile
import torch
import toy

from nbkit.base.record import Record
from nbkit.train import mirror as mirror_module
from nbkit.train import shelf as shelf_module
from nbkit.train import store as store_module
from nbkit.train.loop import fit
from nbkit.train.mirror import Mirror
from nbkit.train.store import CheckpointStore

STEPS, EVERY = 60, 3
# every place at which something on a disk changes, in training, in the writer, in the upload, in retention
EVENTS = [
    (os, "fsync"),
    (os, "replace"),
    (os, "truncate"),
    (shutil, "rmtree"),
    (shelf_module.Shelf, "put"),
    (shelf_module.Shelf, "drop"),
    (shelf_module.Shelf, "names"),
    (mirror_module.Mirror, "_retain"),
    (store_module.CheckpointStore, "_forget"),
    (Record, "log"),
]


def train(folder: Path, shelf: hostile.LateFolder | None, told=None) -> tuple[list, str]:
    """One session. Returns step and loss of each line of the log, and a hash of the weights it ended with."""
    os.environ["NBKIT_OUTPUTS"], os.environ["NBKIT_CACHE"] = str(folder / "disk"), str(folder / "disk" / "cache")
    config = toy.ToyTrain.from_dict({"batch_size": 12, "save_every": EVERY, "evaluate_every": 10, "stop_at": STEPS})
    with Record.open("toy", config, "data") as run:
        mirror = Mirror(shelf, run.name, run.folder, keep=2) if shelf else None
        store = CheckpointStore(run.folder / "checkpoints", 2, mirror)
        if told:
            watch(mirror, store, told)
        result = fit(toy.ToyTask(config), config, store, run)
        digest = hashlib.sha256()
        for tensor in result.modules["net"].state_dict().values():
            digest.update(tensor.numpy().tobytes())
        rows = [[row["step"], row["loss"]] for row in run.rows("train")]
        return rows, digest.hexdigest()


def watch(mirror: Mirror, store: CheckpointStore, told) -> None:
    """Tell the parent where it goes on, and each time that a step is called safe, before anything is removed."""
    follow, confirm = store.follow, mirror._confirm

    def following(step: int) -> None:
        told({"began": step, "verdicts": [row.verdict for row in store.table]})
        lost = [note for note in mirror.notes if "left out" in note and "log.jsonl" in note]
        told({"gap": lost or None})
        follow(step)

    def confirming() -> bool:
        found = confirm()
        told({"safe": mirror.state.confirmed})
        return found

    store.follow, mirror._confirm = following, confirming


def kill_at(number: int) -> None:
    """Die at the n-th event, before or after it happens."""
    left = [number]
    lock = threading.Lock()

    def counted(function):
        def wrapped(*args, **kwargs):
            with lock:
                left[0] -= 1
                now = left[0]
            if now == 0 and number % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            found = function(*args, **kwargs)
            if now == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        return wrapped

    for owner, name in EVENTS:
        setattr(owner, name, counted(getattr(owner, name)))


def session(folder: Path, draw: random.Random, cut: bool) -> dict:
    """Fork a child that trains, and kill it: at a random event, or after a random time."""
    read, write = os.pipe()
    how = draw.choice(("event", "time")) if cut else "none"
    event, delay, seed = draw.randrange(1, 400), draw.random() * 1.2, draw.randrange(1 << 30)
    child = os.fork()
    if child == 0:
        os.close(read)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        told = lambda values: os.write(write, (json.dumps(values) + "\n").encode())  # noqa: E731
        try:
            shelf = hostile.LateFolder(folder / "mount", folder / "server", random.Random(seed))
            shelf.waiting = [name for name in json.loads((folder / "unsent.json").read_text())]
            threading.Thread(target=shelf.deliver, daemon=True).start()
            if how == "event":
                kill_at(event)
            told({"started": True})
            rows, digest = train(folder, shelf, told)
            told({"ended": digest, "rows": rows})
        except BaseException as error:
            told({"error": f"{type(error).__name__}: {error}"})
        os._exit(0)
    os.close(write)
    if how == "time":
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(read) as stream:
        lines = [json.loads(line) for line in stream if line.endswith("\n")]
    os.waitpid(child, 0)
    return {"how": how, **{key: value for line in lines for key, value in line.items() if value is not None}}


def main() -> None:
    folder, seed, cuts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    draw = random.Random(seed)
    (folder / "uncut").mkdir(parents=True)
    rows, digest = train(folder / "uncut", None)
    print(json.dumps({"uncut": digest, "rows": rows}), flush=True)
    life, lives, safe, seen = folder / "life-0", 0, -1, 0
    while seen < cuts:
        if not life.exists():
            hostile.LateFolder.mount(life / "mount", life / "server", draw)
        lost_machine = draw.random() < 0.4
        if lost_machine:
            shutil.rmtree(life / "disk", ignore_errors=True)
            hostile.LateFolder.mount(life / "mount", life / "server", draw)
        not_sent(life)
        before = {"life": lives, "lost_machine": lost_machine, "logged": last_step(life), "safe_before": safe}
        found = session(life, draw, seen + 1 < cuts)
        print(json.dumps(before | found), flush=True)
        safe = max(safe, found.get("safe", -1))
        seen += "ended" not in found
        if "ended" in found:
            shutil.rmtree(life)
            lives, safe = lives + 1, -1
            life = folder / f"life-{lives}"
            seen += 0 if seen + 1 < cuts else 1


def not_sent(life: Path) -> None:
    """What the mount still has to send, for a process that takes over on the same machine."""
    differing = []
    for root, other in ((life / "mount", life / "server"), (life / "server", life / "mount")):
        for path in root.rglob("*") if root.exists() else ():
            twin = other / path.relative_to(root)
            if path.is_file() and (not twin.exists() or twin.read_bytes() != path.read_bytes()):
                differing.append(path.relative_to(root).as_posix())
    (life / "unsent.json").write_text(json.dumps(sorted(set(differing))))


def last_step(life: Path) -> int:
    logs = list((life / "disk" / "runs").glob("toy-*/log.jsonl"))
    if not logs:
        return 0
    return max((row["step"] for row in Record(logs[0].parent, {}).rows("train")), default=0)


if __name__ == "__main__":
    main()
