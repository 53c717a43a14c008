"""`nbkit run`: a notebook from the command line, with checked parameters, into its run folder."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbkit
from nbkit.base import workspace
from nbkit.base.params import Params, ParamsError
from nbkit.base.record import run_hash, write_json
from nbkit.base.remarks import Remarks

BEFORE = {  # what is said of a run before it has ended
    "hypothesis": "what is believed, kept with the run from its start on",
    "expectation": "what the run should show then; `nbkit runs note RUN --verdict TEXT` says later what it did show",
}
_GUARD = "\0"  # no word of a command line can hold it


def add_parser(subparsers: Any) -> None:
    """Add `run` to the command line."""
    parser = subparsers.add_parser("run", help="run a notebook without a browser", add_help=False)
    parser.add_argument("notebook", nargs="?", help="a path, or a name in notebooks/ as 22_glow_train")
    parser.add_argument("--preset", metavar="NAME", help="start from named values, as smoke")
    add_values(parser)
    parser.add_argument("-o", dest="outputs", metavar="FOLDER", help="write below FOLDER instead of outputs/")
    for name, help in BEFORE.items():
        parser.add_argument(f"--{name}", default="", metavar="TEXT", help=help)
    parser.add_argument("-h", "--help", action="store_true", help="with a notebook: its parameters and presets too")
    parser.set_defaults(call=lambda arguments: _command(parser, arguments))


def add_values(parser: argparse.ArgumentParser) -> None:
    """Add `-p NAME VALUE`, whose value may begin with a hyphen once `guarded` has seen it."""
    shown = ("NAME", "VALUE")
    parser.add_argument(
        "-p", dest="values", nargs=2, metavar=shown, action="append", default=[], type=lambda w: w.removeprefix(_GUARD),
        help="set a parameter; as often as needed",
    )  # fmt: skip


def guarded(words: list[str]) -> list[str]:
    """The words of a command line, in which argparse would take a value such as -아니 for an option."""
    return [
        _GUARD + word if word.startswith("-") and before == "-p" else word
        for word, before in zip(words, ["", "", *words], strict=False)
    ]


def find(name: str) -> Path:
    """The notebook of a path or of a name in notebooks/. Raises FileNotFoundError that lists what there is."""
    if Path(name).suffix == ".ipynb" and Path(name).is_file():
        return Path(name).resolve()
    folder = workspace.root() / "notebooks"
    path = folder / f"{name}.ipynb"
    if not path.is_file():
        known = ", ".join(one.stem for one in sorted(folder.glob("*.ipynb")))
        raise FileNotFoundError(f"wanted a notebook, got {name!r}; give a path or one of {known or 'none'} in {folder}")
    return path


def params_class(notebook: Path) -> type[Params]:
    """The class that the notebook's metadata names: {"nbkit": {"parameters": "module:Class"}}."""
    metadata = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]
    named = metadata.get("nbkit", {}).get("parameters", "")
    module, _, name = named.partition(":")
    found = getattr(importlib.import_module(module), name, None) if module and name else None
    if not (isinstance(found, type) and issubclass(found, Params)):
        raise ParamsError(
            f"{notebook.name} wants metadata nbkit.parameters as 'module:Class' of a Params class, got {named!r}; "
            "set it in the notebook's metadata"
        )
    return found


def configure(cls: type[Params], preset: str | None, values: list[list[str]]) -> Params:
    """The checked parameters of a command line. Raises ParamsError."""
    parsed = {name: cls.field(name).parse(word, cls.__name__) for name, word in values}
    return cls.preset(preset, **parsed) if preset else cls.from_dict(parsed)


def from_yaml(cls: type[Params], preset: str | None, values: Mapping[str, Any]) -> Params:
    """The checked parameters of a YAML file, whose texts mean what they mean on the command line: 1e-3 is a number.

    raises ParamsError
    """
    parsed = {
        name: cls.field(name).parse(value, cls.__name__) if isinstance(value, str) else value
        for name, value in values.items()
    }
    return cls.preset(preset, **parsed) if preset else cls.from_dict(parsed)


def run(notebook: Path, config: Params, preset: str | None = None, **said: str) -> int:
    """Execute a notebook and keep it, with run.json, in its run folder.

    The folder is that of the record which the notebook opens; without one it is named after notebook and parameters.
    What is `said` of it, hypothesis and expectation, is kept with it as soon as the folder is known.
    Returns the exit status: 0 only where every cell ran.
    """
    from nbkit.run import execute

    name = f"{notebook.stem}-{run_hash(notebook.stem, config.identity(), '')}"
    working = workspace.runs() / ".running" / f"{name}-{os.getpid()}.ipynb"
    working.parent.mkdir(parents=True, exist_ok=True)
    _forget_the_dead(working.parent)
    pointer = working.with_suffix(".pointer")
    state = {
        "state": "running", "notebook": notebook.name, "preset": preset, "parameters": config.as_dict(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "sweep": os.environ.get("NBKIT_SWEEP", ""),
    }  # fmt: skip
    announced: list[Path] = []
    told = os.environ.pop("NBKIT_OUTCOME", "")  # a sweep waits for it; the kernel is not to write it

    def heartbeat() -> None:
        # as soon as the folder is known it says that somebody is at work, or was and got killed
        if not announced and pointer.exists() and (folder := pointer.read_text(encoding="utf-8")):
            announced.append(Path(folder))
            write_json(announced[0] / "run.json", state)
            _say(announced[0], said)
            if told:
                write_json(Path(told), {"state": "running", "folder": folder})

    os.environ.update(_environment(pointer))
    outcome = execute.execute(notebook, working, config.as_dict(), heartbeat)
    heartbeat()
    folder = announced[0] if announced else workspace.runs() / name
    folder.mkdir(parents=True, exist_ok=True)
    if not announced:
        _say(folder, said)
    executed = folder / "run.ipynb"
    os.replace(working, executed)
    pointer.unlink(missing_ok=True)
    seconds = round(outcome.seconds, 1)
    ending = {"state": outcome.state, "cell": outcome.cell, "error": outcome.error, "seconds": seconds}
    write_json(folder / "run.json", {**state, **ending})
    execute.trust(executed)
    if told:
        write_json(Path(told), {**ending, "folder": str(folder)})
    print(f"{execute.report(outcome, executed)}\n{executed}", file=sys.stderr if outcome.code else sys.stdout)
    return outcome.code


def _say(folder: Path, said: Mapping[str, str]) -> None:
    """Keep with a run what is said of it before it ends; what was said in an earlier session stays."""
    before = Remarks.read(folder)
    if new := {name: text for name, text in said.items() if text and not getattr(before, name)}:
        replace(before, **new).write(folder)


def _forget_the_dead(folder: Path) -> None:
    """Remove what commands left here that were killed: their names end in the process id."""
    import psutil

    for path in folder.iterdir():
        process = path.stem.rpartition("-")[2]
        if not process.isdigit() or not psutil.pid_exists(int(process)):
            path.unlink(missing_ok=True)


def _environment(pointer: Path) -> dict[str, str]:
    """What the kernel is told. The kernel imports the nbkit of this process, wherever it was started."""
    here = str(Path(nbkit.__file__).resolve().parents[1])
    path = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != here]
    mirror = workspace.mirror()  # a relative path would mean another folder in the kernel, which works elsewhere
    return {
        **({"NBKIT_MIRROR": str(mirror)} if mirror else {}),
        "NBKIT_HEADLESS": "1",
        "NBKIT_RUN_POINTER": str(pointer),
        "PYTHONPATH": os.pathsep.join([here, *path]),
    }


def _command(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    try:
        if arguments.notebook is None:
            parser.print_help()
            return 0 if arguments.help else 2
        notebook = find(arguments.notebook)
        cls = params_class(notebook)
        if arguments.help:
            print(f"{parser.format_help()}\n{notebook.stem}: {cls.cli_help()}")
            return 0
        config = configure(cls, arguments.preset, arguments.values)
    except (ParamsError, FileNotFoundError) as error:
        print(f"nbkit run: {error}", file=sys.stderr)
        return 2
    if arguments.outputs:
        os.environ["NBKIT_OUTPUTS"] = str(Path(arguments.outputs).resolve())
    return run(notebook, config, arguments.preset, **{name: getattr(arguments, name) for name in BEFORE})
