"""Numbers in English words, the American way: one hundred twenty-three, nineteen oh five, three quarters."""

from __future__ import annotations

import re

_NAMES = str.split(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety thousand million billion trillion "
    "quadrillion quintillion sextillion septillion octillion nonillion decillion"
)
_ONES, _TENS, _SCALES = _NAMES[:20], _NAMES[20:28], _NAMES[28:]
LIMIT = 1000 ** (len(_SCALES) + 1)  # the first number without a name here
_ORDINALS = {
    **{"one": "first", "two": "second", "three": "third", "five": "fifth"},
    **{"eight": "eighth", "nine": "ninth", "twelve": "twelfth"},
}
_ROMAN = dict(zip("IVXLCDM", (1, 5, 10, 50, 100, 500, 1000)))
_PROPER_ROMAN = re.compile(r"M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")


def cardinal(number: int) -> str:
    """5 five, 123 one hundred twenty-three. ValueError below 0 and from 10**36 on."""
    if not 0 <= number < LIMIT:
        raise ValueError(f"wanted a number from 0 to {LIMIT:.0e}, got {number}; say its digits")
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10 - 2] + (f"-{_ONES[number % 10]}" if number % 10 else "")
    unit, name = 100, "hundred"
    if number >= 1000:
        power = (len(str(number)) - 1) // 3
        unit, name = 1000**power, _SCALES[power - 1]
    said = f"{cardinal(number // unit)} {name}"
    return f"{said} {cardinal(number % unit)}" if number % unit else said


def ordinal(number: int) -> str:
    """5 fifth, 22 twenty-second, 100 one hundredth."""
    start, last = re.fullmatch(r"(.*?)(\w+)", cardinal(number)).groups()  # pyright: ignore[reportOptionalMemberAccess]
    if last.endswith("y"):
        return f"{start}{last[:-1]}ieth"
    return start + _ORDINALS.get(last, f"{last}th")


def year(number: int) -> str:
    """1963 nineteen sixty-three, 1905 nineteen oh five, 1800 eighteen hundred, 2007 two thousand seven."""
    century, rest = divmod(number, 100)
    if century % 10 == 0 and rest < 10:
        return cardinal(number)
    if not rest:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def digits(written: str) -> str:
    """Each digit by itself; whatever else is between them is left out."""
    return " ".join(_ONES[int(c)] for c in written if c in "0123456789")


def decimal(written: str) -> str:
    """A number as it is written: 1,024 or 3.14 or .5 or 1.2.3; digit by digit behind a point and after a zero: 007."""
    whole, *parts = written.replace(",", "").split(".")
    plain = whole == "0" or not whole.startswith("0")
    said = [] if not whole else [cardinal(int(whole)) if plain and len(whole) <= 36 else digits(whole)]
    for part in parts:
        said += ["point", digits(part) if len(parts) == 1 else decimal(part)]
    return " ".join(said)


def fraction(over: int, under: int) -> str:
    """1/2 one half, 3/4 three quarters, 5/8 five eighths."""
    one = {2: "half", 4: "quarter"}.get(under) or ordinal(under)
    return f"{cardinal(over)} {one if over == 1 else plural(one)}"


def plural(word: str) -> str:
    """Of the last word of a number, or of a unit: sixties, sixes, halves."""
    if word.endswith("y"):
        return word[:-1] + "ies"
    if word.endswith("half"):
        return word[:-1] + "ves"
    return word + ("es" if word.endswith(("x", "ch")) else "s")


def roman(written: str) -> int | None:
    """The value of a Roman numeral in capitals, None where it is none."""
    if not written or not _PROPER_ROMAN.fullmatch(written):
        return None
    values = [_ROMAN[letter] for letter in written]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0]))
