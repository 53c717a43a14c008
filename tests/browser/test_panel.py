"""The panel and the knobs in JupyterLab: set, use, run beside the kernel, cancel, open the report, turn and hear."""

from __future__ import annotations

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# below the root of the server, as where JupyterLab is started in the project: else no link reaches a report
TRAIN = """
import os
os.environ["NBKIT_OUTPUTS"] = "outputs"
from nbkit.tasks.glow_tts import GlowTTSTrain
from nbkit.views import panel
settings = panel.Panel(GlowTTSTrain(), "22_glow_train", task="glow_tts")
settings
"""
KNOBS = """
import time
import numpy as np
from nbkit.tasks.voices import GlowTTSSpeak
from nbkit.views import knobs
asked = []
def speak(draft, turned):
    asked.append((draft, turned["length_scale"]))
    time.sleep(0.05)
    wave = 0.2 * np.sin(np.arange(int(8000 * turned["length_scale"])) / 9)
    return wave.astype(np.float32), 16000
made = knobs.Knobs(speak, GlowTTSSpeak(), ("noise_scale", "length_scale", "speaker"), {"speaker": ["민지", "LJ"]})
made
"""


def notebook(host, name: str, *cells: str):
    path = host.folder / f"{name}.ipynb"
    made = [nbformat.v4.new_code_cell(source.strip()) for source in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


def run_last_cell(view) -> str:
    """Run the last cell of the notebook that is open in JupyterLab; returns what it printed."""
    return view.page.evaluate("""async () => {
      const {commands, shell} = window.jupyterapp;
      const {content} = shell.currentWidget;
      content.activeCellIndex = content.widgets.length - 1;
      await commands.execute("notebook:run-cell");
      const cells = content.model.toJSON().cells;
      return cells[cells.length - 1].outputs.map((o) => o.text ?? o.evalue).flat().join("");
    }""")


@pytest.mark.timeout(600)
def test_set_use_run_cancel_and_report(lab, view):
    said = "c = settings.config; print(c.learning_rate, c.utterances, c.stop_at)"
    lab.run_notebook(view, notebook(lab, "panel", TRAIN, said))
    page = view.page
    view.screenshot("panel")
    rate = page.get_by_label("learning_rate")
    rate.fill("lots")
    page.get_by_text("learning_rate wants a number of at least 0.0, got 'lots'").wait_for()
    use, beside = page.get_by_role("button", name="Use here"), page.get_by_role("button", name="Run in the background")
    page.wait_for_function(
        "() => [...document.querySelectorAll('button')].find(b => b.innerText === 'Use here').disabled"
    )
    view.screenshot("panel-wrong")
    rate.fill("0.02")
    page.get_by_text("default 0.003").wait_for()
    page.locator(".noUi-handle").first.press("ArrowRight")
    page.wait_for_function("() => [...document.querySelectorAll('input')].some((one) => one.value === '0.0224')")
    rate.fill("0.02")
    assert run_last_cell(view).split() == ["0.003", "0", "300"], "nothing is used before it is asked for"
    use.click()
    page.get_by_text("The next cells use what is set here.").wait_for()
    assert run_last_cell(view).split() == ["0.02", "0", "300"]

    page.get_by_role("button", name="smoke preset").click()
    page.get_by_role("button", name="As command").click()
    page.get_by_text("nbkit run 22_glow_train --preset smoke").wait_for()
    page.get_by_role("button", name="copy", exact=True).click()
    page.get_by_role("button", name="copied").wait_for()

    beside.click()
    told = page.locator("[role=status]")  # the log may say the same words of the training
    told.filter(has_text="running for").first.wait_for(timeout=30_000)
    told.filter(has_text="done after").first.wait_for(timeout=240_000)
    link = page.locator("a", has_text="report.html")
    link.wait_for()
    assert "report.html" in link.get_attribute("href")
    page.get_by_text("What does not change the result").click()
    page.get_by_label("stop_at").fill("30000")
    page.get_by_label("utterances").fill("12")
    beside.click()
    page.get_by_text("of 30,000").wait_for(timeout=120_000)
    view.screenshot("panel-running")
    page.get_by_role("button", name="Cancel").first.click()
    page.get_by_text("the same parameters go on from its last checkpoint").wait_for(timeout=120_000)
    page.set_viewport_size({"width": 420, "height": 2600})
    view.screenshot("panel-narrow")
    view.assert_clean()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["lab", "classic"])
def test_knobs_speak_while_they_are_held(name, request, view):
    host = request.getfixturevalue(name)
    if name == "classic":
        cell = KNOBS.replace("from nbkit.tasks.voices import GlowTTSSpeak\n", PARAMS)
    else:
        cell = KNOBS
    host.run_notebook(view, notebook(host, "knobs", cell))
    page = view.page
    page.get_by_text("full sound ·").wait_for()
    before = page.locator("audio").get_attribute("src")
    handle = page.locator(host.handle).nth(1)
    for _ in range(10):
        handle.press("ArrowRight")
    page.wait_for_function("before => document.querySelector('audio').src !== before", arg=before)
    page.get_by_text("full sound ·").wait_for()
    view.screenshot(f"knobs-{name}")
    page.get_by_label("Play at each change").check()
    handle.press("ArrowRight")
    page.wait_for_function("() => { const one = document.querySelector('audio'); return one.currentTime > 0; }")
    assert page.locator("audio").count() == 1
    view.assert_clean()


PARAMS = """
from dataclasses import dataclass
from nbkit.base.params import Params, param
@dataclass(frozen=True)
class GlowTTSSpeak(Params):
    noise_scale: float = param(0.667, "Temperature.", low=0.0, high=2.0)
    length_scale: float = param(1.0, "Factor on every duration.", low=0.25, high=4.0)
    speaker: str = param("", "Name of a speaker.")
"""
