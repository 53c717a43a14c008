"""Notebooks that nobody runs any more: alive where they are trusted, and whole in a file with the network away."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import views_demo
from looks import assert_opens_a_head, assert_plays, assert_speaks, frame_of, frames

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# of nbconvert's own page: formulas and the frame of widgets, which no view of ours asks for
NBCONVERT = ("/require.js/", "/mathjax/", "/@jupyter-widgets/html-manager@")


@pytest.fixture(scope="module")
def executed(lab) -> Path:
    """The notebook of all views as `nbkit run` leaves it, below the root of JupyterLab."""
    path = views_demo.write(lab.folder / "executed" / "views.ipynb")
    command = [sys.executable, "-m", "nbkit.run", "run", str(path), "-o", str(lab.folder.parent / "outputs")]
    done = subprocess.run(command, env=lab.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return Path(done.stdout.splitlines()[-1])


def test_what_nbkit_run_leaves_opens_alive(lab, view, executed: Path):
    """JupyterLab shows the pages of a notebook that somebody else has run only if it is trusted."""
    path = Path(shutil.copy(executed, lab.folder / "executed" / "alive.ipynb"))
    lab.open(view, path)
    view.page.locator("iframe[srcdoc]").first.wait_for()
    view.page.locator("iframe[srcdoc]").first.scroll_into_view_if_needed()
    assert_plays(frame_of(view.page, "players"))
    view.screenshot("alive")
    view.assert_clean()


def test_an_exported_page_plays_without_a_network(view, executed: Path, tmp_path: Path):
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(tmp_path), str(executed)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    view.page.goto((tmp_path / "run.html").as_uri())
    kinds = [kind for kind, _ in frames(view.page)]
    assert kinds == views_demo.KINDS
    assert_plays(frame_of(view.page, "players"))
    assert_speaks(frame_of(view.page, "speech"))
    assert_opens_a_head(frame_of(view.page, "attention"))
    view.page.set_viewport_size({"width": 1280, "height": view.page.evaluate("document.body.scrollHeight")})
    view.screenshot("exported")
    assert view.outside, "nothing asked for the network, so nothing shows that it was away"
    view.outside[:] = [address for address in view.outside if not any(name in address for name in NBCONVERT)]
    view.assert_clean()
