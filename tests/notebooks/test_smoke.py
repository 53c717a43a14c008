"""Every notebook runs to its end with the smoke preset, in a kernel, under nbval.

nbval cannot set parameters, so it gets a copy whose parameters cell holds the values of the preset.
"""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest

import nbkit
from nbkit.run.notebook import params_class

ROOT = Path(nbkit.__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROCESSOR_SECONDS = 120  # a minute on two processors; told by the work done, since others may use them meanwhile
CELL_SECONDS = 300  # after which a cell is taken to hang


@dataclass(frozen=True)
class Checked:
    code: int
    output: str = field(repr=False)
    processor_seconds: float


def smoke_copy(notebook: Path, folder: Path) -> Path:
    """The notebook with the values of its smoke preset."""
    node = nbformat.read(notebook, as_version=4)
    (cell,) = (cell for cell in node.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source = params_class(notebook).preset("smoke").cell()
    folder.mkdir(parents=True)
    nbformat.write(node, folder / notebook.name)
    return folder / notebook.name


def check(copy: Path) -> Checked:
    """Run a notebook under nbval, its outputs and cache in its own folder."""
    (copy.parent / "pytest.ini").write_text("[pytest]\n")  # nbval is to know nothing of this project's settings
    settings = ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={CELL_SECONDS}", "-p", "no:cacheprovider"]
    folders = {"NBKIT_OUTPUTS": str(copy.parent / "outputs"), "NBKIT_CACHE": str(copy.parent / "cache")}
    search = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "pytest", "-q", *settings, str(copy)]
    environment = {**os.environ, **folders, **search}
    output = copy.with_suffix(".txt")
    with output.open("w") as file:
        process = subprocess.Popen(command, cwd=copy.parent, env=environment, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # so that nobody waits for it again
    return Checked(process.returncode, output.read_text(), usage.ru_utime + usage.ru_stime)


@pytest.mark.notebook
@pytest.mark.timeout(2 * CELL_SECONDS)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_smoke_preset_runs(path, tmp_path):
    checked = check(smoke_copy(path, tmp_path / path.stem))
    assert checked.code == 0, checked.output
    assert checked.processor_seconds < PROCESSOR_SECONDS
