"""Downloads against a server on this machine that misbehaves in the ways real ones do."""

from __future__ import annotations

import errno
import hashlib
import http.server
import io
import multiprocessing
import os
import re
import shutil
import stat
import sys
import tarfile
import threading
import types
import zipfile
from pathlib import Path

import filelock
import pytest

from nbkit.base import workspace
from nbkit.base.record import read_object
from nbkit.data import disk, manifest, meter, transfer, unpack
from nbkit.data.disk import DataError
from nbkit.data.download import download, drive_id, kind_of
from nbkit.data.schema import Archive

QUOTA_PAGE = (
    b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title>Too many users have viewed this file</html>"
)


class Server:
    """One file at /file.zip; `faults` are used up one a request, the requests are kept with their Range."""

    def __init__(self, content: bytes):
        self.content, self.etag, self.faults = content, '"one"', []
        self.requests: list[str] = []
        self.logins: list[str] = []
        self.token, self.elsewhere = "", ""  # what it wants to be shown, and where it then says the file is
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests.append(self.headers.get("Range", ""))
                server.logins.append(self.headers.get("Authorization", ""))
                server.answer(self)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *_: None  # clients that leave early are part of the game
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/file.zip"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            handler.send_error(401)
            return
        fault = self.faults.pop(0) if self.faults else ""
        if self.elsewhere:
            self.send(handler, 302, b"", {"Location": self.elsewhere})
            return
        if isinstance(fault, int):
            handler.send_error(fault)
            return
        if fault == "page":
            self.send(handler, 200, QUOTA_PAGE, {"Content-Type": "text/html"})
            return
        body, status, headers = self.content, 200, {"ETag": self.etag} if self.etag else {}
        start = re.match(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        same = handler.headers.get("If-Range", self.etag) == self.etag or fault == "ignores If-Range"
        if start and same and fault != "ignores Range":
            first = int(start.group(1))
            if first >= len(body):
                handler.send_error(416)
                return
            if fault == "wrong Content-Range":
                first = 0
            headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
            body, status = body[first:], 206
        if fault == "no length":
            self.send(handler, status, body, headers | {"no length": ""})
        elif isinstance(fault, tuple):  # ("cut", bytes)
            self.send(handler, status, body, headers, fault[1])
        else:
            self.send(handler, status, body, headers)

    @staticmethod
    def send(handler, status: int, body: bytes, headers: dict, only: int | None = None) -> None:
        handler.send_response(status)
        if headers.pop("no length", None) is None:
            handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[:only])
        handler.close_connection = True


@pytest.fixture(scope="session")
def content() -> bytes:
    """A zip of 2.5 MB that does not compress."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("metadata.csv", "a.wav|one\n")
        archive.writestr("a.wav", os.urandom(2_500_000))
    return stream.getvalue()


@pytest.fixture
def server(content: bytes):
    running = Server(content)
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses before tries, not waited for."""
    waited: list[float] = []
    monkeypatch.setattr(transfer, "sleep", waited.append)
    return waited


def known(content: bytes, **changed) -> Archive:
    return Archive(**{"kind": "zip", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()} | changed)


def test_a_file_arrives_whole_and_leaves_nothing_beside_it(server: Server, content: bytes, tmp_path: Path):
    target = tmp_path / "in" / "file.zip"
    got = download([server.url], target, known(content))
    assert target.read_bytes() == content
    assert (got.source, got.size, got.sha256) == (server.url, len(content), hashlib.sha256(content).hexdigest())
    assert os.listdir(target.parent) == ["file.zip"]


@pytest.mark.parametrize("sha256", ["known", "unknown"])
def test_a_cut_connection_goes_on_where_it_stopped(
    server: Server, content: bytes, tmp_path: Path, sha256: str, pauses: list[float]
):
    server.faults = [("cut", 1_500_000), ("cut", 400_000)]
    archive = known(content) if sha256 == "known" else Archive("zip")
    download([server.url], tmp_path / "file.zip", archive)
    assert (tmp_path / "file.zip").read_bytes() == content
    starts = [int(text[6:-1]) if text else 0 for text in server.requests]
    assert starts[0] == 0
    assert 0 < starts[1] < starts[2] <= 1_900_000
    assert len(pauses) == 2


def test_any_number_of_cuts_is_survived_while_bytes_arrive(server: Server, content: bytes, tmp_path: Path):
    server.faults = [("cut", 200_000)] * (2 * transfer.TRIES)
    download([server.url], tmp_path / "file.zip", known(content))
    assert (tmp_path / "file.zip").read_bytes() == content


def test_a_later_session_goes_on(server: Server, content: bytes, tmp_path: Path, pauses: list[float]):
    server.faults = [("cut", 1_500_000), *[503] * 4, 503]
    with pytest.raises(DataError, match="503"):
        download([server.url], tmp_path / "file.zip", known(content))
    assert os.path.getsize(tmp_path / "file.zip.part") > 1_000_000
    assert pauses == [1, 2, 4, 8]
    server.requests.clear()
    server.faults = []
    download([server.url], tmp_path / "file.zip", known(content))
    assert server.requests[0].startswith("bytes=")
    assert (tmp_path / "file.zip").read_bytes() == content


@pytest.mark.parametrize("fault", ["ignores Range", "wrong Content-Range"])
def test_a_server_without_ranges_starts_again(server: Server, content: bytes, tmp_path: Path, fault: str):
    server.faults = [("cut", 1_500_000), fault]
    download([server.url], tmp_path / "file.zip", Archive("zip"))
    assert (tmp_path / "file.zip").read_bytes() == content


@pytest.mark.parametrize("fault", ["", "ignores If-Range"])
def test_a_file_that_changed_between_tries_is_not_stitched(server: Server, content: bytes, tmp_path: Path, fault: str):
    server.faults = [("cut", 1_500_000), *[500] * 5]
    with pytest.raises(DataError):
        download([server.url], tmp_path / "file.zip", Archive("zip"))
    server.content, server.etag = content[:4] + content[4:][::-1], '"two"'
    server.faults = [fault]
    download([server.url], tmp_path / "file.zip", Archive("zip"))
    assert (tmp_path / "file.zip").read_bytes() == server.content


def test_without_a_tag_or_a_hash_nothing_is_resumed(server: Server, content: bytes, tmp_path: Path):
    server.etag = ""
    server.faults = [("cut", 1_500_000)]
    download([server.url], tmp_path / "file.zip", Archive("zip"))
    assert server.requests == ["", ""]
    assert (tmp_path / "file.zip").read_bytes() == content


def test_a_damaged_part_is_found_by_the_hash_and_fetched_again(server: Server, content: bytes, tmp_path: Path):
    (tmp_path / "file.zip.part").write_bytes(content[:1000] + b"x" * 1000)
    download([server.url], tmp_path / "file.zip", known(content))
    assert server.requests == ["bytes=2000-", ""]
    assert (tmp_path / "file.zip").read_bytes() == content


def test_a_complete_part_needs_no_server(server: Server, content: bytes, tmp_path: Path):
    (tmp_path / "file.zip.part").write_bytes(content)
    download([server.url], tmp_path / "file.zip", known(content))
    assert server.requests == []


def test_mirrors_in_turn_with_a_reason_for_each(server: Server, content: bytes, tmp_path: Path):
    server.faults = [404, "page"]
    closed = "http://127.0.0.1:9/file.zip"
    with pytest.raises(DataError) as error:
        download([server.url, server.url, closed, "/no/such/file.zip"], tmp_path / "file.zip", known(content))
    text = str(error.value)
    assert "404" in text
    assert "24 hours" in text
    assert "own Drive" in text
    assert f"{closed}\n    the connection failed" in text
    assert "no such file" in text
    server.faults = [404]
    assert download([server.url, server.url], tmp_path / "file.zip", known(content)).size == len(content)


def test_a_page_does_not_cost_what_has_arrived(server: Server, content: bytes, tmp_path: Path):
    server.faults = [("cut", 1_500_000), "page"]
    with pytest.raises(DataError):
        download([server.url], tmp_path / "file.zip", known(content))
    assert os.path.getsize(tmp_path / "file.zip.part") > 1_000_000


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"size": 5}, "wanted 5 bytes, the server announces"),
        ({"sha256": "0" * 64}, "wanted sha256 0000"),
        ({"sha256": "unknown", "md5": "0" * 32}, "wanted md5 0000"),
        ({"kind": "tar.gz"}, "wanted a tar.gz file, got one that begins with b'PK"),
    ],
)
def test_the_wrong_file_is_refused_and_not_kept(
    server: Server, content: bytes, tmp_path: Path, change: dict, told: str
):
    with pytest.raises(DataError, match=re.escape(told)):
        download([server.url], tmp_path / "file.zip", known(content, **change))
    assert os.listdir(tmp_path) == []


def test_a_short_file_without_a_length_is_refused(server: Server, content: bytes, tmp_path: Path):
    server.faults = ["no length"] * 2
    server.content = content[:-1000]
    with pytest.raises(DataError, match=f"wanted {len(content)} bytes, got {len(content) - 1000}"):
        download([server.url], tmp_path / "file.zip", known(content))


def test_the_server_may_name_the_pause(
    server: Server, content: bytes, tmp_path: Path, pauses: list[float], monkeypatch
):
    send_error = http.server.BaseHTTPRequestHandler.send_error

    def slower(self, code, *rest):
        if code != 429:
            return send_error(self, code, *rest)
        Server.send(self, 429, b"", {"Retry-After": "7"})

    monkeypatch.setattr(http.server.BaseHTTPRequestHandler, "send_error", slower)
    server.faults = [429]
    download([server.url], tmp_path / "file.zip", known(content))
    assert pauses == [7]


def test_a_silent_server_times_out(server: Server, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    quiet = threading.Event()
    answer = server.answer
    monkeypatch.setattr(server, "answer", lambda handler: (quiet.wait(2), answer(handler)))
    monkeypatch.setattr(transfer, "TIMEOUT", (0.2, 0.05))
    with pytest.raises(DataError, match=r"did not answer in time; gave up after 5 tries"):
        download([server.url], tmp_path / "file.zip", known(content))
    quiet.set()


def test_a_full_disk_is_told_before_and_during(server: Server, content: bytes, tmp_path: Path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(
        DataError, match=r"needs 2.5 MB, but the disk .* has 1 kB free; make room, or name .*NBKIT_CACHE"
    ):
        download([server.url], tmp_path / "file.zip", known(content))
    monkeypatch.undo()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer.itertools, "chain", full)
    with pytest.raises(DataError, match=r"is full .* what has arrived is kept"):
        download([server.url], tmp_path / "file.zip", known(content))


def drive(monkeypatch: pytest.MonkeyPatch, action) -> None:
    monkeypatch.setitem(sys.modules, "gdown", types.SimpleNamespace(download=action))


def test_google_drive(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def good(*, id, output, **_):
        assert id == "1AbC-dEf_12345"
        Path(output).write_bytes(content)
        return output

    drive(monkeypatch, good)
    download(["gdrive:1AbC-dEf_12345"], tmp_path / "file.zip", known(content))
    assert os.listdir(tmp_path) == ["file.zip"]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (RuntimeError("Cannot retrieve the public link of the file. ... or have had many accesses."), "24 hours"),
        (RuntimeError("something else"), "something else"),
        (QUOTA_PAGE, "24 hours"),
        (b"<html><title>Sign in</title>", "a web page titled 'Sign in'"),
        (None, "gave no file; if the file is yours, share it"),
    ],
)
def test_google_drive_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure, told: str):
    def bad(*, output, **_):
        if isinstance(failure, Exception):
            raise failure
        if failure:
            Path(output).write_bytes(failure)
            return output

    drive(monkeypatch, bad)
    with pytest.raises(DataError, match=re.escape(told)):
        download(["gdrive:1AbC-dEf_12345"], tmp_path / "file.zip", Archive("zip"))
    assert os.listdir(tmp_path) == []


def test_share_addresses_of_drive():
    for address in (
        "gdrive:1AbC-dEf_12345",
        "https://drive.google.com/file/d/1AbC-dEf_12345/view?usp=sharing",
        "https://drive.google.com/open?id=1AbC-dEf_12345",
        "https://drive.google.com/uc?export=download&id=1AbC-dEf_12345",
        "https://drive.usercontent.google.com/download?id=1AbC-dEf_12345&confirm=t",
    ):
        assert drive_id(address) == "1AbC-dEf_12345"
    assert drive_id("https://example.org/d/1AbC-dEf_12345") == ""
    with pytest.raises(DataError, match="a folder"):
        drive_id("https://drive.google.com/drive/folders/1AbC-dEf_12345")


# --- unpacking ------------------------------------------------------------------------------------------------------


def zipped(path: Path, files: dict[str, bytes], change=lambda info: None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            change(info)
            archive.writestr(info, data)
    return path


def tarred(path: Path, member: tarfile.TarInfo, data: bytes = b"") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return path


def unpacked(path: Path) -> dict[str, str]:
    return unpack.unpack(path, path.parent / "out" / "data", Archive(kind_of(path)), {"sha256": "x"})


def test_unpacking_gives_the_files_and_their_hashes(tmp_path: Path):
    files = {"a/b.txt": b"one", "c.txt": b"two", "__MACOSX/._c.txt": b"junk", "a/.DS_Store": b"junk"}
    hashes = unpacked(zipped(tmp_path / "x.zip", files))
    assert hashes == {name: hashlib.sha256(files[name]).hexdigest() for name in ("a/b.txt", "c.txt")}
    folder = tmp_path / "out" / "data"
    assert set(unpacked(tarred(tmp_path / "x.tar.gz", tarfile.TarInfo("a/._c.txt"), b"junk"))) == set()
    unpacked(tmp_path / "x.zip")
    assert (folder / "a" / "b.txt").read_bytes() == b"one"
    assert read_object(folder / unpack.MARK) == {"sha256": "x"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert os.listdir(folder.parent) == ["data"]


def test_unpacking_replaces_what_was_there(tmp_path: Path):
    unpacked(zipped(tmp_path / "x.zip", {"old": b"1"}))
    unpacked(zipped(tmp_path / "x.zip", {"new": b"2"}))
    assert sorted(os.listdir(tmp_path / "out" / "data")) == [unpack.MARK, "new"]
    assert os.listdir(tmp_path / "out") == ["data"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "C:\\evil", "a\\..\\..\\evil"])
def test_a_zip_stays_in_its_folder(tmp_path: Path, name: str):
    with pytest.raises(DataError, match="outside its folder"):
        unpacked(zipped(tmp_path / "x.zip", {"good": b"1", name: b"2"}))
    assert os.listdir(tmp_path / "out") == []
    assert not list(tmp_path.rglob("*evil*"))


def test_links_are_refused(tmp_path: Path):
    def link(info):
        info.external_attr = (stat.S_IFLNK | 0o777) << 16

    with pytest.raises(DataError, match="a link"):
        unpacked(zipped(tmp_path / "x.zip", {"a": b"/etc/passwd"}, link))
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
        member = tarfile.TarInfo("a")
        member.type, member.linkname = kind, "../../etc/passwd"
        with pytest.raises(DataError, match=r"the archive holds a (link|device)"):
            unpacked(tarred(tmp_path / "x.tar.gz", member))
    with pytest.raises(DataError, match="outside its folder"):
        unpacked(tarred(tmp_path / "x.tar.gz", tarfile.TarInfo("../evil"), b"1"))
    assert os.listdir(tmp_path / "out") == []


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpack, "SMALL", 100_000)
    with pytest.raises(DataError, match="would unpack to more than 100 kB"):
        unpacked(zipped(tmp_path / "x.zip", {"a": bytes(5_000_000)}))
    with pytest.raises(DataError, match="would unpack to more than 100 kB"):
        unpacked(tarred(tmp_path / "x.tar.gz", tarfile.TarInfo("a"), bytes(5_000_000)))
    path = zipped(tmp_path / "x.zip", {"a": bytes(90_000)})
    unpack.unpack(path, tmp_path / "out" / "data", Archive("zip", unpacked=90_000), {})


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_damaged_archive_is_told(tmp_path: Path, kind: str):
    path = tmp_path / f"x.{kind}"
    if kind == "zip":
        zipped(path, {"a": os.urandom(100_000)})
    else:
        with tarfile.open(path, f"w:{kind[4:]}") as archive:
            info = tarfile.TarInfo("a")
            info.size = 100_000
            archive.addfile(info, io.BytesIO(os.urandom(100_000)))
    assert kind_of(path) == kind
    path.write_bytes(path.read_bytes()[:60_000])
    with pytest.raises(DataError, match="damaged"):
        unpacked(path)
    assert os.listdir(tmp_path / "out") == []


def test_korean_names_of_old_zips(tmp_path: Path):
    path = zipped(tmp_path / "x.zip", {"wavs/QQQQ.wav": b"1", "wavs/ZZZZZZ.wav": b"2"})
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"QQQQ", "가나".encode("cp949")).replace(b"ZZZZZZ", "다라".encode()))
    assert set(unpacked(path)) == {"wavs/가나.wav", "wavs/다라.wav"}


# --- a data set from end to end -------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    """A project with one manifest, `remote`, whose hash nobody knows."""
    folder = tmp_path / "home"
    (folder / "data_manifests").mkdir(parents=True)
    (folder / "data_manifests" / "remote.yaml").write_text(
        f"name: remote\ntitle: R\nlanguage: en\nlicence: none\nrate: 22050\nsources: [{server.url}]\n"
        "archive: {kind: zip, sha256: unknown}\nlayout: {metadata: metadata.csv}\n"
    )
    monkeypatch.setenv("NBKIT_HOME", str(folder))
    return folder


def test_the_first_fetch_pins_and_the_next_machine_verifies(
    home: Path, server: Server, content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    folder = manifest.fetch("remote")
    assert (folder / "a.wav").stat().st_size == 2_500_000
    assert manifest.load("remote").archive == known(content)
    manifest.fetch("remote")
    assert len(server.requests) == 1

    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "another"))
    server.content = content[:-1] + b"x"
    with pytest.raises(DataError, match="wanted sha256") as error:
        manifest.fetch("remote")
    assert "remove its entry" in error.value.__notes__[0]
    assert not (tmp_path / "another" / "data" / "remote").exists()
    server.content = content
    assert manifest.fetch("remote") == tmp_path / "another" / "data" / "remote"


def test_a_changed_hash_in_the_manifest_fetches_again(home: Path, server: Server, content: bytes):
    manifest.fetch("remote")
    (home / "data_manifests" / "pins.json").unlink()
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("new.txt", "2")
    server.content = stream.getvalue()
    path = home / "data_manifests" / "remote.yaml"
    path.write_text(path.read_text().replace("unknown", hashlib.sha256(server.content).hexdigest()))
    assert not manifest.is_here(manifest.load("remote"))
    assert (manifest.fetch("remote") / "new.txt").exists()


def test_an_archive_that_was_downloaded_by_hand(home: Path, server: Server, content: bytes, tmp_path: Path):
    server.faults = ["page"]
    with pytest.raises(DataError, match="--from"):
        manifest.fetch("remote")
    (tmp_path / "mine.zip").write_bytes(content)
    assert (manifest.fetch("remote", str(tmp_path / "mine.zip")) / "a.wav").exists()
    assert (tmp_path / "mine.zip").exists()


def test_how_far_a_fetch_is(home: Path, server: Server, content: bytes):
    assert manifest.state(manifest.load("remote")) == "to fetch"
    part = workspace.cache() / "downloads" / "remote.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content[: len(content) // 2])
    assert manifest.state(manifest.load("remote")) == "1.25 MB fetched"
    manifest.fetch("remote")
    assert manifest.state(manifest.load("remote")) == "here"


def _fetch(_: int) -> str:
    return str(manifest.fetch("remote"))


def test_two_processes_at_once(home: Path, server: Server):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        folders = pool.map(_fetch, range(2), chunksize=1)
    assert len(server.requests) == 1
    assert folders[0] == folders[1]
    assert (Path(folders[0]) / "a.wav").exists()


def test_waiting_for_another_process_is_said(home: Path, capsys: pytest.CaptureFixture):
    lock = filelock.FileLock(workspace.cache() / "locks" / "data-remote.lock")
    os.makedirs(workspace.cache() / "locks")
    lock.acquire()
    other = threading.Thread(target=manifest.fetch, args=("remote",))
    other.start()
    other.join(1.3)
    assert other.is_alive()
    lock.release()
    other.join(5)
    assert manifest.is_here(manifest.load("remote"))
    assert "another process is bringing it; waiting for that" in capsys.readouterr().out


# --- progress -------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_in_a_terminal_and_few_in_a_log(monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(meter.time, "monotonic", lambda: clock[0])
    for stream in (Terminal(), io.StringIO()):
        with meter.Meter("file", 36_000_000, stream=stream) as shown:
            for _ in range(36_000):
                clock[0] += 0.1
                shown.add(1000)
        lines = stream.getvalue().split("\n")
        if stream.isatty():
            assert len(lines) == 2
            assert lines[0].count("\r") < 3602
        else:
            assert 10 < len(lines) < 25
        assert "file: 36 MB of 36 MB, 100 %, 10 kB/s" in lines[-2]
    counted = meter.Meter("check", 1200, "recordings", stream=io.StringIO())
    counted.done = 300
    assert counted.line() == "check: 300 of 1,200 recordings, 25 %"
    quick = io.StringIO()
    with meter.Meter("file", 10, stream=quick) as shown:
        shown.add(10)
    assert quick.getvalue() == ""


def test_progress_in_a_notebook_replaces_one_output(monkeypatch: pytest.MonkeyPatch):
    shown: list[str] = []
    handle = types.SimpleNamespace(update=lambda data, raw: shown.append("update " + data["text/plain"]))

    def display(data, raw, display_id):
        shown.append("display " + data["text/plain"])
        return handle

    clock = [0.0]
    monkeypatch.setattr(meter.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(meter.colab, "in_kernel", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    with meter.Meter("file", 4000) as progress:
        for _ in range(4):
            clock[0] += 1.5
            progress.add(1000)
    assert [text.split()[0] for text in shown] == ["display", "update", "update", "update", "update"]
    assert "1 kB of 4 kB, 25 %, 667 B/s, 4 s left" in shown[0]


@pytest.fixture
def gated(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that wants to be shown a token, which goes by the name of TOKEN here."""
    monkeypatch.setattr(transfer, "LOGINS", {server.url.removesuffix("file.zip"): "TOKEN"})
    monkeypatch.delenv("TOKEN", raising=False)
    server.token = "right"
    return server


def test_a_token_is_shown_where_a_login_is_wanted(gated: Server, content: bytes, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TOKEN", "right")
    gated.faults = [("cut", 1_000_000)]
    download([gated.url], tmp_path / "file.zip", known(content))
    assert (tmp_path / "file.zip").read_bytes() == content
    assert gated.logins == ["", "Bearer right", "", "Bearer right"], "only to a server that asked"


@pytest.mark.parametrize("token", ["", "wrong"])
def test_without_the_right_token_its_name_is_told(gated: Server, content: bytes, tmp_path: Path, monkeypatch, token):
    monkeypatch.setenv("TOKEN", token)
    with pytest.raises(DataError, match=r"401 Unauthorized; it wants a login: .* put a token named TOKEN into the env"):
        download([gated.url], tmp_path / "file.zip", known(content))


def test_a_token_goes_to_no_other_server(gated: Server, server, content: bytes, tmp_path: Path, monkeypatch):
    other = Server(content)
    try:
        monkeypatch.setenv("TOKEN", "right")
        gated.elsewhere = other.url.replace("127.0.0.1", "localhost")
        download([gated.url], tmp_path / "file.zip", known(content))
        assert other.logins == [""]
        other.token = "right"  # one that is in no list asks as well
        with pytest.raises(DataError, match=r"401 Unauthorized; it wants a login$"):
            download([other.url], tmp_path / "again.zip", known(content))
        assert other.logins == ["", ""]
    finally:
        other.http.shutdown()
        other.http.server_close()
