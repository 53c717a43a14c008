"""What `make gallery` keeps of an executed notebook, and what it does not."""

import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from nbkit.base import workspace
from nbkit.run import gallery
from nbkit.run.notebook import params_class

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


def cell(name: str, source: str, *outputs, **metadata):
    return new_code_cell(source, id=name, outputs=list(outputs), metadata=metadata)


def widget(model: str, **others: str):
    return new_output("display_data", data={VIEW: {"model_id": model}, "text/plain": "VBox(...)", **others})


@pytest.fixture
def run(tmp_path: Path, monkeypatch) -> Path:
    """A run of 11_korean_text with one made output, and a gallery of its own."""
    source = nbformat.read(workspace.root() / "notebooks" / "11_korean_text.ipynb", as_version=4)
    parameters = params_class(workspace.root() / "notebooks" / "11_korean_text.ipynb")(sentence="다른 문장")
    place = tmp_path / "outputs" / "runs" / "11_korean_text-0123abcd"
    place.mkdir(parents=True)
    shown = f"saved in {place}, found in {workspace.root()}/data_manifests"
    source.cells[-2].outputs = [new_output("stream", text=shown)]
    source.cells[-2].metadata["papermill"] = {"start_time": "2026-01-01"}
    source.metadata["papermill"] = {"input_path": str(tmp_path)}
    source.cells.insert(3, cell("injected", "sentence = 1", tags=["injected-parameters"]))
    nbformat.write(source, place / "run.ipynb")
    state = {"state": "ok", "error": "", "notebook": "11_korean_text.ipynb", "parameters": parameters.as_dict()}
    (place / "run.json").write_text(json.dumps(state))
    monkeypatch.setattr(gallery, "folder", lambda: tmp_path / "gallery")
    return place / "run.ipynb"


def test_a_run_becomes_the_notebook_with_its_outputs(run: Path):
    text = gallery.take(run).read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    source = nbformat.read(workspace.root() / "notebooks" / "11_korean_text.ipynb", as_version=4)
    assert [one.id for one in notebook.cells] == [one.id for one in source.cells]
    assert notebook.metadata == source.metadata
    assert "다른 문장" in notebook.cells[2].source
    (output,) = notebook.cells[-2].outputs
    assert output.text == "saved in ~/nbkit/outputs/runs/11_korean_text-0123abcd, found in ~/nbkit/data_manifests"
    assert str(run.parents[2]) not in text
    assert "start_time" not in text
    assert [c.execution_count for c in notebook.cells if c.cell_type == "code"] == list(range(1, 10))


def test_a_notebook_that_has_changed_since_is_refused(run: Path):
    notebook = nbformat.read(run, as_version=4)
    notebook.cells[-2].source += "\n1"
    nbformat.write(notebook, run)
    with pytest.raises(ValueError, match="'unknown' is not what it was when it ran; run the notebook again"):
        gallery.take(run)


def test_a_run_that_failed_is_refused(run: Path):
    state = json.loads((run.parent / "run.json").read_text()) | {"state": "failed", "error": "ValueError: no"}
    (run.parent / "run.json").write_text(json.dumps(state))
    with pytest.raises(ValueError, match="wanted a run whose cells all ran, got one that failed: ValueError: no"):
        gallery.take(run)


def test_a_gallery_that_grows_too_large_is_refused(run: Path, monkeypatch):
    monkeypatch.setattr(gallery, "MAXIMUM_BYTES", 9_000)
    with pytest.raises(ValueError, match="at most 9,000 bytes"):
        gallery.take(run)
    assert not gallery.folder().exists()


def test_a_widget_is_replaced_by_what_it_showed():
    table = {"_model_name": "HTMLModel", "value": "<style>b {}</style><b>1 &lt; 2</b>"}
    picture = {
        "_model_name": "OutputModel",
        "outputs": [{"output_type": "display_data", "data": {"image/png": "AAAA"}}],
    }
    printed = {"outputs": [{"output_type": "stream", "name": "stdout", "text": "words"}]}
    box = {"children": [f"IPY_MODEL_{name}" for name in ("slider", "table", "picture", "printed")]}
    state = {"box": box, "slider": {"value": 3}, "table": table, "picture": picture, "printed": printed}
    executed = new_notebook(
        cells=[cell("a", "1", widget("box")), cell("b", "2", widget("box", **{"text/html": "face"}))]
    )
    executed.metadata["widgets"] = {STATE: {"state": {name: {"state": one} for name, one in state.items()}}}
    source = new_notebook(cells=[cell("a", "1"), cell("b", "2")])
    first, second = gallery.filled(source, executed).cells
    assert [output.data for output in first.outputs] == [
        {"text/html": table["value"], "text/plain": "1 < 2"},
        {"image/png": "AAAA"},
        {"text/plain": "words"},
    ]
    assert [output.data for output in second.outputs] == [{"text/html": "face", "text/plain": "VBox(...)"}]


@pytest.mark.parametrize("top", gallery.TOPS)
@pytest.mark.parametrize("text", ["in {}/run", "{}/x", "'{}/data'", "<a href='file://{}/x'>", "\n{}/a"])
def test_another_folder_of_the_machine_is_refused(top, text):
    with pytest.raises(ValueError, match=f"wanted no folder of a machine in the gallery, got /{top}/"):
        gallery.without_folders([{"data": {"text/html": text.format(f"/{top}")}}], {})


@pytest.mark.parametrize(
    "text", ["https://example.org/home/x", "data:x;base64,AAAA/tmp/AAAA", "~/data/runs", "a/home/b"]
)
def test_what_only_looks_like_a_folder_stays(text):
    assert gallery.without_folders(text, {"/x": "y"}) == text


def test_a_folder_whose_name_goes_on_is_another_one():
    assert gallery.without_folders("/a/b /a/b/c file:///a/b", {"/a/b": "~", "/a/b/c": "c"}) == "~ c file://~"
    with pytest.raises(ValueError, match="got /a/bc"):
        gallery.without_folders("/a/bc", {"/a/b": "~"})


def test_markdown_has_no_outputs():
    source = new_notebook(cells=[new_markdown_cell("words", id="m")])
    assert gallery.filled(source, source).cells[0].keys() == {"cell_type", "id", "metadata", "source"}
