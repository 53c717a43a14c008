"""The same four tiny notebooks on Snakemake, on DVC and on Elyra, papermill underneath: which of them run when.

python tests/run/measure_engines.py snakemake BIN    # BIN: the folder of programs of the environment that has it
python tests/run/measure_engines.py dvc BIN
python tests/run/measure_engines.py elyra BIN        # its kernels are those of this Python, by JUPYTER_PATH
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import yaml

BEFORE = {"one": [], "two": ["one"], "three": ["one"], "four": ["two", "three"]}
CELL = """
import json, os, time
from pathlib import Path
from helper import PAUSE, UNUSED
value, before = int(os.environ.get("VALUE", value)), {before}
with open("times.txt", "a") as file:
    print("{name}", time.time(), file=file)
assert value != 7, "the planted failure"
time.sleep(PAUSE)
told = [json.loads(Path(f"{{one}}.json").read_text()) for one in before]
Path("{name}.json").write_text(json.dumps([value, told]))
with open("times.txt", "a") as file:
    print("{name}", time.time(), file=file)
"""
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
SNAKEFILE = """
configfile: "values.json"
PAPERMILL = "{papermill} {{input.notebook}} {{wildcards.stage}}.log.ipynb -p value {{params.value}} --no-progress-bar"
BEFORE = {before}
rule all:
    input: "four.json"
rule stage:
    input:
        lambda names: [f"{{one}}.json" for one in BEFORE[names.stage]],
        notebook="{{stage}}.ipynb",
        helper="helper.py",
    output: "{{stage}}.json"
    params: value=lambda names: config[names.stage]
    wildcard_constraints: stage="|".join(BEFORE)
    shell: PAPERMILL
"""


def write(folder: Path, values: dict[str, int], pause: float = 0, unused: int = 0) -> None:
    """The four notebooks, the module that they import, their values."""
    (folder / "helper.py").write_text(f"PAUSE = {pause}\nUNUSED = {unused}\n")
    (folder / "values.json").write_text(json.dumps(values))
    for name, before in BEFORE.items():
        told = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
        told.cells = [
            nbformat.v4.new_code_cell("value = 0", metadata={"tags": ["parameters"]}, id="values"),
            nbformat.v4.new_code_cell(CELL.format(name=name, before=before), id="work"),
        ]
        nbformat.write(told, folder / f"{name}.ipynb")


def snakemake(folder: Path, values: dict[str, int], papermill: str) -> None:
    (folder / "Snakefile").write_text(SNAKEFILE.format(before=BEFORE, papermill=papermill))


def dvc(folder: Path, values: dict[str, int], papermill: str) -> None:
    stages = {
        name: {
            "cmd": f"{papermill} {name}.ipynb {name}.log.ipynb -p value ${{{name}}} --no-progress-bar",
            "deps": [f"{name}.ipynb", "helper.py", *(f"{one}.json" for one in before)],
            "params": [{"values.json": [name]}],
            "outs": [{f"{name}.json": {"cache": False}}],
        }
        for name, before in BEFORE.items()
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"vars": ["values.json"], "stages": stages}, width=200))


def elyra(folder: Path, values: dict[str, int], papermill: str) -> None:
    nodes = [_node(name, before, values[name]) for name, before in BEFORE.items()]
    data = {"version": 8, "properties": {"name": "chain", "runtime": "Generic"}, "ui_data": {"comments": []}}
    one = {"id": "main", "nodes": nodes, "app_data": data, "runtime_ref": ""}
    head = {"doc_type": "pipeline", "version": "3.0", "id": "chain", "primary_pipeline": "main", "schemas": []}
    (folder / "chain.pipeline").write_text(json.dumps({**head, "pipelines": [one]}, indent=1))


def _node(name: str, before: list[str], value: int) -> dict:
    links = [{"id": f"{one}-{name}", "node_id_ref": one, "port_id_ref": "outPort"} for one in before]
    wanted = {"filename": f"{name}.ipynb", "runtime_image": "none", "dependencies": [], "include_subdirectories": False,
              "outputs": [], "env_vars": [{"env_var": "VALUE", "value": str(value)}]}  # fmt: skip
    data = {"label": name, "component_parameters": wanted, "ui_data": {"label": name}}
    return {
        "id": name, "type": "execution_node", "op": "execute-notebook-node", "app_data": data,
        "inputs": [{"id": "inPort", "app_data": {}, "links": links}], "outputs": [{"id": "outPort", "app_data": {}}],
    }  # fmt: skip


COMMANDS = {
    "snakemake": (
        snakemake,
        "Snakefile",
        ["snakemake", "--cores", "2", "--keep-going", "--rerun-incomplete", "--nolock"],
    ),
    "dvc": (dvc, "dvc.yaml", ["dvc", "repro", "--keep-going"]),
    "elyra": (elyra, "chain.pipeline", ["elyra-pipeline", "run", "chain.pipeline"]),
}


class Workshop:
    """A folder with the four notebooks and the file of an engine."""

    def __init__(self, engine: str, programs: Path, folder: Path) -> None:
        self.papermill = f"{Path(sys.executable).parent}/papermill"
        self.folder, self.values, self.helper = folder, {"one": 1, "two": 2, "three": 3, "four": 4}, [0.0, 0]
        self.file, self.name, command = COMMANDS[engine]
        self.command = [str(programs / command[0]), *command[1:]]
        self.environment = {**os.environ, "JUPYTER_PATH": f"{sys.prefix}/share/jupyter", "PYTHONPATH": str(folder)}
        if engine == "dvc":
            subprocess.run([programs / "dvc", "init", "--no-scm", "-q"], cwd=folder, check=True)
        self.write()

    def write(self, **values: int) -> None:
        """The files anew, with other values."""
        self.values |= values
        write(self.folder, self.values, *self.helper)
        self.file(self.folder, self.values, self.papermill)

    def start(self, *stages: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.command, *stages], cwd=self.folder, env=self.environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def times(self) -> list[tuple[str, float]]:
        """Name and time of each start and end so far."""
        file = self.folder / "times.txt"
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [(name, float(when)) for name, when in lines]

    def run(self, what: str, *stages: str) -> None:
        """Run the engine, and tell which stages started, in what order, and the time of all processes."""
        (self.folder / "times.txt").unlink(missing_ok=True)
        before = _clock()
        process = self.start(*stages)
        told, _ = process.communicate()
        started = list(dict.fromkeys(name for name, _ in self.times()))
        _say(what, before, f"status {process.returncode}, started {' '.join(started) or 'none'}")
        if process.returncode:
            print(
                *(f"    {line[:150]}" for line in told.splitlines() if re.search("(?i)error|fail|lock", line)), sep="\n"
            )

    def alone(self) -> None:
        """The same notebooks without an engine, one after the other."""
        before = _clock()
        for stage in BEFORE:
            words = [self.papermill, f"{stage}.ipynb", "log.ipynb", "--no-progress-bar"]
            subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, check=True)
        _say("papermill alone", before)
        for stage in BEFORE:
            (self.folder / f"{stage}.json").unlink()


def _clock() -> tuple[float, float]:
    """Seconds of the clock, and of processors in children that have ended."""
    times = os.times()
    return times.elapsed, times.children_user + times.children_system


def _say(what: str, before: tuple[float, float], more: str = "") -> None:
    seconds, work = (now - then for now, then in zip(_clock(), before))
    print(f"{what:30} {seconds:6.1f} s, of processors {work:5.1f} s  {more}", flush=True)


def main(engine: str, programs: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        shop = Workshop(engine, Path(programs).absolute(), Path(name))
        print(f"{'lines of its file':30} {len((shop.folder / shop.name).read_text().splitlines()):6}")
        shop.alone()
        questions(shop)
        killed(shop)
        together(shop)


def questions(shop: Workshop) -> None:
    shop.run("first")
    shop.run("again")
    shop.write(three=5)
    shop.run("a value of three changed")
    shop.helper[1] = 1
    shop.write()
    shop.run("the module changed")
    text = (shop.folder / "one.ipynb").read_text()
    (shop.folder / "one.ipynb").write_text(text.replace("import json, os", "import os, json"))
    shop.run("one changed, same result")
    shop.write(three=7)
    shop.run("three fails")
    shop.write(three=3)
    shop.run("mended")


def killed(shop: Workshop) -> None:
    """Kill the engine, and not what it has started, while stage two is at work."""
    shop.helper[0] = 4
    shop.write()
    (shop.folder / "times.txt").unlink()
    process = shop.start()
    while "two" not in dict(shop.times()):
        assert process.poll() is None, "it ended before stage two"
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    shop.run("killed in two, again at once")
    time.sleep(5)
    shop.run("again")


def together(shop: Workshop) -> None:
    """Whether two and three, which both need only one, are at work at once; DVC is started for each of them."""
    shop.write(one=9)
    if shop.command[0].endswith("dvc"):
        shop.run("one alone", "one")
        (shop.folder / "times.txt").unlink()
        for process in [shop.start("two"), shop.start("three")]:
            print(process.communicate()[0][-400:], f"    status {process.returncode}")
    else:
        shop.run("two jobs, 4 s a stage")
    times = shop.times()
    print({name: [round(when - times[0][1], 1) for one, when in times if one == name] for name in BEFORE})


if __name__ == "__main__":
    main(*sys.argv[1:3])
