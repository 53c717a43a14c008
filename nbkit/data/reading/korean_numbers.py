"""Numbers as Koreans say them: Sino-Korean, native, digit by digit."""

from __future__ import annotations

import re

_DIGITS = "영일이삼사오육칠팔구"
_BELOW_TEN = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_GREAT = ("", "만", "억", "조", "경")
_MOST_DIGITS = 4 * len(_GREAT)
NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?![\d])|\d+)(?:\.\d+)?"
"""A number as it is written, with or without thousands and decimals."""


def sino(written: str | int) -> str:
    """A number in Sino-Korean: "1,234" 천이백삼십사, "3.14" 삼 점 일사, "007" 공공칠.

    A space stands where a new power of ten thousand begins, as the orthography has it (십이만 삼천). What begins with
    0, or is longer than twenty digits, is a code and no amount: it is said digit by digit.
    """
    whole, point, decimals = str(written).replace(",", "").partition(".")
    if point:
        return f"{sino(whole)} 점 {digits(decimals, '영')}"
    if (len(whole) > 1 and whole[0] == "0") or len(whole) > _MOST_DIGITS:
        return digits(whole)
    if int(whole) == 0:
        return _DIGITS[0]
    groups = [int(whole[max(0, end - 4) : end]) for end in range(len(whole), 0, -4)]
    said = [_below_ten_thousand(group, great) for group, great in zip(groups, _GREAT) if group]
    return " ".join(reversed(said))


def _below_ten_thousand(number: int, great: str = "") -> str:
    if number == 1 and great == "만":  # 10,000 is 만, 100,000,000 is 일억
        return great
    said = ""
    for power, name in ((1000, "천"), (100, "백"), (10, "십"), (1, "")):
        digit = number // power % 10
        if digit:
            said += (_DIGITS[digit] if digit > 1 or not name else "") + name
    return said + great


def native(number: int, most: int = 99) -> str:
    """A number before a native counter: 3 세, 20 스무, 21 스물한.

    Zero and what is above `most` is Sino-Korean. Between 100 and 999 the hundreds are Sino-Korean and the rest is
    native (123 백스물세), unless it is round (150 백오십); from 1,000 on nobody mixes them.
    """
    hundreds, rest = divmod(number, 100)
    mixable = hundreds < 10 and most == 99 and rest % 10
    if not number or (hundreds and not mixable) or (not hundreds and number > most):
        return sino(number)
    if rest == 20:
        return "스무"
    return (sino(100 * hundreds) if hundreds else "") + _TENS[rest // 10] + _BELOW_TEN[rest % 10]


def digits(written: str, zero: str = "공") -> str:
    """Digit by digit: "010" 공일공. Decimals have 영 for 0, all else has 공."""
    return "".join(zero if digit == "0" else _DIGITS[int(digit)] for digit in written)


_MIXED = re.compile(rf"({NUMBER}) ?((?:천|백|십)?(?:만|억|조)|천|백|)")


def mixed(written: str) -> str:
    """A number that is partly in letters: "1억2천만" 일억 이천만, "3만 5천" 삼만 오천, "1.5억" 일 점 오억."""
    said = ""
    for number, letters in _MIXED.findall(written):
        if number == "1" and letters[:1] and letters[0] in "천백십만":
            number = ""  # 1천 is 천
        said += (sino(number) if number else "") + letters + (" " if letters[-1:] and letters[-1] in "만억조" else "")
    return said.strip()
