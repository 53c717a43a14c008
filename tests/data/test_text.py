"""Texts to symbols: every character has a symbol and a place, or is named."""

from __future__ import annotations

import json
import re
import unicodedata

import numpy as np
import pytest

from nbkit.data import espeak, text
from nbkit.data.reading.pieces import text_of
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
        "\u1112\u119e\u11ab\u110c\u1165",
        "ㅎㆍㄴ저",
        "ㅎ\u119eㄴ저",
        "ﾾㆍﾤ저",
        unicodedata.normalize("NFKC", "ㅎㆍㄴ저"),
        unicodedata.normalize("NFD", "ㅎㆍㄴ저"),
    ):
        assert JAMO.encode(written).symbols == expected, ascii(written)
        assert front_end("jamo", pronounce=True).encode(written).symbols == expected, ascii(written)
    assert JAMO.encode("ᄆᆢᆯ").symbols == ["ᄆ", "ᆢ", "ᆯ"]
    assert JAMO.encode("ㆎ").symbols == ["ᆡ"]


def test_letters_typed_on_their_own() -> None:
    assert JAMO.encode("ㅋㅋ ㅠㅠ").symbols == ["ᄏ", "ᄏ", " ", "ᅲ", "ᅲ"]
    assert JAMO.encode("하ㅋㅋ").symbols == ["ᄒ", "ᅡ", "ᄏ", "ᄏ"]
    assert JAMO.encode("ㄱㅏㄱㅏㄱ").symbols == ["ᄀ", "ᅡ", "ᄀ", "ᅡ", "ᆨ"]
    assert JAMO.encode("ㄳㅄ").symbols == ["ᆪ", "ᆹ"]
    assert JAMO.encode("ﾡￂﾤ").symbols == JAMO.encode("간").symbols


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
    written = "시대 3개★, ３층 _漢"
    assert JAMO.unknown(written) == sorted("★_漢")
    with pytest.raises(
        TextError, match=r"'jamo' cannot read '_' \(U\+005F\).*'★' \(U\+2605\).*write it as it is spoken"
    ):
        JAMO.encode(written)
    found = JAMO.encode(written, strict=False)
    assert found.dropped == [*"★_漢"]
    assert syllables(found.symbols) == "시대 세 개, 삼 층 "
    kept = {i for start, end in found.spans for i in range(start, end)}
    assert {i for i in range(len(written)) if i not in kept} == {i for i, c in enumerate(written) if c in "★_漢"}
    assert JAMO.encode("").ids.shape == (0,)
    assert JAMO.encode("").spans.shape == (0, 2)


def test_marks_that_join_do_not_hide() -> None:
    assert JAMO.unknown("가\u302e") == ["\u302e"]
    assert JAMO.unknown("\ufeff가") == ["\ufeff"]
    assert LETTERS.unknown("go\u20dd") == ["\u20dd"]


# --- letters


def test_english_letters() -> None:
    for written in EN:
        assert "".join(LETTERS.encode(written).symbols) == written.lower()
    assert "".join(LETTERS.encode("It’s  “fine”—isn't it?").symbols) == "it's \"fine\"-isn't it?"
    assert LETTERS.unknown("한 naïve 3") == ["한"]
    assert "".join(LETTERS.encode("On May 5, 1999 I·we paid $3.").symbols).startswith("on may fifth, nineteen ninety")
    assert "".join(LETTERS.encode("red·green").symbols) == "red,green"


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
    assert PHONES.encode("AI 시대 3시").symbols == PHONES.encode("에이아이 시대 세 시").symbols
    with pytest.raises(TextError, match=r"U\+119E"):
        PHONES.encode("ᄒᆞᆫ저")
    found = PHONES.encode("좋아~ 그래!", strict=False)
    assert found.dropped == ["~"]
    assert found.symbols == PHONES.encode("좋아 그래!").symbols
    assert PHONES.unknown("좋아~ 😀") == ["~", "😀"]
    with pytest.raises(TextError, match="only 'phones' takes those"):
        JAMO.encode(["n"])


# --- reading and pronunciation


def test_the_steps_of_a_text() -> None:
    reader = front_end("jamo", pronounce=True)
    steps = reader.steps("같이 5명이 먹는 8월 밥만")
    told = [text_of(pieces) for pieces in steps[:3]]
    assert told == ["같이 5명이 먹는 8월 밥만", "같이 다섯 명이 먹는 팔월 밥만", "가치 다선 명이 멍는 파뤌 밤만"]
    assert syllables([piece.symbol for piece in steps.symbols]) == told[2]
    assert [one.rule for one in steps.fired] == ["native numeral", "number"]
    plain = JAMO.steps("같이 5명이 먹는 8월 밥만")
    assert plain.pronounced == plain.read == steps.read


def test_pronunciation_keeps_the_places() -> None:
    reader = front_end("jamo", pronounce=True)
    for written in KO[:100]:
        found = reader.encode(written)
        under = {i for start, end in found.spans for i in range(start, end)}
        assert not [c for i, c in enumerate(written) if not c.isspace() and i not in under]
        assert (np.diff(found.spans, axis=0) >= 0).all()


def test_pronounced_phones_are_those_of_what_is_heard() -> None:
    assert front_end("phones", "ko", pronounce=True).encode("먹는").symbols == PHONES.encode("멍는").symbols


# --- versions


@pytest.mark.parametrize(
    "reader",
    [JAMO, LETTERS, PHONES, front_end("phones", "en"), front_end("jamo", pronounce=True)],
    ids=lambda r: r.name + r.language + "+" * r.pronounce,
)
def test_a_front_end_survives_json(reader: FrontEnd) -> None:
    again = FrontEnd.from_dict(json.loads(json.dumps(reader.as_dict())))
    assert type(again) is type(reader)
    assert again.as_dict() == reader.as_dict()
    assert again.pronounce == reader.pronounce
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
        "jamo": ("2-40844f9c", 85),
        "letters": ("2-31970955", 41),
        "phonesko": ("2-36cdca18", 82),
        "phonesen": ("2-be9e143d", 319),
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
        ({"name": "morse"}, "wanted a front end among jamo, letters, phones, arpabet, got 'morse'"),
        ({"version": "1-" + JAMO.version[2:]}, "use the nbkit that made it"),
        ({"symbols": kept["symbols"][::-1]}, "use the nbkit that made it"),
        ({"version": ""}, "use the nbkit that made it"),
    ):
        with pytest.raises(TextError, match=re.escape(reason)):
            FrontEnd.from_dict({**kept, **changed})
    with pytest.raises(TextError, match="speaks ko or en, got 'fr'"):
        front_end("phones", "fr")
    with pytest.raises(TextError, match="wanted a front end"):
        front_end("braille")
    for name, language in (("letters", ""), ("phones", "en")):
        with pytest.raises(TextError, match="pronounce wants Korean"):
            front_end(name, language, pronounce=True)


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


def test_what_was_read_belongs_to_its_word() -> None:
    written = "오후 3시 30분, TV!"
    words = [(found.start(), found.end()) for found in re.finditer(r"[\w:]+", written)]
    found = JAMO.encode(written)
    index = text.words_of(found.spans, words)
    assert [syllables([s for s, i in zip(found.symbols, index) if i == word]) for word in range(4)] == [
        "오후", "세 시", "삼십 분", "티비",
    ]  # fmt: skip


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
