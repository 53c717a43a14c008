"""`nbkit pipeline`: notebooks that take from each other, where only what changed is run again. Snakemake decides.

preset: smoke                  # optional; for all stages whose notebook has it
stages:                        # a stage takes from those above it
  train:
    notebook: 22_glow_train    # a name in notebooks/, or a path beside this file
    parameters: {learning_rate: 0.001}
  speak:
    notebook: 23_glow_speak
    takes: {source: train}     # this parameter names the run of that stage
    after: []                  # further stages that have to be done before
    inputs: []                 # files and folders that it reads; data sets that parameters name are known
    retries: 0                 # further tries where it fails
    minutes: 0                 # of each try; 0 for no limit
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import runpy
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbkit.base import record, workspace
from nbkit.base.amounts import duration
from nbkit.base.record import RunBusyError
from nbkit.run import engines, points, stages, sweep
from nbkit.run.data import table
from nbkit.run.stages import Pipeline, PipelineError

if TYPE_CHECKING:
    from nbkit.run.standing import Plan
    from nbkit.views.pipeline import Stage

_SLOTS = "NBKIT_PIPELINE_SLOTS"
_POLL = 0.2  # seconds
_SNAKEFILE = Path(__file__).with_name("pipeline.smk")
_ALWAYS = (
    "--nolock",
    "--rerun-incomplete",
    "--keep-going",
)  # nbkit holds the lock itself, and lets go of it when killed


def add_parser(subparsers: Any) -> None:
    """Add `pipeline` to the command line."""
    parser = subparsers.add_parser(
        "pipeline", help="run notebooks that take from each other, again only what changed",
        epilog=(__doc__ or "").partition("\n\n")[2], formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    action = actions.add_parser("run", help="run what changed, and what depends on it; then write the page")
    action.add_argument("file", metavar="PIPELINE", help="a YAML file, or its name in notebooks/ as speech")
    action.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="stages at once; by default one a core, with a GPU 1"
    )
    action.add_argument(
        "options", nargs="*", metavar="-- OPTION", help="of Snakemake, as -- --executor slurm --jobs 20"
    )
    action.set_defaults(call=_told(_run))
    action = actions.add_parser("show", help="what is done, what would run and why, also during a run; writes the page")
    action.add_argument("file", metavar="PIPELINE")
    action.set_defaults(call=_told(_show))
    action = actions.add_parser("stage", help="one stage, whatever changed; what Snakemake calls")
    action.add_argument("file", metavar="PIPELINE")
    action.add_argument("name", metavar="STAGE")
    action.set_defaults(call=_told(_stage))


def find(name: str) -> Path:
    """The file of a pipeline: a path, or a name in notebooks/."""
    path = Path(name)
    return path if path.suffix or path.is_file() else workspace.root() / "notebooks" / f"{name}.yaml"


def run(pipeline: Pipeline, *, jobs: int = 0, options: Sequence[str] = ()) -> bool:
    """Run what changed, and what depends on it; a stage that fails stops only those that need it.

    jobs     stages at once; 0 takes one a core, and 1 where there is a GPU
    options  of Snakemake, which come last and win
    returns  whether every stage is done
    raises   RunBusyError while another process runs this pipeline, PipelineError without Snakemake
    """
    jobs = jobs or (1 if engines.gpus() else min(os.cpu_count() or 1, engines.MOST_JOBS))
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    os.environ.setdefault("OMP_NUM_THREADS", threads)
    os.environ[_SLOTS] = "0" if any(option.startswith("--executor") for option in options) else str(jobs)
    (pipeline.folder / "points").mkdir(parents=True, exist_ok=True)
    with record.held(pipeline.folder):
        (pipeline.folder / points.CANCEL).unlink(missing_ok=True)
        with sweep.cancelling(pipeline.folder):
            return _in_this_process(_words(pipeline, "--cores", str(jobs), "--quiet", "all", *options)) == 0


def _words(pipeline: Pipeline, *options: str) -> list[str]:
    """The command line of Snakemake."""
    if importlib.util.find_spec("snakemake") is None:
        raise PipelineError("a pipeline wants Snakemake, which is not installed: pip install 'nbkit[pipelines]'")
    where = ["--snakefile", str(_SNAKEFILE), "--directory", str(pipeline.folder)]
    return [*where, "--config", f"file={pipeline.file}", *_ALWAYS, *options]


def _in_this_process(words: list[str]) -> int:
    """Snakemake's exit status. It ends with this process, and beside the main thread it leaves our signals alone."""
    ended: list[int] = []

    def work() -> None:
        before, sys.argv = sys.argv, ["snakemake", *words]
        try:
            runpy.run_module("snakemake", run_name="__main__")
        except SystemExit as error:
            ended.append(int(error.code or 0))
        finally:
            sys.argv = before

    thread = threading.Thread(target=work, name="snakemake")
    thread.start()
    thread.join()
    return ended[0] if ended else 1


def _told(action: Any) -> Any:
    def call(arguments: argparse.Namespace) -> int:
        try:
            pipeline = stages.read(find(arguments.file))
            return action(pipeline, arguments)
        except (ValueError, RunBusyError, OSError) as error:
            print(f"nbkit pipeline: {error}", file=sys.stderr)
            return 2

    return call


def _run(pipeline: Pipeline, arguments: argparse.Namespace) -> int:
    from nbkit.run import standing

    done = run(pipeline, jobs=arguments.jobs, options=arguments.options)
    try:
        planned = plan(pipeline)
    except PipelineError:  # which the run has told of already
        planned = {}
    print(standing.write(pipeline, standing.stages(pipeline, planned)))
    return 0 if done else 1


@contextlib.contextmanager
def _slot(pipeline: Pipeline) -> Iterator[None]:
    """One of the stages that may run at once here: Snakemake 9.15 starts more (its issue 3913)."""
    with contextlib.ExitStack() as stack:
        slots = range(int(os.environ.get(_SLOTS, 0)))
        while slots and not _took_one(stack, [pipeline.folder / f"slot{slot}" for slot in slots]):
            time.sleep(_POLL)
        yield


def _took_one(stack: contextlib.ExitStack, places: Sequence[Path]) -> bool:
    for place in places:
        with contextlib.suppress(RunBusyError):
            stack.enter_context(record.held(place))
            return True
    return False


def _say(*lines: str) -> None:
    """Whole lines at once: stages share this output, and unbuffered, `print` writes the end of a line by itself."""
    sys.stdout.write("".join(f"{line}\n" for line in lines if line))
    sys.stdout.flush()


def _stage(pipeline: Pipeline, arguments: argparse.Namespace) -> int:
    name, since = arguments.name, time.time()
    with sweep.cancelling(pipeline.folder), _slot(pipeline):
        _say(f"{name}: starts")
        point = stages.run(pipeline, name, since=since)
    failed = points.traceback(pipeline.folder, name) if point["state"] == points.FAILED else ""
    _say(f"{name}: {point['state']}, {duration(point['seconds'])}, {point['error'] or point['folder']}", failed)
    return 0 if point["state"] == points.OK else 1


def plan(pipeline: Pipeline) -> dict[str, Plan]:
    """What Snakemake would do now; raises PipelineError where it cannot say."""
    from nbkit.run.standing import Plan

    pipeline.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as troubles:
        status = _in_this_process(_words(pipeline, "--summary"))
    if status:
        raise PipelineError(f"Snakemake cannot say how {pipeline.name} stands: {troubles.getvalue().strip()}")
    lines = [line.split("\t") for line in said.getvalue().splitlines()[1:]]  # output, date, rule, log, status, plan
    return {line[2]: Plan(line[4], line[5] != "no update") for line in lines}


def _show(pipeline: Pipeline, _arguments: argparse.Namespace) -> int:
    from nbkit.run import standing

    found = standing.stages(pipeline, plan(pipeline))
    print(table([("stage", "takes from", "state", "took", "last run", "why"), *map(_row, found)]))
    print(standing.write(pipeline, found))
    return 0


def _row(stage: Stage) -> tuple[str, ...]:
    before = ", ".join(dict.fromkeys(source for source, _ in stage.takes))
    why = stage.error if stage.state == "failed" else "; ".join(stage.why)
    return (stage.name, before or "-", stage.state, stage.took or "-", stage.run or "-", why or "-")
