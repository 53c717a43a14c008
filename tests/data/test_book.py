"""Long texts: nothing is lost, sentences end where they end, words are said otherwise with the particle that fits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nbkit.data import book, texts
from nbkit.data.book import Glossary
from nbkit.data.disk import DataError

HOME = Path(texts.__file__).parent


@pytest.mark.parametrize(
    ("paragraph", "cut"),
    [
        ("비가 왔다. 그쳤다! 정말? 그래…", ["비가 왔다.", "그쳤다!", "정말?", "그래…"]),
        ('"가자." 하고 말했다. "응!" 그가 웃었다.', ['"가자." 하고 말했다.', '"응!"', "그가 웃었다."]),
        ("“갈까?” 라고 물었다. 답이 없다.", ["“갈까?” 라고 물었다.", "답이 없다."]),
        ("1. 첫째이다. 값은 3.5이다.", ["1. 첫째이다.", "값은 3.5이다."]),
        ("Dr. Kim met J. Lee. They left.", ["Dr. Kim met J. Lee.", "They left."]),
        ("끝표가 없는 문장", ["끝표가 없는 문장"]),
    ],
)
def test_sentences_end_where_they_end(paragraph: str, cut: list[str]):
    assert book.sentences(paragraph) == cut


@pytest.mark.parametrize("name", ["ko_tale.txt", "en_tale.txt"])
@pytest.mark.parametrize("longest", [10, 25, 80])
def test_nothing_is_lost_and_no_breath_is_too_long(name: str, longest: int):
    text = book.read(HOME / name)
    lines = [line.text for chapter in book.chapters(text, longest) for line in chapter.lines]
    assert " ".join(lines) == " ".join(re.sub(r"(?m)^#+ ", "", text).split())
    assert all(len(line) <= longest or " " not in line for line in lines)


def test_chapters_paragraphs_and_what_follows_each_line():
    text = "머리말이다.\n\n제 1 장 바다\n\n물이 깊다. 배가\n떴다.\n\n둘째 문단.\n***\n# 산 #\n높다."
    found = book.chapters(text)
    assert [(one.title, [[line.text for line in lines] for lines in one.paragraphs]) for one in found] == [
        ("", [["머리말이다."]]),
        ("제 1 장 바다", [["제 1 장 바다"], ["물이 깊다.", "배가 떴다."], ["둘째 문단."]]),
        ("산", [["산"], ["높다."]]),
    ]
    assert [line.end for line in found[1].lines] == ["heading", "sentence", "paragraph", "paragraph"]


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("Chapter 2: The sea\n\nIt is deep.", ["Chapter 2: The sea"]),
        ("1부터 센다.\n\n3장 남았다.\n\nChapter and verse were lost", [""]),
        ("남은 것은\n3장 뿐이었고\n모두 젖었다.\n\n끝이다.", [""]),
        ("12화 돌아온 봄\n\n봄이다.", ["12화 돌아온 봄"]),
        ("# ***\n\n글이다.", [""]),
        ("#꼬리표는 제목이 아니다", [""]),
    ],
)
def test_only_headings_are_headings(text: str, titles: list[str]):
    assert [one.title for one in book.chapters(text)] == titles


def test_a_file_without_empty_lines_has_a_paragraph_a_line():
    assert [len(one.paragraphs) for one in book.chapters("하나.\n둘.\n셋.")] == [3]


def test_a_long_sentence_is_cut_at_a_comma_first():
    (chapter,) = book.chapters("바람이 불었고 비가 왔으며, 배는 뜨지 못했고 사람들은 기다렸다.", 20)
    assert [(line.text, line.end) for line in chapter.lines] == [
        ("바람이 불었고 비가 왔으며,", "clause"),
        ("배는 뜨지 못했고 사람들은 기다렸다.", "paragraph"),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty file"),
        (b" \n\n", "empty file"),
        ("한글".encode("cp949"), "UTF-8"),
        (b"PK\x03\x04\0\0", "zero bytes"),
    ],
)
def test_a_file_that_is_no_text_is_refused_in_words(tmp_path, content: bytes, told: str):
    (tmp_path / "book.txt").write_bytes(content)
    with pytest.raises(DataError, match=told):
        book.read(tmp_path / "book.txt")


def test_a_text_without_a_letter_and_breaths_of_nothing_are_refused():
    with pytest.raises(DataError, match="without a letter"):
        book.chapters("***\n\n---")
    with pytest.raises(ValueError, match="10 characters"):
        book.chapters("글.", 3)


GLOSSARY = Glossary({"할머니": "할망", "바다": "바당", "GPT": "지피티", "어서 오세요": "혼저 옵서예", "할머": "틀림"})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("할머니가 바다를 본다.", "할망이 바당을 본다."),
        ("할머니는 바다로, 할머니와 바다에서", "할망은 바당으로, 할망과 바당에서"),
        ("외할머니, 바닷가", "외할머니, 바닷가"),
        ("GPT를 GPTs와 GPT", "지피티를 GPTs와 지피티"),
        ("어서 오세요!", "혼저 옵서예!"),
    ],
)
def test_a_glossary_says_words_otherwise(written: str, said: str):
    found = GLOSSARY.say(written)
    assert found.text == said
    for piece in found.pieces:
        assert 0 <= piece.start < piece.end <= len(written)


def test_places_of_words_know_what_is_said():
    text = "어서 오세요 할머니가 왔다."
    found = book.word_places(text, GLOSSARY.say(text))
    assert [(text[start:end], said) for start, end, said in found] == [
        ("어서 오세요", "혼저 옵서예"),
        ("할머니가", "할망이"),
        ("왔다.", ""),
    ]


@pytest.mark.parametrize(
    ("lines", "told"),
    [("할머니 할망", "a tab"), ("가\t나\t다", "a tab"), ("가\t나\n가\t다", "second time"), ("가\t", "a tab")],
)
def test_a_glossary_of_another_form_is_refused(tmp_path, lines: str, told: str):
    (tmp_path / "words.tsv").write_text(f"# remark\n\n{lines}\n", encoding="utf-8")
    with pytest.raises(DataError, match=told):
        book.glossary(tmp_path / "words.tsv")


def test_captions_are_escaped_and_in_time():
    made = book.captions([(0.0, 1.5, [("a<b", 0.0), ("나&", 1.25)]), (3600.0, 3661.5, [("끝", 3600.0)])])
    assert made.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\na&lt;b <00:00:01.250>나&amp;\n")
    assert "01:00:00.000 --> 01:01:01.500\n끝\n" in made
