"""The table of claims: words beside colours, text escaped, a picture of the same."""

import pytest

from nbkit.views import claims
from nbkit.views.claims import Row

ROWS = [
    Row("92 million <b>parameters</b>", "README", "92,186,880", "holds", "claimed: 91 to 93 million", "nbkit run x"),
    Row("정확도 .901", "README", "", "not checked", "no run yet"),
    Row("faster 😀 and " + "longer " * 30, "$where$", "1.2", "does not hold", "claimed: at least 2"),
    Row("bits", "", "3", "open", "measured on something else"),
]


def test_verdicts_are_words_and_text_is_escaped():
    shown = claims.table(ROWS)._repr_html_()
    assert "92 million &lt;b&gt;parameters&lt;/b&gt;" in shown
    assert all(f"{mark} {word}" in shown for word, (mark, _) in claims.MARKS.items())
    assert shown.count("<code>") == 1
    assert "@font-face" in shown


def test_the_picture_grows_with_the_text(tmp_path):
    path = claims.table(ROWS).save(tmp_path / "claims.html")
    assert path.read_text(encoding="utf8").startswith("<!doctype html>")
    assert path.with_suffix(".png").read_bytes() == claims.table(ROWS)._repr_png_()
    short, long = (claims.picture(rows).figure.get_figheight() for rows in (ROWS[:1], ROWS[2:3]))
    assert short < long


def test_in_words():
    assert repr(claims.table(ROWS[:1])).startswith("✓ holds: 92 million")


def test_no_rows_and_no_verdicts_are_refused():
    with pytest.raises(ValueError, match="wants a row"):
        claims.table([])
    with pytest.raises(ValueError, match="verdict of holds, does not hold, open, not checked, got 'true'"):
        claims.table([ROWS[0]._replace(verdict="true")])
