import os
import sys
import types
from importlib import metadata
from pathlib import Path

import pytest

from nbkit.base import colab
from nbkit.base.colab import Place


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    """Neither on Colab nor in CI nor in a kernel, whatever runs the tests."""
    for name in ("CI", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] in ("google", "IPython")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def colab_page(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))


def test_plain_python():
    assert colab.where() is Place.PYTHON


def test_a_colab_page_and_a_headless_kernel_on_the_same_machine(colab_page, monkeypatch):
    assert colab.where() is Place.COLAB
    monkeypatch.setenv("NBKIT_HEADLESS", "1")
    assert colab.where() is Place.COLAB_VM


def test_a_terminal_on_a_colab_machine(monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab_20260819")
    assert colab.where() is Place.COLAB_VM


def test_a_kernel_and_ci(monkeypatch):
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert colab.where() is Place.JUPYTER
    monkeypatch.setenv("CI", "true")
    assert colab.where() is Place.CI


def test_an_ipython_shell_in_a_terminal_is_no_kernel(monkeypatch):
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not colab.in_kernel()


@pytest.fixture
def requirements(tmp_path, monkeypatch):
    """A project whose requirements the test writes, and what pip is asked for."""
    (tmp_path / "nbkit").mkdir()
    monkeypatch.setattr(colab.nbkit, "__file__", str(tmp_path / "nbkit" / "__init__.py"))
    monkeypatch.setenv("PYTHONPATH", "")
    asked: list[tuple[list[str], str]] = []

    def pip(command, **_):
        asked.append((command, Path(command[command.index("-c") + 1]).read_text()))
        return types.SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(colab.subprocess, "run", pip)

    def write(text: str) -> list[tuple[list[str], str]]:
        (tmp_path / "requirements-colab.txt").write_text(text)
        return asked

    return write


def test_nothing_is_installed_where_nothing_lacks(requirements, capsys):
    asked = requirements("# a comment\n\npytest>=1\n")
    colab.setup()
    colab.setup()
    assert not asked
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0] == lines[1]
    assert "nothing to install" in lines[0]


def test_what_lacks_is_installed_and_all_else_held(requirements, capsys):
    asked = requirements("pytest>=1\nno-such-thing>=2\nPyYAML>=9000\n")
    colab.setup()
    ((command, constraints),) = asked
    assert command[-2:] == ["no-such-thing>=2", "PyYAML>=9000"]
    assert f"pytest=={metadata.version('pytest')}" in constraints.splitlines()
    assert not [line for line in constraints.splitlines() if line.startswith("pyyaml==")], "what is asked for may move"
    assert "+" not in constraints, "a local version (+cu128) is on no index"
    assert "installed no-such-thing>=2, PyYAML>=9000" in capsys.readouterr().out


def test_processes_started_later_find_the_same_package_once(requirements, tmp_path):
    requirements("")
    colab.setup()
    colab.setup()
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(tmp_path)]


def test_a_failed_installation_is_told_with_pips_words(requirements, monkeypatch):
    requirements("no-such-thing")
    failed = types.SimpleNamespace(returncode=1, stderr="ERROR: No matching distribution")
    monkeypatch.setattr(colab.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match="No matching distribution; check the connection"):
        colab.setup()
