"""The stages of a pipeline: read from a YAML file, and each run as a point of a sweep is.

outputs/pipelines/<name>/
    <stage>.json         what the engine looks for: the run of the stage that is done
    points/<stage>.json  what was asked and why, how it ended; points/<stage>.log until the run folder is known
    report.html          the graph, and what came out
    .snakemake/          what the engine remembers: parameters, code and inputs of the last time
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbkit.base import record, workspace
from nbkit.base.params import Params, ParamsError
from nbkit.base.record import RunBusyError, read_json, write_json
from nbkit.run import changes, modules, points
from nbkit.run.notebook import find, from_yaml, params_class

_POLL = 0.2  # seconds
_KNOWN = ("preset", "stages")
_KNOWN_OF_STAGE = ("notebook", "preset", "parameters", "takes", "after", "inputs", "retries", "minutes")


class PipelineError(ValueError):
    """A pipeline that cannot be run as it is written: wanted, got, remedy."""


@dataclass(frozen=True)
class Stage:
    """One notebook with its parameters, and what it takes from stages above it.

    config   the parameters; those in `takes` are not known yet
    takes    parameter -> the stage whose run it names
    after    further stages that have to be done before
    inputs   files and folders that it reads, beside the data sets that its parameters name
    """

    name: str
    notebook: Path
    config: Params
    takes: Mapping[str, str]
    after: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()
    retries: int = 0
    minutes: float = 0.0

    @property
    def before(self) -> list[str]:
        """The stages that have to be done first."""
        return list(dict.fromkeys([*self.takes.values(), *self.after]))

    def parameters(self) -> dict[str, Any]:
        """Every parameter; of one that is taken, the stage that it is taken from."""
        return {**self.config.as_dict(), **{name: f"<{stage}>" for name, stage in self.takes.items()}}

    def unfollowed(self) -> list[str]:
        """Parameters that take whatever is there: nobody is told when that changes."""
        fields = (field for field in self.config.fields() if field.name not in self.takes)
        return [
            field.name
            for field in fields
            if getattr(self.config, field.name) == "auto" and not field.choices and not field.auto
        ]

    def asked(self) -> str:
        """What the engine compares with the last time."""
        return json.dumps([self.notebook.name, self.parameters()], ensure_ascii=False, sort_keys=True)

    def code(self) -> dict[str, str]:
        """Hashes of the files that decide the result, see run.modules."""
        return modules.fingerprint(self.notebook)

    def code_digest(self) -> str:
        return hashlib.sha256(json.dumps(self.code()).encode()).hexdigest()[:16]

    def files(self) -> list[Path]:
        """What it reads: the manifests and files of data sets that parameters name, paths in parameters, `inputs`."""
        return sorted({file for place in (*self.inputs, *_places(self.config)) for file in _below(place)})


@dataclass(frozen=True)
class Pipeline:
    """A checked pipeline: the file that it was read from, its folder, its stages in the order of that file."""

    file: Path
    folder: Path
    stages: Mapping[str, Stage]

    @property
    def name(self) -> str:
        return self.folder.name

    def mark(self, stage: str) -> Path:
        """The file that says that a stage is done, and in which run."""
        return self.folder / f"{stage}.json"


def read(file: str | Path) -> Pipeline:
    """A pipeline from a YAML file, every stage's parameters checked.

    raises PipelineError, also for a notebook that is not there and for parameters that it does not take
    """
    import yaml

    path = Path(file).resolve()
    try:
        spec = yaml.safe_load(path.read_text(encoding="utf8"))
    except (yaml.YAMLError, OSError, ValueError) as error:
        raise PipelineError(
            f"wanted the YAML file of a pipeline, got {file} ({error}); `nbkit pipeline --help` shows one"
        ) from error
    _check(spec, _KNOWN, "a pipeline")
    found: dict[str, Stage] = {}
    for name, one in (spec.get("stages") or {}).items():
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name == "all":
            raise PipelineError(f"a stage has a name of small letters, digits and _, and not `all`; got {name!r}")
        _check(one, _KNOWN_OF_STAGE, f"stage {name}")
        try:
            found[name] = _stage(name, one, spec.get("preset"), found, path.parent)
        except (ParamsError, FileNotFoundError) as error:
            raise PipelineError(f"stage {name}: {error}") from error
    if not found:
        raise PipelineError(f"a pipeline wants at least one stage, {path} has none; `nbkit pipeline --help` shows some")
    return Pipeline(path, workspace.outputs().resolve() / "pipelines" / path.stem, found)


def _check(spec: Any, known: tuple[str, ...], what: str) -> None:
    if not isinstance(spec, Mapping):
        raise PipelineError(f"{what} wants names and values ({', '.join(known)}), got {spec!r}")
    if unknown := [name for name in spec if name not in known]:
        raise PipelineError(f"{what} has {', '.join(known)}; got {unknown[0]!r}")


def _stage(name: str, spec: Mapping[str, Any], preset: str | None, above: Mapping[str, Stage], home: Path) -> Stage:
    if not isinstance(spec.get("notebook"), str):
        raise PipelineError(f"stage {name} wants a notebook, as notebook: 22_glow_train; got {spec.get('notebook')!r}")
    beside = home / spec["notebook"]
    notebook = beside.resolve() if beside.suffix == ".ipynb" and beside.is_file() else find(spec["notebook"])
    cls = params_class(notebook)
    values, takes = (spec.get(part) or {} for part in ("parameters", "takes"))
    for part, given in (("parameters", values), ("takes", takes)):
        if not isinstance(given, Mapping):
            raise PipelineError(f"stage {name} wants {part} as names and values, got {given!r}")
    after = spec.get("after") or []
    after = tuple([after] if isinstance(after, str) else after)
    for other in (*takes.values(), *after):
        if other not in above:
            known = ", ".join(above) or "none"
            raise PipelineError(
                f"stage {name} takes from stages above it ({known}), got {other!r}; move it up, or name one"
            )
    for parameter in takes:
        if cls.field(parameter).type is not str or parameter in values:
            raise PipelineError(f"stage {name} takes {parameter}, which wants to be a text and to have no other value")
    used = spec.get("preset") or (preset if preset in cls.PRESETS else None)
    config = from_yaml(cls, used, values)
    inputs = tuple((home / Path(one).expanduser()).resolve() for one in spec.get("inputs") or [])
    if missing := [one for one in inputs if not one.exists()]:
        raise PipelineError(f"stage {name} wants inputs that are there, got {missing[0]}; paths start at {home}")
    return Stage(name, notebook, config, dict(takes), after, inputs, int(spec.get("retries", 0)),
                 float(spec.get("minutes", 0.0)))  # fmt: skip


def _places(config: Params) -> Iterator[Path]:
    """Files and folders that parameters name: the manifest of a data set and where its files lie, and paths."""
    from nbkit.data import manifest

    for name, value in config.as_dict().items():
        if not isinstance(value, str) or not value:
            continue
        value = manifest.asked(config, name)
        written = workspace.manifests() / f"{value}.yaml"
        if re.fullmatch(r"[\w.-]+", value) and written.is_file():
            yield written
            about = manifest.load(value)
            if manifest.is_here(about) and not about.synthetic and not (about.text and about.text.made):
                yield manifest.folder_of(about)
        elif "/" in value and (path := Path(value).expanduser()).exists():
            yield path.resolve()


def _below(place: Path) -> Iterator[Path]:
    """A file, or the files of a folder but for hidden ones."""
    if place.is_file():
        yield place
        return
    for path in place.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(place).parts):
            yield path


def run(pipeline: Pipeline, name: str, *, since: float | None = None) -> dict[str, Any]:
    """Run a stage to its end, or wait for a process that is at it; returns what `points.read` gives then.

    since   seconds of the epoch; a good end that another process brought it to after that is taken; None for now
    raises PipelineError where a process is still at it with other parameters

    A stage that is done leaves its mark.
    """
    stage, since = pipeline.stages[name], time.time() if since is None else since
    config = _known(pipeline, stage)
    asked = {"notebook": str(stage.notebook), "parameters": config.as_dict()}
    while True:
        point = points.read(pipeline.folder, name)
        same = all(point.get(part) == value for part, value in asked.items())
        if not same and points.is_alive(point):
            raise PipelineError(
                f"process {point['pid']} is still at stage {name} with other parameters; wait for it, or stop it"
            )
        try:
            with record.held(pipeline.mark(name)):  # a killed engine leaves its stages behind, at the same point
                return _run(pipeline, stage, asked, since)
        except RunBusyError:
            time.sleep(_POLL)


def _run(pipeline: Pipeline, stage: Stage, asked: dict[str, Any], since: float) -> dict[str, Any]:
    """Run a stage as its only watcher; where another one has just brought it to its good end, that is taken."""
    name, folder = stage.name, pipeline.folder
    point = points.read(folder, name)
    same = all(point.get(part) == value for part, value in asked.items())
    mark = pipeline.mark(name)
    if same and point["state"] == points.OK and mark.exists() and mark.stat().st_mtime >= since:
        return point
    if not same or point["state"] != points.RUNNING:
        why = changes.since_last(pipeline, stage, point)
        point |= {"state": points.WAITING, "attempts": 0, "why": why}
    write_json(points.path(folder, name), point | asked | {"asked": stage.parameters(), "made_by": stage.code()})
    point = points.run(str(folder), name, tries=stage.retries + 1, minutes=stage.minutes)
    if point["state"] == points.OK:
        ended = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        write_json(mark, {"run": Path(point["folder"]).name, "folder": point["folder"], "ended": ended})
    return point


def _known(pipeline: Pipeline, stage: Stage) -> Params:
    """The parameters with the runs that they name; a training whose code has changed gets a folder of its own."""
    runs = {parameter: read_json(pipeline.mark(other))["run"] for parameter, other in stage.takes.items()}
    config = dataclasses.replace(stage.config, **runs)
    if getattr(config, "repeat", None) == 0:
        return dataclasses.replace(config, repeat=_repeat(config, stage.code()))
    return config


def _repeat(config: Params, code: dict[str, str]) -> int:
    """0, or the repetition of a run that this code made or is the first to make: training goes on only in those."""
    same = [one for one in record.runs() if one.config.get("identity") == config.identity()]
    made = [one.config.get("repeat", 0) for one in same if modules.was_made_by(one, code)]
    return min(made) if made else max((one.config.get("repeat", 0) + 1 for one in same), default=0)
