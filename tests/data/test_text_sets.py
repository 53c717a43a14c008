"""Sets of texts: their rows and splits, running text, what is made on the spot, and what is told of them."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import re
import shutil
import sys
import tracemalloc
from pathlib import Path

import pytest
import yaml

from nbkit.base import workspace
from nbkit.data import check, check_text, fetching, manifest, schema, text_files, text_sets
from nbkit.data.disk import DataError, hash_of
from nbkit.data.schema import ManifestError
from nbkit.data.text_sets import documents, here, open_text_set, source_fingerprint

GOOD = {"name": "mine", "title": "Mine", "language": "ko", "licence": "CC0"}


class Mine:
    """A set `mine` with files that a test writes."""

    def __init__(self, home: Path, folder: Path):
        self.home, self.folder, self.described = home, folder, {}
        folder.mkdir()

    def describe(self, text: dict, **changed) -> Path:
        self.described = GOOD | {"folder": str(self.folder), "text": text} | changed
        path = self.home / "mine.yaml"
        described = {key: value for key, value in self.described.items() if value is not None}
        path.write_text(yaml.safe_dump(described, allow_unicode=True), encoding="utf-8")
        return path

    def write(self, name: str, content: str, encoding: str = "utf-8") -> None:
        (self.folder / name).write_bytes(content.encode(encoding))


@pytest.fixture
def mine(home: Path, tmp_path: Path) -> Mine:
    return Mine(home, tmp_path / "files")


LABELS = {
    "kind": "labels",
    "format": "tsv",
    "files": {"train": ["a.txt"], "validation": ["v.txt"], "test": ["b.txt"]},
    "columns": {"id": "id", "text": "document", "label": "label"},
}


# --- manifests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "changed", "told"),
    [
        (
            {"kind": "songs"},
            {},
            "field 'text.kind': wanted one of labels, scores, answers, running, model, got \"songs\"",
        ),
        ({"format": "xlsx"}, {}, "field 'text.format': wanted one of tsv, csv"),
        (
            {"format": "parquet"},
            {},
            "field 'text.format': wanted one of tsv, csv, jsonl, json for labels, got 'parquet'",
        ),
        ({"format": None}, {}, "wanted one of tsv, csv, jsonl, json for labels, got ''"),
        ({"files": None}, {}, "wanted field 'text.files' (train, validation, test), got none"),
        ({"files": {"test": ["b"]}}, {}, "wanted field 'text.files.train' (paths of files), got none"),
        ({"columns": None}, {}, "wanted field 'text.columns.text' for labels in tsv, got none; add it"),
        ({"columns": {"text": "a"}}, {}, "wanted field 'text.columns.label' for labels in tsv"),
        ({"colums": {}}, {}, "unknown field 'text.colums'; did you mean 'text.columns'?"),
        ({"kind": "scores"}, {}, "wanted field 'text.columns.pair' for scores in tsv"),
        ({"kind": "running", "format": "parquet", "columns": None}, {}, "wanted field 'text.columns.text' for running"),
        ({"build": "film_reviews"}, {}, "field 'text.build': wanted with an archive in 'sources'"),
        ({"test_percent": 100}, {}, "field 'text.test_percent': wanted a percentage below 100"),
        ({"kind": "model"}, {}, "field 'text.format': wanted of texts only, but this is a model; remove it"),
        ({"made": "poems"}, {}, "field 'text.made': wanted one of documents, reviews"),
        ({"made": "reviews"}, {}, "wanted one of 'sources', 'downloads' and 'folder', or 'text.made' without any"),
        ({}, {"folder": None}, "wanted one of 'sources', 'downloads' and 'folder', or 'text.made'"),
        ({}, {"rate": 16000}, "field 'rate': wanted of recordings only, but this manifest has 'text'"),
        ({}, {"layout": {"metadata": "x"}}, "field 'layout': wanted of recordings only"),
        ({}, {"downloads": ["a.txt"]}, "field 'downloads': wanted a list of files, each with path and source"),
        (
            {},
            {"downloads": [{"path": "a.txt"}]},
            "wanted field 'downloads[1].source' (its address, http:// or https://)",
        ),
        (
            {},
            {"downloads": [{"path": "a", "source": "https://x/a", "mirrors": ["b"]}]},
            "field 'downloads[1].mirrors': wanted a list of further addresses of the same file, got",
        ),
        (
            {},
            {"downloads": [{"path": "/a", "source": "https://x/a"}]},
            "field 'downloads[1].path': wanted where it lies",
        ),
        ({}, {"downloads": [{"path": "a/../../b", "source": "https://x/a"}]}, "field 'downloads[1].path': wanted"),
    ],
)
def test_a_wrong_manifest_is_told_by_field(mine: Mine, text: dict, changed: dict, told: str):
    described = {key: value for key, value in (LABELS | text).items() if value is not None}
    path = mine.describe(described, **changed)
    with pytest.raises(ManifestError) as error:
        manifest.load("mine")
    assert str(error.value).startswith(f"{path}: ")
    assert told in str(error.value)


def test_shipped_sets_are_described():
    kinds = {name: found.text.kind for name in manifest.names() if (found := manifest.load(name)).text}
    assert kinds == {
        "klue_nli": "labels",
        "klue_sts": "scores",
        "klue_ynat": "labels",
        "ko_wikipedia": "running",
        "kobert_tokenizer": "model",
        "kobert_weights": "model",
        "kor_nli": "labels",
        "kor_sts": "scores",
        "made_answers": "answers",
        "made_documents": "running",
        "made_pairs": "labels",
        "made_reviews": "labels",
        "made_scores": "scores",
        "nsmc": "labels",
        "nsmc_raw": "running",
        "question_pair": "labels",
        "songys_chatbot": "answers",
        "ud_kaist": "running",
    }


def test_texts_and_recordings_are_not_mistaken_for_each_other():
    with pytest.raises(ManifestError, match=r"made_pairs is a set of texts.*open_text_set\(\"made_pairs\"\)"):
        manifest.open_dataset("made_pairs")
    with pytest.raises(ManifestError, match=r"a set of texts.*documents\(\"made_documents\"\)"):
        manifest.open_dataset("made_documents")
    with pytest.raises(ManifestError, match="a set of texts, wanted one of recordings"):
        check.check("made_pairs")
    for ask in (open_text_set, documents, source_fingerprint, check_text.check):
        with pytest.raises(ManifestError, match=r"espeak_ko is a set of recordings.*open_dataset\(\"espeak_ko\"\)"):
            ask("espeak_ko")
    with pytest.raises(DataError, match=r"made_documents is running text.*as a corpus"):
        open_text_set("made_documents")
    with pytest.raises(DataError, match="made_pairs is a set of labels, not running text"):
        documents("made_pairs")
    with pytest.raises(ManifestError, match="did you mean made_pairs"):
        open_text_set("made_pair")
    with pytest.raises(ManifestError, match="and there is no folder or file nowhere/at/all"):
        documents("nowhere/at/all")


def test_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("NBKIT_DATA", raising=False)
    asked = ("made_reviews", "made_documents", "nsmc", "nsmc_raw", "kobert_tokenizer", "espeak_ko", "no such", "../x")
    assert [name for name in asked if here(name)] == ["made_reviews", "made_documents"]
    monkeypatch.setenv("NBKIT_DATA", str(tmp_path))
    assert not here("kobert_tokenizer")
    for name in ("nsmc", "kobert_tokenizer"):
        (tmp_path / name).mkdir()
    assert [name for name in asked if here(name)] == ["made_reviews", "made_documents", "nsmc", "kobert_tokenizer"]


# --- rows -----------------------------------------------------------------------------------------------------------


def test_a_tsv_quotes_nothing_and_is_cut_at_line_feeds_only(mine: Mine):
    mine.describe(LABELS | {"labels": ["0=bad", "1=good"]})
    mine.write(
        "a.txt", '\ufeffid\tdocument\tlabel\n1\t"열린 따옴표\t0\r\n2\t한\x85줄\u2028이다\t1\n3\t \t1\n4\t가\t1\n'
    )
    mine.write("v.txt", "label\tdocument\tid\n1\t끝\t9")
    mine.write("b.txt", "id\tdocument\tlabel\t\n7\t각\t0\t\n")
    found = open_text_set("mine")
    assert found.kind == "labels"
    assert found.labels == ("bad", "good")
    assert not found.pairs
    assert [tuple(row)[:4] for row in found.splits["train"]] == [
        ("1", '"열린 따옴표', "", "bad"),
        ("2", "한\x85줄\u2028이다", "", "good"),
        ("4", "가", "", "good"),
    ]
    assert [row.id for row in found.splits["validation"]] == ["9"]
    assert [(row.text, row.label) for row in found.splits["test"]] == [("각", "bad")]  # composed
    assert all(math.isnan(row.score) for row in found.splits["train"])


def test_a_csv_may_quote_and_ids_are_file_and_line(mine: Mine):
    mine.describe(
        {
            "kind": "answers",
            "format": "csv",
            "files": {"train": ["a.csv"], "validation": ["a.csv"], "test": ["a.csv"]},
            "columns": {"text": "Q", "pair": "A"},
        }
    )
    mine.write("a.csv", 'Q,A,label\r\n"하나, 둘","그는 ""셋""이라\r\n했다",0\r\n넷,다섯,1\r\n')
    rows = open_text_set("mine").splits["test"]
    assert [tuple(row)[:4] for row in rows] == [
        ("a-3", "하나, 둘", '그는 "셋"이라\r\n했다', ""),
        ("a-4", "넷", "다섯", ""),
    ]


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json_is_dug_into(mine: Mine, form: str):
    items = [{"guid": f"g{n}", "s": {"a": f"글 {n}", "b": "둘"}, "labels": {"real": n / 2}} for n in range(3)]
    mine.describe(
        {
            "kind": "scores",
            "format": form,
            "files": {"train": ["a"], "validation": ["a"], "test": ["a"]},
            "columns": {"id": "guid", "text": "s.a", "pair": "s.b", "score": "labels.real"},
        }
    )
    mine.write("a", json.dumps(items) if form == "json" else "\n".join(map(json.dumps, items)))
    found = open_text_set("mine")
    assert found.pairs
    assert found.labels == ()
    assert found.splits["train"][1] == ("g1", "글 1", "둘", "", 0.5)
    del items[1]["labels"]
    mine.write("a", json.dumps(items) if form == "json" else "\n".join(map(json.dumps, items)))
    with pytest.raises(DataError, match=r"line 2: g1: wanted an object with 'labels.real', got none"):
        open_text_set("mine")


def test_bad_rows_are_named(mine: Mine):
    mine.describe(LABELS | {"labels": ["0", "1"]})
    mine.write("a.txt", "id\tdocument\tlabel\n1\t가\t0\n2\t나\n3\t다\t5\n4\t라\t\n5\t\t1\n")
    mine.write("v.txt", "id\tdocument\tlabel\n8\t가\t0\n")
    mine.write("b.txt", "id\tdocument\tlabel\n9\t가\t0\n")
    with pytest.raises(DataError) as error:
        open_text_set("mine")
    assert str(error.value).splitlines() == [
        "mine: 3 of 7 rows cannot be used:",
        "  line 3: 2: wanted 3 columns as in the first line, got 2",
        "  line 4: 3: wanted a label among 0, 1, got '5'",
        "  line 5: 4: no label",
        "`nbkit data check mine` lists them all; fetch the set again, or name them in `exclude`",
    ]
    report = check_text.check("mine")
    assert [problem.id for problem in report.problems] == report.excludable() == ["2", "3", "4"]
    mine.describe(LABELS | {"labels": ["0", "1"]}, exclude=["2", "3", "4"])
    assert [row.id for row in open_text_set("mine").splits["train"]] == ["1"]


@pytest.mark.parametrize("score", ["", "viel", "nan"])
def test_a_score_is_a_number(mine: Mine, score: str):
    text = {"kind": "scores", "columns": {"text": "document", "pair": "document", "score": "label"}}
    mine.describe(LABELS | text)
    for name in ("v.txt", "b.txt"):
        mine.write(name, "document\tlabel\n가\t1.5\n")
    mine.write("a.txt", f"document\tlabel\n가\t{score}\n")
    with pytest.raises(DataError, match="line 2: a-2: wanted a number as score"):
        open_text_set("mine")


def test_files_that_cannot_be_read(mine: Mine):
    mine.describe(LABELS)
    with pytest.raises(DataError, match=r"wanted the file .*a.txt, got none"):
        open_text_set("mine")
    mine.write("a.txt", "id\ttext\tlabel\n")
    with pytest.raises(DataError, match=r"wanted a column 'document', got id, text, label; correct `text\.columns`"):
        open_text_set("mine")
    mine.write("a.txt", "")
    with pytest.raises(DataError, match="wanted a column 'document', got an empty file"):
        open_text_set("mine")
    mine.write("a.txt", "id\tdocument\tlabel\n1\t글\t1\n", "cp949")
    with pytest.raises(DataError, match="is not utf-8"):
        open_text_set("mine")
    for name in ("a.txt", "v.txt", "b.txt"):
        mine.write(name, "id\tdocument\tlabel\n1\t글\t1\n", "cp949")
    mine.describe(LABELS | {"encoding": "cp949"})
    assert open_text_set("mine").splits["train"][0].text == "글"
    mine.describe(LABELS | {"encoding": "cp949", "format": "json"})
    with pytest.raises(DataError, match="not readable as json"):
        open_text_set("mine")


# --- splits ---------------------------------------------------------------------------------------------------------


def answers(mine: Mine, count: int = 600, **changed) -> dict[str, list]:
    lines = [f"질문{' ' * (n % 4)}{n // 2}번{'?' * (n % 3)},답 {n}" for n in range(count)]
    mine.write("a.csv", "Q,A\n" + "\n".join(lines))
    text = {"kind": "answers", "format": "csv", "files": {"train": ["a.csv"]}, "columns": {"text": "Q", "pair": "A"}}
    mine.describe(text | {"test_percent": 20}, **changed)
    return open_text_set("mine").splits


def test_rows_of_one_question_stay_together(mine: Mine):
    splits = answers(mine)
    questions = {split: {re.sub(r"\D", "", row.text) for row in rows} for split, rows in splits.items()}
    assert sum(map(len, splits.values())) == 600
    assert not questions["train"] & questions["test"]
    assert not questions["train"] & questions["validation"]
    assert not questions["validation"] & questions["test"]
    assert 80 < len(splits["test"]) < 160
    assert 10 < len(splits["validation"]) < 50
    assert [int(row.pair[2:]) for row in splits["train"]] == sorted(int(row.pair[2:]) for row in splits["train"])


def test_questions_that_are_written_differently_are_the_same():
    asked = ("Ａ형은 어때?", "a형은  어때", "A형은, 어때?!", "a형은어때~")
    assert {text_sets.plain_question(text) for text in asked} == {"a형은어때"}
    assert text_sets.plain_question("a형은 어때 2") != text_sets.plain_question("a형은 어때")
    assert text_sets.plain_question("?!") != text_sets.plain_question("...")
    assert text_sets.plain_question(" ?! ") == "?!"


def test_the_split_depends_on_nothing_but_the_question(mine: Mine):
    whole, part = answers(mine), answers(mine, 300)
    for split, rows in part.items():
        assert rows == [row for row in whole[split] if int(row.pair[2:]) < 300]


def test_fewer_rows_of_train_are_the_same_again():
    whole, few, fewer = (open_text_set("made_pairs", count) for count in (0, 300, 100))
    assert [len(found.splits["train"]) for found in (few, fewer)] == [300, 100]
    assert set(fewer.splits["train"]) < set(few.splits["train"]) < set(whole.splits["train"])
    for split in ("validation", "test"):
        assert whole.splits[split] == few.splits[split]
    assert len({found.fingerprint for found in (whole, few, fewer)}) == 3
    assert open_text_set("made_pairs", 300) == few


def test_the_fingerprint_changes_with_any_content(mine: Mine):
    first = "id\tdocument\tlabel\n1\t가\t0\n2\t나\t1\n"
    prints = []
    for content in (first, first.replace("가", "거"), first.replace("1\n", "0\n"), first.replace("2\t", "3\t"), first):
        for name in ("a.txt", "v.txt", "b.txt"):
            mine.write(name, content if name == "a.txt" else first)
        mine.describe(LABELS)
        prints.append(open_text_set("mine").fingerprint)
    assert len(set(prints)) == 4
    assert prints[0] == prints[-1]
    mine.describe(LABELS, title="Other", homepage="https://example.org", rows=7)
    assert open_text_set("mine").fingerprint == prints[0]


# --- running text ---------------------------------------------------------------------------------------------------


def test_a_folder_of_text(tmp_path: Path):
    folder = tmp_path / "글"
    (folder / "more").mkdir(parents=True)
    (folder / "b.txt").write_bytes("\ufeff첫 줄\r\n둘째\r\n \r\n\r\n셋째".encode())
    (folder / "c.TXT").write_text("이어진다\n", encoding="utf-8")
    with gzip.open(folder / "a.txt.gz", "wt", encoding="utf-8") as stream:
        stream.write("\n압축한 줄\n\n")
    (folder / "more" / "d.jsonl").write_text(
        "\n".join(json.dumps({"text": text}) for text in ("하나\n\n둘", "", "셋")), encoding="utf-8"
    )
    (folder / "picture.png").write_bytes(b"\x89PNG")
    wanted = [["압축한 줄"], ["첫 줄", "둘째"], ["셋째"], ["이어진다"], ["하나", "둘"], ["셋"]]
    assert list(documents(str(folder))) == wanted
    assert list(documents(str(folder / "b.txt"))) == wanted[1:3]
    first = source_fingerprint(str(folder))
    assert source_fingerprint(str(folder)) == first
    (folder / "c.TXT").write_text("이어졌다\n", encoding="utf-8")
    second = source_fingerprint(str(folder))
    (folder / "c.TXT").rename(folder / "e.txt")
    assert len({first, second, source_fingerprint(str(folder))}) == 3


def test_folders_without_text_and_broken_files(tmp_path: Path):
    (tmp_path / "x.pdf").write_bytes(b"%PDF")
    for path in (tmp_path, tmp_path / "x.pdf"):
        with pytest.raises(DataError, match=r"wanted text in files \.txt, \.txt\.gz, \.jsonl, got none"):
            documents(str(path))
    (tmp_path / "a.txt").write_bytes("좋다\n".encode() + "나쁘다\n".encode("cp949"))
    with pytest.raises(DataError, match="not utf-8"):
        list(documents(str(tmp_path / "a.txt")))
    whole = gzip.compress("줄\n".encode() * 5000)
    (tmp_path / "b.txt.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged after line"):
        list(documents(str(tmp_path / "b.txt.gz")))
    (tmp_path / "c.jsonl").write_text('{"text": "하나"}\n{"txt": "둘"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2: wanted a JSON object with a text 'text'"):
        list(documents(str(tmp_path / "c.jsonl")))


def test_memory_does_not_grow_with_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "long.txt"
    with open(path, "w", encoding="utf-8") as stream:
        stream.writelines(f"줄 번호 {n} 그리고 조금 더 긴 글이 이어진다\n" for n in range(60_000))
    monkeypatch.setattr(text_files, "LONGEST", 1000)
    tracemalloc.start()
    lengths = [len(document) for document in documents(str(path))]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lengths == [1000] * 60
    assert peak < 2_000_000  # the file has 4 million bytes


def test_sentences_of_a_treebank(mine: Mine):
    mine.describe({"kind": "running", "format": "conllu", "files": {"train": ["a.conllu"]}})
    blocks = ["# newdoc id = x\n# sent_id = A-s1\n# text = 가 = 나.", "# sent_id = A-s2\n# text = 다.\n# text_en = no"]
    blocks += ["# sent_id = B-s1\n# text = 라.", "# newdoc\n# sent_id = B-s2\n# text = 마."]
    mine.write("a.conllu", "\n\n".join(block + "\n1\t가\t_\t#\n" for block in blocks))
    assert list(documents("mine")) == [["가 = 나.", "다."], ["라."], ["마."]]


def test_parquet(mine: Mine, monkeypatch: pytest.MonkeyPatch):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    mine.describe(
        {"kind": "running", "format": "parquet", "files": {"train": ["a.parquet"]}, "columns": {"text": "text"}}
    )
    texts = [f"글 {n}\n\n둘째 줄" for n in range(600)]
    parquet.write_table(pyarrow.table({"id": list(range(600)), "text": texts}), mine.folder / "a.parquet")
    found = list(documents("mine"))
    assert len(found) == 600
    assert found[599] == ["글 599", "둘째 줄"]
    parquet.write_table(pyarrow.table({"body": texts}), mine.folder / "a.parquet")
    with pytest.raises(DataError, match="wanted a column 'text', got body"):
        list(documents("mine"))
    mine.write("a.parquet", "no parquet at all")
    with pytest.raises(DataError, match="damaged, or no parquet file"):
        list(documents("mine"))


def test_without_pyarrow_the_remedy_is_told(mine: Mine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    mine.describe(
        {"kind": "running", "format": "parquet", "files": {"train": ["a.parquet"]}, "columns": {"text": "text"}}
    )
    mine.write("a.parquet", "PAR1")
    with pytest.raises(DataError, match=r"pip install pyarrow"):
        list(documents("mine"))


# --- fetching -------------------------------------------------------------------------------------------------------


def test_single_files_are_fetched_pinned_and_gone_on_with(mine: Mine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    text = LABELS | {"files": {"train": ["in/a.txt"], "test": ["b.txt"]}, "labels": ["0", "1"]}
    content = "id\tdocument\tlabel\n" + "\n".join(f"{n}\t글 {n}\t{n % 2}" for n in range(30))
    asked = []

    def transferred(source: str, part: Path, archive: schema.Archive, title: str) -> bool:
        asked.append(source)
        if source.endswith("b.txt") and len(asked) == 2:
            raise DataError("the line was cut")
        part.write_text(content, encoding="utf-8")
        return False

    monkeypatch.setattr("nbkit.data.transfer.fetch", transferred)
    parts = [{"path": path, "source": f"https://example.org/{path}"} for path in ("in/a.txt", "b.txt")]
    mine.describe(text, folder=str(tmp_path / "absent"), downloads=parts)
    assert manifest.state(manifest.load("mine")) == "to fetch"
    with pytest.raises(DataError, match=r"mine is not on this machine yet \(licence: CC0\); bring it with"):
        open_text_set("mine")
    with pytest.raises(DataError, match="cut"):
        manifest.fetch("mine")
    assert not here("mine")
    folder = manifest.fetch("mine")
    assert folder == workspace.cache() / "data" / "mine"
    assert [source[-5:] for source in asked] == ["a.txt", "b.txt", "b.txt"]
    assert here("mine")
    assert len(open_text_set("mine").splits["test"]) == 30
    manifest.fetch("mine")
    assert len(asked) == 3
    assert [part.size for part in manifest.load("mine").downloads] == [len(content.encode())] * 2  # pinned
    (folder / ".nbkit.json").unlink()
    content += "\n"
    with pytest.raises(DataError, match="no address gave the file") as error:
        manifest.fetch("mine")
    assert "wanted" in str(error.value)
    with pytest.raises(DataError, match="consists of single files, so --from cannot be used"):
        manifest.fetch("mine", "elsewhere.zip")


def test_a_folder_is_taken_before_what_could_be_fetched(mine: Mine):
    text = LABELS | {"files": {"train": ["a.txt"], "test": ["a.txt"]}, "validation": None}
    del text["validation"]
    mine.describe(text, downloads=[{"path": "a.txt", "source": "https://example.org/a.txt"}])
    mine.write("a.txt", "id\tdocument\tlabel\n" + "\n".join(f"{n}\t글\t0" for n in range(20)))
    assert manifest.state(manifest.load("mine")) == "here"
    assert manifest.fetch("mine") == mine.folder
    assert len(open_text_set("mine").splits["test"]) == 20


def test_an_archive_may_hold_the_files_in_a_folder(home: Path, tmp_path: Path):
    inside = tmp_path / "published" / "repo-main"
    inside.mkdir(parents=True)
    lines = "\n".join(f"{n}\t글\t0" for n in range(20))
    (inside / "a.txt").write_text(f"id\tdocument\tlabel\n{lines}", encoding="utf-8")
    archive = shutil.make_archive(str(tmp_path / "x"), "zip", tmp_path / "published")
    described = GOOD | {
        "sources": [archive],
        "archive": {"kind": "zip"},
        "folder": "$NO_SUCH_VARIABLE/mine",
        "text": LABELS | {"inside": "repo-main", "files": {"train": ["a.txt"], "test": ["a.txt"]}},
    }
    (home / "mine.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")
    assert not here("mine")
    manifest.fetch("mine")
    assert here("mine")
    assert len(open_text_set("mine").splits["test"]) == 20


def test_reviews_are_built_of_their_archive_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("NBKIT_DATA", raising=False)
    described = manifest.load("nsmc_raw")
    assert manifest.state(described) == "to fetch"
    repository = tmp_path / "published" / (described.text.inside if described.text else "")
    (repository / "raw").mkdir(parents=True)
    (repository / "ratings_test.txt").write_text("id\tdocument\tlabel\n7\t같은  글\t1\n8\t\t0\n", encoding="utf-8")
    films = {"10": ["하나\n둘", "", "같은 글"], "9": ["셋"], "100": ["하나 둘", "넷", "다섯"], "5": ["셋"]}
    for number, (film, texts) in enumerate(films.items()):
        reviews = [{"review": text, "review_id": f"{number}-{n}"} for n, text in enumerate(texts)]
        (repository / "raw" / f"{film}.json").write_text(json.dumps(reviews), encoding="utf-8")
    (repository / "raw" / "6.json").write_text(json.dumps([{"review": "고친 글", "review_id": "7"}]), encoding="utf-8")
    archive = shutil.make_archive(str(tmp_path / "x"), "zip", tmp_path / "published")
    monkeypatch.setattr(fetching, "_pin", lambda *_: None)
    with monkeypatch.context() as cut:
        cut.setattr("nbkit.data.film_reviews.build", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            manifest.fetch("nsmc_raw", archive)
    assert not here("nsmc_raw")
    manifest.fetch("nsmc_raw", "nowhere, for it has arrived")
    assert here("nsmc_raw")
    assert list(documents("nsmc_raw")) == [["하나 둘"], ["넷", "다섯"], ["셋"]]


def test_a_web_page_is_no_data(tmp_path: Path):
    from nbkit.data.transfer import FILE, Refused, look_at

    look_at(b"id\tdocument\n", FILE)
    with pytest.raises(Refused, match="wanted a data file, got a web page titled 'Sign in'"):
        look_at(b"<!DOCTYPE html><title>Sign in</title>", FILE)


def test_made_sets_are_not_fetched():
    with pytest.raises(DataError, match="made on the spot each time it is opened"):
        manifest.fetch("made_pairs")
    assert manifest.state(manifest.load("made_pairs")) == "made on the spot"


# --- checks ---------------------------------------------------------------------------------------------------------


def test_a_check_tells_what_one_wants_to_know(mine: Mine):
    mine.describe(LABELS)
    mine.write("a.txt", "id\tdocument\tlabel\n1\t가\tx\n2\t가\tx\n3\t\ty\n4\t나다\ty\n")
    mine.write("v.txt", "id\tdocument\tlabel\n5\t가\tx\n")
    mine.write("b.txt", "id\tdocument\tlabel\n1\t라마바\tx\n6\t가\ty\n")
    report = check_text.check("mine")
    assert report.good
    assert dict(report.summary()) == {
        "rows": "3 train, 1 validation, 2 test",
        "empty": "1 train; left out",
        "labels": "x 4, y 2",
        "characters": "1 shortest, 1 median, 3 longest",
        "twice": "1 of train in train, 1 of validation in train (100.00 %), 1 of test in train (50.00 %)",
        "ids": "1 rows have the id of another row",
    }


def test_a_check_of_running_text():
    told = dict(check_text.check("made_documents").summary())
    assert told["text"].startswith("800 documents, 4,342 lines")
    assert told["longest"] == "a document of 8 lines"


# --- what is published ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lines", "wanted"),
    [
        (
            "kor_nli",
            'sentence1\tsentence2\tgold_label\n그는 "왔다.\t그는 갔다.\tcontradiction\n',
            ('그는 "왔다.', "그는 갔다.", "contradiction"),
        ),
        (
            "klue_nli",
            '[{"guid": "g", "premise": "전제", "hypothesis": "가설", "gold_label": "neutral", "label2": "neutral"}]',
            ("전제", "가설", "neutral"),
        ),
        ("klue_ynat", '[{"guid": "g", "title": "제목", "label": "IT과학", "date": "2016"}]', ("제목", "", "IT과학")),
        (
            "klue_sts",
            '[{"guid": "g", "sentence1": "하나", "sentence2": "둘", "labels": {"label": 4.9, "real-label": 4.857}}]',
            ("하나", "둘", ""),
        ),
    ],
)
def test_published_layouts_are_read(
    name: str, lines: str, wanted: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NBKIT_DATA", str(tmp_path))
    (tmp_path / name).mkdir()
    for part in manifest.load(name).downloads:
        (tmp_path / name / part.path).write_text(lines, encoding="utf-8")
    found = open_text_set(name)
    assert tuple(found.splits["test"][0])[1:4] == wanted
    assert name != "klue_sts" or found.splits["test"][0].score == 4.857


REAL = {  # rows by split, labels or scores, as published less the empty ones
    "nsmc": ((149_995, 49_997), ("negative", "positive")),
    "question_pair": ((6888, 688), ("different", "same")),
    "songys_chatbot": ((None, None), ()),
    "kor_sts": ((5749, 1379), ()),
}


@pytest.mark.parametrize("name", REAL)
def test_real_sets(real_data: Path, name: str):
    (train, test), labels = REAL[name]
    found = open_text_set(name)
    sizes = {split: len(rows) for split, rows in found.splits.items()}
    assert found.labels == labels
    if name == "songys_chatbot":
        assert sum(sizes.values()) == 11_823
        assert 1000 < sizes["test"] < 1400
    else:
        assert sizes["test"] == test
        assert sizes["train"] + (sizes["validation"] if name != "kor_sts" else 0) == train
    if name == "nsmc":
        row = next(row for row in found.splits["train"] if row.id == "9976970")
        assert (row.text, row.label) == ("아 더빙.. 진짜 짜증나네요 목소리", "negative")
        assert dict(check_text.check("nsmc").summary())["empty"] == "5 train, 3 test; left out"
    if name == "kor_sts":
        assert sizes["validation"] == 1500
        assert min(row.score for row in found.splits["train"]) == 0.0
        assert max(row.score for row in found.splits["test"]) == 5.0
    if name == "question_pair":  # their publisher says 0 for the same question
        assert sum(row.label == "same" for row in found.splits["test"]) > 344


def test_real_files_are_what_would_be_fetched(real_data: Path):
    """The hashes in the manifests are those of the files that lie there, so both give the same rows."""
    for name in ("nsmc", "kor_sts", "question_pair", "songys_chatbot", "ud_kaist", "kobert_tokenizer"):
        for part in manifest.load(name).downloads:
            path = real_data / name / part.path
            assert (path.stat().st_size, hash_of(path)) == (part.size, part.sha256)


def test_real_running_text(real_data: Path):
    first = next(iter(documents("nsmc_raw")))
    assert len(first) > 10
    assert first[0] == "전체관람가는 아닌것 같아요"
    sentences = [line for document in documents("ud_kaist") for line in document]
    assert len(sentences) == 4353
    assert sentences[0] == "내 고향은 서울입니다."
    with pytest.raises(dataclasses.FrozenInstanceError):
        open_text_set("kor_sts").name = "other"  # type: ignore[misc]
