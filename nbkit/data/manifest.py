"""Data sets by name: what there is, where it is, how to bring it here, and its rows.

    manifest.names()                    what there is
    manifest.fetch("ljspeech")          bring it to this machine
    manifest.open_dataset("ljspeech")   its rows; those of texts: text_sets.open_text_set

What is fetched lies in the cache, in data/<name>. A hash that nobody has published is written `unknown` in the
manifest; the first fetch pins it in data_manifests/pins.json, and every later fetch, on any machine that has this file,
verifies against it.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from nbkit.base import workspace
from nbkit.base.amounts import size
from nbkit.base.params import Params
from nbkit.data import content, disk, fetching, film_reviews, rows, schema
from nbkit.data.disk import DataError
from nbkit.data.meter import Meter
from nbkit.data.rows import Utterance
from nbkit.data.schema import Manifest, ManifestError

__all__ = ["DataError", "Dataset", "Manifest", "ManifestError", "Utterance", "fetch", "load", "names", "open_dataset"]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The rows of a data set, ready to be trained on."""

    name: str
    language: str
    rate: int  # of the recordings as they are, Hz
    licence: str
    speakers: tuple[str, ...]
    rows: list[Utterance]
    fingerprint: str

    def split(self, name: str) -> list[Utterance]:
        """The rows of "train" or "validation"."""
        return [row for row in self.rows if row.split == name]


def names() -> list[str]:
    """All data sets that have a manifest."""
    return sorted(path.stem for path in workspace.manifests().glob("*.yaml"))


def load(name: str) -> Manifest:
    """The manifest of a data set, with the pinned hash where it has none of its own.

    raises  ManifestError for an unknown name, naming the nearest; or for a wrong field
    """
    path = workspace.manifests() / f"{name}.yaml"
    if not re.fullmatch(r"[\w.-]+", name) or not path.is_file():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names())}"
        raise ManifestError(f"wanted the name of a data set, got {name!r}; {hint} (`nbkit data add` makes a new one)")
    return fetching.pinned(schema.read(path))


def folder_of(manifest: Manifest) -> Path:
    """Where the files of a data set lie, or will lie."""
    fetched = workspace.cache() / "data" / manifest.name
    if not manifest.folder:
        return fetched
    if (manifest.sources or manifest.downloads) and not _has_folder(manifest):
        return fetched
    return schema.expand(manifest.folder)


def _has_folder(manifest: Manifest) -> bool:
    """Whether `folder` names one that is there."""
    return not schema.unset_variable(manifest.folder) and schema.expand(manifest.folder).is_dir()


def is_here(manifest: Manifest) -> bool:
    """Whether the data set can be opened without a fetch."""
    if manifest.synthetic or (manifest.text and manifest.text.made):
        return True
    if manifest.folder and (_has_folder(manifest) or not (manifest.sources or manifest.downloads)):
        return _has_folder(manifest)
    return fetching.is_fetched(manifest, folder_of(manifest)) and _is_built(manifest)


def first_here(names: Sequence[str]) -> str:
    """The first of these data sets that is on this machine; the last where none is."""
    return next((name for name in names[:-1] if is_here(load(name))), names[-1])


def asked(config: Params, parameter: str) -> str:
    """The data set that a parameter names; for "auto" the first that is here of those which it declares."""
    value, known = getattr(config, parameter), config.field(parameter).auto
    return first_here(known) if value == "auto" and known else value


def _is_built(manifest: Manifest) -> bool:
    """Whether the files that are made of an archive, where there are such, have been made."""
    text = manifest.text
    if text is None or not text.build or text.files is None:
        return True
    return all((folder_of(manifest) / text.inside / name).is_file() for name in text.files.train)


def state(manifest: Manifest) -> str:
    """In a few words, whether the data set is on this machine."""
    if manifest.synthetic or (manifest.text and manifest.text.made):
        return "made on the spot"
    if is_here(manifest):
        return "here"
    if manifest.folder and not (manifest.sources or manifest.downloads):
        unset = schema.unset_variable(manifest.folder)
        return f"set {unset}" if unset else "folder missing"
    known, had = fetching.whole_size(manifest), fetching.arrived_size(manifest, folder_of(manifest))
    if had:
        return f"{100 * had // known} % fetched" if known else f"{size(had)} fetched"
    return f"to fetch, {size(known)}" if known else "to fetch"


def fetch(name: str, source: str = "", count: int = 0) -> Path:
    """Bring a data set to this machine, or make it; returns its folder. What is here already is left as it is.

    source  another address, or a file that was downloaded by hand; it must hold the archive that the manifest describes
    count   of a synthetic set: how many sentences, 0 for the manifest's number
    raises  DataError, in words; what has arrived is kept, and the next call goes on there
    """
    manifest = load(name)
    if manifest.text and manifest.text.made:
        raise DataError(f"{name} is made on the spot each time it is opened; there is nothing to fetch")
    folder = folder_of(manifest)
    if manifest.folder and (not (manifest.sources or manifest.downloads) or _has_folder(manifest)):
        if not folder.is_dir():
            raise absent(manifest)
        return folder
    with disk.alone(name, "bringing it"):  # a second process waits, and then finds the work done
        if manifest.synthetic:
            _make(manifest, folder, count)
        elif is_here(manifest):
            pass
        elif manifest.downloads:
            fetching.fetch_files(manifest, folder, source)
        else:
            if not fetching.is_fetched(manifest, folder):
                fetching.fetch_archive(manifest, folder, source)
            if manifest.text and manifest.text.build:
                film_reviews.build(folder / manifest.text.inside)
    return folder


def _make(manifest: Manifest, folder: Path, count: int) -> None:
    from nbkit.data import espeak

    wanted = manifest.synthetic
    if wanted is None:
        raise DataError(f"{manifest.name}: not a synthetic set")
    with Meter(f"{manifest.name}: speaking", count or wanted.count, "sentences") as meter:
        espeak.write_corpus(folder, wanted.voice, count or wanted.count, progress=lambda done, _: meter.to(done))


def open_dataset(name: str, count: int = 0) -> Dataset:
    """The rows of a data set.

    count   how many rows, 0 for all; a synthetic set is made as large as that, others give the same rows again, and
            more of them for a larger count
    raises  DataError where it is not here, or where rows are wrong, naming them
    """
    manifest = load(name)
    if manifest.text and manifest.text.kind == "model":
        raise ManifestError(f"{name} is a model, wanted a set of recordings; `nbkit data list` shows them")
    if manifest.text:
        call = f'documents("{name}")' if manifest.text.kind == "running" else f'open_text_set("{name}")'
        raise ManifestError(f"{name} is a set of texts, wanted one of recordings; open it with text_sets.{call}")
    if not is_here(manifest):
        raise absent(manifest)
    folder = fetch(name, count=count) if manifest.synthetic else folder_of(manifest)
    read = rows.read(manifest, folder)
    if manifest.synthetic:
        read = read[: count or manifest.synthetic.count]
    bad = [f"  line {row.line}: {row.utterance.id}: {row.problem}" for row in read if row.problem]
    bad += [
        f"  line {row.line}: {row.utterance.id}: no file {row.utterance.audio}"
        for row in read
        if not row.problem and not row.utterance.audio.is_file()
    ]
    if bad:
        more = f"\n  and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise DataError(
            f"{name}: {len(bad)} of {len(read)} rows cannot be used:\n"
            + "\n".join(bad[:5])
            + more
            + f"\n`nbkit data check {name}` lists them all; repair them, or name them in `exclude`"
        )
    utterances = rows.subset([row.utterance for row in read], count)
    held = rows.validation_ids([u.id for u in utterances], manifest.validation, folder)
    if len(held) == len(utterances):
        raise DataError(f"{name}: wanted rows to train on, but `validation` takes all {len(held)}; let it take fewer")
    utterances = [dataclasses.replace(u, split="validation") if u.id in held else u for u in utterances]
    speakers = tuple(sorted({u.speaker for u in utterances}))
    return Dataset(
        name,
        manifest.language,
        manifest.rate,
        manifest.licence,
        speakers,
        utterances,
        _fingerprint(folder, manifest, utterances),
    )


def _fingerprint(folder: Path, manifest: Manifest, utterances: list[Utterance]) -> str:
    """Sixteen hexadecimal digits that change with any text, any split, and the content of any recording."""
    hashes = content.hashes(folder, [u.audio for u in utterances])
    digest = hashlib.sha256(json.dumps([manifest.language, manifest.rate]).encode())
    several = len({u.speaker for u in utterances}) > 1  # the name of the only speaker is that of the data set
    for u in utterances:
        speaker = u.speaker if several else ""
        digest.update(json.dumps([u.id, u.text, speaker, u.split, u.phones, u.words, hashes[u.audio]]).encode())
    return digest.hexdigest()[:16]


def absent(manifest: Manifest) -> DataError:
    """Why the data set cannot be opened, and how to bring it here."""
    if manifest.folder and not (manifest.sources or manifest.downloads):
        where = folder_of(manifest)  # says it better where a variable is not set
        what = "texts" if manifest.text else "recordings"
        return DataError(
            f"{manifest.name}: wanted its {what} in {where}, got no such folder; put them there, or change "
            f"`folder` in {workspace.manifests() / (manifest.name + '.yaml')}"
        )
    known = fetching.whole_size(manifest)
    told = f"{size(known)}, " if known else ""
    return DataError(
        f"{manifest.name} is not on this machine yet ({told}licence: {manifest.licence}); bring it with "
        f'`nbkit data fetch {manifest.name}`, in a notebook manifest.fetch("{manifest.name}")'
    )
