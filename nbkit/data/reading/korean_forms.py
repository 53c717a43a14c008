"""Many ways of writing numbers in Korean text into one: 14:30 to 14시 30분, $5 to 5 달러, 3~5개 to 3개에서 5개."""

from __future__ import annotations

import re
import unicodedata

from nbkit.data.reading.korean_numbers import NUMBER, digits, sino
from nbkit.data.reading.korean_units import AROUND, COUNTER, MONEY, NATIVE, UNITS
from nbkit.data.reading.pieces import Rule

SIDE = "[0-9가-힣A-Za-zÀ-ÖØ-öø-ÿ]"
GREAT = "(?:천만|백만|십만|만|천억|백억|십억|억|조)"
ENGLISH = ("제로", "원", "투", "쓰리", "포", "파이브", "식스", "세븐", "에이트", "나인")
START = r"(?<!\d)(?<!\d[.,])"  # where a number begins
_PAIRS = ("한두", "두세", "서너", "네다섯", "대여섯", "예닐곱", "일고여덟", "여덟아홉")


def rule(name: str, pattern: str, spoken) -> Rule:
    return Rule(name, re.compile(pattern), spoken)


def before(match: re.Match[str]) -> str:
    """A space where the number follows a word: 딱3번 is 딱 세 번. Not behind 제, which makes ordinals."""
    neighbour = match.string[match.start() - 1 : match.start()]
    return " " if "가" <= neighbour <= "힣" and neighbour != "제" else ""


def behind(match: re.Match[str]) -> str:
    """A space where a counter follows at once, for it is a word of its own."""
    return " " if _COUNTER.match(match.string, match.end()) else ""


_COUNTER = re.compile(COUNTER)


# --- one form for each sign


def _compatibility(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match.group())


def _numeral(match: re.Match[str]) -> str:
    """Ⅲ 삼, ①번 일 번."""
    follows = " " if re.match("[가-힣]", match.string[match.end() :]) and match[1] in _CIRCLED else ""
    return before(match) + sino(int(unicodedata.numeric(match[1]))) + follows


_CIRCLED = "".join(map(chr, range(0x2460, 0x2474)))


def _vulgar(match: re.Match[str]) -> str:
    """½ is 1/2, 3½ is 3과 1/2."""
    fraction = unicodedata.normalize("NFKC", match[2]).replace("\u2044", "/")
    return f"{match[1]}과 {fraction}" if match[1] else fraction


def _unit_sign(match: re.Match[str]) -> str:
    """㎞ is km behind a number, and 킬로미터 where it stands alone."""
    letters = unicodedata.normalize("NFKC", match.group()).replace("\u2215", "/")
    alone = not re.search(r"[\d만억조천백] ?(?:\S/)?$", match.string[: match.start()])
    return UNITS.get(letters, letters) if alone else letters


def _anniversary(match: re.Match[str]) -> str:
    """3·1 삼일, 6·25 육이오, 12·12 십이십이: the day digit by digit unless it is ten or twelve."""
    day = match["dotted"] or match["day"]
    return before(match) + sino(match[1]) + (sino(day) if day in ("10", "12") else digits(day))


_AFTER_A_DAY = "절|운동|전쟁|혁명|사태|사변|민주|광복|테러|항쟁|만세|참사|참전"
FORMS = (
    rule("Roman or circled numeral", f"([Ⅰ-Ⅻⅰ-ⅻ{_CIRCLED}])", _numeral),
    rule("Roman numeral in letters", r"(?<![A-Za-z.])I{2,3}(?![A-Za-z.])", lambda m: before(m) + sino(len(m[0]))),
    rule("fraction sign", r"(\d*)([¼-¾⅐-⅞])", _vulgar),
    rule("unit sign", "[㍱-㍺㎀-㏟℃℉]", _unit_sign),
    rule("small digit, wide sign", "[₀-₉￠-￦]", _compatibility),
    rule(
        "day that became a name",
        rf"{START}(\d\d?)(?:[·ㆍ](?P<day>\d\d?)(?!\d)"
        rf"|(?:\.|(?<=9)/(?=11 ?테))(?P<dotted>\d\d?)(?= ?(?:{_AFTER_A_DAY})))",
        _anniversary,
    ),
    rule("dot between words", r"(?<![ㄱ-ㆎᄀ-ᇿ'\"( ])(?<!^)ㆍ+|[·・]", lambda m: ","),
    rule("title in angle brackets", r"<([^<>]{1,40})>", lambda m: f'"{m[1]}"'),
)


# --- telephone, dates, times


def _phone(match: re.Match[str]) -> str:
    return before(match) + " ".join(digits(group) for group in re.findall(r"\d+", _parted(match.group())))


def _parted(written: str) -> str:
    """01012345678 in its three groups."""
    return re.sub(r"^(\d{3})(\d{3,4})(\d{4})$", r"\1 \2 \3", written)


def _date(match: re.Match[str]) -> str:
    return f"{match['y']}년 {int(match['m'])}월 {int(match['d'])}일"


def _clock(match: re.Match[str]) -> str:
    """14:30, 오후 3:05, 9:00 AM."""
    half = {"": "", "a": "오전 ", "p": "오후 "}[(match["pre"] or match["post"] or "")[:1].lower()]
    minute, second = (int(match[part] or 0) for part in "ms")
    told = f" {minute}분" if minute or second else ""
    return f"{half}{int(match['h'])}시{told}" + (f" {second}초" if second else "")


def _score(match: re.Match[str]) -> str:
    return f"{before(match)}{sino(match[1])} 대 {sino(match[2])}"


def _fraction(match: re.Match[str]) -> str | None:
    over, under = match[1], match[2]
    return f"{before(match)}{sino(under)}분의 {sino(over)}{behind(match)}" if 0 < int(over) <= int(under) else None


_MONTH, _DAY = r"(?:1[0-2]|0?[1-9])", r"(?:3[01]|[12]\d|0?[1-9])"
_HALF = r"[AaPp]\.?[Mm](?![A-Za-z])\.?"
_AFTER_MONTH_AND_DAY = (
    r"(?= ?(?:\([월화수목금토일]\)|부터|까지|개봉|~ ?\d+/))|(?<=~\d/\d)|(?<=~\d/\d\d)|(?<=~\d\d/\d\d)"
)
_WON = r"(?! ?(?:으?로 ?(?:이|졌|승|패|앞|뒤|끝)|승|패))"
TIMES = (
    rule(
        "telephone number",
        rf"{START}(?<!-)(?:\+\d\d?[- ]\d\d?-\d{{3,4}}-\d{{4}}|\(?0\d\d?\) ?\d{{3,4}}-\d{{4}}"
        r"|0\d\d?(?P<gap>[-. ]?)\d{3,4}(?P=gap)\d{4}|1[568]\d\d-\d{4})(?![\d-])",
        lambda m: ("플러스 " if m.group().startswith("+") else "") + _phone(m),
    ),
    rule(
        "date",
        rf"{START}(?P<y>(?:19|20)\d\d)(?P<dot>[-./]) ?(?P<m>{_MONTH})(?P=dot) ?(?P<d>{_DAY})(?!\d)",
        _date,
    ),
    rule(
        "date with a short year",
        r"(?<![\d.])(?P<y>\d\d)\.(?P<m>0[1-9]|1[0-2])\.(?P<d>0[1-9]|[12]\d|3[01])(?!\d|\.\d)",
        _date,
    ),
    rule(
        "year and month",
        rf"{START}((?:19|20)\d\d)[-./](0[1-9]|1[0-2])(?!\d|[.-]\d|{COUNTER})",
        lambda m: f"{m[1]}년 {int(m[2])}월",
    ),
    rule(
        "month and day",
        rf"(?<![\d/.])({_MONTH})/({_DAY})(?![\d/])(?:일|{_AFTER_MONTH_AND_DAY})",
        lambda m: f"{int(m[1])}월 {int(m[2])}일",
    ),
    rule(
        "date with an apostrophe",
        rf"(?<!\w)'(?P<y>\d\d)\. ?(?P<m>{_MONTH})\. ?(?P<d>{_DAY})(?!\d)\.?",
        _date,
    ),
    rule("year after an apostrophe", r"'(\d\d)(?=년)", lambda m: m[1]),
    rule(
        "games after an apostrophe",
        r"(?<!\w)'(\d\d)(?= ?(?:올림픽|월드컵|아시안|대선|총선))",
        lambda m: sino(m[1]) if m[1][1] == "0" and m[1][0] != "0" else digits(m[1]),
    ),
    rule(
        "time of day",
        rf"(?<![\d:.])(?:(?P<pre>{_HALF}) ?)?(?P<h>[01]?\d|2[0-4])"
        rf"(?::(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d))?(?![\d:]){_WON}(?: ?(?P<post>{_HALF}))?)",
        _clock,
    ),
    rule("score", r"(?<![\d:.])(\d{1,3}(?:\.\d+)?) ?: ?(\d{1,3}(?:\.\d+)?)(?![\d:])", _score),
    rule(
        "score with a hyphen",
        rf"{START}(?<!-)(\d{{1,2}})-(\d{{1,2}})(?=(?:으?로)? ?"
        r"(?:이[겼기긴길]|승|패|졌|꺾|[완대격]파|[완역]|무승부|비[겼기긴]|[앞뒤]섰|눌))",
        _score,
    ),
    rule("score in words", rf"{START}(\d{{1,3}}) ?대 ?(\d{{1,3}})(?![.,]?\d)(?=$|[^가-힣]|으?로|의|승|패)", _score),
    rule("quarter of a year", rf"{START}([1-4])/4(?= ?분기)", lambda m: f"{before(m)}{sino(m[1])}사"),
    rule("fraction", r"(?<![\d/.])(\d{1,3})/(\d{1,3})(?![\d/]|\.\d)", _fraction),
    rule("fraction in words", r"(\d+)분의 ?(\d+)", lambda m: f"{before(m)}{sino(m[1])}분의 {sino(m[2])}"),
)


# --- money, units, ranges, arithmetic


def _money(match: re.Match[str]) -> str:
    return f"{match[2]}{match[3] or ''} {MONEY[match[1]]}"


def _around(match: re.Match[str]) -> str:
    """100km/h is 시속 100 킬로미터."""
    first, unit = AROUND[unicodedata.normalize("NFKC", match[2])]
    said = match.string[: match.start()].rstrip().endswith(first)
    return ("" if said else f"{first} ") + f"{match[1]} {unit}"


def _unit(match: re.Match[str]) -> str:
    return " " + UNITS[unicodedata.normalize("NFKC", match[1])]


def _hyphen_range(match: re.Match[str]) -> str | None:
    below, above = (int(match[i].replace(",", "")) for i in (1, 2))
    return f"{match[1]}~{match[2]}" if below < above else None


def _pair(match: re.Match[str]) -> str | None:
    """2~3개 두세 개, 5~6년 오륙년."""
    first, second = int(match[1]), int(match[2])
    said = _PAIRS[first - 1] if match["near"] or match["far"] else sino(first) + sino(second).replace("육", "륙")
    return before(match) + said + behind(match) if second == first + 1 else None


def _tens(match: re.Match[str]) -> str | None:
    """3~40대 삼사십 대."""
    first, second = int(match[1]), int(match[2])
    return f"{before(match)}{sino(first)}{sino(10 * second)}{behind(match)}" if second == first + 1 else None


def _range(match: re.Match[str]) -> str:
    """3~5개 has its counter twice: 3개에서 5개; 3~5층 is 3에서 5층."""
    counter = match["near"] or match["far"] or match["month"] or ""
    return match[1] + (counter if match[1][-1].isdigit() else "") + "에서 "


def _times(match: re.Match[str]) -> str:
    return f" {_OPERATIONS[match[1]]} "


def _sign(match: re.Match[str]) -> str:
    """-5도 is 영하 5도, all else 마이너스."""
    if match.group() == "-":
        return "영하 " if re.match(rf"{NUMBER} ?도", match.string[match.end() :]) else "마이너스 "
    return {"+": "플러스 ", "±": "플러스마이너스 "}[match.group()]


_OPERATIONS = {"+": "더하기", "-": "빼기", "×": "곱하기", "*": "곱하기", "x": "곱하기", "X": "곱하기", "÷": "나누기"}
_UNIT, _AROUND = (
    "|".join(
        re.escape(unit).replace("2", "[2²]").replace("3", "[3³]").replace("μ", "[μµ]")
        for unit in sorted(units, key=len, reverse=True)
    )
    for units in (UNITS, AROUND)
)
_RANGED = r"[명대년월일시분초살세점회위주만천억원달인도배개권]|퍼센트|킬로|센티|미터|그램|마리"
_DAYTIME = "(?:(?:오전|오후|밤|낮|새벽|저녁|약) ?)?"
AMOUNTS = (
    rule("money", rf"(?:US)?([{''.join(MONEY)}]) ?({NUMBER})( ?{GREAT})?", _money),
    rule("money behind", rf"(?<=\d)() ?(?P<sign>[{''.join(MONEY)}])", lambda m: " " + MONEY[m["sign"]]),
    rule("unit around a number", rf"({NUMBER}) ?({_AROUND})(?![A-Za-z])", _around),
    rule("unit", rf"(?<=[\d만억조천백]) ?({_UNIT})(?![A-Za-z0-9²³])", _unit),
    rule(
        "hyphen as range",
        rf"{START}(?<!-)(\d[\d,]*)-(\d[\d,]*)(?![\d-])(?= ?(?:{_RANGED}))",
        _hyphen_range,
    ),
    rule("list with dots", r"(?<=\d)\.(?=\d(?:\.\d)* ?(?:편|탄|시즌))", lambda m: ","),
    rule("two or three", rf"{START}([1-8])[~,]([2-9])(?={NATIVE}|{COUNTER}|[년월일만천억])", _pair),
    rule("thirty or forty", rf"{START}([1-8])~([2-9])0(?= ?[가-힣])", _tens),
    rule(
        "range",
        rf"({START}\d[\d.,]*(?: ?(?:{COUNTER}|[년월일만억조천]))?) ?~ ?"
        rf"(?={_DAYTIME}{NUMBER}(?:{NATIVE}|(?P<month>월))?)",
        _range,
    ),
    rule(
        "one plus one",
        r"(?<![\d+.])([1-9])\+([1-9])(?![\d+.]| ?=)",
        lambda m: f"{before(m)}{ENGLISH[int(m[1])]} 플러스 {ENGLISH[int(m[2])]}",
    ),
    rule("arithmetic", r"(?<=\d) ?([+×÷*]|[xX](?=\d)|-(?= ?\d+ ?=)) ?(?=\d)", _times),
    rule("sign of a number", r"(?<![가-힣A-Za-z0-9)%~+-])[-+±](?=\d)(?!\d+[대세살년])", _sign),
)
