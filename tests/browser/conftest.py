"""A JupyterLab of its own and a headless Chromium, shared by the tests of a session."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import nbkit

ROOT = Path(nbkit.__file__).resolve().parents[1]
SCREENSHOTS = ROOT / "outputs" / "browser"
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
# The page says "idle" before it is connected to the kernel; the kernel's own answer to a question is what counts.
CONNECTED = """async (path) => {
  const {currentWidget} = window.jupyterapp.shell;
  if (currentWidget?.context?.path !== path) return false;
  await currentWidget.context.ready;
  await currentWidget.sessionContext.ready;
  await currentWidget.sessionContext.session.kernel.info;
  return true;
}"""
RUN_ALL = """async () => {
  const {commands, shell} = window.jupyterapp;
  await commands.execute("notebook:run-all-cells");
  return shell.currentWidget.content.model.toJSON();
}"""


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


@dataclass
class View:
    """A browser tab that notes what goes wrong in it: errors of our pages, requests that would leave this machine."""

    page: Any
    errors: list[str]
    outside: list[str]

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def assert_clean(self) -> None:
        assert not self.errors
        assert not self.outside


@pytest.fixture
def view(chromium) -> Iterator[View]:
    page = chromium.new_page(viewport={"width": 1280, "height": 1000})
    found = View(page, [], [])

    def note(message) -> None:
        # JupyterLab's own scripts may complain; what stands in an output or in a file of ours may not
        if message.type == "error" and "/static/" not in message.location.get("url", ""):
            found.errors.append(message.text)

    def guard(route) -> None:
        if route.request.url.split("://")[-1].startswith("127.0.0.1"):
            route.continue_()
        else:
            found.outside.append(route.request.url)
            route.abort()

    page.on("console", note)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.route("http*://**", guard)
    yield found
    page.close()


@dataclass
class Lab:
    """A running JupyterLab whose root is `folder`."""

    url: str
    folder: Path

    def open(self, view: View, path: Path) -> None:
        """Open a notebook below `folder` and wait for its kernel."""
        place = path.relative_to(self.folder).as_posix()
        view.page.goto(f"{self.url}/doc/tree/{place}?reset")
        view.page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context", timeout=60_000)
        view.page.wait_for_function(CONNECTED, arg=place, timeout=60_000)

    def run_notebook(self, view: View, path: Path) -> dict[str, Any]:
        """Open, run all cells, look at each of them, take a picture of the whole; returns the notebook with outputs."""
        self.open(view, path)
        notebook = view.page.evaluate(RUN_ALL)
        failed = [
            o["evalue"] for cell in notebook["cells"] for o in cell.get("outputs", ()) if o["output_type"] == "error"
        ]
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert failed or all(cell["execution_count"] for cell in code), "the browser did not run every cell"
        cells = view.page.locator(".jp-Notebook .jp-Cell")
        for index in range(cells.count()):
            cells.nth(index).scroll_into_view_if_needed()
        inner = view.page.locator(".jp-Notebook .jp-WindowedPanel-inner, .jp-Notebook").last
        height = inner.evaluate("node => node.scrollHeight")
        view.page.set_viewport_size({"width": 1280, "height": min(height + 200, 16_000)})
        cells.first.scroll_into_view_if_needed()
        view.screenshot(path.stem)
        return notebook


@pytest.fixture(scope="session")
def lab(chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a free port of this machine, with settings, kernels' outputs and caches of its own."""
    pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
    folder = tmp_path_factory.mktemp("lab")
    for name, values in SETTINGS.items():
        file = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = folder / "notebooks"
    root.mkdir()
    options = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "root_dir": root, "allow_root": True}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--IdentityProvider.token="]
    command += [f"--ServerApp.{key}={value}" for key, value in options.items()]
    command += ["--LabApp.expose_app_in_browser=True"]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=_environment(folder), cwd=root)
    try:
        _wait(f"http://127.0.0.1:{port}/api/status", server, folder / "server.log")
        yield Lab(f"http://127.0.0.1:{port}", root)
    finally:
        server.terminate()
        server.wait(20)


def _environment(folder: Path) -> dict[str, str]:
    own = {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
        "NBKIT_OUTPUTS": "outputs",
        "NBKIT_CACHE": "cache",
    }
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, **{name: str(folder / place) for name, place in own.items()}, "PYTHONPATH": search}


def _wait(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")
