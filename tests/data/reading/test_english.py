"""English as it is read aloud: a table of texts, numbers against another library, and what holds for any text."""

from __future__ import annotations

import os
import random
import string
import time
from collections import Counter
from pathlib import Path

import pytest

from nbkit.data import espeak
from nbkit.data.reading import english_numbers
from nbkit.data.reading.english import RULES, read_english
from nbkit.data.reading.pieces import Fired, Piece, apply, text_of
from nbkit.data.text import front_end

LETTERS = front_end("letters")
BLOCKS = (Path(__file__).parent / "english.txt").read_text(encoding="utf-8").split("\n\n")[1:]
TABLE = [tuple(block.strip("\n").split("\n")) for block in BLOCKS]
PROSE = espeak.sentences("en", 200)


def said(text: str) -> str:
    return text_of(read_english(LETTERS.normalise(text)))


def test_the_table_is_long() -> None:
    assert len(TABLE) >= 110
    assert all(len(pair) == 2 for pair in TABLE)
    assert len({written for written, _ in TABLE}) == len(TABLE)


@pytest.mark.parametrize(("written", "expected"), TABLE, ids=[written for written, _ in TABLE])
def test_what_is_said(written: str, expected: str) -> None:
    assert said(written) == expected


def test_each_rule_is_shown() -> None:
    told: list[Fired] = []
    for written, _ in TABLE:
        read_english(LETTERS.normalise(written), told)
    shown = Counter(fired.rule for fired in told)
    assert set(shown) == {rule.name for rule in RULES}
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_no_rule_is_searched_in_vain_or_left_out_by_what_a_text_has() -> None:
    """The rules that a text is not searched for would find nothing in it."""
    for written in [*(written for written, _ in TABLE), *PROSE, *noise(300)]:
        pieces = LETTERS.normalise(written)
        assert text_of(apply(RULES, pieces)) == text_of(read_english(pieces)), written


def test_reading_twice_changes_nothing() -> None:
    for text in [*(written for written, _ in TABLE), *PROSE]:
        once = said(text)
        assert said(once) == once


def test_every_character_has_its_place() -> None:
    for written in [*(written for written, _ in TABLE), *PROSE, *noise(300)]:
        pieces = read_english(LETTERS.normalise(written))
        assert all(0 <= piece.start < piece.end <= len(written) and len(piece.symbol) == 1 for piece in pieces), written
        assert [piece.start for piece in pieces] == sorted(piece.start for piece in pieces), written
        assert [piece.end for piece in pieces] == sorted(piece.end for piece in pieces), written


def test_every_letter_and_digit_is_said() -> None:
    """What has no word of its own is under some word: nothing between two pieces is a letter or a digit."""
    for written in [*(written for written, _ in TABLE), *noise(300)]:
        covered = {i for piece in read_english(LETTERS.normalise(written)) for i in range(piece.start, piece.end)}
        assert not [c for i, c in enumerate(written) if c.isalnum() and i not in covered], written


def noise(count: int) -> list[str]:
    draw = random.Random(0)
    alphabet = string.ascii_letters + 3 * string.digits + 3 * string.punctuation + 20 * " "
    return ["".join(draw.choices(alphabet, k=draw.randint(1, 40))) for _ in range(count)]


def test_any_ascii_is_letters_and_punctuation() -> None:
    for written in noise(3000):
        assert {c.lower() for c in said(written)} <= set(LETTERS.symbols), written


def test_what_cannot_be_read_stays() -> None:
    assert said("5 😀 한글 λ") == "five 😀 한글 λ"


def test_plain_prose_stays_as_it_is() -> None:
    assert [said(text) for text in PROSE] == [text_of(LETTERS.normalise(text)) for text in PROSE]


def test_real_transcripts_can_be_read() -> None:
    path = Path(os.environ.get("NBKIT_DATA", "none")) / "ljspeech_sample" / "metadata.csv"
    if not path.exists():
        pytest.skip("NBKIT_DATA does not name a folder with ljspeech_sample")
    for line in path.read_text(encoding="utf-8").splitlines():
        written = line.split("|")[1]
        assert {c.lower() for c in said(written)} <= set(LETTERS.symbols)
        assert not LETTERS.unknown(written)


def test_plain_prose_is_read_at_once() -> None:
    pieces = [LETTERS.normalise(text) for text in PROSE]
    best = min(_seconds(pieces) for _ in range(5))
    assert best / len(pieces) < 2e-4  # 0.04 ms on the machine where this was written


def _seconds(texts: list[list[Piece]]) -> float:
    start = time.perf_counter()
    for pieces in texts:
        read_english(pieces)
    return time.perf_counter() - start


# --- numbers


def plain(words: str) -> str:
    """The British style of the other library made American."""
    return words.replace(" and ", " ").replace(",", "")


def test_numbers_agree_with_num2words() -> None:
    num2words = pytest.importorskip("num2words").num2words
    draw = random.Random(0)
    tried = [*range(1200), *(draw.randrange(10 ** draw.randint(3, 36)) for _ in range(1500))]
    for number in tried:
        assert english_numbers.cardinal(number) == plain(num2words(number))
        assert english_numbers.ordinal(number) == plain(num2words(number, to="ordinal"))
    for number in range(1100, 2100):
        assert english_numbers.year(number) == plain(num2words(number, to="year")).replace("oh-", "oh ")


def test_numbers_without_a_name_are_refused() -> None:
    for number in (-1, english_numbers.LIMIT):
        with pytest.raises(ValueError, match="say its digits"):
            english_numbers.cardinal(number)
    assert said("1" * 40) == " ".join(["one"] * 40)


def test_roman_numerals_are_the_proper_ones() -> None:
    values = {
        english_numbers.roman(written): written for written in ("I", "IV", "IX", "XIV", "XL", "XC", "CD", "MCMLXIII")
    }
    assert list(values) == [1, 4, 9, 14, 40, 90, 400, 1963]
    assert all(english_numbers.roman(written) is None for written in ("", "IIII", "VX", "IC", "ABC"))
