import sys
from pathlib import Path

import nbformat
import pytest

from nbkit.run import notebooks
from nbkit.run.__main__ import main

SETTINGS = """
from dataclasses import dataclass
from nbkit.base.params import Params, param

@dataclass(frozen=True)
class Settings(Params):
    steps: int = param(STEPS, "Steps to take.")
"""


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A project with one notebook as JupyterLab and Colab leave it after work."""
    home = tmp_path / "home"
    for folder in ("data_manifests", "notebooks"):
        (home / folder).mkdir(parents=True)
    (home / "pyproject.toml").write_text('[tool.nbkit]\nrepository = "old/name"\n')
    (home / "README.md").write_text(
        f"{notebooks.colab_link('01_tiny', 'old/name')} https://github.com/old/name and https://github.com/old/namesake"
    )
    (home / "settings_of_notebooks_test.py").write_text(SETTINGS.replace("STEPS", "5"))
    monkeypatch.setenv("NBKIT_HOME", str(home))
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.delitem(sys.modules, "settings_of_notebooks_test", raising=False)
    v4 = nbformat.v4
    output = v4.new_output("stream", text="3\n")
    cells = [
        v4.new_markdown_cell("# A title\n\nWhat you will see.", id="first"),
        v4.new_code_cell("print(1 + 2)", id="work", outputs=[output], execution_count=7, metadata={"collapsed": True}),
        v4.new_code_cell("steps = 7", id="params", metadata={"tags": ["parameters"]}),
        v4.new_markdown_cell(f"Go on with [the next]({notebooks.colab_link('02_next', 'someone/else')}).", id="last"),
    ]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "colab": {"provenance": []},
        "widgets": {},
        "nbkit": {"parameters": "settings_of_notebooks_test:Settings"},
    }
    nbformat.write(v4.new_notebook(cells=cells, metadata=metadata), home / "notebooks" / "01_tiny.ipynb")
    return home


def read(home: Path) -> nbformat.NotebookNode:
    return nbformat.read(home / "notebooks" / "01_tiny.ipynb", as_version=4)


def test_everything_generated_follows_its_source(home):
    assert main(["notebooks"]) == 0
    notebook = read(home)
    first, setup, parameters, work, last = notebook.cells
    assert first.source == (
        f"# A title\n[Open in Colab]({notebooks.colab_link('01_tiny', 'old/name')})\n\nWhat you will see."
    )
    assert setup.source == notebooks.setup_cell("https://github.com/old/name")
    assert setup.metadata.tags == ["nbkit-setup"]
    assert parameters.source.endswith('steps = 5  # @param {"type":"integer"}')
    assert notebooks.colab_link("02_next", "old/name") in last.source
    assert work.source == "print(1 + 2)"
    assert [cell.id for cell in notebook.cells] == ["first", "nbkit-setup", "params", "work", "last"]


def test_outputs_and_the_traces_of_editors_go(home):
    main(["notebooks"])
    notebook = read(home)
    assert set(notebook.metadata) == {"kernelspec", "nbkit", "language_info"}
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_a_second_time_changes_nothing(home):
    main(["notebooks"])
    before = (home / "notebooks" / "01_tiny.ipynb").read_bytes()
    assert main(["notebooks", "--check"]) == 0
    main(["notebooks"])
    assert (home / "notebooks" / "01_tiny.ipynb").read_bytes() == before


def test_the_check_names_what_is_out_of_step_and_changes_nothing(home, capsys):
    before = (home / "notebooks" / "01_tiny.ipynb").read_bytes()
    assert main(["notebooks", "--check"]) == 1
    assert "01_tiny.ipynb is out of step, run `make params`" in capsys.readouterr().out
    assert (home / "notebooks" / "01_tiny.ipynb").read_bytes() == before


def test_a_changed_default_shows_as_drift(home, monkeypatch):
    main(["notebooks"])
    monkeypatch.delitem(sys.modules, "settings_of_notebooks_test")
    (home / "settings_of_notebooks_test.py").write_text(SETTINGS.replace("STEPS", "50"))
    assert main(["notebooks", "--check"]) == 1


def test_cells_that_lack_are_made(home):
    path = home / "notebooks" / "01_tiny.ipynb"
    notebook = read(home)
    notebook.cells = [cell for cell in notebook.cells if cell.id in ("first", "last")]
    nbformat.write(notebook, path)
    main(["notebooks"])
    assert [cell.id for cell in read(home).cells] == ["first", "nbkit-setup", "parameters", "last"]


def test_a_new_address_reaches_settings_pages_and_notebooks(home):
    assert main(["notebooks", "--repository", "new-owner/new.name"]) == 0
    assert notebooks.repository() == "new-owner/new.name"
    assert (home / "README.md").read_text() == (
        f"{notebooks.colab_link('01_tiny', 'new-owner/new.name')} "
        "https://github.com/new-owner/new.name and https://github.com/old/namesake"
    )
    text = (home / "notebooks" / "01_tiny.ipynb").read_text()
    assert "old/name" not in text
    assert text.count("new-owner/new.name") == 3


def test_an_address_that_is_none_is_refused(home):
    for wrong in ("name", "a/b/c", "https://github.com/a/b"):
        with pytest.raises(ValueError, match="wanted an address as owner/name"):
            main(["notebooks", "--repository", wrong])
    assert notebooks.repository() == "old/name"
