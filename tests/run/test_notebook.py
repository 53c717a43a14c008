"""`nbkit run` on tiny notebooks, through real kernels."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

import nbkit
from nbkit.run.__main__ import main

SETTINGS = """
from dataclasses import dataclass
from nbkit.base.params import Params, param

@dataclass(frozen=True)
class Settings(Params):
    PRESETS = {"smoke": {"steps": 2}}
    steps: int = param(5, "Steps to take.", unit="steps", low=1, high=1000)
    rate: float = param(1e-5, "Rate of the steps.")
    word: str = param("말", "A word to show.")
    shown: bool = param(True, "Whether it is shown.", identity=False)
"""


@pytest.fixture
def workshop(tmp_path, monkeypatch) -> Path:
    """A folder with a Params class that this process and the kernels can import, and signatures of its own."""
    (tmp_path / "settings_of_test.py").write_text(SETTINGS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "settings_of_test", raising=False)
    source = str(Path(nbkit.__file__).resolve().parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), source]))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    for name in ("NBKIT_HEADLESS", "NBKIT_RUN_POINTER"):
        monkeypatch.setenv(name, "")  # `nbkit run` sets them for good, a test must not
    return tmp_path


@pytest.fixture
def write(workshop):
    def write(*sources: str, name: str = "tiny", parameters: str = "settings_of_test:Settings") -> Path:
        from settings_of_test import Settings

        cells = [nbformat.v4.new_code_cell(Settings().cell(), metadata={"tags": ["parameters"]})]
        cells += [nbformat.v4.new_code_cell(source) for source in sources]
        metadata = {"language_info": {"name": "python"}, "nbkit": {"parameters": parameters}}
        path = workshop / f"{name}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
        return path

    return write


def status(workshop: Path) -> tuple[dict, nbformat.NotebookNode]:
    (found,) = (workshop / "outputs" / "runs").glob("*/run.json")
    return json.loads(found.read_text()), nbformat.read(found.with_name("run.ipynb"), as_version=4)


def texts(notebook: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


def test_a_notebook_that_runs_to_its_end(write, workshop, capfd):
    notebook = write(
        "import os; print(os.environ['NBKIT_HEADLESS'], os.getcwd())", "print(steps, rate, repr(word), shown)"
    )
    word = '007 "따옴표" it\'s \\n {braces} a=b'
    said = ["--expectation", "two steps"]
    assert main(["run", str(notebook), "--preset", "smoke", "-p", "word", word, "-p", "shown", "false", *said]) == 0
    state, executed = status(workshop)
    (remarks,) = (workshop / "outputs" / "runs").glob("tiny-*/remarks.json")
    assert json.loads(remarks.read_text(encoding="utf8"))["expectation"] == "two steps"
    assert state["state"] == "ok"
    assert state["cell"] is None
    assert state["error"] == ""
    assert state["notebook"] == "tiny.ipynb"
    assert state["preset"] == "smoke"
    assert state["parameters"] == {"steps": 2, "rate": 1e-5, "word": word, "shown": False}
    assert state["seconds"] > 0
    assert f"1 {workshop}" in texts(executed), "a notebook works in its own folder"
    assert f"2 1e-05 {word!r} False" in texts(executed)
    assert "따옴표" in executed.cells[1].source, "Korean can be read in the injected parameters"
    assert len(executed.cells) == 4, "the sentinel is taken out, the injected parameters stay"
    assert list((workshop / "outputs" / "runs" / ".running").iterdir()) == []
    shown = capfd.readouterr().out
    assert "[4/4] print(steps, rate, repr(word), shown)" in shown
    assert f"2 1e-05 {word!r} False" in shown


@pytest.mark.parametrize("word", ["-아니", "--preset", "-", "-1", "-p"])
def test_a_value_may_begin_with_a_hyphen(write, workshop, capfd, word):
    assert main(["run", str(write("print(repr(word))")), "-p", "word", word, "-p", "steps", "0"]) == 2
    assert "steps wants" in capfd.readouterr().err, "the word itself was taken"


def test_a_mirror_beside_the_caller_is_the_same_folder_in_the_kernel(write, workshop, monkeypatch):
    elsewhere = workshop / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("NBKIT_MIRROR", "backup")
    notebook = write("from nbkit.base import workspace; print(workspace.mirror())")
    assert main(["run", str(notebook)]) == 0
    assert texts(status(workshop)[1]).split() == [str(elsewhere / "backup")]


def test_the_executed_notebook_is_trusted(write, workshop):
    from nbformat.sign import NotebookNotary

    assert main(["run", str(write("1"))]) == 0
    notary = NotebookNotary()
    assert notary.check_signature(status(workshop)[1])
    notary.store.close()


def test_a_record_takes_the_notebook_in(write, workshop):
    folder = workshop / "outputs" / "runs" / "task-0123abcd"
    opened = f"from pathlib import Path; import os; folder = Path({str(folder)!r}); folder.mkdir(parents=True)"
    point = "Path(os.environ['NBKIT_RUN_POINTER']).write_text(str(folder)); print('opened', flush=True)"
    look = "import time; time.sleep(0.5); print('now', (folder / 'run.json').read_text())"
    say = "print((folder / 'remarks.json').read_text())"
    assert main(["run", str(write(opened, point, look, say)), "--hypothesis", "더 빨리"]) == 0
    state, executed = status(workshop)
    assert state["state"] == "ok"
    assert (folder / "run.ipynb").exists()
    assert '"hypothesis": "더 빨리"' in texts(executed), "it is there before anything came out"
    assert '"state": "running"' in texts(executed), "whoever is killed leaves word that it was at work"


def test_a_cell_that_raises(write, workshop, capfd):
    assert main(["run", str(write("print('before')", "1 / 0", "print('after')"))]) == 1
    state, executed = status(workshop)
    assert state["state"] == "failed"
    assert state["error"] == "ZeroDivisionError: division by zero"
    (culprit,) = [cell for cell in executed.cells if cell.get("execution_count") == state["cell"]]
    assert culprit.source == "1 / 0"
    assert "before" in texts(executed)
    assert "after" not in texts(executed)
    assert executed.cells[-1].metadata.papermill.status == "pending"
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_sys_exit_is_no_success(write, workshop):
    assert main(["run", str(write("import sys", "sys.exit(0)", "print('after')"))]) == 1
    state, executed = status(workshop)
    assert state["state"] == "failed"
    assert state["error"].startswith("SystemExit")
    assert "after" not in texts(executed)


@pytest.mark.parametrize("quick", [False, True])
def test_a_kernel_that_dies(write, workshop, capfd, quick):
    """Also one that is gone before it has said which cell it runs."""
    before = "import os" + "\nget_ipython().kernel._publish_execute_input = lambda *_: None" * quick
    assert main(["run", str(write(before, "print('last words', flush=True)\nos._exit(0)", "print('after')"))]) == 3
    state, executed = status(workshop)
    assert state["state"] == "dead"
    assert "the kernel died" in state["error"]
    (culprit,) = [cell for cell in executed.cells if cell.get("execution_count") == state["cell"]]
    assert "os._exit" in culprit.source
    assert culprit.metadata.papermill.status == "failed"
    assert executed.cells[-1].metadata.papermill.status == "pending"
    assert "dead in In [" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "step", "3"], "no parameter 'step'; did you mean steps"),
        (["-p", "steps", "0"], "Settings.steps wants an integer from 1 to 1000 steps, got 0; its default is 5"),
        (["-p", "steps", "many"], "got 'many'"),
        (["-p", "shown", "1"], "wants true or false"),
        (["--preset", "smoky"], "no preset 'smoky'; did you mean smoke"),
    ],
)
def test_wrong_parameters_are_refused_before_a_kernel_starts(write, workshop, capsys, words, said):
    assert main(["run", str(write("raise SystemError")), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (workshop / "outputs").exists()


def test_unknown_notebooks_and_classes_are_refused(write, capsys):
    assert main(["run", "99_nowhere"]) == 2
    assert "wanted a notebook, got '99_nowhere'" in capsys.readouterr().err
    for named in ("", "settings_of_test:Nothing", "json:JSONDecoder"):
        assert main(["run", str(write("1", parameters=named))]) == 2
        assert "nbkit.parameters as 'module:Class' of a Params class" in capsys.readouterr().err


def test_the_help_of_a_notebook_shows_its_parameters(write, capsys):
    assert main(["run", str(write("1")), "--help"]) == 0
    shown = capsys.readouterr().out
    assert "steps  an integer from 1 to 1000 steps; default 5" in shown
    assert "smoke  steps=2" in shown
    assert "--preset" in shown


def test_the_same_parameters_find_the_same_folder(write, workshop):
    notebook = write("1")
    for words in ([], ["-p", "shown", "false"], ["-p", "steps", "6"]):
        assert main(["run", str(notebook), "-o", str(workshop / "else{where}"), *words]) == 0
    folders = list((workshop / "else{where}" / "runs").glob("tiny-????????"))
    assert len(folders) == 2, "what is no part of the identity changes no folder"


def test_a_display_that_updates_does_not_flood_the_log(write, workshop, capfd):
    source = (
        "from IPython.display import display\n"
        "handle = display({'text/plain': 'step 0'}, raw=True, display_id=True)\n"
        "for step in range(1, 400): handle.update({'text/plain': f'step {step}'}, raw=True)"
    )
    assert main(["run", str(write(source))]) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if line.strip().startswith("step ")]
    assert lines[0].strip() == "step 0"
    assert lines[-1].strip() == "step 399"
    assert len(lines) < 10
    executed = status(workshop)[1]
    assert [output.data["text/plain"] for output in executed.cells[-1].outputs] == ["step 399"]


SAVES = """
import signal, time
from pathlib import Path
asked = []
signal.signal(signal.{signal}, lambda *_: asked.append(1))
print("working", flush=True)
while not asked: time.sleep(0.02)
time.sleep(0.3)
print(Path("saved").write_text("yes"))
"""


@pytest.fixture
def start():
    """`nbkit run` in a process of its own, once its kernel is in the cell that says "working"."""
    with contextlib.ExitStack() as processes:

        def start(notebook: Path) -> subprocess.Popen:
            command = [sys.executable, "-m", "nbkit.run", "run", str(notebook)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            processes.enter_context(process)
            processes.callback(process.kill)
            if not any(line.strip() == "working" for line in process.stdout):
                raise AssertionError(process.stderr.read())
            return process

        yield start


def finish(process: subprocess.Popen) -> str:
    return process.communicate(timeout=60)[1]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_reaches_the_kernel_which_saves_and_then_nothing_more_runs(write, workshop, start, name):
    process = start(write(SAVES.format(signal=name), "Path('after').write_text('no')"))
    process.send_signal(signal.Signals[name])
    errors = finish(process)
    assert process.returncode == 128 + signal.Signals[name], errors
    assert (workshop / "saved").exists()
    assert not (workshop / "after").exists()
    state = status(workshop)[0]
    assert state["state"] == "stopped"
    assert state["error"] == f"stopped by {name}"
    assert f"{name}: passed to the kernel" in errors


def test_a_kernel_that_does_not_listen_ends_at_the_second_signal(write, workshop, start):
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)"
    process = start(write(deaf, "print('working', flush=True)\ntime.sleep(600)"))
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert process.returncode == 128 + signal.SIGTERM
    assert status(workshop)[0]["state"] == "stopped"


def test_a_kernel_without_a_handler_goes_at_once(write, workshop, start):
    process = start(write("import time; print('working', flush=True); time.sleep(600)"))
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert process.returncode == 128 + signal.SIGTERM
    assert status(workshop)[0]["state"] == "stopped"


def test_a_killed_run_takes_its_kernel_along(write, workshop, start):
    process = start(
        write(
            "import os, time",
            "print(open('pid', 'w').write(str(os.getpid())))\nprint('working', flush=True)\ntime.sleep(600)",
        )
    )
    process.kill()
    finish(process)
    kernel = int((workshop / "pid").read_text())
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and Path(f"/proc/{kernel}").exists():
        time.sleep(0.1)
    assert not Path(f"/proc/{kernel}").exists()
