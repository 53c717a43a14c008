"""Processes that cut text into tokens, told by pipes what to do.

Not multiprocessing: its fresh processes first import the program that asks, which a notebook does not have, a script
without a guard does not survive, and one that has loaded torch pays with seconds.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbkit
from nbkit.data.tokenizer import Tokenizer

_SERVE = "from nbkit.data import corpus_workers; corpus_workers.serve()"


class Workers:
    """Calls `work(tokenizer, *arguments)` in one of so many processes: as a context manager, from as many threads.

    With one process the work is done in this one, and so is what a process left undone that died.
    """

    def __init__(self, tokenizer: Tokenizer, processes: int, work: Callable[..., None]):
        self.tokenizer, self.work = tokenizer, work
        self._processes: list[subprocess.Popen[bytes]] = []
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        if processes > 1:
            first = pickle.dumps((work, tokenizer))
            self._processes = [_start(first) for _ in range(processes)]
        for process in self._processes:
            self._idle.put(process)

    def __call__(self, *arguments: Any) -> None:
        """Do one piece of work; raises what it raised."""
        if not self._processes:
            return self.work(self.tokenizer, *arguments)
        process = self._idle.get()
        try:
            answer = _ask(process, arguments) if process else None
        except (OSError, EOFError, pickle.UnpicklingError):
            process = answer = None
        finally:
            self._idle.put(process)
        if answer is None:
            return self.work(self.tokenizer, *arguments)
        if answer[0] is not None:
            raise answer[0]
        return None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()  # with its input closed, a process ends when its present work is done
            process.wait()


def _start(first: bytes) -> subprocess.Popen[bytes]:
    above = str(Path(nbkit.__file__).parent.parent)
    paths = os.pathsep.join(filter(None, [above, os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # where it has died, _ask() will notice
        process.stdin.write(first)
        process.stdin.flush()
    return process


def _ask(process: subprocess.Popen[bytes], arguments: tuple[Any, ...]) -> tuple[BaseException | None]:
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump(arguments, process.stdin)
    process.stdin.flush()
    return pickle.load(process.stdout)


def serve() -> None:
    """Work until the input ends: what a process of Workers runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupted notebook closes our input
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed here is no answer
    work, tokenizer = pickle.load(sys.stdin.buffer)
    while True:
        try:
            arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        error: BaseException | None = None
        try:
            work(tokenizer, *arguments)
        except Exception as raised:
            error = raised
        try:
            answer = pickle.dumps((error,))
        except Exception:
            answer = pickle.dumps((RuntimeError(repr(error)),))
        try:
            answers.write(answer)
            answers.flush()
        except BrokenPipeError:
            return
