"""The first cell of every notebook, run where nbkit cannot be imported: on a Colab page and in a bare folder."""

import json
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

import nbkit
from nbkit.run.notebooks import setup_cell

# Python without site-packages' .pth files, so that an editable nbkit is not found; pip is only written down.
DRIVER = """
import json, pathlib, subprocess, sys, types
packages, colab, cell = sys.argv[1:]
sys.path.append(packages)
if colab:
    sys.modules["google"], sys.modules["google.colab"] = types.ModuleType("google"), types.ModuleType("google.colab")
calls, real = [], subprocess.run
def run(command, **options):
    calls.append([str(word) for word in command])
    if "pip" in calls[-1]:
        return types.SimpleNamespace(returncode=0, stderr="")
    return real(command, **options)
subprocess.run = run
source = pathlib.Path(cell).read_text()
exec(source, {})
exec(source, {})
sys.stderr.write(json.dumps({"calls": calls, "nbkit": sys.modules["nbkit"].__file__}))
"""


@pytest.fixture
def published(tmp_path) -> Path:
    """A git repository with as much of the project as the first cell needs, which asks for a package that lacks."""
    folder = tmp_path / "published"
    package = Path(nbkit.__file__).parent
    (folder / "nbkit" / "base").mkdir(parents=True)
    shutil.copy(package / "__init__.py", folder / "nbkit")
    for name in ("__init__.py", "colab.py"):
        shutil.copy(package / "base" / name, folder / "nbkit" / "base")
    (folder / "requirements-colab.txt").write_text("pytest>=1\nno-such-package>=3\n")
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run(["git", *identity, *words], cwd=folder, check=True)
    return folder


@pytest.fixture
def open_notebook(tmp_path, published):
    """Run the cell twice in a fresh Python; gives what it printed, the commands it ran, the nbkit it found."""

    def open_notebook(folder: Path, *, colab: bool = False, **environment: str) -> tuple[list[str], list, Path]:
        folder.mkdir(parents=True, exist_ok=True)
        cell = tmp_path / "cell.py"
        cell.write_text(setup_cell(published.as_uri()).replace("/content", str(tmp_path / "content")))
        command = [sys.executable, "-S", "-c", DRIVER, site.getsitepackages()[0], "yes" if colab else "", str(cell)]
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COLAB_RELEASE_TAG")}
        result = subprocess.run(command, cwd=folder, env={**kept, **environment}, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        told = json.loads(result.stderr.splitlines()[-1])
        return result.stdout.splitlines(), told["calls"], Path(told["nbkit"]).parents[1]

    return open_notebook


def kinds(calls: list[list[str]]) -> list[str]:
    return ["pip" if "pip" in call else call[1] for call in calls]


def test_on_colab_it_clones_once_and_installs_what_lacks(open_notebook, tmp_path):
    content = tmp_path / "content"
    lines, calls, found = open_notebook(content, colab=True)
    assert found == content / "nbkit"
    assert len(lines) == 2, "one line each time"
    assert lines[0] == f"nbkit {nbkit.__version__} from {content / 'nbkit'} on colab, installed no-such-package>=3"
    # the faked pip installs nothing, so the second run asks once more; the clone is not repeated
    assert kinds(calls) == ["clone", "pip", "pip"]
    assert calls[1][-1] == "no-such-package>=3"
    # a fresh kernel, started in the folder that holds the clone under the package's own name
    assert kinds(open_notebook(content, colab=True)[1]) == ["pip", "pip"]


def test_in_a_bare_folder_it_clones_beside_the_notebook(open_notebook, tmp_path):
    _, calls, found = open_notebook(tmp_path / "desk")
    assert found == tmp_path / "desk" / "nbkit-home"
    assert kinds(calls) == ["clone", "pip", "pip"]


def test_in_the_repository_it_uses_the_folder_above(open_notebook, published):
    _, calls, found = open_notebook(published / "notebooks")
    assert found == published
    assert "clone" not in kinds(calls)


def test_the_named_home_is_used(open_notebook, published, tmp_path):
    _, calls, found = open_notebook(tmp_path / "desk", NBKIT_HOME=str(published))
    assert found == published
    assert "clone" not in kinds(calls)


def test_a_copy_on_drive_is_used(open_notebook, published, tmp_path):
    drive = tmp_path / "content" / "drive" / "MyDrive" / "nbkit"
    shutil.copytree(published, drive)
    _, calls, found = open_notebook(tmp_path / "content", colab=True)
    assert found == drive
    assert "clone" not in kinds(calls)


def test_an_importable_nbkit_comes_first(open_notebook, published, tmp_path):
    _, calls, found = open_notebook(tmp_path / "desk", NBKIT_HOME="/nowhere", PYTHONPATH=str(published))
    assert found == published
    assert "clone" not in kinds(calls)
