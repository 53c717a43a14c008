"""`nbkit demo`: the whole way in one command, with a death in the middle.

Trains 22_glow_train through `nbkit run`, kills its kernel without warning once a checkpoint is written, runs the same
command again, which goes on from there, lets 23_glow_speak speak, and says where everything lies.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from nbkit.base import record, workspace
from nbkit.base.record import Record

SENTENCE = "안녕하세요, 저는 오늘 처음 말을 배웠습니다."
PARAMETERS = {"utterances": "240", "stop_at": "300", "evaluate_every": "100", "save_every": "50"}
KILL_AFTER = 60  # steps: behind a checkpoint, and not at one
DIED = 3  # the exit status of `nbkit run` whose kernel died


def add_parser(subparsers: Any) -> None:
    """Add `demo` to the command line."""
    parser = subparsers.add_parser("demo", help="train, be killed, resume, speak: about four minutes on two cores")
    parser.set_defaults(call=_command)


def _command(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    train = ["22_glow_train", *(word for name, value in PARAMETERS.items() for word in ("-p", name, value))]
    _say(f"1 of 3: train a small Glow-TTS on made-up Korean speech, and kill it after step {KILL_AFTER}")
    first = _start(train)
    killed = _kill_kernel_after(KILL_AFTER, first)
    if first.wait() != (DIED if killed else 0):
        return 1
    _say("2 of 3: the same command again" if killed else "2 of 3: it was finished already, the same command again")
    if _start(train).wait():
        return 1
    trained = record.runs("glow_tts")[0]
    _say("3 of 3: let it say what it has never read")
    if _start(["23_glow_speak", "-p", "source", trained.name, "-p", "text", SENTENCE]).wait():
        return 1
    return _summary(trained, record.runs("glow_speak")[0], time.monotonic() - began)


def _start(words: list[str]) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "nbkit.run", "run", *words])


def _kill_kernel_after(step: int, run: subprocess.Popen) -> bool:
    """SIGKILL the kernel of a starting `nbkit run` once its training has logged `step`; False where it ends before."""
    import psutil

    step_log = f"glow_tts-*/{record.LOG}"
    started = time.time()
    while run.poll() is None:
        time.sleep(0.2)
        for log in workspace.runs().glob(step_log):
            if log.stat().st_mtime < started:
                continue
            rows, kernels = Record.read(log.parent).rows("train"), []
            with contextlib.suppress(psutil.Error):  # it may have ended since it was polled
                kernels = [p for p in psutil.Process(run.pid).children() if "ipykernel" in " ".join(p.cmdline())]
            if kernels and rows and step <= rows[-1]["step"] < int(PARAMETERS["stop_at"]):
                os.kill(kernels[0].pid, signal.SIGKILL)
                _say(f"        killed with SIGKILL in step {rows[-1]['step'] + 1}")
                return True
    return False


def _summary(trained: Record, spoken: Record, seconds: float) -> int:
    """Say what came out and where it lies; 1 where the log does not hold each step exactly once."""
    measured = [row["boundary_error_ms"] for row in trained.rows("validation") if "boundary_error_ms" in row]
    steps, sessions = [row["step"] for row in trained.rows("train")], _sessions(trained)
    if steps != list(range(1, int(PARAMETERS["stop_at"]) + 1)):
        print(f"nbkit demo: wanted steps 1 to {PARAMETERS['stop_at']} once each in {trained.folder / record.LOG}")
        return 1
    _say(f"done in {seconds:.0f} s: {len(steps)} steps, each logged once, in {len(sessions)} sessions")
    print(f"  median distance from the true word boundaries: {measured[-1]:.1f} ms; untrained {measured[0]:.1f} ms")
    print(f"  report   {trained.folder / 'report.html'}")
    for title, folder, ending in (
        ("audio", spoken.folder / "audio", "wav"),
        ("audio", trained.folder / "audio", "wav"),
    ):
        _list(title, folder, ending)
    _list("plot", trained.folder / "views", "png")
    for one in (trained, spoken):
        print(f"  notebook {one.folder / 'run.ipynb'}")
    return 0


def _list(title: str, folder: Path, ending: str) -> None:
    for path in sorted(folder.glob(f"*.{ending}")):
        print(f"  {title:8} {path}")


def _sessions(run: Record) -> list[dict[str, Any]]:
    return record.read_json(run.folder / record.ENVIRONMENT, [])


def _say(text: str) -> None:
    print(f"\n== {text}" if not text.startswith(" ") else text, flush=True)
