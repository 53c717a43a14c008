"""How the stages of a pipeline stand, and the page of its results: from its folder and its runs, which may be gone."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nbkit.base import workspace
from nbkit.base.record import Record, read_json
from nbkit.evaluate import runs
from nbkit.evaluate.results import Results
from nbkit.run import changes, points
from nbkit.run.stages import Pipeline
from nbkit.run.stages import Stage as Asked
from nbkit.views import page, pipeline, report
from nbkit.views.pipeline import Stage

REPORT = "report.html"
_NUMBERS, _SOUNDS = 16, 6  # so many are shown
_LETTERS = 100  # of a value


class Plan(NamedTuple):
    """What the engine says of a stage: its status in its own words, and whether it would run."""

    status: str
    runs: bool


def stages(asked: Pipeline, plan: Mapping[str, Plan]) -> list[Stage]:
    """Every stage as the page shows it. Of one that `plan` does not name, its mark decides."""
    return [_stage(asked, one, plan) for one in asked.stages.values()]


def write(asked: Pipeline, found: list[Stage]) -> Path:
    """Write the page into the pipeline's folder; returns its path."""
    made = time.strftime("%Y-%m-%d %H:%M")
    shipped = asked.file.parent == (workspace.root() / "notebooks").resolve()
    command = f"nbkit pipeline run {asked.name if shipped else asked.file.name}"
    document = pipeline.render(asked.name, found, made=made, command=command)
    return page.write(asked.folder / REPORT, document)


def _stage(asked: Pipeline, stage: Asked, plan: Mapping[str, Plan]) -> Stage:
    point = points.read(asked.folder, stage.name)
    state, why = _state(asked, stage, point, plan)
    takes = [(source, name) for name, source in stage.takes.items()]
    takes += [(source, "") for source in stage.after if source not in stage.takes.values()]
    ended = "started" in point and point["state"] != points.RUNNING
    moment = time.localtime(point.get("started", 0.0) + point["seconds"])
    failed = point["state"] == points.FAILED
    found = Stage(
        stage.name, stage.notebook.stem, state, takes, why,
        seconds=point["seconds"] if ended else None,
        ended=time.strftime("%Y-%m-%d %H:%M", moment) if ended else "",
        parameters=_parameters(stage, point),
        notes=[f"{name} is auto: what it finds is not followed; name it, or a stage in takes."
               for name in stage.unfollowed()],
        error=point["error"] if failed else "",
        log=points.traceback(asked.folder, stage.name) if failed else "",
    )  # fmt: skip
    came_out = _came_out(asked, point["folder"])
    notes = [*found.notes, *came_out.pop("notes", ())]
    return found._replace(**came_out, notes=notes)


def _state(asked: Pipeline, stage: Asked, point: Mapping[str, Any], plan: Mapping[str, Plan]) -> tuple[str, list[str]]:
    """One of the page's states, and why the stage would run, or ran the last time."""
    last = list(point.get("why", ()))
    if points.is_alive(point):
        return "running", last
    planned = plan.get(stage.name) or Plan("missing", not asked.mark(stage.name).exists())
    if not planned.runs:
        return "done", last
    now = changes.since_last(asked, stage, point)
    if point["state"] == points.FAILED and len(now) == 1:  # nothing but that it failed
        return "failed", last
    now += ["its process is gone"] if point["state"] == points.RUNNING else []
    now += [f"{one} is not done" for one in stage.before if plan.get(one, planned).runs]
    return "would run", now or [planned.status]


def _parameters(stage: Asked, point: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Those that differ from the defaults; of one that is taken, the run that it named the last time."""
    plain = {field.name: field.default for field in stage.config.fields()}
    values = [(name, value) for name, value in stage.parameters().items() if value != plain[name]]
    taken = point.get("parameters", {})
    return [
        (name, _short(f"{taken.get(name, 'the run')} of {stage.takes[name]}" if name in stage.takes else value))
        for name, value in values
    ]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"


def _came_out(asked: Pipeline, named: str) -> dict[str, Any]:
    """What a run folder holds: links, sounds, numbers; and what cannot be read of it."""
    folder = Path(named)
    if not named:
        return {}
    if not folder.is_dir():
        return {"run": folder.name, "notes": [f"Its run folder {named} is gone."]}
    found: dict[str, Any] = {"run": folder.name, "notes": []}
    try:
        record = Record.read(folder)
        if not _is_new(folder):
            report.write(folder)
        found["numbers"] = _numbers(record)
        found["sounds"] = _sounds(asked, folder)
    except FileNotFoundError:
        pass  # a notebook that opened no record has only itself to show
    except (ValueError, KeyError, OSError) as error:
        found["notes"] = [f"Its run folder cannot be read: {error}"]
    files = [("report", folder / report.REPORT), ("run.ipynb", folder / "run.ipynb"), ("log", folder / points.LOG)]
    found["links"] = [(text, _link(asked, path)) for text, path in files if path.exists()]
    return found | {"report": found["links"][0][1] if found["links"] else ""}


def _is_new(folder: Path) -> bool:
    """Whether the report of a run is there, and as new as what the run says of itself."""
    made = folder / report.REPORT
    told = [path for name in ("status.json", "run.json", "results.json") if (path := folder / name).exists()]
    return made.exists() and all(path.stat().st_mtime <= made.stat().st_mtime for path in told)


def _link(asked: Pipeline, path: Path) -> str:
    return Path(os.path.relpath(path, asked.folder)).as_posix()


def _numbers(record: Record) -> list[tuple[str, str]]:
    """What was measured: results with their intervals, then the newest validation."""
    results = [(f"{one.metric}, {one.system}", str(one)) for one in Results(record.folder).all()]
    row = runs.row(record)
    told = [(name, value) for name, value in row.items() if runs.is_measured(name) and name not in dict(results)]
    results += [
        (page.readable(name), f"{value:.4g}" if isinstance(value, float) else str(value)) for name, value in told
    ]
    more = len(results) - _NUMBERS
    return results[:_NUMBERS] + [("and", f"{more} more in its report")] * (more > 0)


def _sounds(asked: Pipeline, folder: Path) -> list[tuple[str, str]]:
    """The newest state of each sound of a run, the first few."""
    newest = {}
    for path in sorted((folder / "audio").glob("*.wav")):
        about = read_json(path.with_suffix(".json"), {})
        if about.get("in_report", True):
            newest[about.get("name", path.stem)] = (about.get("text", ""), path)
    return [(" · ".join(filter(None, [page.readable(name), text])), _link(asked, path))
            for name, (text, path) in list(newest.items())[:_SOUNDS]]  # fmt: skip
