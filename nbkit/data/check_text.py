"""What is in a set of texts, and all that is wrong with its rows, before training stumbles over it."""

from __future__ import annotations

import collections
import dataclasses
import statistics
from collections.abc import Iterable, Sequence

from nbkit.base.amounts import size
from nbkit.data import manifest, text_sets
from nbkit.data.check import Problem
from nbkit.data.disk import hash_of
from nbkit.data.schema import UNKNOWN, Manifest
from nbkit.data.text_files import EMPTY, TextRow
from nbkit.data.text_sets import SPLITS
from nbkit.data.unpack import MARK


@dataclasses.dataclass(frozen=True)
class TextReport:
    """What a check found. `good` where there is no problem; empty rows are none, they are left out."""

    name: str
    rows: int
    problems: list[Problem]
    told: list[tuple[str, str]]
    counted: str = "rows"

    @property
    def good(self) -> bool:
        return not self.problems

    def bad_lines(self) -> set[str]:
        """The ids of rows with a problem; lines of several files may have the same number."""
        return {problem.id for problem in self.problems}

    def excludable(self) -> list[str]:
        """Ids that `exclude` may name."""
        return list(dict.fromkeys(problem.id for problem in self.problems))

    def summary(self) -> list[tuple[str, str]]:
        """Name and value of what one wants to know about a set of texts."""
        return self.told


def check(name: str) -> TextReport:
    """Look at every row, or every document, of a set of texts; of a model, at every file.

    raises  DataError where it is not here or a file cannot be read; ManifestError where it is one of recordings
    """
    if (model := manifest.load(name)).text and model.text.kind == "model":
        return _check_model(model)
    found, text = text_sets.load(name)
    return _check_running(name) if text.kind == "running" else _check_rows(found, text.kind)


def _check_running(name: str) -> TextReport:
    documents = lines = characters = longest = 0
    for document in text_sets.documents(name):
        documents += 1
        lines += len(document)
        characters += sum(map(len, document))
        longest = max(longest, len(document))
    problems = [] if lines else [Problem(0, name, "empty", "no line of text; fetch it again")]
    told = [
        ("text", f"{documents:,} documents, {lines:,} lines, {characters:,} characters"),
        ("longest", f"a document of {longest:,} lines"),
    ]
    return TextReport(name, lines, problems, told)


def _check_model(found: Manifest) -> TextReport:
    if not manifest.is_here(found):
        raise manifest.absent(found)
    folder, problems, told = manifest.folder_of(found), [], []
    for line, part in enumerate(found.downloads, 1):
        path = folder / part.path
        if not path.is_file():
            problems.append(Problem(line, part.path, "missing", f"no file {path}"))
            continue
        told.append((part.path, size(path.stat().st_size)))
        if part.sha256 not in (UNKNOWN, got := hash_of(path)):
            detail = f"wanted sha256 {part.sha256}, got {got}; remove {path} and {folder / MARK}, and fetch it again"
            problems.append(Problem(line, part.path, "damaged", detail))
    told.append(("model", f"{len(told)} of {len(found.downloads)} files in {folder}"))
    return TextReport(found.name, len(found.downloads), problems, told, "files")


def _check_rows(found: Manifest, kind: str) -> TextReport:
    read = text_sets.read_splits(found)
    problems = [
        Problem(r.line, r.row.id, "row", r.problem)
        for split in SPLITS
        for r in read[split]
        if r.problem not in ("", EMPTY)
    ]
    splits = {split: [r.row for r in read[split] if not r.problem] for split in SPLITS}
    empty = {split: sum(r.problem == EMPTY for r in read[split]) for split in SPLITS}
    every = [row for split in SPLITS for row in splits[split]]
    told = [("rows", _by_split({split: len(rows) for split, rows in splits.items()}))]
    if any(empty.values()):
        told.append(("empty", _by_split(empty) + "; left out"))
    told += _contents(kind, every)
    if every:
        told.append(("characters", _spread([len(row.text) + len(row.pair) for row in every])))
    told.append(("twice", _twice(splits, kind == "answers")))
    same_id = sum(n - 1 for n in collections.Counter(row.id for row in every).values())
    if same_id:
        told.append(("ids", f"{same_id:,} rows have the id of another row"))
    return TextReport(found.name, sum(map(len, read.values())), problems, told)


def _contents(kind: str, rows: Sequence[TextRow]) -> list[tuple[str, str]]:
    if kind == "labels":
        counts = sorted(collections.Counter(row.label for row in rows).items())
        return [("labels", ", ".join(f"{label} {count:,}" for label, count in counts))]
    if kind == "scores" and rows:
        scores = [row.score for row in rows]
        return [("scores", f"{min(scores):g} lowest, {statistics.fmean(scores):.2f} mean, {max(scores):g} highest")]
    if kind == "answers":
        questions, answers = (len(set(texts)) for texts in zip(*((row.text, row.pair) for row in rows)))
        return [("answers", f"{answers:,} different ones to {questions:,} different questions")]
    return []


def _twice(splits: dict[str, list[TextRow]], questions: bool) -> str:
    """How many texts (pairs, where there are; of answers the questions) stand in train again, or in two splits."""

    def keys(split: str) -> list[tuple[str, str]]:
        return [(row.text, "" if questions else row.pair) for row in splits[split]]

    train = set(keys("train"))
    told = [f"{len(splits['train']) - len(train):,} of train in train"]
    for split in SPLITS[1:]:
        again = sum(key in train for key in keys(split))
        share = f" ({100 * again / len(splits[split]):.2f} %)" if again else ""
        told.append(f"{again:,} of {split} in train{share}")
    return ", ".join(told)


def _by_split(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in counts.items() if count)


def _spread(values: Iterable[int]) -> str:
    ordered = sorted(values)
    return f"{ordered[0]} shortest, {ordered[len(ordered) // 2]} median, {ordered[-1]} longest"
