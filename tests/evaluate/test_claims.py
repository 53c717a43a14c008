"""A verdict follows from an interval and a range; the words of a claim are those of the note."""

import math

import pytest

from nbkit.evaluate import claims, papers
from nbkit.evaluate.claims import Check, Measured, Missing, above, at_least, at_most, equal, exactly, verdict


@pytest.mark.parametrize(
    ("low", "high", "claimed", "word"),
    [
        (0.898, 0.903, equal(0.901, 0.005), "holds"),
        (0.880, 0.886, equal(0.901, 0.005), "does not hold"),
        (0.893, 0.899, equal(0.901, 0.005), "open"),
        (0.70, 0.99, equal(0.901, 0.005), "open"),  # knowing nothing is no agreement
        (2.0, 3.0, at_least(2.0), "holds"),
        (1.9, 3.0, at_least(2.0), "open"),
        (1.0, 1.9, at_least(2.0), "does not hold"),
        (1.0, 1.9, at_most(2.0), "holds"),
        (2.1, 2.2, at_most(2.0), "does not hold"),
        (0.1, 0.2, above(0), "holds"),
        (0.0, 0.2, above(0), "open"),
        (0.0, 0.0, above(0), "does not hold"),  # a pitch that never changes does not spread wider
        (-0.2, 0.0, above(0), "does not hold"),
    ],
)
def test_a_verdict_follows_from_the_interval(low, high, claimed, word):
    assert verdict(Measured((low + high) / 2, low, high), claimed).word == word


def test_a_count_has_no_doubt():
    assert verdict(exactly(8002), equal(8002)).word == "holds"
    told = verdict(exactly(8001), equal(8002))
    assert told == ("does not hold", "claimed: 8,002")


def test_what_cannot_be_compared_is_open_and_says_why():
    found = Measured(0.4, 0.39, 0.41)
    assert verdict(found._replace(differs="a smaller model"), equal(0.75, 0.01)) == (
        "open", "measured on something else: a smaller model",
    )  # fmt: skip
    assert verdict(found, None).word == "open"
    assert verdict(Measured(0.4), equal(0.4, 0.1)) == ("open", "no interval is known")
    assert verdict(Missing("no run yet"), equal(0.75)) == ("not checked", "no run yet")


@pytest.mark.parametrize(
    "found", [Measured(math.nan, 0, 1), Measured(math.inf), Measured(2.0, 0.0, 1.0), Measured(0.5, math.nan, 1.0)]
)
def test_numbers_that_are_none_are_refused(found):
    with pytest.raises(ValueError, match="finite value within its interval"):
        verdict(found, at_least(0))


def test_bounds_that_are_none_are_refused():
    for wrong in (
        lambda: equal(math.nan),
        lambda: equal(1.0, -0.1),
        lambda: at_least(math.inf),
        lambda: at_most(math.nan),
    ):
        with pytest.raises(ValueError, match="finite"):
            wrong()


def test_numbers_in_words():
    assert str(Measured(0.88, 0.871, 0.8891)) == "0.88 (0.871 to 0.8891)"
    assert str(exactly(92186880)) == "92,186,880"
    assert str(exactly(1.0, "all 27")) == "all 27"
    assert [str(one) for one in (equal(8002), equal(2, 0.5), at_least(3), at_most(1e6), above(0))] == [
        "8,002", "1.5 to 2.5", "at least 3", "at most 1,000,000", "above 0",
    ]  # fmt: skip


def test_claims_are_those_of_the_note():
    rows = next(note for note in papers.read() if note.name == "kobert").claims()
    checks = {rows[0].claim[:12]: Check(equal(1), lambda: exactly(2), "repeat")}
    found = claims.check(claims.of_note("kobert", checks))
    assert [one.claim.what for one in found] == [papers.plain(row.claim) for row in rows]
    assert (found[0].verdict.word, found[0].claim.command, found[0].claim.checkable) == (
        "does not hold",
        "repeat",
        True,
    )
    assert {one.verdict.word for one in found[1:]} == {"not checked"}
    assert not any(one.claim.checkable for one in found[1:])
    assert claims.counted(found) == {"holds": 0, "does not hold": 1, "open": 0, "not checked": len(rows) - 1}
    shown = claims.table(found)
    assert [row.verdict for row in shown.rows] == [one.verdict.word for one in found]
    assert (shown.rows[0].measured, shown.rows[0].command, shown.rows[1].measured) == ("2", "repeat", "")


def test_a_claim_that_the_note_does_not_make_is_refused():
    with pytest.raises(ValueError, match="begins with 'it flies', got 0"):
        claims.of_note("kobert", {"it flies": Check()})
    with pytest.raises(ValueError, match=r"begins with '', got \d+"):
        claims.of_note("kobert", {"": Check()})
    with pytest.raises(ValueError, match="no paper_notes/nothing"):
        claims.of_note("nothing", {})
