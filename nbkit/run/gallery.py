"""`make gallery`: executed notebooks for people who only look, in outputs/gallery/.

python -m nbkit.run.gallery               runs those of RUN with their default parameters, a few minutes in all
python -m nbkit.run.gallery RUN.ipynb ... takes what `nbkit run` left in run folders, where weights took hours

Such a notebook holds the cells of notebooks/ and their outputs, and nothing that tells of the machine that ran it:
neither its folders nor its clock. Widgets, which only live beside a kernel, are replaced by what they showed.
"""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from nbkit.base import workspace
from nbkit.run import notebook as running
from nbkit.run.notebooks import text_of

if TYPE_CHECKING:
    from nbformat import NotebookNode

RUN = ("11_korean_text", "21_alignment_search", "22_glow_train")
MAXIMUM_BYTES = 10_000_000  # of all together
# where machines keep what is theirs
TOPS = ("home", "root", "tmp", "mnt", "opt", "usr", "var", "content", "srv", "Users", "private")
# the beginning of a path: not the middle of base64, of a web address or of a path below another folder
_BEGIN = r"(?:(?<![\w+/.~=-])|(?<=file://))"
_WIDGET = "application/vnd.jupyter.widget-view+json"
_STATE = "application/vnd.jupyter.widget-state+json"


def folder() -> Path:
    """Where the gallery lies."""
    return workspace.root() / "outputs" / "gallery"


def take(executed: Path) -> Path:
    """Put the notebook of a run folder into the gallery; returns the file.

    raises  ValueError where the run did not end well, ran other cells than notebooks/ has now, or tells of a machine
    """
    state = json.loads((executed.parent / "run.json").read_text(encoding="utf-8"))
    if state["state"] != "ok":
        raise ValueError(f"wanted a run whose cells all ran, got one that {state['state']}: {state['error']}")
    source = running.find(Path(state["notebook"]).stem)
    notebook = filled(nbformat.read(source, as_version=4), nbformat.read(executed, as_version=4))
    parameters = running.params_class(source).from_dict(state["parameters"])
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = parameters.cell()
        if cell.cell_type == "code":
            cell.outputs = without_folders(cell.outputs, _folders(executed))
    text = text_of(notebook)
    path = folder() / source.name
    others = sum(file.stat().st_size for file in folder().glob("*.ipynb") if file != path)
    if others + len(text.encode()) > MAXIMUM_BYTES:
        raise ValueError(
            f"the gallery wants at most {MAXIMUM_BYTES:,} bytes, with {source.name} it has more; show less"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def filled(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """The cells of `notebook` with the outputs that they have in `executed`, counted from one.

    raises  ValueError where a cell was another one when it ran
    """
    ran = {cell.id: cell for cell in executed.cells}
    widgets = executed.metadata.get("widgets", {}).get(_STATE, {}).get("state", {})
    count = 0
    for cell in notebook.cells:
        given = ran.get(cell.id)
        if given is None or given.source != cell.source:
            raise ValueError(f"cell {cell.id!r} is not what it was when it ran; run the notebook again")
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.outputs = [shown for output in given.outputs for shown in _faces(output, widgets)]
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
    return notebook


def _faces(output: NotebookNode, widgets: dict[str, Any]) -> Iterator[NotebookNode]:
    """An output, or what a widget showed in its place: the pictures and texts of its parts."""
    view = output.get("data", {}).get(_WIDGET)
    if view is None:
        yield output
    elif len(output.data.keys() - {_WIDGET, "text/plain"}):
        del output.data[_WIDGET]
        yield output
    else:
        for data in _parts(view["model_id"], widgets):
            yield nbformat.v4.new_output("display_data", data=data, metadata={"nbkit": {"widget": True}})


def _parts(model: str, widgets: dict[str, Any]) -> Iterator[dict[str, Any]]:
    state = widgets.get(model, {}).get("state", {})
    for output in state.get("outputs", ()):
        yield output.get("data", {"text/plain": output.get("text", "")})
    if state.get("_model_name") == "HTMLModel" and state.get("value"):
        plain = re.sub(r"<style>.*?</style>|<[^>]*>", "", state["value"], flags=re.S)
        yield {"text/html": state["value"], "text/plain": html.unescape(plain)}
    for child in state.get("children", ()):
        yield from _parts(child.removeprefix("IPY_MODEL_"), widgets)


def _folders(executed: Path) -> dict[str, str]:
    """The folders of this machine, and what stands for them."""
    named = {
        executed.resolve().parents[2]: "~/nbkit/outputs",
        workspace.cache(): "~/.cache/nbkit",
        workspace.root(): "~/nbkit",
        Path.home(): "~",
        **({data: "~/data"} if (data := workspace.real_data()) else {}),
    }
    return {str(path): shown for path, shown in named.items() if len(path.parts) > 1}


def without_folders(content: Any, folders: dict[str, str]) -> Any:
    """Outputs with other names for folders. Raises ValueError where a folder of a machine is left."""
    if isinstance(content, dict):
        return nbformat.from_dict({key: without_folders(value, folders) for key, value in content.items()})
    if isinstance(content, list):
        return [without_folders(value, folders) for value in content]
    if not isinstance(content, str):
        return content
    for path in sorted(folders, key=len, reverse=True):
        content = re.sub(rf"{_BEGIN}{re.escape(path)}(?![\w-])", folders[path], content)
    tops = "|".join({*TOPS, *(re.escape(Path(path).parts[1]) for path in folders)})
    if left := re.search(rf"{_BEGIN}/(?:{tops})/[\w.-]+", content):
        raise ValueError(f"wanted no folder of a machine in the gallery, got {left[0]}; print it relative to outputs")
    return content


def _run(name: str) -> Path:
    """Run a notebook below outputs/gallery-runs; returns the executed one."""
    outputs = workspace.root() / "outputs" / "gallery-runs"
    command = [sys.executable, "-m", "nbkit.run", "run", name, "-o", str(outputs)]
    before = {path: path.stat().st_mtime for path in outputs.glob("runs/*/run.ipynb")}
    subprocess.run(command, check=True, env={**os.environ, "NBKIT_MIRROR": "none"})
    (new,) = (path for path in outputs.glob("runs/*/run.ipynb") if path.stat().st_mtime != before.get(path))
    return new


def main(words: list[str]) -> int:
    """Take the runs that are named, or make those of RUN."""
    for executed in [Path(word) for word in words] or map(_run, RUN):
        path = take(executed)
        print(f"{path} {path.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
