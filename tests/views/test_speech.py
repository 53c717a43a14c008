"""The speech player's page: the very samples, each array once, text that stays text, loudness that is said."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from nbkit.views import loudness, page, player, speech, speech_face
from nbkit.views.speech import Version

RATE, HOP = 22050, 256
EVIL = [
    "<script>alert(1)</script>",
    "</script><b>",
    "\"'",
    "\u202eabc",
    "😀",
    "가" * 300,
    "\ud800",
    "&amp;",
    "\x00",
    "ᄒ",
    "$\\frac{$",
]


def tone(seconds: float = 1.0, level: float = 0.2) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def version(title: str = "recording", wave: np.ndarray | None = None, **changed) -> Version:
    random = np.random.default_rng(0)
    durations = np.array([20, 0, 30, 37])
    arrays = {
        "log_mel": random.normal(size=(80, 87)).astype(np.float32),
        "hop": HOP,
        "symbols": ["ᄀ", "ᅡ", " ", "나"],
        "durations": durations,
        "scores": random.normal(size=(4, 87)).astype(np.float32),
        "truth": [("가", 0.0, 0.3, 0, 2)],
        "pitch": np.where(np.arange(87) % 9 < 4, np.nan, 200.0),
    }
    return Version(title, tone() if wave is None else wave, RATE, **(arrays | changed))


def content(made: page.Page) -> dict:
    (found,) = re.findall(r'id="content">(.*?)</script>', made.document, re.DOTALL)
    return json.loads(found)


def test_a_page_holds_each_version_and_each_sound_once():
    one = version()
    made = speech.player([one, version("step 20,000", tone(2.0))], text="가 나")
    assert made.document.count("data:audio/wav") == 2
    (row,) = content(made)["rows"]
    assert [part["title"] for part in row] == ["recording", "step 20,000"]
    assert row[0]["tokens"][0] == ["ㄱ", 0.0, pytest.approx(20 * HOP / RATE)]
    assert [word[0] for word in row[0]["words"]] == ["가", "나"]
    assert row[1]["seconds"] == pytest.approx(2.0)
    assert made.poster.startswith(b"\x89PNG")
    assert '<h1 dir="auto">가 나</h1>' in made.document


def test_a_bare_sound_is_enough():
    made = speech.player([Version("recording", tone(), 16000)])
    assert content(made)["rows"][0][0]["tokens"] == []
    assert "<h1" not in made.document


def test_symbols_may_be_an_array():
    found = content(speech.player([version(symbols=np.array(["ᄀ", "ᅡ", " ", "나"]))]))["rows"][0][0]
    assert [token[0] for token in found["tokens"]] == ["ㄱ", "ㅏ", "␣", "나"]


def test_versions_are_as_loud_as_the_first_where_that_does_not_clip():
    gains = [part["gain"] for part in content(speech.player([version(), version("b", tone(level=0.02))]))["rows"][0]]
    assert gains == [0.0, pytest.approx(20.0, abs=0.1)]
    click = tone(level=0.02)
    click[100] = 1.0  # no room above it
    first, second = content(speech.player([version(), version("b", click)]))["rows"][0]
    assert second["gain"] <= 0.01
    levels = [loudness.lufs(wave, RATE) for wave in (tone(), click)]
    assert levels[0] + first["gain"] == pytest.approx(levels[1] + second["gain"], abs=0.1)


def test_silence_is_left_as_it_is():
    parts = content(speech.player([version(), version("b", np.zeros(RATE, np.float32))]))["rows"][0]
    assert [part["gain"] for part in parts] == [0.0, 0.0]


def test_two_versions_of_five_seconds_stay_below_two_megabytes():
    random, frames, tokens = np.random.default_rng(0), 431, 60
    durations = np.diff(np.linspace(0, frames, tokens + 1).astype(int))
    versions = [
        Version(
            title, random.normal(0, 0.1, 5 * RATE).clip(-1, 1), RATE, random.normal(size=(80, frames)), HOP,
            ["가"] * tokens, durations, random.normal(size=(tokens, frames)), pitch=np.full(frames, 100.0),
        )
        for title in "ab"
    ]  # fmt: skip
    assert len(speech.player(versions).document) < 2e6


def test_text_stays_text(tmp_path):
    durations = np.full(len(EVIL), 8)
    spans = [(text, 0.1, 0.2) for text in EVIL]
    hostile = version(
        EVIL[0], symbols=EVIL, durations=durations, scores=None, truth=spans, log_mel=None, wave=tone(1.0)
    )
    made = speech.player([hostile, version(EVIL[6])], text="".join(EVIL))
    document = made.save(tmp_path / "hostile.html").read_text(encoding="utf8")
    assert "<script>alert" not in document
    assert document.count("</script>") == document.count("<script")
    labels = [token[0] for token in content(made)["rows"][0][0]["tokens"]]
    assert labels == [*EVIL[:6], "\ufffd", *EVIL[7:9], "ㅎ", EVIL[-1]]
    assert not re.search(r"https?://|//cdn|@import|src=\"(?!data:)", document)


def test_pictures_use_the_whole_scale():
    mel = np.array([[0.0, -5.0], [-20.0, -1.0]])
    assert speech_face.mel_image(mel).tolist() == [[255, 117], [0, 227]]
    scores = np.array([[0.0, -np.inf], [-1.0, -np.inf], [-3.0, 2.0]])
    image = speech_face.score_image(scores)
    assert image[:, 0].tolist() == [255, 0, 0]
    assert image[:, 1].tolist() == [0, 0, 255]
    assert not speech_face.score_image(np.full((2, 3), -np.inf)).any()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"durations": np.ones(3, int)}, "duration for each of 4 symbols"),
        ({"durations": None}, "duration for each of 4 symbols"),
        ({"durations": np.array([20, -1, 31, 37])}, "0 frames or more, got -1"),
        ({"scores": np.zeros((4, 86))}, r"scores of shape \(4, 87\), got \(4, 86\)"),
        ({"durations": np.zeros(4, int), "scores": np.zeros((4, 0))}, r"got \(4, 0\)"),
        ({"log_mel": np.zeros(87)}, "log_mel"),
        ({"log_mel": np.full((80, 87), np.nan)}, "finite log_mel"),
        ({"hop": None}, "hop"),
        ({"pitch": np.zeros(87)}, "Hz above 0 or NaN"),
        ({"truth": [("가", 20, 30)]}, "are they frames"),
        ({"truth": [("가", 0.5, 0.2)]}, "truth as"),
        ({"truth": [("가", 0.1, 0.2, 2, 5)]}, r"within 4 symbols, got \(2, 5\) for '가'"),
        ({"truth": [("가", 0.1, 0.2, 2, 1)]}, "first and stop of truth"),
        ({"wave": np.zeros(0, np.float32)}, "at least one sample"),
        ({"wave": np.full(9, np.nan)}, "9 that are NaN"),
    ],
)
def test_what_cannot_be_shown_is_refused(changed: dict, message: str):
    with pytest.raises(ValueError, match=message):
        speech.player([version(**changed)])


@pytest.mark.parametrize("count", [0, 5])
def test_one_to_four_versions(count: int):
    with pytest.raises(ValueError, match=f"1 to 4 versions, got {count}"):
        speech.player([version(str(index)) for index in range(count)])


def test_a_rate_that_browsers_refuse():
    with pytest.raises(ValueError, match="8,000 to 192,000 Hz, got 400"):
        speech.player([Version("slow", tone(), 400)])


@pytest.fixture
def run(tmp_path):
    """A run folder with twenty probes, whose alignment and sentence change."""
    folder = tmp_path / "glow_tts-1a2b3c4d"
    for part in ("views", "audio"):
        (folder / part).mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"task": "glow_tts", "parameters": {}}))
    one = version()
    for step in range(100, 2100, 100):
        np.savez_compressed(
            folder / "views" / f"alignment-{step:09d}.npz",
            durations=np.array([20 + step // 100, 0, 30 - step // 100, 37]),
            symbols=np.array(one.symbols),
            scores=np.array(one.scores),
            mel=np.array(one.log_mel),
            seconds_per_frame=HOP / RATE,
        )
        sample = folder / "audio" / f"sample-{step:09d}"
        sample.with_suffix(".wav").write_bytes(player.wav(player.pcm(tone(0.2 + step / 5000))[0], RATE))
    return folder


def test_growth_shows_twelve_steps_from_the_first_to_the_last(run):
    found = content(speech.growth(run, recording=player.Sound(tone(), RATE, "녹음", spans=[("가", 0.0, 0.3)])))
    assert len(found["steps"]) == len(found["rows"]) == 12
    assert (found["steps"][0], found["steps"][-1]) == ("step 100", "step 2,000")
    assert [part["title"] for part in found["rows"][0]] == ["녹음", "model"]
    assert found["rows"][0][0]["tokens"] != found["rows"][-1][0]["tokens"]
    assert len(found["mels"]) == 1
    assert {row[0]["sound"] for row in found["rows"]} == {0}
    assert len({row[1]["sound"] for row in found["rows"]}) == 12


def test_growth_shows_what_the_model_kept_of_its_sentence(run):
    for path in (run / "audio").glob("*.wav"):
        np.savez(
            path.with_suffix(".npz"),
            log_mel=np.zeros((80, 17), np.float16),
            durations=[8, 9],
            symbols=["가", "나"],
            hop=HOP,
        )
    (_, spoken), *_ = content(speech.growth(run))["rows"]
    assert spoken["tokens"][1] == ["나", pytest.approx(8 * HOP / RATE), pytest.approx(17 * HOP / RATE)]


def test_growth_without_the_recording_says_that_it_is_silent(run):
    ((aligned, _), *_) = content(speech.growth(run))["rows"]
    assert aligned["title"] == "recording, no sound here"
    assert aligned["seconds"] == pytest.approx(88 * HOP / RATE, abs=2 * HOP / RATE)


def test_growth_of_a_run_without_pictures(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="train to the first evaluation"):
        speech.growth(tmp_path)
