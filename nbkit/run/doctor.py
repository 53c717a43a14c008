"""`nbkit doctor`, and the first table of 00_start_here: what this machine has, what fails on it, and what to do.

Every line is found out by trying it as far as a few seconds allow: a multiplication on the GPU, a file written to the
mirror and read back, a syllable spoken.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import sys
import time
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import nbkit
from nbkit.base import colab, environment, workspace
from nbkit.base.amounts import size
from nbkit.run.data import table
from nbkit.train import inventory
from nbkit.train.mirror import LATER, Mirror
from nbkit.train.shelf import Shelf

OK, LOOK, BAD = "ok", "look", "bad"
TESTED_PYTHONS = ((3, 11), (3, 13))
GB = 1e9
PROBE = 4 << 20  # bytes written to the mirror
PATIENCE = 20.0  # seconds that a mirror may take for them
DRIVE_LOG = Path("~/.config/Google/DriveFS/Logs/drive_fs.txt")
CGROUP = Path("/sys/fs/cgroup")
CARDS = Path("/proc/driver/nvidia/gpus")  # what the driver sees, whatever torch does


class Finding(NamedTuple):
    """One line: what was looked at, what is there, "ok", "look" or "bad", and what to do where it is not ok."""

    what: str
    value: str
    verdict: str = OK
    advice: str = ""


def add_parser(subparsers: Any) -> None:
    """Add `doctor` to the command line."""
    parser = subparsers.add_parser(
        "doctor", help="what this machine has and lacks; exit status 1 where something fails"
    )
    parser.add_argument("--json", action="store_true", help="for a program to read")
    parser.set_defaults(call=_command)


def _command(arguments: argparse.Namespace) -> int:
    found = check()
    if arguments.json:
        print(json.dumps([one._asdict() for one in found], ensure_ascii=False, indent=1))
    else:
        lines = table([(one.verdict, one.what, one.value) for one in found]).splitlines()
        for one, line in zip(found, lines, strict=True):
            print(line + (f"\n      -> {one.advice}" if one.advice else ""))
        counts = {verdict: sum(one.verdict == verdict for one in found) for verdict in (LOOK, BAD)}
        print(f"\n{counts[BAD]} bad, {counts[LOOK]} to look at")
    return 1 if any(one.verdict == BAD for one in found) else 0


def rows() -> list[tuple[str, str, str]]:
    """What `check` finds, for a table in a notebook."""
    marks = {OK: "✓ ok", LOOK: "• look", BAD: "✗ bad"}
    return [(one.what, one.value + f"\n→ {one.advice}" * bool(one.advice), marks[one.verdict]) for one in check()]


def check() -> list[Finding]:
    """Look at everything. Never raises; imports torch, which takes some seconds, and writes only to the mirror."""
    found: list[Finding] = []
    for what, look in {
        "Python": _python, "nbkit": _nbkit, "packages": _packages, "extras": _extras, "GPU": _gpu,
        "processors": _processors, "memory": _memory,
        "runs": _runs_disk, "data": _cache_disk, "mirror": _mirror, "Drive's log": _drive_log,
        "Korean font": _font, "eSpeak NG": _espeak,
    }.items():  # fmt: skip
        try:
            made = look()
        except Exception as error:
            told = f"could not be looked at ({type(error).__name__}: {error})"
            made = Finding(what, told, LOOK, "this is a fault of `nbkit doctor`, or of what it looked at")
        found += [made] if isinstance(made, Finding) else made
    return found


def _python(version: tuple[int, ...] = sys.version_info[:3], system: str = sys.platform) -> Finding:
    low, high = TESTED_PYTHONS
    told = f"{'.'.join(map(str, version))} on {environment.describe()['platform']}"
    wanted = f"wanted {low[0]}.{low[1]} to {high[0]}.{high[1]}"
    if version[:2] < low:
        return Finding("Python", told, BAD, f"{wanted}; `make setup PYTHON=python3.12` takes another one")
    if version[:2] > high or system != "linux":
        return Finding("Python", told, LOOK, f"not tested; tested are {wanted.removeprefix('wanted ')} on Linux")
    return Finding("Python", told)


def _nbkit() -> Finding:
    git = environment.describe()["git"]
    code = f", commit {git['commit'][:10]}{' with changes' * git['dirty']}" if isinstance(git, dict) else ""
    told = f"{nbkit.__version__}{code} on {colab.where()}"
    try:
        return Finding("nbkit", f"{told}, from {workspace.root()}")
    except FileNotFoundError as error:
        return Finding("nbkit", told, BAD, str(error))


def _packages() -> Finding:
    """What is installed, against the lower bounds of pyproject.toml and the versions that were tested."""
    from packaging.requirements import Requirement
    from packaging.version import Version

    root = workspace.root()
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if "==" in line)
    lacking, wrong, newer = [], [], []
    for wanted in map(Requirement, project["dependencies"]):
        version = environment.installed(wanted.name)
        known = tested.get(wanted.name)
        if version is None or not wanted.specifier.contains(Version(version).public, prereleases=True):
            lacking.append(f"'{wanted}'")
            wrong.append(f"{wanted.name} {version or 'is missing'} (wanted {wanted.specifier})")
        elif known and Version(version).release[:2] > Version(known).release[:2]:
            newer.append(f"{wanted.name} {version} (tested {known})")
    told = f"{len(project['dependencies'])} needed"
    if wrong:
        return Finding("packages", f"{told}; {', '.join(wrong + newer)}", BAD, f"pip install {' '.join(lacking)}")
    if newer:
        return Finding(
            "packages",
            f"{told}; newer than tested: {', '.join(newer)}",
            LOOK,
            "should something fail, `pip install -c constraints.txt -e .` goes back",
        )
    return Finding("packages", f"{told}, all there, none newer than what was tested")


def _extras() -> Finding:
    """Which of the further packages are here, by what they are for; none is needed."""
    from packaging.requirements import Requirement
    from packaging.version import Version

    project = tomllib.loads((workspace.root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    here, lacking, old = [], [], []
    for extra, lines in project["optional-dependencies"].items():
        wanted = [] if extra == "dev" else [Requirement(line) for line in lines]
        versions = {one: environment.installed(one.name) for one in wanted}
        old += [f"{one.name} {found} (wanted {one.specifier} for {extra})" for one, found in versions.items()
                if found and not one.specifier.contains(Version(found).public, prereleases=True)]  # fmt: skip
        if wanted:
            (lacking if None in versions.values() else here).append(extra)
    told = "; ".join(f"{what} {', '.join(names)}" for what, names in (("here", here), ("not", lacking)) if names)
    if old:
        return Finding("extras", f"{told}; {', '.join(old)}", LOOK, "pip install the versions that are wanted")
    return Finding("extras", f"{told}; `pip install -c constraints.txt -e '.[NAME]'` brings one" if lacking else told)


def _gpu() -> Finding | list[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("torch", f"cannot be imported ({error})", BAD, "pip install -c constraints.txt torch")
    if torch.cuda.is_available():
        return _card(torch)
    if CARDS.is_dir() and any(CARDS.iterdir()):
        return Finding(
            "GPU",
            f"there is one, and torch {torch.__version__} cannot use it",
            BAD,
            "install a torch that is built for CUDA, or a driver as new as it wants",
        )
    told = f"none; training runs on the processors, torch {torch.__version__}"
    advice = "Runtime > Change runtime type lends a T4; the default runs do without" if colab.on_vm() else ""
    return Finding("GPU", told, LOOK if colab.on_vm() else OK, advice)


def _card(torch: Any) -> list[Finding]:
    """A GPU that torch sees: does it compute, in which precisions, and who holds its memory?"""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    told = f"{properties.name}, capability {properties.major}.{properties.minor}, torch {torch.__version__}"
    fast = (["bfloat16"] if properties.major >= 8 else []) + ["float16", "float32"]
    try:
        works = [name for name in fast if _multiplies(torch, getattr(torch, name))]
    except RuntimeError as error:  # also torch.cuda.OutOfMemoryError and missing kernels
        return [
            Finding(
                "GPU",
                f"{told}: it does not compute ({str(error).splitlines()[0]})",
                BAD,
                "end what else uses it (`nvidia-smi` lists it), restart the kernel, or install a torch that "
                "is built for it",
            )
        ]
    free, total = torch.cuda.mem_get_info()
    mine = torch.cuda.memory_reserved()
    memory = f"{size(free)} of {size(total)} free"
    held = total - free - mine
    verdict = BAD if free + mine < 1 * GB else LOOK if held > total / 4 else OK
    advice = f"others hold {size(held)}; end them (`nvidia-smi`; on Colab Runtime > Manage sessions)" * (verdict != OK)
    short = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
    precision = ", ".join(short[name] for name in works)
    lacks = "" if len(works) == len(fast) else f"wrong results in {', '.join(short[n] for n in fast if n not in works)}"
    return [
        Finding("GPU", told),
        Finding("GPU memory", memory, verdict, advice),
        Finding("precision", f"{precision}; {lacks}", BAD, "update the driver")
        if lacks
        else Finding("precision", precision + ("" if "bfloat16" in works else "; bf16 only in software")),
    ]


def _multiplies(torch: Any, dtype: Any) -> bool:
    ones = torch.ones(64, 64, device="cuda", dtype=dtype)
    return float((ones @ ones)[0, 0]) == 64.0


def _processors() -> Finding:
    count = float(environment.describe()["cpus"] or 1)  # type: ignore[arg-type]
    limit = _cgroup("cpu.max").split()
    if len(limit) == 2 and limit[0] != "max":
        count = min(count, int(limit[0]) / int(limit[1]))
    if count < 2:
        return Finding("processors", f"{count:g}", LOOK, "training and showing share one; keep `workers` at 0")
    return Finding("processors", f"{count:g}")


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit.isdigit() and used.isdigit() and int(limit) < total:
        total, free = int(limit), min(free, int(limit) - int(used))
    told = f"{size(free)} of {size(total)} free"
    if free < 3 * GB:
        verdict = BAD if free < 0.5 * GB else LOOK
        return Finding("memory", told, verdict, "shut other notebooks down, and keep `batch_size` and `workers` low")
    return Finding("memory", told)


def _cgroup(name: str) -> str:
    """A limit that a container has; empty where there is none."""
    try:
        return (CGROUP / name).read_text().strip()
    except OSError:
        return ""


def _runs_disk() -> Finding:
    return _disk("runs go to", workspace.runs(), "NBKIT_OUTPUTS", "`nbkit runs prune` shows what can go")


def _cache_disk() -> Finding:
    return _disk("data and features", workspace.cache(), "NBKIT_CACHE", "all of it can be made again")


def _disk(what: str, folder: Path, variable: str, remedy: str) -> Finding:
    """A folder, which may not be there yet, and the room that its disk has."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(there).free
    told = f"{folder}, {size(free)} free"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding(what, f"{told}, cannot be written to", BAD, f"name another folder in {variable}")
    if free < 5 * GB:
        return Finding(what, told, BAD if free < 1 * GB else LOOK, f"make room: {remedy}; or another disk, {variable}")
    if Shelf(there).is_mount_of_its_own():
        return Finding(
            what,
            f"{told}, on a mount that may drop",
            LOOK,
            f"a local folder in {variable} is safer, and NBKIT_MIRROR for the copies",
        )
    return Finding(what, told)


def _mirror() -> list[Finding]:
    place = workspace.mirror()
    if place is None:
        wanted = colab.on_vm()
        advice = "runs go with this machine: mount Drive, or name a folder in NBKIT_MIRROR" if wanted else ""
        told = "none; checkpoints lie on this machine only"
        return [Finding("mirror", told, LOOK if wanted else OK, advice)]
    shelf = Shelf(place)
    try:
        found = inventory.within(PATIENCE, lambda: _probe(shelf))
    except OSError as error:
        told = f"{place} cannot be used ({error.strerror or error})"
        return [
            Finding("mirror", told, BAD, "mount it again, or make the folder above it; NBKIT_MIRROR=none does without")
        ]
    return [found, _backlog(shelf)]


def _probe(shelf: Shelf) -> Finding:
    """Write some megabytes, read them back, remove them; raises OSError."""
    shelf.open()
    content, name = os.urandom(PROBE), f"doctor/{time.time_ns()}-{os.getpid()}"
    try:
        began = time.monotonic()
        shelf.put(name, content)
        wrote = time.monotonic()
        same = shelf.get(name)[0] == content
        read = time.monotonic()
        policy = Mirror(shelf, "doctor", workspace.runs() / "doctor").settled_policy(name)
    finally:
        with contextlib.suppress(OSError):
            shelf.drop(name)
            (shelf.root / "doctor").rmdir()
    speed = PROBE / 1e6 / max(wrote - began, 1e-6)
    told = f"{shelf}, writes {speed:,.0f} MB/s, reads back {PROBE / 1e6 / max(read - wrote, 1e-6):,.0f} MB/s; " + {
        "sent": "Drive tells when a copy has left this machine",
        "later": f"a mount that may keep files to itself: a copy counts as safe after {LATER} later ones",
        "read-back": "a copy counts as safe once it was read back",
    }.get(policy, policy)
    if not same:
        return Finding("mirror", f"{told}; what was read is not what was written", BAD, "take another folder")
    free = shutil.disk_usage(shelf.root).free
    if free < 2 * GB:
        return Finding("mirror", f"{told}; {size(free)} free", LOOK, "`nbkit runs prune --mirror` shows what can go")
    if speed < 2:
        return Finding(
            "mirror", told, LOOK, f"343 MB (the size `paper`) take {343 / speed / 60:.0f} min: save less often"
        )
    return Finding("mirror", told)


def _backlog(shelf: Shelf) -> Finding:
    """Checkpoints that would be lost with this machine."""
    runs, notes = inventory.look(shelf)
    behind = [f"{run.name} (step {run.backlog:,}, safe {run.confirmed or 'none'})" for run in runs if run.backlog]
    if notes:
        return Finding("not on the mirror yet", "; ".join(notes), LOOK, "`nbkit runs` shows more")
    if behind:
        more = f" and {len(behind) - 3} more" if len(behind) > 3 else ""
        return Finding(
            "not on the mirror yet",
            ", ".join(behind[:3]) + more,
            LOOK,
            "leave the machine on while they train; run the others again, which copies what is missing",
        )
    return Finding("not on the mirror yet", "nothing")


def _drive_log(path: Path | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> list[Finding]:
    """Signs of a full quota in the log of Drive's mount; nothing is told where there is no such log."""
    path = (path or DRIVE_LOG).expanduser()
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, path.stat().st_size - 2_000_000))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        return [Finding("Drive's log", f"{path} cannot be read ({error.strerror})", LOOK, "restart the runtime")]
    told = [line for line in lines if re.search(r"quota_?exceeded", line, re.IGNORECASE)]
    if not told:
        return [Finding("Drive's log", "no sign of a full quota")]
    found = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)", told[-1])
    when = datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00") if found else None
    old = when is not None and now() - when > timedelta(days=1)
    last = f", the last on {found[1]} at {found[2]}" if found else ""
    return [
        Finding(
            "Drive's log",
            f"QUOTA_EXCEEDED {len(told)} times{last}",
            LOOK if old else BAD,
            "Drive is full: empty its trash, then `nbkit runs prune --mirror`",
        )
    ]


def _font() -> Finding:
    """Whether plots can show Hangul: the font of this package is there, whole, and found by matplotlib."""
    from fontTools.ttLib import TTFont, TTLibError
    from matplotlib import font_manager

    from nbkit.views import style

    advice = "fetch the package anew: a file of it is missing or damaged"
    try:
        letters = TTFont(style.FONT).getBestCmap() or {}
        style.apply()
        used = Path(font_manager.findfont(style.FAMILIES[1], fallback_to_default=False))
    except (OSError, TTLibError, ValueError, AssertionError) as error:  # the last where a file was cut short
        told = str(error) or "it is damaged"
        return Finding("Korean font", f"{style.FONT.name} cannot be used ({told})", BAD, advice)
    lacking = [letter for letter in "가한ㅎ" if ord(letter) not in letters]
    if lacking or used.name != style.FONT.name:
        told = f"lacks {' '.join(lacking)}" if lacking else f"plots take {used} instead"
        return Finding("Korean font", f"{style.FONT.name} {told}", BAD, advice)
    return Finding("Korean font", f"{style.FAMILIES[1]}, {sum(0xAC00 <= c <= 0xD7A3 for c in letters):,} syllables")


def _espeak() -> Finding:
    from nbkit.data import espeak

    try:
        spoken = espeak.speak("가", "ko")
    except Exception as error:  # a library that does not load raises whatever its loader does
        told = f"does not speak ({type(error).__name__}: {error})"
        return Finding("eSpeak NG", told, BAD, "pip install --force-reinstall espeakng-loader")
    if not abs(spoken.wave).max() > 0:
        return Finding("eSpeak NG", "is silent", BAD, "pip install --force-reinstall espeakng-loader")
    return Finding("eSpeak NG", f"speaks at {spoken.rate:,} Hz")
