"""The sounds of a listening test: from folders, from runs, or made on the spot."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nbkit.base import record, seeds, workspace
from nbkit.data import audio, espeak

ENOUGH = 4  # sounds of two systems that a run must hold before it is taken by itself
ITERATIONS = (60, 2)  # of Griffin-Lim, in the sounds that are made here
ENDINGS = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class Sounds:
    """The same items of several systems: waves[system][item] is [S] in [-1, 1]."""

    waves: Mapping[str, Mapping[str, np.ndarray]] = field(repr=False)
    rate: int
    source: str
    note: str = ""

    @property
    def items(self) -> list[str]:
        """Those that every system has, in order."""
        return sorted(set.intersection(*(set(own) for own in self.waves.values())))

    @property
    def fingerprint(self) -> str:
        """A hash of names and samples."""
        digest = hashlib.sha256(str(self.rate).encode())
        for system, own in self.waves.items():
            for item in self.items:
                digest.update(repr((system, item)).encode() + own[item].tobytes())
        return digest.hexdigest()[:16]


def sounds(source: str, count: int, seed: int = 0) -> Sounds:
    """At most `count` items of each system, drawn by the seed.

    source   a folder with a folder a system and the same file names in each; or one run, whose oldest and newest sounds
             are compared; or several runs with commas between, compared in their newest sounds. Empty takes the newest
             run that holds enough sounds, else sentences of eSpeak and their Griffin-Lim copies, made now
    raises   ValueError where there are no two systems with an item in common
    """
    if not source:
        newest = next((run.name for run in record.runs() if _is_enough(_by_step(run.folder))), "")
        return sounds(newest, count, seed) if newest else made(count, seed)
    folders = [_run_folder(name.strip()) for name in source.split(",")]
    known = [folder for folder in folders if folder is not None]
    if len(known) == len(folders):
        files = _by_step(known[0]) if len(known) == 1 else {folder.name: _newest(folder) for folder in known}
    else:
        files = _by_folder(Path(source).expanduser())
    shared = sorted(set.intersection(*map(set, files.values()))) if len(files) > 1 else []
    if not shared:
        found = "; ".join(f"{system}: {len(own)} sounds" for system, own in files.items()) or "none"
        raise ValueError(
            f"wanted two systems or more with sounds of the same names in {source}, got {found}; put a folder for each "
            "system into one folder, with the same file names in each"
        )
    chosen = sorted(seeds.generator(seed, "items").permutation(len(shared))[:count])
    return _loaded(files, [shared[i] for i in chosen], source)


def made(count: int, seed: int = 0) -> Sounds:
    """Sentences of eSpeak beside copies that went through a log-mel and back, with many iterations and with few."""
    spec = audio.MelSpec()
    waves: dict[str, dict[str, np.ndarray]] = {"eSpeak": {}}
    for text in espeak.sentences("ko", count, seed):
        wave = espeak.speak(text).wave
        waves["eSpeak"][text] = wave
        mel = audio.log_mel(wave, spec)
        for iterations in ITERATIONS:
            copy = audio.griffin_lim(mel, spec, iterations)
            waves.setdefault(f"Griffin-Lim {iterations}", {})[text] = copy
    return Sounds(waves, spec.rate, "made here")


def _run_folder(name: str) -> Path | None:
    found = [path for path in (Path(name), workspace.runs() / name) if name and (path / record.CONFIG).is_file()]
    return found[0] if found else None


def _states(folder: Path) -> dict[str, dict[int, Path]]:
    """The sounds of a run by name and step; -1 for those that have no step."""
    found: dict[str, dict[int, Path]] = {}
    for path in sorted((folder / "audio").glob("*.wav")):
        name, _, step = path.stem.rpartition("-")
        own = (name, int(step)) if name and step.isdecimal() else (path.stem, -1)
        found.setdefault(own[0], {})[own[1]] = path
    return found


def _by_step(folder: Path) -> dict[str, dict[str, Path]]:
    """The oldest and the newest state of each sound of a run."""
    found: dict[str, dict[str, Path]] = {}
    for name, states in _states(folder).items():
        for step in {min(states), max(states)} if len(states) > 1 else ():
            found.setdefault(f"step {step}", {})[name] = states[step]
    return found


def _newest(folder: Path) -> dict[str, Path]:
    return {name: states[max(states)] for name, states in _states(folder).items()}


def _is_enough(files: Mapping[str, Mapping[str, Path]]) -> bool:
    return len(files) > 1 and len(set.intersection(*map(set, files.values()))) >= ENOUGH


def _by_folder(folder: Path) -> dict[str, dict[str, Path]]:
    if not folder.is_dir():
        raise ValueError(f"wanted a folder with a folder a system, or names of runs, got {folder}; check the path")
    found: dict[str, dict[str, Path]] = {}
    for system in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(system.iterdir()):
            if path.suffix.lower() not in ENDINGS or path.name.startswith("."):
                continue
            own = found.setdefault(system.name, {})
            if path.stem in own:
                raise ValueError(f"wanted one sound {path.stem} in {system}, got two; keep one ending")
            own[path.stem] = path
    return found


def _loaded(files: Mapping[str, Mapping[str, Path]], items: Sequence[str], source: str) -> Sounds:
    import soundfile

    rate = max(soundfile.info(own[item]).samplerate for own in files.values() for item in items)
    waves = {
        system: {item: audio.load(own[item], rate, resample=True) for item in items} for system, own in files.items()
    }
    alone = sum(len(own) for own in files.values()) - len(files) * len(set.intersection(*map(set, files.values())))
    note = f"{alone} sounds are left out, since another system has none of their name" if alone else ""
    return Sounds(waves, rate, source, note)
