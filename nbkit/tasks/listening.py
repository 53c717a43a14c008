"""What 71_listening_test needs: sounds of several systems, asked blind, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nbkit.base import answers, record, workspace
from nbkit.base.params import Params, ParamsError, param
from nbkit.evaluate import listening, opinions
from nbkit.evaluate.results import Results
from nbkit.tasks import listening_sounds
from nbkit.views import intervals, loudness, report, style, summary
from nbkit.views.listening import KINDS, Question, Test

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = {"ab": "preferred", "abx": "recognised", "mos": "mean rating", "difference": "difference of ratings"}
XLABELS = {
    "ab": "share of the answers that preferred the first",
    "abx": "share of the answers that recognised X",
    "mos": "mean rating, from 1 (bad) to 5 (excellent)",
    "difference": "difference of the mean ratings",
}


@dataclass(frozen=True)
class ListeningTest(Params):
    """Parameters of 71_listening_test."""

    source: str = param(
        "",
        "A folder with a folder for each system, or names of runs with commas between. Empty takes what is there.",
        identity=False,
    )
    kind: str = param("ab", "ab asks which is better, abx whether they differ, mos for a rating.", choices=tuple(KINDS))
    count: int = param(4, "So many sounds of each system.", low=1)
    repeats: int = param(2, "So many questions come again at the end.", low=0)
    match_loudness: bool = param(True, "Make all sounds equally loud.")
    listener: str = param("me", "Who listens. Each listener has an order and a file of answers.", identity=False)
    seed: int = param(0, "Decides which sounds are taken, and with the listener the order.", low=0)

    PRESETS: ClassVar = {"smoke": {"count": 2, "repeats": 1}}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.listener.replace("-", "").replace("_", "").isalnum() and len(self.listener) <= 40):
            raise ParamsError(
                f"listener names a file and wants up to 40 letters, digits, '-' and '_', got {self.listener[:60]!r}"
            )


class Listening:
    """A test of one listener: its questions, the widget that asks them, and the results of all who listened.

    test  ends a cell; the answers go to listening/<listener>.jsonl of the run folder as they are given
    page  a file beside them that asks the same without a notebook; test.take reads what its listener sends back
    """

    def __init__(self, config: ListeningTest):
        self.config = config
        self.sounds = listening_sounds.sounds(config.source, config.count, config.seed)
        systems, items = list(self.sounds.waves), self.sounds.items
        self.trials = listening.plan(
            config.kind, items, systems, seed=config.seed, listener=config.listener, repeats=config.repeats
        )
        keys = [(system, item) for system in systems for item in items]
        waves = [self.sounds.waves[system][item] for system, item in keys]
        self.levels = dict(zip(keys, [loudness.lufs(wave, self.sounds.rate) for wave in waves], strict=True))
        gains = loudness.gains(waves, self.sounds.rate) if config.match_loudness else [1.0] * len(waves)
        played = {key: gain * wave for key, gain, wave in zip(keys, gains, waves, strict=True)}
        questions = [Question(tuple(played[s, t.item] for s in t.order), t.about()) for t in self.trials]
        with self._record() as run:
            self.folder = run.folder
            if self._away and answers.bring_back(self._answers(), self._away):
                print(f"brought the answers of {config.listener} back from {self._away}")
            self.test = Test(config.kind, questions, self.sounds.rate, self._answers())
            self._tell(run)

    def _record(self) -> record.Record:
        return record.Record.open("listening", self.config, self.sounds.fingerprint)

    def _answers(self) -> Path:
        return self.folder / answers.FOLDER / f"{self.config.listener}.jsonl"

    @property
    def _away(self) -> Path | None:
        """Where copies of the answers outlive this machine, if there is such a place."""
        mirror = workspace.mirror()
        return mirror / answers.FOLDER / self.folder.name if mirror else None

    def _tell(self, run: record.Record) -> None:
        done, total = len(self.test.answers()), len(self.trials)
        state = "finished" if done == total else "waits for answers"
        run.status(state, step=done, stop_at=total, message=f"{done} of {total} answers by {self.config.listener}")
        run.place("views", "question.png", f"What {self.config.listener} is asked.").write_bytes(self.test.face())
        self.page = self.test.page().save(self._answers().with_suffix(".html"))

    def overview(self) -> summary.Table:
        """What is compared, a row a system."""
        rows = []
        for system, own in self.sounds.waves.items():
            levels = [self.levels[system, item] for item in self.sounds.items]
            seconds = float(np.mean([len(own[item]) for item in self.sounds.items])) / self.sounds.rate
            rows.append((system, len(levels), round(seconds, 2), round(float(np.mean(levels)), 1)))
        return summary.table(rows, ("system", "sounds", "seconds each", "loudness, LUFS"))

    def given(self) -> list[listening.Answer]:
        """The answers of all listeners."""
        return listening.read(self.folder)

    def table(self) -> summary.Table:
        """What the answers say so far."""
        return table(opinions.results(self.given()))

    def plot(self) -> Axes | None:
        """The same as dots with intervals; None where there is no answer."""
        found = [one for one in opinions.results(self.given()) if one.kind == self.config.kind]
        return plot(found) if any(one.answers for one in found) else None

    def reliance(self) -> summary.Table:
        """How each listener answered."""
        rows = [
            (one.listener, one.answers, f"{one.same} of {one.repeated}", _percent(one.first), one.seconds, one.played)
            for one in listening.consistency(self.given())
        ]
        heads = ("listener", "answers", "same answer when asked again", "A among A and B", "seconds", "plays a sound")
        return summary.table(rows, heads, empty="no answers yet")

    def keep(self) -> Path:
        """Write results.json, the picture and the page of the run folder; copy the answers to where they outlive it.

        returns  the path of the page
        """
        with self._record() as run:
            self._tell(run)
            results = Results(run.folder)
            for one in opinions.results(self.given()):
                if one.answers:
                    results.add(one.label, METRICS[one.kind], one.value, (one.low, one.high), rows=one.answers)
            ax = self.plot()
            if ax is not None:
                run.place("views", "answers.png", "What the answers say.").write_bytes(style.png(ax))
        if self._away:
            try:
                answers.copy(self._answers(), self._away)
            except OSError as error:
                print(f"the answers could not be copied to {self._away} ({error}); they lie on this machine alone")
        return report.write(self.folder)


def table(found: Sequence[opinions.Estimate]) -> summary.Table:
    """Estimates, a row each."""
    rows: list[tuple[Any, ...]] = []
    for one in found:
        write = _percent if one.kind in ("ab", "abx") else _points
        bounds = f"{write(one.low)} to {write(one.high)}" if np.isfinite(one.low) else "unknown"
        ties = one.ties if one.kind == "ab" else ""
        chance = f"{one.p:.3f}" if np.isfinite(one.p) else ""
        rows.append((one.label, write(one.value), bounds, one.answers, ties, one.listeners, chance))
    heads = ("", "result", "95 % interval", "answers", "no difference", "listeners", "p")
    return summary.table(rows, heads, empty="no answers yet: press the buttons above, then run this cell again")


def plot(found: Sequence[opinions.Estimate], title: str = "") -> Axes:
    """Estimates of one kind as dots with intervals."""
    kind = found[0].kind
    rows = [(one.label, one.value, one.low, one.high) for one in found if one.answers]
    limits = {"ab": (0.0, 1.0), "abx": (0.0, 1.0), "mos": (1.0, 5.0)}.get(kind)
    return intervals.plot(rows, XLABELS[kind], limits=limits, chance=opinions.CHANCE.get(kind), title=title)


def promises(share: float, numbers: Sequence[int] = (10, 20, 40, 80, 160)) -> summary.Table:
    """What tests of some lengths can promise where an imaginary listener prefers one system in `share` of all cases."""
    found = [opinions.promise(share, number) for number in numbers]
    rows = [(one.questions, _percent(one.covered), _percent(one.width), _percent(one.sure)) for one in found]
    return summary.table(rows, ("questions", "intervals that hold the truth", "their width", "tests with p < 0.05"))


def _percent(value: float) -> str:
    return "" if np.isnan(value) else f"{100 * value:.0f} %"


def _points(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
