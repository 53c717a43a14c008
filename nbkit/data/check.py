"""All that is wrong with the rows of a data set, before training stumbles over it."""

from __future__ import annotations

import collections
import dataclasses
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nbkit.data import audio, manifest, rows, text
from nbkit.data.audio import AudioError, MelSpec
from nbkit.data.meter import Meter
from nbkit.data.rows import OTHER_AUDIO

THREADS = 8  # for the waiting on slow disks; reading a clip of 7 s takes 1.3 ms, so processes would not pay
FULL_SCALE, CLIPPED = 0.999, 8  # so many neighbours at full scale: the tops of the wave are cut


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is wrong with a row. kind is a word to group by, detail says it with values."""

    line: int
    id: str
    kind: str
    detail: str


@dataclasses.dataclass(frozen=True)
class Heard:
    """What a recording was found to be."""

    seconds: float
    rate: int
    channels: int
    samples: int
    clipped: int


@dataclasses.dataclass(frozen=True)
class Report:
    """What a check found. `good` where there is no problem."""

    name: str
    rows: int
    problems: list[Problem]
    heard: list[Heard]
    characters: list[int]
    speakers: int
    front_end: str
    counted = "rows"

    @property
    def good(self) -> bool:
        return not self.problems

    def bad_lines(self) -> set[int]:
        """The lines of the list with a problem."""
        return {problem.line for problem in self.problems}

    def excludable(self) -> list[str]:
        """Ids that `exclude` may name. Where the list itself is wrong, an id may be that of a good row too."""
        listed = {problem.id for problem in self.problems if problem.kind == "list"}
        return list(dict.fromkeys(problem.id for problem in self.problems if problem.id not in listed))

    def summary(self) -> list[tuple[str, str]]:
        """Name and value of what one wants to know about a data set."""
        seconds = [heard.seconds for heard in self.heard]
        rates = collections.Counter(heard.rate for heard in self.heard)
        stereo = sum(heard.channels > 1 for heard in self.heard)
        told = [("rows", f"{self.rows:,} of {self.speakers} speaker{'s' * (self.speakers != 1)}")]
        if seconds:
            told += [
                ("length", f"{sum(seconds) / 3600:.2f} hours" if sum(seconds) >= 360 else f"{sum(seconds):.1f} s"),
                ("seconds", _spread(seconds, ".2f")),
                (
                    "sample rate",
                    ", ".join(f"{rate:,} Hz" + f" ({n})" * (len(rates) > 1) for rate, n in rates.most_common()),
                ),
            ]
        if stereo:
            told.append(("stereo", f"{stereo} recordings; their channels are averaged"))
        if self.characters:
            told.append(("characters", _spread(self.characters, ".0f")))
        told.append(("symbols", f"front end '{self.front_end}'" if self.front_end else "not checked: no front end"))
        return told


def _spread(values: Sequence[float], form: str) -> str:
    return f"{min(values):{form}} shortest, {statistics.median(values):{form}} median, {max(values):{form}} longest"


def check(name: str, front_end: str = "", spec: MelSpec | None = None) -> Report:
    """Look at every row of a data set: the list, each recording, each text.

    front_end  the one that training will use; by default the one for the language
    spec       for the length of a recording in frames
    raises     DataError where the data set is not here
    """
    found = manifest.load(name)
    if found.text:
        raise manifest.ManifestError(
            f"{name} is a set of texts, wanted one of recordings; check_text.check looks at it"
        )
    if not manifest.is_here(found):
        raise manifest.absent(found)
    folder = manifest.fetch(name) if found.synthetic else manifest.folder_of(found)
    read = rows.read(found, folder)
    spec = spec or MelSpec()
    front_end = front_end or text.BY_LANGUAGE.get(found.language, "")
    reader = text.front_end(front_end, found.language if front_end == "phones" else "") if front_end else None
    problems = [Problem(row.line, row.utterance.id, "list", row.problem) for row in read if row.problem]
    sound = [row for row in read if not row.problem]
    heard: list[Heard] = []
    with Meter(f"{name}: checking", len(sound), "recordings") as meter, ThreadPoolExecutor(THREADS) as pool:
        for row, result in zip(sound, pool.map(_listen, [row.utterance.audio for row in sound])):
            meter.add(1)
            tell = _teller(problems, row)
            frames = 0
            if isinstance(result, Heard):
                heard.append(result)
                frames = spec.frames(round(result.samples * spec.rate / result.rate))
                _judge(result, found.rate, tell)
            else:
                tell(*result)
            if reader is not None:
                _judge_text(row.utterance.text, reader, frames, tell)
    problems.sort(key=lambda problem: problem.line)
    characters = [len(row.utterance.text) for row in sound]
    return Report(name, len(read), problems, heard, characters, len({row.utterance.speaker for row in read}), front_end)


def _teller(problems: list[Problem], row: rows.Row):
    return lambda kind, detail: problems.append(Problem(row.line, row.utterance.id, kind, detail))


def _judge(heard: Heard, rate: int, tell) -> None:
    if heard.rate != rate:
        tell("rate", f"wanted {rate} Hz as the manifest says, got {heard.rate}; convert it, or correct `rate`")
    if heard.clipped >= CLIPPED:
        tell("clipped", f"{heard.clipped} samples are cut off at full scale; record it at a lower level")


def _judge_text(spoken: str, reader, frames: int, tell) -> None:
    try:
        unknown = reader.unknown(spoken)
        tokens = len(reader.encode(spoken, strict=False).ids)
    except ValueError as error:  # eSpeak's, where the front end asks it
        tell("symbols", str(error))
        return
    if unknown:
        tell("symbols", f"{reader.name} does not know {' '.join(map(repr, unknown))}; write them as they are spoken")
    if frames and tokens > frames:
        tell("too long", f"{tokens} symbols for {frames} frames of sound; is it the right recording?")
    if not tokens:
        tell("symbols", "nothing is left of the text")


def _listen(path: Path) -> Heard | tuple[str, str]:
    """What a recording is, or the kind and the detail of its problem."""
    import soundfile

    if not path.is_file():
        return "missing", f"no file {path}"
    if path.suffix.lower() in OTHER_AUDIO:
        return "sound", f"{path.suffix} cannot be read here; convert it: ffmpeg -i {path.name} {path.stem}.wav"
    try:
        try:
            about = soundfile.info(path)
        except soundfile.LibsndfileError:
            audio.load(path, 1)  # says it better
            raise
        wave = audio.load(path, about.samplerate)
    except AudioError as error:
        return "sound", str(error).removeprefix(f"{path}: ")
    except OSError as error:
        return "sound", f"cannot be read ({error.strerror})"
    top = np.abs(wave) >= FULL_SCALE
    clipped = int((top[1:] & top[:-1]).sum())
    return Heard(len(wave) / about.samplerate, about.samplerate, about.channels, len(wave), clipped)
