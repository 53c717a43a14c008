"""`nbkit fit`: a training task without its notebook, which is what several processes need.

    torchrun --nproc-per-node 2 -m nbkit.run fit glow_tts --preset colab -p size paper

The run folder is the one that the notebook uses for the same parameters, so either goes on where the other stopped.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING, Any, cast

from nbkit.base.record import RunBusyError
from nbkit.data.disk import DataError
from nbkit.run.notebook import add_values, configure

if TYPE_CHECKING:
    from nbkit.train.task import Training

TASKS = {
    "glow_tts": ("nbkit.tasks.glow_tts", "GlowTTSTask", "GlowTTSTrain"),
    "kobert_pretrain": ("nbkit.tasks.kobert_pretrain", "KoBERTPretrainTask", "KoBERTPretrain"),
    "kobert_classify": ("nbkit.tasks.kobert_classify", "KoBERTClassifyTask", "KoBERTClassify"),
    "kobert_regress": ("nbkit.tasks.kobert_regress", "KoBERTRegressTask", "KoBERTRegress"),
    "kobert_search": ("nbkit.tasks.kobert_search", "KoBERTSearchTask", "KoBERTSearch"),
    "wavernn": ("nbkit.tasks.wavernn", "WaveRNNTask", "WaveRNNTrain"),
    "wavernn_sine": ("nbkit.tasks.wavernn_sine", "SineTask", "FitSine"),
    "sine": ("nbkit.tasks.drive_resume", "SineTask", "SineTrain"),
}


def add_parser(subparsers: Any) -> None:
    """Add `fit` to the command line."""
    parser = subparsers.add_parser("fit", help="train a task without its notebook, in one or several processes")
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("--preset", metavar="NAME", help="start from named values, as smoke")
    add_values(parser)
    parser.set_defaults(call=_command)


def _command(arguments: argparse.Namespace) -> int:
    from nbkit.train.device import leave
    from nbkit.train.loop import TrainingError, fit
    from nbkit.train.store import CheckpointError

    module, task_name, config_name = TASKS[arguments.task]
    found = importlib.import_module(module)
    try:
        config = cast("Training", configure(getattr(found, config_name), arguments.preset, arguments.values))
        task = getattr(found, task_name)(config)
    except (DataError, ValueError) as error:  # parameters or data that cannot be used, in the words of their checks
        print(f"nbkit fit: {error}", file=sys.stderr)
        return 2
    try:
        with task.record() as run:
            result = fit(task, config, task.store(run), run)
            if run.writer:
                print(f"{result}, in {run.folder}")
        leave()
    except (RunBusyError, CheckpointError, TrainingError) as error:
        print(f"nbkit fit: {error}", file=sys.stderr)
        return 1
    return 0
