"""Manifests, their errors, the rows of a data set, its split and its fingerprint."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from nbkit.base import workspace
from nbkit.data import manifest, own, rows, schema
from nbkit.data.disk import DataError
from nbkit.data.schema import ManifestError, Validation

GOOD = {
    "name": "mine",
    "title": "Mine",
    "language": "ko",
    "licence": "my own voice",
    "rate": 16000,
    "folder": "/somewhere",
    "layout": {"metadata": "list.txt", "columns": ["path", "text"]},
}
REMOTE = {"sources": ["https://example.org/x.zip"], "archive": {"kind": "zip"}}


def write(home: Path, **changed) -> Path:
    values = {key: value for key, value in (GOOD | changed).items() if value is not None}
    path = home / f"{changed.get('name', 'mine')}.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    return path


def tone(path: Path, rate: int = 16000, seconds: float = 0.5, pitch: float = 220.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.3 * np.sin(2 * np.pi * pitch * np.arange(int(rate * seconds)) / rate)
    soundfile.write(path, wave, rate)
    return path


def recordings(folder: Path, count: int = 3, text: str = "path|text") -> Path:
    """A folder with `count` tones and a list in the form of `text`."""
    lines = []
    for i in range(count):
        tone(folder / "wavs" / f"r{i}.wav", pitch=200 + 10 * i)
        lines.append(text.replace("path", f"wavs/r{i}.wav").replace("id", f"r{i}").replace("text", f"문장 번호 {i}."))
    (folder / "list.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


# --- manifests ------------------------------------------------------------------------------------------------------


def test_every_shipped_manifest_is_valid(monkeypatch: pytest.MonkeyPatch):
    assert {"espeak_ko", "espeak_en", "ljspeech", "kss", "jss", "ljspeech_sample"} <= set(manifest.names())
    monkeypatch.delenv("NBKIT_DATA", raising=False)
    found = {name: manifest.load(name) for name in manifest.names()}
    prints = {m.fingerprint for m in found.values()}
    assert len(prints) == len(found)
    assert manifest.state(found["ljspeech_sample"]) == "set NBKIT_DATA"
    with pytest.raises(ManifestError, match=r"needs the environment variable NBKIT_DATA, which is not set; set it"):
        manifest.open_dataset("ljspeech_sample")
    with pytest.raises(DataError, match=r"ljspeech is not on this machine yet \(2.75 GB, licence: public domain\)"):
        manifest.open_dataset("ljspeech")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"licens": "x"}, "unknown field 'licens'; did you mean 'licence'?"),
        ({"zzzz": 1}, "unknown field 'zzzz'; known are name, title"),
        (
            {"layout": {"metadata": "x", "column": ["path"]}},
            "unknown field 'layout.column'; did you mean 'layout.columns'?",
        ),
        ({"rate": None}, "wanted field 'rate' (the sample rate of the recordings in Hz), got none; add it"),
        ({"rate": "16 kHz"}, "field 'rate': wanted the sample rate of the recordings in Hz, got \"16 kHz\""),
        ({"rate": True}, "field 'rate': wanted"),
        ({"rate": 16}, "field 'rate': wanted"),
        ({"language": False}, "field 'language': wanted a language code such as ko, in quotes, got false"),
        ({"layout": "list.txt"}, "field 'layout': wanted metadata, columns, separator"),
        ({"layout": {"metadata": "x", "columns": "path"}}, "field 'layout.columns': wanted the columns in their order"),
        ({"layout": {"metadata": "x", "columns": ["path", "txt"]}}, "field 'layout.columns': wanted the columns"),
        ({"layout": {"metadata": "x", "columns": ["path", "-"]}}, "wanted path and text among them"),
        ({"layout": {"metadata": "x", "audio": "wavs/"}}, "wanted a path with {path} in it"),
        ({"layout": None}, "field 'layout': wanted with 'sources' or 'folder'"),
        ({"folder": None}, "wanted one of the fields 'sources', 'folder' and 'synthetic', got none"),
        (REMOTE, "got sources and folder"),
        ({"folder": None, "sources": ["https://x/y.zip"]}, "fields 'sources' and 'archive' belong together"),
        ({"folder": None, **REMOTE, "sources": ["ftp://x/y.zip"]}, "wanted http://, https://, gdrive:ID or a path"),
        ({"folder": None, **REMOTE, "archive": {"kind": "rar"}}, "field 'archive.kind': wanted one of zip, tar"),
        (
            {"folder": None, **REMOTE, "archive": {"kind": "zip", "size": "3 GB"}},
            "field 'archive.size': wanted its number",
        ),
        ({"folder": None, **REMOTE, "archive": {"kind": "zip", "sha256": "ab"}}, 'or unknown, got "ab"'),
        ({"validation": {"percent": 5, "count": 3}}, "wanted one of percent (below 100), count and file"),
        ({"validation": {"percent": 100}}, "wanted one of percent (below 100), count and file"),
        ({"exclude": ["a", 7]}, "field 'exclude': wanted ids of rows"),
    ],
)
def test_a_wrong_manifest_is_told_by_file_and_field(home: Path, changed: dict, told: str):
    path = write(home, **changed)
    with pytest.raises(ManifestError) as error:
        manifest.load("mine")
    assert str(error.value).startswith(f"{path}: ")
    assert told in str(error.value)


def test_files_that_are_no_manifest(home: Path):
    for content, told in [
        ("- a\n", "wanted fields such as"),
        ("a: [\n", "not readable as YAML"),
        ("name: mine\nname: yours\n", "field 'name' is given twice, the second time in line 2"),
    ]:
        (home / "mine.yaml").write_text(content)
        with pytest.raises(ManifestError, match=told):
            manifest.load("mine")
    write(home, name="yours").rename(home / "mine.yaml")
    with pytest.raises(ManifestError, match="field 'name': wanted 'mine' as the file is called, got 'yours'"):
        manifest.load("mine")
    with pytest.raises(ManifestError, match=r"got 'mime'; did you mean mine\?"):
        manifest.load("mime")
    with pytest.raises(ManifestError, match="wanted the name of a data set"):
        manifest.load("../mine")


def test_the_fingerprint_is_of_what_changes_the_data(home: Path):
    def fingerprint(**changed) -> str:
        write(home, **changed)
        return manifest.load("mine").fingerprint

    first = fingerprint()
    assert fingerprint(title="Other", about="words", licence="CC0", rows=7, folder="/elsewhere") == first
    others = [{"rate": 22050}, {"validation": {"count": 9}}, {"exclude": ["r1"]}, {"layout": {"metadata": "other.txt"}}]
    assert len({first, *(fingerprint(**changed) for changed in others)}) == 5


# --- rows -----------------------------------------------------------------------------------------------------------


def open_mine(home: Path, folder: Path, **changed) -> manifest.Dataset:
    write(home, folder=str(folder), **changed)
    return manifest.open_dataset("mine")


def test_rows_of_a_folder(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", text="path|minji|text")
    layout = {"metadata": "list.txt", "columns": ["path", "speaker", "text"]}
    data = open_mine(home, folder, layout=layout)
    assert (data.name, data.language, data.rate, data.licence) == ("mine", "ko", 16000, "my own voice")
    assert data.speakers == ("minji",)
    first = data.rows[0]
    assert (first.id, first.text, first.speaker, first.split) == ("wavs/r0", "문장 번호 0.", "minji", "train")
    assert first.audio == folder / "wavs" / "r0.wav"
    assert first.phones == first.words == ()


def test_lists_as_people_write_them(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 1)
    tone(folder / "wavs" / unicodedata.normalize("NFD", "가나.wav"))
    (folder / "list.txt").write_bytes(
        b"\xef\xbb\xbfpath|text\r\n\r\nwavs\\r0.wav| one | two \r\n" + "wavs/가나.wav|세엣\r\n".encode()
    )
    data = open_mine(home, folder)
    assert [(u.id, u.text) for u in data.rows] == [("wavs\\r0", "one | two"), ("wavs/가나", "세엣")]
    assert all(u.audio.is_file() for u in data.rows)
    (folder / "list.txt").write_text('path,text\nwavs/r0.wav,"one, two"\n')
    data = open_mine(home, folder, layout={"metadata": "list.txt", "separator": ","})
    assert data.rows[0].text == "one, two"


def test_rows_as_json_lines_carry_phones_and_words(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 1)
    row = {
        "id": "x",
        "audio": "wavs/r0.wav",
        "text": "가",
        "speaker": "s",
        "phones": [["k", 0.0, 0.1]],
        "words": [[0, 1, 0, 0.5]],
    }
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    found = open_mine(home, folder, layout={"metadata": "rows.jsonl"}).rows[0]
    assert (found.id, found.speaker, found.phones, found.words) == ("x", "s", (("k", 0.0, 0.1),), ((0, 1, 0, 0.5),))


def test_bad_rows_are_named(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 2)
    with open(folder / "list.txt", "a") as stream:
        stream.write("wavs/r0.wav|again\nwavs/gone.wav|text\nwavs/r1.wav\n|text\nwavs/x.wav| \n")
    with pytest.raises(DataError) as error:
        open_mine(home, folder)
    text = str(error.value)
    assert "mine: 5 of 7 rows cannot be used" in text
    for told in (
        "line 3: wavs/r0: the id stands in line 1 already",
        "line 5: wavs/r1: wanted 2 columns (path, text), got 1",
        "line 6: line 6: no path",
        "line 7: wavs/x: empty text",
        f"no file {folder / 'wavs/gone.wav'}",
    ):
        assert told in text
    assert "`nbkit data check mine` lists them all" in text


def test_excluded_rows_are_left_out(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 3)
    (folder / "wavs" / "r1.wav").unlink()
    assert [u.id for u in open_mine(home, folder, exclude=["wavs/r1"]).rows] == ["wavs/r0", "wavs/r2"]


def test_encodings(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 2)
    path = folder / "list.txt"
    korean = path.read_text(encoding="utf-8")
    path.write_bytes(korean.encode("cp949"))
    with pytest.raises(DataError, match=r"line 1 is not utf-8 \(byte 0x.*it reads as cp949: write `encoding: cp949`"):
        open_mine(home, folder)
    data = open_mine(home, folder, layout={"metadata": "list.txt", "encoding": "cp949"})
    assert data.rows[1].text == "문장 번호 1."
    path.write_bytes(korean.encode("utf-16"))
    with pytest.raises(DataError, match="it reads as utf-16"):
        open_mine(home, folder)
    with pytest.raises(DataError, match="unknown encoding 'hangul'"):
        open_mine(home, folder, layout={"metadata": "list.txt", "encoding": "hangul"})


def test_a_missing_or_empty_list(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 1)
    with pytest.raises(DataError, match=r"wanted the list of texts .*nolist, got none; in the folder: list.txt, wavs"):
        open_mine(home, folder, layout={"metadata": "nolist"})
    (folder / "list.txt").write_text("\n")
    with pytest.raises(DataError, match="wanted rows, got an empty list"):
        open_mine(home, folder)
    with pytest.raises(DataError, match="got no such folder; put them there, or change `folder`"):
        open_mine(home, tmp_path / "gone")


SHIPPED = {  # a line of the list as the publisher has it, where its recording lies, and what is read of it
    "ljspeech": (
        "LJSpeech-1.1/metadata.csv",
        "LJ001-0007|the earliest book printed (1455)|the earliest book printed, fourteen fifty-five",
        "LJSpeech-1.1/wavs/LJ001-0007.wav",
        ("LJ001-0007", "the earliest book printed, fourteen fifty-five"),
    ),
    "kss": (
        "transcript.v.1.4.txt",
        "1/1_0470.wav|저는 보통 20분 정도 낮잠을 잡니다.|저는 보통 이십 분 정도 낮잠을 잡니다.|저|4.1|A nap.",
        "kss/1/1_0470.wav",
        ("1/1_0470", "저는 보통 이십 분 정도 낮잠을 잡니다."),
    ),
    "jss": (
        "jss.v.1.0.tsv",
        "jss/2.wav\t현재는 ᄒᆞᆫ 팔십여 성씨.\t13\t3.90",
        "jss/2.wav",
        ("jss/2", "현재는 ᄒᆞᆫ 팔십여 성씨."),
    ),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_layouts_read_what_is_published(home: Path, tmp_path: Path, name: str):
    metadata, line, audio, wanted = SHIPPED[name]
    described = yaml.safe_load((Path(__file__).parents[2] / "data_manifests" / f"{name}.yaml").read_text("utf-8"))
    kind = described["archive"]["kind"]
    (home / f"{name}.yaml").write_text(yaml.safe_dump(described | {"archive": {"kind": kind}}, allow_unicode=True))
    source = tmp_path / "published"
    tone(source / audio, described["rate"])
    (source / metadata).write_text(line + "\n", encoding="utf-8")
    archive = tmp_path / f"x.{kind}"
    shutil.make_archive(str(tmp_path / "x"), {"zip": "zip", "tar.bz2": "bztar"}[kind], source)
    manifest.fetch(name, str(archive))
    (row,) = manifest.open_dataset(name).rows
    assert (row.id, row.text) == wanted
    assert row.audio == manifest.folder_of(manifest.load(name)) / audio


# --- split and fingerprint ------------------------------------------------------------------------------------------


def test_the_split_depends_on_nothing_but_the_ids(tmp_path: Path):
    ids = [f"r{i}" for i in range(2000)]
    held = rows.validation_ids(ids, Validation(percent=5), tmp_path)
    assert 70 < len(held) < 130
    assert rows.validation_ids(ids[::-1], Validation(percent=5), tmp_path) == held
    assert rows.validation_ids(ids[:500], Validation(percent=5), tmp_path) == held & set(ids[:500])
    assert len(rows.validation_ids(ids, Validation(count=30), tmp_path)) == 30
    for count in range(1, 40):
        for rule in (Validation(percent=1), Validation(count=100)):
            held = rows.validation_ids(ids[:count], rule, tmp_path)
            assert (1 <= len(held) <= count // 5) if count >= 10 else not held


def test_the_split_may_be_a_list(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 4)
    (folder / "val.txt").write_text("wavs/r1.wav|whatever\nwavs/r3\n")
    data = open_mine(home, folder, validation={"file": "val.txt"})
    assert [u.id for u in data.split("validation")] == ["wavs/r1", "wavs/r3"]
    assert [u.id for u in data.split("train")] == ["wavs/r0", "wavs/r2"]
    (folder / "val.txt").write_text("\n".join(f"wavs/r{i}" for i in range(4)))
    with pytest.raises(DataError, match="`validation` takes all 4"):
        open_mine(home, folder, validation={"file": "val.txt"})
    with pytest.raises(DataError, match="wanted the list of validation ids"):
        open_mine(home, folder, validation={"file": "none.txt"})


def test_fewer_rows_are_the_same_rows_again(home: Path, tmp_path: Path):
    write(home, folder=str(recordings(tmp_path / "own", 20)))
    sets = {count: [u.id for u in manifest.open_dataset("mine", count).rows] for count in (0, 5, 10, 20, 99)}
    assert len(sets[0]) == len(sets[20]) == len(sets[99]) == 20
    assert len(sets[5]) == 5
    assert set(sets[5]) < set(sets[10])
    assert sets[5] == [name for name in sets[0] if name in sets[5]]


def test_the_fingerprint_of_rows(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 12)
    first = open_mine(home, folder).fingerprint
    assert open_mine(home, folder, title="Other", licence="CC0").fingerprint == first
    assert manifest.open_dataset("mine", 11).fingerprint != first
    assert open_mine(home, folder, validation={"percent": 50}).fingerprint != first

    recording = folder / "wavs" / "r3.wav"
    content, stat = recording.read_bytes(), recording.stat()
    recording.write_bytes(content[:-2] + b"\x01\x02")  # as long as before
    os.utime(recording, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    assert open_mine(home, folder).fingerprint != first
    recording.write_bytes(content)
    assert open_mine(home, folder).fingerprint == first

    text = (folder / "list.txt").read_text()
    (folder / "list.txt").write_text(text.replace("번호 3", "번호 4"))
    assert open_mine(home, folder).fingerprint != first


def test_content_is_hashed_once(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = recordings(tmp_path / "own", 12)
    first = open_mine(home, folder).fingerprint
    monkeypatch.setattr("nbkit.data.content.hash_of", lambda path: pytest.fail(f"hashed {path} again"))
    assert open_mine(home, folder).fingerprint == first


def test_a_zip_and_its_folder_have_one_fingerprint(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = recordings(tmp_path / "own", 12)
    archive = tmp_path / "voice.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        for path in folder.rglob("*.*"):
            stream.write(path, path.relative_to(folder))
    own.add(str(folder), name="a")
    own.add(str(archive), name="b")
    monkeypatch.setattr("nbkit.data.content.hash_of", lambda path: pytest.fail("hashed while unpacking already"))
    b = manifest.open_dataset("b")
    monkeypatch.undo()
    monkeypatch.setenv("NBKIT_HOME", str(home.parent))
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "cache"))
    assert manifest.open_dataset("a").fingerprint == b.fingerprint
    assert b.rows[0].audio.is_relative_to(workspace.cache())


# --- a person's own recordings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("path|text", ("path", "text")),
        ("path|minji|text", ("path", "speaker", "text")),
        ("path|7|text", ("path", "speaker", "text")),
        ("path|text|minji", ("path", "text", "speaker")),
        ("id|text|text", ("path", "-", "text")),
        ("id|text", ("path", "text")),
        ("path\ttext", ("path", "text")),
        ("path,text", ("path", "text")),
    ],
)
def test_the_form_of_a_list_is_seen(home: Path, tmp_path: Path, text: str, columns: tuple):
    folder = recordings(tmp_path / "My Voice", 6, text)
    for source in (folder, folder / "list.txt"):
        made, notes = own.add(str(source), name=f"v{source.name[:2]}")
        assert made.layout.columns == columns
        assert (made.language, made.rate, made.rows, made.licence) == ("ko", 16000, 6, "unknown")
        data = manifest.open_dataset(made.name)
        assert data.rows[2].text == "문장 번호 2."
        assert data.rows[2].audio == folder / "wavs" / "r2.wav"
        assert any(str(home) in note for note in notes)


def test_a_text_with_the_separator_in_it(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 6, "path,text")
    with open(folder / "list.txt", "a") as stream:
        stream.write("wavs/r5.wav,하나, 둘, 셋\n")
    made, _ = own.add(str(folder))
    assert made.layout.columns == ("path", "text")
    assert rows.read(made, folder)[-1].utterance.text == "하나, 둘, 셋"


def test_a_text_longer_than_names_can_be_is_no_trouble(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 6, "path|text")
    with open(folder / "list.txt", "a") as stream:
        stream.write(f"wavs/gone.wav|{'가나다라' * 30}\n")
    made, _ = own.add(str(folder))
    assert made.layout.columns == ("path", "text")
    assert rows.read(made, folder)[-1].utterance.audio.name == "gone.wav"


def test_a_line_out_of_shape_does_not_mislead(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 6, "path|minji|text")
    with open(folder / "list.txt", "a") as stream:
        stream.write("wavs/r5.wav|minji\n")
    made, _ = own.add(str(folder))
    assert made.layout.columns == ("path", "speaker", "text")


def test_cp949_and_json_lists_are_seen(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 2)
    (folder / "list.txt").write_bytes((folder / "list.txt").read_bytes().decode().encode("cp949"))
    made, notes = own.add(str(folder))
    assert made.layout.encoding == "cp949"
    assert "cp949" in notes[0]
    (folder / "list.txt").unlink()
    lines = [json.dumps({"audio": f"wavs/r{i}.wav", "text": "ᄀᆞᆯ아줍서"}) for i in range(2)]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    made, _ = own.add(str(folder), name="j", licence="CC0")
    assert (made.language, made.licence) == ("jje", "CC0")
    assert len(manifest.open_dataset("j").rows) == 2


def test_many_columns_want_names(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 3, "path|x|text|3.5|y")
    with pytest.raises(DataError, match=r"(?s)5 columns, which are path and text\?.*--columns path,-,text"):
        own.add(str(folder))
    with pytest.raises(DataError, match="--columns names 2 columns, its first line has 5"):
        own.add(str(folder), columns="path,text")
    made, _ = own.add(str(folder), columns="path,-,text,-,-")
    assert manifest.open_dataset(made.name).rows[0].text == "문장 번호 0."


def test_what_cannot_be_added_is_told(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 2)
    own.add(str(folder))
    with pytest.raises(DataError, match="there is a data set own already"):
        own.add(str(folder))
    with pytest.raises(DataError, match="nothing there"):
        own.add(str(tmp_path / "gone"), name="x")
    (tmp_path / "x.rar").write_bytes(b"Rar!")
    with pytest.raises(DataError, match="unpack it where it is packed"):
        own.add(str(tmp_path / "x.rar"))
    (folder / "list.txt").write_text("wavs/r9.wav|text\nwavs/r8.wav|text\n")
    with pytest.raises(DataError, match="no recording where its lines say: wavs/r9"):
        own.add(str(folder), name="y")
    (folder / "list.txt").write_text("wavs/r0.wav|12345\nwavs/r1.wav|678\n")
    with pytest.raises(DataError, match="cannot tell the language from the texts; name it"):
        own.add(str(folder), name="y")
    for content in ("path|text\n", '"a,b"\n', "wavs/r0.wav\n", ""):
        (folder / "list.txt").write_text(content)
        with pytest.raises(DataError, match=r"list.txt: no lines with \|, tab or comma"):
            own.add(str(folder), name="y")
    (folder / "list.txt").unlink()
    with pytest.raises(DataError, match="wanted a list of texts whose recordings are there"):
        own.add(str(folder), name="y")
    for path in (folder / "wavs").iterdir():
        path.rename(path.with_suffix(".m4a"))
    with pytest.raises(DataError, match=r"(?s)recordings are .m4a files.*ffmpeg"):
        own.add(str(folder), name="y")
    assert manifest.names() == ["own"]


def test_an_archive_that_is_no_data_set_leaves_nothing(home: Path, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as stream:
        stream.writestr("a.txt", "hello")
    with pytest.raises(DataError, match="wanted a list of texts"):
        own.add(str(tmp_path / "x.zip"))
    assert not [path for path in workspace.cache().rglob("*") if path.is_file()]


def test_other_lists_are_named(home: Path, tmp_path: Path):
    folder = recordings(tmp_path / "own", 12)
    (folder / "val.txt").write_text("wavs/r1.wav|문장 번호 1.\n")
    made, notes = own.add(str(folder))
    assert made.layout.metadata == "list.txt"
    assert any("not used: val.txt" in note for note in notes)


def test_paths_may_name_variables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOMEWHERE", "/some")
    assert schema.expand("$SOMEWHERE/where") == schema.expand("${SOMEWHERE}/where") == Path("/some/where")


def test_every_field_is_described():
    told = (Path(__file__).parents[2] / "data_manifests" / "README.md").read_text(encoding="utf-8")
    speech = (schema.Manifest, schema.Archive, schema.Layout, schema.Validation, schema.Synthetic)
    for part in (*speech, schema.Download, schema.Text, schema.Files, schema.Columns):
        for field in dataclasses.fields(part):
            assert f"`{field.name}`" in told
