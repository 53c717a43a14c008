import os
import subprocess
import sys
import types
from importlib import metadata
from pathlib import Path

import pytest
from fake_colab import FakeColab, run_cells

import nbkit
from nbkit.base import colab
from nbkit.base.colab import Place

LOOK = "from nbkit.base import colab; print(colab.where().value, colab.in_kernel())"
above_is_a_kernel = colab._started_by_a_program()
STARTED = """
import subprocess, sys
print(subprocess.run([sys.executable, *{words!r}], capture_output=True, text=True, check=True).stdout)
"""
# a kernel inside a kernel: what papermill does in a cell of its own, where nobody has set NBKIT_HEADLESS
NESTED = """
import os, sys
sys.path.insert(0, {here!r})
from fake_colab import run_cells
print(*run_cells([{look!r}], ".", dict(os.environ)))
"""


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    """Neither on Colab nor in CI nor in a kernel, whatever runs the tests."""
    for name in ("CI", "COLAB_RELEASE_TAG", "NBKIT_MIRROR", "NBKIT_DRIVE"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] in ("google", "IPython")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(colab, "_started_by_a_program", lambda: False)
    monkeypatch.setenv("PYTHONPATH", str(Path(nbkit.__file__).resolve().parents[1]))


@pytest.fixture
def fake(tmp_path, monkeypatch) -> FakeColab:
    return FakeColab(tmp_path / "colab")


def in_kernels(cells: list[str], folder: Path, **environment: str) -> list[str]:
    return [text.strip() for text in run_cells(cells, folder, {**os.environ, **environment})]


def of_python(*words: str, **environment: str) -> str:
    result = subprocess.run([sys.executable, *words], env={**os.environ, **environment}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_plain_python_and_a_shell_in_a_terminal():
    assert of_python("-c", LOOK) == "python False"
    assert of_python("-m", "IPython", "-c", LOOK).endswith("python False")  # IPython 7 names its window first


@pytest.mark.parametrize("value", ["true", "1", "woodpecker"])
def test_ci(value):
    assert of_python("-c", LOOK, CI=value) == "ci False"


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_a_variable_that_says_no_is_no_ci(monkeypatch, value):
    monkeypatch.setenv("CI", value)
    assert colab.where() is Place.PYTHON


def test_a_kernel(tmp_path):
    # importing the package of Colab does not make a machine of Colab
    imported = "import sys, types; sys.modules['google.colab'] = types.ModuleType('google.colab')"
    assert in_kernels([LOOK, f"{imported}; {LOOK}"], tmp_path) == ["jupyter True", "jupyter True"]


def test_a_kernel_in_ci(tmp_path):
    assert in_kernels([LOOK], tmp_path, CI="true") == ["ci True"]


def test_the_kernel_of_a_page_and_what_is_started_from_it(fake, tmp_path):
    if above_is_a_kernel:
        pytest.skip("a kernel runs these tests, so that no kernel of theirs is the one of a page")
    terminal = STARTED.format(words=["-c", LOOK])
    nested = STARTED.format(words=["-c", NESTED.format(here=str(Path(__file__).parent), look=LOOK)])
    shown = in_kernels([LOOK, terminal, nested], tmp_path, **fake.environment())
    assert shown == ["colab True", "colab-vm False", "colab-vm True"]


def test_a_headless_kernel(fake, tmp_path):
    assert in_kernels([LOOK], tmp_path, NBKIT_HEADLESS="1", **fake.environment()) == ["colab-vm True"]


def test_a_process_of_the_machine_that_imports_googles_package(fake, monkeypatch):
    fake.enter(monkeypatch)
    assert colab.where() is Place.COLAB
    monkeypatch.delitem(sys.modules, "IPython")
    assert colab.where() is Place.COLAB_VM


@pytest.mark.parametrize(
    "ipython", [None, types.ModuleType("IPython"), types.SimpleNamespace(get_ipython=lambda: None)]
)
def test_an_ipython_that_is_only_half_there(monkeypatch, ipython):
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not colab.in_kernel()
    assert colab.where() is Place.PYTHON


@pytest.mark.parametrize(
    ("command", "is_one"),
    [
        ("/usr/bin/python3\0-m\0colab_kernel_launcher\0-f\0/content/kernel-1.json", True),
        ("/usr/bin/python3\0-Xfrozen_modules=off\0-m\0ipykernel_launcher\0-f\0kernel.json", True),
        ("/usr/bin/python3\0/usr/local/bin/papermill\0in.ipynb\0out.ipynb", True),
        ("/usr/bin/python3\0/usr/local/bin/jupyter-nbconvert\0--execute\0in.ipynb", True),
        ("/usr/bin/python3\0/usr/local/bin/jupyter-server\0--allow-root", False),
        ("node\0/datalab/web/app.js", False),
        ("python\0-m\0pytest\0tests/run\0-k\0papermill", False),
    ],
)
def test_who_starts_kernels_that_no_page_talks_to(monkeypatch, command, is_one):
    monkeypatch.undo()
    monkeypatch.setattr(colab.os, "getppid", lambda: 7)
    monkeypatch.setattr(colab.Path, "read_bytes", lambda self: command.encode())
    monkeypatch.setattr(colab.Path, "read_text", lambda self, **_: "7 (a) name)) S 1 7 7 0 -1")
    assert colab._started_by_a_program() is is_one


def test_where_there_is_no_proc_nobody_is_above(monkeypatch):
    monkeypatch.undo()

    def absent(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(colab.Path, "read_bytes", absent)
    assert colab._started_by_a_program() is False


def test_a_secret_of_the_environment_comes_first(fake, monkeypatch):
    fake.enter(monkeypatch)
    fake.set(secrets={"HF_TOKEN": "of the page"})
    assert colab.secret("HF_TOKEN") == "of the page"
    monkeypatch.setenv("HF_TOKEN", "of the environment")
    assert colab.secret("HF_TOKEN") == "of the environment"
    assert fake.calls() == [["userdata.get", {"key": "HF_TOKEN"}]]


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({}, "there is none of that name"),
        ({"secrets": {"HF_TOKEN": None}}, "this notebook may not read it"),
        ({"page": False}, "the page did not answer"),
    ],
)
def test_why_the_page_gave_no_secret_is_told_in_one_line(fake, monkeypatch, capsys, answers, told):
    fake.enter(monkeypatch)
    fake.set(**answers)
    assert colab.secret("HF_TOKEN") is None
    assert capsys.readouterr().out == (
        f"Colab gave no secret HF_TOKEN: {told}; see to it under the key at the left edge of the page\n"
    )


def test_only_the_kernel_of_the_page_asks_it_for_secrets(fake, monkeypatch, capsys):
    fake.enter(monkeypatch)
    fake.set(secrets={"HF_TOKEN": "of the page"})
    monkeypatch.setenv("NBKIT_HEADLESS", "1")
    assert colab.secret("HF_TOKEN") is None
    assert fake.calls() == []
    assert capsys.readouterr().out == ""


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


def test_programs_started_in_a_cell_are_those_of_the_kernel(requirements, monkeypatch):
    requirements("")
    monkeypatch.setenv("PATH", "/usr/bin")
    colab.setup()
    colab.setup()
    assert os.environ["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]


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
