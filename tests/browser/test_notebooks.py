"""Every notebook, run in JupyterLab by a browser: no error, Korean shown, sounds that play."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from looks import assert_plays, errors, frames
from nbformat.v4 import new_code_cell, new_notebook, new_output

import nbkit
from nbkit.run.notebook import params_class

NOTEBOOKS = sorted((Path(nbkit.__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
pytestmark = [pytest.mark.browser, pytest.mark.slow]


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
    for kind, frame in frames(view.page):
        if kind == "players":  # the other views have tests of their own; here their pages are shown without an error
            assert_plays(frame)
    view.assert_clean()
