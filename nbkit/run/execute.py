"""One notebook executed through papermill, with the truth about how it ended.

papermill alone cannot tell: it marks cells that never ran as completed after the kernel died, and takes `sys.exit(0)`
in a cell for success. So a last cell is appended whose output is the only proof of success.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from ipykernel.kernelspec import make_ipkernel_cmd
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError

OK, FAILED, DEAD, STOPPED = "ok", "failed", "dead", "stopped"
_DISPLAY_EVERY = 5.0  # seconds between two lines of a display that updates
_SENTINEL = "nbkit-sentinel"


@dataclass(frozen=True)
class Outcome:
    """How an execution ended.

    state  ok: every cell ran | failed: a cell raised, sys.exit counts | dead: the kernel died | stopped: by a signal
    cell   the n of In [n] where it ended, None where all ran or none did
    error  in words, "" where all ran
    code   exit status of the command
    """

    state: str
    cell: int | None
    error: str
    code: int
    seconds: float


class _Stopped(Exception):
    """A signal came; no further cell is to run."""


@dataclass
class _Session:
    """What the command, the signal handler and papermill's client share."""

    heartbeat: Callable[[], None]
    kernel: int | None = None
    signal: int | None = None

    def on_signal(self, number: int, _frame: object) -> None:
        """Hand the signal to the kernel, whose training saves and leaves; a second one ends the kernel at once."""
        again, self.signal = self.signal is not None, number
        words = "ending the kernel" if again else "passed to the kernel, which may save; once more ends it at once"
        os.write(2, f"\n{signal.Signals(number).name}: {words}\n".encode())  # print is not safe in a handler
        if self.kernel is not None:
            with contextlib.suppress(ProcessLookupError):
                # only the kernel itself: it has workers in its group that it still needs for saving
                os.kill(self.kernel, signal.SIGKILL if again else number)


def execute(
    source: Path, target: Path, parameters: dict[str, Any], heartbeat: Callable[[], None] = lambda: None
) -> Outcome:
    """Run a notebook in a kernel of this Python and write it with its outputs.

    source      the notebook, which is not changed; its folder is the working directory
    target      where the executed notebook is kept up to date, complete when this returns
    parameters  name to value, for the cell tagged `parameters`
    heartbeat   called at every message of the kernel
    """
    started = time.monotonic()
    token = secrets.token_hex(8)
    notebook = nbformat.read(source, as_version=4)
    end = nbformat.v4.new_code_cell(f"print({token!r})", metadata={"tags": [_SENTINEL]})
    notebook.cells.append(end)
    nbformat.write(notebook, target)
    session = _Session(heartbeat)
    died = ""
    path = str(target).replace("{", "{{").replace("}", "}}")  # papermill formats its paths
    try:
        with _handling(session):
            papermill.execute_notebook(
                path, path, parameters, engine_name="nbkit", kernel_name="python3", progress_bar=False,
                cwd=str(source.parent.resolve()), session=session,
            )  # fmt: skip
    except (PapermillExecutionError, _Stopped):
        pass  # read from the notebook and the session below
    except RuntimeError as error:  # nbclient's DeadKernelError, or no answer at the start
        died = str(error)
    executed = nbformat.read(target, as_version=4)
    outcome = _outcome(executed.cells, token, session.signal, died, time.monotonic() - started)
    _tidy(executed, source, target, outcome)
    nbformat.write(executed, target)
    return outcome


def _outcome(cells: list[NotebookNode], token: str, number: int | None, died: str, seconds: float) -> Outcome:
    code = [cell for cell in cells if cell.cell_type == "code"]
    last = max((cell.execution_count or 0 for cell in code), default=0) or None
    errors = [
        f"{output.ename}: {output.evalue}" for cell in code for output in cell.outputs if output.output_type == "error"
    ]
    if any(token in output.get("text", "") for output in code[-1].outputs):
        return Outcome(OK, None, "", 0, seconds)
    if number is not None:
        return Outcome(STOPPED, last, f"stopped by {signal.Signals(number).name}", 128 + number, seconds)
    if died:
        return Outcome(DEAD, last, f"the kernel died ({died.rstrip('.')}), perhaps out of memory", 3, seconds)
    return Outcome(FAILED, last, errors[0] if errors else "a cell ended the notebook without an error", 1, seconds)


def _tidy(notebook: NotebookNode, source: Path, target: Path, outcome: Outcome) -> None:
    """Take the sentinel out and correct what papermill says of cells that did not run to their end."""
    notebook.cells = [cell for cell in notebook.cells if _SENTINEL not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):  # papermill writes Korean as escapes
            cell.source = re.sub(r"(?<!\\)\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), cell.source)
    notebook.metadata.papermill.update(input_path=source.name, output_path=target.name)
    for cell in notebook.cells:
        if cell.cell_type == "code" and outcome.state != OK:
            if cell.execution_count is None:
                cell.metadata.papermill["status"] = "pending"
            elif cell.execution_count == outcome.cell:
                cell.metadata.papermill["status"] = "failed"


@contextlib.contextmanager
def _handling(session: _Session) -> Iterator[None]:
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    # what the caller ignores, as nohup does with SIGHUP, stays ignored
    before = {number: signal.getsignal(number) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, session.on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _ThisPython(KernelSpecManager):
    """Kernels are this Python, whatever kernels of that name the person has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(
            argv=make_ipkernel_cmd(extra_arguments=["--log-level=40"]), display_name="Python 3", language="python"
        )


class _Client(PapermillNotebookClient):
    """papermill's client that shows what happens and stops after a signal."""

    def __init__(self, nb_man: Any, session: _Session, **options: Any) -> None:
        super().__init__(nb_man, **options)
        self.session = session
        self.total = sum(cell.cell_type == "code" for cell in self.nb.cells) - 1
        self.display = _Display()

    def create_kernel_manager(self) -> Any:
        manager = super().create_kernel_manager()
        manager.kernel_spec_manager = _ThisPython()
        return manager

    def start_new_kernel(self, **options: Any) -> None:
        super().start_new_kernel(**options)
        self.session.kernel = getattr(self.km.provisioner, "pid", None) if self.km else None

    def execute_cell(self, cell: NotebookNode, cell_index: int, *arguments: Any, **options: Any) -> NotebookNode:
        if self.session.signal is not None:
            raise _Stopped
        if cell.cell_type != "code":
            return cell
        started, before = time.monotonic(), self.code_cells_executed
        if before < self.total:
            print(f"[{before + 1}/{self.total}] {_headline(cell.source)}", flush=True)
        try:
            return super().execute_cell(cell, cell_index, *arguments, **options)
        finally:
            if cell.execution_count is None and self.code_cells_executed > before:
                cell.execution_count = self.code_cells_executed  # the kernel died before it could say so
            self.display.flush()
            if time.monotonic() - started >= 1:
                print(f"      {time.monotonic() - started:.1f} s", flush=True)

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        self.session.heartbeat()
        if _SENTINEL not in cell.metadata.get("tags", []):
            self.display.show(msg)
        return super().process_message(msg, cell, cell_index)


class _NbkitEngine(Engine):
    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        client = _Client(nb_man, options["session"], kernel_name=kernel_name, startup_timeout=options["start_timeout"])
        client.execute()


papermill_engines.register("nbkit", _NbkitEngine)


class _Display:
    """Text outputs of cells as lines of a terminal or log; a display that updates gives a line every few seconds."""

    def __init__(self) -> None:
        self.shown: dict[str, float] = {}
        self.waiting: dict[str, str] = {}

    def show(self, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self._print(content["text"])
        elif kind in ("display_data", "update_display_data", "execute_result"):
            text = content["data"].get("text/plain", "")
            name = (content.get("transient") or {}).get("display_id")
            if text.startswith("<"):
                return  # the repr of a figure or a player says nothing here
            if name is None:
                self._print(text)
            elif time.monotonic() - self.shown.get(name, -_DISPLAY_EVERY) >= _DISPLAY_EVERY:
                self.shown[name] = time.monotonic()
                self.waiting.pop(name, None)
                self._print(text)
            else:
                self.waiting[name] = text

    def flush(self) -> None:
        """Print the last state of what has updated since its last line."""
        for text in self.waiting.values():
            self._print(text)
        self.waiting.clear()
        self.shown.clear()

    def _print(self, text: str) -> None:
        for line in text.rstrip("\n").split("\n"):
            print(f"      {line.rstrip(chr(13)).rpartition(chr(13))[2]}", flush=True)


def _headline(source: str) -> str:
    line = next((line for line in source.splitlines() if line.strip()), "")
    return line.removeprefix("# @title ").strip()[:90]


def report(outcome: Outcome, notebook: Path) -> str:
    """What a person reads last: the traceback where there is one, then one line."""
    lines = []
    if outcome.state == FAILED:
        for cell in nbformat.read(notebook, as_version=4).cells:
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    lines.extend(output.traceback)
    where = f" in In [{outcome.cell}]" if outcome.cell else ""
    words = f": {outcome.error}" if outcome.error else ""
    return "\n".join([*lines, f"{outcome.state}{where} after {outcome.seconds:.1f} s{words}"])


def trust(notebook: Path) -> None:
    """Sign a notebook that was executed here, so that JupyterLab shows its players and not only their text."""
    from nbformat.sign import NotebookNotary

    notary = NotebookNotary()
    notary.sign(nbformat.read(notebook, as_version=4))
    notary.store.close()
