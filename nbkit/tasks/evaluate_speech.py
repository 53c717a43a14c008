"""What 70_evaluate_speech needs: recordings, ways to spoil them, and every measure of each."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nbkit.base import seeds
from nbkit.base.params import Params, param
from nbkit.data import audio, manifest
from nbkit.data.audio import MelSpec
from nbkit.data.manifest import Dataset, Utterance
from nbkit.evaluate import recognise, sound, text
from nbkit.evaluate.recognise import Recogniser
from nbkit.tasks import intelligibility, voices
from nbkit.tasks.intelligibility import Heard, Said

Wave = np.ndarray
MEASURES = {"mcd": "MCD, dB", "f0_rmse": "F0, cents", "voicing_error": "voicing", "pace": "pace", "cer": "CER"}


@dataclass(frozen=True)
class EvaluateSpeech(Params):
    """Parameters of 70_evaluate_speech."""

    dataset: str = param("espeak_en", "A data set of speech. `nbkit data list` shows them.")
    count: int = param(16, "Sentences that are spoilt and measured.", unit="sentences", low=3)
    source: str = param(
        "", "A voice to measure: a run of 22_glow_train, on its own data set; or an export. Empty measures none."
    )
    noise_scale: float = param(0.333, "Temperature of the voice.", low=0.0, high=2.0)
    listening: str = param("", "Name of a run of 71_listening_test. Empty takes the newest that was answered.")
    seed: int = param(0, "Decides the noise, and the draws behind the intervals.", low=0)

    PRESETS: ClassVar = {"smoke": {"count": 3}}


@dataclass(frozen=True)
class Measured:
    """One value of each measure for each sentence: {"mcd": [N], ...}; NaN where a measure says nothing."""

    values: Mapping[str, np.ndarray]

    def mean(self, name: str) -> float:
        """The mean over sentences that have a value; NaN where none has."""
        known = self.values[name][~np.isnan(self.values[name])]
        return float(known.mean()) if known.size else float("nan")

    def interval(self, name: str, seed: int) -> text.Interval:
        """The bootstrap interval of that mean over sentences."""
        known = self.values[name][~np.isnan(self.values[name])]
        return (
            text.interval(lambda x: x.mean(-1), known, seed=seed)
            if known.size > 1
            else text.Interval(float("nan"), float("nan"))
        )


class Bench:
    """Sentences of a data set, and a recogniser that knows them where there is one for their language."""

    def __init__(self, config: EvaluateSpeech):
        self.config, self.spec = config, MelSpec()
        own = voices.learnt_from(config.source) if config.source else None
        self.dataset: Dataset = own or manifest.open_dataset(config.dataset)
        rows = self.dataset.rows
        self.rows: list[Utterance] = [rows[i] for i in spread(len(rows), config.count)]
        self.waves: list[Wave] = [audio.load(row.audio, self.spec.rate, resample=True) for row in self.rows]
        self.recogniser = hearing(self.dataset)

    def spoilt(self) -> dict[str, list[Wave]]:
        """The sentences in every way in which they are spoilt; "as it is" is the first."""
        return {name: [spoil(wave, n) for n, wave in enumerate(self.waves)] for name, spoil in self._ways().items()}

    def _ways(self) -> dict[str, Callable[[Wave, int], Wave]]:
        import librosa

        rate, seed = self.spec.rate, self.config.seed
        return {
            "as it is": lambda wave, n: wave,
            "half as loud": lambda wave, n: 0.5 * wave,
            "pitch, 2 semitones up": lambda wave, n: librosa.effects.pitch_shift(wave, sr=rate, n_steps=2),
            "a fifth slower": lambda wave, n: librosa.effects.time_stretch(wave, rate=1 / 1.2),
            "noise, 20 dB below": lambda wave, n: noisy(wave, 20.0, seeds.generator(seed, "noise", n)),
            "noise, 5 dB below": lambda wave, n: noisy(wave, 5.0, seeds.generator(seed, "noise", n)),
            "a third cut out": lambda wave, n: without_a_third(wave),
            "through Griffin-Lim": lambda wave, n: audio.griffin_lim(audio.log_mel(wave, self.spec), self.spec),
        }

    def measure(self, waves: Sequence[Wave]) -> Measured:
        """Every measure of one recording a sentence, against the recordings of the data set."""
        found = [sound.compare(wave, given, self.spec) for wave, given in zip(waves, self.waves, strict=True)]
        values = {name: np.array([getattr(one, name) for one in found]) for name in sound.Comparison._fields}
        values["pace"] = np.abs(values["pace"])
        values["cer"] = self.error_rates(waves, [row.text for row in self.rows])
        return Measured(values)

    def error_rates(self, waves: Sequence[Wave], said: Sequence[str]) -> np.ndarray:
        """The character error rate of each recording; NaN where nobody can listen."""
        if self.recogniser is None:
            return np.full(len(waves), np.nan)
        heard = [self.recogniser.hear(wave, self.spec.rate) for wave in waves]
        return np.array([recognise.character_errors(a, b).rate for a, b in zip(said, heard)])


def hearing(dataset: Dataset) -> Recogniser | None:
    """Somebody who can listen: pocketsphinx for English where it is installed, nobody else without a download."""
    if dataset.language != "en" or importlib.util.find_spec("pocketsphinx") is None:
        return None
    return recognise.Sphinx([row.text for row in dataset.rows])


def noisy(wave: Wave, decibel: float, draw: np.random.Generator) -> Wave:
    """With white noise so far below the mean power of the wave."""
    power = float((wave.astype(np.float64) ** 2).mean()) / 10 ** (decibel / 10)
    return (wave + draw.normal(scale=np.sqrt(power), size=wave.shape)).astype(np.float32)


def without_a_third(wave: Wave) -> Wave:
    """Without the middle third, as a voice that skips words."""
    return np.concatenate([wave[: len(wave) // 3], wave[2 * len(wave) // 3 :]])


def table(measured: Mapping[str, Measured], seed: int) -> list[tuple[str, ...]]:
    """A line for each way of spoiling: the mean of each measure and its interval."""
    return [(name, *(told(one, measure, seed) for measure in MEASURES)) for name, one in measured.items()]


def told(measured: Measured, name: str, seed: int) -> str:
    """The mean and its interval, or "-" where a measure says nothing."""
    mean, (low, high) = measured.mean(name), measured.interval(name, seed)
    if np.isnan(mean):
        return "-"
    mean, low, high = (round(value, 4) for value in (mean, low, high))  # 1e-7 dB is the same recording
    return f"{mean:.3g}" if np.isnan(low) else f"{mean:.3g} ({low:.3g} to {high:.3g})"


def moved(measured: Mapping[str, Measured], seed: int) -> dict[str, list[str]]:
    """For each way of spoiling the measures whose interval lies above all that "half as loud" brought about."""
    still = {name: float(np.nanmax(values)) if not np.isnan(values).all() else 0.0
             for name, values in measured["half as loud"].values.items()}  # fmt: skip
    return {
        way: [name for name in MEASURES if one.interval(name, seed).low > still[name] + 1e-6]
        for way, one in measured.items()
    }


def correlations(measured: Mapping[str, Measured], seed: int) -> list[tuple[str, ...]]:
    """Spearman correlations between measures over all spoilt sentences, each with its interval."""
    columns = {
        name: np.concatenate([one.values[name] for way, one in measured.items() if way != "as it is"])
        for name in MEASURES
    }
    lines = []
    for a in MEASURES:
        line: list[str] = [MEASURES[a]]
        for b in MEASURES:
            known = ~np.isnan(columns[a]) & ~np.isnan(columns[b])
            x, y = columns[a][known], columns[b][known]
            if a == b or len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
                line.append("")
                continue
            low, high = text.interval(text.spearman, x, y, seed=seed)
            line.append(f"{float(text.spearman(x, y)):.2f} ({low:.2f} to {high:.2f})")
        lines.append(tuple(line))
    return lines


def spoken(bench: Bench) -> dict[str, Said]:
    """What a voice says, beside the recordings: sentences that it learnt from ("known") and others ("new").

    returns  nothing where no voice was asked for
    """
    if not bench.config.source:
        return {}
    groups = {}
    for name, split in (("known", "train"), ("new", "validation")):
        rows = bench.dataset.split(split)
        groups[name] = [rows[i] for i in spread(len(rows), bench.config.count)]
    voice = voices.open_voice(bench.config.source)
    return intelligibility.say(voice, groups, bench.config.noise_scale)


def of_the_voice(bench: Bench, said: Mapping[str, Said]) -> list[tuple[str, ...]]:
    """A line for each measure of each group of sentences; none where no voice was asked for."""
    lines = []
    for name, group in said.items():
        pairs = [sound.compare(wave, one, bench.spec) for wave, one in zip(group.spoken, group.recorded, strict=True)]
        values = {field: np.array([getattr(one, field) for one in pairs]) for field in sound.Comparison._fields}
        values["pace"] = np.abs(values["pace"])
        measured = Measured(values)
        lines += [(name, MEASURES[one], told(measured, one, bench.config.seed)) for one in values]
    return lines


def understood(bench: Bench, said: Mapping[str, Said]) -> dict[str, Heard]:
    """What a recogniser makes of the voice and of the recordings; nothing where either is missing."""
    if bench.recogniser is None or not said:
        return {}
    return intelligibility.compare(bench.recogniser, said, bench.spec, bench.config.seed)


def understood_by_step(bench: Bench, said: Mapping[str, Said]) -> dict[int, Heard]:
    """The same of the new sentences (of the known, where there are none) at each checkpoint of the run."""
    rows = [*(said["new"].rows or said["known"].rows)] if said else []
    if bench.recogniser is None or len(rows) < 2:
        return {}
    config = bench.config
    return intelligibility.by_step(bench.recogniser, config.source, rows, config.noise_scale, seed=config.seed)


def spread(rows: int, count: int) -> list[int]:
    """`count` of so many rows, evenly apart; all where there are fewer."""
    return sorted({*np.linspace(0, rows - 1, min(count, rows)).astype(int).tolist()})


def faulty(bench: Bench) -> list[tuple[str | float, ...]]:
    """A line for each recording: what is plainly wrong with it; the longest pause first."""
    found = [(row.id, *sound.faults(wave, bench.spec)) for row, wave in zip(bench.rows, bench.waves)]
    return sorted(found, key=lambda line: -float(line[1]))
