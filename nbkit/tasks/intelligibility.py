"""How much of a voice a recogniser understands, beside the recordings that it learnt from.

A rate is that of voice, Griffin-Lim and recogniser together, so each part stands in a row of its own, and below them
what is left when the text is another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nbkit.base import workspace
from nbkit.data import audio
from nbkit.data.audio import MelSpec
from nbkit.data.manifest import Utterance
from nbkit.evaluate import recognise, text
from nbkit.evaluate.recognise import Recogniser
from nbkit.models.glow_tts import Voice
from nbkit.tasks import voices
from nbkit.train.store import CheckpointStore

HEADS = ("what is heard", "sentences", "CER", "WER")


@dataclass(frozen=True)
class Said:
    """Sentences of a data set, as recorded and as a voice says them; waves [S] of the voice's rate."""

    rows: Sequence[Utterance]
    recorded: Sequence[np.ndarray]
    spoken: Sequence[np.ndarray]

    @property
    def texts(self) -> list[str]:
        return [row.text for row in self.rows]


class Rate(NamedTuple):
    """Edits over the length of all sentences together, and where that may lie, had other sentences been drawn."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class Heard(NamedTuple):
    """What a recogniser got wrong."""

    sentences: int
    cer: Rate
    wer: Rate


def say(voice: Voice, groups: Mapping[str, Sequence[Utterance]], noise_scale: float) -> dict[str, Said]:
    """Each group of sentences in the mouth of the voice, beside its recordings."""
    return {
        name: Said(
            rows,
            [audio.load(row.audio, voice.spec.rate, resample=True) for row in rows],
            [speak(voice, row, noise_scale) for row in rows],
        )
        for name, rows in groups.items()
    }


def speak(voice: Voice, row: Utterance, noise_scale: float) -> np.ndarray:
    """The sentence of a row as the voice says it, [S]; a speaker it does not know is its first."""
    speaker = row.speaker if row.speaker in voice.speakers else ""
    return voice.speak(row.text, speaker=speaker, noise_scale=noise_scale).wave


def hear(recogniser: Recogniser, waves: Sequence[np.ndarray], rate: int, said: Sequence[str], seed: int = 0) -> Heard:
    """The error rates of waves against the texts that should have been said.

    raises  ValueError where there is no wave, or not one for each text
    """
    return score([recogniser.hear(wave, rate) for wave in waves], said, seed)


def score(heard: Sequence[str], said: Sequence[str], seed: int = 0) -> Heard:
    """Error rates of what was heard; raises ValueError where there is nothing, or not one text each."""
    if not len(said) or len(heard) != len(said):
        raise ValueError(f"wanted a text for each of one sentence or more, got {len(heard)} heard and {len(said)} said")
    return Heard(
        len(said),
        *(
            _rate([measure(one, other) for one, other in zip(said, heard, strict=True)], seed)
            for measure in (recognise.character_errors, recognise.word_errors)
        ),
    )


def _rate(errors: Sequence[recognise.Errors], seed: int) -> Rate:
    edits, lengths = (np.array(column, float) for column in zip(*errors))
    bounds = text.interval(lambda e, n: e.sum(-1) / n.sum(-1), edits, lengths, seed=seed)
    return Rate(float(edits.sum() / lengths.sum()), *bounds)


def compare(recogniser: Recogniser, said: Mapping[str, Said], spec: MelSpec, seed: int = 0) -> dict[str, Heard]:
    """Recordings as they are, through Griffin-Lim and against another text, then each group as the voice says it.

    said    groups of sentences by name, "known" and "new"; the recordings of all are taken together
    raises  ValueError where there are less than two sentences
    """
    texts = [one for group in said.values() for one in group.texts]
    if len(texts) < 2:
        raise ValueError(f"a comparison wants two sentences or more, got {len(texts)}; raise count")
    waves = [wave for group in said.values() for wave in group.recorded]
    copies = [audio.griffin_lim(audio.log_mel(wave, spec), spec) for wave in waves]
    heard = [recogniser.hear(wave, spec.rate) for wave in waves]
    found = {
        "recordings": score(heard, texts, seed),
        "recordings through Griffin-Lim": hear(recogniser, copies, spec.rate, texts, seed),
    }
    for name, group in said.items():
        if group.texts:
            found[f"{name} sentences, spoken"] = hear(recogniser, group.spoken, spec.rate, group.texts, seed)
    return found | {"recordings against another text": score(heard, [*texts[1:], texts[0]], seed)}


def table(found: Mapping[str, Heard]) -> list[tuple[str, int, str, str]]:
    """A line for each way, under HEADS."""
    return [(name, one.sentences, str(one.cer), str(one.wer)) for name, one in found.items()]


def by_step(
    recogniser: Recogniser, source: str, rows: Sequence[Utterance], noise_scale: float, most: int = 8, seed: int = 0
) -> dict[int, Heard]:
    """What is heard of the same sentences at each checkpoint that a run has kept, by step.

    most    checkpoints that are heard, spread evenly; the newest is always one
    """
    steps = sorted(checkpoints(source).items())
    picked = [steps[i] for i in sorted({*np.linspace(len(steps) - 1, 0, min(most, len(steps))).astype(int).tolist()})]
    found = {}
    for step, folder in picked:
        voice = voices.open_voice(folder)
        waves = [speak(voice, row, noise_scale) for row in rows]
        found[step] = hear(recogniser, waves, voice.spec.rate, [row.text for row in rows], seed)
    return found


def checkpoints(source: str) -> dict[int, Path]:
    """The checkpoints of a run by step; none of an export."""
    return CheckpointStore(workspace.runs() / source / "checkpoints").steps()
