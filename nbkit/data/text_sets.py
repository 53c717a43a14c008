"""Sets of texts by name: sentences with labels, pairs with scores, questions with answers, and running text.

    open_text_set("nsmc")       rows by split, ready to be trained on
    documents("nsmc_raw")       running text, document by document, in constant memory; also of any folder of text

They are described by manifests with a section `text`, beside those of recordings. The made_* sets need no download.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from nbkit.data import content, made_texts, manifest, rows, schema, text_files
from nbkit.data.disk import DataError
from nbkit.data.schema import Manifest, ManifestError, Text, Validation
from nbkit.data.text_files import EMPTY, Read, TextRow

__all__ = [
    "TextRow",
    "TextSet",
    "documents",
    "here",
    "load",
    "open_text_set",
    "plain_question",
    "read_splits",
    "source_fingerprint",
]

SPLITS = ("train", "validation", "test")
SUFFIXES = {".txt": "txt", ".txt.gz": "txt.gz", ".jsonl": "jsonl"}  # of a folder of running text


@dataclasses.dataclass(frozen=True)
class TextSet:
    """Rows by split, and what they are good for.

    kind    labels: guess the label of a text or a pair. scores: guess the score of a pair. answers: find, for a text,
            its answer, which is `pair`
    labels  all names, sorted; empty where kind is another one
    pairs   whether rows have a second text
    """

    name: str
    title: str
    language: str
    licence: str
    kind: str
    labels: tuple[str, ...]
    pairs: bool
    splits: dict[str, list[TextRow]]
    fingerprint: str


def open_text_set(name: str, count: int = 0) -> TextSet:
    """A set of texts with labels, scores or answers. Empty rows are left out.

    count   how many rows of train, 0 for all; more rows hold the fewer. Validation and test are always whole
    raises  ManifestError for an unknown name or one of recordings; DataError for a set that is not here, that is
            running text, or that has bad rows, naming them
    """
    found, text = load(name)
    if text.kind == "running":
        raise DataError(
            f"{name} is running text without labels, scores or answers; to learn from it, give it as a corpus: "
            f'text_sets.documents("{name}")'
        )
    read = read_splits(found)
    bad = [(r.line, r.row.id, r.problem) for split in read.values() for r in split if r.problem not in ("", EMPTY)]
    if bad:
        told = "\n".join(f"  line {line}: {identity}: {problem}" for line, identity, problem in bad[:5])
        more = f"\n  and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise DataError(
            f"{name}: {len(bad)} of {sum(map(len, read.values()))} rows cannot be used:\n{told}{more}\n"
            f"`nbkit data check {name}` lists them all; fetch the set again, or name them in `exclude`"
        )
    splits = {split: [r.row for r in reads if not r.problem] for split, reads in read.items()}
    if 0 < count < len(splits["train"]):
        kept = set(rows.first_ids((row.id for row in splits["train"]), count))
        splits["train"] = [row for row in splits["train"] if row.id in kept]
    every = [row for split in SPLITS for row in splits[split]]
    labels = tuple(sorted({row.label for row in every})) if text.kind == "labels" else ()
    pairs = any(row.pair for row in every)
    about = (name, found.title, found.language, found.licence, text.kind, labels, pairs)
    return TextSet(*about, splits, _fingerprint_of_rows(text.kind, splits))


def read_splits(found: Manifest) -> dict[str, list[Read]]:
    """All rows of a set by split, bad ones too; rows that the manifest excludes are left out.

    raises  DataError where it is not here, or a file cannot be read
    """
    text = found.text
    if text is None or text.kind == "running":
        raise DataError(f"{found.name}: wanted a set of rows of text, got {text.kind if text else 'recordings'}")
    if text.made:
        made = made_texts.rows(text.made)
        read = {"train": [Read(n, row) for n, row in enumerate(made, 1)], "validation": [], "test": []}
        folder = Path()
    else:
        folder = files_folder(found)
        names = text.files or schema.Files(())
        read = {
            split: [row for name in getattr(names, split) for row in text_files.read_rows(folder / name, text)]
            for split in SPLITS
        }
    if not any(read.values()):
        raise DataError(f"{found.name}: wanted rows, got none; fetch it again")
    if found.exclude:
        left_out = set(found.exclude)
        read = {split: [r for r in reads if r.row.id not in left_out] for split, reads in read.items()}
    if text.test_percent and not read["test"]:
        _hold_out(read, "test", Validation(percent=text.test_percent), text, folder)
    if not read["validation"]:
        _hold_out(read, "validation", found.validation, text, folder)
    return read


def _hold_out(read: dict[str, list[Read]], split: str, rule: Validation, text: Text, folder: Path) -> None:
    """Move some rows of train into another split: a pure function of their ids.

    Of answers, rows with the same plain_question() stay together, or a held-out question would have been seen.
    """
    keys = [plain_question(r.row.text) if text.kind == "answers" else r.row.id for r in read["train"]]
    held = rows.validation_ids(list(dict.fromkeys(keys)), rule, folder, split)
    both = list(zip(keys, read["train"]))
    read[split] = [r for key, r in both if key in held]
    read["train"] = [r for key, r in both if key not in held]


def plain_question(text: str) -> str:
    """The letters and digits of a question in small letters: alike for all ways to write the same one.

    Two that differ in case, blanks, punctuation, signs or width of letters are the same. One of signs alone stays.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(one for one in folded if unicodedata.category(one)[0] in "LMN") or folded.strip()


def here(name: str) -> bool:
    """Whether a set of texts, or a published model such as kobert_tokenizer, can be opened without a fetch."""
    try:
        found = manifest.load(name)
    except ManifestError:
        return False
    return found.text is not None and manifest.is_here(found)


def documents(source: str) -> Iterator[list[str]]:
    """Running text: documents, each a list of lines that are not empty. Memory does not grow with the text.

    source  the name of a set of running text; or the path of a file, or of a folder, whose files are read in the order
            of their names: .txt and .txt.gz, where a blank line ends a document; .jsonl, a document a line in "text"
    raises  ManifestError for an unknown name, DataError where it is not here or is no running text
    """
    files, text = _running(source)  # not in the generator, so that errors come at once
    if text is not None and text.made:
        return made_texts.documents()
    return itertools.chain.from_iterable(_documents_of(path, text) for path in files)


def _documents_of(path: Path, text: Text | None) -> Iterator[list[str]]:
    if text is None:
        return text_files.read_documents(path, _suffix(path))
    column = text.columns.text if text.columns else "text"
    return text_files.read_documents(path, text.format, column, text.encoding)


def source_fingerprint(source: str) -> str:
    """Sixteen hexadecimal digits for running text, which change with any content of its files."""
    files, text = _running(source)
    digest = hashlib.sha256()
    if text is not None:
        told = dataclasses.asdict(text)
        digest.update(json.dumps([told[key] for key in ("format", "columns", "encoding", "made")]).encode())
    if text is not None and text.made:
        for document in made_texts.documents():
            digest.update(json.dumps(document).encode())
    hashes = content.hashes(files[0].parent, files) if files else {}
    for path in files:
        digest.update(f"{path.name}\x1f{hashes[path]}\x1e".encode())
    return digest.hexdigest()[:16]


def _running(source: str) -> tuple[list[Path], Text | None]:
    """The files of running text, and how its manifest describes them."""
    path = Path(source).expanduser()
    if str(source) not in manifest.names() and path.exists():
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and _suffix(p))
        if not files or not all(map(_suffix, files)):
            raise DataError(f"{path}: wanted text in files {', '.join(SUFFIXES)}, got none")
        return files, None
    try:
        found, text = load(str(source))
    except ManifestError as error:
        if str(source) in manifest.names():
            raise
        raise ManifestError(f"{error}; and there is no folder or file {path}") from None
    if text.kind != "running":
        raise DataError(
            f'{source} is a set of {text.kind}, not running text; open it with text_sets.open_text_set("{source}")'
        )
    if text.made:
        return [], text
    folder = files_folder(found)
    return [folder / name for name in (text.files.train if text.files else ())], text


def _suffix(path: Path) -> str:
    return next((kind for end, kind in SUFFIXES.items() if path.name.lower().endswith(end)), "")


def load(name: str) -> tuple[Manifest, Text]:
    """The manifest of a set of texts. ManifestError for an unknown name, one of recordings, or that of a model."""
    found = manifest.load(name)
    if found.text is None:
        raise ManifestError(
            f'{name} is a set of recordings, wanted one of texts; open it with manifest.open_dataset("{name}")'
        )
    if found.text.kind == "model":
        raise ManifestError(f"{name} is a model, wanted a set of texts; `nbkit data list` shows them")
    return found, found.text


def files_folder(found: Manifest) -> Path:
    """The folder that the paths in `text.files` begin in. DataError where the set is not here."""
    if not manifest.is_here(found):
        raise manifest.absent(found)
    folder = manifest.folder_of(found)
    inside = folder / found.text.inside if found.text else folder
    return inside if inside.is_dir() else folder


def _fingerprint_of_rows(kind: str, splits: dict[str, list[TextRow]]) -> str:
    """Sixteen hexadecimal digits that change with any text, label, score or split."""
    digest = hashlib.sha256(kind.encode())
    for split in SPLITS:
        digest.update(f"\x1d{split}".encode())
        for row in splits[split]:
            digest.update(f"\x1e{row.id}\x1f{row.text}\x1f{row.pair}\x1f{row.label}\x1f{row.score}".encode())
    return digest.hexdigest()[:16]
