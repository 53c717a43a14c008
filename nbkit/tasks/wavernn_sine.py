"""The smallest thing that can be heard: a WaveRNN that learns one tone, which 30_wavernn_fit_a_sine runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nbkit.base.params import param
from nbkit.data import audio
from nbkit.data.audio import MelSpec
from nbkit.evaluate import tone
from nbkit.evaluate.tone import Tone
from nbkit.tasks.wavernn import Clip, Recurrent, WaveRNNTask
from nbkit.train.task import Modules, Probe

SPEC = MelSpec(rate=8000, window=256, hop=64, bands=20, high=4000.0)
LOUDNESS = 0.5  # amplitude of the tone
LENGTH = 1.0  # seconds of it that there are to learn from, in each phase
PHASES = 16  # or most levels of the mu-law would never be seen: 220 Hz at 8 kHz has 400 different samples


@dataclass(frozen=True)
class FitSine(Recurrent):
    """Parameters of 30_wavernn_fit_a_sine."""

    frequency: float = param(220.0, "Pitch of the tone.", unit="Hz", low=50.0, high=1000.0)
    seconds: float = param(1.0, "So long the model hums.", unit="seconds", low=0.2, high=10.0, identity=False)

    window: int = param(4, "Length of the stretches that are learnt from.", unit="frames", low=1, high=100)
    learning_rate: float = param(5e-3, "Greatest learning rate, reached after the warm-up.", low=0.0)
    warmup_steps: int = param(50, "Steps in which the learning rate grows from 0.", unit="steps", low=1)

    PRESETS: ClassVar = {"smoke": {"stop_at": 60, "evaluate_every": 30, "save_every": 60}}


class SineTask(WaveRNNTask):
    """A small WaveRNN and one tone."""

    name = "wavernn_sine"
    emphasis = dither = 0.0

    def open(self) -> None:
        self.spec, self.fingerprint, self.title = SPEC, f"{LOUDNESS} sin, {SPEC.fingerprint}", "tone"

    def clips(self) -> tuple[list[Clip], list[Clip]]:
        phases = 2 * np.pi * np.arange(PHASES + 1) / (PHASES + 1)
        return [self._clip(phase) for phase in phases[1:]], [self._clip(0.0)]

    def _clip(self, phase: float) -> Clip:
        wave = self.tone(LENGTH, phase)
        log_mel = audio.log_mel(wave, self.spec).T
        title = f"{self.config.frequency:g} Hz"
        return Clip(title, lambda: log_mel, len(log_mel), lambda start, stop: wave[start:stop])

    def tone(self, seconds: float, phase: float = 0.0) -> np.ndarray:
        """The tone itself."""
        angle = 2 * np.pi * self.config.frequency * np.arange(round(seconds * self.spec.rate)) / self.spec.rate
        return (LOUDNESS * np.sin(angle + phase)).astype(np.float32)

    def hum(self, modules: Modules, seconds: float = 1.0, **how: Any) -> np.ndarray:
        """What the model makes of the mel of the tone, drawing one sample after the other."""
        wanted = audio.log_mel(self.tone(seconds), self.spec)
        asked: dict[str, Any] = {"fold": 0.0, **how}
        return self.vocoder(modules).vocode(wanted, **asked)

    def measure(self, modules: Modules) -> Tone:
        """The tone in a second that the model hums, without the beginning, in which it finds in."""
        return tone.piecewise(self.hum(modules)[self.spec.rate // 5 :], self.spec.rate)

    def probe(self, modules: Modules, step: int) -> Probe:
        probe = super().probe(modules, step)
        found = self.measure(modules)
        probe.metrics |= {"frequency": found.frequency, "snr": found.snr}
        return probe
