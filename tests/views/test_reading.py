"""A text on its way to symbols: escaped, a colour for each rule, unknown symbols marked."""

from __future__ import annotations

import pytest

from nbkit.views import reading, style

WORDS = [
    reading.Word(
        ("3시", "세 시"), ("native numeral",), (("ᄉ", True), ("ᅦ", True), (" ", True), ("ᄉ", True), ("ᅵ", True))
    ),
    reading.Word(("<b>TV", "<b>티비"), ("Latin word", "native numeral"), (("<", False), ("ᄐ", True))),
    reading.Word(("네", "네"), (), (("ᄂ", True), ("ᅦ", True))),
]


def test_a_reading_as_a_page():
    page = reading.table(WORDS, ("written", "read"))._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;티비" in page
    assert page.count(f"background:{style.SERIES[0]}") == 2, "the same rule has the same colour"
    assert page.count(f"background:{style.SERIES[1]}") == 1
    assert page.count("#c0392b") == 1
    assert page.count('font-weight:600">') == 2, "two words were changed"
    for letter in "ㅅㅔㄴ␣":
        assert letter in page
    assert "@font-face" in page, "Korean shows on a machine without such a font"


def test_a_reading_as_text():
    told = repr(reading.table(WORDS, ("written", "read")))
    assert told.splitlines()[1] == "3시 | 세 시 | native numeral | ㅅ ㅔ ␣ ㅅ ㅣ"
    assert told.splitlines()[2].endswith("<? ㅌ")


def test_steps_without_a_head_are_refused():
    with pytest.raises(ValueError, match="wants 1 steps"):
        reading.table(WORDS, ("written",))


def test_a_field_answers_what_is_typed_into_it():
    def answer(text: str) -> reading.Reading:
        if not text:
            raise ValueError("wanted a <text>")
        return reading.table([reading.Word((text,), (), ())], ("written",))

    box = reading.ask("네 시", answer)
    field, shown = box.children
    assert ">네 시<" in shown.value
    field.value = "두 시"
    assert ">두 시<" in shown.value
    field.value = ""
    assert "wanted a &lt;text&gt;" in shown.value
