"""The slider of 21_alignment_search asks the kernel, and a new picture comes."""

from pathlib import Path

import nbformat
import pytest

import nbkit
from nbkit.run.notebook import params_class

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.timeout(600)
def test_the_slider_brings_another_picture(lab, view):
    source = Path(nbkit.__file__).parents[1] / "notebooks" / "21_alignment_search.ipynb"
    node = nbformat.read(source, as_version=4)
    (cell,) = (cell for cell in node.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source = params_class(source).preset("smoke").cell()
    path = lab.folder / "slider.ipynb"
    nbformat.write(node, path)
    lab.run_notebook(view, path)
    (picture,) = view.page.locator(".widget-interact .jp-OutputArea img").all()
    before = picture.get_attribute("src")
    picture.scroll_into_view_if_needed()
    view.page.locator(".widget-interact .noUi-handle").press("PageUp")
    view.page.wait_for_function(
        "before => document.querySelector('.widget-interact .jp-OutputArea img')?.src !== before", arg=before
    )
    view.page.wait_for_selector(".widget-interact .jp-OutputArea img")
    view.assert_clean()
