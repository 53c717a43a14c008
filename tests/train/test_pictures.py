"""What a probe saw and heard lies in the run folder, for views that are made later."""

from __future__ import annotations

import numpy as np

from nbkit.base.record import Record
from nbkit.train import pictures
from nbkit.train.task import Picture
from tests.train.toy import ToyTrain

WAVE = np.full(2205, 0.1, np.float32)


def test_a_sound_is_kept_with_what_is_known_of_it():
    frames = {
        "log_mel": np.ones((80, 9), np.float16),
        "durations": np.array([4, 5]),
        "symbols": ["가", "나"],
        "hop": 256,
    }
    sounds = [
        Picture("sample", "audio", "가나", {"wave": WAVE, "rate": 22050} | frames),
        Picture("bare", "audio", "가나", {"wave": WAVE, "rate": 22050}),
    ]
    with Record.open("toy", ToyTrain(), "made") as run:
        pictures.keep(run, 40, sounds)
    folder = run.folder / "audio"
    endings = {path.name for path in folder.iterdir() if path.suffix != ".json"}
    assert endings == {"sample-000000040.wav", "sample-000000040.npz", "bare-000000040.wav"}
    with np.load(folder / "sample-000000040.npz") as kept:
        assert sorted(kept) == ["durations", "hop", "log_mel", "rate", "symbols"]
        assert kept["symbols"].tolist() == ["가", "나"]
