"""71_listening_test in JupyterLab: play, answer, find the answer in the run folder, come back and go on."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

import nbkit
from nbkit.run.notebook import params_class

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SOURCE = Path(nbkit.__file__).parents[1] / "notebooks" / "71_listening_test.ipynb"
PLAYING = """() => {
  const [one, ...others] = document.querySelectorAll("audio");
  return one && !others.length && !one.paused && one.currentTime > 0;
}"""


def answers(lab, listener: str) -> list[dict]:
    """The lines of a listener's file."""
    found = [*(lab.folder.parent / "outputs" / "runs").glob(f"listening-*/listening/{listener}.jsonl")]
    return [json.loads(line) for path in found for line in path.read_text(encoding="utf8").splitlines()]


def listen(view, letter: str) -> None:
    """Press the button of a sound, which then plays alone, and wait until half of it has been heard."""
    view.page.get_by_role("button", name=f"▶ {letter}").click()
    view.page.wait_for_function(PLAYING)
    view.page.get_by_role("button", name=f"▶ {letter} ✓").wait_for()


@pytest.mark.timeout(600)
def test_answers_land_in_the_run_folder_and_the_test_goes_on(lab, view):
    node = nbformat.read(SOURCE, as_version=4)
    (cell,) = (cell for cell in node.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source = params_class(SOURCE).preset("smoke", listener="민지").cell()
    path = lab.folder / "listening.ipynb"
    nbformat.write(node, path)
    lab.run_notebook(view, path)
    page, better = view.page, view.page.get_by_role("button", name="B is better")
    better.scroll_into_view_if_needed()
    assert page.get_by_text("Question 1 of 7").is_visible()
    assert better.is_disabled()
    listen(view, "A")
    assert better.is_disabled(), "B was not heard yet"
    listen(view, "B")
    page.locator(".widget-vbox").first.screenshot(path="outputs/browser/listening-question.png")
    better.click()
    page.get_by_text("Question 2 of 7").wait_for()
    (row,) = answers(lab, "민지")
    assert (row["answer"], row["played"], row["question"]) == ("B", [1, 1], 0)
    assert better.is_disabled()

    page.get_by_role("button", name="Take the last answer back").click()
    page.get_by_text("Question 1 of 7").wait_for()
    for letter in "AB":
        button = page.get_by_role("button", name=f"▶ {letter}")
        button.focus()
        page.keyboard.press("Space")
        page.get_by_role("button", name=f"▶ {letter} ✓").wait_for()
    page.get_by_role("button", name="No difference").focus()
    page.keyboard.press("Space")
    page.get_by_text("Question 2 of 7").wait_for()
    assert [row.get("answer", "taken back") for row in answers(lab, "민지")] == ["B", "taken back", "same"]

    lab.run_notebook(view, path)
    assert page.get_by_text("Question 2 of 7").is_visible(), "the next session goes on where this one stopped"
    assert "no difference" in page.locator(".jp-OutputArea").all_inner_texts()[4]
    view.assert_clean()
