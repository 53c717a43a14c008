"""Do the numbers hear what people hear? The sounds of a listening test, measured, beside what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nbkit.base import record, seeds, workspace
from nbkit.data.audio import MelSpec
from nbkit.evaluate import agreement, listening, sound
from nbkit.evaluate.agreement import Sound
from nbkit.evaluate.listening import Answer, Trial
from nbkit.tasks import listening_sounds
from nbkit.tasks.listening_sounds import Sounds

HEADS = ("measure", "sounds", "items", "rank correlation with opinions", "linear correlation")
MEASURES = {"mcd": "MCD, dB", "f0_rmse": "F0, cents", "voicing_error": "voicing", "pace": "pace"}
LISTENERS = 4  # of those who do not exist


class Tested(NamedTuple):
    """The sounds of a listening test and its answers.

    told  in words, where they come from
    """

    sounds: Sounds
    answers: list[Answer]
    told: str


def find(name: str = "", count: int = 4, seed: int = 0) -> Tested:
    """A test that was answered and whose sounds are still as they were heard; else made sounds and imaginary listeners.

    name    of a run of 71_listening_test; empty takes the newest of which this is true
    raises  ValueError where the named run has no answers, or its sounds are others by now
    """
    if name and not (workspace.runs() / name / record.CONFIG).is_file():
        known = ", ".join(run.name for run in record.runs("listening")) or "none yet; run 71_listening_test first"
        raise ValueError(f"wanted the name of a listening test, got {name!r}; tests: {known}")
    runs = [record.Record.read(workspace.runs() / name)] if name else record.runs("listening")
    for run in runs:
        given, sounds = listening.read(run.folder), _sounds_of(run)
        if sounds and any(answer.trial.kind in ("ab", "mos") for answer in given):
            return Tested(sounds, given, f"{run.name}: {len(given)} answers")
    if name:
        raise ValueError(f"wanted answers and the sounds they were given to, {name} lacks one of them; take the test")
    sounds = listening_sounds.made(count, seed)
    told = "Nobody was asked yet, so these listeners are imaginary: they rate by what was done to the sounds."
    return Tested(sounds, imaginary(sounds, seed), told)


def _sounds_of(run: record.Record) -> Sounds | None:
    """What was played, if it is still there and the same."""
    asked = run.config["parameters"]
    try:
        sounds = listening_sounds.sounds(asked["source"], asked["count"], asked["seed"])
    except ValueError:  # the folder has gone
        return None
    return sounds if sounds.fingerprint == run.config["data"] else None


def imaginary(sounds: Sounds, seed: int = 0) -> list[Answer]:
    """Ratings of listeners who do not exist: the first system is the best, the last the worst, and all err a little."""
    quality = np.linspace(4.6, 1.6, len(sounds.waves))
    found = []
    for number in range(LISTENERS):
        for system, level in zip(sounds.waves, quality):
            for item in sounds.items:
                wrong = seeds.generator(seed, "imaginary", number, system, item).normal(scale=0.5)
                rating = int(np.clip(round(level + wrong), 1, 5))
                found.append(Answer(f"imaginary {number + 1}", Trial("mos", item, (system,)), rating, 0.0, (1,)))
    return found


def measure(sounds: Sounds, reference: str) -> dict[str, dict[Sound, float]]:
    """Each of MEASURES of each sound against that of the reference: {"mcd": {(system, item): value}}.

    raises  ValueError for a reference that is none of the systems
    """
    if reference not in sounds.waves:
        raise ValueError(f"wanted a system of {', '.join(sounds.waves)} to compare with, got {reference!r}")
    found: dict[str, dict[Sound, float]] = {name: {} for name in MEASURES}
    spec = MelSpec()
    for system, own in sounds.waves.items():
        for item in sounds.items if system != reference else ():
            waves = [_at(one[item], sounds.rate, spec.rate) for one in (own, sounds.waves[reference])]
            compared = sound.compare(waves[0], waves[1], spec)
            for name, values in found.items():
                values[system, item] = abs(getattr(compared, name))
    return found


def _at(wave: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    import librosa

    return wave if rate == wanted else librosa.resample(np.asarray(wave), orig_sr=rate, target_sr=wanted)


def best_liked(liked: Mapping[Sound, float]) -> str:
    """The system whose sounds were liked best in the mean."""
    systems = sorted({system for system, _ in liked})
    means = [np.mean([value for (own, _), value in liked.items() if own == system]) for system in systems]
    return systems[int(np.argmax(means))]


def table(test: Tested, seed: int = 0) -> list[tuple[str | int, ...]]:
    """A line a measure, under HEADS: how it goes with opinions, over all sounds but those that it compares with.

    These are the sounds of the system that was liked best. A good measure of distance goes down as opinions go up.
    """
    liked = agreement.liking(test.answers)
    lines: list[tuple[str | int, ...]] = []
    for name, values in measure(test.sounds, best_liked(liked)).items():
        both = [(value, liked[sound]) for sound, value in values.items() if np.isfinite(value) and sound in liked]
        if len(both) < 3 or np.ptp(both, axis=0).min() < 1e-9:
            lines.append((MEASURES[name], len(both), "", "too few sounds, or all alike", ""))
            continue
        one = agreement.agree(values, liked, seed=seed)
        lines.append((MEASURES[name], one.sounds, one.items, _told(one.spearman), _told(one.pearson)))
    return lines


def _told(one: agreement.Correlation) -> str:
    return f"{one.value:.2f}" if np.isnan(one.low) else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
