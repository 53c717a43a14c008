"""The claims of the Glow-TTS paper beside a voice that was trained here: what 24_glow_claims runs.

The words of the claims stand in paper_notes/glow_tts.md#what-is-the-evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from nbkit.base.params import Params, param
from nbkit.evaluate import claims, text
from nbkit.evaluate.claims import Check, Measured, Missing
from nbkit.evaluate.recognise import Sphinx
from nbkit.tasks import evaluate_speech, glow_measures
from nbkit.tasks.glow_measures import ENOUGH_VOICE, Long, Pace, Share, Spread, Subject

TEMPERATURES = (0.0, 0.333, 0.667, 1.0)
SCALES = (0.5, 0.75, 1.25, 1.5)
LISTENERS = "needs listeners: 71_listening_test asks them"
ALIGNED = 20.0  # ms, our bound: where two people who mark phones by hand mostly agree
COOL = 0.333  # the temperature of the paper's best rating
COUNTS = (1, 2, 4, 8)  # sentences of a long text
UNDERSTOOD = 0.5  # share of lost characters above which a voice is not understood
NOT_YET, NOBODY = Missing("not measured yet"), Missing("nobody here can listen to this language")
FLAT = 0.1  # our bound of an exponent that is called flat
STEADY = 1.0  # our bound, in points: one character in a hundred for a hundred characters more
FAITHFUL = 0.1  # our bound of how far a length may be from what was asked for


@dataclass(frozen=True)
class GlowClaims(Params):
    """Parameters of 24_glow_claims."""

    source: str = param("", "Name of a run of 22_glow_train. Empty takes the newest.", identity=False)
    sentences: int = param(24, "Sentences that are spoken, new ones first.", low=6)
    draws: int = param(5, "Draws of each sentence at each temperature, for the pitch.", low=2)
    voiced: int = param(6, "Sentences whose pitch is looked at.", low=2)
    seconds: float = param(20.0, "For each table of times.", unit="seconds", low=0.1)
    seed: int = param(0, "Decides the draws behind the intervals.", low=0)

    PRESETS: ClassVar = {"smoke": {"sentences": 6, "draws": 2, "voiced": 2, "seconds": 1.0}}


@dataclass
class Findings:
    """What was measured so far; what was not stays None and its claims unchecked."""

    config: GlowClaims
    subject: Subject
    pace: Pace | None = None
    spread: Spread | None = None
    voiced: float = float("nan")  # share of the frames of recordings that have a pitch
    lengths: np.ndarray | None = None
    long: Long | None = None
    share: Share | None = None
    errors: Sequence[np.ndarray] = field(default_factory=list)

    @property
    def command(self) -> str:
        return f"nbkit run 24_glow_claims -p source {self.subject.name}"

    @property
    def machine(self) -> str:
        """How the times differ from those of the paper."""
        return f"a processor in the place of a GPU, size {self.subject.task.config.size}"

    def time_speech(self) -> Pace:
        """The pace of texts of one sentence and more."""
        texts = self.subject.texts(self.config.sentences)
        joined = [" ".join(texts[:n]) for n in (1, 2, 4, 8, 16) if n <= len(texts)]
        self.pace = glow_measures.pace(self.subject.voice, joined, self.config.seconds)
        return self.pace

    def draw_pitch(self) -> Spread:
        """The spread of the pitch at TEMPERATURES, and how much of the recordings has one."""
        rows, voice = self.subject.rows(self.config.voiced), self.subject.voice
        self.voiced = glow_measures.voiced_share(glow_measures.joined(rows, voice.spec.rate), voice)
        texts = [row.text for row in rows]
        self.spread = glow_measures.pitch_spread(voice, texts, TEMPERATURES, self.config.draws)
        return self.spread

    def stretch(self) -> np.ndarray:
        """How many times as long texts get at SCALES: [N, K]."""
        self.lengths = glow_measures.stretched(self.subject.voice, self.subject.texts(self.config.sentences), SCALES)
        return self.lengths

    def hear_long_texts(self) -> Long | None:
        """What is heard of texts of one to eight sentences; None where nobody can listen."""
        known = [row.text for row in self.subject.task.dataset.rows]
        if evaluate_speech.hearing(self.subject.task.dataset) is not None:
            rows, voice = self.subject.rows(4 * self.config.sentences), self.subject.voice
            self.long = glow_measures.long_texts(voice, rows, COUNTS, lambda texts: Sphinx([*known, *texts]), COOL)
        return self.long

    def time_search(self) -> Share:
        """The search in a training step of this voice."""
        self.share = glow_measures.search_share(self.subject, self.config.seconds)
        return self.share

    def align(self) -> Sequence[np.ndarray]:
        """Distances between found boundaries and true ones, seconds, an array a sentence."""
        self.errors = glow_measures.boundary_errors(self.subject, self.config.sentences)
        return self.errors

    def hold(self) -> list[tuple[str, str, str]]:
        """Rows of a table: who tells how long sounds last, the median error in ms without its sign, and with it."""
        held = glow_measures.held(self.subject, self.config.sentences)
        named = {"this voice": held.foreseen, "one length for all": held.same}
        both = {name: 1000 * np.concatenate(errors) for name, errors in named.items() if errors}
        return [(name, f"{np.median(abs(one)):.1f}", f"{np.median(one):+.1f}") for name, one in both.items()]

    def spread_by_temperature(self) -> list[tuple[str, float, float, float]]:
        """Rows for a plot of intervals over sentences: temperature, cents, low, high; none of a voice that whispers."""
        if self.spread is None or self.whispers:
            return []
        columns = [(name, own[np.isfinite(own)]) for name, own in zip(TEMPERATURES, self.spread.cents.T)]
        return [(f"temperature {name}", *_mean(own, self)[:3]) for name, own in columns if len(own) > 1]

    def length_by_scale(self) -> list[tuple[str, float, float, float]]:
        """Rows for a plot of intervals over sentences: scale, length over what was asked for, low, high."""
        if self.lengths is None:
            return []
        return [(f"scale {name}", *_mean(own / name, self)[:3]) for name, own in zip(SCALES, self.lengths.T)]

    @property
    def whispers(self) -> str:
        """Why nothing can be said of the pitch, where that is so."""
        if self.spread is None:
            return "the pitch was not measured"
        share = float(self.spread.voiced[:, TEMPERATURES.index(COOL)].mean())
        if share >= ENOUGH_VOICE * self.voiced:
            return ""
        return f"too little trained to say: {share:.0%} of its frames have a pitch, {self.voiced:.0%} of recordings'"


def checks(found: Findings) -> dict[str, Check]:
    """The beginning of each claim of the note, and how it is checked."""
    times = {
        "about 40 ms": (claims.equal(40, 10), lambda: of_a_sentence(found)),
        "a minute of speech": (claims.at_most(1.5), lambda: of_a_minute(found)),
        "that time does not grow": (claims.at_most(FLAT), lambda: exponent(found)),
        "the search takes under 20 ms": (claims.at_most(20), lambda: of_the_search(found)),
        "the search takes 2 %": (claims.at_most(2), lambda: share(found)),
    }
    voice = {
        "28.6 million": (claims.equal(28.6e6, 0.05e6), lambda: claims.exactly(glow_measures.parameters())),
        "no aligner": (claims.at_most(ALIGNED), lambda: alignment(found)),
        "no repeated word": (claims.equal(0), lambda: repeats(found)),
        "character errors": (claims.at_most(STEADY), lambda: growth(found)),
        "pitch spreads wider": (claims.above(0), lambda: pitch(found)),
        "a length scale": (claims.equal(1, FAITHFUL), lambda: lengths(found)),
    }
    return {
        **{key: Check(claimed, measure, found.command) for key, (claimed, measure) in (times | voice).items()},
        **{key: Check(without=LISTENERS) for key in ("MOS", "that 4.01")},
        **{key: Check(without="there is no Tacotron 2 here") for key in ("about ten times", "15.7 times")},
    }


def of_a_sentence(found: Findings) -> Measured | Missing:
    """Milliseconds until the mel of a sentence is there."""
    if found.pace is None:
        return NOT_YET
    value = 1000 * float(found.pace.work[0])
    return Measured(value, told=f"{value:.0f} ms for {found.pace.speech[0]:.1f} s of speech", differs=found.machine)


def of_a_minute(found: Findings) -> Measured | Missing:
    """Seconds until a minute of speech can be heard."""
    if found.pace is None:
        return NOT_YET
    value = 60 * found.pace.sound / float(found.pace.speech[0])
    return Measured(value, told=f"{value:.1f} s", differs=f"Griffin-Lim in the place of WaveGlow, {found.machine}")


def exponent(found: Findings) -> Measured | Missing:
    """Of the time over the length of the speech: 0 is flat, 1 in proportion."""
    if found.pace is None:
        return NOT_YET
    value = found.pace.exponent
    told = f"it grows with length to the power of {_told(value)}"
    return value._replace(told=told, differs=found.machine)


def of_the_search(found: Findings) -> Measured | Missing:
    """Milliseconds of the search on a batch as large as one of the paper: on a processor there as here."""
    took = glow_measures.search_time(found.config.seconds / 4)
    value, low, high = (1000 * one for one in (took.median, took.p20, took.p80))
    told = f"{value:.2f} ms (80 % above {low:.2f}, 80 % below {high:.2f}) by the search here, 32 x 128 x 870"
    return Measured(value, low, high, told)


def share(found: Findings) -> Measured | Missing:
    """Percent of a training step that the search takes."""
    if found.share is None:
        return NOT_YET
    value = _hundred(found.share.measured)
    return value._replace(told=_told(value, " %"), differs=f"all on {found.machine}")


def alignment(found: Findings) -> Measured | Missing:
    """Milliseconds between a boundary and the true one: the median of the medians of sentences."""
    if len(found.errors) < 2:
        return Missing("of this data set the true times are not known")
    medians = 1000 * np.array([np.median(one) for one in found.errors])
    bounds = text.interval(lambda x: np.median(x, -1), medians, seed=found.config.seed)
    value = Measured(float(np.median(medians)), *bounds)
    return value._replace(told=f"{_told(value)} ms in the median")


def repeats(found: Findings) -> Measured | Missing:
    """Words that were heard twice."""
    if found.long is None:
        return NOBODY
    words, texts = int(found.long.repeated.sum()), len(found.long.repeated)
    told = f"{words} words heard twice, {int(found.long.left_out.sum())} left out in a row, in {texts} texts"
    return claims.exactly(words, told, "other texts, and a recogniser in the place of people")


def growth(found: Findings) -> Measured | Missing:
    """Of the error rate, in points, with a hundred characters more."""
    if found.long is None:
        return NOBODY
    rate = float(found.long.spoken.mean())
    value = _hundred(glow_measures.growth(found.long))
    lost = f"too little trained to say: {rate:.0%} of the characters are lost" if rate > UNDERSTOOD else ""
    return value._replace(told=f"{_told(value)} points for 100 characters more", differs=lost)


def pitch(found: Findings) -> Measured | Missing:
    """Cents by which the pitch spreads wider at 0.667 than at 0.333."""
    if found.spread is None or found.whispers:
        return Missing(found.whispers)
    cold, warm = (found.spread.cents[:, TEMPERATURES.index(one)] for one in (COOL, 0.667))
    known = np.isfinite(cold) & np.isfinite(warm)
    if known.sum() < 2:
        return Missing("too few sentences have a pitch in all draws")
    value = _mean((warm - cold)[known], found)
    return value._replace(told=f"{_told(value)} cents wider at 0.667 than at 0.333")


def lengths(found: Findings) -> Measured | Missing:
    """Of all length scales the one that is followed least: the length that came out over the one that was asked for."""
    if found.lengths is None:
        return NOT_YET
    ratios = found.lengths / np.array(SCALES)
    worst = int(np.abs(ratios.mean(0) - 1).argmax())
    value = _mean(ratios[:, worst], found)
    return value._replace(
        told=f"{_told(value)} of the length that scale {SCALES[worst]} asks for, the worst of {SCALES}"
    )


def _mean(values: np.ndarray, found: Findings) -> Measured:
    """The mean of values [N] with its interval over sentences."""
    return Measured(float(values.mean()), *text.interval(lambda x: x.mean(-1), values, seed=found.config.seed))


def _hundred(one: Measured) -> Measured:
    """In hundredths."""
    return Measured(100 * one.value, 100 * one.low, 100 * one.high)


def _told(one: Measured, unit: str = "") -> str:
    return f"{one.value:.3g}{unit} ({one.low:.3g} to {one.high:.3g})"
