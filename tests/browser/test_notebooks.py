"""Every notebook, run in JupyterLab by a browser: no error, Korean shown, sounds that play."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

import nbkit
from nbkit.run.notebook import params_class

NOTEBOOKS = sorted((Path(nbkit.__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
pytestmark = [pytest.mark.browser, pytest.mark.slow]

DEMO = [
    """
import numpy as np
from nbkit.views import alignment, player, progress, signal
rate = 22050
wave = (0.3 * np.sin(2 * np.pi * 220 * np.arange(10 * rate) / rate)).astype(np.float32)
words = [("같이", 0.0, 4.0), ("가자고", 4.0, 10.0)]
signal.mark(signal.waveform(wave, rate), words);
""",
    """
durations = np.array([20, 30, 15, 25, 10, 20, 52])
symbols = list("\\u1100\\u1161\\u11ab\\u0020\\u1102\\u1161\\u11bc")
alignment.plot(durations, symbols, seconds_per_frame=256 / rate);
""",
    """
with progress.Display("훈련", 500) as display:
    for step in range(1, 501):
        display.update({"step": step, "loss": 1 / step, "learning_rate": 1e-3})
""",
    """
player.page([player.Sound(wave, rate, "녹음", "같이 가자고", words), player.Sound(wave / 4, rate, "작은 소리")])
""",
]


def errors(notebook: dict) -> list[str]:
    """What the cells raised."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    return [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]


def assert_plays(frame) -> None:
    """The first player of a page starts, its playhead moves, a click on the wave seeks."""
    head, audio, track = (frame.locator(name).first for name in (".head", "audio", ".track"))
    frame.locator(".play").first.click()
    wait_until(lambda: position(head) > 0)
    audio.evaluate("node => node.pause()")
    track.click(position={"x": 0.75 * track.bounding_box()["width"], "y": 20})
    wait_until(lambda: position(head) == pytest.approx(75, abs=2))


def position(head) -> float:
    """Where a playhead stands, in per cent."""
    return float(re.search(r"left: ([\d.]+)%", head.get_attribute("style"))[1])


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "the page did not get there in time"
        time.sleep(0.05)


def test_the_views_in_a_notebook(lab, view):
    path = lab.folder / "views.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source.strip()) for source in DEMO]), path)
    notebook = lab.run_notebook(view, path)
    assert not errors(notebook)
    frame = view.page.frame_locator(".jp-OutputArea iframe[srcdoc]")
    assert frame.locator(".player").count() == 2
    assert frame.locator(".spans button").first.inner_text() == "같이"
    assert "step 500 of 500" in view.page.locator(".jp-OutputArea-output", has_text="훈련").first.inner_text()
    assert_plays(frame)
    frame.locator(".spans button").nth(1).click()
    wait_until(lambda: 40 < position(frame.locator(".head").first) < 60)
    frame.locator(".track").nth(1).focus()
    view.page.keyboard.press("Space")
    label = frame.locator(".play").first
    wait_until(lambda: label.get_attribute("aria-label") == "play")  # the space bar paused what played
    view.assert_clean()


def test_an_untrusted_notebook_shows_the_picture(lab, view):
    np = pytest.importorskip("numpy")
    from nbkit.views import player

    page = player.audio(np.zeros(2205, np.float32), 22050, title="녹음")
    output = new_output("display_data", data={"text/html": page._repr_html_()})
    path = lab.folder / "untrusted.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("0", outputs=[output], execution_count=1)]), path)
    lab.open(view, path)
    picture = view.page.locator(".jp-OutputArea img")
    assert picture.evaluate("node => node.naturalWidth") > 300
    assert picture.is_visible()
    assert view.page.locator("iframe[srcdoc]").count() == 0
    view.screenshot("untrusted")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_the_browser(source: Path, lab, view):
    """With the smoke preset; the notebooks share their outputs, as those of a person do."""
    node = nbformat.read(source, as_version=4)
    (cell,) = (cell for cell in node.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source = params_class(source).preset("smoke").cell()
    path = lab.folder / source.name
    nbformat.write(node, path)
    notebook = lab.run_notebook(view, path)
    assert not errors(notebook)
    frames = view.page.locator(".jp-OutputArea iframe[srcdoc]")
    for index in range(frames.count()):
        assert_plays(frames.nth(index).content_frame)
    view.assert_clean()
