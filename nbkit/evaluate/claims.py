"""Claims of a paper beside what was measured here, and what follows from it.

    checks = {"92 million parameters": Check(equal(92e6, 0.5e6), count, "nbkit run 45_kobert_claims")}
    checked = claims.check(claims.of_note("kobert", checks))
    checked[0].verdict.word                              # "holds", "does not hold", "open", "not checked"
    claims.table(checked)                                # a row a claim, for a notebook

The words of a claim stand in the paper's note and nowhere else; here is only how it is checked. Whether it holds is
decided by an interval and a range: all of the interval within the range holds, all of it outside does not hold, and
what reaches over an end of the range is open. What was measured on something else than the claim speaks of is open too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nbkit.evaluate import papers
from nbkit.evaluate.papers import FAILS, HOLDS, OPEN, UNCHECKED, VERDICTS
from nbkit.views import claims as pictures


def _number(value: float) -> str:
    """Large numbers with thousands, others with four digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


class Measured(NamedTuple):
    """A number with the interval that it is known to lie in; low and high nan where none is known.

    told     the number in words, with its unit: "88.1 % (87.8 to 88.4)"; made from the number where empty
    differs  how what was measured differs from what the claim speaks of; "" where it does not
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    told: str = ""
    differs: str = ""

    def __str__(self) -> str:
        if self.told:
            return self.told
        known = not math.isnan(self.low) and self.low < self.high
        return _number(self.value) + (f" ({_number(self.low)} to {_number(self.high)})" if known else "")


class Missing(NamedTuple):
    """Nothing was measured, and why: "no run yet"."""

    why: str


class Claimed(NamedTuple):
    """The numbers for which a claim is true: low to high, both included, but low only where it is not `above` it."""

    low: float
    high: float
    above: bool = False

    def __str__(self) -> str:
        if self.above:
            return f"above {_number(self.low)}"
        if math.isinf(self.high):
            return f"at least {_number(self.low)}"
        if math.isinf(self.low):
            return f"at most {_number(self.high)}"
        return _number(self.low) if self.low == self.high else f"{_number(self.low)} to {_number(self.high)}"


class Verdict(NamedTuple):
    """One of VERDICTS, and why in a few words."""

    word: str
    why: str


@dataclass(frozen=True)
class Check:
    """How a claim is checked: the range in which it is true, what measures it, and the command that repeats that.

    without  why it cannot be checked here; then nothing is measured
    """

    claimed: Claimed | None = None
    measure: Callable[[], Measured | Missing] | None = None
    command: str = ""
    without: str = ""


@dataclass(frozen=True)
class Claim:
    """What is claimed and where (as the note has it), whether that can be checked here, and how."""

    what: str
    source: str
    how: Check

    @property
    def checkable(self) -> bool:
        """Whether anything here can measure it."""
        return self.how.measure is not None

    def measure(self) -> Measured | Missing:
        """Measure it now, or find what a run has measured."""
        return self.how.measure() if self.how.measure else Missing(self.how.without or "nothing here measures it")

    @property
    def command(self) -> str:
        """What repeats the measurement."""
        return self.how.command


class Checked(NamedTuple):
    """A claim, what was measured for it, and what follows."""

    claim: Claim
    found: Measured | Missing
    verdict: Verdict


def exactly(value: float, told: str = "", differs: str = "") -> Measured:
    """A number without any doubt: something that was counted."""
    return Measured(float(value), float(value), float(value), told, differs)


def equal(value: float, within: float = 0.0) -> Claimed:
    """The claim of one number, true up to `within`. Raises ValueError for a negative or no number."""
    if not (math.isfinite(value) and within >= 0):
        raise ValueError(f"equal wants a finite value and a margin of 0 or more, got {value} and {within}; give both")
    return Claimed(value - within, value + within)


def at_least(bound: float) -> Claimed:
    """The claim of `bound` or more."""
    return Claimed(_finite(bound), math.inf)


def above(bound: float) -> Claimed:
    """The claim of more than `bound`: exactly `bound` is no evidence for it."""
    return Claimed(_finite(bound), math.inf, above=True)


def at_most(bound: float) -> Claimed:
    """The claim of `bound` or less."""
    return Claimed(-math.inf, _finite(bound))


def _finite(bound: float) -> float:
    if not math.isfinite(bound):
        raise ValueError(f"a claim wants a finite bound, got {bound}; give the number that the paper gives")
    return float(bound)


def verdict(found: Measured | Missing, claimed: Claimed | None) -> Verdict:
    """What a measurement says of a claim.

    claimed  the range in which the claim is true; None where the paper gives no number to hold on to
    raises   ValueError for a value that is not finite, and for an interval that does not hold it
    """
    if isinstance(found, Missing):
        return Verdict(UNCHECKED, found.why)
    value, low, high = found[:3]
    if not math.isfinite(value) or not ((math.isnan(low) and math.isnan(high)) or low <= value <= high):
        raise ValueError(
            f"a verdict wants a finite value within its interval, got {value} in {low} to {high}; measure again"
        )
    if claimed is None:
        return Verdict(OPEN, "the claim has no number to compare with")
    if found.differs:
        return Verdict(OPEN, f"measured on something else: {found.differs}")
    if math.isnan(low):
        return Verdict(OPEN, "no interval is known")
    if (claimed.low < low if claimed.above else claimed.low <= low) and high <= claimed.high:
        return Verdict(HOLDS, f"claimed: {claimed}")
    if (high <= claimed.low if claimed.above else high < claimed.low) or claimed.high < low:
        return Verdict(FAILS, f"claimed: {claimed}")
    return Verdict(OPEN, f"the interval reaches over an end of what is claimed: {claimed}")


def of_note(name: str, checks: Mapping[str, Check]) -> list[Claim]:
    """The claims of paper_notes/<name>.md, in its order, with what checks them.

    checks  beginning of a claim's words -> Check; claims without one stay unchecked, with the note's own words for why
    raises  ValueError for a note that is not there, and for a key with which not exactly one claim begins
    """
    found = next((note for note in papers.read() if note.name == name), None)
    if found is None:
        raise ValueError(f"wanted the note of a paper, there is no paper_notes/{name}.md; `nbkit papers` lists them")
    rows = found.claims()
    owners = {key: [row for row in rows if row.claim.startswith(key)] for key in checks}
    for key, own in owners.items():
        if len(own) != 1:
            raise ValueError(
                f"wanted one claim in paper_notes/{name}.md that begins with {key!r}, got {len(own)}; "
                "write the beginning as the note has it"
            )
    by_row = {own[0]: checks[key] for key, own in owners.items()}
    return [
        Claim(
            papers.plain(row.claim),
            papers.plain(row.source),
            by_row.get(row, Check(without=papers.plain(row.here))),
        )
        for row in rows
    ]


def check(claims: Iterable[Claim]) -> list[Checked]:
    """Measure each claim and say what follows."""
    found = [(claim, claim.measure()) for claim in claims]
    return [Checked(claim, one, verdict(one, claim.how.claimed)) for claim, one in found]


def table(checked: Iterable[Checked]) -> pictures.Claims:
    """What was claimed, measured and found, a row a claim."""
    return pictures.table(
        [
            pictures.Row(
                one.claim.what,
                one.claim.source,
                str(one.found) if isinstance(one.found, Measured) else "",
                *one.verdict,
                one.claim.command,
            )
            for one in checked
        ]
    )


def counted(checked: Sequence[Checked]) -> dict[str, int]:
    """How many claims got which verdict, in the order of VERDICTS."""
    return {word: sum(one.verdict.word == word for one in checked) for word in VERDICTS}
