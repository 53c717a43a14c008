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
from nbkit.evaluate import agreement, recognise, sound, text
from nbkit.evaluate.recognise import Recogniser
from nbkit.tasks import intelligibility, voices
from nbkit.tasks.intelligibility import Ear, Heard, Said
from nbkit.views.player import Sound

Wave = np.ndarray
MEASURES = {"mcd": "MCD, dB", "f0_rmse": "F0, cents", "voicing_error": "voicing", "pace": "pace", "cer": "CER"}
FAULTS = ("recording", "longest pause, s", "silence at the ends, s", "clipped", "said again, s", "letters a second")
AS_IT_IS, HARMLESS = "as it is", ("half as loud", "5 ms later")
SURE = 0.99  # of the interval by which a measure is said to have noticed: there are some thirty of them
_NEAREST = {"jje": "ko"}  # of a language that Whisper does not know, the one that is most like it


@dataclass(frozen=True)
class EvaluateSpeech(Params):
    """Parameters of 70_evaluate_speech."""

    dataset: str = param("espeak_en", "A data set of speech. `nbkit data list` shows them.")
    count: int = param(16, "Sentences that are spoilt and measured.", unit="sentences", low=3)
    source: str = param(
        "", "A voice to measure: a run of 22_glow_train, on its own data set; or an export. Empty measures none."
    )
    recogniser: str = param(
        "auto",
        "Who listens: auto, none, pocketsphinx, or a Whisper as openai/whisper-large-v3-turbo (1.6 GB).",
    )
    noise_scale: float = param(0.333, "Temperature of the voice.", low=0.0, high=2.0)
    listening: str = param("", "Name of a run of 71_listening_test. Empty takes the newest that was answered.")
    seed: int = param(0, "Decides the noise, and the draws behind the intervals.", low=0)

    PRESETS: ClassVar = {"smoke": {"count": 3}}


@dataclass(frozen=True)
class Measured:
    """One value of each measure for each sentence: {"mcd": [N], ...}; NaN where a measure says nothing.

    heard  what a recogniser made of each sentence; empty where nobody listened
    """

    values: Mapping[str, np.ndarray]
    heard: Sequence[str] = ()

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
        self.heard = [sound.heard(wave, self.spec) for wave in self.waves]
        listener = hearing(self.dataset, config.recogniser)
        self.ear = Ear(listener, self.dataset.language, config.seed) if listener else None

    def spoilt(self) -> dict[str, list[Wave]]:
        """The sentences in every way in which they are spoilt; AS_IT_IS is the first."""
        return {name: [spoil(wave, n) for n, wave in enumerate(self.waves)] for name, spoil in self._ways().items()}

    def _ways(self) -> dict[str, Callable[[Wave, int], Wave]]:
        import librosa

        rate, seed = self.spec.rate, self.config.seed
        return {
            AS_IT_IS: lambda wave, n: wave,
            HARMLESS[0]: lambda wave, n: 0.5 * wave,
            HARMLESS[1]: lambda wave, n: np.pad(wave, (round(0.005 * rate), 0)),
            "pitch, 2 semitones up": lambda wave, n: librosa.effects.pitch_shift(wave, sr=rate, n_steps=2),
            "a fifth slower": lambda wave, n: librosa.effects.time_stretch(wave, rate=1 / 1.2),
            "noise, 20 dB below": lambda wave, n: noisy(wave, 20.0, seeds.generator(seed, "noise", n)),
            "noise, 5 dB below": lambda wave, n: noisy(wave, 5.0, seeds.generator(seed, "noise", n)),
            "a third cut out": lambda wave, n: without_a_third(wave),
            "through Griffin-Lim": lambda wave, n: audio.griffin_lim(audio.log_mel(wave, self.spec), self.spec),
        }

    def measure(self, waves: Sequence[Wave]) -> Measured:
        """Every measure of one recording a sentence, against the recordings of the data set."""
        found = [sound.compare(wave, given, self.spec) for wave, given in zip(waves, self.heard, strict=True)]
        values = {name: np.array([getattr(one, name) for one in found]) for name in sound.Comparison._fields}
        values["pace"] = np.abs(values["pace"])
        heard = [self.ear.recogniser.hear(wave, self.spec.rate) for wave in waves] if self.ear else []
        values["cer"] = self._error_rates(heard)
        return Measured(values, heard)

    def _error_rates(self, heard: Sequence[str]) -> np.ndarray:
        """The character error rate of each recording; NaN where nobody can listen."""
        if self.ear is None:
            return np.full(len(self.rows), np.nan)
        language = self.ear.language
        pairs = zip(self.rows, heard, strict=True)
        return np.array([recognise.character_errors(row.text, text, language).rate for row, text in pairs])


def hearing(dataset: Dataset, name: str = "auto") -> Recogniser | None:
    """Somebody who can listen to a data set; see EvaluateSpeech.recogniser. None where that is nobody.

    raises  ValueError for a name that is none and for pocketsphinx with another language than English; what is not
            installed, or not there, raises as evaluate.recognise does
    """
    english = dataset.language == "en"
    if name == "none" or (name == "auto" and not (english and importlib.util.find_spec("pocketsphinx"))):
        return None
    if name in ("auto", "pocketsphinx"):
        if not english:
            raise ValueError(
                f"pocketsphinx hears English, {dataset.name} is {dataset.language!r}; "
                f"take a Whisper, as recogniser {recognise.WHISPER}"
            )
        return recognise.Sphinx([recognise.normalised(row.text, dataset.language) for row in dataset.rows])
    if "/" not in name:
        raise ValueError(
            f"a recogniser wants auto, none, pocketsphinx or a name of the Hugging Face hub, got {name!r}; "
            f"take {recognise.WHISPER}"
        )
    return recognise.Whisper(name, _NEAREST.get(dataset.language, dataset.language))


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
    """For each way of spoiling the measures that are greater than what is harmless makes them, sentence by sentence.

    The interval of that difference, over sentences, has to lie above zero, and it is one of SURE.
    """
    harmless = {name: np.fmax(*(measured[way].values[name] for way in HARMLESS)) for name in MEASURES}
    found: dict[str, list[str]] = {}
    for way in measured:
        if way not in (AS_IT_IS, *HARMLESS):
            more = {name: measured[way].values[name] - harmless[name] for name in MEASURES}
            found[way] = [name for name, values in more.items() if _above_zero(values[~np.isnan(values)], seed)]
    return found


def _above_zero(values: np.ndarray, seed: int) -> bool:
    return len(values) > 1 and text.interval(lambda x: x.mean(-1), values, seed=seed, level=SURE).low > 1e-6


def correlations(measured: Mapping[str, Measured], seed: int) -> list[tuple[str, ...]]:
    """Spearman correlations between measures over all spoilt sentences, each with its interval over sentences.

    A sentence that is drawn comes with all the ways in which it was spoilt.
    """
    columns = {
        name: {
            (way, str(n)): float(value)
            for way, one in measured.items()
            if way not in (AS_IT_IS, *HARMLESS)
            for n, value in enumerate(one.values[name])
            if not np.isnan(value)
        }
        for name in MEASURES
    }
    return [(MEASURES[a], *(_correlation(columns[a], columns[b], seed) if a != b else "" for b in MEASURES))
            for a in MEASURES]  # fmt: skip


def _correlation(one: Mapping[agreement.Sound, float], other: Mapping[agreement.Sound, float], seed: int) -> str:
    try:
        found = agreement.agree(one, other, seed=seed).spearman
    except ValueError:  # nothing to correlate
        return ""
    return f"{found.value:.2f}" if np.isnan(found.low) else f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def failures(
    bench: Bench, spoilt: Mapping[str, Sequence[Wave]], measured: Mapping[str, Measured], each: int = 1
) -> list[Sound]:
    """Of each way of spoiling the sentences that were understood worst, as a page of players takes them."""
    texts = [row.text for row in bench.rows]
    ways = [way for way in measured if way not in (AS_IT_IS, *HARMLESS)]
    return [one for way in ways for one in _worst(bench, way, spoilt[way], texts, measured[way].heard, each)]


def failures_of_the_voice(
    bench: Bench, said: Mapping[str, Said], understood: Mapping[str, Heard], each: int = 3
) -> list[Sound]:
    """The sentences of the voice that were understood worst, of each group."""
    heard = {name: understood.get(f"{name} sentences, spoken") for name in said}
    return [
        one
        for name, group in said.items()
        if (own := heard[name])
        for one in _worst(bench, f"{name} sentence", group.spoken, group.texts, own.texts, each)
    ]


def _worst(
    bench: Bench, name: str, waves: Sequence[Wave], said: Sequence[str], heard: Sequence[str], each: int
) -> list[Sound]:
    """The sentences with the highest character error rates, those without an error left out."""
    if bench.ear is None or not heard:
        return []
    errors = [recognise.character_errors(*pair, bench.ear.language) for pair in zip(said, heard, strict=True)]
    order = sorted(range(len(errors)), key=lambda n: -errors[n].rate)[:each]
    return [
        Sound(waves[n], bench.spec.rate, f"{name}, CER {errors[n].rate:.2f}", f"said: {said[n]} | heard: {heard[n]}")
        for n in order
        if errors[n].edits
    ]


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
    return intelligibility.compare(bench.ear, said, bench.spec) if bench.ear and said else {}


def understood_by_step(bench: Bench, said: Mapping[str, Said]) -> dict[int, Heard]:
    """The same of the new sentences (of the known, where there are none) at each checkpoint of the run."""
    rows = [*(said["new"].rows or said["known"].rows)] if said else []
    if bench.ear is None or len(rows) < 2:
        return {}
    return intelligibility.by_step(bench.ear, bench.config.source, rows, bench.config.noise_scale)


def spread(rows: int, count: int) -> list[int]:
    """`count` of so many rows, evenly apart; all where there are fewer."""
    return sorted({*np.linspace(0, rows - 1, min(count, rows)).astype(int).tolist()})


def faulty(bench: Bench) -> list[tuple[str | float, ...]]:
    """A line for each recording, under FAULTS: what is plainly wrong with it; the longest pause first."""
    found = [
        (row.id, *sound.faults(wave, bench.spec), round(pace(bench, row, wave), 1))
        for row, wave in zip(bench.rows, bench.waves)
    ]
    return sorted(found, key=lambda line: -float(line[1]))


def pace(bench: Bench, row: Utterance, wave: Wave) -> float:
    """Letters a second, in Korean syllables, numbers as they are read: far from the others, the text is another one."""
    said = recognise.normalised(row.text, bench.dataset.language).replace(" ", "")
    return sound.speaking_rate(wave, bench.spec.rate, len(said))
