"""Checkpoints that outlive the machine: a queue that copies them to a shelf while training goes on.

Training hands over the number of a step and never waits. The rest happens in a thread, one file at a time: copy under a
name that holds the hash, read back, the manifest last, then confirm. Only what is older than enough confirmed ones is
removed, since a copy that can be read back may still be nowhere but on this machine.

`work()` does one piece of that work and needs no thread, no clock and no sleep of its own, so that tests can drive it
through every order of events.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NamedTuple

from nbkit.train import snapshot
from nbkit.train.layout import MANIFEST, PREFIX
from nbkit.train.shelf import Blob, Shelf, measure
from nbkit.train.snapshot import CONFIRMED, Snapshot, SnapshotError

POLICIES = ("auto", "read-back", "sent", "later")
WAITING = 2  # checkpoints that wait to be copied, beside the one that is being copied
LATER = 5  # with the policy "later": copies that must follow a copy before it counts
LONGEST_PAUSE = 60.0  # seconds between two attempts
POLL = 5.0  # seconds between two looks whether a copy has left the machine


class State(NamedTuple):
    """How far the mirror is. Steps with the newest first."""

    waiting: tuple[int, ...]  # not copied yet
    copied: tuple[int, ...]  # lie there, but may not have left this machine
    confirmed: int | None  # the newest that is safe
    trouble: str  # what keeps it from going on; empty where nothing does

    @property
    def backlog(self) -> tuple[int, ...]:
        """What is lost if the machine goes now."""
        return tuple(sorted({*self.waiting, *self.copied}, reverse=True))

    def __str__(self) -> str:
        told = "nothing is safe yet" if self.confirmed is None else f"safe up to step {self.confirmed:,}"
        for steps, what in ((self.waiting, "to be copied"), (self.copied, "on their way")):
            if steps:
                told += f", {what}: {', '.join(f'{step:,}' for step in steps)}"
        return f"mirror: {told}{f' ({self.trouble})' if self.trouble else ''}"


class Mirror:
    """The copy of one run on a shelf.

    run, folder   its name, and the folder that it lies in here
    keep          newest confirmed snapshots to keep, beside the one with the least metric
    every         also keep each snapshot whose step is a multiple of this; 0 keeps none for that
    policy        when a copy counts as safe: "read-back" once its content could be read again; "sent" once the mount
                  says that every file has left the machine; "later" once LATER further ones could be read back;
                  "auto" is "sent" where the mount says so, else "later" on a mount that keeps files to itself (FUSE),
                  else "read-back"
    """

    def __init__(
        self,
        shelf: Shelf,
        run: str,
        folder: Path,
        *,
        keep: int = 3,
        every: int = 0,
        policy: str = "auto",
        clock: Callable[[], float] = time.time,
    ):
        if policy not in POLICIES:
            raise ValueError(f"a copy is confirmed by one of {', '.join(POLICIES)}, got {policy!r}")
        self.shelf, self.run, self.folder = shelf, run, Path(folder)
        self.keep, self.every, self.policy, self.clock = max(2, keep), every, policy, clock
        self.notes: deque[str] = deque(maxlen=50)  # for whoever can show them
        self.confirmed: set[str] = set()  # names of manifests
        self.known: dict[str, Snapshot] = {}  # whole as far as we know, by the name of the manifest
        self.trouble, self._failures, self._not_before = "", 0, 0.0
        self._looked, self._started_at = False, -1
        self._settled = policy
        self._own: set[str] = set()  # manifests written by this object
        self._whole: set[str] = set()  # files that this object has read, and found as they should be
        self._hashes: dict[tuple[Path, int, int], Blob] = {}
        self._waiting: dict[int, float | None] = {}
        self._job: Iterator[None] | None = None
        self._copying: int | None = None
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None
        self._leaving = False

    # --- for training

    def begin(self, step: int) -> None:
        """Training goes on from this step; what lies on the shelf for later ones belongs to a future given up."""
        self._started_at = step

    def offer(self, step: int, metric: float | None) -> None:
        """The checkpoint of `step` lies in the run folder, whole. Returns at once."""
        with self._lock:
            self._waiting[step] = metric
            newest = max(self._waiting)
            while len(self._waiting) > WAITING:
                measured = {s: m for s, m in self._waiting.items() if m is not None and math.isfinite(m)}
                best = min(measured, key=lambda s: measured[s], default=None)
                spare = [s for s in self._waiting if s not in (best, newest) and not self._nth(s)]
                del self._waiting[min(spare or [s for s in self._waiting if s != newest])]
            self._lock.notify_all()

    def pinned(self) -> set[int]:
        """Steps whose folders here must stay until they are copied."""
        with self._lock:
            return {*self._waiting, *([] if self._copying is None else [self._copying])}

    @property
    def state(self) -> State:
        """How far the mirror is; safe to ask from any thread."""
        with self._lock:
            safe = max((s.step for n, s in self.known.items() if n in self.confirmed), default=None)
            copied = {s.step for n, s in self.known.items() if n in self._own and (safe is None or s.step > safe)}
            waiting = {*self._waiting, *([] if self._copying is None else [self._copying])}
            newest_first = (tuple(sorted(steps, reverse=True)) for steps in (waiting, copied))
            return State(*newest_first, confirmed=safe, trouble=self.trouble)

    def start(self) -> None:
        """Work in a thread from now on."""
        self._leaving = False
        self._thread = threading.Thread(target=self._loop, name=f"mirror-{self.run}", daemon=True)
        self._thread.start()

    def close(self, seconds: float, enough: Callable[[State], bool] = lambda state: False) -> State:
        """Go on until all is safe, for at most so many seconds, then stop. Returns how far it came.

        enough   hears the state now and then; where it gives True, or raises, the waiting ends
        """
        end = time.monotonic() + seconds
        try:
            while self._thread is not None and not self._all_done(self.state) and time.monotonic() < end:
                if enough(self.state):
                    break
                time.sleep(0.1)
        finally:
            with self._lock:
                self._leaving = True
                self._lock.notify_all()
            if self._thread is not None:
                self._thread.join(timeout=1.0)  # a thread that hangs in a dead mount is left behind
                self._thread = None
        return self.state

    def _all_done(self, state: State) -> bool:
        """With the policy "later" the last copies never have enough later ones: there is nothing to wait for."""
        return not state.waiting and (not state.copied or self._settled == "later")

    # --- for resuming, by the thread that trains

    def candidates(self) -> list[tuple[int, str, bool]]:
        """(step, manifest, whether it was confirmed) of every snapshot there, the newest first; raises OSError.

        The folder is listed twice, since a mount that has just come up may not know all of it the first time.
        """
        names: set[str] = set()
        for _ in range(2):
            names |= set(self.shelf.names(snapshot.folder(self.run)))
        found = [(step, n, n + CONFIRMED in names) for n in names if (step := snapshot.step_of(n)) is not None]
        return sorted(found, reverse=True)

    def bring_back(self, name: str) -> Snapshot:
        """Copy a snapshot into the run folder; raises OSError, and SnapshotError where its checkpoint is not whole."""
        found, whole, lost = snapshot.bring_back(self.shelf, self.run, name, self.folder)
        self._whole |= whole
        self.notes.extend(f"mirror: left out {told}" for told in lost)
        if found.blobs() <= self._whole:  # as good as one that was written from here
            self.known[found.name] = found
            self._own.add(found.name)
        return found

    def set_aside(self, name: str, reason: str) -> None:
        """Leave a word beside a damaged snapshot, so that nothing builds on it or counts it as safe; raises OSError."""
        self.shelf.put(f"{snapshot.folder(self.run)}/{name}{snapshot.DAMAGED}", reason.encode())

    # --- the work

    def _loop(self) -> None:
        while not self._leaving:
            try:
                pause = self.work()
            except Exception as error:  # a mistake of ours must neither end training nor go unseen
                self._begin_anew()
                self.trouble, pause = f"{type(error).__name__}: {error}", LONGEST_PAUSE
                self.notes.append(f"mirror: {self.trouble}; tried again in {LONGEST_PAUSE:.0f} s, training goes on")
            if pause:
                with self._lock:
                    if not self._leaving:
                        self._lock.wait(pause)

    def work(self) -> float:
        """Do one piece of work. Returns how many seconds to wait before the next; never raises OSError."""
        now = self.clock()
        wait = self._not_before - now
        if 0 < wait <= LONGEST_PAUSE:  # longer where somebody has put the clock back
            return wait
        try:
            pause = self._piece()
        except OSError as error:
            self._begin_anew()
            self._failures += 1
            wait = min(LONGEST_PAUSE, 2.0 ** min(self._failures, 10) / 2)
            self._not_before = now + wait
            told = _in_words(error)
            if told != self.trouble and self._failures > 1:  # one hiccup is not worth a line
                self.notes.append(f"mirror: {told}; tried again until it works, training goes on")
                self.trouble = told
            return wait
        if self._job is None:  # all of it is done, and not only the reading that comes before a write
            self._works()
        return pause

    def _works(self) -> None:
        if self.trouble:
            self.notes.append("mirror: it works again")
        self.trouble, self._failures, self._not_before = "", 0, 0.0

    def _begin_anew(self) -> None:
        """Give the copy up, to be done again unless a newer one comes first. What has arrived is found by its name."""
        with self._lock:  # at no moment is its folder without a pin
            step, self._job, self._copying = self._copying, None, None
            if step is not None:
                self.offer(step, self._metric)

    def _piece(self) -> float:
        if not self._looked:
            self._look()
            return 0.0
        if self._job is None:
            self._job = self._next_job()
        if self._job is None:
            return POLL
        try:
            next(self._job)
        except StopIteration:
            self._job = None
        return 0.0

    def _next_job(self) -> Iterator[None] | None:
        with self._lock:
            if self._waiting:
                self._copying = max(self._waiting)
                self._metric = self._waiting.pop(self._copying)
        if self._copying is not None:
            return self._copied(self._copying, self._metric)
        if self._confirm():
            return self._retain()
        return None

    def _look(self) -> None:
        """What lies there already."""
        names = self.shelf.names(snapshot.folder(self.run))
        for name in names:
            step = snapshot.step_of(name)
            of_this_past = step is not None and step <= self._started_at and name + snapshot.DAMAGED not in names
            if of_this_past and name not in self.known:
                with contextlib.suppress(SnapshotError, FileNotFoundError):
                    found = snapshot.read(self.shelf, self.run, name)
                    with self._lock:  # training counts them meanwhile
                        self.known[name] = found
        self.confirmed = {n for n in self.known if n + CONFIRMED in names}
        self._looked = True

    def _copied(self, step: int, metric: float | None) -> Iterator[None]:
        """Copy the checkpoint of `step`, or say that it cannot be copied any more."""
        try:
            yield from self._copy(step, metric)
        except SnapshotError as error:
            self.notes.append(f"mirror: the checkpoint of step {step} is not copied: {error}")
        with self._lock:
            self._copying = None

    def _copy(self, step: int, metric: float | None) -> Iterator[None]:
        """Bring the checkpoint of `step` and what is new in the run onto the shelf, a file at a time."""
        home = self.folder / "checkpoints" / f"{PREFIX}{step:09d}"
        try:
            files = json.loads((home / MANIFEST).read_text(encoding="utf8"))["files"]
        except (FileNotFoundError, ValueError, KeyError) as error:
            raise SnapshotError(f"its manifest here cannot be read ({error})", final=True) from error
        if (yield from self._there_already(step, {(wanted["size"], wanted["sha256"]) for wanted in files.values()})):
            return
        before = yield from self._parent(step)
        small = snapshot.small_files(self.folder, step)
        new = Snapshot("", step, metric, self.clock(), small, {}, list(before.log) if before else [])
        for name, wanted in files.items():
            path = home / name
            blob = self._blob("blobs", step, name, wanted["size"], wanted["sha256"])
            yield from self._send(blob, path)
            new.files[path.relative_to(self.folder).as_posix()] = blob
        for path in snapshot.media(self.folder):
            key, found = path.relative_to(self.folder).as_posix(), self._measured(path)
            new.files[key] = self._blob("media", step, path.name, found.size, found.sha256)
            if before and key in before.files and before.files[key][1:] == found[1:]:
                new.files[key] = before.files[key]
            try:
                yield from self._send(new.files[key], path)
            except SnapshotError:  # it is being drawn just now: the next snapshot has it
                del new.files[key]
        lines = snapshot.log_lines(self.folder, before.step if before else None, step)
        if lines:
            new.log.append(self._blob("log", step, "log.jsonl", len(lines), hashlib.sha256(lines).hexdigest()))
            yield from self._send(new.log[-1], lines)
        content = new.encoded()
        name = snapshot.name_of(step, content)
        where = f"{snapshot.folder(self.run)}/{name}"
        yield from self._send(Blob(where, len(content), hashlib.sha256(content).hexdigest()), content)
        with self._lock:
            self.known[name] = new._replace(name=name)
            self._own.add(name)

    def _there_already(self, step: int, files: set[tuple[int, str]]) -> Generator[None, None, bool]:
        """Whether an earlier session has copied this very checkpoint, and all of it is whole."""
        for name, one in list(self.known.items()):
            same = {blob[1:] for path, blob in one.files.items() if path.startswith("checkpoints/")} == files
            if one.step == step and same:
                for blob in (*one.files.values(), *one.log):
                    if not self._lies_there(blob):
                        break
                    yield
                else:
                    self._own.add(name)
                    return True
        return False

    def _send(self, blob: Blob, source: Path | bytes) -> Iterator[None]:
        """Write a file unless it lies there whole, and read it back."""
        if self._lies_there(blob):
            return
        yield
        self.shelf.put(blob.name, source)
        yield
        if not self._lies_there(blob):
            if isinstance(source, Path) and measure(source)[1:] != blob[1:]:
                raise SnapshotError(f"{source.name} has changed on the disk of this machine", final=True)
            raise OSError(errno.EIO, "what was written reads back as something else")
        self._works()

    def _lies_there(self, blob: Blob) -> bool:
        if blob.name not in self._whole:
            with contextlib.suppress(FileNotFoundError):
                if self.shelf.measure(blob.name) == blob:
                    self._whole.add(blob.name)
        return blob.name in self._whole

    def _blob(self, part: str, step: int, name: str, size: int, sha256: str) -> Blob:
        return Blob(f"{snapshot.folder(self.run, part)}/{step:09d}-{sha256[:16]}-{name}", size, sha256)

    def _parent(self, step: int) -> Generator[None, None, Snapshot | None]:
        """The snapshot that the log of `step` goes on from: written here, or before training went on."""
        with self._lock:
            usable = [
                s for n, s in self.known.items() if s.step < step and (n in self._own or s.step <= self._started_at)
            ]
        for found in sorted(usable, key=lambda s: (s.step, s.written), reverse=True):
            for blob in found.log:
                if not self._lies_there(blob):
                    break
                yield
            else:
                return found
        return None

    def _measured(self, path: Path) -> Blob:
        """Size and hash of a picture or a sound, which is read only when it has changed."""
        stat = path.stat()
        key = (path, stat.st_mtime_ns, stat.st_size)
        if key not in self._hashes:
            self._hashes[key] = measure(path)
        return self._hashes[key]

    def _confirm(self) -> bool:
        """Mark what is safe by now. True where something is new."""
        unsure = [self.known[name] for name in sorted(self._own & self.known.keys() - self.confirmed)]
        found = [one for one in unsure if self._is_safe(one)]
        for one in found:
            self.shelf.put(f"{snapshot.folder(self.run)}/{one.name}{CONFIRMED}", b"")
            with self._lock:
                self.confirmed.add(one.name)
        return bool(found)

    def _is_safe(self, one: Snapshot) -> bool:
        where = f"{snapshot.folder(self.run)}/{one.name}"
        policy = self.settled_policy(where)
        if policy == "sent":
            return self._has_left(one, (where, *sorted(one.blobs())))
        if policy == "later":
            return sum(s.step > one.step for n, s in self.known.items() if n in self._own) >= LATER
        return True  # it was read back before it became known

    def _has_left(self, one: Snapshot, names: tuple[str, ...]) -> bool:
        for name in names:
            try:
                if not self.shelf.sent(name):
                    return False
            except FileNotFoundError:
                self._whole.discard(name)
                with self._lock:
                    del self.known[one.name]
                self.notes.append(
                    f"mirror: {Path(name).name} was removed there, so the copy of step {one.step:,} is none"
                )
                return False
        return True

    def settled_policy(self, name: str) -> str:
        """What "auto" means for a file on this shelf."""
        if self._settled == "auto":
            kept_here = "later" if self.shelf.is_mount_of_its_own() else "read-back"
            self._settled = "sent" if self.shelf.sent(name) is not None else kept_here
        return self._settled

    def _retain(self) -> Iterator[None]:
        """Remove what is older than enough confirmed snapshots: manifests first, then what none of the rest needs."""
        by_step = sorted(self.known.values(), key=lambda s: (s.step, s.written), reverse=True)
        safe = [s for s in by_step if s.name in self.confirmed]
        if len(safe) < self.keep:
            return
        oldest = safe[self.keep - 1].step
        measured = [s for s in safe if s.metric is not None and math.isfinite(s.metric)]
        best = min(measured, key=lambda s: (s.metric, -s.step), default=None)
        kept = {s.name: s for s in by_step if s.step >= oldest or s is best or self._nth(s.step)}
        with self._lock:
            self.known = kept
        needed = {Path(name).name for s in kept.values() for name in s.blobs()}
        needed |= {name + mark for name in kept for mark in ("", CONFIRMED)}
        for part in ("checkpoints", "blobs", "log", "media"):
            where = snapshot.folder(self.run, part)
            for name in self.shelf.names(where):
                if name not in needed and name[:9].isdigit() and int(name[:9]) < oldest:
                    self.shelf.drop(f"{where}/{name}")
                    self._whole.discard(f"{where}/{name}")
                    yield

    def _nth(self, step: int) -> bool:
        return self.every > 0 and step % self.every == 0


def _in_words(error: OSError) -> str:
    known = {
        errno.ENOSPC: "the quota of the mirror is full; empty its trash or remove old runs (`nbkit runs prune`)",
        errno.EDQUOT: "the quota of the mirror is full; empty its trash or remove old runs (`nbkit runs prune`)",
        errno.ENOTCONN: "the mount has dropped (errno 107); mount it again in a cell of its own",
        errno.EIO: "the mount answers with an input/output error (errno 5)",
        errno.ENOENT: "the folder of the mirror is gone",
    }
    return known.get(error.errno or 0, str(error))
