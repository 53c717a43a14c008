"""The first cell of every notebook, run where nbkit cannot be imported: on a Colab page and in a bare folder."""

import json
import os
import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fake_colab import FakeColab, run_cells

import nbkit
from nbkit.run.notebooks import repository, setup_cell

SITE = site.getsitepackages()[0]
# Python without site-packages' .pth files, so that an editable nbkit is not found; pip is only written down.
DRIVER = """
import json, pathlib, subprocess, sys, types
packages, cell = sys.argv[1:]
sys.path.append(packages)
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
KERNEL = """
import sys
sys.path += [{installed!r}, {packages!r}]
from ipykernel.kernelapp import launch_new_instance
launch_new_instance()
"""
CLOCK = "import time; started = time.perf_counter()"
READ = "print(time.perf_counter() - started)"
LOOK = "import nbkit, no_such_package; print(nbkit.__file__, no_such_package.__file__)"


@pytest.fixture
def published(tmp_path) -> Path:
    """The project as a git repository, which asks for a package that lacks."""
    folder = tmp_path / "published"
    shutil.copytree(Path(nbkit.__file__).parent, folder / "nbkit", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "requirements-colab.txt").write_text("pytest>=1\nno-such-package>=3\n")
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run(["git", *identity, *words], cwd=folder, check=True)
    return folder


@pytest.fixture
def plain(monkeypatch) -> dict[str, str]:
    """The environment without what names an nbkit or a place."""
    for name in ("PYTHONPATH", "COLAB_RELEASE_TAG", "CI"):
        monkeypatch.delenv(name, raising=False)
    return dict(os.environ)


@pytest.fixture
def open_notebook(tmp_path, published, plain):
    """Run the cell twice in a fresh Python; gives what it printed, the commands it ran, the nbkit it found."""

    def open_notebook(folder: Path, **environment: str) -> tuple[list[str], list, Path]:
        folder.mkdir(parents=True, exist_ok=True)
        cell = tmp_path / "cell.py"
        cell.write_text(setup_cell(published.as_uri()).replace("/content", str(tmp_path / "content")))
        command = [sys.executable, "-S", "-c", DRIVER, SITE, str(cell)]
        result = subprocess.run(command, cwd=folder, env={**plain, **environment}, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        told = json.loads(result.stderr.splitlines()[-1])
        return result.stdout.splitlines(), told["calls"], Path(told["nbkit"]).parents[1]

    return open_notebook


def kinds(calls: list[list[str]]) -> list[str]:
    return ["pip" if "pip" in call else call[1] for call in calls]


@pytest.fixture
def page(tmp_path, published, plain):
    """Run cells on a Colab page: a kernel without nbkit, git that finds GitHub here, pip that finds one package here.

    What the first cell runs is what it would run there: git clones, pip resolves and installs.
    """
    fake = FakeColab(tmp_path)
    index, installed = tmp_path / "index", tmp_path / "installed"
    _wheel(index, "no_such_package", "3.1")
    environment = plain | fake.environment() | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{published.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://github.com/{repository()}",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
        "PIP_TARGET": str(installed),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }  # fmt: skip
    options = ("-S", "-c", KERNEL.format(installed=str(installed), packages=SITE))
    content = tmp_path / "content"
    source = setup_cell(f"https://github.com/{repository()}").replace("/content", str(content))

    def page(*cells: str) -> list[str]:
        written = [source if cell == "SETUP" else cell for cell in cells]
        return [text.strip() for text in run_cells(written, content, environment, options)]

    return page


def _wheel(folder: Path, name: str, version: str) -> None:
    folder.mkdir()
    about = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def test_on_a_colab_page_from_nothing_to_an_import_and_again(page, tmp_path):
    home, content = tmp_path / "content" / "nbkit", tmp_path / "content"
    absent = "import importlib.util; print(importlib.util.find_spec('nbkit'))"
    said = page(absent, CLOCK, "SETUP", READ, LOOK, CLOCK, "SETUP", READ)
    assert said[0] == "None", "nbkit is nowhere"
    line = f"nbkit {nbkit.__version__} from {home} on colab, "
    told = "installing no-such-package>=3: half a minute, once on a machine"
    assert said[2].splitlines() == [told, line + "installed no-such-package>=3"]
    assert said[4] == f"{home}/nbkit/__init__.py {tmp_path}/installed/no_such_package.py"
    assert said[6] == line + "nothing to install"
    assert float(said[7]) < 3
    # the person restarts the kernel: it begins in the folder that holds the clone under the package's own name
    again = page(CLOCK, "SETUP", READ, LOOK)
    assert again[1] == line + "nothing to install"
    assert float(again[2]) < 3
    assert again[3] == said[4]
    assert os.listdir(content) == ["nbkit"]


def test_a_copy_on_drive_is_used(page, published, tmp_path):
    copy = tmp_path / "content" / "drive" / "MyDrive" / "nbkit"
    shutil.copytree(published, copy)
    line = f"nbkit {nbkit.__version__} from {copy} on colab, installed no-such-package>=3"
    assert page("SETUP")[0].splitlines()[-1] == line
    assert not (tmp_path / "content" / "nbkit").exists()


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


def test_an_importable_nbkit_comes_first(open_notebook, published, tmp_path):
    _, calls, found = open_notebook(tmp_path / "desk", NBKIT_HOME="/nowhere", PYTHONPATH=str(published))
    assert found == published
    assert "clone" not in kinds(calls)
