"""Every test gets its own outputs and cache; tests that need something say what, and are skipped with a reason.

Several processes share the tests where pytest is told to (`-n`), a file each, so that what a module makes is made once.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# where such a variable is set, a skip of a test with that marker is a failure
_MUST_RUN = {"gpu": "NBKIT_REQUIRE_GPU", "browser": "CI", "compiler": "CI"}

if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):  # before anything asks how many threads it may use
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    from xdist.scheduler import LoadScopeScheduling

    class ByPlace(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return place(nodeid)

    return ByPlace(config, log)


def place(nodeid: str) -> str:
    """What one process runs as a whole: a file, all that looks at the same servers and browser, or one notebook."""
    file = nodeid.partition("::")[0]
    if file.startswith("tests/browser/"):
        return "tests/browser"
    return nodeid if file == "tests/notebooks/test_smoke.py" else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("network"):
            item.add_marker(pytest.mark.enable_socket)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA GPU")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    found = [marker for marker in _MUST_RUN if item.get_closest_marker(marker)]
    for marker in found[:1]:  # what needs a GPU is skipped for want of one, whatever else it needs
        variable = _MUST_RUN[marker]
        if report.skipped and os.environ.get(variable):
            report.outcome = "failed"
            report.longrepr = f"skipped, but {variable} is set, so it has to run: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the folders of the person who runs it."""
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "cache"))
    for name in ("NBKIT_HOME", "NBKIT_MIRROR", "NBKIT_DRIVE", "NBKIT_HEADLESS", "NBKIT_RUN_POINTER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The manifests of an empty project."""
    folder = tmp_path / "home" / "data_manifests"
    folder.mkdir(parents=True)
    monkeypatch.setenv("NBKIT_HOME", str(folder.parent))
    return folder


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets."""
    return _folder("NBKIT_DATA")


@pytest.fixture
def golden() -> Path:
    """The folder of outputs of other implementations."""
    return _folder("NBKIT_GOLDEN")


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    if not Path(value).is_dir():
        pytest.fail(f"{variable} names {value}, which is not a folder")
    return Path(value)
