"""Latin words in Hangul: fixed forms, names of letters, sounds by the rules for loanwords."""

from __future__ import annotations

import random
import string
import time
import unicodedata
from pathlib import Path

import pytest

from nbkit.data import espeak
from nbkit.data.reading import hangul
from nbkit.data.reading.hangul import in_hangul, letter_names
from nbkit.data.reading.latin_words import WORDS
from nbkit.data.reading.loanwords import by_sound

LOANS = [line.split() for line in (Path(__file__).parent / "loanwords.txt").read_text(encoding="utf-8").splitlines()]
SAID = {
    # fixed forms, in any case
    **{
        "TV": "티비",
        "tv": "티비",
        "PC": "피시",
        "OK": "오케이",
        "NASA": "나사",
        "UNESCO": "유네스코",
        "CCTV": "시시티비",
    },
    **{
        "iPhone": "아이폰",
        "Google": "구글",
        "YouTube": "유튜브",
        "Samsung": "삼성",
        "Wi-Fi": "와이파이",
        "Python": "파이썬",
    },
    **{"computer": "컴퓨터", "GOOD": "굿", "Good": "굿", "goooood": "굿", "e-mail": "이메일", "McDonald's": "맥도날드"},
    # the same letters, another word
    **{
        "US": "유에스",
        "us": "어스",
        "IT": "아이티",
        "it": "잇",
        "AM": "에이엠",
        "am": "앰",
        "WHO": "더블유에이치오",
        "who": "후",
    },
    # names of letters
    **{
        "KTX": "케이티엑스",
        "LG": "엘지",
        "SK": "에스케이",
        "DVD": "디브이디",
        "USB": "유에스비",
        "SNS": "에스엔에스",
        "FBI": "에프비아이",
    },
    **{
        "html": "에이치티엠엘",
        "pd": "피디",
        "mri": "엠알아이",
        "B": "비",
        "x": "엑스",
        "bbb": "비비비",
        "ooo": "오오오",
    },
    **{
        "U.S.": "유에스",
        "LPGA": "엘피지에이",
        "TOP": "톱",
        "NO": "노",
        "A": "에이",
        "as": "에이에스",
        "CEOs": "시이오스",
        "MP": "엠피",
        "R.O.K.": "알오케이",
    },
    # sounds
    **{
        "love": "러브",
        "LOVE": "러브",
        "movie": "무비",
        "STORY": "스토리",
        "don't": "돈트",
        "DON’T": "돈트",
        "I'm": "아임",
    },
    **{"swing": "스윙", "twist": "트위스트", "quarter": "쿼터", "whistle": "휘슬", "yellow": "옐로", "union": "유니언"},
    **{"slide": "슬라이드", "film": "필름", "helm": "헬름", "hanging": "행잉", "longing": "롱잉", "rhythm": "리듬"},
    **{"setback": "셋백", "act": "액트", "stamp": "스탬프", "sickness": "시크니스", "signal": "시그널", "bulb": "벌브"},
    **{
        "mask": "매스크",
        "thrill": "스릴",
        "flash": "플래시",
        "shrub": "슈러브",
        "shank": "섕크",
    },
    **{
        "odds": "오즈",
        "switch": "스위치",
        "bridge": "브리지",
        "chart": "차트",
        "virgin": "버진",
        "tower": "타워",
        "tube": "튜브",
    },
    # parts
    **{
        "PlayStation": "플레이스테이션",
        "ChatGPT": "챗지피티",
        "OpenAI": "오픈에이아이",
        "x-ray": "엑스레이",
        "eBay": "이베이",
    },
    **{"café": "카페", "cafe\u0301": "카페", "naïve": "나이이브", "Cæsar": "시저"},
}


@pytest.mark.parametrize(("word", "expected"), SAID.items(), ids=list(SAID))
def test_words(word: str, expected: str) -> None:
    assert in_hangul(word) == expected


def test_most_loanwords_follow_from_their_sound() -> None:
    """Standard forms, without the table of fixed ones. The rules were tuned on every other word, from the first on."""
    right = [by_sound(word) == standard for word, standard in LOANS]
    assert len(right) == len({word for word, _ in LOANS}) >= 250
    assert sum(right[::2]) / len(right[::2]) >= 0.8
    assert sum(right[1::2]) / len(right[1::2]) >= 0.8


def test_with_the_table_more_loanwords_are_right() -> None:
    assert sum(in_hangul(word) == standard for word, standard in LOANS) / len(LOANS) >= 0.9


def test_names_of_letters() -> None:
    assert letter_names("ABCDEFGHIJKLM") == "에이비시디이에프지에이치아이제이케이엘엠"
    assert letter_names("nopqrstuvwxyz") == "엔오피큐알에스티유브이더블유엑스와이제트"


def test_fixed_forms_are_hangul() -> None:
    assert all(is_hangul(said) for said in WORDS.values())
    assert len(WORDS) >= 250
    assert all(in_hangul(word) == said for word, said in WORDS.items())


def test_fixed_forms_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its entry each word would be said otherwise, in small letters, in capitals or with one capital."""
    for word, said in list(WORDS.items()):
        monkeypatch.delitem(WORDS, word)
        in_hangul.cache_clear()
        forms = {word} if word.isupper() else {word, word.upper(), word.capitalize()} - WORDS.keys()
        assert any(in_hangul(form) != said for form in forms), word
        monkeypatch.undo()
    in_hangul.cache_clear()


def test_any_word_is_composed_hangul() -> None:
    draw = random.Random(0)
    letters = string.ascii_letters + "'-." + "éüñç"
    tried = ["".join(draw.choices(letters, k=draw.randint(1, 14))) for _ in range(1500)] + ["a" * 60, "lalelu" * 12]
    for word in tried:
        if any(c.isalpha() for c in word):
            said = in_hangul(word)
            assert is_hangul(said), (word, said)
            assert unicodedata.is_normalized("NFC", said)


def is_hangul(said: str) -> bool:
    return bool(said) and all("가" <= c <= "힣" for c in said)


@pytest.mark.parametrize("word", ["", "-", "'", "123", "mp3", "한글", "a한", "a b", "λόγος", "дом", "カ", "a\u0001"])
def test_what_is_no_latin_word_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="wanted a word of Latin letters, got"):
        in_hangul(word)


def test_words_that_espeak_refuses_are_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str, voice: str) -> list[str]:
        raise espeak.EspeakError("no")

    monkeypatch.setattr(espeak, "phones", refuse)
    assert hangul._part("lumen") == "엘유엠이엔"


def test_a_word_is_worked_out_once() -> None:
    in_hangul("extraordinary")
    start = time.perf_counter()
    for _ in range(1000):
        in_hangul("extraordinary")
    assert (time.perf_counter() - start) / 1000 < 2e-5
