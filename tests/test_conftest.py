"""The promises of conftest.py and of pytest's settings, kept to a small suite that breaks each of them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SUITE = """
import os, socket, warnings
import pytest

@pytest.mark.browser
def test_browser():
    pytest.skip("no Chromium")

@pytest.mark.gpu
def test_gpu():
    pytest.skip("no GPU to be seen")

def test_warning():
    warnings.warn("careless")

def test_outside():
    with socket.socket() as one:
        one.settimeout(1)
        one.connect(("192.0.2.1", 80))

def test_loopback():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass

def test_folders(tmp_path):
    assert os.environ["NBKIT_OUTPUTS"].startswith(str(tmp_path))
    assert os.environ["NBKIT_CACHE"].startswith(str(tmp_path))

@pytest.mark.network
def test_network():
    pass

def test_data(real_data):
    pass
"""


@pytest.fixture(params=[[], ["-n", "2"]], ids=["one process", "two processes"])
def suite(request, tmp_path):
    """Run the suite; gives the outcome of each of its tests by name."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(SUITE)
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def run(**environment: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("CI", "NBKIT_DATA")}
        command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *request.param, "tests"]
        result = subprocess.run(command, cwd=tmp_path, env={**kept, **environment}, capture_output=True, text=True)
        one_process = r"test_it\.py::test_(?P<name>\w+) (?P<outcome>[A-Z]+)"
        of_several = r"(?P<outcome>[A-Z]+) tests/test_it\.py::test_(?P<name>\w+) *$"
        pattern = of_several if request.param else one_process
        return {found["name"]: found["outcome"] for found in re.finditer(pattern, result.stdout, re.MULTILINE)}

    return run


def test_a_plain_machine(suite):
    assert suite() == {
        "browser": "SKIPPED",
        "gpu": "SKIPPED",
        "warning": "FAILED",
        "outside": "FAILED",
        "loopback": "PASSED",
        "folders": "PASSED",
        "data": "SKIPPED",
    }


def test_where_tests_must_run_a_skip_is_a_failure(suite):
    outcomes = suite(CI="true", NBKIT_REQUIRE_GPU="1", NBKIT_DATA="/nowhere")
    assert outcomes["browser"] == "FAILED"
    assert outcomes["gpu"] in ("FAILED", "ERROR")  # ERROR where it already skips while it is set up
    assert outcomes["data"] == "ERROR"
