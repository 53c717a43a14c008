"""One sentence to look at and listen to: wave, mel, pitch, tokens and alignment on one time axis, with a playhead."""

from __future__ import annotations

import base64
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from nbkit.base.record import Record
from nbkit.views import alignment, loudness, speech_face, style
from nbkit.views import player as sounds
from nbkit.views.page import Page, pack, plain, render

MOST = 4  # versions, keys 1 to 4
RATES = (8000, 192_000)  # Hz that every browser plays
STEPS = 12  # states of a run that growth() shows at most


@dataclass(frozen=True)
class Version:
    """One way the sentence sounds. Whatever is left out is not shown.

    wave       [S]     float in [-1, 1], or int16
    rate, hop          samples a second, samples a frame; frame f lasts from f * hop to (f + 1) * hop
    log_mel    [C, F]  natural logarithm of magnitude, bands of 0 to 8,000 Hz
    symbols    [T]     tokens, as alignment.plot takes them
    durations  [T]     frames held by each token
    scores     [T, F]  any score of token and frame, higher is better, F = durations.sum()
    truth              (label, start, end) in seconds, or (label, start, end, first, stop) with the tokens said there
    pitch      [F]     Hz, NaN where there is no voice
    """

    title: str
    wave: np.ndarray
    rate: int
    log_mel: np.ndarray | None = None
    hop: int | None = None
    symbols: Sequence[str] = ()
    durations: np.ndarray | None = None
    scores: np.ndarray | None = None
    truth: Sequence[tuple] = ()
    pitch: np.ndarray | None = None

    @property
    def frame(self) -> float:
        """Seconds of a frame."""
        return (self.hop or 0) / self.rate

    @property
    def tokens(self) -> list[tuple[str, float, float]]:
        """(label, start, end) of each token in seconds; none where no durations are known."""
        if self.durations is None:
            return []
        edges = np.concatenate([[0.0], np.cumsum(self.durations)]) * self.frame
        labels = ["" if symbol == alignment.BLANK else style.label(plain(str(symbol))) for symbol in self.symbols]
        return [(text, float(a), float(b)) for text, a, b in zip(labels, edges, edges[1:], strict=False)]

    @property
    def words(self) -> list[tuple[str, float, float]]:
        """(text, start, end) of each word in seconds; none where the tokens have no spaces between them."""
        if self.durations is None:
            return []
        found = alignment.spans(self.durations, self.symbols, seconds_per_frame=self.frame)
        return [(plain(text), a, b) for text, a, b in found] if " " in self.symbols else []


def player(versions: Sequence[Version], *, text: str = "") -> Page:
    """A page that plays one to four versions of a sentence; switching keeps the place and evens out the loudness."""
    return _page([list(versions)], [""], text)


def growth(run: str | os.PathLike, *, recording: sounds.Sound | None = None) -> Page:
    """A page with a slider over the steps of a run: its alignment of one sentence, and how it spoke one, at each step.

    run        folder with views/alignment-<step>.npz, and audio/sample-<step>.wav where the run spoke
    recording  the sound that was aligned; without it that version is silent
    raises     FileNotFoundError where the run has drawn no alignment
    """
    folder = Record.read(run).folder
    found = {}
    for path in sorted((folder / "views").glob("alignment-*.npz")):
        if step := re.search(r"-(\d+)$", path.stem):
            found[int(step[1])] = path
    if not found:
        raise FileNotFoundError(
            f"growth wants views/alignment-<step>.npz in {folder.name}, got none; train to the first evaluation"
        )
    steps = sorted(found)
    steps = [steps[index] for index in sorted({round(i * (len(steps) - 1) / (STEPS - 1)) for i in range(STEPS)})]
    rows, shared = [], {}
    for step in steps:
        spoken = folder / "audio" / f"sample-{step:09d}.wav"
        aligned = _aligned(found[step], recording, shared)
        rows.append([aligned, _spoken(spoken, aligned)] if spoken.exists() else [aligned])
    if any(len(row) == 1 for row in rows):  # a version is there at each step, or at none
        rows = [row[:1] for row in rows]
    return _page(rows, [f"step {step:,}" for step in steps], recording.caption if recording else "")


def _aligned(path: Path, recording: sounds.Sound | None, shared: dict) -> Version:
    """The alignment that a probe kept, on its recording; wave and mel are the same objects at each step."""
    with np.load(path) as kept:
        durations, frame = kept["durations"], float(kept["seconds_per_frame"])
        symbols = [str(symbol) for symbol in kept["symbols"]]
        scores = kept.get("scores")
        if "mel" not in shared:
            shared["mel"] = kept.get("mel")
    rate = recording.rate if recording else round(200 / frame)  # where a frame is a whole number of samples
    if "wave" not in shared:
        silence = np.zeros(max(1, round(int(durations.sum()) * frame * rate)), np.float32)
        shared["wave"] = recording.wave if recording else silence
    title = (recording.title or "recording") if recording else "recording, no sound here"
    truth = recording.spans if recording else ()
    return Version(title, shared["wave"], rate, shared["mel"], round(frame * rate), symbols, durations, scores, truth)


def _spoken(path: Path, aligned: Version) -> Version:
    """What the model said at a step, with its mel and durations where the run kept them."""
    sound = sounds.read(path)
    kept = path.with_suffix(".npz")
    if not kept.exists():
        return Version("model", sound.wave, sound.rate)
    with np.load(kept) as arrays:
        symbols = [str(symbol) for symbol in arrays["symbols"]]
        hop, mel = int(arrays["hop"]), arrays["log_mel"].astype(np.float32)
        return Version("model", sound.wave, sound.rate, mel, hop, symbols, arrays["durations"])


def _page(rows: list[list[Version]], steps: list[str], text: str) -> Page:
    if not 1 <= len(rows[0]) <= MOST:
        raise ValueError(f"a speech player wants 1 to {MOST} versions, got {len(rows[0])}; choose among them")
    for version in (version for row in rows for version in row):
        _check(version)
    text = plain(text)
    content = _content(rows, steps)
    shown = [text, *(part for row in content["rows"] for one in row for part in _texts(one))]
    title = text or ", ".join(plain(version.title) for version in rows[0])
    document = render(
        "speech.html",
        title=title,
        text=text,
        sounds=content.pop("sounds"),
        content=content,
        font=style.font_face(style.label("".join(shown))),
    )
    return Page(document, speech_face.draw(rows[-1][0], text), _height(rows, text), title)


def _texts(one: dict) -> list[str]:
    return [one["title"], *(span[0] for name in ("tokens", "words", "truth") for span in one[name])]


def _content(rows: list[list[Version]], steps: list[str]) -> dict:
    """What speech.js draws. A wave or mel that several versions share is written once."""
    waves: dict[int, tuple[int, Version]] = {}
    mels: dict[int, tuple[int, np.ndarray]] = {}
    for version in (version for row in rows for version in row):
        waves.setdefault(id(version.wave), (len(waves), version))
        if version.log_mel is not None:
            mels.setdefault(id(version.log_mel), (len(mels), version.log_mel))
    first = [version for _, version in waves.values()]
    gains = _gains(first)

    def describe(version: Version) -> dict:
        sound = waves[id(version.wave)][0]
        return {
            "title": plain(version.title),
            "sound": sound,
            "gain": gains[sound],
            "seconds": len(version.wave) / version.rate,
            "frame": version.frame,
            "mel": mels[id(version.log_mel)][0] if version.log_mel is not None else None,
            "scores": pack(speech_face.score_image(version.scores)) if version.scores is not None else None,
            "pitch": pack(np.asarray(version.pitch, np.float32)) if version.pitch is not None else None,
            "tokens": version.tokens,
            "words": version.words,
            "truth": [(style.label(plain(str(span[0]))), *map(float, span[1:])) for span in version.truth],
        }

    return {
        "steps": steps,
        "rows": [[describe(version) for version in row] for row in rows],
        "mels": [pack(speech_face.mel_image(mel)) for _, mel in mels.values()],
        "colours": pack(_colours()),
        "sounds": [
            base64.b64encode(sounds.wav(sounds.pcm(version.wave)[0], version.rate)).decode() for version in first
        ],
    }


def _gains(versions: Sequence[Version]) -> list[float]:
    """dB on each that makes all as loud as the first, or as loud as they can be without clipping; 0 for silence."""
    waves = [sounds.pcm(version.wave)[0] / 32768 for version in versions]
    levels = [loudness.lufs(wave, version.rate) for wave, version in zip(waves, versions, strict=True)]
    heard = [(level, wave) for level, wave in zip(levels, waves, strict=True) if math.isfinite(level)]
    if not heard:
        return [0.0] * len(waves)
    room = [level - 20 * math.log10(float(np.abs(wave).max())) for level, wave in heard]
    target = min(heard[0][0], *room)
    return [round(target - level, 2) if math.isfinite(level) else 0.0 for level in levels]


@cache
def _colours() -> np.ndarray:
    """viridis as [256, 3] bytes."""
    import matplotlib as mpl

    return np.rint(255 * mpl.colormaps[style.MAGNITUDE](np.arange(256))[:, :3]).astype(np.uint8)


def _check(version: Version) -> None:
    """ValueError for what cannot be drawn; player.pcm looks at the wave."""
    name = plain(version.title)[:40] or "a version"
    samples = sounds.pcm(version.wave)[0].size
    if not RATES[0] <= version.rate <= RATES[1]:
        raise ValueError(f"{name}: wanted a rate of {RATES[0]:,} to {RATES[1]:,} Hz, got {version.rate}; resample it")
    drawn = {"log_mel": version.log_mel, "durations": version.durations, "pitch": version.pitch}
    if any(array is not None for array in drawn.values()) and not (version.hop and version.hop > 0):
        raise ValueError(f"{name}: wanted hop, the samples of a frame, got {version.hop}; give it with frames")
    mel, durations, pitch = (None if array is None else np.asarray(array) for array in drawn.values())
    if mel is not None and (mel.ndim != 2 or not mel.size or not np.isfinite(mel).all()):
        raise ValueError(
            f"{name}: wanted a finite log_mel [bands, frames], got shape {mel.shape}; pick one of the batch"
        )
    if pitch is not None and (pitch.ndim != 1 or not pitch.size or np.isinf(pitch).any() or (pitch <= 0).any()):
        raise ValueError(f"{name}: wanted pitch [frames] in Hz above 0 or NaN, got shape {pitch.shape}; see data.pitch")
    tokens = (len(version.symbols),)
    if (durations is None) != (tokens == (0,)) or (durations is not None and durations.shape != tokens):
        got = None if durations is None else durations.shape
        raise ValueError(f"{name}: wanted a duration for each of {tokens[0]} symbols, got {got}; cut the padding off")
    if durations is not None and (not np.isfinite(durations).all() or (durations < 0).any()):
        raise ValueError(f"{name}: wanted durations of 0 frames or more, got {durations.min()}; look where they arise")
    frames = 0 if durations is None else int(durations.sum())
    if version.scores is not None and (np.shape(version.scores) != (*tokens, frames) or not frames):
        got = np.shape(version.scores)
        raise ValueError(f"{name}: wanted scores of shape {(*tokens, frames)}, got {got}; cut the padding off")
    for span in version.truth:
        if len(span) not in (3, 5) or not 0 <= span[1] <= span[2] <= samples / version.rate + 1:
            raise ValueError(
                f"{name}: wanted truth as (label, start, end) in seconds of the sound, got {span[1:]}; are they frames?"
            )
        if len(span) == 5 and not 0 <= span[3] <= span[4] <= tokens[0]:
            raise ValueError(
                f"{name}: wanted first and stop of truth within {tokens[0]} symbols, got {span[3:]} for {span[0]!r}; "
                "count them in the symbols given here"
            )


def _height(rows: list[list[Version]], text: str) -> int:
    """CSS pixels; a frame cannot ask its page for more."""
    versions = [version for row in rows for version in row]
    panels = [48 + 24 * (-(-len(text) // 90)), 36, 76, 18, 32]  # controls, a second line of them, wave, seconds, help
    panels.append(136 if any(version.log_mel is not None for version in versions) else 0)
    panels.append(22 if any(version.words for version in versions) else 0)
    panels.append(26 if any(len(version.symbols) for version in versions) else 0)
    panels.append(22 if any(version.truth for version in versions) else 0)
    if any(version.durations is not None for version in versions):  # as speech.js makes it
        panels.append(int(np.clip(9 * max(len(version.symbols) for version in versions), 120, 320)) + 4)
    return 24 + sum(panels) + (32 if len(rows) > 1 else 0)
