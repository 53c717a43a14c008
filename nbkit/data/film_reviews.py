"""The reviews without labels behind the Naver Sentiment Movie Corpus, as running text.

Its repository holds all reviews that were collected, in a JSON file for each film, far more than have labels. Here
each is taken once, film by film, without those of the test set, so that nothing is learnt from what is tested on.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

from nbkit.data.disk import DataError
from nbkit.data.meter import Meter
from nbkit.data.rows import decode

NAME = "reviews.txt.gz"


def build(folder: Path) -> Path:
    """Write NAME into the folder of the repository: a review a line, a blank line between films.

    It holds the texts of all reviews in memory, about 200 MB. The file appears only when it is complete.
    raises  DataError where the folder is not that repository
    """
    target, part = folder / NAME, folder / f"{NAME}.part"
    with open(part, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as stream:
        for n, film in enumerate(_films(folder)):
            stream.write((("\n" if n else "") + "\n".join(film) + "\n").encode())
    os.replace(part, target)
    return target


def _films(folder: Path) -> Iterator[list[str]]:
    """The new reviews of each film that has some."""
    tested, files = folder / "ratings_test.txt", sorted((folder / "raw").glob("*.json"), key=lambda path: path.name)
    if not tested.is_file() or not files:
        raise DataError(f"wanted ratings_test.txt and raw/*.json in {folder}, got another folder; fetch it again")
    rows = [line.split("\t") for line in decode(tested).split("\n")[1:] if line]
    ids, seen = {row[0] for row in rows}, {_line(row[1]) for row in rows} | {""}
    with Meter("sorting reviews", len(files), "films") as meter:
        for path in files:
            meter.add(1)
            film = []
            for review in json.loads(path.read_bytes()):
                line = _line(review["review"])
                if line not in seen and review["review_id"] not in ids:
                    seen.add(line)
                    film.append(line)
            if film:
                yield film


def _line(text: str) -> str:
    return " ".join(text.split())
