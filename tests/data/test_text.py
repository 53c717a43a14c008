"""Texts to symbols: every character has a symbol and a place, or is named."""

from __future__ import annotations

import json
import re
import unicodedata

import numpy as np
import pytest

from nbkit.data import espeak, text
from nbkit.data.text import FrontEnd, TextError, front_end

JAMO, LETTERS, PHONES = front_end("jamo"), front_end("letters"), front_end("phones", "ko")
KO, EN = espeak.sentences("ko", 400), espeak.sentences("en", 200)


def shown(found: text.Encoded, written: str) -> list[tuple[str, str]]:
    return [(symbol, written[start:end]) for symbol, (start, end) in zip(found.symbols, found.spans)]


def syllables(symbols: list[str]) -> str:
    return unicodedata.normalize("NFC", "".join(symbols))


# --- jamo


def test_jamo_put_together_again_are_the_text() -> None:
    for written in KO:
        found = JAMO.encode(written)
        assert syllables(found.symbols) == written
        assert [JAMO.symbols[i] for i in found.ids] == found.symbols
        assert found.ids.dtype == np.int64
        assert found.ids.min() > 0, "0 is the pad"
        assert found.spans.shape == (len(found.ids), 2)
        assert not found.dropped
        for symbol, part in shown(found, written):
            assert symbol in unicodedata.normalize("NFD", part)


def test_all_syllables_have_symbols_and_onset_and_coda_differ() -> None:
    every = "".join(map(chr, range(ord("가"), ord("힣") + 1)))
    assert syllables(JAMO.encode(every).symbols) == every
    assert JAMO.unknown(every) == []
    first, _, last = JAMO.encode("각").ids
    assert first != last


def test_arae_a_is_kept_in_every_form() -> None:
    expected = ["ᄒ", "ᆞ", "ᆫ", "ᄌ", "ᅥ"]
    for written in (
        "\u1112\u119e\u11ab저",
        "ㅎㆍㄴ저",
        "ㅎ\u119eㄴ저"[:1] + "ㆍㄴ저",
        "\u1112\u119e\u11ab\u110c\u1165",
    ):
        assert JAMO.encode(written).symbols == expected
    assert JAMO.encode("ᄆᆢᆯ").symbols == ["ᄆ", "ᆢ", "ᆯ"]
    assert JAMO.encode("ㆎ").symbols == ["ᆡ"]


def test_letters_typed_on_their_own() -> None:
    assert JAMO.encode("ㅋㅋ ㅠㅠ").symbols == ["ᄏ", "ᄏ", " ", "ᅲ", "ᅲ"]
    assert JAMO.encode("하ㅋㅋ").symbols == ["ᄒ", "ᅡ", "ᄏ", "ᄏ"]
    assert JAMO.encode("ㄱㅏㄱㅏㄱ").symbols == ["ᄀ", "ᅡ", "ᄀ", "ᅡ", "ᆨ"]
    assert JAMO.encode("ㄳ").symbols == ["ᆪ"]


def test_spans_point_to_what_was_written_however_it_was_written() -> None:
    decomposed = unicodedata.normalize("NFD", "값이")
    assert JAMO.encode(decomposed).symbols == JAMO.encode("값이").symbols
    assert shown(JAMO.encode(decomposed), decomposed)[2] == ("ᆹ", decomposed[:3])
    written = " “네” \n 라고…  "
    assert shown(JAMO.encode(written), written) == [
        ('"', "“"), ("ᄂ", "네"), ("ᅦ", "네"), ('"', "”"), (" ", " \n "),
        ("ᄅ", "라"), ("ᅡ", "라"), ("ᄀ", "고"), ("ᅩ", "고"), ("…", "…"),
    ]  # fmt: skip
    assert JAMO.encode("정말！？").symbols[-2:] == ["!", "?"]
    quoted = "‘가’ ― 「나」 · 다"
    assert syllables(JAMO.encode(quoted).symbols) == "'가' - \"나\" , 다"


def test_nothing_is_dropped_without_a_word() -> None:
    written = "AI 시대 3개, ３층 café_ 漢"
    assert JAMO.unknown(written) == sorted({*"AI3３caf_漢", "é"})
    with pytest.raises(
        TextError, match=r"'jamo' cannot read '3' \(U\+0033\).*'A' \(U\+0041\).*write it as it is spoken"
    ):
        JAMO.encode(written)
    found = JAMO.encode(written, strict=False)
    assert found.dropped == [*"AI3３caf", "é", "_", "漢"]
    assert syllables(found.symbols) == " 시대 개, 층  "
    kept = {i for start, end in found.spans for i in range(start, end)}
    assert {i for i in range(len(written)) if i not in kept} == {
        i for i, c in enumerate(written) if c in "AI3３café_漢"
    }
    assert JAMO.encode("").ids.shape == (0,)
    assert JAMO.encode("").spans.shape == (0, 2)


def test_marks_that_join_do_not_hide() -> None:
    assert JAMO.unknown("가\u302e") == ["\u302e"]
    assert JAMO.unknown("\ufeff가") == ["\ufeff"]
    assert LETTERS.unknown("cafe\u0301") == ["e\u0301"]


# --- letters


def test_english_letters() -> None:
    for written in EN:
        assert "".join(LETTERS.encode(written).symbols) == written.lower()
    assert "".join(LETTERS.encode("It’s  “fine”—isn't it?").symbols) == "it's \"fine\"-isn't it?"
    assert LETTERS.unknown("한 naïve 3") == ["3", "ï", "한"]


# --- phones


def test_phones_of_a_text_are_those_of_its_recording() -> None:
    for language, written in (("ko", KO[0]), ("ko", KO[7]), ("en", EN[0])):
        reader = front_end("phones", language)
        said = espeak.speak(written, language)
        found = reader.encode(written)
        assert found.symbols == [phone.label for phone in said.phones]
        assert found.spans.tolist() == [[phone.char_start, phone.char_end] for phone in said.phones]
        labelled = reader.encode(found.symbols)
        assert labelled.ids.tolist() == found.ids.tolist()
        assert labelled.spans.tolist() == [[i, i + 1] for i in range(len(found.ids))]


def test_all_shipped_texts_have_phones() -> None:
    for language, written in (("ko", KO), ("en", EN)):
        reader = front_end("phones", language)
        labels = {label for sentence in written for label in espeak.phones(sentence, language)}
        assert len(labels) > 60
        assert not labels - set(reader.symbols)


def test_any_pair_of_syllables_has_phones() -> None:
    draw = np.random.default_rng(0)
    for _ in range(150):
        made = "".join(chr(c) for c in draw.integers(ord("가"), ord("힣") + 1, 8))
        PHONES.encode(f"{made[:3]} {made[3:]}")


def test_phones_keep_the_places_of_the_written_text() -> None:
    written = unicodedata.normalize("NFD", "값은") + " “얼마”！"
    found = PHONES.encode(written)
    places = list(dict.fromkeys(part for _, part in shown(found, written)))
    assert places == [written[:6], " “", "얼마", "”！"]
    assert found.symbols[-1] == "!"


def test_phones_name_what_they_cannot_read() -> None:
    with pytest.raises(TextError, match=r"'zz' .*in \['n', 'zz'\]"):
        PHONES.encode(["n", "zz"])
    assert PHONES.encode(["n", "zz", "i"], strict=False).dropped == ["zz"]
    with pytest.raises(TextError, match=r"'ˈaɪ' of 'AI'"):
        PHONES.encode("AI 시대")
    with pytest.raises(TextError, match=r"U\+119E"):
        PHONES.encode("ᄒᆞᆫ저")
    found = PHONES.encode("좋아~ 그래!", strict=False)
    assert found.dropped == ["~"]
    assert found.symbols == PHONES.encode("좋아 그래!").symbols
    assert PHONES.unknown("좋아~ 😀") == ["~", "😀"]
    with pytest.raises(TextError, match="only 'phones' takes those"):
        JAMO.encode(["n"])


# --- versions


@pytest.mark.parametrize(
    "reader", [JAMO, LETTERS, PHONES, front_end("phones", "en")], ids=lambda r: r.name + r.language
)
def test_a_front_end_survives_json(reader: FrontEnd) -> None:
    again = FrontEnd.from_dict(json.loads(json.dumps(reader.as_dict())))
    assert type(again) is type(reader)
    assert again.as_dict() == reader.as_dict()
    written = EN[3] if reader.language == "en" or reader.name == "letters" else KO[3]
    assert again.encode(written).ids.tolist() == reader.encode(written).ids.tolist()
    assert reader.symbols[0] == "_"
    assert len(set(reader.symbols)) == len(reader.symbols)


def test_symbols_do_not_change_without_a_new_version() -> None:
    """A change here breaks nothing old (checkpoints keep their symbols), but it must be meant."""
    found = {
        r.name + r.language: (r.version, len(r.symbols)) for r in (JAMO, LETTERS, PHONES, front_end("phones", "en"))
    }
    assert found == {
        "jamo": ("1-40844f9c", 85),
        "letters": ("1-31970955", 41),
        "phonesko": ("1-36cdca18", 82),
        "phonesen": ("1-be9e143d", 319),
    }


def test_an_old_list_of_symbols_is_read_with_its_own_ids() -> None:
    class Older(text.Jamo):
        def own_symbols(self):
            return [symbol for symbol in super().own_symbols() if symbol not in "…ᆢ"]

    kept = Older().as_dict()
    again = FrontEnd.from_dict(kept)
    assert again.version != JAMO.version
    assert again.symbols == tuple(kept["symbols"])
    assert again.encode("값!").symbols == JAMO.encode("값!").symbols
    assert again.unknown("값…") == ["…"]


def test_what_cannot_be_reproduced_is_refused() -> None:
    kept = JAMO.as_dict()
    for changed, reason in (
        ({"name": "morse"}, "wanted a front end among jamo, letters, phones, got 'morse'"),
        ({"version": "2-" + JAMO.version[2:]}, "use the nbkit that made it"),
        ({"symbols": kept["symbols"][::-1]}, "use the nbkit that made it"),
        ({"version": ""}, "use the nbkit that made it"),
    ):
        with pytest.raises(TextError, match=re.escape(reason)):
            FrontEnd.from_dict({**kept, **changed})
    with pytest.raises(TextError, match="speaks ko or en, got 'fr'"):
        front_end("phones", "fr")
    with pytest.raises(TextError, match="wanted a front end"):
        front_end("braille")


# --- words


def test_each_token_knows_its_word() -> None:
    written = "값이, 정말 싸네요!"
    said = espeak.speak(written)
    words = [(word.char_start, word.char_end, word.start, word.end) for word in said.words]
    for reader in (JAMO, PHONES):
        found = reader.encode(written)
        index = text.words_of(found.spans, words)
        assert index.dtype == np.int64
        for symbol, (start, end), word in zip(found.symbols, found.spans, index):
            if symbol in (" ", *espeak.PAUSES):
                assert word == -1
            else:
                assert words[word][0] <= start < end <= words[word][1]
        assert sorted(set(index.tolist())) == [-1, 0, 1, 2]
    assert text.words_of(np.array([[-1, -1], [0, 1], [2, 3], [99, 100]]), words).tolist() == [-1, 0, -1, -1]
    assert text.words_of(JAMO.encode(written).spans, []).tolist() == [-1] * len(JAMO.encode(written).ids)


def test_all_tokens_but_punctuation_have_a_word_in_shipped_texts() -> None:
    for reader, language, sentences in ((JAMO, "ko", KO[:60]), (LETTERS, "en", EN[:40])):
        for written in sentences:
            found = reader.encode(written)
            words = [(word.char_start, word.char_end) for word in espeak.speak(written, language).words]
            index = text.words_of(found.spans, words)
            lost = [symbol for symbol, word in zip(found.symbols, index) if word < 0 and symbol not in text.PUNCTUATION]
            assert not lost, written
            assert (np.diff(index[index >= 0]) >= 0).all()
            assert set(index[index >= 0]) == set(range(len(words)))
