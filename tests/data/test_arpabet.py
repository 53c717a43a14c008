"""English as ARPAbet, for voices that know the symbols of the CMU dictionary."""

import pytest

from nbkit.data import arpabet
from nbkit.data.text import FrontEnd, TextError, front_end

READER = front_end("arpabet")


@pytest.mark.parametrize(
    ("word", "phones"),  # as in CMUdict 0.7
    [
        ("cat", "K AE1 T"),
        ("the", "DH AH0"),
        ("thing", "TH IH1 NG"),
        ("water", "W AO1 T ER0"),
        ("ladder", "L AE1 D ER0"),
        ("judge", "JH AH1 JH"),
        ("vision", "V IH1 ZH AH0 N"),
        ("hurry", "HH ER1 IY0"),
        ("boy", "B OY1"),
        ("house", "HH AW1 S"),
        ("fire", "F AY1 ER0"),
        ("car", "K AA1 R"),
        ("button", "B AH1 T AH0 N"),
        ("yellow", "Y EH1 L OW0"),
        ("don't", "D OW1 N T"),
        ("shouldn't", "SH UH1 D AH0 N T"),
        ("understand", "AH2 N D ER0 S T AE1 N D"),
    ],
)
def test_words_are_said_as_in_the_dictionary(word, phones):
    assert " ".join(arpabet.pronounced(word)) == phones
    assert arpabet.pronounced(word.capitalize()) == tuple(phones.split())


def test_phones_stand_for_their_word_and_marks_for_themselves():
    text = "Well-known: the cat’s… (ha)!"
    read = READER.encode(text)
    words = {text[a:b] for a, b in read.spans.tolist()}
    assert words == {"Well", "-", "known", ":", " ", "the", "cat’s", "…", "(", "ha", ")", "!"}
    assert read.symbols[:4] == ["@W", "@EH1", "@L", "-"]
    assert read.symbols.count(".") == 3
    assert [READER.symbols[i] for i in read.ids] == read.symbols
    assert not read.dropped


def test_numbers_and_abbreviations_are_read_first():
    assert READER.encode("Dr. Lee paid $2.").symbols == READER.encode("doctor Lee paid two dollars.").symbols


def test_a_word_that_espeak_cannot_say_is_spelled():
    word = "abc" * 20  # longer than eSpeak says whole
    assert arpabet.pronounced(word) == ()
    assert READER.encode(word.upper()).symbols == list(word)


def test_what_has_no_symbol_is_named():
    with pytest.raises(TextError, match=r"'arpabet' cannot read '\"' \(U\+0022\), '한'"):
        READER.encode('a "한')
    assert READER.unknown('"no 한 한"') == ['"', "한"]


def test_labels_and_a_table_that_was_kept():
    assert READER.encode(["HH", "AY1"]).symbols == ["@HH", "@AY1"]
    again = FrontEnd.from_dict(READER.as_dict())
    assert isinstance(again, arpabet.Arpabet)
    assert again.symbols == READER.symbols
