"""Scores that are none are flagged by the search, and fit says so in words."""

import pytest

from nbkit.base.record import Record
from nbkit.models.glow_tts import config as sizes
from nbkit.models.glow_tts import model
from nbkit.tasks.glow_tts import GlowTTSTask, GlowTTSTrain
from nbkit.train.loop import TrainingError, fit

NANO = dict(hidden=16, filter=16, duration_filter=8, encoder_layers=1, blocks=2, decoder_hidden=8, decoder_layers=2)


def test_scores_that_stay_nan_end_training_with_words(monkeypatch):
    monkeypatch.setitem(sizes.SIZES, "tiny", NANO)
    given = GlowTTSTrain.from_dict({"utterances": 12, "batch_size": 4, "stop_at": 60})
    task, steps, scores = GlowTTSTask(given), [], model.frame_scores

    def poisoned(*arrays, **options):
        found = scores(*arrays, **options)
        found[0, 0, 0] = float("nan") if len(steps) > 3 else found[0, 0, 0]
        return found

    losses = task.losses
    monkeypatch.setattr(model, "frame_scores", poisoned)
    monkeypatch.setattr(task, "losses", lambda *rest: (steps.append(0), losses(*rest))[1])
    with task.record() as run, pytest.raises(TrainingError, match=r"26 steps in a row had no finite gradient.*Lower"):
        fit(task, given, task.store(run), run)
    rows = Record.read(run.folder).rows("train")
    finite = [isinstance(row["loss"], float) for row in rows]
    assert finite[0]
    assert not finite[-1]
    assert rows[-1]["skipped"] == 25, "the 26th ends it"
