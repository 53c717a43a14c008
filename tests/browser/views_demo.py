"""The cells of one notebook that shows every view on made arrays: no torch, no data, a few seconds."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from nbkit.run.start import StartHere

SOUND = """
import numpy as np
rate, hop = 22050, 256
time = np.arange(4 * rate) / rate
wave = (0.3 * np.sin(2 * np.pi * 220 * time) * (1 + np.sin(2 * np.pi * time)) / 2).astype(np.float32)
words = [("같이", 0.0, 1.5), ("가자고", 1.5, 4.0)]
"""
PLAYERS = """
from nbkit.views import player
player.page([player.Sound(wave, rate, "녹음", "같이 가자고", words), player.Sound(wave / 4, rate, "작은 소리")])
"""
STATIC = """
from nbkit.views import alignment
durations = np.array([40, 60, 65, 15, 55, 50, 59])
symbols = list("\\u1100\\u1161\\u11ab\\u0020\\u1102\\u1161\\u11bc")
alignment.plot(durations, symbols, seconds_per_frame=hop / rate);
"""
SPEECH = """
from nbkit.views import speech
mel = np.log(1e-3 + np.random.default_rng(0).random((40, len(wave) // hop)))
pitch = np.where(np.arange(mel.shape[1]) % 100 < 70, 220.0, np.nan)
known = {"log_mel": mel, "hop": hop, "symbols": symbols, "durations": durations, "pitch": pitch}
one = speech.Version("녹음", wave, rate, truth=[("간", 0, 1.3), ("낭", 1.5, 4)], **known)
two = speech.Version("1,000 걸음", wave[::-1] / 4, rate, **known)
speech.player([one, two], text="간 낭")
"""
ATTENTION = """
from nbkit.views import attention
pieces = ["[CLS]", "▁영화", "가", "▁좋", "다", "[SEP]"]
scores = 3 * np.random.default_rng(0).random((3, 4, 6, 6))
weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
attention.page(attention.Attention(weights, pieces, title="made", special=[0, 5], words=[-1, 0, 0, 1, 1, -1]))
"""
TRAINING = """
from nbkit.views import progress
with progress.Display("훈련", 500) as display:
    for step in range(1, 501):
        display.update({"step": step, "loss": 1 / step, "learning_rate": 1e-3})
"""
INTERACT = """
import ipywidgets
ipywidgets.interact(lambda count: print("o" * count), count=ipywidgets.IntSlider(3, 1, 9));
"""
LISTENING = """
from pathlib import Path
from nbkit.views import listening
short = wave[: rate // 2]
questions = [listening.Question((short, short / 2), {"item": name}) for name in ("하나", "둘", "셋")]
listening.Test("ab", questions, rate, Path("answers") / "minji.jsonl")
"""
PANEL = """
from demo_settings import Settings
from nbkit.views.panel import Panel
panel = Panel(Settings(), "counting.ipynb")
panel
"""
KNOBS = """
from nbkit.views.knobs import Knobs
Knobs(lambda draft, values: (wave[: 5000 * values["steps"]], rate), Settings(), ["steps"])
"""
USED = "print('steps in use:', panel.config.steps)"
SETTINGS = """
from dataclasses import dataclass
from nbkit.base.params import Params, param

@dataclass(frozen=True)
class Settings(Params):
    PRESETS = {"smoke": {"steps": 2}}
    steps: int = param(5, "Steps to count.", unit="steps", low=1, high=20)
    word: str = param("말", "A word to print.")
"""
COUNTING = "for step in range(steps): print(word, step)"
KINDS = ["players", "speech", "attention"]  # of the pages that the cells show
CELLS = [SOUND, PLAYERS, STATIC, SPEECH, ATTENTION, TRAINING, INTERACT, LISTENING, PANEL, KNOBS, USED]


def write(path: Path) -> Path:
    """The notebook, without outputs; `nbkit run` takes it too. Beside it, a notebook that it runs in the background."""
    path.parent.mkdir(exist_ok=True)
    (path.parent / "demo_settings.py").write_text(SETTINGS, encoding="utf-8")
    parameters = "steps = 5\nword = ''"
    _write(path.with_name("counting.ipynb"), [parameters, COUNTING], "demo_settings:Settings")
    _write(path, [StartHere().cell(), *CELLS], "nbkit.run.start:StartHere")
    return path


def _write(path: Path, sources: list[str], parameters: str) -> None:
    cells = [new_code_cell(source.strip()) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    metadata = {"language_info": {"name": "python"}, "nbkit": {"parameters": parameters}}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
