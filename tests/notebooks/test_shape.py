"""What a notebook of ours looks like: DESIGN's eighth contract, as far as a machine can read it."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

import nbkit
from nbkit.run.notebook import params_class
from nbkit.run.notebooks import colab_link, regenerated, repository

ROOT = Path(nbkit.__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def marks(path: Path) -> list[pytest.MarkDecorator]:
    return [pytest.mark.torch] if '"parameters": "nbkit.tasks.' in path.read_text(encoding="utf-8") else []


each_class = pytest.mark.parametrize(
    "path", [pytest.param(path, marks=marks(path), id=path.stem) for path in NOTEBOOKS]
)


def cells(path: Path, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def faults(source: str) -> list[str]:
    """What is wrong with the code of a cell."""
    tree = ast.parse(source)
    found = [f"{len(source.splitlines())} lines, at most 15"] if len(source.splitlines()) > 15 else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Try | ast.TryStar):
            found.append(f"line {node.lineno}: a try belongs into the package")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > 8:
                found.append(f"{node.name}: {lines} lines, at most 8; move it into the package")
    if tree.body and not isinstance(tree.body[-1], ast.Expr):
        found.append("ends without a value to look at")
    return found


def assigned(source: str) -> set[str]:
    """The names that the code of a cell leaves behind."""
    found: set[str] = set()
    left = list(ast.iter_child_nodes(ast.parse(source)))
    while left:
        node = left.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {name.asname or name.name.split(".")[0] for name in node.names}
        elif not isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            left += ast.iter_child_nodes(node)
    return found


def test_there_are_notebooks():
    assert NOTEBOOKS


@each_class
def test_what_is_generated_is_in_step_and_nothing_else_is_kept(path):
    """Set-up cell, parameters cell, links, ids, no outputs: all that `make params` writes."""
    assert path.read_text(encoding="utf-8") == regenerated(path, repository()), "run `make params`"


@each_notebook
def test_set_up_comes_first_then_the_parameters(path):
    tags = [cell.metadata.get("tags", []) for cell in nbformat.read(path, as_version=4).cells]
    assert tags[:3] == [[], ["nbkit-setup"], ["parameters"]]
    assert sum("parameters" in one for one in tags) == 1
    assert sum("nbkit-setup" in one for one in tags) == 1


@each_notebook
def test_cells_have_ids_of_their_own(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)


@each_notebook
def test_code_cells_are_thin(path):
    # the set-up cell ends in the line that it prints, the parameters cell is a form
    found = {
        cell.id: faults(cell.source)
        for cell in cells(path, "code")
        if "parameters" not in cell.metadata.get("tags", [])
    }
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@each_notebook
def test_parameters_are_left_as_they_were_given(path):
    """Or the cell that reads them fails when it is run again."""
    code = cells(path, "code")
    parameters = next(assigned(cell.source) for cell in code if "parameters" in cell.metadata.get("tags", []))
    found = {
        cell.id: assigned(cell.source) & parameters
        for cell in code
        if "parameters" not in cell.metadata.get("tags", [])
    }
    assert {name: names for name, names in found.items() if names} == {}


@each_notebook
def test_the_first_cell_says_what_it_costs(path):
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert colab_link(path.stem, repository()) in first.source
    for what, words in {
        "how long": r"\b(seconds?|minutes?|hours?)\b",
        "on what": r"\b(CPU|GPU|T4|A100)\b",
        "disk": r"\b[MG]B\b",
        "licence": r"(?i)licen[cs]e|public domain|CC0|CC BY|Apache|MIT",
    }.items():
        assert re.search(words, first.source), f"the first cell does not say {what}"


@each_notebook
def test_links_to_other_notebooks_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for address, stem in re.findall(
        r"colab\.research\.google\.com/github/(\S+?)/blob/main/notebooks/(\w+)\.ipynb", text
    ):
        assert address == repository()
        assert (path.parent / f"{stem}.ipynb").is_file()
    for target in re.findall(r"\]\((?!https?:)([\w./-]+)\)", text):
        assert (path.parent / target).exists(), target


@each_class
def test_there_is_a_quick_way_through(path):
    assert "smoke" in params_class(path).PRESETS


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_pages_carry_the_one_address(page):
    text = page.read_text(encoding="utf-8")
    for address, stem in re.findall(
        r"colab\.research\.google\.com/github/(\S+?)/blob/main/notebooks/(\w+)\.ipynb", text
    ):
        assert address == repository()
        assert (ROOT / "notebooks" / f"{stem}.ipynb").is_file()


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("x = 1\nx", None),
        ("x = 1", "ends without a value"),
        ("\n".join(["x"] * 16), "16 lines"),
        ("try:\n    x\nexcept ValueError:\n    y\nx", "a try"),
        ("def f():\n" + "    x\n" * 8 + "f()", "f: 9 lines"),
        ("def f():\n" + "    x\n" * 7 + "f()", None),
    ],
)
def test_faults_of_a_cell_are_found(source, fault):
    found = faults(source)
    assert (fault is None and not found) or any(fault in one for one in found)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("a, (b, *c) = d = 1, (2, 3)", "abcd"),
        ("for a in b:\n    c = [d for d in e if (f := d)]", "ac"),
        ("import a.x\nfrom b import x as c\nwith d as e:\n    pass", "ace"),
        ("def a(b):\n    c = 1\nlambda d: d\n{e: f for e, f in g}\nh.i = j[0] = 1", "a"),
    ],
)
def test_names_that_a_cell_leaves_are_found(source, names):
    assert assigned(source) == set(names)
