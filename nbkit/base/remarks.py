"""What a person says of a run: what was expected before it, what came of it after, tags and notes.

<run>/remarks.json    beside what the run says of itself; a training neither reads nor writes it
"""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from nbkit.base.record import read_json, write_json

FILE = "remarks.json"


@dataclass(frozen=True)
class Note:
    """A line with its time, as 2026-11-25T14:02:11+0900."""

    time: str
    text: str


@dataclass(frozen=True)
class Remarks:
    """The remarks on one run; "" where nothing was said.

    hypothesis   what is believed
    expectation  what the run should then show
    verdict      what it did show
    """

    hypothesis: str = ""
    expectation: str = ""
    verdict: str = ""
    tags: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Remarks:
        """The remarks on the run in a folder; raises ValueError for a file that is not ours."""
        content = read_json(folder / FILE, {})
        try:
            notes = tuple(Note(**note) for note in content.pop("notes", ()))
            return cls(**{**content, "tags": tuple(content.get("tags", ())), "notes": notes})
        except (TypeError, AttributeError) as error:
            raise ValueError(
                f"wanted remarks in {folder / FILE}, they cannot be read ({error}); move it away"
            ) from None

    def write(self, folder: Path) -> Remarks:
        """Keep them with the run; returns themselves."""
        write_json(folder / FILE, asdict(self))
        return self

    def tagged(self, add: list[str] | tuple[str, ...] = (), remove: list[str] | tuple[str, ...] = ()) -> Remarks:
        """With other tags. A tag is one word of letters, digits, '-', '_' and '.'; raises ValueError for another."""
        for tag in (*add, *remove):
            if not re.fullmatch(r"[\w.-]+", tag):
                raise ValueError(f"a tag is one word of letters, digits, '-', '_' and '.', got {tag!r}")
        for tag in remove:
            if tag not in self.tags:
                raise ValueError(f"wanted one of the tags {', '.join(self.tags) or 'none'}, got {tag!r}")
        return replace(self, tags=tuple(tag for tag in dict.fromkeys((*self.tags, *add)) if tag not in remove))

    def noted(self, text: str) -> Remarks:
        """With one more note, of now."""
        return replace(self, notes=(*self.notes, Note(time.strftime("%Y-%m-%dT%H:%M:%S%z"), text)))
