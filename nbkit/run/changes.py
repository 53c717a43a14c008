"""Why a stage of a pipeline runs, in words: what has changed since it was last asked for. The engine decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbkit.run import points

if TYPE_CHECKING:
    from nbkit.run.stages import Pipeline, Stage

_MOST = 6  # names that are told


def since_last(pipeline: Pipeline, stage: Stage, point: Mapping[str, Any]) -> list[str]:
    """What is not as it was when `point` was written down; empty where nothing is known to have changed."""
    if "asked" not in point:
        return ["for the first time"]
    told = _parameters(point["asked"], stage.parameters())
    if Path(point["notebook"]).name != stage.notebook.name:
        told.append(f"notebook {Path(point['notebook']).name} → {stage.notebook.name}")
    old, new = point["made_by"], stage.code()
    files = [name for name in sorted({**old, **new}) if old.get(name) != new.get(name)]
    told += [f"code of {_few(files)}"] if files else []
    ended = point.get("started", 0.0) + point["seconds"]
    newer = [file.name for file in stage.files() if file.stat().st_mtime > ended]
    told += [f"input {_few(newer)}"] if newer else []
    again = [one for one in stage.before if _ended(pipeline, one) > ended]
    told += [f"{one} ran again" for one in again]
    last = {points.FAILED: "it failed the last time", points.STOPPED: "it was stopped the last time"}
    return [*told, last[point["state"]]] if point["state"] in last else told


def _parameters(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    def word(values: Mapping[str, Any], name: str) -> str:
        return (str(values[name]) or '""') if name in values else "(not there)"

    names = [name for name in {**new, **old} if name not in old or name not in new or old[name] != new[name]]
    return [f"{name} {word(old, name)} → {word(new, name)}" for name in names]


def _few(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:_MOST]) + f" and {len(found) - _MOST} more" * (len(found) > _MOST)


def _ended(pipeline: Pipeline, stage: str) -> float:
    """When a stage was last brought to its good end, in seconds of the epoch; 0 where it was not."""
    mark = pipeline.mark(stage)
    return mark.stat().st_mtime if mark.exists() else 0.0
