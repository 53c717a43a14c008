"""71_listening_test in JupyterLab: play, answer, find the answer in the run folder, come back and go on."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest

import nbkit
from nbkit.run.notebook import params_class
from nbkit.views import listening
from nbkit.views.listening import KINDS, Question

pytestmark = pytest.mark.browser
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


@pytest.mark.slow
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
    view.screenshot("listening-question")
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


SMALL = """
from pathlib import Path
import numpy as np
from nbkit.views import listening
waves = [(0.2 * np.sin(np.arange(16000) / (9 + i))).astype(np.float32) for i in range(2)]
questions = [listening.Question(tuple(waves), {"item": str(n)}) for n in range(2)]
listening.Test("ab", questions, 16000, Path("listening/me.jsonl"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("host", ["lab", "classic"])
def test_the_buttons_work_with_either_ipywidgets(host, request, view):
    host = request.getfixturevalue(host)
    path = host.folder / "buttons.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SMALL.strip())]), path)
    host.run_notebook(view, path)
    for said in ("A is better", "B is better"):
        listen(view, "A")
        listen(view, "B")
        view.page.get_by_role("button", name=said).click()
    view.page.get_by_text("All 2 questions are answered.").wait_for()
    written = (host.folder / "listening" / "me.jsonl").read_text(encoding="utf8")
    assert [json.loads(line)["answer"] for line in written.splitlines()] == ["A", "B"]
    view.page.get_by_role("button", name="Take the last answer back").click()
    view.page.get_by_text("Question 2 of 2").wait_for()
    listen(view, "A")
    view.page.set_viewport_size({"width": 420, "height": 800})
    view.screenshot(f"listening-narrow-{host.name}")
    view.assert_clean()


@pytest.fixture
def page_of(tmp_path, view):
    """Opens the page of a test with three questions of one kind; gives the test too."""

    def opened(kind: str) -> listening.Test:
        waves = [(0.2 * np.sin(np.arange(12000) / (9 + i))).astype(np.float32) for i in range(3)]
        about = {"item": "<script>alert('가')</script>", "order": ["secret", "other"]}
        questions = [Question(tuple(waves[: len(KINDS[kind].letters)]), {**about, "n": n}) for n in range(3)]
        test = listening.Test(kind, questions, 16000, tmp_path / "listening" / "me.jsonl")
        view.page.goto(test.page().save(tmp_path / f"{kind}.html").as_uri())
        return test

    return opened


def hear(view, key: str, number: int) -> None:
    view.page.keyboard.press(key)
    view.page.wait_for_function("i => document.querySelectorAll('.play')[i].classList.contains('heard')", arg=number)


def test_the_page_asks_by_keyboard_and_its_answers_can_be_taken(page_of, view):
    test, page = page_of("abx"), view.page
    told, recognised = page.locator("#told"), page.get_by_role("button", name="X is B")
    page.keyboard.press("2")
    assert told.inner_text() == "Question 1 of 3", "an answer waits for the sounds"
    for number, key in enumerate("abx"):
        assert recognised.is_disabled()
        hear(view, key, number)
    page.keyboard.press("2")
    assert told.inner_text() == "Question 2 of 3"
    assert recognised.is_disabled()
    for number, key in enumerate("abx"):
        hear(view, key, number)
    page.keyboard.press("1")
    page.get_by_role("button", name="Take the last answer back").click()
    assert told.inner_text() == "Question 2 of 3"
    for answers_left in (1, 0):
        for number, key in enumerate("abx"):
            hear(view, key, number)
        if answers_left:
            view.screenshot("listening-page")
        page.keyboard.press("2")
    assert told.inner_text() == "All 3 questions are answered."
    assert not recognised.is_visible()
    page.get_by_role("button", name="Copy the answers").click()
    assert test.take(page.locator("textarea").input_value()) == 3
    assert [row["answer"] for row in test.answers().values()] == ["B", "B", "B"]
    assert [row["played"] for row in test.answers().values()] == [[1, 1, 1]] * 3
    view.screenshot("listening-page-end")
    view.assert_clean()


def test_the_page_on_a_phone_in_the_dark(page_of, view):
    view.page.emulate_media(color_scheme="dark")
    view.page.set_viewport_size({"width": 420, "height": 640})
    page_of("mos")
    assert view.page.evaluate("() => document.documentElement.scrollWidth") <= 420
    hear(view, "p", 0)
    view.screenshot("listening-page-phone")
    view.page.get_by_role("button", name="4 · good").click()
    assert view.page.locator("#told").inner_text() == "Question 2 of 3"
    view.assert_clean()


def test_the_page_warns_before_it_forgets_answers(page_of, view):
    warned, page = [], view.page
    page.on("dialog", lambda dialog: (warned.append(dialog.type), dialog.accept()))
    page_of("mos")
    for copied, warnings in ((False, 1), (True, 1)):
        hear(view, "p", 0)
        page.get_by_role("button", name="4 · good").click()
        if copied:
            page.get_by_role("button", name="Copy the answers").click()
        page.reload()
        assert warned == ["beforeunload"] * warnings
        assert page.locator("#told").inner_text() == "Question 1 of 3"
    view.assert_clean()
