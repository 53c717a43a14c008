"""English as it is read aloud: after this, "On Nov. 22, 1963, Dr. Shaw paid $5.50" has words only.

RULES in their order, each with a pattern and what is said for it. Where English leaves a choice:

- American: no "and" in numbers; kilometers; 3/4/2021 is March fourth, unless only the second number can be a month.
- 1100 to 2099 without a comma are read as years, which also suits most counts: fifteen hundred people.
- Initialisms become single capitals with "-" between them, "FBI" "F-B-I": the front end for letters takes the letters,
  and eSpeak says their names, also of A, which between spaces it takes for the article. Capitals stay a word where
  they are said as one (NASA), are a common word (NOT), or stand among other words in capitals (READ THE SIGN).
- Phone numbers and numbers with a zero in front are read digit by digit, 0 as "zero". Three and four digits with "-"
  between them are a phone number, other numbers with "-" between them a range: "to".
- The dot of an abbreviation is silent, except at the end of the text and before a word that often starts a sentence.

What no rule knows stays as it is, for the front end to report. Reading twice changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from nbkit.data.reading import english_amounts as amounts
from nbkit.data.reading import english_words as words
from nbkit.data.reading.english_numbers import cardinal, digits, ordinal, roman
from nbkit.data.reading.english_words import CAPITAL, STARTS, Match, letters, stop
from nbkit.data.reading.pieces import Fired, Piece, Rule, apply, text_of


def read_english(pieces: list[Piece], told: list[Fired] | None = None) -> list[Piece]:
    """Words and plain punctuation for the characters of an English text.

    pieces    normalised characters, one each, with their places in the text as it was given
    told      what fired is appended to it
    """
    text = text_of(pieces)
    found = {needs for needs, sign in _NEEDS.items() if sign.search(text)}
    return apply([rule for rule, needs in zip(RULES, _NEEDED) if needs in found], pieces, told)


_NEEDS = {  # what a text must have for a rule to find anything: plain prose is searched by few
    "any": re.compile(r""),
    "foreign": re.compile(r"[^\x00-\x7f]"),
    "digit": re.compile(r"[\d¼-¾⅐-⅞]"),
    "dot": re.compile(r"\."),
    "capitals": re.compile(r"[A-Z]{2}|[A-Z]\b|\b(?:Mrs?|Ms|St|Dr|[JS]r|Ltd|Inc)\b"),
    "sign": re.compile(r"[^\w ,.!?:;'\"()~-]|_|--|[?!]{2}|([^\w ])\1"),
}
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_DECIMAL = rf"(?:{_NUMBER}(?:\.\d+)?|(?<![\d.])\.\d+)"


def _any(these: Iterable[str]) -> str:
    return "|".join(re.escape(one) for one in sorted(these, key=len, reverse=True))


# --- characters


def _plain_letter(match: Match) -> str | None:
    """é e, æ ae, ½ 1/2; anything that is no letter and no fraction stays."""
    character = match[0]
    if character in "æœøßÆŒØ":
        return {"æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "Æ": "Ae", "Œ": "Oe", "Ø": "O"}[character]
    if unicodedata.name(character, "").startswith("VULGAR FRACTION"):
        written = unicodedata.normalize("NFKC", character).replace("\u2044", "/")
        return " " * match.string[: match.start()][-1:].isdigit() + written
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    return plain if character.isalpha() and plain.isascii() and plain.isalpha() else None


def _address(match: Match) -> str:
    signs = {".": "dot", ":": "colon", "-": "dash", "~": "tilde", "?": "question mark"} | words.SIGNS
    parts = re.findall(r"[A-Za-z]+|\d+|.", match[0])
    spelled = {"www", "http", "https", "html", "htm", "kr", "uk"}
    return " ".join(signs.get(p) or (digits(p) if p.isdigit() else letters(p) if p in spelled else p) for p in parts)


def _sign(match: Match) -> str | None:
    """With a space on each side that has none yet."""
    said = words.SIGNS.get(match[0])
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return said and " " * (before not in ("", *" (\"'-")) + said + " " * (after.isalnum() or after in ('"', "("))


# --- abbreviations


def _title(match: Match) -> str:
    return words.TITLES[match[1] or match[2]]


def _doctor_or_drive(match: Match) -> str:
    before, after = match.string[: match.start()], match.string[match.end() :]
    address, named = re.search(r"\d+ (?:[A-Z]\w+ )+$", before), re.search(r"[A-Z]\w+ $", before)
    if (address and not re.match(r" [A-Z]", after)) or (named and re.match(r"[,;]|$", after)):
        return "Drive" + stop(match)
    return "Doctor"


def _street_or_saint(match: Match) -> str:
    before, after = match.string[: match.start()], match.string[match.end() :]
    named = re.search(r"(?:\d+ (?:[A-Z]\w+ )+|\d(?:st|nd|rd|th) )$", before)  # 12 Elm St., 5th St.
    if named or STARTS.match(after) or not re.match(r" [A-Z]", after):
        return "Street" + (stop(match) if match[0].endswith(".") else "")
    return "Saint"


def _short_date(match: Match) -> str:
    return words.SHORT_DATES[match[1]] + (stop(match) if match[0].endswith(".") else "")


def _ending(match: Match) -> str:
    first = match[1][0]
    said = words.ENDINGS.get(match[1]) or words.ENDINGS[match[1].lower()]
    starts = CAPITAL if match[1].lower() == "etc" else STARTS
    return (said if first.islower() else said[0].upper() + said[1:]) + (stop(match, starts) if "." in match[0] else "")


def _initials(match: Match) -> str:
    """U.S., D.C., J. of J. Edgar Hoover."""
    return letters(match[0]) + stop(match)


def _doctorate(match: Match) -> str:
    return "P-H-D" + (stop(match) if match[0].endswith(".") else "")


def _half_of_day(match: Match) -> str:
    dotted = match[0].endswith(".")
    space = " " * match.string[: match.start()][-1:].isdigit()
    return f"{space}{match[0].strip()[0].upper()}-M" + (stop(match, CAPITAL) if dotted else "")


def _without_vowel(match: Match) -> str | None:
    return None if match[0] in words.NO_VOWEL_BUT_A_WORD else letters(match[0])


def _capitals(match: Match) -> str | None:
    word, ending = match[1], match[2] or ""
    before = re.findall(r"[A-Za-z']+", match.string[max(0, match.start() - 40) : match.start()])[-3:]
    after = re.findall(r"[A-Za-z']+", match.string[match.end() : match.end() + 40])[:3]
    shouted = False
    for near in (before[::-1], after):
        for other in near:
            if not other.isupper():
                break
            shouted |= (other in words.COMMON and len(other) > 1) or len(other) > 5
    sayable = bool(re.search(r"[AEIOUY]", word))
    if word in words.SAID_AS_WORDS or (sayable and (shouted or word in words.COMMON or len(word) > 5)):
        return None
    value = roman(word)
    if value and value < 40 and re.search(r"[A-Z][a-z]+ $", match.string[: match.start()]):  # Rocky II
        return cardinal(value) + ending
    return letters(word) + ("'s" if ending else "")


def _numeral(match: Match) -> str | None:
    """World War II, Chapter IV, Louis XIV; a single I, V or X is one only there."""
    value, before = roman(match[1]), match.string[: match.start()].split()
    if value is None or not before:
        return None
    if before[-1] in words.NUMBERED.split():
        return cardinal(value)
    crowned = len(before) > 1 and before[-2].lower() in ("king", "queen", "pope", "emperor", "empress", "tsar")
    if (before[-1] in words.RULERS.split() and match[1] != "I") or crowned:
        return f"the {ordinal(value)}"
    return None


# --- the rules

_MONTH = "|".join(words.MONTHS)
_AFTER_MONTH = "(?:" + "|".join(f"(?<={month} )" for month in words.MONTHS) + ")"
_SHORT = _any(words.SHORT_DATES)
_SCALE = "hundred|thousand|million|billion|trillion"
_CURRENCY = "[$£€¥₩]"
_UNIT = rf"(?:{_any(words.UNITS_WITH_DOT)})\.|(?:{_any(set(words.UNITS) - {'in'})})(?![\w'])"

_TABLE = (
    ("letter or fraction", "foreign", r"[^\x00-\x7f]", _plain_letter),
    ("address", "dot", r"(?:https?://|www\.|\b[\w.+-]+@(?=[\w-]+\.))[^\s,;!?\"'()]*[\w/]", _address),
    ("address without www", "dot", r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov)\b(?:/[\w/.-]*\w)?", _address),
    ("repeated marks", "sign", r"[?!]{2,}", lambda match: "".join(dict.fromkeys(match[0]))),
    ("repeated signs", "sign", r"([^\w\s.?!-])\1+", lambda match: match[1]),
    ("dots", "dot", r" ?\.(?: ?\.)+", lambda match: "…"),
    ("dashes", "sign", r" ?--+ ?", lambda match: " - "[match.start() == 0 :]),
    ("title", "dot", rf"\b({_any(set(words.TITLES) - {'Dr'})})\.", _title),
    ("title without a dot", "capitals", r"\b()(Mrs?|Ms|Dr)(?= [A-Z])", _title),
    ("doctor or drive", "capitals", r"\bDr\.", _doctor_or_drive),
    ("street or saint", "capitals", r"\bSt\b\.?", _street_or_saint),
    ("abbreviation", "dot", rf"\b({_any(words.ENDINGS)}|Etc|Vs|Ca|Approx)\.", _ending),
    ("company without a dot", "capitals", r"\b(Jr|Sr|Ltd|Inc)\b", _ending),
    (
        "before a number",
        "dot",
        rf"\b({_any(words.BEFORE_NUMBERS)})\. ?(?=\d)",
        lambda m: words.BEFORE_NUMBERS[m[1]] + " ",
    ),
    ("for example", "dot", r"\b[Ee]\.g\.", lambda match: "For example" if match[0][0] == "E" else "for example"),
    ("that is", "dot", r"\b[Ii]\.e\.", lambda match: "That is" if match[0][0] == "I" else "that is"),
    ("doctorate", "capitals", r"\bPh\.? ?D\b\.?", _doctorate),
    ("short month", "dot", r"\b(Jan|Feb|Aug|Sept|Oct|Nov|Dec|Tues|Thurs)\.", _short_date),
    ("short day", "dot", rf"\b({_SHORT})\.(?=,? ?(?:\d|{_SHORT}))", _short_date),
    ("month without a dot", "digit", rf"\b({_SHORT})(?= \d)", _short_date),
    ("half of the day", "digit", r"(?<=\d) ?[AaPp](?:\.[Mm]\.|[Mm]\b)", _half_of_day),
    ("morning", "dot", r"\b[AaPp]\.[Mm]\.", _half_of_day),
    ("initials", "dot", r"\b[A-Za-z](?:\.[A-Za-z])+(?![\w'])\.?", _initials),
    ("initial", "dot", rf"(?<![A-Z]-)\b[A-HJ-Z]\.(?= [A-Z])(?!{STARTS.pattern})", lambda match: match[0][0]),
    ("Roman numeral", "capitals", r"(?<=[a-z] )([IVXLC]{2,}|[IVX](?!\.| [A-Z]))\b(?!')", _numeral),
    ("date by numbers", "digit", r"(?<![\d/])(\d{1,2})/(\d{1,2})/(\d{4}|\d\d)(?![\d/])", amounts.numbered_date),
    ("date, year first", "digit", r"\b(\d{4})-(\d\d)-(\d\d)\b", lambda m: amounts.date(m[1], int(m[2]), int(m[3]))),
    ("range of days", "digit", rf"(?<=\d)-(?=(?:{_MONTH}) \d)", lambda match: " to "),
    (
        "day of a month",
        "digit",
        rf"{_AFTER_MONTH}(\d{{1,2}})(?:st|nd|rd|th)?(?:-(\d{{1,2}}))?(?![\d:/%-]|[.,]\d)",
        amounts.day_of_month,
    ),
    ("day before a month", "digit", rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?= (?:{_MONTH})\b)", amounts.day_before_month),
    ("phone", "digit", r"(?<![\w.-])\+?(?:\d+[.-])*\(?\d+\)?[ .-]\d{3,4}[.-]\d{4}(?![\w-])", amounts.phone),
    ("short phone", "digit", r"(?<![\w.,-])\d{3}-\d{4}(?![\w-])|(?<![\w-])\d+(?:-\d+){2,}(?![\w-])", amounts.phone),
    ("number sign", "digit", r"#(?=\d)", lambda match: "number "),
    ("range of money", "digit", rf"(?<=\d)-(?={_CURRENCY}\d)", lambda match: " to "),
    ("minus", "digit", rf"(?:(?<=[ (])|^)-(?={_CURRENCY}?\.?\d)", lambda match: "minus "),
    (
        "money",
        "digit",
        rf"([A-Z]{{1,2}})?({_CURRENCY}) ?({_DECIMAL})(?:-({_NUMBER}))?(?:[ -]?({_SCALE})\b|([KkMmBb]n?)\b)?",
        amounts.money,
    ),
    ("range", "digit", r"(?<=\d)-(?=\d)", lambda match: " to "),
    ("clock", "digit", r"(?<![\d:.])(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?![\d:])", amounts.clock),
    ("ratio", "digit", r"(?<=\d):(?=\d)", lambda match: " to "),
    ("feet and inches", "digit", r"(?<![\w.])(\d+)'(\d+)\"", amounts.feet_and_inches),
    ("short year", "digit", r"(?<!\w)'(\d\d)(?![\d'])(?!s\b)", amounts.short_year),
    ("several", "digit", r"(?<![\w.,])'?(\d+)'?s\b", amounts.several),
    ("ordinal", "digit", rf"(?<![\w.])({_NUMBER})(?:st|nd|rd|th)\b", lambda m: ordinal(int(m[1].replace(",", "")))),
    ("fraction", "digit", r"(?<![\d/.,])(?:(\d{1,3})[ -])?(\d{1,3})/(\d{1,3})(?![\d/])", amounts.share),
    ("measure", "digit", rf"(?<![\w.])({_DECIMAL})([ -]?)({_UNIT})", amounts.measure),
    ("number", "digit", rf"{_NUMBER}(?:\.\d+)*|(?<![\w.])\.\d+", amounts.number),
    ("sign", "sign", r"[^\w\s,.!?:;'\"()~…-]|_", _sign),
    ("capitals", "capitals", r"(?<![\w'])([A-Z]{2,})('?s)?(?![\w'])", _capitals),
    ("no vowel", "any", r"(?<![\w'])[b-df-hj-np-tv-xz]{2,}(?![\w'])", _without_vowel),
)
RULES = tuple(Rule(name, re.compile(pattern), said) for name, _, pattern, said in _TABLE)
_NEEDED = tuple(needs for _, needs, _, _ in _TABLE)
