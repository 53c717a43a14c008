"""Killed at random moments, on machines that are lost now and then: every resume continues bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CUTS = int(os.environ.get("NBKIT_KILLS", "40"))
PROGRAM = Path(__file__).with_name("cuts.py")
EVERY = 3  # steps between two checkpoints, as in the program


@pytest.mark.slow
@pytest.mark.timeout(max(300, 6 * CUTS))
def test_every_cut_run_goes_on_bit_for_bit(tmp_path):
    root = PROGRAM.parents[2]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(root), str(PROGRAM.parent)])}
    environment.pop("NBKIT_RUN_POINTER", None)
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path / "runs"), str(CUTS), str(CUTS + 1)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    uncut, sessions = lines[0], lines[1:]
    ended = [one for one in sessions if "ended" in one]
    assert not [one for one in sessions if "error" in one]
    assert ended
    assert all(one["ended"] == uncut["uncut"] for one in ended), "weights of a cut run differ from the uncut one"
    for one in ended:
        # what was never called safe may come back without a piece of its log, which is told; what was done after the
        # last start is all there, and nothing else may differ
        life = [other for other in sessions if other["life"] == one["life"]]
        missing = [row for row in uncut["rows"] if row not in one["rows"]]
        assert one["rows"] == [row for row in uncut["rows"] if row not in missing], "losses differ from the uncut run's"
        assert not missing or any("gap" in other for other in life), "a piece of the log lacks, and nobody was told"
        last_start = max(other["began"] for other in life if "began" in other)
        assert all(step <= last_start for step, _ in missing), "a line that this process wrote is not in its log"
    began = [one for one in sessions if "began" in one]
    assert len(sessions) - len(ended) >= CUTS
    for one in began:
        if not one["lost_machine"]:
            assert one["began"] >= one["logged"] - EVERY, "the death of a process cost more than one interval"
        assert one["began"] >= one["safe_before"], "what was called safe was not found again"
    worst = max(one["logged"] - one["began"] for one in began if not one["lost_machine"])
    machines = sum(one["lost_machine"] for one in sessions)
    print(f"{len(sessions) - len(ended)} kills, {machines} machines lost, worst loss of a process {worst} steps")
