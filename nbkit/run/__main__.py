"""`nbkit`, also as `python -m nbkit.run`."""

from __future__ import annotations

import argparse
import os
import sys

import nbkit
from nbkit.run import data, demo, doctor, fit, notebook, notebooks, papers, pipeline, runs, sweep


def main(words: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="nbkit", description="Korean speech and language models, from a notebook.")
    parser.add_argument("--version", action="version", version=f"nbkit {nbkit.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (notebook, sweep, pipeline, fit, data, runs, papers, doctor, demo, notebooks):
        module.add_parser(commands)
    arguments = parser.parse_args(notebook.guarded(sys.argv[1:] if words is None else words))
    try:
        status = arguments.call(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `nbkit runs | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141


if __name__ == "__main__":
    sys.exit(main())
