import random
import re
from itertools import pairwise
from pathlib import Path
from unicodedata import normalize

import pytest

from nbkit.data.reading import pronunciation
from nbkit.data.reading import pronunciation_words as words
from nbkit.data.reading.pieces import Piece, text_of
from nbkit.data.reading.pronunciation import pronounce

TABLE = [
    tuple(part.strip() for part in line.split("|"))
    for line in Path(__file__).with_name("pronunciation.txt").read_text("utf-8").splitlines()
    if "|" in line and not line.startswith("#")
]
SYLLABLES = [chr(code) for code in range(0xAC00, 0xD7A4)]
ONSETS, CODAS = SYLLABLES[::588], SYLLABLES[:28]
PARTS = re.compile("[가-힣]|[\u1100-\u1112][\u1161-\u1175\u119e\u11a1\u11a2][\u11a8-\u11c2]?")  # a syllable
PLAIN, STOPS, NASALS = "가다바사자", "각갇갑", "나마"


def pieces_of(text):
    return [Piece(character, i, i + 1) for i, character in enumerate(text)]


def said(text):
    return text_of(pronounce(pieces_of(text)))


def coda_of(syllable):
    return CODAS[(ord(syllable) - 0xAC00) % 28]


def onset_of(syllable):
    return ONSETS[(ord(syllable) - 0xAC00) // 588]


@pytest.mark.parametrize(("written", "pronounced"), TABLE, ids=[written for written, _ in TABLE])
def test_table(written, pronounced):
    assert said(written) == pronounced


def test_the_table_shows_every_rule():
    assert len(TABLE) >= 300
    assert len({written for written, _ in TABLE}) >= len(TABLE) - 3  # some examples stand under two rules


def test_a_syllable_alone_ends_in_one_of_seven_codas():
    heard = {coda_of(said(syllable)) for syllable in SYLLABLES}
    assert heard == set("가각간갇갈감갑강")
    assert all(onset_of(said(syllable)) == onset_of(syllable) for syllable in SYLLABLES)


@pytest.mark.parametrize("vowel", range(21))
@pytest.mark.parametrize("between", ["", " "])
def test_no_pair_stays_that_nobody_can_say(vowel, between):
    for coda in CODAS:
        for onset in ONSETS:
            first, *_, second = said(coda + between + chr(ord(onset) + 28 * vowel))
            ending, beginning = coda_of(first), onset_of(second)
            assert ending in "가각간갇갈감갑강"
            assert not (ending in STOPS and beginning in PLAIN + NASALS + "하"), (coda, onset)
            assert (ending, beginning) != ("갈", "나")
            if not between:
                assert not (ending in STOPS + "감강간" and beginning == "라"), (coda, onset)
                assert not (ending in STOPS + "간갈감" and beginning == "아"), (coda, onset)


@pytest.mark.parametrize("text", [written for written, _ in TABLE[-11:]])
def test_as_many_syllables_each_in_its_place(text):
    given = pieces_of(text)
    found = pronounce(given)
    assert [piece[1:] for piece in found] == [piece[1:] for piece in given]
    assert given == pieces_of(text)


def test_whatever_the_text_syllables_stay_syllables_and_the_rest_stays():
    draw = random.Random(0)
    common = "".join(written for written, _ in TABLE)
    for _ in range(2000):
        text = "".join(
            draw.choice(draw.choice((common, SYLLABLES, "  ,.'\"-~7aㅏㅋㆍᄀᄂᄒᆞᆢᆨᆫᆯ"))) for _ in range(draw.randrange(12))
        )
        found = pronounce(pieces_of(text))
        assert PARTS.sub("S", text_of(found)) == PARTS.sub("S", text)
        assert all(before.end <= after.start for before, after in pairwise(found))


def test_what_is_not_hangul_stays():
    text = "abc 123 ㅋㅋ ㅎ, … (x) 漢字 ありがとう 😀 ㆍ ᄀ ᆨ \n \0"
    assert said(text) == text
    assert pronounce([]) == []
    odd = [Piece("", 0, 1), Piece("없다", 1, 3), Piece(" ", 3, 4), Piece(" ", 4, 5), Piece("값", 5, 6)]
    assert text_of(pronounce(odd)) == "없다  갑"


@pytest.mark.parametrize("pause", [",", ". ", "…", "-", "(", "\n", " 7 ", "a", "ㅋ", "? "])
def test_nothing_passes_a_pause(pause):
    assert said(f"밥{pause}먹어 꽃{pause}안") == f"밥{pause}머거 꼳{pause}안"


def test_a_reading_read_again_stays_where_nothing_is_left_to_do():
    for text in ("가치 바블 멍는다", "나무 아래", "온 닙따", "노라운 닐"):
        assert said(said(text)) == said(text)


@pytest.mark.parametrize(
    ("written", "pronounced"),
    [
        ("ᄒᆞᆫ이", "ᄒᆞ니"),  # liaison out of and into a syllable with arae-a
        ("옷ᄋᆞᆯ", "오ᄉᆞᆯ"),
        ("ᄀᆞᇀ이", "ᄀᆞ치"),
        ("ᄆᆞᆰ다", "ᄆᆞᆨ따"),
        ("국ᄆᆞᆯ", "궁ᄆᆞᆯ"),
        ("밥 ᄒᆞ다", "바 ᄑᆞ다"),
        ("ᄀᆞᆽ", "ᄀᆞᆮ"),
        ("ᄀᆞᆺᄋᆢ", "ᄀᆞᄉᆢ"),
        ("ᄂᆞᆷ", "ᄂᆞᆷ"),
    ],
)
def test_syllables_with_arae_a(written, pronounced):
    given = pieces_of(written)
    found = pronounce(given)
    assert text_of(found) == pronounced
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert (found[0].start, found[-1].end) == (0, len(written))
    together = [Piece(written[:3], 0, 3), *given[3:]] if len(written) > 3 and written[2] >= "\u11a8" else given
    assert text_of(pronounce(together)) == pronounced  # several jamo in one piece


def test_jamo_of_one_place_keep_it():
    found = pronounce([Piece("ᄒ", 0, 3), Piece("ᆞ", 0, 3), Piece("ᆫ", 0, 3), Piece("이", 3, 4)])
    assert found == [Piece("ᄒ", 0, 3), Piece("ᆞ", 0, 3), Piece("니", 3, 4)]
    parts = [Piece(jamo, 0, 1) for jamo in normalize("NFD", "옷")] + [Piece("이", 1, 2)]
    assert normalize("NFC", text_of(pronounce(parts))) == "오시"


def test_every_listed_word_is_written_once_and_needed(monkeypatch):
    listed = " ".join((words.SINO, words.TENSE, words.NASAL, words.ALONE)).split()
    plain = ["".join(c for c in word if "가" <= c <= "힣") for word in listed]
    assert len(set(plain)) == len(plain)
    marked = [text for word, text in zip(listed, plain) if set(word) & set("'+/-")]
    with_list = [said(text) for text in marked]
    monkeypatch.setattr(pronunciation, "_words", dict)
    assert [text for text, heard in zip(marked, with_list) if said(text) == heard] == []
