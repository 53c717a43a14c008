"""Korean as it is written to what is said: numbers, dates, money, units, signs and Latin letters in Hangul.

The rules run in their order over the whole text. Those of korean_forms bring many ways of writing into one, those here
read what is left. Choices, where Koreans say more than one thing:

- 3번 is 세 번; 삼 번 only before what is numbered (버스, 출구) and behind 제, 기호 and the like. 3편 is a part, 삼 편.
- Native numerals up to 99 and for the rest of a number up to 999 (백스물세 개), see korean_numbers.native.
- A counter is a word of its own (삼 층); year, month and day are not (이천이십년 팔월 삼일).
- 3~5개 is 세 개에서 다섯 개, 2~3개 두세 개, 10~20% 십에서 이십 퍼센트. Only between numbers is ~ said.
- A digit behind Latin letters is said in English (A4 에이포), longer numbers are not (G20 지이십); from three digits on
  they are said one by one unless they are round (RTX4090 사공구공, S600 에스육백).
- Letters on their own (ㅋㅋ, ㅠㅠ), repeated marks and all signs without a reading (♥, ^^, 人) stay as they are.
"""

from __future__ import annotations

import re
import unicodedata

from nbkit.data.reading.hangul import in_hangul
from nbkit.data.reading.korean_forms import AMOUNTS, ENGLISH, FORMS, GREAT, SIDE, START, TIMES, before, behind, rule
from nbkit.data.reading.korean_numbers import NUMBER, digits, mixed, native, sino
from nbkit.data.reading.korean_units import COUNTER, NATIVE, NATIVE_UP_TO, SIGNS, UNITS
from nbkit.data.reading.latin_words import WORDS
from nbkit.data.reading.pieces import Fired, Piece, apply, text_of


def read_korean(pieces: list[Piece], told: list[Fired] | None = None) -> list[Piece]:
    """What is said, in Hangul and punctuation; each character keeps its place in the text.

    pieces   composed characters, one each
    told     takes the rules that fired, in their order
    What has no reading stays. Reading what was read changes nothing.
    """
    if not _TO_READ.search(text_of(pieces)):
        return pieces
    pieces = apply(FORMS, pieces, told)
    if _DIGIT.search(text_of(pieces)):
        pieces = apply((*TIMES, *AMOUNTS, *NUMBERS), pieces, told)
    return apply(LETTERS, pieces, told)


_TO_READ = re.compile(r"[^가-힣ㄱ-ㅣ .,?!~…:;'\"()-]")
_DIGIT = re.compile(r"\d")


# --- numbers


def _sino(match: re.Match[str]) -> str:
    """A Sino-Korean number among other words; 05분 is five minutes and no code."""
    written = match.group()
    if match.string[match.end() : match.end() + 1] in tuple("년월일시분초"):
        written = re.sub(r"^0+(?=\d)", "", written)
    return before(match) + sino(written) + behind(match)


def _version(match: re.Match[str]) -> str:
    return before(match) + " 점 ".join(map(sino, match.group().split(".")))


def _code(match: re.Match[str]) -> str:
    """123-45 in an address is 백이십삼 다시 사십오; what is longer is said digit by digit."""
    groups = match.group().split("-")
    if len(groups) > 2 or any(len(group) > 4 or group[0] == "0" for group in groups):
        return before(match) + " ".join(map(digits, groups))
    return before(match) + " 다시 ".join(map(sino, groups)) + behind(match)


def _native(match: re.Match[str]) -> str | None:
    """3번 세 번, 1번째 첫 번째, 20대 (an age) 이십 대, 15시 십오 시, 1.5배 일 점 오 배."""
    counter, written = match["near"] or match["far"], match[1].replace(",", "")
    neighbour = match.string[match.start() - 1 : match.start()]
    if match["far"] and neighbour.isalpha():  # 터미네이터2 시즌 are no two seasons
        return None
    if (
        "." in written
        or len(written) > 4
        or (counter == "대" and written[-1] == "0")
        or (counter == "번" and len(written) > 2)  # 721번 is a bus
    ):
        said = sino(written)
    else:
        said = native(int(written), NATIVE_UP_TO.get(counter, 99))
    if counter == "번째" and written == "1":
        said = "첫"
    return (" " if neighbour.isalpha() and neighbour != "제" else "") + said + (" " if match["near"] else "")


def _ordinal(match: re.Match[str]) -> str:
    """제3회 제삼 회, but 제3자 제삼자."""
    return sino(match.group()) + ("" if match.string.startswith("자", match.end()) else behind(match))


def _class(match: re.Match[str]) -> str:
    """98학번 구팔 학번, 05년생 공오년생, 80년생 팔십년생."""
    year = match[1]
    said = sino(year) if year[0] != "0" and year[1] == "0" else digits(year)
    return before(match) + said + (" " if match.string.startswith("학", match.end()) else "")


_GREATEST = "보험|광역시|강국|명절|요소|원칙|의무|종교|과제|도시|은행|영양소|비극|문명|성인|기획사|리그"
_NUMBERED = "버튼|방|가|지|길|홀|출구|버스|문제|문항|타자|선수|트랙|창구|국도|게이트|교향곡|채널|승강장|후보|좌석|레인"
_RULERS = "대통령|왕|국회|회장|총리|황제|교황|사장|총장|임금"
_IN_A_ROW = "기호|교향곡|협주곡|소나타|등번호|문항|선택지|채널"
_BEHIND_NAME = "|".join(f"(?<={name}{gap})" for name in _IN_A_ROW.split("|") for gap in ("", " "))
_BEHIND_NUMBER = "|".join(
    f"(?<={name}{gap})"
    for name in ("번호", "비번", "앞자리", "뒷자리")
    for gap in (" ", "는 ", "은 ", "가 ", ": ", ":")
)
_CALLED = "11[23489]|182|13(?:39|66)"
NUMBERS = (
    rule("1st, 2nd", r"(\d+)(?:st|nd|rd|th)(?![A-Za-z])", lambda m: f"{m[1]}번째"),
    rule("name with a number", "(?<=코로나)[- ]?19", lambda m: "일구"),
    rule("year at school", rf"(?<![가-힣])([초중고])([1-6])(?!\d|[.,]\d|(?!병){COUNTER})", lambda m: m[1] + sino(m[2])),
    rule("year of birth", r"(?<!\d)'?(\d\d)(?=학번|년생)", _class),
    rule("not at all", rf"{START}1(?=도 ?(?:없|안|모|못|몰))", lambda m: before(m) + "일"),
    rule("code with hyphens", r"(?<![\d.])\d+(?:-\d+)+(?![\d])", _code),
    rule("version", r"(?<![\d.])\d+(?:\.\d+){2,}(?!\d)", _version),
    rule(
        "number that is a name",
        rf"(?:{_BEHIND_NUMBER})\d{{4,}}(?!\d|[.,]\d|[년월일]|{NATIVE}|(?!번){COUNTER})",
        lambda m: digits(m.group()),
    ),
    rule(
        "number in a list",
        rf"(?<![A-Za-z])(?:(?P<no>N[oO])|[Vv](?:ol|OL))\. ?(?P<n>\d+)(?!\d|[.,]\d|{COUNTER})",
        lambda m: (
            f"넘버 {ENGLISH[int(m['n'])] if len(m['n']) == 1 else sino(m['n'])}" if m["no"] else f"볼륨 {sino(m['n'])}"
        ),
    ),
    rule(
        "great number",
        rf"{START}{NUMBER}(?:{GREAT}|천|백)(?!화|족|두|큼|재|사|국|신|지|각|건|직|들)"
        rf"(?:{NUMBER}(?:{GREAT}|천|백))*(?:\d,\d{{3}}|\d{{1,4}})?(?![\d,]\d|\d)",
        lambda m: before(m) + mixed(m.group()) + behind(m),
    ),
    rule("ordinal", r"(?:(?<=제)|(?<=제 ))\d+(?:\.\d+)?(?= ?[가-힣])", _ordinal),
    rule(
        "what is numbered",
        rf"{START}(?:\d+(?=번 ?(?:{_NUMBERED})|번을 (?:누[르를]|눌)|대 (?:{_RULERS}|{_GREATEST}))"
        rf"|(?:(?<=\d반 )|{_BEHIND_NAME})\d+(?=번))",
        _sino,
    ),
    rule("native numeral", rf"{START}({NUMBER})(?={NATIVE})", _native),
    rule("June and October", r"(?<!\d)(?:0?6|10)(?= ?월)", lambda m: before(m) + ("시" if "10" in m[0] else "유")),
    rule(
        "emergency number",
        rf"{START}(?:{_CALLED})(?!\.\d)(?=$|[^\d가-힣A-Za-z]|에|로|를|가|와|구급|신고|센터|상황)",
        lambda m: before(m) + digits(m.group()),
    ),
    rule(
        "digit behind letters",
        rf"(?<=[A-Za-z])[1-9](?!\d|[.,:]\d|{COUNTER})",
        lambda m: ENGLISH[int(m.group())],
    ),
    rule(
        "digit before letters",
        r"(?<![\d.,])[1-9](?=[A-Z]{1,3}(?![A-Za-z])|[dDkKgG](?![A-Za-z]))",
        lambda m: _network(m),
    ),
    rule(
        "digits behind letters",
        rf"(?<=[A-Za-z])\d{{3,}}(?<!00)(?!\d|[.,:]\d|[년월일]|{COUNTER})",
        lambda m: digits(m.group()),
    ),
    rule("number", NUMBER, _sino),
)


def _network(match: re.Match[str]) -> str:
    """3D 쓰리디, 4K 포케이, but 5G 오지."""
    five = match.string[match.start() : match.end() + 1] == "5G"
    return before(match) + ("오" if five else ENGLISH[int(match.group())])


# --- letters and signs


def _word(match: re.Match[str]) -> str | None:
    """A Latin word in Hangul; accents are no letters of their own."""
    plain = unicodedata.normalize("NFD", match.group()).encode("ascii", "ignore").decode()
    return in_hangul(plain) if plain else None


def _equals(match: re.Match[str]) -> str:
    """= is the topic particle: 팔은, 오는."""
    last = match.string[match.start() - 1]
    closed = "가" <= last <= "힣" and (ord(last) - ord("가")) % 28
    return "은 " if closed else "는 "


_HYPHENATED = "|".join(word for word in WORDS if "-" in word)
_ALONE = "km|cm|kg|mg|kcal|kWh|[KMGT]B|[kMG]?Hz|hPa|ppm"
LETTERS = (
    rule(
        "initials",
        r"(?<![A-Za-z])(?:[A-Za-z]\.){2,}(?:[A-Za-z](?![A-Za-z]))?",
        lambda m: in_hangul(m[0].replace(".", "")),
    ),
    rule("unit without a number", rf"(?<![A-Za-z0-9])(?:{_ALONE})(?![A-Za-z0-9'])", lambda m: UNITS[m.group()]),
    rule("versus", r"(?<![A-Za-z])(?:vs|VS)\.(?= )", lambda m: "대"),
    rule("web address", "(?<=[A-Za-z])://(?=[A-Za-z])", lambda m: " 콜론 슬래시 슬래시 "),
    rule("letters with a slash", "(?<![A-Za-z])[A-Z]/[A-Z](?![A-Za-z])", lambda m: in_hangul(m[0].replace("/", ""))),
    rule(
        "word with a hyphen",
        rf"(?i)(?<![a-z-])(?:{_HYPHENATED}|[a-z]-[a-z]{{2,}})(?![a-z-])",
        lambda m: in_hangul(m[0]),
    ),
    rule(
        "dot in an address",
        r"(?<=[A-Za-z])\.(?=(com|net|org)(?![A-Za-z])|[A-Za-z])",
        lambda m: " 닷" if m[1] else " 점 ",
    ),
    rule("Latin word", "[A-Za-zÀ-ÖØ-öø-ÿ]+(?:'[A-Za-z]+)?", _word),
    rule("and", "(?<=[가-힣])(&)(?=[가-힣])|&", lambda m: "앤" if m[1] else "앤드"),
    rule("plus", r"(?<!\+)\+(?!\+)", lambda m: "플러스"),
    rule("sign", f"[{''.join(SIGNS)}]", lambda m: SIGNS[m.group()]),
    rule("hash", f"(?<!#)#(?={SIDE})", lambda m: "샵 "),
    rule("at", "(?<=[A-Za-z0-9_.가-힣])@(?=[A-Za-z0-9가-힣])", lambda m: " 골뱅이 "),
    rule("equals", f"(?<={SIDE}) *= *(?={SIDE})", _equals),
    rule("slash", f"(?<={SIDE}) */ *(?={SIDE})", lambda m: ", "),
    rule("one space", "^ +| +$|  +", lambda m: " " if m.start() and m.end() < len(m.string) else ""),
)
