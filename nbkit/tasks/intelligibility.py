"""How much of a voice a recogniser understands, beside the recordings that it learnt from.

A rate is that of voice, Griffin-Lim and recogniser together, so each part stands in a row of its own, and below them
what is left when the text is another one. What the voice itself loses is the difference to the recordings of the same
sentences through Griffin-Lim, sentence by sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nbkit.base import workspace
from nbkit.data import audio
from nbkit.data.audio import MelSpec
from nbkit.data.manifest import Utterance
from nbkit.evaluate import recognise, text
from nbkit.evaluate.recognise import Errors, Recogniser
from nbkit.models.glow_tts import Voice
from nbkit.tasks import voices
from nbkit.train.store import CheckpointStore

HEADS = ("what is heard", "sentences", "CER", "WER", "words wrong, lost, added", "CER beyond Griffin-Lim")


class Ear(NamedTuple):
    """Somebody who listens, the language that is spoken, and the seed of the draws behind intervals."""

    recogniser: Recogniser
    language: str = ""
    seed: int = 0


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


@dataclass(frozen=True)
class Heard:
    """What a recogniser made of some sentences.

    texts              what it heard
    characters, words  how far that is from what was said, a sentence each
    beyond             by how much more of the characters is wrong than in another hearing of the same sentences
    """

    texts: Sequence[str]
    characters: Sequence[Errors]
    words: Sequence[Errors]
    seed: int = 0
    beyond: Rate | None = None

    @property
    def sentences(self) -> int:
        return len(self.texts)

    @property
    def cer(self) -> Rate:
        return _rate(self.characters, self.seed)

    @property
    def wer(self) -> Rate:
        return _rate(self.words, self.seed)

    @property
    def kinds(self) -> str:
        """Of all words together: how many became others, were lost, were added."""
        counts = (sum(getattr(one, kind) for one in self.words) for kind in ("substituted", "left_out", "put_in"))
        return ", ".join(map(str, counts))

    def against(self, other: Heard) -> Heard:
        """With the paired difference to another hearing of the same sentences."""
        pairs = [_columns(one.characters) for one in (self, other)]
        value, low, high, _ = text.difference(_share, *pairs, seed=self.seed)
        return replace(self, beyond=Rate(value, low, high))


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


def hear(ear: Ear, waves: Sequence[np.ndarray], rate: int, said: Sequence[str]) -> Heard:
    """What is heard of waves whose texts should have been said.

    raises  ValueError where there is no wave, or not one for each text
    """
    return score([ear.recogniser.hear(wave, rate) for wave in waves], said, ear)


def score(heard: Sequence[str], said: Sequence[str], ear: Ear) -> Heard:
    """How far what was heard is from the texts; raises ValueError where there is nothing, or not one text each."""
    if not len(said) or len(heard) != len(said):
        raise ValueError(f"wanted a text for each of one sentence or more, got {len(heard)} heard and {len(said)} said")
    pairs = [*zip(said, heard)]
    characters = [recognise.character_errors(*pair, ear.language) for pair in pairs]
    return Heard(heard, characters, [recognise.word_errors(*pair, ear.language) for pair in pairs], ear.seed)


def _columns(errors: Sequence[Errors]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([one.edits for one in errors], float), np.array([one.length for one in errors], float)


def _share(edits: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return edits.sum(-1) / lengths.sum(-1)


def _rate(errors: Sequence[Errors], seed: int) -> Rate:
    columns = _columns(errors)
    return Rate(float(_share(*columns)), *text.interval(_share, *columns, seed=seed))


def compare(ear: Ear, said: Mapping[str, Said], spec: MelSpec) -> dict[str, Heard]:
    """Recordings as they are, through Griffin-Lim and against another text, then each group as the voice says it.

    said    groups of sentences by name, "known" and "new"; the recordings of all are taken together
    raises  ValueError where there are less than two sentences
    """
    texts = [one for group in said.values() for one in group.texts]
    if len(texts) < 2:
        raise ValueError(f"a comparison wants two sentences or more, got {len(texts)}; raise count")
    heard = [ear.recogniser.hear(wave, spec.rate) for group in said.values() for wave in group.recorded]
    copies = {
        name: hear(ear, [_copy(wave, spec) for wave in group.recorded], spec.rate, group.texts)
        for name, group in said.items()
        if group.texts
    }
    found = {
        "recordings": score(heard, texts, ear),
        "recordings through Griffin-Lim": score([one for own in copies.values() for one in own.texts], texts, ear),
    }
    for name, copy in copies.items():
        spoken = hear(ear, said[name].spoken, spec.rate, said[name].texts)
        found[f"{name} sentences, spoken"] = spoken.against(copy)
    return found | {"recordings against another text": score(heard, [*texts[1:], texts[0]], ear)}


def _copy(wave: np.ndarray, spec: MelSpec) -> np.ndarray:
    return audio.griffin_lim(audio.log_mel(wave, spec), spec)


def table(found: Mapping[str, Heard]) -> list[tuple[str | int, ...]]:
    """A line for each way, under HEADS."""
    return [
        (name, one.sentences, str(one.cer), str(one.wer), one.kinds, str(one.beyond) if one.beyond else "")
        for name, one in found.items()
    ]


def by_step(ear: Ear, source: str, rows: Sequence[Utterance], noise_scale: float, most: int = 8) -> dict[int, Heard]:
    """What is heard of the same sentences at each checkpoint that a run has kept, by step.

    most    checkpoints that are heard, spread evenly; the newest is always one
    """
    steps = sorted(checkpoints(source).items())
    picked = [steps[i] for i in sorted({*np.linspace(len(steps) - 1, 0, min(most, len(steps))).astype(int).tolist()})]
    found = {}
    for step, folder in picked:
        voice = voices.open_voice(folder)
        waves = [speak(voice, row, noise_scale) for row in rows]
        found[step] = hear(ear, waves, voice.spec.rate, [row.text for row in rows])
    return found


def checkpoints(source: str) -> dict[int, Path]:
    """The checkpoints of a run by step; none of an export."""
    return CheckpointStore(workspace.runs() / source / "checkpoints").steps()
