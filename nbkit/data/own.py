"""A person's own recordings to a data set: find out how they lie, write the manifest.

A folder with recordings and a list of texts, an archive of such a folder (also in Google Drive), or the list alone.
A line of the list is `path|text`, `path|speaker|text`, or `id|text|text as it is read`.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import re
import shutil
import statistics
import unicodedata
from pathlib import Path
from typing import Any

import yaml

from nbkit.base import workspace
from nbkit.data import audio, content, manifest, rows, schema, unpack
from nbkit.data.disk import DataError
from nbkit.data.download import download, drive_id, kind_of
from nbkit.data.rows import AUDIO_SUFFIXES, OTHER_AUDIO
from nbkit.data.schema import Archive, Layout, Manifest

LISTS = (".txt", ".csv", ".tsv", ".list", ".jsonl")
EXAMPLE = """a list has a line for each recording, such as
    wavs/first.wav|What is said in it.
or, with several speakers,
    wavs/first.wav|minji|What is said in it."""


@dataclasses.dataclass(frozen=True)
class Guess:
    """A layout, and how many of the first recordings it finds."""

    layout: Layout
    found: int
    looked: int
    texts: tuple[str, ...]
    files: tuple[Path, ...]
    unused: tuple[str, ...] = ()


def add(
    source: str, *, name: str = "", language: str = "", licence: str = "", columns: str = ""
) -> tuple[Manifest, list[str]]:
    """Write the manifest of the recordings in `source`; returns it, and what was seen in words.

    source    a folder, an archive, a list of texts, gdrive:ID, or the share address of a file in Google Drive
    name      what the data set is called from now on; by default after the source
    columns   what the columns are where that cannot be seen, such as path,-,text
    raises    DataError
    """
    path = Path(source).expanduser().absolute()
    remote = bool(drive_id(source)) or bool(re.match(r"https?://", source))
    name = _new_name(name or (f"drive_{drive_id(source)[:6]}" if drive_id(source) else _stem(source)))
    wanted = tuple(cell.strip() for cell in columns.split(",")) if columns else ()
    if remote or (path.is_file() and kind_of(path)):
        return _add_archive(source if remote else str(path), name, language, licence, wanted)
    if path.is_dir():
        found, folder = discover(path, wanted), path
    elif path.is_file() and path.suffix.lower() in LISTS:
        found, folder = _best([_guess(path.parent, path, wanted)], path), path.parent
    else:
        got = "a file of another kind; unpack it where it is packed, and add the folder of recordings and list"
        got = got if path.is_file() else "nothing there; check the path"
        raise DataError(
            f"wanted a folder, a zip or tar, a list of texts ({' '.join(LISTS)}) or an address in Google Drive, got "
            f"{source}: {got}"
        )
    return _write(name, language, licence, found, {"folder": str(folder)})


def discover(folder: Path, columns: tuple[str, ...] = ()) -> Guess:
    """The list of texts in a folder, and how it names the recordings. DataError where there is none."""
    lists = [
        path
        for path in sorted([*folder.glob("*"), *folder.glob("*/*")])
        if path.suffix.lower() in LISTS and path.is_file() and not re.match(r"readme|licen[cs]e|\.", path.name, re.I)
    ]
    return _best([_guess(folder, path, columns) for path in lists], folder)


def _best(guesses: list[Guess | str], where: Path) -> Guess:
    good = [guess for guess in guesses if isinstance(guess, Guess) and guess.found]
    if good:
        best = max(good, key=lambda guess: (guess.found / guess.looked, guess.found))
        unused = tuple(guess.layout.metadata for guess in good if guess is not best)
        return dataclasses.replace(best, unused=unused)
    others = [
        path for path in (where if where.is_dir() else where.parent).rglob("*") if path.suffix.lower() in OTHER_AUDIO
    ]
    if others:
        kind = others[0].suffix
        raise DataError(
            f"{where}: the recordings are {kind} files, which cannot be read here; convert them, for example with\n"
            f'    for f in *{kind}; do ffmpeg -i "$f" "${{f%{kind}}}.wav"; done'
        )
    reasons = "".join(f"\n  {guess}" for guess in guesses if isinstance(guess, str))
    raise DataError(
        f"{where}: wanted a list of texts whose recordings are there, found none.{reasons}\n{EXAMPLE}\nIf the "
        "columns are others, name them: --columns path,-,text"
    )


def _guess(folder: Path, path: Path, columns: tuple[str, ...]) -> Guess | str:
    """How one list is to be read, or why not."""
    name = path.relative_to(folder).as_posix()
    encoding = rows.guess_encoding(path.read_bytes())
    if not encoding:
        return f"{name}: neither UTF-8 nor CP949; save it as UTF-8"
    if path.suffix == ".jsonl":
        found = rows.read(_draft(Layout(name, encoding=encoding)), folder)
        return _counted(
            Layout(name, encoding=encoding),
            [row.utterance.audio for row in found],
            [row.utterance.text for row in found],
        )
    text = rows.decode(path, encoding)
    separator = _separator(text)
    table = _table(text, separator) if separator else []
    if not table:
        return f"{name}: no lines with |, tab or comma between columns"
    first, shown = table[0], separator.join(table[0])[:100]
    if columns and (len(columns) != len(first) or not {"path", "text"} <= set(columns) <= set(schema.COLUMNS)):
        return f"{name}: --columns names {len(columns)} columns, its first line has {len(first)}: {shown}"
    if not columns and len(first) > 3:
        return f"{name}: {len(first)} columns, which are path and text? {shown}"
    place, audio = _audio(folder, table, columns.index("path") if columns else None)
    if not audio:
        return f"{name}: no recording where its lines say: {shown}"
    columns = columns or _columns(table, place)
    files = [rows.resolve(folder, audio.replace("{path}", cells[place].strip())) for cells in table]
    texts = [cells[columns.index("text")] for cells in table]
    return _counted(Layout(name, columns, separator, audio, encoding), files, texts)


def _table(text: str, separator: str) -> list[list[str]]:
    """Cells of the lines that have as many columns as most; what is too much belongs to the last one, a text."""
    found = [cells for _, cells in rows.cells(text, separator)]
    counts = collections.Counter(map(len, found))
    width = max(counts, key=lambda width: counts[width], default=0)
    if separator == ",":  # stands in texts too, so that the shortest lines tell
        width = min((width for width, count in counts.items() if width > 1 and count >= 0.1 * len(found)), default=0)
    return [[*cells[: width - 1], separator.join(cells[width - 1 :])] for cells in found if len(cells) >= width > 1]


def _counted(layout: Layout, files: list[Path], texts: list[str]) -> Guess:
    here = tuple(path for path in files if path.is_file())
    return Guess(layout, len(here), max(len(files), 1), tuple(texts), here)


def _draft(layout: Layout) -> Manifest:
    return Manifest("new", "new", "ko", "unknown", 22050, folder=".", layout=layout)


def _separator(text: str) -> str:
    """What stands between columns: the first of | tab comma that most lines have."""
    lines = [line for line in text.splitlines() if line.strip()][:200]
    return next((mark for mark in "|\t," if sum(mark in line for line in lines) > len(lines) / 2), "")


def _audio(folder: Path, table: list[list[str]], place: int | None) -> tuple[int, str]:
    """The column that names recordings, and the path that it gives; "" where no recording is found."""
    some = table[:: max(1, len(table) // 40)]
    inside = [
        "",
        *(
            f"{path.relative_to(folder).as_posix()}/"
            for path in sorted([*folder.glob("*/"), *folder.glob("*/*/")])
            if not path.name.startswith(".")
        ),
    ][:20]
    best = (0, 0, "")
    for column in range(min(map(len, some))) if place is None else [place]:
        for before in inside:
            for after in ("", *AUDIO_SUFFIXES):
                names = [cells[column].strip() for cells in some if len(cells) > column and cells[column].strip()]
                found = sum(os.path.isfile(rows.resolve(folder, before + name + after)) for name in names)
                if found > best[0]:
                    best = (found, column, before + "{path}" + after)
                if found == len(some):
                    return best[1:]
    return best[1:]


def _columns(table: list[list[str]], path: int) -> tuple[str, ...]:
    """Names for two or three columns, by what is in them: speakers repeat and are short, texts do not."""
    width = len(table[0])
    others = [column for column in range(width) if column != path]
    values = {column: [cells[column].strip() for cells in table if len(cells) == width] for column in others}
    length = {column: statistics.fmean(map(len, values[column])) for column in others}
    text = max(others, key=lambda column: (length[column] > 0.8 * max(length.values()), column))
    names = ["-"] * width
    names[path], names[text] = "path", "text"
    for column in set(others) - {text}:
        few = len(set(values[column])) <= max(1, len(table) // 2)
        if few and max(map(len, values[column])) <= 40 and all(values[column]):
            names[column] = "speaker"
    return tuple(names)


def _add_archive(
    source: str, name: str, language: str, licence: str, columns: tuple[str, ...]
) -> tuple[Manifest, list[str]]:
    """Fetch or copy the archive, unpack it into the cache, look at it."""
    source = f"gdrive:{drive_id(source)}" if drive_id(source) else source
    path = workspace.cache() / "downloads" / f"{name}.archive"
    got = download([source], path, Archive(kind=""), title=name)
    archive = Archive(kind_of(path), got.size, got.sha256)
    folder = workspace.cache() / "data" / name
    hashes = unpack.unpack(path, folder, archive, dataclasses.asdict(got))
    path.unlink()
    try:
        bytes_unpacked = sum((folder / file).stat().st_size for file in hashes)
        archive = dataclasses.replace(archive, unpacked=max(bytes_unpacked, 1))
        made = _write(name, language, licence, discover(folder, columns), {"sources": (source,), "archive": archive})
    except DataError:
        shutil.rmtree(folder)  # nothing would name it
        raise
    content.remember(folder, hashes)
    return made


def _write(name: str, language: str, licence: str, guess: Guess, origin: dict) -> tuple[Manifest, list[str]]:
    language = language or _language("".join(guess.texts[:500]))
    if not language:
        raise DataError(f"{name}: cannot tell the language from the texts; name it, for example --language ko")
    layout, rate = guess.layout, _rate(guess.files)
    made = Manifest(name, name, language, licence or schema.UNKNOWN, rate, rows=guess.looked, layout=layout, **origin)
    path = workspace.manifests() / f"{name}.yaml"
    path.write_text(yaml.safe_dump(_told(made), allow_unicode=True, sort_keys=False, width=120), encoding="utf-8")
    columns = layout.separator.replace("\t", " tab ").join(layout.columns)
    notes = [f"{layout.metadata}: {columns} in {layout.encoding}, recordings at {layout.audio}"]
    notes += [f"not used: {other}; one list is used, so join them if you want both" for other in guess.unused]
    notes.append(f"language {language}, {rate:,} Hz; written to {path}")
    return manifest.load(name), notes


def _told(value: Any) -> dict[str, Any]:
    """The fields that differ from their defaults, as YAML has them."""
    told = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if item != field.default:
            told[field.name] = (
                _told(item) if dataclasses.is_dataclass(item) else list(item) if isinstance(item, tuple) else item
            )
    return told


def _language(text: str) -> str:
    """jje where there is arae-a, ko where there is Hangul, en where there are only Latin letters; else ""."""
    if re.search("[\u119e\u11a2\u318d\u318e]", text):
        return "jje"
    if re.search("[\uac00-\ud7a3\u1100-\u11ff]", unicodedata.normalize("NFC", text)):
        return "ko"
    letters = [character for character in text if character.isalpha()]
    return "en" if letters and all(character.isascii() for character in letters) else ""


def _rate(files: tuple[Path, ...]) -> int:
    """The sample rate that most recordings have."""
    import soundfile

    rates: collections.Counter[int] = collections.Counter()
    for path in files[:: max(1, len(files) // 50)]:
        try:
            rates[soundfile.info(path).samplerate] += 1
        except soundfile.LibsndfileError:
            continue  # the check that follows names it
    if not rates:
        raise DataError(
            f"wanted recordings as WAV, FLAC, MP3 or Ogg, got none that can be read as sound, the first is {files[0]}; "
            f"{audio.remedy(files[0])}"
        )
    return rates.most_common(1)[0][0]


def _stem(source: str) -> str:
    return re.sub(r"(\.tar)?\.\w{1,5}$", "", source.rstrip("/").rsplit("/", 1)[-1])


def _new_name(wanted: str) -> str:
    name = re.sub(r"[^\w]+", "_", unicodedata.normalize("NFC", wanted)).strip("_").lower()
    if not name:
        raise DataError(f"cannot make a name from {wanted!r}; give one with --name")
    path = workspace.manifests() / f"{name}.yaml"
    if path.exists():
        raise DataError(
            f"there is a data set {name} already, in {path}; give another name with --name, or remove that file"
        )
    return name
