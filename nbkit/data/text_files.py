"""Files of text to rows and to documents. A file with running text is read as a stream, however large it is.

Rows come from tables (tsv, csv, jsonl, json), documents from txt, txt.gz, jsonl, conllu and parquet. Nothing is
quoted in a tsv, so a bare quotation mark is text; cells of a csv may be quoted. A mark at the beginning of a UTF-8 file
is not text.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from nbkit.data.disk import DataError
from nbkit.data.rows import decode
from nbkit.data.schema import Columns, Text

LONGEST = 10_000  # lines of a document; what is longer goes on as another one, or memory would grow with the file


class TextRow(NamedTuple):
    """A text, or two; and what is known about it: a label, a score, or that `pair` answers `text`."""

    id: str
    text: str
    pair: str = ""
    label: str = ""
    score: float = math.nan


class Read(NamedTuple):
    """A row as it was read, the line where it ends (or its number, in json), and what is wrong with it."""

    line: int
    row: TextRow
    problem: str = ""


EMPTY = "empty text"


def read_rows(path: Path, text: Text) -> Iterator[Read]:
    """All rows of a table, bad ones too.

    raises  DataError where the file is not there, is in another encoding, or lacks a column
    """
    if not path.is_file():
        raise DataError(f"wanted the file {path}, got none; fetch the data set again, or correct `text.files`")
    columns, names = text.columns or Columns("text"), named_labels(text)
    wanted = [columns.text, columns.pair, columns.label, columns.score, columns.id]
    stem = path.name.split(".")[0]
    for line, cells, problem in _cells(path, text, [name for name in wanted if name]):
        first, second, label, score, name = (clean(cells.get(column, "")) for column in wanted)
        label, number = names.get(label, label), math.nan
        if not problem and text.kind == "labels" and names and label not in names.values():
            problem = f"wanted a label among {', '.join(names)}, got {label[:40]!r}" if label else "no label"
        if not problem and text.kind == "scores":
            number = _number(score)
            problem = "" if math.isfinite(number) else f"wanted a number as score, got {score[:40]!r}"
        if not problem and not (first and (second or not columns.pair)):
            problem = EMPTY
        row = TextRow(name or f"{stem}-{line}", first, second, label if text.kind == "labels" else "", number)
        yield Read(line, row, problem)


def named_labels(text: Text) -> dict[str, str]:
    """How each value in the column of labels is called; empty where the manifest does not say."""
    return {value: name or value for value, _, name in (label.partition("=") for label in text.labels)}


def clean(text: str) -> str:
    """Composed Hangul (NFC), without spaces around it."""
    return unicodedata.normalize("NFC", text).strip()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _cells(path: Path, text: Text, wanted: Sequence[str]) -> Iterator[tuple[int, dict[str, str], str]]:
    """Line, cells by the names of their columns, and a problem."""
    content = decode(path, text.encoding)
    if text.format in ("json", "jsonl"):
        yield from _objects(path, content, text.format, wanted)
        return
    if text.format == "csv":
        reader = csv.reader(io.StringIO(content, newline=""), strict=True)
        table = ((reader.line_num, row) for row in reader if row)
    else:  # not splitlines, which also cuts at characters that stand in reviews
        lines = enumerate(content.split("\n"), 1)
        table = ((n, line.rstrip("\r").split("\t")) for n, line in lines if line.strip())
    _, header = next(table, (0, []))
    header = [name.strip() for name in header]
    if missing := [name for name in wanted if name not in header]:
        raise DataError(
            f"{path}: wanted a column {missing[0]!r}, got {', '.join(filter(None, header)) or 'an empty file'}; "
            "correct `text.columns` or `text.format` in the manifest"
        )
    try:
        for line, cells in table:
            short = len(cells) != len(header)
            yield (
                line,
                dict(zip(header, cells)),
                f"wanted {len(header)} columns as in the first line, got {len(cells)}" if short else "",
            )
    except csv.Error as error:
        raise DataError(f"{path}: not readable as csv: {error}; correct `text.format`, or fetch it again") from None


def _objects(path: Path, content: str, kind: str, wanted: Sequence[str]) -> Iterator[tuple[int, dict[str, str], str]]:
    if kind == "json":
        try:
            found = json.loads(content)
        except ValueError as error:
            raise DataError(f"{path}: not readable as json: {error}") from None
        if not isinstance(found, list):
            raise DataError(f"{path}: wanted a list of objects, got {type(found).__name__}")
        items: Iterable[tuple[int, Any]] = enumerate(found, 1)
    else:
        items = ((n, _parsed(line)) for n, line in enumerate(content.split("\n"), 1) if line.strip())
    for line, item in items:
        values = {name: _dig(item, name) for name in wanted}
        lacking = [name for name, value in values.items() if value is None]
        told = {name: "" if value is None else str(value) for name, value in values.items()}
        yield line, told, f"wanted an object with {lacking[0]!r}, got none" if lacking else ""


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _dig(item: Any, name: str) -> Any:
    """The value at "a.b" in nested objects, None where there is none."""
    for key in name.split("."):
        item = item.get(key) if isinstance(item, dict) else None
    return item


def read_documents(path: Path, kind: str, column: str = "text", encoding: str = "utf-8") -> Iterator[list[str]]:
    """The documents of a file, each a list of lines that are not empty, in constant memory.

    kind    txt or txt.gz: a blank line ends a document. jsonl, parquet: one document a row, in `column`. conllu: a
            sentence a line; a document ends at "# newdoc", or where the part of sent_id before its last hyphen changes
    raises  DataError
    """
    if not path.is_file():
        raise DataError(f"wanted the file {path}, got none; fetch the data set again, or correct `text.files`")
    if kind == "parquet":
        return _documents(_flat(_parquet(path, column)))
    lines = _lines(path, encoding, kind == "txt.gz")
    if kind == "jsonl":
        return _documents(_flat(_texts(path, lines, column)))
    return _documents(_sentences(lines) if kind == "conllu" else lines)


def _documents(lines: Iterable[str]) -> Iterator[list[str]]:
    """Lines to documents, which end at an empty line or at LONGEST."""
    document: list[str] = []
    for line in lines:
        if line:
            document.append(line)
        if document and (not line or len(document) == LONGEST):
            yield document
            document = []
    if document:
        yield document


def _flat(texts: Iterable[str]) -> Iterator[str]:
    """The lines of whole texts, with an empty one after each text; empty lines inside a text do not cut it."""
    for text in texts:
        yield from filter(None, map(clean, text.split("\n")))
        yield ""


def _texts(path: Path, lines: Iterable[str], column: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        text = _dig(_parsed(line), column)
        if not isinstance(text, str):
            raise DataError(f"{path}: line {number}: wanted a JSON object with a text {column!r}, got {line[:60]!r}")
        yield text


def _sentences(lines: Iterable[str]) -> Iterator[str]:
    """The "# text" of each sentence, and an empty line where another document begins."""
    last = ""
    for line in lines:
        name, _, value = line.removeprefix("#").partition("=") if line.startswith("#") else ("", "", "")
        if name.strip().startswith("newdoc"):
            yield ""
        elif name.strip() == "sent_id":
            source = value.strip().rpartition("-")[0]
            if source != last:
                yield ""
            last = source
        elif name.strip() == "text":
            yield value.strip()


def _parquet(path: Path, column: str) -> Iterator[str]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError:
        raise DataError(
            f"{path}: parquet files are read with pyarrow, which is not here: pip install pyarrow"
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise DataError(
                    f"{path}: wanted a column {column!r}, got {', '.join(file.schema_arrow.names)}; correct "
                    "`text.columns` in the manifest"
                )
            for batch in file.iter_batches(batch_size=256, columns=[column]):
                yield from (text or "" for text in batch.column(0).to_pylist())
    except ArrowInvalid as error:
        raise DataError(f"{path}: damaged, or no parquet file ({error}); fetch it again") from None


def _lines(path: Path, encoding: str, packed: bool) -> Iterator[str]:
    """Cleaned lines, one at a time."""
    encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    number = 0
    try:
        with gzip.open(path, "rb") if packed else open(path, "rb") as raw:
            stream = io.TextIOWrapper(cast(IO[bytes], raw), encoding=encoding, newline="\n")
            for line in stream:
                number += 1
                yield clean(line)
    except LookupError:
        raise DataError(f"{path}: unknown encoding {encoding!r}; Korean files are utf-8 or cp949") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not {encoding.removesuffix('-sig')} after line {number} ({error.reason}); save it again as UTF-8"
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged after line {number} ({error}); fetch it again") from None
