"""The files that set the project up agree with each other."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import nbkit

ROOT = Path(nbkit.__file__).resolve().parents[1]
CONDA_NAMES = {"pytorch": "torch", "pysoundfile": "soundfile", "matplotlib-base": "matplotlib"}


def requirements(lines: list[str]) -> dict[str, str]:
    """Canonical name to version specifier."""
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(one.name): str(one.specifier) for one in parsed}


def listed(name: str) -> list[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


with (ROOT / "pyproject.toml").open("rb") as file:
    PROJECT = tomllib.load(file)["project"]


def test_constraints_pin_exactly_everything_that_is_asked_for():
    pins = requirements(listed("constraints.txt"))
    assert pins["torch"] == "==2.13.0"
    assert [name for name, version in pins.items() if not re.fullmatch(r"==[\w.]+", version)] == []
    asked = requirements([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]])
    assert asked.keys() - pins.keys() == set()
    for name, specifier in asked.items():
        assert Requirement(f"{name}{specifier}").specifier.contains(pins[name][2:]), name


def test_conda_gets_the_same_packages():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (from_pip,) = (entry["pip"] for entry in environment if isinstance(entry, dict))
    lines = [entry for entry in environment if isinstance(entry, str)] + [line for line in from_pip if line != "-e ."]
    given = {CONDA_NAMES.get(name, name): version for name, version in requirements(
        [re.sub(r"(?<![<>=])=(?!=)", "==", line) for line in lines]).items()}  # fmt: skip
    wanted = requirements(PROJECT["dependencies"])
    assert {name: given.get(name) for name in wanted} == wanted


def test_colab_is_asked_for_nothing_that_it_has():
    asked = requirements(listed("requirements-colab.txt"))
    assert asked.items() <= requirements(PROJECT["dependencies"]).items()
    assert not asked.keys() & {"torch", "numpy", "ipython", "ipywidgets", "ipykernel", "matplotlib", "transformers"}
    assert all(specifier.startswith(">=") for specifier in asked.values())


def test_the_license_is_whole():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_make_help_tells_every_target():
    shown = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True, check=True).stdout
    told = re.findall(r"make ([a-z-]+)  +\S", shown)
    wanted = ["demo", "test", "setup", "params", "badges", "lint", "notebooks", "browser", "test-gpu", "test-colab"]
    assert set(wanted) <= set(told)


def test_badges_without_an_address_are_refused(tmp_path):
    (tmp_path / ".venv").mkdir()
    for name in ("pyproject.toml", "constraints.txt", "Makefile"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / ".venv" / ".ready").touch()
    result = subprocess.run(["make", "-C", tmp_path, "badges"], capture_output=True, text=True)
    assert result.returncode == 2
    assert "make badges REPO=owner/name" in result.stdout


def test_ci_names_the_data_beside_the_clone(tmp_path):
    """`.ci/run` in a clone whose make only tells what it was given."""
    clone = tmp_path / "clone"
    (clone / ".ci").mkdir(parents=True)
    (clone / ".ci" / "run").write_text((ROOT / ".ci" / "run").read_text())
    (clone / "Makefile").write_text('test:\n\t@echo "CI=$$CI data=$$NBKIT_DATA golden=$$NBKIT_GOLDEN"\n')
    (tmp_path / "shared" / "data").mkdir(parents=True)
    plain = {name: value for name, value in os.environ.items() if name not in ("NBKIT_DATA", "NBKIT_GOLDEN", "CI")}
    command = ["bash", str(clone / ".ci" / "run")]
    shown = subprocess.run(command, cwd="/", env=plain, capture_output=True, text=True, check=True).stdout
    assert f"CI=true data={tmp_path / 'shared' / 'data'} golden=\n" in shown
