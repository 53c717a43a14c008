"""Words that English abbreviates, names of signs, and whether an abbreviation ends its sentence."""

from __future__ import annotations

import re

Match = re.Match[str]


def _list(written: str) -> list[str]:
    return written.split()


def _table(written: str) -> dict[str, str]:
    """From "a one thing,b another" to {"a": "one thing", "b": "another"}."""
    return dict(entry.split(maxsplit=1) for entry in written.split(","))


MONTHS = _list("January February March April May June July August September October November December")
SHORT_DATES = {month[:3]: month for month in MONTHS if month != "May"} | _table(
    "Sept September,Mon Monday,Tue Tuesday,Tues Tuesday,Wed Wednesday,Thu Thursday,Thurs Thursday,Fri Friday,"
    "Sat Saturday,Sun Sunday"
)
TITLES = _table(
    "Mr Mister,Mrs Missus,Ms Miz,Messrs Messieurs,Dr Doctor,Drs Doctors,Prof Professor,Rev Reverend,Hon Honorable,"
    "Lt Lieutenant,Col Colonel,Gen General,Maj Major,Capt Captain,Sgt Sergeant,Cpl Corporal,Pvt Private,Adm Admiral,"
    "Cmdr Commander,Gov Governor,Sen Senator,Rep Representative,Pres President,Insp Inspector,Supt Superintendent,"
    "Mt Mount,Ft Fort,Wm William,Chas Charles,Geo George,Jas James,Thos Thomas"
)
ENDINGS = _table(
    "Jr Junior,Sr Senior,Esq Esquire,Co Company,Inc Incorporated,Ltd Limited,Corp Corporation,Bros Brothers,"
    "Ave Avenue,Blvd Boulevard,Rd Road,Dept Department,Univ University,Assn Association,Govt Government,etc et cetera,"
    "vs versus,viz namely,cf compare,approx approximately,ca circa"
)
BEFORE_NUMBERS = _table(
    "No number,Nos numbers,no number,nos numbers,p page,pp pages,vol volume,Vol Volume,ch chapter,Ch Chapter,"
    "fig figure,Fig Figure,sec section,Sec Section,art article,Art Article"
)
NUMBERED = "Chapter Part Book Volume Act Scene Section Article Appendix War Bowl Phase Title Apollo Figure"
RULERS = (
    "Louis Henry George Edward Charles James William Richard Elizabeth Mary Paul Pius Leo Gregory Benedict Clement "
    "Innocent Alexander Nicholas Catherine Peter Frederick Napoleon Philip Ferdinand Francis Wilhelm Otto Ramses "
    "Ptolemy Xerxes Darius Constantine Alfonso Christian Gustav Haakon Harald Leopold Umberto Victor Urban"
)
UNITS = _table(  # one of them
    "km kilometer,cm centimeter,mm millimeter,m meter,mi mile,yd yard,ft foot,in inch,kg kilogram,mg milligram,"
    "g gram,lb pound,lbs pound,oz ounce,ml milliliter,mL milliliter,l liter,L liter,hr hour,hrs hour,min minute,"
    "sec second,ms millisecond,s second,Hz hertz,kHz kilohertz,MHz megahertz,GHz gigahertz,KB kilobyte,"
    "kB kilobyte,MB megabyte,GB gigabyte,TB terabyte,W watt,kW kilowatt,MW megawatt,V volt,dB decibel,"
    "mph mile per hour,km/h kilometer per hour,m/s meter per second,°C degree Celsius,°F degree Fahrenheit,"
    "° degree,m² square meter,km² square kilometer,m³ cubic meter,¢ cent"
)
UNITS_WITH_DOT = _list("mi yd ft in lb lbs oz hr hrs min sec")
CURRENCIES = {  # one, several, one hundredth, several hundredths
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
    "₩": ("won", "won", "", ""),
}
SIGNS = _table(
    "& and,@ at,+ plus,= equals,% percent,# hash,$ dollar,£ pound,€ euro,¥ yen,₩ won,¢ cent,° degrees,* star,/ slash,"
    "\\ backslash,< less than,> greater than,^ caret,_ underscore,| bar,× times,÷ divided by,± plus or minus,≤ at most,"
    "≥ at least,≠ is not,≈ about,§ section,© copyright,™ trademark,® registered,² squared,³ cubed"
)
SAID_AS_WORDS = set(
    _list(
        "NASA NATO UNESCO UNICEF OPEC NAFTA GATT ASEAN AIDS SARS COVID LASER RADAR SONAR SCUBA SWAT RAM ROM PIN "
        "GIF IKEA"
    )
)
COMMON = set(
    _list(
        "A I AM AN AND ARE AS AT BE BUT BY CAN DID DO FOR FROM GO HAS HAVE HE HER HIM HIS HOW IF IN IS ITS ME "
        "MUST MY NEVER NO NOT NOW OF OFF ON ONE OR OUR OUT OWN SHE SO STOP THAT THE THEM THEY THIS TO TOO UP "
        "VERY WAS WE WERE WHAT WHO WHY WILL WITH YES YOU YOUR ALL ANY ALWAYS ONLY NEW OLD GOOD BAD BEST END TOP "
        "LOVE LIFE"
    )
)
STARTERS = (  # they often start a sentence and are seldom a name
    "He She It They We You I The A An This That These Those There Then In On At But And When While After Before "
    "As If His Her Its Their Our My No Yes What Who Why How Where For So To By With From Now"
)
NO_VOWEL_BUT_A_WORD = set(_list("hm hmm shh psst pfft brr grr mm mmm tsk"))

STARTS = re.compile(rf"""['")]*(?:$| ["'(]?(?:{STARTERS.replace(" ", "|")})\b(?!\.))""")
CAPITAL = re.compile(rf"""['")]*(?:$| ["'(]?(?![A-Z]{{2}}|{"|".join([*MONTHS, *SHORT_DATES])})[A-Z])""")


def stop(match: Match, starts: re.Pattern[str] = STARTS) -> str:
    """The dot of an abbreviation that also ends the sentence."""
    return "." if starts.match(match.string, match.end()) else ""


def letters(written: str) -> str:
    """Capitals by themselves: F-B-I."""
    return "-".join(c for c in written.upper() if c.isalnum())
