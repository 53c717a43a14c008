"""What a manifest may say, and the check that it says it right.

A manifest is a YAML file in data_manifests/. One with a section `text` describes texts, any other recordings.
Recordings have exactly one of `sources` (an archive to fetch), `folder` (what is on this machine already) and
`synthetic` (speech made on the spot). Texts may have a folder, which is taken where it exists, and beside it an archive
or `downloads` (single files to fetch); or they are made on the spot. Texts of kind "model" are none: the files of a
model that others have published.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import os
import re
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

KINDS = ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")
COLUMNS = ("id", "path", "text", "speaker", "-")
TEXT_KINDS = ("labels", "scores", "answers", "running", "model")
FORMATS = ("tsv", "csv", "jsonl", "json", "conllu", "txt", "txt.gz", "parquet")
TABLES, RUNNING = ("tsv", "csv", "jsonl", "json"), ("txt", "txt.gz", "jsonl", "conllu", "parquet")
BUILDS = ("film_reviews",)
MADE = ("documents", "reviews", "pairs", "scores", "answers")
UNKNOWN = "unknown"


class ManifestError(ValueError):
    """A manifest says something that cannot be used; names the file, the field, and what to write instead."""


def _told(wanted: str, *, pattern: str = "", low: float | None = None, **default: Any) -> Any:
    return dataclasses.field(metadata={"wanted": wanted, "pattern": pattern, "low": low}, **default)


@dataclasses.dataclass(frozen=True)
class Archive:
    """The one file that all sources hold, byte for byte."""

    kind: str = _told("one of " + ", ".join(KINDS), pattern="|".join(map(re.escape, KINDS)))
    size: int = _told("its number of bytes, or leave it out", low=1, default=0)
    sha256: str = _told(f"64 hexadecimal digits, or {UNKNOWN}", pattern=f"[0-9a-f]{{64}}|{UNKNOWN}", default=UNKNOWN)
    md5: str = _told("32 hexadecimal digits", pattern="[0-9a-f]{32}", default="")
    unpacked: int = _told("the bytes of all files in it, or leave it out", low=1, default=0)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the rows and the recordings lie, relative to the unpacked archive or the folder."""

    metadata: str = _told("the path of the list of texts, such as metadata.csv")
    columns: tuple[str, ...] = _told(
        f"the columns in their order, such as [path, text]; each one of {', '.join(COLUMNS)} ('-' is not read)",
        pattern="|".join(COLUMNS),
        default=("path", "text"),
    )
    separator: str = _told("what stands between columns, '|' or \"\\t\"", pattern=r".|\t", default="|")
    audio: str = _told("a path with {path} in it, such as wavs/{path}.wav", pattern=r".*\{path\}.*", default="{path}")
    encoding: str = _told("the encoding of the list, such as utf-8 or cp949", default="utf-8")


@dataclasses.dataclass(frozen=True)
class Validation:
    """Which rows are kept from training. One of the three; the choice depends on nothing but the ids."""

    percent: float = _told("a percentage above 0 and below 100", low=0.001, default=0.0)
    count: int = _told("a number of rows", low=1, default=0)
    file: str = _told("the path of a list of ids, one a line", default="")


@dataclasses.dataclass(frozen=True)
class Synthetic:
    """Speech made on the spot by eSpeak."""

    voice: str = _told("the name of an eSpeak voice, such as ko")
    count: int = _told("how many sentences to make when nobody says", low=1)


@dataclasses.dataclass(frozen=True)
class Download:
    """One file to fetch that is no archive."""

    path: str = _told(
        "where it lies in the folder of the data set, such as ratings_train.txt", pattern=r"(?!.*\.\.)[^/.][^:]*"
    )
    source: str = _told("its address, http:// or https://", pattern=r"https?://.+")
    mirrors: tuple[str, ...] = _told("a list of further addresses of the same file", pattern=r"https?://.+", default=())
    size: int = _told("its number of bytes, or leave it out", low=1, default=0)
    sha256: str = _told(f"64 hexadecimal digits, or {UNKNOWN}", pattern=f"[0-9a-f]{{64}}|{UNKNOWN}", default=UNKNOWN)


@dataclasses.dataclass(frozen=True)
class Files:
    """The files of each split. Where validation has none, some rows of train are kept for it by their ids."""

    train: tuple[str, ...] = _told("paths of files")
    validation: tuple[str, ...] = _told("paths of files", default=())
    test: tuple[str, ...] = _told("paths of files", default=())


@dataclasses.dataclass(frozen=True)
class Columns:
    """How the columns of a table are called; in JSON, a dot leads into an object."""

    text: str = _told("the name of the column with the text, or the first of two texts")
    pair: str = _told("the name of the column with the second text", default="")
    label: str = _told("the name of the column with the label", default="")
    score: str = _told("the name of the column with the score", default="")
    id: str = _told("the name of the column with the id; without it, ids are file and line", default="")


@dataclasses.dataclass(frozen=True)
class Text:
    """What texts these are and how they lie in their files."""

    kind: str = _told("one of " + ", ".join(TEXT_KINDS), pattern="|".join(TEXT_KINDS))
    format: str = _told("one of " + ", ".join(FORMATS), pattern="|".join(map(re.escape, FORMATS)), default="")
    files: Files | None = _told("train, validation, test", default=None)  # noqa: RUF009
    columns: Columns | None = _told("text, pair, label, score, id", default=None)  # noqa: RUF009
    labels: tuple[str, ...] = _told(
        "all labels as they stand in the files, or value=name such as 0=negative", default=()
    )
    encoding: str = _told(
        "the encoding of the files, such as utf-8 (with or without its mark) or cp949", default="utf-8"
    )
    inside: str = _told("the folder in the archive that holds the files", default="")
    build: str = _told(
        "how files are made of the archive, one of " + ", ".join(BUILDS), pattern="|".join(BUILDS), default=""
    )
    test_percent: float = _told("the percentage of train rows to test on, below 100", low=0.001, default=0.0)
    made: str = _told("one of " + ", ".join(MADE), pattern="|".join(MADE), default="")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """One data set: where it comes from, what it is, how it lies on the disk."""

    name: str = _told("the name of the file without .yaml")
    title: str = _told("a name for people")
    language: str = _told("a language code such as ko, in quotes", pattern="[a-z-]{2,8}")
    licence: str = _told("the name of the licence, or unknown")
    rate: int = _told("the sample rate of the recordings in Hz", low=4000, default=0)
    about: str = _told("a few words", default="")
    homepage: str = _told("an address", default="")
    hours: float = _told("the published length in hours", low=0.0, default=0.0)
    rows: int = _told("the published number of recordings", low=1, default=0)
    speaker: str = _told("the name of the one speaker, where no column names it", default="")
    sources: tuple[str, ...] = _told("addresses (http, https, gdrive:ID, or a path) of the same archive", default=())
    archive: Archive | None = _told("kind, size, sha256", default=None)  # noqa: RUF009
    downloads: tuple[Download, ...] = _told("a list of files, each with path and source", default=())
    folder: str = _told("a path; $NAME stands for an environment variable", default="")
    synthetic: Synthetic | None = _told("voice, count", default=None)  # noqa: RUF009
    layout: Layout | None = _told("metadata, columns, separator, audio, encoding", default=None)  # noqa: RUF009
    text: Text | None = _told("kind, format, files, columns", default=None)  # noqa: RUF009
    validation: Validation = _told("percent, count or file", default=Validation(percent=5.0))  # noqa: RUF009
    exclude: tuple[str, ...] = _told("ids of rows that are left out", default=())

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits for everything here that changes the data; addresses and words do not."""
        told = dataclasses.asdict(self)
        for field in ("title", "about", "homepage", "licence", "hours", "rows", "sources", "archive", "folder"):
            del told[field]
        told["archive"] = self.archive.sha256 if self.archive else ""
        downloads, text = told.pop("downloads"), told.pop("text")
        if text:
            told |= {"text": text, "downloads": [(part["path"], part["sha256"]) for part in downloads]}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice, where the plain loader would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(
                    f"field '{key.value}' is given twice, the second time in line {key.start_mark.line + 1}"
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(path: Path) -> Manifest:
    """Read and check one manifest. Raises ManifestError naming the file and the field."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: not readable as YAML in UTF-8: {error}") from None
    if not isinstance(values, dict):
        raise ManifestError(f"{path}: wanted fields such as `title: ...`, got {_shown(values)}")
    manifest = _build(Manifest, values, path, "")
    _check_whole(manifest, path)
    return manifest


def _build(cls: type, values: dict, path: Path, prefix: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    for name in values:
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, n=1)
            hint = f"did you mean '{prefix}{near[0]}'?" if near else f"known are {', '.join(fields)}"
            raise ManifestError(f"{path}: unknown field '{prefix}{name}'; {hint}")
    missing = [
        f"'{prefix}{f.name}' ({f.metadata['wanted']})"
        for f in fields.values()
        if f.name not in values and f.default is dataclasses.MISSING
    ]
    if missing:
        raise ManifestError(f"{path}: wanted field {', '.join(missing)}, got none; add it")
    return cls(**{name: _value(hints[name], value, fields[name], path, prefix) for name, value in values.items()})


def _value(hint: Any, value: Any, field: dataclasses.Field, path: Path, prefix: str) -> Any:
    """The value of a field in the type it has in the dataclass."""

    def refuse() -> typing.NoReturn:
        wanted = field.metadata["wanted"]
        raise ManifestError(f"{path}: field '{prefix}{field.name}': wanted {wanted}, got {_shown(value)}")

    nested = next(
        (t for t in (hint, *typing.get_args(hint)) if isinstance(t, type) and dataclasses.is_dataclass(t)), None
    )
    if nested and typing.get_origin(hint) is tuple:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            refuse()
        return tuple(_build(nested, item, path, f"{prefix}{field.name}[{n}].") for n, item in enumerate(value, 1))
    if nested:
        return _build(nested, value, path, f"{prefix}{field.name}.") if isinstance(value, dict) else refuse()
    if hint in (int, float):
        number = isinstance(value, int) or (hint is float and isinstance(value, float))
        low = field.metadata["low"]
        return hint(value) if number and not isinstance(value, bool) and (low is None or value >= low) else refuse()
    items = value if hint is not str else [value]
    good = isinstance(items, list) and all(
        isinstance(item, str) and item and re.fullmatch(field.metadata["pattern"] or r"(?s).+", item) for item in items
    )
    if not good:
        refuse()
    return value if hint is str else tuple(items)


def _check_whole(manifest: Manifest, path: Path) -> None:
    """What no field can say alone."""

    def refuse(text: str) -> typing.NoReturn:
        raise ManifestError(f"{path}: {text}")

    if manifest.name != path.stem:
        refuse(f"field 'name': wanted {path.stem!r} as the file is called, got {manifest.name!r}")
    if manifest.text:
        _check_text(manifest, manifest.text, refuse)
    else:
        _check_speech(manifest, refuse)
    if bool(manifest.sources) != bool(manifest.archive):
        refuse("fields 'sources' and 'archive' belong together, and one is missing; add it")
    split = manifest.validation
    if sum(map(bool, (split.percent, split.count, split.file))) != 1 or split.percent >= 100:
        refuse("field 'validation': wanted one of percent (below 100), count and file, such as {percent: 5}")
    for source in manifest.sources:
        if re.match(r"[a-z]+:", source) and not re.match(r"https?://|gdrive:[\w-]{10,}$", source):
            refuse(f"field 'sources': wanted http://, https://, gdrive:ID or a path, got {source!r}")


def _check_speech(manifest: Manifest, refuse: Callable[[str], typing.NoReturn]) -> None:
    if not manifest.rate:
        refuse("wanted field 'rate' (the sample rate of the recordings in Hz), got none; add it")
    origins = [name for name in ("sources", "folder", "synthetic") if getattr(manifest, name)]
    if len(origins) != 1:
        got = " and ".join(origins) or "none"
        refuse(f"wanted one of the fields 'sources', 'folder' and 'synthetic', got {got}")
    if manifest.downloads:
        refuse("field 'downloads': wanted with 'text' only; remove it, or give an archive in 'sources'")
    if bool(manifest.synthetic) == bool(manifest.layout):
        refuse("field 'layout': wanted with 'sources' or 'folder' and only there; add or remove it")
    if manifest.layout and not {"path", "text"} <= set(manifest.layout.columns):
        refuse(f"field 'layout.columns': wanted path and text among them, got {_shown(list(manifest.layout.columns))}")


def _check_text(manifest: Manifest, text: Text, refuse: Callable[[str], typing.NoReturn]) -> None:
    for name in ("rate", "hours", "speaker", "synthetic", "layout"):
        if getattr(manifest, name):
            refuse(f"field '{name}': wanted of recordings only, but this manifest has 'text'; remove one of them")
    if manifest.sources and manifest.downloads:
        refuse("wanted an archive in 'sources' or single files in 'downloads', got both; remove one")
    origins = [name for name in ("sources", "downloads", "folder") if getattr(manifest, name)]
    if bool(text.made) == bool(origins):
        refuse("wanted one of 'sources', 'downloads' and 'folder', or 'text.made' without any of them")
    if text.build and not manifest.sources:
        refuse("field 'text.build': wanted with an archive in 'sources'; add it, or remove the field")
    if text.test_percent >= 100:
        refuse("field 'text.test_percent': wanted a percentage below 100")
    if text.kind == "model":
        if odd := next((f.name for f in dataclasses.fields(text) if f.name != "kind" and _is_set(text, f)), ""):
            refuse(f"field 'text.{odd}': wanted of texts only, but this is a model; remove it")
        return
    if text.made:
        return
    formats = RUNNING if text.kind == "running" else TABLES
    if text.format not in formats:
        refuse(f"field 'text.format': wanted one of {', '.join(formats)} for {text.kind}, got {text.format!r}")
    if text.files is None:
        refuse("wanted field 'text.files' (train, validation, test), got none; add it")
    wanted = {"labels": ("text", "label"), "scores": ("text", "pair", "score"), "answers": ("text", "pair")}
    needed = wanted.get(text.kind, ("text",) if text.format in ("jsonl", "parquet") else ())
    if missing := [name for name in needed if not getattr(text.columns, name, "")]:
        refuse(f"wanted field 'text.columns.{missing[0]}' for {text.kind} in {text.format}, got none; add it")


def _is_set(text: Text, field: dataclasses.Field) -> bool:
    return getattr(text, field.name) != field.default


def unset_variable(text: str) -> str:
    """The first environment variable in a path that is not set, "" where all are."""
    left = re.search(r"\$\{?(\w+)", os.path.expandvars(text))
    return left.group(1) if left else ""


def expand(text: str) -> Path:
    """A path of a manifest on this machine. Raises ManifestError where it names a variable that is not set."""
    if name := unset_variable(text):
        raise ManifestError(
            f"the folder {text} needs the environment variable {name}, which is not set; set it to the "
            "folder that holds your data sets"
        )
    return Path(os.path.expandvars(os.path.expanduser(text))).absolute()


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 80 else text[:77] + "..."
