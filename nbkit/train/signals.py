"""Leaving in order: a signal waits until the step is done and saved."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any


class Signals:
    """SIGTERM and SIGINT wait until the step is done and saved. The second SIGINT does not wait."""

    def __init__(self):
        self.received: int = 0
        self._before: dict[int, Any] = {}

    @property
    def name(self) -> str:
        return signal.Signals(self.received).name if self.received else ""

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame) -> None:
        if self.received == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.received = number

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def pass_on(self) -> None:
        """Leave as the signal asked, now that everything is saved."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received:
            os.kill(os.getpid(), self.received)
