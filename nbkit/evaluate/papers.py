"""Paper notes: read, chosen, searched, checked. What a note has to hold is here, once.

notes = papers.read()                                    # of paper_notes/, the oldest paper first
papers.choose(notes, state="implemented", line="vocoder")
papers.search(notes, ["dilated", "convolution"])
papers.faults(notes)                                     # what is wrong with any of them, in words
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from nbkit.base import workspace

FIELDS = (
    "title", "authors", "year", "venue", "arxiv", "code", "code_licence", "data", "line", "follows", "state", "status",
    "notebook",
)  # fmt: skip
EMPTY = ("follows", "notebook")  # lists that may be empty
LINES = ("data", "language", "compression", "acoustic", "alignment", "flow", "vocoder")
STATES = {
    "read": "read and noted, nothing built",
    "implemented": "built here, after its equations or against its code",
    "reproduced": "built here, and more than half of the claims of its evidence hold here",
}
QUESTIONS = (
    "What problem?",
    "What was missing?",
    "What is the idea?",
    "What is the evidence?",
    "What is open, and what would we try?",
)
KOREAN = {  # terms that people look for -> how the notes have them, without hyphens and endings
    "가능도": "likelihood", "가중치": "weight", "가지치기": "prun", "경로": "path",
    "길이": "duration", "단조": "monotonic", "디코더": "decoder", "매개변수": "parameter",
    "멜": "mel", "미세조정": "finetun", "발음": "pronunciation", "보코더": "vocoder",
    "사전학습": "pretrain", "손실": "loss", "양자화": "quanti", "어텐션": "attention",
    "어휘": "vocabulary", "온도": "temperature", "우도": "likelihood", "운율": "rhythm",
    "음높이": "pitch", "음성": "speech", "음소": "phone", "인코더": "encoder",
    "자모": "jamo", "정규화": "norm", "정렬": "align", "제주어": "jejueo",
    "조각": "piece", "증류": "distil", "지속시간": "duration", "청취": "listen",
    "토큰": "token", "트랜스포머": "transformer", "판별자": "judge", "피치": "pitch",
    "합성": "synthes", "화자": "speaker", "확산": "diffusion", "흐름": "flow",
}  # fmt: skip
CLAIMS = "| claim | where from | here |"
HOLDS, FAILS, OPEN, UNCHECKED = VERDICTS = ("holds", "does not hold", "open", "not checked")
# how the last column of a claim begins: with a verdict, or with why nobody has looked
_VERDICT = re.compile(
    r"(holds|does not hold|open)\b|(?:pictures, |English, )?not (?:measured|checked)\b|needs listeners\b"
)
CITATION = re.compile(r"paper_notes/([\w.-]+\.md)(?:#([\w-]+))?")


class NoteError(ValueError):
    """A note that cannot be read at all."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, up to the next one."""

    heading: str
    lines: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """What GitHub makes of the heading."""
        return re.sub(r"[^\w\- ]", "", self.heading.lower()).replace(" ", "-")


@dataclass(frozen=True)
class Claim:
    """A row of the table below "What is the evidence?"."""

    claim: str
    source: str
    here: str

    @property
    def second_hand(self) -> bool:
        """Whether it stands here from memory."""
        return "second-hand" in self.source

    @property
    def verdict(self) -> str:
        """What came of it here, one of VERDICTS: the word with which `here` begins; "" where it begins with none."""
        found = _VERDICT.match(self.here)
        return "" if found is None else found[1] or UNCHECKED


@dataclass(frozen=True)
class Note:
    """One paper. `about` is its front matter as it stands there, with FIELDS if it is in order."""

    path: Path
    about: dict[str, Any]
    sections: tuple[Section, ...]

    @property
    def name(self) -> str:
        """The name of its file, by which other notes follow it."""
        return self.path.stem

    @property
    def year(self) -> int:
        """Of its venue; 0 where the front matter does not tell."""
        year = self.about.get("year")
        return year if isinstance(year, int) else 0

    @property
    def short(self) -> str:
        """The first heading: what people call it."""
        return self.sections[0].heading if self.sections else self.name

    @property
    def anchors(self) -> set[str]:
        """What a link can lead to."""
        return {section.anchor for section in self.sections}

    @property
    def text(self) -> str:
        """All of it but the front matter."""
        return "\n".join(line for section in self.sections for line in (section.heading, *section.lines))

    def claims(self) -> list[Claim]:
        """The rows of its table of claims; none where it has no such table."""
        evidence = next((section for section in self.sections if section.heading == QUESTIONS[3]), None)
        if evidence is None or CLAIMS not in evidence.lines:
            return []
        rows = evidence.lines[evidence.lines.index(CLAIMS) + 2 :]
        end = next((i for i, line in enumerate(rows) if not line.startswith("|")), len(rows))
        cells = [re.split(r"(?<!\\)\|", row.strip().strip("|"), maxsplit=2) for row in rows[:end]]
        return [Claim(*(cell.strip() for cell in [*row, "", ""][:3])) for row in cells]

    def verdicts(self) -> dict[str, int]:
        """How many of its claims have which of VERDICTS."""
        found = [claim.verdict for claim in self.claims()]
        return {verdict: found.count(verdict) for verdict in VERDICTS}

    def open_questions(self) -> list[str]:
        """What its last question leaves open: the words in bold of each of its points."""
        ends = (" ".join(section.lines) for section in self.sections if section.heading == QUESTIONS[4])
        return [re.sub(r"\s+", " ", words) for lines in ends for words in re.findall(r"- \*\*(.+?)\*\*", lines)]


class Found(NamedTuple):
    """A section that holds all words, and the first of its lines with one of them."""

    note: Note
    section: Section
    line: str


def folder() -> Path:
    """Where the notes lie."""
    return workspace.root() / "paper_notes"


def read(place: Path | None = None) -> list[Note]:
    """All notes of a folder, the oldest paper first. Raises NoteError, naming the file that has no front matter."""
    notes = [parse(path.read_text(encoding="utf-8"), path) for path in sorted((place or folder()).glob("*.md"))]
    return sorted(notes, key=lambda note: (note.year, note.name))


def parse(text: str, path: Path) -> Note:
    """A note from its text. Raises NoteError where the front matter is not YAML between two lines of ---."""
    found = re.match(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL)
    if not found:
        raise NoteError(
            f"{path.name} wants front matter between two lines of ---, got none; begin as another note does"
        )
    try:
        about = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        raise NoteError(f"{path.name} wants YAML as its front matter, got {error}") from None
    if not isinstance(about, dict):
        raise NoteError(f"{path.name} wants `field: value` lines in its front matter, got {type(about).__name__}")
    return Note(path, about, tuple(_sections(found[2])))


def _sections(body: str) -> Iterator[Section]:
    heading, lines = "", []
    for line in body.splitlines():
        title = re.match(r"#+ (.*)$", line)
        if not title:
            lines.append(line)
            continue
        if heading:
            yield Section(heading, tuple(lines))
        heading, lines = title[1].strip(), []
    if heading:
        yield Section(heading, tuple(lines))


def choose(notes: Sequence[Note], *, state: str = "", line: str = "") -> list[Note]:
    """Those of one state and one line; "" takes all. Raises ValueError for a state or line that there is not."""
    for name, wanted, known in (("state", state, tuple(STATES)), ("line", line, LINES)):
        if wanted and wanted not in known:
            raise ValueError(f"papers want a {name} of {', '.join(known)}, got {wanted!r}")
    return [
        note
        for note in notes
        if state in ("", note.about.get("state")) and line in ("", note.about.get("line"))
    ]  # fmt: skip


def search(notes: Iterable[Note], words: Sequence[str]) -> list[Found]:
    """Sections that hold all words, however written, and those of a note whose title or authors hold them.

    Hyphens are taste ("mulaw" finds "mu-law"), and a Korean term of KOREAN finds the English one that notes have.
    Raises ValueError without a word.
    """
    wanted = [(_folded(word), KOREAN.get(word.strip(), _folded(word))) for word in words if word.strip()]
    if not wanted:
        raise ValueError("search wants a word at least, got none")

    def held(text: str) -> int:
        text = _folded(text)
        return sum(any(form in text for form in forms) for forms in wanted)

    found = []
    for note in notes:
        if note.sections and held(f"{note.about.get('title', '')} {note.about.get('authors', '')}") == len(wanted):
            found.append(Found(note, note.sections[0], str(note.about.get("title", ""))))
        for section in note.sections:
            lines = (section.heading, *section.lines)
            if held("\n".join(lines)) == len(wanted):
                found.append(Found(note, section, max(lines, key=held).strip()))
    return found


def _folded(text: str) -> str:
    return text.casefold().replace("-", "")


def plain(text: str) -> str:
    """A line of a note without the marks of Markdown, for a place that shows text as it is."""
    text = re.sub(r"\[([^\]]*)\]\([^)\s]*\)", r"\1", text)
    text = re.sub(r"(?<!\w)(\*\*|\*|`)(\S(?:.*?\S)?)\1(?!\w)", r"\2", text)
    return text.removeprefix("- ").replace("\\|", "|").strip()


def faults(notes: Sequence[Note]) -> list[str]:
    """What is wrong with notes, with what they name, and with what cites them, one line each."""
    root = workspace.root()
    names = {note.name: note for note in notes}
    found = [f"{note.path.name}: {wrong}" for note in notes for wrong in note_faults(note, root, names)]
    return found + [wrong for _, wrong in citations(root, names) if wrong]


def note_faults(note: Note, root: Path, names: dict[str, Note]) -> list[str]:
    """What is wrong with one note, in words. names: all notes, by their names."""
    return [*_front_faults(note, root, names), *_body_faults(note, root, names)]


def _front_faults(note: Note, root: Path, names: dict[str, Note]) -> Iterator[str]:
    about = note.about
    yield from (f"front matter lacks {field}" for field in FIELDS if not about.get(field) and field not in EMPTY)
    yield from (f"front matter has {field}, which no note has" for field in about if field not in FIELDS)
    lists = {field: about.get(field) for field in ("authors", *EMPTY)}
    yield from (f"{field} wants a list, got {value!r}" for field, value in lists.items() if not isinstance(value, list))
    arxiv = about.get("arxiv")
    if not isinstance(arxiv, str) or not re.fullmatch(r"\d{4}\.\d{4,5}", arxiv):
        yield f"arxiv wants a number as 2005.11129, in quotes or YAML reads a number, got {arxiv!r}"
    for field, known in (("line", LINES), ("state", tuple(STATES))):
        if about.get(field) not in known:
            yield f"{field} wants one of {', '.join(known)}, got {about.get(field)!r}"
    for other in lists["follows"] or ():
        if other not in names:
            yield f"follows {other!r}, of which there is no note"
        elif names[other].year > note.year:
            yield f"follows {other}, which is younger"
    for name in lists["notebook"] or ():
        if not (root / "notebooks" / f"{name}.ipynb").is_file():
            yield f"names the notebook {name!r}, which is not there"


def _body_faults(note: Note, root: Path, names: dict[str, Note]) -> Iterator[str]:
    text = note.text
    if not note.sections or "was read for this note" not in "\n".join(note.sections[0].lines):
        yield "wants to say before the first question what was read for this note, and what was not"
    asked = tuple(section.heading for section in note.sections if section.heading.endswith("?"))
    if asked != QUESTIONS:
        yield f"wants the five questions in their order, got {', '.join(asked) or 'none'}"
    claims = note.claims()
    if len(claims) < 2 or any(not (claim.claim and claim.source) for claim in claims):
        yield f"wants a table of two claims or more with their sources below {QUESTIONS[3]!r}: {CLAIMS}"
    for claim in claims:
        if not claim.verdict:
            yield f"wants a verdict before {claim.here!r}: {', '.join(VERDICTS)}, not measured, needs listeners"
    held = note.verdicts()[HOLDS]
    if note.about.get("state") == "reproduced" and 2 * held <= len(claims):
        yield f"is reproduced, so it wants more than half of its claims to hold here, got {held} of {len(claims)}"
    files = set(re.findall(r"\b(?:nbkit|tests)/[\w/]+\.(?:py|cu|js)\b", text))
    if note.about.get("state") in ("implemented", "reproduced") and not (files and note.about.get("notebook")):
        yield f"is {note.about['state']}, so it wants the files where, and a notebook that shows it"
    yield from (f"names {name}, which is not there" for name in sorted(files) if not (root / name).is_file())
    for file, anchor in re.findall(r"\]\((\w+\.md)?(?:#([\w-]+))?\)", text):
        other = names.get(file.removesuffix(".md")) if file else note
        if other is None or (anchor and anchor not in other.anchors):
            yield f"links to {file}{'#' if anchor else ''}{anchor}, which is not there"


def citations(root: Path, names: dict[str, Note]) -> list[tuple[str, str]]:
    """All places that cite a note, as file: note#anchor, and what is wrong with each, "" for nothing."""
    places = [*(root / "nbkit").rglob("*.py"), *(root / "notebooks").glob("*.ipynb"), *root.glob("*.md")]
    found = []
    for path in sorted(places):
        for file, anchor in CITATION.findall(path.read_text(encoding="utf-8")):
            note = names.get(file.removesuffix(".md"))
            told = f"{path.relative_to(root).as_posix()}: {file}{'#' if anchor else ''}{anchor}"
            wrong = note is None or (anchor and anchor not in note.anchors)
            found.append((told, f"{told} is cited and not there" if wrong else ""))
    return found
