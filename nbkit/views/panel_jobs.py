"""The list of background runs under a panel: how far each is, its last lines, a button to stop it, its report."""

from __future__ import annotations

import html
import os
import threading
import urllib.parse
from pathlib import Path
from typing import Any

from nbkit.views import background
from nbkit.views.page import output

_EVERY = 1.0  # seconds between two looks while something runs
_ENDED = 3  # runs that are listed after their end
_TAIL, _ERROR_TAIL = 4, 10  # lines of the log


class Jobs:
    """The runs of one notebook. A thread looks at them once a second while one runs, and ends with the last."""

    def __init__(self, notebook: str):
        import ipywidgets as widgets

        self.notebook = notebook
        self.widget = widgets.VBox(layout=widgets.Layout(margin="8px 0 0"))
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()
        self._watching = False

    def look(self) -> None:
        """Show the runs as they are now, and go on looking while one of them runs."""
        with self._lock:
            alive = self._show()
            if alive and not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name=f"runs of {self.notebook}", daemon=True).start()

    def _watch(self) -> None:
        wait = threading.Event()
        while True:
            wait.wait(_EVERY)
            with self._lock:
                if not self._show():
                    self._watching = False
                    return

    def _show(self) -> bool:
        """Returns whether one runs."""
        known = background.jobs(self.notebook)
        states = [(job, job.alive()) for job in known]
        ended = [job.name for job, alive in states if not alive][:_ENDED]
        rows = {}
        for job, alive in states:
            if alive or job.name in ended:
                rows[job.name] = self._rows.get(job.name) or _Row()
                rows[job.name].show(job, alive)
        if list(rows) != list(self._rows):
            self.widget.children = [row.widget for row in rows.values()]
        self._rows = rows
        return any(alive for _, alive in states)


class _Row:
    def __init__(self) -> None:
        import ipywidgets as widgets

        self._job: background.Job | None = None
        self._text = widgets.HTML(layout=widgets.Layout(flex="1 1 260px", min_width="0"))
        self._stop = widgets.Button(description="Cancel", layout=widgets.Layout(width="auto"))
        self._stop.on_click(lambda _: self._cancel())
        self._links = widgets.Output()
        head = widgets.Box(
            [self._text, self._stop],
            layout=widgets.Layout(display="flex", flex_flow="row wrap", align_items="flex-start"),
        )
        self.widget = widgets.VBox(
            [head, self._links],
            layout=widgets.Layout(border="1px solid rgba(128,128,128,.35)", margin="4px 0", padding="6px 10px"),
        )
        self._shown: tuple[Any, ...] = ()

    def _cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self.show(self._job, self._job.alive())

    def show(self, job: background.Job, alive: bool) -> None:
        self._job = job
        well = job.outcome().get("state") in ("ok", "stopped")
        tail = job.tail(_TAIL) if alive else [] if well else job.tail(_ERROR_TAIL)
        step, last = job.progress()
        short = job.about.get("changed", {})
        changed = [short["preset"]] if short.get("preset") else []
        changed += [f"{name} {value}" for name, value in short.get("changed", {}).items()]
        text = output(
            "panel_job.html",
            name=job.name,
            changed=", ".join(changed),
            step=step,
            last=last,
            told=job.told(),
            tail=tail,
        )
        links = "" if alive else _links(job.run_folder())
        if self._shown != (text, alive, links):  # only what changes goes to the page
            self._shown = (text, alive, links)
            self._text.value = text
            self._stop.layout.display = "" if alive else "none"
            self._stop.description = "End at once" if job.about.get("cancelled") else "Cancel"
            # an output, since Jupyter turns its relative links into those of the server
            data = {"text/html": links, "text/plain": str(job.run_folder() or "")}
            shown = {"output_type": "display_data", "data": data, "metadata": {}}
            self._links.outputs = (shown,) if links else ()


def _links(folder: Path | None) -> str:
    """Where the report of a run and its notebook lie, as links that Jupyter opens; "" where there are none."""
    found = [folder / name for name in ("report.html", "run.ipynb") if (folder / name).exists()] if folder else []
    if not found or folder is None:
        return ""
    links = []
    for path in found:
        address = urllib.parse.quote(Path(os.path.relpath(path)).as_posix())
        links.append(f'<a href="{address}" target="_blank">{path.name}</a>')
    return f'<div style="font-size:12.5px">{" · ".join(links)} in {html.escape(str(folder))}</div>'
