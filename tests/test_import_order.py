"""Rooms import only rooms of earlier groups, and `import nbkit` stays light."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import nbkit

PACKAGE = Path(nbkit.__file__).parent
GROUPS = [
    {"base"},
    {"data", "views", "kernels"},
    {"models", "train"},
    {"evaluate"},
    {"tasks"},
    {"run"},
]
RANK = {room: rank for rank, group in enumerate(GROUPS) for room in group}


def imported(path: Path, package: Path) -> Iterator[tuple[str, int]]:
    """Dotted names that a module imports, relative ones resolved, each with its line."""
    here = [package.name, *path.relative_to(package).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{module}.{alias.name}", node.lineno


def violations(package: Path) -> list[str]:
    """Imports that go upwards or to a sibling, and rooms that have no place in the order."""
    rooms = {path.name for path in package.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    found = [f"{room} has no place in GROUPS" for room in sorted(rooms - RANK.keys())]
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0]
        for name, line in imported(path, package):
            first, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if first != package.name or other not in RANK or other == room:
                continue
            if RANK[other] >= RANK.get(room, -1):  # the package itself stands below all rooms
                found.append(f"{path.relative_to(package.parent)}:{line} {room} imports {other}")
    return found


def test_every_import_points_down():
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("where", "source", "expected"),
    [
        ("models/glow_tts/model.py", "from nbkit.kernels import mas", None),
        ("models/glow_tts/model.py", "from . import config", None),
        ("models/glow_tts/model.py", "from nbkit.base.seeds import seed", None),
        ("models/glow_tts/model.py", "import nbkit", None),
        ("models/glow_tts/model.py", "from nbkit import __version__", None),
        ("models/glow_tts/model.py", "import nbkit.train.loop", "models imports train"),
        ("models/glow_tts/model.py", "from nbkit import tasks", "models imports tasks"),
        ("models/glow_tts/model.py", "from ...train import loop", "models imports train"),
        ("models/glow_tts/model.py", "from ... import evaluate", "models imports evaluate"),
        ("views/style.py", "from ..data.audio import load", "views imports data"),
        ("base/params.py", "def f():\n    from nbkit import run as r", "base imports run"),
        ("__init__.py", "from . import base", "__init__.py imports base"),
    ],
)
def test_the_order_is_seen_through_every_way_of_importing(tmp_path, where, source, expected):
    path = tmp_path / "nbkit" / where
    path.parent.mkdir(parents=True)
    path.write_text(source)
    found = violations(tmp_path / "nbkit")
    assert [line.split(" ", 1)[1] for line in found] == ([expected] if expected else [])


def test_a_room_without_a_place_is_named(tmp_path):
    (tmp_path / "nbkit" / "cellar").mkdir(parents=True)
    (tmp_path / "nbkit" / "cellar" / "wine.py").write_text("")
    assert violations(tmp_path / "nbkit") == ["cellar has no place in GROUPS"]


HEAVY = {"torch", "librosa", "numba", "scipy", "matplotlib", "transformers", "cupy", "papermill", "accelerate"}
LOOK = """
import json, sys, time
started = time.process_time()
for name in sys.argv[1:]: __import__(name)
print(json.dumps([time.process_time() - started, sorted(sys.modules)]))
"""


def import_of(*names: str) -> tuple[float, set[str]]:
    """Processor seconds and modules of an import in a fresh Python; the least of five, for others use the machine."""
    found = []
    for _ in range(5):
        result = subprocess.run([sys.executable, "-c", LOOK, *names], capture_output=True, text=True, check=True)
        found.append(json.loads(result.stdout))
    return min(seconds for seconds, _ in found), set(found[0][1])


def test_importing_nbkit_is_quick_and_light():
    seconds, modules = import_of("nbkit", *(f"nbkit.base.{path.stem}" for path in (PACKAGE / "base").glob("[a-z]*.py")))
    assert modules & HEAVY == set()
    assert seconds < 0.3


def test_the_command_line_starts_light():
    assert import_of("nbkit.run.__main__")[1] & HEAVY == set()


def test_every_package_that_is_imported_is_declared():
    with (PACKAGE.parent / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = [lines for name, lines in project["optional-dependencies"].items() if name != "dev"]
    wanted = [*project["dependencies"], *(line for lines in extras for line in lines)]
    declared = {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in wanted}
    providers = metadata.packages_distributions()
    lacking = set()
    for path in PACKAGE.rglob("*.py"):
        for name, line in imported(path, PACKAGE):
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or top in ("nbkit", "google", "cupy"):
                continue
            if not declared & {one.lower().replace("_", "-") for one in providers.get(top, [])}:
                lacking.add(f"{path.relative_to(PACKAGE)}:{line} imports {top}")
    assert sorted(lacking) == []
