"""What is measured of a voice for the claims of its paper, on voices whose answers are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from nbkit.data.audio import MelSpec
from nbkit.evaluate import bench, claims
from nbkit.models.glow_tts import Voice
from nbkit.tasks import glow_claims, glow_measures
from nbkit.tasks.glow_claims import Findings, GlowClaims
from nbkit.tasks.glow_measures import Long, Pace, Share, Spread, Subject

SPEC = MelSpec()


class Hum:
    """A voice that hums a tone, ten frames a letter; `wide` cents higher with each seed, times the temperature."""

    spec, seconds_per_frame = SPEC, SPEC.hop / SPEC.rate

    def __init__(self, wide: float = 100.0, silent: bool = False):
        self.wide, self.silent = wide, silent

    def synthesise(self, text, *, length_scale=1.0, noise_scale=0.0, seed=0, speaker=""):
        durations = np.ceil(np.full(len(text), 10 * length_scale)).astype(int)
        return SimpleNamespace(log_mel=np.zeros((80, durations.sum())), durations=durations)

    def speak(self, text, *, noise_scale=0.0, seed=0, speaker=""):
        samples = np.arange(10 * len(text) * SPEC.hop) / SPEC.rate
        wave = 0.3 * np.sin(2 * np.pi * 200 * 2 ** (self.wide * seed * noise_scale / 1200) * samples)
        return SimpleNamespace(wave=(0 if self.silent else 1) * wave.astype(np.float32), rate=SPEC.rate)


@pytest.fixture
def hum() -> Voice:
    return cast(Voice, Hum())


def found(**measured) -> Findings:
    task = SimpleNamespace(config=SimpleNamespace(size="tiny"))
    return Findings(GlowClaims(seconds=0.1), cast(Subject, SimpleNamespace(name="run", task=task)), **measured)


def verdicts(one: Findings) -> dict[str, str]:
    checks = {key: check for key, check in glow_claims.checks(one).items() if "20 ms" not in key and "28.6" not in key}
    return {key: claims.verdict(check.measure(), check.claimed).word for key, check in checks.items() if check.measure}


def test_every_check_belongs_to_a_claim_of_the_note():
    listed = claims.of_note("glow_tts", glow_claims.checks(found()))
    assert sum(claim.checkable for claim in listed) == 11
    assert any(claim.how.without == glow_claims.LISTENERS for claim in listed)


def test_what_was_not_measured_is_not_judged():
    assert set(verdicts(found()).values()) == {"not checked"}


def test_the_size_of_the_paper_is_what_it_says():
    assert glow_measures.parameters() == 28_623_889


def test_a_slope_is_found_with_its_interval():
    x = np.arange(6.0)
    exact = glow_measures.slope(x, 3 * x + 1)
    assert exact[:3] == pytest.approx((3, 3, 3))
    rough = glow_measures.slope(x, 3 * x + np.array([1, -2, 1, 1, -2, 1]))
    assert rough.low < 3 - 0.1 < rough.value < 3 + 0.1 < rough.high
    with pytest.raises(ValueError, match="three different x"):
        glow_measures.slope(x[:2], x[:2])


def test_pace_tells_flat_from_proportional(monkeypatch, hum):
    took = {"cost": 1.0}

    def compare(ways, *, seconds):
        return {n: timing(took["cost"] if n == "sound" else took[n]) for n in ways}

    monkeypatch.setattr(bench, "compare", compare)
    for costs, exponent in (((1.0, 2.0, 4.0), 1), ((2.0, 2.0, 2.0), 0)):
        took |= {str(n): cost for n, cost in enumerate(costs)}
        pace = glow_measures.pace(hum, ["abcd", "abcd" * 2, "abcd" * 4], 0.1)
        assert pace.exponent.value == pytest.approx(exponent)
        assert verdicts(found(pace=pace))["that time does not grow"] == "open"  # measured on another machine
    assert pace.speech[2] == pytest.approx(160 * SPEC.hop / SPEC.rate)


def timing(least: float) -> bench.Timing:
    return bench.Timing(median=2 * least, p20=1.5 * least, p80=3 * least, least=least, calls=9)


def test_pitch_spreads_as_the_tones_do(hum):
    spread = glow_measures.pitch_spread(hum, ["abc", "abcd"], (0.0, 0.333, 0.667), 2)
    assert spread.voiced.min() > 0.9
    apart = np.array([0, 33.3, 66.7]) / np.sqrt(2)  # the deviation of two numbers
    assert spread.cents.mean(0) == pytest.approx(apart, abs=8)
    whole = Spread(*(np.insert(one, 3, one[:, 2], 1) for one in spread))
    assert verdicts(found(spread=whole, voiced=1.0))["pitch spreads wider"] == "holds"
    narrower = whole._replace(cents=whole.cents[:, ::-1])
    assert verdicts(found(spread=narrower, voiced=1.0))["pitch spreads wider"] == "does not hold"


def test_of_a_whisper_nothing_is_said():
    spread = glow_measures.pitch_spread(cast(Voice, Hum(silent=True)), ["abc", "abcd"], glow_claims.TEMPERATURES, 2)
    assert np.isnan(spread.cents).all()
    whisper = found(spread=spread, voiced=0.7)
    assert whisper.spread_by_temperature() == []
    assert "too little trained to say: 0% of its frames" in whisper.whispers
    assert verdicts(whisper)["pitch spreads wider"] == "not checked"


def test_a_spread_wants_draws_and_frames(hum):
    with pytest.raises(ValueError, match="two draws"):
        glow_measures.pitch_spread(hum, ["abc"], (0.5,), 1)
    tones = np.array([[100.0, 100, 100, np.nan], [200, 200, 200, 200]])
    assert glow_measures.spread_of(tones) == pytest.approx(1200 / np.sqrt(2))
    assert np.isnan(glow_measures.spread_of(tones[:, 1:]))


def test_lengths_are_over_those_of_scale_one(hum):
    ratios = glow_measures.stretched(hum, ["abc", "abcdef", "ab"], (0.5, 0.75, 1.25, 1.5))
    assert ratios == pytest.approx(np.tile([0.5, 0.8, 1.3, 1.5], (3, 1)))  # rounded up to whole frames
    assert verdicts(found(lengths=ratios))["a length scale"] == "holds"
    assert verdicts(found(lengths=np.ones((3, 4))))["a length scale"] == "does not hold"


@pytest.mark.parametrize(
    ("heard", "skipped", "repeated"),
    [
        ("the old sailor sold a red coat", 0, 0),
        ("the old coat", 4, 0),
        ("the old sailor sold red coat", 0, 0),  # one word may be the recogniser's fault
        ("the old the old sailor sold a red coat", 0, 2),
        ("the old sailor sold a red coat coat", 0, 1),
        ("", 7, 0),
    ],
)
def test_skips_and_repeats_are_counted(heard, skipped, repeated):
    assert glow_measures.skips_and_repeats("The old sailor sold a red coat.", heard) == (skipped, repeated)


def test_long_texts_are_joined_in_turn(monkeypatch, hum):
    rows: Any = [SimpleNamespace(text=word, audio=None) for word in ("ab", "cd", "efg", "hi", "jk", "lm", "no")]
    monkeypatch.setattr(glow_measures.audio, "load", lambda *_, **__: np.zeros(100, np.float32))
    made = []

    def ear(texts) -> Any:
        made.extend(texts)
        return SimpleNamespace(hear=lambda wave, rate: "ab" if len(wave) == 100 else "cd efg")

    long = glow_measures.long_texts(hum, rows, (1, 2), ear, 0.333)
    assert made == ["ab", "cd efg", "hi", "jk lm", "no"]
    assert long.characters.tolist() == [2, 6, 2, 5, 2]
    assert (long.recorded[0], long.spoken[1]) == (0, 0)
    with pytest.raises(ValueError, match="wanted 3 rows or more"):
        glow_measures.long_texts(hum, rows[:2], (1, 2), ear, 0.333)


def test_growth_is_that_beyond_recordings():
    x, none = np.array([50.0, 100, 200, 300, 400, 500]), np.zeros(6)
    steady = Long(x, x / 1000, x / 1000, none, none)
    assert glow_measures.growth(steady)[:3] == pytest.approx((0, 0, 0))
    assert verdicts(found(long=steady))["character errors"] == "holds"
    worse = steady._replace(spoken=steady.spoken * 1.5)
    assert glow_measures.growth(worse).value == pytest.approx(0.05)
    assert verdicts(found(long=worse))["character errors"] == "does not hold"
    few = steady._replace(spoken=steady.spoken + 0.05 * np.array([1, -1, 1, 1, -1, -1]))
    assert verdicts(found(long=few))["character errors"] == "open", "six texts that scatter decide nothing"
    lost = steady._replace(spoken=none + 0.9)
    assert verdicts(found(long=lost))["character errors"] == "open"


def test_the_share_of_the_search_is_that_of_least_times():
    share = Share(timing(1.0), timing(100.0)).measured
    assert share[:3] == pytest.approx((0.01, 1.5 / 300, 3 / 150))
    assert verdicts(found(share=Share(timing(1.0), timing(100.0))))["the search takes 2 %"] == "open"


def test_a_sentence_and_a_minute_are_told_with_their_machine():
    pace = Pace(np.array([2.0, 4, 8]), np.array([0.04, 0.08, 0.16]), 0.3)
    one = glow_claims.of_a_sentence(found(pace=pace))
    minute = glow_claims.of_a_minute(found(pace=pace))
    assert isinstance(one, claims.Measured)
    assert isinstance(minute, claims.Measured)
    assert (one.value, minute.value) == pytest.approx((40, 9))
    assert "processor" in one.differs
    assert "Griffin-Lim" in minute.differs


def test_an_alignment_is_judged_by_the_medians_of_sentences():
    close = [np.array([0.005, 0.01, 0.2]), np.array([0.012, 0.008]), np.array([0.009])]
    assert verdicts(found(errors=close))["no aligner"] == "holds"
    assert verdicts(found(errors=[one + 0.1 for one in close]))["no aligner"] == "does not hold"


def test_a_run_is_asked_for_by_name():
    with pytest.raises(ValueError, match="wanted the name of a run"):
        glow_measures.subject("nothing")


class Slow(torch.nn.Linear):
    """Foresees 12 frames for each token, whatever it is."""

    def synthesise(self, tokens, *_, noise_scale):
        return SimpleNamespace(durations=torch.full(tokens.shape, 12))


def test_durations_are_compared_with_true_ones_and_with_one_length():
    frame = SPEC.hop / SPEC.rate
    truth = [("가", 0.0, 10 * frame), ("나", 1.0, 1.0 + 20 * frame), ("다", 2.0, 3.0)]  # 다 has no token
    example = SimpleNamespace(tokens=np.array([1, 2, 3]), speaker=0)
    task = SimpleNamespace(
        validation=[example], segments=lambda _: (np.array([0, -1, 1]), truth), seconds_per_frame=frame
    )
    subject = cast(Subject, SimpleNamespace(task=task, voice=SimpleNamespace(model=Slow(1, 1))))
    held = glow_measures.held(subject, 5)
    np.testing.assert_allclose(held.foreseen[0] / frame, [1.5, -8.0], atol=1e-6)  # the first frame of all begins at 0
    np.testing.assert_allclose(held.same[0] / frame, [5.0, -5.0], atol=1e-6)
    rows = Findings(GlowClaims(seconds=0.1), subject).hold()
    assert rows[0] == ("this voice", f"{1000 * 4.75 * frame:.1f}", f"{-1000 * 3.25 * frame:+.1f}")
    assert rows[1][:2] == ("one length for all", f"{1000 * 5 * frame:.1f}")
    assert float(rows[1][2]) == 0.0
    task.segments = lambda _: (np.full(3, -1), [])
    assert glow_measures.held(subject, 5) == ([], [])
    assert Findings(GlowClaims(seconds=0.1), subject).hold() == []
