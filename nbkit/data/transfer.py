"""One file over HTTP, resumed where that is safe.

A transfer that was cut goes on where it stopped only if the server shows that it still has the same file: 206 with the
right Content-Range and the same ETag or Last-Modified. Everything else begins again. Nothing is written before the
first bytes have been looked at: servers like to send a page in place of an archive, with status 200.
"""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path

from nbkit.base import colab
from nbkit.base.amounts import size as shown_size
from nbkit.base.record import read_object, write_json
from nbkit.data.disk import need_space
from nbkit.data.meter import Meter
from nbkit.data.schema import UNKNOWN, Archive

TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds between two packets
TRIES = 5
PIECE = 1 << 16  # bytes; what is lost at most when a connection is cut
MAGIC = {
    "zip": (0, (b"PK\x03\x04", b"PK\x05\x06")),
    "tar": (257, (b"ustar",)),
    "tar.gz": (0, (b"\x1f\x8b",)),
    "tar.bz2": (0, (b"BZh",)),
    "tar.xz": (0, (b"\xfd7zXZ\x00",)),
}
FILE = "file"  # no archive: anything that is no web page
DRIVE_QUOTA = (
    "Google Drive refuses this file for now: too many people fetched it lately. This rate limit is lifted within "
    "24 hours. Wait; or open the file in a browser, put a copy into your own Drive, share the copy with everyone who "
    "has the link, and fetch that one with --from gdrive:ID"
)
LOGINS = {"https://huggingface.co/": "HF_TOKEN", "https://www.kaggle.com/": "KAGGLE_API_TOKEN"}  # where, and its token
sleep = time.sleep


class Refused(Exception):
    """This address does not have what is wanted: trying it again does not help."""


class Broken(Exception):
    """The connection failed: trying again may help, after `pause` seconds where the server names a time."""

    def __init__(self, reason: str, pause: float = 0.0):
        super().__init__(reason)
        self.pause = pause


def look_at(head: bytes, kind: str) -> None:
    """Raise Refused, saying what it is, where `head` does not begin an archive of this kind; "" is any of ours."""
    known = [MAGIC[kind]] if kind in MAGIC else [] if kind == FILE else MAGIC.values()
    if any(head[start:].startswith(magics) for start, magics in known):
        return
    kind = kind or "zip or tar"
    text = head.decode("utf-8", "replace")
    if re.match(r"\ufeff?\s*(<!doctype html|<html|<head)", text, re.I):
        if re.search(r"quota|too many users|download limit", text, re.I):
            raise Refused(DRIVE_QUOTA)
        title = re.search(r"<title[^>]*>\s*(.*?)\s*</title>", text, re.I | re.S)
        named = f" titled '{title.group(1)[:80]}'" if title else ""
        raise Refused(
            f"wanted a {kind.replace(FILE, 'data')} file, got a web page{named}; open the address in a browser, save "
            "the file there, and give it with --from FILE"
        )
    if kind == FILE:
        return
    raise Refused(f"wanted a {kind} file, got one that begins with {head[:16]!r}")


def state_file(part: Path) -> Path:
    """Where it is kept what `part` is a part of."""
    return part.with_name(part.name + ".json")


def fetch(source: str, part: Path, archive: Archive, title: str) -> bool:
    """Bring the file at `source` into `part`, trying again after each break. It is not verified yet.

    returns  True where bytes of an earlier session were kept
    raises   Refused
    """
    had = part.stat().st_size if part.exists() else 0
    if had and had == archive.size:
        return True
    resumed, tries = had > 0, 0
    with Meter(title, archive.size) as meter:
        while True:
            try:
                return _once(source, part, archive, meter) and resumed
            except Broken as reason:
                here = part.stat().st_size if part.exists() else 0
                tries, had = (1, here) if here > had else (tries + 1, had)
                if tries >= TRIES:
                    kept = f", {shown_size(here)} are kept" if here else ""
                    raise Refused(f"{reason}; gave up after {tries} tries{kept}") from None
                pause = reason.pause or 2.0 ** (tries - 1)
                meter.say(f"{title}: {reason}; trying again in {pause:.0f} s")
                sleep(pause)


def _once(source: str, part: Path, archive: Archive, meter: Meter) -> bool:
    """One request. True where it went on from bytes that were there."""
    import requests

    start, state = _resumable(source, part, archive)
    headers = {"Accept-Encoding": "identity", "User-Agent": "nbkit"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if state.get("source") == source and state.get("tag"):
            headers["If-Range"] = state["tag"]
    try:
        with _ask(source, headers) as response:
            if response.status_code == 416:
                part.unlink()
                raise Broken("the server has no more bytes than are here, and they are not the file")
            _refuse_status(response, source)
            went_on = start > 0 and response.status_code == 206
            if went_on and not _same_file(response, start, state, source, archive):
                part.unlink()
                raise Broken("the file at the server has changed since the download began")
            _receive(source, response, part, start if went_on else 0, archive, meter)
            return went_on
    except requests.exceptions.RequestException as error:
        raise Broken(in_words(error)) from None


def _ask(source: str, headers: dict[str, str]):
    """The answer to a request; a server that wants a login is shown its token, if there is one, and no other server."""
    import requests

    response = requests.get(source, headers=headers, stream=True, timeout=TIMEOUT)
    name = _token_name(source)
    token = colab.secret(name) if name and response.status_code in (401, 403) else None
    if token is None:
        return response
    response.close()
    return requests.get(source, headers={**headers, "Authorization": f"Bearer {token}"}, stream=True, timeout=TIMEOUT)


def _token_name(source: str) -> str:
    return next((name for start, name in LOGINS.items() if source.startswith(start)), "")


def _resumable(source: str, part: Path, archive: Archive) -> tuple[int, dict]:
    """How many bytes of an earlier try may be kept, and what is known of them."""
    state = read_object(state_file(part))
    if not part.exists():
        return 0, state
    same = state.get("source") == source and bool(state.get("tag"))
    # bytes of another mirror, or without a tag, are only good where a hash will tell in the end
    return (part.stat().st_size if same or archive.sha256 != UNKNOWN else 0), state


def _same_file(response, start: int, state: dict, source: str, archive: Archive) -> bool:
    """Whether a 206 goes on exactly where we stopped, in the file that we began."""
    found = re.match(r"bytes (\d+)-(\d+)/(\d+|\*)$", response.headers.get("Content-Range", ""))
    if not found or int(found.group(1)) != start:
        return False
    total = 0 if found.group(3) == "*" else int(found.group(3))
    known = archive.size or state.get("size", 0)
    if total and known and total != known:
        return False
    return state.get("source") != source or state.get("tag", "") in ("", _tag(response))


def _refuse_status(response, source: str) -> None:
    code, token = response.status_code, _token_name(source)
    if code in (200, 206):
        return
    if code in (408, 429) or code >= 500:
        wait = response.headers.get("Retry-After", "")
        pause = min(float(wait), 120.0) if wait.isdigit() else 0.0
        raise Broken(f"the server answered {code} {response.reason}", pause)
    why = {401: "; it wants a login", 403: "; it forbids the download", 404: "; the file is not there (any more)"}
    if token and code in (401, 403):
        why[code] += (
            f": agree to the terms on the page of the data set, and put a token named {token} into the environment "
            "or among Colab's secrets"
        )
    raise Refused(f"the server answered {code} {response.reason}{why.get(code, '')}")


def _receive(source: str, response, part: Path, start: int, archive: Archive, meter: Meter) -> None:
    """Write the body behind the first `start` bytes of `part`."""
    length = int(response.headers.get("Content-Length") or 0)
    total = start + length if length else 0
    pieces = response.iter_content(PIECE)
    first = next(pieces, b"")
    if not start:
        look_at(first, archive.kind)
    if total and archive.size and total != archive.size:
        raise Refused(f"wanted {archive.size} bytes, the server announces {total}; the file there is another one")
    need_space(part.parent, max(total - start, 0) + archive.unpacked, meter.title)
    write_json(state_file(part), {"source": source, "tag": _tag(response), "size": total})
    meter.total = meter.total or total
    meter.start_at(start)
    with open(part, "r+b" if start else "wb") as stream:
        stream.seek(start)
        stream.truncate()
        for piece in itertools.chain([first], pieces):
            stream.write(piece)
            meter.add(len(piece))
    if total and meter.done < total:
        raise Broken(f"the connection ended after {shown_size(meter.done)} of {shown_size(total)}")


def _tag(response) -> str:
    """What names this version of the file; a weak ETag does not name bytes."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def in_words(error: Exception) -> str:
    """An exception of requests for people."""
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return f"the certificate of the server was not accepted ({error})"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut"
    if isinstance(error, requests.exceptions.ConnectionError) and "resolve" in str(error):
        return "the address of the server is not known here; is this machine online?"
    return f"the connection failed ({type(error).__name__})"
