"""A headless Chromium, a JupyterLab and a classic Notebook of our own, shared by the tests of a session."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hosts import ROOT, Classic, Lab, View, looking, serving

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
# Lab's own habits: no news, and cells that exist in the page also while they are out of sight
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
    "docmanager-extension/plugin": {"autosave": False},
}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless browser, playwright's or the system's."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as session:
        names = ("chromium", "chromium-browser", "google-chrome")
        own = session.chromium.executable_path
        path = next(filter(None, map(shutil.which, names)), own if Path(own).exists() else None)
        if path is None:
            pytest.skip("no Chromium; tests/browser/install_chromium.sh installs it")
        browser = session.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def view(chromium) -> Iterator[View]:
    with looking(chromium) as found:
        yield found


@pytest.fixture(scope="module")
def module_view(chromium) -> Iterator[View]:
    """One tab for the tests of a file, which look at one notebook."""
    with looking(chromium) as found:
        yield found


@pytest.fixture(scope="session")
def lab(chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The JupyterLab of constraints.txt."""
    pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
    folder = tmp_path_factory.mktemp("lab")
    for name, values in SETTINGS.items():
        file = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    options = ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]
    with serving([sys.executable, "-m", "jupyterlab"], "ServerApp", "root_dir", options, folder) as (url, root):
        yield Lab(url, root)


@pytest.fixture(scope="session")
def classic(chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classic]:
    """The classic Notebook with ipywidgets 7.7.1, in the environment that `make .venv-classic/.ready` has made."""
    if not (ROOT / ".venv-classic" / ".ready").exists():
        pytest.skip("no .venv-classic; `make browser` makes it")
    python = ROOT / ".venv-classic" / "bin" / "python"
    folder = tmp_path_factory.mktemp("classic")
    options = ["--NotebookApp.token="]
    with serving([str(python), "-m", "notebook"], "NotebookApp", "notebook_dir", options, folder) as (url, root):
        yield Classic(url, root)
