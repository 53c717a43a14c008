"""What can be measured of a voice without listeners: pace, pitch, lengths, long texts, alignment, the search's share.

Each is a function of a voice (or of the run that made it) and of what it is to say; 24_glow_claims sets the numbers
beside those of the paper. Source: paper_notes/glow_tts.md#what-is-the-evidence
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from nbkit.base import record, workspace
from nbkit.data import audio, pitch
from nbkit.data.manifest import Utterance
from nbkit.data.speech import Batch
from nbkit.evaluate import bench, recognise
from nbkit.evaluate import speech as measure
from nbkit.evaluate.claims import Measured
from nbkit.evaluate.recognise import Recogniser
from nbkit.kernels.mas import maximum_path
from nbkit.models import glow_tts
from nbkit.models.glow_tts import Voice
from nbkit.models.glow_tts.model import frame_scores
from nbkit.tasks import intelligibility, voices
from nbkit.tasks.glow_tts import GlowTTSTask, GlowTTSTrain

PAUSE = 0.2  # seconds between recordings that are joined
SYMBOLS = 148  # of the authors' configuration
ENOUGH_VOICE = 0.5  # share of the frames with a pitch, of that in recordings, below which a voice whispers


@dataclass(frozen=True)
class Subject:
    """A voice at a step of its training, and that training with its sentences."""

    name: str
    step: int
    voice: Voice = field(repr=False)
    task: GlowTTSTask = field(repr=False)

    def rows(self, count: int) -> list[Utterance]:
        """New sentences and, where these are not enough, known ones behind them."""
        return [example.row for example in (*self.task.validation, *self.task.train)][:count]

    def texts(self, count: int) -> list[str]:
        return [row.text for row in self.rows(count)]


def subject(name: str) -> Subject:
    """The voice of a run of 22_glow_train; raises ValueError for what is not the name of one."""
    folder = workspace.runs() / name
    if not name or not (folder / record.CONFIG).is_file():
        known = ", ".join(run.name for run in record.runs("glow_tts")) or "none yet; run 22_glow_train first"
        raise ValueError(f"wanted the name of a run, whose sentences are known, got {name!r}; runs: {known}")
    config = GlowTTSTrain(**record.Record.read(folder).config["parameters"])
    step, newest = next(iter(intelligibility.checkpoints(name).items()), (0, name))
    return Subject(name, step, voices.open_voice(newest), GlowTTSTask(config))


def parameters(size: str = "paper") -> int:
    """How many numbers a Glow-TTS of a named size learns, with the symbols of the authors."""
    model = glow_tts.GlowTTS(glow_tts.sized(size, vocabulary=SYMBOLS))
    return sum(one.numel() for one in model.parameters())


class Pace(NamedTuple):
    """How long speaking takes: N texts."""

    speech: np.ndarray  # [N] seconds of speech
    work: np.ndarray  # [N] seconds until the mel is there, least of several
    sound: float  # seconds until the first text can be heard, through Griffin-Lim

    @property
    def exponent(self) -> Measured:
        """Of work over speech: 0 is flat, 1 in proportion."""
        return slope(np.log(self.speech), np.log(self.work))


def pace(voice: Voice, texts: Sequence[str], seconds: float) -> Pace:
    """How long each text takes to become a mel, on this machine, all in turns for so many seconds."""
    spoken = [voice.synthesise(one).log_mel.shape[1] * voice.seconds_per_frame for one in texts]
    ways: dict[str, Callable[[], object]] = {
        str(n): lambda one=one: voice.synthesise(one) for n, one in enumerate(texts)
    }
    took = bench.compare(ways | {"sound": lambda: voice.speak(texts[0])}, seconds=seconds)
    return Pace(np.array(spoken), np.array([took[name].least for name in ways]), took["sound"].least)


def slope(x: np.ndarray, y: np.ndarray) -> Measured:
    """By how much y grows with x, and Student's interval of it; raises ValueError for less than three different x."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.shape != y.shape or x.ndim != 1 or len(np.unique(x)) < 3 or not np.isfinite([x, y]).all():
        raise ValueError(
            f"a slope wants finite x and y [N] with three different x or more, got {x.shape} and {y.shape}; "
            "measure at more places"
        )
    from scipy.stats import t

    centred = x - x.mean()
    value = float((centred * y).sum() / (centred**2).sum())
    rest = y - y.mean() - value * centred
    reach = float(t.ppf(0.975, len(x) - 2) * np.sqrt((rest**2).sum() / (len(x) - 2) / (centred**2).sum()))
    return Measured(value, value - reach, value + reach)


class Spread(NamedTuple):
    """How far the pitch of several draws differs: N texts, K temperatures."""

    cents: np.ndarray  # [N, K] standard deviation over draws, mean over frames; NaN where too few have a pitch
    voiced: np.ndarray  # [N, K] share of the frames that have a pitch


def pitch_spread(voice: Voice, texts: Sequence[str], temperatures: Sequence[float], draws: int) -> Spread:
    """The pitch of so many draws of each text at each temperature, frame by frame: their lengths are the same.

    raises  ValueError for less than two draws
    """
    if draws < 2:
        raise ValueError(f"a spread wants two draws or more, got {draws}")
    shape = len(texts), len(temperatures)
    cents, voiced = np.full(shape, np.nan), np.zeros(shape)
    for n, one in enumerate(texts):
        for k, temperature in enumerate(temperatures):
            waves = [voice.speak(one, noise_scale=temperature, seed=seed).wave for seed in range(draws)]
            tones = np.stack([pitch.f0(wave, voice.spec.rate, voice.spec.hop) for wave in waves])
            voiced[n, k] = np.isfinite(tones).mean()
            cents[n, k] = spread_of(tones)
    return Spread(cents, voiced)


def spread_of(tones: np.ndarray) -> float:
    """Cents: the spread over draws of pitches [D, F] in Hz, mean over the frames in which all have one; else NaN."""
    known = np.isfinite(tones).all(0)
    return float(1200 * np.log2(tones[:, known]).std(0, ddof=1).mean()) if known.sum() >= 3 else float("nan")


def voiced_share(wave: np.ndarray, voice: Voice) -> float:
    """Share of the frames of a recording that have a pitch."""
    return float(np.isfinite(pitch.f0(wave, voice.spec.rate, voice.spec.hop)).mean())


def stretched(voice: Voice, texts: Sequence[str], scales: Sequence[float]) -> np.ndarray:
    """How many times as long each text is with each length scale as with 1: [N, K]."""
    frames = [[voice.synthesise(one, length_scale=k).log_mel.shape[1] for k in (1.0, *scales)] for one in texts]
    return np.array(frames, float)[:, 1:] / np.array(frames, float)[:, :1]


class Long(NamedTuple):
    """Texts of several sentences, as the voice says them and as joined recordings: N texts."""

    characters: np.ndarray  # [N]
    spoken: np.ndarray  # [N] character error rate
    recorded: np.ndarray  # [N]
    left_out: np.ndarray  # [N] words of the text that were not heard in a row of two or more
    repeated: np.ndarray  # [N] words that were heard twice in the place of once


def long_texts(
    voice: Voice,
    rows: Sequence[Utterance],
    counts: Sequence[int],
    recogniser: Callable[[list[str]], Recogniser],
    noise_scale: float,
) -> Long:
    """What is heard of the rows, joined by each of the counts in turn: 1, 4 joins [0], then [1 to 4], then [5] ...

    recogniser  is made for the texts that will be said
    raises      ValueError where there are less rows than the counts ask for once
    """
    groups, at = [], 0
    while at + counts[len(groups) % len(counts)] <= len(rows):
        groups.append(rows[at : at + counts[len(groups) % len(counts)]])
        at += len(groups[-1])
    if len(groups) < len(counts):
        raise ValueError(f"wanted {sum(counts)} rows or more for texts of {counts} sentences, got {len(rows)}")
    texts = [" ".join(row.text for row in group) for group in groups]
    ear, found = recogniser(texts), []
    for one, group in zip(texts, groups):
        heard = ear.hear(voice.speak(one, noise_scale=noise_scale).wave, voice.spec.rate)
        given = ear.hear(joined(group, voice.spec.rate), voice.spec.rate)
        rates = [recognise.character_errors(one, other).rate for other in (heard, given)]
        found.append((len(one), *rates, *skips_and_repeats(one, heard)))
    return Long(*map(np.array, zip(*found)))


def joined(rows: Sequence[Utterance], rate: int) -> np.ndarray:
    """The recordings of rows one after the other, with a pause between: [S] of `rate`."""
    pieces = [[audio.load(row.audio, rate, resample=True), np.zeros(round(PAUSE * rate), np.float32)] for row in rows]
    return np.concatenate([wave for pair in pieces for wave in pair][:-1])


def skips_and_repeats(said: str, heard: str) -> tuple[int, int]:
    """Words in stretches of two or more that were not heard at all, and words that were heard twice side by side."""
    a, b = recognise.normalised(said).split(), recognise.normalised(heard).split()
    skipped = repeated = 0
    for what, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if what == "delete" and j - i > 1:
            skipped += j - i
        if what == "insert" and b[k:m] in (b[m : 2 * m - k], b[2 * k - m : k]):
            repeated += m - k
    return skipped, repeated


def growth(found: Long) -> Measured:
    """By how much the error rate grows with 100 characters more, beyond that of recordings: see slope.

    Student's interval and not a bootstrap: of a slope over some twenty texts that one is too narrow.
    """
    return slope(found.characters / 100, found.spoken - found.recorded)


def boundary_errors(subject: Subject, most: int) -> list[np.ndarray]:
    """Seconds between found boundaries and true ones, an array a sentence, at most so many; [] where none is known."""
    chosen = (subject.task.validation or subject.task.train)[:most]
    found = [subject.task.boundary_errors(subject.voice.model, example) for example in chosen]
    return [errors for errors in found if len(errors)]


class Held(NamedTuple):
    """By how much segments (phones, or words) last longer than in the recording, seconds, an array a sentence.

    foreseen   as the voice would speak the sentence
    same       if all segments were of one length, the mean of all true ones: the base camp
    """

    foreseen: list[np.ndarray]
    same: list[np.ndarray]


@torch.no_grad()
def held(subject: Subject, most: int) -> Held:
    """How long sounds last in the mouth of the voice, beside the truth; empty where the data set knows no times."""
    task, model = subject.task, subject.voice.model
    device = next(model.parameters()).device
    foreseen, true = [], []
    for example in (task.validation or task.train)[:most]:
        segment_of, truth = task.segments(example)
        spans = [times[1:] for times in truth]
        tokens = torch.as_tensor(example.tokens, device=device)[None]
        lengths = torch.tensor([tokens.shape[1]], device=device)
        speakers = torch.tensor([example.speaker], device=device)
        durations = model.synthesise(tokens, lengths, speakers, noise_scale=0.0).durations[0].cpu().numpy()
        errors = measure.duration_errors(durations, segment_of, spans, task.seconds_per_frame)
        if len(errors):
            foreseen.append(errors)
            said = np.isin(np.arange(len(spans)), segment_of)
            true.append(np.diff(np.array(spans))[said, 0])
    same = float(np.concatenate(true).mean()) if true else 0.0
    return Held(foreseen, [same - one for one in true])


class Share(NamedTuple):
    """What the search takes of a training step on this machine."""

    search: bench.Timing
    step: bench.Timing

    @property
    def measured(self) -> Measured:
        """Ratio of the least times, and of what four fifths of the calls lie between."""
        low, high = self.search.p20 / self.step.p80, self.search.p80 / self.step.p20
        least = self.search.least / self.step.least
        return Measured(least, min(low, least), max(high, least))


def search_share(subject: Subject, seconds: float) -> Share:
    """A training step of the subject's own task, and the search in it, in turns for so many seconds."""
    task, model = subject.task, copy.deepcopy(subject.voice.model).train()
    batch = Batch(*(torch.as_tensor(array) for array in task.batches("train", 0, 1)[0]))
    adam = torch.optim.Adam(model.parameters(), 1e-6, fused=True)
    with torch.no_grad():
        out = model(batch.tokens, batch.token_lengths, batch.mel, batch.frame_lengths, batch.speakers)
        scores = frame_scores(out.z, out.mean, out.log_sigma, unit=model.config.mean_only).contiguous()

    def step() -> None:
        adam.zero_grad()
        for _, losses in task.losses({"model": model}, batch, 0):
            torch.stack([*losses.values()]).sum().backward()
        adam.step()

    ways: dict[str, Callable[[], object]] = {
        "search": lambda: maximum_path(scores, out.token_lengths, out.frame_lengths, layout="bft"),
        "step": step,
    }
    took = bench.compare(ways, seconds=seconds)
    return Share(took["search"], took["step"])


def search_time(seconds: float, items: int = 32, tokens: int = 128, frames: int = 870) -> bench.Timing:
    """The search of a batch as large as one of the paper, on this machine."""
    scores = torch.randn(items, frames, tokens, generator=torch.Generator().manual_seed(0))
    lengths = torch.full((items,), tokens), torch.full((items,), frames)
    ways: dict[str, Callable[[], object]] = {"search": lambda: maximum_path(scores, *lengths, layout="bft")}
    return bench.compare(ways, seconds=seconds)["search"]
