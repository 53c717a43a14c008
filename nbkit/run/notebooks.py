"""`nbkit notebooks`: keeps what is generated in the notebooks in step with its one source.

The set-up cell and the links to Colab follow the repository's address in pyproject.toml, the parameters cell follows
its dataclass, and outputs go: a working notebook holds none. `make params` and `make badges` come here.
"""

from __future__ import annotations

import argparse
import copy
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbkit.base import workspace
from nbkit.base.params import Params
from nbkit.run.notebook import params_class

if TYPE_CHECKING:
    from nbformat import NotebookNode

_SETUP = """\
# @title Find nbkit, or fetch it
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

if not (found := importlib.util.find_spec("nbkit")) or not found.origin:  # a mere folder of that name has no origin
    clone = Path("/content/nbkit" if "google.colab" in sys.modules else "nbkit-home").absolute()
    places = [os.environ.get("NBKIT_HOME", "."), *Path.cwd().parents, "/content/drive/MyDrive/nbkit", clone]
    home = next((Path(place) for place in places if os.path.isdir(f"{place}/nbkit/base")), clone)
    if not (home / "nbkit").exists():
        subprocess.run(["git", "clone", "-q", "--depth=1", "ADDRESS", clone], check=True)
    sys.path.insert(0, str(home.absolute()))
importlib.import_module("nbkit.base.colab").setup()"""
_COLAB = re.compile(r"(https://colab\.research\.google\.com/github/)[^/\s]+/[^/\s]+(/blob/main/notebooks/)")
_SETTING = re.compile(r'^repository = "(.*)"$', re.MULTILINE)
_KEPT_METADATA = ("kernelspec", "nbkit")


def add_parser(subparsers: Any) -> None:
    """Add `notebooks` to the command line."""
    parser = subparsers.add_parser("notebooks", help="keep generated cells and links in step, strip outputs")
    parser.add_argument("paths", nargs="*", type=Path, help="by default all in notebooks/")
    parser.add_argument("--check", action="store_true", help="change nothing, fail where something would change")
    parser.add_argument("--repository", metavar="OWNER/NAME", help="publish under another address from now on")
    parser.set_defaults(call=_command)


def repository() -> str:
    """The address of the project on GitHub, as owner/name."""
    with (workspace.root() / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["tool"]["nbkit"]["repository"]


def setup_cell(address: str) -> str:
    """Source of the first code cell: makes nbkit importable wherever the notebook was opened."""
    return _SETUP.replace("ADDRESS", address)


def colab_link(stem: str, address: str) -> str:
    """Where Colab opens a notebook of the project."""
    return f"https://colab.research.google.com/github/{address}/blob/main/notebooks/{stem}.ipynb"


def regenerate(notebook: NotebookNode, stem: str, cls: type[Params], address: str) -> NotebookNode:
    """The notebook with everything generated made anew and without outputs.

    stem     of the notebook's file, for the link to Colab
    cls      gives the parameters cell
    address  owner/name of the repository
    """
    notebook = copy.deepcopy(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    setup = _tagged(code, "nbkit-setup")
    parameters = _tagged(code, "parameters")
    setup.source = setup_cell(f"https://github.com/{address}")
    parameters.source = cls().cell()
    # both right behind the title, so that what explains a cell stands right above it
    rest = [cell for cell in notebook.cells if cell is not setup and cell is not parameters]
    title = int(bool(rest) and rest[0].cell_type == "markdown")
    notebook.cells = [*rest[:title], setup, parameters, *rest[title:]]
    _link(notebook.cells, stem, address)
    _strip(notebook)
    return notebook


def _tagged(cells: list[NotebookNode], tag: str) -> NotebookNode:
    import nbformat.v4

    found = next((cell for cell in cells if tag in cell.metadata.get("tags", [])), None)
    return found or nbformat.v4.new_code_cell(id=tag, metadata={"tags": [tag]})


def _link(cells: list[NotebookNode], stem: str, address: str) -> None:
    """Point every link to Colab to the address; the first cell gets its own where it has none."""
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = _COLAB.sub(rf"\g<1>{address}\g<2>", cell.source)
    if cells and cells[0].cell_type == "markdown" and colab_link(stem, address) not in cells[0].source:
        title, _, rest = cells[0].source.partition("\n")
        cells[0].source = f"{title}\n[Open in Colab]({colab_link(stem, address)})\n{rest}".rstrip("\n")


def _strip(notebook: NotebookNode) -> None:
    notebook.nbformat_minor = 5
    kept = {key: notebook.metadata[key] for key in _KEPT_METADATA if key in notebook.metadata}
    notebook.metadata = {**kept, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def text_of(notebook: NotebookNode) -> str:
    """The file of a notebook, written as Jupyter writes it. Raises where it is no valid notebook."""
    import nbformat

    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def regenerated(path: Path, address: str) -> str:
    """What the file of a notebook should hold."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    return text_of(regenerate(notebook, path.stem, params_class(path), address))


def publish_under(address: str) -> None:
    """Change the address in pyproject.toml and in the pages; the notebooks follow when they are regenerated."""
    if not re.fullmatch(r"[\w-]+/[\w.-]+", address):
        raise ValueError(f"wanted an address as owner/name, got {address!r}")
    root, before = workspace.root(), repository()
    settings = root / "pyproject.toml"
    settings.write_text(_SETTING.sub(f'repository = "{address}"', settings.read_text(encoding="utf-8")), "utf-8")
    for page in sorted(root.glob("*.md")):
        text = _COLAB.sub(rf"\g<1>{address}\g<2>", page.read_text(encoding="utf-8"))
        page.write_text(re.sub(rf"github\.com/{re.escape(before)}(?![\w-])", f"github.com/{address}", text), "utf-8")


def _command(arguments: argparse.Namespace) -> int:
    if arguments.repository:
        publish_under(arguments.repository)
    address = repository()
    changed = []
    for path in arguments.paths or sorted((workspace.root() / "notebooks").glob("*.ipynb")):
        text = regenerated(path, address)
        if text != path.read_text(encoding="utf-8"):
            changed.append(path)
            if not arguments.check:
                path.write_text(text, encoding="utf-8")
    for path in changed:
        print(f"{path.name} is out of step, run `make params`" if arguments.check else f"{path.name} regenerated")
    if arguments.check and changed:
        return 1
    print(f"{len(changed)} notebooks changed, address {address}", file=sys.stderr)
    return 0
