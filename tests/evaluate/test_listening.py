"""Who hears what is a function of seed and listener; what the answers say is what can be worked out by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nbkit.base import answers
from nbkit.evaluate import listening, opinions
from nbkit.evaluate.listening import Answer, Trial, plan

ITEMS = [f"item {i}" for i in range(10)]


def asked(kind: str = "ab", listener: str = "me", **changed) -> list[Trial]:
    return plan(kind, ITEMS, ["x", "y", "z"], **({"seed": 0, "listener": listener, "repeats": 4} | changed))


def ab(wins: int, losses: int, ties: int = 0, listener: str = "me") -> list[Answer]:
    """Answers that prefer x, y, or neither, with x on either side."""
    found = []
    for i, wanted in enumerate("x" * wins + "y" * losses + "=" * ties):
        order = ("x", "y") if i % 2 else ("y", "x")
        said = "same" if wanted == "=" else "AB"[order.index(wanted)]
        found.append(Answer(listener, Trial("ab", str(i), order), said, 1.0, (1, 1)))
    return found


# --- the plan


@pytest.mark.parametrize("kind", listening.KINDS)
def test_the_plan_is_a_function_of_seed_and_listener(kind):
    assert asked(kind) == asked(kind)
    assert asked(kind) != asked(kind, seed=1)
    assert asked(kind) != asked(kind, listener="you")


@pytest.mark.parametrize(("kind", "groups"), [("ab", 3), ("abx", 3), ("mos", 3)])
def test_everything_is_asked_once_and_some_of_it_again(kind, groups):
    trials = asked(kind)
    once = [(trial.item, frozenset(trial.order)) for trial in trials if not trial.repeat]
    assert len(once) == len(set(once)) == groups * len(ITEMS)
    again = [trial.repeat for trial in trials]
    assert again == [0] * 30 + [1] * 4, "those that come again come last"
    place = {key: n for n, key in enumerate(once)}
    assert all(place[trial.item, frozenset(trial.order)] < 15 for trial in trials[30:])


def test_a_short_test_repeats_what_it_can():
    assert [trial.repeat for trial in plan("ab", ["a", "b"], ["x", "y"], seed=0, listener="me", repeats=9)] == [0, 0, 1]


@pytest.mark.parametrize("kind", ["ab", "abx"])
def test_no_system_is_a_more_often_than_b(kind):
    for listener, pair in itertools.product(("a", "b", "c"), itertools.combinations("xyz", 2)):
        own = [t for t in asked(kind, listener, repeats=0) if set(t.order) == set(pair)]
        assert sum(trial.order[0] == pair[0] for trial in own) == len(ITEMS) / 2
        assert all(trial.order[0] != trial.order[1] for trial in own)


def test_x_is_a_as_often_as_b():
    is_a = [trial.order[2] == trial.order[0] for trial in asked("abx", repeats=0)]
    assert sum(is_a) == pytest.approx(15, abs=3)
    assert all(trial.order[2] in trial.order[:2] for trial in asked("abx"))


def test_sides_are_exchanged_when_a_question_comes_again():
    trials = asked("ab")
    before = {(t.item, frozenset(t.order)): t.order for t in trials if not t.repeat}
    for trial in trials[30:]:
        assert trial.order == before[trial.item, frozenset(trial.order)][::-1]


@pytest.mark.parametrize(
    ("kind", "items", "systems", "repeats", "message"),
    [
        ("xyz", ITEMS, "xy", 0, "among ab, abx, mos"),
        ("ab", ITEMS, "x", 0, "2 or more systems"),
        ("mos", ITEMS, "", 0, "1 or more systems"),
        ("ab", [], "xy", 0, "0 items"),
        ("ab", ["a", "a"], "xy", 0, "no two alike"),
        ("ab", ["a", "b"], "xy", -1, "0 repeats or more, got -1"),
    ],
)
def test_what_is_no_plan_is_refused(kind, items, systems, repeats, message):
    with pytest.raises(ValueError, match=message):
        plan(kind, items, list(systems), seed=0, listener="me", repeats=repeats)


# --- the answers


def write(folder, trials, said, listener="me"):
    path = folder / answers.FOLDER / f"{listener}.jsonl"
    for number, (trial, value) in enumerate(zip(trials, said, strict=True)):
        row = {"question": number, "listener": listener, **trial.about(), "answer": value}
        answers.append(path, {**row, "seconds": 2.5, "played": [1] * len(trial.order)})
    return path


def test_what_was_written_is_read(tmp_path):
    trials = asked("abx", repeats=0)[:3]
    path = write(tmp_path, trials, "ABA", "<b>민지")
    answers.take_back(path, 1)
    found = listening.read(tmp_path)
    assert [(a.listener, a.trial, a.answer) for a in found] == [
        ("<b>민지", trials[0], "A"),
        ("<b>민지", trials[2], "A"),
    ]
    assert found[0].system == trials[0].order[0]
    assert listening.read(tmp_path / "nowhere") == []


@pytest.mark.parametrize(("kind", "said"), [("ab", "C"), ("abx", "same"), ("mos", 6), ("mos", "A")])
def test_an_answer_that_was_not_offered_is_named(kind, said, tmp_path):
    write(tmp_path, asked(kind, repeats=0)[:1], [said])
    with pytest.raises(ValueError, match="wanted an answer among"):
        listening.read(tmp_path)


def test_a_line_without_its_trial_is_named(tmp_path):
    answers.append(tmp_path / answers.FOLDER / "me.jsonl", {"question": 0, "answer": "A"})
    with pytest.raises(ValueError, match=r"got none of .*kind"):
        listening.read(tmp_path)


# --- what they say


def test_a_share_has_wilsons_interval_and_the_exact_test():
    (found,) = opinions.results(ab(8, 2, ties=3))
    z, n, p = 1.959964, 10, 0.8
    middle, reach = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (found.label, found.value, found.answers, found.ties, found.listeners) == ("x over y", 0.8, 10, 3, 1)
    assert (found.low, found.high) == pytest.approx(tuple((middle + s * reach) / (1 + z * z / n) for s in (-1, 1)))
    assert found.p == pytest.approx(112 / 1024), "8, 9, 10, or 0, 1, 2 heads of 10"


def test_which_side_a_system_stood_on_does_not_matter():
    said = [Answer("me", Trial("ab", str(i), order), value, 1.0, (1, 1))
            for i, (order, value) in enumerate([(("x", "y"), "A"), (("y", "x"), "B")] * 4)]  # fmt: skip
    assert opinions.results(said)[0].value == 1.0


def test_only_ties_leave_nothing_to_say():
    (found,) = opinions.results(ab(0, 0, ties=4))
    assert (found.answers, found.ties) == (0, 4)
    assert math.isnan(found.value)
    assert opinions.results([]) == []


def test_x_is_recognised_or_not():
    trials = [Trial("abx", str(i), ("x", "y", "y")) for i in range(4)]
    given = [Answer("me", trial, said, 1.0, (1, 1, 1)) for trial, said in zip(trials, "BBBA", strict=True)]
    (found,) = opinions.results(given)
    assert (found.label, found.value, found.p) == ("x told from y", 0.75, pytest.approx(10 / 16))


def rated(system: str, values: list[int], listener: str = "me") -> list[Answer]:
    return [Answer(listener, Trial("mos", str(i), (system,)), v, 1.0, (1,)) for i, v in enumerate(values)]


def test_ratings_have_students_interval_and_differences_are_paired():
    found = {e.label: e for e in opinions.results(rated("x", [5, 4, 4, 3]) + rated("y", [4, 3, 2, 2]))}
    x, less = found["x"], found["x less y"]
    reach = 3.182446 * np.std([5, 4, 4, 3], ddof=1) / 2
    assert (x.value, x.low, x.high) == pytest.approx((4.0, 4 - reach, min(5, 4 + reach)))
    reach = 3.182446 * np.std([1, 1, 2, 1], ddof=1) / 2
    assert (less.value, less.low, less.high) == pytest.approx((1.25, 1.25 - reach, 1.25 + reach)), "of each item"


@pytest.mark.parametrize("given", [rated("x", [3]), rated("x", [4, 4, 4]), rated("x", [4], "a") + rated("x", [4], "b")])
def test_ratings_that_are_all_alike_do_not_say_how_far_others_would_lie(given):
    (found,) = opinions.results(given)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_listeners_who_disagree_leave_more_open_than_as_many_answers_of_one():
    one = opinions.results(ab(24, 16))[0]
    two = ab(20, 0, listener="a") + ab(4, 16, listener="b")
    several = opinions.results(two)[0]
    assert several.value == one.value
    assert several.low < one.low
    assert several.high > one.high
    assert several.p >= one.p
    assert opinions.results(two) == opinions.results(two), "nothing about it is left to chance"


def test_listeners_who_agree_are_not_surer_than_their_answers():
    several = opinions.results(ab(10, 0, listener="a") + ab(10, 0, listener="b"))[0]
    assert several.low == pytest.approx(opinions.results(ab(20, 0))[0].low)


def test_intervals_of_several_listeners_hold_for_others_too():
    """Listeners and items lean either way; the truth is the share in all of them, not in those that were drawn."""
    draw = np.random.default_rng(0)
    lean = draw.normal(0.85, math.hypot(1.0, 0.7), 100_000)
    truth = (1 / (1 + np.exp(-lean))).mean()
    held = pooled = 0
    for _ in range(60):
        chance = 1 / (1 + np.exp(-(0.85 + draw.normal(0, 1.0, (5, 1)) + draw.normal(0, 0.7, (1, 20)))))
        said = draw.random((5, 20)) < chance
        given = [Answer(str(who), Trial("ab", str(i), ("x", "y")), "A" if said[who, i] else "B", 1.0, (1, 1))
                 for who in range(5) for i in range(20)]  # fmt: skip
        (found,) = opinions.results(given)
        held += found.low <= truth <= found.high
        alone = opinions.imaginary(0.5, 100, int(said.sum()))
        pooled += alone.low <= truth <= alone.high
    assert held >= 54
    assert pooled < 48, "as if all answers were independent"


def test_repeated_questions_count_for_the_listener_and_not_for_the_system():
    given = ab(2, 0)
    again = [Answer("me", Trial("ab", "0", ("x", "y"), 1), "B", 3.0, (3, 1)),
             Answer("me", Trial("ab", "1", ("y", "x"), 1), "B", 3.0, (1, 1))]  # fmt: skip
    assert opinions.results(given + again)[0].answers == 2
    (found,) = listening.consistency(given + again)
    assert (found.answers, found.repeated, found.same) == (4, 2, 1)
    assert (found.first, found.seconds, found.played) == (0.25, 2.0, 1.25)


def test_ratings_may_differ_by_one():
    again = [Answer("me", Trial("mos", str(i), ("x",), 1), value, 1.0, (1,)) for i, value in enumerate((4, 2))]
    (found,) = listening.consistency(rated("x", [5, 5]) + again)
    assert (found.repeated, found.same) == (2, 1)
    assert math.isnan(found.first)


# --- what a test can promise


def test_a_promise_is_what_many_tests_keep():
    kept = opinions.promise(0.7, 20)
    draw = np.random.default_rng(0).binomial(20, 0.7, 4000)
    found = [opinions.imaginary(0.7, 20, ones) for ones in range(21)]
    covered = np.mean([found[ones].low <= 0.7 <= found[ones].high for ones in draw])
    assert kept.covered == pytest.approx(covered, abs=0.015)
    assert kept.sure == pytest.approx(np.mean([found[ones].p < 0.05 for ones in draw]), abs=0.03)
    assert "imaginary" in found[0].label


@pytest.mark.parametrize(("share", "questions"), [(0.0, 5), (1.0, 5), (0.5, 0)])
def test_there_is_no_promise_without_a_test(share, questions):
    with pytest.raises(ValueError, match="between 0 and 1 and one question"):
        opinions.promise(share, questions)
