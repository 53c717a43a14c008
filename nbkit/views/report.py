"""The page of a run, made from its folder alone: so it can be made again, elsewhere, and while the run goes on."""

from __future__ import annotations

import base64
import json
import os
import re
import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbkit.base.record import Record, read_json
from nbkit.views import page, player, signal, style

REPORT = "report.html"
EARLIER = 5  # states before the newest one that are shown of each view and sound
# Not worth a curve, and what tells how training went along rather than how good it is.
_NOT_CURVES = ("step", "split", "amount")
_LAST = ("learning_rate", "gradient_norm", "skipped", "seconds")


def write(folder: str | os.PathLike) -> Path:
    """Write <folder>/report.html, one file without outside references, and return its path.

    Shows what is there: a run that has only begun gives a short page. A file that cannot be read is named on the page.
    raises FileNotFoundError where `folder` is not a run folder
    """
    run = Record.read(folder)
    rows, troubles = run.rows(), []
    config = {"task": run.name, "parameters": {}, "data": ""} | run.config
    content = {
        "name": run.name,
        "config": config,
        "status": _status(run),
        "sessions": _sessions(run),
        "metrics": _metrics(rows),
        "views": _newest_of_each(run.folder / "views", "*.png", _picture, troubles),
        "sounds": _newest_of_each(run.folder / "audio", "*.wav", _sound, troubles),
        "troubles": troubles,
    }
    font = style.font_face(json.dumps(content, ensure_ascii=False))
    return page.write(run.folder / REPORT, page.render("report.html", **content, curves=_curves(rows), font=font))


def _status(run: Record) -> dict[str, Any]:
    """state, step, stop_at, message and time, as far as they are known; a failed notebook has the last word."""
    notebook = read_json(run.folder / "run.json", {})
    stop_at = run.config.get("parameters", {}).get("stop_at")
    status = {"state": "new", "step": 0, "stop_at": stop_at, "message": "", "time": ""} | run.status()
    files = [run.folder / name for name in ("run.json", "status.json")]
    newer = not files[1].exists() or (files[0].exists() and files[0].stat().st_mtime > files[1].stat().st_mtime)
    if notebook.get("error") and newer:  # else the run went on after that notebook
        status["message"] = f"{status['message']} Notebook: {notebook['state']}, {notebook['error']}".strip()
    return status


def _sessions(run: Record) -> list[dict[str, Any]]:
    """A line a session: when, where, and on which versions."""
    sessions = []
    for session in read_json(run.folder / "environment.json", []):
        gpu, git = session.get("gpu") or {}, session.get("git") or {}
        sessions.append(
            {
                "started": session.get("started", ""),
                "device": gpu.get("name") or f"{session.get('cpus', '?')} CPU cores",
                "details": ", ".join(f"{key} {session[key]}" for key in ("precision", "processes") if key in session),
                "python": session.get("python", ""),
                "platform": session.get("platform", ""),
                "packages": session.get("packages", {}),
                "commit": git.get("commit", "")[:10] + (" with changes" if git.get("dirty") else ""),
            }
        )
    return sessions


def _metrics(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Every number of the first and of the newest validation: {"steps": [...], "rows": [(name, [value, ...]), ...]}."""
    measured = [row for row in rows if row.get("split") == "validation"]
    if not measured:
        return {}
    shown = measured if len(measured) == 1 else [measured[0], measured[-1]]
    table = [(page.readable(key), [_number(row.get(key, "")) for row in shown]) for key in _keys(shown)]
    return {"steps": [row["step"] for row in shown], "rows": table}


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _keys(rows: list[dict[str, Any]]) -> list[str]:
    """What the log holds beside the step, the losses first."""
    keys = dict.fromkeys(key for row in rows for key in row if key not in _NOT_CURVES)
    return sorted(keys, key=lambda key: (key in _LAST, key != "loss"))


def _curves(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A picture of each quantity that changed."""
    pictures = []
    for key in _keys(rows):
        values = {value for split in ("train", "validation") for value in signal.series(rows, key, split)[1]}
        if len(values) > 1:
            drawn = style.png(signal.curves(rows, key, ax=style.axes(5.2, 2.4)))
            pictures.append({"name": page.readable(key), "png": base64.b64encode(drawn).decode()})
    return pictures


def _newest_of_each(
    folder: Path, pattern: str, read: Callable[[Path, dict], dict], troubles: list[str]
) -> list[dict[str, Any]]:
    """For each name its newest state and a few earlier ones: [{"name", "newest", "earlier": [oldest, ...]}]."""
    states: dict[str, list[tuple[int, Path, dict]]] = {}
    for path in sorted(folder.glob(pattern)):
        about = read_json(path.with_suffix(".json"), {})
        if not about.get("in_report", True):
            continue
        step = re.search(r"-(\d+)$", path.stem)
        about.setdefault("step", int(step[1]) if step else None)
        name = about.setdefault("name", path.stem[: step.start()] if step else path.stem)
        states.setdefault(name, []).append((about["step"] or 0, path, about))
    shown = []
    for name, found in states.items():
        found.sort(key=lambda state: state[0])
        chosen = sorted({round(i * (len(found) - 1) / EARLIER) for i in range(EARLIER + 1)})
        items = []
        for index in chosen:
            _, path, about = found[index]
            try:
                items.append({"step": about["step"], "caption": about.get("caption", ""), **read(path, about)})
            except (OSError, ValueError, EOFError, struct.error, wave.Error) as error:
                troubles.append(f"{path.parent.name}/{path.name} cannot be shown: {str(error) or type(error).__name__}")
        if items:
            shown.append({"name": page.readable(name), "newest": items[-1], "earlier": items[:-1]})
    return shown


def _picture(path: Path, about: dict) -> dict[str, str]:
    data = path.read_bytes()
    if not data.startswith(b"\x89PNG"):
        raise ValueError("not a PNG")
    # the page of a view lies beside its picture, and opens from a report that stays in its run folder
    live = path.with_suffix(".html")
    return {"png": base64.b64encode(data).decode(), "page": f"views/{live.name}" if live.exists() else ""}


def _sound(path: Path, about: dict) -> dict[str, Any]:
    step = f"step {about['step']:,}" if about["step"] is not None else ""
    title = " · ".join(filter(None, [page.readable(about["name"]), step]))
    caption = " — ".join(filter(None, [about.get("text", ""), about.get("caption", "")]))
    return {"player": player.view(player.read(path, title=title, caption=caption))}
