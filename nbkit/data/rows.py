"""The list of texts of a data set to utterances, and the choice of those kept for validation."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from nbkit.data.disk import DataError
from nbkit.data.schema import Layout, Manifest, Validation

AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aif", ".aiff")
OTHER_AUDIO = (".m4a", ".aac", ".mp4", ".wma", ".amr", ".webm")  # what phones give and libsndfile cannot read
HEADERS = {
    "id",
    "path",
    "file",
    "filename",
    "file_name",
    "audio",
    "wav",
    "text",
    "sentence",
    "transcript",
    "transcription",
    "speaker",
    "speaker_id",
    "duration",
}
ENOUGH = 10  # rows from which on some are kept for validation


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One recording and its text. `phones` and `words` as in rows.jsonl, where the truth is known."""

    id: str
    audio: Path
    text: str
    speaker: str
    split: str = "train"
    phones: tuple = ()
    words: tuple = ()


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the list as it was read, with what is wrong with it."""

    line: int
    utterance: Utterance
    problem: str = ""


def read(manifest: Manifest, folder: Path) -> list[Row]:
    """All lines of the list in their order, bad ones too; rows that the manifest excludes are left out."""
    layout = manifest.layout or Layout("rows.jsonl")
    path = folder / layout.metadata
    if not path.is_file():
        here = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) if folder.is_dir() else "nothing"
        raise DataError(
            f"{manifest.name}: wanted the list of texts {path}, got none; in the folder: {here}. "
            "Put it there, or correct `layout.metadata` in the manifest"
        )
    text = decode(path, layout.encoding)
    speaker = manifest.speaker or manifest.name
    if path.suffix == ".jsonl":
        rows = list(_json_rows(text, folder, speaker))
    else:
        rows = list(_table_rows(text, layout, folder, speaker))
    if not rows:
        raise DataError(f"{path}: wanted rows, got an empty list; write one line for each recording")
    if manifest.exclude:
        rows = [row for row in rows if row.utterance.id not in set(manifest.exclude)]
    seen: dict[str, int] = {}
    for index, row in enumerate(rows):
        first = seen.setdefault(row.utterance.id, row.line)
        if first != row.line and not row.problem:
            rows[index] = dataclasses.replace(row, problem=f"the id stands in line {first} already")
    return rows


def decode(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file. DataError names the encoding that it seems to have."""
    content = path.read_bytes()
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise DataError(f"{path}: unknown encoding {encoding!r}; Korean files are utf-8 or cp949") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        guess = guess_encoding(content)
        hint = f"it reads as {guess}: write `encoding: {guess}` into the layout of its manifest, or " if guess else ""
        raise DataError(
            f"{path}: line {line} is not {encoding} (byte {content[error.start]:#04x}); {hint}save the file again as "
            "UTF-8"
        ) from None


def guess_encoding(content: bytes) -> str:
    """utf-8, utf-16 (by its mark) or cp949, the first that reads; "" where none does."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    for encoding in ("utf-8", "cp949"):
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return ""


def cells(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """(line number, cells) of each line that is not empty and not a header; commas may be quoted, others are not."""
    lines = text.split("\n")
    if separator == ",":
        reader = csv.reader(lines)
        table = [(reader.line_num, row) for row in reader if row]
    else:
        table = [(n, line.rstrip("\r").split(separator)) for n, line in enumerate(lines, 1) if line.strip()]
    if table and all(cell.strip().lower() in HEADERS for cell in table[0][1]):
        del table[0]
    return table


def plain_id(path: str) -> str:
    """The id of a recording whose list has none: its path without the ending."""
    suffix = PurePosixPath(path).suffix
    return path[: -len(suffix)] if suffix.lower() in AUDIO_SUFFIXES + OTHER_AUDIO else path


def resolve(folder: Path, name: str) -> Path:
    """The file that a list calls `name`.

    Lists written on Windows have backslashes; Korean names of files from macOS are decomposed, those in lists are not.
    """
    slashed = name.replace("\\", "/")
    for form in (name, unicodedata.normalize("NFC", slashed), unicodedata.normalize("NFD", slashed)):
        if os.path.exists(folder / form):  # not Path.exists, which raises where a text is longer than names can be
            return folder / form
    return folder / slashed


def _table_rows(text: str, layout: Layout, folder: Path, speaker: str) -> Iterable[Row]:
    wanted = len(layout.columns)
    for line, found in cells(text, layout.separator):
        if len(found) > wanted and layout.columns[-1] == "text":  # a text may hold the separator
            found = [*found[: wanted - 1], layout.separator.join(found[wanted - 1 :])]
        named = {column: cell.strip() for column, cell in zip(layout.columns, found) if column != "-"}
        path, spoken = named.get("path", ""), unicodedata.normalize("NFC", named.get("text", ""))
        problem = ""
        if len(found) != wanted:
            problem = f"wanted {wanted} columns ({', '.join(layout.columns)}), got {len(found)}"
        elif not path:
            problem = "no path"
        elif not spoken:
            problem = "empty text"
        audio = resolve(folder, layout.audio.replace("{path}", path)) if path else folder
        name = named.get("id") or plain_id(path) or f"line {line}"
        yield Row(line, Utterance(name, audio, spoken, named.get("speaker") or speaker), problem)


def _json_rows(text: str, folder: Path, speaker: str) -> Iterable[Row]:
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
            path, spoken = str(row["audio"]), unicodedata.normalize("NFC", str(row["text"]).strip())
        except (ValueError, KeyError, TypeError) as error:
            problem = f'wanted JSON with "audio" and "text", got {content[:60]!r} ({error})'
            yield Row(line, Utterance(f"line {line}", folder, "", speaker), problem)
            continue
        name, who = str(row.get("id") or plain_id(path)), str(row.get("speaker") or speaker)
        phones, words = (tuple(map(tuple, row.get(key) or ())) for key in ("phones", "words"))
        found = Utterance(name, resolve(folder, path), spoken, who, phones=phones, words=words)
        yield Row(line, found, "" if spoken else "empty text")


def validation_ids(ids: Sequence[str], rule: Validation, folder: Path, purpose: str = "validation") -> set[str]:
    """The ids that are kept from training: a pure function of the ids and the rule, with at least one of ten rows.

    purpose  another one chooses other ids
    """
    ranked = sorted(ids, key=lambda name: _score(name, purpose))
    if rule.file:
        chosen = _listed(folder / rule.file) & set(ids)
    elif len(ids) < ENOUGH:
        return set()
    elif rule.count:
        chosen = set(ranked[: min(rule.count, len(ids) // ENOUGH)])
    else:
        chosen = {name for name in ids if _score(name, purpose) < rule.percent / 100}
    return chosen or set(ranked[: int(len(ids) >= ENOUGH)])


def subset(utterances: Sequence[Utterance], count: int) -> list[Utterance]:
    """`count` of them, in their order: a larger subset holds the smaller one. 0 means all."""
    if not 0 < count < len(utterances):
        return list(utterances)
    kept = set(first_ids([u.id for u in utterances], count))
    return [u for u in utterances if u.id in kept]


def first_ids(ids: Iterable[str], count: int) -> list[str]:
    """`count` of the ids; more of them hold the fewer."""
    return sorted(ids, key=lambda name: _score(name, "subset"))[:count]


def _score(name: str, purpose: str = "validation") -> float:
    """A number in [0, 1) that depends on the id alone."""
    digest = hashlib.blake2b(f"{purpose}\x1f{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def _listed(path: Path) -> set[str]:
    if not path.is_file():
        raise DataError(f"wanted the list of validation ids {path}, got none; put it there or change `validation`")
    return {plain_id(re.split(r"[|\t]", line)[0].strip()) for line in decode(path).splitlines() if line.strip()}
