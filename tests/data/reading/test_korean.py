"""Korean as it is read aloud: a table of sentences, numbers against another library, and what holds for any text."""

from __future__ import annotations

import csv
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbkit.data import espeak
from nbkit.data.reading import korean, korean_forms
from nbkit.data.reading.korean_numbers import digits, mixed, native, sino
from nbkit.data.reading.pieces import apply, text_of
from nbkit.data.text import Steps, front_end

JAMO = front_end("jamo")
RULES = (*korean_forms.FORMS, *korean_forms.TIMES, *korean_forms.AMOUNTS, *korean.NUMBERS, *korean.LETTERS)
BLOCKS = (Path(__file__).parent / "korean.txt").read_text(encoding="utf-8").strip().split("\n\n")
TABLE = [tuple(block.split("\n")) for block in BLOCKS if not block.startswith("# ")]
PROSE = espeak.sentences("ko", 300)


def said(text: str) -> str:
    return text_of(JAMO.steps(text).read)


# --- the table


def test_the_table_is_long() -> None:
    assert len(TABLE) >= 150
    assert all(len(pair) == 2 for pair in TABLE)
    assert len({written for written, _ in TABLE}) == len(TABLE)


@pytest.mark.parametrize(("written", "expected"), TABLE, ids=[written for written, _ in TABLE])
def test_what_is_said(written: str, expected: str) -> None:
    assert said(written) == expected


def test_each_rule_is_shown() -> None:
    shown = Counter(fired.rule for written, _ in TABLE for fired in JAMO.steps(written).fired)
    assert set(shown) == {rule.name for rule in RULES}
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_no_rule_can_be_left_out() -> None:
    """Without any one of them some sentence is read in another way."""
    written = [JAMO.normalise(text) for text, _ in TABLE]
    whole = [text_of(apply(RULES, pieces)) for pieces in written]
    for rule in RULES:
        rest = [other for other in RULES if other is not rule]
        assert any(text_of(apply(rest, pieces)) != read for pieces, read in zip(written, whole)), rule.name


# --- numbers


def test_sino_korean_numbers_are_those_of_another_library() -> None:
    num2words = pytest.importorskip("num2words").num2words
    draw = random.Random(0)
    for number in [*range(1100), *(int(10 ** draw.uniform(0, 16)) for _ in range(3000)), 10**16]:
        assert sino(number) == num2words(number, lang="ko"), number


def test_native_numbers() -> None:
    known = "한 두 세 네 다섯 여섯 일곱 여덟 아홉 열 열한 열두 열세 열네 열다섯 열여섯 열일곱 열여덟 열아홉 스무"
    assert " ".join(map(native, range(1, 21))) == known
    assert [native(n) for n in (21, 30, 40, 99, 100, 101, 120, 123, 999, 1000)] == [
        "스물한", "서른", "마흔", "아흔아홉", "백", "백한", "백이십", "백스물세", "구백아흔아홉", "천",
    ]  # fmt: skip
    assert [native(n, 12) for n in (0, 12, 13, 24, 101)] == ["영", "열두", "십삼", "이십사", "백일"]


def test_other_numbers() -> None:
    assert digits("0105") == "공일공오"
    assert sino("1,234.50") == "천이백삼십사 점 오영"
    assert sino("12345678901234567890") == "천이백삼십사경 오천육백칠십팔조 구천십이억 삼천사백오십육만 칠천팔백구십"
    assert sino("1" * 21) == "일" * 21
    assert mixed("1조2,000억3만5천") == "일조 이천억 삼만 오천"


# --- what holds for any text


def alphabet() -> str:
    return "0123456789" * 6 + "년월일시분초번개명원만억 " * 4 + "~-.,:/%$₩+=·ㆍ*&#@()'\"<>℃㎞Ⅲ½①ㅋㅠ가나AbkmTV♥人"


def noise(count: int) -> Iterator[str]:
    draw = random.Random(1)
    for _ in range(count):
        yield "".join(draw.choice(alphabet()) for _ in range(draw.randint(1, 30)))


def in_place(written: str, steps: Steps) -> None:
    """Each character of the text is under some symbol, and they stand in the order of the text."""
    for pieces in (steps.written, steps.read, steps.symbols):
        starts, ends = [piece.start for piece in pieces], [piece.end for piece in pieces]
        assert starts == sorted(starts), written
        assert ends == sorted(ends), written
        assert all(0 <= start < end <= len(written) for start, end in zip(starts, ends)), written
    under = {i for piece in steps.symbols for i in range(piece.start, piece.end)}
    assert not [c for i, c in enumerate(written) if not c.isspace() and i not in under], written


def test_every_character_is_said_or_named() -> None:
    for written in [*(pair[0] for pair in TABLE), *PROSE, *noise(1500)]:
        in_place(written, JAMO.steps(written))


def test_reading_twice_changes_nothing() -> None:
    for written in [*(pair[0] for pair in TABLE), *PROSE, *noise(1500)]:
        once = said(written)
        assert said(once) == once, written


def test_no_digit_and_no_letter_is_left() -> None:
    for written in [*(pair[0] for pair in TABLE), *noise(1500)]:
        assert not re.search("[0-9A-Za-z]", said(written)), written


def test_plain_text_is_left_alone() -> None:
    for written in PROSE:
        steps = JAMO.steps(written)
        assert not steps.fired
        assert text_of(steps.read) == written


def test_what_fired_is_told_with_its_place() -> None:
    written = "오후 3:05에 TV"
    fired = JAMO.steps(written).fired
    assert [(one.rule, written[one.start : one.end], one.before, one.after) for one in fired] == [
        ("time of day", "3:05", "3:05", "3시 5분"),
        ("native numeral", "3:05", "3", "세 "),
        ("number", "3:05", "5", "오 "),
        ("Latin word", "TV", "TV", "티비"),
    ]


# --- real text


def corpus(name: str) -> Path:
    folder = Path(os.environ.get("NBKIT_DATA", "")) / name
    if "NBKIT_DATA" not in os.environ or not folder.is_dir():
        pytest.skip(f"no {name} under NBKIT_DATA")
    return folder


def readable(lines: list[str]) -> tuple[int, Counter[str]]:
    """How many can be read, and the signs that keep the others from it."""
    known, signs, good = set(JAMO.symbols), Counter(), 0
    for written in lines:
        steps = JAMO.steps(written)
        in_place(written, steps)
        unknown = {written[piece.start : piece.end] for piece in steps.symbols if piece.symbol not in known}
        signs.update(unknown)
        good += not unknown
    return good, signs


def test_all_of_a_chatbot_is_read() -> None:
    with open(corpus("songys_chatbot") / "ChatbotData.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    lines = [text for question, answer, _ in rows for text in (question, answer)]
    assert len(lines) > 23_000
    assert readable(lines) == (len(lines), Counter())


def test_a_treebank_is_read_but_for_its_hanja() -> None:
    lines = [
        line.removeprefix("# text = ").rstrip("\n")
        for path in sorted(corpus("ud_kaist").glob("*.conllu"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("# text = ")
    ]
    good, signs = readable(lines)
    assert len(lines) > 4_000
    assert good > 0.98 * len(lines)
    assert not [sign for sign in signs if sign.isascii() or "가" <= sign <= "힣"]


def test_film_reviews_are_read_but_for_signs_that_say_nothing() -> None:
    lines = (corpus("nsmc") / "ratings_test.txt").read_text(encoding="utf-8").splitlines()[1::10]
    good, signs = readable([line.split("\t")[1] for line in lines])
    assert len(lines) == 5_000
    assert good > 0.96 * len(lines)
    assert not [sign for sign in signs if sign.isalnum() and sign.isascii()]


def test_reading_is_quick() -> None:
    """A corpus of film reviews has seven million characters; the bound leaves room for a busy machine."""
    lines = [*PROSE, *(written for written, _ in TABLE)]
    began = time.process_time()
    for written in lines:
        JAMO.steps(written)
    assert (time.process_time() - began) / len(lines) < 0.005
