"""The display of a training in JupyterLab: mid-way and at its end, by day and by night, on a phone; sounds go on."""

from __future__ import annotations

import nbformat
import pytest
from looks import wait_until
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NUMBERS, SAMPLE = ".nbkit-run", '[aria-label="newest sample"]'

TRAINING = """
import math, time
from pathlib import Path
import numpy as np
from nbkit.views import style
from nbkit.views.progress import Display
ax = style.axes(6, 2)
ax.plot(np.cumsum(np.random.default_rng(0).normal(size=200)))
png = style.png(ax)
tone = (0.2 * np.sin(np.arange(6 * 22050) * 0.06)).astype(np.float32), 22050
with Display("glow_tts-1a2b3c4d", 20_000) as display:
    display.gauges = lambda: {"memory": "1.42 GB", "GPU memory": "3.21 GB, at most 5.02 GB"}
    display.facts |= {"saved": "nothing yet", "safe copy": "nothing yet"}
    display.note("glow_tts-1a2b3c4d starts at step 0 on cpu, fp32")
    for step in range(1, 4001):
        noise = 1 + 0.1 * math.sin(step * 1.7)
        row = {"step": step, "amount": {"frames": 6400}, "mle": -1 + 2 * math.exp(-step / 900) * noise}
        row |= {"duration": 0.2 + math.exp(-step / 500) * noise, "gradient_norm": 3 * noise, "skipped": step // 1500}
        row |= {"learning_rate": 1e-3 * min(step / 400, (400 / step) ** 0.5), "loss": row["mle"] + row["duration"]}
        display.update(row)
        if step % 500 == 0:
            measured = {"loss": row["loss"] + 0.15, "mle": row["mle"] + 0.1, "duration": row["duration"] + 0.05}
            display.update({"step": step, "split": "validation", **measured, "boundary_error_ms": 60 * 900 / step})
            display.facts["saved"], display.aside = f"step {step:,}", f"mirror: safe up to step {step - 500:,}"
        if step in (200, 4000):
            display.show(step, png, tone, "같이 가자고 말해보세요")
        time.sleep(0.002)
        if step == 2000:
            while not Path("go-on").exists():
                display.refresh()
                time.sleep(0.1)
"""


def test_the_display_is_calm_and_a_sound_goes_on_while_numbers_change(lab, view):
    path = lab.folder / "training.ipynb"
    (lab.folder / "go-on").unlink(missing_ok=True)
    nbformat.write(new_notebook(cells=[new_code_cell(TRAINING.strip())]), path)
    lab.open(view, path)
    page = view.page

    def look(name: str) -> None:
        page.locator(NUMBERS).evaluate("node => node.scrollIntoView({block: 'start'})")
        view.screenshot(f"training-{name}")

    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.locator(NUMBERS, has_text="step 2,000 of 20,000").wait_for(timeout=60_000)
    audio = page.locator(f"{SAMPLE} audio")
    audio.evaluate("node => node.play()")
    audio.evaluate("node => { node.mark = 'the same'; }")
    before = page.locator(f"{NUMBERS} .state").inner_text()
    wait_until(lambda: page.locator(f"{NUMBERS} .state").inner_text() != before)
    wait_until(lambda: audio.evaluate("node => node.currentTime") > 1.5)
    assert audio.evaluate("node => node.mark") == "the same"
    assert audio.evaluate("node => !node.paused")
    look("midway")
    page.set_viewport_size({"width": 420, "height": 1500})
    look("phone")
    assert page.locator(NUMBERS).evaluate("node => node.scrollWidth <= node.clientWidth")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.wait_for_selector("body[data-jp-theme-light='false']", state="attached")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    look("dark")
    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    (lab.folder / "go-on").touch()
    page.locator(NUMBERS, has_text="stopped after").wait_for(timeout=60_000)
    assert audio.evaluate("node => node.mark") is None, "a new sample is another sound"
    assert page.locator(NUMBERS).count() == 1
    look("end")
    view.assert_clean()
