"""What is said for money, dates, times, measures and other numbers, from the match of the rule that found them."""

from __future__ import annotations

import re

from nbkit.data.reading import english_words as words
from nbkit.data.reading.english_numbers import cardinal, decimal, digits, fraction, ordinal, plural, year
from nbkit.data.reading.english_words import Match, letters, stop

_YEAR_BEFORE = r"\b(?:in|year|since|until|till|from|by|of|A-D) $"


def money(match: Match) -> str:
    one, several, cent, cents = words.CURRENCIES[match[2]]
    amount, until, scale = match[3], match[4], match[5] or match[6]
    scale = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion"}.get((scale or "").lower(), scale)
    if match[1]:
        one, several = f"{letters(match[1])} {one}", f"{letters(match[1])} {several}"
    whole, _, part = amount.replace(",", "").partition(".")
    if scale or until or not cent or len(part) not in (0, 2):
        said = decimal(amount) + (f" to {decimal(until)}" if until else "") + (f" {scale}" if scale else "")
        return f"{said} {one if _adjective(match) or said == 'one' else several}"
    said = []
    if int(whole or 0) or not int(part or 0):
        said = [f"{decimal(whole or '0')} {one if whole == '1' or (_adjective(match) and not part) else several}"]
    if int(part or 0):
        said += [f"{cardinal(int(part))} {cent if part == '01' else cents}"]
    return ", ".join(said)


def phone(match: Match) -> str:
    return "plus " * match[0].startswith("+") + ", ".join(digits(group) for group in re.findall(r"\d+", match[0]))


def _adjective(match: Match) -> bool:
    """A $5 bill."""
    before, after = match.string[: match.start()], match.string[match.end() :]
    return bool(re.search(r"\b[Aa]n? $", before) and re.match(r"[ -][a-z]", after))


def date(year_number: str, month: int, day: int) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    said = year(int(year_number)) if len(year_number) == 4 else cardinal(int(year_number))
    if len(year_number) == 2 and year_number[0] == "0":
        said = f"oh {said}"
    return f"{words.MONTHS[month - 1]} {ordinal(day)}, {said}"


def numbered_date(match: Match) -> str | None:
    first, second = int(match[1]), int(match[2])
    return date(match[3], first, second) or date(match[3], second, first)


def day_of_month(match: Match) -> str | None:
    days = [int(day) for day in (match[1], match[2]) if day]
    return " to ".join(map(ordinal, days)) if all(1 <= day <= 31 for day in days) else None


def day_before_month(match: Match) -> str | None:
    if not 1 <= int(match[1]) <= 31:
        return None
    return "the " * (not match.string[: match.start()].lower().endswith("the ")) + ordinal(int(match[1])) + " of"


def clock(match: Match) -> str | None:
    hour, minute, second = (int(part) if part else 0 for part in match.groups())
    if hour > 24:
        return None
    pairs = [f"{'oh ' if n < 10 else ''}{cardinal(n)}" for n in ((minute, second) if match[3] else (minute,))]
    if not minute and not match[3]:
        half = match.string[match.end() :].startswith((" A-M", " P-M"))
        pairs = [] if half else ["o'clock"] if 1 <= hour <= 12 else ["hundred"]
    return " ".join([cardinal(hour), *pairs])


def share(match: Match) -> str:
    whole, over, under = match[1], int(match[2]), int(match[3])
    if match[0] in ("9/11", "24/7"):
        return " ".join(cardinal(n) for n in (over, under))
    before = f"{cardinal(int(whole))} " if whole else ""
    if under < 2 or (over >= under > 10):  # 20/20, 120/80
        return f"{before}{cardinal(over)}{'' if over == under else ' over'} {cardinal(under)}"
    said = fraction(over, under)
    return f"{before}and {re.sub('^one (?=half|quarter)', 'a ', said)}" if whole else said


def short_year(match: Match) -> str:
    return "oh " * (match[1][0] == "0") + cardinal(int(match[1]))


def several(match: Match) -> str:
    """1960s, '90s, 747s."""
    number = int(match[1])
    return plural(year(number) if 1100 <= number < 2100 and len(match[1]) == 4 else decimal(match[1]))


def measure(match: Match) -> str:
    amount, hyphen, unit = match[1], match[2], match[3].rstrip(".")
    first, *rest = words.UNITS[unit].split(" ")
    square = [first] if first in ("square", "cubic", "kilowatt") and rest else []
    first, rest = (rest[0], rest[1:]) if square else (first, rest)
    if not (amount == "1" or hyphen == "-" or first.endswith("hertz") or _adjective(match)):
        first = "feet" if first == "foot" else plural(first)
    said = " ".join([decimal(amount), *square, first, *rest])
    return said + (stop(match) if match[3].endswith(".") else " " * match.string[match.end() :][:1].isalnum())


def feet_and_inches(match: Match) -> str:
    return f"{cardinal(int(match[1]))} {'foot' if match[1] == '1' else 'feet'} {cardinal(int(match[2]))}"


def number(match: Match) -> str:
    """Years, and whatever is left."""
    written = match[0]
    plain = len(written) == 4 and written.isdigit()
    dated = plain and int(written) > 1000 and re.search(_YEAR_BEFORE, match.string[: match.start()])
    if (plain and 1100 <= int(written) < 2100) or (dated and int(written) < 2100):
        said = year(int(written))
    else:
        said = decimal(written)
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return " " * before.isalpha() + said + " " * after.isalpha()
