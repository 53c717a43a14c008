"""Archives and single files of data sets, brought to this machine, verified, and pinned.

A hash that nobody has published is written `unknown` in the manifest. The first fetch pins it in pins.json beside the
manifests, under the name of the data set, or that name and the path of a single file.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from nbkit.base import workspace
from nbkit.base.record import read_object, write_json
from nbkit.data import content, disk, schema, unpack
from nbkit.data.disk import DataError
from nbkit.data.download import Received, download, drive_id
from nbkit.data.schema import UNKNOWN, Archive, Download, Manifest
from nbkit.data.transfer import FILE
from nbkit.data.unpack import MARK


def pinned(manifest: Manifest) -> Manifest:
    """The manifest with the hashes of first fetches where it has none of its own."""
    pins = read_object(_pins_path())
    pin = pins.get(manifest.name)
    if pin and manifest.archive and manifest.archive.sha256 == UNKNOWN:
        archive = dataclasses.replace(manifest.archive, size=pin["size"], sha256=pin["sha256"])
        manifest = dataclasses.replace(manifest, archive=archive)
    if manifest.downloads:
        parts = tuple(_with_pin(part, pins.get(f"{manifest.name}/{part.path}")) for part in manifest.downloads)
        manifest = dataclasses.replace(manifest, downloads=parts)
    return manifest


def _with_pin(part: Download, pin: dict | None) -> Download:
    if pin is None or part.sha256 != UNKNOWN:
        return part
    return dataclasses.replace(part, size=pin["size"], sha256=pin["sha256"])


def is_fetched(manifest: Manifest, folder: Path) -> bool:
    """Whether all that the manifest describes has arrived in `folder`."""
    mark = read_object(folder / MARK)
    if manifest.downloads:
        return all(_arrived(part, mark) for part in manifest.downloads)
    return bool(mark) and manifest.archive is not None and manifest.archive.sha256 in (UNKNOWN, mark.get("sha256"))


def _arrived(part: Download, mark: dict) -> bool:
    return part.path in mark and part.sha256 in (UNKNOWN, mark[part.path])


def whole_size(manifest: Manifest) -> int:
    """The bytes of all that is fetched, 0 where some of it is not known."""
    sizes = [part.size for part in manifest.downloads] or [manifest.archive.size if manifest.archive else 0]
    return sum(sizes) if all(sizes) else 0


def arrived_size(manifest: Manifest, folder: Path) -> int:
    """The bytes that an earlier, unfinished fetch into `folder` has left."""
    wanted = [folder / part.path for part in manifest.downloads] or [archive_path(manifest)]
    return sum(file.stat().st_size for path in wanted for file in (path, Path(f"{path}.part")) if file.is_file())


def fetch_archive(manifest: Manifest, folder: Path, source: str = "") -> None:
    """Bring and unpack the archive of a data set, from `source` where one is given. DataError in words."""
    archive = manifest.archive
    if archive is None:
        raise DataError(f"{manifest.name}: nothing to fetch")
    path = archive_path(manifest)
    sources = [_address(text) for text in ([source] if source else manifest.sources)]
    unpack.sweep(folder)
    got = _download(manifest.name, sources, path, archive, manifest.name)
    hashes = unpack.unpack(path, folder, archive, {"sha256": got.sha256, "size": got.size, "source": got.source})
    content.remember(folder, hashes)
    if archive.sha256 == UNKNOWN:
        _pin(manifest.name, got)
    path.unlink()


def fetch_files(manifest: Manifest, folder: Path, source: str) -> None:
    """Bring the single files of a data set into its folder; what is there already is left as it is."""
    if source:
        files = ", ".join(part.path for part in manifest.downloads)
        raise DataError(
            f"{manifest.name} consists of single files, so --from cannot be used; put {files} into a folder, and name "
            f"that folder as `folder` in {workspace.manifests() / (manifest.name + '.yaml')}"
        )
    mark = read_object(folder / MARK)
    for part in manifest.downloads:
        if not _arrived(part, mark):
            one = Archive(FILE, part.size, part.sha256)
            title = f"{manifest.name}: {part.path}"
            got = _download(
                f"{manifest.name}/{part.path}", [part.source, *part.mirrors], folder / part.path, one, title
            )
            if part.sha256 == UNKNOWN:
                _pin(f"{manifest.name}/{part.path}", got)
            mark[part.path] = got.sha256
            write_json(folder / MARK, mark)


def _download(name: str, sources: list[str], path: Path, archive: Archive, title: str) -> Received:
    try:
        return download(sources, path, archive, title=title)
    except DataError as error:
        if name in read_object(_pins_path()) and "wanted sha256" in str(error):
            error.add_note(
                f"The hash was pinned at the first fetch, in {_pins_path()}; if the publisher changed the file for a "
                "good reason, remove its entry there."
            )
        raise


def _address(text: str) -> str:
    identity = drive_id(text)
    if identity:
        return f"gdrive:{identity}"
    return text if re.match(r"https?://", text) else str(schema.expand(text))


def archive_path(manifest: Manifest) -> Path:
    """Where the archive lies from its first byte until it is unpacked."""
    kind = manifest.archive.kind if manifest.archive else ""
    return workspace.cache() / "downloads" / f"{manifest.name}.{kind}"


def _pins_path() -> Path:
    return workspace.manifests() / "pins.json"


def _pin(name: str, got: Received) -> None:
    """Keep the hash of a first fetch for all later ones."""
    try:
        with disk.alone("pins.json", "bringing it"):
            pins = read_object(_pins_path()) | {name: dataclasses.asdict(got)}
            write_json(_pins_path(), dict(sorted(pins.items())))
    except OSError as error:
        print(
            f"{name}: could not pin sha256 {got.sha256} in {_pins_path()} ({error.strerror}); write it into "
            "the manifest to have later fetches verified"
        )
    else:
        print(f"{name}: sha256 {got.sha256} pinned in {_pins_path()}")
