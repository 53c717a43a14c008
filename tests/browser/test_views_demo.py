"""Every view in one notebook, in JupyterLab and in the classic Notebook with ipywidgets 7.7 as Colab has it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import views_demo
from looks import assert_opens_a_head, assert_plays, assert_speaks, errors, frame_of, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass
class Demo:
    """The notebook in a browser, all its cells run."""

    host: Any
    view: Any
    outputs: dict[str, Any]

    @property
    def page(self) -> Any:
        return self.view.page


@pytest.fixture(scope="module", params=["lab", "classic"])
def demo(request, module_view) -> Demo:
    host = request.getfixturevalue(request.param)
    path = views_demo.write(host.folder / "demo.ipynb")
    notebook = host.run_notebook(module_view, path)
    assert not errors(notebook)
    return Demo(host, module_view, notebook)


def test_simple_players_play(demo):
    frame = frame_of(demo.page, "players")
    assert frame.locator(".player").count() == 2
    assert frame.locator(".spans button").first.inner_text() == "같이"
    assert_plays(frame)
    demo.view.assert_clean()


def test_a_sentence_plays_seeks_and_switches(demo):
    assert_speaks(frame_of(demo.page, "speech"))
    demo.view.assert_clean()


def test_a_head_opens(demo):
    assert_opens_a_head(frame_of(demo.page, "attention"))
    demo.view.assert_clean()


def test_training_ends_in_numbers(demo):
    assert "step 500 of 500" in demo.page.locator(demo.host.outputs, has_text="훈련").first.inner_text()
    demo.view.assert_clean()


def test_an_ordinary_widget_asks_the_kernel(demo):
    shown = demo.page.locator(".widget-interact")
    assert "ooo" in shown.inner_text()
    handle = shown.locator(demo.host.handle)
    handle.focus()
    demo.page.keyboard.press("ArrowRight")
    wait_until(lambda: "oooo" in shown.inner_text())
    demo.view.assert_clean()


def test_an_answer_lands_on_the_disk(demo):
    page = demo.page
    for letter in "AB":
        page.get_by_role("button", name=f"▶ {letter}").click()
        page.wait_for_function("() => document.querySelector('audio')?.currentTime > 0")
        page.get_by_role("button", name=f"▶ {letter} ✓").wait_for()
    page.get_by_role("button", name="B is better").click()
    page.get_by_text("Question 2 of 3").wait_for()
    (line,) = (demo.host.folder / "answers" / "minji.jsonl").read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert (row["question"], row["item"], row["answer"], row["played"]) == (0, "하나", "B", [1, 1])
    demo.view.assert_clean()


def test_a_slider_of_the_panel_changes_the_config(demo):
    page, host = demo.page, demo.host
    assert host.run_last_cell(demo.view) == "steps in use: 5"
    handle = page.locator(".widget-box", has=page.get_by_text("Steps to count.")).locator(host.handle).first
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("Not in use here yet: steps.").wait_for()
    assert host.run_last_cell(demo.view) == "steps in use: 5"
    page.get_by_role("button", name="Use here").click()
    page.get_by_text("The next cells use what is set here.").wait_for()
    assert host.run_last_cell(demo.view) == "steps in use: 6"
    demo.view.assert_clean()


def test_a_background_run_ends(demo):
    page = demo.page
    page.get_by_role("button", name="Run in the background").click()
    page.locator(".widget-html", has_text="counting-").get_by_text("done after").wait_for(timeout=60_000)
    (executed,) = (demo.host.folder.parent / "outputs" / "runs").glob("counting-*/run.ipynb")
    assert "말 5" in executed.read_text(encoding="utf-8")
    assert page.get_by_role("link", name="run.ipynb").is_visible()
    demo.view.assert_clean()


def test_a_knob_speaks(demo):
    page = demo.page
    note = page.get_by_text("of sound made in")
    assert note.inner_text().startswith("full sound")
    before = note.inner_text()
    knobs = page.locator(".widget-box", has=page.get_by_text("Play at each change"))
    knobs.locator(demo.host.handle).last.focus()
    page.keyboard.press("ArrowLeft")
    wait_until(lambda: note.inner_text() != before and note.inner_text().startswith("full sound"))
    demo.view.assert_clean()
