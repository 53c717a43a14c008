"""Which code a notebook's results depend on: what it imports, and what that imports, read from the syntax trees.

Left out are `views` (what draws changes no result), `run`, and `base` but for its parameters and random streams (what
keeps the books changes none either). What was installed by pip is left out too: its versions stand in the run's record.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import nbkit
from nbkit.base.record import Record

_PACKAGE = Path(nbkit.__file__).resolve().parent
_NO_RESULT = ("nbkit.views", "nbkit.run", "nbkit.base")
_RESULT = ("nbkit.base.params", "nbkit.base.seeds")
_INSTALLED = tuple({Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")})
_WRITTEN = ("nbkit-setup", "parameters")  # cells that are generated


def fingerprint(notebook: Path) -> dict[str, str]:
    """Each file that decides what a notebook computes, with the first 16 hex digits of its sha256.

    The notebook's own cells stand under its name, files of nbkit as in environment.json, `nbkit/data/audio.py`. Files
    that lie beside a module and are no Python (texts, .cu) belong to it.
    """
    content = json.loads(notebook.read_text(encoding="utf-8"))
    cells = [
        "".join(cell["source"])
        for cell in content["cells"]
        if cell["cell_type"] == "code" and not {*_WRITTEN} & {*cell["metadata"].get("tags", [])}
    ]
    named = content["metadata"].get("nbkit", {}).get("parameters", "").partition(":")[0]
    waiting, files = [named, *_imported("\n".join(cells), "")], dict[Path, str]()
    seen: set[str] = set()
    while waiting:
        if (name := waiting.pop()) not in seen and not _is_left_out(name):
            seen.add(name)
            if path := _file(name, str(notebook.parent)):
                files |= {one: _key(one, name) for one in (path, *_beside(path))}
                waiting += _imports(path, name, path.stat().st_mtime_ns)
    found = {key: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path, key in files.items()}
    own = hashlib.sha256("\n".join(cells).encode()).hexdigest()[:16]
    return {notebook.name: own, **dict(sorted(found.items()))}


def was_made_by(record: Record, code: dict[str, str]) -> bool:
    """Whether all sessions of a run had this code, as far as both know it."""
    sessions = json.loads((record.folder / "environment.json").read_text(encoding="utf8"))
    return all(session["code"].get(file, digest) == digest for session in sessions for file, digest in code.items())


def _is_left_out(name: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in _NO_RESULT) and name not in _RESULT


@functools.cache
def _home(top: str, folder: str) -> Path | None:
    """The file of a top-level module where it is not installed: of nbkit, beside the notebook, or on the path."""
    if top == "nbkit":
        return _PACKAGE / "__init__.py"
    if (beside := Path(folder, f"{top}.py")).is_file():
        return beside
    try:
        spec = importlib.util.find_spec(top) if top else None
    except (ImportError, ValueError):
        spec = None
    origin = Path(spec.origin).resolve() if spec and spec.origin and spec.has_location else None
    return None if origin is None or any(place in origin.parents for place in _INSTALLED) else origin


def _file(name: str, folder: str) -> Path | None:
    """The file of a module, None where it is installed or no module (a name that is imported from one)."""
    top, *rest = name.split(".")
    home = _home(top, folder)
    if home is None or not rest:
        return home
    inside = home.parent.joinpath(*rest)
    places = (inside.with_name(f"{inside.name}.py"), inside / "__init__.py")
    return next((place for place in places if place.is_file()), None) if home.name == "__init__.py" else None


def _key(path: Path, name: str) -> str:
    return path.relative_to(_PACKAGE.parent).as_posix() if path.is_relative_to(_PACKAGE) else f"{name}: {path.name}"


def _beside(module: Path) -> list[Path]:
    """What lies beside a module of nbkit and is no Python."""
    if not module.is_relative_to(_PACKAGE):
        return []
    return [path for path in module.parent.iterdir() if path.is_file() and path.suffix not in (".py", ".pyc")]


@functools.cache
def _imports(path: Path, name: str, _written: int) -> tuple[str, ...]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return tuple(_imported(path.read_text(encoding="utf-8"), package))


def _imported(source: str, package: str) -> Iterator[str]:
    """The modules that a text imports, with the packages that they lie in; names that may be modules too."""
    lines = (line if not line.lstrip().startswith(("%", "!")) else "" for line in source.splitlines())
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
