"""Colab's own packages do for this project, and what it installs there beside them moves none of them."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import nbkit

ROOT = Path(nbkit.__file__).resolve().parents[1]
FREEZE = ROOT / "tests" / "colab_freeze.txt"


def listed(path: Path) -> list[Requirement]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


THERE = {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in listed(FREEZE)}
ASKED = listed(ROOT / "requirements-colab.txt")


def test_only_what_colab_lacks_is_installed_there():
    assert {canonicalize_name(one.name) for one in ASKED} & THERE.keys() == set()


def test_colab_has_the_rest_in_versions_that_do():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {canonicalize_name(one.name) for one in ASKED}
    lacking = []
    for line in project["dependencies"]:
        wanted = Requirement(line)
        name = canonicalize_name(wanted.name)
        if name not in asked and (name not in THERE or not wanted.specifier.contains(THERE[name], prereleases=True)):
            lacking.append(f"{line}, Colab has {THERE.get(name, 'none')}")
    assert lacking == [], "lower the bound, or add it to requirements-colab.txt"


def resolve(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """pip's plan for Python 3.13 and an empty machine, where what Colab has comes in Colab's versions or not at all."""
    here = sys.executable if sys.version_info[:2] == (3, 13) else None
    python = os.environ.get("COLAB_PYTHON") or here or shutil.which("python3.13")
    assert python, "wanted Colab's Python 3.13, which is not here; name one with COLAB_PYTHON"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--disable-pip-version-check"]
    command += ["--dry-run", "--ignore-installed", "--only-binary=:all:", "--report", str(folder / "plan.json")]
    return subprocess.run([*command, "-c", str(FREEZE), *words], capture_output=True, text=True)


@pytest.mark.network
def test_what_is_installed_on_colab_moves_nothing(tmp_path):
    done = resolve(tmp_path, "-r", str(ROOT / "requirements-colab.txt"))
    assert done.returncode == 0, done.stderr
    plan = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert plan["environment"]["python_version"] == "3.13"
    chosen = {canonicalize_name(one["metadata"]["name"]): one["metadata"]["version"] for one in plan["install"]}
    new = {name: version for name, version in chosen.items() if name not in THERE}
    print(f"new on Colab: {new}; {len(chosen) - len(new)} of Colab's own are used")
    assert {canonicalize_name(one.name) for one in ASKED} <= new.keys()
    assert {name: version for name, version in chosen.items() if THERE.get(name, version) != version} == {}


@pytest.mark.network
@pytest.mark.parametrize("asked", ["ipywidgets>=8", "ipython>=8", "numpy>=2.3"])
def test_what_would_move_something_is_noticed(tmp_path, asked):
    done = resolve(tmp_path, asked)
    assert done.returncode != 0
    assert "conflicting" in done.stderr
