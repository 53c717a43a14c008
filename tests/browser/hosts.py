"""A browser tab that notes what goes wrong, and servers of notebooks to open in it."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

import nbkit

ROOT = Path(nbkit.__file__).resolve().parents[1]
SCREENSHOTS = ROOT / "outputs" / "browser"
# The page says "idle" before it is connected to the kernel; the kernel's own answer to a question is what counts.
LAB_OPENED = "(path) => window.jupyterapp?.shell.currentWidget?.context?.path === path"
LAB_CONNECTED = """async () => {
  const {context, sessionContext} = window.jupyterapp.shell.currentWidget;
  await context.ready;
  await sessionContext.ready;
  await sessionContext.session.kernel.info;
}"""
LAB_RUN_ALL = """async () => {
  const {commands, shell} = window.jupyterapp;
  await commands.execute("notebook:run-all-cells");
  return shell.currentWidget.content.model.toJSON();
}"""
LAB_RUN_LAST = """async () => {
  const {commands, shell} = window.jupyterapp;
  const {content} = shell.currentWidget;
  content.deselectAll();
  content.activeCellIndex = content.widgets.length - 1;
  await commands.execute("notebook:run-cell");
  return content.activeCell.model.toJSON();
}"""
CLASSIC_OPENED = """(path) => {
  const {notebook} = window.Jupyter ?? {};
  return notebook?.notebook_path === path && notebook.get_cells().length && notebook.kernel?.is_connected();
}"""
CLASSIC_CONNECTED = "() => new Promise((answered) => window.Jupyter.notebook.kernel.kernel_info(answered))"
# A cell is done when its reply has come; its output may be a little behind, but not behind the next answer.
CLASSIC_DONE = """const done = async (cells) => {
  const passed = (milliseconds) => new Promise((then) => setTimeout(then, milliseconds));
  while (cells.some((cell) => cell.element.hasClass("running"))) await passed(50);
  await new Promise((answered) => window.Jupyter.notebook.kernel.kernel_info(answered));
  await passed(200);
};"""
CLASSIC_RUN_ALL = f"""async () => {{
  {CLASSIC_DONE}
  const {{notebook}} = window.Jupyter;
  notebook.execute_all_cells();
  await done(notebook.get_cells().filter((cell) => cell.cell_type === "code"));
  return notebook.toJSON();
}}"""
CLASSIC_RUN_LAST = f"""async () => {{
  {CLASSIC_DONE}
  const cell = window.Jupyter.notebook.get_cells().at(-1);
  cell.execute();
  await done([cell]);
  return cell.toJSON();
}}"""


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


@contextlib.contextmanager
def looking(chromium: Any) -> Iterator[View]:
    """A tab of its own, whose requests may reach this machine only."""
    page = chromium.new_page(viewport={"width": 1280, "height": 1000})
    found = View(page, [], [])

    def note(message) -> None:
        # Jupyter's own scripts may complain, and `outside` has what was not let out; the rest may not
        place = message.location.get("url", "")
        if message.type == "error" and not re.search("/static/|/nbextensions/", place) and place not in found.outside:
            found.errors.append(message.text)

    def guard(route) -> None:
        if route.request.url.split("://")[-1].startswith("127.0.0.1"):
            route.continue_()
        else:
            found.outside.append(route.request.url)
            route.abort()

    page.on("console", note)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.route(re.compile("^https?://"), guard)
    yield found
    page.close()


@dataclass(frozen=True)
class Host:
    """A running server of notebooks whose root is `folder`; its kinds say how their page is asked."""

    url: str
    folder: Path

    name: ClassVar[str]
    address: ClassVar[str]  # of a notebook, {} is its path
    opened: ClassVar[str]  # script: is the notebook of this path there
    connected: ClassVar[str]  # script that ends when the kernel answers
    run_all: ClassVar[str]  # script: runs all cells, gives the notebook with its outputs
    run_last: ClassVar[str]  # the same of the last cell
    cells: ClassVar[str]
    outputs: ClassVar[str]
    scrolled: ClassVar[str]  # what holds all cells and scrolls
    handle: ClassVar[str]  # of a slider

    @property
    def environment(self) -> dict[str, str]:
        """Of the server and its kernels."""
        return _environment(self.folder.parent)

    def open(self, view: View, path: Path) -> None:
        """Open a notebook below `folder` and wait for its kernel."""
        place = path.relative_to(self.folder).as_posix()
        view.page.goto(self.url + self.address.format(place))
        view.page.wait_for_function(self.opened, arg=place, timeout=60_000)
        view.page.evaluate(self.connected)

    def run_last_cell(self, view: View) -> str:
        """What the last cell prints now."""
        return "".join(view.page.evaluate(self.run_last)["outputs"][0]["text"]).strip()

    def run_notebook(self, view: View, path: Path) -> dict[str, Any]:
        """Open, run all cells, look at each of them, take a picture of the whole; returns the notebook with outputs."""
        self.open(view, path)
        notebook = view.page.evaluate(self.run_all)
        failed = [
            o["evalue"] for cell in notebook["cells"] for o in cell.get("outputs", ()) if o["output_type"] == "error"
        ]
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert failed or all(cell["execution_count"] for cell in code), "the browser did not run every cell"
        cells = view.page.locator(self.cells)
        for index in range(cells.count()):
            cells.nth(index).scroll_into_view_if_needed()
        height = view.page.locator(self.scrolled).last.evaluate("node => node.scrollHeight")
        view.page.set_viewport_size({"width": 1280, "height": min(height + 200, 16_000)})
        cells.first.scroll_into_view_if_needed()
        view.screenshot(path.stem if self.name == "lab" else f"{path.stem}-{self.name}")
        return notebook


class Lab(Host):
    """JupyterLab, with ipywidgets 8."""

    name, address = "lab", "/doc/tree/{}?reset"
    opened, connected, run_all, run_last = LAB_OPENED, LAB_CONNECTED, LAB_RUN_ALL, LAB_RUN_LAST
    cells, outputs = ".jp-Notebook .jp-Cell", ".jp-OutputArea-output"
    scrolled, handle = ".jp-Notebook .jp-WindowedPanel-inner, .jp-Notebook", ".noUi-handle"


class Classic(Host):
    """The classic Notebook, with ipywidgets 7."""

    name, address = "classic", "/notebooks/{}"
    opened, connected, run_all, run_last = CLASSIC_OPENED, CLASSIC_CONNECTED, CLASSIC_RUN_ALL, CLASSIC_RUN_LAST
    cells, outputs = "#notebook-container .cell", ".output_subarea"
    scrolled, handle = "#site", ".ui-slider-handle"


@contextlib.contextmanager
def serving(
    program: Sequence[str], application: str, root_name: str, options: Sequence[str], folder: Path
) -> Iterator[tuple[str, Path]]:
    """A server on a free port of this machine, with settings, kernels' outputs and caches below `folder`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = folder / "notebooks"
    root.mkdir()
    values = {"ip": "127.0.0.1", "port": port, "port_retries": 0, root_name: root, "allow_root": True}
    command = [*program, "--no-browser", *options, *(f"--{application}.{key}={value}" for key, value in values.items())]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=_environment(folder), cwd=root)
    try:
        _wait(f"http://127.0.0.1:{port}/api/status", server, folder / "server.log")
        yield f"http://127.0.0.1:{port}", root
    finally:
        server.terminate()
        server.wait(20)


def _environment(folder: Path) -> dict[str, str]:
    own = {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
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
    pytest.fail(f"{server.args} did not start: {log.read_text()[-2000:]}")
