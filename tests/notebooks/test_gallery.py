"""Executed notebooks in outputs/gallery: the cells of notebooks/, no error, nothing of the machine that ran them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import nbkit
from nbkit.run import gallery

ROOT = Path(nbkit.__file__).resolve().parents[1]
GALLERY = sorted((ROOT / "outputs" / "gallery").glob("*.ipynb"))
DETERMINISTIC = ("11_korean_text",)
GENERATED = {"nbkit-setup", "parameters"}
# the scripts of a page may become better; its picture and its title are compared
PAGES = "[pages]\nregex: (?s)<div [^>]*><img [^>]*><iframe .*</iframe></div>\nreplace: page\n"

every = pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)


def outputs(notebook) -> list:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_the_gallery_holds_what_can_be_compared():
    assert {path.stem for path in GALLERY} >= set(DETERMINISTIC)
    assert sum(path.stat().st_size for path in GALLERY) < gallery.MAXIMUM_BYTES


@every
def test_its_cells_are_those_of_notebooks(path):
    shown, source = (nbformat.read(one, as_version=4) for one in (path, ROOT / "notebooks" / path.name))
    assert [cell.id for cell in shown.cells] == [cell.id for cell in source.cells]
    for one, other in zip(shown.cells, source.cells, strict=True):
        if not GENERATED & set(other.metadata.get("tags", [])):
            assert one.source == other.source, f"cell {other.id} has changed since; run `make gallery`"


@every
def test_all_cells_ran_without_an_error(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert outputs(notebook)
    assert not [output.evalue for output in outputs(notebook) if output.output_type == "error"]


@every
def test_nothing_tells_of_a_machine(path):
    notebook = nbformat.read(path, as_version=4)
    gallery.without_folders([cell.get("outputs", []) for cell in notebook.cells], {})  # raises
    assert notebook.metadata.keys() <= {"kernelspec", "language_info", "nbkit"}
    assert not [cell.metadata for cell in notebook.cells if cell.metadata.keys() - {"tags"}]


@pytest.mark.notebook
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_its_outputs_come_again(name, tmp_path):
    """nbval compares every output; cells that tell of the machine, or hold a widget, only have to run."""
    notebook = nbformat.read(ROOT / "outputs" / "gallery" / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        widget = any(
            output.metadata.get("nbkit", {}).get("widget") for output in cell.get("outputs", []) if "data" in output
        )
        if widget or "nbkit-setup" in cell.metadata.get("tags", []):
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "nbval-ignore-output"]
    nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")  # nbval is to know nothing of this project's settings
    (tmp_path / "pages.cfg").write_text(PAGES)
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider"]
    command += ["--nbval-sanitize-with", "pages.cfg"]
    search = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "NBKIT_HEADLESS": "1", "PYTHONPATH": search}
    done = subprocess.run([*command, f"{name}.ipynb"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
