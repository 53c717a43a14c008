"""Korean and IPA can be drawn everywhere, and the font that does it may be shipped."""

from __future__ import annotations

import unicodedata
import warnings

import matplotlib.pyplot as plt
import pytest
from fontTools.ttLib import TTFont

from nbkit.views import style

IPA = "ɐ ɯ tɕ ɕ ɾ ʌ ŋ ʰ ː ɡ̚ ʲ ɛ ʃ ʑ ɫ ˈ ˌ"
JEJU = "ᄒᆞᆫ저 옵서예"  # the first syllable has no precomposed form
JAMO = [
    chr(code) for first, stop in ((0x1100, 0x1113), (0x1161, 0x1176), (0x11A8, 0x11C3)) for code in range(first, stop)
]


def draw(text: str) -> None:
    ax = style.axes(4, 1)
    ax.set_title(text)
    assert style.png(ax).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "text",
    [
        "같이 가자고 말해보세요, 꿿뷁!",
        IPA,
        style.label(JEJU),
        "".join(map(style.label, [*JAMO, " ", "ᆞ"])),
        "−3 dB 「가」",
    ],
)
def test_korean_and_ipa_have_their_glyphs(text: str):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(text)


def test_a_missing_glyph_would_be_noticed():
    with pytest.warns(UserWarning, match="missing from font"):
        draw("漢")
    plt.close("all")


@pytest.mark.parametrize(
    ("symbol", "shown"),
    [
        ("ᄒ", "ㅎ"),
        ("ᆞ", "ㆍ"),
        ("ᆫ", "ㄴ"),
        ("ᆪ", "ㄳ"),
        ("ᅪ", "ㅘ"),
        (" ", "␣"),
        ("tɕ", "tɕ"),
        ("_", "_"),
        ("가자", "가자"),
    ],
)
def test_label_of_a_symbol(symbol: str, shown: str):
    assert style.label(symbol) == shown


def test_label_composes_what_has_a_syllable_and_takes_the_rest_apart():
    assert style.label(unicodedata.normalize("NFD", "같이 가자")) == "같이 가자"
    assert style.label(JEJU) == "ㅎㆍㄴ저 옵서예"
    assert all("ㄱ" <= style.label(jamo) <= "ㆎ" for jamo in JAMO)


def test_the_font_is_small_renamed_and_comes_with_its_licence():
    assert style.FONT.stat().st_size < 1_400_000
    font = TTFont(style.FONT)
    names = {name.nameID: name.toUnicode() for name in font["name"].names}
    assert [names[i] for i in (1, 4, 6)] == ["nbkit Hangul", "nbkit Hangul", "nbkitHangul-Regular"]
    licence = (style.FONT.parent / "OFL.txt").read_text(encoding="utf8")
    assert licence.startswith("Copyright (c) 2010, NAVER Corporation")
    assert "SIL OPEN FONT LICENSE" in licence
    assert names[0].startswith(licence[:60])
    assert set(range(0xAC00, 0xD7A4)) <= set(font.getBestCmap())


def test_apply_twice_registers_once():
    style.apply()
    style.apply()
    fonts = [font for font in style.font_manager.fontManager.ttflist if font.name == "nbkit Hangul"]
    assert len({font.fname for font in fonts}) == 1


def test_png_closes_its_figure_and_is_the_same_each_time():
    before = plt.get_fignums()
    pictures = []
    for _ in range(2):
        ax = style.axes(2, 1)
        ax.plot([0, 1])
        pictures.append(style.png(ax))
    assert pictures[0] == pictures[1]
    assert plt.get_fignums() == before


def test_a_page_brings_only_the_korean_it_needs():
    face = style.font_face("<b>가나</b> abc")
    assert face.startswith('@font-face{font-family:"nbkit Hangul";src:url(data:font/woff;base64,')
    assert len(face) < 4_000
    assert style.font_face("latin only, tɕ") == ""
