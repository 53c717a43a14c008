"""Long texts: nothing is lost, sentences end where they end, words are said otherwise with the particle that fits."""

from __future__ import annotations

import re
import unicodedata
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
        ('"응……." 그가 말했다. "……." 비가 왔다.', ['"응……."', "그가 말했다.", '"……." 비가 왔다.']),
        ("그는 입을 열었다. “……”", ["그는 입을 열었다. “……”"]),
        ("「나비」를 읽었다.》 A.I. 연구자다.", ["「나비」를 읽었다.》", "A.I. 연구자다."]),
        ('"Stop!" he said. "Mr. Fox left."', ['"Stop!" he said.', '"Mr. Fox left."']),
        ("At 5 p.m. the U.S. Army, e.g. No. 5, came. Yes. No. Go.", None),
    ],
)
def test_sentences_end_where_they_end(paragraph: str, cut: list[str] | None):
    assert book.sentences(paragraph) == (cut or ["At 5 p.m. the U.S. Army, e.g. No. 5, came.", "Yes.", "No.", "Go."])


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
        ("CHAPTER I.\n\nDown.\n\nPart Two\n\nUp.\n\nEpilogue\n\nEnd.", ["CHAPTER I.", "Part Two", "Epilogue"]),
        ("프롤로그\n\n옛날이다.\n\n에필로그처럼\n\n끝.", ["프롤로그"]),
        ("# ***\n\n글이다.", [""]),
        ("#꼬리표는 제목이 아니다", [""]),
    ],
)
def test_only_headings_are_headings(text: str, titles: list[str]):
    assert [one.title for one in book.chapters(text)] == titles


def test_a_file_without_empty_lines_has_a_paragraph_a_line():
    assert [len(one.paragraphs) for one in book.chapters("하나.\n둘.\n셋.")] == [3]


def test_lines_that_end_like_sentences_are_paragraphs_and_wrapped_ones_are_not():
    novel = "제 1 장\n비가 왔다.\n“가자.”\n“응…….”\n둘은 걸었다.\n\n해가 졌다.\n끝."
    assert [len(one.lines) for one in book.chapters(novel)] == [7]
    assert [len(one.paragraphs) for one in book.chapters(novel)] == [7]
    wrapped = (
        "비가 왔다. 바람이 불고 파도가 높아서 배가 뜨지 못하는 날이면\n사람들은 기다렸다.\n해가 뜨면\n간다.\n\n끝."
    )
    assert [len(one.paragraphs) for one in book.chapters(wrapped)] == [2]


def test_lines_of_a_poem_and_points_of_a_list_are_said_one_by_one():
    (chapter,) = book.chapters(
        "나 보기가 역겨워\n가실 때에는\n\n- 사과\n* **배**와 _감_\n1. 3 * 4\n\n> `말`이다.\n> > 끝."
    )
    assert [[line.text for line in paragraph] for paragraph in chapter.paragraphs] == [
        ["나 보기가 역겨워", "가실 때에는"],
        ["사과"],
        ["배와 감"],
        ["1. 3 * 4"],
        ["말이다."],
        ["끝."],
    ]
    assert chapter.paragraphs[0][0].end == "sentence"


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
        (b"PK\x03\x04\xff\0", "plain text"),
        ("한글".encode("utf-16"), "UTF-8"),
    ],
)
def test_a_file_that_is_no_text_is_refused_in_words(tmp_path, content: bytes, told: str):
    (tmp_path / "book.txt").write_bytes(content)
    with pytest.raises(DataError, match=told):
        book.read(tmp_path / "book.txt")


def test_what_only_a_layout_needs_is_left_out_and_letters_are_composed(tmp_path):
    (tmp_path / "book.txt").write_bytes(
        b"\xef\xbb\xbf" + unicodedata.normalize("NFD", "\u3000할머니가\u00a0왔\u200b다.\r\n\r\n끝.").encode()
    )
    (tmp_path / "words.tsv").write_text(unicodedata.normalize("NFD", "할머니\t할망"), encoding="utf-8")
    (line, end) = book.chapters(book.read(tmp_path / "book.txt"))[0].lines
    assert (line.text, end.text) == ("할머니가 왔다.", "끝.")
    said = book.glossary(tmp_path / "words.tsv").say(line.text)
    assert said.text == "할망이 왔다."
    assert book.word_places(line.text, said) == [(0, 4, "할망이"), (5, 8, "")]


def test_every_breath_has_something_to_say():
    text = "# 가\n\n* _ *\n\n그는 -- -- -- -- -- -- 갔다 … ... ... ... ... ... ...\n\n“……”\n끝 . . . ."
    lines = [line.text for chapter in book.chapters(text, 10) for line in chapter.lines]
    assert lines[1:3] == ["그는 -- --", "-- -- -- -- 갔다 … ... ... ... ... ... ..."]
    assert all(re.search(r"[^\W_]", line) for line in lines)


def test_a_text_without_a_letter_and_breaths_of_nothing_are_refused():
    with pytest.raises(DataError, match="without a letter"):
        book.chapters("***\n\n---")
    with pytest.raises(ValueError, match="10 characters"):
        book.chapters("글.", 3)


GLOSSARY = Glossary(
    {"할머니": "할망", "바다": "바당", "GPT": "지피티", "어서 오세요": "혼저 옵서예", "할머": "틀림"}
    | {"배": "선박", "바다표범": "바다표범", "☃": "눈사람", "3": "삼", "달": "달빛", "서울": "한양"}
)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("할머니가 바다를 본다.", "할망이 바당을 본다."),
        ("할머니는 바다로, 할머니와 바다에서", "할망은 바당으로, 할망과 바당에서"),
        ("외할머니, 바닷가", "외할머니, 바닷가"),
        ("GPT를 GPTs와 GPT", "지피티를 GPTs와 지피티"),
        ("어서 오세요!", "혼저 옵서예!"),
        ("할머니였다. 바다라고, 바다로부터 할머니와의", "할망이었다. 바당이라고, 바당으로부터 할망과의"),
        ("배가 오고 배를 배우는 배에서의 배", "선박이 오고 선박을 배우는 선박에서의 선박"),
        ("달은 달리고 달로 간다. 서울로 가서 서울대", "달빛은 달리고 달빛으로 간다. 한양으로 가서 한양대"),
        ("바다표범은 바다에", "바다표범은 바당에"),
        ("읽는☃를 3과 30", "읽는눈사람을 삼과 30"),
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


def test_hanja_behind_what_they_write_are_shown_and_not_said():
    text = "제주(濟州)가 한자(漢字)를(을) 쓴다(漢)."
    said = Glossary({"제주": "탐라섬", "한자": "글"}).say(text)
    assert said.text == "탐라섬이 글을(을) 쓴다."
    assert [spoken for *_, spoken in book.word_places(text, said)] == ["탐라섬이", "글을(을)", "쓴다."]
    assert Glossary().say("漢字 (漢字)").text == "漢字 (漢字)"


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
