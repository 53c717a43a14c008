"""One look for all plots, and fonts that can show Korean and IPA on every machine."""

from __future__ import annotations

import base64
import io
import unicodedata
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import matplotlib as mpl
from cycler import cycler
from matplotlib import font_manager

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FONT = Path(__file__).parent / "fonts" / "nbkit-hangul.ttf"
# Latin and IPA from one font, so that "tɕ" is not set in two; what it lacks, Hangul, from ours.
FAMILIES = ["DejaVu Sans", "nbkit Hangul"]

INK, MUTED, PAPER = "#22303c", "#7d8a96", "#ffffff"
PATH, TRUTH = "#ff5a36", "#ffffff"
SERIES = ["#2a6fbb", "#d9622b", "#3a9a5b", "#8a5fbf", "#b8892b", "#5b6770"]
MAGNITUDE, DIFFERENCE = "viridis", "RdBu_r"

_SETTINGS: dict[Any, Any] = {
    "font.family": FAMILIES,
    "font.size": 10,
    "figure.dpi": 110,
    "figure.facecolor": PAPER,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=SERIES),
    "grid.color": "#e4e8ec",
    "legend.frameon": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "image.cmap": MAGNITUDE,
    "image.interpolation": "nearest",
}


def apply() -> None:
    """Set matplotlib to the project's look and register the Korean font. Every view calls it; once is enough."""
    _register()
    mpl.rcParams.update(_SETTINGS)


@cache
def _register() -> None:
    font_manager.fontManager.addfont(FONT)


def axes(width: float, height: float) -> Axes:
    """A new plot of `width` by `height` inches in the project's look."""
    import matplotlib.pyplot as plt

    apply()
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def png(ax: Axes, dpi: int = 110) -> bytes:
    """The figure of `ax` as a PNG, closed afterwards: a training run draws thousands of them."""
    import matplotlib.pyplot as plt

    figure = _figure(ax)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def inches(ax: Axes) -> tuple[float, float]:
    """Width and height of a plot, before its layout makes room for labels."""
    place, figure = ax.get_position(), _figure(ax)
    return place.width * figure.get_figwidth(), place.height * figure.get_figheight()


def _figure(ax: Axes) -> Figure:
    return cast("Figure", ax.get_figure(root=True))  # axes that a view draws into are always in one


def label(text: str) -> str:
    """How a symbol, or a text, is written in a plot: single jamo as letters that stand alone, a space as ␣.

    Conjoining jamo (ᄒ, ᆞ, ᆫ) are made to be joined by a text shaper and few fonts draw them alone, so what does not
    compose to a syllable becomes its compatibility letter (ㅎ, ㆍ, ㄴ).
    """
    if text == " ":
        return "␣"
    return "".join(_letter(character) for character in unicodedata.normalize("NFC", text))


@cache
def _letter(character: str) -> str:
    if not "\u1100" <= character <= "\u11ff":
        return character
    # "HANGUL JONGSEONG NIEUN" and "HANGUL CHOSEONG NIEUN" are both "HANGUL LETTER NIEUN" when alone.
    name = unicodedata.name(character).split(" ", 2)[-1]
    try:
        return unicodedata.lookup(f"HANGUL LETTER {name}")
    except KeyError:  # a rare old letter without a form of its own
        return character


def drawable(text: str) -> str:
    """A text of any origin as `label` writes it; what the fonts cannot draw, such as emoji, becomes □."""
    return "".join(letter if ord(letter) in _glyphs() else "□" for letter in label(text))


@cache
def _glyphs() -> frozenset[int]:
    _register()
    found = [font_manager.get_font(font_manager.findfont(family)) for family in FAMILIES]
    return frozenset(code for font in found for code in font.get_charmap())


def font_face(text: str) -> str:
    """CSS that brings the Korean glyphs of `text` along, so that a page shows them on a machine without such a font."""
    wanted = tuple(sorted({ord(character) for character in text if character >= "\u3000"}))
    return _font_face(wanted) if wanted else ""


@lru_cache(maxsize=16)
def _font_face(wanted: tuple[int, ...]) -> str:
    """The same for a set of characters: an output that is drawn each second shows the same ones again."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    font = TTFont(FONT, recalcTimestamp=False)  # the same text gives the same bytes
    subsetter = Subsetter(Options(notdef_outline=True, layout_features=[]))
    subsetter.populate(unicodes=wanted)
    subsetter.subset(font)
    font.flavor = "woff"
    buffer = io.BytesIO()
    font.save(buffer)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'@font-face{{font-family:"{FAMILIES[1]}";src:url(data:font/woff;base64,{data}) format("woff")}}'
